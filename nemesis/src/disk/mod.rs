//! Disks: a file system of our own under each node's data folder, so that unmodified programs can be let down by it.
//!
//! In reading order: `trouble` is what a disk does wrong, `undo` what a file held before its last sync, `names` what names
//! there were, `lies` what shows in place of what is there, and `pick` where; `contents` is a
//! folder as one thing; `inode` is one file, `files` the file system, `strikes` what its calls meet, `served` how the kernel makes them;
//! `mount` brings it to its place, `trial` tries it out, `proof` sees whether a fault bites; and this file does all that for
//! the nodes of a cluster.

mod contents;
mod files;
mod inode;
mod lies;
mod mount;
mod names;
mod pick;
mod proof;
mod served;
mod strikes;
mod trial;
mod trouble;
mod undo;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use thiserror::Error;

use crate::hosts::{Privilege, privilege};
use proof::Replaced;

pub use mount::{Met, Mount, enter};
pub use pick::Bit;
pub use proof::Subject;
pub use trial::{TRIAL_SECTORS, Trial};
pub use trouble::{Errors, Full, Trouble};
pub use undo::{Loss, Lost};

/// The folder of a node that its disk is mounted on, and which it keeps its data in.
const DATA: &str = "data";
/// Where the data really is meanwhile.
const BEHIND: &str = "disk";
/// A copy of the data from an earlier time, beside it.
const EARLIER: &str = "earlier";
/// The data while something else is in its place.
const ASIDE: &str = "aside";
/// What only a copy from an earlier time has; it does not show in a listing.
const SIGN_NAME: &str = ".rafture-earlier";

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
    /// When the copy was taken, if there is one.
    copied: Option<Instant>,
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
            Ok(Disk {
                folder: folder.clone(),
                subject: Some(subject),
                asked: Trouble::default(),
                copied: None,
            })
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

    /// Loses what these nodes had not synced, or some of it. They must be down.
    ///
    /// # Errors
    /// When a folder cannot be changed.
    pub fn lose(&mut self, nodes: &[usize], loss: Loss) -> Result<(), DiskError> {
        for &node in nodes {
            let loss = match loss {
                Loss::All => Loss::All,
                Loss::Torn(seed) => Loss::Torn(seed ^ node as u64),
                Loss::OneFile(seed) => Loss::OneFile(seed ^ node as u64),
            };
            let lost = self.subject(node).mount.lose(loss);
            let lost = lost.map_err(failed("lose what was not synced in", &self.disks[node].folder))?;
            self.subject_mut(node).lost = lost;
        }
        Ok(())
    }

    /// Keeps a copy of what a node's folder holds at the moment, in place of the one before; the node may run.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn keep(&mut self, node: usize) -> Result<(), DiskError> {
        let (copy, new) = (self.beside(node, EARLIER), self.beside(node, "new"));
        let mount = &self.subject(node).mount;
        let keep = || {
            contents::clear(&new)?;
            mount.copy(&new)?;
            fs::write(new.join(SIGN_NAME), [proof::SIGN])?;
            contents::clear(&copy)?;
            fs::rename(&new, &copy)
        };
        keep().map_err(failed("copy what is in", &self.disks[node].folder))?;
        self.disks[node].copied = Some(Instant::now());
        Ok(())
    }

    /// Sets a node's folder back to the copy that was kept last, which is used up by that. Its own content is put aside. It must
    /// be down.
    ///
    /// # Errors
    /// When no copy was kept, or something cannot be moved.
    pub fn roll_back(&mut self, node: usize) -> Result<(), DiskError> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no copy of it was kept");
        let failed = |source| failed("set back", &self.disks[node].folder)(source);
        let copied = self.disks[node].copied.ok_or_else(missing).map_err(failed)?;
        let copy = self.beside(node, EARLIER);
        let count = |folder: &Path| fs::read_dir(folder).map(|names| names.count() as u64 - 1);
        let names = count(&copy).map_err(failed)?;
        let words = format!("its folder is as it was {:.2} s before", copied.elapsed().as_secs_f64());
        self.disks[node].copied = None;
        self.replace(node, &copy, Replaced { sign: Some(SIGN_NAME), names, words })
    }

    /// Empties a node's folder. Its own content is put aside. It must be down.
    ///
    /// # Errors
    /// When something cannot be moved.
    pub fn wipe(&mut self, node: usize) -> Result<(), DiskError> {
        let empty = self.beside(node, "empty");
        let made = contents::clear(&empty).and_then(|()| fs::create_dir(&empty));
        made.map_err(failed("wipe", &self.disks[node].folder))?;
        self.replace(node, &empty, Replaced { sign: None, names: 0, words: "its folder is empty".into() })
    }

    fn replace(&mut self, node: usize, with: &Path, replaced: Replaced) -> Result<(), DiskError> {
        let aside = self.beside(node, ASIDE);
        let mount = &self.subject(node).mount;
        let replace = || {
            contents::clear(&aside)?;
            fs::create_dir(&aside)?;
            mount.replace(with, &aside)?;
            contents::clear(with)
        };
        replace().map_err(failed("replace what is in", &self.disks[node].folder))?;
        self.subject_mut(node).replaced = Some(replaced);
        Ok(())
    }

    /// Gives a node its own content back that was put aside, if any was, in place of what its folder holds. It must be down.
    ///
    /// # Errors
    /// When something cannot be moved.
    pub fn give_back(&mut self, node: usize) -> Result<(), DiskError> {
        if self.subject_mut(node).replaced.take().is_none() {
            return Ok(());
        }
        let (aside, foreign) = (self.beside(node, ASIDE), self.beside(node, "foreign"));
        let mount = &self.subject(node).mount;
        let give = || {
            contents::clear(&foreign)?;
            fs::create_dir(&foreign)?;
            mount.replace(&aside, &foreign)?;
            contents::clear(&foreign)
        };
        give().map_err(failed("give back what was in", &self.disks[node].folder))
    }

    /// A node lives on with what its folder holds; what was put aside is of no more use.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget_own(&mut self, node: usize) -> Result<(), DiskError> {
        self.subject_mut(node).replaced = None;
        let cleared = contents::clear(&self.beside(node, ASIDE));
        cleared.map_err(failed("remove what was put aside of", &self.disks[node].folder))
    }

    fn beside(&self, node: usize, name: &str) -> PathBuf {
        self.disks[node].folder.join(BEHIND).join(name)
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
        for own in [files::TRIAL, SIGN_NAME] {
            let _ = fs::remove_file(behind.join("data").join(own));
        }
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
