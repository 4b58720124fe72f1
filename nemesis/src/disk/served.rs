//! The file system as the kernel calls it: requests become calls on `files`, and what comes of them answers.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use nix::fcntl::{AtFlags, readlinkat};
use nix::sys::stat::{Mode, SFlag, mkdirat, mknodat};
use nix::sys::statvfs::fstatvfs;
use nix::unistd::{Gid, Uid, fchownat, linkat, symlinkat};

use super::files::{Files, Reply, TRUST, system};
use super::inode::Inode;
use super::strikes::Wait;
use super::trouble::{Counts, Full};

fn attributes_of(reply: ReplyAttr, result: Reply<FileAttr>) {
    match result {
        Ok(attributes) => reply.attr(&TRUST, &attributes),
        Err(error) => reply.error(error),
    }
}

fn entry(reply: ReplyEntry, result: Reply<FileAttr>) {
    match result {
        Ok(attributes) => reply.entry(&TRUST, &attributes, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn done(reply: ReplyEmpty, result: Reply<()>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn written(reply: ReplyWrite, data: &[u8], result: Reply<()>) {
    match result {
        Ok(()) => reply.written(data.len() as u32),
        Err(error) => reply.error(error),
    }
}

/// The file system as the kernel calls it.
pub(super) struct Served(pub(super) Arc<Files>);

impl Served {
    /// Does something after a wait, if there is one: in a thread of its own, so that who waits holds nobody else up.
    fn after(&self, wait: Wait, then: impl FnOnce(&Files) + Send + 'static) {
        if wait == Wait::default() {
            return then(&self.0);
        }
        let files = Arc::clone(&self.0);
        let later = move || {
            files.wait(wait);
            then(&files);
        };
        // If there is no thread to be had, the answer goes with what was to give it, and is an error.
        let _ = std::thread::Builder::new().name("slow-disk".into()).spawn(later);
    }
}

impl Filesystem for Served {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // What an older kernel lacks makes this slower, not wrong.
        for capability in [InitFlags::FUSE_PARALLEL_DIROPS, InitFlags::FUSE_NO_OPEN_SUPPORT] {
            let _ = config.add_capabilities(capability);
        }
        let _ = config.set_max_write(1 << 20);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let _pass = self.0.pass();
        let found = self.0.inode(parent).and_then(|folder| self.0.find(&folder, name));
        entry(reply, found.map(|(_, attributes)| attributes));
    }

    fn forget(&self, _: &Request, number: INodeNo, count: u64) {
        self.0.forgotten(number.0, count);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let _pass = self.0.pass();
        attributes_of(reply, self.0.inode(number).and_then(|inode| self.0.stat(&inode)));
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = || -> Reply<FileAttr> {
            let inode = self.0.inode(number)?;
            if let Some(size) = size {
                self.0.set_length(&inode, size)?;
            }
            let _pass = self.0.pass();
            if let Some(mode) = mode {
                std::fs::set_permissions(inode.path(), std::os::unix::fs::PermissionsExt::from_mode(mode))?;
            }
            if uid.is_some() || gid.is_some() {
                let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
                fchownat(inode.at(), "", uid, gid, AtFlags::AT_EMPTY_PATH).map_err(system)?;
            }
            if let Some(modified) = mtime {
                let at = |time: TimeOrNow| match time {
                    TimeOrNow::Now => SystemTime::now(),
                    TimeOrNow::SpecificTime(time) => time,
                };
                let times = std::fs::FileTimes::new().set_modified(at(modified));
                let times = atime.map_or(times, |atime| times.set_accessed(at(atime)));
                File::open(inode.path())?.set_times(times)?;
            }
            self.0.stat(&inode)
        };
        attributes_of(reply, set());
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        let _pass = self.0.pass();
        match self.0.inode(number).and_then(|inode| readlinkat(inode.at(), "").map_err(system)) {
            Ok(target) => reply.data(target.as_bytes()),
            Err(error) => reply.error(error),
        }
    }

    fn mknod(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        device: u32,
        reply: ReplyEntry,
    ) {
        let (kind, mode) = (SFlag::from_bits_truncate(mode) & SFlag::S_IFMT, Mode::from_bits_truncate(mode));
        let make = |folder: &Inode| mknodat(folder.at(), name, kind, mode, device.into());
        entry(reply, self.0.add(parent, name, false, make));
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        let make = |folder: &Inode| mkdirat(folder.at(), name, Mode::from_bits_truncate(mode));
        entry(reply, self.0.add(parent, name, true, make));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(reply, self.0.remove(parent, name, false));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(reply, self.0.remove(parent, name, true));
    }

    fn symlink(&self, _: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let make = |folder: &Inode| symlinkat(target, folder.at(), name);
        entry(reply, self.0.add(parent, name, false, make));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: fuser::RenameFlags,
        reply: ReplyEmpty,
    ) {
        done(reply, self.0.rename_to((parent, name), (new_parent, new_name), flags.bits()));
    }

    fn link(&self, _: &Request, number: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let linked = self.0.inode(number).and_then(|inode| {
            let make = |folder: &Inode| {
                linkat(nix::fcntl::AT_FDCWD, &inode.path(), folder.at(), name, AtFlags::AT_SYMLINK_FOLLOW)
            };
            self.0.add(parent, name, false, make)
        });
        entry(reply, linked);
    }

    /// The kernel need not ask again: whoever may open a file does.
    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.error(Errno::ENOSYS);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        match self.0.make_file(parent, name, mode, flags) {
            Ok(attributes) => {
                reply.created(
                    &TRUST,
                    &attributes,
                    Generation(0),
                    FileHandle(0),
                    FopenFlags::FOPEN_KEEP_CACHE,
                );
            }
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = || -> Reply<Vec<u8>> {
            self.0.before_read(number.0, offset..offset + u64::from(size), flags)?;
            let _pass = self.0.pass();
            let (bytes, is_lie) = self.0.inode(number)?.read(offset, size as usize)?;
            if is_lie {
                Counts::add(&self.0.counts.lied);
            }
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let is_synced = flags.0 & libc::O_DSYNC != 0;
        let sync_wait = if is_synced { self.0.sync_wait(number.0) } else { Wait::default() };
        let wait = self.0.write_wait(number.0).and(sync_wait);
        if wait == Wait::default() {
            return written(reply, data, self.0.write_at(number, offset, data, flags));
        }
        let data = data.to_vec();
        self.after(wait, move |files| written(reply, &data, files.write_at(number, offset, &data, flags)));
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.after(self.0.sync_wait(number.0), move |files| done(reply, files.sync(number)));
    }

    fn opendir(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.0.list(number) {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let table = self.0.table();
        let entries = table.listings.get(&handle.0).map_or(&[][..], Vec::as_slice);
        for (place, (number, kind, name)) in entries.iter().enumerate().skip(offset as usize) {
            if reply.add(INodeNo(*number), place as u64 + 1, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.0.table().listings.remove(&handle.0);
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.after(self.0.sync_wait(number.0), move |files| done(reply, files.sync_folder(number)));
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let stat = self.0.inode(INodeNo::ROOT).and_then(|root| fstatvfs(root.at().as_fd()).map_err(system));
        let is_full = self.0.trouble(0).is_some_and(|trouble| trouble.full > Full::No);
        match stat {
            Ok(stat) => {
                let free = |blocks: u64| if is_full { 0 } else { blocks };
                reply.statfs(
                    stat.blocks(),
                    free(stat.blocks_free()),
                    free(stat.blocks_available()),
                    stat.files(),
                    stat.files_free(),
                    stat.block_size() as u32,
                    stat.name_max() as u32,
                    stat.fragment_size() as u32,
                );
            }
            Err(error) => reply.error(error),
        }
    }

    fn fallocate(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        done(reply, self.0.allocate(number, offset, length, mode));
    }
}
