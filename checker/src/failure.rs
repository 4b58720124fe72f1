//! The evidence of an `invalid`: which operations cannot be explained, and a sentence that says so.
//!
//! It is data, stored in `results.json` and drawn by reports; whoever draws it needs nothing else.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::history::Process;

/// A violation by a client history, cut down to what a reader needs to see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The key whose history is not linearizable, where the history has keys.
    pub key: Option<Value>,
    /// The anomaly's proper name (`stale read`, `lost update`, `non-linearizable`, …).
    pub anomaly: String,
    /// The violation in words, with times and processes.
    pub sentence: String,
    /// Operations around the violation, in order of invocation.
    pub operations: Vec<FailureOperation>,
    /// What must come before what, where that is the violation: a circle of operations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relations: Vec<Relation>,
}

/// That one operation must come before another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Relation {
    /// Place of the earlier one among the operations of the failure.
    pub from: usize,
    /// Place of the later one.
    pub to: usize,
    /// Why, in the words of the field: `ww`, `wr`, `rw`, `process`, `realtime`.
    pub kind: String,
    /// Why, in a sentence.
    pub sentence: String,
}

/// One bar of the drawing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailureOperation {
    /// Who did it.
    pub process: Process,
    /// What was asked.
    pub f: String,
    /// Written in one short piece for a label: `write 3`, `read → 2`, `cas 1 → 2`.
    pub label: String,
    /// Invocation, nanoseconds since the start of the run.
    pub invoked_ns: u64,
    /// Completion; `None` when it never completed or its outcome is unknown (the bar stays open).
    pub completed_ns: Option<u64>,
    /// Whether this is the operation that no order explains.
    pub culprit: bool,
    /// Place in the longest order that could be found, if it has one there.
    pub order: Option<usize>,
}
