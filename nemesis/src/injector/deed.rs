//! A fault in force: whom it has struck, what exactly is done, and how that is said.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::clocks::Change;
use crate::cluster::Cluster;
use crate::disk::Trouble;
use crate::fault::{DiskFault, Fault, Shape, Target};
use crate::grudge::{describe, largest_whole};
use crate::hosts::{Condition, Link};

/// A fault in force, with all that it takes to undo it.
#[derive(Debug, Clone)]
pub(super) struct Deed {
    pub(super) fault: Fault,
    pub(super) nodes: Vec<usize>,
    pub(super) what: What,
    pub(super) seed: u64,
    /// When its next step comes, and how many it has done, if it has several.
    pub(super) next: Option<Instant>,
    pub(super) steps: u64,
    /// It should be undone already.
    pub(super) is_overdue: bool,
    /// It was meant for the leader, but struck another.
    pub(super) leaderless: bool,
}

/// How processes are ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// By SIGKILL.
    Once,
    /// They are asked to, first.
    Gentle,
    /// Again and again.
    Storm,
    /// One after another.
    Rolling,
}

/// What exactly is done.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// Processes end.
    Kill(Manner),
    /// Processes stand still.
    Pause,
    /// Processes get this share of one processor.
    Quota(f64),
    /// Processes get no more memory.
    Memory,
    /// A second process of each is started.
    Twin,
    /// Another program takes over, one after another.
    Upgrade,
    /// Connections are broken off.
    Reset,
    /// Members go, and come back empty.
    Remove,
    /// Members lose all they have, and empty ones take their places.
    Wipe,
    /// Another leads.
    Transfer,
    /// Snapshots are made.
    Snapshot,
    /// Links carry nothing.
    Cut(BTreeSet<Link>),
    /// Links are under a condition.
    Condition(Condition, BTreeSet<Link>),
    /// Clocks are bent, each in its way.
    Clocks(BTreeMap<usize, Change>),
    /// Processes are killed, and what they had not synced is lost.
    PowerOff(DiskFault),
    /// Processes are killed, and find something else in their folders.
    Replace(DiskFault),
    /// Disks do something wrong.
    Trouble(DiskFault, Trouble),
}

impl Deed {
    /// Whether there is anything to strike.
    pub(super) fn is_empty(&self) -> bool {
        match &self.what {
            What::Cut(links) | What::Condition(_, links) => links.is_empty(),
            _ => self.nodes.is_empty(),
        }
    }

    /// Links that it cuts.
    pub(super) fn cut(&self) -> impl Iterator<Item = Link> {
        let cut = if let What::Cut(links) = &self.what { Some(links) } else { None };
        cut.into_iter().flatten().copied()
    }

    /// Links that it puts under a condition.
    pub(super) fn conditioned(&self) -> impl Iterator<Item = (Link, Condition)> {
        let under =
            if let What::Condition(condition, links) = &self.what { Some((condition, links)) } else { None };
        under.into_iter().flat_map(|(condition, links)| links.iter().map(|&link| (link, *condition)))
    }

    /// What it does to the disks of its nodes.
    pub(super) fn trouble(&self) -> Trouble {
        if let What::Trouble(_, trouble) = self.what { trouble } else { Trouble::default() }
    }

    /// Whether its nodes may rightly end by it.
    pub(super) fn may_end_programs(&self) -> bool {
        matches!(self.what, What::Memory | What::Replace(_)) || self.trouble().may_end_programs()
    }

    /// Nodes of a cluster of `count` that cannot be counted on while it is in force. Of links that are cut, all but the largest set of nodes
    /// that still reach each other.
    pub(super) fn harmed(&self, count: usize) -> Vec<usize> {
        match &self.what {
            What::Cut(links) => {
                let whole = largest_whole(count, links);
                let hidden = |node: &usize| {
                    links.contains(&Link { from: *node, to: Link::clients(count) })
                        || links.contains(&Link { from: Link::clients(count), to: *node })
                };
                (0..count).filter(|node| !whole.contains(node) || hidden(node)).collect()
            }
            What::Twin | What::Transfer | What::Snapshot => Vec::new(),
            _ => self.nodes.clone(),
        }
    }

    /// Whether members are missing while it is in force.
    pub(super) fn takes_members_out(&self) -> bool {
        matches!(self.what, What::Remove | What::Wipe)
    }

    /// Whether it goes on after it has struck.
    pub(super) fn has_steps(&self) -> bool {
        matches!(self.what, What::Kill(Manner::Storm | Manner::Rolling) | What::Upgrade | What::Reset)
            || self.trouble().lies()
    }

    /// How it went on after it had struck, in words; nothing if it did not.
    pub(super) fn course(&self) -> Option<String> {
        match self.what {
            What::Kill(Manner::Storm | Manner::Rolling) => {
                Some(format!("killed {} times", 1 + self.steps / 2))
            }
            What::Upgrade => {
                Some(format!("{} nodes upgraded", (1 + self.steps).min(self.nodes.len() as u64)))
            }
            What::Reset => Some(format!("broken off {} times", 1 + self.steps)),
            _ => None,
        }
    }

    /// What it does, in words.
    pub(super) fn detail(&self, cluster: &Cluster) -> String {
        let names: Vec<&str> = self.nodes.iter().map(|&node| cluster.name(node)).collect();
        let names = names.join(" ");
        let detail = match &self.what {
            What::Kill(Manner::Once) => format!("kill -9 {names}"),
            What::Kill(Manner::Gentle) => format!("kill -15 {names}"),
            What::Kill(Manner::Storm) => format!("kill -9 {names} again and again"),
            What::Kill(Manner::Rolling) => format!("kill -9 {names}, one after another"),
            What::Quota(share) => format!("{:.1} % of a processor for {names}", 100.0 * share),
            What::Memory => format!("no more memory for {names}"),
            What::Twin => format!("start {names} twice"),
            What::Upgrade => format!("another program for {names}, one after another"),
            What::Reset => format!("break the connections of {names} off"),
            What::Remove => format!("take {names} out of the cluster"),
            What::Wipe => format!("kill -9 {names}, and remove all data"),
            What::Transfer => format!("let {names} lead"),
            What::Snapshot => format!("let {names} make a snapshot"),
            What::Pause => format!("stop {names}"),
            What::Cut(links) => describe(cluster.len(), links),
            What::Condition(condition, _) if let Target::Link(link) = self.fault.target => {
                format!("{}: {condition}", String::from(link))
            }
            What::Condition(condition, _) => match self.fault.shape {
                Some(Shape::From) => format!("from {names}: {condition}"),
                Some(Shape::To) => format!("to {names}: {condition}"),
                Some(Shape::Clients) => format!("between {names} and clients: {condition}"),
                _ => format!("from and to {names}: {condition}"),
            },
            What::Clocks(changes) => {
                let words = changes.iter().map(|(&node, change)| format!("{}: {change}", cluster.name(node)));
                words.collect::<Vec<_>>().join("; ")
            }
            What::PowerOff(DiskFault::TornWrite) => format!("power off {names}, in the middle of writes"),
            What::PowerOff(_) if self.fault.shape == Some(Shape::OneFile) => {
                format!("power off {names}, with all but one file on the disk")
            }
            What::PowerOff(_) => format!("power off {names}"),
            What::Replace(DiskFault::Amnesia) => format!("kill -9 {names}, and empty the data folder"),
            What::Replace(_) => format!("kill -9 {names}, and set the data folder back"),
            What::Trouble(_, trouble) => format!("disk of {names}: {trouble}"),
        };
        match self.leaderless {
            true => format!("{detail} (nobody led, or could be had)"),
            false => detail,
        }
    }

    /// How it is taken back.
    pub(super) fn undo_in_words(&self) -> &'static str {
        match self.what {
            What::Kill(_) | What::PowerOff(_) => "start the nodes again",
            What::Quota(_) => "all the processor time that they want",
            What::Memory => "all the memory that they want, and start who has ended for lack of it",
            What::Twin => "kill the second processes",
            What::Upgrade => "none: the other program stays",
            What::Reset => "break no more connections off",
            What::Remove => "let empty ones join",
            What::Wipe => "take the nodes out of the cluster, and let empty ones join",
            What::Transfer | What::Snapshot => "none",
            What::Pause => "continue the processes",
            What::Cut(_) => "cut no link",
            What::Condition(..) => "make the links whole",
            What::Clocks(_) => "set the clocks right",
            What::Replace(_) => {
                "start the nodes again, with their own data if they cannot live with what they find"
            }
            What::Trouble(..) => "make the disks good, and start who has ended by them",
        }
    }
}
