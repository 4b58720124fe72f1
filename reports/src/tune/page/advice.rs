//! The beginning of the page: what to configure and what comes of it, or why there is no advice.

use maud::{Markup, html};

use super::{Column, Row, Table, text};
use crate::page::prose::prose;
use crate::tune::words;
use crate::tune::{Configuration, Recommendation, Tuning};
use crate::wording::duration;

pub(super) fn section(tuning: &Tuning) -> Markup {
    html! {
        @match (&tuning.recommendation, &tuning.unmet) {
            (Some(advice), _) => (recommended(tuning, advice)),
            (None, Some(unmet)) => (not_met(tuning, unmet)),
            (None, None) => (measured(tuning)),
        }
        @for warning in &tuning.warnings { p.warning role="note" { (prose(warning)) } }
        (terms())
    }
}

fn eyebrow(tuning: &Tuning) -> Markup {
    html! {
        p.eyebrow {
            "Election timeouts of " (tuning.system) " · " (tuning.nodes) " nodes · " (tuning.network.words)
        }
    }
}

fn recommended(tuning: &Tuning, advice: &Recommendation) -> Markup {
    html! {
        header.valid {
            (eyebrow(tuning))
            h1 {
                "Election timeout " (words::timeout(&advice.timing)) " "
                span { "heartbeat " (words::heartbeat(&advice.timing)) }
            }
            p.why { (prose(&advice.reason)) }
            (target(tuning))
        }
        section aria-label="what to configure" {
            div.advice {
                @for (place, configuration) in advice.configuration.iter().enumerate() { (lines(place, configuration)) }
            }
            (bill(tuning, advice))
            (checks(tuning))
        }
    }
}

fn target(tuning: &Tuning) -> Markup {
    html! {
        @if let Some(target) = tuning.target { p.note { "What was wanted: " (words::target(target)) "." } }
    }
}

/// The lines of one system, in a block that can be copied as it is.
fn lines(place: usize, configuration: &Configuration) -> Markup {
    let id = format!("lines-{place}");
    html! {
        div {
            h2 { (configuration.system) }
            div.command {
                pre { code id=(id) { (unbroken(&configuration.lines.join("\n"))) } }
                button type="button" data-copy=(id) aria-label=(format!("Copy the lines for {}", configuration.system)) hidden { "Copy" }
            }
            @if let Some(note) = &configuration.note { p.note { (prose(note)) } }
        }
    }
}

/// Text whose lines are broken between words only. What is copied is the text.
fn unbroken(text: &str) -> Markup {
    let is_gap = |letter: char| letter == ' ' || letter == '\n';
    html! {
        @for part in text.split_inclusive(is_gap) {
            @let word = part.trim_end_matches(is_gap);
            span.whole { (word) } (part[word.len()..])
        }
    }
}

/// What it buys and what it costs, in three figures.
fn bill(tuning: &Tuning, advice: &Recommendation) -> Markup {
    let candidate = tuning.candidates.get(advice.candidate);
    let p99 = candidate.map(crate::tune::Candidate::outage_p99_interval).filter(|ends| *ends != [None, None]);
    let rate = candidate.and_then(crate::tune::Candidate::false_elections_interval);
    let often = advice.false_elections_per_hour;
    html! {
        dl.bill {
            div {
                dt { "half of a leader's failures are over for writes after" }
                dd { (duration(advice.outage_p50_ms)) }
            }
            div {
                dt { "99 of 100 of them are over after" }
                dd {
                    (duration(advice.outage_p99_ms))
                    @if let Some(ends) = p99 { small { "the true figure: " (words::interval(ends)) ", 95 %" } }
                }
            }
            div {
                dt { "a leader that is well loses its place" }
                dd {
                    @if often <= 0.0 { "never seen" } @else { (words::rate(often)) }
                    @if let Some([low, high]) = rate { small { "the true rate: " (between(low, high)) ", 95 %" } }
                }
            }
        }
    }
}

/// A rate between two others, in words.
fn between(low: f64, high: f64) -> String {
    match low {
        low if low <= 0.0 => format!("at most {}", words::rate(high)),
        low => format!("between {} and {}", words::rate(low), words::rate(high)),
    }
}

fn checks(tuning: &Tuning) -> Markup {
    let rows = tuning.checks.iter().map(|check| {
        let word = if check.met {
            html! { span.met { "met" } }
        } else {
            html! { span.unmet { "not met" } }
        };
        Row::of(vec![
            text(check.seed.to_string()),
            text(check.source.name()),
            text(words::measured(tuning.target, check.measured)),
            word,
        ])
    });
    let columns = [
        Column::Figure("seed"),
        Column::Words("source"),
        Column::Figure("measured"),
        Column::Words("target"),
    ];
    html! {
        @if let Some(sentence) = words::checks(tuning) {
            p.lead { (sentence) }
            (Table { caption: "Fresh runs of what is recommended", columns: &columns, rows: rows.collect() }.folded("Run by run"))
        }
    }
}

fn not_met(tuning: &Tuning, unmet: &str) -> Markup {
    html! {
        header.vacuous {
            (eyebrow(tuning))
            h1 { "No advice " span { "no candidate meets the target" } }
            p.why { (prose(unmet)) }
            (target(tuning))
        }
        (checks(tuning))
    }
}

fn measured(tuning: &Tuning) -> Markup {
    html! {
        header.plain {
            (eyebrow(tuning))
            h1 { "Measured " span { "no target was given, so nothing is recommended" } }
            (target(tuning))
        }
        (checks(tuning))
    }
}

/// Words of the field, half a sentence each.
fn terms() -> Markup {
    let terms = [
        ("heartbeat", "how often a leader tells the others that it is there"),
        (
            "election timeout",
            "how long a member hears nothing before it stands for leader; each draws its own from the range, so that not all stand at once",
        ),
        (
            "outage",
            "from the failure of a leader until a write succeeds again; p50 is half of the failures, p99 is 99 of 100",
        ),
        (
            "split vote",
            "a term in which members stood for leader and nobody got a majority, so that another must follow",
        ),
        ("false election", "an election although the leader was well: its heartbeats came too late"),
    ];
    html! {
        details {
            summary { "What the words mean" }
            dl.terms { @for (term, meaning) in terms { div { dt { (term) } dd { (meaning) } } } }
        }
    }
}
