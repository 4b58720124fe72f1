//! Faults as data: what can be done to a cluster, in the words that people write (`words`).
//!
//! `kill`, `kill@leader`, `partition:one-way@minority`, `delay:clients=50ms@leader`. What is left open is drawn from the
//! seed when the plan is made; who `leader` is, is asked when the fault strikes. Nothing here does anything.

mod words;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use words::{FaultError, parse};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// SIGKILL, and a restart on the same data.
    Kill,
    /// SIGSTOP, and SIGCONT.
    Pause,
    /// The target gets little of the processor.
    Cpu,
    /// The target gets no more memory than it has.
    Memory,
    /// A second process of the target is started beside the first.
    Twin,
    /// The target's program is replaced by another version.
    Upgrade,
    /// Links between nodes carry nothing.
    Partition,
    /// Connections of the target are broken off.
    Reset,
    /// The target's clocks run too fast or too slow, or jump.
    Clock,
    /// Links from and to the target do something to what they carry.
    #[serde(untagged)]
    Link(LinkFault),
    /// The target's disk does something to what is written.
    #[serde(untagged)]
    Disk(DiskFault),
    /// The cluster is asked to change something about itself.
    #[serde(untagged)]
    Cluster(ClusterFault),
}

/// What links do to packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkFault {
    /// They take long.
    Delay,
    /// Some are lost.
    Loss,
    /// Some come more than once.
    Duplicate,
    /// Some are overtaken by others.
    Reorder,
    /// Some come with a wrong byte, which no checksum of the network notices.
    Corrupt,
    /// Few of them pass in a second.
    Bandwidth,
}

/// What disks do to what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskFault {
    /// The target dies, and with it everything that was written and not synced.
    PowerLoss,
    /// The same, but some sectors of what was not synced reach the disk.
    TornWrite,
    /// Syncs of the target take long.
    SlowDisk,
    /// Syncs, writes or reads of the target fail.
    IoError,
    /// There is no room on the target's disk.
    DiskFull,
    /// A bit of the target's data reads flipped, and the target is started again to read it.
    BitFlip,
    /// Writes of the target are answered and never come, and the target is started again to find that.
    LostWrite,
    /// Writes of the target are answered and come to another place, and the target is started again to find that.
    MisdirectedWrite,
    /// The target dies, and finds its data as it was a while ago.
    Rollback,
    /// The target dies, and comes back as the same member without any data.
    Amnesia,
}

/// What a cluster is asked to do by its own means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClusterFault {
    /// The target is taken out of the cluster, and joins it again later, empty.
    Membership,
    /// The target dies with all of its data, and an empty one takes its place on the same address.
    Wipe,
    /// The target is made the leader.
    Transfer,
    /// The target makes a snapshot.
    Snapshot,
}

/// How it is done, where there are several ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Of a partition: each target from everybody else.
    Isolate,
    /// Of a partition: the smaller half, with the target in it, from the larger.
    Halves,
    /// Of a partition: every node sees a majority, and no two see the same.
    Ring,
    /// Of a partition: two halves, and one node that both see: the target.
    Bridge,
    /// Of a partition: what the target says is lost, or what it would hear.
    OneWay,
    /// Of a partition or of links: those between the target and the clients.
    Clients,
    /// Of links: only what comes from the target.
    From,
    /// Of links: only what goes to the target.
    To,
    /// Of a kill: the target is asked to end (SIGTERM) and killed only if it does not.
    Gentle,
    /// Of a kill: the target is killed again as soon as it has come up, again and again.
    Storm,
    /// Of a kill: one target after another.
    Rolling,
    /// Of a loss of power: all but one file has reached the disk.
    OneFile,
    /// Of a slow disk: most syncs are quick, and then one hangs.
    Stall,
    /// Of errors of a disk: syncs fail.
    Sync,
    /// Of errors of a disk: writes fail.
    Write,
    /// Of errors of a disk: reads fail.
    Read,
    /// Of clocks: the wall clock jumps.
    WallJump,
    /// Of clocks: the wall clock goes too fast or too slowly.
    WallSkew,
    /// Of clocks: the wall clock jumps to and fro.
    WallStrobe,
    /// Of clocks: the monotonic clock jumps ahead.
    MonotonicJump,
    /// Of clocks: the monotonic clock goes too fast or too slowly.
    MonotonicSkew,
    /// Of clocks: the monotonic clock goes too fast and too slowly by turns.
    MonotonicSway,
}

/// Whom it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Any node.
    One,
    /// As many as a majority can do without.
    Minority,
    /// As many as it takes to stop the cluster.
    Majority,
    /// Every node.
    All,
    /// The node that leads when the fault strikes; any node if none does.
    Leader,
    /// A node that does not lead.
    Follower,
    /// The node that has applied least; any that does not lead if that is not known.
    Behind,
    /// The node that led before the one that leads now; any other if there was none.
    OldLeader,
    /// The leader and as many as make up a minority with it.
    LeaderAndMinority,
    /// This node, by its number from 1: `n3`.
    #[serde(untagged)]
    Node(NodeNumber),
    /// The one link from one node to another, or from or to the clients: `n1-n3`, `clients-n1`.
    #[serde(untagged)]
    Link(NamedLink),
}

/// A link by its ends, of which one may be the clients, written `n1-n3`, `n1-clients` or `clients-n1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamedLink {
    /// Who speaks; the clients if it is nobody.
    pub from: Option<NodeNumber>,
    /// Who hears.
    pub to: Option<NodeNumber>,
}

/// A node by its number from 1, written `n3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeNumber(pub usize);

/// How bad it is, as far as that can be said by one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Strength {
    /// A time in microseconds: `50ms`.
    Micros(u64),
    /// A share in millionths: `30%`.
    Millionths(u32),
    /// Bytes a second: `100kB/s`.
    Bytes(u64),
}

/// A fault as it was asked for: what is `None` will be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultSpec {
    /// What is done.
    pub kind: FaultKind,
    /// In which way.
    pub shape: Option<Shape>,
    /// How bad it is.
    pub strength: Option<Strength>,
    /// Whom it strikes.
    pub target: Option<Target>,
}

/// A fault as it stands in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fault {
    /// What is done.
    pub kind: FaultKind,
    /// In which way, where there are several. A partition always has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    /// How bad it is; drawn when it strikes if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strength: Option<Strength>,
    /// Whom it strikes.
    pub target: Target,
}

/// Every kind of fault that a simulation knows.
pub fn kinds_of_simulation() -> impl Iterator<Item = FaultKind> {
    words::kinds().filter(|kind| kind.is_in_simulation())
}

impl FaultSpec {
    /// Just this kind, with everything else left open.
    pub fn of(kind: FaultKind) -> FaultSpec {
        FaultSpec { kind, shape: None, strength: None, target: None }
    }

    /// What may come of it, as a deck of cards to be dealt: everything that was left open, in the proportions that find
    /// bugs. Leaders are struck most, since that is where most bugs are, and a leader cut off with a minority shows more
    /// than anything else; whole clusters less, since a run must also get somewhere.
    pub fn deck(&self, nodes: usize, random: &mut ChaCha8Rng) -> Vec<Fault> {
        use Target::{All, Follower, Leader, Majority, Minority, One};
        let deal = |shape, targets: &[Target]| {
            let fault = |&target: &Target| Fault {
                kind: self.kind,
                shape,
                strength: self.strength,
                target: self.target.unwrap_or(target),
            };
            targets.iter().map(fault).collect::<Vec<_>>()
        };
        match (self.kind, self.shape) {
            (FaultKind::Kill, Some(Shape::Rolling)) | (FaultKind::Upgrade, _) => deal(self.shape, &[All]),
            (FaultKind::Kill, Some(Shape::Storm)) => deal(self.shape, &[Leader, Minority, One]),
            (FaultKind::Twin, _) => deal(self.shape, &[Leader, Follower]),
            // A cluster changes one member at a time.
            (FaultKind::Cluster(ClusterFault::Membership | ClusterFault::Wipe), _) => {
                deal(self.shape, &[One, Leader, Follower])
            }
            (FaultKind::Cluster(ClusterFault::Transfer), _) => deal(self.shape, &[Follower, One]),
            (FaultKind::Cluster(ClusterFault::Snapshot), _) => deal(self.shape, &[All, Leader, One]),
            (FaultKind::Cpu | FaultKind::Memory | FaultKind::Reset, _) => {
                deal(self.shape, &[Leader, Leader, Minority, One, All])
            }
            // What is lost for good on several nodes at once may be lost rightly.
            (
                FaultKind::Disk(
                    DiskFault::BitFlip
                    | DiskFault::LostWrite
                    | DiskFault::MisdirectedWrite
                    | DiskFault::Rollback
                    | DiskFault::Amnesia,
                ),
                _,
            ) => deal(self.shape, &[One, Leader, Follower]),
            (FaultKind::Kill | FaultKind::Pause | FaultKind::Clock, _)
            | (FaultKind::Link(_) | FaultKind::Disk(_), _) => {
                deal(self.shape, &[Leader, Leader, Minority, One, Majority, All])
            }
            (FaultKind::Partition, None) if matches!(self.target, Some(Target::Link(_))) => {
                deal(Some(Shape::OneWay), &[One])
            }
            (FaultKind::Partition, Some(Shape::Clients)) => deal(self.shape, &[Leader, Minority, One]),
            (FaultKind::Partition, _) => {
                let dealt = self.partitions(nodes, random);
                dealt.into_iter().flat_map(|(shape, target)| deal(Some(shape), &[target])).collect()
            }
        }
    }

    fn partitions(&self, nodes: usize, random: &mut ChaCha8Rng) -> Vec<(Shape, Target)> {
        use Target::{All, Leader, Minority};
        let staple = [(Shape::Halves, Leader), (Shape::Isolate, Leader)];
        let rare = [
            (Shape::OneWay, Leader),
            (Shape::OneWay, Minority),
            (Shape::Bridge, Leader),
            (Shape::Ring, All),
            (Shape::Isolate, Minority),
            (Shape::Isolate, All),
        ];
        let possible = |(shape, _): &(Shape, Target)| {
            self.shape.is_none_or(|asked| asked == *shape) && shape.nodes_min() <= nodes
        };
        let staple = [staple, staple].concat().into_iter().filter(possible);
        let mut rare: Vec<(Shape, Target)> = rare.into_iter().filter(possible).collect();
        while self.shape.is_none() && rare.len() > 2 {
            rare.swap_remove(random.random_range(0..rare.len()));
        }
        staple.chain(rare).collect()
    }

    /// Whether a simulation can do it.
    pub fn is_in_simulation(&self) -> bool {
        let is_shape_known = match self.shape {
            None => true,
            Some(Shape::Clients) => false,
            Some(_) => self.kind == FaultKind::Partition,
        };
        let is_target_known =
            !matches!(self.target, Some(Target::Behind | Target::OldLeader | Target::Link(_)));
        self.kind.is_in_simulation() && is_shape_known && is_target_known && self.strength.is_none()
    }

    /// Whether a cluster of `nodes` is large enough for it.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self, nodes: usize) -> Result<(), FaultError> {
        let needed_for_kind = match (self.kind, self.shape) {
            (FaultKind::Partition | FaultKind::Link(_), Some(shape)) => shape.nodes_min(),
            (FaultKind::Partition | FaultKind::Link(_) | FaultKind::Cluster(_), None) => 2,
            _ => 1,
        };
        let needed = match self.target {
            Some(Target::Node(NodeNumber(number))) => number.max(needed_for_kind),
            Some(Target::Link(NamedLink { from, to })) => [from, to]
                .into_iter()
                .flatten()
                .map(|NodeNumber(number)| number)
                .max()
                .unwrap_or(needed_for_kind),
            _ => needed_for_kind,
        };
        match nodes >= needed {
            true => Ok(()),
            false => Err(FaultError::TooFew { fault: self.to_string(), nodes, needed }),
        }
    }
}

impl Fault {
    /// Whether it needs to tell clients from everything else.
    pub fn concerns_clients(&self) -> bool {
        let has_clients = |link: &NamedLink| link.from.is_none() || link.to.is_none();
        self.shape == Some(Shape::Clients) || matches!(&self.target, Target::Link(link) if has_clients(link))
    }
}

impl FaultKind {
    /// Whether a simulation can do it.
    pub fn is_in_simulation(self) -> bool {
        match self {
            FaultKind::Kill | FaultKind::Pause | FaultKind::Partition | FaultKind::Clock => true,
            FaultKind::Cpu | FaultKind::Memory | FaultKind::Twin | FaultKind::Upgrade | FaultKind::Reset => {
                false
            }
            FaultKind::Link(kind) => !matches!(kind, LinkFault::Corrupt | LinkFault::Bandwidth),
            FaultKind::Disk(kind) => match kind {
                DiskFault::PowerLoss | DiskFault::TornWrite | DiskFault::SlowDisk | DiskFault::DiskFull => {
                    true
                }
                DiskFault::IoError
                | DiskFault::BitFlip
                | DiskFault::LostWrite
                | DiskFault::MisdirectedWrite
                | DiskFault::Rollback
                | DiskFault::Amnesia => false,
            },
            FaultKind::Cluster(kind) => {
                matches!(kind, ClusterFault::Membership | ClusterFault::Transfer)
            }
        }
    }
}

impl Shape {
    /// How many nodes it takes to do anything.
    pub fn nodes_min(self) -> usize {
        match self {
            Shape::Isolate | Shape::Halves | Shape::OneWay | Shape::From | Shape::To => 2,
            Shape::Bridge => 3,
            Shape::Ring => 4,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_deck_has_all_that_was_left_open_and_nothing_else() {
        let random = &mut ChaCha8Rng::seed_from_u64(1);
        let mut deck = |text: &str, nodes| text.parse::<FaultSpec>().expect("a fault").deck(nodes, random);
        assert_eq!(deck("kill", 5).len(), 6);
        assert!(deck("pause@minority", 5).iter().all(|fault| fault.target == Target::Minority));
        let halves: Vec<String> = deck("partition:halves@n2", 5).iter().map(Fault::to_string).collect();
        assert_eq!(halves, ["partition:halves@n2"; 2]);
        let link: Vec<String> = deck("partition@n2-n1", 5).iter().map(Fault::to_string).collect();
        assert_eq!(link, ["partition:one-way@n2-n1"]);
        assert_eq!(deck("partition:ring", 5).len(), 1);
        for _ in 0..20 {
            assert!(deck("partition", 3).iter().all(|fault| fault.shape != Some(Shape::Ring)));
            let partitions = deck("partition", 5);
            let leaders = partitions.iter().filter(|fault| fault.target == Target::Leader).count();
            assert!(partitions.len() == 6 && leaders >= 4, "{partitions:?}");
        }
    }

    #[test]
    fn what_a_cluster_is_too_small_for_is_refused() {
        for (text, nodes) in [("partition:ring", 3), ("partition", 1), ("kill@n4", 3), ("delay@n1-n5", 4)] {
            let spec: FaultSpec = text.parse().expect("a fault");
            assert!(spec.check(nodes).is_err() && spec.check(5).is_ok(), "{text}");
        }
    }
}
