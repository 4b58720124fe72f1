//! What can go wrong besides a verdict, and the exit code of each.

use rafture_checker::verdict::Verdict;
use thiserror::Error;

/// Why a command did not come to a verdict. A verdict is not an error.
#[derive(Debug, Error)]
pub enum Error {
    /// Arguments or an input file are wrong: what, where, and what to try.
    #[error("{0}")]
    Input(String),
    /// The harness could not do its work: a node would not start, a fault could not be applied.
    #[error("{0}")]
    Harness(String),
}

impl Error {
    /// The process exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Input(_) => 254,
            Error::Harness(_) => Verdict::Harness.exit_code(),
        }
    }

    /// Input that is wrong.
    pub fn input(error: impl std::fmt::Display) -> Error {
        Error::Input(error.to_string())
    }

    /// A harness that failed.
    pub fn harness(error: impl std::fmt::Display) -> Error {
        Error::Harness(error.to_string())
    }
}
