//! All that a data folder holds, as one thing: copied to be gone back to, or moved out of the way and back.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use super::files::TRIAL;

/// How much is copied at a time.
const PIECE: usize = 256 << 10;

/// Copies all of `from` into `to`, which must not be there; holes and zeros become holes.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if entry.file_name() == TRIAL {
            continue;
        }
        if kind.is_dir() {
            copy(&source, &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else if kind.is_file() {
            copy_file(&source, &target)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let (source, target) = (File::open(from)?, File::create_new(to)?);
    let metadata = source.metadata()?;
    target.set_permissions(metadata.permissions())?;
    target.set_len(metadata.len())?;
    let mut buffer = vec![0; PIECE];
    let mut at = 0;
    loop {
        at = match lseek(source.as_fd(), at, Whence::SeekData) {
            Ok(start) => start,
            // There is nothing but a hole behind it.
            Err(Errno::ENXIO) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let count = source.read_at(&mut buffer, at.cast_unsigned())?;
        if count == 0 {
            return Ok(());
        }
        if buffer[..count].iter().any(|byte| *byte != 0) {
            target.write_all_at(&buffer[..count], at.cast_unsigned())?;
        }
        at += count as i64;
    }
}

/// Moves all of `from` into `to`, but for the controller's own file; gives the names.
pub(super) fn move_all(from: &Path, to: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        if name != TRIAL {
            fs::rename(from.join(&name), to.join(&name))?;
            names.push(name);
        }
    }
    Ok(names)
}

/// Removes a folder with all it holds, if it is there.
pub(super) fn clear(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
