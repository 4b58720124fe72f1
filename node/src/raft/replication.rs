//! AppendEntries on both sides, and when an entry is committed (paper, 5.3 and 5.4.2).

use bytes::Bytes;

use super::message::{AppendResult, Body};
use super::progress::Progress;
use super::quorum;
use super::types::{Entry, EntryId, Index, NodeId, Payload};
use super::{Output, Raft, RequestId, State};

impl Raft {
    pub(super) fn propose(&mut self, proposals: Vec<(RequestId, Bytes)>) {
        if !matches!(self.state, State::Leader(_)) {
            let refused = proposals.into_iter().map(|(request, _)| Output::NotLeader(request));
            self.gathered.outputs.extend(refused);
            return;
        }
        for (request, command) in proposals {
            let id = self.log.push(self.term(), Payload::Command(command));
            self.gathered.outputs.push(Output::Proposed(request, id));
        }
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

    /// Sends `peer` the entries that it lacks, as far as there is room on the way; tells whether any were sent.
    fn maybe_replicate(&mut self, peer: NodeId) -> bool {
        let mut any = false;
        while let State::Leader(leader) = &self.state {
            let follower = &leader.followers[&peer];
            let lacks = follower.next <= self.log.last().index;
            let may_have_more = !any || follower.is_streaming();
            if !(lacks && follower.has_room() && may_have_more) {
                break;
            }
            self.append(peer, self.config.message_bytes_max);
            any = true;
        }
        any
    }

    /// One AppendEntries with at most `bytes` of entries; with 0, none.
    fn append(&mut self, peer: NodeId, bytes: usize) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let follower = leader.followers.get_mut(&peer).expect("a follower of this leader");
        let index = follower.next.previous();
        let term = self.log.term_at(index).expect("what precedes the next entry is in the log");
        let entries = match bytes {
            0 => Vec::new(),
            _ => self.log.slice(follower.next, bytes).to_vec(),
        };
        if let Some(last) = entries.last() {
            follower.sent(last.id.index);
        }
        let round = leader.reads.round();
        let previous = EntryId { term, index };
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

        if !self.log.holds(previous) {
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
    }

    fn store(&mut self, entries: Vec<Entry>) {
        if let Some(cut) = self.log.merge(entries) {
            assert!(cut > self.commit, "entry {cut} is committed and would be cut away");
            self.unsynced.cut(cut);
        }
    }

    /// The leader's side of an answer.
    pub(super) fn append_answered(&mut self, from: NodeId, round: u64, result: AppendResult) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let Some(follower) = leader.followers.get_mut(&from) else {
            return;
        };
        follower.contact = self.now;
        follower.round = follower.round.max(round);
        match result {
            AppendResult::Accepted { matched } => {
                assert!(matched <= self.log.last().index, "{from} has more than it was sent");
                follower.accepted(matched);
                self.maybe_commit();
            }
            AppendResult::Rejected { previous, hint } => {
                let common = self.log.last_at_most(hint.index, hint.term).index;
                follower.maybe_rejected(previous, common);
            }
        }
        self.maybe_replicate(from);
        self.confirm_reads();
    }

    /// Commits what a majority has stored, once an entry of the leader's own term is among it: one of an earlier
    /// term may be replaced even if a majority has it (paper, Figure 8). Its own copy counts when it is synced.
    pub(super) fn maybe_commit(&mut self) {
        let State::Leader(leader) = &self.state else {
            return;
        };
        let mut stored: Vec<Index> = leader.followers.values().map(|follower| follower.matched).collect();
        stored.push(self.log.durable());
        let quorum = match self.config.rules.commit_needs_majority {
            true => self.majority(),
            false => (stored.len() / 2).max(1),
        };
        let index = quorum::reached_by(&mut stored, quorum);
        if self.log.term_at(index) == Some(self.term()) {
            self.commit_to(index);
            self.confirm_reads();
        }
    }

    fn commit_to(&mut self, index: Index) {
        if index <= self.commit {
            return;
        }
        let entries = self.log.range(self.commit.next(), index).to_vec();
        self.commit = index;
        self.gathered.outputs.push(Output::Commit(entries));
    }
}
