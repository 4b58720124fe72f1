//! A member without input or output: the core, the state machine and the clients that wait, put together.
//!
//! Like the core it is told what happened and what time it is, and says what is to be done; the server and the
//! simulator are its drivers. It decides when a snapshot is made and what a client is told. `request` is what clients
//! ask, `deed` what the member tells of itself.

mod deed;
mod request;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

pub use deed::Deed;
pub use request::{ParseOutcome, Request, Session, parse};

use crate::machine::{Command, Machine};
use crate::raft::{
    Config, Configuration, Entry, EntryId, Index, Input, Message, NodeId, Output, Payload, Raft, Refusal,
    RequestId, Role, Snapshot, Standing, Time, Write,
};
use crate::resp::Reply;
use crate::rules::Rules;
use crate::storage::Opened;

/// How a member is set up, beyond the core's own configuration.
#[derive(Debug, Clone)]
pub struct ReplicaOptions {
    /// A snapshot is made when so many bytes of committed entries have gathered behind the last.
    pub snapshot_bytes: u64,
    /// How members are reached from here, where that is not what the configuration says.
    pub addresses: BTreeMap<NodeId, String>,
    /// Whether the member tells what it does.
    pub traced: bool,
}

/// What time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Monotonic.
    pub now: Time,
    /// Milliseconds since 1970, as far as this machine knows; goes into the log, which never lets it fall.
    pub wall_ms: u64,
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Send this, after everything that was told before it. The data of a piece of a snapshot are still to be filled in.
    Send(Message),
    /// Write this, in order, and report it with [`Replica::written`].
    Write(Write),
    /// Make a snapshot of this state, beside everything else, and report it with [`Replica::saved`].
    Save(Box<(Snapshot, Machine)>),
    /// The snapshot up to this entry makes older ones needless, but for those in use, and the log before it.
    Forget(EntryId, BTreeSet<EntryId>),
    /// Tell a client.
    Answer(RequestId, Reply),
    /// These are the members now.
    Configured(Arc<Configuration>),
    /// Note down what happened.
    Note(Deed),
}

/// One member.
#[derive(Debug)]
pub struct Replica {
    raft: Raft,
    machine: Machine,
    rules: Rules,
    options: ReplicaOptions,
    clock: Clock,
    /// In the log: answered when the entry with this id is applied. In the order of the log.
    placed: VecDeque<(EntryId, RequestId)>,
    /// Reads that are not confirmed yet.
    reads: BTreeMap<RequestId, Reading>,
    /// The snapshot that is being made, and who waits for it.
    saving: Option<Vec<RequestId>>,
    /// No snapshot is made before so much has gathered; more than usual after one could not be made.
    snapshot_due: u64,
    /// The content of a snapshot that was put in place, until the core says what it is.
    restored: Option<Bytes>,
    /// The disk is full: nothing new is taken in.
    is_full: bool,
    effects: Vec<Effect>,
}

#[derive(Debug)]
struct Reading {
    commands: Vec<Command>,
    is_transaction: bool,
}

impl Replica {
    /// A member as it comes up, with what its disk held.
    ///
    /// # Panics
    /// When the content of the snapshot is none: storage has checked it.
    pub fn new(config: Config, opened: Opened, options: ReplicaOptions, clock: Clock) -> Replica {
        let Opened { recovered, content, .. } = opened;
        let machine = content.map_or_else(Machine::default, |content| {
            Machine::from_image(content).expect("a snapshot whose checksum fits holds a state")
        });
        let start = options.traced.then(|| Deed::start(&recovered));
        let restore = recovered.snapshot.clone().filter(|_| options.traced);
        let rules = config.rules;
        let snapshot_due = options.snapshot_bytes;
        let mut replica = Replica {
            raft: Raft::new(config, recovered, clock.now),
            machine,
            rules,
            options,
            clock,
            placed: VecDeque::new(),
            reads: BTreeMap::new(),
            saving: None,
            snapshot_due,
            restored: None,
            is_full: false,
            effects: Vec::new(),
        };
        replica.effects.extend(start.map(Effect::Note));
        if let Some(snapshot) = restore {
            replica.note(|machine| Deed::restore(&snapshot, machine.digest()));
        }
        let configuration = Arc::clone(replica.raft.configuration());
        replica.effects.push(Effect::Configured(configuration));
        replica
    }

    /// The core.
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// The state machine.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Clients that wait for entries, and for reads.
    pub fn waiting(&self) -> (usize, usize) {
        (self.placed.len(), self.reads.len())
    }

    /// When [`Replica::tick`] is due.
    pub fn deadline(&self) -> Time {
        self.raft.deadline()
    }

    /// What has to be done since the last call, in order.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Time has passed.
    pub fn tick(&mut self, clock: Clock) {
        self.clock = clock;
        self.step(Input::Tick);
    }

    /// A message came in.
    pub fn receive(&mut self, message: Message, clock: Clock) {
        self.clock = clock;
        self.step(Input::Receive(message));
    }

    /// Clients ask. What came together shares a write and a message.
    pub fn ask(&mut self, requests: Vec<(RequestId, Request)>, clock: Clock) {
        self.clock = clock;
        let (mut proposals, mut reads, mut reads_here) = (Vec::new(), Vec::new(), Vec::new());
        for (id, request) in requests {
            match request {
                Request::Write(_) if self.is_full => {
                    let text = "FULL the disk is full, so nothing can be written (hint: make room)";
                    self.answer(id, Reply::Error(text.into()));
                }
                Request::Write(proposal) => proposals.push((id, proposal.encode(clock.wall_ms))),
                Request::Read { commands, is_transaction, here } => {
                    self.reads.insert(id, Reading { commands, is_transaction });
                    if here { reads_here.push(id) } else { reads.push(id) }
                }
                Request::Change(change) => self.step(Input::Reconfigure(id, change)),
                Request::Transfer(target) => self.step(Input::Transfer(id, target)),
                Request::Hold(node, is_held) => self.step(Input::Hold(id, node, is_held)),
                Request::Snapshot => self.save(Some(id)),
            }
        }
        if !proposals.is_empty() {
            let previews = self.preview(&proposals);
            self.step(Input::Propose(proposals));
            self.answer_early(previews);
        }
        if !reads.is_empty() {
            self.step(Input::Read(reads));
        }
        if !reads_here.is_empty() {
            self.step(Input::ReadHere(reads_here));
        }
    }

    /// These writes are synced. `restored` is the content of a snapshot that was put in place with them.
    pub fn written(&mut self, writes: &[Write], restored: Option<Bytes>, clock: Clock) {
        self.clock = clock;
        self.is_full = false;
        if self.options.traced {
            for deed in writes.iter().flat_map(Deed::written) {
                self.effects.push(Effect::Note(deed));
            }
        }
        self.restored = restored.or(self.restored.take());
        if let Some(last) = writes.last() {
            self.step(Input::Written(last.id));
        }
    }

    /// The disk is full. What was handed to it waits there, and nothing new is taken in before it is written.
    pub fn disk_is_full(&mut self) {
        self.is_full = true;
    }

    /// The snapshot that was to be made is on disk, or could not be made.
    ///
    /// # Panics
    /// When none was being made.
    pub fn saved(&mut self, result: Result<Snapshot, String>, clock: Clock) {
        self.clock = clock;
        let waiting = self.saving.take().expect("a snapshot was being made");
        let reply = match result {
            Ok(snapshot) => {
                let last = snapshot.last;
                self.snapshot_due = self.options.snapshot_bytes;
                self.step(Input::Compact(snapshot));
                self.effects.push(Effect::Forget(last, self.raft.snapshots_in_use()));
                Reply::Simple("OK")
            }
            Err(why) => {
                // Not again at once.
                self.snapshot_due = self.raft.bytes_behind_snapshot() + self.options.snapshot_bytes;
                Reply::Error(format!("ERR no snapshot was made: {why}"))
            }
        };
        for request in waiting {
            self.answer(request, reply.clone());
        }
    }

    fn step(&mut self, input: Input) {
        for output in self.raft.step(input, self.clock.now) {
            match output {
                Output::Send(message) => self.effects.push(Effect::Send(message)),
                Output::Write(write) => self.effects.push(Effect::Write(write)),
                Output::Commit(entries) => self.apply(&entries),
                Output::Restore(snapshot) => self.restore(&snapshot),
                Output::Became(standing) => self.became(standing),
                Output::Configured(configuration) => {
                    self.note(|_| Deed::configuration(&configuration));
                    self.effects.push(Effect::Configured(configuration));
                }
                Output::Proposed(request, at) => self.placed.push_back((at, request)),
                Output::ReadReady(request, _) => self.answer_read(request),
                Output::Done(request) => self.answer(request, Reply::Simple("OK")),
                Output::Refused(request, why) => self.refuse(request, why),
            }
        }
        if self.raft.bytes_behind_snapshot() >= self.snapshot_due && self.saving.is_none() {
            self.save(None);
        }
    }

    fn apply(&mut self, entries: &[Entry]) {
        let mut applied = Vec::new();
        for entry in entries {
            let reply = match &entry.payload {
                Payload::Noop | Payload::Configuration(_) => Reply::Null,
                Payload::Command(command) => {
                    self.machine.apply_entry(entry.id.index.0, command, self.rules.sessions_deduplicate)
                }
            };
            if self.options.traced {
                applied.push((entry.id.term.0, entry.chain, self.machine.digest()));
            }
            while let Some(&(id, request)) = self.placed.front()
                && id.index <= entry.id.index
            {
                self.placed.pop_front();
                assert_eq!(id, entry.id, "a client of this leader waits for an entry of another");
                self.answer(request, reply.clone());
            }
        }
        if let (Some(first), Some(last), true) = (entries.first(), entries.last(), self.options.traced) {
            let term = self.raft.standing().term.0;
            self.effects.push(Effect::Note(Deed::Commit { term, index: last.id.index.0 }));
            self.effects.push(Effect::Note(Deed::Apply { first: first.id.index.0, entries: applied }));
        }
    }

    fn restore(&mut self, snapshot: &Snapshot) {
        let content = self.restored.take().expect("a snapshot in place was read back");
        self.machine = Machine::from_image(content).expect("a snapshot whose checksum fits holds a state");
        self.note(|machine| Deed::restore(snapshot, machine.digest()));
    }

    fn became(&mut self, standing: Standing) {
        self.note(|_| Deed::role(standing));
        if standing.role != Role::Leader {
            // What was proposed may still be committed by another leader, or may not: only the truth is said.
            for (_, request) in std::mem::take(&mut self.placed) {
                self.refuse(request, Refusal::Unknown);
            }
        }
    }

    fn answer_read(&mut self, request: RequestId) {
        let Some(Reading { commands, is_transaction }) = self.reads.remove(&request) else {
            return;
        };
        let mut replies: Vec<Reply> = commands.iter().map(|command| self.machine.read(command)).collect();
        let reply = match (is_transaction, replies.len()) {
            (false, 1) => replies.remove(0),
            _ => Reply::Array(replies),
        };
        self.answer(request, reply);
    }

    fn refuse(&mut self, request: RequestId, why: Refusal) {
        self.reads.remove(&request);
        let text = match why {
            Refusal::NotLeader => return self.answer(request, self.redirection()),
            Refusal::Busy => "BUSY too much waits to be replicated (hint: try again soon)",
            Refusal::Transferring => "BUSY leadership is being handed over (hint: try again soon)",
            Refusal::ChangeInProgress => {
                "BUSY another change of the members is not finished (hint: try again soon)"
            }
            Refusal::TooSlow => "ERR the new member did not catch up, and stays a learner (hint: is it up?)",
            Refusal::NotAVoter => "ERR it is no voter of this cluster (hint: see RAFT.INFO)",
            Refusal::NotAFollower => "ERR it is no follower of this leader (hint: see RAFT.INFO)",
            Refusal::NoQuorum => {
                "ERR too few members would still get entries (hint: RAFT.RELEASE another one)"
            }
            Refusal::NoVoters => "ERR nobody would be left to vote",
            Refusal::NotTakenOver => "ERR the other node did not take over in time; this one still leads",
            Refusal::Unknown => "UNKNOWN leadership was lost: the command may or may not take effect",
        };
        self.answer(request, Reply::Error(text.into()));
    }

    fn redirection(&self) -> Reply {
        let me = self.raft.id();
        let leader = self.raft.standing().leader.filter(|&leader| leader != me);
        let address = leader.and_then(|leader| {
            let known = self.options.addresses.get(&leader);
            known.or_else(|| self.raft.configuration().addresses.get(&leader))
        });
        Reply::Error(match address.and_then(|address| address.split_once('/')) {
            Some((_, client)) => format!("MOVED 0 {client}"),
            None => "NOLEADER this node knows of no leader".into(),
        })
    }

    /// What to answer to proposals that are only appended: nothing, as long as answers wait for the commit.
    fn preview(&self, proposals: &[(RequestId, Bytes)]) -> Vec<(RequestId, Option<Reply>)> {
        if self.rules.answers_wait_for_commit {
            return Vec::new();
        }
        proposals.iter().map(|(request, entry)| (*request, self.machine.preview(entry))).collect()
    }

    fn answer_early(&mut self, previews: Vec<(RequestId, Option<Reply>)>) {
        for (request, reply) in previews {
            if let Some(reply) = reply
                && let Some(place) = self.placed.iter().position(|&(_, placed)| placed == request)
            {
                self.placed.remove(place);
                self.answer(request, reply);
            }
        }
    }

    /// Begins a snapshot of the state as it is, or waits for the one that is being made.
    fn save(&mut self, request: Option<RequestId>) {
        if let Some(waiting) = &mut self.saving {
            return waiting.extend(request);
        }
        let snapshot = self.raft.snapshot_at_commit();
        let is_known = self.raft.snapshot().is_some_and(|known| known.last == snapshot.last);
        if is_known || snapshot.last.index == Index(0) {
            // There is nothing that it would add.
            return request.into_iter().for_each(|request| self.answer(request, Reply::Simple("OK")));
        }
        self.saving = Some(request.into_iter().collect());
        self.note(|_| Deed::snapshot(&snapshot));
        self.effects.push(Effect::Save(Box::new((snapshot, self.machine.clone()))));
    }

    fn answer(&mut self, request: RequestId, reply: Reply) {
        self.effects.push(Effect::Answer(request, reply));
    }

    fn note(&mut self, deed: impl FnOnce(&Machine) -> Deed) {
        if self.options.traced {
            self.effects.push(Effect::Note(deed(&self.machine)));
        }
    }
}
