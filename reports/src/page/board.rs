//! The few operations of the evidence as bars, drawn in the page itself, with the points of each longest order.
//!
//! Not to scale: the one idea is that only the order of the events matters, so each event gets a column of the same width, and
//! what took microseconds stands beside what took a minute.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html};
use rafture_checker::failure::{Failure, FailureOperation, LongestOrder};
use rafture_checker::history::Process;

/// What the drawing looks like.
pub(super) const STYLE: &str = include_str!("board.css");

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 26.0;
const ROW: f64 = 46.0;
const BAR: f64 = 26.0;
const TOP: f64 = 10.0;

/// Where everything stands.
pub(super) struct Board<'f> {
    failure: &'f Failure,
    /// Times of events in ascending order.
    times: Vec<u64>,
    /// Invocation and completion of each operation, by places of `times`; open ones end behind all.
    spans: Vec<(usize, usize)>,
    rows: Vec<usize>,
    processes: Vec<Process>,
}

impl<'f> Board<'f> {
    pub(super) fn of(failure: &'f Failure) -> Board<'f> {
        let operations = &failure.operations;
        // What completed at a time came before what was invoked at it only if it is another operation's end.
        let mut events: Vec<(u64, bool, usize)> = Vec::new();
        for (at, operation) in operations.iter().enumerate() {
            events.push((operation.invoked_ns, false, at));
            events.extend(operation.completed_ns.map(|time| (time, true, at)));
        }
        events.sort_unstable();
        let mut spans = vec![(0, events.len()); operations.len()];
        for (place, &(_, is_end, at)) in events.iter().enumerate() {
            match is_end {
                true => spans[at].1 = place,
                false => spans[at].0 = place,
            }
        }
        let (rows, processes) = rows(operations, &spans);
        Board { failure, times: events.into_iter().map(|(time, ..)| time).collect(), spans, rows, processes }
    }

    pub(super) fn svg(&self, place: impl Fn(&FailureOperation) -> Option<usize>) -> Markup {
        let bottom = TOP + self.processes.len() as f64 * ROW;
        let height = bottom + 34.0 + if self.failure.relations.is_empty() { 0.0 } else { 10.0 };
        html! {
            svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(self.failure.sentence) {
                defs {
                    linearGradient id="fade" { stop .open-stop offset="0" {} stop .open-stop offset="1" stop-opacity="0.12" {} }
                    marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse" {
                        path d="M0 0 L8 4 L0 8 z" fill="context-stroke" {}
                    }
                }
                @for row in 0..self.processes.len() { (self.row(row)) }
                @for at in 0..self.failure.operations.len() { (self.bar(at, place(&self.failure.operations[at]))) }
                @for (number, order) in self.failure.orders.iter().enumerate() { (self.order(number, order)) }
                @for relation in &self.failure.relations { (self.relation(relation.from, relation.to, &relation.kind, &relation.sentence)) }
                (self.axis(bottom))
            }
        }
    }

    fn x(&self, place: f64) -> f64 {
        let columns = self.times.len().max(1) as f64;
        LEFT + (place + 0.25) * (WIDTH - LEFT - RIGHT) / columns
    }

    fn y(&self, at: usize) -> f64 {
        TOP + self.rows[at] as f64 * ROW + (ROW - BAR) / 2.0
    }

    fn extent(&self, at: usize) -> (f64, f64) {
        let (from, until) = self.spans[at];
        (self.x(from as f64), if until < self.times.len() { self.x(until as f64) } else { WIDTH })
    }

    fn row(&self, row: usize) -> Markup {
        let y = TOP + row as f64 * ROW;
        let is_further = row > 0 && self.processes[row] == self.processes[row - 1];
        html! {
            @if !is_further {
                line .rule x1="0" x2=(WIDTH) y1=(y) y2=(y) {}
                text x="0" y=(y + ROW / 2.0 + 5.0) { "process " (self.processes[row]) }
            }
        }
    }

    fn bar(&self, at: usize, place: Option<usize>) -> Markup {
        let operation = &self.failure.operations[at];
        let ((from, until), y) = (self.extent(at), self.y(at));
        let is_open = operation.completed_ns.is_none();
        let class = match (operation.culprit, is_open) {
            (true, _) => "bar culprit",
            (false, true) => "bar open",
            (false, false) => "bar",
        };
        let unknown = if is_open { " ?" } else { "" };
        let label = format!("{}{unknown}", operation.label);
        // About what letters of this size take; a label that does not fit is cut, and whole in the table below.
        let room = ((until - from - 12.0) / 7.2).max(0.0) as usize;
        let fits = label.chars().count() <= room;
        let words: String = if fits {
            label.clone()
        } else {
            label.chars().take(room.saturating_sub(1)).chain(['…']).collect()
        };
        html! {
            g data-at=[place] {
                title { "process " (operation.process) ": " (label) }
                rect class=(class) x=(from) y=(y) width=(until - from) height=(BAR) rx="3" {}
                @if is_open { line .start x1=(from) x2=(from) y1=(y) y2=(y + BAR) {} }
                text .culprit-text[operation.culprit] x=(from + 7.0) y=(y + 17.5) { (words) }
            }
        }
    }

    /// The points at which the operations of an order take effect, joined by a line.
    fn order(&self, number: usize, order: &LongestOrder) -> Markup {
        let mut reached = 0.0f64;
        let mut points = Vec::new();
        for step in &order.steps {
            let (from, until) = self.spans[step.operation];
            // Strictly between the two ends, and each behind the last.
            let latest = until as f64 - 0.12;
            reached = (from as f64 + 0.62).max(reached + 0.3).min(latest.max(reached));
            points.push((self.x(reached), self.y(step.operation) + BAR + 1.0));
        }
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        html! {
            g data-order=(number) hidden[number > 0] {
                polyline .path points=(path.join(" ")) {}
                @for (place, (x, y)) in points.iter().enumerate() {
                    g .step data-step=(place) {
                        title { "step " (place + 1) ": then the state is " (order.steps[place].state) }
                        circle cx=(x) cy=(y) r="8.5" {}
                        text x=(x) y=(y + 4.0) { (place + 1) }
                    }
                }
                @for stuck in &order.stuck { (self.cross(stuck.operation, &stuck.reason)) }
            }
        }
    }

    fn cross(&self, at: usize, reason: &str) -> Markup {
        let ((_, until), y) = (self.extent(at), self.y(at) + BAR / 2.0);
        let x = (until + 12.0).min(WIDTH - 8.0);
        html! {
            g {
                title { (reason) }
                path .stuck d=(format!("M{} {} l10 10 m0 -10 l-10 10", x - 5.0, y - 5.0)) {}
            }
        }
    }

    fn relation(&self, from: usize, to: usize, kind: &str, sentence: &str) -> Markup {
        if from >= self.spans.len() || to >= self.spans.len() {
            return html! {};
        }
        let middle = |at: usize| {
            let (from, until) = self.extent(at);
            from.midpoint(until.min(WIDTH - RIGHT))
        };
        let (side, (top, other)) = (if from < to { 1.0 } else { -1.0 }, (self.y(from), self.y(to)));
        // In one row, there above the bars and back below them; else from the sides that face each other, bent so that two between
        // the same bars differ.
        let ((y1, y2), (bend, rise)) = match self.rows[from].cmp(&self.rows[to]) {
            Ordering::Equal if from < to => ((top, other), (0.0, -34.0)),
            Ordering::Equal => ((top + BAR, other + BAR), (0.0, 34.0)),
            Ordering::Less => ((top + BAR, other), (26.0 * side, 0.0)),
            Ordering::Greater => ((top, other + BAR), (26.0 * side, 0.0)),
        };
        let (x1, x2) = (middle(from) + 16.0 * side, middle(to) + 16.0 * side);
        let (x, y) = (x1.midpoint(x2) + bend, y1.midpoint(y2) + rise);
        html! {
            g {
                title { (sentence) }
                path .relation marker-end="url(#arrow)" d=(format!("M{x1:.1} {y1:.1} Q{x:.1} {y:.1} {x2:.1} {y2:.1}")) {}
                text .relation-text x=(x1.midpoint(x2) + bend / 2.0) y=(y - rise / 2.0 + 4.0) text-anchor="middle" { (kind) }
            }
        }
    }

    /// The time of each event, where there is room.
    fn axis(&self, bottom: f64) -> Markup {
        let digits = digits(&self.times);
        let room = if digits > 6 { 108.0 } else { 78.0 };
        let mut taken = f64::NEG_INFINITY;
        let mut is_told = |x: f64| {
            let fits = x - taken >= room;
            taken = if fits { x } else { taken };
            fits
        };
        html! {
            line .rule x1="0" x2=(WIDTH) y1=(bottom) y2=(bottom) {}
            @for (place, time) in self.times.iter().enumerate() {
                @let x = self.x(place as f64);
                line .rule x1=(x) x2=(x) y1=(bottom) y2=(bottom + 6.0) {}
                @if is_told(x) {
                    text .quiet x=(x) y=(bottom + 22.0) text-anchor="middle" { (format!("{:.*} s", digits, *time as f64 / 1e9)) }
                }
            }
        }
    }
}

/// How many digits tell the times apart.
fn digits(times: &[u64]) -> usize {
    let span = times.last().unwrap_or(&0) - times.first().unwrap_or(&0);
    match span {
        0..10_000 => 9,
        10_000..10_000_000 => 6,
        _ => 3,
    }
}

/// A row for each process, or as many as its operations need.
fn rows(operations: &[FailureOperation], spans: &[(usize, usize)]) -> (Vec<usize>, Vec<Process>) {
    let mut by_process: BTreeMap<Process, Vec<usize>> = BTreeMap::new();
    for (at, operation) in operations.iter().enumerate() {
        by_process.entry(operation.process).or_default().push(at);
    }
    let (mut rows, mut processes) = (vec![0; operations.len()], Vec::new());
    for (process, mut all) in by_process {
        all.sort_by_key(|&at| spans[at].0);
        let first = processes.len();
        let mut free_from: Vec<usize> = Vec::new();
        for at in all {
            let free = free_from.iter().position(|&free| free <= spans[at].0);
            let row = free.unwrap_or(free_from.len());
            if row == free_from.len() {
                free_from.push(0);
                processes.push(process);
            }
            free_from[row] = spans[at].1;
            rows[at] = first + row;
        }
    }
    (rows, processes)
}

/// A list of the steps of an order, and why it ends.
pub(super) fn order_card(failure: &Failure, number: usize, order: &LongestOrder) -> Markup {
    let who = |at: usize| match failure.operations.get(at) {
        Some(operation) => format!("process {}: {}", operation.process, operation.label),
        None => String::new(),
    };
    let title = match failure.orders.len() {
        1 => "The longest order".to_owned(),
        count => format!("Order {} of {count}", number + 1),
    };
    html! {
        div.order {
            h3 { button type="button" { (title) } }
            ol {
                @if let Some(initial) = &failure.initial { li { span {} span { "at first" small { (initial) } } } }
                @for (place, step) in order.steps.iter().enumerate() {
                    li data-step=(place) { b { (place + 1) } span { (who(step.operation)) small { "then " (step.state) } } }
                }
                @for stuck in &order.stuck {
                    li.stop { b { (PreEscaped("&#x2715;")) } span { (who(stuck.operation)) small { "cannot be next: " (stuck.reason) } } }
                }
            }
        }
    }
}
