//! `trace.jsonl`: what the node did inside, one line a deed, for whoever holds it against Raft's invariants.
//!
//! A line about the disk is written after the sync, and every line before anybody outside is told of the deed, so
//! that a trace never claims what was not done, and lacks a deed only where nobody could have seen it.
//! Tracing must not harm the node: when the file cannot be written, it says so once and goes on without.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;

use crate::raft::{Entry, HardState, NodeId, Role, Standing, Time, Write};
use crate::storage::Recovered;

/// A node's trace file.
#[derive(Debug)]
pub(super) struct Trace {
    file: Option<File>,
    buffer: Vec<u8>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Line<'a> {
    Start { time: u64, term: u64, vote: Option<String>, last_index: u64, last_term: u64, last_chain: u32 },
    Save { time: u64, term: u64, vote: Option<String> },
    Append { time: u64, first: u64, entries: Vec<(u64, u32)> },
    Role { time: u64, role: &'static str, term: u64, leader: Option<String> },
    Commit { time: u64, term: u64, index: u64 },
    Apply { time: u64, first: u64, entries: &'a [(u64, u32, u64)] },
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

    pub(super) fn start(&mut self, now: Time, recovered: &Recovered) {
        let HardState { term, vote } = recovered.hard_state;
        let last = recovered.entries.last();
        self.line(&Line::Start {
            time: now.0,
            term: term.0,
            vote: name(vote),
            last_index: last.map_or(0, |entry| entry.id.index.0),
            last_term: last.map_or(0, |entry| entry.id.term.0),
            last_chain: last.map_or(0, |entry| entry.chain),
        });
    }

    pub(super) fn written(&mut self, now: Time, write: &Write) {
        if let Some(HardState { term, vote }) = write.hard_state {
            self.line(&Line::Save { time: now.0, term: term.0, vote: name(vote) });
        }
        if let Some(first) = write.entries.first() {
            let entries = write.entries.iter().map(|entry| (entry.id.term.0, entry.chain)).collect();
            self.line(&Line::Append { time: now.0, first: first.id.index.0, entries });
        }
    }

    pub(super) fn role(&mut self, now: Time, standing: Standing) {
        let role = match standing.role {
            Role::Follower => "follower",
            Role::PreCandidate => "pre-candidate",
            Role::Candidate => "candidate",
            Role::Leader => "leader",
        };
        let Standing { term, leader, .. } = standing;
        self.line(&Line::Role { time: now.0, role, term: term.0, leader: name(leader) });
    }

    /// `entries` were committed and applied; `digests` are the state's after each.
    pub(super) fn committed(&mut self, now: Time, term: u64, entries: &[Entry], digests: &[u64]) {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return;
        };
        self.line(&Line::Commit { time: now.0, term, index: last.id.index.0 });
        let applied: Vec<(u64, u32, u64)> = entries
            .iter()
            .zip(digests)
            .map(|(entry, &digest)| (entry.id.term.0, entry.chain, digest))
            .collect();
        self.line(&Line::Apply { time: now.0, first: first.id.index.0, entries: &applied });
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

    fn line(&mut self, line: &Line<'_>) {
        if self.file.is_some() {
            serde_json::to_writer(&mut self.buffer, line).expect("a vector takes every line");
            self.buffer.push(b'\n');
        }
    }
}

fn name(node: Option<NodeId>) -> Option<String> {
    node.map(|node| node.to_string())
}
