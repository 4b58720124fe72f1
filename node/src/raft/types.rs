//! The words of Raft as types: terms, indices, entries, and what must survive a crash.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::configuration::Configuration;

/// A member of the cluster. Written `n3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// An election term (paper, section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Term(pub u64);

/// A position in the log; the first entry stands at 1, and 0 is before the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Index(pub u64);

/// Term and index of an entry: two logs that hold the same id hold the same entries up to it
/// (Log Matching, paper, section 5.3).
///
/// The order is "more up to date" as votes compare logs (paper, section 5.4.1): later term first, then longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EntryId {
    /// Term in which a leader created the entry.
    pub term: Term,
    /// Its place in the log.
    pub index: Index,
}

/// A log entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands, and from which term it is.
    pub id: EntryId,
    /// CRC-32C of this entry and, through its predecessor's, of all before it. Equal ids with unequal chains
    /// mean that Log Matching is broken or that a disk lied.
    pub chain: u32,
    /// What it does.
    pub payload: Payload,
}

/// What an entry does when it is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Nothing: a leader's first entry, which lets it commit what its predecessors left (paper, section 8).
    Noop,
    /// A command for the state machine.
    Command(Bytes),
    /// The members from here on (paper, section 6).
    Configuration(Arc<Configuration>),
}

/// What a snapshot stands for: the state after one entry, with all that came before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The last entry that it covers.
    pub last: EntryId,
    /// That entry's chained checksum.
    pub chain: u32,
    /// The members at that entry.
    pub configuration: Arc<Configuration>,
    /// Bytes of its content, which the driver keeps.
    pub size: u64,
}

/// What must be on disk before anybody is told of it (paper, Figure 2, "Persistent state").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HardState {
    /// Latest term that the node has seen.
    pub term: Term,
    /// Candidate that got the node's vote in that term.
    pub vote: Option<NodeId>,
}

/// A moment of a monotonic clock, in nanoseconds since a start that its owner knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(pub u64);

impl Entry {
    /// The entry that follows one whose chain is `previous`.
    pub fn new(id: EntryId, payload: Payload, previous: u32) -> Entry {
        let chain = chain(previous, id, &payload);
        Entry { id, chain, payload }
    }

    /// Roughly what the entry takes in a message or in memory, in bytes.
    pub fn size(&self) -> usize {
        64 + match &self.payload {
            Payload::Noop => 0,
            Payload::Command(command) => command.len(),
            Payload::Configuration(configuration) => 64 * configuration.addresses.len(),
        }
    }
}

impl Payload {
    /// A number for the kind and the rest in bytes, as logs and messages have it.
    pub(crate) fn parts(&self) -> (u8, Bytes) {
        match self {
            Payload::Noop => (0, Bytes::new()),
            Payload::Command(command) => (1, command.clone()),
            Payload::Configuration(configuration) => (2, configuration.encode()),
        }
    }

    /// Reads what `parts` gave; `None` when it is anything else.
    pub(crate) fn from_parts(kind: u8, bytes: Bytes) -> Option<Payload> {
        match kind {
            0 if bytes.is_empty() => Some(Payload::Noop),
            1 => Some(Payload::Command(bytes)),
            2 => Some(Payload::Configuration(Arc::new(Configuration::decode(bytes)?))),
            _ => None,
        }
    }
}

fn chain(previous: u32, id: EntryId, payload: &Payload) -> u32 {
    let mut chain = crc32c::crc32c_append(previous, &id.term.0.to_le_bytes());
    chain = crc32c::crc32c_append(chain, &id.index.0.to_le_bytes());
    let (kind, bytes) = payload.parts();
    crc32c::crc32c_append(crc32c::crc32c_append(chain, &[kind]), &bytes)
}

impl Index {
    /// The place behind this one.
    pub fn next(self) -> Index {
        Index(self.0 + 1)
    }

    /// The place before this one; before the first, 0.
    pub fn previous(self) -> Index {
        Index(self.0.saturating_sub(1))
    }
}

impl Term {
    /// The term that a candidate stands for.
    pub fn next(self) -> Term {
        Term(self.0 + 1)
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, duration: Duration) -> Time {
        Time(self.0 + duration.as_nanos() as u64)
    }
}

impl Sub for Time {
    type Output = Duration;
    fn sub(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl FromStr for NodeId {
    type Err = String;
    fn from_str(text: &str) -> Result<NodeId, String> {
        text.strip_prefix('n')
            .and_then(|number| number.parse().ok())
            .filter(|&number| number > 0)
            .map(NodeId)
            .ok_or_else(|| format!("`{text}` is no node name (hint: `n` and a number from 1, as `n3`)"))
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}
