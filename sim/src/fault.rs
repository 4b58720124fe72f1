//! What befalls the cluster: episodes of a schedule become deeds, each with its undoing.

use std::collections::BTreeMap;

use rafture_nemesis::fault::{ClusterFault, DiskFault, FaultKind, LinkFault};
use rafture_nemesis::grudge::{Roles, choose, describe, grudge};
use rafture_nemesis::schedule::Episode;
use rafture_node::raft::{Change, NodeId};
use rafture_node::replica::Request;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::disk::Crash;
use crate::network::Ailment;
use crate::node::address;
use crate::plan::SPARES;
use crate::world::World;

/// A pause that nobody ends ends with the run.
const FOR_EVER: u64 = u64::MAX;

impl World {
    /// A fault strikes.
    pub(crate) fn strike(&mut self, episode: &Episode) {
        let mut random = ChaCha8Rng::seed_from_u64(episode.seed);
        let founders = self.plan.options.nodes;
        let roles = Roles { leader: self.leader(), ..Roles::default() };
        let available: Vec<usize> = match episode.fault.kind {
            FaultKind::Kill
            | FaultKind::Pause
            | FaultKind::Disk(DiskFault::PowerLoss | DiskFault::TornWrite) => {
                (0..self.nodes.len()).filter(|&node| self.nodes[node].up.is_some()).collect()
            }
            _ => (0..self.nodes.len()).collect(),
        };
        let nodes = choose(episode.fault.target, founders, &available, roles, &mut random);
        let id = episode.id;
        let detail = nodes.iter().map(|node| format!("n{}", node + 1)).collect::<Vec<_>>().join(" ");
        let say = |world: &mut World, what: String| {
            let now = world.now;
            world.trace.say(now, "nemesis", || what);
        };
        say(self, format!("{} {detail}", episode.fault.kind));
        self.wake_clients(roles.leader);
        match episode.fault.kind {
            FaultKind::Kill => self.down(id, &nodes, Crash::Process, &mut random),
            FaultKind::Pause => nodes.iter().for_each(|&node| self.pause(node, FOR_EVER)),
            FaultKind::Partition => {
                let shape = episode.fault.shape.expect("a partition has a shape");
                let count = self.nodes.len();
                let links = grudge(shape, count, &nodes, &mut random);
                say(self, format!("only {}", describe(count, &links)));
                self.network.cuts.insert(id, links);
            }
            FaultKind::Link(kind) => self.strike_links(kind, id, &nodes, &mut random),
            FaultKind::Clock => nodes.iter().for_each(|&node| self.skew(node, &mut random)),
            FaultKind::Disk(kind) => self.strike_disks(kind, id, &nodes, &mut random),
            FaultKind::Cluster(kind) => self.strike_members(kind, &nodes, &mut random),
            FaultKind::Cpu | FaultKind::Memory | FaultKind::Twin | FaultKind::Upgrade | FaultKind::Reset => {
                unreachable!("a plan for a simulation has no such fault")
            }
        }
    }

    fn strike_links(&mut self, kind: LinkFault, id: u64, nodes: &[usize], random: &mut ChaCha8Rng) {
        let none = Ailment::default();
        let ailment = match kind {
            LinkFault::Delay => Ailment { delay_us: random.random_range(5_000..150_000), ..none },
            LinkFault::Loss => Ailment { loss: random.random_range(0.05..0.6), ..none },
            LinkFault::Duplicate => Ailment { duplicates: 0.3, ..none },
            LinkFault::Reorder => Ailment { reordered: 0.3, ..none },
            LinkFault::Corrupt | LinkFault::Bandwidth => {
                unreachable!("a plan for a simulation has no such fault")
            }
        };
        self.network.ailments.insert(id, (nodes.iter().copied().collect(), ailment));
    }

    fn strike_disks(&mut self, kind: DiskFault, id: u64, nodes: &[usize], random: &mut ChaCha8Rng) {
        match kind {
            DiskFault::PowerLoss => self.down(id, nodes, Crash::Power, random),
            DiskFault::TornWrite => self.down(id, nodes, Crash::Torn, random),
            DiskFault::SlowDisk => {
                for &node in nodes {
                    self.nodes[node].disk_slowness = random.random_range(20..400);
                }
            }
            DiskFault::IoError
            | DiskFault::BitFlip
            | DiskFault::LostWrite
            | DiskFault::MisdirectedWrite
            | DiskFault::Rollback
            | DiskFault::Amnesia => unreachable!("a plan for a simulation has no such fault"),
            DiskFault::DiskFull => {
                for &node in nodes {
                    self.nodes[node].filled_by.insert(id);
                    if let Some(up) = &mut self.nodes[node].up {
                        up.storage.disk().is_full = true;
                    }
                }
            }
        }
    }

    fn strike_members(&mut self, kind: ClusterFault, nodes: &[usize], random: &mut ChaCha8Rng) {
        match kind {
            ClusterFault::Membership => self.change_members(random),
            ClusterFault::Transfer => {
                for &node in nodes {
                    self.order(Request::Transfer(Some(NodeId(node as u32 + 1))));
                }
            }
            ClusterFault::Wipe | ClusterFault::Snapshot => {
                unreachable!("a plan for a simulation has no such fault")
            }
        }
    }

    /// What an episode has done is undone.
    pub(crate) fn undo(&mut self, episode: &Episode) {
        let id = episode.id;
        let now = self.now;
        self.trace.say(now, "nemesis", || format!("no more {}", episode.fault.kind));
        match episode.fault.kind {
            FaultKind::Kill | FaultKind::Disk(DiskFault::PowerLoss | DiskFault::TornWrite) => {
                self.restart(id);
            }
            FaultKind::Pause => (0..self.nodes.len()).for_each(|node| self.resume(node)),
            FaultKind::Partition => {
                self.network.cuts.remove(&id);
            }
            FaultKind::Link(_) => {
                self.network.ailments.remove(&id);
            }
            FaultKind::Clock => {
                for node in &mut self.nodes {
                    let ahead = node.clock.read(now).wall_ms - node.clock.read(now).now.0 / 1_000_000;
                    node.clock.change(now, 1_000_000, ahead);
                }
            }
            FaultKind::Disk(DiskFault::SlowDisk) => {
                self.nodes.iter_mut().for_each(|node| node.disk_slowness = 1);
            }
            FaultKind::Disk(DiskFault::DiskFull) => self.make_room(id),
            FaultKind::Cluster(ClusterFault::Membership) => self.restore_members(),
            FaultKind::Cluster(_)
            | FaultKind::Disk(_)
            | FaultKind::Cpu
            | FaultKind::Memory
            | FaultKind::Twin
            | FaultKind::Upgrade
            | FaultKind::Reset => {}
        }
    }

    fn down(&mut self, id: u64, nodes: &[usize], crash: Crash, random: &mut ChaCha8Rng) {
        for &node in nodes {
            self.nodes[node].downed_by.insert(id);
            // Most crashes come in the middle of something; how much of it was done is what matters.
            let fuse = random.random_range(0..6);
            self.crash(node, crash, fuse);
        }
    }

    fn restart(&mut self, id: u64) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].downed_by.remove(&id) && self.nodes[node].downed_by.is_empty() {
                self.start(node);
            }
        }
    }

    fn make_room(&mut self, id: u64) {
        for node in &mut self.nodes {
            node.filled_by.remove(&id);
            let is_full = !node.filled_by.is_empty();
            if let Some(up) = &mut node.up {
                up.storage.disk().is_full = is_full;
            }
        }
    }

    fn skew(&mut self, node: usize, random: &mut ChaCha8Rng) {
        let drift = self.plan.drift_ppm;
        let rate = random.random_range(1_000_000 - drift..=1_000_000 + drift);
        // Up to a day off; the log never lets time fall.
        let ahead = random.random_range(0..86_400_000);
        let now = self.now;
        self.nodes[node].clock.change(now, rate, ahead);
    }

    /// Somebody goes or somebody comes, as the leader sees fit.
    fn change_members(&mut self, random: &mut ChaCha8Rng) {
        let Some(leader) = self.leader() else {
            return;
        };
        let configuration = self.nodes[leader].replica().expect("it leads").raft().configuration().clone();
        let members = configuration.members();
        let outside = (1..=self.nodes.len() as u32).map(NodeId).filter(|id| !members.contains(id));
        let outside: Vec<NodeId> = outside.collect();
        let mut change = Change::default();
        if let Some(&comes) = outside.get(random.random_range(0..outside.len().max(1))) {
            let to = if random.random_bool(0.8) { &mut change.voters } else { &mut change.learners };
            to.insert(comes, address(comes));
        }
        let voters: Vec<NodeId> = configuration.voters.iter().copied().collect();
        if voters.len() + SPARES > self.plan.options.nodes && random.random_bool(0.7) {
            change.remove.insert(voters[random.random_range(0..voters.len())]);
        }
        if change != Change::default() {
            self.order(Request::Change(change));
        }
    }

    /// The founders again, and nobody else.
    fn restore_members(&mut self) {
        let founders = 1..=self.plan.options.nodes as u32;
        let voters: BTreeMap<NodeId, String> =
            founders.clone().map(|id| (NodeId(id), address(NodeId(id)))).collect();
        let remove = (1..=self.nodes.len() as u32).filter(|id| !founders.contains(id)).map(NodeId).collect();
        self.order(Request::Change(Change { voters, remove, learners: BTreeMap::new() }));
    }
}
