//! Pages for people: `report.html` for the one who looks into a run, `summary.md` for the one who skims a CI job.

mod evidence;
mod markdown;
mod report;
mod tables;

pub(crate) use markdown::summary_markdown;
pub(crate) use report::report_html;
