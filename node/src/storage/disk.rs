//! A folder of files as storage needs it: the few things it does to a disk, so that a simulated disk can do them too
//! and lose, tear or refuse what a real one might.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
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
}

/// The file that is made of zeros ahead of its time, so that nobody waits for it.
const SPARE: &str = "spare";

/// A thread that makes spare files.
#[derive(Debug)]
struct Spare {
    size: u64,
    order: SyncSender<()>,
}

impl Folder {
    /// The folder at `path`, which must exist.
    pub fn open(path: &Path) -> Folder {
        Folder { path: path.to_owned(), open: BTreeMap::new(), spare: None }
    }

    /// From now on, files of this size are made ahead of their time, by a thread of their own: a log that is written into
    /// blocks which the file system already has can be synced without a commit of its journal, in about half the time.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn prepare(&mut self, size: u64) -> io::Result<()> {
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
        self.spare = Some(Spare { size, order });
        self.order_spare();
        Ok(())
    }

    fn order_spare(&self) {
        if let Some(spare) = &self.spare {
            // One order that waits is enough.
            let _ = spare.order.try_send(());
        }
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
        self.open.remove(name);
        let is_spare = self.spare.as_ref().is_some_and(|spare| spare.size == size);
        let (path, spare) = (self.at(name), self.at(SPARE));
        if is_spare && std::fs::rename(&spare, &path).is_ok() {
            self.order_spare();
            return Ok(());
        }
        make(&path, size).inspect_err(|_| {
            // Half a file is no use, and its room may be needed.
            let _ = std::fs::remove_file(&path);
        })
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(name)?.write_all_at(bytes, offset)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.file(name)?.sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.open.remove(from);
        self.open.remove(to);
        std::fs::rename(self.at(from), self.at(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.open.remove(name);
        std::fs::remove_file(self.at(name))
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}
