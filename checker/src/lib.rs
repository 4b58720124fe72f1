//! Histories, models, checkers and verdicts: a pure library, history in, verdict out.
//!
//! It reads no files and knows no clusters, sockets, clocks or randomness. In reading order:
//!
//! - [`history`]: what the clients saw; events, and the operations that they pair up to;
//! - [`models`]: what a single copy of the object would do;
//! - [`consistency`]: what a system can promise;
//! - [`check`](mod@check): whether a history keeps a promise; each kind has a module:
//! - [`linearizability`]: whether some order of the operations explains the history;
//! - [`transactions`]: what transactions over several objects show of each other;
//! - `sessions`: the same for promises that speak of sessions only, and of weakly isolated transactions;
//! - [`online`]: the same while the history still grows;
//! - [`witness`]: whether such an order really does;
//! - [`statistics`]: what was asked and what became of it;
//! - [`trace`]: what the nodes did inside;
//! - [`invariants`]: whether that kept to Raft;
//! - [`verdict`] and [`failure`]: the one word, and the evidence for it.

pub mod check;
pub mod consistency;
pub mod failure;
pub mod history;
pub mod invariants;
pub mod linearizability;
mod lines;
pub mod models;
pub mod online;
mod sessions;
pub mod statistics;
pub mod trace;
pub mod transactions;
pub mod verdict;
pub mod witness;

pub use history::{Event, History, Operation};
pub use lines::ParseError;
pub use models::ModelKind;
pub use verdict::Verdict;
