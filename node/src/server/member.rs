//! The one task that owns a node's state: it feeds events to the member and carries out what the member says.
//!
//! Whatever has gathered is taken in at once: many clients' commands share a write, a sync and a message. What
//! others are to see (messages, answers) leaves last, after the trace.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::clock::{clock, now};
use super::disk::{self, Job, Jobs};
use super::event::{Done, Event, Form};
use super::inbox::Inbox;
use super::peers::Peer;
use super::report::Figures;
use super::trace::Trace;
use super::wire::{Hello, Letter};
use super::{Membership, report};
use crate::raft::{Body, Configuration, Message, NodeId, RequestId};
use crate::replica::{Effect, Replica, Request};
use crate::resp::Reply;
use crate::storage::{Folder, StorageError, read_chunk};

/// A member at work.
pub(super) struct Member {
    pub(super) replica: Replica,
    pub(super) membership: Membership,
    pub(super) data: PathBuf,
    /// Bytes of one piece of a snapshot.
    pub(super) chunk_bytes: u64,
    pub(super) trace: Trace,
    pub(super) jobs: Jobs,
    pub(super) done: mpsc::UnboundedSender<Done>,
    pub(super) peers: BTreeMap<NodeId, Peer>,
    pub(super) asked: Asked,
    pub(super) figures: Figures,
    /// Leaves when the round is over.
    pub(super) messages: Vec<Message>,
    pub(super) jobs_due: Vec<Job>,
    /// Nothing but what can wait has led to them.
    pub(super) can_wait: bool,
}

/// Clients that wait for answers. Requests that came together are answered together.
#[derive(Default)]
pub(super) struct Asked {
    latest: u64,
    /// By the number of the first request.
    groups: BTreeMap<u64, Group>,
    answered: Vec<Group>,
}

struct Group {
    replies: Vec<Option<Reply>>,
    missing: usize,
    answer: oneshot::Sender<Vec<Reply>>,
}

impl Member {
    /// Works until nothing can come any more.
    ///
    /// # Errors
    /// When the disk fails: a node that cannot keep its promises must not go on.
    pub(super) async fn work(mut self, mut inbox: Inbox) -> Result<(), StorageError> {
        self.carry_out();
        self.let_go();
        while inbox.wait(self.replica.deadline()).await {
            // After a pause the timers come first: what this node believed of itself may be long over.
            self.can_wait = inbox.finished.is_empty();
            if now() >= self.replica.deadline() {
                self.can_wait = false;
                self.replica.tick(clock());
            }
            self.take_in(inbox.asked.drain(..));
            for what in inbox.finished.drain(..) {
                self.finish(what)?;
            }
            self.carry_out();
            self.let_go();
        }
        Ok(())
    }

    fn take_in(&mut self, events: impl Iterator<Item = Event>) {
        let mut requests: Vec<(RequestId, Request)> = Vec::new();
        let mut reports = Vec::new();
        for event in events {
            match event {
                Event::Letter(Letter { message, can_wait }) => {
                    self.can_wait &= can_wait;
                    self.replica.receive(message, clock());
                }
                Event::Ask(group, answer) => {
                    self.can_wait = false;
                    self.asked.take(group, answer, &mut requests);
                }
                Event::Report(form, answer) => reports.push((form, answer)),
            }
        }
        if !requests.is_empty() {
            self.replica.ask(requests, clock());
        }
        for (form, answer) in reports {
            // Whoever asked may have gone.
            let _ = answer.send(self.report(form));
        }
    }

    fn report(&self, form: Form) -> String {
        let facts = report::facts(&self.replica, &self.figures, self.asked.groups.len());
        match form {
            Form::Redis => report::redis(&self.replica),
            Form::Raft => report::lines(&facts),
            Form::Prometheus => report::prometheus(&facts),
        }
    }

    fn finish(&mut self, done: Done) -> Result<(), StorageError> {
        match done {
            Done::Written(writes, restored, took) => {
                self.figures.synced(took);
                self.replica.written(&writes, restored, clock());
            }
            Done::Full(error) => {
                if self.figures.disk_is_full(true) {
                    eprintln!("{}: {error}", self.membership.id);
                }
                self.replica.disk_is_full();
                return Ok(());
            }
            Done::Failed(error) => return Err(error),
            Done::Saved(Err(error @ StorageError::Full { .. })) => {
                eprintln!("{}: {error}", self.membership.id);
                self.replica.saved(Err(error.to_string()), clock());
            }
            Done::Saved(Err(error)) => return Err(error),
            Done::Saved(Ok(snapshot)) => self.replica.saved(Ok(snapshot), clock()),
        }
        if self.figures.disk_is_full(false) {
            eprintln!("{}: the disk has room again", self.membership.id);
        }
        Ok(())
    }

    fn carry_out(&mut self) {
        for effect in self.replica.effects() {
            match effect {
                Effect::Send(message) => self.messages.push(message),
                Effect::Write(write) => self.jobs_due.push(Job::Write(write)),
                Effect::Forget(last, in_use) => self.jobs_due.push(Job::Forget(last, in_use)),
                Effect::Save(save) => {
                    let (snapshot, machine) = *save;
                    disk::save(&self.data, self.membership.id, snapshot, machine, self.done.clone());
                }
                Effect::Answer(request, reply) => self.asked.answer(request, reply),
                Effect::Configured(configuration) => self.reach(&configuration),
                Effect::Note(deed) => self.trace.note(now(), &deed),
            }
        }
    }

    /// Opens ways to members that are new, closes those to whoever left.
    fn reach(&mut self, configuration: &Arc<Configuration>) {
        let Membership { id, cluster, members } = &self.membership;
        let known = |node: &NodeId| members.contains_key(node) || configuration.addresses.contains_key(node);
        self.peers.retain(|node, _| known(node));
        for (&node, address) in &configuration.addresses {
            if node == *id || self.peers.contains_key(&node) {
                continue;
            }
            if let Some(peer) = address.split_once('/').and_then(|(peer, _)| peer.parse().ok()) {
                let hello = Hello { cluster: *cluster, from: *id, to: node };
                self.peers.insert(node, Peer::open(hello, peer));
            }
        }
    }

    /// Everything that others may see of this round leaves, in one go, and the disk gets its work.
    fn let_go(&mut self) {
        self.trace.flush();
        // The own disk comes first: to hand it its work is quick, and it is at work while the others are told.
        for job in take(&mut self.jobs_due) {
            self.jobs.send(job, self.can_wait);
        }
        let needed = if self.messages.is_empty() { BTreeSet::new() } else { self.needed() };
        for mut message in take(&mut self.messages) {
            if !self.fill_in(&mut message) {
                continue;
            }
            if let Some(peer) = self.peers.get(&message.to) {
                peer.send(&message, !needed.contains(&message.to));
            }
        }
        self.peers.values().for_each(Peer::flush);
        for Group { replies, answer, .. } in take(&mut self.asked.answered) {
            let replies = replies.into_iter().map(|reply| reply.expect("all of them were answered"));
            // The client may have gone.
            let _ = answer.send(replies.collect());
        }
    }

    /// The followers that are enough for a commit, as far as they are ahead of the others: theirs are the disks that a
    /// commit waits for. One that falls behind is overtaken by those that were spared.
    fn needed(&self) -> BTreeSet<NodeId> {
        let raft = self.replica.raft();
        let mut followers = raft.followers();
        followers.sort_by_key(|follower| (Reverse(follower.matched), follower.id));
        let mut needed = BTreeSet::from([self.membership.id]);
        for follower in followers {
            if raft.configuration().is_quorum(|node| needed.contains(&node)) {
                break;
            }
            needed.insert(follower.id);
        }
        needed
    }

    /// Puts its content into a piece of a snapshot; tells whether the message can be sent.
    fn fill_in(&self, message: &mut Message) -> bool {
        let Body::InstallSnapshot { snapshot, offset, data, .. } = &mut message.body else {
            return true;
        };
        // Out of the page cache as a rule: it was written not long ago.
        match read_chunk(&Folder::open(&self.data), snapshot, *offset, self.chunk_bytes) {
            Ok(content) => {
                *data = content;
                true
            }
            Err(error) => {
                eprintln!("{}: cannot read the snapshot at {}: {error}", self.membership.id, snapshot.last);
                false
            }
        }
    }
}

impl Asked {
    fn take(
        &mut self,
        group: Vec<Request>,
        answer: oneshot::Sender<Vec<Reply>>,
        requests: &mut Vec<(RequestId, Request)>,
    ) {
        let first = self.latest + 1;
        let missing = group.len();
        self.latest += missing as u64;
        self.groups.insert(first, Group { replies: vec![None; missing], missing, answer });
        requests.extend((first..).map(RequestId).zip(group));
    }

    fn answer(&mut self, RequestId(request): RequestId, reply: Reply) {
        let Some(mut entry) = self.groups.range_mut(..=request).next_back() else {
            return;
        };
        let (&first, group) = (entry.0, &mut entry.1);
        let place = &mut group.replies[(request - first) as usize];
        assert!(place.is_none(), "request {request} was answered twice");
        *place = Some(reply);
        group.missing -= 1;
        if group.missing == 0 {
            self.answered.extend(self.groups.remove(&first));
        }
    }
}
