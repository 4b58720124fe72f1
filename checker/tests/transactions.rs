//! Transactions: named anomalies from small scripts, databases that keep their level, and all of it against the obvious algorithm, which
//! tries every serial order.
//!
//! `HISTORIES=1000000 cargo test --release -p rafture-checker --test transactions` tries so many random histories.

mod database;

use std::borrow::Cow;
use std::collections::BTreeMap;

use database::{Deed, Isolation, Made, Shape, generated};
use rafture_checker::check::{Limits, Outcome, Question, check};
use rafture_checker::consistency::Consistency;
use rafture_checker::history::{Event, EventKind, History, Process, Reader};
use rafture_checker::models::ModelKind;
use rafture_checker::verdict::Verdict;
use rafture_checker::witness;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// A history from a script: one transaction a line, `ok append x 1, r y [1 2]`, by a process of its own or that of `3 ok …`. All
/// are open at once, but a line `---` is a moment at which nothing is.
fn scripted(script: &str) -> History {
    let mut events: Vec<Event> = Vec::new();
    let (mut open, mut unused): (Vec<(u64, EventKind, Value)>, u64) = (Vec::new(), 100);
    let mut say = |process, kind, value: &Value| {
        let index = events.len() as u64;
        let (f, value) = (Cow::Borrowed("txn"), value.clone());
        let process = Process::Client(process);
        events.push(Event {
            index,
            time: index,
            process,
            kind,
            f,
            key: None,
            value,
            node: None,
            error: None,
        });
    };
    for line in script.lines().map(str::trim).chain(["---"]).filter(|line| !line.is_empty()) {
        if line == "---" {
            open.drain(..).for_each(|(process, kind, value)| say(process, kind, &value));
            continue;
        }
        let (first, rest) = line.split_once(' ').expect("an outcome and steps");
        let (process, outcome, steps) = match first.parse() {
            Ok(process) => {
                let (outcome, steps) = rest.split_once(' ').expect("an outcome and steps");
                (process, outcome, steps)
            }
            Err(_) => {
                unused += 1;
                (unused, first, rest)
            }
        };
        let kind = match outcome {
            "ok" => EventKind::Ok,
            "fail" => EventKind::Fail,
            "info" => EventKind::Info,
            other => panic!("`{other}` is no outcome"),
        };
        let value = Value::Array(steps.split(',').map(step).collect());
        say(process, EventKind::Invoke, &value);
        open.push((process, kind, value));
    }
    History::of(&events).expect("a script is a history")
}

fn step(text: &str) -> Value {
    let mut words = text.trim().splitn(3, ' ');
    let [name, key, value] = [(); 3].map(|()| words.next().expect("three words"));
    match value.strip_prefix('[') {
        Some(items) => {
            let items = items.trim_end_matches(']').split_whitespace();
            json!([name, key, items.map(|item| item.parse().expect("a number")).collect::<Vec<u64>>()])
        }
        None => json!([name, key, value.parse::<u64>().ok()]),
    }
}

fn judged(history: &History, consistency: Consistency) -> Outcome {
    let model = ModelKind::of(history).expect("transactions");
    let question = Question { consistency, ..Question::strongest(model) };
    check(history, &question, &Limits::NONE).expect("transactions of this model")
}

/// Holds a script against the names of its anomalies and what holds nevertheless; the verdict of every level must agree.
fn expect(script: &str, anomalies: &str, holds: &str) {
    let history = scripted(script);
    let outcome = judged(&history, Consistency::StrictSerializable);
    let found: Vec<&str> = outcome.anomalies.keys().map(String::as_str).collect();
    assert_eq!(found.join(", "), anomalies, "{script}\n{outcome:#?}");
    assert_eq!(outcome.holds.as_deref(), Some(holds), "{script}\n{outcome:#?}");
    for level in holds.split(" and ").filter(|level| *level != "none") {
        let level = level.parse().expect("a level");
        assert_eq!(judged(&history, level).verdict, Verdict::Valid, "{level}: {script}");
    }
    let is_strict = holds == "strict-serializable";
    assert_eq!(outcome.verdict == Verdict::Valid, is_strict, "{script}");
    assert_eq!(outcome.failure.is_some(), !is_strict);
    for relation in outcome.failure.iter().flat_map(|failure| &failure.relations) {
        assert!(!relation.sentence.is_empty() && relation.from != relation.to);
    }
}

#[test]
fn what_is_serial_has_no_anomaly() {
    expect("ok append x 1\n---\nok r x [1], append x 2\n---\nok r x [1 2]", "", "strict-serializable");
    expect("ok w x 1\n---\nok r x 1, w x 2\n---\nok r x 2", "", "strict-serializable");
    expect("info append x 1\nok r x [1]\n---\nok r x [1]", "", "strict-serializable");
    expect("info append x 1\nok r x []", "", "strict-serializable");
}

#[test]
fn writes_behind_each_other_in_a_circle_are_g0() {
    let script = "ok append x 1, append y 1\nok append x 2, append y 2\nok r x [1 2]\nok r y [2 1]";
    expect(script, "G0", "none");
    expect(&script.replace("[2 1]", "[1 2]"), "", "strict-serializable");
}

#[test]
fn what_was_aborted_or_unfinished_must_not_be_seen() {
    expect("fail append x 1\nok r x [1]", "G1a", "read-uncommitted");
    expect("info append x 1\nok r x [1]", "", "strict-serializable");
    expect("fail w x 1\nok r x 1", "G1a", "read-uncommitted");
    expect("fail append x 1\nok append x 2\nok r x [1 2]", "G1a, dirty update", "read-uncommitted");
    expect("ok append x 1, append x 2\nok r x [1]\n---\nok r x [1 2]", "G-single, G1b", "read-uncommitted");
    expect("ok w x 1, w x 2\nok r x 1", "G1b", "read-uncommitted");
    expect("ok append x 1, append x 2\nok r x [1 2]", "", "strict-serializable");
}

#[test]
fn information_in_a_circle_is_g1c() {
    let script = "ok append x 1, r y [1]\nok append y 1, r x [1]";
    expect(script, "G1c", "read-uncommitted");
    expect(&script.replace("r y [1]", "r y []"), "", "strict-serializable");
    expect("ok w x 1, r y 1\nok w y 1, r x 1", "G1c", "read-uncommitted");
}

#[test]
fn one_overwritten_read_in_a_circle_is_g_single() {
    let script = "ok append x 1, append y 1\nok r x [], r y [1]";
    expect(script, "G-single", "read-committed");
    expect(&script.replace("r x []", "r x [1]"), "", "strict-serializable");
    expect("ok w x 1, w y 1\nok r x null, r y 1", "G-single", "read-committed");
}

#[test]
fn overwritten_reads_apart_are_g_nonadjacent() {
    // The long fork: each reader sees one of two writes.
    let script = "ok append x 1\nok append y 1\nok r x [1], r y []\nok r x [], r y [1]";
    expect(script, "G-nonadjacent", "read-committed");
    expect(&script.replace("r x [], r y [1]", "r x [1], r y [1]"), "", "strict-serializable");
    expect("ok w x 1\nok w y 1\nok r x 1, r y null\nok r x null, r y 1", "G-nonadjacent", "read-committed");
}

#[test]
fn write_skew_is_g2_item() {
    let script = "ok r x [], append y 1\nok r y [], append x 1";
    expect(script, "G2-item", "strong-snapshot-isolation");
    expect(&script.replace("r y []", "r y [1]"), "", "strict-serializable");
    expect("ok r x null, w y 1\nok r y null, w x 1", "G2-item", "strong-snapshot-isolation");
}

#[test]
fn two_updates_of_one_version_are_a_lost_update() {
    let script = "ok r x [], append x 1\nok r x [], append x 2\n---\nok r x [1 2]";
    expect(script, "G-single, lost update", "read-committed");
    expect(&script.replace("r x [], append x 2", "r x [1], append x 2"), "", "strict-serializable");
    let script = "ok r x null, w x 1\nok r x null, w x 2";
    expect(script, "G2-item, lost update", "read-committed");
    expect(&script.replace("r x null, w x 2", "r x 1, w x 2"), "", "strict-serializable");
}

#[test]
fn a_transaction_agrees_with_itself() {
    expect("ok append x 1, r x []", "internal", "read-uncommitted");
    expect("ok append x 1, r x [1]", "", "strict-serializable");
    expect("ok w x 1, r x null", "internal", "read-uncommitted");
    expect("ok w x 1\nok r x null, r x 1", "G-single, non-repeatable read", "read-committed");
    expect("ok append x 1\nok r x [], r x [1]", "G-single, non-repeatable read", "read-committed");
    expect("ok r x [1], append x 1", "internal", "read-uncommitted");
}

#[test]
fn lists_have_one_history_of_what_was_appended_once() {
    expect("ok append x 1\nok append x 2\nok r x [1]\nok r x [2]", "incompatible order", "read-uncommitted");
    expect("ok append x 1\nok r x [1 1]", "duplicate elements", "none");
    expect("ok append x 1\nok r x [1 7]", "garbage read", "none");
    expect("ok w x 1\nok r x 7", "garbage read", "none");
}

#[test]
fn real_time_and_the_order_of_processes_are_promises_of_their_own() {
    let sessions = "strong-session-serializable";
    expect("ok append x 1\n---\nok r x []", "G-single-realtime", sessions);
    let stale = "serializable";
    expect("1 ok append x 1\n---\n1 ok r x []", "G-single-process", stale);
    expect("ok append x 1\nok r x []", "", "strict-serializable");
    expect("ok append x 1\n---\nok append x 2\n---\nok r x [2 1]", "G0-realtime", sessions);
    expect("1 ok append x 1\n---\n1 ok append x 2\n---\nok r x [2 1]", "G0-process", stale);
    expect("ok r x [1]\n---\nok append x 1", "G1c-realtime", sessions);
    expect("ok w x 1\n---\nok w x 2\n---\nok r x 1", "G-single-realtime", sessions);
    expect("ok w x 1\n---\nok w x 2\n---\nok r x 2", "", "strict-serializable");
    // Each of two processes misses what the other wrote before.
    let skew = "1 ok append x 1\n2 ok append y 1\n---\n1 ok r y []\n2 ok r x []";
    expect(skew, "G-nonadjacent-process", stale);
    // The order of two versions is known by who read the first before the second was begun.
    expect("ok w x 1\nok r x 1\n---\nok w x 2\nok r x 2\n---\nok r x 1", "G-single-realtime", sessions);
}

#[test]
fn a_value_written_twice_says_nothing() {
    let outcome = judged(&scripted("ok append x 1\nok append x 1\nok r x [1]"), Consistency::Serializable);
    assert_eq!(outcome.verdict, Verdict::Unknown);
    let reason = outcome.reason.expect("unknown has a reason");
    assert!(reason.starts_with("1 was written to x twice"), "{reason}");
    let history = scripted("ok w x 1\nok w x 1\nok r x 1");
    assert_eq!(ModelKind::of(&history), Some(ModelKind::MultiRegister), "it takes a search");
}

#[test]
fn banks_and_forks_have_rules_of_their_own() {
    let history = |text: &str| {
        let mut reader = Reader::new(None);
        reader.feed(text.as_bytes()).expect("a history");
        reader.finish().expect("a history").history
    };
    let read = |f: &str, value: &str| {
        format!(
            "{{:process 0, :type :invoke, :f :{f}}}\n{{:process 0, :type :ok, :f :{f}, :value {value}}}\n"
        )
    };
    let bank = |last: &str| {
        let reads = ["{0 10, 1 0}", "{0 7, 1 3}", last].map(|value| read("read", value)).concat();
        let history = history(&format!(
            "{reads}{}",
            "{:process 0, :type :invoke, :f :transfer, :value {:from 0, :to 1, :amount 3}}"
        ));
        assert_eq!(ModelKind::of(&history), Some(ModelKind::Bank));
        judged(&history, Consistency::StrictSerializable).anomalies.into_keys().collect::<Vec<_>>().join(", ")
    };
    assert_eq!(bank("{0 4, 1 6}"), "");
    assert_eq!(bank("{0 4, 1 7}"), "wrong total");
    assert_eq!(bank("{0 -1, 1 11}"), "negative balance");
    let fork = |second: &str| {
        let reads = ["[[:r 1 1] [:r 2 nil]]", second].map(|value| {
            let asked = "{:process 0, :type :invoke, :f :read, :value [[:r 1 nil] [:r 2 nil]]}\n";
            format!("{asked}{{:process 0, :type :ok, :f :read, :value {value}}}\n")
        });
        let history = history(&reads.concat());
        assert_eq!(ModelKind::of(&history), Some(ModelKind::LongFork));
        judged(&history, Consistency::SnapshotIsolation).verdict
    };
    assert_eq!(fork("[[:r 2 1] [:r 1 nil]]"), Verdict::Invalid);
    assert_eq!(fork("[[:r 2 1] [:r 1 1]]"), Verdict::Valid);
}

fn shape(random: &mut ChaCha8Rng) -> Shape {
    let isolations = [Isolation::Serializable, Isolation::Snapshot, Isolation::ReadCommitted];
    Shape {
        lists: random.random(),
        isolation: isolations[random.random_range(0..3)],
        clients: random.random_range(1..6),
        transactions: random.random_range(1..7),
        keys: random.random_range(1..4),
        writes_per_key: 100,
        steps_max: random.random_range(1..5),
        crashes: [0.0, 0.3][random.random_range(0..2)],
    }
}

#[test]
fn databases_keep_their_level() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let (mut below, mut broken) = (0, 0);
    for _ in 0..60 {
        let shape =
            Shape { transactions: 1000, clients: 12, keys: 6, writes_per_key: 20, ..shape(&mut random) };
        let history = generated(&shape, random.random()).history();
        let (level, above) = match shape.isolation {
            Isolation::Serializable => (Consistency::StrictSerializable, None),
            Isolation::Snapshot => (Consistency::StrongSnapshotIsolation, Some(Consistency::Serializable)),
            Isolation::ReadCommitted => (Consistency::ReadCommitted, Some(Consistency::SnapshotIsolation)),
        };
        let outcome = judged(&history, level);
        assert_eq!(outcome.verdict, Verdict::Valid, "{shape:?}: {:#?}", outcome.failure);
        if let Some(above) = above.filter(|_| shape.lists && shape.steps_max > 2) {
            below += 1;
            broken += u64::from(judged(&history, above).verdict == Verdict::Invalid);
        }
    }
    assert!(below > 5 && broken == below, "{broken} of {below} showed that they promise no more");
}

#[test]
fn one_read_of_what_nobody_wrote_is_found_among_many() {
    for seed in 0..10 {
        let shape = Shape {
            lists: true,
            isolation: Isolation::Serializable,
            clients: 10,
            transactions: 2000,
            keys: 5,
            writes_per_key: 50,
            steps_max: 4,
            crashes: 0.02,
        };
        let mut made = generated(&shape, seed);
        assert_eq!(judged(&made.history(), Consistency::StrictSerializable).anomalies, BTreeMap::new());
        assert!(made.make_garbage(0.9));
        let outcome = judged(&made.history(), Consistency::ReadUncommitted);
        assert!(outcome.anomalies.contains_key("garbage read"), "{:?}", outcome.anomalies);
    }
}

/// The obvious algorithm. The checker must never be wrong about a violation; of lists, and of registers in real time, it must miss none.
#[test]
fn small_histories_are_judged_as_by_trying_every_serial_order() {
    let histories = std::env::var("HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(200_000u64);
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_125);
    println!("seed {seed}, {histories} histories");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut invalid, mut missed, mut unknown, mut explained) = (0, 0, 0, 0);
    for number in 0..histories {
        let mut made = generated(&shape(&mut random), random.random());
        for _ in 0..random.random_range(0..3) {
            mutate(&mut random, &mut made.deeds);
        }
        if made.deeds.iter().all(|deed| deed.steps.is_empty()) {
            continue;
        }
        let history = made.history();
        let model = if made.lists { ModelKind::Append } else { ModelKind::RwRegister };
        for (consistency, in_time) in
            [(Consistency::Serializable, false), (Consistency::StrictSerializable, true)]
        {
            let question = Question { consistency, ..Question::strongest(model) };
            let limits = Limits { witness: true, ..Limits::NONE };
            let outcome = check(&history, &question, &limits).expect("transactions of this model");
            let case = Case { made: &made, in_time };
            let expected = case.has_order(&mut BTreeMap::new(), &mut vec![false; made.deeds.len()]);
            let what = || format!("history {number}, seed {seed}, {consistency}: {made:#?}\n{outcome:#?}");
            match outcome.verdict {
                Verdict::Invalid => assert!(!expected, "it has an order: {}", what()),
                Verdict::Unknown => unknown += 1,
                _ if made.lists || in_time => assert!(expected, "it has no order: {}", what()),
                _ => missed += u64::from(!expected),
            }
            invalid += u64::from(!expected);
            let is_explained = !outcome.witness.is_empty();
            explained += u64::from(is_explained);
            if is_explained {
                let verified = witness::verify(&history, (model, &Value::Null), &outcome.witness);
                assert_eq!(verified, Ok(()), "{:?} of {}", outcome.witness, what());
            } else {
                let is_plain = made.lists && outcome.verdict == Verdict::Valid && in_time;
                assert!(!is_plain || outcome.holds.as_deref() != Some("strict-serializable"), "{}", what());
            }
        }
    }
    println!("{invalid} had no order; of registers {missed} were missed, {unknown} were unclear");
    assert!(invalid > histories / 10 && unknown < histories / 10, "{invalid} invalid, {unknown} unknown");
    println!("{explained} were explained by an order");
    assert!(explained > histories / 2, "{explained} explained");
    assert!(missed < invalid / 10, "{missed} of {invalid} missed");
}

/// Changes what one read saw.
fn mutate(random: &mut ChaCha8Rng, deeds: &mut [Deed]) {
    let at = random.random_range(0..deeds.len());
    let steps = &mut deeds[at].steps;
    let at = random.random_range(0..steps.len());
    let step = &mut steps[at];
    if step.written.is_none() {
        match random.random_range(0..3) {
            0 => drop(step.seen.pop()),
            1 => step.seen.push(random.random_range(1..4)),
            _ => step.seen.truncate(1),
        }
    }
}

struct Case<'m> {
    made: &'m Made,
    in_time: bool,
}

impl Case<'_> {
    fn has_order(&self, state: &mut BTreeMap<u64, Vec<u64>>, placed: &mut [bool]) -> bool {
        let deeds = &self.made.deeds;
        let is_needed = |at: usize| deeds[at].kind == EventKind::Ok && !placed[at];
        if !(0..deeds.len()).any(is_needed) {
            return true;
        }
        let first_end = (0..deeds.len()).filter(|&at| is_needed(at)).map(|at| deeds[at].completed).min();
        for at in 0..deeds.len() {
            // At one time, invocations are recorded first.
            let is_late = self.in_time && Some(deeds[at].invoked) > first_end;
            if placed[at] || is_late || deeds[at].kind == EventKind::Fail {
                continue;
            }
            let Some(mut after) = self.after(state, &deeds[at]) else {
                continue;
            };
            placed[at] = true;
            if self.has_order(&mut after, placed) {
                return true;
            }
            placed[at] = false;
        }
        false
    }

    /// The state after a transaction, if it can have seen what it did.
    fn after(&self, state: &BTreeMap<u64, Vec<u64>>, deed: &Deed) -> Option<BTreeMap<u64, Vec<u64>>> {
        let mut state = state.clone();
        for step in &deed.steps {
            let object = state.entry(step.key).or_default();
            match (step.written, self.made.lists) {
                (Some(value), _) => object.push(value),
                (None, true) if deed.kind == EventKind::Ok && *object != step.seen => return None,
                (None, false) if deed.kind == EventKind::Ok && object.last() != step.seen.last() => {
                    return None;
                }
                (None, _) => {}
            }
        }
        Some(state)
    }
}
