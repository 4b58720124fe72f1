//! Tunings of election timeouts: all of them, newest first, and the files of each. They lie in `tunings/` of the store.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{self, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::frame::{self, encoded};
use super::{Server, blocking, files, folders};
use crate::store::TUNINGS;
use crate::tune::{RECORD, Tuning, words};
use crate::wording;

/// As many are listed.
const LISTED_MAX: usize = 100;
/// No record is longer.
const BYTES_MAX: u64 = 64 << 20;

/// One that is listed: without a record it goes on, or cannot be read.
struct Listed {
    name: String,
    record: Option<Tuning>,
}

pub(super) async fn page(State(server): State<Arc<Server>>) -> Response {
    blocking(move || {
        let tunings = tunings(&server);
        let content = html! {
            h1.plain { "Tunings" }
            @if tunings.is_empty() { p.lead { "No election timeouts were measured yet (" code { "rafture tune" } ")." } }
            @else { (table(&tunings)) }
        };
        Ok(super::html(frame::page("Tunings", "/tunings", &content)))
    })
    .await
}

/// The page of one is its report.
pub(super) async fn report(extract::Path(name): extract::Path<String>) -> Response {
    Redirect::to(&address(&name)).into_response()
}

/// A file of one.
pub(super) async fn file(
    State(server): State<Arc<Server>>,
    extract::Path((name, file)): extract::Path<(String, String)>,
) -> Response {
    blocking(move || {
        let sent = server.folder(TUNINGS, &name).and_then(|folder| files::send(&folder, &file));
        Ok(sent.unwrap_or_else(|| {
            let why = format!("There is no tuning {name} with a file {file}.");
            frame::failure(StatusCode::NOT_FOUND, &why)
        }))
    })
    .await
}

fn address(name: &str) -> String {
    format!("/tuning/{}/report.html", encoded(name))
}

fn table(tunings: &[Listed]) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr {
                    th scope="col" { "tuning" } th scope="col" { "system" } th.number scope="col" { "nodes" }
                    th scope="col" { "network" } th scope="col" { "advice" } th.number scope="col" { "outage p99" }
                    th.number scope="col" { "false elections" } th.number scope="col" { "checks met" }
                } }
                tbody { @for tuning in tunings { (row(tuning)) } }
            }
        }
    }
}

fn row(tuning: &Listed) -> Markup {
    html! {
        tr {
            @match &tuning.record {
                Some(record) => {
                    td { a href=(address(&tuning.name)) { (frame::moment(Some(&record.started))) } small { "seed " (record.seed) } }
                    (cells(record))
                },
                None => { td { (frame::visible(&tuning.name)) } td colspan="7" { "goes on, or cannot be read" } },
            }
        }
    }
}

fn cells(record: &Tuning) -> Markup {
    let advice = record.recommendation.as_ref();
    let met = record.checks.iter().filter(|check| check.met).count();
    html! {
        td { (frame::visible(&record.system)) } td.number { (record.nodes) }
        td { (frame::visible(&record.network.words)) }
        td {
            @match advice {
                Some(advice) => { (words::timeout(&advice.timing)) small { "heartbeat " (words::heartbeat(&advice.timing)) } },
                None if record.unmet.is_some() => "none: the target is not met",
                None => "none was asked for",
            }
        }
        td.number { (wording::duration_or_dash(advice.map(|advice| advice.outage_p99_ms))) }
        td.number { (advice.map_or("–".to_owned(), |advice| words::rate(advice.false_elections_per_hour))) }
        td.number { @if record.checks.is_empty() { "–" } @else { (met) " of " (record.checks.len()) } }
    }
}

/// Newest first, by their names, which begin with their time. Only what is listed is read.
fn tunings(server: &Server) -> Vec<Listed> {
    let mut names = folders(&server.store.join(TUNINGS));
    names.sort_by(|a, b| b.cmp(a));
    names.truncate(LISTED_MAX);
    let listed = |name: String| {
        let folder = server.folder(TUNINGS, &name)?;
        Some(Listed { record: read(&folder), name })
    };
    names.into_iter().filter_map(listed).collect()
}

/// The record of a tuning, if it is a plain file in its folder.
fn read(folder: &Path) -> Option<Tuning> {
    let path = folder.join(RECORD);
    if !path.canonicalize().is_ok_and(|real| real == path) || !path.is_file() {
        return None;
    }
    let mut text = Vec::new();
    fs::File::open(&path).ok()?.take(BYTES_MAX).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
