//! The controller's own calls on a mount, each made by a short-lived child.
//!
//! A process must never wait for a file system that it serves itself: killed in the middle, its waiting thread could not
//! end before an answer that nobody gives any more, and its device would never be closed. A child that holds no device can.

use std::ffi::CString;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
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
    /// It is counted how many of its sectors hold nothing but this byte.
    Count(u8),
}

/// Length of the file that things are tried on.
pub(super) const TRIAL_BYTES: usize = 16 << 10;
/// Sectors of the file that things are tried on.
pub const TRIAL_SECTORS: u64 = TRIAL_BYTES as u64 / 512;

/// Tries it on the file at `path`; gives how long it took, and the count if one was asked for.
pub(super) fn attempt(trial: Trial, path: &Path) -> io::Result<(Duration, u64)> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut buffer = vec![0; TRIAL_BYTES];
    let (mut reader, writer) = io::pipe()?;
    let start = Instant::now();
    // SAFETY: the child only makes system calls and works on memory that is there already; it neither allocates nor locks.
    match unsafe { fork() }? {
        ForkResult::Child => {
            let writer = writer.as_raw_fd();
            let outcome = prepare(writer).and_then(|()| call(trial, &path, &mut buffer));
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
        Trial::Write(_) | Trial::Sync | Trial::Count(_) => libc::O_RDWR,
    };
    // SAFETY: plain system calls on a path, a descriptor and a buffer that are there.
    unsafe {
        let file = Errno::result(libc::open(path.as_ptr(), flags, 0o600))?;
        match trial {
            Trial::Write(byte) => {
                buffer.fill(byte);
                let written = libc::pwrite(file, buffer.as_ptr().cast(), buffer.len(), 0);
                Errno::result(written).map(isize::cast_unsigned).map(|written| written as u64)
            }
            Trial::Sync => Errno::result(libc::fdatasync(file)).map(|_| 0),
            Trial::Make => Errno::result(libc::unlink(path.as_ptr())).map(|_| 0),
            Trial::Count(byte) => {
                let read = Errno::result(libc::pread(file, buffer.as_mut_ptr().cast(), buffer.len(), 0))?;
                let sectors = buffer[..read.cast_unsigned()].chunks(512);
                Ok(sectors.filter(|sector| sector.iter().all(|other| *other == byte)).count() as u64)
            }
        }
    }
}
