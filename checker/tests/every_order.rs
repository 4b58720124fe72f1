//! All engines of linearizability against the obvious algorithm, which tries every order, on small random histories of every
//! model; and every order that they give against rules that share nothing with them.
//!
//! `HISTORIES=1000000 cargo test --release -p rafture-checker --test every_order` tries so many of them, all models together.

mod generator;

use generator::{Deed, MODELS, Made, Shape, generated};
use rafture_checker::check::{Limits, Question, check};
use rafture_checker::history::EventKind;
use rafture_checker::models::ModelKind;
use rafture_checker::verdict::Verdict;
use rafture_checker::witness;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

#[test]
fn small_histories_are_judged_as_by_trying_every_order() {
    let histories = std::env::var("HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(55_000);
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_123);
    println!("seed {seed}, {histories} histories");
    std::thread::scope(|scope| {
        for (model, number) in MODELS.into_iter().zip(0..) {
            scope.spawn(move || try_model(model, histories / MODELS.len(), seed + number));
        }
    });
}

fn try_model(model: ModelKind, histories: usize, seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut invalid = 0;
    for number in 0..histories {
        let shape = Shape {
            model,
            clients: random.random_range(1..5),
            operations: random.random_range(1..9),
            values: random.random_range(0..4),
            crashes: [0.0, 0.2, 0.6][random.random_range(0..3)],
            keys: 1,
        };
        let mut made = generated(&shape, random.random());
        for _ in 0..random.random_range(0..3) {
            mutate(&mut random, &mut made.deeds);
        }
        let limits = Limits { witness: true, ..Limits::NONE };
        let history = made.history();
        let outcome = check(&history, &Question::strongest(model), &limits)
            .unwrap_or_else(|error| panic!("history {number} of {model}, seed {seed}: {error}\n{made:#?}"));
        let case = Case::of(model, &made);
        let expected = case.has_order(&case.start(), &mut vec![false; made.deeds.len()]);
        let what = || format!("history {number} of {model}, seed {seed}, {}: {made:#?}", outcome.engine);
        assert_eq!(outcome.verdict == Verdict::Valid, expected, "{}", what());
        invalid += usize::from(!expected);
        match outcome.failure {
            Some(failure) => {
                let culprits = failure.operations.iter().filter(|operation| operation.culprit);
                assert_eq!(culprits.count(), 1, "{}", what());
            }
            None => {
                let order = outcome.witness.concat();
                assert!(case.explains(&order), "{order:?} of {}", what());
                let verified = witness::verify(&history, (model, &Value::Null), &outcome.witness);
                assert_eq!(verified, Ok(()), "{order:?} of {}", what());
                let broken = broken(&mut random, order);
                let verified =
                    witness::verify(&history, (model, &Value::Null), std::slice::from_ref(&broken));
                assert_eq!(verified.is_ok(), case.explains(&broken), "{broken:?} of {}", what());
            }
        }
    }
    // A test that meets only one verdict would prove nothing.
    let least = histories / 100;
    assert!((least..histories - least).contains(&invalid), "{model}: {invalid} of {histories} invalid");
}

/// An order that is probably none: two have changed their places, or one is missing or there twice.
fn broken(random: &mut ChaCha8Rng, mut order: Vec<u32>) -> Vec<u32> {
    if order.is_empty() {
        return order;
    }
    let (one, other) = (random.random_range(0..order.len()), random.random_range(0..order.len()));
    match random.random_range(0..4) {
        0 => drop(order.remove(one)),
        1 => order.push(order[one]),
        _ => order.swap(one, other),
    }
    order
}

/// Gives one operation the result of another, or makes one that failed succeed; or does nothing.
fn mutate(random: &mut ChaCha8Rng, deeds: &mut [Deed]) {
    let at = random.random_range(0..deeds.len());
    let other = deeds[random.random_range(0..deeds.len())].clone();
    let deed = &mut deeds[at];
    match deed.kind {
        EventKind::Ok if deed.argument.is_null() && other.f == deed.f && at % 2 == 0 => {
            deed.result = other.result;
        }
        EventKind::Ok if matches!(deed.f, "dequeue" | "pop") => deed.result = other.argument,
        EventKind::Ok if deed.f == "read" && deed.result.is_number() && !other.argument.is_array() => {
            deed.result = if other.argument.is_null() { deed.result.clone() } else { other.argument };
        }
        EventKind::Ok
            if deed.f == "read" && deed.result.as_array().is_some_and(|items| !items.is_empty()) =>
        {
            let items = deed.result.as_array_mut().expect("a list");
            let (one, other) = (random.random_range(0..items.len()), random.random_range(0..items.len()));
            match one == other {
                true => drop(items.remove(one)),
                false => items.swap(one, other),
            }
        }
        EventKind::Ok if deed.f == "txn" => {
            let steps = deed.result.as_array_mut().expect("steps");
            let step = random.random_range(0..steps.len());
            if steps[step][0] == "r" {
                steps[step][2] = json!(random.random_range(0..3));
            }
        }
        EventKind::Fail => {
            deed.kind = EventKind::Ok;
            deed.result = deed.argument.clone();
        }
        _ => {}
    }
}

/// A history of one object, with places of its events.
struct Case<'m> {
    model: ModelKind,
    deeds: &'m [Deed],
    invoked: Vec<usize>,
    completed: Vec<Option<usize>>,
}

impl Case<'_> {
    fn of(model: ModelKind, made: &Made) -> Case<'_> {
        let (mut invoked, mut completed) = (vec![0; made.deeds.len()], vec![None; made.deeds.len()]);
        for (place, &(_, at, is_end)) in made.moments.iter().enumerate() {
            match is_end {
                true => completed[at] = Some(place).filter(|_| made.deeds[at].kind == EventKind::Ok),
                false => invoked[at] = place,
            }
        }
        Case { model, deeds: &made.deeds, invoked, completed }
    }

    fn start(&self) -> Value {
        match self.model {
            ModelKind::Counter | ModelKind::Mutex | ModelKind::Semaphore(_) => json!(0),
            ModelKind::Set | ModelKind::Queue | ModelKind::Stack | ModelKind::List => json!([]),
            ModelKind::Kv => json!(""),
            ModelKind::MultiRegister | ModelKind::RwRegister => json!([null, null]),
            ModelKind::Register | ModelKind::CasRegister => Value::Null,
            ModelKind::Append | ModelKind::Bank | ModelKind::BankOverdraft | ModelKind::LongFork => {
                unreachable!("no history of transactions is made here")
            }
            ModelKind::Etcd => unreachable!("it is not generated"),
        }
    }

    /// Whichever unplaced operation was invoked before all completions of unplaced ones may be next.
    fn has_order(&self, state: &Value, placed: &mut Vec<bool>) -> bool {
        let unplaced = (0..self.deeds.len()).filter(|&at| !placed[at]);
        let Some(first) = unplaced.filter_map(|at| self.completed[at]).min() else {
            return true;
        };
        for at in 0..self.deeds.len() {
            if placed[at] || self.deeds[at].kind == EventKind::Fail || self.invoked[at] > first {
                continue;
            }
            if let Some(next) = self.step(state, at) {
                placed[at] = true;
                if self.has_order(&next, placed) {
                    return true;
                }
                placed[at] = false;
            }
        }
        false
    }

    /// Whether the order holds what happened, once each, within their times, with these results.
    fn explains(&self, order: &[u32]) -> bool {
        let mut state = self.start();
        let (mut placed, mut latest) = (vec![false; self.deeds.len()], 0);
        for &at in order {
            let at = at as usize;
            let is_late = self.completed[at].is_some_and(|completed| completed < latest);
            let again = std::mem::replace(&mut placed[at], true);
            if again || is_late || self.deeds[at].kind == EventKind::Fail {
                return false;
            }
            latest = latest.max(self.invoked[at]);
            match self.step(&state, at) {
                Some(next) => state = next,
                None => return false,
            }
        }
        (0..self.deeds.len()).all(|at| placed[at] || self.deeds[at].kind != EventKind::Ok)
    }

    /// The object in a few words, without the checker's own models. The state after, if the operation is possible.
    fn step(&self, state: &Value, at: usize) -> Option<Value> {
        let Deed { f, argument, result, kind, .. } = &self.deeds[at];
        let is_known = *kind == EventKind::Ok;
        let list = |state: &Value| state.as_array().expect("a list").clone();
        let saw = |value: &Value| !is_known || value == result;
        let taken = |mut items: Vec<Value>, from_front: bool| {
            let item = match (items.is_empty(), from_front) {
                (true, _) => Value::Null,
                (_, true) => items.remove(0),
                _ => items.pop().expect("it is not empty"),
            };
            saw(&item).then(|| json!(items))
        };
        match *f {
            "read" if self.model == ModelKind::Set => {
                let sorted = |value: &Value| {
                    let mut items: Vec<u64> = list(value).iter().filter_map(Value::as_u64).collect();
                    items.sort_unstable();
                    items
                };
                (!is_known || sorted(state) == sorted(result)).then(|| state.clone())
            }
            "read" | "get" => saw(state).then(|| state.clone()),
            "write" | "put" => Some(argument.clone()),
            "cas" => (argument[0] == *state).then(|| argument[1].clone()),
            "add" if self.model == ModelKind::Counter => Some(json!(state.as_i64()? + argument.as_i64()?)),
            "add" if list(state).contains(argument) => Some(state.clone()),
            "append" if self.model == ModelKind::Kv => {
                Some(json!(state.as_str()?.to_owned() + argument.as_str()?))
            }
            "add" | "enqueue" | "push" | "append" => {
                let mut items = list(state);
                items.push(argument.clone());
                Some(json!(items))
            }
            "dequeue" => taken(list(state), true),
            "pop" => taken(list(state), false),
            "acquire" => {
                let permits = if let ModelKind::Semaphore(permits) = self.model { permits.into() } else { 1 };
                state.as_u64().filter(|&held| held < permits).map(|held| json!(held + 1))
            }
            "release" => state.as_u64()?.checked_sub(1).map(|held| json!(held)),
            "txn" => {
                let mut state = state.clone();
                let steps = if is_known { result } else { argument };
                for step in steps.as_array().expect("steps") {
                    let register = step[1].as_u64()? as usize;
                    match step[0] == "w" {
                        true => state[register] = step[2].clone(),
                        false if is_known && state[register] != step[2] => return None,
                        false => {}
                    }
                }
                Some(state)
            }
            other => unreachable!("no object has {other}"),
        }
    }
}
