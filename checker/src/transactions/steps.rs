//! Transactions as flat arrays of micro-operations, and the same grouped by key.
//!
//! What they mean is said elsewhere. The one idea: a transaction is its operation's place in the history, a key is a number, and
//! whoever looks at one key reads one piece of one array.

use hashbrown::HashMap;

use crate::check::ShapeError;
use crate::history::{Datum, History, Operation, Outcome};

/// What a micro-operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Read,
    Write,
}

/// One micro-operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// What was read, or written, or appended.
    pub(super) value: Datum,
    pub(super) key: u32,
    pub(super) act: Act,
}

/// All transactions of a history.
#[derive(Debug)]
pub(super) struct Transactions<'h> {
    pub(super) history: &'h History,
    /// The objects by number.
    pub(super) keys: Vec<Datum>,
    steps: Vec<Step>,
    /// Where the steps of each begin, and the end.
    starts: Vec<u32>,
    /// The transaction and the step, grouped by key, in their order within a key.
    grouped: Vec<(u32, u32)>,
    groups: Vec<u32>,
}

/// The words for writing: `append` for lists, `w` for registers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    pub(super) write: [&'static str; 2],
    pub(super) hint: &'static str,
}

pub(super) const LIST_WORDS: Words =
    Words { write: ["append", "append"], hint: "`[\"append\", key, value]` or `[\"r\", key, [value, …]]`" };
pub(super) const REGISTER_WORDS: Words =
    Words { write: ["w", "write"], hint: "`[\"w\", key, value]` or `[\"r\", key, value]`" };

impl<'h> Transactions<'h> {
    /// The transactions of `history`. What a transaction read is known only if it is `ok`; of others the writes are kept.
    ///
    /// # Errors
    /// The first operation that is no transaction, or has a micro-operation that is none.
    pub(super) fn of(history: &'h History, words: Words) -> Result<Transactions<'h>, ShapeError> {
        let mut reading =
            Reading { history, words, numbers: HashMap::new(), keys: Vec::new(), steps: Vec::new() };
        let mut starts = Vec::with_capacity(history.operations.len() + 1);
        for operation in &history.operations {
            starts.push(reading.steps.len() as u32);
            reading.take(operation).map_err(|message| ShapeError { line: operation.line(), message })?;
        }
        starts.push(reading.steps.len() as u32);
        let Reading { keys, steps, .. } = reading;
        let (grouped, groups) = group(&steps, &starts, keys.len());
        Ok(Transactions { history, keys, steps, starts, grouped, groups })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn operation(&self, transaction: u32) -> &'h Operation {
        &self.history.operations[transaction as usize]
    }

    pub(super) fn outcome(&self, transaction: u32) -> Outcome {
        self.operation(transaction).outcome
    }

    /// The micro-operations of one.
    pub(super) fn steps(&self, transaction: u32) -> &[Step] {
        let at = transaction as usize;
        &self.steps[self.starts[at] as usize..self.starts[at + 1] as usize]
    }

    /// What was done with one key: for each transaction that did anything with it, what it did, in order of invocation.
    pub(super) fn about(&self, key: u32) -> impl Iterator<Item = (u32, impl Iterator<Item = Step> + Clone)> {
        let range = self.groups[key as usize] as usize..self.groups[key as usize + 1] as usize;
        let same = |one: &(u32, u32), other: &(u32, u32)| one.0 == other.0;
        self.grouped[range]
            .chunk_by(same)
            .map(|chunk| (chunk[0].0, chunk.iter().map(|&(_, step)| self.steps[step as usize])))
    }
}

/// What has been read so far.
struct Reading<'h> {
    history: &'h History,
    words: Words,
    numbers: HashMap<Datum, u32>,
    keys: Vec<Datum>,
    steps: Vec<Step>,
}

impl Reading<'_> {
    fn take(&mut self, operation: &Operation) -> Result<(), String> {
        let values = &self.history.values;
        let is_known = operation.outcome == Outcome::Ok;
        let value = match is_known && !operation.result.is_null() {
            true => operation.result,
            false => operation.argument,
        };
        let Some(items) = values.as_list(value) else {
            let (f, shown) = (self.history.f(operation), values.to_json(value));
            return Err(format!("`{f}` takes a list of micro-operations, not `{shown}`"));
        };
        for &item in items {
            let wrong = || {
                let (hint, shown) = (self.words.hint, values.to_json(item));
                format!("a micro-operation is {hint}, not `{shown}`")
            };
            let Some(&[name, key, value]) = values.as_list(item) else {
                return Err(wrong());
            };
            let act = match values.as_text(name) {
                Some("r" | "read") => Act::Read,
                Some(name) if self.words.write.contains(&name) => Act::Write,
                _ => return Err(wrong()),
            };
            if act == Act::Read && !is_known {
                continue;
            }
            let next = self.keys.len() as u32;
            let key = *self.numbers.entry(key).or_insert_with(|| {
                self.keys.push(key);
                next
            });
            self.steps.push(Step { value, key, act });
        }
        Ok(())
    }
}

/// Counting sort of the steps by key.
fn group(steps: &[Step], starts: &[u32], keys: usize) -> (Vec<(u32, u32)>, Vec<u32>) {
    let mut groups = vec![0u32; keys + 1];
    for step in steps {
        groups[step.key as usize + 1] += 1;
    }
    for key in 0..keys {
        groups[key + 1] += groups[key];
    }
    let mut next = groups.clone();
    let mut grouped = vec![(0, 0); steps.len()];
    for (transaction, range) in starts.windows(2).enumerate() {
        for at in range[0]..range[1] {
            let place = &mut next[steps[at as usize].key as usize];
            grouped[*place as usize] = (transaction as u32, at);
            *place += 1;
        }
    }
    (grouped, groups)
}
