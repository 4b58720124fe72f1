//! Figures over commits, with the places where they became others for good.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use maud::{Markup, html};

use super::chart::{Chart, Line};
use super::frame::{self, asked, encoded, visible};
use super::list::rate;
use super::{Server, blocking};
use crate::index::{Sample, Setting};
use crate::trend::{self, Change};
use crate::wording;

/// A figure that is drawn.
struct Figure {
    name: &'static str,
    of: fn(&Sample) -> Option<f64>,
    unit: fn(f64) -> String,
    /// Whether more is worse.
    more_is_worse: bool,
}

const FIGURES: [Figure; 4] = [
    Figure {
        name: "Recovery p50",
        of: |run| run.recovery_p50_ms,
        unit: wording::duration,
        more_is_worse: true,
    },
    Figure {
        name: "Recovery p99",
        of: |run| run.recovery_p99_ms,
        unit: wording::duration,
        more_is_worse: true,
    },
    Figure { name: "Throughput", of: |run| run.throughput, unit: per_second, more_is_worse: false },
    Figure {
        name: "Latency p99",
        of: |run| run.latency_p99_ms,
        unit: wording::duration,
        more_is_worse: true,
    },
];

fn per_second(value: f64) -> String {
    format!("{} ok/s", rate(Some(value)))
}

/// The runs of one commit, or of one day.
struct Point<'a> {
    commit: &'a str,
    is_commit: bool,
    runs: Vec<&'a Sample>,
}

pub(super) async fn page(
    State(server): State<Arc<Server>>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    blocking(move || {
        let (settings, chosen, samples, overloaded) = server.ask(|index| {
            let settings = index.settings()?;
            let chosen = chosen(&settings, &query);
            let samples = chosen.as_ref().map(|setting| index.samples(setting)).transpose()?;
            let overloaded = chosen.as_ref().map(|setting| index.overloaded(setting)).transpose()?;
            Ok((settings, chosen, samples.unwrap_or_default(), overloaded.unwrap_or(0)))
        })?;
        let points = points(&samples);
        let content = html! {
            h1.plain { "Trends" }
            (choice(&settings, chosen.as_ref()))
            @match &chosen {
                None => p.lead { "There are no runs with figures to compare: finished, valid or unknown, on a machine that was not overloaded." },
                Some(_) => {
                    p.note {
                        (wording::grouped(samples.len() as u64)) " runs, valid or unknown, of " (points.len()) " "
                        (unit(&points)) ". Each point is the median of its runs, the line through it their range."
                        @if overloaded > 0 { " Left out: " (overloaded) " on an overloaded machine." }
                    }
                    @for figure in &FIGURES { (section(figure, &points)) }
                    (promise())
                },
            }
        };
        Ok(super::html(frame::page("Trends", "/trends", &content)))
    })
    .await
}

/// What was asked for, or else what was run most often.
fn chosen(settings: &[Setting], query: &[(String, String)]) -> Option<Setting> {
    let is_asked = |setting: &&Setting| {
        let of = |name: &str, value: &str| {
            query.iter().rev().find(|(key, _)| key == name).is_none_or(|(_, asked)| asked == value)
        };
        of("system", &setting.system)
            && of("workload", &setting.workload)
            && of("faults", &setting.faults)
            && of("recipe", &setting.recipe)
            && asked(query, "nodes").is_none_or(|nodes| nodes == setting.nodes.to_string())
    };
    settings.iter().find(is_asked).cloned()
}

fn choice(settings: &[Setting], chosen: Option<&Setting>) -> Markup {
    let others = settings.len() - usize::from(chosen.is_some());
    html! {
        @if let Some(setting) = chosen { p.lead { (title(setting)) } p.note { code { (visible(&setting.recipe)) } } }
        @if others > 0 {
            details open[chosen.is_none()] {
                summary { "What else was run (" (others) ")" }
                ul.choice {
                    @for setting in settings {
                        li { a href=(url(setting)) aria-current=[(chosen == Some(setting)).then_some("true")] {
                            (title(setting)) small { (wording::grouped(setting.runs)) " runs of " (visible(&setting.recipe)) }
                        } }
                    }
                }
            }
        }
    }
}

fn title(setting: &Setting) -> String {
    let faults = frame::words(Some(&setting.faults));
    let (system, workload) = (visible(&setting.system), visible(&setting.workload));
    format!("{system} · {workload} · {} nodes · faults: {faults}", setting.nodes)
}

fn url(setting: &Setting) -> String {
    let Setting { system, workload, faults, nodes, recipe, .. } = setting;
    let [system, workload, faults, recipe] = [system, workload, faults, recipe].map(|text| encoded(text));
    format!("/trends?system={system}&workload={workload}&faults={faults}&nodes={nodes}&recipe={recipe}")
}

/// Commits in the order in which they were first run.
fn points(samples: &[Sample]) -> Vec<Point<'_>> {
    let mut places = BTreeMap::<&str, usize>::new();
    let mut points: Vec<Point<'_>> = Vec::new();
    for sample in samples {
        let place = *places.entry(&sample.commit).or_insert(points.len());
        if place == points.len() {
            points.push(Point { commit: &sample.commit, is_commit: sample.is_commit, runs: Vec::new() });
        }
        points[place].runs.push(sample);
    }
    points
}

fn unit(points: &[Point<'_>]) -> &'static str {
    match (points.iter().any(|point| point.is_commit), points.iter().all(|point| point.is_commit)) {
        (_, true) => "commits",
        (false, false) => "days",
        (true, false) => "commits and days without one",
    }
}

fn section(figure: &Figure, points: &[Point<'_>]) -> Markup {
    let values: Vec<Vec<f64>> =
        points.iter().map(|point| point.runs.iter().filter_map(|run| (figure.of)(run)).collect()).collect();
    let changes = trend::changes(&values);
    let labels: Vec<String> = points.iter().map(|point| frame::short(point.commit)).collect();
    let medians = values.iter().map(|values| trend::median(values)).collect();
    let ranges: Vec<Option<(f64, f64)>> = values
        .iter()
        .map(|values| {
            let [low, high] = [f64::min, f64::max].map(|pick| values.iter().copied().reduce(pick));
            low.zip(high)
        })
        .collect();
    let marks: Vec<(usize, bool)> =
        changes.iter().map(|change| (change.at, is_worse(figure, change))).collect();
    let chart = Chart {
        caption: figure.name,
        labels: &labels,
        lines: &[Line { name: figure.name, class: "a", values: medians }],
        ranges: &ranges,
        marks: &marks,
        bands: &[],
        unit: figure.unit,
    };
    html! {
        section.trend {
            h2 { (figure.name) }
            @if values.iter().all(Vec::is_empty) {
                p.note { "No run has this figure." }
            } @else {
                (chart.svg())
                @if changes.is_empty() { p.note { "No change that chance does not explain." } }
                @else { ul.changes { @for change in &changes { (sentence(figure, change, points)) } } }
            }
        }
    }
}

fn is_worse(figure: &Figure, change: &Change) -> bool {
    (change.ratio() > 1.0) == figure.more_is_worse
}

fn sentence(figure: &Figure, change: &Change, points: &[Point<'_>]) -> Markup {
    let worse = is_worse(figure, change);
    let percent = (change.ratio() - 1.0).abs() * 100.0;
    let direction = if change.ratio() > 1.0 { "more" } else { "less" };
    let commit = |place: usize| html! { code title=(visible(points[place].commit)) { (frame::short(points[place].commit)) } };
    html! {
        li {
            span class=(if worse { "word invalid" } else { "word valid" }) { (if worse { "Worse" } else { "Better" }) }
            " from " (commit(change.at)) " on, after " (commit(change.at.saturating_sub(1))) ": "
            (format!("{percent:.0} % {direction}")) ", " ((figure.unit)(change.before)) " before and " ((figure.unit)(change.after)) " since. "
            span.quiet { "Between equal commits so much happens once in " (once_in(change.chance)) " looks; sure with " (commit(change.found)) "." }
        }
    }
}

fn once_in(chance: f64) -> String {
    match 1.0 / chance {
        many if many < 1e9 => wording::grouped(many.round() as u64),
        _ => "a thousand million".to_owned(),
    }
}

fn promise() -> Markup {
    html! {
        p.note {
            "A change is marked where the ranks of the last 3, 5 or 8 points and of those before them differ as they would between equal ones at most once in "
            (once_in(trend::ALPHA)) " looks, and by " (format!("{:.0}", trend::EFFECT_MIN * 100.0)) " % or more. "
            "False alarms: at most " (trend::FALSE_ALARMS) " on average in " (trend::NIGHTS)
            " points of equal runs, for each figure. A recovery that is 30 % slower is found within five nights where figures scatter by a tenth and a night has five runs; "
            "docs/index.md has what it takes otherwise. A change of machine is a change."
        }
    }
}
