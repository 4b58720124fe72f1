//! What the nodes wrote around a violation, or before they ended by themselves: a list for each node, side by side in time.

use maud::{Markup, html};

use super::report::ReportPage;
use crate::node_log::{Line, NodeLog};

/// So many lines are open from the beginning; of more, a reader opens a node at a time.
const OPEN_LINES_MAX: usize = 60;

/// The section; nothing where there is nothing to look for, or nothing to be found.
pub(super) fn section(page: &ReportPage<'_>) -> Markup {
    let lines: usize = page.logs.iter().map(|log| log.lines.len()).sum();
    html! {
        @if !page.logs.is_empty() {
            section {
                h2 { @if page.violation.is_some() { "What the nodes wrote around it" } @else { "What nodes wrote before they ended" } }
                @for log in page.logs { (node(log, lines <= OPEN_LINES_MAX)) }
                p.note {
                    "Lines that tell no time are the last of their file. All of them are in the run's folder, under " code { "nodes/" } "."
                }
            }
        }
    }
}

fn node(log: &NodeLog, is_open: bool) -> Markup {
    html! {
        details.log open[is_open] {
            summary {
                b { (log.node) } " "
                (log.lines.len()) @if log.lines.len() == 1 { " line" } @else { " lines" }
                @if log.is_cut { ", the nearest" }
            }
            ol tabindex="0" aria-label=(format!("lines of {}", log.node)) { @for line in &log.lines { (row(line)) } }
        }
    }
}

fn row(line: &Line) -> Markup {
    html! {
        li {
            span.when { @match line.time_ns {
                Some(time_ns) => (format!("{:.3} s", time_ns as f64 / 1e9)),
                None => "–",
            } }
            span.source { (line.source) }
            span.words { (line.words) }
        }
    }
}
