//! Watching a history while it grows finds what checking it as a whole finds, and forgets nearly all of it.

mod generator;

use generator::{Shape, generated};
use rafture_checker::History;
use rafture_checker::check::{Limits, Question, check};
use rafture_checker::history::{Event, EventKind, Process};
use rafture_checker::models::ModelKind;
use rafture_checker::online::Watch;
use rafture_checker::verdict::Verdict;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

#[test]
fn what_is_watched_has_the_verdict_of_the_whole() {
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let histories = variable("HISTORIES").unwrap_or(20_000);
    let seed = variable("SEED").unwrap_or(20_261_124);
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed as u64);
    let mut invalid = 0;
    for number in 0..histories {
        let shape = Shape {
            model: [ModelKind::Register, ModelKind::CasRegister][number % 2],
            clients: random.random_range(1..6),
            operations: random.random_range(1..40),
            values: 0,
            crashes: [0.0, 0.1, 0.4][random.random_range(0..3)],
            keys: random.random_range(1..3),
        };
        let mut made = generated(&shape, random.random());
        if random.random_bool(0.5) {
            let (at, other) =
                (random.random_range(0..made.deeds.len()), random.random_range(0..made.deeds.len()));
            if made.deeds[at].f == "read" && !made.deeds[other].argument.is_null() {
                let value = made.deeds[other].argument.clone();
                made.deeds[at].result = if value.is_array() { value[1].clone() } else { value };
            }
        }
        let events = made.events();
        let outcome =
            check(&made.history(), &Question::strongest(shape.model), &Limits::NONE).expect("the shape");
        // The more often it forgets, the more it could forget too much.
        let stride = random.random_range(1..10);
        let mut watch = Watch::over(shape.model).expect("registers can be watched");
        for (event, at) in events.iter().zip(1..) {
            watch.feed(event);
            if at % stride == 0 {
                watch.settle();
            }
        }
        let is_found = watch.settle().is_some();
        let is_invalid = outcome.verdict == Verdict::Invalid;
        assert_eq!(
            is_found, is_invalid,
            "history {number} of seed {seed}, every {stride} events: {events:#?}"
        );
        assert!(watch.is_conclusive(), "values are unique");
        assert_eq!((watch.operations() as usize, watch.keys()), (outcome.operations, outcome.keys));
        invalid += usize::from(is_invalid);
    }
    assert!((histories / 20..histories / 2).contains(&invalid), "{invalid} invalid");
}

/// A history of which every prefix is linearizable up to an event, and none from there on.
#[test]
fn a_violation_is_found_with_the_event_that_completes_it() {
    let seed = 20_261_125;
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut found = 0;
    for _ in 0..300 {
        let model = ModelKind::Register;
        let shape = Shape { model, clients: 4, operations: 60, values: 0, crashes: 0.1, keys: 1 };
        let mut made = generated(&shape, random.random());
        if !made.make_stale(0.5) {
            continue;
        }
        let events = made.events();
        let mut watch = Watch::over(model).expect("registers can be watched");
        let first = events.iter().position(|event| {
            watch.feed(event);
            watch.settle().is_some()
        });
        let is_invalid = |end: usize| {
            let history = History::of(&events[..end]).expect("every process does one thing at a time");
            let outcome = check(&history, &Question::strongest(model), &Limits::NONE).expect("the shape");
            outcome.verdict == Verdict::Invalid
        };
        assert_eq!(first, (1..=events.len()).find(|&end| is_invalid(end)).map(|end| end - 1));
        found += usize::from(first.is_some());
    }
    assert!(found > 200, "{found} violations");
}

/// Compare-and-sets of texts, of which each is new: the table of values has to forget them too.
#[test]
fn values_that_are_gone_take_no_memory() {
    let event = |kind: EventKind, f: &'static str, value: serde_json::Value| Event {
        index: 0,
        time: 0,
        process: Process::Client(1),
        kind,
        f: f.into(),
        key: Some("x".into()),
        value,
        node: None,
        error: None,
    };
    let mut watch = Watch::over(ModelKind::CasRegister).expect("registers can be watched");
    let text = |number: u64| format!("a text that is number {number}");
    for number in 0..100_000 {
        let old = if number == 0 { json!(null) } else { json!(text(number - 1)) };
        let change = json!([old, text(number)]);
        for kind in [EventKind::Invoke, EventKind::Ok] {
            watch.feed(&event(kind, "cas", change.clone()));
        }
        if number % 1000 == 0 {
            assert_eq!(watch.settle(), None);
        }
    }
    assert!(watch.memory_bytes() < 4 << 20, "{} bytes", watch.memory_bytes());
    watch.feed(&event(EventKind::Invoke, "read", json!(null)));
    watch.feed(&event(EventKind::Ok, "read", json!(text(99_998))));
    assert!(watch.settle().is_some(), "the value had been replaced");
}

#[test]
fn what_nobody_can_observe_any_more_is_forgotten() {
    for model in [ModelKind::Register, ModelKind::CasRegister] {
        let shape = Shape { model, clients: 20, operations: 100_000, values: 0, crashes: 0.0, keys: 3 };
        let made = generated(&shape, 1);
        let mut watch = Watch::over(model).expect("registers can be watched");
        let mut most = 0;
        for event in made.events() {
            watch.feed(&event);
            most = most.max(watch.remembered());
        }
        assert_eq!(watch.settle(), None);
        assert!(most < 2500, "{model}: {most} operations were remembered");
    }
}

#[test]
fn a_value_that_is_written_twice_is_left_to_the_whole_check() {
    let shape =
        Shape { model: ModelKind::Register, clients: 3, operations: 100, values: 2, crashes: 0.0, keys: 1 };
    let mut watch = Watch::over(shape.model).expect("registers can be watched");
    generated(&shape, 1).events().iter().for_each(|event| watch.feed(event));
    assert_eq!(watch.settle(), None);
    assert_eq!(watch.unwatched(), 1);
    assert!(Watch::over(ModelKind::Queue).is_none());
}
