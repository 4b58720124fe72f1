//! `report.html`: one file that opens from disk with no network, in the order in which a reader asks.
//!
//! Verdict and why; what was run and how to run it again; the evidence; what was broken and how long that hurt; the
//! plots; the figures. Plots are inlined as SVG; the only script copies the command.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{evidence, tables};
use crate::plot::Plot;
use crate::results::Results;
use crate::wording;
use crate::write::RunView;

pub(crate) const STYLE: &str = include_str!("report.css");
pub(super) const SCRIPT: &str = include_str!("report.js");

/// The whole page.
pub(crate) fn report_html(run: &RunView<'_>, plots: &[Plot]) -> String {
    let results = run.results;
    let title = format!("{} · {} · {}", results.verdict, results.name, results.run);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (verdict(results))
                    (facts(results))
                    (evidence::section(results, find(plots, "violation")))
                    (tables::faults(run, find(plots, "recovery")))
                    (time_plots(plots))
                    (tables::operations(results))
                    (tables::checkers(results))
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn verdict(results: &Results) -> Markup {
    let further = wording::further_reasons(results);
    html! {
        header class=(results.verdict) {
            p.eyebrow { (results.name) " · " (results.run) }
            h1 { (wording::capitalized(&results.verdict.to_string())) span { (wording::verdict_meaning(results.verdict)) } }
            p.why { (wording::verdict_sentence(results)) }
            @if !further.is_empty() {
                ul { @for reason in further { li { (reason) } } }
            }
        }
    }
}

fn facts(results: &Results) -> Markup {
    let facts = [
        ("system", results.system.clone()),
        ("workload", results.workload.clone()),
        ("nodes", results.nodes.to_string()),
        ("network", results.network.clone()),
        ("seed", results.seed.to_string()),
        ("started", results.started_at.clone()),
        ("clients worked", format!("{} s", results.time_limit_s)),
        ("whole run", format!("{:.1} s", results.seconds)),
        ("throughput", format!("{} ok/s", wording::grouped(results.throughput.round() as u64))),
    ];
    html! {
        section.facts {
            dl {
                @for (name, value) in &facts { div { dt { (name) } dd { (value) } } }
            }
            div.command {
                pre { code id="command" { (results.command) } }
                button type="button" data-copy="command" hidden { "Copy" }
            }
            @if !results.note.is_empty() { p.note { (results.note) } }
        }
    }
}

fn time_plots(plots: &[Plot]) -> Markup {
    html! {
        section {
            h2 { "Over time" }
            @for name in ["latency", "quantiles", "throughput"] {
                @if let Some(plot) = find(plots, name) { (figure(plot)) }
            }
        }
    }
}

fn find<'a>(plots: &'a [Plot], name: &str) -> Option<&'a Plot> {
    plots.iter().find(|plot| plot.name == name)
}

/// A plot in the page, scaled to its width.
pub(super) fn figure(plot: &Plot) -> Markup {
    html! {
        figure role="img" aria-label=(plot.caption) {
            (PreEscaped(&plot.svg))
        }
    }
}
