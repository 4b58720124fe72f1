//! A run as columns for the script of `report.html`: bounded, whatever the run's length, and safe inside an element of HTML.
//!
//! Times are whole microseconds since the start of the run. The one idea: counts come in fine slices that the script adds up to
//! what the screen can show, latency comes as quantiles of coarser slices and as single operations that stand for their
//! neighbours, and the slowest operations of the run are there with all that is known of them.

use std::collections::{BTreeMap, BTreeSet};

use rafture_checker::history::{Event, Process};
use serde::Serialize;
use serde_json::Value;

use super::embed;
use super::report::ReportPage;
use crate::measure::{self, Operation, Outcome, Slices};
use crate::plot;
use crate::wording::visible;

/// Counts have so many slices at most: two to a pixel of a laptop's screen.
const SLICES_MAX: u64 = 1_500;

/// Latency has so many: more would leave too few operations in each for a p99.
const LATENCY_SLICES_MAX: u64 = 240;

/// So many single operations are drawn, beside the slowest.
pub(super) const POINTS_MAX: usize = 12_000;

/// So many of the slowest operations are there with key, value and error.
pub(super) const SLOWEST_MAX: usize = 200;

/// So many nodes get a strip, faults a band, leaders a mark.
const NODES_MAX: usize = 32;
const BANDS_MAX: usize = 1_000;
const LEADERS_MAX: usize = 2_000;

/// So much of a text is told.
const CHARACTERS_MAX: usize = 120;

/// What the script reads.
#[derive(Debug, Serialize)]
pub(super) struct Series {
    /// The end of the history.
    end: u64,
    /// Length of the slices of counts.
    slice: u64,
    ok: Vec<u32>,
    fail: Vec<u32>,
    info: Vec<u32>,
    nodes: Vec<Node>,
    /// Length of the slices of latency.
    latency_slice: u64,
    names: Vec<Name>,
    points: Points,
    bands: Vec<Band>,
    leaders: Vec<Leader>,
    /// When each term was first reached, and which it was.
    terms: Vec<(u64, u64)>,
    violation: Option<(u64, u64)>,
}

#[derive(Debug, Serialize)]
struct Node {
    name: String,
    /// Operations that it answered with success, in slices of counts.
    served: Vec<u32>,
}

/// A kind of operation and the latency of its successes: one entry a slice that has some.
#[derive(Debug, Serialize)]
struct Name {
    f: String,
    color: String,
    slice: Vec<usize>,
    count: Vec<u32>,
    min: Vec<u64>,
    p50: Vec<u64>,
    p99: Vec<u64>,
    max: Vec<u64>,
}

/// Single operations in order of invocation.
#[derive(Debug, Default, Serialize)]
struct Points {
    /// Since the invocation of the one before.
    invoked: Vec<u64>,
    lasted: Vec<u64>,
    /// Three times the number of its name, plus 0 ok, 1 fail, 2 info.
    what: Vec<usize>,
    process: Vec<i64>,
    /// Its number among the nodes, or -1.
    node: Vec<i64>,
    /// How many it stands for.
    count: Vec<u32>,
    /// More about the slowest, by place.
    told: BTreeMap<usize, Told>,
}

/// What is known of an operation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Told {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) asked: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) answered: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// A fault in force.
#[derive(Debug, Serialize)]
struct Band {
    from: u64,
    until: u64,
    kind: String,
    label: String,
    color: String,
    /// Numbers of the nodes that could not be counted on.
    nodes: Vec<usize>,
}

#[derive(Debug, Serialize)]
struct Leader {
    at: u64,
    node: String,
    term: u64,
}

impl Series {
    pub(super) fn of(page: &ReportPage<'_>) -> Series {
        let run = page.run;
        let end_ns = measure::end_ns(run.history);
        let slices = measure::slices(run.history, page.operations, end_ns, SLICES_MAX);
        let nodes = node_names(page, &slices);
        let fs = fs(page.operations);
        let (latency_slice_ns, names) = names(page.operations, &fs, end_ns);
        Series {
            end: us(end_ns),
            slice: us(slices.length_ns),
            latency_slice: us(latency_slice_ns),
            points: points(page, end_ns, &fs, &nodes),
            names,
            bands: bands(page, end_ns, &nodes),
            leaders: leaders(page),
            terms: page
                .terms
                .iter()
                .take(LEADERS_MAX)
                .map(|change| (since(change.time_ns), change.term))
                .collect(),
            violation: page.violation.map(|span| (since(span.from_ns), since(span.until_ns))),
            nodes: nodes
                .into_iter()
                .map(|node| Node {
                    served: slices.served.get(&node).cloned().unwrap_or_default(),
                    name: text(&node),
                })
                .collect(),
            ok: slices.ok,
            fail: slices.fail,
            info: slices.info,
        }
    }

    /// As JSON for an element of HTML.
    pub(super) fn script(&self) -> String {
        embed::json(self)
    }
}

/// Everybody who could have answered: `n1` and so on as the run names them, and whoever else did or was harmed.
pub(super) fn node_names(page: &ReportPage<'_>, slices: &Slices) -> Vec<String> {
    let numbered = (1..=page.run.results.nodes).map(|number| format!("n{number}"));
    let answered = slices.served.keys().cloned();
    let harmed = page.run.faults.iter().flat_map(|fault| fault.harmed.iter().chain(&fault.nodes).cloned());
    let names: BTreeSet<(usize, String)> =
        numbered.chain(answered).chain(harmed).map(|name| (name.len(), name)).collect();
    names.into_iter().map(|(_, name)| name).take(NODES_MAX).collect()
}

/// What was asked, in the order in which colours are given.
fn fs<'a>(operations: &[Operation<'a>]) -> Vec<&'a str> {
    let fs: BTreeSet<&str> = operations.iter().map(|operation| operation.f).collect();
    fs.into_iter().collect()
}

fn names(operations: &[Operation<'_>], fs: &[&str], end_ns: u64) -> (u64, Vec<Name>) {
    let (length_ns, mut by_f) = measure::latency_slices(operations, end_ns, LATENCY_SLICES_MAX);
    let colors = plot::operation_colors(fs);
    let named = fs.iter().zip(colors).map(|(&f, color)| {
        let slices = by_f.remove(f).unwrap_or_default();
        Name {
            f: text(f),
            color,
            slice: slices.iter().map(|slice| slice.slice).collect(),
            count: slices.iter().map(|slice| slice.count).collect(),
            min: slices.iter().map(|slice| us(slice.min_ns)).collect(),
            p50: slices.iter().map(|slice| us(slice.p50_ns)).collect(),
            p99: slices.iter().map(|slice| us(slice.p99_ns)).collect(),
            max: slices.iter().map(|slice| us(slice.max_ns)).collect(),
        }
    });
    (length_ns, named.collect())
}

fn points(page: &ReportPage<'_>, end_ns: u64, fs: &[&str], nodes: &[String]) -> Points {
    let (history, operations) = (page.run.history, page.operations);
    let slowest = measure::slowest(operations, SLOWEST_MAX);
    let numbers: BTreeMap<&str, usize> = fs.iter().enumerate().map(|(number, f)| (*f, number)).collect();
    let mut points = Points::default();
    let mut before_ns = 0;
    for point in measure::points(operations, end_ns, POINTS_MAX, &slowest) {
        let operation = &operations[point.operation];
        if slowest.contains(&point.operation) {
            points.told.insert(points.invoked.len(), told(history, operation));
        }
        let outcome = match operation.outcome {
            Outcome::Ok => 0,
            Outcome::Fail => 1,
            Outcome::Info => 2,
        };
        let node = node(history, operation).and_then(|name| nodes.iter().position(|node| node == name));
        points.invoked.push(us(operation.invoked_ns) - us(before_ns));
        points.lasted.push(us(operation.latency_ns().unwrap_or(0)));
        points.what.push(numbers[operation.f] * 3 + outcome);
        points.process.push(process(history, operation));
        points.node.push(node.map_or(-1, |node| node as i64));
        points.count.push(point.count);
        before_ns = operation.invoked_ns;
    }
    points
}

/// Who asked.
pub(super) fn process(history: &[Event], operation: &Operation<'_>) -> i64 {
    match history.get(operation.invocation).map(|event| event.process) {
        Some(Process::Client(process)) => process as i64,
        _ => -1,
    }
}

/// Who answered, or else was asked.
pub(super) fn node<'h>(history: &'h [Event], operation: &Operation<'_>) -> Option<&'h str> {
    let of = |place: usize| history.get(place)?.node.as_deref();
    operation.completion.and_then(of).or_else(|| of(operation.invocation))
}

/// Key, values and error of an operation.
pub(super) fn told(history: &[Event], operation: &Operation<'_>) -> Told {
    let invocation = history.get(operation.invocation);
    let completion = operation.completion.and_then(|place| history.get(place));
    let is_answer = operation.outcome == Outcome::Ok;
    let asked = invocation.and_then(|event| value(&event.value));
    Told {
        key: invocation.and_then(|event| value(event.key.as_ref()?)),
        // A write is answered by what was written, which tells nothing.
        answered: completion
            .filter(|_| is_answer)
            .and_then(|event| value(&event.value))
            .filter(|answered| asked.as_ref() != Some(answered)),
        asked,
        error: completion.and_then(|event| event.error.as_deref()).map(text),
    }
}

fn value(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(words) => Some(text(words)),
        other => Some(text(&other.to_string())),
    }
}

fn bands(page: &ReportPage<'_>, end_ns: u64, nodes: &[String]) -> Vec<Band> {
    let colors: BTreeMap<String, String> = plot::fault_colors(page.run.faults).into_iter().collect();
    let band = |fault: &crate::fault::FaultSpan| {
        let (from_ns, until_ns) = fault.in_force(end_ns)?;
        let harmed = if fault.harmed.is_empty() { &fault.nodes } else { &fault.harmed };
        Some(Band {
            from: us(from_ns),
            until: us(until_ns),
            kind: text(&fault.kind),
            label: text(&fault.label),
            color: colors.get(&fault.kind)?.clone(),
            nodes: harmed.iter().filter_map(|name| nodes.iter().position(|node| node == name)).collect(),
        })
    };
    let mut bands: Vec<Band> = page.run.faults.iter().filter_map(band).take(BANDS_MAX).collect();
    bands.sort_by_key(|band| (band.from, band.until));
    bands
}

fn leaders(page: &ReportPage<'_>) -> Vec<Leader> {
    let leaders = page.run.leaders.iter().take(LEADERS_MAX);
    leaders
        .map(|leader| Leader { at: since(leader.time_ns), node: text(&leader.node), term: leader.term })
        .collect()
}

fn us(ns: u64) -> u64 {
    ns / 1_000
}

/// What came before the start of the axis stands at it.
fn since(ns: i64) -> u64 {
    us(u64::try_from(ns).unwrap_or(0))
}

/// What a reader can see of a text, without the rest of what is longer than anybody reads.
fn text(words: &str) -> String {
    let cut = match words.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words.to_owned(),
    };
    visible(&cut).into_owned()
}
