//! A file or folder behind the mount: a descriptor that stays the same whatever its name becomes, and what of it is not
//! synced.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use super::undo::Undo;

/// One file or folder that the kernel knows.
#[derive(Debug)]
pub(super) struct Inode {
    /// Its number, the same on both sides but for the root.
    pub(super) id: u64,
    at: OwnedFd,
    file: OnceLock<File>,
    /// What was changed since the last sync, if anything.
    pub(super) unsynced: Mutex<Option<Undo>>,
}

impl Inode {
    /// `at` was opened as a mere place (`O_PATH`).
    pub(super) fn new(id: u64, at: OwnedFd) -> Inode {
        Inode { id, at, file: OnceLock::new(), unsynced: Mutex::default() }
    }

    /// It as a place.
    pub(super) fn at(&self) -> BorrowedFd<'_> {
        self.at.as_fd()
    }

    /// A path to it that does not depend on its name.
    pub(super) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.at.as_raw_fd()).into()
    }

    /// Its content; one descriptor does for all who open it.
    pub(super) fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let both = File::options().read(true).write(true).open(self.path());
        let file = both.or_else(|_| File::open(self.path()))?;
        Ok(self.file.get_or_init(|| file))
    }

    /// Changes the content by `change`, after `keep` has kept what it replaces.
    pub(super) fn change<T>(
        &self,
        keep: impl FnOnce(&mut Undo, &File) -> io::Result<()>,
        change: impl FnOnce(&File) -> io::Result<T>,
    ) -> io::Result<T> {
        let file = self.file()?;
        let mut unsynced = self.unsynced.lock().expect("nobody panics with it");
        let mut undo = match unsynced.take() {
            Some(undo) => undo,
            None => Undo::begin(file)?,
        };
        let kept = keep(&mut undo, file);
        *unsynced = Some(undo);
        kept?;
        change(file)
    }

    /// Syncs the content, if any of it is not. What is changed meanwhile stays unsynced.
    pub(super) fn sync(&self, only_data: bool) -> io::Result<()> {
        let Some(older) = self.unsynced.lock().expect("nobody panics with it").take() else {
            return Ok(());
        };
        let file = self.file()?;
        let synced = if only_data { file.sync_data() } else { file.sync_all() };
        if synced.is_err() {
            let mut unsynced = self.unsynced.lock().expect("nobody panics with it");
            *unsynced = Some(match unsynced.take() {
                Some(newer) => newer.append_to(older),
                None => older,
            });
        }
        synced
    }
}
