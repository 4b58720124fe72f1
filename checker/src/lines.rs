//! Files of one JSON object a line, as histories and traces are, and the errors that say where one is broken.
//!
//! The one idea: whoever writes such a file can be killed in the middle of a line. A last line without its line
//! feed that is not whole is therefore expected, and only noticed; anything else that is broken is an error.

use serde::de::DeserializeOwned;

/// What is wrong with an input file, and where. The message has no file name; whoever read the file puts it in front.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
    /// What is wrong, in one line.
    pub message: String,
}

impl ParseError {
    /// The same in one line, whatever it quotes from the file.
    pub(crate) fn in_one_line(self) -> ParseError {
        if !self.message.contains(char::is_control) {
            return self;
        }
        let escaped = |character: char| match character.is_control() {
            true => character.escape_default().to_string(),
            false => character.to_string(),
        };
        ParseError { message: self.message.chars().map(escaped).collect(), ..self }
    }
}

/// The records of a file.
pub(crate) struct Records<T> {
    /// Each with its line, from 1.
    pub(crate) records: Vec<(usize, T)>,
    /// Line of a cut last one, if there was one.
    pub(crate) cut: Option<usize>,
}

/// Reads `text`; empty lines are skipped.
pub(crate) fn read<T: DeserializeOwned>(text: &[u8]) -> Result<Records<T>, ParseError> {
    let mut records = Vec::new();
    for (number, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        // Without its line feed, an object that ends too early is reported where it ends.
        match serde_json::from_slice(line.trim_ascii_end()) {
            Ok(record) => records.push((number + 1, record)),
            Err(error) if is_cut(line, &error) => {
                let cut = Some(number + 1);
                return Ok(Records { records, cut });
            }
            Err(error) => return Err(located(number + 1, &error)),
        }
    }
    Ok(Records { records, cut: None })
}

/// A cut line ends too early. Half a character at its end is not even text.
pub(crate) fn is_cut(line: &[u8], error: &serde_json::Error) -> bool {
    let unfinished = error.is_eof() || std::str::from_utf8(line).is_err();
    !line.ends_with(b"\n") && unfinished
}

pub(crate) fn located(line: usize, error: &serde_json::Error) -> ParseError {
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
    let column = error.column().max(1);
    ParseError { line, column, message }
}
