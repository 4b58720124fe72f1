//! Whether the machine keeps up: a thread that only sleeps, and how much too late it wakes.
//!
//! What disturbs it disturbs clients and nodes as well, whatever the cause (other runs, other programs, a host that gives its cores to
//! somebody else), so a run's figures of recovery are worth as much as this is little.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rafture_reports::results::Lateness;

/// How long it sleeps at a time.
const REST: Duration = Duration::from_millis(5);
/// More than that is counted as that, in steps of 10 µs.
const LATENESS_MAX: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_micros(10);

/// The sleeper.
pub(crate) struct Pulse {
    stop: Arc<AtomicBool>,
    sleeper: JoinHandle<Option<Lateness>>,
}

impl Pulse {
    /// Starts it.
    pub(crate) fn start() -> io::Result<Pulse> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let sleeper = thread::Builder::new().name("pulse".into()).spawn(move || sleep(&stopped))?;
        Ok(Pulse { stop, sleeper })
    }

    /// Ends it. Nothing, if it never slept.
    pub(crate) fn stop(self) -> Option<Lateness> {
        self.stop.store(true, Ordering::Relaxed);
        self.sleeper.join().ok().flatten()
    }
}

fn sleep(stop: &AtomicBool) -> Option<Lateness> {
    let mut counts = vec![0_u64; (LATENESS_MAX.as_nanos() / STEP.as_nanos()) as usize + 1];
    let mut latest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        thread::sleep(REST);
        let late = began.elapsed().saturating_sub(REST);
        counts[(late.min(LATENESS_MAX).as_nanos() / STEP.as_nanos()) as usize] += 1;
        latest = latest.max(late);
    }
    let all: u64 = counts.iter().sum();
    let mut passed = 0;
    let p99 = counts.iter().position(|count| {
        passed += count;
        passed * 100 >= all * 99
    });
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let p99 = p99.filter(|_| all > 0)?;
    Some(Lateness { p99_ms: milliseconds(STEP * p99 as u32), max_ms: milliseconds(latest) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_late_by_something_and_by_no_more_than_its_latest() {
        let pulse = Pulse::start().expect("a thread");
        thread::sleep(REST * 20);
        let lateness = pulse.stop().expect("it slept");
        assert!(lateness.max_ms > 0.0 && lateness.p99_ms <= lateness.max_ms, "{lateness:?}");
    }
}
