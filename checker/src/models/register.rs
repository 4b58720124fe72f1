//! A register, with or without compare-and-set.
//!
//! Values are of any kind. They are numbered in the order in which they are met, so that the search can index
//! tables; 0 is what the register holds at first.

use hashbrown::HashMap;

use super::Model;
use super::model::unknown;
use crate::history::{Datum, History, Operation, Outcome};
use crate::linearizability::{Decision, Timed, decide_register};

/// The model of one register.
#[derive(Debug)]
pub struct Register {
    has_cas: bool,
    numbers: HashMap<Datum, u32>,
    values: Vec<Datum>,
}

/// An operation on a register; values by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// A read whose result is not known: it says nothing.
    ReadUnknown,
    /// A read of this value.
    Read(u32),
    /// A write of this value.
    Write(u32),
    /// The first value was there and the second took its place.
    Cas(u32, u32),
}

impl Register {
    /// A register that holds `initial` at first, and knows `cas` or not.
    pub fn new(has_cas: bool, initial: Datum) -> Register {
        Register { has_cas, numbers: HashMap::from([(initial, 0)]), values: vec![initial] }
    }

    fn value(&mut self, value: Datum) -> u32 {
        let next = u32::try_from(self.values.len()).expect("fewer values than operations");
        let number = *self.numbers.entry(value).or_insert(next);
        if number == next {
            self.values.push(value);
        }
        number
    }
}

impl Model for Register {
    type State = u32;
    type Call = Call;

    fn call(&mut self, history: &History, operation: &Operation) -> Result<Call, String> {
        let known = operation.outcome == Outcome::Ok;
        match history.f(operation) {
            "read" if !known => Ok(Call::ReadUnknown),
            "read" => Ok(Call::Read(self.value(operation.result))),
            "write" => Ok(Call::Write(self.value(operation.argument))),
            "cas" if self.has_cas => match history.values.as_list(operation.argument) {
                Some(&[old, new]) => Ok(Call::Cas(self.value(old), self.value(new))),
                _ => {
                    let argument = history.values.to_json(operation.argument);
                    Err(format!("`cas` takes a pair `[old, new]`, not `{argument}`"))
                }
            },
            f if self.has_cas => Err(unknown(f, "cas-register", "it has `read`, `write` and `cas`")),
            f => Err(unknown(f, "register", "it has `read` and `write`; `cas` is in `cas-register`")),
        }
    }

    fn initial(&self) -> u32 {
        0
    }

    fn step(&self, &state: &u32, call: &Call) -> Option<u32> {
        match *call {
            Call::ReadUnknown => Some(state),
            Call::Read(value) => (state == value).then_some(state),
            Call::Write(value) => Some(value),
            Call::Cas(old, new) => (state == old).then_some(new),
        }
    }

    fn is_read(&self, call: &Call) -> bool {
        matches!(call, Call::ReadUnknown | Call::Read(_))
    }

    fn show(&self, history: &History, &state: &u32) -> String {
        history.values.to_json(self.values[state as usize]).to_string()
    }

    fn decide(&self, calls: &[Timed<Call>]) -> Option<(&'static str, Decision)> {
        Some(("unique-values", decide_register(calls, self.values.len())?))
    }

    fn number(&self, &state: &u32) -> Option<u32> {
        Some(state)
    }

    fn needs(&self, call: &Call) -> Option<u32> {
        match *call {
            Call::Read(value) | Call::Cas(value, _) => Some(value),
            Call::ReadUnknown | Call::Write(_) => None,
        }
    }

    fn makes(&self, call: &Call) -> Option<u32> {
        match *call {
            Call::Write(value) | Call::Cas(_, value) => Some(value),
            Call::ReadUnknown | Call::Read(_) => None,
        }
    }
}
