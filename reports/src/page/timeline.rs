//! The operations of a history as columns for a page's script: small, and safe inside an element of HTML.
//!
//! The one idea: whatever repeats (names, keys, values, nodes) stands once in a table, and times are differences to the one
//! before, so ten thousand operations take some hundred kilobytes.

use std::collections::HashMap;

use rafture_checker::failure::{Failure, FailureOperation};
use rafture_checker::history::{Datum, History, Operation, Outcome, Process};
use serde::Serialize;

use super::embed;
use crate::fault::FaultSpan;
use crate::plot;

/// As many operations as a page draws smoothly, around the violation.
const OPERATIONS_MAX: usize = 100_000;

/// A value is shown up to so many characters.
const VALUE_CHARACTERS_MAX: usize = 400;

/// What the script reads. Lists have an entry for each operation, in order of invocation; -1 is none.
#[derive(Debug, Default, Serialize)]
pub(super) struct Timeline {
    /// The first invocation, nanoseconds since the start of the run.
    base: u64,
    /// Since the invocation before.
    invoked: Vec<u64>,
    /// From invocation to completion; -1: open for ever.
    lasted: Vec<i64>,
    /// From invocation to when the client gave up; -1: never, or it did not.
    ended: Vec<i64>,
    /// 0 ok, 1 fail, 2 info.
    outcome: Vec<u8>,
    process: Vec<i64>,
    f: Vec<i64>,
    key: Vec<i64>,
    argument: Vec<i64>,
    result: Vec<i64>,
    node: Vec<i64>,
    line: Vec<i64>,
    /// Numbers of the invocations among the events.
    index: Vec<u32>,
    processes: Vec<String>,
    names: Vec<String>,
    pub(super) keys: Vec<String>,
    values: Vec<String>,
    nodes: Vec<String>,
    /// Places of the operations of the evidence, and of its culprit.
    pub(super) shrunk: Vec<usize>,
    culprit: i64,
    bands: Vec<Band>,
    /// How many operations the whole history has.
    #[serde(skip)]
    pub(super) of: usize,
}

/// A fault in force.
#[derive(Debug, Serialize)]
struct Band {
    from: i64,
    until: i64,
    label: String,
    color: String,
}

impl Timeline {
    pub(super) fn of(history: &History, failure: Option<&Failure>, faults: &[FaultSpan]) -> Timeline {
        let operations = around(history, failure);
        let base = operations.first().map_or(0, |operation| operation.invoked_ns);
        let mut timeline =
            Timeline { base, culprit: -1, of: history.operations.len(), ..Timeline::default() };
        let mut tables = Tables::default();
        let mut before = base;
        for operation in operations {
            timeline.push(history, operation, &mut tables, before);
            before = operation.invoked_ns;
        }
        let end = operations.iter().map(|operation| operation.completed_ns().unwrap_or(operation.invoked_ns));
        timeline.bands = bands(faults, base, end.max().unwrap_or(0));
        timeline.mark(operations, failure);
        timeline
    }

    pub(super) fn len(&self) -> usize {
        self.invoked.len()
    }

    /// The place of an operation of the evidence.
    pub(super) fn place(&self, history: &History, bar: &FailureOperation) -> Option<usize> {
        let operation = history.operations.iter().find(|operation| is_same(operation, bar))?;
        self.index.iter().position(|&index| index == operation.invoked_at)
    }

    /// As JSON in which nothing can end an element or open one.
    pub(super) fn script(&self) -> String {
        embed::json(self)
    }

    fn push(&mut self, history: &History, operation: &Operation, tables: &mut Tables, before: u64) {
        let lasted = |end: u64| i64::try_from(end - operation.invoked_ns).unwrap_or(i64::MAX);
        let ended = operation.completed_ns().map_or(-1, lasted);
        let is_open = operation.outcome == Outcome::Info;
        self.invoked.push(operation.invoked_ns.saturating_sub(before));
        self.lasted.push(if is_open { -1 } else { ended });
        self.ended.push(if is_open { ended } else { -1 });
        self.outcome.push(match operation.outcome {
            Outcome::Ok => 0,
            Outcome::Fail => 1,
            Outcome::Info => 2,
        });
        self.process.push(
            tables.processes.number(operation.process, &mut self.processes, || operation.process.to_string()),
        );
        let f = history.f(operation);
        self.f.push(tables.names.number(f.to_owned(), &mut self.names, || f.to_owned()));
        let shown = |value: Datum| match history.values.as_text(value) {
            Some(text) => text.to_owned(),
            None => history.values.to_json(value).to_string(),
        };
        let number = |of: &mut Table<Datum>, texts: &mut Vec<String>, value: Datum| match value.is_null() {
            true => -1,
            false => of.number(value, texts, || cut(shown(value))),
        };
        self.key.push(number(&mut tables.keys, &mut self.keys, operation.key));
        self.argument.push(number(&mut tables.values, &mut self.values, operation.argument));
        self.result.push(number(&mut tables.values, &mut self.values, operation.result));
        let node = history.node(operation);
        self.node.push(
            node.map_or(-1, |node| tables.nodes.number(node.to_owned(), &mut self.nodes, || node.to_owned())),
        );
        self.line.push(operation.line().map_or(-1, |line| line as i64));
        self.index.push(operation.invoked_at);
    }

    fn mark(&mut self, operations: &[Operation], failure: Option<&Failure>) {
        for bar in failure.iter().flat_map(|failure| &failure.operations) {
            if let Some(place) = operations.iter().position(|operation| is_same(operation, bar)) {
                self.shrunk.push(place);
                if bar.culprit {
                    self.culprit = place as i64;
                }
            }
        }
    }
}

fn is_same(operation: &Operation, bar: &FailureOperation) -> bool {
    match bar.index {
        Some(index) => operation.invoked_at == index,
        None => Process::Client(operation.process) == bar.process && operation.invoked_ns == bar.invoked_ns,
    }
}

/// The operations around the culprit, as many as a page draws.
fn around<'h>(history: &'h History, failure: Option<&Failure>) -> &'h [Operation] {
    let all = &history.operations[..];
    let bars = failure.map_or(&[][..], |failure| &failure.operations);
    let culprit = bars.iter().find(|bar| bar.culprit).or(bars.last());
    let middle = culprit.and_then(|bar| all.iter().position(|operation| is_same(operation, bar)));
    let start = middle.unwrap_or(0).saturating_sub(OPERATIONS_MAX * 3 / 4);
    let start = start.min(all.len().saturating_sub(OPERATIONS_MAX));
    &all[start..all.len().min(start + OPERATIONS_MAX)]
}

fn bands(faults: &[FaultSpan], base: u64, end: u64) -> Vec<Band> {
    let since = |time: u64| time as i64 - base as i64;
    let band = |(kind, color): &(String, String)| {
        let of_kind = faults.iter().filter(|fault| fault.kind == *kind);
        let spans = of_kind.filter_map(|fault| Some((fault.in_force(end)?, fault.label.clone())));
        let band = |((from, until), label)| Band {
            from: since(from),
            until: since(until),
            label,
            color: color.clone(),
        };
        spans.map(band).collect::<Vec<_>>()
    };
    plot::fault_colors(faults).iter().flat_map(band).collect()
}

/// Without the rest of what is longer than anybody reads.
fn cut(text: String) -> String {
    match text.char_indices().nth(VALUE_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Numbers of texts by what they stand for.
#[derive(Debug)]
struct Table<T>(HashMap<T, i64>);

impl<T: std::hash::Hash + Eq> Table<T> {
    fn number(&mut self, of: T, texts: &mut Vec<String>, text: impl FnOnce() -> String) -> i64 {
        *self.0.entry(of).or_insert_with(|| {
            texts.push(text());
            texts.len() as i64 - 1
        })
    }
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table(HashMap::new())
    }
}

#[derive(Debug, Default)]
struct Tables {
    processes: Table<u64>,
    names: Table<String>,
    keys: Table<Datum>,
    values: Table<Datum>,
    nodes: Table<String>,
}
