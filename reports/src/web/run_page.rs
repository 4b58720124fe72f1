//! A run's page: the verdict and why, what was run, its pictures and all its files. The whole story is in its report, one click away.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{self, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde_json::Value;

use super::frame::{self, encoded, visible};
use super::list::rate;
use super::{Server, exists, of_run};
use crate::index::{Row, State as RunState};
use crate::wording;

/// No folder of a run has more files to look at than this; a node's data is in the archive.
const FILES_MAX: usize = 400;

/// Relative links on the page need its last slash.
pub(super) async fn with_slash(
    State(server): State<Arc<Server>>,
    extract::Path((name, run)): extract::Path<(String, String)>,
) -> Response {
    let path = format!("{name}/{run}");
    match server.folder(&name, &run) {
        Some(_) => Redirect::permanent(&frame::run_url(&path)).into_response(),
        None => gone(&path),
    }
}

pub(super) async fn page(
    State(server): State<Arc<Server>>,
    extract::Path((name, run)): extract::Path<(String, String)>,
) -> Response {
    of_run(server, name, run, |server, path, folder| {
        let Some(row) = server.ask(|index| index.run(path))? else { return Ok(gone(path)) };
        let content = html! {
            (heading(&row))
            (ways(&row, folder))
            (facts(&row))
            (command(folder))
            (pictures(folder))
            (files(folder))
        };
        Ok(super::html(frame::page(path, "", &content)))
    })
    .await
}

/// The answer where no run is, or none any more.
pub(super) fn gone(path: &str) -> Response {
    let why = format!("The store has no run {path}. If it had one, somebody has deleted it.");
    frame::failure(StatusCode::NOT_FOUND, &why).into_response()
}

fn heading(row: &Row) -> Markup {
    let (class, word, why) = match row.state {
        RunState::Finished => {
            let verdict = row.verdict.as_deref().unwrap_or("unknown");
            (verdict, verdict, row.reason.clone().unwrap_or_default())
        }
        RunState::Unfinished => {
            ("unknown", "unfinished", "It has no results: it still goes on, or was cut short.".to_owned())
        }
        RunState::Unreadable => ("unknown", "unreadable", row.complaint.clone().unwrap_or_default()),
    };
    html! {
        header class=(visible(class)) {
            p.eyebrow { (visible(&row.name)) " · " (visible(&row.run)) }
            h1 { (wording::capitalized(&visible(word))) @if let Some(anomaly) = &row.anomaly { span { (visible(anomaly)) } } }
            p.why { (visible(&why)) }
            @if row.overloaded { p.note { "The machine was overloaded: figures of recovery and latency tell about the machine." } }
        }
    }
}

fn ways(row: &Row, folder: &Path) -> Markup {
    html! {
        p.ways {
            @if row.state == RunState::Unfinished { a.main href=(frame::live_url(&row.path)) { "Follow it live" } }
            @if exists(folder, "report.html") { a.main href="report.html" { "Report" } }
            @if exists(folder, "counterexample.html") { a.main href="counterexample.html" { "Counterexample" } }
            a href="archive.tar.gz" { "Download all of it" }
        }
    }
}

fn facts(row: &Row) -> Markup {
    let number = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
    let text = |text: &Option<String>| text.as_deref().map(visible);
    let facts = [
        ("system", text(&row.system)),
        ("workload", text(&row.workload)),
        ("faults", row.faults.as_deref().map(|faults| frame::words(Some(faults)))),
        ("nodes", number(row.nodes).map(|nodes| nodes.to_string())),
        ("network", text(&row.network)),
        ("seed", text(&row.seed)),
        ("started", Some(frame::moment(row.started_at.as_deref()))),
        ("whole run", row.seconds.map(|seconds| format!("{seconds:.1} s"))),
        ("successful operations", number(row.operations_ok).map(wording::grouped)),
        ("throughput", row.throughput.map(|_| format!("{} ok/s", rate(row.throughput)))),
        ("recovery p50", row.recovery_p50_ms.map(wording::duration)),
        ("recovery p99", row.recovery_p99_ms.map(wording::duration)),
        ("latency p99", row.latency_p99_ms.map(wording::duration)),
        ("commit", text(&row.commit)),
        ("campaign", text(&row.campaign)),
        ("found by", text(&row.oracle)),
    ];
    html! {
        section.facts {
            dl { @for (name, value) in &facts { @if let Some(value) = value { div { dt { (name) } dd { (value) } } } } }
        }
    }
}

/// The line that repeats the run; its plan has it from the start.
fn command(folder: &Path) -> Markup {
    let plan = fs::read(folder.join("plan.json")).ok();
    let plan: Option<Value> = plan.and_then(|text| serde_json::from_slice(&text).ok());
    html! {
        @if let Some(command) = plan.as_ref().and_then(|plan| plan["command"].as_str()) {
            div.command { pre { code { (visible(command)) } } }
        }
    }
}

fn pictures(folder: &Path) -> Markup {
    let all = ["violation", "recovery", "throughput", "quantiles"].map(|name| format!("plots/{name}.svg"));
    let there: Vec<&String> = all.iter().filter(|file| exists(folder, file)).collect();
    html! {
        @if !there.is_empty() {
            section {
                h2 { "At a glance" }
                @for file in there { figure { img src=(file) alt=(file.trim_start_matches("plots/").trim_end_matches(".svg")) loading="lazy"; } }
            }
        }
    }
}

fn files(folder: &Path) -> Markup {
    let mut files = Vec::new();
    list(folder, "", 3, &mut files);
    files.sort();
    html! {
        section {
            h2 { "Files" }
            div.scroll { table { tbody {
                @for (file, size) in &files {
                    tr {
                        td { a href=(file.split('/').map(encoded).collect::<Vec<_>>().join("/")) { (visible(file)) } }
                        td.number { (bytes(*size)) }
                    }
                }
            } } }
        }
    }
}

/// Plain files, `depth` folders deep; what nodes keep for themselves is left out.
fn list(folder: &Path, below: &str, depth: usize, found: &mut Vec<(String, u64)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (Ok(name), Ok(kind)) = (entry.file_name().into_string(), entry.file_type()) else { continue };
        if name.starts_with('.') || found.len() >= FILES_MAX {
            continue;
        }
        let path = format!("{below}{name}");
        if kind.is_dir() && name != "data" && depth > 1 {
            list(&entry.path(), &format!("{path}/"), depth - 1, found);
        } else if kind.is_file() {
            found.push((path, entry.metadata().map_or(0, |metadata| metadata.len())));
        }
    }
}

/// `12 kB`, in powers of ten.
fn bytes(size: u64) -> String {
    match size {
        0..1_000 => format!("{size} B"),
        1_000..1_000_000 => format!("{:.1} kB", size as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", size as f64 / 1e6),
        _ => format!("{:.1} GB", size as f64 / 1e9),
    }
}
