//! What the nodes of a cluster write of elections, followed while it grows: who follows whom at the moment, and what has happened.

use std::time::{SystemTime, UNIX_EPOCH};

use rafture_nemesis::clock::monotonic_ns;
use rafture_nemesis::moments::Tail;
use rafture_workloads::systems::elections::{ElectionEvent, ElectionStep, EventTime};
use rafture_workloads::systems::{Layout, System};

use super::stage::Well;

/// What a wall clock's times are exact to in logs: they are cut off behind the millisecond.
const WALL_STEP_NS: u64 = 1_000_000;

/// Something that a node did in an election, on the machine's monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) node: usize,
    pub(super) at_ns: u64,
    /// It may have been so much later.
    pub(super) late_ns: u64,
    pub(super) term: u64,
    pub(super) step: ElectionStep,
}

/// The logs of all nodes.
pub(super) struct Elections {
    tails: Vec<Tail>,
    /// The last that each node did; nothing since it was started.
    last: Vec<Option<Seen>>,
    seen: Vec<Seen>,
}

impl Elections {
    /// Those of nodes that are not started yet.
    pub(super) fn of(system: &dyn System, layout: &Layout) -> Elections {
        let tail = |place| Tail::at_end(system.election_log(place), |_| {});
        let tails: Vec<Tail> = layout.nodes.iter().map(tail).collect();
        Elections { last: vec![None; tails.len()], tails, seen: Vec::new() }
    }

    /// Takes in what was written since the last look.
    pub(super) fn look(&mut self, system: &dyn System) {
        let Elections { tails, last, seen } = self;
        for (node, tail) in tails.iter_mut().enumerate() {
            // A file that cannot be read shows nothing, and then no cluster is ever well.
            let _ = tail.look(|line| {
                if let Some(event) = system.election_event(line) {
                    let event = place(node, event);
                    last[node] = Some(event);
                    seen.push(event);
                }
            });
        }
    }

    /// A node is down: what it did last is not what it is.
    pub(super) fn forget_node(&mut self, node: usize) {
        self.last[node] = None;
    }

    /// What has happened so far is of no more use.
    pub(super) fn forget_past(&mut self) {
        self.seen.clear();
    }

    /// What was seen since it was last forgotten, of each node in its order.
    pub(super) fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// Whether anybody has led since the past was forgotten.
    pub(super) fn has_led(&self) -> bool {
        self.seen.iter().any(|seen| seen.step == ElectionStep::Led)
    }

    /// When anybody last did anything, as far as it is known.
    pub(super) fn latest_ns(&self) -> u64 {
        self.last.iter().flatten().map(|seen| seen.at_ns + seen.late_ns).max().unwrap_or(0)
    }

    /// Who leads in the latest term that anybody leads in, by his own word.
    pub(super) fn newest_leader(&self) -> Option<usize> {
        let leads = self.last.iter().flatten().filter(|seen| seen.step == ElectionStep::Led);
        leads.max_by_key(|seen| seen.term).map(|seen| seen.node)
    }

    /// The leader whom all others follow, and its term, if there is one.
    pub(super) fn settled(&self) -> Option<Well> {
        let all: Option<Vec<Seen>> = self.last.iter().copied().collect();
        let all = all?;
        let leader = *all.iter().find(|seen| seen.step == ElectionStep::Led)?;
        let follows = |seen: &Seen| {
            seen.term == leader.term && (seen.node == leader.node || seen.step == ElectionStep::Followed)
        };
        all.iter().all(follows).then_some(Well { leader: leader.node, term: leader.term })
    }
}

fn place(node: usize, event: ElectionEvent) -> Seen {
    let ElectionEvent { time, term, step } = event;
    let (at_ns, late_ns) = match time {
        EventTime::Monotonic(at_ns) => (at_ns, 0),
        EventTime::Wall(wall_ns) => (monotonic_of(wall_ns), WALL_STEP_NS),
    };
    Seen { node, at_ns, late_ns, term, step }
}

/// The monotonic clock when the wall clock showed this. It is asked anew each time, as wall clocks are corrected now and then; lines are
/// read soon after they are written.
fn monotonic_of(wall_ns: u64) -> u64 {
    let wall_now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
    monotonic_ns().saturating_add(wall_ns).saturating_sub(wall_now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elections(last: &[Option<(u64, ElectionStep)>]) -> Elections {
        let seen = |(node, last): (usize, &Option<(u64, ElectionStep)>)| {
            last.map(|(term, step)| Seen { node, at_ns: 7, late_ns: 0, term, step })
        };
        Elections { tails: Vec::new(), last: last.iter().enumerate().map(seen).collect(), seen: Vec::new() }
    }

    #[test]
    fn a_cluster_is_settled_when_all_follow_one_leader_in_one_term() {
        use ElectionStep::{Asked, Followed, Led, Stood, Waited};
        let well = elections(&[Some((2, Followed)), Some((2, Led)), Some((2, Followed))]);
        assert_eq!(well.settled(), Some(Well { leader: 1, term: 2 }));
        for not in [
            [Some((1, Followed)), Some((2, Led)), Some((2, Followed))],
            [Some((2, Asked)), Some((2, Led)), Some((2, Followed))],
            [Some((2, Followed)), Some((2, Stood)), Some((2, Followed))],
            [Some((2, Followed)), Some((2, Led)), Some((2, Waited))],
            [Some((1, Led)), Some((2, Led)), Some((2, Followed))],
            [Some((2, Followed)), Some((2, Led)), None],
        ] {
            assert_eq!(elections(&not).settled(), None, "{not:?}");
        }
    }

    #[test]
    fn wall_clock_times_come_near_the_monotonic_clock() {
        let wall_now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
        let before = monotonic_ns();
        let placed = monotonic_of(wall_now - 5_000_000);
        assert!(placed.abs_diff(before - 5_000_000) < 2_000_000, "{placed} {before}");
    }
}
