//! Whether an order of operations explains a history: the rules in their plainest form, sharing no line with the engines.
//!
//! Each operation that happened is there once, one that may have happened at most once, one that failed never; none comes
//! before another that had ended before it began; and one copy of the object, asked in this order, gives these results.

mod etcd;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::history::{History, Operation, Outcome};
use crate::models::ModelKind;

/// Holds `orders` (one for each key, operations by their places) against `history`, `of` a model whose registers held that
/// value at first.
///
/// # Errors
/// The rule that is broken, in one line.
pub fn verify(history: &History, of: (ModelKind, &Value), orders: &[Vec<u32>]) -> Result<(), String> {
    let mut placed = vec![false; history.operations.len()];
    for order in orders {
        let (mut state, mut latest) = (start(of), 0);
        for &place in order {
            let operation = history.operations.get(place as usize).ok_or(format!("no operation {place}"))?;
            let wrong = |why: &str| Err(format!("operation {place} ({}) {why}", history.f(operation)));
            if std::mem::replace(&mut placed[place as usize], true) {
                return wrong("has two places");
            }
            let first = &history.operations[order[0] as usize];
            if operation.outcome == Outcome::Fail || operation.key != first.key {
                return wrong("failed, or is about another key");
            }
            if operation.outcome == Outcome::Ok && operation.completed_at() < Some(latest) {
                return wrong("had ended before one that stands before it began");
            }
            latest = latest.max(operation.invoked_at);
            if !step(history, of, &mut state, operation).unwrap_or(false) {
                return wrong("cannot have had its result there");
            }
        }
    }
    let happened = |operation: &Operation| operation.outcome == Outcome::Ok;
    match (0..placed.len()).find(|&place| !placed[place] && happened(&history.operations[place])) {
        Some(place) => Err(format!("operation {place} happened and has no place")),
        None => Ok(()),
    }
}

fn start((model, initial): (ModelKind, &Value)) -> Value {
    match model {
        ModelKind::Register | ModelKind::CasRegister => initial.clone(),
        ModelKind::Mutex | ModelKind::Semaphore(_) | ModelKind::Counter => json!(0),
        ModelKind::Kv => json!(""),
        ModelKind::MultiRegister | ModelKind::RwRegister | ModelKind::Append => json!({}),
        ModelKind::Etcd => etcd::start(),
        _ => json!([]),
    }
}

/// Whether the operation can have had its result; then `state` is what it left.
fn step(history: &History, of: (ModelKind, &Value), state: &mut Value, done: &Operation) -> Option<bool> {
    let ((model, first), known) = (of, done.outcome == Outcome::Ok);
    if model == ModelKind::Etcd {
        return etcd::step(history, state, done);
    }
    let [argument, result] = [done.argument, done.result].map(|value| history.values.to_json(value));
    let permits = if let ModelKind::Semaphore(permits) = model { permits.into() } else { 1 };
    let sorted = |items: &[Value]| BTreeSet::from_iter(items.iter().map(Value::to_string));
    let number = state.as_i64();
    match (history.f(done), state) {
        ("read" | "get", _) if !known => {}
        ("read", Value::Array(items)) if model == ModelKind::Set => {
            return Some(sorted(items) == sorted(result.as_array().map_or(&[][..], Vec::as_slice)));
        }
        ("read" | "get", state) if result.is_null() && (*state == "" || *state == json!([])) => {}
        ("read" | "get", state) => return Some(*state == result),
        ("write" | "put", state) => *state = argument,
        ("cas", state) if *state == argument[0] => *state = argument[1].clone(),
        ("append", Value::String(text)) => *text += argument.as_str()?,
        ("acquire", state) => *state = json!(number.filter(|&held| held < permits)? + 1),
        ("release", state) => *state = json!(number.filter(|&held| held > 0)? - 1),
        ("remove", Value::Array(items)) => items.retain(|item| *item != argument),
        ("add", Value::Array(items)) if items.contains(&argument) => {}
        ("add" | "enqueue" | "push" | "append", Value::Array(items)) => items.push(argument),
        ("add", state) => *state = json!(number? + argument.as_i64()?),
        (f @ ("dequeue" | "pop"), Value::Array(items)) => {
            let at = if f == "dequeue" { 0 } else { items.len().saturating_sub(1) };
            let taken = if items.is_empty() { Value::Null } else { items.remove(at) };
            return Some(!known || taken == result);
        }
        ("txn", state) => {
            let empty = json!([]);
            let first = if model == ModelKind::Append { &empty } else { first };
            for step in (if known { result } else { argument }).as_array()? {
                let (key, value) = (step[1].to_string(), &step[2]);
                let held = state.get(&key).unwrap_or(first);
                match step[0].as_str()?.as_bytes()[0] {
                    b'r' if !known || held == value || (value.is_null() && *held == empty) => {}
                    b'r' => return Some(false),
                    b'a' => {
                        let longer = [held.as_array()?.as_slice(), std::slice::from_ref(value)].concat();
                        state[key] = json!(longer);
                    }
                    _ => state[key] = value.clone(),
                }
            }
        }
        _ => return Some(false),
    }
    Some(true)
}
