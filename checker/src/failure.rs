//! The evidence of an `invalid`: which operations cannot be explained, and a sentence that says so.
//!
//! It is data, stored in `results.json` and drawn by reports; whoever draws it needs nothing else.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::history::{History, Operation, Outcome, Process};

/// A violation by a client history, cut down to what a reader needs to see it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The key whose history is not linearizable, where the history has keys.
    pub key: Option<Value>,
    /// The anomaly's proper name (`stale read`, `lost update`, `non-linearizable`, …).
    pub anomaly: String,
    /// The violation in words, with times and processes.
    pub sentence: String,
    /// Operations around the violation, in order of invocation.
    pub operations: Vec<FailureOperation>,
    /// Whether it has been shown that each of the operations is needed: without any one of them, and those that need what it
    /// made, there is an order.
    #[serde(default)]
    pub minimal: bool,
    /// How far the operations have been cut down, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub necessity: String,
    /// What had happened before the operations that are shown, where that matters to them, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The state before the first operation, in a few characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<String>,
    /// The longest orders of the operations, up to three that leave out different ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<LongestOrder>,
    /// What must come before what, where that is the violation: a circle of operations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relations: Vec<Relation>,
}

/// An order of some of the operations that explains them and cannot go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LongestOrder {
    /// One after another.
    pub steps: Vec<OrderStep>,
    /// The operations that could be next by their times, and why none of them can.
    pub stuck: Vec<Stuck>,
}

/// One operation takes effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderStep {
    /// Its place among the operations of the failure.
    pub operation: usize,
    /// The state after it, in a few characters.
    pub state: String,
}

/// An operation that cannot be next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stuck {
    /// Its place among the operations of the failure.
    pub operation: usize,
    /// Why, in a sentence.
    pub reason: String,
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
    /// Place of its invocation among the events of the history; tells it from all others.
    #[serde(default)]
    pub index: Option<u32>,
    /// Line of its completion, or of its invocation where there is none, if the history came from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The node that answered, or was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

impl FailureOperation {
    /// An operation of a history as a bar, no culprit and without a place in an order.
    pub fn of(history: &History, operation: &Operation) -> FailureOperation {
        let is_known = operation.outcome == Outcome::Ok;
        FailureOperation {
            process: Process::Client(operation.process),
            f: history.f(operation).to_owned(),
            label: label(history, operation),
            invoked_ns: operation.invoked_ns,
            completed_ns: operation.completed_ns().filter(|_| is_known),
            culprit: false,
            order: None,
            index: Some(operation.invoked_at),
            line: operation.line(),
            node: history.node(operation).map(str::to_owned),
        }
    }
}

/// An operation in one short piece: `write 3`, `read → 2`, `cas 1 → 2`.
pub fn label(history: &History, operation: &Operation) -> String {
    let f = history.f(operation);
    let shown = |value| shortened(history.values.to_json(value).to_string());
    match (history.values.as_list(operation.argument), operation.outcome) {
        (Some(&[old, new]), _) if f == "cas" => format!("cas {} → {}", shown(old), shown(new)),
        // What was asked stands in the answer, too.
        (_, Outcome::Ok) if f == "txn" => format!("{f} {}", shown(operation.result)),
        (_, Outcome::Ok) if operation.argument.is_null() && !is_command(f) => {
            format!("{f} → {}", shown(operation.result))
        }
        _ if is_command(f) => f.to_owned(),
        _ if operation.argument.is_null() => format!("{f} → ?"),
        _ => format!("{f} {}", shown(operation.argument)),
    }
}

/// Without argument and without answer.
fn is_command(f: &str) -> bool {
    matches!(f, "acquire" | "release")
}

/// A value in the midst of a line: what is longer than a reader takes in loses its middle.
pub fn shortened(text: String) -> String {
    let count = text.chars().count();
    if count <= SHOWN_MAX {
        return text;
    }
    let head: String = text.chars().take(SHOWN_MAX / 2).collect();
    let tail: String = text.chars().skip(count - SHOWN_MAX / 4).collect();
    format!("{head} … {tail}")
}

const SHOWN_MAX: usize = 80;
