//! What the disk holds after a crash: term, vote and log, read back record by record.
//!
//! A crash may tear what was being written, and that was promised to nobody. Damage before it is another thing: what
//! was synced is gone, and a node that went on without it could break promises (protocol-aware recovery,
//! FAST '18), so it must not start. A batch record tells the two apart: it is written only after everything before it
//! was synced. Damage with a batch record behind it lies in the middle; damage without one is the torn tail.

use bytes::Bytes;
use thiserror::Error;

use super::record::{BATCH_BODY, HEAD, Record, VERSION};
use crate::raft::{Entry, HardState, Index, NodeId};

/// What a log file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Recovered {
    pub(super) hard_state: HardState,
    pub(super) entries: Vec<Entry>,
    /// Bytes that hold records. What is behind them is a torn tail.
    pub(super) length: usize,
}

/// Why a log file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Damage {
    /// Synced records are unreadable.
    #[error(
        "byte {at} is damaged, though what follows was written after it had been synced (hint: the disk has lost data; restore this node from its peers under a new name)"
    )]
    Middle {
        /// Where the first unreadable record starts.
        at: usize,
    },
    /// The records are whole, but do not follow from each other.
    #[error("the entry at byte {at} does not continue the log (hint: a record was lost or misplaced)")]
    Gap {
        /// Where the entry starts.
        at: usize,
    },
    /// The file is of another node.
    #[error("the folder belongs to `{owner}` (hint: every node needs a folder of its own)")]
    Foreign {
        /// The node that wrote it.
        owner: NodeId,
    },
    /// The file is of another version, or no log at all.
    #[error("the file is no log of version {VERSION}")]
    Version,
}

/// Reads a whole log file of `node`.
pub(super) fn recover(file: &Bytes, node: NodeId) -> Result<Recovered, Damage> {
    let mut recovered = Recovered::default();
    while recovered.length < file.len() {
        let at = recovered.length;
        match Record::decode(&file.slice(at..)) {
            Some((record, length)) => {
                recovered.take(record, at, node)?;
                recovered.length = at + length;
            }
            None if has_batch_behind(file, at) => return Err(Damage::Middle { at }),
            None => break,
        }
    }
    Ok(recovered)
}

impl Recovered {
    fn take(&mut self, record: Record, at: usize, node: NodeId) -> Result<(), Damage> {
        match record {
            Record::Header { version, node: owner } if at == 0 => match owner == node {
                _ if version != VERSION => Err(Damage::Version),
                true => Ok(()),
                false => Err(Damage::Foreign { owner }),
            },
            _ if at == 0 => Err(Damage::Version),
            Record::Header { .. } => Err(Damage::Gap { at }),
            Record::Batch { position } if position != at as u64 => Err(Damage::Gap { at }),
            Record::Batch { .. } => Ok(()),
            Record::HardState(hard_state) => {
                self.hard_state = hard_state;
                Ok(())
            }
            Record::Entry(entry) => self.push(entry).ok_or(Damage::Gap { at }),
        }
    }

    fn push(&mut self, entry: Entry) -> Option<()> {
        let Index(index) = entry.id.index;
        let before = (index as usize).checked_sub(1).filter(|&before| before <= self.entries.len())?;
        self.entries.truncate(before);
        let previous = self.entries.last().map_or(0, |entry| entry.chain);
        let expected = Entry::new(entry.id, entry.payload.clone(), previous);
        (expected.chain == entry.chain).then(|| self.entries.push(entry))
    }
}

fn has_batch_behind(file: &Bytes, damage: usize) -> bool {
    let length = (BATCH_BODY as u32).to_le_bytes();
    let candidates = damage + 1..file.len().saturating_sub(HEAD + BATCH_BODY - 1);
    candidates.into_iter().filter(|&at| file[at..at + 4] == length).any(|at| {
        let record = Record::decode(&file.slice(at..at + HEAD + BATCH_BODY));
        matches!(record, Some((Record::Batch { position }, _)) if position == at as u64)
    })
}
