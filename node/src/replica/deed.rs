//! What a member tells of itself, one line of its trace a deed: `rafture-checker` has the reader.
//!
//! A line about the disk is noted after the sync, and every line before anybody outside is told of the deed, so
//! that a trace never claims what was not done, and lacks a deed only where nobody could have seen it.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::raft::{Configuration, HardState, NodeId, Recovered, Role, Snapshot, Standing, Write};

/// Something that a member did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Deed {
    /// It came up with this on its disk.
    #[expect(missing_docs, reason = "the reader's type says what each field means; so below")]
    Start { term: u64, vote: Option<String>, last_index: u64, last_term: u64, last_chain: u32 },
    /// Term and vote are synced.
    #[expect(missing_docs, reason = "see above")]
    Save { term: u64, vote: Option<String> },
    /// Entries are synced: term and chain of each.
    #[expect(missing_docs, reason = "see above")]
    Append { first: u64, entries: Vec<(u64, u32)> },
    /// It took on a role.
    #[expect(missing_docs, reason = "see above")]
    Role { role: &'static str, term: u64, leader: Option<String> },
    /// The commit index rose.
    #[expect(missing_docs, reason = "see above")]
    Commit { term: u64, index: u64 },
    /// Entries were applied: term, chain and the state's digest of each.
    #[expect(missing_docs, reason = "see above")]
    Apply { first: u64, entries: Vec<(u64, u32, u64)> },
    /// A snapshot that came in is on disk, and the log goes on behind it.
    #[expect(missing_docs, reason = "see above")]
    Install { index: u64, term: u64, chain: u32 },
    /// The state is that of a snapshot.
    #[expect(missing_docs, reason = "see above")]
    Restore { index: u64, term: u64, chain: u32, digest: u64 },
    /// It begins to write a snapshot of its state.
    #[expect(missing_docs, reason = "see above")]
    Snapshot { index: u64, term: u64 },
    /// The last configuration in its log is another than before.
    #[expect(missing_docs, reason = "see above")]
    Configuration { voters: Vec<String>, outgoing: Vec<String>, learners: Vec<String> },
}

impl Deed {
    pub(super) fn start(recovered: &Recovered) -> Deed {
        let HardState { term, vote } = recovered.hard_state;
        let log = &recovered.log;
        let last = log.entries.last().map_or((log.base, log.chain), |entry| (entry.id, entry.chain));
        Deed::Start {
            term: term.0,
            vote: name(vote),
            last_index: last.0.index.0,
            last_term: last.0.term.0,
            last_chain: last.1,
        }
    }

    /// What a synced write has done to the disk, as far as the member believes.
    pub(super) fn written(write: &Write) -> Vec<Deed> {
        let mut deeds = Vec::new();
        if let Some(HardState { term, vote }) = write.hard_state {
            deeds.push(Deed::Save { term: term.0, vote: name(vote) });
        }
        if let Some(first) = write.entries.first() {
            let entries = write.entries.iter().map(|entry| (entry.id.term.0, entry.chain)).collect();
            deeds.push(Deed::Append { first: first.id.index.0, entries });
        }
        if let Some(chunk) = write.chunk.as_ref().filter(|chunk| chunk.is_last()) {
            let Snapshot { last, chain, .. } = chunk.snapshot;
            deeds.push(Deed::Install { index: last.index.0, term: last.term.0, chain });
        }
        deeds
    }

    pub(super) fn restore(snapshot: &Snapshot, digest: u64) -> Deed {
        let Snapshot { last, chain, .. } = *snapshot;
        Deed::Restore { index: last.index.0, term: last.term.0, chain, digest }
    }

    pub(super) fn snapshot(snapshot: &Snapshot) -> Deed {
        Deed::Snapshot { index: snapshot.last.index.0, term: snapshot.last.term.0 }
    }

    pub(super) fn configuration(configuration: &Configuration) -> Deed {
        let names = |nodes: &BTreeSet<NodeId>| nodes.iter().map(NodeId::to_string).collect();
        let Configuration { voters, outgoing, learners, .. } = configuration;
        Deed::Configuration { voters: names(voters), outgoing: names(outgoing), learners: names(learners) }
    }

    pub(super) fn role(standing: Standing) -> Deed {
        let role = match standing.role {
            Role::Follower => "follower",
            Role::PreCandidate => "pre-candidate",
            Role::Candidate => "candidate",
            Role::Leader => "leader",
        };
        Deed::Role { role, term: standing.term.0, leader: name(standing.leader) }
    }
}

fn name(node: Option<NodeId>) -> Option<String> {
    node.map(|node| node.to_string())
}
