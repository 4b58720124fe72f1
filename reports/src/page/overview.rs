//! The run on one time axis: the stage that the script draws on, what stands behind it, and links that move it.
//!
//! Not the drawing, which is `overview.js`. The stage is hidden until the script runs; without it, the static plots are shown.

use maud::{Markup, PreEscaped, html};
use rafture_checker::history::Event;

use super::report::{ReportPage, figure};
use super::{axis_tables, series};
use crate::measure::{self, Operation, Outcome};
use crate::plot;
use crate::wording;

pub(super) const STYLE: &str = include_str!("overview.css");

/// In the order in which they need each other.
pub(super) const SCRIPTS: [&str; 3] =
    [include_str!("overview_data.js"), include_str!("overview_draw.js"), include_str!("overview.js")];

/// How many of the slowest operations are listed.
const SLOWEST_LISTED: usize = 15;

/// What is shown around a stretch, at least.
const AROUND_NS: i64 = 400_000_000;

/// The stage, and the tables behind it.
pub(super) fn section(page: &ReportPage<'_>) -> Markup {
    html! {
        section id="axis" {
            h2 { "The run on one time axis" }
            noscript {
                @for name in ["latency", "quantiles", "throughput"] {
                    @if let Some(plot) = page.plots.iter().find(|plot| plot.name == name) { (figure(plot)) }
                }
            }
            div.overview hidden {
                (tools(page))
                div.stage id="stage" {
                    canvas id="panels" tabindex="0" role="img" aria-describedby="axis-help"
                        aria-label="Faults, leaders and terms, latency, throughput and availability of each node over time; the tables below hold the same figures" {}
                    div.tip id="tip" hidden {}
                }
                p.told id="told" role="status" aria-live="polite" {}
                (legend(page))
                p.note id="axis-help" {
                    span.touch { "Pinch to zoom, drag sideways to move, tap to read. " }
                    span.keys { "Drag over a stretch to zoom into it, double-click for all. With the axis in focus, the wheel zooms, "
                    kbd { "←" } " " kbd { "→" } " move, " kbd { "+" } " " kbd { "−" } " zoom, " kbd { "0" } " shows all, "
                    kbd { "," } " " kbd { "." } " read it step by step." }
                }
            }
            (axis_tables::behind(page))
        }
    }
}

fn tools(page: &ReportPage<'_>) -> Markup {
    html! {
        div.tools role="group" aria-label="time axis" {
            button type="button" id="all" { "Whole run" }
            button type="button" id="in" aria-label="zoom in" { "+" }
            button type="button" id="out" aria-label="zoom out" { "−" }
            button type="button" id="earlier" aria-label="earlier" { "←" }
            button type="button" id="later" aria-label="later" { "→" }
            @if let Some(span) = page.violation {
                a.strong href=(link_around(span.from_ns, span.until_ns)) { "To the violation" }
            }
            @if let Some(slowest) = measure::slowest(page.operations, 1).first().map(|&at| &page.operations[at]) {
                a href=(link_to(slowest)) { "To the slowest operation" }
            }
            output id="range" {}
        }
    }
}

fn legend(page: &ReportPage<'_>) -> Markup {
    let has = |outcome| page.operations.iter().any(|operation| operation.outcome == outcome);
    html! {
        ul.legend {
            li id="legend-names" hidden {}
            @if has(Outcome::Fail) { li { b.cross aria-hidden="true" { "×" } "failed" } }
            @if has(Outcome::Info) { li { i.ring {} "outcome unknown" } }
            li { i.line {} "p50" } li { i.line.dashed {} "p99" }
            @for (kind, color) in plot::fault_colors(page.run.faults) {
                li { i style=(format!("background:{color}")) {} (kind) }
            }
            @if !page.run.faults.is_empty() { li { i.harmed {} "node harmed by a fault" } }
        }
    }
}

/// The slowest operations of the run with all that is known of them.
pub(super) fn slowest(page: &ReportPage<'_>) -> Markup {
    let slowest = measure::slowest(page.operations, SLOWEST_LISTED);
    html! {
        @if !slowest.is_empty() {
            section {
                h2 { "The slowest operations" }
                div.scroll tabindex="0" role="region" aria-label="slowest operations" {
                    table {
                        caption { "The " (slowest.len()) " operations that took longest to an outcome" }
                        thead { tr {
                            th.number scope="col" { "took" } th scope="col" { "operation" } th scope="col" { "outcome" }
                            th.number scope="col" { "invoked" } th.number scope="col" { "process" } th scope="col" { "node" }
                        } }
                        tbody { @for at in slowest { (slow_row(page.run.history, &page.operations[at])) } }
                    }
                }
            }
        }
    }
}

fn slow_row(history: &[Event], operation: &Operation<'_>) -> Markup {
    let told = series::told(history, operation);
    let outcome = match operation.outcome {
        Outcome::Ok => "ok",
        Outcome::Fail => "fail",
        Outcome::Info => "info",
    };
    html! {
        tr {
            td.number { (wording::duration(operation.latency_ns().unwrap_or(0) as f64 / 1e6)) }
            td {
                (operation.f)
                @if let Some(key) = told.key { " " (key) }
                @if let Some(asked) = told.asked { " " code { (asked) } }
                @if let Some(answered) = told.answered { (PreEscaped(" &rarr; ")) code { (answered) } }
            }
            td { (outcome) @if let Some(error) = told.error { small { (error) } } }
            td.number { a href=(link_to(operation)) { (wording::seconds(operation.invoked_ns)) } }
            td.number { (series::process(history, operation)) }
            td { (series::node(history, operation).unwrap_or("–")) }
        }
    }
}

fn link_to(operation: &Operation<'_>) -> String {
    let until_ns = operation.completed_ns.unwrap_or(operation.invoked_ns);
    link_around(operation.invoked_ns.cast_signed(), until_ns.cast_signed())
}

/// A link that shows this stretch of the run, with as much again on both sides.
pub(super) fn link_around(from_ns: i64, until_ns: i64) -> String {
    let room_ns = (until_ns - from_ns).max(AROUND_NS);
    let seconds = |ns: i64| ns.max(0) as f64 / 1e9;
    format!("#t={:.3},{:.3}", seconds(from_ns - room_ns), seconds(until_ns + room_ns))
}
