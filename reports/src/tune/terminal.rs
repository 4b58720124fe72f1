//! What `rafture tune` ends with on a terminal: the advice first, or why there is none; then one row a candidate, the paper's
//! figure beside ours, and what studies found.

use super::lines::{self, Text};
use super::words;
use super::{Beside, Candidate, Curve, Recommendation, Source, Tuning, facts};
use crate::terminal::{Row, Screen};
use crate::wording::duration;

const BOLD: &str = "1";
const DIM: &str = "2";
const GOOD: &str = "1;32";
const UNSURE: &str = "1;33";

/// The tuning for a terminal, with colours only if the screen shows them. Ends with a line feed.
pub fn terminal(tuning: &Tuning, screen: Screen) -> String {
    let mut text = Text::new(screen);
    let heading = format!("{} · {} nodes · {}", tuning.system, tuning.nodes, tuning.network.words);
    text.painted(&heading, BOLD);
    text.blank();
    advice(&mut text, tuning);
    for warning in &tuning.warnings {
        text.wrapped("warning: ", warning);
    }
    if !tuning.warnings.is_empty() {
        text.blank();
    }
    candidates(&mut text, tuning);
    figure16(&mut text, tuning);
    studies(&mut text, tuning);
    text.verbatim("repeat: ", &tuning.command);
    text.finish()
}

/// Which figures of each source a row has.
#[derive(Debug, Clone, Copy)]
struct Figures {
    medians: bool,
    split_votes: bool,
}

/// From the widest table to the narrowest.
const FIGURES: [Figures; 3] = [
    Figures { medians: true, split_votes: true },
    Figures { medians: false, split_votes: true },
    Figures { medians: false, split_votes: false },
];

fn advice(text: &mut Text, tuning: &Tuning) {
    match (&tuning.recommendation, &tuning.unmet) {
        (Some(advice), _) => recommendation(text, tuning, advice),
        (None, Some(unmet)) => {
            text.painted("no advice", UNSURE);
            text.wrapped("  ", unmet);
        }
        (None, None) if tuning.candidates.is_empty() => return,
        (None, None) => text.wrapped(
            "",
            "No target was given, so nothing is recommended (hint: `--target-outage 500ms` or `--target-false-elections 1/day`).",
        ),
    }
    text.blank();
}

fn recommendation(text: &mut Text, tuning: &Tuning, advice: &Recommendation) {
    text.painted(&format!("recommended: {}", words::timing(&advice.timing)), GOOD);
    text.wrapped("  ", &format!("{} {}", words::gain(advice), words::cost(advice)));
    text.wrapped("  ", &advice.reason);
    if let Some(checks) = words::checks(tuning) {
        text.wrapped("  ", &checks);
    }
    for configuration in &advice.configuration {
        text.blank();
        text.verbatim("  ", &format!("{}:", configuration.system));
        for line in &configuration.lines {
            text.verbatim("    ", line);
        }
        if let Some(note) = &configuration.note {
            text.wrapped("    (", &format!("{note})"));
        }
    }
}

fn candidates(text: &mut Text, tuning: &Tuning) {
    if tuning.candidates.is_empty() {
        return;
    }
    // What fits on the screen is shown; the rest is on the page.
    let mut tables = FIGURES.into_iter().map(|figures| candidate_table(tuning, figures));
    let all = tables.next().unwrap_or_default();
    let fitting = tables
        .fold(all, |wider, narrower| if lines::width(&wider) <= text.width() { wider } else { narrower });
    text.table(&fitting);
    let names = words::names(&tuning.candidates);
    for (candidate, name) in tuning.candidates.iter().zip(&names) {
        for warning in &candidate.warnings {
            text.wrapped("! ", &format!("{name}: {warning}"));
        }
    }
    if tuning.candidates.iter().any(|candidate| !candidate.warnings.is_empty()) {
        text.blank();
    }
}

/// One row a candidate.
fn candidate_table(tuning: &Tuning, figures: Figures) -> Vec<Row> {
    let sources = tuning.sources();
    let mut head = vec!["  timeout".to_owned(), "heartbeat".to_owned()];
    head.extend(sources.iter().flat_map(|source| source_head(*source, figures)));
    head.push("false/h".to_owned());
    let rows = tuning.candidates.iter().enumerate().map(|(place, candidate)| {
        let mark = mark(candidate, tuning.recommended() == Some(place));
        let mut row = vec![
            format!("{mark} {}", words::timeout(&candidate.timing)),
            words::heartbeat(&candidate.timing),
        ];
        for &source in &sources {
            row.extend(source_cells(candidate, source, figures));
        }
        row.push(words::per_hour(candidate.false_elections_per_hour));
        row
    });
    std::iter::once(head).chain(rows).collect()
}

fn source_head(source: Source, figures: Figures) -> Vec<String> {
    let name = source.name();
    let all = match figures.medians {
        true => [Some(format!("{name} p50")), Some("p99".to_owned())],
        false => [None, Some(format!("{name} p99"))],
    };
    all.into_iter().chain([figures.split_votes.then(|| "split".to_owned())]).flatten().collect()
}

fn source_cells(candidate: &Candidate, source: Source, figures: Figures) -> Vec<String> {
    let outage = candidate.outage(source);
    let cell = |ms: Option<f64>| ms.map_or("–".to_owned(), duration);
    let cells = [
        figures.medians.then(|| cell(outage.map(|outage| outage.p50))),
        Some(cell(outage.map(|outage| outage.p99))),
        figures.split_votes.then(|| split_cell(candidate.split_votes(source))),
    ];
    cells.into_iter().flatten().collect()
}

fn split_cell(votes: facts::SplitVotes) -> String {
    if votes.of == 0 { "–".to_owned() } else { words::percent(votes.split as f64 / votes.of as f64) }
}

fn mark(candidate: &Candidate, is_recommended: bool) -> char {
    match (is_recommended, candidate.warnings.is_empty()) {
        (true, _) => '→',
        (false, false) => '!',
        (false, true) => ' ',
    }
}

fn figure16(text: &mut Text, tuning: &Tuning) {
    if tuning.figure16.is_empty() {
        return;
    }
    text.painted("Figure 16 of the Raft paper: until another member heard the new leader", BOLD);
    text.table(&figure16_table(&tuning.figure16));
    let far = words::far_off(&tuning.figure16);
    for (places, reason) in &far {
        text.wrapped("✗ ", &format!("{places}: {reason}"));
    }
    if !far.is_empty() {
        text.blank();
    }
}

fn figure16_table(curves: &[Curve]) -> Vec<Row> {
    let head = ["timeout", "", "published", "simulated", "off", "", "real", "off", ""];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    for curve in curves {
        for (number, point) in curve.points.iter().enumerate() {
            let name = if number == 0 { words::timeout(&curve.timing) } else { String::new() };
            let mut row = vec![
                name,
                format!("p{}", words::significant(point.percentile)),
                duration(point.published_ms),
            ];
            row.extend(beside_cells(point.simulated.as_ref()));
            row.extend(beside_cells(point.real.as_ref()));
            table.push(row);
        }
    }
    table
}

fn beside_cells(beside: Option<&Beside>) -> [String; 3] {
    let Some(beside) = beside else {
        return ["–".to_owned(), String::new(), String::new()];
    };
    let mark = if beside.is_near { "" } else { "✗" };
    [duration(beside.ms), words::off(beside.off), mark.to_owned()]
}

fn studies(text: &mut Text, tuning: &Tuning) {
    for study in &tuning.studies {
        text.painted(&study.question, BOLD);
        for finding in &study.findings {
            text.wrapped("  ", finding);
        }
        text.blank();
    }
    if let Some(checks) = words::checks(tuning).filter(|_| tuning.recommendation.is_none()) {
        text.painted(&checks, DIM);
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    const WIDE: Screen = Screen { color: false, width: 100 };

    #[test]
    fn the_advice_comes_first_and_the_line_that_repeats_it_last() {
        let mut tuning = sample::tuning(2);
        tuning.candidates[1].warnings = vec!["the range is narrower than a round trip".into()];
        tuning.warnings = vec!["only 40 trials: the 99th percentile is unsure".into()];
        let expected = "\
rafture · 3 nodes · round trips of 1 ms

recommended: heartbeat 50 ms, election timeout 150–300 ms
  Writes are back after 306 ms in half of a leader's failures, and after 456 ms in 99 of 100. A
  leader that is well loses its place this often: 2 an hour.
  It has the fewest false elections of those that meet the target.
  The target was met in 1 of 1 fresh run at other seeds.

  etcd:
    --heartbeat-interval=50
    --election-timeout=150
    (etcd draws from one to two timeouts by itself)

warning: only 40 trials: the 99th percentile is unsure

    timeout     heartbeat  real p50     p99   split  simulated p50     p99   split  false/h
  → 150–300 ms      50 ms    306 ms  456 ms  16.7 %         306 ms  456 ms  16.7 %        2
  ! 200–400 ms    66.7 ms    406 ms  604 ms  16.7 %         406 ms  604 ms  16.7 %      1.5

! 200–400 ms: the range is narrower than a round trip

Figure 16 of the Raft paper: until another member heard the new leader
  timeout          published  simulated    off     real  off
  150–155 ms  p50     287 ms     290 ms   +1 %        –
              p99     1.22 s     440 ms  -64 %  ✗     –
  12–24 ms    p50     287 ms     290 ms   +1 %        –
              p99     1.22 s     440 ms  -64 %  ✗     –

✗ 150–155 ms p99, simulated; 12–24 ms p99, simulated: the published tail has a few clients of its
  own

What does heavy loss do?
  At 30 % a leader is lost each minute.

repeat: rafture tune --seed 7
";
        assert_eq!(terminal(&tuning, WIDE), expected);
    }

    #[test]
    fn without_advice_it_says_why_and_what_can_be_reached() {
        let unmet = "No candidate stays within 50 ms: a round trip alone takes 80 ms. The nearest is 410 ms.";
        let tuning = Tuning { unmet: Some(unmet.into()), recommendation: None, ..sample::tuning(1) };
        let text = terminal(&tuning, WIDE);
        assert!(text.contains(&format!("\n\nno advice\n  {unmet}\n\n")), "{text}");
        let bare = terminal(&sample::bare(), WIDE);
        assert_eq!(bare, "rafture · 3 nodes · round trips of 1 ms\n\nrepeat: rafture tune --seed 7\n");
    }

    #[test]
    fn no_line_is_longer_than_the_screen_but_what_is_to_be_copied() {
        let tuning = Tuning { warnings: vec!["word ".repeat(60)], ..sample::tuning(3) };
        for width in [80, 62] {
            let text = terminal(&tuning, Screen { color: false, width });
            let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > width).collect();
            assert!(long.is_empty(), "{width}: {long:?}");
        }
    }

    #[test]
    fn nothing_from_outside_moves_the_cursor() {
        let hostile = "\u{1b}[2J\u{202e}\nrecommended: nothing";
        let mut tuning = sample::tuning(1);
        (tuning.system, tuning.command, tuning.unmet) =
            (hostile.into(), hostile.into(), Some(hostile.into()));
        tuning.warnings = vec![hostile.into()];
        tuning.network.words = hostile.into();
        tuning.studies[0].findings = vec![hostile.into()];
        let text = terminal(&tuning, WIDE);
        assert!(!text.contains(['\u{1b}', '\u{202e}']) && !text.contains("\nrecommended: nothing"), "{text}");
    }

    #[test]
    fn colours_come_only_when_asked() {
        let tuning = sample::tuning(1);
        assert!(!terminal(&tuning, WIDE).contains('\x1b'));
        let colored = terminal(&tuning, Screen { color: true, ..WIDE });
        assert!(colored.contains("\x1b[1;32mrecommended: heartbeat 50 ms"), "{colored}");
    }
}
