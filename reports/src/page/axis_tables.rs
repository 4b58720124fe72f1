//! The tables behind the time axis: the same figures in windows, for those who cannot see the drawing and for those who copy numbers.
//!
//! Bounded: a table of more rows than [`ROWS_MAX`] is read by nobody, so windows grow with the run.

use maud::{Markup, html};

use super::report::ReportPage;
use super::series;
use crate::fault::FaultSpan;
use crate::measure::{self, Window};
use crate::wording;

/// Rows of each table.
pub(super) const ROWS_MAX: u64 = 60;

/// Columns of nodes; more would be a wall.
const NODES_MAX: usize = 16;

/// Faults that are named in one row.
const FAULTS_MAX: usize = 3;

/// All of them, each behind a line that opens it.
pub(super) fn behind(page: &ReportPage<'_>) -> Markup {
    let end_ns = measure::end_ns(page.run.history);
    let windows = measure::windows(page.operations, end_ns, ROWS_MAX);
    html! {
        (over_time(page, &windows))
        (availability(page, end_ns))
        (leaders(page))
    }
}

fn over_time(page: &ReportPage<'_>, windows: &[Window]) -> Markup {
    html! {
        details {
            summary { "Latency and throughput as a table" }
            div.scroll tabindex="0" role="region" aria-label="latency and throughput" {
                table {
                    caption { "Completions per second, latency of successes, and faults in force, in windows" }
                    thead { tr {
                        th.number scope="col" { "from" } th.number scope="col" { "ok/s" } th.number scope="col" { "fail/s" }
                        th.number scope="col" { "info/s" } th.number scope="col" { "p50" } th.number scope="col" { "p99" }
                        th.number scope="col" { "max" } th scope="col" { "leader" } th scope="col" { "faults in force" }
                    } }
                    tbody { @for window in windows { (window_row(page, window)) } }
                }
            }
        }
    }
}

fn window_row(page: &ReportPage<'_>, window: &Window) -> Markup {
    let until_ns = window.from_ns + window.length_ns;
    let [p50, p99, max] = [
        window.latency.map(|latency| latency.p50_ms),
        window.latency.map(|latency| latency.p99_ms),
        window.latency.map(|latency| latency.max_ms),
    ];
    html! {
        tr {
            th.number scope="row" { (wording::seconds(window.from_ns)) }
            @for count in [window.ok, window.fail, window.info] {
                td.number { (wording::grouped(window.per_second(count).round() as u64)) }
            }
            @for ms in [p50, p99, max] { td.number { (wording::duration_or_dash(ms)) } }
            td { (leader_at(page, until_ns)) }
            td { (in_force(page.run.faults, window.from_ns, until_ns)) }
        }
    }
}

/// Who was the last to become leader before then.
fn leader_at(page: &ReportPage<'_>, until_ns: u64) -> String {
    let before = page.run.leaders.iter().rfind(|leader| leader.time_ns < until_ns.cast_signed());
    before.map_or_else(|| "–".to_owned(), |leader| format!("{}, term {}", leader.node, leader.term))
}

fn in_force(faults: &[FaultSpan], from_ns: u64, until_ns: u64) -> String {
    let touches = |fault: &&FaultSpan| {
        fault.in_force(u64::MAX).is_some_and(|(from, until)| from < until_ns && until > from_ns)
    };
    let labels: Vec<&str> = faults.iter().filter(touches).map(|fault| fault.label.as_str()).collect();
    match labels.len() {
        0 => "–".to_owned(),
        1..=FAULTS_MAX => labels.join(", "),
        many => format!("{} and {} more", labels[..FAULTS_MAX].join(", "), many - FAULTS_MAX),
    }
}

fn availability(page: &ReportPage<'_>, end_ns: u64) -> Markup {
    let slices = measure::slices(page.run.history, page.operations, end_ns, ROWS_MAX);
    let nodes: Vec<String> = series::node_names(page, &slices).into_iter().take(NODES_MAX).collect();
    let per_second = |count: u32| f64::from(count) * 1e9 / slices.length_ns as f64;
    html! {
        details {
            summary { "Availability of each node as a table" }
            div.scroll tabindex="0" role="region" aria-label="availability of each node" {
                table {
                    caption { "Successful operations per second, by the node that answered" }
                    thead { tr {
                        th.number scope="col" { "from" }
                        @for node in &nodes { th.number scope="col" { (node) } }
                    } }
                    tbody {
                        @for slice in 0..slices.ok.len() {
                            tr {
                                th.number scope="row" { (wording::seconds(slice as u64 * slices.length_ns)) }
                                @for node in &nodes {
                                    @let count = slices.served.get(node).map_or(0, |counts| counts[slice]);
                                    td.number { (wording::grouped(per_second(count).round() as u64)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn leaders(page: &ReportPage<'_>) -> Markup {
    let leaders = page.run.leaders;
    let shown = &leaders[leaders.len().saturating_sub(ROWS_MAX as usize)..];
    html! {
        @if leaders.is_empty() {
            p.note { "This system's nodes do not tell who led them, so terms and leaders are not shown." }
        } @else {
            details {
                summary { "Terms and leaders as a table" }
                div.scroll tabindex="0" role="region" aria-label="terms and leaders" {
                    table {
                        caption {
                            "Who became leader when"
                            @if shown.len() < leaders.len() { ": the last " (shown.len()) " of " (leaders.len()) " changes" }
                        }
                        thead { tr { th.number scope="col" { "at" } th scope="col" { "node" } th.number scope="col" { "term" } } }
                        tbody {
                            @for leader in shown {
                                tr {
                                    th.number scope="row" { (signed_seconds(leader.time_ns)) }
                                    td { (leader.node) } td.number { (leader.term) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The first leader comes before the clients do.
fn signed_seconds(time_ns: i64) -> String {
    format!("{:.2} s", time_ns as f64 / 1e9)
}
