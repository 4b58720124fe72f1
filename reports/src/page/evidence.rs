//! The part of the page that only an invalid run has: what cannot be explained, drawn and told.

use maud::{Markup, html};
use rafture_checker::failure::{Failure, FailureOperation};
use rafture_checker::verdict::Verdict;

use super::board::Board;
use super::overview;
use super::prose::prose;
use crate::results::Results;
use crate::violation::ViolationSpan;
use crate::wording;
use crate::write::COUNTEREXAMPLE;

/// All violations: of client histories with their operations, of invariants with their sentences.
pub(super) fn section(results: &Results, span: Option<ViolationSpan>) -> Markup {
    let failures = results.failures();
    let broken: Vec<(&str, Vec<String>)> = results
        .checkers
        .iter()
        .filter(|(_, checker)| checker.verdict == Verdict::Invalid && checker.failure().is_none())
        .map(|(name, checker)| (name.as_str(), checker.sentences()))
        .collect();
    html! {
        @if !failures.is_empty() || !broken.is_empty() {
            section {
                h2 { "What cannot be explained" }
                @for (place, (checker, failure)) in failures.iter().enumerate() {
                    // The first is drawn, and its sentence already stands at the top of the page.
                    (violation(checker, failure, place == 0))
                }
                @for (checker, sentences) in &broken { (invariants(checker, sentences)) }
                @if let Some(span) = span { (ways_on(span, !failures.is_empty())) }
            }
        }
    }
}

/// Where a reader can go on from here.
fn ways_on(span: ViolationSpan, has_counterexample: bool) -> Markup {
    html! {
        p.ways {
            a href=(overview::link_around(span.from_ns, span.until_ns)) { "Show it on the time axis of the run" }
            @if has_counterexample {
                a href=(COUNTEREXAMPLE) { "The whole history around it, to zoom and step through" }
            }
        }
    }
}

fn violation(checker: &str, failure: &Failure, first: bool) -> Markup {
    html! {
        h3 { (wording::capitalized(&failure.anomaly)) " " span.note { "found by " (checker) } }
        @if let Some(key) = &failure.key { p.note { "key " code { (key) } } }
        @if !first { p.lead { (wording::capitalized(&failure.sentence)) } }
        @if first { figure.board { (Board::of(failure).svg(|_| None)) } }
        div.scroll tabindex="0" role="region" aria-label="operations of the violation" {
            table {
                caption { "The operations that are enough to see it" }
                thead { tr {
                    th.number scope="col" { "process" } th scope="col" { "operation" } th.number scope="col" { "invoked" }
                    th.number scope="col" { "completed" } th.number scope="col" { "order" }
                } }
                tbody { @for operation in &failure.operations { (operation_row(operation)) } }
            }
        }
        p.note {
            @if first { "In the drawing, only the order of beginnings and ends is to scale. " }
            "Order is the place of an operation in the longest order that explains the history up to there. "
            "An operation without a completion may have taken effect at any time after its invocation."
        }
    }
}

fn operation_row(operation: &FailureOperation) -> Markup {
    html! {
        tr.culprit[operation.culprit] {
            td.number { (operation.process) }
            td { (operation.label) @if operation.culprit { " (no order explains this)" } }
            td.number { (exact_seconds(operation.invoked_ns)) }
            td.number { @match operation.completed_ns {
                Some(completed_ns) => (exact_seconds(completed_ns)),
                None => "unknown",
            } }
            td.number { @match operation.order {
                Some(order) => (order),
                None => "–",
            } }
        }
    }
}

fn invariants(checker: &str, sentences: &[String]) -> Markup {
    html! {
        h3 { (wording::capitalized(checker)) }
        @if sentences.is_empty() { p { "The checker found a violation and gave no words for it; see its details below." } }
        ul { @for sentence in sentences { li { (prose(sentence)) } } }
    }
}

/// A violation can turn on microseconds.
fn exact_seconds(time_ns: u64) -> String {
    format!("{:.6} s", time_ns as f64 / 1e9)
}
