//! A small made-up run for tests.

use std::collections::BTreeMap;

use rafture_checker::history::{Event, EventKind, Process};
use rafture_checker::verdict::Verdict;
use serde_json::{Map, Value, json};

use crate::fault::{FaultSpan, LeaderChange};
use crate::measure::measure;
use crate::results::{CheckerResult, Lateness, Results};

const MS: u64 = 1_000_000;

/// An event of client `process` at `time_ns`.
pub(crate) fn event(time_ns: u64, process: u64, kind: EventKind, f: &'static str) -> Event {
    Event {
        index: 0,
        time: time_ns,
        process: Process::Client(process),
        kind,
        f: f.into(),
        key: None,
        value: Value::Null,
        node: None,
        error: None,
    }
}

/// An event that is no operation.
pub(crate) fn nemesis_event(time_ns: u64) -> Event {
    Event { process: Process::Nemesis, ..event(time_ns, 0, EventKind::Info, "kill") }
}

/// Two thousand operations in four seconds, none between 1000 and 1250 ms, where one is left unknown.
pub(crate) fn history() -> Vec<Event> {
    let mut events = Vec::new();
    for number in 0..2_000 {
        let invoked_ms = number * 2;
        let f = if number % 2 == 0 { "read" } else { "write" };
        let (process, silent) = (number, (1_000..1_250).contains(&invoked_ms));
        if silent && invoked_ms > 1_000 {
            continue;
        }
        let kind = if silent { EventKind::Info } else { EventKind::Ok };
        let latency_ms = if silent { 900 } else { 1 };
        events.push(event(invoked_ms * MS, process, EventKind::Invoke, f));
        events.push(event((invoked_ms + latency_ms) * MS, process, kind, f));
    }
    events.sort_by_key(|event| event.time);
    events
}

/// The fault behind the silence.
pub(crate) fn faults() -> Vec<FaultSpan> {
    vec![FaultSpan {
        is_declined: false,
        harmed: Vec::new(),
        id: 0,
        kind: "kill".into(),
        label: "kill@leader".into(),
        nodes: vec!["n1".into()],
        detail: "SIGKILL to n1".into(),
        planned_ns: 999 * MS,
        applied_ns: Some(1_000 * MS),
        proven_ns: Some(1_003 * MS),
        undone_ns: Some(3_000 * MS),
        evidence: Some("the pid is gone".into()),
        error: None,
        took_us: Some(37),
    }]
}

/// The leader before and after it.
pub(crate) fn leaders() -> Vec<LeaderChange> {
    let leader = |time_ns, node: &str, term| LeaderChange { time_ns, node: node.into(), term };
    vec![leader(-7, "n1", 2), leader(1_180 * MS as i64, "n2", 3)]
}

/// What a correct system's run of it would record.
pub(crate) fn results() -> Results {
    let measures = measure(&history(), &faults(), &leaders());
    Results {
        verdict: Verdict::Valid,
        reasons: Vec::new(),
        name: "register".into(),
        run: "20260724T091502-7".into(),
        system: "rafture".into(),
        workload: "register".into(),
        nodes: 5,
        network: "netns: root".into(),
        seed: 7,
        command: "rafture run --workload register --faults kill --seed 7".into(),
        wall_start_ns: None,
        labels: BTreeMap::from([("commit".into(), "4f2a9c1".into())]),
        lateness: Some(Lateness { p99_ms: 0.4, max_ms: 3.1 }),
        note: "the seed repeats the plan, not the interleaving".into(),
        started_at: "2026-07-24T09:15:02Z".into(),
        clock_start_ns: 0,
        time_limit_s: 4.0,
        seconds: 5.5,
        throughput: measures.throughput,
        checkers: [("linearizability".to_owned(), checker(Verdict::Valid, Value::Null))].into(),
        faults: measures.faults,
        recovery: measures.recovery,
        latency: measures.latency,
        operations: measures.operations,
    }
}

/// The same, but a read returned what had been overwritten.
pub(crate) fn invalid_results() -> Results {
    let failure = json!({
        "key": "x",
        "anomaly": "stale read",
        "sentence": "process 4 read x = 3 after 4 had been written",
        "operations": [
            {"process": 3, "f": "write", "label": "write 4", "invoked_ns": 2_000_000_000u64, "completed_ns": 2_010_000_000u64, "culprit": false, "order": 1},
            {"process": 5, "f": "write", "label": "write 5", "invoked_ns": 2_005_000_000u64, "completed_ns": null, "culprit": false, "order": null},
            {"process": 4, "f": "read", "label": "read → 3", "invoked_ns": 2_020_000_000u64, "completed_ns": 2_030_000_000u64, "culprit": true, "order": null},
        ],
    });
    let mut results = results();
    results.verdict = Verdict::Invalid;
    results.checkers = [("linearizability".to_owned(), checker(Verdict::Invalid, failure))].into();
    results
}

fn checker(verdict: Verdict, failure: Value) -> CheckerResult {
    let details = match failure {
        Value::Null => Map::new(),
        failure => Map::from_iter([("failure".to_owned(), failure)]),
    };
    CheckerResult { verdict, details }
}
