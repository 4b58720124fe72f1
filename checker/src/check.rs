//! One question and one answer: does this history keep this promise about this object?
//!
//! Nothing is decided here. Each promise has a module of its own, and [`check`] knows which to ask.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::consistency::Consistency;
use crate::failure::Failure;
use crate::history::{Datum, History};
use crate::linearizability;
use crate::models::ModelKind;
use crate::sessions;
use crate::transactions;
use crate::verdict::Verdict;

/// What is asked of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The object.
    pub model: ModelKind,
    /// What it promises.
    pub consistency: Consistency,
    /// What registers hold at first; to other models it means nothing.
    pub initial: Datum,
}

impl Question {
    /// The strongest promise about this object, whose registers hold `null` at first.
    pub fn strongest(model: ModelKind) -> Question {
        Question { model, consistency: Consistency::strongest(model), initial: Datum::NULL }
    }
}

/// What a check may spend, and what it is to give.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// Asked every few thousand steps of a search, and between keys, objects and kinds of cycles; true ends the check with `unknown`.
    /// Once true, it must stay so. A monitor does not ask: it takes about a second for a million operations.
    pub out_of_time: &'a (dyn Fn() -> bool + Sync),
    /// Memory of a search, an estimate; beyond it the check ends with `unknown`. Monitors and graphs, whose memory is that of the
    /// history a few times over, do not count theirs.
    pub memory_bytes: Option<usize>,
    /// How many keys are searched at once; 1 needs no further thread.
    pub threads: usize,
    /// Whether a valid history's order is wanted.
    pub witness: bool,
}

impl Limits<'_> {
    /// One thread, no bounds, no witness.
    pub const NONE: Limits<'static> =
        Limits { out_of_time: &|| false, memory_bytes: None, threads: 1, witness: false };
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// `valid`, `invalid` or `unknown`.
    pub verdict: Verdict,
    /// Name of the model.
    pub model: String,
    /// Name of the promise.
    pub consistency: String,
    /// Names of the algorithms that decided, joined by `+`.
    pub engine: String,
    /// How many operations were looked at; those that failed are not among them.
    pub operations: usize,
    /// How many keys they were about.
    pub keys: usize,
    /// Why the verdict is unknown, how far the check got, and what would help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How often each anomaly was found, where they are counted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub anomalies: BTreeMap<String, u64>,
    /// Of transactions: the strongest promises that nothing found breaks, joined by `and`; `none` if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<String>,
    /// The evidence of an invalid verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The evidence of a valid one, if it was asked for: for each key an order of operations, by their places in the history.
    #[serde(skip)]
    pub witness: Vec<Vec<u32>>,
}

/// An operation that the model does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ShapeError {
    /// Its line, if the history came from a file.
    pub line: Option<usize>,
    /// What is wrong, in one line.
    pub message: String,
}

/// The names of the promises that are decided for a model, strongest first, as one line.
fn decided(model: ModelKind) -> String {
    let is_decided = |&consistency: &Consistency| {
        consistency == Consistency::Linearizable
            || sessions::decides(model, consistency)
            || transactions::decides(model, consistency)
    };
    let fitting = Consistency::all().filter(|consistency| consistency.fits(model));
    fitting.filter(is_decided).map(|consistency| consistency.to_string()).collect::<Vec<_>>().join(", ")
}

/// Holds a history against a promise.
///
/// # Errors
/// An operation that the model does not have, a value of the wrong shape, or a promise that is none about this model.
pub fn check(history: &History, question: &Question, limits: &Limits<'_>) -> Result<Outcome, ShapeError> {
    let Question { model, consistency, initial } = *question;
    let speaks_of_time = matches!(
        consistency,
        Consistency::Linearizable | Consistency::StrictSerializable | Consistency::StrongSnapshotIsolation
    );
    if speaks_of_time && !history.is_timed() {
        let hint = "`--consistency causal`";
        let message = format!("the history has no times, and `{consistency}` is about them (hint: {hint})");
        return Err(ShapeError { line: None, message });
    }
    if sessions::decides(model, consistency) {
        return sessions::check(history, question, limits);
    }
    match consistency {
        _ if transactions::decides(model, consistency) => {
            transactions::check(history, (model, consistency), initial, limits)
        }
        Consistency::Linearizable => linearizability::check(history, model, initial, limits),
        _ => {
            let fitting = decided(model);
            let message =
                format!("nothing can be said of `{consistency}` for a `{model}` (hint: one of {fitting})");
            Err(ShapeError { line: None, message })
        }
    }
}
