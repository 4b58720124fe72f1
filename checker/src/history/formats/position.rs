//! Where a byte of a file stands, counted as the file comes in pieces.

use crate::lines::ParseError;

/// The place of a byte.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Position {
    /// Line feeds before it.
    lines: usize,
    /// Bytes of its line before it.
    columns: usize,
}

impl Position {
    /// The place behind `text`, which begins here.
    pub(super) fn after(self, text: &[u8]) -> Position {
        match memchr::memrchr(b'\n', text) {
            Some(last) => {
                let lines = self.lines + memchr::memchr_iter(b'\n', text).count();
                Position { lines, columns: text.len() - last - 1 }
            }
            None => Position { columns: self.columns + text.len(), ..self },
        }
    }

    /// Its line, from 1.
    pub(super) fn line(self) -> u32 {
        u32::try_from(self.lines + 1).unwrap_or(u32::MAX)
    }

    /// What is wrong here.
    pub(super) fn error(self, message: String) -> ParseError {
        ParseError { line: self.lines + 1, column: self.columns + 1, message }
    }

    /// What is wrong in the text that begins here, of which `error` knows the column and `line` is the line, both from 1.
    pub(super) fn behind(self, error: &ParseError, line: usize) -> ParseError {
        let column = if line <= 1 { self.columns + error.column } else { error.column };
        ParseError { line: self.lines + line.max(1), column, message: error.message.clone() }
    }
}
