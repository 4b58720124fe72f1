//! Names that were given, changed or removed since their folder was synced, in order, so that it can be undone.
//!
//! Names become safe in the order in which they changed, as in a journal: syncing a folder makes safe what was done in it
//! and all that was done before; syncing a file does so for its own name. Files that are removed wait in a folder beside
//! until that is safe.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, RenameFlags, renameat2};
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};

use super::inode::Inode;

/// All changes that are not safe.
#[derive(Debug)]
pub(super) struct Names {
    changes: VecDeque<Change>,
    /// Where removed files wait.
    limbo: OwnedFd,
    count: u64,
}

/// A name in a folder.
pub(super) type Place = (Arc<Inode>, OsString);

#[derive(Debug)]
struct Change {
    /// The file or folder whose name it is.
    file: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Added { place: Place, is_folder: bool },
    Removed { place: Place, waits: Waiting },
    Moved { from: Place, to: Place, replaced: Option<Waiting> },
    Swapped { one: Place, other: Place },
}

/// A removed file or folder, by its name in limbo.
#[derive(Debug)]
pub(super) struct Waiting {
    name: String,
    is_folder: bool,
}

impl Names {
    /// Nothing has changed; removed files will wait in `limbo`.
    pub(super) fn new(limbo: OwnedFd) -> Names {
        Names { changes: VecDeque::new(), limbo, count: 0 }
    }

    /// A name was given to `file`.
    pub(super) fn added(&mut self, file: u64, place: Place, is_folder: bool) {
        self.changes.push_back(Change { file, what: What::Added { place, is_folder } });
    }

    /// Removes a file.
    pub(super) fn remove(&mut self, file: u64, place: Place) -> Result<(), Errno> {
        let (folder, name) = &place;
        let waits = self.keep_file(folder, name)?;
        if let Err(error) = unlinkat(folder.at(), name.as_os_str(), UnlinkatFlags::NoRemoveDir) {
            self.discard(&waits);
            return Err(error);
        }
        self.changes.push_back(Change { file, what: What::Removed { place, waits } });
        Ok(())
    }

    /// Removes a folder that is empty.
    pub(super) fn remove_folder(&mut self, file: u64, place: Place) -> Result<(), Errno> {
        let waits = self.keep_folder(&place)?;
        self.changes.push_back(Change { file, what: What::Removed { place, waits } });
        Ok(())
    }

    /// Gives `file` another name, in place of what has it: a file, or an empty folder, or nothing.
    pub(super) fn rename(
        &mut self,
        file: u64,
        from: Place,
        to: Place,
        replaces: Option<bool>,
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        let is_swap = flags.contains(RenameFlags::RENAME_EXCHANGE);
        let replaced = match replaces.filter(|_| flags.is_empty()) {
            Some(false) => Some(self.keep_file(&to.0, &to.1)?),
            Some(true) => Some(self.keep_folder(&to)?),
            None => None,
        };
        let renamed = renameat2(from.0.at(), from.1.as_os_str(), to.0.at(), to.1.as_os_str(), flags);
        if let Err(error) = renamed {
            match &replaced {
                Some(waiting) if waiting.is_folder => self.put_back(waiting, &to)?,
                Some(waiting) => self.discard(waiting),
                None => {}
            }
            return Err(error);
        }
        let what = match is_swap {
            true => What::Swapped { one: from, other: to },
            false => What::Moved { from, to, replaced },
        };
        self.changes.push_back(Change { file, what });
        Ok(())
    }

    /// What was done in `folder`, and all before it, is safe.
    pub(super) fn synced_folder(&mut self, folder: u64) {
        let last = self.changes.iter().rposition(|change| change.is_in(folder) || change.file == folder);
        self.make_safe(last.map_or(0, |last| last + 1));
    }

    /// The name of `file`, and all before it, is safe.
    pub(super) fn synced_file(&mut self, file: u64) {
        let is_name = |change: &Change| change.file == file && !matches!(change.what, What::Removed { .. });
        let last = self.changes.iter().rposition(is_name);
        self.make_safe(last.map_or(0, |last| last + 1));
    }

    /// How many changes are not safe.
    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    /// All changes are safe.
    pub(super) fn synced_all(&mut self) {
        self.make_safe(self.changes.len());
    }

    fn make_safe(&mut self, count: usize) {
        for change in self.changes.drain(..count).collect::<Vec<_>>() {
            match change.what {
                What::Removed { waits, .. } | What::Moved { replaced: Some(waits), .. } => {
                    self.discard(&waits);
                }
                What::Added { .. } | What::Moved { replaced: None, .. } | What::Swapped { .. } => {}
            }
        }
    }

    /// Undoes all changes but the first `kept`, the last one first. Gives the names that it concerns.
    pub(super) fn undo(&mut self, kept: usize) -> io::Result<Vec<Place>> {
        let mut concerned = Vec::new();
        while self.changes.len() > kept {
            let change = self.changes.pop_back().expect("there are more");
            match change.what {
                What::Added { place, is_folder } => {
                    let flag = if is_folder { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir };
                    unlinkat(place.0.at(), place.1.as_os_str(), flag)?;
                    concerned.push(place);
                }
                What::Removed { place, waits } => {
                    self.put_back(&waits, &place)?;
                    concerned.push(place);
                }
                What::Moved { from, to, replaced } => {
                    move_to(to.0.at(), &to.1, from.0.at(), &from.1, RenameFlags::empty())?;
                    if let Some(waits) = replaced {
                        self.put_back(&waits, &to)?;
                    }
                    concerned.extend([from, to]);
                }
                What::Swapped { one, other } => {
                    move_to(one.0.at(), &one.1, other.0.at(), &other.1, RenameFlags::RENAME_EXCHANGE)?;
                    concerned.extend([one, other]);
                }
            }
        }
        self.make_safe(kept);
        Ok(concerned)
    }

    fn waiting(&mut self, is_folder: bool) -> Waiting {
        self.count += 1;
        Waiting { name: self.count.to_string(), is_folder }
    }

    /// A second name in limbo keeps a file that is to lose its own.
    fn keep_file(&mut self, folder: &Inode, name: &OsStr) -> Result<Waiting, Errno> {
        let waiting = self.waiting(false);
        linkat(folder.at(), name, &self.limbo, waiting.name.as_str(), AtFlags::empty())?;
        Ok(waiting)
    }

    fn keep_folder(&mut self, (folder, name): &Place) -> Result<Waiting, Errno> {
        let waiting = self.waiting(true);
        move_to(folder.at(), name, self.limbo.as_fd(), waiting.name.as_ref(), RenameFlags::empty())?;
        Ok(waiting)
    }

    fn put_back(&self, waiting: &Waiting, (folder, name): &Place) -> Result<(), Errno> {
        move_to(self.limbo.as_fd(), waiting.name.as_ref(), folder.at(), name, RenameFlags::empty())
    }

    fn discard(&self, waiting: &Waiting) {
        let flag = if waiting.is_folder { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir };
        // Limbo goes with the run's folder at the latest.
        let _ = unlinkat(&self.limbo, waiting.name.as_str(), flag);
    }
}

impl Change {
    fn is_in(&self, folder: u64) -> bool {
        match &self.what {
            What::Added { place, .. } | What::Removed { place, .. } => place.0.id == folder,
            What::Moved { from, to, .. } => from.0.id == folder || to.0.id == folder,
            What::Swapped { one, other } => one.0.id == folder || other.0.id == folder,
        }
    }
}

fn move_to(
    from: impl AsFd,
    name: &OsStr,
    to: impl AsFd,
    new_name: &OsStr,
    flags: RenameFlags,
) -> Result<(), Errno> {
    renameat2(from, name, to, new_name, flags)
}
