//! Models: what a single copy of the object, asked one operation at a time, would answer.
//!
//! [`model`](Model) is the trait, for one's own models too; each other file is a model.

mod chains;
mod counter;
mod etcd;
mod interned;
mod map;
mod model;
mod mutex;
mod register;
mod sequence;
mod set;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use hashbrown::HashSet;

use crate::history::{Datum, History, Operation, Outcome};

pub use counter::{Counter, CounterCall};
pub use etcd::Etcd;
pub(crate) use map::{MicroOperation, steps_of};
pub use map::{Registers, Text, TextCall};
pub use model::{Access, Edit, Model, Part, Tally};
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
    /// `txn` of `["append", key, value]` and `["r", key, [value, …]]`; lists are empty at first.
    Append,
    /// `txn` of `["w", key, value]` and `["r", key, value]`, where each value is written to a key once.
    RwRegister,
    /// `transfer` and `read` → a map of balances, whose sum never changes and of which none owes.
    Bank,
    /// The same, where accounts may owe.
    BankOverdraft,
    /// `write` of one micro-operation `["w", key, value]`, once for each key, and `read` of several `["r", key, value]`.
    LongFork,
    /// Ranges, transactions, leases and watches of one etcd; see the head of `models/etcd/request.rs`.
    Etcd,
}

/// All but semaphores, which are as many as there are numbers.
const NAMED: [(&str, ModelKind); 16] = [
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
    ("append", ModelKind::Append),
    ("rw-register", ModelKind::RwRegister),
    ("bank", ModelKind::Bank),
    ("bank-overdraft", ModelKind::BankOverdraft),
    ("long-fork", ModelKind::LongFork),
    ("etcd", ModelKind::Etcd),
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

/// Kinds of operations on an etcd.
const ETCD: &[&str] =
    &["range", "transaction", "grant-lease", "revoke-lease", "watch", "compact", "defragment"];

/// A name that no model has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown model `{name}` (hint: one of {})", ModelKind::names())]
pub struct UnknownModel {
    name: String,
}

impl ModelKind {
    /// The model that a history's operations belong to, if their names and results tell.
    pub fn of(history: &History) -> Option<ModelKind> {
        let asked: BTreeSet<_> = history.operations.iter().map(|operation| operation.f).collect();
        let names: BTreeSet<&str> =
            history.names().filter(|(name, _)| asked.contains(name)).map(|(_, text)| text).collect();
        let only = |all: &[&str]| names.iter().all(|name| all.contains(name));
        let has = |name: &str| names.contains(name);
        let first_read = || {
            let read = |operation: &&Operation| {
                history.f(operation) == "read"
                    && operation.outcome == Outcome::Ok
                    && !operation.result.is_null()
            };
            history.operations.iter().find(read).map(|operation| operation.result)
        };
        let reads_lists = || first_read().is_some_and(|read| history.values.as_list(read).is_some());
        let reads_maps = || first_read().is_some_and(|read| history.values.as_map(read).is_some());
        match () {
            () if only(&["read", "write", "txn"]) && micro_operations(history).next().is_some() => {
                Some(of_transactions(history, only(&["txn"])))
            }
            () if only(&["read", "transfer"]) && (has("transfer") || reads_maps()) => Some(ModelKind::Bank),
            () if only(&["read", "write"]) => Some(ModelKind::Register),
            () if only(&["read", "write", "cas"]) => Some(ModelKind::CasRegister),
            () if only(&["get", "put", "append"]) => Some(ModelKind::Kv),
            () if only(&["acquire", "release"]) => Some(ModelKind::Mutex),
            () if only(&["enqueue", "dequeue"]) => Some(ModelKind::Queue),
            () if only(&["push", "pop"]) => Some(ModelKind::Stack),
            () if only(&["append", "read"]) => Some(ModelKind::List),
            () if only(&["add", "remove", "read"]) && (has("remove") || reads_lists()) => {
                Some(ModelKind::Set)
            }
            () if only(&["add", "read"]) => Some(ModelKind::Counter),
            () if only(ETCD) => Some(ModelKind::Etcd),
            () if only(&["txn"]) => Some(ModelKind::MultiRegister),
            () => None,
        }
    }

    /// Whether its operations are transactions over several objects, which may promise less than one order in real time.
    pub fn is_transactional(self) -> bool {
        match self {
            ModelKind::Register
            | ModelKind::CasRegister
            | ModelKind::Kv
            | ModelKind::MultiRegister
            | ModelKind::Mutex
            | ModelKind::Semaphore(_)
            | ModelKind::Counter
            | ModelKind::Set
            | ModelKind::Queue
            | ModelKind::Stack
            | ModelKind::List
            | ModelKind::Etcd => false,
            ModelKind::Append
            | ModelKind::RwRegister
            | ModelKind::Bank
            | ModelKind::BankOverdraft
            | ModelKind::LongFork => true,
        }
    }

    /// All names, as one line.
    pub fn names() -> String {
        let names: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
        format!("{}, semaphore:N", names.join(", "))
    }
}

/// Name, key and value of all micro-operations that were asked for.
fn micro_operations(history: &History) -> impl Iterator<Item = [Datum; 3]> {
    let values = &history.values;
    let items = |operation: &Operation| values.as_list(operation.argument).unwrap_or(&[]).iter();
    let named = |item: &Datum| match values.as_list(*item) {
        Some(&[name, key, value]) if values.as_text(name).is_some() => Some([name, key, value]),
        _ => None,
    };
    history.operations.iter().flat_map(items).filter_map(named)
}

/// The model of transactions. Registers are judged by their dependencies if each value is written to a key once, because a search for one
/// order of all takes time exponential in what runs at once; other histories of registers leave no choice. Those of Knossos, which say
/// `read` and `write`, are about one object.
fn of_transactions(history: &History, is_txn: bool) -> ModelKind {
    let mut written = HashSet::new();
    for [name, key, value] in micro_operations(history) {
        match history.values.as_text(name) {
            Some("append") => return ModelKind::Append,
            Some("r") => {}
            Some("w") if value.is_null() || !written.insert((key, value)) => return ModelKind::MultiRegister,
            Some("w") => {}
            _ => return ModelKind::MultiRegister,
        }
    }
    if is_txn { ModelKind::RwRegister } else { ModelKind::LongFork }
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
