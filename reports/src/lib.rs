//! The run store, measures, plots and pages: what is left of a run, for people and for scripts.
//!
//! In reading order: `results` is the record, `fault` the spans on its time axis, `measure` the figures,
//! `store` the folders, `plot` the pictures, `page`, `terminal` and `text_drawing` the words, `write` the one call for all of it. Of
//! many runs: `index` is the table of them, `trend` what changed over time, `web` the pages in a browser.

pub mod fault;
pub mod index;
pub mod measure;
mod page;
pub mod plot;
pub mod results;
pub mod store;
pub mod terminal;
pub mod text_drawing;
pub mod trend;
pub mod web;
mod wording;
mod write;

pub use fault::{FaultSpan, LeaderChange};
pub use index::Index;
pub use page::{Counterexample, counterexample_html};
pub use results::Results;
pub use store::{RunFolder, Store};
pub use write::{ReportError, RunView, write_reports, write_results};

#[cfg(test)]
mod sample;
