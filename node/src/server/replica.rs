//! The one task that owns a member's state: it feeds events to the core and carries out what the core says.
//!
//! Whatever has gathered is taken in at once: many clients' commands share a write, a sync and a message. What
//! others are to see (messages, answers) leaves last, after the trace.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::mem::take;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Duration, Instant, sleep_until};

use super::Membership;
use super::event::{Event, Request};
use super::peers::Peer;
use super::trace::Trace;
use crate::machine::{Command, Machine};
use crate::raft::{
    Entry, EntryId, Index, Input, Message, NodeId, Output, Payload, Raft, RequestId, Role, Standing, Term,
    Time, Write,
};
use crate::resp::Reply;
use crate::rules::Rules;
use crate::storage::{StorageError, Writes};

/// Events that are taken in together.
const EVENTS_MAX: usize = 512;

/// What the storage thread reports.
pub(super) type Synced = Result<Vec<Write>, StorageError>;

/// A member at work.
pub(super) struct Replica {
    pub(super) raft: Raft,
    pub(super) machine: Machine,
    pub(super) membership: Membership,
    pub(super) rules: Rules,
    pub(super) trace: Trace,
    pub(super) writes: Writes,
    pub(super) peers: BTreeMap<NodeId, Peer>,
    pub(super) clients: Clients,
}

/// Clients that wait, and what is ready to leave.
#[derive(Default)]
pub(super) struct Clients {
    latest: u64,
    /// Asked, and not yet placed in the log or confirmed as a read.
    asked: BTreeMap<RequestId, (Option<Command>, oneshot::Sender<Reply>)>,
    /// In the log: answered when the entry with this id is applied.
    placed: BTreeMap<Index, (Term, oneshot::Sender<Reply>)>,
    answers: Vec<(oneshot::Sender<Reply>, Reply)>,
    messages: Vec<Message>,
}

/// Nanoseconds of the machine's monotonic clock.
pub(super) fn now() -> Time {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    Time(Duration::from(time.expect("every Linux has a monotonic clock")).as_nanos() as u64)
}

impl Replica {
    /// Works until the events end.
    ///
    /// # Errors
    /// When the disk fails: a node that cannot keep its promises must not go on.
    pub(super) async fn work(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut synced: mpsc::UnboundedReceiver<Synced>,
    ) -> Result<(), StorageError> {
        let mut batch = Vec::with_capacity(EVENTS_MAX);
        loop {
            let wait = self.raft.deadline() - now();
            tokio::select! {
                count = events.recv_many(&mut batch, EVENTS_MAX) => if count == 0 {
                    return Ok(());
                },
                Some(result) = synced.recv() => self.written(result?),
                () = sleep_until(Instant::now() + wait) => {}
            }
            // After a pause the timers come first: what this node believed of itself may be long over.
            if now() >= self.raft.deadline() {
                self.step(Input::Tick);
            }
            self.take_in(batch.drain(..));
            while let Ok(result) = synced.try_recv() {
                self.written(result?);
            }
            self.let_go();
        }
    }

    fn take_in(&mut self, events: impl Iterator<Item = Event>) {
        let (mut proposals, mut reads) = (Vec::new(), Vec::new());
        for event in events {
            match event {
                Event::Message(message) => self.step(Input::Receive(message)),
                Event::Request(Request::Write(entry), answer) => {
                    proposals.push((self.clients.ask(None, answer), entry));
                }
                Event::Request(Request::Read(command), answer) => {
                    reads.push(self.clients.ask(Some(command), answer));
                }
                Event::Request(Request::Info, answer) => self.clients.answer(answer, self.info()),
                Event::Request(Request::RaftInfo, answer) => {
                    self.clients.answer(answer, self.raft_info());
                }
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
    }

    fn written(&mut self, writes: Vec<Write>) {
        let now = now();
        writes.iter().for_each(|write| self.trace.written(now, write));
        if let Some(last) = writes.last() {
            self.step(Input::Written(last.id));
        }
    }

    fn step(&mut self, input: Input) {
        for output in self.raft.step(input, now()) {
            match output {
                Output::Send(message) => self.clients.messages.push(message),
                // A thread that ended has reported why, and `work` ends with that.
                Output::Write(write) => drop(self.writes.send(write)),
                Output::Commit(entries) => self.apply(&entries),
                Output::Became(standing) => self.became(standing),
                Output::Proposed(request, at) => self.clients.place(request, at),
                // The core commits before it confirms, and commits are applied at once.
                Output::ReadReady(request, _) => self.answer_read(request),
                Output::NotLeader(request) => self.refuse(request),
            }
        }
    }

    fn apply(&mut self, entries: &[Entry]) {
        let mut digests = Vec::with_capacity(entries.len());
        for entry in entries {
            let reply = match &entry.payload {
                Payload::Noop => Reply::Null,
                Payload::Command(command) => self.machine.apply(&Command::from_entry(command)),
            };
            digests.push(self.machine.digest());
            self.clients.applied(entry.id, reply);
        }
        self.trace.committed(now(), self.raft.standing().term.0, entries, &digests);
    }

    fn became(&mut self, standing: Standing) {
        self.trace.role(now(), standing);
        if standing.role != Role::Leader {
            self.clients.lost_leadership();
        }
    }

    fn answer_read(&mut self, request: RequestId) {
        if let Some((Some(command), answer)) = self.clients.asked.remove(&request) {
            self.clients.answer(answer, self.machine.apply(&command));
        }
    }

    fn refuse(&mut self, request: RequestId) {
        if let Some((_, answer)) = self.clients.asked.remove(&request) {
            self.clients.answer(answer, self.redirection());
        }
    }

    fn redirection(&self) -> Reply {
        let leader = self.raft.standing().leader.filter(|&leader| leader != self.membership.id);
        Reply::Error(match leader.and_then(|leader| self.membership.members.get(&leader)) {
            Some(member) => format!("MOVED 0 {}", member.client),
            None => "NOLEADER this node knows of no leader".into(),
        })
    }

    /// What to answer to proposals that are only appended: nothing, as long as answers wait for the commit.
    fn preview(&self, proposals: &[(RequestId, Bytes)]) -> Vec<Reply> {
        if self.rules.answers_wait_for_commit {
            return Vec::new();
        }
        let commands = proposals.iter().map(|(_, entry)| Command::from_entry(entry));
        commands.map(|command| self.machine.preview(&command)).collect()
    }

    fn answer_early(&mut self, previews: Vec<Reply>) {
        let first = self.raft.last().index.0 + 1 - previews.len() as u64;
        for (index, reply) in (first..).map(Index).zip(previews) {
            if let Some((_, answer)) = self.clients.placed.remove(&index) {
                self.clients.answer(answer, reply);
            }
        }
    }

    /// Everything that others may see of this round leaves, in one go.
    fn let_go(&mut self) {
        self.trace.flush();
        for message in take(&mut self.clients.messages) {
            if let Some(peer) = self.peers.get(&message.to) {
                peer.send(message);
            }
        }
        for (answer, reply) in take(&mut self.clients.answers) {
            // The client may have gone.
            let _ = answer.send(reply);
        }
    }

    fn info(&self) -> Reply {
        let Standing { role, .. } = self.raft.standing();
        let role = if role == Role::Leader { "master" } else { "slave" };
        let version = env!("CARGO_PKG_VERSION");
        Reply::Bulk(Bytes::from(format!(
            "# Server\r\nrafture_version:{version}\r\nprocess_id:{}\r\n\r\n# Replication\r\nrole:{role}\r\n\r\n# Keyspace\r\ndb0:keys={}\r\n",
            std::process::id(),
            self.machine.len(),
        )))
    }

    fn raft_info(&self) -> Reply {
        let Standing { role, term, leader } = self.raft.standing();
        let name = |node: NodeId| node.to_string();
        let mut text = format!(
            "id:{}\r\nrole:{role:?}\r\nterm:{term}\r\nleader:{}\r\nlast:{}\r\ndurable:{}\r\ncommit:{}\r\n",
            self.membership.id,
            leader.map(name).unwrap_or_default(),
            self.raft.last().index,
            self.raft.durable(),
            self.raft.commit(),
        );
        for follower in self.raft.followers() {
            let _ = write!(
                text,
                "follower.{}:matched={},next={}\r\n",
                follower.id, follower.matched, follower.next
            );
        }
        Reply::Bulk(Bytes::from(text))
    }
}

impl Clients {
    fn ask(&mut self, command: Option<Command>, answer: oneshot::Sender<Reply>) -> RequestId {
        self.latest += 1;
        self.asked.insert(RequestId(self.latest), (command, answer));
        RequestId(self.latest)
    }

    fn place(&mut self, request: RequestId, at: EntryId) {
        if let Some((_, answer)) = self.asked.remove(&request) {
            self.placed.insert(at.index, (at.term, answer));
        }
    }

    fn applied(&mut self, id: EntryId, reply: Reply) {
        if let Some((term, answer)) = self.placed.remove(&id.index) {
            assert_eq!(term, id.term, "a client of this leader waits for an entry of another");
            self.answer(answer, reply);
        }
    }

    fn answer(&mut self, answer: oneshot::Sender<Reply>, reply: Reply) {
        self.answers.push((answer, reply));
    }

    /// What was proposed may still be committed by another leader, or may not: only the truth is said.
    fn lost_leadership(&mut self) {
        for (_, (_, answer)) in take(&mut self.placed) {
            let text = "UNKNOWN leadership was lost: the command may or may not take effect";
            self.answers.push((answer, Reply::Error(text.into())));
        }
    }
}
