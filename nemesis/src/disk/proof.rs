//! Whether a disk does what was asked of it: seen by what programs have met, or by trying it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::mount::{Met, Mount};
use super::trial::{TRIAL_MIDDLE, TRIAL_SECTORS, Trial};
use super::trouble::{Errors, Trouble};
use super::undo::Lost;
use crate::fault::DiskFault;

/// How long a program has to meet what comes once.
const ONCE_PATIENCE: Duration = Duration::from_millis(500);
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// How long a sync must hang to be seen to.
const STALL_SHOWS_AFTER: Duration = Duration::from_millis(200);

/// A disk as it is tried out, which may take long and is best done by a thread of its own.
#[derive(Debug, Clone)]
pub struct Subject {
    pub(super) mount: Arc<Mount>,
    /// It holds something that is not synced, so that its loss can be seen.
    pub(super) is_marked: bool,
    /// What the last loss took.
    pub(super) lost: Lost,
    /// What its folder holds since its content was replaced.
    pub(super) replaced: Option<Replaced>,
    /// What programs had met before the trouble that is in force.
    pub(super) met_before: Met,
}

/// What a data folder holds in place of its own content.
#[derive(Debug, Clone)]
pub(super) struct Replaced {
    /// A file that only a folder of an earlier time has, if it is one.
    pub(super) sign: Option<&'static str>,
    /// Names in the folder, the sign not among them.
    pub(super) names: u64,
    /// What it is, in words.
    pub(super) words: String,
}

/// What the file that is the sign of an earlier time holds.
pub(super) const SIGN: u8 = b'e';

impl Subject {
    pub(super) fn new(mount: Arc<Mount>) -> Subject {
        Subject { mount, is_marked: false, lost: Lost::default(), replaced: None, met_before: Met::default() }
    }

    /// Prepares what will show whether something gets lost. Tells whether the disk is good enough for it at the moment.
    pub fn mark(&self) -> bool {
        let trials = [Trial::Write(b'a'), Trial::Sync, Trial::Write(b'b')];
        let is_there =
            |byte| self.mount.attempt(Trial::Count(byte)).is_ok_and(|(_, count)| count == TRIAL_SECTORS);
        trials.iter().all(|trial| self.mount.attempt(*trial).is_ok()) && is_there(b'b')
    }

    /// Whether a program has met something of the trouble that is in force that it may end by.
    pub fn has_failed(&self) -> bool {
        let reasons = [|met: &Met| met.failed, |met: &Met| met.refused, |met: &Met| met.lied];
        reasons.iter().any(|reason| self.since(reason) > 0)
    }

    /// How often programs have met it since it is in force.
    fn since(&self, which: impl Fn(&Met) -> u64) -> u64 {
        which(&self.mount.met()) - which(&self.met_before)
    }

    /// Waits a while for a program to meet it; gives how often it came.
    fn wait_for(&self, which: impl Fn(&Met) -> u64) -> u64 {
        let deadline = Instant::now() + ONCE_PATIENCE;
        while self.since(&which) == 0 && Instant::now() < deadline {
            std::thread::sleep(LOOK_INTERVAL);
        }
        self.since(which)
    }

    /// Sees, by trying, whether the disk does what was asked for; in words either way. It may take a while.
    ///
    /// # Errors
    /// The words, when it does not.
    pub fn prove(&self, kind: DiskFault, asked: Trouble) -> Result<String, String> {
        match kind {
            DiskFault::PowerLoss | DiskFault::TornWrite => self.prove_lost(kind),
            DiskFault::Rollback | DiskFault::Amnesia => self.prove_replaced(),
            DiskFault::SlowDisk
            | DiskFault::IoError
            | DiskFault::DiskFull
            | DiskFault::BitFlip
            | DiskFault::LostWrite
            | DiskFault::MisdirectedWrite => self.prove_trouble(asked),
        }
    }

    /// The same for what lasts.
    ///
    /// # Errors
    /// The words, when it does not.
    pub fn prove_trouble(&self, asked: Trouble) -> Result<String, String> {
        let Trouble { sync_errors, write_errors, read_errors, .. } = asked;
        if asked.flips > 0 {
            return self.prove_flip();
        }
        if asked.misdirected_writes > Errors::None {
            return self.prove_missed(|met| met.misdirected, "came to another place");
        }
        if asked.lost_writes > Errors::None {
            return self.prove_missed(|met| met.lost, "got lost");
        }
        if sync_errors.max(write_errors).max(read_errors) > Errors::None {
            return self.prove_errors(asked);
        }
        if !asked.stall.is_zero() {
            return self.prove_stall(asked);
        }
        match asked.slow_sync.is_zero() {
            true => refused(self.mount.attempt(Trial::Make), libc::ENOSPC),
            false => self.prove_slow(asked.slow_sync),
        }
    }

    fn prove_slow(&self, at_least: Duration) -> Result<String, String> {
        let start = Instant::now();
        // It may fail by another fault; then it has taken as long.
        let _ = self.mount.attempt(Trial::Sync);
        let took = start.elapsed();
        verdict(took >= at_least, format!("a sync took {:.1} ms", 1e3 * took.as_secs_f64()))
    }

    /// A sync of the node's must hang; nobody waits for all of it, since other faults are due.
    fn prove_stall(&self, asked: Trouble) -> Result<String, String> {
        if self.wait_for(|met| met.stalled) == 0 {
            // A node that is down or cut off asks nothing of its disk; then the next sync is the controller's.
            return self.prove_slow(asked.stall).map(|words| format!("no sync of the node came; {words}"));
        }
        let start = Instant::now();
        let enough = asked.stall.min(STALL_SHOWS_AFTER);
        let hangs = || self.mount.met().hanging > 0;
        while hangs() && start.elapsed() < enough {
            std::thread::sleep(LOOK_INTERVAL);
        }
        let hung = self.since(|met| met.stalled);
        // Several short ones may have come one after another.
        verdict(
            start.elapsed() >= enough.mul_f64(0.5) || hung > 1,
            format!("{hung} syncs of the node hung, the last one for {:?} and more", start.elapsed()),
        )
    }

    fn prove_errors(&self, asked: Trouble) -> Result<String, String> {
        let trial = match asked {
            Trouble { sync_errors: Errors::None, write_errors: Errors::None, .. } => Trial::Read,
            Trouble { sync_errors: Errors::None, .. } => Trial::Write(b'a'),
            _ => Trial::Sync,
        };
        let failed = |met: &Met| met.failed;
        if [asked.sync_errors, asked.write_errors, asked.read_errors].contains(&Errors::Always) {
            return refused(self.mount.attempt(trial), libc::EIO);
        }
        if self.wait_for(failed) == 0 {
            // A node that is down or cut off asks nothing of its disk.
            self.mount.spare_own(false);
            let result = refused(self.mount.attempt(trial), libc::EIO);
            self.mount.spare_own(true);
            if let Ok(words) = result {
                return Ok(format!("no call of the node came; {words}"));
            }
        }
        // The node may have taken it just before.
        verdict(self.since(failed) > 0, format!("{} calls of the node failed", self.since(failed)))
    }

    /// A bit must read flipped, and be as it was behind.
    fn prove_flip(&self) -> Result<String, String> {
        let bit = self.mount.flips().pop().ok_or("no bit was drawn")??;
        let place = format!("byte {} of `{}`", bit.offset, bit.file.display());
        let deadline = Instant::now() + ONCE_PATIENCE;
        loop {
            let read = self.mount.attempt_on(Trial::Byte(bit.offset), &bit.file);
            let shown = read.map_err(|error| format!("{place} cannot be read: {error}"))?.1 as u8;
            let held = self.mount.held(&bit.file, bit.offset);
            let held = held.map_err(|error| format!("{place} is gone: {error}"))?;
            // A page that is being written is not forgotten when it is asked for.
            if shown ^ held == bit.mask || Instant::now() > deadline {
                return verdict(
                    shown ^ held == bit.mask,
                    format!("{place} reads {shown:#04x} and is {held:#04x}"),
                );
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// A write of the node's, or else one of the controller's, must not be where it should.
    fn prove_missed(&self, which: impl Fn(&Met) -> u64 + Copy, fate: &str) -> Result<String, String> {
        if self.wait_for(which) > 0 {
            return Ok(format!("{} writes of the node {fate}", self.since(which)));
        }
        let read = || {
            let byte = self.mount.attempt(Trial::Byte(TRIAL_MIDDLE));
            byte.map(|(_, byte)| byte as u8).map_err(|error| format!("it cannot be read back: {error}"))
        };
        let old = read()?;
        let new = if old == b'w' { b'v' } else { b'w' };
        self.mount.spare_own(false);
        let written = self.mount.attempt(Trial::Sector(new));
        self.mount.spare_own(true);
        written.map_err(|error| format!("a write failed: {error}"))?;
        let found = read()?;
        if self.since(which) > 0 && found == old {
            return Ok(format!("no write of the node came; one that was tried {fate}"));
        }
        verdict(self.since(which) > 0, format!("{} writes {fate}", self.since(which)))
    }

    /// A folder that was wiped or set back must show just that.
    ///
    /// # Errors
    /// What it shows instead, in words.
    pub fn prove_replaced(&self) -> Result<String, String> {
        let Replaced { sign, names, words } = self.replaced.as_ref().ok_or("its content is its own")?;
        let counted = self.mount.attempt_on(Trial::Names, Path::new(""));
        let counted = counted.map_err(|error| format!("its folder cannot be read: {error}"))?.1;
        if let Some(sign) = sign {
            let read = self.mount.attempt_on(Trial::Byte(0), Path::new(sign));
            let byte = read.map_err(|error| format!("it has no sign of an earlier time: {error}"))?.1;
            verdict(byte == u64::from(SIGN), "its sign of an earlier time is not its own".into())?;
        }
        verdict(counted == *names, format!("{words}; {counted} names in the folder"))
    }

    /// What was written last before the loss, and not synced, must be gone.
    fn prove_lost(&self, kind: DiskFault) -> Result<String, String> {
        let Lost { files, blocks, kept_sectors, names } = self.lost;
        let kept = match kind {
            DiskFault::TornWrite => format!(" ({kept_sectors} sectors kept)"),
            _ => String::new(),
        };
        let words = format!(
            "set back: {} in {}{kept}, {}",
            counted(blocks as u64, "unsynced block"),
            counted(files as u64, "file"),
            counted(names as u64, "name")
        );
        if !self.is_marked {
            return Ok(words);
        }
        let count = |byte| self.mount.attempt(Trial::Count(byte)).map_err(|error| error.to_string());
        let ((_, old), (_, new)) = (count(b'a')?, count(b'b')?);
        let is_lost = match kind {
            DiskFault::TornWrite => new < TRIAL_SECTORS && old + new == TRIAL_SECTORS,
            _ => old == TRIAL_SECTORS,
        };
        // They are those of the controller's own file.
        verdict(is_lost, format!("{words}; {old} of {TRIAL_SECTORS} sectors lost that were marked for it"))
    }
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn verdict(bites: bool, words: String) -> Result<String, String> {
    if bites { Ok(words) } else { Err(words) }
}

fn refused(result: io::Result<(Duration, u64)>, expected: i32) -> Result<String, String> {
    match result {
        Ok(_) => Err("a call that should have failed did not".into()),
        Err(error) => verdict(error.raw_os_error() == Some(expected), format!("a call failed: {error}")),
    }
}
