//! A correct trace, and for each invariant a variant of it that breaks that one; and deeds that look odd but are legal.

use rafture_checker::invariants::{Traces, check, check_but, leader_changes};
use rafture_checker::trace::parse_trace;
use rafture_checker::verdict::Verdict;

/// Two terms: `n1` leads term 1 and commits two entries, `n2` takes over and commits a third.
const N1: &str = r#"{"event":"start","time":1,"term":0,"vote":null,"last_index":0,"last_term":0,"last_chain":0}
{"event":"save","time":2,"term":1,"vote":"n1"}
{"event":"role","time":3,"role":"leader","term":1,"leader":"n1"}
{"event":"append","time":4,"first":1,"entries":[[1,11],[1,12]]}
{"event":"commit","time":5,"term":1,"index":2}
{"event":"apply","time":6,"first":1,"entries":[[1,11,100],[1,12,101]]}
{"event":"start","time":20,"term":1,"vote":"n1","last_index":2,"last_term":1,"last_chain":12}
{"event":"save","time":21,"term":2,"vote":null}
{"event":"append","time":22,"first":3,"entries":[[2,23]]}
{"event":"commit","time":23,"term":2,"index":3}
{"event":"apply","time":24,"first":1,"entries":[[1,11,100],[1,12,101],[2,23,102]]}
"#;
const N2: &str = r#"{"event":"start","time":1,"term":0,"vote":null,"last_index":0,"last_term":0,"last_chain":0}
{"event":"save","time":2,"term":1,"vote":"n1"}
{"event":"append","time":5,"first":1,"entries":[[1,11],[1,12]]}
{"event":"save","time":10,"term":2,"vote":"n2"}
{"event":"role","time":11,"role":"leader","term":2,"leader":"n2"}
{"event":"append","time":12,"first":3,"entries":[[2,23]]}
{"event":"commit","time":13,"term":2,"index":3}
{"event":"apply","time":14,"first":1,"entries":[[1,11,100],[1,12,101],[2,23,102]]}
"#;

fn traces(n1: &str, n2: &str) -> Traces {
    let trace = |text: &str| parse_trace(text.as_bytes()).expect("a trace");
    Traces::from([("n1".into(), trace(n1)), ("n2".into(), trace(n2))])
}

/// Each violation with the number of its invariant.
fn broken(n1: &str, n2: &str) -> Vec<String> {
    let outcome = check(&traces(n1, n2));
    assert_eq!(outcome.verdict == Verdict::Valid, outcome.violations.is_empty());
    let line = |violation: &rafture_checker::invariants::Violation| {
        format!("{}: {}", violation.invariant.number(), violation.sentence)
    };
    outcome.violations.iter().map(line).collect()
}

/// The same with one piece of text replaced, which must be there.
fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} in {text}");
    text.replacen(from, to, 1)
}

#[test]
fn a_correct_trace_is_valid_and_nothing_is_unknown() {
    assert_eq!(broken(N1, N2), [""; 0]);
    assert_eq!(check(&Traces::new()).verdict, Verdict::Unknown);
    let changes = leader_changes(&traces(N1, N2));
    let short: Vec<_> =
        changes.iter().map(|change| (change.time, change.node.as_str(), change.term)).collect();
    assert_eq!(short, [(3, "n1", 1), (11, "n2", 2)]);
}

#[test]
fn two_leaders_of_a_term() {
    let n2 = with(
        N2,
        r#""time":5,"first""#,
        r#""time":5,"role":"leader","term":1,"leader":"n2","event":"role"}
{"event":"append","time":5,"first""#,
    );
    let n2 = with(&n2, r#"{"event":"append","time":5,"role""#, r#"{"time":5,"role""#);
    assert_eq!(broken(N1, &n2), ["1: `n2` and `n1` both led term 1"]);
}

#[test]
fn votes_terms_and_logs_that_go_back() {
    let start = r#""time":20,"term":1,"vote":"n1","last_index":2,"last_term":1,"last_chain":12"#;
    let restarted = |to: &str| broken(&with(N1, start, to), N2);
    let cases = [
        (
            r#""time":20,"term":0,"vote":null,"last_index":2,"last_term":1,"last_chain":12"#,
            "2: `n1` went back from term 1 to term 0 over a restart",
        ),
        (
            r#""time":20,"term":1,"vote":null,"last_index":2,"last_term":1,"last_chain":12"#,
            "2: `n1` forgot its vote for `n1` in term 1 over a restart",
        ),
        (
            r#""time":20,"term":1,"vote":"n1","last_index":1,"last_term":1,"last_chain":11"#,
            "2: `n1` lost synced entries 2 to 2 of its log over a restart",
        ),
        (
            r#""time":20,"term":1,"vote":"n1","last_index":0,"last_term":0,"last_chain":0"#,
            "2: `n1` lost synced entries 1 to 2 of its log over a restart",
        ),
    ];
    for (to, expected) in cases {
        assert_eq!(restarted(to), [expected]);
        // Unless it was taken from that node, and from no other.
        let traces = traces(&with(N1, start, to), N2);
        let but = |node: &str| check_but(&traces, &[node.to_owned()].into()).verdict;
        assert_eq!([but("n1"), but("n2")], [Verdict::Valid, Verdict::Invalid], "{to}");
    }
    let twice = with(N2, r#""term":2,"vote":"n2"}"#, r#""term":1,"vote":"n2"}"#);
    assert_eq!(broken(N1, &twice), ["2: `n2` voted for `n1` and `n2` in term 1"]);
}

#[test]
fn equal_entries_with_unequal_histories() {
    let n2 = with(N2, r#""first":1,"entries":[[1,11],[1,12]]"#, r#""first":1,"entries":[[1,11],[1,99]]"#);
    let found = broken(N1, &n2);
    assert_eq!(found[0], "3: entry 2 of term 1 has chain 00000063 on `n2`, but 0000000c on `n1`");
}

#[test]
fn a_leader_that_lacks_what_was_committed() {
    // Its log ended at 1, so its own first entry stands where another was committed.
    let n2 = r#"{"event":"append","time":5,"first":1,"entries":[[1,11]]}
{"event":"role","time":11,"role":"leader","term":2,"leader":"n2"}
{"event":"append","time":12,"first":2,"entries":[[2,22]]}
"#;
    let n1 = N1.split_inclusive('\n').take(6).collect::<String>();
    assert_eq!(
        broken(&n1, n2),
        [
            "4: `n2` became leader of term 2 without entry 2, which `n1` had committed in term 1: its log ended at 1"
        ]
    );
    // Longer than what was committed, but with another entry there.
    let n2 = n2.replace("[[1,11]]", "[[1,11],[0,77]]").replace(r#""first":2"#, r#""first":3"#);
    assert_eq!(
        broken(&n1, &n2),
        [
            "4: `n2` became leader of term 2 without entry 2, which `n1` had committed in term 1: its log had another entry there"
        ]
    );
}

#[test]
fn unequal_entries_or_states_at_one_index() {
    let n2 = with(N2, "[2,23,102]", "[2,23,999]");
    assert_eq!(
        broken(N1, &n2),
        ["5: at index 3 `n2` applied the same entry as `n1`, but came to another state"]
    );
    let n2 = with(N2, "[1,12,101]", "[0,12,101]");
    assert_eq!(broken(N1, &n2), ["5: at index 2 `n2` applied an entry of term 0, `n1` one of term 1"]);
}

#[test]
fn an_applied_entry_that_is_written_over() {
    let n1 = with(N1, r#""first":3,"entries":[[2,23]]"#, r#""first":2,"entries":[[0,7],[2,23]]"#);
    assert_eq!(
        broken(&n1, N2),
        ["6: `n1` wrote an entry of term 0 over entry 2 of term 1, which it had applied"]
    );
}

#[test]
fn odd_but_legal_deeds_are_not_accused() {
    // The leader commits and applies what it has not synced itself.
    let early = r#"{"event":"commit","time":11,"term":2,"index":3}
{"event":"apply","time":11,"first":1,"entries":[[1,11,100],[1,12,101],[2,23,102]]}
{"event":"append","time":12"#;
    assert_eq!(broken(N1, &with(N2, r#"{"event":"append","time":12"#, early)), [""; 0]);
    // A kill between the sync and its line: the recovered log is longer than the traced one.
    let longer = with(
        N1,
        r#""last_index":2,"last_term":1,"last_chain":12"#,
        r#""last_index":4,"last_term":1,"last_chain":14"#,
    );
    assert_eq!(broken(&longer, N2), [""; 0]);
    // An uncommitted tail gives way to the new leader's entries, seen or unseen.
    let tail = with(N1, "[[1,11],[1,12]]}", "[[1,11],[1,12],[1,13]]}");
    let tail = with(
        &tail,
        r#""last_index":2,"last_term":1,"last_chain":12"#,
        r#""last_index":3,"last_term":1,"last_chain":13"#,
    );
    assert_eq!(broken(&tail, N2), [""; 0]);
    let unseen = with(
        &tail,
        r#""term":1,"vote":"n1","last_index":3,"last_term":1,"last_chain":13"#,
        r#""term":2,"vote":null,"last_index":3,"last_term":2,"last_chain":23"#,
    );
    assert_eq!(broken(&unseen, N2), [""; 0]);
    // A leader elected with entries that it has in memory only: they are durable together with its own first one.
    let memory = with(
        N2,
        r#"{"event":"append","time":5,"first":1,"entries":[[1,11],[1,12]]}
"#,
        "",
    );
    let memory =
        with(&memory, r#""first":3,"entries":[[2,23]]"#, r#""first":1,"entries":[[1,11],[1,12],[2,23]]"#);
    assert_eq!(broken(N1, &memory), [""; 0]);
}
