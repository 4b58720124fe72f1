//! The names of what goes wrong with transactions, and which promises each of them breaks.
//!
//! Nothing is found here. The one idea: an anomaly is as bad as the weakest level that forbids it (Adya 1999, Sections 3.2 and
//! 4.2; Kingsbury & Alvaro 2020, Section 5), and a cycle that needs the order of a process, or of real time, breaks only promises
//! about that order.
//!
//! | level | forbids, together with what stands above |
//! |---|---|
//! | read-uncommitted | `G0`, `duplicate elements`, `garbage read` |
//! | read-committed | `G1a`, `G1b`, `G1c`, `dirty update`, `incompatible order`, `internal` |
//! | snapshot-isolation | `non-repeatable read`, `lost update`, `G-single`, `G-nonadjacent`, `long fork`, `wrong total`, `negative balance` |
//! | serializable | `G2-item` |

use std::collections::BTreeMap;
use std::fmt;

use crate::consistency::Consistency;
use crate::failure::Failure;

/// What was found, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Anomaly {
    /// A value was read that nobody wrote.
    GarbageRead,
    /// A list held an element twice that was appended once.
    DuplicateElements,
    /// A transaction that was aborted was seen by another.
    G1a,
    /// A committed append stands behind one of an aborted transaction.
    DirtyUpdate,
    /// A value was read that its own writer overwrote in the same transaction.
    G1b,
    /// Two reads of a list, of which neither is a beginning of the other.
    IncompatibleOrder,
    /// A transaction does not see what it wrote itself, or sees what it wrote only later.
    Internal,
    /// A transaction sees two versions of an object that it did not write.
    NonRepeatableRead,
    /// Two transactions read one version of an object, and both replaced it.
    LostUpdate,
    /// Two reads saw two writes in opposite orders.
    LongFork,
    /// A read of all accounts that do not add up.
    WrongTotal,
    /// A read of an account that owes.
    NegativeBalance,
    /// A value was read whose writer may stand in a part of the history that was not recorded; it breaks nothing.
    UnexplainedRead,
    /// A search found no order in real time, though there is no circle.
    NoOrder,
    /// A circle of transactions, each of which must come before the next.
    Cycle(Order, Class),
}

/// What a cycle consists of, besides process and real-time edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Writes behind writes only.
    G0,
    /// Those and reads of writes.
    G1c,
    /// Exactly one read of what was then overwritten.
    GSingle,
    /// Several of them, no two in a row.
    GNonadjacent,
    /// Several of them, two in a row.
    G2Item,
}

/// The order in which things were asked that a cycle makes use of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Order {
    /// None.
    Free,
    /// That of each process.
    Process,
    /// That one was over before the other began.
    Realtime,
}

impl Anomaly {
    /// What it is called outside the papers.
    pub fn plain(self) -> &'static str {
        match self {
            Anomaly::GarbageRead => "a read of what nobody wrote",
            Anomaly::DuplicateElements => "an element twice in a list",
            Anomaly::G1a => "aborted read",
            Anomaly::DirtyUpdate => "a write on top of an aborted one",
            Anomaly::G1b => "intermediate read",
            Anomaly::IncompatibleOrder => "two histories of one list",
            Anomaly::Internal => "a transaction that contradicts itself",
            Anomaly::NonRepeatableRead => "a transaction that saw two versions",
            Anomaly::LostUpdate => "two updates of one version",
            Anomaly::LongFork => "two reads that saw two writes in opposite orders",
            Anomaly::WrongTotal => "money out of nothing, or gone",
            Anomaly::NegativeBalance => "an account that owes",
            Anomaly::UnexplainedRead => "a read of what nobody is recorded to have written",
            Anomaly::NoOrder => "no order explains it",
            Anomaly::Cycle(_, Class::G0) => "write cycle",
            Anomaly::Cycle(_, Class::G1c) => "circular information flow",
            Anomaly::Cycle(_, Class::GSingle) => "read skew",
            Anomaly::Cycle(_, Class::GNonadjacent) => "several read skews in a circle",
            Anomaly::Cycle(_, Class::G2Item) => "write skew",
        }
    }

    /// How strict a level must be to forbid it, and about which order.
    fn place(self) -> Option<(Depth, Order)> {
        Some(match self {
            Anomaly::UnexplainedRead => return None,
            Anomaly::NoOrder => (Depth::Serializable, Order::Realtime),
            Anomaly::GarbageRead | Anomaly::DuplicateElements => (Depth::ReadUncommitted, Order::Free),
            Anomaly::G1a
            | Anomaly::DirtyUpdate
            | Anomaly::G1b
            | Anomaly::IncompatibleOrder
            | Anomaly::Internal => (Depth::ReadCommitted, Order::Free),
            Anomaly::NonRepeatableRead
            | Anomaly::LostUpdate
            | Anomaly::LongFork
            | Anomaly::WrongTotal
            | Anomaly::NegativeBalance => (Depth::SnapshotIsolation, Order::Free),
            Anomaly::Cycle(order, class) => {
                let depth = match class {
                    Class::G0 => Depth::ReadUncommitted,
                    Class::G1c => Depth::ReadCommitted,
                    Class::GSingle | Class::GNonadjacent => Depth::SnapshotIsolation,
                    Class::G2Item => Depth::Serializable,
                };
                (depth, order)
            }
        })
    }

    /// Whether a system that promises `consistency` must never show it.
    pub fn is_forbidden_by(self, consistency: Consistency) -> bool {
        let (Some((depth, order)), Some((strict, about))) = (self.place(), level(consistency)) else {
            return false;
        };
        depth <= strict && order <= about
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Anomaly::GarbageRead => "garbage read",
            Anomaly::DuplicateElements => "duplicate elements",
            Anomaly::G1a => "G1a",
            Anomaly::DirtyUpdate => "dirty update",
            Anomaly::G1b => "G1b",
            Anomaly::IncompatibleOrder => "incompatible order",
            Anomaly::Internal => "internal",
            Anomaly::NonRepeatableRead => "non-repeatable read",
            Anomaly::LostUpdate => "lost update",
            Anomaly::LongFork => "long fork",
            Anomaly::WrongTotal => "wrong total",
            Anomaly::NegativeBalance => "negative balance",
            Anomaly::UnexplainedRead => "unexplained read",
            Anomaly::NoOrder => "non-serializable",
            Anomaly::Cycle(order, class) => {
                let class = match class {
                    Class::G0 => "G0",
                    Class::G1c => "G1c",
                    Class::GSingle => "G-single",
                    Class::GNonadjacent => "G-nonadjacent",
                    Class::G2Item => "G2-item",
                };
                let order = match order {
                    Order::Free => "",
                    Order::Process => "-process",
                    Order::Realtime => "-realtime",
                };
                return write!(f, "{class}{order}");
            }
        };
        f.write_str(name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Depth {
    ReadUncommitted,
    ReadCommitted,
    SnapshotIsolation,
    Serializable,
}

/// The levels that are decided here, strongest first.
const LEVELS: [(Consistency, Depth, Order); 8] = [
    (Consistency::StrictSerializable, Depth::Serializable, Order::Realtime),
    (Consistency::StrongSessionSerializable, Depth::Serializable, Order::Process),
    (Consistency::Serializable, Depth::Serializable, Order::Free),
    (Consistency::StrongSnapshotIsolation, Depth::SnapshotIsolation, Order::Realtime),
    (Consistency::StrongSessionSnapshotIsolation, Depth::SnapshotIsolation, Order::Process),
    (Consistency::SnapshotIsolation, Depth::SnapshotIsolation, Order::Free),
    (Consistency::ReadCommitted, Depth::ReadCommitted, Order::Free),
    (Consistency::ReadUncommitted, Depth::ReadUncommitted, Order::Free),
];

fn level(consistency: Consistency) -> Option<(Depth, Order)> {
    let found = LEVELS.iter().find(|(level, ..)| *level == consistency);
    found.map(|&(_, depth, order)| (depth, order))
}

/// Whether cycles tell of this promise.
pub(super) fn is_decided(consistency: Consistency) -> bool {
    level(consistency).is_some()
}

/// All that was found: how often, and the evidence for one of each.
#[derive(Debug, Default)]
pub(super) struct Anomalies {
    counts: BTreeMap<Anomaly, u64>,
    evidence: BTreeMap<Anomaly, Failure>,
}

impl Anomalies {
    /// Counts one more; `evidence` is asked for the first only.
    pub(super) fn add(&mut self, anomaly: Anomaly, evidence: impl FnOnce() -> Failure) {
        *self.counts.entry(anomaly).or_default() += 1;
        self.evidence.entry(anomaly).or_insert_with(evidence);
    }

    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// How often each was found, by name.
    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.iter().map(|(anomaly, &count)| (anomaly.to_string(), count)).collect()
    }

    /// The evidence for the worst that `consistency` forbids.
    pub(super) fn forbidden(&mut self, consistency: Consistency) -> Option<Failure> {
        let worst = self.counts.keys().find(|anomaly| anomaly.is_forbidden_by(consistency))?;
        self.evidence.remove(worst)
    }

    /// The strongest promises that nothing found breaks.
    pub(super) fn holds(&self) -> Vec<Consistency> {
        let is_kept = |level: Consistency| !self.counts.keys().any(|anomaly| anomaly.is_forbidden_by(level));
        let mut strongest: Vec<(Consistency, Depth, Order)> = Vec::new();
        for (level, depth, order) in LEVELS {
            let is_weaker = strongest.iter().any(|&(_, strict, about)| depth <= strict && order <= about);
            if is_kept(level) && !is_weaker {
                strongest.push((level, depth, order));
            }
        }
        strongest.into_iter().map(|(level, ..)| level).collect()
    }
}
