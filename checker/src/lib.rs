//! Histories, models, checkers and verdicts: a pure library, history in, verdict out.

pub mod failure;
pub mod history;
pub mod trace;
pub mod verdict;
