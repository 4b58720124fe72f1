//! A bank: transfers move money between accounts, reads see all of them at once, and the sum never changes.
//!
//! Which transfers happened is not reconstructed: a read of accounts that do not add up cannot come from one moment, whatever
//! happened (Jepsen's workload `bank`). What the sum must be is what most reads say.

use std::collections::BTreeMap;

use super::Found;
use super::anomaly::{Anomalies, Anomaly};
use super::explain::{bar, seconds};
use crate::check::ShapeError;
use crate::failure::Failure;
use crate::history::{History, Operation, Outcome};

/// What is wrong with the reads; accounts may owe if `may_owe`.
///
/// # Errors
/// An operation that is neither a transfer nor a read of balances.
pub(super) fn find(history: &History, may_owe: bool) -> Result<Found, ShapeError> {
    let (mut reads, mut accounts) = (Vec::new(), 0);
    for operation in &history.operations {
        let wrong = |message: String| ShapeError { line: operation.line(), message };
        match history.f(operation) {
            "transfer" => {}
            "read" if operation.outcome != Outcome::Ok => {}
            "read" => {
                let balances = balances(history, operation).map_err(wrong)?;
                accounts = accounts.max(balances.len());
                reads.push((operation, balances));
            }
            f => {
                let hint = "it has `transfer` and `read`";
                return Err(wrong(format!("`{f}` is no operation of the model `bank` (hint: {hint})")));
            }
        }
    }
    let sum = |balances: &[i64]| balances.iter().fold(0i64, |sum, &balance| sum.saturating_add(balance));
    let mut totals: BTreeMap<i64, usize> = BTreeMap::new();
    reads.iter().for_each(|(_, balances)| *totals.entry(sum(balances)).or_default() += 1);
    let usual = totals.iter().max_by_key(|(_, count)| **count).map_or(0, |(&total, _)| total);
    let mut anomalies = Anomalies::default();
    for (operation, balances) in &reads {
        let total = sum(balances);
        if total != usual {
            let sentence = format!("a sum of {total}, where most reads have {usual}");
            anomalies.add(Anomaly::WrongTotal, || failure(history, operation, Anomaly::WrongTotal, sentence));
        }
        if let Some(balance) = balances.iter().find(|&&balance| balance < 0 && !may_owe) {
            let sentence = format!("a balance of {balance}");
            anomalies.add(Anomaly::NegativeBalance, || {
                failure(history, operation, Anomaly::NegativeBalance, sentence)
            });
        }
    }
    Ok(Found { anomalies, engine: "totals", keys: accounts, unclear: None, order: None })
}

fn failure(history: &History, operation: &Operation, anomaly: Anomaly, what: String) -> Failure {
    let time = seconds(operation.completed_ns().unwrap_or(operation.invoked_ns));
    Failure {
        key: None,
        anomaly: format!("{anomaly} ({})", anomaly.plain()),
        sentence: format!("process {} read {what}, at {time}", operation.process),
        operations: vec![bar(history, operation)],
        ..Failure::default()
    }
}

/// The balances of a map from accounts, or of a list; an account without one holds nothing.
fn balances(history: &History, operation: &Operation) -> Result<Vec<i64>, String> {
    let (values, result) = (&history.values, operation.result);
    let items = match (values.as_map(result), values.as_list(result)) {
        (Some(pairs), _) => pairs.as_chunks::<2>().0.iter().map(|&[_, balance]| balance).collect(),
        (None, Some(items)) => items.to_vec(),
        (None, None) => {
            return Err(format!("a bank is read as a map of balances, not `{}`", values.to_json(result)));
        }
    };
    let balance = |item: &crate::history::Datum| match item.is_null() {
        true => Ok(0),
        false => item.as_integer().ok_or_else(|| format!("`{}` is no balance", values.to_json(*item))),
    };
    items.iter().map(balance).collect()
}
