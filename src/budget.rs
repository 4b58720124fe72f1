//! What the check of one file may spend: time, and memory. Both are held whatever the check is busy with.
//!
//! The one idea: the work has a thread of its own, while this one looks at the clock and at what the process really holds. Work that
//! asks [`Budget::is_spent`] ends by itself and says how far it got, though not of what there was too little: [`Budget::put_right`]. Not
//! every algorithm has a place to stop at, so work that does not end soon after is left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// How often the clock and the memory are looked at.
const EVERY: Duration = Duration::from_millis(20);

/// How long work that asks may take to end: searches ask every few thousand steps, and then say how far they got.
const GRACE: Duration = Duration::from_millis(700);

/// What is held beside what is counted, and by how much the counting may be wrong.
const SLACK_BYTES: usize = 32 << 20;

/// As much as a process has for its first thread.
const STACK_BYTES: usize = 8 << 20;

/// What may be spent, and what is known of the spending.
#[derive(Debug)]
pub struct Budget {
    start: Instant,
    time: Duration,
    /// The process itself may hold so much: what it held at the start, the budget, and some text on its way.
    held_max: usize,
    slack: usize,
    /// Whether it holds more.
    is_too_much: AtomicBool,
    /// How many operations were read, and whether that is all.
    operations: AtomicUsize,
    is_read: AtomicBool,
}

/// Work that was left behind.
pub struct Left {
    /// What was exceeded, how far the work had come, and what would help.
    pub reason: String,
    /// How many operations had been read.
    pub operations: usize,
    /// Where it still runs.
    pub thread: JoinHandle<()>,
}

impl Budget {
    /// From now on.
    pub fn new(time: Duration, memory_bytes: usize) -> Budget {
        Budget::with_slack(time, memory_bytes, SLACK_BYTES.max(memory_bytes / 16))
    }

    fn with_slack(time: Duration, memory_bytes: usize, slack: usize) -> Budget {
        Budget {
            start: Instant::now(),
            time,
            held_max: held_bytes().saturating_add(memory_bytes).saturating_add(slack),
            slack,
            is_too_much: AtomicBool::new(false),
            operations: AtomicUsize::new(0),
            is_read: AtomicBool::new(false),
        }
    }

    /// Since the start.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Whether to end.
    pub fn is_spent(&self) -> bool {
        self.elapsed() > self.time || self.is_too_much.load(Ordering::Relaxed)
    }

    /// So many operations were read so far.
    pub fn note_reading(&self, operations: usize) {
        self.operations.store(operations, Ordering::Relaxed);
    }

    /// All of the file was read, and it has so many operations.
    pub fn note_read(&self, operations: usize) {
        self.note_reading(operations);
        self.is_read.store(true, Ordering::Relaxed);
    }

    /// What work that asked says of why it ended: it takes every end for that of its time.
    pub fn put_right(&self, reason: &str) -> String {
        match self.is_too_much.load(Ordering::Relaxed) {
            true => reason.replace("time limit", "memory limit").replace("--time-limit", "--memory-limit"),
            false => reason.to_owned(),
        }
    }

    /// Does the work within the budget.
    ///
    /// # Errors
    /// When it did not end in time, or came to hold too much.
    pub fn spend<T: Send + 'static>(
        self: &Arc<Budget>,
        work: impl FnOnce(&Budget) -> T + Send + 'static,
    ) -> Result<T, Left> {
        let (sender, done) = sync_channel(1);
        let budget = Arc::clone(self);
        let thread = Builder::new().stack_size(STACK_BYTES).spawn(move || {
            // Nobody may be listening any more.
            let _ = sender.send(work(&budget));
        });
        let thread = thread.expect("the system gives a thread");
        let mut grace = None;
        loop {
            match done.recv_timeout(EVERY) {
                Ok(result) => return Ok(result),
                Err(RecvTimeoutError::Disconnected) => match thread.join() {
                    Err(panic) => std::panic::resume_unwind(panic),
                    Ok(()) => unreachable!("it sends before it ends"),
                },
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.elapsed() > self.time + GRACE {
                return Err(self.left("time", thread));
            }
            let held = held_bytes();
            if held > self.held_max {
                self.is_too_much.store(true, Ordering::Relaxed);
                let since = *grace.get_or_insert_with(Instant::now);
                if since.elapsed() > GRACE || held > self.held_max.saturating_add(self.slack / 2) {
                    return Err(self.left("memory", thread));
                }
            }
        }
    }

    fn left(&self, what: &str, thread: JoinHandle<()>) -> Left {
        let hint = format!("(hint: a higher `--{what}-limit`, or a part: `rafture history cut`)");
        let operations = self.operations.load(Ordering::Relaxed);
        let reached = match self.is_read.load(Ordering::Relaxed) {
            true => {
                format!("; all {operations} operations had been read, and the check of them had not ended")
            }
            false => format!(" while reading; {operations} operations had been read"),
        };
        Left { reason: format!("the {what} limit was reached{reached} {hint}"), operations, thread }
    }
}

/// What the process holds in memory; 0 where the system does not tell.
fn held_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kilobytes.unwrap_or(0) << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(time_ms: u64, memory_bytes: usize, work: impl FnOnce(&Budget) -> u8 + Send + 'static) -> String {
        let budget = Arc::new(Budget::new(Duration::from_millis(time_ms), memory_bytes));
        budget.spend(work).map_or_else(|left| left.reason, |result| result.to_string())
    }

    #[test]
    fn work_within_the_budget_gives_its_result() {
        assert_eq!(spent(60_000, 1 << 30, |_| 7), "7");
    }

    #[test]
    fn work_that_asks_ends_by_itself() {
        let asking = |budget: &Budget| {
            while !budget.is_spent() {
                std::thread::sleep(Duration::from_millis(1));
            }
            8
        };
        assert_eq!(spent(30, 1 << 30, asking), "8");
    }

    #[test]
    fn work_that_does_not_ask_is_left() {
        let (keep, kept) = sync_channel::<()>(0);
        let deaf = move |budget: &Budget| {
            budget.note_read(3);
            kept.recv().map_or(9, |()| 8)
        };
        let reason = spent(30, 1 << 30, deaf);
        assert!(reason.starts_with("the time limit was reached; all 3 operations had been read"), "{reason}");
        drop(keep);
    }

    /// One after the other, for it is the whole process that holds; and with room for what other tests do meanwhile.
    #[test]
    fn work_that_holds_too_much_is_told_and_then_left() {
        let budget = || Arc::new(Budget::with_slack(Duration::from_secs(60), 200 << 20, 128 << 20));
        let asking = |budget: &Budget| {
            let held = vec![1u8; 360 << 20];
            while !budget.is_spent() {
                std::thread::sleep(Duration::from_millis(1));
            }
            held[5]
        };
        let asked = budget();
        assert_eq!(asked.spend(asking).ok(), Some(1));
        let reason = asked.put_right("the time limit was reached (hint: a higher `--time-limit`)");
        assert_eq!(reason, "the memory limit was reached (hint: a higher `--memory-limit`)");

        let (keep, kept) = sync_channel::<()>(0);
        let deaf = move |budget: &Budget| {
            budget.note_reading(4);
            let held = vec![1u8; 500 << 20];
            kept.recv().map_or(held[5], |()| 8)
        };
        let reason = budget().spend(deaf).map_or_else(|left| left.reason, |result| result.to_string());
        let expected = "the memory limit was reached while reading; 4 operations had been read";
        assert!(reason.starts_with(expected), "{reason}");
        drop(keep);
    }
}
