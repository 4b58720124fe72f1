//! Cycles of the dependency graph: which kinds there are, and a short one of each.
//!
//! The one idea: whether a kind of cycle exists is decided by strongly connected components of a view of the graph, exactly and in
//! linear time; only then a short one is looked for. No two reads in a row are overwritten (`G-nonadjacent`, which snapshot isolation
//! forbids; Cerone & Gotsman 2018) in a cycle of a doubled graph, whose nodes remember whether the last edge was such a one.

use std::collections::VecDeque;

use super::anomaly::{Anomaly, Class, Order};
use super::components::{Digraph, components};
use super::graph::{Edge, Graph, Kind, Kinds};

/// A cycle of transactions.
#[derive(Debug, Clone)]
pub(super) struct Cycle {
    pub(super) order: Order,
    /// Each leads to the next, the last to the first.
    pub(super) links: Vec<Link>,
}

/// An edge of a cycle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) from: u32,
    pub(super) kind: Kind,
    pub(super) key: u32,
}

impl Cycle {
    /// Its name.
    pub(super) fn anomaly(&self) -> Anomaly {
        Anomaly::Cycle(self.order, class(&self.links))
    }
}

fn class(links: &[Link]) -> Class {
    match links.iter().filter(|link| link.kind.is_rw()).count() {
        0 if links.iter().any(|link| link.kind == Kind::Wr) => Class::G1c,
        0 => Class::G0,
        1 => Class::GSingle,
        _ if is_nonadjacent(links) => Class::GNonadjacent,
        _ => Class::G2Item,
    }
}

fn is_nonadjacent(links: &[Link]) -> bool {
    let next = links.iter().cycle().skip(1);
    !links.iter().zip(next).any(|(one, other)| one.kind.is_rw() && other.kind.is_rw())
}

/// Every kind of cycle that there is: one for each component that has it. `transactions` are the nodes that are no junctions.
/// Whether all were looked for before it was out of time.
pub(super) fn find(
    graph: &Graph,
    transactions: usize,
    out_of_time: &dyn Fn() -> bool,
    mut tell: impl FnMut(Cycle),
) -> bool {
    let all = View { graph, kinds: Kinds::ALL, doubled: false };
    for nodes in components(&all) {
        let graph = &graph.within(&nodes);
        let mut within = Within { graph, nodes: &nodes, transactions, has: [false; 4] };
        for order in [Order::Free, Order::Process, Order::Realtime] {
            if out_of_time() {
                return false;
            }
            within.find(order, &mut tell);
        }
    }
    true
}

/// One component of the whole graph.
struct Within<'g> {
    graph: &'g Graph,
    /// What its nodes are called in the whole.
    nodes: &'g [u32],
    transactions: usize,
    /// Whether it has cycles of writes; of writes and reads; without two overwritten reads in a row; of any kind.
    has: [bool; 4],
}

impl Within<'_> {
    fn find(&mut self, order: Order, tell: &mut impl FnMut(Cycle)) {
        let ordered = match order {
            Order::Free => Kinds::of(&[Kind::Pass]),
            Order::Process => Kinds::of(&[Kind::Pass, Kind::Process]),
            Order::Realtime => Kinds::of(&[Kind::Pass, Kind::Process, Kind::Realtime]),
        };
        let is_timed = order == Order::Realtime;
        let guessed = |kind: Kind| if is_timed { Kinds::of(&[kind]) } else { ordered };
        let writes = ordered.and(Kinds::of(&[Kind::Ww])).and(guessed(Kind::RealtimeWw));
        let flows = writes.and(Kinds::of(&[Kind::Wr]));
        let any = flows.and(Kinds::of(&[Kind::Rw])).and(guessed(Kind::RealtimeRw));
        let view = |kinds, doubled| View { graph: self.graph, kinds, doubled };
        let is_ww = |kind: Kind| matches!(kind, Kind::Ww | Kind::RealtimeWw);

        let mut found = self.cycles(&view(writes, false), &[], is_ww);
        self.tell(0, order, found, tell);
        found = self.cycles(&view(flows, false), &[], |kind| kind == Kind::Wr);
        self.tell(1, order, found, tell);

        let skewed = components(&view(any, true));
        found = self.skews(&view(any, true), &view(flows, false), &skewed);
        self.tell(2, order, found, tell);
        // What is worse has its name already.
        let worse: Vec<u32> = skewed.into_iter().flatten().map(|node| node / 2).collect();
        found = self.cycles(&view(any, false), &worse, Kind::is_rw);
        self.tell(3, order, found, tell);
    }

    /// Tells of cycles, if there were none of the kind without this order.
    fn tell(&mut self, kind: usize, order: Order, found: Vec<Vec<Link>>, tell: &mut impl FnMut(Cycle)) {
        if !self.has[kind] {
            self.has[kind] = !found.is_empty();
            found.into_iter().for_each(|links| tell(Cycle { order, links }));
        }
    }

    /// For each component of the view that holds none of `worse`, a short cycle through an edge that is `needed`.
    fn cycles(&self, view: &View<'_>, worse: &[u32], needed: impl Fn(Kind) -> bool) -> Vec<Vec<Link>> {
        let mut is_worse = vec![false; self.nodes.len()];
        worse.iter().for_each(|&node| is_worse[node as usize] = true);
        let mut found = Vec::new();
        for component in components(view) {
            if !component.iter().any(|&node| is_worse[node as usize]) {
                found.extend(self.shortest(view, &component, &needed));
            }
        }
        found
    }

    /// The same in the doubled graph: with one overwritten read if there is such a cycle.
    fn skews(&self, doubled: &View<'_>, flows: &View<'_>, skewed: &[Vec<u32>]) -> Vec<Vec<Link>> {
        let mut found = Vec::new();
        for component in skewed {
            let mut plain: Vec<u32> = component.iter().map(|node| node / 2).collect();
            plain.dedup();
            // The way back takes no such edge.
            let single = View { doubled: false, ..*doubled };
            let single = Search::of(flows, &plain).best(&seeds(&single, &plain, Kind::is_rw));
            let walk = single.or_else(|| self.raw(doubled, component, &Kind::is_rw));
            found.extend(walk.map(|walk| self.links(&walk)));
        }
        found
    }

    fn shortest(
        &self,
        view: &View<'_>,
        component: &[u32],
        needed: &impl Fn(Kind) -> bool,
    ) -> Option<Vec<Link>> {
        self.raw(view, component, needed).map(|walk| self.links(&walk))
    }

    fn raw(&self, view: &View<'_>, component: &[u32], needed: &impl Fn(Kind) -> bool) -> Option<Vec<Hop>> {
        Search::of(view, component).best(&seeds(view, component, needed))
    }

    /// The transactions of a closed walk.
    fn links(&self, walk: &[Hop]) -> Vec<Link> {
        let is_transaction = |hop: &&Hop| (self.nodes[hop.from as usize] as usize) < self.transactions;
        let link = |hop: &Hop| Link { from: self.nodes[hop.from as usize], kind: hop.kind, key: hop.key };
        let mut links: Vec<Link> = walk.iter().filter(is_transaction).map(link).collect();
        // A walk in the doubled graph may come by twice; then one of its halves is a cycle of the same kind.
        while let Some((first, second)) = repeated(&links) {
            let inner: Vec<Link> = links.drain(first..second).collect();
            let has_rw = |links: &[Link]| links.iter().any(|link| link.kind.is_rw());
            if !(has_rw(&links) && is_nonadjacent(&links)) {
                links = inner;
            }
        }
        let earliest = (0..links.len()).min_by_key(|&at| links[at].from).unwrap_or(0);
        links.rotate_left(earliest);
        links
    }
}

fn repeated(links: &[Link]) -> Option<(usize, usize)> {
    (0..links.len()).find_map(|first| {
        let second = (first + 1..links.len()).find(|&second| links[second].from == links[first].from)?;
        Some((first, second))
    })
}

/// Some edges of a graph; doubled, a node comes twice, and twice its number plus one is the node just after an edge `rw`.
#[derive(Clone, Copy)]
struct View<'g> {
    graph: &'g Graph,
    kinds: Kinds,
    doubled: bool,
}

impl View<'_> {
    fn plain(&self, node: u32) -> u32 {
        if self.doubled { node / 2 } else { node }
    }

    /// Where an edge out of `node` leads, if it is in the view.
    fn target(&self, node: u32, edge: Edge) -> Option<u32> {
        let kind = edge.kind();
        if !self.kinds.has(kind) {
            return None;
        }
        if !self.doubled {
            return Some(edge.to());
        }
        match (kind.is_rw(), node % 2) {
            (true, 1) => None,
            (true, _) => Some(2 * edge.to() + 1),
            (false, after) if kind == Kind::Pass => Some(2 * edge.to() + after),
            (false, _) => Some(2 * edge.to()),
        }
    }
}

impl Digraph for View<'_> {
    fn nodes(&self) -> u32 {
        self.graph.nodes() * if self.doubled { 2 } else { 1 }
    }

    fn next(&self, node: u32, cursor: &mut u32) -> Option<u32> {
        let edges = self.graph.out_of(self.plain(node));
        while let Some(&edge) = edges.get(*cursor as usize) {
            *cursor += 1;
            if let Some(target) = self.target(node, edge) {
                return Some(target);
            }
        }
        *cursor += 1;
        None
    }
}

/// An edge of a walk, by nodes of the component (not doubled).
#[derive(Debug, Clone, Copy)]
struct Hop {
    from: u32,
    kind: Kind,
    key: u32,
}

/// An edge that a cycle must have: its nodes in the view, and itself.
#[derive(Debug, Clone, Copy)]
struct Seed {
    from: u32,
    to: u32,
    hop: Hop,
}

fn seeds(view: &View<'_>, component: &[u32], needed: impl Fn(Kind) -> bool) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for &from in component {
        let plain = view.plain(from);
        for &edge in view.graph.out_of(plain) {
            let (kind, key) = (edge.kind(), edge.key);
            if let Some(to) = view.target(from, edge).filter(|_| needed(kind)) {
                seeds.push(Seed { from, to, hop: Hop { from: plain, kind, key } });
            }
        }
    }
    seeds
}

/// Looking for short ways stops after so many edges: a short cycle is for people, and the shortest of a huge component
/// takes time with its square.
const EDGES_MAX: usize = 4_000_000;

/// Breadth-first searches within one component.
struct Search<'v, 'g> {
    view: &'v View<'g>,
    is_member: Vec<bool>,
    /// For each node how it was reached, in which search.
    reached: Vec<(u32, Step)>,
    rounds: u32,
    edges: usize,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    before: u32,
    distance: u32,
    kind: Kind,
    key: u32,
}

impl<'v, 'g> Search<'v, 'g> {
    fn of(view: &'v View<'g>, component: &[u32]) -> Search<'v, 'g> {
        let mut is_member = vec![false; view.nodes() as usize];
        component.iter().for_each(|&node| is_member[node as usize] = true);
        let nowhere = Step { before: 0, distance: 0, kind: Kind::Pass, key: 0 };
        let reached = vec![(0, nowhere); view.nodes() as usize];
        Search { view, is_member, reached, rounds: 0, edges: 0 }
    }

    /// The shortest closed walk through one of `seeds`, or the shortest that was found before the search became too long.
    fn best(mut self, seeds: &[Seed]) -> Option<Vec<Hop>> {
        let (mut best, mut shortest) = (None, u32::MAX);
        for seed in seeds {
            if self.edges > EDGES_MAX || shortest == 2 {
                break;
            }
            if !self.is_member[seed.from as usize] || !self.is_member[seed.to as usize] {
                continue;
            }
            if let Some(distance) = self.way(seed.to, seed.from, shortest.saturating_sub(2)) {
                shortest = distance + 1;
                best = Some(self.walk(seed));
            }
        }
        best
    }

    /// The length of the shortest way, if it is no longer than `limit`.
    fn way(&mut self, from: u32, to: u32, limit: u32) -> Option<u32> {
        self.rounds += 1;
        let start = Step { before: from, distance: 0, kind: Kind::Pass, key: 0 };
        self.reached[from as usize] = (self.rounds, start);
        let mut queue = VecDeque::from([(from, 0)]);
        while let Some((node, distance)) = queue.pop_front() {
            if distance > self.reached[node as usize].1.distance {
                continue;
            }
            if node == to {
                return Some(distance);
            }
            for &edge in self.view.graph.out_of(self.view.plain(node)) {
                self.edges += 1;
                let Some(next) = self.view.target(node, edge).filter(|&next| self.is_member[next as usize])
                else {
                    continue;
                };
                let is_free = edge.kind() == Kind::Pass;
                let distance = distance + u32::from(!is_free);
                let (round, step) = self.reached[next as usize];
                if distance > limit || (round == self.rounds && step.distance <= distance) {
                    continue;
                }
                let step = Step { before: node, distance, kind: edge.kind(), key: edge.key };
                self.reached[next as usize] = (self.rounds, step);
                match is_free {
                    true => queue.push_front((next, distance)),
                    false => queue.push_back((next, distance)),
                }
            }
        }
        None
    }

    /// The walk that the last search found, closed by its seed.
    fn walk(&self, seed: &Seed) -> Vec<Hop> {
        let (mut walk, mut at) = (Vec::new(), seed.from);
        while at != seed.to {
            let step = self.reached[at as usize].1;
            walk.push(Hop { from: self.view.plain(step.before), kind: step.kind, key: step.key });
            at = step.before;
        }
        walk.push(seed.hop);
        walk.reverse();
        walk
    }
}
