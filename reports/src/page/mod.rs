//! Pages for people: `report.html` for the one who looks into a run, `counterexample.html` for the one who does not believe an
//! invalid verdict, `summary.md` for the one who skims a CI job.

mod board;
mod counterexample;
mod evidence;
mod markdown;
mod report;
mod tables;
mod timeline;

pub use counterexample::{Counterexample, counterexample_html};
pub(crate) use markdown::summary_markdown;
pub(crate) use report::{STYLE, report_html};
