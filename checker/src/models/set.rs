//! A set: `add v`, `remove v`, and `read` → all of them in any order; empty at first.

use super::interned::Interned;
use super::model::unknown;
use super::{Model, Part};
use crate::history::{Datum, History, Operation, Outcome};

/// The model of one set.
#[derive(Debug)]
pub struct Set {
    /// Each in ascending order.
    states: Interned<Vec<Datum>>,
}

/// An operation on a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SetCall {
    /// The value was put in, or was there.
    Add(Datum),
    /// The value was taken out, or was not there.
    Remove(Datum),
    /// All of it was read, and it was the state of this number.
    Read(u32),
    /// A read whose result is not known.
    ReadUnknown,
}

impl Default for Set {
    fn default() -> Set {
        Set { states: Interned::starting_with(Vec::new()) }
    }
}

impl Model for Set {
    type State = u32;
    type Call = SetCall;

    fn call(&mut self, history: &History, operation: &Operation) -> Result<SetCall, String> {
        match history.f(operation) {
            "add" => Ok(SetCall::Add(operation.argument)),
            "remove" => Ok(SetCall::Remove(operation.argument)),
            "read" if operation.outcome != Outcome::Ok => Ok(SetCall::ReadUnknown),
            "read" if operation.result.is_null() => Ok(SetCall::Read(0)),
            "read" => match history.values.as_list(operation.result) {
                Some(items) => {
                    let mut items = items.to_vec();
                    items.sort_unstable();
                    items.dedup();
                    Ok(SetCall::Read(self.states.number(items)))
                }
                None => {
                    let result = history.values.to_json(operation.result);
                    Err(format!("`read` of a set gives a list, not `{result}`"))
                }
            },
            f => Err(unknown(f, "set", "it has `add`, `remove` and `read`")),
        }
    }

    fn initial(&self) -> u32 {
        0
    }

    fn step(&self, &state: &u32, call: &SetCall) -> Option<u32> {
        let (value, is_added) = match *call {
            SetCall::Read(told) => return (told == state).then_some(state),
            SetCall::ReadUnknown => return Some(state),
            SetCall::Add(value) => (value, true),
            SetCall::Remove(value) => (value, false),
        };
        let items = self.states.get(state);
        let mut next = Vec::clone(&items);
        match (items.binary_search(&value), is_added) {
            (Ok(_), true) | (Err(_), false) => return Some(state),
            (Err(place), true) => next.insert(place, value),
            (Ok(place), false) => {
                next.remove(place);
            }
        }
        Some(self.states.number(next))
    }

    fn is_read(&self, call: &SetCall) -> bool {
        matches!(call, SetCall::Read(_) | SetCall::ReadUnknown)
    }

    fn show(&self, history: &History, &state: &u32) -> String {
        let items = self.states.get(state);
        let shown: Vec<String> = items.iter().map(|&item| history.values.to_json(item).to_string()).collect();
        format!("{{{}}}", shown.join(", "))
    }

    fn part(&self, call: &SetCall) -> Part {
        match *call {
            SetCall::Add(value) => Part::Put(value),
            SetCall::Remove(value) => Part::Take(value),
            SetCall::Read(told) => Part::Sight(Vec::clone(&self.states.get(told))),
            SetCall::ReadUnknown => Part::Sight(Vec::new()),
        }
    }

    fn apart_from(&self, call: &SetCall, is_gone: &dyn Fn(Datum) -> bool) -> SetCall {
        match *call {
            SetCall::Read(told) => {
                let remains = |&value: &Datum| !is_gone(value);
                let items = self.states.get(told).iter().copied().filter(remains).collect();
                SetCall::Read(self.states.number(items))
            }
            other => other,
        }
    }
}
