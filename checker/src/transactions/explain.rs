//! Anomalies in words: who did what, and why one must have come before another.
//!
//! Nothing is decided here. The transactions of a story are called T1, T2, … in order of invocation, which is also their order in the
//! [`Failure`].

use super::anomaly::Anomaly;
use super::cycles::Cycle;
use super::graph::{Kind, NO_KEY};
use super::steps::Transactions;
use super::{Family, append, register};
use crate::failure::{Failure, FailureOperation, Relation};
use crate::history::{Datum, History, Operation, Outcome};

/// So many items of a list are shown, those at its end.
const ITEMS_MAX: usize = 12;

/// Some transactions, with names.
pub(super) struct Story<'t> {
    transactions: &'t Transactions<'t>,
    /// Ascending.
    people: Vec<u32>,
}

impl<'t> Story<'t> {
    /// A story about these.
    pub(super) fn new(transactions: &'t Transactions<'t>, about: &[u32]) -> Story<'t> {
        let mut people = about.to_vec();
        people.sort_unstable();
        people.dedup();
        Story { transactions, people }
    }

    pub(super) fn transactions(&self) -> &'t Transactions<'t> {
        self.transactions
    }

    fn place(&self, transaction: u32) -> usize {
        self.people.binary_search(&transaction).expect("the story is about it")
    }

    fn short(&self, transaction: u32) -> String {
        format!("T{}", self.place(transaction) + 1)
    }

    /// `T1 (process 3, at 1.204 s)`; the time is that of the completion.
    pub(super) fn name(&self, transaction: u32) -> String {
        let operation = self.transactions.operation(transaction);
        let (name, process) = (self.short(transaction), operation.process);
        match operation.completed_ns().filter(|_| operation.outcome != Outcome::Info) {
            Some(time) => format!("{name} (process {process}, at {})", seconds(time)),
            None => format!("{name} (process {process}, from {} on)", seconds(operation.invoked_ns)),
        }
    }

    /// `T1 (process 3, at 1.204 s) read 5 = [1 2]`.
    pub(super) fn read(&self, transaction: u32, key: u32, value: Datum) -> String {
        let (object, value) = (self::key(self.transactions, key), shown(self.transactions, value));
        format!("{} read {object} = {value}", self.name(transaction))
    }

    /// The evidence: all of the story's transactions.
    pub(super) fn failure(&self, anomaly: Anomaly, key: Option<u32>, sentence: String) -> Failure {
        let history = self.transactions.history;
        let bar = |&transaction: &u32| bar(history, self.transactions.operation(transaction));
        Failure {
            key: key.map(|key| history.values.to_json(self.transactions.keys[key as usize])),
            anomaly: format!("{anomaly} ({})", anomaly.plain()),
            sentence,
            operations: self.people.iter().map(bar).collect(),
            ..Failure::default()
        }
    }
}

/// The evidence of a cycle.
pub(super) fn cycle(transactions: &Transactions<'_>, family: Family, cycle: &Cycle) -> Failure {
    let nodes: Vec<u32> = cycle.links.iter().map(|link| link.from).collect();
    let story = Story::new(transactions, &nodes);
    let mut relations = Vec::with_capacity(nodes.len());
    for (link, at) in cycle.links.iter().zip(1..) {
        let to = nodes[at % nodes.len()];
        let why = why(&story, family, link.key, (link.from, to), link.kind);
        relations.push(Relation {
            from: story.place(link.from),
            to: story.place(to),
            kind: kind_name(link.kind).to_owned(),
            sentence: format!("{why}, so {} came before {}", story.short(link.from), story.short(to)),
        });
    }
    let circle: Vec<String> = nodes.iter().map(|&node| story.name(node)).collect();
    let sentence = match nodes.len() {
        0..=8 => {
            format!("{} came before {}, in a circle", circle.join(" came before "), story.short(nodes[0]))
        }
        many => {
            format!("{many} transactions came before each other in a circle, from {} back to it", circle[0])
        }
    };
    Failure { relations, ..story.failure(cycle.anomaly(), None, sentence) }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Ww | Kind::RealtimeWw => "ww",
        Kind::Wr => "wr",
        Kind::Rw | Kind::RealtimeRw => "rw",
        Kind::Process => "process",
        Kind::Realtime | Kind::Pass => "realtime",
    }
}

fn why(story: &Story<'_>, family: Family, key: u32, pair: (u32, u32), kind: Kind) -> String {
    let (one, other) = pair;
    match kind {
        Kind::Process => {
            let process = story.transactions.operation(one).process;
            format!("process {process} did {} first, then {}", story.short(one), story.short(other))
        }
        Kind::Realtime | Kind::Pass => {
            let begun = story.transactions.operation(other).invoked_ns;
            let (before, after) = (story.name(one), story.short(other));
            format!("{before} was over before {after} began at {}", seconds(begun))
        }
        Kind::Ww | Kind::Wr | Kind::Rw | Kind::RealtimeWw | Kind::RealtimeRw => {
            assert_ne!(key, NO_KEY, "such an edge is about an object");
            match family {
                Family::Append => append::why(story, key, pair, kind),
                Family::Register(initial) => register::why(story, initial, key, pair, kind),
            }
        }
    }
}

/// One transaction as a bar of a drawing.
pub(super) fn bar(history: &History, operation: &Operation) -> FailureOperation {
    FailureOperation { label: label(history, operation), ..FailureOperation::of(history, operation) }
}

/// `r 1 [2 3], append 2 5`.
fn label(history: &History, operation: &Operation) -> String {
    let is_known = operation.outcome == Outcome::Ok && !operation.result.is_null();
    let value = if is_known { operation.result } else { operation.argument };
    let values = &history.values;
    let step = |item: &Datum| match values.as_list(*item) {
        Some(&[name, key, _]) if !is_known && values.as_text(name) == Some("r") => {
            format!("r {} ?", plain(history, key))
        }
        Some(&[name, key, value]) => {
            format!("{} {} {}", plain(history, name), plain(history, key), plain(history, value))
        }
        _ => plain(history, *item),
    };
    match values.as_list(value) {
        Some(items) => items.iter().map(step).collect::<Vec<_>>().join(", "),
        None => format!("{} {}", history.f(operation), plain(history, value)),
    }
}

fn plain(history: &History, value: Datum) -> String {
    match (history.values.as_text(value), history.values.as_list(value)) {
        (Some(text), _) => text.to_owned(),
        (None, Some(items)) => list(history, items),
        (None, None) => history.values.to_json(value).to_string(),
    }
}

/// The end of a list.
pub(super) fn list(history: &History, items: &[Datum]) -> String {
    let skipped = items.len().saturating_sub(ITEMS_MAX);
    let mut shown: Vec<String> = items[skipped..].iter().map(|&item| plain(history, item)).collect();
    if skipped > 0 {
        shown.insert(0, "…".to_owned());
    }
    format!("[{}]", shown.join(" "))
}

/// A value in a few characters.
pub(super) fn shown(transactions: &Transactions<'_>, value: Datum) -> String {
    plain(transactions.history, value)
}

/// An object's name.
pub(super) fn key(transactions: &Transactions<'_>, key: u32) -> String {
    plain(transactions.history, transactions.keys[key as usize])
}

/// `1.204 s`.
pub(super) fn seconds(time_ns: u64) -> String {
    format!("{}.{:03} s", time_ns / 1_000_000_000, time_ns / 1_000_000 % 1000)
}
