//! The tables of the page: faults, operations, checkers.

use maud::{Markup, PreEscaped, html};
use serde_json::Value;

use super::{outages, overview};
use crate::fault::FaultSpan;
use crate::results::{CheckerResult, FaultRecovery, Results};
use crate::wording;
use crate::write::RunView;

/// Every fault of the ledger, what it did and how long that hurt.
pub(super) fn faults(run: &RunView<'_>) -> Markup {
    let recoveries = &run.results.recovery.each;
    html! {
        section {
            h2 { "What was broken, and how long that hurt" }
            @if run.faults.is_empty() {
                p { "No fault was injected." }
            } @else {
                (overload(run.results))
                (outages::figure(run))
                (outage_quantiles(run.results))
                h3 { "Fault by fault" }
                div.scroll tabindex="0" role="region" aria-label="faults" {
                    table {
                        caption { "Each fault, how it was proven, and how long it hurt" }
                        thead { tr {
                            th.number scope="col" { "at" } th scope="col" { "fault" } th scope="col" { "proof" }
                            th.number scope="col" { "in force" } th.number scope="col" { "outage" }
                            th.number scope="col" { "new leader" } th.number scope="col" { "after heal" }
                        } }
                        tbody {
                            @for fault in run.faults {
                                (fault_row(fault, recoveries.iter().find(|recovery| recovery.id == fault.id)))
                            }
                        }
                    }
                }
                p.note {
                    "Outage: the longest stretch between two successes of any client that touches the time in which the fault was in force. "
                    "New leader: from the fault to the first leader elected within that stretch. "
                    "After heal: from the undoing to the first success of an operation invoked after it. "
                    "Faults that overlap share what they touch."
                }
            }
        }
    }
}

/// Figures that are the machine's are said to be so.
fn overload(results: &Results) -> Markup {
    html! {
        @if let Some(lateness) = results.lateness.filter(|lateness| lateness.is_overload()) {
            p.warning role="note" {
                "The machine was overloaded: a thread that only sleeps woke up to " (wording::duration(lateness.p99_ms))
                " late in 99 of 100 times, and " (wording::duration(lateness.max_ms)) " late once. "
                "The figures of recovery and latency tell as much about the machine as about the system."
            }
        }
    }
}

fn outage_quantiles(results: &Results) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="outages by kind of fault" {
            table {
                caption { "Outages by kind of fault" }
                thead { tr {
                    th scope="col" { "kind" } th.number scope="col" { "planned" } th.number scope="col" { "applied" }
                    th.number scope="col" { "proven" } th.number scope="col" { "outage p50" } th.number scope="col" { "p99" }
                    th.number scope="col" { "max" }
                } }
                tbody {
                    @for (kind, count) in &results.faults {
                        @let outage = results.recovery.by_fault.get(kind).copied().unwrap_or_default();
                        tr {
                            th scope="row" { (kind) }
                            td.number { (count.planned) } td.number { (count.applied) } td.number { (count.proven) }
                            @for ms in [outage.p50_ms, outage.p99_ms, outage.max_ms] {
                                td.number { (wording::duration_or_dash(ms)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn fault_row(fault: &FaultSpan, recovery: Option<&FaultRecovery>) -> Markup {
    let began_ns = fault.applied_ns.unwrap_or(fault.planned_ns);
    let until_ns = fault.undone_ns.or(recovery.map(|recovery| recovery.outage_ended_ns)).unwrap_or(began_ns);
    html! {
        tr {
            td.number {
                @match fault.applied_ns {
                    Some(_) => a href=(overview::link_around(began_ns as i64, until_ns as i64)) { (wording::seconds(began_ns)) },
                    None => (wording::seconds(began_ns)),
                }
            }
            td { (fault.label) small { (what(fault)) } }
            td { (proof(fault)) }
            td.number { (in_force(fault)) }
            @match recovery {
                Some(recovery) => {
                    td.number { @if !recovery.recovered { "at least " } (wording::duration(recovery.outage_ms)) }
                    td.number { (wording::duration_or_dash(recovery.new_leader_ms)) }
                    td.number { (wording::duration_or_dash(recovery.after_heal_ms)) }
                }
                None => { td.number { "–" } td.number { "–" } td.number { "–" } }
            }
        }
    }
}

fn what(fault: &FaultSpan) -> String {
    if fault.detail.is_empty() { fault.nodes.join(" ") } else { fault.detail.clone() }
}

fn proof(fault: &FaultSpan) -> Markup {
    html! {
        @if let Some(error) = &fault.error { "failed" small { (error) } }
        @else if fault.proven() {
            "proven"
            @if let Some(evidence) = &fault.evidence { small { (evidence) } }
        }
        @else if fault.applied_ns.is_some() { "not proven" }
        @else { "not applied" }
    }
}

fn in_force(fault: &FaultSpan) -> String {
    match (fault.applied_ns, fault.undone_ns) {
        (Some(applied_ns), Some(undone_ns)) => {
            wording::duration(undone_ns.saturating_sub(applied_ns) as f64 / 1e6)
        }
        (Some(_), None) => "to the end".to_owned(),
        (None, _) => "–".to_owned(),
    }
}

/// Counts and latency per operation.
pub(super) fn operations(results: &Results) -> Markup {
    html! {
        section {
            h2 { "Operations" }
            div.scroll tabindex="0" role="region" aria-label="operations" {
                table {
                    caption { "How operations ended, and how long they took" }
                    thead { tr {
                        th scope="col" { "operation" } th.number scope="col" { "invoked" } th.number scope="col" { "ok" }
                        th.number scope="col" { "fail" } th.number scope="col" { "info" } th.number scope="col" { "p50" }
                        th.number scope="col" { "p99" } th.number scope="col" { "p99.9" } th.number scope="col" { "max" }
                    } }
                    tbody {
                        @for (f, count) in &results.operations {
                            @let latency = results.latency.get(f);
                            tr {
                                th scope="row" { (f) }
                                @for number in [count.invoked, count.ok, count.fail, count.info] {
                                    td.number { (wording::grouped(number)) }
                                }
                                @for ms in [
                                    latency.map(|latency| latency.p50_ms), latency.map(|latency| latency.p99_ms),
                                    latency.map(|latency| latency.p999_ms), latency.map(|latency| latency.max_ms),
                                ] {
                                    td.number { (wording::duration_or_dash(ms)) }
                                }
                            }
                        }
                    }
                }
            }
            p.note {
                "Latency of operations that succeeded, from their intended start. "
                "Info: the outcome is unknown; the operation may have taken effect, or may yet."
            }
        }
    }
}

/// What each checker said, with whatever else it recorded.
pub(super) fn checkers(results: &Results) -> Markup {
    html! {
        section {
            h2 { "Checkers" }
            div.scroll tabindex="0" role="region" aria-label="checkers" {
                table {
                    caption { "What each checker said" }
                    thead { tr { th scope="col" { "checker" } th scope="col" { "verdict" } th scope="col" { "details" } } }
                    tbody {
                        @for (name, checker) in &results.checkers {
                            tr {
                                th scope="row" { (name) }
                                td { span class=(format!("word {}", checker.verdict)) { (checker.verdict) } }
                                td { (details(checker)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Plain values as they stand; what is shown above in full is left out.
fn details(checker: &CheckerResult) -> Markup {
    let shown_above = checker.failure().is_some();
    html! {
        @for (name, value) in &checker.details {
            @if !value.is_null() && (name != "failure" || !shown_above) {
                span.time { (name) " " code { (plain(value)) } }
                (PreEscaped(" &nbsp; "))
            }
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(words) => words.clone(),
        other => other.to_string(),
    }
}
