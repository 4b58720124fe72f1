//! The threads that wait for the disk, so that the node does not: one for the log, and one for each snapshot that is
//! made, which takes long and must not hold up the log.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::Thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use super::event::Done;
use crate::machine::Machine;
use crate::raft::{EntryId, NodeId, Snapshot, Write};
use crate::storage::{self, Disk, Folder, Storage, StorageError};

/// Pause before a full disk is tried again.
const FULL_PAUSE: Duration = Duration::from_millis(200);

/// What the log's thread is to do.
pub(super) enum Job {
    /// Write and sync this.
    Write(Write),
    /// The snapshot up to this entry makes older ones needless, but for those in use, and the log before it.
    Forget(EntryId, BTreeSet<EntryId>),
}

/// The way to the log's thread. The thread ends when this is dropped.
pub(super) struct Jobs {
    sender: Sender<(Job, bool)>,
    thread: Thread,
}

impl Jobs {
    /// Hands over what is to be done; nobody is in a hurry if it `can_wait`.
    pub(super) fn send(&self, job: Job, can_wait: bool) {
        // A thread that ended has reported why.
        let _ = self.sender.send((job, can_wait));
        if !can_wait {
            self.thread.unpark();
        }
    }
}

/// Hands the storage to a thread of its own. Whatever has gathered while one batch was being synced goes into the next
/// (group commit); what can wait gathers for up to `lazy_sync`. `done` is told of every batch, in order; after an error the
/// thread ends.
///
/// # Errors
/// When no thread can be made.
pub(super) fn spawn<D: Disk + 'static>(
    mut storage: Storage<D>,
    lazy_sync: Duration,
    done: UnboundedSender<Done>,
) -> io::Result<Jobs> {
    let (sender, jobs) = channel();
    let thread = std::thread::Builder::new().name("storage".into()).spawn(move || {
        // Without anybody to tell, the node is on its way out.
        if let Err(error) = work(&mut storage, &jobs, lazy_sync, &done) {
            let _ = done.send(Done::Failed(error));
        }
    })?;
    Ok(Jobs { sender, thread: thread.thread().clone() })
}

fn work<D: Disk>(
    storage: &mut Storage<D>,
    jobs: &Receiver<(Job, bool)>,
    lazy_sync: Duration,
    done: &UnboundedSender<Done>,
) -> Result<(), StorageError> {
    let mut next = jobs.recv().ok();
    while let Some((job, can_wait)) = next.take() {
        match job {
            Job::Forget(last, in_use) => storage.saved(last, &in_use)?,
            Job::Write(first) => {
                let mut batch = vec![first];
                next = gather(jobs, &mut batch, can_wait.then(|| Instant::now() + lazy_sync));
                write(storage, batch, done)?;
            }
        }
        if next.is_none() {
            next = jobs.recv().ok();
        }
    }
    Ok(())
}

/// Takes all writes that are there, and until `end` those that come, as long as all of them can wait. Gives the first
/// job that is no write.
fn gather(
    jobs: &Receiver<(Job, bool)>,
    batch: &mut Vec<Write>,
    mut end: Option<Instant>,
) -> Option<(Job, bool)> {
    loop {
        match jobs.try_recv() {
            Ok((Job::Write(write), can_wait)) => {
                batch.push(write);
                end = end.filter(|_| can_wait);
            }
            Ok(other) => return Some(other),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => match end.map(|end| end.saturating_duration_since(Instant::now())) {
                None | Some(Duration::ZERO) => return None,
                // Only what is urgent ends this early.
                Some(rest) => std::thread::park_timeout(rest),
            },
        }
    }
}

/// Writes a batch, however long it takes until there is room.
fn write<D: Disk>(
    storage: &mut Storage<D>,
    batch: Vec<Write>,
    done: &UnboundedSender<Done>,
) -> Result<(), StorageError> {
    loop {
        let began = Instant::now();
        let result = match storage.write(&batch) {
            Ok(restored) => {
                let _ = done.send(Done::Written(batch, restored, began.elapsed()));
                return Ok(());
            }
            Err(full @ StorageError::Full { .. }) => done.send(Done::Full(full)),
            Err(error) => return Err(error),
        };
        if result.is_err() {
            return Ok(());
        }
        std::thread::sleep(FULL_PAUSE);
    }
}

/// Makes a snapshot, beside the log.
pub(super) fn save(
    folder: &Path,
    node: NodeId,
    snapshot: Snapshot,
    machine: Machine,
    done: UnboundedSender<Done>,
) {
    let mut folder = Folder::open(folder);
    let told = done.clone();
    let make = move || {
        let image = machine.image();
        drop(machine);
        let _ = done.send(Done::Saved(storage::save(&mut folder, node, snapshot, &image)));
    };
    if let Err(source) = std::thread::Builder::new().name("snapshot".into()).spawn(make) {
        let error = StorageError::Io { deed: "start a thread for", file: "a snapshot".into(), source };
        let _ = told.send(Done::Saved(Err(error)));
    }
}
