//! A folder of files as storage needs it: the few things it does to a disk, so that a simulated disk can do them too
//! and lose, tear or refuse what a real one might.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

use bytes::Bytes;

/// What storage does to a disk. What was written is safe once its file was synced; that a file exists, is gone or has
/// another name is safe once the folder was synced.
pub trait Disk: Send {
    /// The names of all files.
    ///
    /// # Errors
    /// As the system says; so for all of these.
    fn list(&self) -> io::Result<Vec<String>>;
    /// The whole of a file.
    fn read(&self, name: &str) -> io::Result<Bytes>;
    /// A part of a file, shorter at its end.
    fn read_at(&self, name: &str, offset: u64, length: u64) -> io::Result<Bytes>;
    /// Makes a file of so many zeros, instead of one of this name if there is one.
    fn create(&mut self, name: &str, size: u64) -> io::Result<()>;
    /// Writes into a file, or on behind its end.
    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written into a file safe.
    fn sync(&mut self, name: &str) -> io::Result<()>;
    /// Gives a file another name, in place of whatever had it.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;
    /// Makes names safe.
    fn sync_folder(&mut self) -> io::Result<()>;
}

/// A folder of the machine.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Files that were written to.
    open: BTreeMap<String, File>,
    spare: Option<Spare>,
    /// The file that is written around the page cache, if the file system has such a way.
    direct: Option<Direct>,
}

/// Blocks that every disk can write around the page cache.
const BLOCK: usize = 4096;

/// A file whose writes are on the disk when they return: one call instead of two, and no copy in the page cache that has
/// to be found again for the sync. Such writes take whole blocks, so the last one is kept and written again when it is
/// continued.
#[derive(Debug)]
struct Direct {
    name: String,
    file: File,
    /// Where the kept block starts, and how much of it was written.
    start: u64,
    filled: usize,
    buffer: Vec<u8>,
}

/// The file that is made of zeros ahead of its time, so that nobody waits for it.
const SPARE: &str = "spare";

/// A thread that makes spare files.
#[derive(Debug)]
struct Spare {
    size: u64,
    directly: bool,
    order: SyncSender<()>,
}

impl Folder {
    /// The folder at `path`, which must exist.
    pub fn open(path: &Path) -> Folder {
        Folder { path: path.to_owned(), open: BTreeMap::new(), spare: None, direct: None }
    }

    /// From now on, files of this size are made ahead of their time, by a thread of their own: a log that is written into
    /// blocks which the file system already has can be synced without a commit of its journal, in about half the time.
    /// If `directly`, they are written around the page cache, where every write is synced.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn prepare(&mut self, size: u64, directly: bool) -> io::Result<()> {
        let (order, orders) = sync_channel(1);
        let (part, whole) = (self.path.join("spare-part"), self.path.join(SPARE));
        std::thread::Builder::new().name("spare".into()).spawn(move || {
            while orders.recv().is_ok() {
                // Without a spare file the next one is made when it is needed, and an error shows then.
                if make(&part, size).and_then(|()| std::fs::rename(&part, &whole)).is_err() {
                    let _ = std::fs::remove_file(&part);
                }
            }
        })?;
        self.spare = Some(Spare { size, directly, order });
        self.order_spare();
        Ok(())
    }

    /// From now on, this file is written around the page cache, if that is possible; nothing changes if not.
    fn write_directly(&mut self, name: &str) {
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_DIRECT | libc::O_DSYNC);
        let file = options.open(self.at(name)).ok();
        self.direct =
            file.map(|file| Direct { name: name.to_owned(), file, start: 0, filled: 0, buffer: Vec::new() });
    }

    fn order_spare(&self) {
        if let Some(spare) = &self.spare {
            // One order that waits is enough.
            let _ = spare.order.try_send(());
        }
    }

    fn close(&mut self, name: &str) {
        self.open.remove(name);
        self.direct.take_if(|direct| direct.name == name);
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        if !self.open.contains_key(name) {
            let file = OpenOptions::new().read(true).write(true).open(self.at(name))?;
            self.open.insert(name.to_owned(), file);
        }
        Ok(self.open.get_mut(name).expect("it was just put there"))
    }
}

impl Direct {
    /// Writes `bytes` at `offset`, which is where the last write ended, or anywhere.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let inside = (offset % BLOCK as u64) as usize;
        let length = (inside + bytes.len()).next_multiple_of(BLOCK);
        let continues = offset == self.start + self.filled as u64;
        let kept = if continues { self.block(0, self.filled).to_vec() } else { Vec::new() };
        self.reserve(length);
        let start = offset - inside as u64;
        match continues && kept.len() == inside {
            true => self.block(0, inside).copy_from_slice(&kept),
            // What stands before it in its block, and behind it in the last one.
            false => self.read_around(start, length)?,
        }
        if continues {
            self.block(inside + bytes.len(), length - inside - bytes.len()).fill(0);
        }
        self.block(inside, bytes.len()).copy_from_slice(bytes);
        let align = self.align();
        self.file.write_all_at(&self.buffer[align..align + length], start)?;
        // The last block, as far as it is filled, begins the next write.
        let end = inside + bytes.len();
        let last = end / BLOCK * BLOCK;
        self.buffer.copy_within(align + last..align + end, align);
        (self.start, self.filled) = (start + last as u64, end - last);
        Ok(())
    }

    fn read_around(&mut self, start: u64, length: usize) -> io::Result<()> {
        self.block(0, length).fill(0);
        let align = self.align();
        let mut read = 0;
        while read < length {
            match self.file.read_at(&mut self.buffer[align + read..align + length], start + read as u64)? {
                0 => return Ok(()),
                count => read += count,
            }
        }
        Ok(())
    }

    /// Room for `length` bytes that begin where a block of memory may begin.
    fn reserve(&mut self, length: usize) {
        if self.buffer.len() < length + BLOCK {
            self.buffer = vec![0; length + BLOCK];
        }
    }

    fn align(&self) -> usize {
        self.buffer.as_ptr().align_offset(BLOCK)
    }

    fn block(&mut self, at: usize, length: usize) -> &mut [u8] {
        let align = if self.buffer.is_empty() { 0 } else { self.align() };
        &mut self.buffer[align + at..align + at + length]
    }
}

fn make(path: &Path, size: u64) -> io::Result<()> {
    let file = File::create(path)?;
    let zeros = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < size {
        let length = zeros.len().min((size - offset) as usize);
        file.write_all_at(&zeros[..length], offset)?;
        offset += length as u64;
    }
    file.sync_all()
}

impl Disk for Folder {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !name.starts_with(SPARE) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Bytes> {
        std::fs::read(self.at(name)).map(Bytes::from)
    }

    fn read_at(&self, name: &str, offset: u64, length: u64) -> io::Result<Bytes> {
        let file = File::open(self.at(name))?;
        let rest = file.metadata()?.len().saturating_sub(offset);
        let mut buffer = vec![0; length.min(rest) as usize];
        file.read_exact_at(&mut buffer, offset)?;
        Ok(buffer.into())
    }

    fn create(&mut self, name: &str, size: u64) -> io::Result<()> {
        self.close(name);
        let is_spare = self.spare.as_ref().is_some_and(|spare| spare.size == size);
        let (path, spare) = (self.at(name), self.at(SPARE));
        if is_spare && std::fs::rename(&spare, &path).is_ok() {
            self.order_spare();
        } else {
            make(&path, size).inspect_err(|_| {
                // Half a file is no use, and its room may be needed.
                let _ = std::fs::remove_file(&path);
            })?;
        }
        // What is made ahead of its time is the log, which is synced after every write.
        if self.spare.as_ref().is_some_and(|spare| spare.size == size && spare.directly) {
            self.write_directly(name);
        }
        Ok(())
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match self.direct.as_mut().filter(|direct| direct.name == name) {
            Some(direct) => direct.write_at(offset, bytes),
            None => self.file(name)?.write_all_at(bytes, offset),
        }
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        match self.direct.as_ref().is_some_and(|direct| direct.name == name) {
            // Every write was.
            true => Ok(()),
            false => self.file(name)?.sync_data(),
        }
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.close(from);
        self.close(to);
        std::fs::rename(self.at(from), self.at(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.close(name);
        std::fs::remove_file(self.at(name))
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes of every length, one behind the other and back again, read back the plain way.
    #[test]
    fn what_is_written_around_the_page_cache_is_what_was_written() {
        let place = tempfile::tempdir().expect("a folder");
        let mut folder = Folder::open(place.path());
        folder.prepare(64 << 10, true).expect("a thread");
        folder.create("log", 64 << 10).expect("room");
        let mut expected = vec![0; 64 << 10];
        let mut at = 0;
        for round in 0..60_usize {
            let bytes: Vec<u8> = (0..round * 37 % 5000).map(|place| (round * 7 + place) as u8).collect();
            folder.write_at("log", at as u64, &bytes).expect("room");
            folder.sync("log").expect("a disk");
            expected[at..at + bytes.len()].copy_from_slice(&bytes);
            at = if round % 10 == 9 { at / 2 } else { at + bytes.len() };
            if at > 50_000 {
                at = 17;
            }
            if round % 10 != 9 && at != 17 {
                // A log has nothing behind its end.
                continue;
            }
            expected = folder.read("log").expect("a file").to_vec();
        }
        assert_eq!(folder.read("log").expect("a file"), expected);
    }
}
