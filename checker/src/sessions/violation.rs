//! What was found against a promise, before it is put into words; and the shortest circle of what must come before what.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::facts::Facts;
use super::order::{Demand, Fan, Reason};

/// A violation; transactions by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Violation {
    /// `reader` read what was there at first, though it could see that `seen` had written the key.
    Forgotten { seen: u32, reader: u32 },
    /// `reader` read a version that is older than what its session had read (or written, if `is_own`) in `earlier`.
    Older { reader: u32, earlier: u32, is_own: bool },
    /// Each must come before the next, and the last before the first.
    Circle(Vec<Link>),
}

/// That one transaction must come before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) why: Why,
}

/// Why it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// One process did both, in this order.
    Session,
    /// It wrote what the other read.
    Read,
    Demand(Reason),
}

/// Transactions that the searches for circles may visit together.
const VISITS_MAX: usize = 20_000_000;

/// A short circle among the transactions without a place; there is one.
pub(super) fn circle(facts: &Facts<'_>, demands: &[Demand], has_place: &[bool]) -> Vec<Link> {
    let forward = Fan::forward(facts, demands);
    let is_left = |at: u32| !has_place[at as usize];
    let mut search = PathSearch { facts, forward: &forward, is_left: &is_left, visits: 0 };
    let demanded = demands.iter().map(|demand| (demand.from, demand.to));
    let all = 0..facts.len() as u32;
    let read = all.flat_map(|reader| facts.sources(reader).map(move |writer| (writer, reader)));
    let mut shortest: Option<Vec<u32>> = None;
    for (from, to) in demanded.chain(read).filter(|&(from, to)| is_left(from) && is_left(to)) {
        let bound = shortest.as_ref().map_or(usize::MAX, Vec::len);
        if search.visits > VISITS_MAX && shortest.is_some() || bound <= 2 {
            break;
        }
        if let Some(path) = search.path(to, &|at| at == from)
            && path.len() < bound
        {
            shortest = Some(path);
        }
    }
    let path = shortest.expect("those without a place are in a circle or behind one");
    let pairs = path.iter().zip(path.iter().skip(1).chain(path.first()));
    pairs.map(|(&from, &to)| link(facts, demands, from, to)).collect()
}

/// The way by which `to` comes behind `from`, through sessions and reads, in few steps; `from` and `to` are in it.
pub(super) fn path(facts: &Facts<'_>, from: u32, to: u32) -> Option<Vec<u32>> {
    let forward = Fan::forward(facts, &[]);
    PathSearch { facts, forward: &forward, is_left: &|_| true, visits: 0 }.path(from, &|at| at == to)
}

/// The shortest such way to one of several.
pub(super) fn path_to(facts: &Facts<'_>, from: u32, is_end: &dyn Fn(u32) -> bool) -> Option<Vec<u32>> {
    let forward = Fan::forward(facts, &[]);
    PathSearch { facts, forward: &forward, is_left: &|_| true, visits: 0 }.path(from, is_end)
}

/// How the first comes before the second, if it does so by itself.
pub(super) fn plain_link(facts: &Facts<'_>, from: u32, to: u32) -> Option<Link> {
    if facts.sources(to).any(|source| source == from) {
        return Some(Link { from, to, why: Why::Read });
    }
    let is_same = facts.session_of[from as usize] == facts.session_of[to as usize] && from < to;
    is_same.then_some(Link { from, to, why: Why::Session })
}

fn link(facts: &Facts<'_>, demands: &[Demand], from: u32, to: u32) -> Link {
    plain_link(facts, from, to).unwrap_or_else(|| {
        let demand = demands.iter().find(|demand| (demand.from, demand.to) == (from, to));
        let reason = demand.expect("nothing else goes from one to the other").reason;
        Link { from, to, why: Why::Demand(reason) }
    })
}

struct PathSearch<'s, 'f, 'h> {
    facts: &'f Facts<'h>,
    forward: &'s Fan,
    is_left: &'s dyn Fn(u32) -> bool,
    visits: usize,
}

impl PathSearch<'_, '_, '_> {
    /// Ways that go on within a session count as one step however long they are, and show as one.
    fn path(&mut self, from: u32, is_end: &dyn Fn(u32) -> bool) -> Option<Vec<u32>> {
        // What was reached from where. Behind the first of a session that was reached, all of it is reached in one more step.
        let mut reached_from: HashMap<u32, u32> = HashMap::from([(from, from)]);
        let mut waiting = VecDeque::from([from]);
        while let Some(at) = waiting.pop_front() {
            self.visits += 1;
            if is_end(at) {
                return Some(way(&reached_from, from, at));
            }
            let mut enter = |next: u32, waiting: &mut VecDeque<u32>| {
                if (self.is_left)(next) && !reached_from.contains_key(&next) {
                    reached_from.insert(next, at);
                    waiting.push_back(next);
                }
            };
            for &next in self.forward.behind(at) {
                enter(next, &mut waiting);
            }
            let mut next = self.facts.after(at);
            while let Some(later) = next.filter(|later| !reached_from.contains_key(later)) {
                self.visits += 1;
                if !(self.is_left)(later) {
                    break;
                }
                reached_from.insert(later, at);
                waiting.push_back(later);
                next = self.facts.after(later);
            }
        }
        None
    }
}

fn way(reached_from: &HashMap<u32, u32>, from: u32, to: u32) -> Vec<u32> {
    let mut way = vec![to];
    let mut at = to;
    while at != from {
        at = reached_from[&at];
        way.push(at);
    }
    way.reverse();
    way
}
