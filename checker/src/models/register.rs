//! A register, with or without compare-and-set.
//!
//! Values are any JSON. They are numbered in the order in which they are met, so that the search compares numbers;
//! 0 is `null`, which is what the register holds at first.

use std::collections::HashMap;

use serde_json::Value;

use super::{Model, ModelKind};
use crate::history::{Operation, Outcome};

/// The model of one register.
#[derive(Debug)]
pub struct Register {
    kind: ModelKind,
    numbers: HashMap<Value, u32>,
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
    /// A register that takes the operations of `kind`.
    pub fn new(kind: ModelKind) -> Register {
        Register { kind, numbers: HashMap::from([(Value::Null, 0)]) }
    }

    fn value(&mut self, value: &Value) -> u32 {
        if let Some(&number) = self.numbers.get(value) {
            return number;
        }
        let number = u32::try_from(self.numbers.len()).expect("fewer values than operations");
        self.numbers.insert(value.clone(), number);
        number
    }
}

impl Model for Register {
    type State = u32;
    type Call = Call;

    fn call(&mut self, operation: &Operation) -> Result<Call, String> {
        let known = operation.outcome == Outcome::Ok;
        match (operation.f.as_str(), self.kind) {
            ("read", _) if !known => Ok(Call::ReadUnknown),
            ("read", _) => Ok(Call::Read(self.value(&operation.result))),
            ("write", _) => Ok(Call::Write(self.value(&operation.argument))),
            ("cas", ModelKind::CasRegister) => match operation.argument.as_array().map(Vec::as_slice) {
                Some([old, new]) => Ok(Call::Cas(self.value(old), self.value(new))),
                _ => Err(format!("`cas` takes a pair `[old, new]`, not `{}`", operation.argument)),
            },
            (f, ModelKind::Register) => Err(format!(
                "`{f}` is no operation of the model `register` (hint: it has `read` and `write`; `cas` is in `cas-register`)"
            )),
            (f, ModelKind::CasRegister) => Err(format!(
                "`{f}` is no operation of the model `cas-register` (hint: it has `read`, `write` and `cas`)"
            )),
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
