//! A node's trace: what it does inside, one JSON line a deed.
//!
//! Tracing must not harm the node: when the file cannot be written, it says so once and goes on without.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;

use crate::raft::Time;
use crate::replica::Deed;

/// A node's trace file.
#[derive(Debug)]
pub(super) struct Trace {
    file: Option<File>,
    buffer: Vec<u8>,
}

#[derive(Serialize)]
struct Line<'a> {
    time: u64,
    #[serde(flatten)]
    deed: &'a Deed,
}

impl Trace {
    /// Opens the trace at `path`, behind what earlier lives of the node wrote. Without a path, nothing is traced.
    pub(super) fn open(path: Option<&Path>) -> io::Result<Trace> {
        let Some(path) = path else {
            return Ok(Trace { file: None, buffer: Vec::new() });
        };
        let file = File::options().append(true).create(true).open(path)?;
        // A kill may have cut the last line. Nobody was told of its deed, so it may go.
        let content = std::fs::read(path)?;
        let whole = content.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64)?;
        Ok(Trace { file: Some(file), buffer: Vec::new() })
    }

    pub(super) fn note(&mut self, now: Time, deed: &Deed) {
        if self.file.is_some() {
            let line = Line { time: now.0, deed };
            serde_json::to_writer(&mut self.buffer, &line).expect("a vector takes every line");
            self.buffer.push(b'\n');
        }
    }

    /// Writes out what has gathered.
    pub(super) fn flush(&mut self) {
        if let Some(file) = self.file.as_mut().filter(|_| !self.buffer.is_empty())
            && let Err(error) = file.write_all(&self.buffer)
        {
            eprintln!("the trace ends here: {error}");
            self.file = None;
        }
        self.buffer.clear();
    }
}
