//! The evidence of an invalid verdict: what is left still fails, each of it is needed, and it has a name and a sentence.
//!
//! Histories of every model with planted bugs, small enough that trying every order is quick. `HISTORIES=100000 cargo test --release -p
//! rafture-checker --test evidence` tries so many, all models together.

mod generator;

use generator::{Made, Shape, generated};
use rafture_checker::check::{Limits, Question, check};
use rafture_checker::failure::Failure;
use rafture_checker::history::{Event, EventKind, History, Process};
use rafture_checker::models::ModelKind;
use rafture_checker::verdict::Verdict;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

const MODELS: [ModelKind; 9] = [
    ModelKind::Register,
    ModelKind::CasRegister,
    ModelKind::Kv,
    ModelKind::Mutex,
    ModelKind::Counter,
    ModelKind::Set,
    ModelKind::Queue,
    ModelKind::Stack,
    ModelKind::List,
];

#[test]
fn evidence_still_fails_and_each_operation_of_it_is_needed() {
    let histories = std::env::var("HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(270);
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_125);
    println!("seed {seed}, {histories} histories");
    for (model, number) in MODELS.into_iter().zip(0..) {
        try_model(model, histories / MODELS.len(), seed + number);
    }
}

fn try_model(model: ModelKind, histories: usize, seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut invalid, mut minimal) = (0, 0);
    for number in 0..histories {
        let shape = Shape {
            model,
            clients: random.random_range(2..5),
            operations: random.random_range(8..18),
            values: [0, 0, 3][random.random_range(0..3)],
            crashes: [0.0, 0.1][random.random_range(0..2)],
            keys: 1,
        };
        let mut made = generated(&shape, random.random());
        plant(&mut random, &mut made);
        let history = made.history();
        let outcome = check(&history, &Question::strongest(model), &Limits::NONE).expect("the shape");
        let Some(failure) = outcome.failure else {
            continue;
        };
        let what = || format!("history {number} of {model}, seed {seed}: {failure:#?}\nof {made:#?}");
        invalid += 1;
        minimal += usize::from(failure.minimal);
        assert!(!failure.sentence.is_empty() && !failure.necessity.is_empty(), "{}", what());
        assert_eq!(failure.operations.iter().filter(|bar| bar.culprit).count(), 1, "{}", what());
        if adds_up(model) {
            // What the others add up to is told, not shown.
            continue;
        }
        let places = places(&history, &failure);
        let part = Part { model, made: &made };
        assert_eq!(part.verdict(&places), Verdict::Invalid, "{}", what());
        if failure.minimal {
            // A take that was never answered is there because it might have helped.
            let might_help = |place: usize| {
                made.deeds[place].kind == EventKind::Info && matches!(made.deeds[place].f, "dequeue" | "pop")
            };
            for &left_out in places.iter().filter(|&&place| !might_help(place)) {
                let rest = part.without(&places, left_out);
                assert_eq!(part.verdict(&rest), Verdict::Valid, "without {left_out}: {}", what());
            }
        }
        for order in &failure.orders {
            assert!(!order.stuck.is_empty() && order.steps.len() < places.len(), "{}", what());
        }
    }
    assert!(invalid * 10 > histories, "{model}: {invalid} of {histories} invalid");
    assert!(minimal * 2 > invalid || model == ModelKind::Kv, "{model}: {minimal} of {invalid} minimal");
}

fn adds_up(model: ModelKind) -> bool {
    matches!(model, ModelKind::Counter | ModelKind::Mutex | ModelKind::Semaphore(_))
}

/// Gives one late answer the value of an earlier one, or drops one from it.
fn plant(random: &mut ChaCha8Rng, made: &mut Made) {
    let late: Vec<usize> = (made.deeds.len() / 2..made.deeds.len())
        .filter(|&at| made.deeds[at].kind == EventKind::Ok && made.deeds[at].argument.is_null())
        .collect();
    if late.is_empty() {
        return;
    }
    let at = late[random.random_range(0..late.len())];
    let f = made.deeds[at].f;
    if matches!(f, "acquire" | "release") {
        // One that was refused succeeds.
        if let Some(refused) = made.deeds.iter_mut().find(|deed| deed.kind == EventKind::Fail) {
            refused.kind = EventKind::Ok;
        }
        return;
    }
    let others: Vec<Value> =
        made.deeds[..at].iter().filter(|deed| deed.f == f).map(|deed| deed.result.clone()).collect();
    let deed = &mut made.deeds[at];
    match deed.result.as_array_mut() {
        Some(items) if !items.is_empty() && random.random_bool(0.7) => {
            items.remove(random.random_range(0..items.len()));
        }
        _ if !others.is_empty() => deed.result = others[random.random_range(0..others.len())].clone(),
        _ => deed.result = Value::Null,
    }
    // Counters read no `null`.
    if deed.result.is_null() && f == "read" && made.deeds.iter().any(|deed| deed.f == "add") {
        made.deeds[at].result = json!(1);
    }
}

/// Places of the operations of the evidence in the history.
fn places(history: &History, failure: &Failure) -> Vec<usize> {
    let place = |index: u32| history.operations.iter().position(|operation| operation.invoked_at == index);
    failure
        .operations
        .iter()
        .map(|bar| place(bar.index.expect("it is from a history")).expect("it is there"))
        .collect()
}

/// A history of which only some operations are left.
struct Part<'a> {
    model: ModelKind,
    made: &'a Made,
}

impl Part<'_> {
    /// What the checker says of these, until the last of them has completed; lists keep only what is put in by them.
    fn verdict(&self, places: &[usize]) -> Verdict {
        let kept_values: Vec<&Value> = places.iter().map(|&place| &self.made.deeds[place].argument).collect();
        let mut events: Vec<Event> = Vec::new();
        for &(time, at, is_end) in &self.made.moments {
            if !places.contains(&at) {
                continue;
            }
            let deed = &self.made.deeds[at];
            let mut result = deed.result.clone();
            if deed.argument.is_null()
                && let Some(items) = result.as_array_mut()
            {
                items.retain(|item| kept_values.contains(&item) || !self.is_put_in(item));
            }
            events.push(Event {
                index: 0,
                time,
                process: Process::Client(deed.process),
                kind: if is_end { deed.kind } else { EventKind::Invoke },
                f: deed.f.into(),
                key: None,
                value: if is_end && deed.kind == EventKind::Ok { result } else { deed.argument.clone() },
                node: None,
                error: None,
            });
        }
        let history = History::of(&events).expect("a part of a history");
        check(&history, &Question::strongest(self.model), &Limits::NONE).expect("the shape").verdict
    }

    fn is_put_in(&self, item: &Value) -> bool {
        self.made.deeds.iter().any(|deed| deed.argument == *item)
    }

    /// Without this one, and without those that saw or took what it put in or wrote.
    fn without(&self, places: &[usize], left_out: usize) -> Vec<usize> {
        let value_of = |place: usize| match &self.made.deeds[place] {
            deed if deed.f == "cas" => deed.argument[1].clone(),
            deed if deed.argument.is_null() && !deed.result.is_array() => deed.result.clone(),
            deed => deed.argument.clone(),
        };
        let is_observer = |place: usize| {
            let deed = &self.made.deeds[place];
            deed.f == "read" || deed.f == "get" || (deed.argument.is_null() && deed.result.is_null())
        };
        let mut gone = vec![left_out];
        let mut looked = 0;
        while let Some(&place) = gone.get(looked) {
            looked += 1;
            if is_observer(place) {
                continue;
            }
            let value = value_of(place);
            for &other in places {
                let deed = &self.made.deeds[other];
                let needs = match deed.f {
                    "read" | "dequeue" | "pop" => deed.result == value,
                    "cas" => deed.argument[0] == value,
                    // A value goes with all that is about it.
                    "enqueue" | "push" | "add" | "remove" | "append" if self.model != ModelKind::Kv => {
                        deed.argument == value
                    }
                    _ => false,
                };
                if needs && !gone.contains(&other) {
                    gone.push(other);
                }
            }
        }
        places.iter().copied().filter(|place| !gone.contains(place)).collect()
    }
}

/// The name and the sentence for events of the form `process f value → result`, one completed after another.
fn named(model: ModelKind, deeds: &[(u64, &'static str, Value, Value)]) -> String {
    let mut events = Vec::new();
    for (number, (process, f, argument, result)) in (0..).zip(deeds) {
        for (kind, value) in [(EventKind::Invoke, argument), (EventKind::Ok, result)] {
            let time = (number * 2 + u64::from(kind == EventKind::Ok)) * 1_000_000;
            let process = Process::Client(*process);
            events.push(Event {
                index: 0,
                time,
                process,
                kind,
                f: (*f).into(),
                key: None,
                value: value.clone(),
                node: None,
                error: None,
            });
        }
    }
    let history = History::of(&events).expect("one after another");
    let outcome = check(&history, &Question::strongest(model), &Limits::NONE).expect("the shape");
    let failure = outcome.failure.expect("it is wrong");
    // Of texts and of several registers only reads can be left out, so nobody says that the others are needed.
    let is_shown_whole = matches!(model, ModelKind::Kv | ModelKind::MultiRegister);
    assert!(failure.minimal || is_shown_whole, "{failure:#?}");
    format!("{}: {}", failure.anomaly, failure.sentence)
}

#[test]
fn what_goes_wrong_with_other_objects_has_a_name_too() {
    let null = || Value::Null;
    let put = |process, f, value: u64| (process, f, json!(value), json!(value));
    let take = |process, f, value: u64| (process, f, Value::Null, json!(value));
    let cases = [
        (
            ModelKind::Queue,
            vec![put(0, "enqueue", 1), take(1, "dequeue", 2)],
            "phantom: process 1 dequeued 2 at 0.003 s, although nobody ever put that in",
        ),
        (
            ModelKind::Queue,
            vec![put(0, "enqueue", 1), take(1, "dequeue", 1), take(2, "dequeue", 1)],
            "duplicated element: process 2 dequeued 1 at 0.005 s, although process 1 dequeued 1 at 0.003 s and it had been put in only once",
        ),
        (
            ModelKind::Queue,
            vec![put(0, "enqueue", 1), (1, "dequeue", null(), null())],
            "lost element: process 1 found the queue empty at 0.003 s, although process 0 enqueued 1 at 0.001 s and nobody ever took that out",
        ),
        (
            ModelKind::Stack,
            vec![put(0, "push", 1), (1, "pop", null(), null()), take(1, "pop", 1)],
            "wrong empty: process 1 found the stack empty at 0.003 s, although process 0 pushed 1 at 0.001 s and it was taken out only later: process 1 popped 1 at 0.005 s",
        ),
        (
            ModelKind::Queue,
            vec![put(0, "enqueue", 1), put(0, "enqueue", 2), take(1, "dequeue", 2), take(1, "dequeue", 1)],
            "reordered: process 1 dequeued 2 at 0.005 s, which is the wrong order: process 0 enqueued 1 at 0.001 s, and that was taken out at another turn",
        ),
        (
            ModelKind::Set,
            vec![put(0, "add", 1), put(0, "add", 2), (1, "read", null(), json!([2]))],
            "lost element: process 1 read without 1 at 0.005 s, although process 0 added 1 at 0.001 s; nobody ever saw it",
        ),
        (
            ModelKind::Set,
            vec![put(0, "add", 1), (1, "read", null(), json!([1])), (2, "read", null(), json!([]))],
            "stale read: process 2 read without 1 at 0.005 s, although process 0 added 1 at 0.001 s",
        ),
        (
            ModelKind::List,
            vec![put(0, "append", 1), put(0, "append", 2), (1, "read", null(), json!([1, 1, 2]))],
            "duplicated element: process 1 read 1 2 times at 0.005 s, although it was put in less often",
        ),
        (
            ModelKind::Counter,
            vec![put(0, "add", 1), put(1, "add", 1), take(2, "read", 1)],
            "lost increment: process 2 read the value = 1 at 0.005 s, although it must have been at least 2 by then",
        ),
        (
            ModelKind::Counter,
            vec![put(0, "add", 1), take(2, "read", 3)],
            "impossible count: process 2 read the value = 3 at 0.003 s, although it must have been at most 1 by then",
        ),
        (
            ModelKind::Mutex,
            vec![(0, "acquire", null(), null()), (1, "acquire", null(), null())],
            "two holders: process 1 acquired the lock at 0.003 s, although process 0 acquired the lock at 0.001 s: by then 2 acquires had succeeded, and only 0 releases had been asked for",
        ),
        (
            ModelKind::Mutex,
            vec![(0, "release", null(), null())],
            "released while free: process 0 released the lock at 0.001 s, although it cannot have been held: by then it had been released once, and nobody had even asked to acquire it more than 0 times",
        ),
    ];
    for (model, deeds, expected) in cases {
        assert_eq!(named(model, &deeds), expected, "{model}");
    }
}

#[test]
fn what_goes_wrong_with_texts_has_a_name() {
    let put = |process, text: &str| (process, "put", json!(text), json!(text));
    let append = |process, text: &str| (process, "append", json!(text), json!(text));
    let get = |process, text: &str| (process, "get", Value::Null, json!(text));
    let cases = [
        (
            vec![put(0, "a"), get(1, "b")],
            "phantom read: process 1 read the value = \"b\" at 0.003 s, although nobody ever put or appended what would make that text",
        ),
        (
            vec![put(0, "a"), get(1, "ab"), append(0, "b")],
            "future read: process 1 read the value = \"ab\" at 0.003 s, and only later did anybody ask for that: process 0 appended \"b\" at 0.005 s",
        ),
        (
            vec![put(0, "a"), append(0, "b"), get(1, "abb")],
            "duplicated append: process 1 read the value = \"abb\" at 0.005 s, in which that stands twice, although only one operation asked for it: process 0 appended \"b\" at 0.003 s",
        ),
        (
            vec![put(0, "a"), append(0, "b"), append(2, "c"), get(1, "ac")],
            "lost append: process 1 read the value = \"ac\" at 0.007 s, although process 0 appended \"b\" at 0.003 s, which nobody ever saw",
        ),
        (
            vec![put(0, "a"), append(0, "b"), get(2, "ab"), get(1, "a")],
            "stale read: process 1 read the value = \"a\" at 0.007 s, although process 0 appended \"b\" at 0.003 s, which is not there",
        ),
        (
            vec![append(0, "b"), append(2, "c"), get(1, "cb")],
            "reordered: process 1 read the value = \"cb\" at 0.005 s, although process 0 appended \"b\" at 0.001 s, and process 2 appended \"c\" at 0.003 s: the wrong order",
        ),
        (
            vec![put(0, "a"), put(2, "b"), get(1, "b"), get(1, "a")],
            "stale read: process 1 read the value = \"a\" at 0.007 s, although process 2 wrote the value = \"b\" at 0.003 s and so had overwritten that text",
        ),
        (
            vec![put(0, "a"), put(2, "b"), get(1, "a")],
            "lost write: process 1 read the value = \"a\" at 0.005 s, although process 2 wrote the value = \"b\" at 0.003 s, which nobody ever saw",
        ),
    ];
    for (deeds, expected) in cases {
        assert_eq!(named(ModelKind::Kv, &deeds), expected);
    }
}

#[test]
fn what_goes_wrong_with_several_registers_has_a_name() {
    let txn = |process, steps: Value| (process, "txn", steps.clone(), steps);
    let cases = [
        (
            vec![txn(0, json!([["w", "x", 1], ["w", "y", 1]])), txn(1, json!([["r", "x", 2]]))],
            "phantom read: process 1 read x = 2 at 0.003 s, although nobody ever left that value there",
        ),
        (
            vec![txn(1, json!([["r", "y", 2]])), txn(0, json!([["w", "y", 2]]))],
            "future read: process 1 read y = 2 at 0.001 s, and only later did anybody write that value: process 0 wrote y = 2 at 0.003 s",
        ),
        (
            vec![
                txn(0, json!([["w", "x", 1], ["w", "y", 1]])),
                txn(1, json!([["r", "x", 1], ["r", "y", null]])),
            ],
            "fractured read: process 1 read x = 1 at 0.003 s beside y = null, although process 0 wrote x = 1, wrote y = 1 at 0.001 s, all at once",
        ),
        (
            vec![
                txn(0, json!([["w", "x", 1]])),
                txn(2, json!([["r", "x", 1], ["w", "x", 2]])),
                txn(1, json!([["r", "x", 1], ["r", "y", null]])),
            ],
            "lost write: process 1 read x = 1 at 0.005 s, although process 2 read x = 1, wrote x = 2 at 0.003 s, which nobody ever saw",
        ),
        (
            vec![
                txn(0, json!([["w", "x", 1]])),
                txn(2, json!([["w", "x", 2]])),
                txn(2, json!([["r", "x", 2]])),
                txn(1, json!([["r", "x", null]])),
            ],
            "stale read: process 1 read x = null at 0.007 s, although process 2 wrote x = 2 at 0.003 s and so had overwritten that value",
        ),
    ];
    for (deeds, expected) in cases {
        assert_eq!(named(ModelKind::MultiRegister, &deeds), expected);
    }
}
