//! The words for faults: how each is written, read, and complained about.
//!
//! ```text
//! kind[:shape][=strength][@target]      partition:bridge@n3     delay:clients=50ms@leader
//! ```

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::{
    ClusterFault, DiskFault, Fault, FaultKind, FaultSpec, LinkFault, NamedLink, NodeNumber, Shape, Strength,
    Target,
};

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
    /// It is done in one way only.
    #[error(
        "`{0}` has no shape (hint: `partition`, `kill`, `clock` and faults of links and disks have, as in `partition:bridge`)"
    )]
    Shape(FaultKind),
    /// It cannot be said how bad it is, or not so.
    #[error("`{fault}` cannot be as bad as `{word}` (hint: {hint})")]
    Strength {
        /// The fault.
        fault: String,
        /// What was asked for.
        word: String,
        /// What can be.
        hint: &'static str,
    },
    /// Only links can be struck by themselves, and in one way.
    #[error(
        "`{fault}` cannot strike a single link (hint: only `partition` and faults of links can, without a shape, as in `delay@n1-n2`)"
    )]
    Link {
        /// The fault.
        fault: String,
    },
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

const KINDS: [(FaultKind, &str); 29] = [
    (FaultKind::Kill, "kill"),
    (FaultKind::Pause, "pause"),
    (FaultKind::Partition, "partition"),
    (FaultKind::Link(LinkFault::Delay), "delay"),
    (FaultKind::Link(LinkFault::Loss), "loss"),
    (FaultKind::Link(LinkFault::Duplicate), "duplicate"),
    (FaultKind::Link(LinkFault::Reorder), "reorder"),
    (FaultKind::Link(LinkFault::Corrupt), "corrupt"),
    (FaultKind::Link(LinkFault::Bandwidth), "bandwidth"),
    (FaultKind::Reset, "reset"),
    (FaultKind::Disk(DiskFault::PowerLoss), "power-loss"),
    (FaultKind::Disk(DiskFault::TornWrite), "torn-write"),
    (FaultKind::Disk(DiskFault::SlowDisk), "slow-disk"),
    (FaultKind::Disk(DiskFault::IoError), "io-error"),
    (FaultKind::Disk(DiskFault::DiskFull), "disk-full"),
    (FaultKind::Disk(DiskFault::BitFlip), "bit-flip"),
    (FaultKind::Disk(DiskFault::LostWrite), "lost-write"),
    (FaultKind::Disk(DiskFault::MisdirectedWrite), "misdirected-write"),
    (FaultKind::Disk(DiskFault::Rollback), "rollback"),
    (FaultKind::Disk(DiskFault::Amnesia), "amnesia"),
    (FaultKind::Clock, "clock"),
    (FaultKind::Cpu, "cpu"),
    (FaultKind::Memory, "memory"),
    (FaultKind::Twin, "twin"),
    (FaultKind::Upgrade, "upgrade"),
    (FaultKind::Cluster(ClusterFault::Membership), "membership"),
    (FaultKind::Cluster(ClusterFault::Wipe), "wipe"),
    (FaultKind::Cluster(ClusterFault::Transfer), "transfer"),
    (FaultKind::Cluster(ClusterFault::Snapshot), "snapshot"),
];

const SHAPES: [(Shape, &str); 22] = [
    (Shape::Isolate, "isolate"),
    (Shape::Halves, "halves"),
    (Shape::Ring, "ring"),
    (Shape::Bridge, "bridge"),
    (Shape::OneWay, "one-way"),
    (Shape::Clients, "clients"),
    (Shape::From, "from"),
    (Shape::To, "to"),
    (Shape::Gentle, "gentle"),
    (Shape::Storm, "storm"),
    (Shape::Rolling, "rolling"),
    (Shape::OneFile, "one-file"),
    (Shape::Stall, "stall"),
    (Shape::Sync, "sync"),
    (Shape::Write, "write"),
    (Shape::Read, "read"),
    (Shape::WallJump, "wall-jump"),
    (Shape::WallSkew, "wall-skew"),
    (Shape::WallStrobe, "wall-strobe"),
    (Shape::MonotonicJump, "monotonic-jump"),
    (Shape::MonotonicSkew, "monotonic-skew"),
    (Shape::MonotonicSway, "monotonic-sway"),
];

/// The end of a link that is no node.
const CLIENTS: &str = "clients";

const TARGETS: [(Target, &str); 9] = [
    (Target::One, "one"),
    (Target::Minority, "minority"),
    (Target::Majority, "majority"),
    (Target::All, "all"),
    (Target::Leader, "leader"),
    (Target::Follower, "follower"),
    (Target::Behind, "behind"),
    (Target::OldLeader, "old-leader"),
    (Target::LeaderAndMinority, "leader-and-minority"),
];

/// Every kind there is.
pub(super) fn kinds() -> impl Iterator<Item = FaultKind> {
    KINDS.iter().map(|&(kind, _)| kind)
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

/// The ways in which a fault of that kind can be done, if there are several.
fn shapes(kind: FaultKind) -> impl Iterator<Item = &'static (Shape, &'static str)> {
    SHAPES.iter().filter(move |(shape, _)| match shape {
        Shape::Isolate | Shape::Halves | Shape::Ring | Shape::Bridge | Shape::OneWay => {
            kind == FaultKind::Partition
        }
        Shape::Clients => matches!(kind, FaultKind::Partition | FaultKind::Link(_)),
        Shape::From | Shape::To => matches!(kind, FaultKind::Link(_)),
        Shape::Gentle | Shape::Storm | Shape::Rolling => kind == FaultKind::Kill,
        Shape::OneFile => kind == FaultKind::Disk(DiskFault::PowerLoss),
        Shape::Stall => kind == FaultKind::Disk(DiskFault::SlowDisk),
        Shape::Sync | Shape::Write | Shape::Read => kind == FaultKind::Disk(DiskFault::IoError),
        Shape::WallJump
        | Shape::WallSkew
        | Shape::WallStrobe
        | Shape::MonotonicJump
        | Shape::MonotonicSkew
        | Shape::MonotonicSway => kind == FaultKind::Clock,
    })
}

/// What a strength of that fault is, as a hint; whether this one is possible.
fn strength_of(kind: FaultKind, shape: Option<Shape>) -> (&'static str, fn(Strength) -> bool) {
    const SHARE: &str = "a share, as in `loss=30%`";
    fn is_share(strength: Strength) -> bool {
        matches!(strength, Strength::Millionths(1..=1_000_000))
    }
    fn is_time(strength: Strength) -> bool {
        matches!(strength, Strength::Micros(1..=3_600_000_000))
    }
    match (kind, shape) {
        (FaultKind::Link(LinkFault::Delay) | FaultKind::Disk(DiskFault::SlowDisk), _) => {
            ("a time up to an hour, as in `delay=50ms`", is_time)
        }
        (FaultKind::Link(LinkFault::Bandwidth), _) => {
            ("bytes a second, as in `bandwidth=100kB/s`", |strength| matches!(strength, Strength::Bytes(1..)))
        }
        (FaultKind::Link(_), _) => (SHARE, is_share),
        (FaultKind::Cpu, _) => ("a share of one processor, as in `cpu=10%`", is_share),
        (FaultKind::Clock, Some(Shape::WallJump | Shape::WallStrobe | Shape::MonotonicJump)) => {
            ("a time up to an hour, as in `clock:wall-jump=10s`", is_time)
        }
        (FaultKind::Clock, Some(_)) => ("a share below one half, as in `clock:wall-skew=10%`", |strength| {
            matches!(strength, Strength::Millionths(1..=500_000))
        }),
        (FaultKind::Clock, None) => {
            ("it takes a shape to say how bad it is, as in `clock:wall-jump=10s`", |_| false)
        }
        _ => ("it cannot be said how bad this one is", |_| false),
    }
}

fn names<'a, T: 'a>(table: impl IntoIterator<Item = &'a (T, &'a str)>) -> String {
    table.into_iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
}

fn known<'a, T: Copy + 'a>(
    what: &'static str,
    table: impl Iterator<Item = &'a (T, &'a str)> + Clone,
    word: &str,
) -> Result<T, FaultError> {
    let found = table.clone().find(|(_, name)| *name == word);
    found.map(|(value, _)| *value).ok_or_else(|| FaultError::Unknown {
        what,
        word: word.into(),
        known: names(table),
    })
}

fn name<T: Copy + PartialEq>(table: &[(T, &'static str)], value: T) -> &'static str {
    table.iter().find(|(other, _)| *other == value).expect("every value has a name").1
}

/// What stands before the sign, and behind it if it is there.
fn split(text: &str, sign: char) -> (&str, Option<&str>) {
    text.split_once(sign).map_or((text, None), |(before, behind)| (before, Some(behind)))
}

impl FromStr for FaultSpec {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<FaultSpec, FaultError> {
        let (rest, target) = split(text, '@');
        let (rest, strength) = split(rest, '=');
        let (kind, shape) = split(rest, ':');
        let kind = known("fault", KINDS.iter(), kind)?;
        let shape = match shape {
            Some(_) if shapes(kind).next().is_none() => return Err(FaultError::Shape(kind)),
            Some(word) => Some(known("shape", shapes(kind).collect::<Vec<_>>().into_iter(), word)?),
            None => None,
        };
        let strength = match strength {
            Some(word) => {
                let (hint, is_possible) = strength_of(kind, shape);
                let strength =
                    Strength::try_from(word.to_owned()).ok().filter(|&strength| is_possible(strength));
                let complaint = || FaultError::Strength { fault: rest.into(), word: word.into(), hint };
                Some(strength.ok_or_else(complaint)?)
            }
            None => None,
        };
        let target = target.map(str::parse).transpose()?;
        let can_strike_links = matches!(kind, FaultKind::Partition | FaultKind::Link(_)) && shape.is_none();
        if matches!(target, Some(Target::Link(_))) && !can_strike_links {
            return Err(FaultError::Link { fault: rest.into() });
        }
        if let (Some(Shape::Ring), Some(_)) = (shape, target) {
            return Err(FaultError::Target(Shape::Ring));
        }
        Ok(FaultSpec { kind, shape, strength, target })
    }
}

impl FromStr for Target {
    type Err = FaultError;
    fn from_str(text: &str) -> Result<Target, FaultError> {
        match NodeNumber::try_from(text.to_owned()) {
            Ok(number) => Ok(Target::Node(number)),
            Err(_) => match NamedLink::try_from(text.to_owned()) {
                Ok(link) => Ok(Target::Link(link)),
                Err(_) => known("target", TARGETS.iter(), text),
            },
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

type Unit = (&'static str, f64, fn(f64) -> Strength);

impl TryFrom<String> for NamedLink {
    type Error = String;
    fn try_from(text: String) -> Result<NamedLink, String> {
        let end = |word: &str| match word {
            CLIENTS => Ok(None),
            word => NodeNumber::try_from(word.to_owned()).map(Some),
        };
        let (from, to) = text.split_once('-').ok_or_else(|| format!("`{text}` is no link"))?;
        match (NamedLink { from: end(from)?, to: end(to)? }) {
            NamedLink { from, to } if from == to => Err(format!("`{text}` is no link")),
            link => Ok(link),
        }
    }
}

impl From<NamedLink> for String {
    fn from(NamedLink { from, to }: NamedLink) -> String {
        let word = |end: Option<NodeNumber>| end.map_or(CLIENTS.into(), String::from);
        format!("{}-{}", word(from), word(to))
    }
}

/// Units of strengths, each before those that its own name ends with, and what one is in the smallest.
const UNITS: [Unit; 8] = [
    ("%", 1e4, |number| Strength::Millionths(number as u32)),
    ("us", 1.0, |number| Strength::Micros(number as u64)),
    ("ms", 1e3, |number| Strength::Micros(number as u64)),
    ("kB/s", 1e3, |number| Strength::Bytes(number as u64)),
    ("MB/s", 1e6, |number| Strength::Bytes(number as u64)),
    ("B/s", 1.0, |number| Strength::Bytes(number as u64)),
    ("s", 1e6, |number| Strength::Micros(number as u64)),
    ("m", 6e7, |number| Strength::Micros(number as u64)),
];

impl TryFrom<String> for Strength {
    type Error = String;
    fn try_from(text: String) -> Result<Strength, String> {
        let read = |&(unit, factor, make): &Unit| {
            let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
            (number.is_finite() && number >= 0.0).then(|| make((number * factor).round()))
        };
        UNITS.iter().find_map(read).ok_or_else(|| format!("`{text}` says nothing of how bad something is"))
    }
}

impl From<Strength> for String {
    fn from(strength: Strength) -> String {
        let (count, units): (u64, &[(&str, u64)]) = match strength {
            Strength::Micros(micros) => (micros, &[("s", 1_000_000), ("ms", 1000), ("us", 1)]),
            Strength::Millionths(share) => return format!("{}%", f64::from(share) / 1e4),
            Strength::Bytes(bytes) => (bytes, &[("MB/s", 1_000_000), ("kB/s", 1000), ("B/s", 1)]),
        };
        let (unit, one) = units.iter().find(|(_, one)| count % one == 0).expect("everything is so many ones");
        format!("{}{unit}", count / one)
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
            Target::Link(link) => f.pad(&String::from(*link)),
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
        if let Some(strength) = self.strength {
            write!(f, "={}", String::from(strength))?;
        }
        match self.target {
            Some(target) => write!(f, "@{target}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { kind, shape, strength, target } = *self;
        FaultSpec { kind, shape, strength, target: Some(target) }.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        let text = "kill,pause@minority,partition:bridge,partition:one-way@leader,kill:storm@n3,\
                    delay:clients=1500us@old-leader,loss=2.5%@behind,\
                    partition@n1-n2,duplicate@clients-n3,bandwidth=100kB/s,clock:wall-jump=90s,\
                    power-loss:one-file,slow-disk:stall=2s,io-error:read@n1,amnesia";
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
            "unknown shape `star` (hint: one of isolate, halves, ring, bridge, one-way, clients)"
        );
        assert_eq!(
            complaint("kill@everyone"),
            "unknown target `everyone` (hint: one of one, minority, majority, all, leader, follower, behind, old-leader, leader-and-minority)"
        );
        assert_eq!(complaint("kill:bridge"), "unknown shape `bridge` (hint: one of gentle, storm, rolling)");
        assert_eq!(
            complaint("pause:bridge"),
            "`pause` has no shape (hint: `partition`, `kill`, `clock` and faults of links and disks have, as in `partition:bridge`)"
        );
        for (text, hint) in [
            ("loss=0%", "a share, as in `loss=30%`"),
            ("loss=200%", "a share, as in `loss=30%`"),
            ("delay=10%", "a time up to an hour, as in `delay=50ms`"),
            ("bandwidth=fast", "bytes a second, as in `bandwidth=100kB/s`"),
            ("kill=3s", "it cannot be said how bad this one is"),
            ("clock=3s", "it takes a shape to say how bad it is, as in `clock:wall-jump=10s`"),
        ] {
            let (fault, word) = text.split_once('=').expect("a strength");
            assert_eq!(complaint(text), format!("`{fault}` cannot be as bad as `{word}` (hint: {hint})"),);
        }
        for (text, fault) in [("kill@n1-n2", "kill"), ("partition:halves@n1-n2", "partition:halves")] {
            let start = format!("`{fault}` cannot strike a single link");
            assert!(complaint(text).starts_with(&start), "{}", complaint(text));
        }
        assert!(complaint("delay@n1-n1").starts_with("unknown target `n1-n1`"));
        assert_eq!(complaint("partition:ring@n2"), "`ring` has no target (hint: everybody is in a ring)");
        assert!(parse("kill@n+3").is_err());
    }
}
