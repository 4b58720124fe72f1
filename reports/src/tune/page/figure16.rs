//! The paper's Figure 16 beside ours, percentile by percentile, and why where it is not near.

use maud::{Markup, html};

use super::{Column, Pictures, Row, Table, text};
use crate::page::prose::prose;
use crate::tune::words;
use crate::tune::{Beside, Curve, Tuning};
use crate::wording::duration;

pub(super) fn section(tuning: &Tuning, pictures: &Pictures<'_>) -> Markup {
    let far = words::far_off(&tuning.figure16);
    let mut points = tuning.figure16.iter().flat_map(|curve| &curve.points);
    let has_figures = points.any(|point| point.real.is_some() || point.simulated.is_some());
    html! {
        @if !tuning.figure16.is_empty() {
            section {
                h2 { "Figure 16 of the Raft paper" }
                p {
                    "The paper's set-up again: five servers, all heartbeats at one moment, two servers that cannot win, and the leader "
                    "crashes at a random time between two heartbeats. It is the worst case by design."
                }
                (pictures.show("figure16"))
                @if far.is_empty() {
                    @if has_figures { p { "Every percentile is as near to the published one as was asked for." } }
                } @else {
                    h3 { "Where it is not near, and why" }
                    ul { @for (places, reason) in &far { li { (prose(reason)) span.places { " (" (places) ")" } } } }
                }
                (table(&tuning.figure16).folded("Percentile by percentile"))
            }
        }
    }
}

fn table(curves: &[Curve]) -> Table<'static> {
    const COLUMNS: [Column<'static>; 7] = [
        Column::Words("election timeout"),
        Column::Figure("percentile"),
        Column::Figure("published"),
        Column::Figure("simulated (95 %)"),
        Column::Figure("off"),
        Column::Figure("real (95 %)"),
        Column::Figure("off"),
    ];
    let rows = curves.iter().flat_map(|curve| {
        curve.points.iter().map(|point| {
            let [simulated, simulated_off] = beside(point.simulated.as_ref());
            let [real, real_off] = beside(point.real.as_ref());
            Row::of(vec![
                text(words::timeout(&curve.timing)),
                text(format!("p{}", words::significant(point.percentile))),
                text(duration(point.published_ms)),
                simulated,
                simulated_off,
                real,
                real_off,
            ])
        })
    });
    Table { caption: "Figure 16, percentile by percentile", columns: &COLUMNS, rows: rows.collect() }
}

/// The figure with its interval, and how far off it is.
fn beside(beside: Option<&Beside>) -> [Markup; 2] {
    let Some(beside) = beside else {
        return [text("–"), text("–")];
    };
    let figure = html! {
        (duration(beside.ms))
        @if beside.interval_ms != [None, None] { small { (words::interval(beside.interval_ms)) } }
    };
    let off = words::off(beside.off);
    let mark = match beside.is_near {
        true => html! { span.near { (off) } },
        false => html! { span.off { "✗ " (off) } },
    };
    [figure, mark]
}
