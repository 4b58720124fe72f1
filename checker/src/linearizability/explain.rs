//! A failing key in words: the anomaly's name, a sentence, and the operations to draw.
//!
//! The names, from the culprit (the first operation after whose completion no order exists) and the value it saw:
//!
//! | name | what distinguishes it |
//! |---|---|
//! | `phantom read` | nobody ever asked to write that value |
//! | `future read` | it was only written after the read had completed |
//! | `lost write` | another write came wholly between, it was acknowledged, and nobody ever saw its value |
//! | `stale read` | another write came wholly between, and somebody saw its value |
//! | `lost update` | two compare-and-sets succeeded from one value that was there only once |
//! | `non-linearizable` | no order explains the operations, and none of the above says why |

use super::shrink::{Shrunk, shrink};
use super::{Key, Limits};
use crate::failure::{Failure, FailureOperation};
use crate::history::{History, Operation, Outcome, Process};
use crate::models::Model;

/// As many operations as a drawing can show.
const OPERATIONS_MAX: usize = 20;

/// The evidence that `key` is not linearizable, of which `rank` completed operations can be ordered.
pub(super) fn failure<M: Model>(
    key: &Key<'_, M>,
    core: Option<&[u32]>,
    rank: usize,
    limits: &Limits<'_>,
) -> Failure {
    let shrunk = shrink(key, core, rank, limits);
    let shown = shown(key, &shrunk);
    let (anomaly, sentence) = named(key, &shrunk);
    let operations = shown.iter().map(|&at| bar(key, &shrunk, at)).collect();
    Failure {
        key: key.history.key(key.operation(shrunk.culprit)),
        anomaly: anomaly.to_owned(),
        sentence,
        operations,
        relations: Vec::new(),
    }
}

/// The culprit, what touches the value that it saw, and the latest of the others, in order of invocation.
fn shown<M: Model>(key: &Key<'_, M>, shrunk: &Shrunk) -> Vec<usize> {
    let needed = key.model.needs(&key.timed[shrunk.culprit].call);
    let touches = |at: usize| {
        let call = &key.timed[at].call;
        needed.is_some() && (key.model.makes(call) == needed || key.model.needs(call) == needed)
    };
    let mut shown = shrunk.kept.clone();
    let completed = |at: usize| key.timed[at].deadline();
    shown.sort_by_key(|&at| {
        let importance = if at == shrunk.culprit { 0 } else { 2 - u8::from(touches(at)) };
        (importance, std::cmp::Reverse(completed(at)))
    });
    shown.truncate(OPERATIONS_MAX);
    shown.sort_unstable();
    shown
}

fn bar<M: Model>(key: &Key<'_, M>, shrunk: &Shrunk, at: usize) -> FailureOperation {
    let operation = key.operation(at);
    let is_known = operation.outcome == Outcome::Ok;
    FailureOperation {
        process: Process::Client(operation.process),
        f: key.history.f(operation).to_owned(),
        label: label(key.history, operation),
        invoked_ns: operation.invoked_ns,
        completed_ns: operation.completed_ns().filter(|_| is_known),
        culprit: at == shrunk.culprit,
        order: shrunk.order.iter().position(|&placed| placed == at),
    }
}

fn label(history: &History, operation: &Operation) -> String {
    let f = history.f(operation);
    let shown = |value| history.values.to_json(value);
    match (history.values.as_list(operation.argument), operation.outcome) {
        (Some(&[old, new]), _) if f == "cas" => format!("cas {} → {}", shown(old), shown(new)),
        (_, Outcome::Ok) if operation.argument.is_null() => format!("{f} → {}", shown(operation.result)),
        _ if operation.argument.is_null() => format!("{f} → ?"),
        _ => format!("{f} {}", shown(operation.argument)),
    }
}

fn named<M: Model>(key: &Key<'_, M>, shrunk: &Shrunk) -> (&'static str, String) {
    let culprit = shrunk.culprit;
    let what = deed(key, culprit);
    let Some(needed) = key.model.needs(&key.timed[culprit].call) else {
        return no_order(shrunk, &what);
    };
    let is_read = key.model.is_read(&key.timed[culprit].call);
    let makers: Vec<usize> =
        (0..key.timed.len()).filter(|&at| key.model.makes(&key.timed[at].call) == Some(needed)).collect();
    let is_initial = key.model.number(&key.model.initial()) == Some(needed);
    if !is_initial && is_read {
        if makers.is_empty() {
            let sentence = format!("{what}, although nobody ever wrote that value");
            return ("phantom read", sentence);
        }
        if let Some(&first) = makers.first()
            && precedes(key, culprit, first)
        {
            let writer = deed(key, first);
            return ("future read", format!("{what}, before {writer} had even begun"));
        }
    }
    if let Some(between) = overwriter(key, culprit, &makers) {
        return overwritten(key, &what, between, is_read);
    }
    if let Some(other) = rival(key, shrunk, needed, makers.len() + usize::from(is_initial)) {
        let rival = deed(key, other);
        let sentence = format!("{what}, although {rival} had used up the same value");
        return ("lost update", sentence);
    }
    no_order(shrunk, &what)
}

fn no_order(shrunk: &Shrunk, what: &str) -> (&'static str, String) {
    let others = shrunk.kept.len() - 1;
    let sentence = format!("no order of it and {others} operations around it explains that {what}");
    ("non-linearizable", sentence)
}

/// A call that came wholly after all that wrote the culprit's value and wholly before the culprit, and made
/// another; the last of them.
fn overwriter<M: Model>(key: &Key<'_, M>, culprit: usize, makers: &[usize]) -> Option<usize> {
    let needed = key.model.needs(&key.timed[culprit].call);
    let overwrites = |&at: &usize| {
        let makes = key.model.makes(&key.timed[at].call);
        makes.is_some()
            && makes != needed
            && precedes(key, at, culprit)
            && makers.iter().all(|&maker| precedes(key, maker, at) || precedes(key, culprit, maker))
    };
    (0..culprit).rev().find(overwrites)
}

fn overwritten<M: Model>(
    key: &Key<'_, M>,
    what: &str,
    between: usize,
    is_read: bool,
) -> (&'static str, String) {
    let made = key.model.makes(&key.timed[between].call);
    let mut calls = key.timed.iter().filter(|timed| timed.completed.is_some());
    let was_seen = calls.any(|timed| key.model.needs(&timed.call) == made);
    let writer = deed(key, between);
    if !was_seen {
        let sentence = format!("{what}, although {writer}, which nobody ever saw");
        return ("lost write", sentence);
    }
    let sentence = format!("{what}, although {writer} and so had overwritten that value");
    (if is_read { "stale read" } else { "lost update" }, sentence)
}

/// Another call that succeeded from the culprit's value and changed it, where that value was there only once.
fn rival<M: Model>(key: &Key<'_, M>, shrunk: &Shrunk, needed: u32, times: usize) -> Option<usize> {
    let changes = |at: usize| {
        let call = &key.timed[at].call;
        key.model.needs(call) == Some(needed)
            && key.model.makes(call).is_some_and(|makes| makes != needed)
            && key.timed[at].completed.is_some()
    };
    if times != 1 || !changes(shrunk.culprit) {
        return None;
    }
    let mut kept = shrunk.kept.iter().copied();
    kept.find(|&at| at != shrunk.culprit && changes(at))
}

/// Whether `one` had completed when `other` was invoked.
fn precedes<M: Model>(key: &Key<'_, M>, one: usize, other: usize) -> bool {
    let completed = key.timed[one].completed;
    completed.is_some_and(|completed| completed < key.timed[other].invoked)
}

/// `process 3 read x = 4 at 1.204 s`; the time is that of the completion.
fn deed<M: Model>(key: &Key<'_, M>, at: usize) -> String {
    let operation = key.operation(at);
    let history = key.history;
    let shown = |value| history.values.to_json(value);
    let object = match history.values.as_text(key.name) {
        Some(name) => name.to_owned(),
        None if key.name.is_null() => "the value".to_owned(),
        None => shown(key.name).to_string(),
    };
    let process = operation.process;
    let verb = match (history.f(operation), history.values.as_list(operation.argument)) {
        ("read", _) => format!("read {object} = {}", shown(operation.result)),
        ("write", _) => format!("wrote {object} = {}", shown(operation.argument)),
        ("cas", Some(&[old, new])) => format!("changed {object} from {} to {}", shown(old), shown(new)),
        _ => format!("did `{}` on {object}", label(history, operation)),
    };
    match operation.completed_ns().filter(|_| operation.outcome == Outcome::Ok) {
        Some(time) => format!("process {process} {verb} at {}", seconds(time)),
        None => format!("process {process}, from {} on, {verb}", seconds(operation.invoked_ns)),
    }
}

fn seconds(time_ns: u64) -> String {
    format!("{}.{:03} s", time_ns / 1_000_000_000, time_ns / 1_000_000 % 1000)
}
