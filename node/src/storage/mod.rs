//! Term, vote, log and snapshots on disk, with one sync for whatever has gathered meanwhile.
//!
//! In reading order: `disk` is what is asked of a disk; `record` the log's format, `segments` the log; `snapshots` what
//! replaces its start; and this file puts them together. A failed write or sync is final for the process: after it
//! nobody knows what the disk holds, and a retry may report as synced what is not (the "fsyncgate" of 2018). A disk that
//! is full is not: nothing was written then, so the same is tried again until there is room.

mod disk;
mod record;
mod segments;
mod snapshots;

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use thiserror::Error;

pub use disk::{Disk, Folder};
pub use snapshots::{read_chunk, save};

use crate::raft::{Entry, EntryId, Index, LogStart, NodeId, Recovered, Snapshot, Write};
use crate::rules::Rules;
use segments::Segments;

/// Bytes of a segment of the log.
pub const SEGMENT_BYTES: u64 = 16 << 20;

/// Why a node's data could not be opened or written.
#[derive(Debug, Error)]
pub enum StorageError {
    /// The system refused.
    #[error("cannot {deed} `{file}`: {source}")]
    Io {
        /// What was being done.
        deed: &'static str,
        /// To what.
        file: String,
        /// Why not.
        source: io::Error,
    },
    /// There is no room. Nothing was written, and it may be tried again.
    #[error("cannot {deed} `{file}`: the disk is full (hint: make room; what was acknowledged is safe)")]
    Full {
        /// What was being done.
        deed: &'static str,
        /// To what.
        file: String,
    },
    /// Another process has it open.
    #[error("`{path}` is in use by another node (hint: is this node already running?)")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// What is there cannot be used.
    #[error("cannot recover from `{file}`: {damage}")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong with it.
        damage: Damage,
    },
}

/// Why a file cannot be used.
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
    #[error("what stands at byte {at} does not continue the log (hint: a record was lost or misplaced)")]
    Gap {
        /// Where it starts.
        at: usize,
    },
    /// The file is of another node.
    #[error("the folder belongs to `{owner}` (hint: every node needs a folder of its own)")]
    Foreign {
        /// The node that wrote it.
        owner: NodeId,
    },
    /// The file is of another version, or no log at all, or damaged at its start.
    #[error("the file does not start as a log of version {}", record::VERSION)]
    Header,
    /// A snapshot is not what was written.
    #[error("the snapshot is damaged (hint: restore this node from its peers under a new name)")]
    Snapshot,
    /// Neither log nor snapshot has what lies between them.
    #[error("the log starts behind entry {base}, and no snapshot covers what came before")]
    Uncovered {
        /// The entry before the first in the log.
        base: EntryId,
    },
}

/// How an error of the system is told.
fn failed(deed: &'static str, file: &str) -> impl FnOnce(io::Error) -> StorageError {
    let file = file.to_owned();
    move |source| match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StorageError::Full { deed, file },
        _ => StorageError::Io { deed, file, source },
    }
}

/// A lock on a node's folder: two nodes on one folder would destroy it. It is held while this lives.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<std::fs::File>,
}

impl Lock {
    /// Creates the folder if need be, and locks it.
    ///
    /// # Errors
    /// When the folder cannot be used, or another process has locked it.
    pub fn take(folder: &Path) -> Result<Lock, StorageError> {
        let path = folder.display().to_string();
        std::fs::create_dir_all(folder).map_err(failed("create", &path))?;
        let options = OpenOptions::new().write(true).create(true).truncate(false).open(folder.join("lock"));
        let file = options.map_err(failed("open the lock in", &path))?;
        let locked = Flock::lock(file, FlockArg::LockExclusiveNonblock);
        let file = locked.map_err(|(_, errno)| match errno {
            Errno::EWOULDBLOCK => StorageError::InUse { path: folder.to_owned() },
            errno => failed("lock", &path)(errno.into()),
        })?;
        Ok(Lock { _file: file })
    }
}

/// A node's data.
pub struct Storage<D: Disk> {
    disk: D,
    node: NodeId,
    segments: Segments,
}

/// What the disk held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// For the core.
    pub recovered: Recovered,
    /// The content of the latest snapshot.
    pub content: Option<Bytes>,
    /// Bytes of a torn tail that were cleared away.
    pub torn_bytes: u64,
}

/// How the storage of a node is set up.
#[derive(Debug, Clone, Copy)]
pub struct StorageOptions {
    /// Whose data it is.
    pub node: NodeId,
    /// Bytes of a segment; longer batches make longer segments.
    pub segment_bytes: u64,
    /// Rules that hold.
    pub rules: Rules,
}

impl<D: Disk> Storage<D> {
    /// Recovers what `disk` holds.
    ///
    /// # Errors
    /// When the disk cannot be used, or synced data are damaged.
    pub fn open(mut disk: D, options: StorageOptions) -> Result<(Storage<D>, Opened), StorageError> {
        let StorageOptions { node, segment_bytes, rules } = options;
        let saved = snapshots::open(&mut disk, node)?;
        let segments::Read { mut segments, hard_state, mut log, torn_bytes } =
            Segments::open(&mut disk, node, segment_bytes, rules)?;
        let covered = saved.as_ref().map_or(Index(0), |(snapshot, _)| snapshot.last.index);
        if log.base.index > covered {
            let damage = Damage::Uncovered { base: log.base };
            return Err(StorageError::Damaged { file: "log".into(), damage });
        }
        if let Some((snapshot, _)) = &saved
            && !reaches(&log, snapshot)
        {
            // The node died before the log went on behind a snapshot that it had been sent, or before entries were
            // synced that others had committed and it had applied.
            log = LogStart { base: snapshot.last, chain: snapshot.chain, entries: Vec::new() };
            segments.restart(&mut disk, snapshot.last, snapshot.chain)?;
        }
        if segments.is_empty() {
            segments.begin(&mut disk)?;
        }
        let (snapshot, content) = saved.unzip();
        let recovered = Recovered { hard_state, snapshot, log };
        Ok((Storage { disk, node, segments }, Opened { recovered, content, torn_bytes }))
    }

    /// Writes a batch and syncs it: everything in it is on disk when this returns. Gives the content of a snapshot that
    /// was put in place with it.
    ///
    /// # Errors
    /// When the system refuses. If the disk is full the same batch may be tried again, else the storage must not be
    /// used any more.
    pub fn write(&mut self, writes: &[Write]) -> Result<Option<Bytes>, StorageError> {
        let mut restored = None;
        let mut rest = writes;
        // Whatever was written before a snapshot took the log's place goes before it.
        while let Some(place) = rest.iter().position(|write| write.chunk.is_some()) {
            let (before, behind) = rest.split_at(place + 1);
            self.segments.write(&mut self.disk, before)?;
            let chunk = before[place].chunk.as_ref().expect("there is one");
            if let Some(body) = snapshots::receive(&mut self.disk, self.node, chunk)? {
                let last = chunk.snapshot.last;
                self.segments.restart(&mut self.disk, last, chunk.snapshot.chain)?;
                snapshots::drop_before(&mut self.disk, last, &BTreeSet::new())?;
                restored = Some(body);
            }
            rest = behind;
        }
        self.segments.write(&mut self.disk, rest)?;
        Ok(restored)
    }

    /// A snapshot up to `last` was saved: what it makes needless goes, but for snapshots that are still in use.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn saved(&mut self, last: EntryId, in_use: &BTreeSet<EntryId>) -> Result<(), StorageError> {
        self.segments.drop_covered(&mut self.disk, last.index)?;
        snapshots::drop_before(&mut self.disk, last, in_use)
    }

    /// Bytes of the log on disk.
    pub fn log_bytes(&self) -> u64 {
        self.segments.bytes()
    }

    /// Gives the disk back.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// The disk itself.
    pub fn disk(&mut self) -> &mut D {
        &mut self.disk
    }
}

/// Whether the log has what the snapshot ends with, so that it goes on from there.
fn reaches(log: &LogStart, snapshot: &Snapshot) -> bool {
    let ends_so = |id: EntryId, chain: u32| id == snapshot.last && chain == snapshot.chain;
    let entry = snapshot.last.index.0.checked_sub(log.base.index.0 + 1);
    let entry = entry.and_then(|place| log.entries.get(place as usize));
    ends_so(log.base, log.chain) || entry.is_some_and(|entry: &Entry| ends_so(entry.id, entry.chain))
}
