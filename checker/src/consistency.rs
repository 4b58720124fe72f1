//! What a system can promise: the words by which a check is told how much to ask for.
//!
//! No checker is here. The names are those of Jepsen's map of consistency models (<https://jepsen.io/consistency/models>); which of
//! them a model has depends on whether its operations are transactions ([`Consistency::fits`]).

use std::fmt;
use std::str::FromStr;

use crate::models::ModelKind;

/// A promise about what clients see, weaker ones first within each of the two kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Consistency {
    /// One object: the reads of a process never go back.
    MonotonicReads,
    /// One object: a process sees its own writes.
    ReadYourWrites,
    /// Whoever sees an effect sees its causes too; for objects and for transactions.
    Causal,
    /// One object: one order for all, in which each process keeps its own.
    Sequential,
    /// One object: one order for all, in which whatever was over before comes before (Herlihy & Wing 1990).
    Linearizable,
    /// Transactions: writes have an order (Adya 1999: PL-1).
    ReadUncommitted,
    /// Transactions: what is read was committed (PL-2).
    ReadCommitted,
    /// Transactions: all or nothing of what another did is seen.
    ReadAtomic,
    /// Transactions: each reads from one moment, and no two that ran at once wrote the same.
    SnapshotIsolation,
    /// The same, and a process sees its own earlier transactions (Daudjee & Salem 2006).
    StrongSessionSnapshotIsolation,
    /// The same, and each sees all that was over when it began.
    StrongSnapshotIsolation,
    /// Transactions: one order for all (PL-3).
    Serializable,
    /// Transactions: one order for all, in which each process keeps its own.
    StrongSessionSerializable,
    /// Transactions: one order for all, in which whatever was over before comes before.
    StrictSerializable,
}

const NAMED: [(&str, Consistency); 14] = [
    ("linearizable", Consistency::Linearizable),
    ("sequential", Consistency::Sequential),
    ("strict-serializable", Consistency::StrictSerializable),
    ("strong-session-serializable", Consistency::StrongSessionSerializable),
    ("serializable", Consistency::Serializable),
    ("strong-snapshot-isolation", Consistency::StrongSnapshotIsolation),
    ("strong-session-snapshot-isolation", Consistency::StrongSessionSnapshotIsolation),
    ("snapshot-isolation", Consistency::SnapshotIsolation),
    ("causal", Consistency::Causal),
    ("read-your-writes", Consistency::ReadYourWrites),
    ("monotonic-reads", Consistency::MonotonicReads),
    ("read-atomic", Consistency::ReadAtomic),
    ("read-committed", Consistency::ReadCommitted),
    ("read-uncommitted", Consistency::ReadUncommitted),
];

impl Consistency {
    /// The strongest that there is for a model: what is asked for if nobody says otherwise.
    pub fn strongest(model: ModelKind) -> Consistency {
        match model.is_transactional() {
            true => Consistency::StrictSerializable,
            false => Consistency::Linearizable,
        }
    }

    /// Whether there is such a promise about the operations of this model.
    pub fn fits(self, model: ModelKind) -> bool {
        match self {
            Consistency::Causal => true,
            Consistency::MonotonicReads
            | Consistency::ReadYourWrites
            | Consistency::Sequential
            | Consistency::Linearizable => !model.is_transactional(),
            Consistency::ReadUncommitted
            | Consistency::ReadCommitted
            | Consistency::ReadAtomic
            | Consistency::SnapshotIsolation
            | Consistency::StrongSessionSnapshotIsolation
            | Consistency::StrongSnapshotIsolation
            | Consistency::Serializable
            | Consistency::StrongSessionSerializable
            | Consistency::StrictSerializable => model.is_transactional(),
        }
    }

    /// All there are, strongest first within each of the two kinds.
    pub fn all() -> impl Iterator<Item = Consistency> {
        NAMED.iter().map(|(_, consistency)| *consistency)
    }

    /// The names of all that fit, strongest first, as one line.
    pub fn names(model: ModelKind) -> String {
        let fitting = NAMED.iter().filter(|(_, consistency)| consistency.fits(model));
        fitting.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = NAMED.iter().find(|(_, consistency)| consistency == self);
        f.pad(named.expect("every one has a name").0)
    }
}

/// A name that no consistency has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown consistency `{name}` (hint: one of {})", NAMED.map(|(name, _)| name).join(", "))]
pub struct UnknownConsistency {
    name: String,
}

impl FromStr for Consistency {
    type Err = UnknownConsistency;

    fn from_str(name: &str) -> Result<Consistency, UnknownConsistency> {
        let named = NAMED.iter().find(|(known, _)| *known == name);
        named.map(|(_, consistency)| *consistency).ok_or_else(|| UnknownConsistency { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for (_, consistency) in NAMED {
            assert_eq!(consistency.to_string().parse(), Ok(consistency));
        }
        let error = "serialisable".parse::<Consistency>().expect_err("no such thing").to_string();
        assert!(
            error.starts_with("unknown consistency `serialisable` (hint: one of linearizable, "),
            "{error}"
        );
    }

    #[test]
    fn the_strongest_fits() {
        for model in [ModelKind::Register, ModelKind::MultiRegister, ModelKind::Queue, ModelKind::Append] {
            let strongest = Consistency::strongest(model);
            assert!(strongest.fits(model));
            assert!(Consistency::names(model).starts_with(&strongest.to_string()));
        }
    }
}
