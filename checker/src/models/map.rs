//! Objects under names: a key-value map of texts with `get`, `put` and `append`, and a set of registers that
//! transactions read and write together.
//!
//! Keys of a map are independent, so one instance is one key's text. Registers of one history are not: one transaction touches
//! several.

use std::rc::Rc;

use hashbrown::HashMap;

use super::interned::Interned;
use super::model::unknown;
use super::{Access, Edit, Model};
use crate::history::{Datum, History, Operation, Outcome};

/// One key of a key-value map; `""` at first.
#[derive(Debug)]
pub struct Text {
    states: Interned<String>,
    pieces: Vec<Rc<String>>,
    numbers: HashMap<String, u32>,
}

/// An operation on a text; states by number, appended pieces too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextCall {
    /// It read this state.
    Get(u32),
    /// A `get` whose result is not known.
    GetUnknown,
    /// It became this state.
    Put(u32),
    /// This piece was put behind it.
    Append(u32),
}

impl Default for Text {
    fn default() -> Text {
        Text { states: Interned::starting_with(String::new()), pieces: Vec::new(), numbers: HashMap::new() }
    }
}

impl Text {
    fn piece(&mut self, text: &str) -> u32 {
        let next = self.pieces.len() as u32;
        let number = *self.numbers.entry_ref(text).or_insert(next);
        if number == next {
            self.pieces.push(Rc::new(text.to_owned()));
        }
        number
    }
}

impl Model for Text {
    type State = u32;
    type Call = TextCall;

    fn call(&mut self, history: &History, operation: &Operation) -> Result<TextCall, String> {
        let text = |value: Datum| {
            if value.is_null() {
                return Ok("");
            }
            let text = history.values.as_text(value);
            text.ok_or_else(|| format!("a map holds texts, not `{}`", history.values.to_json(value)))
        };
        match history.f(operation) {
            "get" | "read" if operation.outcome != Outcome::Ok => Ok(TextCall::GetUnknown),
            "get" | "read" => Ok(TextCall::Get(self.states.number(text(operation.result)?.to_owned()))),
            "put" | "write" => Ok(TextCall::Put(self.states.number(text(operation.argument)?.to_owned()))),
            "append" => Ok(TextCall::Append(self.piece(text(operation.argument)?))),
            f => Err(unknown(f, "kv", "it has `get`, `put` and `append`")),
        }
    }

    fn initial(&self) -> u32 {
        0
    }

    fn step(&self, &state: &u32, call: &TextCall) -> Option<u32> {
        match *call {
            TextCall::Get(told) => (told == state).then_some(state),
            TextCall::GetUnknown => Some(state),
            TextCall::Put(next) => Some(next),
            TextCall::Append(piece) => {
                let mut text = String::clone(&self.states.get(state));
                text += &self.pieces[piece as usize];
                Some(self.states.number(text))
            }
        }
    }

    fn is_read(&self, call: &TextCall) -> bool {
        matches!(call, TextCall::Get(_) | TextCall::GetUnknown)
    }

    fn edit(&self, call: &TextCall) -> Option<Edit> {
        Some(match *call {
            TextCall::Get(told) => Edit::Told(Some(self.states.get(told))),
            TextCall::GetUnknown => Edit::Told(None),
            TextCall::Put(next) => Edit::Put(self.states.get(next)),
            TextCall::Append(piece) => Edit::Append(Rc::clone(&self.pieces[piece as usize])),
        })
    }

    fn show(&self, _: &History, &state: &u32) -> String {
        format!("{:?}", self.states.get(state))
    }
}

/// Registers that transactions read and write together; each holds one value at first.
#[derive(Debug)]
pub struct Registers {
    initial: Datum,
    states: Interned<Vec<Datum>>,
    numbers: HashMap<Datum, usize>,
    names: Vec<Datum>,
    transactions: Vec<Vec<Step>>,
    known: HashMap<Vec<Step>, u32>,
}

/// One micro-operation: a register by its place, and the value read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    Read(usize, Datum),
    Write(usize, Datum),
}

impl Registers {
    /// Registers that hold `initial` at first.
    pub fn new(initial: Datum) -> Registers {
        Registers {
            initial,
            states: Interned::starting_with(Vec::new()),
            numbers: HashMap::new(),
            names: Vec::new(),
            transactions: Vec::new(),
            known: HashMap::new(),
        }
    }

    fn step_of(&mut self, history: &History, step: Datum, is_known: bool) -> Result<Option<Step>, String> {
        let MicroOperation { key, value, is_read } = MicroOperation::of(history, step)?;
        let next = self.numbers.len();
        let place = *self.numbers.entry(key).or_insert(next);
        if place == next {
            self.names.push(key);
        }
        match is_read {
            true => Ok(is_known.then_some(Step::Read(place, value))),
            false => Ok(Some(Step::Write(place, value))),
        }
    }
}

/// One step of a transaction as it was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MicroOperation {
    pub(crate) key: Datum,
    pub(crate) value: Datum,
    pub(crate) is_read: bool,
}

impl MicroOperation {
    pub(crate) fn of(history: &History, step: Datum) -> Result<MicroOperation, String> {
        let wrong = || {
            let shown = history.values.to_json(step);
            format!("a micro-operation is `[\"r\", key, value]` or `[\"w\", key, value]`, not `{shown}`")
        };
        let Some(&[name, key, value]) = history.values.as_list(step) else {
            return Err(wrong());
        };
        match history.values.as_text(name) {
            Some("r" | "read") => Ok(MicroOperation { key, value, is_read: true }),
            Some("w" | "write") => Ok(MicroOperation { key, value, is_read: false }),
            _ => Err(wrong()),
        }
    }
}

/// The steps of a transaction: with its results where it is known to have happened.
///
/// # Errors
/// What is no transaction.
pub(crate) fn steps_of<'h>(history: &'h History, operation: &Operation) -> Result<&'h [Datum], String> {
    let f = history.f(operation);
    if f != "txn" {
        return Err(unknown(f, "multi-register", "it has `txn`"));
    }
    let is_known = operation.outcome == Outcome::Ok;
    let value = if is_known { operation.result } else { operation.argument };
    history.values.as_list(value).ok_or_else(|| {
        format!("`txn` takes a list of micro-operations, not `{}`", history.values.to_json(value))
    })
}

impl Model for Registers {
    type State = u32;
    /// The number of a transaction.
    type Call = u32;

    fn call(&mut self, history: &History, operation: &Operation) -> Result<u32, String> {
        let items = steps_of(history, operation)?;
        let is_known = operation.outcome == Outcome::Ok;
        let mut steps = Vec::with_capacity(items.len());
        for &item in items {
            steps.extend(self.step_of(history, item, is_known)?);
        }
        let next = self.transactions.len() as u32;
        let number = *self.known.entry(steps.clone()).or_insert(next);
        if number == next {
            self.transactions.push(steps);
        }
        Ok(number)
    }

    fn initial(&self) -> u32 {
        0
    }

    fn step(&self, &state: &u32, &call: &u32) -> Option<u32> {
        let before = self.states.get(state);
        let mut after = Vec::clone(&before);
        // Registers come up as they are met, and none differs from its first value before that.
        after.resize(self.numbers.len(), self.initial);
        for step in &self.transactions[call as usize] {
            match *step {
                Step::Read(place, value) if after[place] != value => return None,
                Step::Read(..) => {}
                Step::Write(place, value) => after[place] = value,
            }
        }
        while after.last() == Some(&self.initial) {
            after.pop();
        }
        Some(if after == *before { state } else { self.states.number(after) })
    }

    fn is_read(&self, &call: &u32) -> bool {
        self.transactions[call as usize].iter().all(|step| matches!(step, Step::Read(..)))
    }

    fn accesses(&self, &call: &u32) -> Option<Vec<Access>> {
        let mut accesses: Vec<Access> = Vec::new();
        for step in &self.transactions[call as usize] {
            let (place, value, is_read) = match *step {
                Step::Read(place, value) => (place, value, true),
                Step::Write(place, value) => (place, value, false),
            };
            let register = self.names[place];
            let own = accesses.iter_mut().find(|access| access.register == register && !access.is_read);
            match own {
                Some(_) if is_read => {}
                Some(own) => own.value = value,
                None => accesses.push(Access { register, value, is_read, is_initial: false }),
            }
        }
        for access in &mut accesses {
            access.is_initial = access.value == self.initial;
        }
        Some(accesses)
    }

    fn show(&self, history: &History, &state: &u32) -> String {
        let values = self.states.get(state);
        let mut names: Vec<_> = self.numbers.iter().collect();
        names.sort_unstable_by_key(|&(_, place)| place);
        let shown: Vec<String> = names
            .into_iter()
            .map(|(&key, &place)| {
                let value = values.get(place).copied().unwrap_or(self.initial);
                format!("{} = {}", history.values.to_json(key), history.values.to_json(value))
            })
            .collect();
        shown.join(", ")
    }
}
