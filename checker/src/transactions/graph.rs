//! The dependency graph: which transaction must come before which, and why.
//!
//! How it is inferred is not known here. Nodes are transactions by number, and behind them *junctions*, which stand between
//! many and many: whoever has an edge into a junction comes before all that the junction leads to. Real time is a chain of junctions,
//! one for each completion, so that it takes no more edges than there are transactions.

use crate::history::{Operation, Outcome};

/// Why one comes before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// The other wrote behind it.
    Ww,
    /// The other read what it wrote.
    Wr,
    /// The other overwrote what it read.
    Rw,
    /// Out of a junction: as whatever led into it.
    Pass,
    /// The same process did it first.
    Process,
    /// It was over when the other began.
    Realtime,
    /// As `Ww`, if real time is the order of versions too.
    RealtimeWw,
    /// As `Rw`, if real time is the order of versions too.
    RealtimeRw,
}

const KINDS: [Kind; 8] = [
    Kind::Ww,
    Kind::Wr,
    Kind::Rw,
    Kind::Pass,
    Kind::Process,
    Kind::Realtime,
    Kind::RealtimeWw,
    Kind::RealtimeRw,
];

impl Kind {
    /// Whether the other overwrote what it read.
    pub(super) fn is_rw(self) -> bool {
        matches!(self, Kind::Rw | Kind::RealtimeRw)
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    pub(super) const ALL: Kinds = Kinds(u8::MAX);

    pub(super) fn of(kinds: &[Kind]) -> Kinds {
        Kinds(kinds.iter().fold(0, |bits, &kind| bits | 1 << kind as u8))
    }

    pub(super) fn and(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    pub(super) fn has(self, kind: Kind) -> bool {
        self.0 >> kind as u8 & 1 == 1
    }
}

/// No key: of edges that are about none.
pub(super) const NO_KEY: u32 = u32::MAX;

/// The kind of an edge stands in the upper bits of its target.
const TARGET_BITS: u32 = 29;
const TARGET_MASK: u32 = (1 << TARGET_BITS) - 1;

/// An edge seen from its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edge {
    packed: u32,
    /// The object that it is about.
    pub(super) key: u32,
}

impl Edge {
    fn new(to: u32, kind: Kind, key: u32) -> Edge {
        assert!(to <= TARGET_MASK, "{to} nodes, and only 2^29 have room");
        Edge { packed: (kind as u32) << TARGET_BITS | to, key }
    }

    pub(super) fn to(self) -> u32 {
        self.packed & TARGET_MASK
    }

    pub(super) fn kind(self) -> Kind {
        KINDS[(self.packed >> TARGET_BITS) as usize]
    }
}

/// Edges as they are found.
#[derive(Debug)]
pub(super) struct Edges {
    list: Vec<(u32, Edge)>,
    nodes: u32,
}

impl Edges {
    /// None yet, among so many transactions.
    pub(super) fn among(transactions: usize) -> Edges {
        Edges { list: Vec::new(), nodes: transactions as u32 }
    }

    /// Adds one; none leads from a transaction to itself.
    pub(super) fn add(&mut self, from: u32, to: u32, kind: Kind, key: u32) {
        if from != to {
            self.list.push((from, Edge::new(to, kind, key)));
        }
    }

    fn junction(&mut self) -> u32 {
        self.nodes += 1;
        self.nodes - 1
    }

    /// Each of `earlier` before each other one of `later`; both are ascending.
    pub(super) fn add_all(&mut self, earlier: &[u32], later: &[u32], kind: Kind, key: u32) {
        if earlier.len().saturating_mul(later.len()) <= 2 * (earlier.len() + later.len()) {
            for &from in earlier {
                later.iter().for_each(|&to| self.add(from, to, kind, key));
            }
            return;
        }
        // Through one junction, whoever is in both would come before itself. Those in both come before each other, so
        // a ring of them says the same.
        let is_in = |list: &[u32], one: &u32| list.binary_search(one).is_ok();
        let (both, first): (Vec<u32>, Vec<u32>) = earlier.iter().partition(|one| is_in(later, one));
        let last: Vec<u32> = later.iter().copied().filter(|one| !is_in(earlier, one)).collect();
        self.add_through_junction(&first, later, kind, key);
        self.add_through_junction(&both, &last, kind, key);
        if let (Some(&one), Some(&other)) = (both.first(), both.last()) {
            both.windows(2).for_each(|pair| self.add(pair[0], pair[1], kind, key));
            self.add(other, one, kind, key);
        }
    }

    fn add_through_junction(&mut self, earlier: &[u32], later: &[u32], kind: Kind, key: u32) {
        if earlier.is_empty() || later.is_empty() {
            return;
        }
        let junction = self.junction();
        earlier.iter().for_each(|&from| self.add(from, junction, kind, key));
        later.iter().for_each(|&to| self.add(junction, to, Kind::Pass, key));
    }

    /// Adds the order of each process, and that of real time, of transactions in order of invocation. Those that surely did not
    /// happen have no place in them, and what is uncertain is never over.
    pub(super) fn add_orders(&mut self, operations: &[Operation]) {
        let mut latest = hashbrown::HashMap::new();
        let mut over: Vec<(u32, u32)> = Vec::with_capacity(operations.len());
        for (operation, at) in operations.iter().zip(0..) {
            if operation.outcome == Outcome::Fail {
                continue;
            }
            if let Some(before) = latest.insert(operation.process, at) {
                self.add(before, at, Kind::Process, NO_KEY);
            }
            if operation.outcome == Outcome::Ok {
                over.push((operation.completed_at().expect("an `ok` is over"), at));
            }
        }
        over.sort_unstable();
        let first = self.nodes;
        self.nodes += over.len() as u32;
        let mut done = 0;
        for (&(_, at), junction) in over.iter().zip(first..) {
            self.add(at, junction, Kind::Realtime, NO_KEY);
            if junction > first {
                self.add(junction - 1, junction, Kind::Pass, NO_KEY);
            }
        }
        for (operation, at) in operations.iter().zip(0..) {
            while done < over.len() && over[done].0 < operation.invoked_at {
                done += 1;
            }
            if done > 0 && operation.outcome != Outcome::Fail {
                self.add(first + done as u32 - 1, at, Kind::Pass, NO_KEY);
            }
        }
    }
}

/// Edges by their sources.
#[derive(Debug)]
pub(super) struct Graph {
    starts: Vec<u32>,
    edges: Vec<Edge>,
}

impl Graph {
    /// The graph of these edges.
    pub(super) fn of(edges: Edges) -> Graph {
        let Edges { list, nodes } = edges;
        let mut starts = vec![0u32; nodes as usize + 1];
        for (from, _) in &list {
            starts[*from as usize + 1] += 1;
        }
        for node in 0..nodes as usize {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut sorted = vec![Edge { packed: 0, key: 0 }; list.len()];
        for (from, edge) in list {
            let place = &mut next[from as usize];
            sorted[*place as usize] = edge;
            *place += 1;
        }
        Graph { starts, edges: sorted }
    }

    /// How many nodes there are, junctions too.
    pub(super) fn nodes(&self) -> u32 {
        self.starts.len() as u32 - 1
    }

    /// The edges out of a node.
    pub(super) fn out_of(&self, node: u32) -> &[Edge] {
        &self.edges[self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize]
    }

    /// The graph of these nodes alone, ascending; they are numbered anew in their order.
    pub(super) fn within(&self, nodes: &[u32]) -> Graph {
        let mut edges = Edges { list: Vec::new(), nodes: nodes.len() as u32 };
        for (&node, from) in nodes.iter().zip(0..) {
            for edge in self.out_of(node) {
                if let Ok(to) = nodes.binary_search(&edge.to()) {
                    edges.list.push((from, Edge::new(to as u32, edge.kind(), edge.key)));
                }
            }
        }
        Graph::of(edges)
    }
}
