//! What a disk does wrong while a fault is in force, and how often programs have met it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::fault::{DiskFault, Shape, Strength};

/// What a disk does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trouble {
    /// Every sync takes so much longer.
    pub slow_sync: Duration,
    /// Every sync takes longer by chance: by so much on average, with an exponential distribution.
    pub uneven_sync: Duration,
    /// Every write takes so much longer.
    pub slow_write: Duration,
    /// Now and then a sync hangs for so long; the next one does.
    pub stall: Duration,
    /// Of so many syncs, one hangs on average.
    pub stall_in: u32,
    /// Syncs fail (EIO).
    pub sync_errors: Errors,
    /// Writes fail (EIO).
    pub write_errors: Errors,
    /// Reads fail (EIO), of what the kernel does not remember: all caches are dropped when it begins.
    pub read_errors: Errors,
    /// There is no room (ENOSPC).
    pub full: Full,
    /// So many bits of what is in files read flipped.
    pub flips: u32,
    /// Writes are answered, and never reach the file. Its length is as it should be.
    pub lost_writes: Errors,
    /// Writes are answered, and come to another place of the same file, whole sectors away.
    pub misdirected_writes: Errors,
}

/// How often something fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Errors {
    /// Never.
    #[default]
    None,
    /// The next so many times, and then no more.
    Next(u32),
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
    pub(super) stalled: AtomicU64,
    /// Of those, how many are still waiting.
    pub(super) hanging: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) misdirected: AtomicU64,
    pub(super) lied: AtomicU64,
}

/// What goes wrong, and how much of what is to happen a few times is still to come.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    asked: Trouble,
    left: Trouble,
}

impl Troubles {
    /// From now on this is asked for. What has happened as often as it should does not come again because something else
    /// changes.
    pub(super) fn ask(&mut self, trouble: Trouble) {
        let (mut asked, mut left) = (self.asked, self.left);
        self.left = trouble;
        for which in ERRORS {
            let renewed = which(&mut self.left);
            *renewed = renewed.renew(*which(&mut asked), *which(&mut left));
        }
        self.asked = trouble;
    }

    /// What was asked for, whether or not it is over.
    pub(super) fn asked(&self) -> Trouble {
        self.asked
    }

    /// What goes wrong with the next call.
    pub(super) fn left(&self) -> Trouble {
        self.left
    }

    /// Takes one time of it; tells whether there was any left.
    pub(super) fn take(&mut self, which: Which) -> bool {
        let left = which(&mut self.left);
        match *left {
            Errors::None => return false,
            Errors::Next(times) => *left = Errors::times(times - 1),
            Errors::Always => {}
        }
        true
    }
}

/// One of the things of a trouble that happen so and so often.
pub(super) type Which = fn(&mut Trouble) -> &mut Errors;

pub(super) const SYNC_ERRORS: Which = |trouble| &mut trouble.sync_errors;
pub(super) const WRITE_ERRORS: Which = |trouble| &mut trouble.write_errors;
pub(super) const READ_ERRORS: Which = |trouble| &mut trouble.read_errors;
pub(super) const LOST_WRITES: Which = |trouble| &mut trouble.lost_writes;
pub(super) const MISDIRECTED_WRITES: Which = |trouble| &mut trouble.misdirected_writes;
pub(super) const ERRORS: [Which; 5] =
    [SYNC_ERRORS, WRITE_ERRORS, READ_ERRORS, LOST_WRITES, MISDIRECTED_WRITES];

impl Errors {
    /// The next time only.
    pub const ONCE: Errors = Errors::Next(1);

    fn times(times: u32) -> Errors {
        if times == 0 { Errors::None } else { Errors::Next(times) }
    }

    /// What is left of it, when `left` was left of what was `asked` before.
    fn renew(self, asked: Errors, left: Errors) -> Errors {
        let count = |errors| match errors {
            Errors::None => Some(0),
            Errors::Next(times) => Some(times),
            Errors::Always => None,
        };
        match (count(self), count(asked), count(left)) {
            (Some(now), Some(before), Some(left)) => {
                Errors::times((left + now.saturating_sub(before)).min(now))
            }
            _ => self,
        }
    }

    /// Both together.
    fn and(self, other: Errors) -> Errors {
        match (self, other) {
            (Errors::Next(one), Errors::Next(other)) => Errors::Next(one + other),
            _ => self.max(other),
        }
    }
}

impl Trouble {
    /// As bad as was asked for, or as the dice say. Those that lose or replace what is there are no lasting trouble.
    pub(crate) fn draw(
        kind: DiskFault,
        shape: Option<Shape>,
        strength: Option<Strength>,
        random: &mut ChaCha8Rng,
    ) -> Trouble {
        let none = Trouble::default();
        let asked = strength.and_then(|strength| match strength {
            Strength::Micros(micros) => Some(micros),
            Strength::Millionths(_) | Strength::Bytes(_) => None,
        });
        match kind {
            DiskFault::PowerLoss | DiskFault::TornWrite | DiskFault::Rollback | DiskFault::Amnesia => none,
            DiskFault::SlowDisk => {
                // Evenly on a scale of orders of magnitude: one sync in a few dozen takes 0.3 to 3 s, or each takes 3 to 300 ms.
                let hangs = shape == Some(Shape::Stall) || asked.is_none() && random.random_bool(0.3);
                let (least, orders) = if hangs { (300_000.0, 1.0) } else { (3_000.0, 2.0) };
                let drawn = (least * 10f64.powf(random.random_range(0.0..orders))) as u64;
                let by = Duration::from_micros(asked.unwrap_or(drawn));
                if hangs {
                    return Trouble { stall: by, stall_in: random.random_range(20..=200), ..none };
                }
                let slow_write = if random.random_bool(0.5) { by / 20 } else { Duration::ZERO };
                Trouble { slow_sync: by, uneven_sync: by / 4, slow_write, ..none }
            }
            DiskFault::IoError => {
                let errors = once_or_always(random);
                // Syncs more often: their errors are the ones that programs handle wrong.
                let drawn = match random.random_range(0..10) {
                    0..6 => Shape::Sync,
                    6..8 => Shape::Write,
                    _ => Shape::Read,
                };
                match shape.unwrap_or(drawn) {
                    Shape::Read => Trouble { read_errors: errors, ..none },
                    Shape::Write => Trouble { write_errors: errors, ..none },
                    _ => Trouble { sync_errors: errors, ..none },
                }
            }
            DiskFault::DiskFull => {
                Trouble { full: if random.random_bool(0.5) { Full::More } else { Full::Any }, ..none }
            }
            DiskFault::BitFlip => Trouble { flips: 1, ..none },
            DiskFault::LostWrite => Trouble { lost_writes: once_or_always(random), ..none },
            DiskFault::MisdirectedWrite => Trouble { misdirected_writes: once_or_always(random), ..none },
        }
    }

    /// Both together: the worse one in each respect, and as often as both.
    pub(crate) fn and(self, other: Trouble) -> Trouble {
        let rarest = |one: u32, other: u32| if one.min(other) == 0 { one.max(other) } else { one.min(other) };
        Trouble {
            slow_sync: self.slow_sync.max(other.slow_sync),
            uneven_sync: self.uneven_sync.max(other.uneven_sync),
            slow_write: self.slow_write.max(other.slow_write),
            stall: self.stall.max(other.stall),
            stall_in: rarest(self.stall_in, other.stall_in),
            sync_errors: self.sync_errors.and(other.sync_errors),
            write_errors: self.write_errors.and(other.write_errors),
            read_errors: self.read_errors.and(other.read_errors),
            full: self.full.max(other.full),
            flips: self.flips + other.flips,
            lost_writes: self.lost_writes.and(other.lost_writes),
            misdirected_writes: self.misdirected_writes.and(other.misdirected_writes),
        }
    }

    /// Whether a program may rightly end when it meets it: a call that fails is a reason to end, and so is finding in a file
    /// what was never written there, or not finding what was. A slow disk is none.
    pub(crate) fn may_end_programs(self) -> bool {
        let fails = [self.sync_errors, self.write_errors, self.read_errors];
        fails.iter().any(|errors| *errors > Errors::None) || self.full > Full::No || self.lies()
    }

    /// Whether files show something else than what they hold.
    pub(crate) fn lies(self) -> bool {
        self.flips > 0 || self.lost_writes > Errors::None || self.misdirected_writes > Errors::None
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
        if !self.uneven_sync.is_zero() {
            let by = 1e3 * self.uneven_sync.as_secs_f64();
            words.push(format!("syncs take another {by:.1} ms by chance, on average"));
        }
        if !self.slow_write.is_zero() {
            words.push(format!("writes take {:.2} ms more", 1e3 * self.slow_write.as_secs_f64()));
        }
        if !self.stall.is_zero() {
            words.push(format!("one sync in {} hangs for {:.2} s", self.stall_in, self.stall.as_secs_f64()));
        }
        let often = [
            ("sync", self.sync_errors, "fails"),
            ("write", self.write_errors, "fails"),
            ("read", self.read_errors, "fails"),
            ("write", self.lost_writes, "gets lost"),
            ("write", self.misdirected_writes, "comes to another place"),
        ];
        for (what, errors, verb) in often {
            match errors {
                Errors::None => {}
                Errors::Next(1) => words.push(format!("the next {what} {verb}")),
                Errors::Next(times) => words.push(format!("each of the next {times} {what}s {verb}")),
                Errors::Always => words.push(format!("every {what} {verb}")),
            }
        }
        match self.flips {
            0 => {}
            1 => words.push("a bit reads flipped".into()),
            bits => words.push(format!("{bits} bits read flipped")),
        }
        match self.full {
            Full::No => {}
            Full::More => words.push("no room for new or longer files".into()),
            Full::Any => words.push("no room for any write".into()),
        }
        f.pad(&words.join(", "))
    }
}

fn once_or_always(random: &mut ChaCha8Rng) -> Errors {
    if random.random_bool(0.5) { Errors::ONCE } else { Errors::Always }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another fault begins and ends meanwhile: what was to happen once has happened, and what is new comes as well.
    #[test]
    fn what_is_to_happen_once_happens_once() {
        let once = Trouble { sync_errors: Errors::ONCE, ..Trouble::default() };
        let slow = Trouble { slow_sync: Duration::from_millis(5), ..Trouble::default() };
        let mut troubles = Troubles::default();
        troubles.ask(once);
        assert_eq!([troubles.take(SYNC_ERRORS), troubles.take(SYNC_ERRORS)], [true, false]);
        troubles.ask(once.and(slow));
        assert!(!troubles.take(SYNC_ERRORS));
        assert_eq!(troubles.left().slow_sync, slow.slow_sync);
        troubles.ask(once.and(once));
        assert_eq!([troubles.take(SYNC_ERRORS), troubles.take(SYNC_ERRORS)], [true, false]);
        troubles.ask(once);
        assert!(!troubles.take(SYNC_ERRORS));
        troubles.ask(Trouble::default());
        troubles.ask(once);
        assert!(troubles.take(SYNC_ERRORS));
        troubles.ask(Trouble { sync_errors: Errors::Always, ..slow });
        assert_eq!([troubles.take(SYNC_ERRORS), troubles.take(SYNC_ERRORS)], [true, true]);
        // The only one left may be that of the fault that ends.
        troubles.ask(once.and(once));
        troubles.ask(once);
        assert_eq!([troubles.take(SYNC_ERRORS), troubles.take(SYNC_ERRORS)], [true, false]);
    }
}
