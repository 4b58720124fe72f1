//! What the reads and writes of a history tell, whatever the objects are.

use super::anomaly::Anomalies;
use super::graph::Edges;
use crate::history::Datum;

/// What was inferred.
#[derive(Debug)]
pub(super) struct Inferred {
    pub(super) edges: Edges,
    /// Whether each transaction is known to have happened: those that are `ok`, and uncertain ones that somebody saw.
    pub(super) committed: Vec<bool>,
    /// What is wrong without any cycle.
    pub(super) anomalies: Anomalies,
    /// The first object of which nothing could be told.
    pub(super) unclear: Option<Unclear>,
}

impl Default for Inferred {
    fn default() -> Inferred {
        Inferred {
            edges: Edges::among(0),
            committed: Vec::new(),
            anomalies: Anomalies::default(),
            unclear: None,
        }
    }
}

/// A value that was written twice, so that whoever read it does not say whose it was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unclear {
    pub(super) key: u32,
    pub(super) value: Datum,
}
