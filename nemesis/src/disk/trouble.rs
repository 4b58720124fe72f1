//! What a disk does wrong while a fault is in force, and how often programs have met it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::fault::{DiskFault, Strength};

/// What a disk does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trouble {
    /// Every sync takes so much longer, and up to half as much again.
    pub slow_sync: Duration,
    /// Every write takes so much longer.
    pub slow_write: Duration,
    /// Syncs fail (EIO).
    pub sync_errors: Errors,
    /// Writes fail (EIO).
    pub write_errors: Errors,
    /// There is no room (ENOSPC).
    pub full: Full,
}

/// How often something fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Errors {
    /// Never.
    #[default]
    None,
    /// The next time, and then no more.
    Once,
    /// From now on.
    Always,
}

/// What there is no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Full {
    /// There is room for all.
    #[default]
    No,
    /// Whatever makes a file, or makes one longer.
    More,
    /// Any write, as on a file system that never writes in place.
    Any,
}

/// How often programs have met a trouble.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) slowed: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) refused: AtomicU64,
}

impl Trouble {
    /// As bad as was asked for, or as the dice say. Those that lose what was not synced are no lasting trouble.
    pub(crate) fn draw(kind: DiskFault, strength: Option<Strength>, random: &mut ChaCha8Rng) -> Trouble {
        let none = Trouble::default();
        match kind {
            DiskFault::PowerLoss | DiskFault::TornWrite => none,
            DiskFault::SlowDisk => {
                // Evenly on a scale of orders of magnitude: 3 to 300 ms a sync.
                let drawn = (3_000.0 * 10f64.powf(random.random_range(0.0..2.0))) as u64;
                let slow_sync = Duration::from_micros(match strength {
                    Some(Strength::Micros(micros)) => micros,
                    _ => drawn,
                });
                let slow_write = if random.random_bool(0.5) { slow_sync / 20 } else { Duration::ZERO };
                Trouble { slow_sync, slow_write, ..none }
            }
            DiskFault::IoError => {
                let errors = if random.random_bool(0.5) { Errors::Once } else { Errors::Always };
                // Syncs more often: their errors are the ones that programs handle wrong.
                match random.random_bool(0.7) {
                    true => Trouble { sync_errors: errors, ..none },
                    false => Trouble { write_errors: errors, ..none },
                }
            }
            DiskFault::DiskFull => {
                Trouble { full: if random.random_bool(0.5) { Full::More } else { Full::Any }, ..none }
            }
        }
    }

    /// The worse of both in each respect.
    pub(crate) fn and(self, other: Trouble) -> Trouble {
        Trouble {
            slow_sync: self.slow_sync.max(other.slow_sync),
            slow_write: self.slow_write.max(other.slow_write),
            sync_errors: self.sync_errors.max(other.sync_errors),
            write_errors: self.write_errors.max(other.write_errors),
            full: self.full.max(other.full),
        }
    }

    /// Whether a program may rightly end when it meets it.
    pub(crate) fn may_end_programs(self) -> bool {
        self.sync_errors > Errors::None || self.write_errors > Errors::None || self.full > Full::No
    }
}

impl Counts {
    pub(super) fn add(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if !self.slow_sync.is_zero() {
            words.push(format!("syncs take {:.1} ms more", 1e3 * self.slow_sync.as_secs_f64()));
        }
        if !self.slow_write.is_zero() {
            words.push(format!("writes take {:.2} ms more", 1e3 * self.slow_write.as_secs_f64()));
        }
        for (what, errors) in [("sync", self.sync_errors), ("write", self.write_errors)] {
            match errors {
                Errors::None => {}
                Errors::Once => words.push(format!("the next {what} fails")),
                Errors::Always => words.push(format!("every {what} fails")),
            }
        }
        match self.full {
            Full::No => {}
            Full::More => words.push("no room for new or longer files".into()),
            Full::Any => words.push("no room for any write".into()),
        }
        f.pad(&words.join(", "))
    }
}
