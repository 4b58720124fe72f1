//! Disks: a file system of our own under each node's data folder, so that unmodified programs can be let down by it.
//!
//! In reading order: `trouble` is what a disk does wrong, `undo` what a file held before its last sync, `names` what names
//! there were, `lies` what shows in place of what is there, and `pick` where; `inode` is one file, `files` the file system,
//! `mount` brings it to its place, `trial` tries it out, `proof` sees whether a fault bites; and this file does all that for
//! the nodes of a cluster.

mod files;
mod inode;
mod lies;
mod mount;
mod names;
mod pick;
mod proof;
mod trial;
mod trouble;
mod undo;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::hosts::{Privilege, privilege};

pub use mount::{Met, Mount, enter};
pub use pick::Bit;
pub use proof::Subject;
pub use trial::{TRIAL_SECTORS, Trial};
pub use trouble::{Errors, Full, Trouble};
pub use undo::Lost;

/// The folder of a node that its disk is mounted on, and which it keeps its data in.
const DATA: &str = "data";
/// Where the data really is meanwhile.
const BEHIND: &str = "disk";

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
            let subject = Subject::new(mount);
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
            subject.met_before = subject.mount.met();
            subject.mount.set(trouble, seed);
        }
    }

    /// Files of a node's whose content is struck from now on: see [`Mount::choose`].
    pub fn choose(&self, node: usize, pattern: &str) {
        self.subject(node).mount.choose(pattern);
    }

    /// A node is about to be started: it sees what its files show, whatever the kernel remembers.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn before_start(&self, node: usize) -> Result<(), DiskError> {
        let forgotten = self.subject(node).mount.forget_lies();
        forgotten.map_err(failed("drop what is remembered of", &self.disks[node].folder))
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
