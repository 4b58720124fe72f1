//! The tables of the page: faults, operations, checkers.

use maud::{Markup, PreEscaped, html};
use serde_json::Value;

use super::report::figure;
use crate::fault::FaultSpan;
use crate::plot::Plot;
use crate::results::{CheckerResult, FaultRecovery, Results};
use crate::wording;
use crate::write::RunView;

/// Every fault of the ledger, what it did and how long that hurt.
pub(super) fn faults(run: &RunView<'_>, drawing: Option<&Plot>) -> Markup {
    let recoveries = &run.results.recovery.each;
    html! {
        section {
            h2 { "What was broken, and how long that hurt" }
            @if run.faults.is_empty() {
                p { "No fault was injected." }
            } @else {
                (outages(run.results))
                @if let Some(plot) = drawing { (figure(plot)) }
                div.scroll {
                    table {
                        thead { tr {
                            th.number { "at" } th { "fault" } th { "proof" }
                            th.number { "in force" } th.number { "outage" } th.number { "new leader" } th.number { "after heal" }
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

fn outages(results: &Results) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr {
                    th { "kind" } th.number { "planned" } th.number { "applied" } th.number { "proven" }
                    th.number { "outage p50" } th.number { "p99" } th.number { "max" }
                } }
                tbody {
                    @for (kind, count) in &results.faults {
                        @let outage = results.recovery.by_fault.get(kind).copied().unwrap_or_default();
                        tr {
                            td { (kind) }
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
    html! {
        tr {
            td.number { (wording::seconds(began_ns)) }
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
            div.scroll {
                table {
                    thead { tr {
                        th { "operation" } th.number { "invoked" } th.number { "ok" } th.number { "fail" } th.number { "info" }
                        th.number { "p50" } th.number { "p99" } th.number { "p99.9" } th.number { "max" }
                    } }
                    tbody {
                        @for (f, count) in &results.operations {
                            @let latency = results.latency.get(f);
                            tr {
                                td { (f) }
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
            div.scroll {
                table {
                    thead { tr { th { "checker" } th { "verdict" } th { "details" } } }
                    tbody {
                        @for (name, checker) in &results.checkers {
                            tr {
                                td { (name) }
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
