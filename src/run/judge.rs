//! What a finished run amounts to: every checker's word, and the worst of them.
//!
//! Two oracles are asked: the history of the clients, outside, and the traces of the nodes, inside. The rest asks whether
//! the run was able to prove anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use rafture_checker::check::{self, Limits, Question};
use rafture_checker::history::{Event, History, Operation, Outcome};
use rafture_checker::models::ModelKind;
use rafture_checker::online::Watch;
use rafture_checker::trace::{TraceEvent, parse_trace};
use rafture_checker::verdict::Verdict;
use rafture_checker::{invariants, statistics};
use rafture_nemesis::cluster::REPLACED;
use rafture_reports::fault::{FaultSpan, LeaderChange};
use rafture_reports::measure::measure;
use rafture_reports::results::{CheckerResult, FaultCount};
use serde_json::{Value, json};

use super::liveness;

/// What the checkers may take, apart from time: half of what machines of today spare.
const MEMORY_BYTES_MAX: usize = 4 << 30;

/// Everything that is judged.
pub struct Case<'a> {
    /// What the clients saw.
    pub history: &'a [Event],
    /// What was found while it grew, if somebody looked.
    pub watched: Option<&'a Watch>,
    /// What it must be explained by.
    pub model: ModelKind,
    /// Kinds of operations that must have succeeded.
    pub operations: &'a [&'static str],
    /// What the nodes did, as far as they tell; `None` if nodes of their kind never do.
    pub traces: Option<&'a BTreeMap<String, Vec<TraceEvent>>>,
    /// What was done to them.
    pub faults: &'a [FaultSpan],
    /// Kinds of faults that were asked for.
    pub kinds: &'a [String],
    /// Nodes that ended by themselves, one sentence each.
    pub crashes: &'a [String],
    /// When all faults were healed; `None` when the run did not get there.
    pub healed_ns: Option<u64>,
    /// The nodes, by name.
    pub nodes: &'a [String],
    /// How long it may take until an operation succeeds, while a majority of nodes is left alone.
    pub serve_within: Duration,
    /// Time that each checker may take.
    pub time_limit: Duration,
}

/// What the checkers say.
pub type Checkers = BTreeMap<String, CheckerResult>;

/// Asks every checker.
pub fn judge(case: &Case<'_>) -> Checkers {
    let history = match History::of(case.history) {
        Ok(history) => history,
        // Nothing can be said of a run that was not recorded as it was.
        Err(error) => {
            let reason = format!("what was recorded is no history: {error}: a bug in rafture");
            let unknown = result(Verdict::Unknown, json!({ "reason": reason }));
            return [("linearizability".to_owned(), unknown)].into();
        }
    };
    // The two oracles share nothing, and machines have two cores.
    let (linearizable, invariants) = std::thread::scope(|scope| {
        let inside = case.traces.map(|traces| scope.spawn(|| raft_invariants(traces, case.faults)));
        let outside = linearizability(case, &history);
        (outside, inside.map(|inside| inside.join().unwrap_or_else(|_| crashed("raft-invariants"))))
    });
    let all = [
        ("linearizability", linearizable),
        ("operations", operations(case, &history)),
        ("faults", faults(case)),
        ("crashes", crashes(case)),
        ("liveness", liveness(case)),
        ("recovery", recovery(case, &history)),
    ];
    let invariants = invariants.map(|invariants| ("raft-invariants", invariants));
    all.into_iter().chain(invariants).map(|(name, result)| (name.to_owned(), result)).collect()
}

/// Why the worst verdict is what it is, one sentence each.
pub fn reasons(checkers: &Checkers) -> Vec<String> {
    let worst = Verdict::worst(checkers.values().map(|checker| checker.verdict));
    if worst == Verdict::Valid {
        return Vec::new();
    }
    let guilty = checkers.values().filter(|checker| checker.verdict == worst);
    guilty
        .flat_map(|checker| {
            let failure =
                checker.failure().map(|failure| format!("{}: {}", failure.anomaly, failure.sentence));
            failure.into_iter().chain(checker.sentences())
        })
        .collect()
}

fn result(verdict: Verdict, details: Value) -> CheckerResult {
    let Value::Object(details) = details else { unreachable!("details are an object") };
    CheckerResult { verdict, details }
}

/// To three places: more is noise to whoever reads it.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

fn crashed(name: &str) -> CheckerResult {
    result(Verdict::Unknown, json!({ "reason": format!("the checker `{name}` crashed: a bug in rafture") }))
}

/// What was judged while it grew need not be judged again. A violation is, for the sake of its evidence.
fn linearizability(case: &Case<'_>, history: &History) -> CheckerResult {
    let violation = match case.watched {
        Some(watch) if watch.violation().is_some() => watch.violation(),
        Some(watch) if watch.is_conclusive() => return watched(case, watch),
        _ => None,
    };
    let mut whole = whole(case, history);
    let Some(violation) = violation else {
        return whole;
    };
    let completed = case.history.get(violation.event as usize).map_or(0, |event| event.time);
    whole.details.insert("found_at_s".into(), json!(rounded(completed as f64 / 1e9)));
    if whole.verdict == Verdict::Valid {
        let reason =
            "the online check found a violation that the whole check does not find: a bug in rafture";
        whole.verdict = Verdict::Unknown;
        whole.details.insert("reason".into(), json!(reason));
    }
    whole
}

fn watched(case: &Case<'_>, watch: &Watch) -> CheckerResult {
    let details = json!({
        "model": case.model.to_string(),
        "engine": "online",
        "operations": watch.operations(),
        "keys": watch.keys(),
        "seconds": 0.0,
    });
    result(Verdict::Valid, details)
}

fn whole(case: &Case<'_>, history: &History) -> CheckerResult {
    let start = Instant::now();
    let out_of_time = || start.elapsed() > case.time_limit;
    let limits = Limits {
        out_of_time: &out_of_time,
        memory_bytes: Some(MEMORY_BYTES_MAX),
        threads: 2,
        witness: false,
    };
    let outcome = match check::check(history, &Question::strongest(case.model), &limits) {
        Ok(outcome) => outcome,
        Err(error) => return result(Verdict::Unknown, json!({ "reason": error.to_string() })),
    };
    let mut details = json!({
        "model": case.model.to_string(),
        "engine": outcome.engine,
        "operations": outcome.operations,
        "keys": outcome.keys,
        "seconds": rounded(start.elapsed().as_secs_f64()),
    });
    if let Some(reason) = outcome.reason {
        details["reason"] = json!(reason);
    }
    if let Some(failure) = outcome.failure {
        details["failure"] = json!(failure);
    }
    result(outcome.verdict, details)
}

fn raft_invariants(traces: &BTreeMap<String, Vec<TraceEvent>>, faults: &[FaultSpan]) -> CheckerResult {
    let events: usize = traces.values().map(Vec::len).sum();
    let forgetful = forgetful(faults);
    let outcome = invariants::check_but(traces, &forgetful);
    let mut details = json!({ "events": events, "nodes": traces.len() });
    if !forgetful.is_empty() {
        details["forgetful"] = json!(forgetful);
    }
    if !outcome.violations.is_empty() {
        details["violations"] = json!(outcome.violations);
    }
    result(outcome.verdict, details)
}

/// Nodes whose disk has lied to them, or whose data was replaced: that they lack what they had synced is not their doing.
fn forgetful(faults: &[FaultSpan]) -> BTreeSet<String> {
    const TAKE_WHAT_WAS_SYNCED: [&str; 5] =
        ["bit-flip", "lost-write", "misdirected-write", "rollback", "amnesia"];
    let took = |fault: &&FaultSpan| TAKE_WHAT_WAS_SYNCED.contains(&fault.kind.as_str());
    faults.iter().filter(took).flat_map(|fault| fault.nodes.clone()).collect()
}

/// A run in which some kind of operation never succeeded proves nothing about it.
fn operations(case: &Case<'_>, history: &History) -> CheckerResult {
    let counts = statistics::counts(history);
    let never = statistics::never_succeeded(&counts, case.operations);
    match never.is_empty() {
        true => result(Verdict::Valid, json!({})),
        false => {
            let reason = format!("no `{}` ever succeeded, so nothing is proven about it", never.join("`, `"));
            result(Verdict::Vacuous, json!({ "reason": reason }))
        }
    }
}

/// A fault that was asked for and never bit proves nothing; one that could not be done is the harness's failure.
fn faults(case: &Case<'_>) -> CheckerResult {
    let counts = rafture_reports::measure::fault_counts(case.faults);
    let proven = |kind: &&String| counts.get(*kind).is_some_and(|count: &FaultCount| count.proven > 0);
    let toothless: Vec<&String> = case.kinds.iter().filter(|kind| !proven(kind)).collect();
    let errors: Vec<&String> = case.faults.iter().filter_map(|fault| fault.error.as_ref()).collect();
    // What was planned was to be done; a target of which nobody was left was never planned.
    let failed = |fault: &&FaultSpan| {
        let was_not_done = fault.planned_ns > 0 && fault.applied_ns.is_none() && !fault.is_declined;
        fault.error.is_some() && (was_not_done || (fault.applied_ns.is_some() && fault.undone_ns.is_none()))
    };
    if let Some((fault, error)) =
        case.faults.iter().find(failed).and_then(|fault| Some((fault, fault.error.as_ref()?)))
    {
        let what = if fault.applied_ns.is_none() { "applied" } else { "undone" };
        let reason = format!("the fault `{}` could not be {what}: {error}", fault.label);
        return result(Verdict::Harness, json!({ "reason": reason }));
    }
    let is_cut = case.watched.is_some_and(|watch| watch.violation().is_some());
    match toothless[..] {
        [] => result(Verdict::Valid, json!({})),
        [kind, ..] if is_cut && counts.get(kind).is_none_or(|count| count.applied == 0) => result(
            Verdict::Valid,
            json!({ "note": format!("a violation ended the run before `{kind}` came") }),
        ),
        [kind, ..] => {
            let applied = counts.get(kind).map_or(0, |count| count.applied);
            let because = errors.last().map(|error| format!(": {error}")).unwrap_or_default();
            let reason = format!(
                "of the faults `{kind}`, {applied} were applied and none was proven to bite{because}"
            );
            result(Verdict::Vacuous, json!({ "reason": reason }))
        }
    }
}

/// A node that ends by itself is broken, whatever its clients saw.
fn crashes(case: &Case<'_>) -> CheckerResult {
    match case.crashes {
        [] => result(Verdict::Valid, json!({})),
        crashes => result(Verdict::Invalid, json!({ "violations": crashes })),
    }
}

/// While a majority of nodes is left alone, the cluster must serve.
fn liveness(case: &Case<'_>) -> CheckerResult {
    let last = case.history.last().map_or(0, |event| event.time);
    // What comes after the healing is the business of `recovery`.
    let end = case.healed_ns.unwrap_or(last);
    let stalls = liveness::stalls(case.history, case.faults, case.nodes, case.serve_within, end);
    match stalls.is_empty() {
        true => result(Verdict::Valid, json!({})),
        false => result(Verdict::Invalid, json!({ "violations": stalls })),
    }
}

/// Once all faults are healed, the cluster must serve again.
fn recovery(case: &Case<'_>, history: &History) -> CheckerResult {
    let Some(healed) = case.healed_ns else {
        return result(Verdict::Valid, json!({ "note": "the run was stopped before its faults had ended" }));
    };
    let served = (history.operations)
        .iter()
        .filter(|operation| operation.invoked_ns >= healed && operation.outcome == Outcome::Ok)
        .filter_map(Operation::completed_ns)
        .min();
    match served {
        Some(served) => {
            let after_ms = rounded((served - healed) as f64 / 1e6);
            result(Verdict::Valid, json!({ "served_after_ms": after_ms }))
        }
        None => {
            let last = case.history.last().map_or(0, |event| event.time.saturating_sub(healed));
            let sentence = format!(
                "no operation succeeded in the {:.1} s after all faults had been healed",
                last as f64 / 1e9
            );
            result(Verdict::Invalid, json!({ "violations": [sentence] }))
        }
    }
}

/// The traces of all nodes in `folder` that have one, also of those that were replaced (`n1'1` was `n1` before the first time), and a line for each that cannot be read.
pub fn read_traces(folder: &Path, nodes: &[String]) -> (BTreeMap<String, Vec<TraceEvent>>, Vec<String>) {
    let (mut traces, mut complaints) = (BTreeMap::new(), Vec::new());
    let lives = nodes.iter().flat_map(|node| {
        let place = folder.join("nodes").join(node);
        // One that was replaced was another node.
        let before = (1..).map(|life| (format!("{node}'{life}"), place.join(format!("{REPLACED}{life}"))));
        let before = before.take_while(|(_, place)| place.exists()).collect::<Vec<_>>();
        before.into_iter().chain([(node.clone(), place)])
    });
    for (node, place) in lives {
        let Ok(text) = std::fs::read(place.join("trace.jsonl")) else {
            continue;
        };
        match parse_trace(&text) {
            Ok(events) => {
                traces.insert(node, events);
            }
            Err(error) => complaints.push(format!("the trace of {node} cannot be read: {error}")),
        }
    }
    (traces, complaints)
}

/// The leaders that the traces tell of, on the time axis of a run that began at `start_ns` of the machine's clock.
pub fn leader_changes(traces: &BTreeMap<String, Vec<TraceEvent>>, start_ns: u64) -> Vec<LeaderChange> {
    let changes = invariants::leader_changes(traces).into_iter();
    let relative = |time: u64| time.cast_signed() - start_ns.cast_signed();
    changes
        .map(|change| LeaderChange { time_ns: relative(change.time), node: change.node, term: change.term })
        .collect()
}

/// The figures of a run.
pub fn figures(
    history: &[Event],
    faults: &[FaultSpan],
    leaders: &[LeaderChange],
) -> rafture_reports::measure::Measures {
    measure(history, faults, leaders)
}

#[cfg(test)]
mod tests {
    use rafture_checker::history::{EventKind, Process};

    use super::*;

    /// A read and a write that succeed at once, at these milliseconds.
    fn history(times_ms: &[u64]) -> Vec<Event> {
        let event = |time_ms: u64, offset: u64, kind, f: &'static str| Event {
            index: 0,
            time: time_ms * 1_000_000 + offset,
            process: Process::Client(1),
            kind,
            f: f.into(),
            key: None,
            value: json!(1),
            node: None,
            error: None,
        };
        let both = |&time: &u64| {
            [
                event(time, 0, EventKind::Invoke, "write"),
                event(time, 1, EventKind::Ok, "write"),
                event(time, 2, EventKind::Invoke, "read"),
                event(time, 3, EventKind::Ok, "read"),
            ]
        };
        times_ms.iter().flat_map(both).collect()
    }

    /// The verdict and the reasons for a change of a case that is valid.
    fn verdict(change: impl for<'a> FnOnce(Case<'a>) -> Case<'a>) -> (Verdict, Vec<String>) {
        let history = history(&[1, 5000]);
        let kinds = ["kill".to_owned()];
        let proven = FaultSpan {
            kind: "kill".into(),
            label: "kill@one".into(),
            planned_ns: 1,
            applied_ns: Some(2),
            proven_ns: Some(3),
            ..FaultSpan::default()
        };
        let case = Case {
            history: &history,
            watched: None,
            model: ModelKind::Register,
            operations: &["read", "write"],
            traces: None,
            faults: &[proven],
            kinds: &kinds,
            crashes: &[],
            healed_ns: Some(4_000_000_000),
            nodes: &[],
            serve_within: Duration::from_secs(10),
            time_limit: Duration::from_secs(10),
        };
        let checkers = judge(&change(case));
        (Verdict::worst(checkers.values().map(|checker| checker.verdict)), reasons(&checkers))
    }

    fn check(change: impl for<'a> FnOnce(Case<'a>) -> Case<'a>, expected: Verdict, reason: &str) {
        let (found, reasons) = verdict(change);
        assert_eq!((found, reasons.join("; ")), (expected, reason.to_owned()));
    }

    #[test]
    fn a_run_is_valid_when_nothing_speaks_against_it() {
        check(|case| case, Verdict::Valid, "");
    }

    #[test]
    fn what_is_no_history_says_nothing_of_the_system() {
        let mut events = history(&[1, 5000]);
        // A process that has not ended its last operation begins another.
        events.remove(1);
        let events: &'static [Event] = Box::leak(events.into());
        let (found, reasons) = verdict(move |case| Case { history: events, ..case });
        assert_eq!((found, reasons.len()), (Verdict::Unknown, 1), "{reasons:?}");
        assert!(reasons[0].starts_with("what was recorded is no history: "), "{reasons:?}");
    }

    #[test]
    fn traces_are_missed_only_where_nodes_write_them() {
        let none: &'static BTreeMap<_, _> = Box::leak(Box::default());
        let (found, _) = verdict(move |case| Case { traces: Some(none), ..case });
        assert_eq!(found, Verdict::Unknown);
        check(|case| Case { traces: None, ..case }, Verdict::Valid, "");
    }

    #[test]
    fn a_run_that_proves_nothing_is_vacuous() {
        check(
            |case| Case { operations: &["read", "write", "cas"], ..case },
            Verdict::Vacuous,
            "no `cas` ever succeeded, so nothing is proven about it",
        );
        check(
            |case| Case { faults: &[], ..case },
            Verdict::Vacuous,
            "of the faults `kill`, 0 were applied and none was proven to bite",
        );
    }

    #[test]
    fn a_fault_that_cannot_be_done_is_the_harness_failing() {
        let failed = FaultSpan {
            kind: "kill".into(),
            label: "kill@one".into(),
            planned_ns: 1,
            error: Some("not permitted".into()),
            ..FaultSpan::default()
        };
        let failed = [failed];
        let (found, reasons) = {
            let faults: &'static [FaultSpan] = Box::leak(Box::new(failed));
            verdict(move |case| Case { faults, ..case })
        };
        assert_eq!(found, Verdict::Harness);
        assert_eq!(reasons, ["the fault `kill@one` could not be applied: not permitted"]);
    }

    #[test]
    fn a_cluster_that_does_not_serve_again_is_broken() {
        check(
            |case| Case { healed_ns: Some(5_500_000_000), ..case },
            Verdict::Invalid,
            "no operation succeeded in the 0.0 s after all faults had been healed",
        );
        check(|case| Case { healed_ns: None, ..case }, Verdict::Valid, "");
    }
}
