//! Terms, timers and votes (paper, 5.2 and 5.4.1; PreVote: dissertation, 9.6; CheckQuorum: 6.2).

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt;

use super::message::{AppendResult, Body, Message};
use super::progress::Progress;
use super::read::Reads;
use super::types::{EntryId, HardState, NodeId, Payload, Term, Time};
use super::{Configuration, Leader, Raft, Refusal, State};

/// Who has answered a request for votes, and how.
#[derive(Debug, Clone, Default)]
pub(super) struct Votes(BTreeMap<NodeId, bool>);

impl Votes {
    fn won(&self, configuration: &Configuration) -> bool {
        configuration.is_quorum(|node| self.0.get(&node) == Some(&true))
    }

    /// Whether it cannot be won any more, whatever those say who have not answered.
    fn lost(&self, configuration: &Configuration) -> bool {
        !configuration.is_quorum(|node| self.0.get(&node) != Some(&false))
    }
}

impl Raft {
    pub(super) fn tick(&mut self) {
        if matches!(self.state, State::Leader(_)) {
            self.maybe_step_down();
            self.maybe_give_up_transfer();
            self.maybe_give_up_change();
            self.maybe_promote();
            self.maybe_heartbeat();
        } else if self.now >= self.election_deadline {
            self.give_up_asked();
            match self.is_voter() {
                true if self.config.pre_vote => self.become_pre_candidate(),
                true => self.become_candidate(false),
                // Whoever does not vote cannot lead.
                false => self.reset_election_timer(),
            }
        }
    }

    /// Every message comes in here. A later term makes a follower of anybody; an earlier one is answered, if it
    /// was a call, so that its sender learns the term, and is otherwise ignored.
    pub(super) fn receive(&mut self, message: Message) {
        let Message { from, to, term, body } = message;
        // A sender need not be a member by this node's configuration: the node may not have heard yet, and an entry
        // that makes somebody a member has to come from somewhere (dissertation, 4.1).
        assert_eq!(to, self.config.id, "a message for somebody else");
        if term > self.term() {
            match body {
                // A question changes nothing, whatever its sender's term.
                Body::PreVote { .. } => {}
                // Whoever hears a leader helps nobody to depose it (dissertation, 4.2.3).
                Body::RequestVote { transfer: false, .. } if self.hears_a_leader() => return,
                Body::AppendEntries { .. } | Body::InstallSnapshot { .. } | Body::TimeoutNow => {
                    self.become_follower(term, Some(from));
                }
                Body::RequestVote { .. }
                | Body::RequestVoteReply { .. }
                | Body::PreVoteReply { .. }
                | Body::AppendEntriesReply { .. }
                | Body::InstallSnapshotReply { .. }
                | Body::ReadIndex { .. }
                | Body::ReadIndexReply { .. } => self.become_follower(term, None),
            }
        }
        let is_stale = term < self.term();
        match body {
            Body::PreVote { next, last } => self.answer_pre_vote(from, next, last),
            Body::RequestVote { .. } if is_stale => {
                self.send_after_sync(from, Body::RequestVoteReply { granted: false });
            }
            Body::AppendEntries { previous, round, .. } if is_stale => {
                let result = AppendResult::Rejected { previous: previous.index, hint: EntryId::default() };
                self.send_after_sync(from, Body::AppendEntriesReply { round, result });
            }
            Body::InstallSnapshot { snapshot, round, .. } if is_stale => {
                let body =
                    Body::InstallSnapshotReply { last: snapshot.last, received: 0, installed: false, round };
                self.send_after_sync(from, body);
            }
            // An answer to what this node asked in an earlier term counts for nothing in this one. (One about a
            // PreVote says which term it is about, and comes from members that may be behind.)
            Body::RequestVoteReply { .. }
            | Body::AppendEntriesReply { .. }
            | Body::InstallSnapshotReply { .. }
            | Body::TimeoutNow
            | Body::ReadIndexReply { .. }
                if is_stale => {}
            Body::PreVoteReply { next, granted } => self.count_pre_vote(from, next, granted),
            Body::RequestVote { last, .. } => self.answer_vote(from, last),
            Body::RequestVoteReply { granted } => self.count_vote(from, granted),
            Body::AppendEntries { previous, entries, commit, round } => {
                self.append_entries(from, previous, entries, commit, round);
            }
            Body::AppendEntriesReply { round, result } => self.append_answered(from, round, result),
            Body::InstallSnapshot { snapshot, offset, data, round } => {
                self.install_snapshot(from, snapshot, offset, data, round);
            }
            Body::InstallSnapshotReply { last, received, installed, round } => {
                self.install_answered(from, last, received, installed, round);
            }
            Body::TimeoutNow => self.timeout_now(),
            Body::ReadIndex { question } => self.read_for(from, question),
            Body::ReadIndexReply { question, index } => self.read_index_answered(question, index),
        }
    }

    fn answer_pre_vote(&mut self, from: NodeId, next: Term, last: EntryId) {
        let granted = next > self.term() && !self.hears_a_leader() && last >= self.log.last();
        self.send_after_sync(from, Body::PreVoteReply { next, granted });
    }

    fn answer_vote(&mut self, from: NodeId, last: EntryId) {
        let is_free = self.hard_state.vote.is_none_or(|vote| vote == from);
        // The restriction that makes a leader's log complete (paper, 5.4.1).
        let is_up_to_date = last >= self.log.last();
        let granted = is_free && is_up_to_date && self.leader.is_none();
        if granted {
            self.promise(HardState { term: self.term(), vote: Some(from) });
            self.reset_election_timer();
        }
        self.send_after_sync(from, Body::RequestVoteReply { granted });
    }

    fn count_pre_vote(&mut self, from: NodeId, next: Term, granted: bool) {
        let expected = self.term().next();
        let State::PreCandidate(votes) = &mut self.state else {
            return;
        };
        if next != expected {
            return;
        }
        votes.0.insert(from, granted);
        if votes.won(self.log.configuration()) {
            self.become_candidate(false);
        } else if votes.lost(self.log.configuration()) {
            self.become_follower(self.term(), None);
        }
    }

    fn count_vote(&mut self, from: NodeId, granted: bool) {
        let State::Candidate(votes) = &mut self.state else {
            return;
        };
        votes.0.insert(from, granted);
        if votes.won(self.log.configuration()) {
            self.become_leader();
        } else if votes.lost(self.log.configuration()) {
            self.become_follower(self.term(), None);
        }
    }

    /// Follows in `term`. The election timer goes on as it was: only a vote given, a leader heard or an election
    /// begun may reset it, or a node with a poor log could keep others from standing.
    pub(super) fn become_follower(&mut self, term: Term, leader: Option<NodeId>) {
        let was_leader = match std::mem::replace(&mut self.state, State::Follower) {
            State::Leader(former) => {
                self.give_up_leadership(*former);
                true
            }
            State::Follower | State::PreCandidate(_) | State::Candidate(_) => false,
        };
        if term > self.term() {
            self.promise(HardState { term, vote: None });
        }
        if self.leader != leader {
            self.give_up_asked();
        }
        self.leader = leader;
        if was_leader {
            self.reset_election_timer();
        }
        self.announce();
    }

    /// Nobody will hear from this leader about what was asked of it.
    fn give_up_leadership(&mut self, former: Leader) {
        self.refuse_reads(former.reads);
        if let Some(changing) = former.changing {
            self.refuse(changing.request(), Refusal::Unknown);
        }
        if let Some(transfer) = former.transfer {
            self.end_transfer(&transfer);
        }
    }

    fn become_pre_candidate(&mut self) {
        self.state = State::PreCandidate(Votes::default());
        self.leader = None;
        self.reset_election_timer();
        self.announce();
        let body = Body::PreVote { next: self.term().next(), last: self.log.last() };
        for peer in self.peers() {
            self.send(peer, body.clone());
        }
        self.count_pre_vote(self.config.id, self.term().next(), true);
    }

    /// `transfer`: the leader asked for it.
    pub(super) fn become_candidate(&mut self, transfer: bool) {
        self.state = State::Candidate(Votes::default());
        self.leader = None;
        self.give_up_asked();
        self.promise(HardState { term: self.term().next(), vote: Some(self.config.id) });
        self.reset_election_timer();
        self.announce();
        let body = Body::RequestVote { last: self.log.last(), transfer };
        for peer in self.peers() {
            self.send_after_sync(peer, body.clone());
        }
        // The vote for itself is a vote like any other: it counts when it is on disk.
        self.send_after_sync(self.config.id, Body::RequestVoteReply { granted: true });
    }

    fn become_leader(&mut self) {
        let last = self.log.last().index;
        let followers = self.peers().into_iter().map(|peer| (peer, Progress::new(last, self.now))).collect();
        self.state = State::Leader(Box::new(Leader {
            followers,
            heartbeat_due: self.now,
            reads: Reads::default(),
            changing: None,
            transfer: None,
            lease_is_void: false,
        }));
        self.leader = Some(self.config.id);
        self.announce();
        // Entries of earlier terms commit only through one of this term (paper, 5.4.2 and 8).
        self.log.push(self.term(), Payload::Noop);
        self.maybe_heartbeat();
    }

    /// A leader that a majority has not answered for an election timeout steps down, so that its clients look
    /// for another (dissertation, 6.2).
    fn maybe_step_down(&mut self) {
        let State::Leader(leader) = &self.state else {
            return;
        };
        if self.quorum_deadline(leader).is_some_and(|deadline| self.now >= deadline) {
            self.become_follower(self.term(), None);
        }
    }

    /// When the last answers of a majority are an election timeout old.
    pub(super) fn quorum_deadline(&self, leader: &Leader) -> Option<Time> {
        // A member that is no follower is this node, or one that no longer counts.
        let contact = |node| leader.followers.get(&node).map_or(self.now, |follower| follower.contact);
        let heard = self.configuration().reached_by(contact)?;
        Some(heard + self.config.election_timeout.1)
    }

    fn hears_a_leader(&self) -> bool {
        let is_fresh = self.now < self.leader_heard + self.config.election_timeout.0;
        matches!(self.state, State::Leader(_))
            || (self.leader.is_some() && is_fresh)
            || self.now < self.quiet_until
    }

    fn promise(&mut self, hard_state: HardState) {
        assert!(hard_state.term >= self.hard_state.term, "{hard_state:?} after {:?}", self.hard_state);
        self.gathered.hard_state_changed |= hard_state != self.hard_state;
        self.hard_state = hard_state;
    }

    pub(super) fn reset_election_timer(&mut self) {
        let (low, high) = self.config.election_timeout;
        let nanoseconds = self.random.random_range(low.as_nanos() as u64..=high.as_nanos() as u64);
        self.election_deadline = self.now + Duration::from_nanos(nanoseconds);
    }
}
