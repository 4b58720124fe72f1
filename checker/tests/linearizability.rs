//! The search against the obvious algorithm (try every order), and pairs of histories that differ by one operation.

use rafture_checker::history::{Operation, Outcome, operations, parse_jsonl};
use rafture_checker::linearizability::{Limits, check};
use rafture_checker::models::ModelKind;
use rafture_checker::verdict::Verdict;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// `process: f value` invokes, `process! outcome value` completes; one millisecond an event.
fn history(script: &str) -> Vec<Operation> {
    let mut asked = std::collections::BTreeMap::new();
    let mut lines = String::new();
    for (index, line) in script.split(';').map(str::trim).enumerate() {
        let mut words = line.splitn(3, ' ');
        let (process, kind) = (words.next().expect("a process"), words.next().expect("a word"));
        let value = words.next().unwrap_or("null");
        let (kind, f) = match kind {
            "ok" | "fail" | "info" => (kind, asked[process]),
            f => ("invoke", f),
        };
        asked.insert(process, f);
        let time = index * 1_000_000;
        lines += &format!(
            r#"{{"index":{index},"time":{time},"process":{process},"type":"{kind}","f":"{f}","key":"x","value":{value}}}"#
        );
        lines += "\n";
    }
    let parsed = parse_jsonl(lines.as_bytes()).expect("lines");
    operations(&parsed.events).expect("operations")
}

/// The verdict, with the anomaly if there is one.
fn judged(script: &str) -> String {
    let outcome = check(&history(script), ModelKind::CasRegister, &Limits::NONE).expect("the shape");
    let anomaly = outcome.failure.map(|failure| {
        let culprits = failure.operations.iter().filter(|operation| operation.culprit);
        assert_eq!(culprits.count(), 1, "{failure:#?}");
        format!("{}: {}", failure.anomaly, failure.sentence)
    });
    anomaly.unwrap_or_else(|| outcome.verdict.to_string())
}

#[test]
fn pairs_that_differ_by_one_operation() {
    let cases = [
        ("0 write 1; 0 ok 1; 1 read; 1 ok 1", "valid"),
        (
            "0 write 1; 0 ok 1; 1 read; 1 ok null",
            "lost write: process 1 read x = null at 0.003 s, although process 0 wrote x = 1 at 0.001 s, which nobody ever saw",
        ),
        ("0 write 1; 1 read; 1 ok null; 0 ok 1", "valid"),
        (
            "0 write 1; 0 ok 1; 0 write 2; 0 ok 2; 2 read; 2 ok 2; 1 read; 1 ok 1",
            "stale read: process 1 read x = 1 at 0.007 s, although process 0 wrote x = 2 at 0.003 s and so had overwritten that value",
        ),
        ("0 write 1; 0 ok 1; 0 write 2; 2 read; 2 ok 2; 1 read; 1 ok 2; 0 ok 2", "valid"),
        (
            "0 write 1; 0 ok 1; 0 write 2; 2 read; 2 ok 2; 1 read; 1 ok 1; 0 ok 2",
            "non-linearizable: no order of it and 3 operations around it explains that process 1 read x = 1 at 0.006 s",
        ),
        ("0 write 4; 0 info; 1 read; 1 ok 4", "valid"),
        (
            "0 write 4; 0 fail; 1 read; 1 ok 4",
            "phantom read: process 1 read x = 4 at 0.003 s, although nobody ever wrote that value",
        ),
        (
            "1 read; 1 ok 4; 0 write 4; 0 ok",
            "future read: process 1 read x = 4 at 0.001 s, before process 0 wrote x = 4 at 0.003 s had even begun",
        ),
        ("0 write 1; 0 ok; 1 cas [1,2]; 2 cas [1,3]; 1 ok; 2 fail; 0 read; 0 ok 2", "valid"),
        (
            "0 write 1; 0 ok; 1 cas [1,2]; 2 cas [1,3]; 1 ok; 2 ok; 0 read; 0 ok 2",
            "lost update: process 2 changed x from 1 to 3 at 0.005 s, although process 1 changed x from 1 to 2 at 0.004 s had used up the same value",
        ),
        // An open call may take effect late, but only once.
        ("0 write 1; 1 write 2; 1 ok; 2 read; 2 ok 2; 2 read; 2 ok 1; 2 read; 2 ok 1", "valid"),
        (
            "0 write 1; 1 write 2; 1 ok; 2 read; 2 ok 1; 2 read; 2 ok 2; 2 read; 2 ok 1",
            "non-linearizable: no order of it and 3 operations around it explains that process 2 read x = 2 at 0.006 s",
        ),
    ];
    for (script, expected) in cases {
        assert_eq!(judged(script), expected, "{script}");
    }
}

#[test]
fn keys_are_independent_and_the_failing_one_is_named() {
    let mut all = history("0 write 1; 0 ok; 1 read; 1 ok 1");
    let mut other = history("2 write 1; 2 ok; 3 read; 3 ok null");
    for operation in &mut other {
        operation.key = Some(json!("y"));
    }
    all.extend(other);
    for threads in [1, 2] {
        let limits = Limits { threads, ..Limits::NONE };
        let outcome = check(&all, ModelKind::Register, &limits).expect("the shape");
        assert_eq!((outcome.verdict, outcome.keys), (Verdict::Invalid, 2));
        assert_eq!(outcome.failure.and_then(|failure| failure.key), Some(json!("y")));
    }
}

#[test]
fn another_shape_is_an_error() {
    let error = |script, model| check(&history(script), model, &Limits::NONE).expect_err(script).to_string();
    assert_eq!(error("0 cas 3; 0 ok", ModelKind::CasRegister), "`cas` takes a pair `[old, new]`, not `3`");
    assert_eq!(
        error("0 cas [1,2]; 0 ok", ModelKind::Register),
        "`cas` is no operation of the model `register` (hint: it has `read` and `write`; `cas` is in `cas-register`)"
    );
}

#[test]
fn limits_end_in_unknown_and_say_how_far_it_got() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let shape = Shape { clients: 10, operations: 20_000, values: 3, crashes: 0.0, cas: true };
    let operations = generated(&mut random, &shape);
    for limits in [
        Limits { out_of_time: &|| true, ..Limits::NONE },
        Limits { memory_bytes: Some(1000), ..Limits::NONE },
    ] {
        let outcome = check(&operations, ModelKind::CasRegister, &limits).expect("the shape");
        assert_eq!(outcome.verdict, Verdict::Unknown);
        let reason = outcome.reason.expect("a reason");
        assert!(reason.contains("limit was reached; "), "{reason}");
        assert!(reason.ends_with(" completed operations had been ordered"), "{reason}");
    }
}

#[test]
fn small_histories_are_judged_as_by_trying_every_order() {
    let seed = 20_261_123;
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut invalid = 0;
    for number in 0..30_000 {
        let shape = Shape {
            clients: random.random_range(1..5),
            operations: random.random_range(1..9),
            values: [1, 2, 3, u64::MAX][random.random_range(0..4)],
            crashes: [0.0, 0.2, 0.6][random.random_range(0..3)],
            cas: number % 2 == 0,
        };
        let mut operations = generated(&mut random, &shape);
        mutate(&mut random, &mut operations);
        let model = if shape.cas { ModelKind::CasRegister } else { ModelKind::Register };
        let outcome = check(&operations, model, &Limits::NONE).expect("the shape");
        let expected = has_order(&operations, &Value::Null, &mut vec![false; operations.len()]);
        let found = outcome.verdict == Verdict::Valid;
        assert_eq!(found, expected, "history {number} of seed {seed}: {operations:#?}");
        invalid += u32::from(!expected);
        if let Some(failure) = outcome.failure {
            let culprits = failure.operations.iter().filter(|operation| operation.culprit);
            assert_eq!(culprits.count(), 1, "history {number} of seed {seed}");
        }
    }
    // A test that meets only one verdict would prove nothing.
    assert!((5_000..25_000).contains(&invalid), "{invalid} invalid ones");
}

#[test]
fn a_stale_read_in_a_long_history_is_shown_with_few_operations() {
    let seed = 7;
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let shape = Shape { clients: 5, operations: 5_000, values: u64::MAX, crashes: 0.01, cas: false };
    let mut operations = generated(&mut random, &shape);
    let verdict =
        |operations: &[Operation]| check(operations, ModelKind::Register, &Limits::NONE).expect("the shape");
    assert_eq!(verdict(&operations).verdict, Verdict::Valid);
    let writes = |operation: &Operation| operation.f == "write" && operation.outcome == Outcome::Ok;
    let old = operations.iter().find(|operation| writes(operation)).expect("a write").argument.clone();
    let is_late_read = |operation: &Operation| operation.f == "read" && operation.invoked_at > 9_000;
    let read = operations.iter_mut().find(|operation| is_late_read(operation)).expect("a late read");
    read.result = old;
    let failure = verdict(&operations).failure.expect("it is stale");
    assert_eq!(failure.anomaly, "stale read", "{failure:#?}");
    assert!(failure.operations.len() <= 4, "{failure:#?}");
}

/// What [`generated`] makes.
struct Shape {
    clients: u64,
    operations: usize,
    /// Values are drawn from so many; from the largest number, each is new.
    values: u64,
    /// Share of writes whose client never hears of them.
    crashes: f64,
    cas: bool,
}

/// A linearizable history: each operation takes effect at a moment between its invocation and its completion.
fn generated(random: &mut ChaCha8Rng, shape: &Shape) -> Vec<Operation> {
    let mut deeds = Vec::new();
    let mut clients: Vec<(u64, u64)> =
        (0..shape.clients).map(|id| (random.random_range(1..1000), id)).collect();
    let mut unused = shape.clients;
    for number in 0..shape.operations {
        let client = (0..clients.len()).min_by_key(|&at| clients[at]).expect("a client");
        let (invoked, process) = clients[client];
        let latency = 2 + random.random_range(0..1000);
        let effect = invoked + 1 + random.random_range(0..latency - 1);
        let mut value = || match shape.values {
            u64::MAX => number as u64 + 1,
            values => random.random_range(0..values),
        };
        let (old, new) = (value(), value());
        let (f, argument) = match random.random_range(0..if shape.cas { 3 } else { 2 }) {
            0 => ("read", Value::Null),
            1 => ("write", json!(new)),
            _ => ("cas", json!([old.saturating_sub(u64::from(shape.values == u64::MAX)), new])),
        };
        let crashes = f != "read" && random.random_bool(shape.crashes);
        let has_effect = !crashes || random.random_bool(0.5);
        clients[client].0 = invoked + latency + 1 + random.random_range(0..100);
        if crashes {
            clients[client].1 = unused;
            unused += 1;
        }
        deeds.push((
            f,
            argument,
            process,
            invoked,
            has_effect.then_some(effect),
            (!crashes).then_some(invoked + latency),
        ));
    }
    let mut moments: Vec<(u64, u8, usize)> = Vec::new();
    for (at, (.., invoked, effect, completed)) in deeds.iter().enumerate() {
        moments.push((*invoked, 0, at));
        moments.extend(effect.map(|time| (time, 1, at)));
        moments.extend(completed.map(|time| (time, 2, at)));
    }
    moments.sort_unstable();
    let mut state = Value::Null;
    let mut operations: Vec<Operation> = Vec::new();
    let mut place = vec![0; deeds.len()];
    for (event, (time, kind, at)) in moments.into_iter().enumerate() {
        let (f, argument, process, ..) = &deeds[at];
        if kind == 0 {
            place[at] = operations.len();
            operations.push(Operation {
                process: *process,
                f: (*f).to_owned(),
                key: None,
                argument: argument.clone(),
                result: Value::Null,
                outcome: Outcome::Info,
                invoked_ns: time,
                completed_ns: None,
                invoked_at: event,
                completed_at: None,
                line: None,
            });
            continue;
        }
        let operation = &mut operations[place[at]];
        if kind == 2 {
            operation.completed_ns = Some(time);
            operation.completed_at = Some(event);
            if operation.outcome == Outcome::Info {
                operation.outcome = Outcome::Ok;
            }
            continue;
        }
        match step(&state, operation, None) {
            Some(next) => state = next,
            None => operation.outcome = Outcome::Fail,
        }
        if *f == "read" {
            operation.result = state.clone();
        }
    }
    // Half of a crash may have failed at its moment; its client cannot know.
    for operation in operations.iter_mut().filter(|operation| operation.completed_at.is_none()) {
        operation.outcome = Outcome::Info;
    }
    operations
}

/// Gives one read another result, or makes an operation that failed succeed; or does nothing.
fn mutate(random: &mut ChaCha8Rng, operations: &mut [Operation]) {
    let at = random.random_range(0..operations.len());
    let value = operations[random.random_range(0..operations.len())].argument.clone();
    let operation = &mut operations[at];
    match operation.outcome {
        Outcome::Ok if operation.f == "read" && !value.is_array() => operation.result = value,
        Outcome::Fail => operation.outcome = Outcome::Ok,
        _ => {}
    }
}

/// The obvious algorithm: whichever unplaced operation was invoked before all completions of unplaced ones may be next.
fn has_order(operations: &[Operation], state: &Value, placed: &mut Vec<bool>) -> bool {
    let unplaced = |placed: &[bool]| {
        let all = operations.iter().enumerate();
        let left = all.filter(|(at, operation)| !placed[*at] && operation.outcome == Outcome::Ok);
        left.filter_map(|(_, operation)| operation.completed_at).min()
    };
    let Some(first) = unplaced(placed) else {
        return true;
    };
    for (at, operation) in operations.iter().enumerate() {
        let may = !placed[at] && operation.outcome != Outcome::Fail && operation.invoked_at < first;
        let known = (operation.outcome == Outcome::Ok).then_some(&operation.result);
        if let Some(next) = step(state, operation, known).filter(|_| may) {
            placed[at] = true;
            if has_order(operations, &next, placed) {
                return true;
            }
            placed[at] = false;
        }
    }
    false
}

/// The register as a sentence, without the checker's own models.
fn step(state: &Value, operation: &Operation, result: Option<&Value>) -> Option<Value> {
    match operation.f.as_str() {
        "read" => result.is_none_or(|result| result == state).then(|| state.clone()),
        "write" => Some(operation.argument.clone()),
        _ => (operation.argument[0] == *state).then(|| operation.argument[1].clone()),
    }
}
