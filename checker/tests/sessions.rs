//! Promises about sessions: pairs of histories that differ by one operation, planted violations in long histories, evidence.

mod generator;

use generator::{Deed, Shape, generated};
use rafture_checker::check::{Limits, Outcome, Question, check};
use rafture_checker::consistency::Consistency;
use rafture_checker::history::{Datum, History, Reader};
use rafture_checker::models::ModelKind;
use rafture_checker::verdict::Verdict;

/// Sessions, one a piece: `w x 1` and `r x 1` in order, each over before the next of any session begins.
fn history(sessions: &str) -> History {
    let (mut lines, mut index) = (String::new(), 0_u64);
    for (process, session) in sessions.split('|').enumerate() {
        for step in session.split(';').map(str::trim) {
            let words: Vec<&str> = step.split(' ').collect();
            let f = if words[0] == "w" { "write" } else { "read" };
            for kind in ["invoke", "ok"] {
                let value = if kind == "invoke" && f == "read" { "null" } else { words[2] };
                let time = index * 1_000_000;
                lines += &format!(
                    r#"{{"index":{index},"time":{time},"process":{process},"type":"{kind}","f":"{f}","key":"{}","value":{value}}}"#,
                    words[1]
                );
                lines += "\n";
                index += 1;
            }
        }
    }
    let mut reader = Reader::new(None);
    let read = reader.feed(lines.as_bytes()).and_then(|()| reader.finish());
    read.expect("a history").history
}

fn asked(history: &History, model: ModelKind, consistency: Consistency) -> Outcome {
    let question = Question { model, consistency, initial: Datum::NULL };
    check(history, &question, &Limits::NONE).expect("the shape")
}

/// The weakest first: which promises are kept.
fn kept(sessions: &str) -> Vec<&'static str> {
    let promises = [
        (Consistency::MonotonicReads, "monotonic"),
        (Consistency::ReadYourWrites, "own"),
        (Consistency::Causal, "causal"),
        (Consistency::Sequential, "sequential"),
        (Consistency::Linearizable, "linearizable"),
    ];
    let history = history(sessions);
    let holds = |consistency| asked(&history, ModelKind::Register, consistency).verdict == Verdict::Valid;
    promises.into_iter().filter(|promise| holds(promise.0)).map(|promise| promise.1).collect()
}

#[test]
fn pairs_that_differ_by_one_operation() {
    let all = ["monotonic", "own", "causal", "sequential", "linearizable"];
    let sequential = &all[..4];
    let causal = &all[..3];
    let cases: [(&str, &[&str]); 14] = [
        ("w x 1; w x 2 | r x 2; r x 2", &all),
        // Another process may be late, but it may not go back.
        ("w x 1; w x 2 | r x 1; r x 1", sequential),
        ("w x 1; w x 2 | r x 1; r x 2", sequential),
        ("w x 1; w x 2 | r x 2; r x 1", &["own"]),
        ("w x 1; w x 2 | r x 2; r x null", &["own"]),
        // Who wrote may not be late.
        ("w x 1; w x 2; r x 1", &["monotonic"]),
        ("w x 1; w x 2; r x 2", &all),
        // Two writes that know nothing of each other: each may see them in an order of its own, but in one.
        ("w x 1 | w x 2 | r x 2; r x 1 | r x 2; r x 1", sequential),
        ("w x 1 | w x 2 | r x 1; r x 2 | r x 2; r x 1", causal),
        ("w x 1 | w x 2 | r x 1; r x 2; r x 1", &["own"]),
        // A cause on another key.
        ("w x 1; w y 1 | r y 1; r x 1", &all),
        ("w x 1; w y 1 | r y 1; r x null", &["monotonic", "own"]),
        // Both write, then neither sees the other: store buffering.
        ("w x 1; r y null | w y 1; r x null", causal),
        ("w x 1; r y null | w y 1; r x 1", &all),
    ];
    for (sessions, expected) in cases {
        assert_eq!(kept(sessions), expected, "{sessions}");
    }
}

#[test]
fn a_violation_is_told_in_words() {
    let told = |sessions: &str, consistency| {
        let failure =
            asked(&history(sessions), ModelKind::Register, consistency).failure.expect("a violation");
        let relations: Vec<String> = (failure.relations.iter())
            .map(|relation| {
                let label = |at: usize| failure.operations[at].label.clone();
                format!("{} {} {}", label(relation.from), relation.kind, label(relation.to))
            })
            .collect();
        (format!("{}: {}", failure.anomaly, failure.sentence), relations.join(", "))
    };
    let cases = [
        (
            "w x 1; w x 2 | r x 2; r x 1",
            Consistency::MonotonicReads,
            "non-monotonic read: process 1 read x = 1 at 0.007 s, although it had itself read x = 2 at 0.005 s, and that write came after the one whose value it read",
            "write 1 wr read → 1, write 1 process write 2, write 2 wr read → 2, read → 2 process read → 1",
        ),
        (
            "w x 1; r x null",
            Consistency::ReadYourWrites,
            "lost own write: process 0 read x = null at 0.003 s, although it had itself written x = 1 at 0.001 s",
            "write 1 process read → null",
        ),
    ];
    let (own, _) = told("w x 1; w x 2; r x 1", Consistency::ReadYourWrites);
    assert!(own.contains("although it had itself written x = 2 at 0.003 s"), "{own}");
    for (sessions, consistency, sentence, relations) in cases {
        assert_eq!(told(sessions, consistency), (sentence.to_owned(), relations.to_owned()));
    }
}

#[test]
fn a_promise_that_is_not_decided_is_an_error_and_a_value_written_twice_is_unknown() {
    let question = |model, consistency| Question { model, consistency, initial: Datum::NULL };
    let error = check(&history("w x 1"), &question(ModelKind::Queue, Consistency::Causal), &Limits::NONE);
    let error = error.expect_err("it is not decided").to_string();
    assert_eq!(
        error,
        "nothing can be said of `causal` for a `queue` (hint: one of linearizable, sequential)"
    );
    let twice = history("w x 1; w x 2; w x 1 | r x 1; r x 2");
    let outcome = asked(&twice, ModelKind::Register, Consistency::Causal);
    assert_eq!(outcome.verdict, Verdict::Unknown);
    assert_eq!(
        outcome.reason.as_deref(),
        Some(
            "the value 1 was read, and more than one operation may have written it to key \"x\" \
             (hint: write every value only once, so that a read tells whose write it saw)"
        )
    );
    // That nobody ever wrote it is certain all the same, and one order in real time keeps every promise.
    let phantom = history("w x 1; w x 2; w x 1 | r x 1; r x 3");
    let outcome = asked(&phantom, ModelKind::Register, Consistency::MonotonicReads);
    assert_eq!(outcome.failure.map(|failure| failure.anomaly), Some("phantom read".to_owned()));
    let in_order = history("w x 1; w x 2; w x 1 | r x 1; r x 1");
    assert_eq!(asked(&in_order, ModelKind::Register, Consistency::Causal).verdict, Verdict::Valid);
}

/// What that read could give to break every promise: its process had read it, then wrote the key, and then read something else.
fn replaced(deeds: &[Deed], at: usize) -> Option<serde_json::Value> {
    let of = &deeds[at];
    let is_same = |deed: &&Deed| deed.process == of.process && deed.key == of.key && deed.completed.is_some();
    let own: Vec<&Deed> = deeds[..at].iter().filter(is_same).collect();
    let read = own.iter().position(|deed| deed.f == "read")?;
    let written = read + own[read..].iter().position(|deed| deed.f == "write")?;
    let old = &own[read].result;
    let has_moved_on = own[written..].iter().any(|deed| deed.f == "read" && deed.result != *old);
    (of.f == "read" && of.completed.is_some() && has_moved_on).then(|| old.clone())
}

/// A process that goes back to what it had replaced keeps no promise; and it must not matter that the history is long, nor that
/// clients crashed.
#[test]
fn a_stale_read_in_a_long_history_is_found_by_every_promise() {
    for (keys, crashes) in [(1, 0.0), (1, 0.02), (5, 0.02)] {
        let shape =
            Shape { model: ModelKind::Register, clients: 5, operations: 5_000, values: 0, crashes, keys };
        let seed = 7;
        println!("{shape:?}, seed {seed}");
        let mut made = generated(&shape, seed);
        let promises = [
            Consistency::MonotonicReads,
            Consistency::ReadYourWrites,
            Consistency::Causal,
            Consistency::Sequential,
        ];
        for consistency in promises {
            let outcome = asked(&made.history(), shape.model, consistency);
            assert_eq!(outcome.verdict, Verdict::Valid, "{outcome:#?}");
        }
        let (stale, old) =
            (0..made.deeds.len()).rev().find_map(|at| Some((at, replaced(&made.deeds, at)?))).expect("one");
        made.deeds[stale].result = old;
        for consistency in promises {
            let outcome = asked(&made.history(), shape.model, consistency);
            let failure = outcome.failure.unwrap_or_else(|| panic!("{consistency} holds"));
            assert!((2..=8).contains(&failure.operations.len()), "{failure:#?}");
            assert!(!failure.relations.is_empty(), "{failure:#?}");
        }
    }
}

/// All that one process reads may be late by the same time: then one order explains all, and real time does not.
#[test]
fn a_process_that_is_late_throughout_is_sequential() {
    let mut sessions = String::from("w x 0");
    let mut late = String::from("r x null");
    for value in 1..2_000 {
        sessions += &format!("; w x {value}");
        late += &format!("; r x {}", value / 2);
    }
    let both = history(&format!("{sessions} | {late}"));
    assert_eq!(asked(&both, ModelKind::Register, Consistency::Sequential).verdict, Verdict::Valid);
    assert_eq!(asked(&both, ModelKind::Register, Consistency::Linearizable).verdict, Verdict::Invalid);
    let back = history(&format!("{sessions} | {late}; r x 3"));
    assert_eq!(asked(&back, ModelKind::Register, Consistency::Sequential).verdict, Verdict::Invalid);
}

/// A queue has no order of versions, but sequential needs none.
#[test]
fn sequential_is_decided_for_every_model() {
    let events = |results: [u32; 2]| {
        let mut lines = String::new();
        let steps = [
            (0, "enqueue", 1, 1),
            (0, "enqueue", 2, 2),
            (1, "dequeue", 0, results[0]),
            (1, "dequeue", 0, results[1]),
        ];
        for (at, (process, f, argument, result)) in steps.into_iter().enumerate() {
            for (kind, value) in [("invoke", argument), ("ok", result)] {
                let index = 2 * at + usize::from(kind == "ok");
                let value = if value == 0 { "null".to_owned() } else { value.to_string() };
                lines += &format!(
                    r#"{{"index":{index},"time":{index},"process":{process},"type":"{kind}","f":"{f}","value":{value}}}"#
                );
                lines += "\n";
            }
        }
        let mut reader = Reader::new(None);
        let read = reader.feed(lines.as_bytes()).and_then(|()| reader.finish());
        read.expect("a history").history
    };
    let verdict = |results, consistency| asked(&events(results), ModelKind::Queue, consistency).verdict;
    assert_eq!(verdict([1, 2], Consistency::Linearizable), Verdict::Valid);
    assert_eq!(verdict([0, 1], Consistency::Linearizable), Verdict::Invalid);
    assert_eq!(verdict([0, 1], Consistency::Sequential), Verdict::Valid);
    assert_eq!(verdict([2, 1], Consistency::Sequential), Verdict::Invalid);
}
