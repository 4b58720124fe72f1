//! Which file, and which bit of it, a fault strikes.
//!
//! Larger files are struck more often, as a bad sector would; places that hold nothing but zeros are avoided, for they were
//! often made ahead of their time, and nobody misses a bit there.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::files::OWN;

const SECTOR: u64 = 512;
/// How often a place is drawn before whichever comes first is taken.
const DRAWS_MAX: usize = 256;

/// A bit of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bit {
    /// The file, from the data folder on.
    pub file: PathBuf,
    /// Which byte of it.
    pub offset: u64,
    /// Which bit of that byte, as a mask.
    pub mask: u8,
}

/// Every regular file below, by its path from there, in order of names; the controller's own do not count.
pub(super) fn files_below(folder: &Path) -> io::Result<Vec<(PathBuf, fs::Metadata)>> {
    let mut found = Vec::new();
    let mut left = vec![PathBuf::new()];
    while let Some(inner) = left.pop() {
        for entry in fs::read_dir(folder.join(&inner))? {
            let entry = entry?;
            let path = inner.join(entry.file_name());
            // A program may have removed it meanwhile.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.is_dir() {
                left.push(path);
            } else if metadata.is_file() && !is_own(&path) {
                found.push((path, metadata));
            }
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}

fn is_own(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().starts_with(OWN.as_bytes())
}

/// Draws a bit of what is in the files below `folder` that match `pattern`.
///
/// # Errors
/// When the folder cannot be read, or there is no such file with anything in it.
pub(super) fn draw_bit(folder: &Path, pattern: &str, random: &mut ChaCha8Rng) -> io::Result<Bit> {
    // What was never written, however long the file is, is nothing that a disk could hold wrongly.
    let mut stretches: Vec<(PathBuf, Range<u64>)> = Vec::new();
    for (path, metadata) in files_below(folder)? {
        if metadata.len() > 0 && matches(pattern, &path) {
            let written = written(&folder.join(&path)).unwrap_or_default();
            stretches.extend(written.into_iter().map(|stretch| (path.clone(), stretch)));
        }
    }
    let all: u64 = stretches.iter().map(|(_, stretch)| stretch.end - stretch.start).sum();
    if all == 0 {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no such file holds anything"));
    }
    let mut drawn = None;
    for _ in 0..DRAWS_MAX {
        let mut left = random.random_range(0..all);
        let (path, stretch) = stretches
            .iter()
            .find(|(_, stretch)| {
                let length = stretch.end - stretch.start;
                let is_there = left < length;
                left -= if is_there { 0 } else { length };
                is_there
            })
            .expect("it is less than all together");
        let at = stretch.start + left;
        let bit = Bit { file: path.clone(), offset: at, mask: 1 << random.random_range(0..8) };
        if let Some(offset) = written_near(&folder.join(path), at, stretch.end) {
            return Ok(Bit { offset, ..bit });
        }
        drawn = drawn.or(Some(bit));
    }
    // Nearly all is zeros; then what is not lies at the beginning of a file, if anywhere.
    let first = |(path, stretch): &(PathBuf, Range<u64>)| {
        Some((path.clone(), written_near(&folder.join(path), stretch.start, stretch.end)?))
    };
    let bit = drawn.expect("one was drawn");
    Ok(match stretches.iter().find_map(first) {
        Some((file, offset)) => Bit { file, offset, mask: bit.mask },
        None => bit,
    })
}

/// Where a file holds anything, its holes and what was only reserved left out.
fn written(path: &Path) -> io::Result<Vec<Range<u64>>> {
    let file = File::open(path)?;
    let mut stretches = Vec::new();
    let mut at = 0;
    loop {
        let start = match lseek(file.as_fd(), at, Whence::SeekData) {
            Ok(start) => start,
            Err(Errno::ENXIO) => return Ok(stretches),
            Err(error) => return Err(error.into()),
        };
        at = lseek(file.as_fd(), start, Whence::SeekHole)?;
        stretches.push(start.cast_unsigned()..at.cast_unsigned());
    }
}

/// A byte that is not zero, in the same sector as that place or later in it.
fn written_near(path: &Path, at: u64, end: u64) -> Option<u64> {
    let start = at / SECTOR * SECTOR;
    let mut sector = vec![0; SECTOR.min(end - start) as usize];
    File::open(path).and_then(|file| file.read_exact_at(&mut sector, start)).ok()?;
    let is_written = |place: &usize| sector[*place] != 0;
    let from = (at - start) as usize;
    let place = (from..sector.len()).find(is_written).or_else(|| (0..from).find(is_written))?;
    Some(start + place as u64)
}

/// Whether the path, or the file's name alone, matches the pattern: `*` is anything, `?` any one character.
pub(super) fn matches(pattern: &str, path: &Path) -> bool {
    let is_match = |text: &[u8]| glob(pattern.as_bytes(), text);
    is_match(path.as_os_str().as_encoded_bytes())
        || path.file_name().is_some_and(|name| is_match(name.as_encoded_bytes()))
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, _) => text.is_empty(),
        (Some((b'*', rest)), _) => (0..=text.len()).any(|skipped| glob(rest, &text[skipped..])),
        (Some((b'?', rest)), Some((_, others))) => glob(rest, others),
        (Some((one, rest)), Some((other, others))) => one == other && glob(rest, others),
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_paths_and_names() {
        let is_match = |pattern, path: &str| matches(pattern, Path::new(path));
        assert!(is_match("*", "a/b.wal") && is_match("*.wal", "a/b.wal") && is_match("a/*", "a/b.wal"));
        assert!(is_match("b.w?l", "a/b.wal") && is_match("*/b*", "a/b.wal"));
        assert!(!is_match("a", "a/b.wal") && !is_match("*.wa", "a/b.wal") && !is_match("?", "ab"));
    }

    /// A megabyte of zeros hides sixteen bytes; they are found, and where there is a choice it is by size.
    #[test]
    fn bits_are_drawn_where_something_was_written() {
        use rand::SeedableRng;
        let folder = tempfile::tempdir().expect("a folder");
        let mut zeros = vec![0; 1 << 20];
        zeros[700_000..700_016].fill(7);
        fs::write(folder.path().join("zeros"), &zeros).expect("a file");
        let mut random = ChaCha8Rng::seed_from_u64(1);
        fs::write(folder.path().join("empty"), b"").expect("a file");
        fs::write(folder.path().join(format!("{OWN}trial")), b"own").expect("a file");
        fs::write(folder.path().join("head"), b"head").expect("a file");
        for _ in 0..20 {
            let bit = draw_bit(folder.path(), "*", &mut random).expect("there is one");
            let is_written = bit.file == Path::new("head") || (700_000..700_016).contains(&bit.offset);
            assert!(is_written && bit.mask.is_power_of_two(), "{bit:?}");
        }
        fs::write(folder.path().join("large"), [1; 40_000]).expect("a file");
        fs::write(folder.path().join("small"), [1; 10_000]).expect("a file");
        let drawn = (0..400).map(|_| draw_bit(folder.path(), "*l*", &mut random).expect("there is one").file);
        let large = drawn.filter(|file| file == Path::new("large")).count();
        assert!((270..370).contains(&large), "{large} of 400 in four fifths");
        assert!(draw_bit(folder.path(), "none", &mut random).is_err());
    }
}
