//! Long forks: two reads of the same registers, of which each saw a write that the other did not.
//!
//! Each register is written once, so what a read saw is a set, and of two reads at two moments one saw no less than the other (Jepsen's
//! workload `long-fork`). Hence sets of a group must form a chain: sorted by size, each holds the one before it.

use std::collections::BTreeMap;

use super::Found;
use super::anomaly::{Anomalies, Anomaly};
use super::explain::{bar, seconds};
use super::steps::{Act, REGISTER_WORDS, Transactions};
use crate::check::ShapeError;
use crate::failure::Failure;
use crate::history::{Datum, History, Outcome};

/// The forks among the reads of each group of registers.
///
/// # Errors
/// An operation that is no list of micro-operations.
pub(super) fn find(history: &History) -> Result<Found, ShapeError> {
    let transactions = Transactions::of(history, REGISTER_WORDS)?;
    let mut groups: BTreeMap<Vec<u32>, Vec<(Vec<u32>, u32)>> = BTreeMap::new();
    let mut values: BTreeMap<u32, Datum> = BTreeMap::new();
    let mut unclear = None;
    for reader in 0..transactions.len() as u32 {
        let (mut read, mut saw) = (Vec::new(), Vec::new());
        for step in transactions.steps(reader).iter().filter(|step| step.act == Act::Read) {
            read.push(step.key);
            if !step.value.is_null() {
                saw.push(step.key);
                if *values.entry(step.key).or_insert(step.value) != step.value {
                    unclear.get_or_insert_with(|| unclear_of(&transactions, step.key));
                }
            }
        }
        if transactions.outcome(reader) == Outcome::Ok && !read.is_empty() {
            read.sort_unstable();
            saw.sort_unstable();
            groups.entry(read).or_default().push((saw, reader));
        }
    }
    let mut anomalies = Anomalies::default();
    for reads in groups.values_mut() {
        reads.sort_by_key(|(saw, _)| saw.len());
        for pair in reads.windows(2) {
            let [(fewer, one), (more, other)] = pair else { continue };
            if let Some(&missing) = fewer.iter().find(|key| more.binary_search(key).is_err()) {
                let extra = more.iter().find(|key| fewer.binary_search(key).is_err());
                let extra = *extra.expect("it is no smaller, and lacks one");
                anomalies.add(Anomaly::LongFork, || failure(&transactions, (*one, missing), (*other, extra)));
            }
        }
    }
    Ok(Found { anomalies, engine: "forks", keys: transactions.keys.len(), unclear, order: None })
}

fn unclear_of(transactions: &Transactions<'_>, key: u32) -> String {
    let key = super::explain::key(transactions, key);
    format!(
        "{key} had two values (hint: for a long fork each register is written once; try `--model rw-register`)"
    )
}

fn failure(transactions: &Transactions<'_>, one: (u32, u32), other: (u32, u32)) -> Failure {
    let name = |key: u32| super::explain::key(transactions, key);
    let did = |reader: u32, saw: u32, not: u32| {
        let operation = transactions.operation(reader);
        let time = seconds(operation.completed_ns().unwrap_or(operation.invoked_ns));
        format!("process {} saw {} written and {} not, at {time}", operation.process, name(saw), name(not))
    };
    let (first, second) = (did(one.0, one.1, other.1), did(other.0, other.1, one.1));
    let anomaly = Anomaly::LongFork;
    let mut readers = [one.0, other.0];
    readers.sort_unstable();
    Failure {
        key: None,
        anomaly: format!("{anomaly} ({})", anomaly.plain()),
        sentence: format!("{first}; {second}"),
        operations: readers.iter().map(|&at| bar(transactions.history, transactions.operation(at))).collect(),
        ..Failure::default()
    }
}
