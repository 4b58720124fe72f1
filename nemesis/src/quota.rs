//! A quota of processor time for one process and all that it has started, without any privilege: it stands still for the rest of each
//! period in which it has used up its share, as the kernel's own bandwidth control would have it.
//!
//! Unlike a pause, a process that wants little is not held up at all.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// In each of these it gets its share.
pub const PERIOD: Duration = Duration::from_millis(50);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_micros(500);

/// A quota in force, until it is dropped.
#[derive(Debug)]
pub struct Quota {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    group: Pid,
    clock: ClockId,
    is_over: AtomicBool,
    periods: AtomicU64,
    /// Periods in which it had to stand still.
    held: AtomicU64,
    /// Whether somebody else wants it to stand still, or to be left alone. Held while it is told to do either.
    suspended: Mutex<bool>,
}

/// What has come of a quota so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Periods that have passed.
    pub periods: u64,
    /// Those in which the process wanted more than its share, and stood still.
    pub held: u64,
}

impl Quota {
    /// The process that leads this group gets `share` of one processor from now on. `is_suspended` says whether it stands still for
    /// another reason.
    ///
    /// # Errors
    /// When its time cannot be told, or there can be no more threads.
    pub fn of(group: Pid, share: f64, is_suspended: bool) -> io::Result<Quota> {
        let clock = ClockId::pid_cpu_clock_id(group)?;
        let shared = Arc::new(Shared {
            group,
            clock,
            is_over: AtomicBool::new(false),
            periods: AtomicU64::new(0),
            held: AtomicU64::new(0),
            suspended: Mutex::new(is_suspended),
        });
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("quota".into())
            .spawn(move || of_thread.keep(PERIOD.mul_f64(share)))?;
        Ok(Quota { shared, thread: Some(thread) })
    }

    /// What has come of it.
    pub fn held(&self) -> Held {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Held { periods: read(&self.shared.periods), held: read(&self.shared.held) }
    }

    /// From now on the process is somebody else's to stop and to continue, and goes on for the moment; or it is this one's again.
    pub fn suspend(&self, is_suspended: bool) {
        let mut suspended = self.shared.suspended();
        if is_suspended && !*suspended {
            // What is gone needs no signal.
            let _ = killpg(self.shared.group, Signal::SIGCONT);
        }
        *suspended = is_suspended;
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It does not panic, and ends within a period.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn keep(&self, budget: Duration) {
        // Whoever has used too much in one period gets less in the next.
        let mut debt = Duration::ZERO;
        while !self.is_over.load(Ordering::Relaxed) {
            let (start, Some(before)) = (Instant::now(), self.used()) else {
                return;
            };
            let mut is_held = false;
            while start.elapsed() < PERIOD && !self.is_over.load(Ordering::Relaxed) {
                let used = self.used().map_or(Duration::ZERO, |used| used.saturating_sub(before));
                if !is_held && used + debt > budget {
                    is_held = self.tell(Signal::SIGSTOP);
                    self.held.fetch_add(u64::from(is_held), Ordering::Relaxed);
                }
                thread::sleep(LOOK);
            }
            let used = self.used().map_or(Duration::ZERO, |used| used.saturating_sub(before));
            debt = (used + debt).saturating_sub(budget);
            self.periods.fetch_add(1, Ordering::Relaxed);
            if is_held && debt < budget {
                self.tell(Signal::SIGCONT);
            }
        }
        self.tell(Signal::SIGCONT);
    }

    /// Processor time of the process so far; nothing once it is gone.
    fn used(&self) -> Option<Duration> {
        clock_gettime(self.clock).ok().map(Duration::from)
    }

    /// Sends a signal, unless the process is somebody else's at the moment.
    fn tell(&self, signal: Signal) -> bool {
        let suspended = self.suspended();
        // What is gone needs no signal.
        !*suspended && killpg(self.group, signal).is_ok()
    }

    fn suspended(&self) -> MutexGuard<'_, bool> {
        self.suspended.lock().expect("nobody panics with it")
    }
}
