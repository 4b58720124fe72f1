//! The evidence of an invalid verdict as text: bars per process, for the terminal.
//!
//! Not to scale, like the drawing of the page: each event gets a column, and columns are as wide as the labels of the bars need
//! and the screen allows.

use std::collections::BTreeMap;

use rafture_checker::failure::{Failure, FailureOperation};
use rafture_checker::history::Process;

use crate::terminal::{Screen, paint};

const ALARM: &str = "1;31";
const DIM: &str = "2";
const MARK: [char; 3] = [' ', ' ', '✗'];
const NOTE: &str = "  ✗ no order explains this";

/// Labels lose letters until the drawing fits, but keep so many.
const LABEL_MIN: usize = 3;
const LABEL_MAX: usize = 40;

/// Events in order, and how wide the stretch behind each is.
struct Columns {
    times: Vec<u64>,
    spans: Vec<(usize, usize)>,
    widths: Vec<usize>,
}

/// The drawing, and below it how far the longest order gets and why it ends. Each line ends with a line feed.
pub fn drawing(failure: &Failure, screen: Screen) -> String {
    let mut by_process: BTreeMap<Process, Vec<usize>> = BTreeMap::new();
    for (at, operation) in failure.operations.iter().enumerate() {
        by_process.entry(operation.process).or_default().push(at);
    }
    let names: Vec<String> = by_process.keys().map(|process| format!("process {process}")).collect();
    let margin = names.iter().map(String::len).max().unwrap_or(0) + 2;
    let columns = Columns::fitting(failure, screen.width.saturating_sub(margin + MARK.len()));
    let mut text = String::new();
    for (name, all) in names.iter().zip(by_process.values()) {
        text += &format!("{name:<margin$}");
        text += &columns.row(failure, all, (screen, margin));
        text.push('\n');
    }
    let axis = format!("{:margin$}{}", "", columns.axis());
    text += &paint(axis.trim_end(), DIM, screen.color);
    text.push('\n');
    text + &words(failure, screen)
}

impl Columns {
    fn fitting(failure: &Failure, room: usize) -> Columns {
        let mut events: Vec<(u64, bool, usize)> = Vec::new();
        for (at, operation) in failure.operations.iter().enumerate() {
            events.push((operation.invoked_ns, false, at));
            events.extend(operation.completed_ns.map(|time| (time, true, at)));
        }
        events.sort_unstable();
        let mut spans = vec![(0, events.len()); failure.operations.len()];
        for (place, &(_, is_end, at)) in events.iter().enumerate() {
            match is_end {
                true => spans[at].1 = place,
                false => spans[at].0 = place,
            }
        }
        let mut columns =
            Columns { times: events.iter().map(|&(time, ..)| time).collect(), spans, widths: Vec::new() };
        for label in (LABEL_MIN..=LABEL_MAX).rev() {
            columns.widen(failure, label);
            if columns.start(columns.widths.len()) <= room {
                break;
            }
        }
        columns
    }

    /// Makes each bar wide enough for so many letters of its label, the short bars first.
    fn widen(&mut self, failure: &Failure, label: usize) {
        self.widths = vec![1; self.times.len()];
        let mut order: Vec<usize> = (0..self.spans.len()).collect();
        order.sort_by_key(|&at| self.spans[at].1 - self.spans[at].0);
        for at in order {
            let (from, until) = self.spans[at];
            let letters = letters(&failure.operations[at]).min(label);
            // The two ends, a dash and a blank on either side; one that is open has no end.
            let needed = letters + 5;
            let inside: usize = self.widths[from..until].iter().sum();
            for missing in 0..needed.saturating_sub(inside) {
                self.widths[from + missing % (until - from)] += 1;
            }
        }
    }

    fn start(&self, place: usize) -> usize {
        self.widths[..place].iter().sum()
    }

    fn row(&self, failure: &Failure, all: &[usize], (screen, margin): (Screen, usize)) -> String {
        let (mut row, mut length) = (String::new(), 0);
        let mut all = all.to_vec();
        all.sort_by_key(|&at| self.spans[at]);
        for at in all {
            let operation = &failure.operations[at];
            let (from, until) = (self.start(self.spans[at].0), self.start(self.spans[at].1));
            row.extend(std::iter::repeat_n(' ', from.saturating_sub(length)));
            let bar = bar(operation, (until - from).max(4));
            length = from.max(length) + bar.chars().count();
            let style = if operation.culprit { ALARM } else { "" };
            row += &paint(&bar, style, screen.color);
            if operation.culprit {
                let note =
                    if margin + length + NOTE.chars().count() <= screen.width { NOTE } else { "  ✗" };
                row += &paint(note, ALARM, screen.color);
                length += note.chars().count();
            }
        }
        row
    }

    /// The times of the events, where there is room for them.
    fn axis(&self) -> String {
        let span = self.times.last().unwrap_or(&0) - self.times.first().unwrap_or(&0);
        let digits = match span {
            0..10_000 => 9,
            10_000..10_000_000 => 6,
            _ => 3,
        };
        let (mut axis, mut length) = (String::new(), 0);
        for (place, &time) in self.times.iter().enumerate() {
            let from = self.start(place);
            if place > 0 && from < length + 2 {
                continue;
            }
            let time = format!("{:.digits$} s", time as f64 / 1e9);
            axis.extend(std::iter::repeat_n(' ', from.saturating_sub(length)));
            length = from.max(length) + time.len();
            axis += &time;
        }
        axis
    }
}

fn letters(operation: &FailureOperation) -> usize {
    operation.label.chars().count()
}

fn bar(operation: &FailureOperation, width: usize) -> String {
    let room = width.saturating_sub(5);
    let mut label = plain(&operation.label);
    if letters(operation) > room {
        label = label.chars().take(room.saturating_sub(1)).chain(['…']).collect();
    }
    let rest = width.saturating_sub(label.chars().count() + 4);
    let dashes: String = std::iter::repeat_n('─', rest).collect();
    match operation.completed_ns {
        Some(_) => format!("├─ {label} {dashes}┤"),
        None => format!("├─ {label} {dashes}→"),
    }
}

fn words(failure: &Failure, screen: Screen) -> String {
    let who = |at: usize| match failure.operations.get(at) {
        Some(operation) => format!("process {} {}", operation.process, plain(&operation.label)),
        None => String::new(),
    };
    let mut text = String::new();
    if let Some(order) = failure.orders.first() {
        for step in &order.steps {
            text += &format!("  {}, then {}\n", who(step.operation), plain(&step.state));
        }
        for stuck in &order.stuck {
            let line = format!("✗ {} cannot be next: {}", who(stuck.operation), plain(&stuck.reason));
            text += &format!("  {}\n", paint(&line, ALARM, screen.color));
        }
    }
    for relation in &failure.relations {
        text += &format!(
            "  {} before {} ({}): {}\n",
            who(relation.from),
            who(relation.to),
            relation.kind,
            plain(&relation.sentence)
        );
    }
    for sentence in failure.before.iter().chain(Some(&failure.necessity).filter(|text| !text.is_empty())) {
        text += &format!("  {}\n", plain(sentence));
    }
    text
}

/// Values come from anywhere, and must not control the terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rafture_checker::failure::{LongestOrder, OrderStep, Stuck};

    fn operation(process: u64, label: &str, from_ms: u64, until_ms: Option<u64>) -> FailureOperation {
        FailureOperation {
            process: Process::Client(process),
            f: label.split(' ').next().unwrap_or_default().to_owned(),
            label: label.to_owned(),
            invoked_ns: from_ms * 1_000_000,
            completed_ns: until_ms.map(|until_ms| until_ms * 1_000_000),
            culprit: label.starts_with("read"),
            order: None,
            index: None,
            line: None,
            node: None,
        }
    }

    fn stale_read() -> Failure {
        Failure {
            key: None,
            anomaly: "stale read".into(),
            sentence: "a sentence".into(),
            operations: vec![
                operation(1, "write 1", 0, Some(10)),
                operation(2, "write 2", 12, Some(40)),
                operation(10, "write 3", 15, None),
                operation(3, "read → 1", 50, Some(60)),
            ],
            minimal: true,
            necessity: "Each is needed.".into(),
            before: None,
            initial: Some("null".into()),
            orders: vec![LongestOrder {
                steps: vec![
                    OrderStep { operation: 0, state: "1".into() },
                    OrderStep { operation: 1, state: "2".into() },
                ],
                stuck: vec![Stuck { operation: 3, reason: "x was then 2, and this read returned 1".into() }],
            }],
            relations: Vec::new(),
        }
    }

    #[test]
    fn bars_stand_below_each_other_in_the_order_of_their_events() {
        let expected = "\
process 1   ├─ write 1 ─┤
process 2                ├─ write 2 ─┤
process 3                             ├─ read → 1 ─┤  ✗ no order explains this
process 10                     ├─ write 3 ──────────→
            0.000 s     0.010 s      0.040 s       0.060 s
  process 1 write 1, then 1
  process 2 write 2, then 2
  ✗ process 3 read → 1 cannot be next: x was then 2, and this read returned 1
  Each is needed.
";
        let drawn = drawing(&stale_read(), Screen { color: false, width: 80 });
        assert_eq!(drawn, expected, "\n{drawn}");
    }

    #[test]
    fn a_narrow_screen_shortens_labels_and_nothing_controls_the_terminal() {
        let mut failure = stale_read();
        failure.operations[0].label =
            "write \"\x1b[2J and much, much more than any line has room for\"".into();
        for width in [48, 60, 80] {
            let drawn = drawing(&failure, Screen { color: false, width });
            let bars = drawn.lines().take(4);
            assert!(bars.clone().all(|line| line.chars().count() <= width), "{width}:\n{drawn}");
            assert!(!drawn.contains('\x1b'), "{drawn}");
        }
        assert!(drawing(&failure, Screen { color: true, width: 80 }).contains("\x1b[1;31m├─ read"));
    }
}
