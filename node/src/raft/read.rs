//! Linearizable reads that cost no entry: ReadIndex (dissertation, 6.4), the leader's lease (6.4.1), and reads at
//! followers.
//!
//! A read may be served from the state at the commit index of the moment it was asked, once the leader knows that
//! it still led *after* that moment. It learns that from a round: a number that only grows, sent along with
//! every message and echoed by followers. A majority's echo of the read's round, or a later one, will do.
//!
//! A round is the leader's clock when it began. A follower that has echoed it helps nobody to become leader for the
//! shortest election timeout from then on, by its own clock; so a majority's echo is a lease for that long, less what
//! two clocks may drift apart meanwhile.

use std::collections::{BTreeMap, VecDeque};
use std::mem::take;
use std::time::Duration;

use super::message::Body;
use super::types::{Index, NodeId, Time};
use super::{Output, Raft, Refusal, RequestId, State};

/// Rounds that may wait for their echo. Reads that are asked meanwhile share the next one.
const ROUNDS_MAX: usize = 2;

/// A leader's reads that wait.
#[derive(Debug, Clone, Default)]
pub(super) struct Reads {
    round: u64,
    /// The latest round that a majority has echoed.
    confirmed: u64,
    /// Asked before anything was committed in this term (the commit index may be behind what a former leader
    /// has committed), or while enough rounds were under way.
    unasked: Vec<Reader>,
    /// Waiting for their round, oldest first.
    unconfirmed: VecDeque<Unconfirmed>,
}

/// Who wants to read.
#[derive(Debug, Clone, Copy)]
enum Reader {
    /// A client of this node.
    Client(RequestId),
    /// A follower, for its clients.
    Follower(NodeId, u128),
}

#[derive(Debug, Clone)]
struct Unconfirmed {
    round: u64,
    index: Index,
    readers: Vec<Reader>,
}

impl Reads {
    pub(super) fn round(&self) -> u64 {
        self.round
    }

    /// A new round, later than any before it.
    pub(super) fn begin_round(&mut self, now: Time) {
        self.round = now.0.max(self.round + 1);
    }

    fn lease_end(&self, lease: Duration) -> Time {
        match self.confirmed {
            0 => Time(0),
            confirmed => Time(confirmed) + lease,
        }
    }
}

/// What a node has asked its leader on behalf of its clients.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    life: u64,
    count: u64,
    /// Not answered by the leader yet, by question.
    questions: BTreeMap<u128, Question>,
    /// Answered: waiting until the index is committed here.
    waiting: BTreeMap<Index, Vec<RequestId>>,
}

#[derive(Debug, Clone)]
struct Question {
    requests: Vec<RequestId>,
    sent: Time,
}

impl Asked {
    pub(super) fn new(life: u64) -> Asked {
        Asked { life, count: 0, questions: BTreeMap::new(), waiting: BTreeMap::new() }
    }

    /// A question that no life of this node has asked before: a late answer to another must not be taken for its.
    fn name(&mut self) -> u128 {
        self.count += 1;
        u128::from(self.life) << 64 | u128::from(self.count)
    }
}

impl Raft {
    pub(super) fn read(&mut self, requests: Vec<RequestId>) {
        match self.state {
            State::Leader(_) => self.read_as_leader(requests.into_iter().map(Reader::Client).collect()),
            State::Follower | State::PreCandidate(_) | State::Candidate(_) => {
                requests.into_iter().for_each(|request| self.refuse(request, Refusal::NotLeader));
            }
        }
    }

    /// A follower asks on behalf of its clients.
    pub(super) fn read_for(&mut self, from: NodeId, question: u128) {
        match self.state {
            State::Leader(_) => self.read_as_leader(vec![Reader::Follower(from, question)]),
            State::Follower | State::PreCandidate(_) | State::Candidate(_) => {
                self.send(from, Body::ReadIndexReply { question, index: None });
            }
        }
    }

    fn read_as_leader(&mut self, readers: Vec<Reader>) {
        let has_committed = self.has_committed();
        let lease = self.lease();
        let (now, commit) = (self.now, self.commit);
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let reads = &mut leader.reads;
        if has_committed && !self.config.rules.reads_confirm_leadership {
            return self.release(commit, readers);
        }
        if has_committed && !leader.lease_is_void && lease.is_some_and(|lease| now < reads.lease_end(lease)) {
            return self.release(commit, readers);
        }
        reads.unasked.extend(readers);
        self.confirm_reads();
    }

    /// Begins a round for the reads that wait for one; tells whether it did.
    fn maybe_ask(&mut self) -> bool {
        let has_committed = self.has_committed();
        let (now, index) = (self.now, self.commit);
        let State::Leader(leader) = &mut self.state else {
            return false;
        };
        let reads = &mut leader.reads;
        if !has_committed || reads.unasked.is_empty() || reads.unconfirmed.len() >= ROUNDS_MAX {
            return false;
        }
        reads.begin_round(now);
        let (round, readers) = (reads.round, take(&mut reads.unasked));
        reads.unconfirmed.push_back(Unconfirmed { round, index, readers });
        self.say_something();
        true
    }

    /// Releases the reads whose round a majority has echoed, and begins a round for those that wait for one.
    pub(super) fn confirm_reads(&mut self) {
        self.release_confirmed();
        // A majority of one has echoed it already.
        while self.maybe_ask() {
            self.release_confirmed();
        }
    }

    fn release_confirmed(&mut self) {
        let State::Leader(leader) = &self.state else {
            return;
        };
        // A voter that is no follower is this node itself.
        let echoed = |node| leader.followers.get(&node).map_or(leader.reads.round, |follower| follower.round);
        let Some(confirmed) = self.configuration().reached_by(echoed) else {
            return;
        };
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let reads = &mut leader.reads;
        reads.confirmed = reads.confirmed.max(confirmed);
        let count = reads.unconfirmed.iter().take_while(|read| read.round <= confirmed).count();
        for read in reads.unconfirmed.drain(..count).collect::<Vec<_>>() {
            self.release(read.index, read.readers);
        }
    }

    /// Whether an entry of this leader's term is committed: before that, its commit index may be behind.
    pub(super) fn has_committed(&self) -> bool {
        self.log.term_at(self.commit) == Some(self.term())
    }

    /// How long a majority's echo keeps others from leading, by this node's clock: a follower's clock may run fast
    /// by the drift, and this one's slow by as much.
    fn lease(&self) -> Option<Duration> {
        let drift = self.config.lease_drift?;
        Some(self.config.election_timeout.0.mul_f64((1.0 - drift) / (1.0 + drift)))
    }

    pub(super) fn refuse_reads(&mut self, reads: Reads) {
        let waiting = reads.unconfirmed.into_iter().flat_map(|read| read.readers);
        for reader in reads.unasked.into_iter().chain(waiting).collect::<Vec<_>>() {
            match reader {
                Reader::Client(request) => self.refuse(request, Refusal::NotLeader),
                Reader::Follower(node, question) => {
                    self.send(node, Body::ReadIndexReply { question, index: None });
                }
            }
        }
    }

    fn release(&mut self, index: Index, readers: Vec<Reader>) {
        for reader in readers {
            match reader {
                Reader::Client(request) => self.gathered.outputs.push(Output::ReadReady(request, index)),
                Reader::Follower(node, question) => {
                    self.send(node, Body::ReadIndexReply { question, index: Some(index) });
                }
            }
        }
    }

    /// Clients of this node want to read here: a leader answers as ever, a follower asks its leader for the index.
    pub(super) fn read_here(&mut self, requests: Vec<RequestId>) {
        if matches!(self.state, State::Leader(_)) {
            return self.read(requests);
        }
        let Some(leader) = self.leader else {
            return requests.into_iter().for_each(|request| self.refuse(request, Refusal::NotLeader));
        };
        let question = self.asked.name();
        self.asked.questions.insert(question, Question { requests, sent: self.now });
        self.send(leader, Body::ReadIndex { question });
    }

    /// A question or its answer may have been lost. Asked again, it gets an index that is later, and as good.
    pub(super) fn ask_leader_again(&mut self) {
        let (now, heartbeat) = (self.now, self.config.heartbeat);
        let Some(leader) = self.leader else {
            return;
        };
        let mut again = Vec::new();
        for (&question, asked) in &mut self.asked.questions {
            if now >= asked.sent + heartbeat {
                asked.sent = now;
                again.push(question);
            }
        }
        for question in again {
            self.send(leader, Body::ReadIndex { question });
        }
    }

    pub(super) fn read_index_answered(&mut self, question: u128, index: Option<Index>) {
        let Some(Question { requests, .. }) = self.asked.questions.remove(&question) else {
            return;
        };
        match index {
            Some(index) => {
                self.asked.waiting.entry(index).or_default().extend(requests);
                self.release_asked();
            }
            None => requests.into_iter().for_each(|request| self.refuse(request, Refusal::NotLeader)),
        }
    }

    /// Reads whose index has been reached are ready.
    pub(super) fn release_asked(&mut self) {
        while let Some(entry) = self.asked.waiting.first_entry()
            && *entry.key() <= self.commit
        {
            let (index, requests) = entry.remove_entry();
            let ready = requests.into_iter().map(|request| Output::ReadReady(request, index));
            self.gathered.outputs.extend(ready);
        }
    }

    /// The leader that was asked leads no more, or is out of reach.
    pub(super) fn give_up_asked(&mut self) {
        let questions = take(&mut self.asked.questions).into_values().flat_map(|question| question.requests);
        let waiting = take(&mut self.asked.waiting).into_values().flatten();
        for request in questions.chain(waiting).collect::<Vec<_>>() {
            self.refuse(request, Refusal::NotLeader);
        }
    }
}
