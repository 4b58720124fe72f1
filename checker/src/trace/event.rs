//! One line of a node's `trace.jsonl`: what the node did inside, as far as it was already durable or decided.
//!
//! Any system that writes these lines can be held against Raft's invariants; the built-in node does.
//! Within one file the order of lines is the order of deeds. Across files only `time` relates them, and no
//! check relies on it for soundness.

use serde::{Deserialize, Serialize};

/// A line of a trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceEvent {
    /// Nanoseconds of the machine's monotonic clock (`CLOCK_MONOTONIC`).
    pub time: u64,
    /// What happened.
    #[serde(flatten)]
    pub body: TraceBody,
}

/// What happened, told by the key `event`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum TraceBody {
    /// The process came up and recovered this from its disk. Everything volatile begins anew.
    Start {
        /// Recovered current term.
        term: u64,
        /// Whom the node had voted for in that term.
        vote: Option<String>,
        /// Index of the last recovered entry; 0 when the log is empty.
        last_index: u64,
        /// Term of that entry.
        last_term: u64,
        /// Chained checksum of the log up to that entry.
        last_chain: u32,
    },
    /// Term and vote are synced on disk.
    Save {
        /// Current term.
        term: u64,
        /// Vote in that term.
        vote: Option<String>,
    },
    /// Entries are synced on disk. Whatever stood at `first` or behind it is gone.
    Append {
        /// Index of the first of `entries`.
        first: u64,
        /// `[term, chain]` per entry; `chain` is a checksum of the entry and of all before it.
        entries: Vec<(u64, u32)>,
    },
    /// The node took on a role.
    Role {
        /// `follower`, `pre-candidate`, `candidate` or `leader`.
        role: Role,
        /// Current term.
        term: u64,
        /// The leader that it knows of in this term.
        leader: Option<String>,
    },
    /// The commit index rose.
    Commit {
        /// Current term of the node.
        term: u64,
        /// New commit index.
        index: u64,
    },
    /// Committed entries were applied to the state machine.
    Apply {
        /// Index of the first of `entries`.
        first: u64,
        /// `[term, chain, digest]` per entry; `digest` is a hash of the whole state after it.
        entries: Vec<(u64, u32, u64)>,
    },
    /// A snapshot that another node sent is on disk. The log goes on behind it; what it held before is gone.
    Install {
        /// Index of the last entry that the snapshot covers.
        index: u64,
        /// Term of that entry.
        term: u64,
        /// Chained checksum of the log up to that entry.
        chain: u32,
    },
    /// The state machine was set to the state of a snapshot.
    Restore {
        /// Index of the last entry that the snapshot covers.
        index: u64,
        /// Term of that entry.
        term: u64,
        /// Chained checksum of the log up to that entry.
        chain: u32,
        /// Hash of the state.
        digest: u64,
    },
    /// The node begins to write a snapshot of its state.
    Snapshot {
        /// Index of the last entry that it covers.
        index: u64,
        /// Term of that entry.
        term: u64,
    },
    /// The last configuration in the node's log, committed or not, is another than before.
    Configuration {
        /// Who votes.
        voters: Vec<String>,
        /// In a joint configuration, who voted before.
        outgoing: Vec<String>,
        /// Who gets the log and does not vote.
        learners: Vec<String>,
    },
}

/// A node's role. `PreCandidate` is the dissertation's section 9.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether an election could be won, without raising its term.
    PreCandidate,
    /// Stands for election in its term.
    Candidate,
    /// Leads its term.
    Leader,
}
