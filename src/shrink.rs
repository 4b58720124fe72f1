//! `rafture shrink`: the schedule of a run that failed, cut down while it still fails.
//!
//! Each candidate is run on real processes, which do not do the same twice: one that does not fail is tried again before it is
//! given up, and what is found comes with how often it failed.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use rafture_checker::verdict::Verdict;
use rafture_nemesis::schedule::reduce::{cut_short, reduce};
use rafture_nemesis::schedule::window::latest_ms;
use rafture_nemesis::schedule::{End, Schedule, record};
use rafture_nemesis::{clean, hosts};
use rafture_reports::RunFolder;
use rafture_reports::results::Results;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::command_line::with_flags;
use crate::duration::Span;
use crate::error::Error;
use crate::run::{self, Plan};

/// Name of what is found, in the folder of the run.
const SHRUNK_FILE: &str = "shrunk.toml";
/// How often the whole schedule is tried before the failure counts as gone.
const FIRST_TRIES: u32 = 5;
/// How often what is found has been tried in the end, if there is time.
const LAST_TRIES: u32 = 3;

/// Cut the schedule of a run that failed down to what it takes
#[derive(Debug, Args)]
pub struct ShrinkArguments {
    /// Folder of the run, or a link to it
    #[arg(default_value = "runs/latest")]
    run: PathBuf,
    /// Runs that it may take
    #[arg(long, default_value_t = 40, value_name = "COUNT")]
    runs: u32,
    /// Time that it may take
    #[arg(long, default_value = "15m")]
    time_limit: Span,
    /// How often a schedule is tried that does not fail
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    tries: u32,
    /// Print one JSON object on one line instead of a summary
    #[arg(long)]
    json: bool,
}

/// A failure by its name: which checker, and what it calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    checker: String,
    anomaly: String,
}

/// The search, as far as it has come.
struct Search<'a> {
    arguments: &'a ShrinkArguments,
    plan: Plan,
    names: Vec<Name>,
    rafture: PathBuf,
    stop: watch::Receiver<bool>,
    began: Instant,
    runs: u32,
    /// Other names by which the same checkers have failed, and in how many runs.
    kin: (Vec<Name>, u32),
    /// What has failed, and how often of how many tries.
    failed: Vec<(Schedule, Tally)>,
    /// Why there can be no more runs.
    error: Option<Error>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    failures: u32,
    tries: u32,
}

/// Shrinks a run. Says `invalid` if there is something that still fails, and `unknown` if the failure did not come again.
///
/// # Errors
/// When the folder is no run that failed, or a run cannot be made.
pub fn shrink(
    arguments: &ShrinkArguments,
    stop: impl FnOnce() -> Result<watch::Receiver<bool>, Error>,
) -> Result<Verdict, Error> {
    let folder = RunFolder::open(&arguments.run).map_err(Error::input)?;
    let (plan, start, names) = failed_run(&folder)?;
    if arguments.runs == 0 || arguments.tries == 0 {
        return Err(Error::Input("no runs, nothing to find out (hint: --runs 40 --tries 3)".into()));
    }
    // Before there is any thread.
    let choice: hosts::NetworkChoice = plan.network.parse().map_err(Error::Input)?;
    let _ = hosts::seek_privilege(choice);
    let mut search = Search {
        arguments,
        plan,
        names,
        rafture: std::env::current_exe().map_err(Error::harness)?,
        stop: stop()?,
        began: Instant::now(),
        runs: 0,
        kin: (Vec::new(), 0),
        failed: Vec::new(),
        error: None,
    };
    let before = search.plan.schedule.episodes.len();
    eprintln!(
        "{} of {before} faults struck before the run failed ({}); looking for less that fails",
        start.episodes.len(),
        search.words()
    );
    if search.fails(&start, FIRST_TRIES.max(arguments.tries)) == Some(true) || search.take_kin(&start) {
        let tries = arguments.tries;
        let best = reduce(&start, |candidate| search.fails(candidate, tries));
        search.confirm(&best);
        if let Some(error) = search.error.take() {
            eprintln!("rafture: {error}");
        }
        return search.conclude(&folder, &best);
    }
    match search.error.take() {
        Some(error) => Err(error),
        None => {
            search.give_up();
            Ok(Verdict::Unknown)
        }
    }
}

/// The plan of a run that failed, as much of its schedule as came before it failed, and what its failure is called.
fn failed_run(folder: &RunFolder) -> Result<(Plan, Schedule, Vec<Name>), Error> {
    let path = folder.path();
    let text = folder.read("plan.json").map_err(Error::input)?;
    let plan: Plan = serde_json::from_str(&text).map_err(|error| {
        let file = path.join("plan.json");
        Error::Input(format!(
            "cannot understand `{}`: {error} (hint: it may be from another version)",
            file.display()
        ))
    })?;
    let results = folder.results().map_err(Error::input)?;
    if results.verdict != Verdict::Invalid {
        return Err(Error::Input(format!(
            "the run `{}` is {}, and only an invalid one can be cut down",
            path.display(),
            results.verdict
        )));
    }
    let struck: Vec<u64> = folder
        .faults()
        .map_err(Error::input)?
        .iter()
        .filter(|fault| fault.planned_ns > 0)
        .map(|fault| fault.id)
        .collect();
    let end = End { at_ms: plan.time_limit.0.as_millis() as u64, after: None };
    let whole = Schedule { end: plan.schedule.end.or(Some(end)), ..plan.schedule.clone() };
    // What never struck was not needed.
    let mut start = whole.without(|episode| !struck.contains(&episode.id));
    // Nor was the time after the violation. Without a time, it showed in the end only.
    if let Some(found) =
        results.checkers.get("linearizability").and_then(|checker| checker.details.get("found_at_s"))
    {
        let found_ms = found.as_f64().unwrap_or(0.0) * 1e3;
        let short = cut_short(&start);
        if latest_ms(&short) as f64 > found_ms {
            start = short;
        }
    }
    let store = path.parent().and_then(Path::parent).unwrap_or(path);
    let here = std::env::current_dir().unwrap_or_default();
    let store = store.strip_prefix(&here).unwrap_or(store).to_path_buf();
    Ok((Plan { store, ..plan }, start, names(&results)))
}

/// Everything that a run has failed by.
fn names(results: &Results) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    for (checker, result) in &results.checkers {
        if result.verdict != Verdict::Invalid {
            continue;
        }
        let violations = result.details.get("violations").and_then(Value::as_array).into_iter().flatten();
        let invariants =
            violations.filter_map(|violation| violation.get("invariant")?.as_str().map(str::to_owned));
        let mut anomalies: Vec<String> =
            result.failure().map(|failure| failure.anomaly).into_iter().chain(invariants).collect();
        if anomalies.is_empty() {
            // The checker's name says all there is: a node that crashed, a cluster that did not recover.
            anomalies.push(String::new());
        }
        for anomaly in anomalies {
            let name = Name { checker: checker.clone(), anomaly };
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

impl Search<'_> {
    /// Whether a schedule fails in the same way, in so many tries; `None` when there can be no more runs.
    fn fails(&mut self, schedule: &Schedule, tries: u32) -> Option<bool> {
        let mut tally = Tally::default();
        for _ in 0..tries {
            let failed = self.run(schedule, "")?;
            tally.tries += 1;
            if failed {
                tally.failures += 1;
                self.failed.push((schedule.clone(), tally));
                return Some(true);
            }
        }
        Some(false)
    }

    /// One bug shows in many operations, and which of them is taken for evidence decides what the anomaly is called. If it never
    /// came again by its name, the names by which the same checker failed instead are taken for it.
    fn take_kin(&mut self, start: &Schedule) -> bool {
        let (kin, failures) = std::mem::take(&mut self.kin);
        if kin.is_empty() || self.error.is_some() {
            return false;
        }
        self.failed.push((start.clone(), Tally { failures, tries: self.runs }));
        let before = self.words();
        self.names.extend(kin);
        eprintln!("it did not come again as {before}; looking for what fails by any of: {}", self.words());
        true
    }

    /// Tries what was found again, so that it can be said how often it fails.
    fn confirm(&mut self, best: &Schedule) {
        while self.tally(best).tries < LAST_TRIES {
            let Some(failed) = self.run(best, "once more: ") else {
                return;
            };
            if let Some((_, tally)) = self.failed.iter_mut().rev().find(|(schedule, _)| schedule == best) {
                tally.tries += 1;
                tally.failures += u32::from(failed);
            }
        }
    }

    fn tally(&self, schedule: &Schedule) -> Tally {
        let known = self.failed.iter().rev().find(|(known, _)| known == schedule);
        known.map(|(_, tally)| *tally).unwrap_or_default()
    }

    /// One run; `None` when there can be none.
    fn run(&mut self, schedule: &Schedule, prefix: &str) -> Option<bool> {
        let is_over = self.runs == self.arguments.runs
            || self.began.elapsed() >= self.arguments.time_limit.0
            || *self.stop.borrow()
            || self.error.is_some();
        if is_over {
            return None;
        }
        let plan = self.plan_for(schedule);
        let finished = match run::run(&plan, self.rafture.clone(), self.stop.clone()) {
            Ok(finished) => finished,
            Err(error) => {
                self.error = Some(error);
                return None;
            }
        };
        self.runs += 1;
        let found = names(&finished.results);
        let is_same = found.iter().any(|name| self.names.contains(name));
        let is_kin = |name: &&Name| self.names.iter().any(|known| known.checker == name.checker);
        let kin: Vec<Name> =
            found.iter().filter(is_kin).filter(|name| !self.kin.0.contains(name)).cloned().collect();
        self.kin.1 += u32::from(found.iter().any(|name| is_kin(&name)));
        self.kin.0.extend(kin);
        let outcome = match (is_same, found.first()) {
            (true, _) => "fails in the same way".to_owned(),
            (false, Some(other)) => format!("fails in another way: {}", other.words()),
            (false, None) => format!("is {}", finished.results.verdict),
        };
        eprintln!("run {}: {prefix}{} faults: {outcome}", self.runs, schedule.episodes.len());
        // A run that was stopped has not had its time.
        (is_same || !*self.stop.borrow()).then_some(is_same)
    }

    fn plan_for(&self, schedule: &Schedule) -> Plan {
        let time_limit = Span(Duration::from_millis(latest_ms(schedule).max(1)));
        let store = self.plan.store.display().to_string();
        let with = [("schedule", "schedule.toml"), ("store", &*store)];
        Plan {
            command: with_flags(
                &self.plan.command,
                &["faults", "interval", "time-limit", "schedule", "store"],
                &with,
            ),
            controller: clean::controller(),
            // It is filled in when the run has a folder.
            schedule_file: Some("schedule.toml".into()),
            schedule: schedule.clone(),
            time_limit,
            ..self.plan.clone()
        }
    }

    fn words(&self) -> String {
        self.names.iter().map(Name::words).collect::<Vec<_>>().join(", ")
    }

    /// Writes down what was found and tells it.
    fn conclude(&self, folder: &RunFolder, best: &Schedule) -> Result<Verdict, Error> {
        let here = std::env::current_dir().unwrap_or_default();
        let file = folder.path().join(SHRUNK_FILE);
        let shown = file.strip_prefix(&here).unwrap_or(&file).display().to_string();
        let without = ["faults", "interval", "time-limit", "schedule"];
        let command = with_flags(&self.plan.command, &without, &[("schedule", &shown)]);
        let Tally { failures, tries } = self.tally(best);
        let (before, left) = (self.plan.schedule.episodes.len(), best.episodes.len());
        let sentence = format!(
            "of {before} faults, {left} {} left; it failed {failures} of {tries} times by {}",
            if left == 1 { "was" } else { "were" },
            self.words()
        );
        let text =
            record::write(best, &format!("What is left of the schedule of this run: {sentence}.\n{command}"));
        folder.write_atomic(SHRUNK_FILE, text.as_bytes()).map_err(Error::harness)?;
        let seconds = self.began.elapsed().as_secs_f64();
        if self.arguments.json {
            let object = json!({
                "verdict": Verdict::Invalid,
                "failures": self.failures(),
                "faults_before": before,
                "faults_left": left,
                "episodes": best.episodes,
                "length_ms": latest_ms(best),
                "failed": failures,
                "tries": tries,
                "runs": self.runs,
                "seconds": seconds,
                "schedule": shown,
                "command": command,
            });
            println!("{object}");
            return Ok(Verdict::Invalid);
        }
        for episode in &best.episodes {
            println!("  {}", episode.describe());
        }
        println!("{sentence} ({} runs in {seconds:.0} s)", self.runs);
        println!("schedule: {shown}\nrepeat: {command}");
        Ok(Verdict::Invalid)
    }

    /// Says that the failure did not come again.
    fn give_up(&self) {
        let seconds = self.began.elapsed().as_secs_f64();
        if self.arguments.json {
            let verdict = Verdict::Unknown;
            let object = json!({ "verdict": verdict, "failures": self.failures(), "failed": 0, "tries": self.runs, "runs": self.runs, "seconds": seconds });
            println!("{object}");
            return;
        }
        println!(
            "unknown: the failure ({}) did not come again in {} runs of the same schedule (hint: more `--tries`, or raise what the clients do with --concurrency and run it anew)",
            self.words(),
            self.runs
        );
    }

    fn failures(&self) -> Vec<Value> {
        let object = |name: &Name| json!({ "checker": name.checker, "anomaly": name.anomaly });
        self.names.iter().map(object).collect()
    }
}

impl Name {
    fn words(&self) -> String {
        match &*self.anomaly {
            "" => self.checker.clone(),
            anomaly => format!("{}: {anomaly}", self.checker),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_known_by_checker_and_anomaly() {
        let results = json!({
            "linearizability": { "verdict": "invalid", "failure": { "key": "k", "anomaly": "stale read", "sentence": "s", "operations": [] } },
            "raft-invariants": { "verdict": "invalid", "violations": [
                { "invariant": "log-matching", "nodes": ["n1"], "times_ns": [1], "sentence": "s" },
                { "invariant": "log-matching", "nodes": ["n2"], "times_ns": [2], "sentence": "t" },
            ] },
            "crashes": { "verdict": "invalid", "violations": ["n1 ended by itself"] },
            "recovery": { "verdict": "valid" },
        });
        let empty = json!({
            "verdict": "invalid", "name": "x", "run": "x", "system": "rafture", "workload": "register", "nodes": 3,
            "network": "proxy", "seed": 1, "command": "c", "started_at": "t", "time_limit_s": 1.0, "seconds": 1.0,
            "throughput": 1.0, "checkers": results, "faults": {}, "latency": {}, "operations": {},
            "recovery": { "count": 0, "p50_ms": null, "p99_ms": null, "max_ms": null, "by_fault": {}, "each": [] },
        });
        let results: Results = serde_json::from_value(empty).expect("results");
        let words: Vec<String> = names(&results).iter().map(Name::words).collect();
        assert_eq!(words, ["crashes", "linearizability: stale read", "raft-invariants: log-matching"]);
    }
}
