//! A node's clocks: a monotonic one that may run fast or slow, and one for people that may say anything.

use rafture_node::raft::Time;
use rafture_node::replica::Clock;

/// True time and rates are counted against this.
const MILLION: u128 = 1_000_000;

/// What a node takes for time. True time is nanoseconds since the start of the simulation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeClock {
    /// At this true time …
    since: u64,
    /// … the monotonic clock stood here …
    local: u64,
    /// … and goes on at so many millionths of a second per microsecond of true time.
    rate_ppm: u32,
    /// What the wall clock is ahead of the monotonic one, in milliseconds.
    wall_ahead_ms: u64,
}

impl NodeClock {
    pub(crate) fn new(local: u64, rate_ppm: u32, wall_ahead_ms: u64) -> NodeClock {
        NodeClock { since: 0, local, rate_ppm, wall_ahead_ms }
    }

    /// What the node reads at this true time.
    pub(crate) fn read(&self, now: u64) -> Clock {
        let gone = u128::from(now - self.since) * u128::from(self.rate_ppm) / MILLION;
        let local = self.local + gone as u64;
        Clock { now: Time(local), wall_ms: local / 1_000_000 + self.wall_ahead_ms }
    }

    /// The true time at which the monotonic clock will stand at `local`, or has.
    pub(crate) fn when(&self, local: Time) -> u64 {
        let left = u128::from(local.0.saturating_sub(self.local)) * MILLION;
        self.since + left.div_ceil(u128::from(self.rate_ppm)) as u64
    }

    /// From `now` on it runs at another rate, and people are told another time. The monotonic clock never turns back.
    pub(crate) fn change(&mut self, now: u64, rate_ppm: u32, wall_ahead_ms: u64) {
        self.local = self.read(now).now.0;
        (self.since, self.rate_ppm, self.wall_ahead_ms) = (now, rate_ppm, wall_ahead_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_reached_when_it_says_and_not_before() {
        let mut clock = NodeClock::new(500, 900_000, 7);
        for (now, rate) in [(1_000, 1_100_000), (5_000, 500_000), (9_000, 2_000_000)] {
            for ahead in [1, 17, 1_000_000] {
                let deadline = Time(clock.read(now).now.0 + ahead);
                let when = clock.when(deadline);
                assert!(clock.read(when).now >= deadline && clock.read(when - 1).now < deadline);
            }
            let before = clock.read(now).now;
            clock.change(now, rate, 3);
            assert_eq!(clock.read(now).now, before);
        }
    }
}
