//! Files of histories: what each looks like, and how they become operations.
//!
//! Text is fed in pieces as it comes from a disk; what is needed later is kept as operations and nothing else, so a file may be larger
//! than memory. [`Format`] is found by content: the first thing that is neither white space nor a comment tells.

mod jsonl;

use super::operation::History;
use crate::lines::ParseError;
pub use jsonl::{Parsed, parse_jsonl};

/// Ways to write a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// One JSON event a line, as runs write it.
    Jsonl,
}

/// A history that was read from a file.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its operations.
    pub history: History,
    /// How it was written.
    pub format: Format,
    /// What a reader should know though it is no error, one line each.
    pub notices: Vec<String>,
}

/// Reads a history piece by piece.
#[derive(Debug)]
pub struct Reader {
    history: History,
    /// A line that is not whole yet.
    rest: Vec<u8>,
    line: usize,
    notices: Vec<String>,
}

/// A line longer than this is no event; without a bound, a file of no lines would be read into memory.
const LINE_BYTES_MAX: usize = 1 << 30;

impl Default for Reader {
    fn default() -> Reader {
        Reader::new()
    }
}

impl Reader {
    /// A reader that has seen nothing.
    pub fn new() -> Reader {
        Reader { history: History::default(), rest: Vec::new(), line: 0, notices: Vec::new() }
    }

    /// Takes the next piece of the file.
    ///
    /// # Errors
    /// What is no history of this format, with its line.
    pub fn feed(&mut self, text: &[u8]) -> Result<(), ParseError> {
        let mut text = text;
        while let Some(end) = memchr::memchr(b'\n', text) {
            let (line, behind) = (&text[..end], &text[end + 1..]);
            text = behind;
            if self.rest.is_empty() {
                self.take(line, false)?;
                continue;
            }
            let mut whole = std::mem::take(&mut self.rest);
            whole.extend_from_slice(line);
            self.take(&whole, false)?;
            whole.clear();
            self.rest = whole;
        }
        if self.rest.len() + text.len() > LINE_BYTES_MAX {
            let message = "a line of more than 1 GiB (hint: is this a history?)".to_owned();
            return Err(ParseError { line: self.line + 1, column: 1, message });
        }
        self.rest.extend_from_slice(text);
        Ok(())
    }

    fn take(&mut self, line: &[u8], is_last: bool) -> Result<(), ParseError> {
        self.line += 1;
        let line = line.trim_ascii_end();
        if line.is_empty() {
            return Ok(());
        }
        if jsonl::take_line(&mut self.history, self.line, line, is_last)? {
            self.notices.push(jsonl::cut_notice(self.line));
        }
        Ok(())
    }

    /// All that was read. A last line that was cut off is left out with a notice.
    ///
    /// # Errors
    /// As for [`Reader::feed`].
    pub fn finish(mut self) -> Result<Recorded, ParseError> {
        let rest = std::mem::take(&mut self.rest);
        self.take(&rest, true)?;
        Ok(Recorded { history: self.history, format: Format::Jsonl, notices: self.notices })
    }
}
