//! The rules that make the node safe, each with a name, and the planted bugs that break one of them.
//!
//! A tester is worth what it finds, so the node can be started with a known defect. The code never asks "is
//! defect X planted?": it asks whether a *rule* holds, in the words of Raft, and reads the same with or without
//! defects. A defect is one rule switched off. Every rule holds unless the node was started with `--defect`.

use std::fmt;
use std::str::FromStr;

/// Which rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// A leader confirms with a majority that it still leads before it answers a read (dissertation, 6.4).
    pub reads_confirm_leadership: bool,
    /// A client is answered when its command was applied, not when it was appended (paper, 5.3).
    pub answers_wait_for_commit: bool,
    /// An entry commits when a majority stores it (paper, 5.3).
    pub commit_needs_majority: bool,
    /// The log is on disk (paper, Figure 2).
    pub log_is_persistent: bool,
    /// What is written to the log is synced before anything is promised on it.
    pub log_is_synced: bool,
    /// Term and vote are on disk (paper, Figure 2).
    pub vote_is_persistent: bool,
    /// A session's serial number is carried out once (dissertation, 6.3).
    pub sessions_deduplicate: bool,
}

/// A planted bug, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Defect {
    /// A leader answers reads from its own state.
    ReadLocal,
    /// A leader answers writes as soon as they are in its log.
    AckEarly,
    /// Half of the members, not a majority, commit an entry.
    CommitQ1,
    /// The log is never written.
    MemLog,
    /// The log is written and never synced.
    NoFsyncLog,
    /// Term and vote are never written.
    MemVote,
}

impl Rules {
    /// All of Raft.
    pub const ALL: Rules = Rules {
        reads_confirm_leadership: true,
        answers_wait_for_commit: true,
        commit_needs_majority: true,
        log_is_persistent: true,
        log_is_synced: true,
        vote_is_persistent: true,
        sessions_deduplicate: true,
    };

    /// All rules but the one that `defect` breaks.
    pub fn without(defect: Defect) -> Rules {
        let mut rules = Rules::ALL;
        match defect {
            Defect::ReadLocal => rules.reads_confirm_leadership = false,
            Defect::AckEarly => rules.answers_wait_for_commit = false,
            Defect::CommitQ1 => rules.commit_needs_majority = false,
            Defect::MemLog => rules.log_is_persistent = false,
            Defect::NoFsyncLog => rules.log_is_synced = false,
            Defect::MemVote => rules.vote_is_persistent = false,
        }
        rules
    }
}

impl Defect {
    /// Every planted bug.
    pub const ALL: [Defect; 6] = [
        Defect::ReadLocal,
        Defect::AckEarly,
        Defect::CommitQ1,
        Defect::MemLog,
        Defect::NoFsyncLog,
        Defect::MemVote,
    ];

    /// The id that `--defect` takes.
    pub fn id(self) -> &'static str {
        match self {
            Defect::ReadLocal => "read-local",
            Defect::AckEarly => "ack-early",
            Defect::CommitQ1 => "commit-q-1",
            Defect::MemLog => "mem-log",
            Defect::NoFsyncLog => "no-fsync-log",
            Defect::MemVote => "mem-vote",
        }
    }

    /// The change in one sentence.
    pub fn change(self) -> &'static str {
        match self {
            Defect::ReadLocal => "the leader reads its local state without asking a quorum",
            Defect::AckEarly => "a write is answered when it is appended, before it is committed",
            Defect::CommitQ1 => "an entry commits at half of the members, rounded down",
            Defect::MemLog => "the log is never written to disk",
            Defect::NoFsyncLog => "the log is written to disk and never synced, though it says so",
            Defect::MemVote => "term and vote are never written to disk",
        }
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

impl FromStr for Defect {
    type Err = String;
    fn from_str(text: &str) -> Result<Defect, String> {
        let found = Defect::ALL.into_iter().find(|defect| defect.id() == text);
        found.ok_or_else(|| {
            let ids: Vec<&str> = Defect::ALL.iter().map(|defect| defect.id()).collect();
            format!("unknown defect `{text}` (hint: one of {})", ids.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_defect_breaks_a_rule_of_its_own() {
        for (place, one) in Defect::ALL.into_iter().enumerate() {
            assert_eq!(one.id().parse(), Ok(one));
            assert_ne!(Rules::without(one), Rules::ALL);
            for other in &Defect::ALL[place + 1..] {
                assert_ne!(Rules::without(one), Rules::without(*other));
            }
        }
    }
}
