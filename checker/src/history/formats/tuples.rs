//! Jepsen's independent keys: one history of many objects, in which every value is a pair of a key and what would be the value.
//!
//! Nothing in a file says so, and a compare-and-set takes a pair too. The one idea: a read that does not know its result yet gives
//! itself away, `[key nil]`, for without keys it would be `nil`; and then every other value of the history must be such a pair, and
//! every completion must be about the key that was asked for.

use super::super::operation::{History, Operation};
use super::super::value::{Datum, Values};
use super::super::{EventKind, Outcome, Process};
use hashbrown::HashMap;

/// Gives the operations their keys, if that is how this history was written.
pub(super) fn part(history: &mut History) {
    let History { operations, values, .. } = history;
    let fits = |operation: &Operation| parted(values, operation).is_some();
    let is_telling = |operation: &Operation| {
        operation.outcome == Outcome::Ok
            && parted(values, operation)
                .is_some_and(|[_, argument, result]| argument.is_null() && !result.is_null())
    };
    if !operations.iter().any(is_telling) || !operations.iter().all(fits) {
        return;
    }
    for operation in operations {
        if let Some([key, argument, result]) = parted(values, operation) {
            (operation.key, operation.argument, operation.result) = (key, argument, result);
        }
    }
    // A completion is about the key that was asked for, whatever else an uncertain one says.
    let mut asked: HashMap<Process, Datum> = HashMap::new();
    for event in history.tape.iter_mut().flatten().filter(|event| event.process != Process::Nemesis) {
        let pair = match values.as_list(event.value) {
            Some(&[key, value]) => Some((key, value)),
            _ => None,
        };
        if let (Some((key, _)), EventKind::Invoke) = (pair, event.kind) {
            asked.insert(event.process, key);
        }
        event.key = asked.get(&event.process).copied().unwrap_or(Datum::NULL);
        event.value = pair.filter(|(key, _)| *key == event.key).map_or(event.value, |(_, value)| value);
    }
}

/// Key, argument and result of an operation whose values are such pairs.
fn parted(values: &Values, operation: &Operation) -> Option<[Datum; 3]> {
    let pair = |value: Datum| match values.as_list(value) {
        Some(&[key, value]) => Some((key, value)),
        _ => None,
    };
    let (key, argument) = pair(operation.argument)?;
    let is_name = values.as_text(key).is_some() || key.as_integer().is_some();
    if !operation.key.is_null() || !is_name {
        return None;
    }
    if operation.outcome != Outcome::Ok {
        return Some([key, argument, Datum::NULL]);
    }
    let (completed, result) = pair(operation.result)?;
    (completed == key).then_some([key, argument, result])
}
