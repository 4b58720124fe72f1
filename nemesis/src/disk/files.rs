//! The file system itself: whatever is asked of it is done in the folder behind it at once, unless it `strikes` upon a trouble that
//! is in force; and what is not synced can be lost. How the kernel asks is in `served`.
//!
//! Content goes through the kernel's page cache like any other's, and nothing is held back here, so programs may map files
//! and lock them. Files are not opened by anybody: one descriptor a file does for all.

use std::collections::HashMap;
use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{Errno, FileAttr, FileType, INodeNo, OpenFlags};
use nix::dir::Dir;
use nix::fcntl::{AtFlags, FallocateFlags, OFlag, fallocate, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::contents;
use super::inode::Inode;
use super::lies::Cause;
use super::names::{Names, Place};
use super::pick::{self, Bit};
use super::strikes::Fate;
use super::trouble::{Counts, Errors, Trouble, Troubles};
use super::undo::{self, Loss, Lost};

/// Names in the root that begin so are the controller's own; programs do not see them in a listing.
pub(super) const OWN: &str = ".rafture-";
/// The controller's own file, which it tries things on.
pub(super) const TRIAL: &str = ".rafture-trial";
/// How long the kernel may believe what it was told: only it changes anything, and it is told of what is lost.
pub(super) const TRUST: Duration = Duration::from_secs(24 * 3600);

/// What the file system and the controller share.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) behind: PathBuf,
    root_number: u64,
    table: Mutex<Table>,
    names: Mutex<Names>,
    troubles: Mutex<Troubles>,
    /// Whether there is any trouble, so that nobody has to lock it to see that there is none.
    pub(super) is_troubled: AtomicBool,
    pub(super) counts: Counts,
    random: Mutex<ChaCha8Rng>,
    /// The next sync hangs, whatever the dice say.
    pub(super) stall_is_due: AtomicBool,
    /// The read that was failed last, if it was the kernel that read ahead.
    pub(super) failed_read: Mutex<Option<(u64, Range<u64>)>>,
    /// Which files' content is to be struck.
    pub(super) chosen: Mutex<String>,
    /// Closed while what is not synced gets lost.
    gate: RwLock<()>,
    /// The file that the controller tries things on; it spares what is to befall a program.
    pub(super) own: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    inodes: HashMap<u64, (Arc<Inode>, u64)>,
    pub(super) listings: HashMap<u64, Vec<(u64, FileType, OsString)>>,
    count: u64,
}

/// What of the kernel's caches does not hold any more.
#[derive(Debug)]
pub(super) struct Stale {
    pub(super) inodes: Vec<u64>,
    pub(super) names: Vec<Place>,
}

pub(super) type Reply<T> = Result<T, Errno>;

pub(super) fn system(error: nix::errno::Errno) -> Errno {
    Errno::from_i32(error as i32)
}

fn place_only() -> OFlag {
    OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

impl Files {
    /// What shows of the folder `behind`; removed files wait in `limbo`.
    pub(super) fn open(behind: &Path, limbo: &Path) -> io::Result<Files> {
        let place = |path: &Path| -> io::Result<OwnedFd> {
            Ok(nix::fcntl::open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?)
        };
        let root = place(behind)?;
        let root_number = fstat(&root)?.st_ino;
        let root = Arc::new(Inode::new(INodeNo::ROOT.0, root));
        Ok(Files {
            behind: behind.canonicalize()?,
            root_number,
            table: Mutex::new(Table {
                inodes: HashMap::from([(INodeNo::ROOT.0, (root, 1))]),
                ..Table::default()
            }),
            names: Mutex::new(Names::new(place(limbo)?)),
            troubles: Mutex::default(),
            is_troubled: AtomicBool::new(false),
            counts: Counts::default(),
            random: Mutex::new(ChaCha8Rng::seed_from_u64(0)),
            stall_is_due: AtomicBool::new(false),
            failed_read: Mutex::default(),
            chosen: Mutex::new("*".into()),
            gate: RwLock::new(()),
            own: AtomicU64::new(0),
        })
    }

    /// The file of that number is the controller's own.
    pub(super) fn set_own(&self, number: u64) {
        self.own.store(number, Ordering::Relaxed);
    }

    /// From now on this is what goes wrong; `seed` decides what is left open. Gives what was asked for before.
    pub(super) fn set_trouble(&self, trouble: Trouble, seed: u64) -> Trouble {
        // A write whose fate is sealed comes before the change: what it tells must not outlive the trouble.
        let _closed = self.gate.write().expect("nobody panics with it");
        *self.random() = ChaCha8Rng::seed_from_u64(seed);
        let mut troubles = self.troubles();
        let before = troubles.asked();
        troubles.ask(trouble);
        if before.stall != trouble.stall {
            self.stall_is_due.store(!trouble.stall.is_zero(), Ordering::Relaxed);
        }
        if trouble.read_errors == Errors::None {
            *self.failed_read.lock().expect("nobody panics with it") = None;
        }
        self.is_troubled.store(trouble != Trouble::default(), Ordering::Relaxed);
        before
    }

    /// Files whose content is to be struck from now on: `*` is anything, `?` any one character.
    pub(super) fn choose(&self, pattern: &str) {
        pattern.clone_into(&mut self.chosen.lock().expect("nobody panics with it"));
    }

    /// From now on, one bit of what is in the chosen files reads flipped.
    pub(super) fn flip(&self) -> io::Result<Bit> {
        let chosen = self.chosen.lock().expect("nobody panics with it").clone();
        let bit = pick::draw_bit(&self.behind, &chosen, &mut self.random())?;
        let _closed = self.gate.write().expect("nobody panics with it");
        let inode = self.known(&bit.file)?;
        let mut byte = [0];
        inode.file()?.read_exact_at(&mut byte, bit.offset)?;
        inode.lies(|lies| lies.tell(bit.offset, vec![byte[0] ^ bit.mask], Cause::Flip));
        Ok(bit)
    }

    /// The bit reads as it should again. Gives the number of its file, if it still read otherwise.
    pub(super) fn flip_back(&self, bit: &Bit) -> Option<u64> {
        let inode = self.known(&bit.file).ok().filter(|inode| inode.has_lies())?;
        inode.is_true(bit.offset, 1);
        Some(inode.id)
    }

    /// What shows something else for that cause shows what it holds again. Gives the numbers of those files.
    pub(super) fn take_back(&self, cause: Cause) -> Vec<u64> {
        let inodes: Vec<Arc<Inode>> = self.lying();
        let is_one = |inode: &&Arc<Inode>| !inode.lies(|lies| lies.take_back(cause)).is_empty();
        inodes.iter().filter(is_one).map(|inode| inode.id).collect()
    }

    /// Files that show something else than they hold.
    pub(super) fn lying(&self) -> Vec<Arc<Inode>> {
        let table = self.table();
        table.inodes.values().map(|(inode, _)| inode).filter(|inode| inode.has_lies()).cloned().collect()
    }

    /// All numbers that the kernel knows.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.table().inodes.keys().copied().collect()
    }

    /// Loses what was not synced, or some of it.
    pub(super) fn lose(&self, loss: Loss) -> io::Result<(Lost, Stale)> {
        let _closed = self.gate.write().expect("nobody panics with it");
        let mut dice = match loss {
            Loss::All => None,
            Loss::Torn(seed) | Loss::OneFile(seed) => Some(ChaCha8Rng::seed_from_u64(seed)),
        };
        let mut names = self.names.lock().expect("nobody panics with it");
        let changes = names.len();
        let kept = match (loss, dice.as_mut()) {
            (Loss::Torn(_), Some(dice)) => dice.random_range(0..=changes),
            (Loss::OneFile(_), _) => changes,
            _ => 0,
        };
        let mut inodes: Vec<Arc<Inode>> =
            self.table().inodes.values().map(|(inode, _)| Arc::clone(inode)).collect();
        inodes.retain(|inode| {
            let unsynced = inode.unsynced.lock().expect("nobody panics with it");
            unsynced.as_ref().is_some_and(|undo| inode.file().is_ok_and(|file| !undo.is_idle(file)))
        });
        // The dice fall in the same order for the same files.
        inodes.sort_by_key(|inode| inode.id);
        if let (Loss::OneFile(_), Some(dice)) = (loss, dice.as_mut()) {
            // The controller's own file loses what it holds in any case, so that it can be seen.
            let is_own = |inode: &Arc<Inode>| inode.id == self.own.load(Ordering::Relaxed);
            let (own, others): (Vec<_>, Vec<_>) = inodes.into_iter().partition(is_own);
            let drawn = (!others.is_empty()).then(|| dice.random_range(0..others.len()));
            for (place, inode) in others.iter().enumerate() {
                if Some(place) != drawn {
                    *inode.unsynced.lock().expect("nobody panics with it") = None;
                }
            }
            inodes = own.into_iter().chain(drawn.map(|drawn| Arc::clone(&others[drawn]))).collect();
        }
        let mut stale = Stale { inodes: Vec::new(), names: Vec::new() };
        let mut lost = Lost { names: changes - kept, ..Lost::default() };
        for inode in inodes {
            let Some(undo) = inode.unsynced.lock().expect("nobody panics with it").take() else {
                continue;
            };
            let file = inode.file()?;
            let of_file = match (loss, dice.as_mut()) {
                (Loss::Torn(_), Some(dice)) => undo.tear(file, dice)?,
                _ => undo.lose(file)?,
            };
            // What the controller loses is no loss of the program's.
            if inode.id != self.own.load(Ordering::Relaxed) {
                lost = lost.and(of_file);
            }
            stale.inodes.push(inode.id);
        }
        stale.names = names.undo(kept)?;
        stale.inodes.extend(stale.names.iter().map(|(folder, _)| folder.id));
        Ok((lost, stale))
    }

    /// Copies the whole folder as it is at the moment into `to`; whoever wants to write waits.
    pub(super) fn copy(&self, to: &Path) -> io::Result<()> {
        let _closed = self.gate.write().expect("nobody panics with it");
        contents::copy(&self.behind, to)
    }

    /// Moves all that the folder holds into `aside`, and all of `with` in its place. What was not synced counts as synced from then
    /// on. Gives the names in the root that have gone or come.
    pub(super) fn replace(&self, with: &Path, aside: &Path) -> io::Result<Vec<OsString>> {
        let _closed = self.gate.write().expect("nobody panics with it");
        self.names().synced_all();
        for (inode, _) in self.table().inodes.values() {
            *inode.unsynced.lock().expect("nobody panics with it") = None;
            inode.is_true(0, u64::MAX);
        }
        let mut names = contents::move_all(&self.behind, aside)?;
        names.extend(contents::move_all(with, &self.behind)?);
        Ok(names)
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("nobody panics with it")
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().expect("nobody panics with it")
    }

    pub(super) fn troubles(&self) -> MutexGuard<'_, Troubles> {
        self.troubles.lock().expect("nobody panics with it")
    }

    pub(super) fn random(&self) -> MutexGuard<'_, ChaCha8Rng> {
        self.random.lock().expect("nobody panics with it")
    }

    pub(super) fn pass(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().expect("nobody panics with it")
    }

    pub(super) fn inode(&self, number: INodeNo) -> Reply<Arc<Inode>> {
        self.table().inodes.get(&number.0).map(|(inode, _)| Arc::clone(inode)).ok_or(Errno::ESTALE)
    }

    /// The inode at a path from the root, whether or not the kernel knows it.
    fn known(&self, path: &Path) -> io::Result<Arc<Inode>> {
        let root = Arc::clone(&self.table().inodes[&INodeNo::ROOT.0].0);
        let at = openat(root.at(), path, place_only(), Mode::empty())?;
        let number = fstat(&at)?.st_ino;
        let mut table = self.table();
        let (inode, _) = table.inodes.entry(number).or_insert_with(|| (Arc::new(Inode::new(number, at)), 0));
        Ok(Arc::clone(inode))
    }

    /// The inode behind a name, which the kernel knows from now on.
    pub(super) fn find(&self, folder: &Inode, name: &OsStr) -> Reply<(Arc<Inode>, FileAttr)> {
        let at = openat(folder.at(), name, place_only(), Mode::empty()).map_err(system)?;
        let attributes = self.attributes(&fstat(&at).map_err(system)?)?;
        let mut table = self.table();
        let number = attributes.ino.0;
        let (inode, lookups) =
            table.inodes.entry(number).or_insert_with(|| (Arc::new(Inode::new(number, at)), 0));
        *lookups += 1;
        Ok((Arc::clone(inode), attributes))
    }

    fn attributes(&self, stat: &FileStat) -> Reply<FileAttr> {
        let kind = kind(SFlag::from_bits_truncate(stat.st_mode)).ok_or(Errno::EIO)?;
        let number = if stat.st_ino == self.root_number { INodeNo::ROOT } else { INodeNo(stat.st_ino) };
        Ok(FileAttr {
            ino: number,
            size: stat.st_size.cast_unsigned(),
            blocks: stat.st_blocks.cast_unsigned(),
            atime: time(stat.st_atime, stat.st_atime_nsec),
            mtime: time(stat.st_mtime, stat.st_mtime_nsec),
            ctime: time(stat.st_ctime, stat.st_ctime_nsec),
            crtime: UNIX_EPOCH,
            kind,
            perm: (stat.st_mode & 0o7777) as u16,
            nlink: stat.st_nlink as u32,
            uid: stat.st_uid,
            gid: stat.st_gid,
            rdev: stat.st_rdev as u32,
            blksize: 4096,
            flags: 0,
        })
    }

    pub(super) fn stat(&self, inode: &Inode) -> Reply<FileAttr> {
        self.attributes(&fstat(inode.at()).map_err(system)?)
    }

    pub(super) fn forgotten(&self, number: u64, count: u64) {
        let mut table = self.table();
        let Some((inode, lookups)) = table.inodes.get_mut(&number) else {
            return;
        };
        *lookups = lookups.saturating_sub(count);
        let is_synced = inode.unsynced.lock().expect("nobody panics with it").is_none();
        if *lookups == 0 && number != INodeNo::ROOT.0 && is_synced && !inode.has_lies() {
            table.inodes.remove(&number);
        }
    }

    /// What nobody can come back to need not be kept.
    fn sweep(&self) {
        let is_gone = |inode: &Inode| fstat(inode.at()).is_ok_and(|stat| stat.st_nlink == 0);
        self.table().inodes.retain(|_, (inode, lookups)| *lookups > 0 || !is_gone(inode));
    }

    pub(super) fn sync(&self, number: INodeNo) -> Reply<()> {
        self.before_sync(number.0)?;
        let _pass = self.pass();
        let inode = self.inode(number)?;
        inode.sync()?;
        self.names().synced_file(inode.id);
        Ok(())
    }

    pub(super) fn sync_folder(&self, number: INodeNo) -> Reply<()> {
        self.before_sync(number.0)?;
        let _pass = self.pass();
        let inode = self.inode(number)?;
        self.names().synced_folder(inode.id);
        self.sweep();
        Ok(())
    }

    pub(super) fn write_at(&self, number: INodeNo, offset: u64, data: &[u8], flags: OpenFlags) -> Reply<()> {
        let length = data.len() as u64;
        {
            let inode = self.inode(number)?;
            self.before_write(&inode, offset + length)?;
            let _pass = self.pass();
            let fate = self.fate(&inode, offset, length);
            let lie = |file: &File, elsewhere: Option<u64>| -> io::Result<()> {
                let mut shown = inode.read(offset, data.len())?.0;
                // Behind its end, a file that gets longer holds zeros.
                shown.resize(data.len(), 0);
                file.write_all_at(data, offset)?;
                inode.lies(|lies| {
                    let cause = if elsewhere.is_some() { Cause::Misdirected } else { Cause::Lost };
                    lies.tell(offset, shown, cause);
                    elsewhere.into_iter().for_each(|place| lies.tell(place, data.to_vec(), cause));
                });
                Ok(())
            };
            inode.change(
                |undo, file| undo.before_write(file, offset, length),
                |file| match fate {
                    Fate::Lands => {
                        file.write_all_at(data, offset)?;
                        inode.is_true(offset, length);
                        Ok(())
                    }
                    Fate::GetsLost => lie(file, None),
                    Fate::LandsAt(place) => lie(file, Some(place)),
                },
            )?;
        }
        match flags.0 & libc::O_DSYNC {
            0 => Ok(()),
            _ => self.sync(number),
        }
    }

    pub(super) fn set_length(&self, inode: &Inode, length: u64) -> Reply<()> {
        let old = undo::length(inode.file()?)?;
        if length > old {
            self.before_write(inode, length)?;
        }
        let cut = old.saturating_sub(length);
        inode.change(|undo, file| undo.before_hole(file, length, cut), |file| file.set_len(length))?;
        inode.is_true(length, u64::MAX);
        Ok(())
    }

    pub(super) fn allocate(&self, number: INodeNo, offset: u64, length: u64, mode: i32) -> Reply<()> {
        let inode = self.inode(number)?;
        let mode = FallocateFlags::from_bits_truncate(mode);
        let keeps_length = mode.contains(FallocateFlags::FALLOC_FL_KEEP_SIZE);
        if !mode.contains(FallocateFlags::FALLOC_FL_PUNCH_HOLE) {
            self.before_write(&inode, if keeps_length { u64::MAX } else { offset + length })?;
        }
        let _pass = self.pass();
        let moves = FallocateFlags::FALLOC_FL_COLLAPSE_RANGE | FallocateFlags::FALLOC_FL_INSERT_RANGE;
        if mode.intersects(moves) {
            return Err(Errno::EOPNOTSUPP);
        }
        let changes = !(mode - FallocateFlags::FALLOC_FL_KEEP_SIZE).is_empty();
        inode.change(
            |undo, file| if changes { undo.before_hole(file, offset, length) } else { Ok(()) },
            |file| Ok(fallocate(file, mode, offset.cast_signed(), length.cast_signed())?),
        )?;
        if changes {
            inode.is_true(offset, length);
        }
        Ok(())
    }

    /// Makes something at a name, by `make`.
    pub(super) fn add(
        &self,
        parent: INodeNo,
        name: &OsStr,
        is_folder: bool,
        make: impl FnOnce(&Inode) -> Result<(), nix::errno::Errno>,
    ) -> Reply<FileAttr> {
        self.before_name()?;
        let _pass = self.pass();
        let folder = self.inode(parent)?;
        let mut names = self.names();
        make(&folder).map_err(system)?;
        let (inode, attributes) = self.find(&folder, name)?;
        names.added(inode.id, (folder, name.to_owned()), is_folder);
        Ok(attributes)
    }

    pub(super) fn make_file(&self, parent: INodeNo, name: &OsStr, mode: u32, flags: i32) -> Reply<FileAttr> {
        let is_new = self.inode(parent).map(|folder| {
            fstatat(folder.at(), name, AtFlags::AT_SYMLINK_NOFOLLOW) == Err(nix::errno::Errno::ENOENT)
        })?;
        if !is_new && flags & libc::O_EXCL == 0 {
            let _pass = self.pass();
            return Ok(self.find(&*self.inode(parent)?, name)?.1);
        }
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let mode = Mode::from_bits_truncate(mode);
        self.add(parent, name, false, |folder| openat(folder.at(), name, flags, mode).map(drop))
    }

    pub(super) fn remove(&self, parent: INodeNo, name: &OsStr, is_folder: bool) -> Reply<()> {
        let _pass = self.pass();
        let folder = self.inode(parent)?;
        let mut names = self.names();
        let stat = fstatat(folder.at(), name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(system)?;
        let place = (Arc::clone(&folder), name.to_owned());
        if !is_folder {
            return names.remove(stat.st_ino, place).map_err(system);
        }
        if !is_empty(&folder, name)? {
            return Err(Errno::ENOTEMPTY);
        }
        names.remove_folder(stat.st_ino, place).map_err(system)
    }

    pub(super) fn rename_to(&self, from: (INodeNo, &OsStr), to: (INodeNo, &OsStr), flags: u32) -> Reply<()> {
        let _pass = self.pass();
        let (old, new) = (self.inode(from.0)?, self.inode(to.0)?);
        let mut names = self.names();
        let stat = fstatat(old.at(), from.1, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(system)?;
        let target = fstatat(new.at(), to.1, AtFlags::AT_SYMLINK_NOFOLLOW).ok();
        if target.is_some_and(|target| target.st_ino == stat.st_ino) {
            // Two names of one file: by the standard, nothing happens.
            return Ok(());
        }
        let is_folder =
            |stat: &FileStat| kind(SFlag::from_bits_truncate(stat.st_mode)) == Some(FileType::Directory);
        // A folder takes the place of an empty folder only, and a file that of a file; the rest the kernel refuses itself.
        let replaces = target.as_ref().map(is_folder).filter(|target| *target == is_folder(&stat));
        if replaces == Some(true) && flags == 0 && !is_empty(&new, to.1)? {
            return Err(Errno::ENOTEMPTY);
        }
        let places = ((old, from.1.to_owned()), (new, to.1.to_owned()));
        let flags = nix::fcntl::RenameFlags::from_bits_truncate(flags);
        names.rename(stat.st_ino, places.0, places.1, replaces, flags).map_err(system)
    }

    pub(super) fn list(&self, number: INodeNo) -> Reply<u64> {
        let _pass = self.pass();
        let inode = self.inode(number)?;
        let mut folder = Dir::from_fd(File::open(inode.path())?.into()).map_err(system)?;
        let mut entries = Vec::new();
        for entry in folder.iter() {
            let entry = entry.map_err(system)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
            if number == INodeNo::ROOT && name.as_bytes().starts_with(OWN.as_bytes()) {
                continue;
            }
            entries.push((entry.ino(), entry.file_type().map_or(FileType::RegularFile, of_entry), name));
        }
        let mut table = self.table();
        table.count += 1;
        let handle = table.count;
        table.listings.insert(handle, entries);
        Ok(handle)
    }
}

fn of_entry(kind: nix::dir::Type) -> FileType {
    use nix::dir::Type;
    match kind {
        Type::Fifo => FileType::NamedPipe,
        Type::CharacterDevice => FileType::CharDevice,
        Type::Directory => FileType::Directory,
        Type::BlockDevice => FileType::BlockDevice,
        Type::File => FileType::RegularFile,
        Type::Symlink => FileType::Symlink,
        Type::Socket => FileType::Socket,
    }
}

fn kind(mode: SFlag) -> Option<FileType> {
    let kinds = [
        (SFlag::S_IFREG, FileType::RegularFile),
        (SFlag::S_IFDIR, FileType::Directory),
        (SFlag::S_IFLNK, FileType::Symlink),
        (SFlag::S_IFIFO, FileType::NamedPipe),
        (SFlag::S_IFSOCK, FileType::Socket),
        (SFlag::S_IFCHR, FileType::CharDevice),
        (SFlag::S_IFBLK, FileType::BlockDevice),
    ];
    kinds.iter().find(|(flag, _)| mode & SFlag::S_IFMT == *flag).map(|(_, kind)| *kind)
}

fn is_empty(folder: &Inode, name: &OsStr) -> Reply<bool> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened = openat(folder.at(), name, flags, Mode::empty()).map_err(system)?;
    let is_name = |name: &CStr| !matches!(name.to_bytes(), b"." | b"..");
    let mut folder = Dir::from_fd(opened).map_err(system)?;
    let names = folder.iter().filter(|entry| entry.as_ref().is_ok_and(|entry| is_name(entry.file_name())));
    Ok(names.count() == 0)
}

fn time(seconds: i64, nanoseconds: i64) -> SystemTime {
    match u64::try_from(seconds) {
        Ok(seconds) => UNIX_EPOCH + Duration::new(seconds, nanoseconds as u32),
        Err(_) => UNIX_EPOCH,
    }
}
