//! Parts of a history that are histories again.
//!
//! The one idea: every prefix of a history is one, and so is all that was done on some of its keys; what is cut like that is valid
//! if the whole was. Other parts are not so harmless, and whoever asks for one is told. Operations stay whole, but for those that are
//! open at the end: they are open for ever. The nemesis stays, for it explains what is seen.

use std::collections::HashMap;

use clap::Args;
use rafture_checker::history::{Datum, EventKind, Process, Recorded, Taped};
use serde_json::Value;

use crate::duration::Span;
use crate::error::Error;

/// Which part.
#[derive(Debug, Args)]
pub(super) struct Part {
    /// Only what is about this key; may be given several times
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    /// Nothing that happened later than so long after the start
    #[arg(long, value_name = "DURATION")]
    until: Option<Span>,
    /// Nothing from the invocation of the next operation on
    #[arg(long, short = 'n', value_name = "NUMBER")]
    operations: Option<usize>,
    /// No operations that were over before; what they wrote is then unknown, so a valid history can become an invalid one
    #[arg(long, value_name = "DURATION")]
    from: Option<Span>,
    /// Only what this process did; may be given several times. What others wrote is then unknown, so a valid history can
    /// become an invalid one
    #[arg(long, value_name = "PROCESS")]
    process: Vec<u64>,
}

/// Events of that part, in their order.
///
/// # Errors
/// When there is no such key or process.
pub(super) fn cut(recorded: &Recorded, part: &Part) -> Result<Vec<Taped>, Error> {
    let keys = keys(recorded, &part.key)?;
    let processes: Vec<u64> = recorded.history.operations.iter().map(|operation| operation.process).collect();
    if let Some(missing) = part.process.iter().find(|process| !processes.contains(process)) {
        return Err(Error::Input(format!("no process {missing} is in the history")));
    }
    let until = part.until.map(|until| until.0.as_nanos());
    let ends = ends(&recorded.tape);
    // Whether the operation that a process has open is part of it.
    let mut open: HashMap<u64, bool> = HashMap::new();
    let (mut kept, mut operations) = (Vec::new(), 0);
    for (event, end) in recorded.tape.iter().zip(ends) {
        if until.is_some_and(|until| u128::from(event.time) > until) {
            break;
        }
        let Process::Client(process) = event.process else {
            kept.push(*event);
            continue;
        };
        if event.kind == EventKind::Invoke {
            let is_wanted = (keys.is_empty() || keys.contains(&event.key))
                && (part.process.is_empty() || part.process.contains(&process))
                && part.from.is_none_or(|from| end.is_none_or(|end| u128::from(end) >= from.0.as_nanos()));
            if is_wanted && part.operations == Some(operations) {
                break;
            }
            operations += usize::from(is_wanted);
            open.insert(process, is_wanted);
        }
        if open.get(&process) == Some(&true) {
            kept.push(*event);
        }
    }
    if part.from.is_some() || !part.process.is_empty() {
        eprintln!(
            "rafture: what was left out may have been seen, so a verdict on this part says nothing of the whole"
        );
    }
    Ok(kept)
}

/// The values of keys that were named as texts or JSON.
fn keys(recorded: &Recorded, names: &[String]) -> Result<Vec<Datum>, Error> {
    let values = &recorded.history.values;
    let find = |name: &String| {
        let json: Option<Value> = serde_json::from_str(name).ok();
        let is_named = |key: Datum| {
            values.as_text(key) == Some(name)
                || json.as_ref().is_some_and(|json| values.to_json(key) == *json)
        };
        let mut keys = recorded.history.operations.iter().map(|operation| operation.key);
        let found = keys.find(|&key| is_named(key));
        found.ok_or_else(|| Error::Input(format!("no key `{name}` is in the history")))
    };
    names.iter().map(find).collect()
}

/// For each invocation when its operation was over; an uncertain one never is.
fn ends(tape: &[Taped]) -> Vec<Option<u64>> {
    let mut ends = vec![None; tape.len()];
    let mut invoked: HashMap<u64, usize> = HashMap::new();
    for (at, event) in tape.iter().enumerate() {
        let Process::Client(process) = event.process else {
            continue;
        };
        match event.kind {
            EventKind::Invoke => drop(invoked.insert(process, at)),
            EventKind::Ok | EventKind::Fail => {
                if let Some(&at) = invoked.get(&process) {
                    ends[at] = Some(event.time);
                }
            }
            EventKind::Info => {}
        }
    }
    ends
}
