//! What a call on a file meets while a trouble is in force: it waits, it fails, there is no room, or it is answered as if all were well.

use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fuser::{Errno, OpenFlags};
use rand::RngExt;

use super::files::{Files, OWN, Reply};
use super::inode::Inode;
use super::pick;
use super::trouble::{
    Counts, ERRORS, Errors, Full, LOST_WRITES, MISDIRECTED_WRITES, READ_ERRORS, SYNC_ERRORS, Trouble,
    WRITE_ERRORS, Which,
};
use super::undo;

/// What a write can miss its place by.
const SECTOR: u64 = 512;

/// What becomes of a write that is answered as if all were well.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    Lands,
    GetsLost,
    LandsAt(u64),
}

/// How long a call waits before anything is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wait {
    /// As any such call at the moment.
    more: Duration,
    /// Because it hangs.
    hang: Duration,
}

impl Wait {
    /// First this, then that.
    pub(super) fn and(self, other: Wait) -> Wait {
        Wait { more: self.more + other.more, hang: self.hang + other.hang }
    }
}

impl Files {
    /// The trouble that a call on this file meets.
    pub(super) fn trouble(&self, inode: u64) -> Option<Trouble> {
        if !self.is_troubled.load(Ordering::Relaxed) {
            return None;
        }
        let mut trouble = self.troubles().left();
        if self.own.load(Ordering::Relaxed) == inode {
            for which in ERRORS {
                let errors = which(&mut trouble);
                if matches!(errors, Errors::Next(_)) {
                    *errors = Errors::None;
                }
            }
        }
        Some(trouble)
    }

    /// Whether a call is struck by what it has `seen`; what happens a few times happens once less from then on.
    fn strikes(&self, which: Which, seen: Errors, count: &AtomicU64) -> bool {
        // Another call may have met it meanwhile.
        let strikes = seen > Errors::None && self.troubles().take(which);
        if strikes {
            Counts::add(count);
        }
        strikes
    }

    fn fails(&self, which: Which, seen: Errors) -> Reply<()> {
        match self.strikes(which, seen, &self.counts.failed) {
            true => Err(Errno::EIO),
            false => Ok(()),
        }
    }

    /// How long a write takes more.
    pub(super) fn write_wait(&self, inode: u64) -> Wait {
        let more = self.trouble(inode).map_or(Duration::ZERO, |trouble| trouble.slow_write);
        Wait { more, hang: Duration::ZERO }
    }

    /// How long a sync takes more, or hangs.
    pub(super) fn sync_wait(&self, inode: u64) -> Wait {
        let Some(trouble) = self.trouble(inode) else {
            return Wait::default();
        };
        let more = trouble.slow_sync + self.by_chance(trouble.uneven_sync);
        let one_in = f64::from(trouble.stall_in.max(1));
        let hangs = !trouble.stall.is_zero()
            && (self.stall_is_due.swap(false, Ordering::Relaxed) || self.random().random_bool(1.0 / one_in));
        Wait { more, hang: if hangs { trouble.stall } else { Duration::ZERO } }
    }

    /// An exponential distribution by its inverse; its far end is cut off at ten times the mean.
    fn by_chance(&self, mean: Duration) -> Duration {
        if mean.is_zero() {
            return mean;
        }
        let share: f64 = self.random().random();
        mean.mul_f64((-(1.0 - share).ln()).min(10.0))
    }

    pub(super) fn wait(&self, wait: Wait) {
        std::thread::sleep(wait.more);
        if !wait.hang.is_zero() {
            Counts::add(&self.counts.stalled);
            Counts::add(&self.counts.hanging);
            std::thread::sleep(wait.hang);
            self.counts.hanging.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(super) fn before_sync(&self, inode: u64) -> Reply<()> {
        match self.trouble(inode) {
            Some(trouble) => self.fails(SYNC_ERRORS, trouble.sync_errors),
            None => Ok(()),
        }
    }

    /// Fails reads. Most are the kernel's own, ahead of a program's: when one of them fails, nobody hears of it, but the program
    /// waits for the same place once more. So what is to happen once is over with the second of both.
    pub(super) fn before_read(&self, inode: u64, range: Range<u64>, flags: OpenFlags) -> Reply<()> {
        let Some(trouble) = self.trouble(inode) else {
            return Ok(());
        };
        let mut failed = self.failed_read.lock().expect("nobody panics with it");
        let is_again = failed.as_ref().is_some_and(|(file, before)| {
            *file == inode && before.start < range.end && range.start < before.end
        });
        if is_again {
            *failed = None;
            return Err(Errno::EIO);
        }
        let is_ahead = flags.0 & libc::O_DIRECT == 0 && matches!(trouble.read_errors, Errors::Next(_));
        self.fails(READ_ERRORS, trouble.read_errors).inspect_err(|_| {
            if is_ahead {
                *failed = Some((inode, range));
            }
        })
    }

    pub(super) fn before_write(&self, inode: &Inode, end: u64) -> Reply<()> {
        let Some(trouble) = self.trouble(inode.id) else {
            return Ok(());
        };
        self.fails(WRITE_ERRORS, trouble.write_errors)?;
        let is_longer = || inode.file().and_then(undo::length).is_ok_and(|length| length < end);
        match trouble.full {
            Full::No => Ok(()),
            Full::More if !is_longer() => Ok(()),
            Full::More | Full::Any => self.refuse(),
        }
    }

    /// A name takes room, too.
    pub(super) fn before_name(&self) -> Reply<()> {
        match self.trouble(0).map(|trouble| trouble.full) {
            None | Some(Full::No) => Ok(()),
            Some(Full::More | Full::Any) => self.refuse(),
        }
    }

    fn refuse(&self) -> Reply<()> {
        Counts::add(&self.counts.refused);
        Err(Errno::ENOSPC)
    }

    /// What becomes of a write.
    pub(super) fn fate(&self, inode: &Inode, offset: u64, length: u64) -> Fate {
        let Some(trouble) = self.trouble(inode.id).filter(|trouble| trouble.lies()) else {
            return Fate::Lands;
        };
        let (misdirected, lost) = (trouble.misdirected_writes, trouble.lost_writes);
        if misdirected.max(lost) == Errors::None || !self.is_chosen(inode) {
            return Fate::Lands;
        }
        if let Some(place) = self.elsewhere(inode, offset, length)
            && self.strikes(MISDIRECTED_WRITES, misdirected, &self.counts.misdirected)
        {
            return Fate::LandsAt(place);
        }
        match self.strikes(LOST_WRITES, lost, &self.counts.lost) {
            true => Fate::GetsLost,
            false => Fate::Lands,
        }
    }

    fn is_chosen(&self, inode: &Inode) -> bool {
        let Ok(path) = std::fs::read_link(inode.path()) else {
            return false;
        };
        let path = path.strip_prefix(&self.behind).unwrap_or(&path);
        let chosen = self.chosen.lock().expect("nobody panics with it");
        path.as_os_str().as_bytes().starts_with(OWN.as_bytes()) || pick::matches(&chosen, path)
    }

    /// Another place of the file where it could come, whole sectors away, if there is any.
    fn elsewhere(&self, inode: &Inode, offset: u64, length: u64) -> Option<u64> {
        let end = inode.file().and_then(undo::length).ok()?.max(offset + length);
        let (own, shift) = (offset / SECTOR, offset % SECTOR);
        let others = (end - length - shift) / SECTOR;
        let drawn = (others > 0).then(|| self.random().random_range(0..others))?;
        Some((if drawn < own { drawn } else { drawn + 1 }) * SECTOR + shift)
    }
}
