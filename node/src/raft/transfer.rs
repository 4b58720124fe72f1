//! Leadership transfer (dissertation, 3.10): a leader stops taking proposals, brings its target up to date, and tells
//! it to stand for election at once.

use super::message::Body;
use super::types::{Index, NodeId, Time};
use super::{Output, Raft, Refusal, RequestId, State};

/// A transfer that is under way.
#[derive(Debug, Clone)]
pub(super) struct Transfer {
    request: RequestId,
    target: NodeId,
    deadline: Time,
    /// The target was told to stand for election.
    is_told: bool,
}

impl Transfer {
    pub(super) fn deadline(&self) -> Time {
        self.deadline
    }
}

impl Raft {
    pub(super) fn transfer(&mut self, request: RequestId, target: Option<NodeId>) {
        let (me, deadline) = (self.config.id, self.now + self.config.election_timeout.1);
        let voters = self.configuration().voters.clone();
        let State::Leader(leader) = &mut self.state else {
            return self.refuse(request, Refusal::NotLeader);
        };
        if leader.transfer.is_some() {
            return self.refuse(request, Refusal::Transferring);
        }
        let matched =
            |node: &NodeId| leader.followers.get(node).map_or(Index(0), |follower| follower.matched);
        let others = voters.iter().copied().filter(|&voter| voter != me);
        let target = target.or_else(|| others.max_by_key(matched));
        match target {
            Some(target) if target == me => self.gathered.outputs.push(Output::Done(request)),
            Some(target) if voters.contains(&target) => {
                // Whoever is told so disregards leases, and may do so late: this term has none any more.
                leader.lease_is_void = true;
                leader.transfer = Some(Transfer { request, target, deadline, is_told: false });
                // It needs all of the log.
                leader.followers.entry(target).and_modify(|follower| follower.is_held = false);
                self.maybe_replicate(target);
                self.maybe_hand_over();
            }
            Some(_) | None => self.refuse(request, Refusal::NotAVoter),
        }
    }

    /// Tells the target to stand for election, once it has all of the log.
    pub(super) fn maybe_hand_over(&mut self) {
        let last = self.log.last().index;
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let Some(transfer) = leader.transfer.as_mut().filter(|transfer| !transfer.is_told) else {
            return;
        };
        let target = transfer.target;
        if leader.followers.get(&target).is_some_and(|follower| follower.matched == last) {
            transfer.is_told = true;
            self.send(target, Body::TimeoutNow);
        }
    }

    /// A target that is away must not keep the cluster from being written to for ever.
    pub(super) fn maybe_give_up_transfer(&mut self) {
        let now = self.now;
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        if let Some(transfer) = leader.transfer.take_if(|transfer| now >= transfer.deadline) {
            self.refuse(transfer.request, Refusal::NotTakenOver);
        }
    }

    /// This node leads no more.
    pub(super) fn end_transfer(&mut self, transfer: &Transfer) {
        match transfer.is_told {
            true => self.gathered.outputs.push(Output::Done(transfer.request)),
            false => self.refuse(transfer.request, Refusal::Unknown),
        }
    }

    /// The leader hands over to this node: no timeout, no PreVote, and nobody's stickiness.
    pub(super) fn timeout_now(&mut self) {
        if self.is_voter() && matches!(self.state, State::Follower) {
            self.become_candidate(true);
        }
    }
}
