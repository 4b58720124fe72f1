//! The end of the page: what was run, on which network, how to run it again, and where the figures are.

use maud::{Markup, html};

use super::{Column, Row, Table, text};
use crate::tune::words::{percent, significant};
use crate::tune::{NetworkFacts, Tuning};

/// Larger matrices are for scripts.
const MATRIX_MAX: usize = 15;

pub(super) fn section(tuning: &Tuning, has_simulated: bool) -> Markup {
    html! {
        section {
            h2 { "What was run" }
            (facts(tuning))
            div.command {
                pre { code id="command" { (tuning.command) } }
                button type="button" data-copy="command" aria-label="Copy the command" hidden { "Copy" }
            }
            p.note {
                "The seed repeats all that was simulated, and what was drawn for real processes; it does not repeat how their threads interleave."
            }
            (matrix(&tuning.network))
            (files(has_simulated))
        }
    }
}

fn facts(tuning: &Tuning) -> Markup {
    let network = &tuning.network;
    let facts = [
        ("system", tuning.system.clone()),
        ("nodes", tuning.nodes.to_string()),
        ("network", network.words.clone()),
        ("jitter, mean, one way", format!("{} ms", significant(network.jitter_ms))),
        ("lost packets", percent(network.loss)),
        ("seed", tuning.seed.to_string()),
        ("started", tuning.started.clone()),
        ("took", took(tuning.seconds)),
    ];
    html! { dl { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } } }
}

/// Minutes where it took some.
fn took(seconds: f64) -> String {
    match seconds {
        short if short < 120.0 => format!("{short:.1} s"),
        long => format!("{:.0} min {:.0} s", (long / 60.0).floor(), long % 60.0),
    }
}

/// Round trips member by member, where they are not all the same.
fn matrix(network: &NetworkFacts) -> Markup {
    let rows = &network.round_trip_ms;
    if is_uniform(rows) {
        return html! {};
    }
    if rows.len() > MATRIX_MAX {
        return html! { p.note { "The round trips between its " (rows.len()) " members are in " code { "tune.json" } "." } };
    }
    let names: Vec<String> = (1..=rows.len()).map(|member| format!("n{member}")).collect();
    let columns: Vec<Column<'_>> =
        std::iter::once(Column::Words("ms")).chain(names.iter().map(|name| Column::Figure(name))).collect();
    let cells = |(member, row): (usize, &Vec<f64>)| {
        let figures = row
            .iter()
            .enumerate()
            .map(|(other, ms)| if other == member { text("–") } else { text(significant(*ms)) });
        Row::of(std::iter::once(text(&names[member])).chain(figures).collect())
    };
    let rows = rows.iter().enumerate().map(cells).collect();
    html! {
        h3 { "Round trips between members" }
        (Table { caption: "Round trips between members, in milliseconds", columns: &columns, rows }.show())
    }
}

/// Whether all members are equally far from each other.
fn is_uniform(rows: &[Vec<f64>]) -> bool {
    let mut between = rows.iter().enumerate().flat_map(|(member, row)| {
        row.iter().enumerate().filter(move |(other, _)| *other != member).map(|(_, ms)| *ms)
    });
    let first = between.next();
    between.all(|ms| Some(ms) == first)
}

fn files(has_simulated: bool) -> Markup {
    html! {
        h3 { "The figures, for those who reckon themselves" }
        ul {
            li { a href="tune.json" { "tune.json" } ": the whole record" }
            li { a href="trials.csv" { "trials.csv" } ", " a href="trials.jsonl" { "trials.jsonl" } ": every trial on real processes" }
            @if has_simulated { li { a href="simulated.csv.gz" { "simulated.csv.gz" } ": every simulated trial" } }
            li { code { "plots/" } ": each picture as SVG and PNG" }
        }
        p.note { "They lie in the folder of this page. In CSV, a time is empty where the thing was not seen until patience ended." }
    }
}
