//! Holding a follower: the leader sends it heartbeats but no entries until it is released, or until somebody else leads.
//!
//! For a follower that cannot keep up, is being backed up or looked at (CockroachDB pauses overloaded followers the same way);
//! and how a cluster is brought to logs of different lengths on purpose.

use super::types::NodeId;
use super::{Output, Raft, Refusal, RequestId, State};

impl Raft {
    /// Holds `node`, or releases it.
    pub(super) fn hold(&mut self, request: RequestId, node: NodeId, is_held: bool) {
        if !matches!(self.state, State::Leader(_)) {
            return self.refuse(request, Refusal::NotLeader);
        }
        if is_held && self.would_stop_without(node) {
            return self.refuse(request, Refusal::NoQuorum);
        }
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let Some(follower) = leader.followers.get_mut(&node) else {
            return self.refuse(request, Refusal::NotAFollower);
        };
        follower.is_held = is_held;
        self.gathered.outputs.push(Output::Done(request));
        self.maybe_replicate(node);
    }

    /// Whether nothing could be committed if `node` got no entries either.
    fn would_stop_without(&self, node: NodeId) -> bool {
        let State::Leader(leader) = &self.state else {
            return false;
        };
        let is_held = |other: NodeId| leader.followers.get(&other).is_some_and(|follower| follower.is_held);
        !self.configuration().is_quorum(|other| other != node && !is_held(other))
    }
}
