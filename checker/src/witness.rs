//! Whether an order of operations explains a history: the rules in their plainest form, sharing no line with the engines.
//!
//! Each operation that happened is there once, one that may have happened at most once, one that failed never; none comes
//! before another that had ended before it began; and one copy of the object, asked in this order, gives these results.

mod etcd;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::history::{History, Outcome};
use crate::models::ModelKind;

/// Holds `orders` (one for each key, operations by their places) against `history`, `of` a model whose registers held that
/// value at first.
///
/// # Errors
/// The rule that is broken, in one line.
pub fn verify(history: &History, of: (ModelKind, &Value), orders: &[Vec<u32>]) -> Result<(), String> {
    let mut missing: BTreeSet<usize> = (0..history.operations.len()).collect();
    for order in orders {
        let (mut state, mut latest, mut key) = (first(of), 0, None);
        for place in order.iter().map(|&place| place as usize) {
            let operation = history.operations.get(place).ok_or(format!("no operation {place}"))?;
            let (f, is_known) = (history.f(operation), operation.outcome == Outcome::Ok);
            let wrong = |why: &str| Err(format!("operation {place} ({f}) {why}"));
            if !missing.remove(&place) {
                return wrong("has two places");
            }
            if operation.outcome == Outcome::Fail || *key.get_or_insert(operation.key) != operation.key {
                return wrong("failed, or is about another key");
            }
            if is_known && operation.completed_at() < Some(latest) {
                return wrong("had ended before one that stands before it began");
            }
            latest = latest.max(operation.invoked_at);
            let [asked, told] =
                [operation.argument, operation.result].map(|value| history.values.to_json(value));
            if step(of, &mut state, (f, &asked, is_known.then_some(&told))).is_none() {
                return wrong("cannot have had its result there");
            }
        }
    }
    let lost = missing.into_iter().find(|&place| history.operations[place].outcome == Outcome::Ok);
    lost.map_or(Ok(()), |place| Err(format!("operation {place} happened and has no place")))
}

/// What there is at first; transactions are about objects by name.
fn first((model, initial): (ModelKind, &Value)) -> Value {
    match model {
        ModelKind::Mutex | ModelKind::Semaphore(_) | ModelKind::Counter => json!(0),
        ModelKind::Kv => json!(""),
        ModelKind::Queue | ModelKind::Stack | ModelKind::List => json!([]),
        ModelKind::Set | ModelKind::MultiRegister | ModelKind::RwRegister | ModelKind::Append => json!({}),
        ModelKind::Etcd => etcd::first(),
        _ => initial.clone(),
    }
}

/// Makes `state` what is left of it by what was asked; `None` if that cannot have had its result, where it is known.
fn step(of: (ModelKind, &Value), state: &mut Value, deed: (&str, &Value, Option<&Value>)) -> Option<()> {
    let (f, asked, told) = deed;
    let permits = if let ModelKind::Semaphore(permits) = of.0 { permits.into() } else { 1 };
    let is_told = |given: &Value| told.is_none_or(|told| told == given).then_some(());
    let number = state.as_i64();
    match (f, state) {
        (_, state) if of.0 == ModelKind::Etcd => etcd::step(state, deed)?,
        ("read", Value::Object(set)) if of.0 == ModelKind::Set && told.is_some() => {
            let seen = told?.as_array().into_iter().flatten().map(|item| (item.to_string(), Value::Null));
            (*set == seen.collect()).then_some(())?;
        }
        // Who is told nothing at all has seen an empty text or list.
        ("r" | "read" | "get", state)
            if told == Some(&Value::Null) && *state == first((of.0, &Value::Null)) => {}
        ("r" | "read" | "get", state) => is_told(state)?,
        ("w" | "write" | "put", state) => *state = asked.clone(),
        ("cas", state) if *state == asked[0] => *state = asked[1].clone(),
        ("acquire", state) => *state = json!(number.filter(|&held| held < permits)? + 1),
        ("release", state) => *state = json!(number.filter(|&held| held > 0)? - 1),
        ("add", Value::Object(set)) => drop(set.insert(asked.to_string(), Value::Null)),
        ("remove", Value::Object(set)) => drop(set.remove(&asked.to_string())),
        ("add", state) => *state = json!(number? + asked.as_i64()?),
        ("append", Value::String(text)) => *text += asked.as_str()?,
        ("append" | "enqueue" | "push", Value::Array(items)) => items.push(asked.clone()),
        ("pop", Value::Array(items)) => is_told(&items.pop().unwrap_or_default())?,
        ("dequeue", Value::Array(items)) if items.is_empty() => is_told(&Value::Null)?,
        ("dequeue", Value::Array(items)) => is_told(&items.remove(0))?,
        ("txn", Value::Object(objects)) => {
            let one = (if of.0 == ModelKind::Append { ModelKind::List } else { ModelKind::Register }, of.1);
            for part in told.unwrap_or(asked).as_array()? {
                let object = objects.entry(part[1].to_string()).or_insert_with(|| first(one));
                step(one, object, (part[0].as_str()?, &part[2], told.map(|_| &part[2])))?;
            }
        }
        _ => return None,
    }
    Some(())
}
