//! The end of a file that grows: lines that are new, each of them once and whole.
//!
//! A line counts when its end is written; a line that is half there waits for its other half. A file that is replaced or
//! cut back goes on with what is there then, and a file that is not there yet may come.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

/// Bytes that are read at one look, at most: whoever looks has more to do.
const STEP_BYTES_MAX: usize = 256 << 10;
/// A line that is longer tells nobody anything, and is passed over.
const LINE_BYTES_MAX: usize = 64 << 10;

/// A file, from some place on.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    file: Option<(File, u64)>,
    /// Where the first line begins that has not been told.
    next: u64,
    /// Everything before it has been looked at.
    seen: u64,
    /// What begins at `next` is the rest of a line that is too long.
    is_overlong: bool,
}

impl Tail {
    /// The lines that end after this. What the file ends with, up to so many bytes of whole lines, is told as `past`.
    pub fn at_end(path: PathBuf, past: impl FnMut(&[u8])) -> Tail {
        let mut tail = Tail { path, file: None, next: 0, seen: 0, is_overlong: false };
        // What cannot be read is not there.
        if tail.open().is_ok() {
            let _ = tail.skip_to_end(past);
        }
        tail
    }

    fn open(&mut self) -> io::Result<()> {
        let file = File::open(&self.path)?;
        let inode = file.metadata()?.ino();
        self.file = Some((file, inode));
        self.restart(0);
        Ok(())
    }

    fn restart(&mut self, at: u64) {
        (self.next, self.seen, self.is_overlong) = (at, at, false);
    }

    fn skip_to_end(&mut self, mut past: impl FnMut(&[u8])) -> io::Result<()> {
        let Some((file, _)) = &self.file else {
            return Ok(());
        };
        let end = file.metadata()?.len();
        let from = end.saturating_sub(LINE_BYTES_MAX as u64);
        let mut last = vec![0; (end - from) as usize];
        let count = file.read_at(&mut last, from)?;
        let whole = last[..count].iter().rposition(|&byte| byte == b'\n').map(|end| end + 1);
        self.is_overlong = whole.is_none() && from > 0;
        let whole = whole.unwrap_or(if self.is_overlong { count } else { 0 });
        (self.next, self.seen) = (from + whole as u64, from + count as u64);
        // The first may be the end of a line only.
        let lines = last[..whole].split(|&byte| byte == b'\n');
        lines.skip(usize::from(from > 0)).for_each(&mut past);
        Ok(())
    }

    /// Tells every line that has ended since the last look, unless there are very many: then the rest the next time.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn look(&mut self, mut line: impl FnMut(&[u8])) -> io::Result<()> {
        let found = match fs::metadata(&self.path) {
            Ok(found) => found,
            // It may come, or come again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let is_replaced = match &self.file {
            Some((_, inode)) => *inode != found.ino(),
            None => true,
        };
        if is_replaced {
            // What the old one got last is told before the new one begins.
            self.take(&mut line)?;
            self.open()?;
        } else if found.len() < self.next {
            self.restart(0);
        } else if found.len() == self.seen {
            return Ok(());
        }
        self.take(&mut line)
    }

    /// A line that is not whole is read again the next time: a program that starts again may have cut it off meanwhile.
    fn take(&mut self, line: &mut impl FnMut(&[u8])) -> io::Result<()> {
        let Some((file, _)) = &self.file else {
            return Ok(());
        };
        let mut piece = vec![0; STEP_BYTES_MAX];
        let count = file.read_at(&mut piece, self.next)?;
        self.seen = self.next + count as u64;
        for part in piece[..count].split_inclusive(|&byte| byte == b'\n') {
            match part {
                [text @ .., b'\n'] => {
                    if !self.is_overlong && text.len() <= LINE_BYTES_MAX {
                        line(text);
                    }
                    self.is_overlong = false;
                }
                text if text.len() <= LINE_BYTES_MAX => break,
                _ => self.is_overlong = true,
            }
            self.next += part.len() as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use super::*;

    fn append(path: &Path, text: &str) {
        let mut file = File::options().append(true).create(true).open(path).expect("a file");
        file.write_all(text.as_bytes()).expect("room");
    }

    fn seen(tail: &mut Tail) -> Vec<String> {
        let mut lines = Vec::new();
        tail.look(|line| lines.push(String::from_utf8_lossy(line).into_owned())).expect("a file");
        lines
    }

    #[test]
    fn lines_are_told_when_they_are_whole_and_only_if_they_end_later() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("trace.jsonl");
        append(&path, "one\ntwo\nthr");
        let mut past = Vec::new();
        let mut tail = Tail::at_end(path.clone(), |line| past.push(line.to_vec()));
        assert_eq!(past[..2], [b"one".to_vec(), b"two".to_vec()]);
        assert!(seen(&mut tail).is_empty());
        append(&path, "ee\nfour\nfi");
        assert_eq!(seen(&mut tail), ["three", "four"]);
        append(&path, "ve");
        assert!(seen(&mut tail).is_empty());
        append(&path, "\n");
        assert_eq!(seen(&mut tail), ["five"]);
    }

    #[test]
    fn files_that_come_later_are_replaced_or_cut_back_are_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("stderr.log");
        let mut tail = Tail::at_end(path.clone(), |_| {});
        assert!(seen(&mut tail).is_empty());
        append(&path, "one\n");
        assert_eq!(seen(&mut tail), ["one"]);
        append(&path, "two\nhalf");
        assert_eq!(seen(&mut tail), ["two"]);
        // As a node does that starts again: its half line goes, nothing is told twice.
        File::options().write(true).open(&path).expect("a file").set_len(8).expect("shorter");
        append(&path, "three\n");
        assert_eq!(seen(&mut tail), ["three"]);
        fs::write(&path, "anew\n").expect("a file");
        assert_eq!(seen(&mut tail), ["anew"]);
        append(&path, "last words\n");
        fs::rename(&path, folder.path().join("stderr.log.1")).expect("rotation");
        append(&path, "first words\n");
        assert_eq!(seen(&mut tail), ["last words", "first words"]);
    }

    #[test]
    fn one_look_reads_so_much_and_no_endless_line_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("stdout.log");
        append(&path, "");
        let mut tail = Tail::at_end(path.clone(), |_| {});
        append(&path, &("x".repeat(LINE_BYTES_MAX + 1) + "\nshort\n" + &"line\n".repeat(STEP_BYTES_MAX / 4)));
        let first = seen(&mut tail);
        assert!(first[0] == "short" && first.len() < STEP_BYTES_MAX / 4, "{}", first.len());
        let rest = seen(&mut tail).len() + seen(&mut tail).len();
        assert_eq!(first.len() + rest, 1 + STEP_BYTES_MAX / 4);
    }
}
