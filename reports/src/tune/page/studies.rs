//! Studies: a question each, what was simulated, what was found, the pictures and the numbers behind them.

use maud::{Markup, html};

use super::{Column, Pictures, Row, Table, text};
use crate::page::prose::prose;
use crate::tune::plot::study_name;
use crate::tune::words::significant;
use crate::tune::{Study, StudyChart, Tuning};

pub(super) fn section(tuning: &Tuning, pictures: &Pictures<'_>) -> Markup {
    html! {
        @for study in &tuning.studies { (one(study, pictures)) }
    }
}

fn one(study: &Study, pictures: &Pictures<'_>) -> Markup {
    html! {
        section {
            h2 { (study.question) }
            ul { @for finding in &study.findings { li { (prose(finding)) } } }
            @for (place, chart) in study.charts.iter().enumerate() {
                (pictures.show(&study_name(&study.name, place)))
                (table(chart))
            }
            p.note { "By simulation. " (prose(&study.setup)) }
        }
    }
}

fn table(chart: &StudyChart) -> Markup {
    let columns =
        [Column::Words("line"), Column::Figure(&chart.x), Column::Figure(&chart.y), Column::Figure("95 %")];
    let rows = chart.lines.iter().flat_map(|line| {
        line.points.iter().map(|&[x, y, low, high]| {
            Row::of(vec![
                text(&line.name),
                text(significant(x)),
                text(significant(y)),
                text(format!("{} to {}", significant(low), significant(high))),
            ])
        })
    });
    Table { caption: &chart.title, columns: &columns, rows: rows.collect() }.folded("As a table")
}
