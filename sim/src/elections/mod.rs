//! Elections by the hundred thousand: the same core as in the node, on virtual time, from the failure of a leader to the first write
//! that its successor commits; and time in which nothing fails, to see who loses its place all the same.
//!
//! In reading order: this file is what is asked and answered; `settled` is a cluster under a leader, from which every trial goes
//! on; `world` lets things happen; `link` is what becomes of a message; `stalls` are processes that
//! stand still by chance; `closed_form` is what the dissertation computes.

pub mod closed_form;
mod link;
mod settled;
mod stalls;
mod world;

use rafture_node::raft::NodeId;

pub use link::{Delay, LinkSpec};
pub use settled::{Arena, Settled};
pub use stalls::{Stalls, stalls};

/// A cluster and its surroundings.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// The range that each member draws its election timeouts from, in nanoseconds.
    pub timeouts_ns: Vec<(u64, u64)>,
    /// Time between heartbeats, in nanoseconds.
    pub heartbeat_ns: u64,
    /// Whether members ask who would vote for them before they stand.
    pub pre_vote: bool,
    /// What lies between each member (row) and each other (column).
    pub links: Vec<Vec<LinkSpec>>,
    /// Lost packets are sent again, as TCP does; otherwise they are gone.
    pub repeats: bool,
    /// What a sync of a disk takes.
    pub sync: Delay,
    /// What a new leader does before it first speaks. An implementation that stores an entry before it sends it, as LogCabin
    /// does, stores its first one here; the core of this project sends at once.
    pub before_first: Delay,
    /// How fast each member's clock is: a million is right.
    pub rates_ppm: Vec<u64>,
    /// So many members, the last ones, are down all the time.
    pub down: usize,
    /// So many members, the last ones that are up, have logs that are too short to lead, each shorter than the one before.
    pub short_logs: usize,
}

/// What befalls a leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Its process is gone.
    Kill,
    /// Its process stands still.
    Pause,
    /// It is cut off from the others, both ways.
    CutOff,
    /// Its links take so many nanoseconds longer, both ways.
    Slow(u64),
}

/// What followed the failure of a leader; times are nanoseconds since then, `None` where patience ended before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trial {
    /// The first member gave the leader up.
    pub detected_ns: Option<u64>,
    /// Another member first heard the next leader.
    pub heard_ns: Option<u64>,
    /// The next leader first committed an entry.
    pub wrote_ns: Option<u64>,
    /// Terms that somebody stood for.
    pub stood: u32,
    /// Those of them that nobody won.
    pub split: u32,
}

/// What happened while nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quiet {
    /// How long, in nanoseconds of virtual time.
    pub lasted_ns: u64,
    /// Terms that somebody stood for.
    pub elections: u64,
    /// Times that a member gave its leader up, whether or not the others followed it.
    pub suspicions: u64,
}

impl Setup {
    /// A cluster whose members and links are all alike, with true clocks, disks that take no time, and logs of one length.
    pub fn uniform(members: usize, timeout_ns: (u64, u64), heartbeat_ns: u64, link: LinkSpec) -> Setup {
        Setup {
            timeouts_ns: vec![timeout_ns; members],
            heartbeat_ns,
            pre_vote: true,
            links: vec![vec![link; members]; members],
            repeats: true,
            sync: Delay::default(),
            before_first: Delay::default(),
            rates_ppm: vec![1_000_000; members],
            down: 0,
            short_logs: 0,
        }
    }

    /// Members.
    pub fn members(&self) -> usize {
        self.timeouts_ns.len()
    }

    /// A round trip between two members, on average, in nanoseconds.
    fn round_trip(&self, from: usize, to: usize) -> u64 {
        self.links[from][to].delay.mean_ns() + self.links[to][from].delay.mean_ns()
    }

    /// The longest way between two members, on average, in nanoseconds.
    fn longest_way(&self) -> u64 {
        let live = 0..self.members() - self.down;
        let ways = live.clone().flat_map(|from| live.clone().map(move |to| (from, to)));
        ways.filter(|(from, to)| from != to)
            .map(|(from, to)| self.links[from][to].delay.mean_ns())
            .max()
            .unwrap_or(0)
    }

    /// Nobody waits longer for an election: so many timeouts, and many more where ranges are so narrow that votes are split again and again.
    fn patience_ns(&self) -> u64 {
        let is_narrow = self.timeouts_ns.iter().all(|(low, high)| high - low < low / 10);
        let timeouts = if is_narrow { 4000 } else { 20 };
        timeouts * self.longest_timeout() + 5_000_000_000
    }

    fn longest_timeout(&self) -> u64 {
        self.timeouts_ns.iter().map(|(_, high)| *high).max().unwrap_or(0)
    }

    fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (1..=self.members() as u32).map(NodeId)
    }
}
