//! The time axis of a run: nanoseconds of the machine's monotonic clock since the run began. Nodes trace the same clock, so
//! what they did can be set beside what was done to them.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// When a run began. Copies are the same clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunClock {
    start_ns: u64,
}

impl RunClock {
    /// A run that begins now.
    pub fn start() -> RunClock {
        RunClock { start_ns: monotonic_ns() }
    }

    /// Nanoseconds since the run began.
    pub fn now(&self) -> u64 {
        monotonic_ns().saturating_sub(self.start_ns)
    }

    /// When it began, by the machine's monotonic clock.
    pub fn start_ns(&self) -> u64 {
        self.start_ns
    }
}

/// Nanoseconds of the machine's monotonic clock.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has a monotonic clock");
    Duration::from(now).as_nanos() as u64
}
