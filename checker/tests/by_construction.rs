//! Histories of some hundred operations, too long to try every order: whatever is linearizable by construction is never called
//! invalid, however a search narrows what it looks at.

mod generator;

use std::sync::atomic::{AtomicU64, Ordering};

use generator::{MODELS, Shape, Twist, generated_with};
use rafture_checker::check::{Limits, Outcome, Question, check};
use rafture_checker::models::ModelKind;
use rafture_checker::verdict::Verdict;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const TWISTS: [Twist; 6] =
    [Twist::None, Twist::Burst, Twist::Late, Twist::OwnValue, Twist::HotKey, Twist::Pauses];

/// Looks at the clock, each after some thousand steps, until a search is given up.
const LOOKS_MAX: u64 = 20;
/// The same for long ones.
const LOOKS_MAX_LONG: u64 = 400;

/// The outcome for a history of that shape, with so many looks at the clock.
fn judged(shape: &Shape, twist: Twist, seed: u64, looks_max: u64) -> Outcome {
    let history = generated_with(shape, twist, seed).history();
    let looks = AtomicU64::new(0);
    let out_of_time = || looks.fetch_add(1, Ordering::Relaxed) > looks_max;
    let limits = Limits { out_of_time: &out_of_time, memory_bytes: Some(1 << 28), ..Limits::NONE };
    check(&history, &Question::strongest(shape.model), &limits).expect("the shape")
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn what_is_linearizable_by_construction_is_never_called_invalid() {
    let histories = variable("HISTORIES").unwrap_or(1100);
    let seed = variable("SEED").unwrap_or(20_261_125);
    println!("seed {seed}, {histories} histories");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut decided = 0;
    for number in 0..histories {
        let shape = Shape {
            model: MODELS[(number % MODELS.len() as u64) as usize],
            clients: random.random_range(2..30),
            operations: random.random_range(50..600),
            values: random.random_range(0..5),
            crashes: [0.0, 0.01, 0.1, 0.3][random.random_range(0..4)],
            keys: 1,
        };
        let twist = TWISTS[random.random_range(0..TWISTS.len())];
        let outcome = judged(&shape, twist, random.random(), LOOKS_MAX);
        let what = || format!("history {number}, seed {seed}, {shape:?}, {twist:?}: {outcome:#?}");
        assert_ne!(outcome.verdict, Verdict::Invalid, "{}", what());
        decided += u64::from(outcome.verdict == Verdict::Valid);
    }
    assert!(decided * 10 > histories * 7, "{decided} of {histories} decided");
}

/// A search that is narrowed goes back where it cannot go on; that it comes through in the end is seen only in long histories.
#[test]
fn long_histories_of_few_values_are_decided() {
    let histories = variable("LONG").unwrap_or(16);
    let seed = variable("SEED").unwrap_or(20_261_126);
    println!("seed {seed}, {histories} histories");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for number in 0..histories {
        let shape = Shape {
            model: [ModelKind::CasRegister, ModelKind::Register][usize::from(number % 4 == 3)],
            clients: random.random_range(8..24),
            operations: 20_000,
            values: random.random_range(3..6),
            crashes: [0.0, 0.0, 0.01, 0.05][random.random_range(0..4)],
            keys: 1,
        };
        let twist = TWISTS[random.random_range(0..TWISTS.len())];
        let outcome = judged(&shape, twist, random.random(), LOOKS_MAX_LONG);
        let what = || format!("history {number}, seed {seed}, {shape:?}, {twist:?}: {outcome:#?}");
        assert_eq!(outcome.verdict, Verdict::Valid, "{}", what());
    }
}
