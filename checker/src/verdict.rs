//! The one word that a run or a check ends with, its order and its exit code.
//!
//! A verdict is a value, never an error: a checker that gave up says `unknown`, it does not fail.

use serde::{Deserialize, Serialize};

/// What was found, from best to worst: `a.max(b)` is the verdict of two parts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every checker that ran says so, and the run was not vacuous.
    Valid,
    /// The run proves nothing: some kind of operation never succeeded, or a fault did not bite.
    Vacuous,
    /// A checker gave up (time, memory) and nothing else found a violation.
    Unknown,
    /// The harness failed: a node would not start, a fault could not be applied.
    Harness,
    /// A violation was found.
    Invalid,
}

impl Verdict {
    /// The process exit code that stands for this verdict.
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Valid => 0,
            Verdict::Invalid => 1,
            Verdict::Unknown => 2,
            Verdict::Vacuous => 3,
            Verdict::Harness => 4,
        }
    }

    /// The worst of `verdicts`; of none, `valid`.
    pub fn worst(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
        verdicts.into_iter().max().unwrap_or(Verdict::Valid)
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Verdict::Valid => "valid",
            Verdict::Vacuous => "vacuous",
            Verdict::Unknown => "unknown",
            Verdict::Harness => "harness",
            Verdict::Invalid => "invalid",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::*;
    use super::*;

    #[test]
    fn the_worst_verdict_wins() {
        assert_eq!(Verdict::worst([]), Valid);
        assert_eq!(Verdict::worst([Valid, Vacuous]), Vacuous);
        assert_eq!(Verdict::worst([Unknown, Vacuous, Valid]), Unknown);
        assert_eq!(Verdict::worst([Unknown, Harness]), Harness);
        assert_eq!(Verdict::worst([Harness, Invalid, Unknown]), Invalid);
    }
}
