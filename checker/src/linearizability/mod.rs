//! Whether some order of the operations, one after another and each within its time, explains the history.
//!
//! Keys are independent objects, so each is searched by itself (Horn & Kroening 2015). `problem` lays out the
//! operations of a key, `search` looks for an order, `shrink` cuts a failing key down to what is needed to fail, and
//! `explain` puts that into words.

mod explain;
mod problem;
mod search;
mod shrink;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;
use crate::history::{self, Operation};
use crate::models::{Model, ModelKind, Register};
use crate::verdict::Verdict;
use problem::{Problem, Timed};
use search::{Bounds, End};

/// What a check may spend.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// Asked every few thousand steps; true ends the check with `unknown`.
    pub out_of_time: &'a (dyn Fn() -> bool + Sync),
    /// Memory of the memo and the stack, an estimate; beyond it the check ends with `unknown`.
    pub memory_bytes: Option<usize>,
    /// How many keys are searched at once; 1 needs no further thread.
    pub threads: usize,
}

impl Limits<'_> {
    /// One thread, no bounds.
    pub const NONE: Limits<'static> = Limits { out_of_time: &|| false, memory_bytes: None, threads: 1 };
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// `valid`, `invalid` or `unknown`.
    pub verdict: Verdict,
    /// Name of the model.
    pub model: String,
    /// Name of the algorithm: `wgl`.
    pub engine: String,
    /// How many operations were looked at; those that failed are not among them.
    pub operations: usize,
    /// How many keys they were about.
    pub keys: usize,
    /// Why the verdict is unknown and how far the search got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The evidence of an invalid verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
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

/// Checks `operations` against a model that has a name.
///
/// # Errors
/// An operation that the model does not have, or a value of the wrong shape.
pub fn check(operations: &[Operation], model: ModelKind, limits: &Limits<'_>) -> Result<Outcome, ShapeError> {
    check_with(&model.to_string(), || Register::new(model), operations, limits)
}

/// Checks `operations` against a model of one's own; `model` makes one per key.
///
/// # Errors
/// An operation that the model does not have, or a value of the wrong shape.
pub fn check_with<M>(
    name: &str,
    model: impl Fn() -> M,
    operations: &[Operation],
    limits: &Limits<'_>,
) -> Result<Outcome, ShapeError>
where
    M: Model + Sync,
    M::Call: Send + Sync,
{
    let keys = by_key(model, operations)?;
    let ends = search_all(&keys, limits);
    let mut outcome = Outcome {
        verdict: Verdict::Valid,
        model: name.to_owned(),
        engine: "wgl".to_owned(),
        operations: keys.iter().map(|key| key.timed.len()).sum(),
        keys: keys.len(),
        reason: None,
        failure: None,
    };
    for (key, end) in keys.iter().zip(ends) {
        match end {
            None | Some(End::Linearized) => {}
            Some(End::Stuck { rank, .. }) => {
                outcome.verdict = Verdict::Invalid;
                outcome.failure = Some(explain::failure(key, rank, limits));
                outcome.reason = None;
                return Ok(outcome);
            }
            Some(End::GaveUp { reason, rank }) => {
                outcome.verdict = Verdict::Unknown;
                let reached = key.reached(rank);
                outcome.reason.get_or_insert(format!("{reason}; {reached}"));
            }
        }
    }
    Ok(outcome)
}

/// The operations of one key.
struct Key<'o, M: Model> {
    key: Option<&'o Value>,
    model: M,
    operations: Vec<&'o Operation>,
    /// The same as calls, index by index.
    timed: Vec<Timed<M::Call>>,
}

impl<M: Model> Key<'_, M> {
    fn reached(&self, rank: usize) -> String {
        let completed = self.timed.iter().filter(|timed| timed.completed.is_some());
        let of = completed.count();
        match self.key {
            Some(key) => {
                format!("{rank} of {of} completed operations on key {key} had been ordered")
            }
            None => format!("{rank} of {of} completed operations had been ordered"),
        }
    }
}

/// Sorts operations by key, keys in order of appearance. A `fail` did not happen, so it is left out.
fn by_key<'o, M: Model>(
    model: impl Fn() -> M,
    operations: &'o [Operation],
) -> Result<Vec<Key<'o, M>>, ShapeError> {
    let mut keys: Vec<Key<'o, M>> = Vec::new();
    let mut numbers: HashMap<Option<&Value>, usize> = HashMap::new();
    for operation in operations {
        let number = *numbers.entry(operation.key.as_ref()).or_insert(keys.len());
        if number == keys.len() {
            keys.push(Key {
                key: operation.key.as_ref(),
                model: model(),
                operations: Vec::new(),
                timed: Vec::new(),
            });
        }
        let key = &mut keys[number];
        let shaped = key.model.call(operation);
        let call = shaped.map_err(|message| ShapeError { line: operation.line, message })?;
        let completed = match operation.outcome {
            history::Outcome::Ok => operation.completed_at,
            history::Outcome::Info => None,
            history::Outcome::Fail => continue,
        };
        key.operations.push(operation);
        key.timed.push(Timed { call, invoked: operation.invoked_at, completed });
    }
    Ok(keys)
}

/// Searches key by key; once one is stuck, those behind it are left out, so that the first one is what is reported.
fn search_all<M>(keys: &[Key<'_, M>], limits: &Limits<'_>) -> Vec<Option<End>>
where
    M: Model + Sync,
    M::Call: Send + Sync,
{
    let threads = limits.threads.clamp(1, keys.len().max(1));
    let (next, stuck) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    let work = || {
        let mut ends = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= keys.len() || number > stuck.load(Ordering::Relaxed) {
                return ends;
            }
            let end = search_key(&keys[number], threads, limits);
            if matches!(end, End::Stuck { .. }) {
                stuck.fetch_min(number, Ordering::Relaxed);
            }
            ends.push((number, end));
        }
    };
    let mut ends: Vec<Option<End>> = keys.iter().map(|_| None).collect();
    let mut keep = |found: Vec<(usize, End)>| {
        for (number, end) in found {
            ends[number] = Some(end);
        }
    };
    if threads == 1 {
        keep(work());
        return ends;
    }
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            keep(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    ends
}

fn search_key<M: Model>(key: &Key<'_, M>, threads: usize, limits: &Limits<'_>) -> End {
    let bounds = Bounds {
        out_of_time: limits.out_of_time,
        memory_bytes: limits.memory_bytes.map_or(usize::MAX, |bytes| bytes / threads),
        steps: u64::MAX,
    };
    search::search(&Problem::new(&key.model, &key.timed), &bounds).0
}
