//! Nights of campaigns: all of them, newest first, and each as its own page shows it.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{self, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use super::frame::{self, encoded};
use super::{Server, blocking, folders};
use crate::campaign::{self, Night};

/// As many are listed.
const LISTED_MAX: usize = 100;
/// No summary is longer.
const BYTES_MAX: u64 = 64 << 20;

/// A night that is listed: one that cannot be read is shown as such.
struct Listed {
    name: String,
    night: String,
    summary: Option<Night>,
}

pub(super) async fn page(State(server): State<Arc<Server>>) -> Response {
    blocking(move || {
        let nights = nights(&server);
        let content = html! {
            h1.plain { "Nights" }
            @if nights.is_empty() { p.lead { "There is no night yet (" code { "rafture campaign FILE.toml" } ")." } }
            @else { (table(&nights)) }
        };
        Ok(super::html(frame::page("Nights", "/nights", &content)))
    })
    .await
}

pub(super) async fn night(
    State(server): State<Arc<Server>>,
    extract::Path((name, night)): extract::Path<(String, String)>,
) -> Response {
    blocking(move || {
        let Some(summary) = server.folder(&name, "nights").and_then(|nights| read(&nights, &night)) else {
            let why =
                format!("There is no night {name}/{night} with a summary; one that goes on has none yet.");
            return Ok(frame::failure(StatusCode::NOT_FOUND, &why));
        };
        let content = campaign::content(&summary, &|run| format!("{}report.html", frame::run_url(run)));
        Ok(super::html(frame::page(&format!("{name} {night}"), "", &content)))
    })
    .await
}

fn table(nights: &[Listed]) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr {
                    th scope="col" { "night" } th scope="col" { "campaign" } th scope="col" { "verdict" }
                    th.number scope="col" { "runs" } th.number scope="col" { "failed" } th.number scope="col" { "causes" }
                    th.number scope="col" { "new" }
                } }
                tbody {
                    @for night in nights {
                        tr {
                            td { a href=(address(night)) { (frame::visible(&night.night)) } }
                            td { (frame::visible(&night.name)) }
                            @match &night.summary {
                                Some(summary) => (row(summary)),
                                None => td colspan="5" { "goes on, or cannot be read" },
                            }
                        }
                    }
                }
            }
        }
    }
}

fn row(night: &Night) -> Markup {
    let groups = night.groups();
    let new = groups.iter().filter(|group| group.is_new == Some(true)).count();
    html! {
        td { (frame::word(&night.verdict().to_string())) }
        td.number { (night.entries.len()) @if night.entries.len() < night.share { " of " (night.share) } }
        td.number { (night.entries.iter().filter(|entry| entry.is_failure()).count()) }
        td.number { (groups.len()) }
        td.number { @if night.before.is_some() { (new) } @else { "–" } }
    }
}

fn address(night: &Listed) -> String {
    format!("/night/{}/{}/", encoded(&night.name), encoded(&night.night))
}

fn nights(server: &Server) -> Vec<Listed> {
    let mut found = Vec::new();
    for name in folders(&server.store) {
        let Some(nights) = server.folder(&name, "nights") else { continue };
        found.extend(folders(&nights).into_iter().map(|night| (night, name.clone(), nights.clone())));
    }
    // Names of nights begin with their time, unless somebody chose others. Only what is listed is read.
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    found.truncate(LISTED_MAX);
    found
        .into_iter()
        .map(|(night, name, nights)| Listed { summary: read(&nights, &night), name, night })
        .collect()
}

/// The summary of a night; no link, and nothing outside the folder, is followed.
fn read(nights: &Path, night: &str) -> Option<Night> {
    let is_name = !night.is_empty() && !night.starts_with('.') && !night.contains(['/', '\0']);
    let path = nights.join(night).join("summary.json");
    if !is_name || !path.canonicalize().is_ok_and(|real| real == path) || !path.is_file() {
        return None;
    }
    let mut text = Vec::new();
    fs::File::open(&path).ok()?.take(BYTES_MAX).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
