//! Pages for people: `report.html` for the one who looks into a run, `counterexample.html` for the one who does not believe an
//! invalid verdict, `summary.md` for the one who skims a CI job.

mod axis_tables;
mod board;
mod counterexample;
pub(crate) mod document;
mod embed;
mod evidence;
mod markdown;
mod node_logs;
mod outages;
mod overview;
pub(crate) mod prose;
mod report;
mod series;
mod tables;
mod timeline;

pub use counterexample::{Counterexample, counterexample_html};
pub(crate) use document::document;
pub(crate) use markdown::summary_markdown;
pub(crate) use report::{ReportPage, SCRIPT, STYLE, report_html};
