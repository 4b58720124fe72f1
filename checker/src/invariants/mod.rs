//! Whether the nodes kept to Raft, judged by their traces (Ongaro & Ousterhout 2014, Figure 3).
//!
//! The one idea: nothing here compares clocks of different nodes. Every rule is about terms and indexes, which Raft
//! itself orders, or about the order of lines in one file. So a rule that is broken was broken, whatever the network
//! and the clocks did. A trace may lack what was done just before a kill; no rule takes a missing line for a deed.
//!
//! `facts` are what all nodes say together, `replay` follows the disk of one of them.

mod facts;
mod replay;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::trace::{Role, TraceBody, TraceEvent};
use crate::verdict::Verdict;
use facts::Facts;

/// The traces by node, each in the order of its file.
pub type Traces = BTreeMap<String, Vec<TraceEvent>>;

/// One broken invariant would fill pages; so many of each are enough to see it.
const VIOLATIONS_MAX: usize = 5;

/// What the traces say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// `valid`, `invalid`, or `unknown` when there is nothing to judge.
    pub verdict: Verdict,
    /// How many lines were looked at.
    pub events: usize,
    /// At most a few of each invariant.
    pub violations: Vec<Violation>,
}

/// An invariant that was broken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// Which; see [`Invariant`].
    pub invariant: Invariant,
    /// Nodes that are involved; the one that broke it first.
    pub nodes: Vec<String>,
    /// Monotonic nanoseconds of their lines, in the same order.
    pub times_ns: Vec<u64>,
    /// What happened, in words.
    pub sentence: String,
}

/// The invariants that are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Invariant {
    /// 1: at most one leader per term.
    ElectionSafety,
    /// 2: one vote per term; term, vote and log survive a restart.
    DurableState,
    /// 3: entries of equal index and term are equal, and so are all before them.
    LogMatching,
    /// 4: what a leader committed is in the log of every leader of a later term.
    LeaderCompleteness,
    /// 5: nodes that applied an index applied the same there.
    StateMachineSafety,
    /// 6: what a node has applied, it never writes over.
    CommittedImmutable,
}

impl Invariant {
    /// Its number, from 1.
    pub fn number(self) -> u8 {
        self as u8 + 1
    }
}

/// Violations as they are found.
#[derive(Default)]
struct Violations(Vec<Violation>);

impl Violations {
    /// `parts` are the nodes with the times of their lines.
    fn add(&mut self, invariant: Invariant, parts: &[(&str, u64)], sentence: String) {
        let same = |violation: &&Violation| violation.invariant == invariant;
        if self.0.iter().filter(same).count() < VIOLATIONS_MAX {
            self.0.push(Violation {
                invariant,
                nodes: parts.iter().map(|(node, _)| (*node).to_owned()).collect(),
                times_ns: parts.iter().map(|&(_, time)| time).collect(),
                sentence,
            });
        }
    }
}

/// Holds the traces against the invariants.
pub fn check(traces: &Traces) -> Outcome {
    check_but(traces, &BTreeSet::new())
}

/// The same, but these nodes may have forgotten over a restart what they had on disk: it was taken from them.
pub fn check_but(traces: &Traces, forgetful: &BTreeSet<String>) -> Outcome {
    let mut violations = Violations::default();
    let facts = Facts::gather(traces, &mut violations);
    for (node, events) in traces {
        replay::replay(node, events, &facts, forgetful.contains(node), &mut violations);
    }
    let Violations(mut violations) = violations;
    violations.sort_by_key(|violation| violation.invariant);
    let events = traces.values().map(Vec::len).sum();
    let verdict = match (violations.is_empty(), events) {
        (false, _) => Verdict::Invalid,
        (true, 0) => Verdict::Unknown,
        (true, _) => Verdict::Valid,
    };
    Outcome { verdict, events, violations }
}

/// A node took the lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderChange {
    /// Monotonic nanoseconds.
    pub time: u64,
    /// Who.
    pub node: String,
    /// Of which term.
    pub term: u64,
}

/// Every time that a node took the lead, in order of time.
pub fn leader_changes(traces: &Traces) -> Vec<LeaderChange> {
    let mut changes = Vec::new();
    for (node, events) in traces {
        for event in events {
            if let TraceBody::Role { role: Role::Leader, term, .. } = event.body {
                let node = node.clone();
                let time = event.time;
                changes.push(LeaderChange { time, node, term });
            }
        }
    }
    changes.sort_by_key(|change| change.time);
    changes
}
