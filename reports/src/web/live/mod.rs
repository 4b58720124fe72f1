//! A run that goes on: what its clients get per second, which faults are in force, who leads.
//!
//! `follow` reads what was added to the files of the run since it was asked last. The page is drawn here, whole, once a second; its
//! script only asks for it and puts it in place. Once the run has results, the page gives way to them.

mod follow;

use std::path::Path;
use std::sync::Arc;

use axum::extract::{self, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::chart::{Chart, Line};
use super::frame::{self, visible};
use super::{Server, exists, locked, of_run};
use crate::wording;

pub(super) use follow::Live;

/// So many runs are followed at once; the one that nobody asked for longest is forgotten.
const LIVES_MAX: usize = 8;

pub(super) async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("live.js")).into_response()
}

pub(super) async fn page(
    State(server): State<Arc<Server>>,
    extract::Path((name, run)): extract::Path<(String, String)>,
) -> Response {
    of_run(server, name, run, |server, path, folder| {
        if exists(folder, "results.json") {
            return Ok(Redirect::temporary(&frame::run_url(path)).into_response());
        }
        let content = html! {
            p.eyebrow { a href=(frame::run_url(path)) { (visible(path)) } }
            noscript { meta http-equiv="refresh" content="2"; }
            div #state { (state_of(server, path, folder)) }
            p #silence .word .invalid hidden { "The server does not answer." }
        };
        Ok(super::html(frame::with_script(path, "", &content, Some("/live.js"))))
    })
    .await
}

/// The part of the page that changes.
pub(super) async fn state(
    State(server): State<Arc<Server>>,
    extract::Path((name, run)): extract::Path<(String, String)>,
) -> Response {
    of_run(server, name, run, |server, path, folder| Ok(super::html(state_of(server, path, folder)))).await
}

fn state_of(server: &Server, path: &str, folder: &Path) -> Markup {
    if exists(folder, "results.json") {
        return html! { p.lead data-then=(frame::run_url(path)) { "Finished: " a href=(frame::run_url(path)) { "what was found" } } };
    }
    let mut lives = locked(&server.lives);
    if !lives.contains_key(path) && lives.len() >= LIVES_MAX {
        let oldest = lives.iter().min_by_key(|(_, live)| live.asked()).map(|(path, _)| path.clone());
        oldest.and_then(|oldest| lives.remove(&oldest));
    }
    let live = lives.entry(path.to_owned()).or_insert_with(|| Live::new(folder));
    live.read();
    draw(live)
}

fn draw(live: &Live) -> Markup {
    let (title, tone, why) = match (live.is_alive, live.ok + live.fail + live.info) {
        (false, _) => ("Cut short", "unknown", "Its controller is gone, and it left no results."),
        (true, 0) => ("Starting", "valid", "No operation has ended yet."),
        (true, _) => ("Running", "valid", ""),
    };
    html! {
        header class=(tone) {
            h1 { (title) span { (wording::seconds(live.time_ns)) } }
            @if !why.is_empty() { p.why { (why) } }
        }
        dl {
            div { dt { "ok" } dd { (wording::grouped(live.ok)) } }
            div { dt { "fail" } dd { (wording::grouped(live.fail)) } }
            div { dt { "info" } dd { (wording::grouped(live.info)) } }
            div { dt { "faults so far" } dd { (live.faults.iter().filter(|fault| fault.applied_ns.is_some()).count()) } }
            div { dt { "last elected leader" } dd { (leader(live)) } }
        }
        (in_force(live))
        (charts(live))
        @if live.is_cut { p.note { "Figures are of the last part of the history, which is longer than is read at once." } }
    }
}

fn leader(live: &Live) -> String {
    live.leader
        .as_ref()
        .map_or_else(|| "–".to_owned(), |(node, term)| format!("{} in term {term}", visible(node)))
}

fn in_force(live: &Live) -> Markup {
    let faults: Vec<_> = live.in_force().collect();
    html! {
        h2 { "Faults in force" }
        @if faults.is_empty() { p { "None." } }
        @else {
            ul.faults { @for fault in faults {
                li {
                    b { (visible(&fault.label)) } " " (visible(&fault.detail)) " "
                    span.quiet { "since " (wording::seconds(fault.applied_ns.unwrap_or(0))) @if fault.proven() { ", proven" } }
                }
            } }
        }
    }
}

fn charts(live: &Live) -> Markup {
    let seconds: Vec<_> = live.seconds().collect();
    let Some(first) = seconds.first().map(|(second, _)| *second) else { return html! {} };
    let labels: Vec<String> = seconds.iter().map(|(second, _)| format!("{second} s")).collect();
    let column = |time_ns: u64| time_ns as f64 / 1e9 - first as f64 - 0.5;
    let bands: Vec<(f64, f64, String)> = live
        .faults
        .iter()
        .filter_map(|fault| Some((fault.in_force(live.time_ns)?, fault)))
        .filter(|((_, until), _)| column(*until) > -0.5)
        .map(|((from, until), fault)| (column(from), column(until), visible(&fault.label)))
        .collect();
    let chart = |caption, lines: &[Line], unit| {
        let ranges = &[];
        Chart { caption, labels: &labels, lines, ranges, marks: &[], bands: &bands, unit }.svg()
    };
    let rates = [Line {
        name: "ok",
        class: "a",
        values: seconds.iter().map(|(_, second)| Some(second.ok as f64)).collect(),
    }];
    let latencies = [
        Line { name: "p99", class: "b", values: seconds.iter().map(|(_, second)| second.p99_ms()).collect() },
        Line { name: "p50", class: "a", values: seconds.iter().map(|(_, second)| second.p50_ms()).collect() },
    ];
    html! {
        h2 { "Successes per second" }
        (chart("Successes per second", &rates, |value| wording::grouped(value.round() as u64)))
        h2 { "Latency" }
        (chart("Latency p50 and p99, by second", &latencies, wording::duration))
    }
}
