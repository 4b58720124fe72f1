//! The controller's own calls on a mount, each made by a short-lived child.
//!
//! A process must never wait for a file system that it serves itself: killed in the middle, its waiting thread could not
//! end before an answer that nobody gives any more, and its device would never be closed. A child that holds no device can.

use std::ffi::CString;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};

/// What is tried on a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// All of it is overwritten with this byte.
    Write(u8),
    /// It is synced.
    Sync,
    /// It is made, which it must not be already, and removed.
    Make,
    /// It is counted how many of its sectors hold nothing but this byte, after the kernel has forgotten what it held.
    Count(u8),
    /// One of its sectors, the one in the middle, is overwritten with this byte.
    Sector(u8),
    /// The byte at this place is read, after the kernel has forgotten what was there.
    Byte(u64),
    /// It is read, after the kernel has forgotten what it held.
    Read,
    /// Of a folder, the names in it are counted.
    Names,
}

/// Length of the file that things are tried on.
pub(super) const TRIAL_BYTES: usize = 16 << 10;
/// Sectors of the file that things are tried on.
pub const TRIAL_SECTORS: u64 = TRIAL_BYTES as u64 / 512;
/// Where the sector in the middle begins.
pub(super) const TRIAL_MIDDLE: u64 = TRIAL_BYTES as u64 / 2;
const PAGE: u64 = 4096;

/// Tries it on the file at `path`; gives how long it took, and the count or the byte if one was asked for.
pub(super) fn attempt(trial: Trial, path: &Path) -> io::Result<(Duration, u64)> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut buffer = vec![0; TRIAL_BYTES];
    in_child(|| call(trial, &path, &mut buffer))
}

/// Makes the kernel forget what it holds of these files, but for what is mapped or on its way.
pub(super) fn evict(paths: &[PathBuf]) -> io::Result<()> {
    let paths: Vec<CString> =
        paths.iter().map(|path| CString::new(path.as_os_str().as_bytes())).collect::<Result<_, _>>()?;
    let evict = || -> Result<u64, Errno> {
        for path in &paths {
            // SAFETY: plain system calls on a path and a descriptor that are there; who is gone holds nothing.
            unsafe {
                let file = libc::open(path.as_ptr(), libc::O_RDONLY);
                libc::posix_fadvise(file, 0, 0, libc::POSIX_FADV_DONTNEED);
                libc::close(file);
            }
        }
        Ok(0)
    };
    in_child(evict).map(drop)
}

/// Lets a child make these calls, which may only make system calls and work on memory that is there already; gives how long
/// it took, and what the child gave.
fn in_child(calls: impl FnOnce() -> Result<u64, Errno>) -> io::Result<(Duration, u64)> {
    let (mut reader, writer) = io::pipe()?;
    let start = Instant::now();
    // SAFETY: the child neither allocates nor locks, see above.
    match unsafe { fork() }? {
        ForkResult::Child => {
            let writer = writer.as_raw_fd();
            let outcome = prepare(writer).and_then(|()| calls());
            let answer = match outcome {
                Ok(count) => [0, count],
                Err(error) => [error as u64, 0],
            };
            // SAFETY: the descriptor is open and the memory is its own; what follows ends the child without destructors.
            unsafe {
                libc::write(writer, answer.as_ptr().cast(), size_of_val(&answer));
                libc::_exit(0)
            }
        }
        ForkResult::Parent { child } => {
            drop(writer);
            let mut answer = [0; 16];
            let answered = reader.read_exact(&mut answer);
            let took = start.elapsed();
            waitpid(child, None)?;
            answered?;
            let number = |at: usize| u64::from_ne_bytes(answer[at..at + 8].try_into().expect("eight bytes"));
            match number(0) {
                0 => Ok((took, number(8))),
                error => Err(io::Error::from_raw_os_error(error as i32)),
            }
        }
    }
}

/// Binds the child to its parent's life, and closes all that it must not hold.
fn prepare(kept: RawFd) -> Result<(), Errno> {
    set_pdeathsig(Signal::SIGKILL)?;
    let kept = kept.cast_unsigned();
    for (first, last) in [(3, kept.saturating_sub(1)), (kept + 1, u32::MAX)] {
        if first <= last {
            // SAFETY: the child uses none of them.
            Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
        }
    }
    Ok(())
}

fn call(trial: Trial, path: &CString, buffer: &mut [u8]) -> Result<u64, Errno> {
    let flags = match trial {
        Trial::Make => libc::O_RDWR | libc::O_CREAT | libc::O_EXCL,
        Trial::Write(_) | Trial::Sync | Trial::Sector(_) => libc::O_RDWR,
        Trial::Count(_) | Trial::Byte(_) | Trial::Read | Trial::Names => libc::O_RDONLY,
    };
    // SAFETY: plain system calls on a path, a descriptor and a buffer that are there.
    unsafe {
        let file = Errno::result(libc::open(path.as_ptr(), flags, 0o600))?;
        let write = |bytes: &[u8], at: u64| {
            let written = libc::pwrite(file, bytes.as_ptr().cast(), bytes.len(), at.cast_signed());
            Errno::result(written).map(|written| written.cast_unsigned() as u64)
        };
        let mut read_anew = |length: usize, at: u64| {
            let page = at / PAGE * PAGE;
            let pages = (length as u64).next_multiple_of(PAGE).cast_signed();
            libc::posix_fadvise(file, page.cast_signed(), pages, libc::POSIX_FADV_DONTNEED);
            let read = libc::pread(file, buffer.as_mut_ptr().cast(), length, at.cast_signed());
            Errno::result(read).map(isize::cast_unsigned)
        };
        match trial {
            Trial::Write(byte) => {
                buffer.fill(byte);
                write(buffer, 0)
            }
            Trial::Sector(byte) => {
                buffer.fill(byte);
                write(&buffer[..512], TRIAL_MIDDLE)
            }
            Trial::Sync => Errno::result(libc::fdatasync(file)).map(|_| 0),
            Trial::Make => Errno::result(libc::unlink(path.as_ptr())).map(|_| 0),
            Trial::Read => read_anew(TRIAL_BYTES, 0).map(|_| 0),
            Trial::Count(byte) => {
                let read = read_anew(TRIAL_BYTES, 0)?;
                let sectors = buffer[..read].chunks(512);
                Ok(sectors.filter(|sector| sector.iter().all(|other| *other == byte)).count() as u64)
            }
            Trial::Names => count_names(file, buffer),
            Trial::Byte(at) => match read_anew(1, at)? {
                0 => Err(Errno::ENODATA),
                _ => Ok(buffer[0].into()),
            },
        }
    }
}

/// Names in an open folder, but for its own and its parent's.
fn count_names(folder: RawFd, buffer: &mut [u8]) -> Result<u64, Errno> {
    /// Where an entry as the kernel gives it has its length and its name.
    const LENGTH: usize = 16;
    const NAME: usize = 19;
    let mut count = 0;
    loop {
        // SAFETY: the kernel writes into the buffer, which is as long as it is told.
        let got = unsafe { libc::syscall(libc::SYS_getdents64, folder, buffer.as_mut_ptr(), buffer.len()) };
        let mut entries = &buffer[..Errno::result(got)?.cast_unsigned() as usize];
        if entries.is_empty() {
            return Ok(count);
        }
        while !entries.is_empty() {
            let length = u16::from_ne_bytes([entries[LENGTH], entries[LENGTH + 1]]);
            let name = &entries[NAME..usize::from(length)];
            count += u64::from(!name.starts_with(b".\0") && !name.starts_with(b"..\0"));
            entries = &entries[usize::from(length)..];
        }
    }
}
