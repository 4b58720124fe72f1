//! What a scenario can do: the labs' `checkOneLeader`, `one`, `disconnect` and the like, on virtual time.

use std::collections::BTreeSet;
use std::time::Duration;

use rafture_nemesis::fault::FaultSpec;
use rafture_nemesis::hosts::Link;
use rafture_node::raft::{EntryId, Index, Role, Term};
use rafture_node::resp::Reply;
use rafture_node::rules::Rules;
use rand::RngExt;

use super::Performance;
use crate::client;
use crate::disk::Crash;
use crate::network::Ailment;
use crate::plan::{Plan, PlanOptions, Weather};
use crate::world::World;

/// The labs' allowance for an election.
pub(super) const ELECTION: u64 = 1000;
/// How often a scenario looks, in milliseconds.
const LOOK: u64 = 10;

/// A cluster that a scenario plays with.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) nodes: usize,
    /// Messages and bytes at the last `count_from_here`.
    counted: (u64, u64),
}

type Done = Result<(), String>;

impl Scene {
    pub(super) fn new(nodes: usize, seed: u64, traced: bool) -> Scene {
        let options = PlanOptions {
            nodes,
            time_limit: Duration::from_secs(1),
            interval: Duration::from_secs(1),
            faults: Vec::<FaultSpec>::new(),
            workload: "register".into(),
            rules: Rules::ALL,
            election_timeout: (Duration::from_millis(150), Duration::from_millis(300)),
            heartbeat: Duration::from_millis(50),
        };
        let mut plan = Plan::new(seed, options).expect("there are no faults that might not fit");
        plan.weather = Weather { delay_us: 100, jitter_us: 400, loss: 0.0, duplicates: 0.0 };
        (plan.lease_drift, plan.drift_ppm, plan.clients) = (None, 1000, 0);
        (plan.sync_us, plan.snapshot_bytes) = ((100, 300), u64::MAX);
        Scene { world: World::new(&plan, traced), nodes, counted: (0, 0) }
    }

    /// Snapshots are made when so many bytes of entries have gathered; for all nodes that start from here on.
    pub(super) fn snapshot_every(&mut self, bytes: u64) {
        self.world.plan.snapshot_bytes = bytes;
        for node in 0..self.nodes {
            self.crash(node);
            self.start(node);
        }
    }

    pub(super) fn finish(self, result: Done) -> Performance {
        let broken = self
            .world
            .broken
            .as_ref()
            .map(|broken| format!("invariant {}: {}", broken.number, broken.sentence));
        Performance {
            complaint: broken.or(result.err()),
            simulated: Duration::from_nanos(self.world.now),
            messages: (self.world.messages, self.world.message_bytes),
            trace: self.world.trace.into_lines(),
        }
    }

    /// Says what the scenario is about to do, for readers of the trace.
    pub(super) fn tell(&mut self, text: &str) {
        let now = self.world.now;
        self.world.trace.say(now, "scenario", || text.to_owned());
    }

    pub(super) fn wait(&mut self, milliseconds: u64) {
        let until = self.world.now + milliseconds * 1_000_000;
        self.world.run_until(until);
    }

    /// Waits until something is so, `limit` milliseconds at most.
    pub(super) fn wait_for(&mut self, limit: u64, what: &str, mut is_so: impl FnMut(&Scene) -> bool) -> Done {
        for _ in 0..=limit / LOOK {
            if is_so(self) {
                return Ok(());
            }
            if self.world.broken.is_some() {
                return Err("an invariant broke".into());
            }
            self.wait(LOOK);
        }
        Err(format!("{what}, not within {limit} ms"))
    }

    pub(super) fn draw(&mut self, below: u64) -> u64 {
        self.world.random.random_range(0..below.max(1))
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.world.random.random_bool(probability)
    }

    // ---- network and processes ----

    /// Cuts a node off from everybody.
    pub(super) fn disconnect(&mut self, node: usize) {
        let all = self.world.nodes.len();
        let links = Link::all(all).filter(|link| link.from == node || link.to == node).collect();
        self.tell(&format!("n{} is cut off", node + 1));
        self.world.network.cuts.insert(node as u64, links);
    }

    pub(super) fn connect(&mut self, node: usize) {
        self.tell(&format!("n{} is back on the network", node + 1));
        self.world.network.cuts.remove(&(node as u64));
    }

    pub(super) fn is_connected(&self, node: usize) -> bool {
        !self.world.network.cuts.contains_key(&(node as u64))
    }

    /// Splits the cluster into these nodes and the rest.
    pub(super) fn partition(&mut self, side: &[usize]) {
        let all = self.world.nodes.len();
        let apart = |link: &Link| side.contains(&link.from) != side.contains(&link.to);
        let names: Vec<String> = side.iter().map(|node| format!("n{}", node + 1)).collect();
        self.tell(&format!("{} and the others cannot hear each other", names.join(" ")));
        self.world.network.cuts.insert(u64::MAX, Link::all(all).filter(apart).collect());
    }

    pub(super) fn heal(&mut self) {
        self.tell("all links carry again");
        self.world.network.cuts.clear();
    }

    /// The labs' unreliable network: up to 26 ms of delay, every tenth message lost; with `reordering`, two in three
    /// come late and out of order.
    pub(super) fn unreliable(&mut self, reordering: bool) {
        let everybody: BTreeSet<usize> = (0..self.world.nodes.len()).collect();
        let reordered = if reordering { 0.66 } else { 0.0 };
        let ailment = Ailment { delay_us: 26_000, loss: 0.1, duplicates: 0.0, reordered };
        self.world.network.ailments.insert(0, (everybody, ailment));
    }

    pub(super) fn reliable(&mut self) {
        self.world.network.ailments.clear();
    }

    /// Messages take up to so many milliseconds longer.
    pub(super) fn slow(&mut self, milliseconds: u64) {
        let everybody: BTreeSet<usize> = (0..self.world.nodes.len()).collect();
        let ailment = Ailment { delay_us: milliseconds * 1000, ..Ailment::default() };
        self.world.network.ailments.insert(0, (everybody, ailment));
    }

    pub(super) fn crash(&mut self, node: usize) {
        self.world.crash(node, Crash::Process, 0);
    }

    pub(super) fn start(&mut self, node: usize) {
        self.world.start(node);
    }

    pub(super) fn is_up(&self, node: usize) -> bool {
        self.world.nodes[node].up.is_some()
    }

    // ---- what the nodes are ----

    pub(super) fn term(&self, node: usize) -> Term {
        self.world.nodes[node].replica().map_or(Term(0), |replica| replica.raft().standing().term)
    }

    pub(super) fn commit(&self, node: usize) -> Index {
        self.world.nodes[node].replica().map_or(Index(0), |replica| replica.raft().commit())
    }

    pub(super) fn last(&self, node: usize) -> EntryId {
        self.world.nodes[node].replica().map_or(EntryId::default(), |replica| replica.raft().last())
    }

    pub(super) fn log_bytes(&self, node: usize) -> u64 {
        self.world.nodes[node].replica().map_or(0, |replica| replica.raft().log_bytes())
    }

    /// Those who believe that they lead.
    pub(super) fn leaders(&self) -> Vec<usize> {
        let leads = |node: &usize| {
            let replica = self.world.nodes[*node].replica();
            replica.is_some_and(|replica| replica.raft().standing().role == Role::Leader)
        };
        (0..self.nodes).filter(leads).collect()
    }

    /// The one leader among those who are connected, within the labs' time.
    pub(super) fn one_leader(&mut self) -> Result<usize, String> {
        let found = |scene: &Scene| {
            let leaders = scene.leaders();
            leaders.into_iter().filter(|&node| scene.is_connected(node)).max_by_key(|&node| scene.term(node))
        };
        self.wait_for(5 * ELECTION, "one leader", |scene| found(scene).is_some())?;
        Ok(found(self).expect("it was just there"))
    }

    /// Nobody who is connected leads.
    pub(super) fn no_leader(&mut self) -> Done {
        match self.leaders().into_iter().find(|&node| self.is_connected(node)) {
            Some(node) => Err(format!("n{} leads without a quorum", node + 1)),
            None => Ok(()),
        }
    }

    // ---- commands ----

    /// Asks a node for a command; gives the number under which the answer will be.
    pub(super) fn submit(&mut self, node: usize, words: &[&str]) -> u64 {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        self.world.submit(node, client::request(&words, false))
    }

    pub(super) fn answer(&self, number: u64) -> Option<&Reply> {
        self.world.answers.get(&number)
    }

    pub(super) fn succeeded(&self, number: u64) -> bool {
        self.answer(number).is_some_and(|reply| !matches!(reply, Reply::Error(_)))
    }

    pub(super) fn wait_until_answered(&mut self, number: u64) -> Done {
        // Finer than others look: a client that waits would set the pace.
        let end = self.world.now + 5_000_000_000;
        while self.answer(number).is_none() && self.world.now < end && self.world.broken.is_none() {
            let next = self.world.now + 100_000;
            self.world.run_until(next);
        }
        ensure(self.answer(number).is_some(), || "no answer within 5 s".into())
    }

    /// The labs' `one`: some node takes the command, and `expected` nodes have it committed; 10 s at most. Gives how
    /// far the log then goes.
    pub(super) fn one(&mut self, command: &str, expected: usize) -> Result<Index, String> {
        let end = self.world.now + 10_000_000_000;
        while self.world.now < end && self.world.broken.is_none() {
            let leader = self
                .leaders()
                .into_iter()
                .filter(|&node| self.is_connected(node))
                .max_by_key(|&node| self.term(node));
            let Some(leader) = leader else {
                self.wait(LOOK);
                continue;
            };
            let number = self.submit(leader, &["RPUSH", "log", command]);
            let _ = self.wait_for(2000, "an answer", |scene| scene.answer(number).is_some());
            if !self.succeeded(number) {
                self.wait(LOOK);
                continue;
            }
            let index = self.commit(leader);
            let have = |scene: &Scene| {
                (0..scene.nodes).filter(|&node| scene.commit(node) >= index).count() >= expected
            };
            if self.wait_for(2000, "enough nodes", have).is_ok() {
                return Ok(index);
            }
        }
        Err(format!("`{command}` was not agreed on by {expected} nodes within 10 s"))
    }

    /// The values that were agreed on, as a node has them.
    pub(super) fn agreed(&self, node: usize) -> Vec<String> {
        let Some(replica) = self.world.nodes[node].replica() else {
            return Vec::new();
        };
        let command = rafture_node::machine::Command::LRange("log".into(), 0, -1);
        match replica.machine().read(&command) {
            Reply::Array(values) => {
                let text = |value: Reply| match value {
                    Reply::Bulk(text) => String::from_utf8_lossy(&text).into_owned(),
                    other => format!("{other:?}"),
                };
                values.into_iter().map(text).collect()
            }
            _ => Vec::new(),
        }
    }

    // ---- messages ----

    pub(super) fn count_from_here(&mut self) {
        self.counted = (self.world.messages, self.world.message_bytes);
    }

    /// Calls between nodes since then, as the labs count them: a question and its answer are one. And bytes.
    pub(super) fn calls(&self) -> (u64, u64) {
        ((self.world.messages - self.counted.0).div_ceil(2), self.world.message_bytes - self.counted.1)
    }
}

/// An error unless something holds.
pub(super) fn ensure(holds: bool, complaint: impl FnOnce() -> String) -> Done {
    if holds { Ok(()) } else { Err(complaint()) }
}
