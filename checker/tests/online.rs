//! Watching a history while it grows finds what checking it as a whole finds, and forgets nearly all of it.

mod generator;

use generator::{Shape, generated};
use rafture_checker::check::{Limits, Question, check};
use rafture_checker::models::ModelKind;
use rafture_checker::online::Watch;
use rafture_checker::verdict::Verdict;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[test]
fn what_is_watched_has_the_verdict_of_the_whole() {
    let seed = 20_261_124;
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut invalid, histories) = (0, 20_000);
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
        assert_eq!(watch.unwatched(), 0, "values are unique");
        invalid += usize::from(is_invalid);
    }
    assert!((histories / 20..histories / 2).contains(&invalid), "{invalid} invalid");
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
