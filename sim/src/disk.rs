//! A disk in memory that keeps what was synced apart from what was not, so that it can lose the difference.
//!
//! It obeys the rules that storage is allowed to rely on and no others: a synced file has its content, a synced folder its
//! names. What was not synced may be there, be gone, or be there by halves; names change in order, as in a journal.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};

use bytes::Bytes;
use rafture_node::storage::Disk;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The unit that reaches a disk whole or not at all.
const SECTOR: usize = 512;

/// A node's disk.
#[derive(Debug, Default)]
pub(crate) struct SimDisk {
    files: BTreeMap<u64, File>,
    names: BTreeMap<String, u64>,
    /// As of the last sync of the folder.
    safe_names: BTreeMap<String, u64>,
    /// What changed names since then, in order.
    changes: Vec<Change>,
    next_file: u64,
    /// So many more operations, and then every one fails: the process is dying.
    pub(crate) fuse: Option<u32>,
    /// There is no room for new files or for longer ones.
    pub(crate) is_full: bool,
}

#[derive(Debug, Default)]
struct File {
    content: Vec<u8>,
    safe: Vec<u8>,
    /// Writes since the last sync: where, and how long.
    unsynced: Vec<(usize, usize)>,
}

#[derive(Debug, Clone)]
enum Change {
    Named(String, u64),
    Renamed(String, String),
    Removed(String),
}

/// What becomes of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The process dies, the machine lives: all that was written stays.
    Process,
    /// The machine dies: each write that was not synced is there or is gone.
    Power,
    /// The machine dies, and writes are torn at sectors.
    Torn,
}

impl SimDisk {
    /// The machine or the process dies.
    pub(crate) fn crash(&mut self, crash: Crash, random: &mut ChaCha8Rng) {
        self.fuse = None;
        if crash == Crash::Process {
            return;
        }
        let kept = random.random_range(0..=self.changes.len());
        let mut names = self.safe_names.clone();
        for change in self.changes.drain(..).take(kept) {
            change.apply(&mut names);
        }
        for file in self.files.values_mut() {
            file.lose(crash, random);
        }
        self.files.retain(|file, _| names.values().any(|named| named == file));
        self.safe_names.clone_from(&names);
        self.names = names;
    }

    fn burn(&mut self) -> io::Result<()> {
        match &mut self.fuse {
            Some(0) => Err(io::Error::other("the process is gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn file(&self, name: &str) -> io::Result<&File> {
        let file = self.names.get(name).and_then(|file| self.files.get(file));
        file.ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn file_mut(&mut self, name: &str) -> io::Result<&mut File> {
        let file = self.names.get(name).and_then(|file| self.files.get_mut(file));
        file.ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: Change) {
        change.clone().apply(&mut self.names);
        self.changes.push(change);
    }
}

impl Change {
    fn apply(self, names: &mut BTreeMap<String, u64>) {
        match self {
            Change::Named(name, file) => {
                names.insert(name, file);
            }
            Change::Renamed(from, to) => {
                if let Some(file) = names.remove(&from) {
                    names.insert(to, file);
                }
            }
            Change::Removed(name) => {
                names.remove(&name);
            }
        }
    }
}

impl File {
    fn lose(&mut self, crash: Crash, random: &mut ChaCha8Rng) {
        for (start, length) in std::mem::take(&mut self.unsynced) {
            let unit = if crash == Crash::Torn { SECTOR } else { usize::MAX };
            let mut at = start;
            while at < start + length {
                let end = (at / unit + 1).saturating_mul(unit).min(start + length);
                if random.random_bool(0.5) {
                    self.keep(at, end);
                }
                at = end;
            }
        }
        self.content.clone_from(&self.safe);
    }

    fn keep(&mut self, start: usize, end: usize) {
        if self.safe.len() < end {
            self.safe.resize(end, 0);
        }
        let end = end.min(self.content.len());
        if start < end {
            self.safe[start..end].copy_from_slice(&self.content[start..end]);
        }
    }
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Bytes> {
        Ok(Bytes::copy_from_slice(&self.file(name)?.content))
    }

    fn read_at(&self, name: &str, offset: u64, length: u64) -> io::Result<Bytes> {
        let content = &self.file(name)?.content;
        let start = (offset as usize).min(content.len());
        let end = (start + length as usize).min(content.len());
        Ok(Bytes::copy_from_slice(&content[start..end]))
    }

    fn create(&mut self, name: &str, size: u64) -> io::Result<()> {
        self.burn()?;
        if self.is_full {
            return Err(ErrorKind::StorageFull.into());
        }
        self.next_file += 1;
        // Zeros are made and synced by whoever makes files ahead of their time.
        let zeros = vec![0; size as usize];
        let file = File { content: zeros.clone(), safe: zeros, unsynced: Vec::new() };
        self.files.insert(self.next_file, file);
        self.change(Change::Named(name.to_owned(), self.next_file));
        Ok(())
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.burn()?;
        let is_full = self.is_full;
        let file = self.file_mut(name)?;
        let start = offset as usize;
        let end = start + bytes.len();
        if file.content.len() < end {
            if is_full {
                return Err(ErrorKind::StorageFull.into());
            }
            file.content.resize(end, 0);
        }
        file.content[start..end].copy_from_slice(bytes);
        file.unsynced.push((start, bytes.len()));
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.burn()?;
        let file = self.file_mut(name)?;
        for (start, length) in std::mem::take(&mut file.unsynced) {
            file.keep(start, start + length);
        }
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.burn()?;
        self.file(from)?;
        self.change(Change::Renamed(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.burn()?;
        self.file(name)?;
        self.change(Change::Removed(name.to_owned()));
        Ok(())
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        self.burn()?;
        self.changes.clear();
        self.safe_names.clone_from(&self.names);
        self.files.retain(|file, _| self.safe_names.values().any(|named| named == file));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn what_was_synced_survives_and_what_was_not_may() {
        let (mut kept, mut lost) = (0, 0);
        for seed in 0..50 {
            let mut disk = SimDisk::default();
            disk.create("a", 0).expect("room");
            disk.write_at("a", 0, b"safe").expect("room");
            disk.sync("a").expect("a disk");
            disk.sync_folder().expect("a disk");
            disk.write_at("a", 4, b"maybe").expect("room");
            disk.create("b", 0).expect("room");
            let mut process = ChaCha8Rng::seed_from_u64(seed);
            disk.crash(Crash::Process, &mut process);
            assert_eq!(&disk.read("a").expect("a file")[..], b"safemaybe");
            disk.crash(Crash::Power, &mut process);
            let content = disk.read("a").expect("its name was synced");
            assert!(content.starts_with(b"safe"));
            if content.len() > 4 { kept += 1 } else { lost += 1 }
        }
        assert!(kept > 5 && lost > 5, "{kept} kept, {lost} lost");
    }

    #[test]
    fn names_change_in_order() {
        for seed in 0..50 {
            let mut disk = SimDisk::default();
            disk.create("old", 0).expect("room");
            disk.sync_folder().expect("a disk");
            disk.create("new", 0).expect("room");
            disk.rename("new", "old").expect("a file");
            disk.create("next", 0).expect("room");
            disk.crash(Crash::Power, &mut ChaCha8Rng::seed_from_u64(seed));
            let names = disk.list().expect("names");
            assert!(names.contains(&"old".to_owned()), "{names:?}");
            assert!(!(names.contains(&"new".to_owned()) && names.contains(&"next".to_owned())), "{names:?}");
        }
    }
}
