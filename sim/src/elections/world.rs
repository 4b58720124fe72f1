//! Cores, the links between them and their disks, on virtual time: as little as an election needs, so that hundreds of
//! thousands can be held. No clients, state machines or storage: `crate::world` has those.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rafture_node::raft::{Input, Message, NodeId, Output, Raft, Role, Term, Time, WriteId};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::link::{Fate, LinkState};
use super::{Failure, LinkSpec, Setup};

/// A clock that is right goes on at so many millionths.
const MILLION: u64 = 1_000_000;

/// A cluster in which things happen. Made once and used for trial after trial.
pub(super) struct World<'a> {
    setup: &'a Setup,
    /// Time begins here, and all clocks agree.
    start: u64,
    now: u64,
    nodes: Vec<Node>,
    pub(super) watch: Watch,
    links: Vec<LinkState>,
    random: ChaCha8Rng,
    due: BinaryHeap<Reverse<Due>>,
    sequence: u32,
    /// Messages under way, and slots that are free.
    slots: Vec<Option<Message>>,
    free: Vec<u32>,
    /// The links of this node carry nothing.
    cut: Option<usize>,
    /// The links of this node take so much longer.
    slow: Option<(usize, u64)>,
    /// Nothing that a node sends leaves it before; for new leaders.
    silent_until: Vec<u64>,
}

/// A member.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) raft: Raft,
    is_up: bool,
    /// Until then it stands still, and what comes to it waits.
    stalled_until: u64,
    /// The earliest tick that is under way.
    tick_at: u64,
    /// What the disk is writing, and what it will write then.
    writing: Option<WriteId>,
    waiting: Option<WriteId>,
}

/// What is seen of an election.
#[derive(Debug, Clone, Default)]
pub(super) struct Watch {
    /// The member that failed.
    pub(super) victim: Option<usize>,
    /// Its last term.
    pub(super) term: Term,
    /// When somebody gave it up.
    pub(super) detected: Option<u64>,
    /// When another member first heard the next leader.
    pub(super) heard: Option<u64>,
    /// When that leader first committed something.
    pub(super) wrote: Option<u64>,
    /// Terms that somebody stood for, in order.
    pub(super) stood: Vec<Term>,
    /// Terms that somebody led.
    pub(super) led: Vec<Term>,
    /// Times that somebody asked for votes before it would stand.
    pub(super) suspicions: u64,
    leader: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: u64,
    sequence: u32,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Arrive(u32),
    Tick(u16),
    Written(u16, WriteId),
    Retry(u32),
}

impl Node {
    pub(super) fn new(raft: Raft, is_up: bool) -> Node {
        Node { raft, is_up, stalled_until: 0, tick_at: u64::MAX, writing: None, waiting: None }
    }
}

impl<'a> World<'a> {
    /// Members at a time at which nothing is under way.
    pub(super) fn new(setup: &'a Setup, nodes: Vec<Node>, start: u64) -> World<'a> {
        World {
            setup,
            start,
            now: start,
            links: vec![LinkState::default(); nodes.len() * nodes.len()],
            silent_until: vec![0; nodes.len()],
            nodes,
            watch: Watch::default(),
            random: ChaCha8Rng::seed_from_u64(0),
            due: BinaryHeap::new(),
            sequence: 0,
            slots: Vec::new(),
            free: Vec::new(),
            cut: None,
            slow: None,
        }
    }

    /// Begins anew from these members, with another seed.
    pub(super) fn reset(&mut self, nodes: &[Node], seed: u64) {
        self.random = ChaCha8Rng::seed_from_u64(seed);
        self.nodes.clone_from_slice(nodes);
        self.links.iter_mut().for_each(LinkState::clear);
        self.due.clear();
        self.slots.clear();
        self.free.clear();
        (self.now, self.sequence, self.cut, self.slow) = (self.start, 0, None, None);
        self.silent_until.fill(0);
        self.watch = Watch::default();
        for node in 0..self.nodes.len() {
            let seed = self.random.next_u64();
            self.nodes[node].raft.reseed(seed);
            self.set_timer(node);
        }
    }

    /// Number of chance for who drives this world.
    pub(super) fn chance(&mut self) -> f64 {
        self.random.random()
    }

    /// Whether this member leads.
    pub(super) fn leads(&self, node: usize) -> bool {
        self.nodes[node].raft.standing().role == Role::Leader
    }

    /// Lets happen what is due before `end`, for as long as `goes_on` says so; at most `events` things.
    pub(super) fn run(&mut self, end: u64, events: u64, goes_on: impl Fn(&Watch) -> bool) {
        for _ in 0..events {
            if !goes_on(&self.watch) {
                return;
            }
            match self.due.peek() {
                Some(Reverse(next)) if next.at < end => {}
                _ => break,
            }
            let Some(Reverse(due)) = self.due.pop() else {
                break;
            };
            self.now = due.at;
            self.happen(due.what);
        }
        self.now = self.now.max(end);
    }

    /// Something befalls a member, which leads.
    pub(super) fn fail(&mut self, victim: usize, failure: Failure) {
        let term = self.nodes[victim].raft.standing().term;
        self.watch = Watch { victim: Some(victim), term, ..Watch::default() };
        match failure {
            // Nobody can tell them apart from outside.
            Failure::Kill | Failure::Pause => self.nodes[victim].is_up = false,
            Failure::CutOff => self.cut = Some(victim),
            Failure::Slow(by) => self.slow = Some((victim, by)),
        }
    }

    /// The member stands still until then; what comes to it waits. That its timer has run out is what it finds first.
    pub(super) fn stall(&mut self, node: usize, until: u64) {
        self.nodes[node].stalled_until = until;
        self.nodes[node].tick_at = until;
        self.schedule(until, What::Tick(node as u16));
    }

    fn schedule(&mut self, at: u64, what: What) {
        self.sequence += 1;
        self.due.push(Reverse(Due { at, sequence: self.sequence, what }));
    }

    fn happen(&mut self, what: What) {
        if let Some(node) = self.whose(what)
            && self.nodes[node].stalled_until > self.now
        {
            let until = self.nodes[node].stalled_until;
            return self.schedule(until, what);
        }
        match what {
            What::Arrive(slot) => {
                let message = self.slots[slot as usize].take().expect("a message that is under way");
                self.free.push(slot);
                let node = index(message.to);
                self.step(node, Input::Receive(message));
            }
            What::Tick(node) => self.tick(usize::from(node)),
            What::Written(node, id) => self.written(usize::from(node), id),
            What::Retry(link) => self.retry(link as usize),
        }
    }

    fn whose(&self, what: What) -> Option<usize> {
        match what {
            What::Arrive(slot) => self.slots[slot as usize].as_ref().map(|message| index(message.to)),
            What::Tick(node) | What::Written(node, _) => Some(usize::from(node)),
            What::Retry(_) => None,
        }
    }

    fn step(&mut self, node: usize, input: Input) {
        if !self.nodes[node].is_up {
            return;
        }
        let local = self.local(node, self.now);
        let outputs = self.nodes[node].raft.step(input, local);
        for output in outputs {
            self.carry_out(node, output);
        }
        self.set_timer(node);
    }

    fn tick(&mut self, node: usize) {
        // Only the earliest one that was scheduled counts.
        if self.nodes[node].tick_at == self.now {
            self.nodes[node].tick_at = u64::MAX;
            match self.nodes[node].raft.deadline() <= self.local(node, self.now) {
                true => self.step(node, Input::Tick),
                false => self.set_timer(node),
            }
        }
    }

    fn set_timer(&mut self, node: usize) {
        let at = self.true_time(node, self.nodes[node].raft.deadline()).max(self.now);
        if self.nodes[node].is_up && at < self.nodes[node].tick_at {
            self.nodes[node].tick_at = at;
            self.schedule(at, What::Tick(node as u16));
        }
    }

    fn carry_out(&mut self, node: usize, output: Output) {
        match output {
            Output::Send(message) => self.send(message),
            Output::Write(write) => self.write(node, write.id),
            Output::Became(standing) => {
                let (role, term, leader) = (standing.role, standing.term, standing.leader.map(index));
                if role == Role::Leader {
                    self.silent_until[node] = self.now + self.setup.before_first.draw(&mut self.random);
                }
                self.watch.became(node, (role, term, leader), self.now);
            }
            Output::Commit(_) => self.watch.committed(node, self.now),
            Output::Restore(_)
            | Output::Configured(_)
            | Output::Proposed(..)
            | Output::ReadReady(..)
            | Output::Done(_)
            | Output::Refused(..) => {}
        }
    }

    fn write(&mut self, node: usize, id: WriteId) {
        if self.setup.sync == super::Delay::default() {
            return self.step(node, Input::Written(id));
        }
        match self.nodes[node].writing {
            // One sync for all that gathers meanwhile.
            Some(_) => self.nodes[node].waiting = Some(id),
            None => self.begin_write(node, id),
        }
    }

    fn begin_write(&mut self, node: usize, id: WriteId) {
        self.nodes[node].writing = Some(id);
        let at = self.now + self.setup.sync.draw(&mut self.random);
        self.schedule(at, What::Written(node as u16, id));
    }

    fn written(&mut self, node: usize, id: WriteId) {
        self.nodes[node].writing = None;
        if let Some(next) = self.nodes[node].waiting.take() {
            self.begin_write(node, next);
        }
        self.step(node, Input::Written(id));
    }

    fn send(&mut self, message: Message) {
        let (from, to) = (index(message.from), index(message.to));
        if self.cut.is_some_and(|node| node == from || node == to) {
            return;
        }
        let link = from * self.nodes.len() + to;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        let spec = self.spec(link);
        let round_trip = self.setup.round_trip(from, to);
        let leaves = self.now.max(self.silent_until[from]);
        let how = (leaves, round_trip, self.setup.repeats);
        match self.links[link].send(slot, spec, how, &mut self.random) {
            Fate::Arrives(at) => self.schedule(at, What::Arrive(slot)),
            Fate::Waits(again) => self.schedule(again, What::Retry(link as u32)),
            Fate::Gone => return self.free.push(slot),
        }
        self.slots[slot as usize] = Some(message);
    }

    fn retry(&mut self, link: usize) {
        let spec = self.spec(link);
        match self.links[link].retry(spec, self.now, &mut self.random) {
            Some(Ok((held, at))) => held.into_iter().for_each(|slot| self.schedule(at, What::Arrive(slot))),
            Some(Err(again)) => self.schedule(again, What::Retry(link as u32)),
            // It was sent again before, when a later one had shown that it was missing.
            None => {}
        }
    }

    fn spec(&self, link: usize) -> LinkSpec {
        let count = self.nodes.len();
        let (from, to) = (link / count, link % count);
        let mut spec = self.setup.links[from][to];
        if let Some((node, by)) = self.slow
            && (node == from || node == to)
        {
            spec.delay.base_ns += by;
        }
        spec
    }

    /// What the member's clock says at this time.
    fn local(&self, node: usize, now: u64) -> Time {
        let gone = u128::from(now - self.start);
        Time(match self.setup.rates_ppm[node] {
            MILLION => now,
            rate => self.start + (gone * u128::from(rate) / u128::from(MILLION)) as u64,
        })
    }

    /// When the member's clock will say so, or has.
    fn true_time(&self, node: usize, local: Time) -> u64 {
        let left = u128::from(local.0.saturating_sub(self.start)) * u128::from(MILLION);
        match self.setup.rates_ppm[node] {
            MILLION => local.0,
            rate => self.start + left.div_ceil(u128::from(rate)) as u64,
        }
    }
}

impl Watch {
    fn became(&mut self, node: usize, (role, term, leader): (Role, Term, Option<usize>), now: u64) {
        if self.victim == Some(node) {
            return;
        }
        match role {
            Role::PreCandidate => {
                self.suspicions += 1;
                self.detected.get_or_insert(now);
            }
            Role::Candidate => {
                self.detected.get_or_insert(now);
                note(&mut self.stood, term);
            }
            Role::Leader => {
                note(&mut self.led, term);
                self.leader = Some(node);
            }
            Role::Follower if leader.is_some() && term > self.term => _ = self.heard.get_or_insert(now),
            Role::Follower => {}
        }
    }

    fn committed(&mut self, node: usize, now: u64) {
        if self.leader == Some(node) {
            self.wrote.get_or_insert(now);
        }
    }
}

fn note(terms: &mut Vec<Term>, term: Term) {
    if let Err(place) = terms.binary_search(&term) {
        terms.insert(place, term);
    }
}

fn index(node: NodeId) -> usize {
    node.0 as usize - 1
}
