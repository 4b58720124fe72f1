//! The summary that a run ends with on the terminal: figures first, the verdict and the line that repeats it last.

use std::fmt::Write;

use rafture_checker::verdict::Verdict;

use crate::results::Results;
use crate::text_drawing::drawing;
use crate::wording::{self, visible};

/// What is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Whether it shows colours.
    pub color: bool,
    /// Letters in a line.
    pub width: usize,
}

impl Screen {
    /// A file, or whatever else is no terminal.
    pub const PLAIN: Screen = Screen { color: false, width: 80 };
}

/// The summary as plain text, with colours only if the screen shows them. Ends with a line feed.
pub fn summary(results: &Results, screen: Screen) -> String {
    let color = screen.color;
    let mut text = String::new();
    let heading =
        format!("{} · {} · {} nodes · {}", results.system, results.workload, results.nodes, results.network);
    line(&mut text, &paint(&visible(&heading), BOLD, color));
    line(&mut text, "");
    for table in [operation_table(results), fault_table(results), checker_table(results)] {
        if table.len() > 1 {
            push_table(&mut text, &table, color);
            line(&mut text, "");
        }
    }
    let further = wording::further_reasons(results);
    for reason in further {
        line(&mut text, &format!("note: {}", visible(reason)));
    }
    if !results.note.is_empty() {
        line(&mut text, &format!("note: {}", results.note));
    }
    if let Some((_, failure)) = results.failures().first() {
        text += &drawing(failure, screen);
        line(&mut text, "");
    }
    let verdict = paint(&results.verdict.to_string(), verdict_color(results.verdict), color);
    line(&mut text, &format!("{verdict}: {}", visible(&wording::verdict_sentence(results))));
    line(&mut text, &format!("repeat: {}", visible(&results.command)));
    text
}

pub(crate) type Row = Vec<String>;

fn operation_table(results: &Results) -> Vec<Row> {
    let mut table = vec![row(["operation", "ok", "fail", "info", "p50", "p99", "p99.9", "max"])];
    for (f, count) in &results.operations {
        let [p50, p99, p999, max] = match results.latency.get(f) {
            Some(latency) => {
                [latency.p50_ms, latency.p99_ms, latency.p999_ms, latency.max_ms].map(wording::duration)
            }
            None => ["–"; 4].map(str::to_owned),
        };
        let [ok, fail, info] = [count.ok, count.fail, count.info].map(wording::grouped);
        table.push(vec![visible(f).into_owned(), ok, fail, info, p50, p99, p999, max]);
    }
    table
}

fn fault_table(results: &Results) -> Vec<Row> {
    let mut table = vec![row(["fault", "planned", "applied", "proven", "outage p50", "p99", "max"])];
    for (kind, count) in &results.faults {
        let outage = results.recovery.by_fault.get(kind).copied().unwrap_or_default();
        let [planned, applied, proven] = [count.planned, count.applied, count.proven].map(wording::grouped);
        let [p50, p99, max] = [outage.p50_ms, outage.p99_ms, outage.max_ms].map(wording::duration_or_dash);
        table.push(vec![visible(kind).into_owned(), planned, applied, proven, p50, p99, max]);
    }
    table
}

fn checker_table(results: &Results) -> Vec<Row> {
    let mut table = vec![row(["checker", "verdict"])];
    for (name, checker) in &results.checkers {
        table.push(vec![visible(name).into_owned(), checker.verdict.to_string()]);
    }
    table
}

fn row<const N: usize>(cells: [&str; N]) -> Row {
    cells.map(str::to_owned).to_vec()
}

/// The first column to the left, numbers to the right.
pub(crate) fn push_table(text: &mut String, table: &[Row], color: bool) {
    let columns = table.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    for (number, row) in table.iter().enumerate() {
        let mut cells = format!("  {:<width$}", row[0], width = widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            write!(cells, "  {cell:>width$}").expect("writing to a string");
        }
        let style = if number == 0 { DIM } else { PLAIN };
        line(text, &paint(cells.trim_end(), style, color));
    }
}

fn line(text: &mut String, words: &str) {
    text.push_str(words);
    text.push('\n');
}

const PLAIN: &str = "";
const BOLD: &str = "1";
const DIM: &str = "2";

fn verdict_color(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "1;32",
        Verdict::Vacuous | Verdict::Unknown => "1;33",
        Verdict::Harness | Verdict::Invalid => "1;31",
    }
}

pub(crate) fn paint(words: &str, style: &str, color: bool) -> String {
    if !color || style.is_empty() {
        return words.to_owned();
    }
    format!("\x1b[{style}m{words}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_summary_ends_with_the_verdict_and_the_line_that_repeats_it() {
        let expected = "\
rafture · register · 5 nodes · netns: root

  operation   ok  fail  info      p50      p99    p99.9      max
  read       937     0     1  1.00 ms  1.00 ms  1.00 ms  1.00 ms
  write      938     0     0  1.00 ms  1.00 ms  1.00 ms  1.00 ms

  fault  planned  applied  proven  outage p50     p99     max
  kill         1        1       1      252 ms  252 ms  252 ms

  checker          verdict
  linearizability    valid

note: the seed repeats the plan, not the interleaving
valid: Every checker accepts what the clients saw in 1,875 successful operations, under 1 proven fault.
repeat: rafture run --workload register --faults kill --seed 7
";
        let summary = summary(&sample::results(), Screen::PLAIN);
        assert_eq!(summary, expected);
    }

    #[test]
    fn what_systems_and_histories_say_moves_no_cursor() {
        let mut results = sample::invalid_results();
        let hostile = "\u{1b}[2J\u{202e}";
        results.system = hostile.into();
        results.command = hostile.into();
        results.reasons = vec![hostile.into()];
        let counts = results.operations.values().next().copied().expect("a count");
        results.operations.insert(hostile.into(), counts);
        let summary = summary(&results, Screen::PLAIN);
        assert!(!summary.contains(['\u{1b}', '\u{202e}']), "{summary:?}");
        assert!(summary.contains(r"repeat: \u001b[2J\u202e"), "{summary}");
    }

    #[test]
    fn colours_come_only_when_asked() {
        let results = sample::results();
        assert!(!summary(&results, Screen::PLAIN).contains('\x1b'));
        assert!(
            summary(&results, Screen { color: true, ..Screen::PLAIN })
                .contains("\x1b[1;32mvalid\x1b[0m: Every")
        );
    }
}
