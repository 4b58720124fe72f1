//! `night.html`: what a team meets in the morning. One self-contained file; it refers to the pages of the runs beside it.

use maud::{Markup, PreEscaped, html};

use super::words::{canary_words, former, moved, sentence};
use super::{Entry, Group, Night};
use crate::page::{SCRIPT, STYLE, document};
use crate::wording::{self, visible};

/// As many runs of one cause are listed in its card; the table of all runs has the rest.
const LISTED_MAX: usize = 12;

/// Words that are marked up for Markdown, without that.
fn plain(text: &str) -> String {
    visible(text).replace('`', "")
}

/// The page. `link` gives the address of a run's page, from the run's folder in the store.
pub fn html(night: &Night, link: &dyn Fn(&str) -> String) -> String {
    let title = format!("{} · {} · {}", night.verdict(), night.name, night.night);
    document(&title, &[STYLE], &content(night, link), &html! {}, &[SCRIPT])
}

/// What the page says, without what stands around it.
pub(crate) fn content(night: &Night, link: &dyn Fn(&str) -> String) -> Markup {
    let verdict = night.verdict();
    html! {
        header class=(verdict) {
            p.eyebrow { (visible(&night.name)) " · " (visible(&night.night)) }
            h1 { (wording::capitalized(&verdict.to_string())) }
            p.why { (sentence(night)) }
            @for canary in &night.canaries { p.note { (plain(&wording::capitalized(&canary_words(canary)))) } }
        }
        (failures(night, link))
        (figures(night))
        (runs(night, link))
    }
}

fn failures(night: &Night, link: &dyn Fn(&str) -> String) -> Markup {
    let (groups, gone) = (night.groups(), night.gone());
    html! {
        @if !groups.is_empty() || !gone.is_empty() {
            section {
                h2 { "What failed, by cause" }
                @for (place, group) in groups.iter().enumerate() { (card(place, group, night, link)) }
                @if !gone.is_empty() {
                    h3 { "Gone since " (former(night)) }
                    ul { @for cause in gone { li { (plain(&cause.to_string())) } } }
                }
            }
        }
    }
}

fn card(place: usize, group: &Group<'_>, night: &Night, link: &dyn Fn(&str) -> String) -> Markup {
    let first = group.entries[0];
    let command = format!("command-{place}");
    html! {
        article {
            h3 {
                span class=(format!("word {}", first.verdict)) { (first.verdict) } ", "
                (group.entries.len()) @if group.entries.len() == 1 { " run: " } @else { " runs: " } (plain(&group.cause.to_string()))
                @match group.is_new {
                    Some(true) => { " – " strong { "new" } }
                    Some(false) => { " – known since " (former(night)) " or before" }
                    None => {}
                }
            }
            p { (visible(&first.sentence)) }
            div.command {
                pre { code id=(command) { (visible(&first.command)) } }
                button type="button" data-copy=(command) hidden { "Copy" }
            }
            p.note {
                @for entry in group.entries.iter().take(LISTED_MAX) { (name(entry, link)) " " (PreEscaped("&nbsp; ")) }
                @if group.entries.len() > LISTED_MAX { "and " (group.entries.len() - LISTED_MAX) " more" }
            }
        }
    }
}

fn name(entry: &Entry, link: &dyn Fn(&str) -> String) -> Markup {
    html! {
        @match &entry.run {
            Some(run) => a href=(link(run)) { (visible(&entry.title)) },
            None => (visible(&entry.title)),
        }
    }
}

fn figures(night: &Night) -> Markup {
    let figures = night.figures();
    let overloaded = night.entries.iter().filter(|entry| entry.is_overloaded).count();
    html! {
        section {
            h2 { "How it did" }
            @if figures.is_empty() { p { "No run was valid on a machine with time for it." } }
            @else {
                div.scroll {
                    table {
                        caption { "Medians over valid runs" }
                        thead { tr {
                            th scope="col" { "system" } th.number scope="col" { "valid runs" }
                            th.number scope="col" { "outage p50" } th.number scope="col" { "outage p99" }
                            th.number scope="col" { "ok/s" } th scope="col" { "since " (former(night)) }
                        } }
                        tbody {
                            @for (system, now) in &figures {
                                @let before = night.before.as_ref().and_then(|before| before.figures.get(system));
                                tr {
                                    td { (visible(system)) } td.number { (now.runs) }
                                    td.number { (wording::duration_or_dash(now.recovery_p50_ms)) }
                                    td.number { (wording::duration_or_dash(now.recovery_p99_ms)) }
                                    td.number { (rate(now.throughput)) }
                                    td { (moved(now, before)) }
                                }
                            }
                        }
                    }
                }
            }
            @if overloaded > 0 {
                p.note {
                    (overloaded) " of " (night.entries.len())
                    " runs are left out: the machine was too busy to measure outages (fewer clusters at once, " code { "--jobs" } ", make that better)."
                }
            }
        }
    }
}

fn rate(throughput: Option<f64>) -> String {
    throughput.map_or("–".into(), |rate| wording::grouped(rate.round() as u64))
}

fn runs(night: &Night, link: &dyn Fn(&str) -> String) -> Markup {
    html! {
        section {
            h2 { "All runs" }
            details open[night.entries.len() <= 40] {
                summary { (night.entries.len()) " runs" }
                div.scroll {
                    table {
                        thead { tr {
                            th scope="col" { "run" } th scope="col" { "verdict" } th.number scope="col" { "took" }
                            th.number scope="col" { "outage p50" } th.number scope="col" { "p99" } th.number scope="col" { "ok/s" }
                        } }
                        tbody {
                            @for entry in &night.entries {
                                tr {
                                    td { (name(entry, link)) }
                                    td {
                                        span class=(format!("word {}", entry.verdict)) { (entry.verdict) }
                                        @if entry.is_overloaded { small { "the machine was busy" } }
                                    }
                                    td.number { (wording::duration(entry.seconds * 1e3)) }
                                    td.number { (wording::duration_or_dash(entry.recovery.p50_ms)) }
                                    td.number { (wording::duration_or_dash(entry.recovery.p99_ms)) }
                                    td.number { (wording::grouped(entry.throughput.round() as u64)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
