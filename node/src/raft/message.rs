//! What members say to each other: the three remote calls of the paper as one-way messages, PreVote, and what
//! leadership transfer and reads at followers need.
//!
//! Every message carries its sender's current term. A reply is a message like any other: nothing here knows
//! of connections or waits for an answer.

use bytes::Bytes;

use super::types::{Entry, EntryId, Index, NodeId, Snapshot, Term};

/// A message from one member to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Sender.
    pub from: NodeId,
    /// Addressee.
    pub to: NodeId,
    /// The sender's current term when it sent this.
    pub term: Term,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// "Would you vote for me, were I to stand in term `next`?" Changes nothing at the addressee (dissertation, 9.6).
    PreVote {
        /// The term that would be stood for.
        next: Term,
        /// The last entry of the sender's log.
        last: EntryId,
    },
    /// The answer to `PreVote`.
    PreVoteReply {
        /// The term that was asked about; an answer about another election does not count.
        next: Term,
        /// Whether the vote would be given.
        granted: bool,
    },
    /// "Vote for me in this term" (paper, Figure 2).
    RequestVote {
        /// The last entry of the candidate's log.
        last: EntryId,
        /// The leader itself has asked for this election, so it is no disturbance (dissertation, 4.2.3).
        transfer: bool,
    },
    /// The answer to `RequestVote`, about the term it carries.
    RequestVoteReply {
        /// Whether the vote was given.
        granted: bool,
    },
    /// Entries to store, or none: then it is a heartbeat (paper, Figure 2).
    AppendEntries {
        /// The entry before `entries`, which the addressee must have.
        previous: EntryId,
        /// Entries that follow `previous` without a gap.
        entries: Vec<Entry>,
        /// The leader's commit index.
        commit: Index,
        /// The leader's latest round; its echo confirms that the sender still led when the round began
        /// (dissertation, 6.4). It only grows within a term, so that an old echo never confirms a newer read.
        /// It is the leader's clock at that moment, in nanoseconds: a majority's echo is a lease from there on.
        round: u64,
    },
    /// The answer to `AppendEntries`.
    AppendEntriesReply {
        /// Echo of the round.
        round: u64,
        /// Whether the log matched.
        result: AppendResult,
    },
    /// A piece of a snapshot (paper, Figure 13).
    InstallSnapshot {
        /// What the snapshot stands for. Equal ids have equal content, whoever made it, so that another leader can
        /// go on with what one began.
        snapshot: Snapshot,
        /// Where in its content `data` belongs.
        offset: u64,
        /// The piece. The core leaves it empty; its driver fills it in.
        data: Bytes,
        /// As in `AppendEntries`.
        round: u64,
    },
    /// The answer to `InstallSnapshot`.
    InstallSnapshotReply {
        /// The snapshot that the piece belonged to.
        last: EntryId,
        /// How much of it is there, from its start on without a gap.
        received: u64,
        /// Whether the follower's log now goes on behind it, synced.
        installed: bool,
        /// Echo of the round.
        round: u64,
    },
    /// "Stand for election now": a leader hands over (dissertation, 3.10).
    TimeoutNow,
    /// A follower's clients want to read: "which index must I have applied?" (dissertation, 6.4).
    ReadIndex {
        /// Names the question; never used twice, not even by another life of the sender.
        question: u128,
    },
    /// The answer to `ReadIndex`.
    ReadIndexReply {
        /// The question.
        question: u128,
        /// The index; `None` from a node that does not lead.
        index: Option<Index>,
    },
}

/// What became of an `AppendEntries`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendResult {
    /// The follower's log equals the leader's up to `matched`, and is synced up to there.
    Accepted {
        /// The last index that is known to match.
        matched: Index,
    },
    /// The follower lacks `previous`.
    Rejected {
        /// `previous` of the refused message: tells a stale refusal from a fresh one.
        previous: Index,
        /// The last entry of the follower that can still match: not beyond `previous`, and of no later term.
        hint: EntryId,
    },
}
