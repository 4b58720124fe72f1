//! The ledger, `faults.jsonl`: every deed with its undo, on disk before it is done, and what came of it.
//!
//! A controller that is killed leaves its ledger behind, and that is what its successor cleans up by.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// How far a fault has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is about to be done.
    Planned,
    /// It was done.
    Applied,
    /// It was seen to bite.
    Proven,
    /// It was taken back.
    Undone,
    /// It could not be done, proven or taken back.
    Failed,
    /// The cluster was asked to do it and did not, as may be rightly so.
    Declined,
    /// It was to wait for a moment that did not come, or to begin at a time that was over.
    Skipped,
}

/// The moment at which a fault strikes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The node that told of it.
    pub node: String,
    /// When it was, in nanoseconds since the start of the run, if the node said so. By a clock that may have been bent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
    /// What it told.
    pub words: String,
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerLine {
    /// Nanoseconds since the start of the run.
    pub time: u64,
    /// Number of the fault.
    pub id: u64,
    /// How far it has come.
    pub state: State,
    /// What it is.
    #[serde(flatten)]
    pub fault: Fault,
    /// Whom it strikes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// Who cannot be counted on meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub harmed: Vec<String>,
    /// What exactly it does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// How it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
    /// What it had waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moment: Option<Seen>,
    /// Microseconds from the decision to the deed in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
    /// What was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl LedgerLine {
    /// A line that says nothing but how far a fault has come.
    pub fn of(time: u64, id: u64, state: State, fault: Fault) -> LedgerLine {
        LedgerLine {
            time,
            id,
            state,
            fault,
            nodes: Vec::new(),
            harmed: Vec::new(),
            detail: String::new(),
            undo: None,
            moment: None,
            took_us: None,
            evidence: None,
            error: None,
        }
    }
}

/// The ledger of one run.
#[derive(Debug)]
pub struct Ledger {
    file: File,
}

impl Ledger {
    /// A new ledger at `path`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path) -> io::Result<Ledger> {
        Ok(Ledger { file: File::create(path)? })
    }

    /// Writes a line; it has left this process when this returns.
    ///
    /// # Errors
    /// When it cannot be written: then the deed must not be done.
    pub fn write(&mut self, line: &LedgerLine) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.file.write_all(&text)
    }
}
