//! Two runs side by side, with the ratio of every figure. One run is one throw: what differs by chance differs here.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use super::frame::{self, asked, visible};
use super::run_page::gone;
use super::{Server, blocking};
use crate::results::Results;
use crate::store::RunFolder;
use crate::wording;

/// From so much on, a difference stands out.
const LARGE: f64 = 0.10;

pub(super) async fn page(
    State(server): State<Arc<Server>>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    blocking(move || {
        let Some(paths) = paths(&query) else {
            return Ok(frame::failure(StatusCode::BAD_REQUEST, "Tick two runs of the list to see them side by side."));
        };
        let mut both = Vec::new();
        for path in paths {
            match read(&server, &path) {
                Ok(results) => both.push((path, results)),
                Err(response) => return Ok(*response),
            }
        }
        let (a, b) = (&both[0], &both[1]);
        let content = html! {
            h1.plain { "Side by side" }
            (facts(a, b))
            (figures(&a.1, &b.1))
            p.note { "Ratios are of the second to the first. Two runs of the same thing differ by chance; trends tell what is more than that." }
        };
        Ok(super::html(frame::page("Side by side", "", &content)))
    })
    .await
}

/// Two runs ticked in a list, or named `a` and `b`.
fn paths(query: &[(String, String)]) -> Option<[String; 2]> {
    let ticked: Vec<&String> = query.iter().filter(|(name, _)| name == "run").map(|(_, path)| path).collect();
    match ticked[..] {
        [a, b] => Some([a.clone(), b.clone()]),
        _ => Some([asked(query, "a")?.to_owned(), asked(query, "b")?.to_owned()]),
    }
}

fn read(server: &Server, path: &str) -> Result<Results, Box<Response>> {
    let folder = path.split_once('/').and_then(|(name, run)| server.folder(name, run));
    let folder = folder.ok_or_else(|| Box::new(gone(path)))?;
    let results = RunFolder::open(folder).and_then(|folder| folder.results());
    results.map_err(|error| {
        let why = format!(
            "{path} cannot be compared: {}",
            error.to_string().replace(&*server.store.to_string_lossy(), "…")
        );
        Box::new(frame::failure(StatusCode::CONFLICT, &why))
    })
}

fn facts((a_path, a): &(String, Results), (b_path, b): &(String, Results)) -> Markup {
    let label =
        |results: &Results, name: &str| results.labels.get(name).cloned().unwrap_or_else(|| "–".to_owned());
    let kinds = |results: &Results| results.faults.keys().cloned().collect::<Vec<_>>().join(", ");
    let rows = [
        ("system", a.system.clone(), b.system.clone()),
        ("workload", a.workload.clone(), b.workload.clone()),
        ("faults", kinds(a), kinds(b)),
        ("nodes", a.nodes.to_string(), b.nodes.to_string()),
        ("network", a.network.clone(), b.network.clone()),
        ("seed", a.seed.to_string(), b.seed.to_string()),
        ("commit", label(a, "commit"), label(b, "commit")),
        ("started", frame::moment(Some(&a.started_at)), frame::moment(Some(&b.started_at))),
        ("clients worked", format!("{} s", a.time_limit_s), format!("{} s", b.time_limit_s)),
    ];
    html! {
        div.scroll { table.compare {
            thead { tr { th {} @for (path, results) in [(a_path, a), (b_path, b)] {
                th { a href=(frame::run_url(path)) { (visible(&results.name)) br; (visible(&results.run)) } }
            } th {} } }
            tbody {
                tr { td { "verdict" } @for results in [a, b] { td { (frame::word(&results.verdict.to_string())) } } td {} }
                @for (name, of_a, of_b) in &rows {
                    tr { td { (name) } td { (visible(of_a)) } td { (visible(of_b)) } td.quiet { @if of_a != of_b { "differs" } } }
                }
            }
        } }
    }
}

/// A figure of both, whether more of it is worse, and how it is written.
struct Pair {
    name: String,
    a: Option<f64>,
    b: Option<f64>,
    more_is_worse: bool,
    unit: fn(f64) -> String,
}

fn figures(a: &Results, b: &Results) -> Markup {
    html! {
        h2 { "Figures" }
        div.scroll { table.compare {
            thead { tr { th {} th.number { "first" } th.number { "second" } th.number { "ratio" } } }
            tbody { @for pair in pairs(a, b) { (row(&pair)) } }
        } }
    }
}

fn pairs(a: &Results, b: &Results) -> Vec<Pair> {
    let per_second: fn(f64) -> String = |value| format!("{} ok/s", wording::grouped(value.round() as u64));
    let duration = |name: String, a: Option<f64>, b: Option<f64>| Pair {
        name,
        a,
        b,
        more_is_worse: true,
        unit: wording::duration,
    };
    let (throughput_a, throughput_b) = (Some(a.throughput), Some(b.throughput));
    let mut pairs = vec![Pair {
        name: "throughput".into(),
        a: throughput_a,
        b: throughput_b,
        more_is_worse: false,
        unit: per_second,
    }];
    let (of_a, of_b) = (&a.recovery.all, &b.recovery.all);
    pairs.push(duration("recovery p50".into(), of_a.p50_ms, of_b.p50_ms));
    pairs.push(duration("recovery p99".into(), of_a.p99_ms, of_b.p99_ms));
    pairs.push(duration("recovery max".into(), of_a.max_ms, of_b.max_ms));
    let kinds: BTreeSet<&String> = a.recovery.by_fault.keys().chain(b.recovery.by_fault.keys()).collect();
    for kind in kinds {
        let [of_a, of_b] =
            [a, b].map(|results| results.recovery.by_fault.get(kind).and_then(|outage| outage.p50_ms));
        pairs.push(duration(format!("recovery p50 of {kind}"), of_a, of_b));
    }
    let operations: BTreeSet<&String> = a.latency.keys().chain(b.latency.keys()).collect();
    for f in operations {
        let [of_a, of_b] = [a, b].map(|results| results.latency.get(f));
        pairs.push(duration(format!("{f} p50"), of_a.map(|f| f.p50_ms), of_b.map(|f| f.p50_ms)));
        pairs.push(duration(format!("{f} p99"), of_a.map(|f| f.p99_ms), of_b.map(|f| f.p99_ms)));
        pairs.push(duration(format!("{f} p99.9"), of_a.map(|f| f.p999_ms), of_b.map(|f| f.p999_ms)));
    }
    pairs
}

fn row(pair: &Pair) -> Markup {
    let written = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), pair.unit);
    let ratio = pair.a.zip(pair.b).filter(|(a, _)| *a > 0.0).map(|(a, b)| b / a);
    let class = match ratio {
        Some(ratio) if (ratio - 1.0).abs() < LARGE => "number",
        Some(ratio) if (ratio > 1.0) == pair.more_is_worse => "number word invalid",
        Some(_) => "number word valid",
        None => "number",
    };
    html! {
        tr {
            td { (visible(&pair.name)) } td.number { (written(pair.a)) } td.number { (written(pair.b)) }
            td class=(class) { (ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}×"))) }
        }
    }
}
