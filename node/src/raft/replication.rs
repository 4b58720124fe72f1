//! AppendEntries on both sides, and when an entry is committed (paper, 5.3 and 5.4.2).

use bytes::Bytes;

use super::message::{AppendResult, Body};
use super::progress::{Progress, Sendable};
use super::types::{Entry, EntryId, Index, NodeId, Payload};
use super::{Leader, Output, Raft, Refusal, RequestId, State};

impl Raft {
    pub(super) fn propose(&mut self, proposals: Vec<(RequestId, Bytes)>) {
        let State::Leader(leader) = &self.state else {
            return self.refuse_all(proposals.into_iter().map(|(request, _)| request), Refusal::NotLeader);
        };
        if leader.transfer.is_some() {
            // The target has to catch up, and would never if the log went on growing (dissertation, 3.10).
            let requests = proposals.into_iter().map(|(request, _)| request);
            return self.refuse_all(requests, Refusal::Transferring);
        }
        for (request, command) in proposals {
            if self.is_overloaded(command.len()) {
                self.refuse(request, Refusal::Busy);
                continue;
            }
            let id = self.log.push(self.term(), Payload::Command(command));
            self.gathered.outputs.push(Output::Proposed(request, id));
        }
        self.replicate();
    }

    fn refuse_all(&mut self, requests: impl Iterator<Item = RequestId>, why: Refusal) {
        self.gathered.outputs.extend(requests.map(|request| Output::Refused(request, why)));
    }

    /// Whether another `bytes` are too much to keep until followers and the disk have caught up. A single entry
    /// always fits, or a long one could never be written.
    fn is_overloaded(&self, bytes: usize) -> bool {
        let waiting = self.log.bytes_behind(self.commit.min(self.log.durable()));
        waiting > 0 && waiting + bytes as u64 > self.config.limits.uncommitted_bytes_max
    }

    /// Sends every follower what it lacks.
    pub(super) fn replicate(&mut self) {
        for peer in self.peers() {
            self.maybe_replicate(peer);
        }
    }

    pub(super) fn maybe_heartbeat(&mut self) {
        let now = self.now;
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        if now < leader.heartbeat_due {
            return;
        }
        leader.heartbeat_due = now + self.config.heartbeat;
        leader.followers.values_mut().for_each(Progress::heartbeat_is_due);
        leader.reads.begin_round(now);
        self.say_something();
    }

    /// Sends every follower what it lacks, or else an empty message: a heartbeat, and a new round for reads.
    pub(super) fn say_something(&mut self) {
        for peer in self.peers() {
            if !self.maybe_replicate(peer) {
                self.append(peer, 0);
            }
        }
    }

    /// Sends `peer` what it lacks, as far as there is room on the way; tells whether anything was sent.
    pub(super) fn maybe_replicate(&mut self, peer: NodeId) -> bool {
        let mut any = false;
        while let State::Leader(leader) = &mut self.state {
            let Some(follower) = leader.followers.get_mut(&peer) else {
                break;
            };
            match follower.sendable(&self.config.limits) {
                Sendable::Nothing => break,
                Sendable::Chunk(snapshot, offset) => self.send_chunk(peer, snapshot, offset),
                Sendable::Entries if follower.next <= self.log.base().index => {
                    match self.snapshots.latest() {
                        Some(snapshot) => follower.become_snapshot(snapshot.clone()),
                        // Only what a snapshot covers is ever compacted.
                        None => unreachable!("a log without a start and no snapshot"),
                    }
                    continue;
                }
                Sendable::Entries if follower.next > self.log.last().index => break,
                Sendable::Entries => self.append(peer, self.config.limits.message_bytes_max),
            }
            any = true;
        }
        any
    }

    /// One AppendEntries with at most `bytes` of entries; with 0, none.
    fn append(&mut self, peer: NodeId, bytes: usize) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let Some(follower) = leader.followers.get_mut(&peer) else {
            return;
        };
        let known = |index: Index| Some(EntryId { term: self.log.term_at(index)?, index });
        let previous = match follower.snapshot() {
            // Accepted as soon as the snapshot is in place.
            Some(snapshot) => snapshot.last,
            // A follower that is behind the base will be sent a snapshot; until then any entry will do to be heard.
            None => known(follower.next.previous()).unwrap_or(self.log.base()),
        };
        let entries = match bytes {
            0 => Vec::new(),
            _ => self.log.slice(follower.next, bytes),
        };
        if let Some(last) = entries.last() {
            follower.sent(last.id.index, entries.iter().map(Entry::size).sum());
        }
        let round = leader.reads.round();
        self.send(peer, Body::AppendEntries { previous, entries, commit: self.commit, round });
    }

    /// The follower's side (paper, Figure 2, "AppendEntries RPC").
    pub(super) fn append_entries(
        &mut self,
        from: NodeId,
        previous: EntryId,
        entries: Vec<Entry>,
        commit: Index,
        round: u64,
    ) {
        self.heard_leader(from);
        // What lies before the base is committed, and so equals the leader's.
        let (previous, entries) = self.skip_compacted(previous, entries);
        if !self.log.holds(previous) || self.unsynced.has_snapshot() {
            let hint = self.log.last_at_most(previous.index, previous.term);
            let result = AppendResult::Rejected { previous: previous.index, hint };
            return self.send_after_sync(from, Body::AppendEntriesReply { round, result });
        }
        let is_heartbeat = entries.is_empty();
        let matched = Index(previous.index.0 + entries.len() as u64);
        self.store(entries);
        // What lies behind `matched` may still differ from the leader's log, committed or not.
        self.commit_to(commit.min(matched));
        if is_heartbeat && !self.gathered.hard_state_changed && !self.unsynced.has_hard_state() {
            // Nothing new is promised, so a slow disk must not silence a healthy follower.
            let result = AppendResult::Accepted { matched: matched.min(self.log.durable()) };
            self.send(from, Body::AppendEntriesReply { round, result });
        } else {
            let result = AppendResult::Accepted { matched };
            self.send_after_sync(from, Body::AppendEntriesReply { round, result });
        }
        self.ask_leader_again();
    }

    /// The leader of this term has spoken.
    pub(super) fn heard_leader(&mut self, from: NodeId) {
        assert!(
            !matches!(self.state, State::Leader(_)),
            "{from} leads term {} beside this node",
            self.term()
        );
        if !matches!(self.state, State::Follower) || self.leader != Some(from) {
            self.become_follower(self.term(), Some(from));
        }
        self.leader_heard = self.now;
        self.reset_election_timer();
    }

    fn skip_compacted(&self, previous: EntryId, mut entries: Vec<Entry>) -> (EntryId, Vec<Entry>) {
        let base = self.log.base();
        if previous.index >= base.index {
            return (previous, entries);
        }
        let covered = (base.index.0 - previous.index.0) as usize;
        if entries.len() < covered {
            // It ends before the base: nothing in it is new, and all of it matches.
            return (base, Vec::new());
        }
        let rest = entries.split_off(covered);
        (base, rest)
    }

    fn store(&mut self, entries: Vec<Entry>) {
        let before = self.log.configuration_index();
        if let Some(cut) = self.log.merge(entries) {
            assert!(cut > self.commit, "entry {cut} is committed and would be cut away");
            self.unsynced.cut(cut);
        }
        if self.log.configuration_index() != before {
            self.configuration_changed();
        }
    }

    /// The leader's side of an answer.
    pub(super) fn append_answered(&mut self, from: NodeId, round: u64, result: AppendResult) {
        let base = self.log.base().index;
        let Some(follower) = self.answered(from, round) else {
            return;
        };
        match result {
            AppendResult::Accepted { matched } => {
                follower.accepted(matched, base);
                assert!(matched <= self.log.last().index, "{from} has more than it was sent");
                self.maybe_commit();
            }
            AppendResult::Rejected { previous, hint } => {
                let common = self.log.last_at_most(hint.index, hint.term).index;
                // The base is not known to be common, but what lies before it is no longer in the log: `previous`
                // points there then, and a snapshot follows.
                let common = if hint.index < self.log.base().index { hint.index } else { common };
                if let State::Leader(leader) = &mut self.state
                    && let Some(follower) = leader.followers.get_mut(&from)
                {
                    follower.maybe_rejected(previous, common);
                }
            }
        }
        self.after_answer(from);
    }

    /// A follower has answered this leader, whatever it said.
    pub(super) fn answered(&mut self, from: NodeId, round: u64) -> Option<&mut Progress> {
        let State::Leader(leader) = &mut self.state else {
            return None;
        };
        let follower = leader.followers.get_mut(&from)?;
        follower.contact = self.now;
        follower.round = follower.round.max(round);
        Some(follower)
    }

    pub(super) fn after_answer(&mut self, from: NodeId) {
        self.maybe_replicate(from);
        self.confirm_reads();
        self.maybe_hand_over();
        self.maybe_promote();
    }

    /// Commits what a majority has stored, once an entry of the leader's own term is among it: one of an earlier
    /// term may be replaced even if a majority has it (paper, Figure 8). Its own copy counts when it is synced.
    pub(super) fn maybe_commit(&mut self) {
        let State::Leader(leader) = &self.state else {
            return;
        };
        let durable = self.log.durable();
        let index = match self.config.rules.commit_needs_majority {
            true => self.configuration().reached_by(|node| self.stored(leader, node, durable)),
            false => {
                let stored =
                    self.configuration().voters.iter().map(|&node| self.stored(leader, node, durable));
                let mut stored: Vec<Index> = stored.collect();
                stored.sort_unstable_by(|a, b| b.cmp(a));
                stored.get((stored.len() / 2).max(1) - 1).copied()
            }
        };
        let Some(index) = index else {
            return;
        };
        if self.log.term_at(index) == Some(self.term()) {
            self.commit_to(index);
            self.confirm_reads();
            self.configuration_committed();
        }
    }

    fn stored(&self, leader: &Leader, node: NodeId, durable: Index) -> Index {
        match node == self.config.id {
            true => durable,
            false => leader.followers.get(&node).map_or(Index(0), |follower| follower.matched),
        }
    }

    pub(super) fn commit_to(&mut self, index: Index) {
        if index <= self.commit {
            return;
        }
        let entries = self.log.range(self.commit.next(), index);
        self.commit = index;
        self.gathered.outputs.push(Output::Commit(entries));
        self.release_asked();
    }
}
