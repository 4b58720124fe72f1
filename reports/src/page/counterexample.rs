//! `counterexample.html`: why a history is not what it should be, for somebody who has no other tool: one file, no network.
//!
//! First the verdict and the sentence, then the few operations that are enough to fail with the longest orders of them, then
//! the whole history around them as bars that can be zoomed. For a history that is valid, or of which nothing is known, only
//! the verdict and the bars.

use maud::{Markup, PreEscaped, html};
use rafture_checker::failure::{Failure, FailureOperation};
use rafture_checker::history::History;
use rafture_checker::verdict::Verdict;

use super::board::{self, Board};
use super::document::document;
use super::report::{SCRIPT as COPY, STYLE};
use super::timeline::Timeline;
use crate::fault::FaultSpan;
use crate::plot;
use crate::wording;

const OWN_STYLE: &str = include_str!("counterexample.css");
const SCRIPT: &str = include_str!("counterexample.js");

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Counterexample<'a> {
    /// Where the history comes from: a file, or a run.
    pub title: &'a str,
    /// The verdict about it.
    pub verdict: Verdict,
    /// Further facts by name: model, operations, …
    pub facts: &'a [(&'a str, String)],
    /// Why the verdict is unknown.
    pub reason: Option<&'a str>,
    /// The evidence of an invalid one.
    pub failure: Option<&'a Failure>,
    /// All operations.
    pub history: &'a History,
    /// What was broken meanwhile.
    pub faults: &'a [FaultSpan],
    /// A line that leads here again.
    pub command: Option<&'a str>,
}

/// The page.
pub fn counterexample_html(of: &Counterexample<'_>) -> String {
    let timeline = Timeline::of(of.history, of.failure, of.faults);
    let main = html! {
        (verdict(of))
        (facts(of))
        @if let Some(failure) = of.failure { (evidence(failure, of.history, &timeline)) }
        (surroundings(of, &timeline))
    };
    let data = html! { script type="application/json" id="history" { (PreEscaped(timeline.script())) } };
    let title = format!("{} · {}", of.verdict, of.title);
    document(&title, &[STYLE, board::STYLE, OWN_STYLE], &main, &data, &[COPY, SCRIPT])
}

fn verdict(of: &Counterexample<'_>) -> Markup {
    html! {
        header class=(of.verdict) {
            p.eyebrow { (of.title) }
            h1 { (wording::capitalized(&of.verdict.to_string())) span { (wording::verdict_meaning(of.verdict)) } }
            @if let Some(failure) = of.failure {
                p.anomaly { (wording::capitalized(&failure.anomaly)) @if let Some(key) = &failure.key { " of key " code { (key) } } }
                p.why { (wording::capitalized(&failure.sentence)) "." }
            }
            @if let Some(reason) = of.reason { p.why { (wording::capitalized(reason)) } }
        }
    }
}

fn facts(of: &Counterexample<'_>) -> Markup {
    html! {
        section.facts {
            dl { @for (name, value) in of.facts { div { dt { (name) } dd { (value) } } } }
            @if let Some(command) = of.command {
                div.command {
                    pre { code id="command" { (command) } }
                    button type="button" data-copy="command" hidden { "Copy" }
                }
            }
        }
    }
}

fn evidence(failure: &Failure, history: &History, timeline: &Timeline) -> Markup {
    let board = Board::of(failure);
    html! {
        section {
            h2 { "What cannot be explained" }
            figure.board { (board.svg(|operation| timeline.place(history, operation))) }
            p.note {
                "Each bar is an operation from when it was asked to when it was answered; it took effect at some moment in between. "
                "Not to scale: only the order of beginnings and ends matters. "
                @if failure.operations.iter().any(|operation| operation.completed_ns.is_none()) {
                    "A bar that fades out was never answered: it may have taken effect at any later moment, or never. "
                }
                (failure.necessity)
            }
            @if let Some(before) = &failure.before { p.note { (before) } }
            @if !failure.relations.is_empty() {
                h3 { "What had to come first" }
                ul { @for relation in &failure.relations { li { b { (relation.kind) } " " (relation.sentence) } } }
            }
            @if !failure.orders.is_empty() {
                h3 { "How far any order gets" }
                div.orders { @for (number, order) in failure.orders.iter().enumerate() { (board::order_card(failure, number, order)) } }
            }
            details {
                summary { "The same as a table" }
                (table(failure))
            }
        }
    }
}

fn table(failure: &Failure) -> Markup {
    let seconds = |time_ns: u64| format!("{:.9} s", time_ns as f64 / 1e9);
    html! {
        div.scroll {
            table {
                thead { tr { th.number { "process" } th { "operation" } th.number { "invoked" } th.number { "completed" } th { "node" } th.number { "line" } } }
                tbody {
                    @for operation in &failure.operations {
                        tr.culprit[operation.culprit] {
                            td.number { (operation.process) }
                            td { (operation.label) @if operation.culprit { " (no order explains this)" } }
                            td.number { (seconds(operation.invoked_ns)) }
                            td.number { (operation.completed_ns.map_or_else(|| "unknown".to_owned(), seconds)) }
                            td { (operation.node.as_deref().unwrap_or("–")) }
                            td.number { (line(operation)) }
                        }
                    }
                }
            }
        }
    }
}

fn line(operation: &FailureOperation) -> String {
    operation.line.map_or_else(|| "–".to_owned(), |line| line.to_string())
}

fn surroundings(of: &Counterexample<'_>, timeline: &Timeline) -> Markup {
    let key = of.failure.and_then(|failure| failure.key.as_ref());
    let key = key.map(|key| key.as_str().map_or_else(|| key.to_string(), str::to_owned));
    html! {
        section {
            h2 { @if of.failure.is_some() { "Around it" } @else { "The history" } }
            div.tools {
                @if of.failure.is_some() { button.strong type="button" id="violation" { "To the violation" } }
                button type="button" id="all" { "All" }
                button type="button" id="in" aria-label="zoom in" { "+" }
                button type="button" id="out" aria-label="zoom out" { "−" }
                button type="button" id="back" aria-label="earlier" { "←" }
                button type="button" id="on" aria-label="later" { "→" }
                output id="tally" {}
                span.spring {}
                @if !timeline.keys.is_empty() {
                    label { "key" input id="key" list="keys" value=[key] placeholder="all" autocomplete="off"; }
                    datalist id="keys" { @for key in &timeline.keys { option value=(key) {} } }
                }
                label { "find" input id="find" placeholder="write 3" autocomplete="off"; }
            }
            div.stage id="stage" {
                canvas id="overview" aria-hidden="true" {}
                div.lanes id="lanes" {
                    canvas id="timeline" tabindex="0" role="application" aria-label="operations as bars over time, a row for each client; arrow keys move, plus and minus zoom, comma and full stop go from operation to operation" {}
                }
                canvas id="axis" aria-hidden="true" {}
                div id="tip" role="status" aria-live="polite" hidden {}
            }
            (legend(of, timeline))
            @if timeline.len() < timeline.of {
                p.note { "The " (wording::grouped(timeline.len() as u64)) " operations around it are drawn, of " (wording::grouped(timeline.of as u64)) "." }
            }
            p.note {
                "The wheel zooms, dragging moves; " kbd { "+" } " " kbd { "−" } " " kbd { "←" } " " kbd { "→" } " do the same, "
                kbd { "," } " and " kbd { "." } " go from operation to operation, " kbd { "v" } " to the violation, " kbd { "0" } " shows all, "
                kbd { "Enter" } " in the field goes to what it finds."
            }
        }
    }
}

fn legend(of: &Counterexample<'_>, timeline: &Timeline) -> Markup {
    html! {
        ul.legend {
            @if of.failure.is_some() {
                li { i style="background:var(--culprit);border-color:var(--culprit)" {} "no order explains this" }
                li { i {} "needed to fail" }
                @if timeline.shrunk.len() < timeline.len() { li { i style="background:var(--other)" {} "other operations" } }
            }
            li { i style="background:linear-gradient(90deg,var(--bar),transparent);border-right:0" {} "outcome unknown" }
            li { i style="background:var(--fail)" {} "surely did not happen" }
            @for (kind, color) in plot::fault_colors(of.faults) {
                li { i style=(format!("background:{color};border-color:{color}")) {} (kind) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use rafture_checker::check::{Limits, Question, check};
    use rafture_checker::history::{Event, EventKind};
    use rafture_checker::models::ModelKind;
    use serde_json::json;

    const EVIL: &str = "</script><script>alert(1)</script>&\u{1b}\u{2028}<img src=x onerror=alert(2)>";

    /// A stale read whose names and values try to be HTML.
    fn evil_page(copies: u64) -> String {
        let mut events: Vec<Event> = Vec::new();
        let mut push = |process, f: &'static str, value: serde_json::Value| {
            for kind in [EventKind::Invoke, EventKind::Ok] {
                let time = events.len() as u64 * 1_000_000;
                let value =
                    if f == "read" && kind == EventKind::Invoke { json!(null) } else { value.clone() };
                events.push(Event {
                    key: Some(json!(EVIL)),
                    value,
                    node: Some(EVIL.into()),
                    ..sample::event(time, process, kind, f)
                });
            }
        };
        push(0, "write", json!(EVIL));
        (0..copies).for_each(|number| push(number % 10, "write", json!(number)));
        push(1, "read", json!(EVIL));
        let history = History::of(&events).expect("a history");
        let outcome =
            check(&history, &Question::strongest(ModelKind::Register), &Limits::NONE).expect("a register");
        counterexample_html(&Counterexample {
            title: EVIL,
            verdict: outcome.verdict,
            facts: &[("model", EVIL.to_owned())],
            reason: Some(EVIL),
            failure: outcome.failure.as_ref(),
            history: &history,
            faults: &sample::faults(),
            command: Some(EVIL),
        })
    }

    #[test]
    fn nothing_in_a_history_can_leave_its_place_in_the_page() {
        let page = evil_page(3);
        assert!(!page.contains("<img"), "an element came from a value");
        assert!(!page.contains("<script>alert"), "a script came from a value");
        assert_eq!(page.matches("</script>").count(), 3, "{page}");
        let data = page.split(r#"id="history">"#).nth(1).and_then(|rest| rest.split("</script>").next());
        let data: serde_json::Value = serde_json::from_str(data.expect("the data")).expect("JSON");
        assert_eq!(data["keys"], json!([EVIL]));
        assert_eq!(data["invoked"].as_array().map(Vec::len), Some(5));
        assert_eq!(data["shrunk"].as_array().map(Vec::len), Some(3), "{data}");
        assert_eq!(data["culprit"], 4);
    }

    #[test]
    fn the_page_needs_nothing_else() {
        let page = evil_page(3).replace("src=x", "");
        for outside in ["http://", "https://", "src=", "href=", "@import", "<link", "fetch(", "XMLHttp"] {
            assert!(!page.contains(outside), "the page contains `{outside}`");
        }
        assert!(page.contains("url(#fade)") && page.matches("url(").count() == 1, "only its own gradient");
    }

    #[test]
    fn ten_thousand_operations_take_little_room() {
        let page = evil_page(10_000);
        assert!(page.len() < 1_000_000, "{} bytes", page.len());
    }
}
