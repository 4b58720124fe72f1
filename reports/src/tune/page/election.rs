//! What follows when a leader fails: how long it lasts, failure by failure, and how often votes are split.

use maud::{Markup, html};

use super::{Column, Pictures, Row, Table, text};
use crate::tune::statistics::share_interval;
use crate::tune::words::{self, SOURCES};
use crate::tune::{Elections, Failure, Source, SplitPoint, Spread, Tuning};
use crate::wording::{duration_or_dash, grouped};

pub(super) fn section(tuning: &Tuning, pictures: &Pictures<'_>) -> Markup {
    let rows = rows(tuning);
    html! {
        @if !rows.is_empty() || pictures.has("leader") || pictures.has("write") {
            section {
                h2 { "When a leader fails" }
                p {
                    "In each trial the leader was " (befallen(tuning)) "; then it was waited until the others had a new one and a write "
                    "succeeded."
                }
                (pictures.show("leader"))
                (pictures.show("write"))
                (failure_table(rows).folded("Failure by failure, as a table"))
            }
        }
        (split_votes(tuning, pictures))
    }
}

/// In words, what was done to leaders.
fn befallen(tuning: &Tuning) -> String {
    let has = |failure: &Failure| {
        let of = |source| {
            tuning.candidates.iter().any(|candidate| candidate.elections(source).contains_key(failure))
        };
        SOURCES.into_iter().any(of)
    };
    let words: Vec<&str> = Failure::ALL
        .into_iter()
        .filter(has)
        .map(|failure| match failure {
            Failure::Kill => "killed",
            Failure::Pause => "paused (its process stood still)",
            Failure::CutOff => "cut off from the other members",
            Failure::Slow => "put behind links slower by the longest timeout",
        })
        .collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "made to fail".to_owned(),
    }
}

fn rows(tuning: &Tuning) -> Vec<Row> {
    let names = words::names(&tuning.candidates);
    let mut rows = Vec::new();
    for (place, (candidate, name)) in tuning.candidates.iter().zip(&names).enumerate() {
        let is_marked = tuning.recommended() == Some(place);
        for source in SOURCES {
            for (failure, elections) in candidate.elections(source) {
                rows.push(Row { cells: cells(name, (*failure, source), elections), is_marked });
            }
        }
    }
    rows
}

fn cells(name: &str, (failure, source): (Failure, Source), elections: &Elections) -> Vec<Markup> {
    let spread =
        |spread: &Option<Spread>, pick: fn(&Spread) -> f64| duration_or_dash(spread.as_ref().map(pick));
    let never = if elections.without_end == 0 { "–".to_owned() } else { grouped(elections.without_end) };
    vec![
        text(name),
        text(words::failure(failure)),
        text(source.name()),
        text(grouped(elections.trials)),
        text(spread(&elections.detected, |spread| spread.p50)),
        text(spread(&elections.heartbeat, |spread| spread.p50)),
        text(spread(&elections.heartbeat, |spread| spread.p99)),
        text(spread(&elections.write, |spread| spread.p50)),
        p99(elections.write.as_ref()),
        text(spread(&elections.write, |spread| spread.max)),
        text(never),
        text(words::significant(elections.terms_mean)),
    ]
}

fn p99(write: Option<&Spread>) -> Markup {
    html! {
        (duration_or_dash(write.map(|write| write.p99)))
        @if let Some(write) = write.filter(|write| write.p99_interval != [None, None]) {
            small { (words::interval(write.p99_interval)) }
        }
    }
}

fn failure_table(rows: Vec<Row>) -> Table<'static> {
    const COLUMNS: [Column<'static>; 12] = [
        Column::Words("election timeout"),
        Column::Words("the leader was"),
        Column::Words("source"),
        Column::Figure("trials"),
        Column::Figure("given up p50"),
        Column::Figure("new leader heard p50"),
        Column::Figure("p99"),
        Column::Figure("write p50"),
        Column::Figure("p99 (95 %)"),
        Column::Figure("max"),
        Column::Figure("never over"),
        Column::Figure("terms, mean"),
    ];
    Table { caption: "Failures by candidate, kind and source", columns: &COLUMNS, rows }
}

fn split_votes(tuning: &Tuning, pictures: &Pictures<'_>) -> Markup {
    html! {
        @if !tuning.split_votes.is_empty() || pictures.has("split-votes") {
            section {
                h2 { "Split votes" }
                p {
                    "Members that stand at about the same time take votes from each other; then nobody wins, and the next timeout must pass. "
                    "The wider the range is beside the time that a message takes, the rarer that is."
                }
                @if !tuning.split_votes.is_empty() {
                    (pictures.show("split-votes-range"))
                    (range_table(&tuning.split_votes).folded("By the width of the range, as a table"))
                }
                (pictures.show("split-votes"))
                (candidate_table(tuning).folded("By candidate, as a table"))
            }
        }
    }
}

fn range_table(points: &[SplitPoint]) -> Table<'static> {
    const COLUMNS: [Column<'static>; 6] = [
        Column::Figure("range ÷ latency"),
        Column::Figure("range"),
        Column::Figure("latency, one way"),
        Column::Figure("trials"),
        Column::Figure("split (95 %)"),
        Column::Figure("closed form"),
    ];
    let rows = points.iter().map(|point| {
        Row::of(vec![
            text(words::significant(point.range_ms / point.latency_ms)),
            text(format!("{} ms", words::significant(point.range_ms))),
            text(format!("{} ms", words::significant(point.latency_ms))),
            text(grouped(point.trials)),
            share(point.split_votes, point.trials),
            text(point.closed_form.map_or("–".to_owned(), words::percent)),
        ])
    });
    Table { caption: "Split votes by the width of the range", columns: &COLUMNS, rows: rows.collect() }
}

fn candidate_table(tuning: &Tuning) -> Table<'static> {
    const COLUMNS: [Column<'static>; 5] = [
        Column::Words("election timeout"),
        Column::Words("source"),
        Column::Figure("terms"),
        Column::Figure("that nobody won"),
        Column::Figure("share (95 %)"),
    ];
    let mut rows = Vec::new();
    for (place, (candidate, name)) in
        tuning.candidates.iter().zip(words::names(&tuning.candidates)).enumerate()
    {
        for source in SOURCES {
            let votes = candidate.split_votes(source);
            if votes.of > 0 {
                let cells = vec![
                    text(&name),
                    text(source.name()),
                    text(grouped(votes.of)),
                    text(grouped(votes.split)),
                    share(votes.split, votes.of),
                ];
                rows.push(Row { cells, is_marked: tuning.recommended() == Some(place) });
            }
        }
    }
    Table { caption: "Split votes by candidate", columns: &COLUMNS, rows }
}

/// A share with its interval.
fn share(count: u64, of: u64) -> Markup {
    let [low, high] = share_interval(count, of).map(words::percent);
    html! {
        @if of == 0 { "–" } @else {
            (words::percent(count as f64 / of as f64))
            small { (low) " to " (high) }
        }
    }
}
