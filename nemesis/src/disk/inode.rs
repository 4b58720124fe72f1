//! A file or folder behind the mount: a descriptor that stays the same whatever its name becomes, what of it is not synced,
//! and what shows in place of it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use nix::errno::Errno;

use super::lies::Lies;
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
    lies: Mutex<Lies>,
    /// Whether there are any, so that nobody has to lock them to see that there are none.
    has_lies: AtomicBool,
}

impl Inode {
    /// `at` was opened as a mere place (`O_PATH`).
    pub(super) fn new(id: u64, at: OwnedFd) -> Inode {
        Inode {
            id,
            at,
            file: OnceLock::new(),
            unsynced: Mutex::default(),
            lies: Mutex::default(),
            has_lies: AtomicBool::new(false),
        }
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

    /// What shows at `offset`, up to so many bytes, and whether it is not what the file holds.
    pub(super) fn read(&self, offset: u64, length: usize) -> io::Result<(Vec<u8>, bool)> {
        let file = self.file()?;
        let mut buffer = vec![0; length];
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read_at(&mut buffer[filled..], offset + filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        buffer.truncate(filled);
        let is_lie = self.has_lies() && self.lies(|lies| lies.cover(offset, &mut buffer));
        Ok((buffer, is_lie))
    }

    /// Whether anything shows that it does not hold.
    pub(super) fn has_lies(&self) -> bool {
        self.has_lies.load(Ordering::Acquire)
    }

    /// Looks at what it shows in place of what it holds, or changes that.
    pub(super) fn lies<T>(&self, change: impl FnOnce(&mut Lies) -> T) -> T {
        let mut lies = self.lies.lock().expect("nobody panics with it");
        let result = change(&mut lies);
        self.has_lies.store(!lies.is_empty(), Ordering::Release);
        result
    }

    /// What is there from now on is true.
    pub(super) fn is_true(&self, offset: u64, length: u64) {
        if self.has_lies() {
            self.lies(|lies| lies.forget(offset, length));
        }
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
    pub(super) fn sync(&self) -> io::Result<()> {
        let Some(older) = self.unsynced.lock().expect("nobody panics with it").take() else {
            return Ok(());
        };
        let synced = self.file().and_then(reach_disk);
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

/// Waits until the disk has taken what was written. It is not told to flush its own cache, and lengths and names need not be there:
/// only a crash of this machine could tell, which is the end of a run in any case, and it is as much work again.
fn reach_disk(file: &File) -> io::Result<()> {
    let all =
        libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: it takes numbers only, and the descriptor is open as long as `file` is borrowed.
    Errno::result(unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, all) })?;
    Ok(())
}
