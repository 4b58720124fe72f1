//! Raft as a state machine without input or output: it is told what happened and what time it is, and says what
//! to write, what to send and what is committed.
//!
//! There is no socket, file, clock or thread in here, and no wait: [`Raft::step`] takes one [`Input`] and gives
//! [`Output`]s, which its driver may carry out in any order that keeps writes among themselves, and commits among
//! themselves, in theirs. Reading order, after the paper's Figure 2:
//!
//! - `types`, `message`: the words. `quorum`: majorities.
//! - `log`: the entries. `unsynced`: writes on their way, and what must wait for them.
//! - `election`: terms, timers, votes. `replication`: AppendEntries on both sides, and commitment. `progress`:
//!   what a leader knows of a follower. `read`: linearizable reads without an entry.

mod election;
mod log;
mod message;
mod progress;
mod quorum;
mod read;
mod replication;
mod types;
mod unsynced;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

pub use message::{AppendResult, Body, Message};
pub use types::{Entry, EntryId, HardState, Index, NodeId, Payload, Term, Time};

use crate::rules::Rules;
use election::Votes;
use log::Log;
use progress::Progress;
use read::Reads;
use unsynced::Unsynced;

/// What a node is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// All members of the cluster, this node among them.
    pub members: Vec<NodeId>,
    /// An election timeout is drawn anew from this range at every reset (paper, 5.2).
    pub election_timeout: (Duration, Duration),
    /// A leader says something to every follower at least this often.
    pub heartbeat: Duration,
    /// Entries of one message take at most this many bytes, if it has more than one.
    pub message_bytes_max: usize,
    /// Seed of the election timeouts.
    pub seed: u64,
    /// Rules that hold.
    pub rules: Rules,
}

/// Names a client's request between driver and core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names a [`Write`]; later writes have greater ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WriteId(pub u64);

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// Time has passed; due at [`Raft::deadline`].
    Tick,
    /// A message came in.
    Receive(Message),
    /// Clients ask for commands to be replicated. One call for many: they share a write and a message.
    Propose(Vec<(RequestId, Bytes)>),
    /// Clients ask for a moment at which the state machine may be read.
    Read(Vec<RequestId>),
    /// This write, and all before it, are synced on disk.
    Written(WriteId),
}

/// What is to be done or known.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this. It may be lost, delayed, repeated.
    Send(Message),
    /// Write this to disk and sync it, then tell with [`Input::Written`].
    Write(Write),
    /// These entries, which follow those of the last such output, are committed: apply them.
    Commit(Vec<Entry>),
    /// Role, term or known leader changed. Whoever lost leadership will not hear of its proposals again.
    Became(Standing),
    /// The command got this place in the log. It is done when the entry with this very id commits.
    Proposed(RequestId, EntryId),
    /// The state machine may be read for this request once it has applied everything up to the index.
    ReadReady(RequestId, Index),
    /// This node does not lead, so the request surely had no effect.
    NotLeader(RequestId),
}

/// A write to disk: promises first, then entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Its name.
    pub id: WriteId,
    /// The new term and vote, if they changed.
    pub hard_state: Option<HardState>,
    /// New entries; whatever the disk has at the first one's index or behind it is replaced.
    pub entries: Vec<Entry>,
}

/// Where a node stands in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What it is.
    pub role: Role,
    /// Its current term.
    pub term: Term,
    /// The leader that it knows of in this term.
    pub leader: Option<NodeId>,
}

/// What a node is (paper, 5.1; `PreCandidate`: dissertation, 9.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether it could win an election.
    PreCandidate,
    /// Stands for election.
    Candidate,
    /// Leads.
    Leader,
}

/// How far a follower has come, as its leader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowerStatus {
    /// The follower.
    pub id: NodeId,
    /// Its log surely equals the leader's up to here.
    pub matched: Index,
    /// The next entry to be sent to it.
    pub next: Index,
}

/// One member's Raft.
#[derive(Debug)]
pub struct Raft {
    config: Config,
    random: ChaCha8Rng,
    now: Time,
    hard_state: HardState,
    log: Log,
    commit: Index,
    state: State,
    leader: Option<NodeId>,
    /// When a leader of this term was last heard.
    leader_heard: Time,
    election_deadline: Time,
    /// What this step has gathered; `flush` turns it into outputs.
    gathered: Gathered,
    unsynced: Unsynced,
}

/// A role with what belongs to it alone.
#[derive(Debug)]
enum State {
    Follower,
    PreCandidate(Votes),
    Candidate(Votes),
    Leader(Leader),
}

#[derive(Debug)]
struct Leader {
    followers: BTreeMap<NodeId, Progress>,
    heartbeat_due: Time,
    reads: Reads,
}

#[derive(Debug, Default)]
struct Gathered {
    outputs: Vec<Output>,
    hard_state_changed: bool,
    /// Messages that tell of a promise or of stored entries: they wait for the disk.
    after_sync: Vec<Message>,
}

impl Raft {
    /// A member as it comes up, with what its disk held.
    ///
    /// # Panics
    /// When the node is not among its members, or the election timeout is no range.
    pub fn new(config: Config, hard_state: HardState, entries: Vec<Entry>, now: Time) -> Raft {
        assert!(config.members.contains(&config.id), "{} is no member", config.id);
        assert!(
            config.election_timeout.0 <= config.election_timeout.1,
            "an election timeout from high to low"
        );
        let random = ChaCha8Rng::seed_from_u64(config.seed);
        let mut raft = Raft {
            config,
            random,
            now,
            hard_state,
            log: Log::recovered(entries),
            commit: Index(0),
            state: State::Follower,
            leader: None,
            leader_heard: Time(0),
            election_deadline: now,
            gathered: Gathered::default(),
            unsynced: Unsynced::default(),
        };
        raft.reset_election_timer();
        raft
    }

    /// Takes in what happened at `now` and gives what follows from it.
    pub fn step(&mut self, input: Input, now: Time) -> Vec<Output> {
        self.now = self.now.max(now);
        match input {
            Input::Tick => self.tick(),
            Input::Receive(message) => self.receive(message),
            Input::Propose(proposals) => self.propose(proposals),
            Input::Read(requests) => self.read(requests),
            Input::Written(id) => self.written(id),
        }
        self.flush();
        std::mem::take(&mut self.gathered.outputs)
    }

    /// When the next [`Input::Tick`] is due.
    pub fn deadline(&self) -> Time {
        match &self.state {
            State::Leader(leader) => leader.heartbeat_due.min(self.quorum_deadline(leader)),
            _ => self.election_deadline,
        }
    }

    /// Role, term and leader.
    pub fn standing(&self) -> Standing {
        let role = match self.state {
            State::Follower => Role::Follower,
            State::PreCandidate(_) => Role::PreCandidate,
            State::Candidate(_) => Role::Candidate,
            State::Leader(_) => Role::Leader,
        };
        Standing { role, term: self.term(), leader: self.leader }
    }

    /// The commit index.
    pub fn commit(&self) -> Index {
        self.commit
    }

    /// The last entry of the log.
    pub fn last(&self) -> EntryId {
        self.log.last()
    }

    /// The chained checksum of the whole log.
    pub fn last_chain(&self) -> u32 {
        self.log.get(self.log.last().index).map_or(0, |entry| entry.chain)
    }

    /// The log is synced on disk up to here.
    pub fn durable(&self) -> Index {
        self.log.durable()
    }

    /// The followers, if this node leads.
    pub fn followers(&self) -> Vec<FollowerStatus> {
        let State::Leader(leader) = &self.state else {
            return Vec::new();
        };
        let status = |(&id, progress): (&NodeId, &Progress)| FollowerStatus {
            id,
            matched: progress.matched,
            next: progress.next,
        };
        leader.followers.iter().map(status).collect()
    }

    fn term(&self) -> Term {
        self.hard_state.term
    }

    fn peers(&self) -> impl Iterator<Item = NodeId> + use<> {
        let id = self.config.id;
        self.config.members.clone().into_iter().filter(move |&member| member != id)
    }

    fn majority(&self) -> usize {
        quorum::majority(self.config.members.len())
    }

    /// The disk has caught up: what waited for it goes out. A node's vote for itself and its own copy of an entry
    /// count from here on, not before.
    fn written(&mut self, id: WriteId) {
        let synced = self.unsynced.finish(id);
        if let Some(last) = synced.last {
            self.log.became_durable(last);
        }
        for message in synced.messages {
            self.deliver(message);
        }
        self.maybe_commit();
    }

    fn message(&self, to: NodeId, body: Body) -> Message {
        Message { from: self.config.id, to, term: self.term(), body }
    }

    /// Sends a message that promises nothing.
    fn send(&mut self, to: NodeId, body: Body) {
        let message = self.message(to, body);
        self.deliver(message);
    }

    /// Sends a message once everything that it promises is on disk.
    fn send_after_sync(&mut self, to: NodeId, body: Body) {
        let message = self.message(to, body);
        self.gathered.after_sync.push(message);
    }

    fn deliver(&mut self, message: Message) {
        if message.to == self.config.id {
            self.receive(message);
        } else {
            self.gathered.outputs.push(Output::Send(message));
        }
    }

    /// One write for all that a step has changed, and the messages behind it.
    fn flush(&mut self) {
        let hard_state = std::mem::take(&mut self.gathered.hard_state_changed).then_some(self.hard_state);
        let entries = self.log.take_unwritten().to_vec();
        if hard_state.is_some() || !entries.is_empty() {
            let last = entries.last().map(|entry| entry.id.index);
            let id = self.unsynced.begin(hard_state.is_some(), last);
            self.gathered.outputs.push(Output::Write(Write { id, hard_state, entries }));
        }
        for message in std::mem::take(&mut self.gathered.after_sync) {
            if let Some(message) = self.unsynced.hold(message) {
                self.deliver(message);
            }
        }
    }

    fn announce(&mut self) {
        let standing = self.standing();
        self.gathered.outputs.push(Output::Became(standing));
    }
}
