//! A set: `add v`, `remove v`, and `read` → all of them in any order; empty at first.

use hashbrown::HashMap;

use super::interned::Interned;
use super::model::unknown;
use super::{Model, Part};
use crate::history::{Datum, History, Operation, Outcome};
use crate::linearizability::{Contents, Decision, Timed, decide_set};

/// The model of one set.
#[derive(Debug)]
pub struct Set {
    /// Numbers of values, each in ascending order: half as long as the values, since reads of large sets are many.
    states: Interned<Vec<u32>>,
    numbers: HashMap<Datum, u32>,
    values: Vec<Datum>,
    /// What the last read saw, with the numbers: most of it the next one sees too.
    latest: Vec<(Datum, u32)>,
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
        Set {
            states: Interned::starting_with(Vec::new()),
            numbers: HashMap::new(),
            values: Vec::new(),
            latest: Vec::new(),
        }
    }
}

impl Set {
    fn number(&mut self, value: Datum) -> u32 {
        let next = self.values.len() as u32;
        let number = *self.numbers.entry(value).or_insert(next);
        if number == next {
            self.values.push(value);
        }
        number
    }

    /// The values of a state.
    fn seen(&self, state: u32) -> Vec<Datum> {
        self.states.get(state).iter().map(|&number| self.values[number as usize]).collect()
    }

    /// The numbers of what was read, in ascending order.
    fn numbers(&mut self, items: &[Datum]) -> Vec<u32> {
        let latest = std::mem::take(&mut self.latest);
        let mut latest = latest.iter().peekable();
        let numbered = items.iter().map(|&item| match latest.next_if(|&&(value, _)| value == item) {
            Some(&known) => known,
            None => (item, self.number(item)),
        });
        let numbered: Vec<(Datum, u32)> = numbered.collect();
        let mut numbers: Vec<u32> = numbered.iter().map(|&(_, number)| number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        self.latest = numbered;
        numbers
    }
}

impl Contents for Set {
    fn size(&self, read: u32) -> u32 {
        self.states.get(read).len() as u32
    }

    fn beyond(&self, before: u32, after: u32) -> Option<Vec<Datum>> {
        if before == after {
            return Some(Vec::new());
        }
        let (before, after) = (self.states.get(before), self.states.get(after));
        let mut before = before.iter().peekable();
        let new = after.iter().filter(|number| before.next_if_eq(number).is_none());
        let new = new.map(|&number| self.values[number as usize]).collect();
        before.peek().is_none().then_some(new)
    }
}

impl Model for Set {
    type State = u32;
    type Call = SetCall;

    fn call(&mut self, history: &History, operation: &Operation) -> Result<SetCall, String> {
        match history.f(operation) {
            "add" => {
                self.number(operation.argument);
                Ok(SetCall::Add(operation.argument))
            }
            "remove" => {
                self.number(operation.argument);
                Ok(SetCall::Remove(operation.argument))
            }
            "read" if operation.outcome != Outcome::Ok => Ok(SetCall::ReadUnknown),
            "read" if operation.result.is_null() => Ok(SetCall::Read(0)),
            "read" => match history.values.as_list(operation.result) {
                Some(items) => {
                    let numbers = self.numbers(items);
                    Ok(SetCall::Read(self.states.number(numbers)))
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
        let number = self.numbers[&value];
        let mut next = Vec::clone(&items);
        match (items.binary_search(&number), is_added) {
            (Ok(_), true) | (Err(_), false) => return Some(state),
            (Err(place), true) => next.insert(place, number),
            (Ok(place), false) => {
                next.remove(place);
            }
        }
        Some(self.states.number(next))
    }

    fn is_read(&self, call: &SetCall) -> bool {
        matches!(call, SetCall::Read(_) | SetCall::ReadUnknown)
    }

    fn decide(&self, calls: &[Timed<SetCall>]) -> Option<(&'static str, Decision)> {
        Some(("set-inclusion", decide_set(calls, self)?))
    }

    fn show(&self, history: &History, &state: &u32) -> String {
        let seen = self.seen(state);
        let shown: Vec<String> = seen.iter().map(|&item| history.values.to_json(item).to_string()).collect();
        format!("{{{}}}", shown.join(", "))
    }

    fn part(&self, call: &SetCall) -> Part {
        match *call {
            SetCall::Add(value) => Part::Put(value),
            SetCall::Remove(value) => Part::Take(value),
            SetCall::Read(told) => Part::Sight(self.seen(told)),
            SetCall::ReadUnknown => Part::Sight(Vec::new()),
        }
    }

    fn apart_from(&self, call: &SetCall, is_gone: &dyn Fn(Datum) -> bool) -> SetCall {
        match *call {
            SetCall::Read(told) => {
                let remains = |number: &u32| !is_gone(self.values[*number as usize]);
                let numbers = self.states.get(told).iter().copied().filter(remains).collect();
                SetCall::Read(self.states.number(numbers))
            }
            other => other,
        }
    }
}
