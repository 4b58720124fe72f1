//! The run store, measures, plots and pages: what is left of a run, for people and for scripts.
//!
//! In reading order: `results` is the record, `fault` the spans on its time axis, `measure` the figures,
//! `store` the folders, `node_log` what nodes wrote, `violation` where one stands on the time axis, `plot` the pictures, `page`, `terminal`
//! and `text_drawing` the words, `junit` what a CI server reads, `write` the one call for all of it. Of many runs:
//! `campaign` is a night of them, `index` the table of all, `trend` what changed over time, `web` the pages in a browser. Beside runs: `tune`
//! is what election timeouts buy and cost.

pub mod campaign;
pub mod fault;
pub mod index;
pub mod junit;
pub mod measure;
mod node_log;
mod page;
pub mod plot;
pub mod results;
pub mod store;
pub mod terminal;
pub mod text_drawing;
pub mod trend;
pub mod tune;
mod violation;
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
