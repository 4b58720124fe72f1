//! All reports of a run, in one call.
//!
//! Everything is rendered before anything is written, each file replaces its predecessor whole, and `report.html` comes last:
//! where it stands, the rest stands too.

use rafture_checker::history::{Event, History};

use crate::fault::{FaultSpan, LeaderChange};
use crate::junit;
use crate::measure;
use crate::node_log::{self, NodeLog};
use crate::page::{self, Counterexample, ReportPage};
use crate::plot::{self, PlotData, RenderError};
use crate::results::Results;
use crate::store::{RunFolder, StoreError};
use crate::violation::{self, ViolationSpan};

/// What reports are made of.
#[derive(Debug, Clone, Copy)]
pub struct RunView<'a> {
    /// The figures and the verdict.
    pub results: &'a Results,
    /// Every event, in order.
    pub history: &'a [Event],
    /// The spans of the ledger.
    pub faults: &'a [FaultSpan],
    /// Who became leader when, in order of time.
    pub leaders: &'a [LeaderChange],
}

/// A report that could not be made. It never changes a verdict.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A file could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A plot could not be drawn.
    #[error(transparent)]
    Render(#[from] RenderError),
}

/// Writes `results.json`.
pub fn write_results(folder: &RunFolder, results: &Results) -> Result<(), StoreError> {
    let mut json = serde_json::to_vec_pretty(results).expect("results are plain data with text keys");
    json.push(b'\n');
    folder.write_atomic("results.json", &json)
}

/// Writes everything but `results.json`: plots, `counterexample.html` where there is one, `summary.md`, `junit.xml`,
/// `report.html`.
pub fn write_reports(folder: &RunFolder, run: &RunView<'_>) -> Result<(), ReportError> {
    let operations = measure::operations(run.history);
    let plots = plot::draw(PlotData {
        results: run.results,
        operations: &operations,
        faults: run.faults,
        leaders: run.leaders,
        end_ns: measure::end_ns(run.history),
    })?;
    let counterexample = counterexample(run);
    let summary = page::summary_markdown(run.results);
    let violation = violation::span(run.results);
    let report = page::report_html(&ReportPage {
        run,
        operations: &operations,
        plots: &plots,
        violation,
        logs: &logs(folder, run.results, violation),
        terms: &node_log::terms(folder.path(), run.results),
    });
    for name in plot::NAMES {
        if !plots.iter().any(|plot| plot.name == name) {
            folder.remove(&format!("plots/{name}.svg"))?;
            folder.remove(&format!("plots/{name}.png"))?;
        }
    }
    for plot in &plots {
        folder.write_atomic(&format!("plots/{}.svg", plot.name), plot.svg.as_bytes())?;
        folder.write_atomic(&format!("plots/{}.png", plot.name), &plot.png)?;
    }
    match counterexample {
        Some(page) => folder.write_atomic(COUNTEREXAMPLE, page.as_bytes())?,
        None => folder.remove(COUNTEREXAMPLE)?,
    }
    folder.write_atomic("summary.md", summary.as_bytes())?;
    folder.write_atomic("junit.xml", junit::run(run.results).as_bytes())?;
    folder.write_atomic("report.html", report.as_bytes())?;
    Ok(())
}

/// What nodes wrote around a violation; without one, what those wrote last that ended by themselves.
fn logs(folder: &RunFolder, results: &Results, violation: Option<ViolationSpan>) -> Vec<NodeLog> {
    match violation {
        Some(span) => node_log::around(folder.path(), results, span.moment_ns),
        None => node_log::last_lines(folder.path(), &violation::crashed_nodes(results)),
    }
}

/// Name of the page that only a run has that is invalid by a history of its clients.
pub(crate) const COUNTEREXAMPLE: &str = "counterexample.html";

fn counterexample(run: &RunView<'_>) -> Option<String> {
    let results = run.results;
    let failures = results.failures();
    let (checker, failure) = failures.first()?;
    // What the checker could read is a history; if another version could not, the rest of the report still stands.
    let history = History::of(run.history).ok()?;
    let facts = [
        ("system", results.system.clone()),
        ("workload", results.workload.clone()),
        ("found by", (*checker).to_owned()),
        ("operations", history.operations.len().to_string()),
        ("seed", results.seed.to_string()),
    ];
    Some(page::counterexample_html(&Counterexample {
        title: &format!("{} · {}", results.name, results.run),
        verdict: results.verdict,
        facts: &facts,
        reason: None,
        failure: Some(failure),
        history: &history,
        faults: run.faults,
        command: Some(&results.command),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn written(results: &Results) -> (tempfile::TempDir, RunFolder) {
        let store = tempfile::tempdir().expect("a temp folder");
        write_results(&in_folder(&store), results).expect("results");
        let folder = RunFolder::open(store.path()).expect("results make a run");
        rewrite(&folder, results);
        (store, folder)
    }

    fn in_folder(folder: &tempfile::TempDir) -> RunFolder {
        std::fs::write(folder.path().join("plan.json"), "{}").expect("a plan");
        RunFolder::open(folder.path()).expect("a plan makes a run")
    }

    fn rewrite(folder: &RunFolder, results: &Results) {
        let view = RunView {
            results,
            history: &sample::history(),
            faults: &sample::faults(),
            leaders: &sample::leaders(),
        };
        write_reports(folder, &view).expect("reports");
    }

    #[test]
    fn results_come_back_as_they_were() {
        let results = sample::invalid_results();
        let (_store, folder) = written(&results);
        assert_eq!(folder.results().expect("stored results"), results);
    }

    /// No address, no file, no import: the only `http://` is the name of the SVG namespace.
    #[test]
    fn the_page_refers_to_nothing_outside_itself() {
        let (_store, folder) = written(&sample::invalid_results());
        let page = folder.read("report.html").expect("a page");
        let page = page.replace(r#"xmlns="http://www.w3.org/2000/svg""#, "");
        // What lies beside it may be gone, and nothing is missing then.
        let page = page.replace(r#"href="counterexample.html""#, "");
        // Places of the page itself: stretches of its time axis, and what its drawing refers to.
        let page = page.replace(r##"href="#t="##, "").replace("url(#fade)", "").replace("url(#arrow)", "");
        for outside in ["http://", "https://", "src=", "href=", "url(", "@import", "<link"] {
            assert!(!page.contains(outside), "the page contains `{outside}`");
        }
    }

    #[test]
    fn the_page_tells_the_verdict_before_the_evidence_before_the_plots() {
        let (_store, folder) = written(&sample::invalid_results());
        let page = folder.read("report.html").expect("a page");
        let places: Vec<usize> = [
            "<h1>Invalid",
            "Process 4 read x = 3 after 4 had been written",
            "--seed 7",
            "What cannot be explained",
            "no order explains this",
            "The run on one time axis",
            "Latency and throughput as a table",
            "What was broken",
            "the pid is gone",
            "The slowest operations",
        ]
        .into_iter()
        .map(|words| page.find(words).unwrap_or_else(|| panic!("the page lacks `{words}`")))
        .collect();
        assert!(places.is_sorted(), "{places:?}");
    }

    #[test]
    fn a_drawing_of_an_earlier_report_does_not_outlive_it() {
        let (_store, folder) = written(&sample::invalid_results());
        for file in ["plots/violation.svg", "counterexample.html"] {
            folder.read(file).expect("a violation is drawn");
        }
        rewrite(&folder, &sample::results());
        for file in ["plots/violation.svg", "counterexample.html"] {
            folder.read(file).expect_err("a valid run has none");
        }
    }
}
