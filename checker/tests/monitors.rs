//! Each monitor against the obvious algorithm, which tries every order, on small random histories; every order that it gives; and
//! that the few calls which it blames have no order by themselves.
//!
//! `HISTORIES=1000000 cargo test --release -p rafture-checker --test monitors` tries so many for each object.

mod generator;

use std::collections::HashSet;

use generator::bugs::Bug;
use generator::{Deed, Shape, generated};
use rafture_checker::history::{EventKind, Outcome};
use rafture_checker::linearizability::{Decision, Timed};
use rafture_checker::models::{Counter, Model, ModelKind, Semaphore, Sequence, SequenceKind, Set};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

/// No search comes to an end on these in time.
#[test]
fn long_histories_are_decided_with_crashes_and_with_planted_bugs() {
    let sequence = |kind| move || Sequence::new(kind);
    decide_long(ModelKind::Counter, || Counter);
    decide_long(ModelKind::Set, Set::default);
    decide_long(ModelKind::List, sequence(SequenceKind::List));
    decide_long(ModelKind::Queue, sequence(SequenceKind::Queue));
    decide_long(ModelKind::Stack, sequence(SequenceKind::Stack));
}

fn decide_long<M: Model>(kind: ModelKind, model: impl Fn() -> M) {
    for (crashes, seed) in [(0.0, 7), (0.01, 8), (0.05, 9)] {
        let shape = Shape { model: kind, clients: 20, operations: 4000, values: 0, crashes, keys: 1 };
        println!("{shape:?}, seed {seed}");
        let made = generated(&shape, seed);
        let (asked, timed) = calls(&model, &made);
        match asked.decide(&timed) {
            Some((_, Decision::Linearizable(order))) => assert!(explains(&asked, &timed, &order)),
            other => panic!("{other:?}"),
        }
        for (name, bug) in Bug::ALL {
            // In a set there is no order, and everything is once.
            if kind == ModelKind::Set && matches!(bug, Bug::Duplicated | Bug::Reordered) {
                continue;
            }
            let mut made = made.clone();
            made.plant(bug, 0.5);
            let (asked, timed) = calls(&model, &made);
            match asked.decide(&timed) {
                Some((_, Decision::Violation(core))) => println!("{name}: {} calls", core.len()),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}

/// What to try, and how often at least a monitor must decide.
struct Trial {
    model: ModelKind,
    values: &'static [u64],
    decided_share: f64,
}

#[test]
fn counters_are_judged_as_by_trying_every_order() {
    let trial = Trial { model: ModelKind::Counter, values: &[0, 1], decided_share: 1.0 };
    try_all(&trial, || Counter, counter_mutation);
}

#[test]
fn mutexes_are_judged_as_by_trying_every_order() {
    let trial = Trial { model: ModelKind::Mutex, values: &[0], decided_share: 1.0 };
    try_all(&trial, || Semaphore::new(1), permit_mutation);
}

#[test]
fn semaphores_are_judged_as_by_trying_every_order() {
    let trial = Trial { model: ModelKind::Semaphore(2), values: &[0], decided_share: 1.0 };
    try_all(&trial, || Semaphore::new(2), permit_mutation);
}

fn permit_mutation(_: &mut ChaCha8Rng, deed: &mut Deed, other: &Deed) {
    deed.f = other.f;
}

fn counter_mutation(random: &mut ChaCha8Rng, deed: &mut Deed, _: &Deed) {
    match (deed.f, deed.result.as_i64()) {
        ("read", Some(number)) => deed.result = json!(number + random.random_range(-1..2)),
        ("add", _) if random.random_bool(0.2) => deed.argument = json!(0),
        _ => {}
    }
}

#[test]
fn sets_are_judged_as_by_trying_every_order() {
    let trial = Trial { model: ModelKind::Set, values: &[0, 2, 4], decided_share: 1.0 };
    try_all(&trial, Set::default, read_mutation);
}

#[test]
fn lists_are_judged_as_by_trying_every_order() {
    let trial = Trial { model: ModelKind::List, values: &[0, 0, 9], decided_share: 0.5 };
    try_all(&trial, || Sequence::new(SequenceKind::List), read_mutation);
}

#[test]
fn queues_are_judged_as_by_trying_every_order() {
    let trial = Trial { model: ModelKind::Queue, values: &[0, 0, 9], decided_share: 0.5 };
    try_all(&trial, || Sequence::new(SequenceKind::Queue), take_mutation);
}

#[test]
fn stacks_are_judged_as_by_trying_every_order() {
    let trial = Trial { model: ModelKind::Stack, values: &[0, 0, 9], decided_share: 0.5 };
    try_all(&trial, || Sequence::new(SequenceKind::Stack), take_mutation);
}

/// Another take's result is there, or one is taken that was put in, or there was nothing.
fn take_mutation(random: &mut ChaCha8Rng, deed: &mut Deed, other: &Deed) {
    if matches!(deed.f, "dequeue" | "pop") {
        deed.result = match random.random_range(0..3) {
            0 => other.result.clone(),
            1 => other.argument.clone(),
            _ => json!(null),
        };
    }
}

/// One value is missing or too much, two have changed their places, or another read's result is there.
fn read_mutation(random: &mut ChaCha8Rng, deed: &mut Deed, other: &Deed) {
    let Some(items) = deed.result.as_array_mut() else {
        return;
    };
    let (one, another) = (random.random_range(0..=items.len()), random.random_range(0..=items.len()));
    match random.random_range(0..4) {
        0 if one < items.len() => drop(items.remove(one)),
        1 if one.max(another) < items.len() => items.swap(one, another),
        2 if other.result.is_array() => deed.result = other.result.clone(),
        _ if other.argument.is_number() => items.insert(one, other.argument.clone()),
        _ => {}
    }
}

fn try_all<M: Model>(trial: &Trial, model: impl Fn() -> M, mutation: fn(&mut ChaCha8Rng, &mut Deed, &Deed)) {
    let histories = std::env::var("HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_125);
    println!("seed {seed}, {histories} histories");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut decided, mut invalid) = (0, 0);
    for number in 0..histories {
        let shape = Shape {
            model: trial.model,
            clients: random.random_range(1..8),
            operations: random.random_range(1..11),
            values: trial.values[random.random_range(0..trial.values.len())],
            crashes: [0.0, 0.2, 0.5][random.random_range(0..3)],
            keys: 1,
        };
        let mut made = generated(&shape, random.random());
        for _ in 0..random.random_range(0..3) {
            let other = made.deeds[random.random_range(0..made.deeds.len())].clone();
            let at = random.random_range(0..made.deeds.len());
            if made.deeds[at].kind == EventKind::Ok {
                mutation(&mut random, &mut made.deeds[at], &other);
            }
        }
        let (model, timed) = calls(&model, &made);
        let what =
            |found: &dyn std::fmt::Debug| format!("history {number}, seed {seed}: {timed:?}\n{found:?}");
        let Some((_, decision)) = model.decide(&timed) else {
            continue;
        };
        decided += 1;
        let expected = has_order(&model, &timed);
        match &decision {
            Decision::Linearizable(order) => {
                assert!(expected, "no order exists, {}", what(&decision));
                assert!(explains(&model, &timed, order), "{}", what(&decision));
            }
            Decision::Violation(core) => {
                invalid += 1;
                assert!(!expected, "an order exists, {}", what(&decision));
                assert!(core.is_sorted_by(|one, other| one < other), "{}", what(&decision));
                let core: Vec<_> = core.iter().map(|&at| timed[at as usize].clone()).collect();
                assert!(!has_order(&model, &core), "the core has an order, {}", what(&decision));
            }
        }
    }
    println!("{decided} decided, {invalid} invalid");
    assert!(decided as f64 >= trial.decided_share * f64::from(histories), "{decided} of {histories}");
    // A test that meets only one verdict would prove nothing.
    assert!((decided / 20..decided - decided / 20).contains(&invalid), "{invalid} of {decided} are invalid");
}

/// The history in terms of the model.
fn calls<M: Model>(model: &impl Fn() -> M, made: &generator::Made) -> (M, Vec<Timed<M::Call>>) {
    let (history, mut model) = (made.history(), model());
    let mut timed = Vec::new();
    for operation in &history.operations {
        let call = model.call(&history, operation).expect("an operation of the model");
        let completed = operation.completed_at().filter(|_| operation.outcome == Outcome::Ok);
        if operation.outcome != Outcome::Fail {
            timed.push(Timed { call, invoked: operation.invoked_at, completed });
        }
    }
    (model, timed)
}

/// Whether trying everything finds an order; no set of placed calls is tried twice in the same state.
fn has_order<M: Model>(model: &M, timed: &[Timed<M::Call>]) -> bool {
    let mut seen = HashSet::new();
    let mut waiting = vec![(0_u64, model.initial())];
    while let Some((placed, state)) = waiting.pop() {
        let unplaced = || (0..timed.len()).filter(|at| placed >> at & 1 == 0);
        let Some(first) = unplaced().filter_map(|at| timed[at].completed).min() else {
            return true;
        };
        for at in unplaced().filter(|&at| timed[at].invoked < first) {
            if let Some(next) = model.step(&state, &timed[at].call) {
                let next = (placed | 1 << at, next);
                if seen.insert(next.clone()) {
                    waiting.push(next);
                }
            }
        }
    }
    false
}

/// Whether the order holds what happened, once each, within their times, with these results.
fn explains<M: Model>(model: &M, timed: &[Timed<M::Call>], order: &[u32]) -> bool {
    let (mut state, mut latest, mut placed) = (model.initial(), 0, vec![false; timed.len()]);
    for &at in order {
        let call = &timed[at as usize];
        if call.deadline() < latest || std::mem::replace(&mut placed[at as usize], true) {
            return false;
        }
        latest = latest.max(call.invoked);
        match model.step(&state, &call.call) {
            Some(next) => state = next,
            None => return false,
        }
    }
    (0..timed.len()).all(|at| placed[at] || timed[at].completed.is_none())
}
