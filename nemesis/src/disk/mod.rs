//! Disks: a file system of our own under each node's data folder, so that unmodified programs can be let down by it.
//!
//! In reading order: `trouble` is what a disk does wrong, `undo` what a file held before its last sync, `names` what names
//! there were; `inode` is one file, `files` the file system, `mount` brings it to its place, `trial` tries it out; and
//! this file does all that for the nodes of a cluster, and proves faults.

mod files;
mod inode;
mod mount;
mod names;
mod trial;
mod trouble;
mod undo;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::fault::DiskFault;
use crate::hosts::{Privilege, privilege};

pub use mount::{Met, Mount, enter};
pub use trial::{TRIAL_SECTORS, Trial};
pub use trouble::{Errors, Full, Trouble};
pub use undo::Lost;

/// The folder of a node that its disk is mounted on, and which it keeps its data in.
const DATA: &str = "data";
/// Where the data really is meanwhile.
const BEHIND: &str = "disk";
/// How long a program has to meet an error that comes once.
const ONCE_PATIENCE: Duration = Duration::from_millis(500);
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// Why something could not be done to a disk.
#[derive(Debug, Error)]
#[error("cannot {deed} `{folder}`: {source}")]
pub struct DiskError {
    deed: &'static str,
    folder: String,
    source: io::Error,
}

/// The disks of a cluster's nodes, by their numbers. They are unmounted when this is dropped, and their data is in its place.
#[derive(Debug)]
pub struct Disks {
    disks: Vec<Disk>,
}

#[derive(Debug)]
struct Disk {
    folder: PathBuf,
    subject: Option<Subject>,
    asked: Trouble,
}

/// A disk as it is tried out, which may take long and is best done by a thread of its own.
#[derive(Debug, Clone)]
pub struct Subject {
    mount: Arc<Mount>,
    /// It holds something that is not synced, so that its loss can be seen.
    is_marked: bool,
    /// What the last loss took.
    lost: Lost,
    /// Calls that had failed before the trouble that is in force.
    failed_before: u64,
}

/// What this machine lacks for it: one line, with what to do about it.
pub fn lack() -> Option<String> {
    if privilege() == Privilege::None {
        return Some("this process may not mount anything (hint: run as root)".into());
    }
    let opened = File::options().read(true).write(true).open(mount::DEVICE);
    opened.err().map(|error| {
        format!("{} cannot be opened: {error} (hint: load the module `fuse`, and run as root)", mount::DEVICE)
    })
}

impl Disks {
    /// A disk for each of these nodes' folders. Moves the calling thread into a mount namespace; nodes must be started by it,
    /// or by threads that it starts afterwards.
    ///
    /// # Errors
    /// When they cannot be mounted here.
    pub fn open(folders: &[PathBuf]) -> Result<Disks, DiskError> {
        enter().map_err(failed(
            "make a mount namespace for",
            folders.first().map_or(Path::new("."), PathBuf::as_path),
        ))?;
        let open = |folder: &PathBuf| {
            let mount = mount_in(folder).map_err(failed("mount a disk in", folder))?;
            let mount = Arc::new(mount);
            let subject = Subject { mount, is_marked: false, lost: Lost::default(), failed_before: 0 };
            Ok(Disk { folder: folder.clone(), subject: Some(subject), asked: Trouble::default() })
        };
        Ok(Disks { disks: folders.iter().map(open).collect::<Result<_, _>>()? })
    }

    /// The disk of a node as it is tried out.
    pub fn subject(&self, node: usize) -> &Subject {
        self.disks[node].subject.as_ref().expect("it is there until it is dropped")
    }

    /// From now on this is what goes wrong with a node's disk; `seed` decides what is left open.
    pub fn set(&mut self, node: usize, trouble: Trouble, seed: u64) {
        // What was to happen once and has happened does not come again.
        if self.disks[node].asked != trouble {
            self.disks[node].asked = trouble;
            let subject = self.subject_mut(node);
            subject.failed_before = subject.mount.met().failed;
            subject.mount.set(trouble, seed);
        }
    }

    /// Takes note of whether a disk was marked.
    pub fn set_marked(&mut self, node: usize, is_marked: bool) {
        self.subject_mut(node).is_marked = is_marked;
    }

    /// Loses what these nodes had not synced; with a seed, some of it reaches the disk. They must be down.
    ///
    /// # Errors
    /// When a folder cannot be changed.
    pub fn lose(&mut self, nodes: &[usize], torn: Option<u64>) -> Result<(), DiskError> {
        for &node in nodes {
            let lost = self.subject(node).mount.lose(torn.map(|seed| seed ^ node as u64));
            let lost = lost.map_err(failed("lose what was not synced in", &self.disks[node].folder))?;
            self.subject_mut(node).lost = lost;
        }
        Ok(())
    }

    fn subject_mut(&mut self, node: usize) -> &mut Subject {
        self.disks[node].subject.as_mut().expect("it is there until it is dropped")
    }
}

impl Subject {
    /// Prepares what will show whether something gets lost. Tells whether the disk is good enough for it at the moment.
    pub fn mark(&self) -> bool {
        let trials = [Trial::Write(b'a'), Trial::Sync, Trial::Write(b'b')];
        trials.iter().all(|trial| self.mount.attempt(*trial).is_ok())
    }

    /// Whether a program has met an error of the trouble that is in force.
    pub fn has_failed(&self) -> bool {
        let met = self.mount.met();
        met.failed > self.failed_before || met.refused > 0
    }

    /// Sees, by trying, whether the disk does what was asked for; in words either way. It may take a while.
    ///
    /// # Errors
    /// The words, when it does not.
    pub fn prove(&self, kind: DiskFault, asked: Trouble) -> Result<String, String> {
        match kind {
            DiskFault::PowerLoss | DiskFault::TornWrite => self.prove_lost(kind),
            DiskFault::SlowDisk => {
                let start = Instant::now();
                // It may fail by another fault; then it has taken as long.
                let _ = self.mount.attempt(Trial::Sync);
                let took = start.elapsed();
                verdict(took >= asked.slow_sync, format!("a sync took {:.1} ms", 1e3 * took.as_secs_f64()))
            }
            DiskFault::IoError if asked.sync_errors.max(asked.write_errors) == Errors::Once => {
                let deadline = Instant::now() + ONCE_PATIENCE;
                while self.failed() == 0 && Instant::now() < deadline {
                    std::thread::sleep(LOOK_INTERVAL);
                }
                if self.failed() > 0 {
                    return Ok(format!("{} calls of the node failed", self.failed()));
                }
                // A node that is down or cut off asks nothing of its disk.
                self.mount.spare_own(false);
                let result = refused(self.mount.attempt(trial_of(asked)), libc::EIO);
                self.mount.spare_own(true);
                result.map(|words| format!("no call of the node came; {words}"))
            }
            DiskFault::IoError => refused(self.mount.attempt(trial_of(asked)), libc::EIO),
            DiskFault::DiskFull => refused(self.mount.attempt(Trial::Make), libc::ENOSPC),
        }
    }

    fn failed(&self) -> u64 {
        self.mount.met().failed - self.failed_before
    }

    /// What was written last before the loss, and not synced, must be gone.
    fn prove_lost(&self, kind: DiskFault) -> Result<String, String> {
        let Lost { files, blocks, kept_sectors, names } = self.lost;
        let kept = match kind {
            DiskFault::TornWrite => format!(", {kept_sectors} sectors kept"),
            _ => String::new(),
        };
        let words = format!("{blocks} unsynced blocks of {files} files{kept} and {names} names set back");
        if !self.is_marked {
            return Ok(words);
        }
        let count = |byte| self.mount.attempt(Trial::Count(byte)).map_err(|error| error.to_string());
        let ((_, old), (_, new)) = (count(b'a')?, count(b'b')?);
        let is_lost = match kind {
            DiskFault::TornWrite => new < TRIAL_SECTORS && old + new == TRIAL_SECTORS,
            _ => old == TRIAL_SECTORS,
        };
        // The file that it is seen by is one of them.
        verdict(is_lost, format!("{words}, {old} of {TRIAL_SECTORS} marked sectors lost"))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.subject = None;
        // Whoever looks for a node's data finds it where it always is; if that fails, it is where it was meanwhile.
        let (shown, behind) = (self.folder.join(DATA), self.folder.join(BEHIND));
        let _ = fs::remove_file(behind.join("data").join(format!("{}trial", files::OWN)));
        let moved = fs::remove_dir(&shown).and_then(|()| fs::rename(behind.join("data"), &shown));
        if moved.is_ok() {
            let _ = fs::remove_dir_all(behind);
        }
    }
}

fn mount_in(folder: &Path) -> io::Result<Mount> {
    let (shown, behind) = (folder.join(DATA), folder.join(BEHIND));
    let (data, limbo) = (behind.join("data"), behind.join("removed"));
    for folder in [&shown, &data, &limbo] {
        fs::create_dir_all(folder)?;
    }
    Mount::open(&shown, &data, &limbo)
}

fn failed(deed: &'static str, folder: &Path) -> impl FnOnce(io::Error) -> DiskError {
    let folder = folder.display().to_string();
    move |source| DiskError { deed, folder, source }
}

fn verdict(bites: bool, words: String) -> Result<String, String> {
    if bites { Ok(words) } else { Err(words) }
}

fn trial_of(asked: Trouble) -> Trial {
    if asked.sync_errors > Errors::None { Trial::Sync } else { Trial::Write(b'a') }
}

fn refused(result: io::Result<(Duration, u64)>, expected: i32) -> Result<String, String> {
    match result {
        Ok(_) => Err("a call that should have failed did not".into()),
        Err(error) => verdict(error.raw_os_error() == Some(expected), format!("a call failed: {error}")),
    }
}
