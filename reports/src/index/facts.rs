//! What the index keeps of one run folder, and how it is written.
//!
//! A run that has no `results.json` is told by its `plan.json`. One whose `results.json` is damaged, or of another version, is
//! told by whatever of it can be read, and says so.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rafture_checker::verdict::Verdict;
use rusqlite::{Transaction, named_params, params};
use serde_json::Value;

use super::folders;
use crate::results::{Lateness, Results};
use crate::store::UtcTime;
use crate::wording;

/// How far a run got, as far as its folder tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has results that this version understands.
    Finished,
    /// It has none: it goes on, or was cut short.
    Unfinished,
    /// It has some that this version does not understand.
    Unreadable,
}

impl State {
    /// As the index spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Finished => "finished",
            State::Unfinished => "unfinished",
            State::Unreadable => "unreadable",
        }
    }

    pub(super) fn parse(text: &str) -> State {
        match text {
            "finished" => State::Finished,
            "unfinished" => State::Unfinished,
            _ => State::Unreadable,
        }
    }
}

/// Tells one `results.json` from another: its time of change in nanoseconds, and its size. `None` where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub Option<(i64, i64)>);

impl Fingerprint {
    /// Of the run in `folder`.
    pub fn of(folder: &Path) -> Fingerprint {
        let metadata = fs::metadata(folder.join("results.json")).ok();
        Fingerprint(metadata.map(|metadata| {
            let ns = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
            (ns, i64::try_from(metadata.len()).unwrap_or(i64::MAX))
        }))
    }
}

/// One run.
pub(super) struct Facts {
    path: String,
    fingerprint: Fingerprint,
    content: Content,
}

enum Content {
    Finished(Box<Results>),
    Unfinished(Value),
    /// What JSON there is, and why it is not enough.
    Unreadable(Value, String),
}

impl Facts {
    /// Reads the folder `path` of `store`; `None` if no run is there.
    pub(super) fn read(store: &Path, path: &str) -> Option<Facts> {
        let folder = store.join(path);
        if !folders::is_run(&folder) {
            return None;
        }
        // Before the text: if the file is replaced in between, the row looks old and is written again.
        let fingerprint = Fingerprint::of(&folder);
        let content = match (fingerprint.0, fs::read_to_string(folder.join("results.json"))) {
            (None, _) => Content::Unfinished(plan(&folder)),
            (Some(_), Ok(text)) => match serde_json::from_str::<Results>(&text) {
                Ok(results) => Content::Finished(Box::new(results)),
                Err(error) => {
                    let rest = serde_json::from_str(&text).unwrap_or_else(|_| plan(&folder));
                    Content::Unreadable(
                        rest,
                        format!("results.json is damaged or of another version: {error}"),
                    )
                }
            },
            (Some(_), Err(error)) => {
                Content::Unreadable(plan(&folder), format!("results.json cannot be read: {error}"))
            }
        };
        Some(Facts { path: path.to_owned(), fingerprint, content })
    }

    pub(super) fn insert(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        match &self.content {
            Content::Finished(results) => {
                self.insert_run(transaction, results)?;
                insert_details(transaction, &self.path, results)
            }
            Content::Unfinished(plan) => self.insert_rest(transaction, State::Unfinished, None, plan),
            Content::Unreadable(rest, why) => {
                self.insert_rest(transaction, State::Unreadable, Some(why), rest)
            }
        }
    }

    /// The folder says what a run is called: it may have been moved since its results were written.
    fn names(&self) -> (&str, &str) {
        self.path.split_once('/').unwrap_or(("", &self.path))
    }

    fn insert_run(&self, transaction: &Transaction<'_>, results: &Results) -> rusqlite::Result<()> {
        let (name, run) = self.names();
        let anomaly = results.failures().first().map(|(_, failure)| failure.anomaly.clone());
        let kinds: Vec<&str> = results.faults.keys().map(String::as_str).collect();
        let slowest_ms = results.latency.values().map(|latency| latency.p99_ms).reduce(f64::max);
        let ok: u64 = results.operations.values().map(|count| count.ok).sum();
        let sql = "INSERT INTO runs (path, name, run, state, system, workload, nodes, network, seed, verdict, reason,
            anomaly, oracle, recipe, faults, started_at, started_s, seconds, throughput, operations_ok, recovery_p50_ms,
            recovery_p99_ms, recovery_max_ms, latency_p99_ms, commit_id, campaign, overloaded, results_mtime_ns,
            results_size) VALUES (:path, :name, :run, 'finished', :system, :workload, :nodes, :network, :seed,
            :verdict, :reason, :anomaly, :oracle, :recipe, :faults, :started_at, :started_s, :seconds, :throughput, :ok,
            :recovery_p50, :recovery_p99, :recovery_max, :latency_p99, :commit, :campaign, :overloaded, :mtime,
            :size)";
        transaction.prepare_cached(sql)?.execute(named_params! {
            ":path": self.path,
            ":name": name,
            ":run": run,
            ":system": results.system,
            ":workload": results.workload,
            ":nodes": integer(results.nodes as u64),
            ":network": results.network,
            ":seed": results.seed.to_string(),
            ":verdict": results.verdict.to_string(),
            ":reason": wording::verdict_sentence(results),
            ":anomaly": anomaly,
            ":oracle": oracle(results),
            ":recipe": recipe(&results.command),
            ":faults": kinds.join(","),
            ":started_at": results.started_at,
            ":started_s": seconds_since_1970(&results.started_at).or_else(|| seconds_of_folder(run)),
            ":seconds": results.seconds,
            ":throughput": results.throughput,
            ":ok": integer(ok),
            ":recovery_p50": results.recovery.all.p50_ms,
            ":recovery_p99": results.recovery.all.p99_ms,
            ":recovery_max": results.recovery.all.max_ms,
            ":latency_p99": slowest_ms,
            ":commit": results.labels.get("commit"),
            ":campaign": results.labels.get("campaign"),
            ":overloaded": results.lateness.is_some_and(Lateness::is_overload),
            ":mtime": self.fingerprint.0.map(|(ns, _)| ns),
            ":size": self.fingerprint.0.map(|(_, size)| size),
        })?;
        Ok(())
    }

    /// What a plan and any version's results say in the same words.
    fn insert_rest(
        &self,
        transaction: &Transaction<'_>,
        state: State,
        complaint: Option<&String>,
        rest: &Value,
    ) -> rusqlite::Result<()> {
        let (name, run) = self.names();
        let text = |key: &str| rest.get(key).and_then(Value::as_str);
        let label = |key: &str| rest.get("labels")?.get(key)?.as_str();
        let verdict =
            rest.get("verdict").and_then(|verdict| serde_json::from_value::<Verdict>(verdict.clone()).ok());
        let started_s = text("started_at").and_then(seconds_since_1970).or_else(|| seconds_of_folder(run));
        let started_at =
            started_s.and_then(|s| u64::try_from(s).ok()).map(|s| UtcTime::from_seconds(s).to_string());
        let sql = "INSERT INTO runs (path, name, run, state, complaint, system, workload, nodes, network, seed, verdict,
            faults, started_at, started_s, commit_id, campaign, results_mtime_ns, results_size) VALUES
            (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";
        transaction.prepare_cached(sql)?.execute(params![
            self.path,
            name,
            run,
            state.as_str(),
            complaint,
            text("system"),
            text("workload"),
            rest.get("nodes").and_then(Value::as_i64),
            text("network"),
            rest.get("seed").and_then(Value::as_u64).map(|seed| seed.to_string()),
            verdict.map(|verdict| verdict.to_string()),
            faults(rest),
            started_at,
            started_s,
            label("commit"),
            label("campaign"),
            self.fingerprint.0.map(|(ns, _)| ns),
            self.fingerprint.0.map(|(_, size)| size),
        ])?;
        Ok(())
    }
}

fn insert_details(transaction: &Transaction<'_>, path: &str, results: &Results) -> rusqlite::Result<()> {
    let mut faults =
        transaction.prepare_cached("INSERT INTO faults VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
    for (kind, count) in &results.faults {
        let outage = results.recovery.by_fault.get(kind).copied().unwrap_or_default();
        let [planned, applied, proven, measured] =
            [count.planned, count.applied, count.proven, outage.count].map(integer);
        let (p50, p99, max) = (outage.p50_ms, outage.p99_ms, outage.max_ms);
        faults.execute(params![path, kind, planned, applied, proven, measured, p50, p99, max])?;
    }
    let mut latency = transaction.prepare_cached("INSERT INTO latency VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    for (f, of_f) in &results.latency {
        latency.execute(params![path, f, of_f.p50_ms, of_f.p99_ms, of_f.p999_ms, of_f.max_ms])?;
    }
    let mut labels = transaction.prepare_cached("INSERT INTO labels VALUES (?1, ?2, ?3)")?;
    results.labels.iter().try_for_each(|(name, value)| labels.execute([path, name, value]).map(drop))
}

/// The checkers that are as bad as the whole run.
fn oracle(results: &Results) -> Option<String> {
    if results.verdict == Verdict::Valid {
        return None;
    }
    let speaking = results.checkers.iter().filter(|(_, checker)| checker.verdict == results.verdict);
    Some(speaking.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(","))
}

/// The line that repeats a run without what equal runs differ in.
fn recipe(command: &str) -> String {
    let differs = |part: &&str| ["seed ", "store ", "name "].iter().any(|flag| part.starts_with(flag));
    command.split(" --").filter(|part| !differs(part)).collect::<Vec<&str>>().join(" --")
}

fn plan(folder: &Path) -> Value {
    let text = fs::read(folder.join("plan.json")).ok();
    text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// Kinds, from the keys of results, or from a plan's list with targets and shapes left out.
fn faults(rest: &Value) -> Option<String> {
    let mut kinds: Vec<&str> = match rest.get("faults")? {
        Value::Object(by_kind) => by_kind.keys().map(String::as_str).collect(),
        Value::String(list) => list.split(',').filter_map(|fault| fault.split([':', '@']).next()).collect(),
        _ => return None,
    };
    kinds.retain(|kind| !kind.is_empty() && *kind != "none");
    kinds.sort_unstable();
    kinds.dedup();
    Some(kinds.join(","))
}

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// `2026-07-24T09:15:02Z`, and nothing looser.
fn seconds_since_1970(text: &str) -> Option<i64> {
    let compact: String = text.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    seconds_of_compact(compact.strip_suffix('Z')?)
}

/// The folder of a run begins with its time: `20260724T091502-7`.
fn seconds_of_folder(run: &str) -> Option<i64> {
    seconds_of_compact(run.split('-').next()?)
}

fn seconds_of_compact(text: &str) -> Option<i64> {
    UtcTime::parse_compact(text).and_then(|time| i64::try_from(time.seconds()).ok())
}
