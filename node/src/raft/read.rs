//! Linearizable reads that cost no entry: ReadIndex (dissertation, 6.4).
//!
//! A read may be served from the state at the commit index of the moment it was asked, once the leader knows that
//! it still led *after* that moment. It learns that from a round: a number that only grows, sent along with
//! every message and echoed by followers. A majority's echo of the read's round, or a later one, will do.

use std::collections::VecDeque;

use super::quorum;
use super::types::Index;
use super::{Output, Raft, RequestId, State};

/// A leader's reads that wait.
#[derive(Debug, Default)]
pub(super) struct Reads {
    round: u64,
    /// Asked before anything was committed in this term: the commit index may be behind what a former leader
    /// has committed.
    too_early: Vec<RequestId>,
    /// Waiting for their round, oldest first.
    unconfirmed: VecDeque<Unconfirmed>,
}

#[derive(Debug)]
struct Unconfirmed {
    round: u64,
    index: Index,
    requests: Vec<RequestId>,
}

impl Reads {
    pub(super) fn round(&self) -> u64 {
        self.round
    }
}

impl Raft {
    pub(super) fn read(&mut self, requests: Vec<RequestId>) {
        let has_committed = self.log.term_at(self.commit) == Some(self.term());
        let State::Leader(leader) = &mut self.state else {
            let refused = requests.into_iter().map(Output::NotLeader);
            return self.gathered.outputs.extend(refused);
        };
        if !has_committed {
            return leader.reads.too_early.extend(requests);
        }
        if !self.config.rules.reads_confirm_leadership {
            return self.release(self.commit, requests);
        }
        leader.reads.round += 1;
        let round = leader.reads.round;
        leader.reads.unconfirmed.push_back(Unconfirmed { round, index: self.commit, requests });
        self.say_something();
        self.confirm_reads();
    }

    /// Releases the reads whose round a majority has echoed.
    pub(super) fn confirm_reads(&mut self) {
        self.ask_again();
        let majority = self.majority();
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let mut rounds: Vec<u64> = leader.followers.values().map(|follower| follower.round).collect();
        rounds.push(leader.reads.round);
        let confirmed = quorum::reached_by(&mut rounds, majority);
        let reads = &mut leader.reads.unconfirmed;
        let count = reads.iter().take_while(|read| read.round <= confirmed).count();
        for read in reads.drain(..count).collect::<Vec<_>>() {
            self.release(read.index, read.requests);
        }
    }

    /// Reads that came too early are asked for once an entry of this term is committed.
    fn ask_again(&mut self) {
        let has_committed = self.log.term_at(self.commit) == Some(self.term());
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        if has_committed && !leader.reads.too_early.is_empty() {
            let requests = std::mem::take(&mut leader.reads.too_early);
            self.read(requests);
        }
    }

    pub(super) fn refuse_reads(&mut self, reads: Reads) {
        let waiting = reads.unconfirmed.into_iter().flat_map(|read| read.requests);
        let refused = reads.too_early.into_iter().chain(waiting).map(Output::NotLeader);
        self.gathered.outputs.extend(refused);
    }

    fn release(&mut self, index: Index, requests: Vec<RequestId>) {
        let ready = requests.into_iter().map(|request| Output::ReadReady(request, index));
        self.gathered.outputs.extend(ready);
    }
}
