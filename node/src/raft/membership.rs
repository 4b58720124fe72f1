//! Other members (paper, section 6; dissertation, chapter 4): whoever is added first learns the log without a vote, and
//! then one joint configuration leads from the old voters to the new ones, whatever the difference between them.
//!
//! A configuration is in force as soon as it is in the log. A new leader that finds a joint one ends what its
//! predecessor began; learners that a dead leader has left stay learners until somebody asks again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::configuration::Configuration;
use super::progress::Progress;
use super::types::{Index, NodeId, Payload, Time};
use super::{Output, Raft, Refusal, RequestId, State};

/// Rounds of catching up before a learner counts as too slow (dissertation, 4.2.1).
const ROUNDS_MAX: u32 = 10;

/// What is to be different about the members.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// These shall vote; how each is reached.
    pub voters: BTreeMap<NodeId, String>,
    /// These shall learn; how each is reached.
    pub learners: BTreeMap<NodeId, String>,
    /// These shall go.
    pub remove: BTreeSet<NodeId>,
}

/// A change that a leader is carrying out.
#[derive(Debug, Clone)]
pub(super) struct Changing {
    request: RequestId,
    /// Where it leads to.
    target: Configuration,
    stage: Stage,
}

#[derive(Debug, Clone)]
enum Stage {
    /// Those who are to vote get the log, round after round: each is what the leader had when the round began. Once a
    /// round takes less than an election timeout, what is left will not hold up the cluster for longer.
    CatchUp { goal: Index, began: Time, rounds: u32 },
    /// The joint configuration is in the log.
    Joint,
    /// The last configuration is in the log.
    Last,
}

impl Changing {
    pub(super) fn request(&self) -> RequestId {
        self.request
    }
}

impl Change {
    /// What `configuration` is to become. Those whom the change does not name stay what they are.
    fn applied_to(&self, configuration: &Configuration) -> Configuration {
        let mut target = configuration.clone();
        for (node, address) in &self.voters {
            target.voters.insert(*node);
            target.learners.remove(node);
            target.addresses.insert(*node, address.clone());
        }
        for (node, address) in &self.learners {
            target.voters.remove(node);
            target.learners.insert(*node);
            target.addresses.insert(*node, address.clone());
        }
        for node in &self.remove {
            target.voters.remove(node);
            target.learners.remove(node);
            target.addresses.remove(node);
        }
        target
    }
}

impl Raft {
    pub(super) fn reconfigure(&mut self, request: RequestId, change: &Change) {
        let State::Leader(leader) = &self.state else {
            return self.refuse(request, Refusal::NotLeader);
        };
        let current = Arc::clone(self.configuration());
        // Before an entry of its own term is committed, the leader may not know of a change that another began (the
        // single-server bug of 2015), and its latest configuration may yet be taken back.
        let is_settled = self.has_committed() && self.log.configuration_index() <= self.commit;
        if leader.changing.is_some() || current.is_joint() || !is_settled {
            return self.refuse(request, Refusal::ChangeInProgress);
        }
        if leader.transfer.is_some() {
            return self.refuse(request, Refusal::Transferring);
        }
        let target = change.applied_to(&current);
        if target.voters.is_empty() {
            return self.refuse(request, Refusal::NoVoters);
        }
        if target == *current {
            return self.gathered.outputs.push(Output::Done(request));
        }
        let mut learning = (*current).clone();
        for node in target.voters.difference(&current.voters) {
            learning.learners.insert(*node);
            learning.addresses.insert(*node, target.addresses[node].clone());
        }
        let (goal, began) = (self.log.last().index, self.now);
        let stage = Stage::CatchUp { goal, began, rounds: 1 };
        self.set_changing(Changing { request, target, stage });
        if learning != *current {
            self.push_configuration(learning);
        }
        self.maybe_promote();
    }

    fn set_changing(&mut self, changing: Changing) {
        if let State::Leader(leader) = &mut self.state {
            leader.changing = Some(changing);
        }
    }

    /// Appends a configuration, which is in force from then on.
    fn push_configuration(&mut self, configuration: Configuration) {
        let id = self.log.push(self.term(), Payload::Configuration(Arc::new(configuration)));
        self.configuration_changed();
        let (peers, now) = (self.peers(), self.now);
        if let State::Leader(leader) = &mut self.state {
            leader.followers.retain(|follower, _| peers.contains(follower));
            for peer in peers {
                leader.followers.entry(peer).or_insert_with(|| Progress::new(id.index, now));
            }
        }
        self.replicate();
    }

    /// Goes on with a change once those who are to vote have caught up.
    pub(super) fn maybe_promote(&mut self) {
        let (now, last, timeout) = (self.now, self.log.last().index, self.config.election_timeout.0);
        let (settled, current) =
            (self.log.configuration_index() <= self.commit, Arc::clone(self.configuration()));
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let Some(Changing { request, target, stage: Stage::CatchUp { goal, began, rounds } }) =
            &mut leader.changing
        else {
            return;
        };
        let mut fresh = target.voters.difference(&current.voters);
        let has_caught_up =
            |node| leader.followers.get(node).is_some_and(|follower| follower.matched >= *goal);
        // Also the configuration that made them learners has to be committed: one change at a time.
        if !settled || !fresh.all(has_caught_up) {
            return;
        }
        if current.voters != target.voters && now - *began > timeout && *goal < last {
            if *rounds >= ROUNDS_MAX {
                let request = *request;
                leader.changing = None;
                return self.refuse(request, Refusal::TooSlow);
            }
            (*goal, *began, *rounds) = (last, now, *rounds + 1);
            return;
        }
        self.begin_change(&current);
    }

    /// Somebody who is to vote does not even answer: the change must not stand in the way of others for ever.
    pub(super) fn maybe_give_up_change(&mut self) {
        let (now, patience) = (self.now, self.config.election_timeout.1 * ROUNDS_MAX);
        let current = Arc::clone(self.configuration());
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let Some(Changing { request, target, stage: Stage::CatchUp { .. } }) = &leader.changing else {
            return;
        };
        let is_silent = |node: &NodeId| {
            leader.followers.get(node).is_none_or(|follower| now >= follower.contact + patience)
        };
        if target.voters.difference(&current.voters).any(is_silent) {
            let request = *request;
            leader.changing = None;
            self.refuse(request, Refusal::TooSlow);
        }
    }

    /// Everybody is ready: the voters change through a joint configuration, learners alone at once.
    fn begin_change(&mut self, current: &Configuration) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let Some(Changing { request, target, .. }) = leader.changing.take() else {
            return;
        };
        let stage = match current.voters == target.voters {
            true => {
                self.push_configuration(target.clone());
                Stage::Last
            }
            false => {
                let mut joint = target.clone();
                joint.outgoing.clone_from(&current.voters);
                // Who is to learn from now on cannot vote and learn at once.
                joint.learners.retain(|learner| !joint.outgoing.contains(learner));
                let leaving = joint.outgoing.iter().map(|node| (*node, current.addresses[node].clone()));
                joint.addresses.extend(leaving.collect::<Vec<_>>());
                self.push_configuration(joint);
                Stage::Joint
            }
        };
        self.set_changing(Changing { request, target, stage });
        self.maybe_commit();
    }

    /// Something was committed: a joint configuration leads on to the next, and a leader that is no member of the last
    /// one has done its duty (paper, section 6).
    pub(super) fn configuration_committed(&mut self) {
        if self.log.configuration_index() > self.commit || !self.has_committed() {
            return;
        }
        let current = Arc::clone(self.configuration());
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        if current.is_joint() {
            let target = match &leader.changing {
                Some(changing) => changing.target.clone(),
                // Another leader began it. Whom it wanted to learn next is not known, so they go.
                None => without_outgoing(&current),
            };
            self.push_configuration(target);
            if let State::Leader(leader) = &mut self.state
                && let Some(changing) = &mut leader.changing
            {
                changing.stage = Stage::Last;
            }
            return self.maybe_commit();
        }
        if let Some(changing) = leader.changing.take_if(|changing| matches!(changing.stage, Stage::Last)) {
            self.gathered.outputs.push(Output::Done(changing.request));
        } else {
            self.maybe_promote();
        }
        if !self.is_voter() {
            // The commit index goes out first, so that the others know that the change is done.
            self.say_something();
            self.become_follower(self.term(), None);
        }
    }
}

fn without_outgoing(joint: &Configuration) -> Configuration {
    let mut target = joint.clone();
    target.outgoing.clear();
    let members = target.members();
    target.addresses.retain(|node, _| members.contains(node));
    target
}
