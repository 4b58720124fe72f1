//! The candidates: what each buys and costs, as a picture and a table; and the time in which nothing failed.

use maud::{Markup, html};

use super::{Column, Pictures, Row, Table, text};
use crate::page::prose::prose;
use crate::tune::words;
use crate::tune::{Candidate, Source, Steady, Tuning};
use crate::wording::duration_or_dash;

/// A table of more rows than this is folded.
const OPEN_MAX: usize = 15;

pub(super) fn section(tuning: &Tuning, pictures: &Pictures<'_>) -> Markup {
    html! {
        @if !tuning.candidates.is_empty() {
            section {
                h2 { "What each candidate buys and costs" }
                p { "Short timeouts end an outage sooner, and take a slow moment for a dead leader more often." }
                (pictures.show("frontier"))
                h3 { "All candidates" }
                (table(tuning))
                (warnings(tuning))
            }
        }
    }
}

fn table(tuning: &Tuning) -> Markup {
    let sources = tuning.sources();
    let titles: Vec<[String; 3]> = sources
        .iter()
        .map(|source| {
            let name = source.name();
            [format!("{name}: outage p50"), "p99".to_owned(), "split votes".to_owned()]
        })
        .collect();
    let mut columns = vec![Column::Words("election timeout"), Column::Figure("heartbeat")];
    columns.extend(titles.iter().flatten().map(|title| Column::Figure(title)));
    columns.extend([Column::Figure("false elections per hour"), Column::Words("")]);
    let beaten = tuning.beaten();
    let rows = tuning.candidates.iter().enumerate().map(|(place, candidate)| {
        let is_marked = tuning.recommended() == Some(place);
        let mut cells =
            vec![text(words::timeout(&candidate.timing)), text(words::heartbeat(&candidate.timing))];
        cells.extend(sources.iter().flat_map(|&source| source_cells(candidate, source)));
        cells.extend([rate(candidate), standing(candidate, is_marked, beaten[place])]);
        Row { cells, is_marked }
    });
    Table { caption: "All candidates", columns: &columns, rows: rows.collect() }.show()
}

fn source_cells(candidate: &Candidate, source: Source) -> [Markup; 3] {
    let outage = candidate.outage(source);
    let votes = candidate.split_votes(source);
    let share = votes.split as f64 / votes.of.max(1) as f64;
    [
        text(duration_or_dash(outage.map(|outage| outage.p50))),
        text(duration_or_dash(outage.map(|outage| outage.p99))),
        text(if votes.of == 0 { "–".to_owned() } else { words::percent(share) }),
    ]
}

fn rate(candidate: &Candidate) -> Markup {
    html! {
        (words::per_hour(candidate.false_elections_per_hour))
        @if let Some([low, high]) = candidate.false_elections_interval() {
            small { (words::per_hour(low)) " to " (words::per_hour(high)) }
        }
    }
}

fn standing(candidate: &Candidate, is_recommended: bool, is_beaten: bool) -> Markup {
    let warnings = candidate.warnings.len();
    html! {
        @match (is_recommended, is_beaten) {
            (true, _) => "recommended",
            (false, true) => span.places { "beaten by another" },
            (false, false) => "",
        }
        @if warnings > 0 { small { "⚠ " (warnings) @if warnings == 1 { " warning" } @else { " warnings" } } }
    }
}

fn warnings(tuning: &Tuning) -> Markup {
    let names = words::names(&tuning.candidates);
    let warned: Vec<(&String, &Candidate)> = names
        .iter()
        .zip(&tuning.candidates)
        .filter(|(_, candidate)| !candidate.warnings.is_empty())
        .collect();
    html! {
        @if !warned.is_empty() {
            h3 { "Warnings" }
            ul {
                @for (name, candidate) in warned {
                    @for warning in &candidate.warnings { li { b { (name) } ": " (prose(warning)) } }
                }
            }
        }
    }
}

/// Time in which nothing failed.
pub(super) fn steady(tuning: &Tuning) -> Markup {
    let names = words::names(&tuning.candidates);
    let rows_of = |place: usize| {
        let is_marked = tuning.recommended() == Some(place);
        let (name, steady) = (&names[place], &tuning.candidates[place].steady);
        steady.iter().map(move |steady| Row { cells: steady_cells(name, steady), is_marked })
    };
    let rows: Vec<Row> = (0..names.len()).flat_map(rows_of).collect();
    let recommended: Vec<Row> = tuning.recommended().into_iter().flat_map(rows_of).collect();
    let is_long = rows.len() > OPEN_MAX;
    let columns = [
        Column::Words("election timeout"),
        Column::Words("source"),
        Column::Words("meanwhile"),
        Column::Figure("hours"),
        Column::Figure("elections"),
        Column::Figure("per hour"),
        Column::Figure("the true rate (95 %)"),
        Column::Figure("longest silence"),
    ];
    html! {
        @if !rows.is_empty() {
            section {
                h2 { "While nothing fails" }
                p {
                    "Every election here is a false one. The longest silence is how long a follower ever heard nothing from its leader: "
                    "near the shortest timeout, the next slow moment is an election."
                }
                @if is_long && !recommended.is_empty() {
                    (Table { caption: "What is recommended, while nothing failed", columns: &columns, rows: recommended }.show())
                }
                @let all = Table { caption: "Time in which nothing failed", columns: &columns, rows };
                @if is_long { (all.folded("All candidates, as a table")) } @else { (all.show()) }
            }
        }
    }
}

fn steady_cells(name: &str, steady: &Steady) -> Vec<Markup> {
    let [low, high] = steady.per_hour_interval.map(words::per_hour);
    vec![
        text(name),
        text(steady.source.name()),
        text(&steady.burden),
        text(words::significant(steady.hours)),
        text(crate::wording::grouped(steady.elections)),
        text(words::per_hour(steady.per_hour)),
        text(format!("{low} to {high}")),
        text(duration_or_dash(steady.longest_silence_ms)),
    ]
}
