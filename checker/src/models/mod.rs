//! Models: what a single copy of the object, asked one operation at a time, would answer.
//!
//! [`model`](Model) is the trait, for one's own models too; each other file is a model.

mod counter;
mod interned;
mod map;
mod model;
mod mutex;
mod register;
mod sequence;
mod set;

use std::fmt;
use std::str::FromStr;

pub use counter::{Counter, CounterCall};
pub use map::{Registers, Text, TextCall};
pub use model::Model;
pub use mutex::{Semaphore, SemaphoreCall};
pub use register::{Call, Register};
pub use sequence::{Sequence, SequenceCall, SequenceKind};
pub use set::{Set, SetCall};

/// The models that have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModelKind {
    /// `read` and `write`; `null` at first.
    Register,
    /// `read`, `write` and `cas [old, new]`; `null` at first. A `cas` that does not match is a `fail`.
    CasRegister,
    /// `get`, `put` and `append` of texts under keys; `""` at first.
    Kv,
    /// `txn` of `["r", key, value]` and `["w", key, value]`, all at once; `null` at first.
    MultiRegister,
    /// `acquire` and `release`, without an owner.
    Mutex,
    /// The same with so many permits.
    Semaphore(u32),
    /// `add n` and `read`; 0 at first.
    Counter,
    /// `add v`, `remove v` and `read` → all of them.
    Set,
    /// `enqueue v`, `dequeue` → v, or `null` when empty.
    Queue,
    /// `push v`, `pop` → v, or `null` when empty.
    Stack,
    /// `append v`, `read` → all of them in order.
    List,
}

/// All but semaphores, which are as many as there are numbers.
const NAMED: [(&str, ModelKind); 10] = [
    ("register", ModelKind::Register),
    ("cas-register", ModelKind::CasRegister),
    ("kv", ModelKind::Kv),
    ("multi-register", ModelKind::MultiRegister),
    ("mutex", ModelKind::Mutex),
    ("counter", ModelKind::Counter),
    ("set", ModelKind::Set),
    ("queue", ModelKind::Queue),
    ("stack", ModelKind::Stack),
    ("list", ModelKind::List),
];

impl fmt::Display for ModelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, NAMED.iter().find(|(_, kind)| kind == self)) {
            (_, Some((name, _))) => f.pad(name),
            (ModelKind::Semaphore(permits), None) => write!(f, "semaphore:{permits}"),
            (_, None) => unreachable!("every other model has a name"),
        }
    }
}

/// A name that no model has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown model `{name}` (hint: one of {})", ModelKind::names())]
pub struct UnknownModel {
    name: String,
}

impl ModelKind {
    /// All names, as one line.
    pub fn names() -> String {
        let names: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
        format!("{}, semaphore:N", names.join(", "))
    }
}

impl FromStr for ModelKind {
    type Err = UnknownModel;

    fn from_str(name: &str) -> Result<ModelKind, UnknownModel> {
        let permits = name.strip_prefix("semaphore:").and_then(|permits| permits.parse().ok());
        let named = NAMED.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        named
            .or(permits.filter(|&permits| permits > 0).map(ModelKind::Semaphore))
            .ok_or_else(|| UnknownModel { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for kind in NAMED.iter().map(|(_, kind)| *kind).chain([ModelKind::Semaphore(3)]) {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        for wrong in ["cas", "semaphore:0", "semaphore:"] {
            let error = wrong.parse::<ModelKind>().expect_err("no such model").to_string();
            assert!(
                error.starts_with(&format!("unknown model `{wrong}` (hint: one of register, ")),
                "{error}"
            );
        }
    }
}
