//! Raft as a state machine without input or output: it is told what happened and what time it is, and says what
//! to write, what to send and what is committed.
//!
//! There is no socket, file, clock or thread in here, and no wait: [`Raft::step`] takes one [`Input`] and gives
//! [`Output`]s, which its driver may carry out in any order that keeps writes among themselves, and commits among
//! themselves, in theirs. Reading order, after the paper's Figure 2:
//!
//! - `types`, `message`: the words. `configuration`: members and majorities.
//! - `log`: the entries. `unsynced`: writes on their way, and what must wait for them.
//! - `election`: terms, timers, votes. `replication`: AppendEntries on both sides, and commitment. `progress`:
//!   what a leader knows of a follower. `snapshot`: what replaces the start of a log.
//! - `read`: linearizable reads without an entry. `membership`: other members. `transfer`: another leader. `hold`: a
//!   follower that gets no entries for a while.

mod configuration;
mod election;
mod hold;
mod log;
mod membership;
mod message;
mod progress;
mod read;
mod replication;
mod snapshot;
mod transfer;
mod types;
mod unsynced;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

pub use configuration::Configuration;
pub use log::LogStart;
pub use membership::Change;
pub use message::{AppendResult, Body, Message};
pub use types::{Entry, EntryId, HardState, Index, NodeId, Payload, Snapshot, Term, Time};

use crate::rules::Rules;
use election::Votes;
use log::Log;
use membership::Changing;
use progress::Progress;
use read::{Asked, Reads};
use snapshot::Snapshots;
use transfer::Transfer;
use unsynced::Unsynced;

/// What a node is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// The members of a cluster that starts from nothing; what the node's own log or snapshot says goes before it.
    /// Empty for a node that is to join a cluster: it waits to hear of one.
    pub configuration: Configuration,
    /// An election timeout is drawn anew from this range at every reset (paper, 5.2).
    pub election_timeout: (Duration, Duration),
    /// A leader says something to every follower at least this often.
    pub heartbeat: Duration,
    /// Whether a node asks who would vote for it before it stands (dissertation, 9.6). Without it, as in the paper, a node
    /// that was cut off comes back with a later term and deposes the leader, and one whose log is too short disturbs elections.
    pub pre_vote: bool,
    /// How much may be on its way, or wait.
    pub limits: Limits,
    /// Whether leaders answer reads by their lease, and how far clocks of members may drift apart meanwhile:
    /// 0.1 is a tenth faster or slower than true time (dissertation, 6.4.1). All members must agree on it.
    pub lease_drift: Option<f64>,
    /// Seed of the election timeouts.
    pub seed: u64,
    /// A number that no other life of this node has.
    pub life: u64,
    /// Rules that hold.
    pub rules: Rules,
}

/// How much may be on its way, or wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries of one message take at most this many bytes, if it has more than one.
    pub message_bytes_max: usize,
    /// Messages with entries that one follower may not have answered yet.
    pub in_flight_messages_max: usize,
    /// Bytes of entries that one follower may not have answered yet; a single message may be longer.
    pub in_flight_bytes_max: usize,
    /// Entries of the leader that are not committed, or not on its own disk, take at most so many bytes; beyond it
    /// proposals are refused. A single one may be longer.
    pub uncommitted_bytes_max: u64,
    /// Bytes of one piece of a snapshot.
    pub chunk_bytes: u64,
    /// Bytes of entries that compaction leaves for followers that are a little behind.
    pub keep_bytes: u64,
}

impl Limits {
    /// For networks and disks of a data centre.
    pub const DEFAULT: Limits = Limits {
        message_bytes_max: 256 << 10,
        in_flight_messages_max: 128,
        in_flight_bytes_max: 4 << 20,
        uncommitted_bytes_max: 16 << 20,
        chunk_bytes: 256 << 10,
        keep_bytes: 8 << 20,
    };
}

/// What a node's disk held when it came up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Term and vote.
    pub hard_state: HardState,
    /// The latest snapshot.
    pub snapshot: Option<Snapshot>,
    /// The log, which reaches the snapshot without a gap.
    pub log: LogStart,
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
    /// Clients ask for a moment at which the leader's state machine may be read.
    Read(Vec<RequestId>),
    /// Clients ask for a moment at which this node's state machine may be read, whether or not it leads.
    ReadHere(Vec<RequestId>),
    /// An operator asks for other members.
    Reconfigure(RequestId, Change),
    /// An operator asks that this voter lead, or whichever has the most of the log.
    Transfer(RequestId, Option<NodeId>),
    /// An operator asks that this follower get heartbeats but no entries while this node leads; or, with `false`, entries again.
    Hold(RequestId, NodeId, bool),
    /// This write, and all before it, are synced on disk.
    Written(WriteId),
    /// The driver has made a snapshot of its state machine, on disk: the log before it may go. Its configuration
    /// and chain are those that `snapshot_at` gave.
    Compact(Snapshot),
}

/// What is to be done or known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this. It may be lost, delayed, repeated.
    Send(Message),
    /// Write this to disk and sync it, then tell with [`Input::Written`].
    Write(Write),
    /// These entries, which follow those of the last such output, are committed: apply them.
    Commit(Vec<Entry>),
    /// The state machine is to be the one of this snapshot, whose content was written piece by piece before.
    Restore(Snapshot),
    /// Role, term or known leader changed. Whoever lost leadership will not hear of its proposals again.
    Became(Standing),
    /// These are the members now, as far as this node knows; it may be taken back.
    Configured(Arc<Configuration>),
    /// The command got this place in the log. It is done when the entry with this very id commits.
    Proposed(RequestId, EntryId),
    /// The state machine may be read for this request: everything up to the index was put out to be applied.
    ReadReady(RequestId, Index),
    /// What the operator asked for has come about.
    Done(RequestId),
    /// The request was not carried out.
    Refused(RequestId, Refusal),
}

/// Why a request was not carried out. All but `Unknown` say that it surely had no effect, and will have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// This node does not lead.
    NotLeader,
    /// Too much waits to be committed.
    Busy,
    /// Leadership is being handed over; the next leader will take it.
    Transferring,
    /// Another change of the members is not finished, or the leader is too new to begin one.
    ChangeInProgress,
    /// A member that was to be added did not catch up; it stays as a learner.
    TooSlow,
    /// The named node is no voter of this cluster.
    NotAVoter,
    /// The named node is no follower of this leader.
    NotAFollower,
    /// Too few members would still get entries.
    NoQuorum,
    /// There would be no voters left.
    NoVoters,
    /// The target did not take over in time; this node still leads.
    NotTakenOver,
    /// Leadership was lost meanwhile: it may come about, or may not.
    Unknown,
}

/// A write to disk: promises first, then entries, then a piece of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Its name.
    pub id: WriteId,
    /// The new term and vote, if they changed.
    pub hard_state: Option<HardState>,
    /// New entries; whatever the disk has at the first one's index or behind it is replaced.
    pub entries: Vec<Entry>,
    /// A piece of a snapshot that is being received.
    pub chunk: Option<Chunk>,
}

/// A piece of a snapshot. Pieces come in order; the one at 0 begins anew. With the last one the snapshot is to be put
/// in place: the log then goes on behind it, and what it held before is void.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Where the piece belongs.
    pub offset: u64,
    /// The piece.
    pub data: Bytes,
}

impl Chunk {
    /// Whether the snapshot is whole with this piece.
    pub fn is_last(&self) -> bool {
        self.offset + self.data.len() as u64 == self.snapshot.size
    }
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
    /// `probe`, `replicate`, `snapshot` or `held`.
    pub state: &'static str,
    /// Messages on their way to it.
    pub in_flight_messages: usize,
    /// Bytes of entries on their way to it.
    pub in_flight_bytes: usize,
    /// How long ago it last answered.
    pub silent: Duration,
    /// Whether it only learns.
    pub is_learner: bool,
}

/// One member's Raft.
#[derive(Debug, Clone)]
pub struct Raft {
    config: Config,
    random: ChaCha8Rng,
    now: Time,
    hard_state: HardState,
    log: Log,
    /// Everybody else who gets the log, by the configuration in force.
    peers: Vec<NodeId>,
    snapshots: Snapshots,
    commit: Index,
    state: State,
    leader: Option<NodeId>,
    /// When a leader of this term was last heard.
    leader_heard: Time,
    /// Until then this node helps nobody to depose a leader that it might have known in its last life.
    quiet_until: Time,
    election_deadline: Time,
    /// Reads of clients of this node that were passed on to the leader.
    asked: Asked,
    /// What this step has gathered; `flush` turns it into outputs.
    gathered: Gathered,
    unsynced: Unsynced,
}

/// A role with what belongs to it alone.
#[derive(Debug, Clone)]
enum State {
    Follower,
    PreCandidate(Votes),
    Candidate(Votes),
    Leader(Box<Leader>),
}

#[derive(Debug, Clone)]
struct Leader {
    followers: BTreeMap<NodeId, Progress>,
    heartbeat_due: Time,
    reads: Reads,
    changing: Option<Changing>,
    transfer: Option<Transfer>,
    /// A transfer was begun in this term: the target may still be on its way to become leader without heeding anybody's
    /// lease, even if it was given up.
    lease_is_void: bool,
}

#[derive(Debug, Clone, Default)]
struct Gathered {
    outputs: Vec<Output>,
    hard_state_changed: bool,
    chunk: Option<Chunk>,
    configuration_changed: bool,
    /// Messages that tell of a promise or of stored entries: they wait for the disk.
    after_sync: Vec<Message>,
}

impl Raft {
    /// A member as it comes up, with what its disk held. Its driver has brought the state machine to the snapshot.
    ///
    /// # Panics
    /// When the election timeout is no range, or the log does not reach the snapshot.
    pub fn new(config: Config, recovered: Recovered, now: Time) -> Raft {
        assert!(
            config.election_timeout.0 <= config.election_timeout.1,
            "an election timeout from high to low"
        );
        let Recovered { hard_state, snapshot, log } = recovered;
        let (since, initial) = match &snapshot {
            Some(snapshot) => (snapshot.last.index, Arc::clone(&snapshot.configuration)),
            None => (log.base.index, Arc::new(config.configuration.clone())),
        };
        let mut log = Log::recovered(log, (since, initial));
        let commit = snapshot.as_ref().map_or(Index(0), |snapshot| snapshot.last.index);
        assert!(log.base().index <= commit, "the log begins behind {commit}, where the snapshot ends");
        assert!(log.last().index >= commit, "the log ends before {commit}, where the snapshot ends");
        let quiet = config.lease_drift.map_or(Duration::ZERO, |_| config.election_timeout.0);
        if let Some(snapshot) = &snapshot {
            log.compact(snapshot.last.index, config.limits.keep_bytes);
        }
        let mut raft = Raft {
            random: ChaCha8Rng::seed_from_u64(config.seed),
            asked: Asked::new(config.life),
            config,
            now,
            hard_state,
            log,
            peers: Vec::new(),
            snapshots: Snapshots::new(snapshot),
            commit,
            state: State::Follower,
            leader: None,
            leader_heard: Time(0),
            quiet_until: now + quiet,
            election_deadline: now,
            gathered: Gathered::default(),
            unsynced: Unsynced::default(),
        };
        raft.find_peers();
        raft.reset_election_timer();
        raft
    }

    /// From here on election timeouts are drawn from another seed: for who goes on from one state in many ways.
    pub fn reseed(&mut self, seed: u64) {
        self.random = ChaCha8Rng::seed_from_u64(seed);
    }

    /// Takes in what happened at `now` and gives what follows from it.
    pub fn step(&mut self, input: Input, now: Time) -> Vec<Output> {
        self.now = self.now.max(now);
        match input {
            Input::Tick => self.tick(),
            Input::Receive(message) => self.receive(message),
            Input::Propose(proposals) => self.propose(proposals),
            Input::Read(requests) => self.read(requests),
            Input::ReadHere(requests) => self.read_here(requests),
            Input::Reconfigure(request, change) => self.reconfigure(request, &change),
            Input::Transfer(request, target) => self.transfer(request, target),
            Input::Hold(request, node, is_held) => self.hold(request, node, is_held),
            Input::Written(id) => self.written(id),
            Input::Compact(snapshot) => self.compact(snapshot),
        }
        self.flush();
        std::mem::take(&mut self.gathered.outputs)
    }

    /// When the next [`Input::Tick`] is due.
    pub fn deadline(&self) -> Time {
        match &self.state {
            State::Leader(leader) => {
                let transfer = leader.transfer.as_ref().map(Transfer::deadline);
                let others = [self.quorum_deadline(leader), transfer];
                others.into_iter().flatten().fold(leader.heartbeat_due, Time::min)
            }
            State::Follower | State::PreCandidate(_) | State::Candidate(_) => self.election_deadline,
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

    /// This node.
    pub fn id(&self) -> NodeId {
        self.config.id
    }

    /// The commit index.
    pub fn commit(&self) -> Index {
        self.commit
    }

    /// The last entry of the log.
    pub fn last(&self) -> EntryId {
        self.log.last()
    }

    /// The log is synced on disk up to here.
    pub fn durable(&self) -> Index {
        self.log.durable()
    }

    /// Term and vote, as far as they were promised; the disk may still be on its way.
    pub fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// The entry at `index`, if it is still in the log.
    pub fn entry(&self, index: Index) -> Option<&Entry> {
        self.log.get(index)
    }

    /// The entry before the first in the log; everything up to it was compacted away.
    pub fn base(&self) -> EntryId {
        self.log.base()
    }

    /// Term of the entry at `index`, and its chained checksum, from the base on.
    pub fn known_at(&self, index: Index) -> Option<(Term, u32)> {
        Some((self.log.term_at(index)?, self.log.chain_at(index)?))
    }

    /// The members in force.
    pub fn configuration(&self) -> &Arc<Configuration> {
        self.log.configuration()
    }

    /// How many configurations stand in the log behind `index`.
    pub fn configurations_behind(&self, index: Index) -> usize {
        self.log.configurations_behind(index)
    }

    /// The latest snapshot.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshots.latest()
    }

    /// Snapshots that may still be asked for piece by piece.
    pub fn snapshots_in_use(&self) -> BTreeSet<EntryId> {
        let sent = match &self.state {
            State::Leader(leader) => leader.followers.values().filter_map(Progress::snapshot).collect(),
            State::Follower | State::PreCandidate(_) | State::Candidate(_) => Vec::new(),
        };
        sent.into_iter().chain(self.snapshots.latest()).map(|snapshot| snapshot.last).collect()
    }

    /// What a snapshot of the state after everything committed so far stands for, its size excepted.
    pub fn snapshot_at_commit(&self) -> Snapshot {
        let index = self.commit;
        let (term, chain) = self.known_at(index).expect("the commit index is not before the base");
        let configuration = Arc::clone(self.log.configuration_at(index));
        Snapshot { last: EntryId { term, index }, chain, configuration, size: 0 }
    }

    /// Bytes of committed entries behind the latest snapshot: what a snapshot now would spare.
    pub fn bytes_behind_snapshot(&self) -> u64 {
        let since = self.snapshots.latest().map_or(Index(0), |snapshot| snapshot.last.index);
        self.log.bytes_behind(since) - self.log.bytes_behind(self.commit)
    }

    /// Bytes of entries in memory.
    pub fn log_bytes(&self) -> u64 {
        self.log.bytes_behind(self.log.base().index)
    }

    /// The followers, if this node leads.
    pub fn followers(&self) -> Vec<FollowerStatus> {
        let State::Leader(leader) = &self.state else {
            return Vec::new();
        };
        let status = |(&id, progress): (&NodeId, &Progress)| {
            let (in_flight_messages, in_flight_bytes) = progress.in_flight();
            FollowerStatus {
                id,
                matched: progress.matched,
                next: progress.next,
                state: progress.state_name(),
                in_flight_messages,
                in_flight_bytes,
                silent: self.now - progress.contact,
                is_learner: !self.configuration().is_voter(id),
            }
        };
        leader.followers.iter().map(status).collect()
    }

    fn term(&self) -> Term {
        self.hard_state.term
    }

    fn is_voter(&self) -> bool {
        self.configuration().is_voter(self.config.id)
    }

    fn peers(&self) -> Vec<NodeId> {
        self.peers.clone()
    }

    fn find_peers(&mut self) {
        let mut members = self.configuration().members();
        members.remove(&self.config.id);
        self.peers = members.into_iter().collect();
    }

    /// Another configuration is in force.
    fn configuration_changed(&mut self) {
        self.gathered.configuration_changed = true;
        self.find_peers();
    }

    fn refuse(&mut self, request: RequestId, why: Refusal) {
        self.gathered.outputs.push(Output::Refused(request, why));
    }

    /// The disk has caught up: what waited for it goes out. A node's vote for itself and its own copy of an entry
    /// count from here on, not before.
    fn written(&mut self, id: WriteId) {
        let synced = self.unsynced.finish(id);
        if let Some(last) = synced.last {
            self.log.became_durable(last);
        }
        if let Some(snapshot) = synced.snapshot {
            self.installed(snapshot);
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
        if std::mem::take(&mut self.gathered.configuration_changed) {
            self.gathered.outputs.push(Output::Configured(Arc::clone(self.log.configuration())));
        }
        let hard_state = std::mem::take(&mut self.gathered.hard_state_changed).then_some(self.hard_state);
        let entries = self.log.take_unwritten();
        let chunk = self.gathered.chunk.take();
        if hard_state.is_some() || !entries.is_empty() || chunk.is_some() {
            let last = entries.last().map(|entry| entry.id.index);
            let whole = chunk.as_ref().filter(|chunk| chunk.is_last()).map(|chunk| chunk.snapshot.clone());
            let id = self.unsynced.begin(hard_state.is_some(), last, whole);
            self.gathered.outputs.push(Output::Write(Write { id, hard_state, entries, chunk }));
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
