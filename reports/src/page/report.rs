//! `report.html`: one file that opens from disk with no network, in the order in which a reader asks.
//!
//! Verdict and why; what was run and how to run it again; the evidence; the run on one time axis; what was broken and how long
//! that hurt; the figures. Everything that is drawn by the script also stands in a table, and without a script the plots are there
//! as they are in the folder.
//!
//! Whatever came from outside (names, values, errors, logs) is escaped twice: by the templates, so that it cannot become an
//! element, and when the page leaves, so that nothing in it is invisible.

use maud::{Markup, PreEscaped, html};

use super::document::document;
use super::prose::prose;
use super::series::Series;
use super::{board, evidence, node_logs, overview, tables};
use crate::measure::Operation;
use crate::node_log::{NodeLog, TermChange};
use crate::plot::Plot;
use crate::results::Results;
use crate::violation::ViolationSpan;
use crate::wording;
use crate::write::RunView;

pub(crate) const STYLE: &str = include_str!("report.css");
pub(crate) const SCRIPT: &str = include_str!("report.js");

/// What the page is made of.
pub(crate) struct ReportPage<'a> {
    /// The run.
    pub(crate) run: &'a RunView<'a>,
    /// Its operations, by places of its history.
    pub(crate) operations: &'a [Operation<'a>],
    /// The plots of the folder, for readers without a script.
    pub(crate) plots: &'a [Plot],
    /// Where the violation stands.
    pub(crate) violation: Option<ViolationSpan>,
    /// What nodes wrote around it, or before they ended by themselves.
    pub(crate) logs: &'a [NodeLog],
    /// When each term was reached, as far as nodes tell.
    pub(crate) terms: &'a [TermChange],
}

/// The whole page.
pub(crate) fn report_html(page: &ReportPage<'_>) -> String {
    let results = page.run.results;
    let title = format!("{} · {} · {}", results.verdict, results.name, results.run);
    let main = html! {
        (verdict(results))
        (facts(results))
        (evidence::section(results, page.violation))
        (overview::section(page))
        (node_logs::section(page))
        (tables::faults(page.run))
        (tables::operations(results))
        (overview::slowest(page))
        (tables::checkers(results))
    };
    let data =
        html! { script type="application/json" id="series" { (PreEscaped(Series::of(page).script())) } };
    let scripts = [&[SCRIPT][..], &overview::SCRIPTS].concat();
    document(&title, &[STYLE, board::STYLE, overview::STYLE], &main, &data, &scripts)
}

fn verdict(results: &Results) -> Markup {
    let further = wording::further_reasons(results);
    html! {
        header class=(results.verdict) {
            p.eyebrow { (results.name) " · " (results.run) }
            h1 { (wording::capitalized(&results.verdict.to_string())) " " span { (wording::verdict_meaning(results.verdict)) } }
            p.why { (prose(&wording::verdict_sentence(results))) }
            @if !further.is_empty() {
                ul { @for reason in further { li { (prose(reason)) } } }
            }
        }
    }
}

fn facts(results: &Results) -> Markup {
    let facts = [
        ("system", results.system.clone()),
        ("workload", results.workload.clone()),
        ("nodes", results.nodes.to_string()),
        ("network", results.network.clone()),
        ("seed", results.seed.to_string()),
        ("started", results.started_at.clone()),
        ("clients worked", format!("{} s", results.time_limit_s)),
        ("whole run", format!("{:.1} s", results.seconds)),
        ("throughput", format!("{} ok/s", wording::grouped(results.throughput.round() as u64))),
    ];
    let labels = results.labels.iter().map(|(name, value)| (name.as_str(), value.clone()));
    html! {
        section.facts aria-label="what was run" {
            dl {
                @for (name, value) in facts.into_iter().chain(labels) { div { dt { (name) } dd { (value) } } }
            }
            div.command {
                pre { code id="command" { (results.command) } }
                button type="button" data-copy="command" hidden { "Copy" }
            }
            @if !results.note.is_empty() { p.note { (results.note) } }
        }
    }
}

/// A plot in the page, scaled to its width.
pub(super) fn figure(plot: &Plot) -> Markup {
    html! {
        figure role="img" aria-label=(plot.caption) {
            (PreEscaped(&plot.svg))
        }
    }
}

#[cfg(test)]
mod tests {
    use rafture_checker::history::{Event, EventKind};
    use serde_json::{Value, json};

    use super::*;
    use crate::fault::FaultSpan;
    use crate::node_log::Line;
    use crate::page::{axis_tables, series};
    use crate::results::Lateness;
    use crate::{measure, plot, sample, violation};

    const MS: u64 = 1_000_000;
    const EVIL: &str = "</script><img src=x onerror=alert(1)>\0\u{1b}[31m\u{202e}../../etc";

    fn page_of(results: &Results, history: &[Event], faults: &[FaultSpan], logs: &[NodeLog]) -> String {
        let operations = measure::operations(history);
        let run = RunView { results, history, faults, leaders: &sample::leaders() };
        let end_ns = measure::end_ns(history);
        let data = plot::PlotData { results, operations: &operations, faults, leaders: run.leaders, end_ns };
        report_html(&ReportPage {
            run: &run,
            operations: &operations,
            plots: &plot::draw(data).expect("plots"),
            violation: violation::span(results),
            logs,
            terms: &[TermChange { time_ns: 5, term: 3 }],
        })
    }

    fn data(page: &str) -> Value {
        let data = page.split(r#"id="series">"#).nth(1).and_then(|rest| rest.split("</script>").next());
        serde_json::from_str(data.expect("the data")).expect("JSON")
    }

    /// Operations each 0.1 ms for 6 s, whose latency goes up and down; one of them takes 2.5 s.
    fn many(count: u64) -> Vec<Event> {
        let mut events: Vec<Event> = (0..count)
            .flat_map(|number| {
                let begin_ns = number * MS / 10;
                let latency_ns =
                    if number == count / 3 { 2_500 * MS } else { MS + number * 7_919 % (20 * MS) };
                [(begin_ns, EventKind::Invoke), (begin_ns + latency_ns, EventKind::Ok)].map(|(time, kind)| {
                    Event {
                        key: Some(json!(format!("k{}", number % 9))),
                        value: json!(number),
                        node: Some(["n1", "n2"][number as usize % 2].into()),
                        ..sample::event(time, number, kind, "write")
                    }
                })
            })
            .collect();
        events.sort_by_key(|event| event.time);
        events
    }

    /// 60,000 operations make five times as many points as are drawn.
    #[test]
    fn a_long_run_is_bounded_and_its_worst_operation_is_there_with_key_and_value() {
        let page = page_of(&sample::results(), &many(60_000), &sample::faults(), &[]);
        let data = data(&page);
        let points = &data["points"];
        let count = points["lasted"].as_array().map_or(0, Vec::len);
        assert!((1_000..=series::POINTS_MAX + series::SLOWEST_MAX).contains(&count), "{count} points");
        let worst = points["lasted"].as_array().into_iter().flatten().position(|us| *us == json!(2_500_000));
        let worst = worst.expect("the worst operation is drawn");
        assert_eq!(points["told"][worst.to_string()], json!({"key": "k2", "asked": "20000"}));
        assert_eq!(points["process"][worst], 20_000);
        let stood_for: u64 = points["count"].as_array().into_iter().flatten().filter_map(Value::as_u64).sum();
        assert!(stood_for >= 60_000, "{stood_for}");
        let table = page.split(r#"aria-label="slowest operations""#).nth(1).expect("a table");
        assert!(table.contains("2.50 s") && table.contains("k2"), "the worst is in the table, too");
        assert!(page.len() < 1_500_000, "{} bytes", page.len());
    }

    #[test]
    fn counts_of_slices_and_of_nodes_add_up_to_all() {
        let data = data(&page_of(&sample::results(), &many(6_000), &[], &[]));
        let sum =
            |column: &Value| column.as_array().into_iter().flatten().filter_map(Value::as_u64).sum::<u64>();
        assert_eq!(sum(&data["ok"]), 6_000);
        let of_nodes: Vec<_> =
            data["nodes"].as_array().into_iter().flatten().map(|node| sum(&node["served"])).collect();
        assert_eq!(of_nodes, [3_000, 3_000, 0, 0, 0]);
        assert!(data["ok"].as_array().map_or(0, Vec::len) <= 1_500);
    }

    #[test]
    fn tables_behind_the_axis_are_bounded() {
        let page = page_of(&sample::results(), &many(60_000), &sample::faults(), &[]);
        for name in ["latency and throughput", "availability of each node", "terms and leaders"] {
            let table = page.split(&format!(r#"aria-label="{name}""#)).nth(1).expect(name);
            let rows = table.split("</table>").next().unwrap_or_default().matches("<tr>").count();
            assert!((2..=axis_tables::ROWS_MAX as usize + 2).contains(&rows), "{name}: {rows} rows");
        }
        assert!(page.contains("kill@leader") && page.contains("n2, term 3"));
    }

    #[test]
    fn nothing_from_outside_can_leave_its_place_or_hide() {
        let mut history = many(2_000);
        for event in &mut history {
            (event.f, event.node) = (EVIL.into(), Some(EVIL.into()));
            (event.key, event.value, event.error) = (Some(json!(EVIL)), json!(EVIL), Some(EVIL.into()));
        }
        let mut faults = sample::faults();
        (faults[0].kind, faults[0].label, faults[0].detail) = (EVIL.into(), EVIL.into(), EVIL.into());
        (faults[0].nodes, faults[0].evidence, faults[0].error) =
            (vec![EVIL.into()], Some(EVIL.into()), Some(EVIL.into()));
        let leaders = sample::leaders();
        let measures = measure::measure(&history, &faults, &leaders);
        let results = Results {
            name: EVIL.into(),
            run: EVIL.into(),
            reasons: vec![EVIL.into()],
            command: EVIL.into(),
            labels: [(EVIL.to_owned(), EVIL.to_owned())].into(),
            recovery: measures.recovery,
            operations: measures.operations,
            latency: measures.latency,
            faults: measures.faults,
            ..sample::invalid_results()
        };
        let line = Line { time_ns: None, source: "stderr", words: EVIL.into() };
        let logs = [NodeLog { node: EVIL.into(), lines: vec![line], is_cut: false }];
        let page = page_of(&results, &history, &faults, &logs);
        assert!(!page.contains("<img"), "an element came from a text");
        let own = 2 + overview::SCRIPTS.len();
        assert_eq!(page.matches("</script>").count(), own, "a text ended a script");
        let is_hidden =
            |character: char| (character.is_control() && character != '\n') || character == '\u{202e}';
        assert!(!page.contains(is_hidden), "{:?}", page.chars().find(|character| is_hidden(*character)));
        let shown = data(&page)["names"][0]["f"].as_str().map(str::to_owned).unwrap_or_default();
        assert!(shown.contains(r"\u0000\u001b[31m\u202e"), "{shown}");
    }

    #[test]
    fn labels_are_facts_and_an_overloaded_machine_is_named() {
        let calm = page_of(&sample::results(), &sample::history(), &sample::faults(), &[]);
        assert!(calm.contains("<dt>commit</dt><dd>4f2a9c1</dd>"));
        assert!(!calm.contains("overloaded"));
        let lateness = Some(Lateness { p99_ms: 40.0, max_ms: 900.0 });
        let late = Results { lateness, ..sample::results() };
        let late = page_of(&late, &sample::history(), &sample::faults(), &[]);
        assert!(late.contains("woke up to 40.0 ms late in 99 of 100 times, and 900 ms late once"));
    }

    /// A screen reader goes from heading to heading, and from column to column by what heads it.
    #[test]
    fn headings_come_in_order_and_every_table_has_a_caption_and_scopes() {
        let line = Line { time_ns: Some(7), source: "trace", words: "became leader".into() };
        let logs = [NodeLog { node: "n1".into(), lines: vec![line], is_cut: false }];
        let page = page_of(&sample::invalid_results(), &sample::history(), &sample::faults(), &logs);
        assert!(crate::page::document::check_structure(&page) > 0);
        assert!(page.contains("What the nodes wrote around it") && page.contains("became leader"));
    }

    #[test]
    fn a_run_without_operations_has_a_page() {
        let results = Results { recovery: Default::default(), ..sample::results() };
        let page = page_of(&results, &[], &[], &[]);
        assert!(page.contains("The run on one time axis"));
        assert_eq!(data(&page)["end"], 0);
    }
}
