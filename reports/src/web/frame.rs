//! What all pages share: head, way back, words and addresses made safe.

use std::fmt::Write;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::is_plain;
use crate::page::STYLE;
use crate::wording;

/// A page with the ways to the others above it. `here` is the one that it is.
pub(super) fn page(title: &str, here: &str, content: &Markup) -> Markup {
    with_script(title, here, content, None)
}

/// The same with a script of ours.
pub(super) fn with_script(title: &str, here: &str, content: &Markup, script: Option<&str>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (visible(title)) " · rafture" }
                link rel="stylesheet" href="/style.css";
                link rel="icon" href="data:,";
                @if let Some(script) = script { script src=(script) defer {} }
            }
            body {
                nav {
                    b { "rafture" }
                    @for (way, name) in [("/", "Runs"), ("/nights", "Nights"), ("/tunings", "Tunings"), ("/trends", "Trends")] {
                        a href=(way) aria-current=[(way == here).then_some("page")] { (name) }
                    }
                }
                main { (content) }
            }
        }
    }
}

/// A page that says why there is no other.
pub(super) fn failure(status: StatusCode, why: &str) -> Response {
    let content = html! {
        header.unknown {
            p.eyebrow { (status.as_u16()) }
            h1 { (status.canonical_reason().unwrap_or("Error")) }
            p.why { (visible(why)) }
        }
        p { a href="/" { "All runs" } }
    };
    (status, super::html(page("no such page", "", &content))).into_response()
}

/// The look of report.html, and what lists and charts need besides.
pub(super) async fn style() -> Response {
    let style = format!("{STYLE}\n{}", include_str!("web.css"));
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], style).into_response()
}

/// `text` with every character that cannot be seen, or that turns the text around it, spelled out. Markup is escaped where it is
/// written.
pub(super) fn visible(text: &str) -> String {
    wording::visible(text).into_owned()
}

/// `text` as one part of a path, or as a value in a query.
pub(super) fn encoded(text: &str) -> String {
    let mut url = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_plain(byte) {
            url.push(char::from(byte));
        } else {
            write!(url, "%{byte:02X}").expect("a string takes everything");
        }
    }
    url
}

/// The address of a run's page, from `name/run`.
pub(super) fn run_url(path: &str) -> String {
    under("run", path)
}

/// The address of the page that follows a run.
pub(super) fn live_url(path: &str) -> String {
    under("live", path)
}

fn under(place: &str, path: &str) -> String {
    let (name, run) = path.split_once('/').unwrap_or(("", path));
    format!("/{place}/{}/{}/", encoded(name), encoded(run))
}

/// What was asked for in a query, the last of each name.
pub(super) fn asked<'q>(query: &'q [(String, String)], name: &str) -> Option<&'q str> {
    let value = query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.trim());
    value.filter(|value| !value.is_empty())
}

/// The word for a verdict, or for a state without one, in its colour.
pub(super) fn word(word: &str) -> Markup {
    let class = match word {
        "valid" => "word valid",
        "invalid" | "harness" => "word invalid",
        "vacuous" | "unknown" => "word vacuous",
        _ => "word",
    };
    html! { span class=(class) { (visible(word)) } }
}

/// A list of words for a person: `kill, pause`.
pub(super) fn words(list: Option<&str>) -> String {
    match list {
        None => "–".to_owned(),
        Some("") => "none".to_owned(),
        Some(list) => visible(&list.replace(',', ", ")),
    }
}

/// `2026-07-24 09:15:02` of `2026-07-24T09:15:02Z`.
pub(super) fn moment(started_at: Option<&str>) -> String {
    started_at.map_or_else(|| "–".to_owned(), |text| visible(&text.replacen('T', " ", 1).replace('Z', "")))
}

/// A commit, as short as people write it.
pub(super) fn short(commit: &str) -> String {
    let is_hash = commit.len() >= 12 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    visible(if is_hash { &commit[..9] } else { commit })
}
