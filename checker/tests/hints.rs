//! The hints of a model (`needs`, `makes`, `number`) make a search shorter and never change its verdict, whichever of them a model
//! gives: everything is judged again by the same model without any.

mod generator;

use generator::{Shape, generated};
use rafture_checker::check::Limits;
use rafture_checker::history::{History, Operation, Outcome};
use rafture_checker::linearizability::check_with;
use rafture_checker::models::{Model, ModelKind};
use rafture_checker::verdict::Verdict;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const VALUES: u32 = 3;

/// A register of few values, in which a write of the last value moves it on by one instead, and which holds 0 at first.
struct Register {
    hints: Hints,
}

/// Which hints are given, and of which calls.
#[derive(Debug, Clone, Copy)]
struct Hints {
    numbers: bool,
    needs: [bool; 2],
    makes: [bool; 2],
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Call {
    Read(Option<u32>),
    Write(u32),
    MoveOn,
    Cas(u32, u32),
}

impl Model for Register {
    type State = u32;
    type Call = Call;

    fn call(&mut self, history: &History, operation: &Operation) -> Result<Call, String> {
        let number = |value: rafture_checker::history::Datum| value.as_integer().unwrap_or(0) as u32;
        Ok(match history.f(operation) {
            "read" if operation.outcome == Outcome::Ok => Call::Read(Some(number(operation.result))),
            "read" => Call::Read(None),
            "write" if number(operation.argument) == VALUES - 1 => Call::MoveOn,
            "write" => Call::Write(number(operation.argument)),
            _ => {
                let pair = history.values.as_list(operation.argument).expect("a pair");
                Call::Cas(number(pair[0]), number(pair[1]))
            }
        })
    }

    fn initial(&self) -> u32 {
        0
    }

    fn step(&self, &state: &u32, call: &Call) -> Option<u32> {
        match *call {
            Call::Read(told) => told.is_none_or(|told| told == state).then_some(state),
            Call::Write(value) => Some(value),
            Call::MoveOn => Some((state + 1) % VALUES),
            Call::Cas(old, new) => (old == state).then_some(new),
        }
    }

    fn is_read(&self, call: &Call) -> bool {
        matches!(call, Call::Read(_))
    }

    fn number(&self, &state: &u32) -> Option<u32> {
        self.hints.numbers.then_some(state)
    }

    fn needs(&self, call: &Call) -> Option<u32> {
        match *call {
            Call::Read(told) => told.filter(|_| self.hints.needs[0]),
            Call::Cas(old, _) => Some(old).filter(|_| self.hints.needs[1]),
            Call::Write(_) | Call::MoveOn => None,
        }
    }

    fn makes(&self, call: &Call) -> Option<u32> {
        match *call {
            Call::Write(value) => Some(value).filter(|_| self.hints.makes[0]),
            // What makes a state and needs none is possible in every state, so this needs the other hint.
            Call::Cas(_, new) => Some(new).filter(|_| self.hints.makes[1] && self.hints.needs[1]),
            Call::Read(_) | Call::MoveOn => None,
        }
    }
}

/// `HISTORIES=1000000 cargo test --release -p rafture-checker --test hints` tries so many.
#[test]
fn hints_never_change_a_verdict() {
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let (histories, seed) = (variable("HISTORIES").unwrap_or(20_000), variable("SEED").unwrap_or(20_261_126));
    println!("seed {seed}, {histories} histories");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut invalid = 0;
    for number in 0..histories {
        let shape = Shape {
            model: ModelKind::CasRegister,
            clients: random.random_range(1..5),
            operations: random.random_range(1..9),
            values: u64::from(VALUES),
            crashes: [0.0, 0.1, 0.5][random.random_range(0..3)],
            keys: 1,
        };
        let made = generated(&shape, random.random());
        let history = made.history();
        let judged = |hints: Hints| {
            let outcome = check_with("moving", || Register { hints }, &history, &Limits::NONE);
            outcome.expect("the shape").verdict
        };
        let without = judged(Hints { numbers: false, needs: [false; 2], makes: [false; 2] });
        for given in 0..32 {
            let bit = |at: u32| given >> at & 1 == 1;
            let hints = Hints { numbers: bit(0), needs: [bit(1), bit(2)], makes: [bit(3), bit(4)] };
            assert_eq!(judged(hints), without, "history {number}, seed {seed}, {hints:?}: {made:#?}");
        }
        invalid += u64::from(without == Verdict::Invalid);
    }
    assert!((histories / 20..histories * 19 / 20).contains(&invalid), "{invalid} of {histories} are invalid");
}
