//! A night in words: Markdown for the summary page of a CI job, and a few lines for a terminal.

use std::fmt::Write;

use rafture_checker::verdict::Verdict;

use super::{Canary, Figures, Group, Night};
use crate::text_drawing::plain;
use crate::wording;

/// As many runs of one cause are listed.
const LISTED_MAX: usize = 5;
/// All verdicts, as they are counted.
const VERDICTS: [Verdict; 5] =
    [Verdict::Invalid, Verdict::Harness, Verdict::Unknown, Verdict::Vacuous, Verdict::Valid];

/// The night as GitHub-flavoured Markdown.
pub fn markdown(night: &Night) -> String {
    let mut text = format!(
        "## {}, {}: **{}**\n\n{}\n\n",
        cell(&night.name),
        cell(&night.night),
        night.verdict(),
        sentence(night)
    );
    for canary in &night.canaries {
        let _ = writeln!(text, "- {}", canary_words(canary));
    }
    let _ = writeln!(text);
    let groups = night.groups();
    if !groups.is_empty() {
        let _ = writeln!(
            text,
            "### What failed\n\n| cause | runs | new | first of them | repeat it |\n|---|--:|---|---|---|"
        );
    }
    for group in &groups {
        let first = group.entries[0];
        let place =
            first.run.as_deref().map_or_else(|| cell(&first.sentence), |run| format!("`{}`", code(run)));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {place} | `{}` |",
            cell(&group.cause.to_string()),
            group.entries.len(),
            new_words(group),
            code(&first.command)
        );
    }
    if !groups.is_empty() {
        let _ = writeln!(text);
    }
    for group in &groups {
        details(&mut text, group);
    }
    for cause in night.gone() {
        let _ = writeln!(text, "- gone since {}: {}", former(night), cell(&cause.to_string()));
    }
    figures(&mut text, night);
    text
}

fn details(text: &mut String, group: &Group<'_>) {
    let _ = writeln!(text, "<details><summary>{}</summary>\n", escaped(&group.cause.to_string()));
    for entry in group.entries.iter().take(LISTED_MAX) {
        let run = entry.run.as_deref().unwrap_or("no run");
        let _ = writeln!(
            text,
            "- {}: {} (`{}`)\n\n  ```sh\n  {}\n  ```",
            cell(&entry.title),
            cell(&entry.sentence),
            code(run),
            plain(&entry.command)
        );
    }
    let more = group.entries.len().saturating_sub(LISTED_MAX);
    if more > 0 {
        let _ = writeln!(text, "- and {more} more");
    }
    let _ = writeln!(text, "\n</details>\n");
}

fn figures(text: &mut String, night: &Night) {
    let figures = night.figures();
    if figures.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "### How it did\n\n| system | valid runs | outage p50 | p99 | ok/s | since {} |\n|---|--:|--:|--:|--:|---|",
        former(night)
    );
    for (system, now) in &figures {
        let before = night.before.as_ref().and_then(|before| before.figures.get(system));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            cell(system),
            now.runs,
            wording::duration_or_dash(now.recovery_p50_ms),
            wording::duration_or_dash(now.recovery_p99_ms),
            now.throughput.map_or("–".into(), |rate| wording::grouped(rate.round() as u64)),
            moved(now, before)
        );
    }
    let overloaded = night.entries.iter().filter(|entry| entry.is_overloaded).count();
    if overloaded > 0 {
        let _ = writeln!(
            text,
            "\n{overloaded} of {} runs are left out of these figures: the machine was too busy to measure outages (hint: fewer `--jobs`).",
            night.entries.len()
        );
    }
}

pub(super) fn moved(now: &Figures, before: Option<&Figures>) -> String {
    let Some(before) = before else {
        return "–".into();
    };
    let change = |name: &str, now: Option<f64>, before: Option<f64>| {
        let (now, before) = now.zip(before).filter(|(_, before)| *before > 0.0)?;
        Some(format!("{name} {:+.0} %", 100.0 * (now / before - 1.0)))
    };
    let changes = [
        change("outage p50", now.recovery_p50_ms, before.recovery_p50_ms),
        change("p99", now.recovery_p99_ms, before.recovery_p99_ms),
        change("ok/s", now.throughput, before.throughput),
    ];
    changes.into_iter().flatten().collect::<Vec<String>>().join(", ")
}

pub(super) fn former(night: &Night) -> &str {
    night.before.as_ref().map_or("the night before", |before| &before.night)
}

fn new_words(group: &Group<'_>) -> &'static str {
    match group.is_new {
        None => "–",
        Some(true) => "**new**",
        Some(false) => "known",
    }
}

pub(super) fn canary_words(canary: &Canary) -> String {
    let tries = if canary.tries == 1 { "1 run".to_owned() } else { format!("{} runs", canary.tries) };
    match canary.is_found {
        true => format!("canary `{}` was found in {tries}: {}", canary.defect, cell(&canary.sentence)),
        false => format!(
            "canary `{}` survived {tries}: a night like this one proves nothing (`{}`)",
            canary.defect,
            code(&canary.command)
        ),
    }
}

/// What ran, in a sentence.
pub(super) fn sentence(night: &Night) -> String {
    let counts = VERDICTS.map(|verdict| (verdict, night.count(verdict)));
    let counts: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(verdict, count)| format!("{count} {verdict}"))
        .collect();
    let mut text = format!("{} of {} runs", night.entries.len(), night.share);
    if night.share < night.cells {
        let _ = write!(text, " (this share of {})", night.cells);
    }
    if !counts.is_empty() {
        let _ = write!(text, ": {}", counts.join(", "));
    }
    text.push('.');
    if let Some(stopped) = &night.stopped {
        let _ = write!(text, " {stopped}.");
    }
    text
}

/// The night for a terminal.
pub fn terminal(night: &Night) -> String {
    let mut text = format!(
        "{} {}: {}\n  {}\n",
        plain(&night.name),
        plain(&night.night),
        night.verdict(),
        sentence(night)
    );
    for canary in &night.canaries {
        let _ = writeln!(text, "  {}", plain(&canary_words(canary)));
    }
    for group in night.groups() {
        let new = if group.is_new == Some(true) { ", new" } else { "" };
        let first = group.entries[0];
        let _ = writeln!(text, "\n  {} × {}{new}", group.entries.len(), plain(&group.cause.to_string()));
        let _ = writeln!(text, "    {}", plain(&first.sentence));
        if let Some(run) = &first.run {
            let _ = writeln!(text, "    {}", plain(run));
        }
        let _ = writeln!(text, "    {}", plain(&first.command));
    }
    for cause in night.gone() {
        let _ = writeln!(text, "\n  gone since {}: {}", former(night), plain(&cause.to_string()));
    }
    for (system, now) in night.figures() {
        let before = night.before.as_ref().and_then(|before| before.figures.get(&system));
        let since = before.map(|before| format!(" (since {}: {})", former(night), moved(&now, Some(before))));
        let _ = writeln!(
            text,
            "\n  {}: outage p50 {}, p99 {} over {} valid runs{}",
            plain(&system),
            wording::duration_or_dash(now.recovery_p50_ms),
            wording::duration_or_dash(now.recovery_p99_ms),
            now.runs,
            since.unwrap_or_default()
        );
    }
    text
}

/// Text for a piece of code within a line, where nothing is markup but its end.
fn code(text: &str) -> String {
    plain(text).replace('|', "\\|").replace('`', "'")
}

/// Text that cannot end a table cell, a line or a piece of code, and is no HTML.
fn cell(text: &str) -> String {
    escaped(text).replace('|', "\\|").replace('`', "'")
}

fn escaped(text: &str) -> String {
    plain(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
