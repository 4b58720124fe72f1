//! A cluster that stands under a leader with nothing under way: made once for a setup, and gone on from again and again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use rafture_node::raft::{
    Config, Configuration, Input, Limits, Message, Output, Raft, Recovered, RequestId, Role, Time,
};
use rafture_node::rules::Rules;

use super::world::{Node, World};
use super::{Failure, Quiet, Setup, Trial};

/// No trial has more events: some ranges never end split votes.
const EVENTS_MAX: u64 = 5_000_000;

/// The first member leads, everybody follows it, and what it proposed is where it should be.
pub struct Settled<'a> {
    setup: &'a Setup,
    nodes: Vec<Node>,
    /// When that is, in nanoseconds.
    time: u64,
}

impl<'a> Settled<'a> {
    /// Brings a cluster there.
    pub fn new(setup: &'a Setup) -> Settled<'a> {
        let mut rafts: Vec<Raft> = setup.ids().map(|id| member(setup, id.0 as usize - 1)).collect();
        let start = rafts[0].deadline();
        tell(&mut rafts, 0, Input::Tick, start);
        for number in 0..setup.short_logs {
            // The last ones first, so that each has a log of a length of its own.
            let id = rafts[setup.members() - setup.down - 1 - number].id();
            tell(&mut rafts, 0, Input::Hold(RequestId(0), id, true), start);
            tell(&mut rafts, 0, Input::Propose(vec![(RequestId(0), Bytes::from_static(b"x"))]), start);
        }
        // Everybody hears of what is committed, and draws a timeout.
        let beat = rafts[0].deadline();
        tell(&mut rafts, 0, Input::Tick, beat);
        assert_eq!(rafts[0].standing().role, Role::Leader, "nothing was in its way");
        let live = setup.members() - setup.down;
        let nodes = rafts.into_iter().enumerate().map(|(node, raft)| Node::new(raft, node < live));
        Settled { setup, nodes: nodes.collect(), time: beat.0 }
    }

    /// Somewhere to let trials happen in; good for any number of them.
    pub fn arena(&self) -> Arena<'_> {
        Arena { settled: self, world: World::new(self.setup, self.nodes.clone(), self.time) }
    }
}

/// A place for one trial after the other.
pub struct Arena<'a> {
    settled: &'a Settled<'a>,
    world: World<'a>,
}

impl Arena<'_> {
    /// The leader of a cluster that runs well fails at some moment between two heartbeats; what follows. `None` if it had lost its
    /// place before: the cluster does not run well.
    pub fn fail(&mut self, failure: Failure, seed: u64) -> Option<Trial> {
        let failed = self.run_well(seed)?;
        self.world.fail(0, failure);
        let patience = self.settled.setup.patience_ns();
        self.world.run(failed + patience, EVENTS_MAX, |watch| watch.wrote.is_none() || watch.heard.is_none());
        let watch = &self.world.watch;
        let since = |at: Option<u64>| at.map(|at| at - failed);
        let split = watch.stood.iter().filter(|term| !watch.led.contains(term)).count();
        Some(Trial {
            detected_ns: since(watch.detected),
            heard_ns: since(watch.heard),
            wrote_ns: since(watch.wrote),
            stood: watch.stood.len() as u32,
            split: split as u32,
        })
    }

    /// A member of a cluster that runs well stands still for so long: whether somebody stands for election in consequence. `None` as in
    /// [`Arena::fail`].
    pub fn stall(&mut self, node: usize, nanoseconds: u64, seed: u64) -> Option<bool> {
        let began = self.run_well(seed)?;
        self.world.stall(node, began + nanoseconds);
        let setup = self.settled.setup;
        // Whoever gave somebody up meanwhile has found out by then.
        let end = began + nanoseconds + 2 * setup.longest_timeout() + 4 * setup.longest_way();
        self.world.run(end, EVENTS_MAX, |watch| watch.stood.is_empty());
        Some(!self.world.watch.stood.is_empty())
    }

    /// Nothing fails for so long.
    pub fn quiet(&mut self, nanoseconds: u64, seed: u64) -> Quiet {
        self.world.reset(&self.settled.nodes, seed);
        let end = self.settled.time + nanoseconds;
        self.world.run(end, u64::MAX, |_| true);
        let watch = &self.world.watch;
        Quiet { lasted_ns: nanoseconds, elections: watch.stood.len() as u64, suspicions: watch.suspicions }
    }

    /// Lets the cluster run until what is under way is what is always under way, and on to some moment between two heartbeats, which
    /// it gives.
    fn run_well(&mut self, seed: u64) -> Option<u64> {
        let setup = self.settled.setup;
        self.world.reset(&self.settled.nodes, seed);
        let beats = 2 + setup.longest_way() / setup.heartbeat_ns;
        let moment = (beats as f64 + self.world.chance()) * setup.heartbeat_ns as f64;
        let moment = self.settled.time + moment as u64;
        self.world.run(moment, EVENTS_MAX, |watch| watch.stood.is_empty());
        (self.world.watch.stood.is_empty() && self.world.leads(0)).then_some(moment)
    }
}

fn member(setup: &Setup, node: usize) -> Raft {
    let members: BTreeMap<_, _> = setup.ids().map(|id| (id, String::new())).collect();
    let (low, high) = setup.timeouts_ns[node];
    let config = Config {
        id: setup.ids().nth(node).expect("a member"),
        configuration: Configuration::of(members),
        election_timeout: (Duration::from_nanos(low), Duration::from_nanos(high)),
        heartbeat: Duration::from_nanos(setup.heartbeat_ns),
        pre_vote: setup.pre_vote,
        limits: Limits::DEFAULT,
        lease_drift: None,
        seed: 1,
        life: 1,
        rules: Rules::ALL,
    };
    Raft::new(config, Recovered::default(), Time(0))
}

/// One member takes something in, and all that follows from it happens at once.
fn tell(rafts: &mut [Raft], node: usize, input: Input, now: Time) {
    let mut due: VecDeque<(usize, Input)> = VecDeque::from([(node, input)]);
    while let Some((node, input)) = due.pop_front() {
        for output in rafts[node].step(input, now) {
            match output {
                Output::Write(write) => due.push_back((node, Input::Written(write.id))),
                Output::Send(message) => due.push_back((receiver(&message), Input::Receive(message))),
                _ => {}
            }
        }
    }
}

fn receiver(message: &Message) -> usize {
    message.to.0 as usize - 1
}
