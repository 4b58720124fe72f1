//! All runs, newest first, with filters. A form that is sent by GET: what is filtered has an address.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use maud::{Markup, html};

use super::frame::{self, asked, encoded};
use super::{Server, blocking};
use crate::index::{Choices, Filter, Listing, Row, State as RunState};
use crate::wording;

const PAGE: u64 = 100;

const VERDICTS: [&str; 7] = ["valid", "invalid", "vacuous", "unknown", "harness", "unfinished", "unreadable"];

pub(super) async fn page(
    State(server): State<Arc<Server>>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    blocking(move || {
        let filter = filter(&query);
        let number =
            asked(&query, "page").and_then(|page| page.parse::<u64>().ok()).unwrap_or(1).clamp(1, 1 << 32);
        let (listing, choices) =
            server.ask(|index| Ok((index.list(&filter, (number - 1) * PAGE, PAGE)?, index.choices()?)))?;
        let content = html! {
            (heading(&listing))
            (form(&filter, &choices))
            @if listing.rows.is_empty() {
                p.lead { @if listing.total() == 0 { "No run is like that." } @else { "There are no more." } }
            } @else {
                (table(&listing.rows))
            }
            (pages(&query, number, listing.total()))
        };
        Ok(super::html(frame::page("Runs", "/", &content)))
    })
    .await
}

fn filter(query: &[(String, String)]) -> Filter {
    let of = |name: &str| asked(query, name).map(str::to_owned);
    Filter {
        system: of("system"),
        workload: of("workload"),
        fault: of("fault"),
        verdict: of("verdict"),
        from: of("from"),
        until: of("until"),
        commit: of("commit"),
        name: of("name"),
        campaign: of("campaign"),
    }
}

fn heading(listing: &Listing) -> Markup {
    html! {
        h1.plain { "Runs" }
        p.tally {
            b { (wording::grouped(listing.total())) " in all" }
            @for (verdict, count) in &listing.tally { span { (wording::grouped(*count)) " " (frame::word(verdict)) } }
        }
    }
}

fn form(filter: &Filter, choices: &Choices) -> Markup {
    let verdicts: Vec<String> = VERDICTS.map(str::to_owned).to_vec();
    let mut faults = choices.faults.clone();
    faults.insert(0, "none".to_owned());
    html! {
        form.filters method="get" action="/" {
            (select("system", "system", filter.system.as_ref(), &choices.systems))
            (select("workload", "workload", filter.workload.as_ref(), &choices.workloads))
            (select("fault", "fault", filter.fault.as_ref(), &faults))
            (select("verdict", "verdict", filter.verdict.as_ref(), &verdicts))
            (field("from", "from", "date", filter.from.as_ref()))
            (field("until", "to", "date", filter.until.as_ref()))
            (field("commit", "commit", "text", filter.commit.as_ref()))
            (select("name", "name", filter.name.as_ref(), &choices.names))
            @if !choices.campaigns.is_empty() || filter.campaign.is_some() {
                (select("campaign", "campaign", filter.campaign.as_ref(), &choices.campaigns))
            }
            div.send {
                button type="submit" { "Filter" }
                @if *filter != Filter::default() { a href="/" { "All" } }
            }
        }
    }
}

fn select(name: &str, label: &str, chosen: Option<&String>, choices: &[String]) -> Markup {
    // What was asked for stays in sight, also when nothing is like it any more.
    let stranger = chosen.filter(|chosen| !choices.contains(chosen));
    html! {
        label {
            span { (label) }
            select name=(name) {
                option value="" { "any" }
                @for choice in choices.iter().chain(stranger) {
                    option value=(frame::visible(choice)) selected[chosen == Some(choice)] { (frame::visible(choice)) }
                }
            }
        }
    }
}

fn field(name: &str, label: &str, kind: &str, value: Option<&String>) -> Markup {
    html! {
        label { span { (label) } input name=(name) type=(kind) value=[value.map(|value| frame::visible(value))] autocomplete="off" spellcheck="false"; }
    }
}

fn table(rows: &[Row]) -> Markup {
    html! {
        form method="get" action="/compare" {
            div.scroll {
                table.runs {
                    thead { tr {
                        th {} th { "verdict" } th { "run" } th { "system" } th { "faults" }
                        th.number { "recovery p50" } th.number { "p99" } th.number { "ok/s" } th { "commit" }
                    } }
                    tbody { @for row in rows { (line(row)) } }
                }
            }
            p.note { button.plain type="submit" { "Compare two" } " Tick two runs to see them side by side." }
        }
    }
}

fn line(row: &Row) -> Markup {
    let word = match row.state {
        RunState::Finished => row.verdict.as_deref().unwrap_or("–"),
        state => state.as_str(),
    };
    html! {
        tr {
            td.tick { input type="checkbox" name="run" value=(frame::visible(&row.path)) aria-label=(format!("compare {}", frame::visible(&row.path))); }
            td { (frame::word(word)) @if let Some(anomaly) = &row.anomaly { small { (frame::visible(anomaly)) } } }
            td.what {
                a href=(frame::run_url(&row.path)) { (frame::visible(&row.name)) }
                small { (frame::moment(row.started_at.as_deref())) @if let Some(seed) = &row.seed { " · seed " (seed) } }
            }
            td {
                (frame::words(row.system.as_deref()))
                small { (frame::words(row.workload.as_deref())) @if let Some(nodes) = row.nodes { " · " (nodes) " nodes" } }
            }
            td.faults { (frame::words(row.faults.as_deref())) }
            td.number data-label="recovery p50" { (wording::duration_or_dash(row.recovery_p50_ms)) }
            td.number data-label="p99" { (wording::duration_or_dash(row.recovery_p99_ms)) }
            td.number data-label="ok/s" { (rate(row.throughput)) @if row.overloaded { small { "overloaded" } } }
            td { @if let Some(commit) = &row.commit { code title=(frame::visible(commit)) { (frame::short(commit)) } } @else { "–" } }
        }
    }
}

/// Operations per second as a whole number.
pub(super) fn rate(throughput: Option<f64>) -> String {
    throughput.map_or_else(|| "–".to_owned(), |rate| wording::grouped(rate.round() as u64))
}

fn pages(query: &[(String, String)], number: u64, total: u64) -> Markup {
    let last = total.div_ceil(PAGE).max(1);
    let to = |page: u64| {
        let rest = query.iter().filter(|(name, value)| name != "page" && !value.is_empty());
        let pairs = rest.map(|(name, value)| format!("{}={}&", encoded(name), encoded(value)));
        format!("/?{}page={page}", pairs.collect::<String>())
    };
    html! {
        @if last > 1 {
            p.pages {
                @if number > 1 { a href=(to((number - 1).min(last))) { "Newer" } }
                span { "page " (number) " of " (last) }
                @if number < last { a href=(to(number + 1)) { "Older" } }
            }
        }
    }
}
