//! What must hold after every event, seen from above: the numbers are those of the invariants of Raft as implementers
//! list them (paper, Figure 3; LogCabin's and openraft's checks).

use std::collections::BTreeMap;
use std::time::Duration;

use rafture_node::raft::{AppendResult, Body, Index, Message, NodeId, Role, Term, Write};

use crate::node::Node;

/// What was seen so far, and must stay so.
#[derive(Debug, Default)]
pub(crate) struct Invariants {
    leaders: BTreeMap<Term, NodeId>,
    /// Chain of every entry that anybody ever had.
    chains: BTreeMap<(Index, Term), u32>,
    /// Term and chain of every committed entry, from 1 on.
    committed: Vec<(Term, u32)>,
    /// The state's digest after an index, where somebody stood there between two events.
    digests: BTreeMap<Index, u64>,
    /// By node.
    lives: Vec<Life>,
}

/// What a node was like after its last event.
#[derive(Debug, Clone, Default)]
struct Life {
    number: u64,
    term: Term,
    vote: Option<NodeId>,
    leads: bool,
    last: Index,
    last_entry: Option<(Term, u32)>,
    commit: Index,
    matched: Vec<(NodeId, Index)>,
}

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Its number.
    pub number: u8,
    /// What is wrong, in words.
    pub sentence: String,
}

type Check = Result<(), Broken>;

fn ensure(holds: bool, number: u8, sentence: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(Broken { number, sentence: sentence() }) }
}

impl Invariants {
    /// Something happened at `node`; `nodes` are all of them.
    pub(crate) fn after(&mut self, node: usize, nodes: &[Node], now: u64, timeout: Duration) -> Check {
        let (place, node, id) = (node, &nodes[node], nodes[node].id);
        self.lives.resize_with(nodes.len().max(self.lives.len()), Life::default);
        let Some(replica) = node.replica() else {
            return Ok(());
        };
        let raft = replica.raft();
        let standing = raft.standing();
        let hard_state = raft.hard_state();
        let mut life = std::mem::take(&mut self.lives[place]);
        if life.number != node.life {
            // Term and vote outlive a restart, as far as anybody was told; the rest begins anew.
            life =
                Life { number: node.life, term: node.synced.term, vote: node.synced.vote, ..Life::default() };
        }
        let leads = standing.role == Role::Leader;

        // 2, 10: term and vote.
        ensure(hard_state.term >= life.term, 2, || {
            format!("{id} went back from term {} to term {}", life.term, hard_state.term)
        })?;
        if hard_state.term == life.term && life.vote.is_some() {
            ensure(hard_state.vote == life.vote, 2, || {
                format!(
                    "{id} changed its vote in term {}: {:?}, then {:?}",
                    life.term, life.vote, hard_state.vote
                )
            })?;
        }
        // 1: one leader per term.
        if leads {
            let first = *self.leaders.entry(standing.term).or_insert(id);
            ensure(first == id, 1, || format!("{first} and {id} lead term {}", standing.term))?;
        }
        // 10: a leader only appends, and nothing in the log is of a later term.
        let last = raft.last();
        ensure(last.term <= hard_state.term, 10, || format!("{id} has {last} in term {}", hard_state.term))?;
        if leads && life.leads && life.term == hard_state.term {
            ensure(last.index >= life.last, 10, || format!("{id} leads and cut its log at {}", last.index))?;
            let entry = raft.known_at(life.last);
            ensure(entry.is_none() || entry == life.last_entry, 10, || {
                format!("{id} leads and replaced its entry {}", life.last)
            })?;
        }
        // 4: a new leader has everything that was committed.
        if leads && !(life.leads && life.term == hard_state.term) {
            let committed = self.committed.len() as u64;
            let own = raft.known_at(Index(committed));
            let expected = self.committed.last().copied();
            let has = committed <= raft.base().index.0 || own == expected;
            ensure(committed == 0 || has, 4, || {
                format!("{id} leads term {} without entry {committed}, which is committed", standing.term)
            })?;
        }
        // 8: how far things have come.
        let (base, commit) = (raft.base().index, raft.commit());
        let snapshot = raft.snapshot().map_or(Index(0), |snapshot| snapshot.last.index);
        ensure(commit >= life.commit, 8, || {
            format!("{id} took its commit index back from {} to {commit}", life.commit)
        })?;
        ensure(base <= snapshot && snapshot <= commit && commit <= last.index, 8, || {
            format!("{id} has base {base}, snapshot {snapshot}, commit {commit}, last {}", last.index)
        })?;
        self.check_committed(id, life.commit, node)?;
        // 7 and 12: what a leader commits is safe, and it misses nothing that it could.
        if leads {
            self.check_leader(id, &mut life, node, nodes)?;
        } else {
            life.matched.clear();
            // 12: whoever does not lead will stand or wait again.
            let latest = node.clock.read(now).now + timeout;
            ensure(raft.deadline() <= latest, 12, || format!("{id} has no timer"))?;
        }

        (life.term, life.vote, life.leads) = (hard_state.term, hard_state.vote, leads);
        (life.last, life.last_entry, life.commit) = (last.index, raft.known_at(last.index), commit);
        self.lives[place] = life;
        Ok(())
    }

    /// 3, 5, 6: what is committed is the same everywhere and for ever, and so is the state that it leads to.
    fn check_committed(&mut self, id: NodeId, before: Index, node: &Node) -> Check {
        let replica = node.replica().expect("it runs");
        let raft = replica.raft();
        let commit = raft.commit();
        for index in before.next().0.max(raft.base().index.0.max(1))..=commit.0 {
            let Some(own) = raft.known_at(Index(index)) else {
                continue;
            };
            match self.committed.get(index as usize - 1) {
                Some(known) => ensure(*known == own, 5, || {
                    format!(
                        "{id} committed an entry of term {} at {index}, where one of term {} was committed",
                        own.0, known.0
                    )
                })?,
                None => {
                    let next = self.committed.len() as u64 + 1;
                    ensure(index == next, 5, || format!("{id} committed {index}, and nobody {next}"))?;
                    self.committed.push(own);
                }
            }
        }
        if commit.0 > 0 {
            let own = raft.known_at(commit);
            ensure(own.is_none() || own == self.committed.get(commit.0 as usize - 1).copied(), 6, || {
                format!("{id} replaced entry {commit}, which was committed")
            })?;
            if commit != before {
                let digest = replica.machine().digest();
                let known = *self.digests.entry(commit).or_insert(digest);
                ensure(known == digest, 5, || {
                    format!("{id} has come to another state after entry {commit}")
                })?;
            }
        }
        Ok(())
    }

    fn check_leader(&self, id: NodeId, life: &mut Life, node: &Node, nodes: &[Node]) -> Check {
        let raft = node.replica().expect("it runs").raft();
        let (commit, term) = (raft.commit(), raft.standing().term);
        let configuration = raft.configuration();
        let disk_of = |member: NodeId| &nodes[member.0 as usize - 1].synced;
        if commit > life.commit && raft.known_at(commit).is_some_and(|(own, _)| own == term) {
            let entry = raft.known_at(commit).expect("it is known");
            let is_safe = configuration.is_quorum(|member| disk_of(member).holds(commit, entry));
            ensure(is_safe, 7, || format!("{id} committed {commit}, which is not on the disks of a quorum"))?;
        }
        // 9: what a leader knows of its followers.
        let followers = raft.followers();
        let was_leader = life.leads && life.term == term;
        for follower in &followers {
            // Whoever was removed and added again begins anew.
            let known = life.matched.iter().find(|(id, _)| *id == follower.id);
            let before = known.filter(|_| was_leader).map_or(Index(0), |(_, matched)| *matched);
            ensure(follower.matched >= before && follower.next > follower.matched, 9, || {
                format!("{id} takes {} back to {} from {before}", follower.id, follower.matched)
            })?;
            let there = disk_of(follower.id).last();
            // Whoever follows a later leader may have cut its log for it.
            let has_moved_on = disk_of(follower.id).term > term;
            ensure(follower.matched <= there || has_moved_on, 9, || {
                format!("{id} believes that {} has {}, and it has {there}", follower.id, follower.matched)
            })?;
        }
        life.matched.clear();
        life.matched.extend(followers.iter().map(|follower| (follower.id, follower.matched)));
        // 11: one change at a time.
        let pending = raft.configurations_behind(Index(self.committed.len() as u64));
        ensure(pending <= 1, 11, || format!("{id} changes its members {pending} times at once"))?;
        // 12: what a quorum is known to have is committed, once an entry of this term is among it.
        let stored = |member: NodeId| match member == id {
            true => raft.durable(),
            false => followers
                .iter()
                .find(|follower| follower.id == member)
                .map_or(Index(0), |follower| follower.matched),
        };
        if let Some(index) = configuration.reached_by(stored)
            && raft.known_at(index).is_some_and(|(own, _)| own == term)
        {
            ensure(commit >= index, 12, || format!("{id} could commit {index} and stays at {commit}"))?;
        }
        Ok(())
    }

    /// 3: equal index and term, equal history. 2, 9: what is told is on disk.
    pub(crate) fn handed_out(&mut self, id: NodeId, write: &Write) -> Check {
        for entry in &write.entries {
            let known = *self.chains.entry((entry.id.index, entry.id.term)).or_insert(entry.chain);
            ensure(known == entry.chain, 3, || format!("{id} came to {} by another history", entry.id))?;
        }
        Ok(())
    }

    /// A message leaves `node`: whatever it promises is on the node's disk.
    pub(crate) fn sent(&self, node: &Node, message: &Message) -> Check {
        let (id, synced) = (node.id, &node.synced);
        let has_promised = synced.term >= message.term;
        match &message.body {
            Body::RequestVoteReply { granted: true } => {
                let voted = synced.term > message.term || synced.vote == Some(message.to);
                ensure(has_promised && voted, 2, || {
                    format!("{id} gave {} a vote that is not on its disk", message.to)
                })
            }
            Body::RequestVote { .. } => {
                let voted = synced.term > message.term || synced.vote == Some(id);
                ensure(has_promised && voted, 2, || {
                    format!(
                        "{id} stands for election in term {} without its own vote on its disk",
                        message.term
                    )
                })
            }
            Body::AppendEntriesReply { result: AppendResult::Accepted { matched }, .. } => {
                // A cut of the log may have come between; then the answer is of an earlier term.
                let is_there = synced.last() >= *matched || synced.term > message.term;
                ensure(has_promised && is_there, 9, || {
                    format!("{id} says that it has {matched}, and its disk has {}", synced.last())
                })
            }
            _ => Ok(()),
        }
    }

    /// How much was ever committed.
    pub(crate) fn committed(&self) -> u64 {
        self.committed.len() as u64
    }
}
