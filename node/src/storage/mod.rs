//! Term, vote and log on disk: one file that only grows, one sync for whatever has gathered meanwhile.
//!
//! In reading order: `record` is the format, `recovery` reads it back and tells a torn tail from damage, and this
//! file opens and writes it. A failed write or sync is final for the process: after it nobody knows what the disk
//! holds, and a retry may report as synced what is not (the "fsyncgate" of 2018).

mod record;
mod recovery;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

use bytes::Bytes;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use thiserror::Error;

pub use recovery::Damage;

use crate::raft::{Entry, HardState, NodeId, Write};
use crate::rules::Rules;
use record::{Record, VERSION};

/// Why a node's data could not be opened or written.
#[derive(Debug, Error)]
pub enum StorageError {
    /// The system refused.
    #[error("cannot {deed} `{path}`: {source}")]
    Io {
        /// What was being done.
        deed: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("`{path}` is in use by another node (hint: is this node already running?)")]
    InUse {
        /// The log file.
        path: PathBuf,
    },
    /// What is there cannot be used.
    #[error("cannot recover from `{path}`: {damage}")]
    Damaged {
        /// The log file.
        path: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
}

/// A node's data, open and locked.
#[derive(Debug)]
pub struct Storage {
    file: Flock<File>,
    path: PathBuf,
    length: u64,
    rules: Rules,
}

/// What the disk held.
#[derive(Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Term and vote.
    pub hard_state: HardState,
    /// The log.
    pub entries: Vec<Entry>,
    /// Bytes of a torn tail that were cut off.
    pub torn_bytes: u64,
}

/// The writing end of a storage thread.
pub type Writes = Sender<Write>;

impl Storage {
    /// Opens the data of `node` in `folder`, which is created if need be, and recovers what it holds.
    ///
    /// # Errors
    /// When the folder cannot be used, another process uses it, or synced data are damaged.
    pub fn open(folder: &Path, node: NodeId, rules: Rules) -> Result<(Storage, Recovered), StorageError> {
        let path = folder.join("log");
        let failed = |deed| {
            let path = path.clone();
            move |source| StorageError::Io { deed, path, source }
        };
        std::fs::create_dir_all(folder).map_err(failed("create the folder of"))?;
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(&path).map_err(failed("open"))?;
        let mut file =
            Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
                Errno::EWOULDBLOCK => StorageError::InUse { path: path.clone() },
                errno => failed("lock")(errno.into()),
            })?;
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(failed("read"))?;
        let size = content.len() as u64;
        let found = recovery::recover(&Bytes::from(content), node)
            .map_err(|damage| StorageError::Damaged { path: path.clone(), damage })?;

        let length = found.length as u64;
        file.set_len(length).map_err(failed("cut the torn tail of"))?;
        let mut storage = Storage { file, path: path.clone(), length, rules };
        if length == 0 {
            let mut header = Vec::new();
            Record::Header { version: VERSION, node }.encode(&mut header);
            storage.append(&header)?;
        }
        storage.file.sync_all().map_err(failed("sync"))?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync the folder of"))?;
        let Recovered { hard_state, entries, torn_bytes } =
            Recovered { hard_state: found.hard_state, entries: found.entries, torn_bytes: size - length };
        Ok((storage, Recovered { hard_state, entries, torn_bytes }))
    }

    /// Writes a batch and syncs it: everything in it is on disk when this returns.
    ///
    /// # Errors
    /// When the system refuses; the storage must not be used any more then.
    pub fn write(&mut self, writes: &[Write]) -> Result<(), StorageError> {
        let mut buffer = Vec::new();
        Record::Batch { position: self.length }.encode(&mut buffer);
        let empty = buffer.len();
        for write in writes {
            if let Some(hard_state) = write.hard_state.filter(|_| self.rules.vote_is_persistent) {
                Record::HardState(hard_state).encode(&mut buffer);
            }
            if self.rules.log_is_persistent {
                for entry in &write.entries {
                    Record::Entry(entry.clone()).encode(&mut buffer);
                }
            }
        }
        if buffer.len() == empty {
            return Ok(());
        }
        self.append(&buffer)?;
        let path = &self.path;
        self.file.sync_data().map_err(|source| StorageError::Io { deed: "sync", path: path.clone(), source })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        let path = &self.path;
        self.file.write_all(bytes).map_err(|source| StorageError::Io {
            deed: "write to",
            path: path.clone(),
            source,
        })?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Hands the storage to a thread of its own, so that a slow disk does not keep the core from thinking.
    /// Whatever has gathered while one batch was being synced goes into the next (group commit). `done` is told of
    /// every batch, in order; after an error the thread ends. It also ends when the returned sender is dropped.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn spawn(
        mut self,
        mut done: impl FnMut(Result<Vec<Write>, StorageError>) + Send + 'static,
    ) -> io::Result<Writes> {
        let (sender, receiver): (Writes, Receiver<Write>) = channel();
        std::thread::Builder::new().name("storage".into()).spawn(move || {
            while let Ok(first) = receiver.recv() {
                let batch: Vec<Write> = std::iter::once(first).chain(receiver.try_iter()).collect();
                let result = self.write(&batch);
                let failed = result.is_err();
                done(result.map(|()| batch));
                if failed {
                    return;
                }
            }
        })?;
        Ok(sender)
    }
}
