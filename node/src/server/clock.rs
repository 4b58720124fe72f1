//! What time it is, for the parts that are told.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::raft::Time;
use crate::replica::Clock;

/// Nanoseconds of the machine's monotonic clock.
pub(super) fn now() -> Time {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    Time(Duration::from(time.expect("every Linux has a monotonic clock")).as_nanos() as u64)
}

/// What time it is, also for people.
pub(super) fn clock() -> Clock {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock before 1970 is as good as one that stands there.
    Clock { now: now(), wall_ms: wall.map_or(0, |wall| wall.as_millis() as u64) }
}
