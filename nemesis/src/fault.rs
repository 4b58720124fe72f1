//! Faults as data: what can be done to a cluster, in the words that people write.
//!
//! `kill`, `kill@leader`, `partition:bridge`, `partition:one-way@minority`. What is left open is drawn from the seed
//! when the plan is made; who `leader` is, is asked when the fault strikes. Nothing here does anything.

use std::fmt;
use std::str::FromStr;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// SIGKILL, and a restart on the same data.
    Kill,
    /// SIGSTOP, and SIGCONT.
    Pause,
    /// Links between nodes carry nothing.
    Partition,
    /// The target's clocks run too fast or too slow, or jump.
    Clock,
    /// Links from and to the target do something to what they carry.
    #[serde(untagged)]
    Link(LinkFault),
    /// The target's disk lets it down.
    #[serde(untagged)]
    Disk(DiskFault),
    /// Something that a simulation can do, and this machine's processes cannot be made to suffer yet.
    #[serde(untagged)]
    Simulated(Simulated),
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

/// What disks do to those who write to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskFault {
    /// The target dies, and with it everything that was written and not synced.
    PowerLoss,
    /// The same, but some sectors of what was not synced reach the disk.
    TornWrite,
    /// Syncs of the target take long.
    SlowDisk,
    /// Syncs or writes of the target fail.
    IoError,
    /// There is no room on the target's disk.
    DiskFull,
}

/// What only a simulation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Simulated {
    /// A member goes and another comes.
    Membership,
    /// The leader hands over.
    Transfer,
}

/// Which links a partition cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Each target from everybody else.
    Isolate,
    /// The smaller half, with the target in it, from the larger.
    Halves,
    /// Every node sees a majority, and no two see the same.
    Ring,
    /// Two halves, and one node that both see: the target.
    Bridge,
    /// What the target says is lost, or what it would hear.
    OneWay,
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
    /// This node, by its number from 1: `n3`.
    #[serde(untagged)]
    Node(NodeNumber),
}

/// A node by its number from 1, written `n3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeNumber(pub usize);

/// A fault as it was asked for: what is `None` will be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultSpec {
    /// What is done.
    pub kind: FaultKind,
    /// Which links, if it is a partition.
    pub shape: Option<Shape>,
    /// Whom it strikes.
    pub target: Option<Target>,
}

/// A fault as it stands in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fault {
    /// What is done.
    pub kind: FaultKind,
    /// Which links, if it is a partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    /// Whom it strikes.
    pub target: Target,
}

/// Words that name no fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FaultError {
    /// No such word.
    #[error("unknown {what} `{word}` (hint: one of {known})")]
    Unknown {
        /// What it should have been.
        what: &'static str,
        /// The word.
        word: String,
        /// What there is.
        known: String,
    },
    /// Only partitions have shapes.
    #[error("`{0}` has no shape (hint: only `partition` has, as in `partition:bridge`)")]
    Shape(FaultKind),
    /// A ring strikes everybody.
    #[error("`{0}` has no target (hint: everybody is in a ring)")]
    Target(Shape),
    /// The cluster is too small, or has no such node.
    #[error("`{fault}` is not possible with {nodes} nodes (hint: it takes {needed})")]
    TooFew {
        /// What was asked for.
        fault: String,
        /// How many nodes there are.
        nodes: usize,
        /// How many it takes.
        needed: usize,
    },
}

const KINDS: [(FaultKind, &str); 17] = [
    (FaultKind::Kill, "kill"),
    (FaultKind::Pause, "pause"),
    (FaultKind::Partition, "partition"),
    (FaultKind::Link(LinkFault::Delay), "delay"),
    (FaultKind::Link(LinkFault::Loss), "loss"),
    (FaultKind::Link(LinkFault::Duplicate), "duplicate"),
    (FaultKind::Link(LinkFault::Reorder), "reorder"),
    (FaultKind::Link(LinkFault::Corrupt), "corrupt"),
    (FaultKind::Link(LinkFault::Bandwidth), "bandwidth"),
    (FaultKind::Disk(DiskFault::PowerLoss), "power-loss"),
    (FaultKind::Disk(DiskFault::TornWrite), "torn-write"),
    (FaultKind::Disk(DiskFault::SlowDisk), "slow-disk"),
    (FaultKind::Disk(DiskFault::IoError), "io-error"),
    (FaultKind::Disk(DiskFault::DiskFull), "disk-full"),
    (FaultKind::Clock, "clock"),
    (FaultKind::Simulated(Simulated::Membership), "membership"),
    (FaultKind::Simulated(Simulated::Transfer), "transfer"),
];

const SHAPES: [(Shape, &str); 5] = [
    (Shape::Isolate, "isolate"),
    (Shape::Halves, "halves"),
    (Shape::Ring, "ring"),
    (Shape::Bridge, "bridge"),
    (Shape::OneWay, "one-way"),
];

const TARGETS: [(Target, &str); 5] = [
    (Target::One, "one"),
    (Target::Minority, "minority"),
    (Target::Majority, "majority"),
    (Target::All, "all"),
    (Target::Leader, "leader"),
];

/// Every kind of fault that a simulation knows.
pub fn kinds_of_simulation() -> impl Iterator<Item = FaultKind> {
    KINDS.iter().map(|&(kind, _)| kind).filter(|kind| kind.is_in_simulation())
}

/// Reads a list of faults: `kill,partition:bridge@leader`; `none` is none.
///
/// # Errors
/// At the first word that names nothing, with what there is.
pub fn parse(text: &str) -> Result<Vec<FaultSpec>, FaultError> {
    match text.trim() {
        "" | "none" => Ok(Vec::new()),
        list => list.split(',').map(|word| word.trim().parse()).collect(),
    }
}

impl FaultSpec {
    /// What may come of it, as a deck of cards to be dealt: everything that was left open, in the proportions that find
    /// bugs. Leaders are struck most, since that is where most bugs are, and a leader cut off with a minority shows more
    /// than anything else; whole clusters less, since a run must also get somewhere.
    pub fn deck(&self, nodes: usize, random: &mut ChaCha8Rng) -> Vec<Fault> {
        use Target::{All, Leader, Majority, Minority, One};
        let targets = [Leader, Leader, Minority, One, Majority, All];
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
        let fault = |shape, target| Fault { kind: self.kind, shape, target: self.target.unwrap_or(target) };
        match self.kind {
            FaultKind::Kill
            | FaultKind::Pause
            | FaultKind::Link(_)
            | FaultKind::Clock
            | FaultKind::Disk(_)
            | FaultKind::Simulated(_) => targets.map(|target| fault(None, target)).to_vec(),
            FaultKind::Partition => {
                staple.chain(rare).map(|(shape, target)| fault(Some(shape), target)).collect()
            }
        }
    }

    /// Whether a cluster of `nodes` is large enough for it.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self, nodes: usize) -> Result<(), FaultError> {
        let needed_for_shape = match (self.kind, self.shape) {
            (FaultKind::Partition, shape) => shape.map_or(2, Shape::nodes_min),
            (FaultKind::Link(_), _) => 2,
            (
                FaultKind::Kill
                | FaultKind::Pause
                | FaultKind::Clock
                | FaultKind::Disk(_)
                | FaultKind::Simulated(_),
                _,
            ) => 1,
        };
        let needed = match self.target {
            Some(Target::Node(NodeNumber(number))) => number.max(needed_for_shape),
            _ => needed_for_shape,
        };
        match nodes >= needed {
            true => Ok(()),
            false => Err(FaultError::TooFew { fault: self.to_string(), nodes, needed }),
        }
    }
}

impl FaultKind {
    /// Whether a simulation can do it.
    pub fn is_in_simulation(self) -> bool {
        !matches!(
            self,
            FaultKind::Link(LinkFault::Corrupt | LinkFault::Bandwidth) | FaultKind::Disk(DiskFault::IoError)
        )
    }
}

impl Shape {
    /// How many nodes it takes to cut anything.
    pub fn nodes_min(self) -> usize {
        match self {
            Shape::Isolate | Shape::Halves | Shape::OneWay => 2,
            Shape::Bridge => 3,
            Shape::Ring => 4,
        }
    }
}

/// What there is, that of real processes first.
fn unknown_fault(word: &str) -> FaultError {
    let (simulated, real): (Vec<_>, Vec<_>) =
        KINDS.iter().partition(|(kind, _)| matches!(kind, FaultKind::Simulated(_)));
    let names = |table: Vec<&(FaultKind, &str)>| {
        table.into_iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
    };
    let known = format!("{}; in simulations also {}", names(real), names(simulated));
    FaultError::Unknown { what: "fault", word: word.into(), known }
}

fn known<T: Copy + PartialEq>(what: &'static str, table: &[(T, &str)], word: &str) -> Result<T, FaultError> {
    let found = table.iter().find(|(_, name)| *name == word);
    found.map(|(value, _)| *value).ok_or_else(|| FaultError::Unknown {
        what,
        word: word.into(),
        known: table.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", "),
    })
}

fn name<T: Copy + PartialEq>(table: &[(T, &'static str)], value: T) -> &'static str {
    table.iter().find(|(other, _)| *other == value).expect("every value has a name").1
}

impl FromStr for FaultSpec {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<FaultSpec, FaultError> {
        let (rest, target) = match text.split_once('@') {
            Some((rest, target)) => (rest, Some(target)),
            None => (text, None),
        };
        let (kind, shape) = match rest.split_once(':') {
            Some((kind, shape)) => (kind, Some(shape)),
            None => (rest, None),
        };
        let kind = known("fault", &KINDS, kind).map_err(|_| unknown_fault(kind))?;
        let shape = shape.map(|shape| known("shape", &SHAPES, shape)).transpose()?;
        if shape.is_some() && kind != FaultKind::Partition {
            return Err(FaultError::Shape(kind));
        }
        let target = target.map(str::parse).transpose()?;
        if let (Some(Shape::Ring), Some(_)) = (shape, target) {
            return Err(FaultError::Target(Shape::Ring));
        }
        Ok(FaultSpec { kind, shape, target })
    }
}

impl FromStr for Target {
    type Err = FaultError;
    fn from_str(text: &str) -> Result<Target, FaultError> {
        match NodeNumber::try_from(text.to_owned()) {
            Ok(number) => Ok(Target::Node(number)),
            Err(_) => known("target", &TARGETS, text),
        }
    }
}

impl TryFrom<String> for NodeNumber {
    type Error = String;
    fn try_from(text: String) -> Result<NodeNumber, String> {
        let digits = text.strip_prefix('n').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|digits| digits.parse().ok());
        let number = number.filter(|&number| number > 0);
        number.map(NodeNumber).ok_or_else(|| format!("`{text}` is no node"))
    }
}

impl From<NodeNumber> for String {
    fn from(NodeNumber(number): NodeNumber) -> String {
        format!("n{number}")
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(name(&KINDS, *self))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(name(&SHAPES, *self))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Node(number) => f.pad(&String::from(*number)),
            other => f.pad(name(&TARGETS, *other)),
        }
    }
}

impl fmt::Display for FaultSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some(shape) = self.shape {
            write!(f, ":{shape}")?;
        }
        match self.target {
            Some(target) => write!(f, "@{target}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { kind, shape, target } = *self;
        FaultSpec { kind, shape, target: Some(target) }.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        let text = "kill,pause@minority,partition:bridge,partition:one-way@leader,kill@n3";
        let specs = parse(text).expect("faults");
        let words: Vec<String> = specs.iter().map(FaultSpec::to_string).collect();
        assert_eq!(words.join(","), text);
        assert_eq!(parse("none"), Ok(vec![]));
    }

    #[test]
    fn unknown_words_are_answered_with_those_there_are() {
        let complaint = |text: &str| parse(text).expect_err(text).to_string();
        let hint = "unknown fault `meteor` (hint: one of kill, pause, partition, delay, loss, duplicate, reorder, corrupt, ";
        assert!(complaint("kill,meteor").starts_with(hint), "{}", complaint("kill,meteor"));
        assert_eq!(
            complaint("partition:star"),
            "unknown shape `star` (hint: one of isolate, halves, ring, bridge, one-way)"
        );
        assert_eq!(
            complaint("kill@everyone"),
            "unknown target `everyone` (hint: one of one, minority, majority, all, leader)"
        );
        assert_eq!(
            complaint("kill:bridge"),
            "`kill` has no shape (hint: only `partition` has, as in `partition:bridge`)"
        );
        assert_eq!(complaint("partition:ring@n2"), "`ring` has no target (hint: everybody is in a ring)");
        assert!(parse("kill@n+3").is_err());
    }

    #[test]
    fn a_deck_has_all_that_was_left_open_and_nothing_else() {
        let random = &mut ChaCha8Rng::seed_from_u64(1);
        let mut deck = |text: &str, nodes| text.parse::<FaultSpec>().expect("a fault").deck(nodes, random);
        assert_eq!(deck("kill", 5).len(), 6);
        assert!(deck("pause@minority", 5).iter().all(|fault| fault.target == Target::Minority));
        let halves: Vec<String> = deck("partition:halves@n2", 5).iter().map(Fault::to_string).collect();
        assert_eq!(halves, ["partition:halves@n2"; 2]);
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
        for (text, nodes) in [("partition:ring", 3), ("partition", 1), ("kill@n4", 3)] {
            let spec: FaultSpec = text.parse().expect("a fault");
            assert!(spec.check(nodes).is_err() && spec.check(5).is_ok(), "{text}");
        }
    }
}
