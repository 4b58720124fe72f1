//! One mounted folder: from the kernel's device to a file system that shows the folder behind it.
//!
//! Mounts are made in a mount namespace of the run's own, which its threads and its nodes live in: when the last of them is
//! gone, however it went, the kernel drops the namespace, and the mounts with it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fuser::{BackgroundSession, Config, INodeNo, Notifier, Session, SessionACL};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getgid, getuid};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::files::{Files, OWN, Served};
use super::trial::{self, TRIAL_BYTES, Trial};
use super::trouble::Trouble;
use super::undo::Lost;

/// Where the kernel speaks to file systems.
pub(super) const DEVICE: &str = "/dev/fuse";
/// Threads that serve a mount: one that waits for a sync must not hold up the others.
const THREADS: usize = 4;

/// A mounted folder. It is unmounted when this is dropped.
#[derive(Debug)]
pub struct Mount {
    shown: PathBuf,
    files: Arc<Files>,
    notifier: Notifier,
    /// Number of the controller's own file.
    own: u64,
    _session: BackgroundSession,
}

/// How often programs have met a trouble, the controller's own trials among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Met {
    /// Calls that were slowed down.
    pub slowed: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Calls for which there was no room.
    pub refused: u64,
}

/// Moves the calling thread, and those that it starts from now on, into a mount namespace of its own.
///
/// # Errors
/// When this process may not.
pub fn enter() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    // Nothing that is mounted here shows anywhere else.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    Ok(())
}

impl Mount {
    /// Shows the folder `behind` at `shown`; what is removed waits in `limbo`. All of them must exist; `behind` and `limbo`
    /// are on one file system.
    ///
    /// # Errors
    /// When this process may not mount, or a folder cannot be used.
    pub fn open(shown: &Path, behind: &Path, limbo: &Path) -> io::Result<Mount> {
        let path = behind.join(format!("{OWN}trial"));
        let mut trial = File::options().write(true).create(true).truncate(true).open(path)?;
        trial.write_all(&[b'a'; TRIAL_BYTES])?;
        trial.sync_all()?;
        let files = Arc::new(Files::open(behind, limbo)?);
        let own = trial.metadata()?.ino();
        files.set_own(own);
        let device: OwnedFd = File::options().read(true).write(true).open(DEVICE)?.into();
        let options = format!(
            "fd={},rootmode=40000,user_id={},group_id={},default_permissions,allow_other",
            device.as_raw_fd(),
            getuid(),
            getgid()
        );
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("rafture"), shown, Some("fuse.rafture"), flags, Some(options.as_str()))?;
        let served = Served(Arc::clone(&files));
        let serve = || -> io::Result<_> {
            let mut config = Config::default();
            config.n_threads = Some(THREADS);
            config.clone_fd = true;
            let session = Session::from_fd(served, device, SessionACL::All, config)?;
            let notifier = session.notifier();
            Ok((notifier, session.spawn()?))
        };
        let (notifier, session) = serve().inspect_err(|_| {
            let _ = umount2(shown, MntFlags::MNT_DETACH);
        })?;
        Ok(Mount { shown: shown.to_owned(), files, notifier, own, _session: session })
    }

    /// Where it shows.
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// From now on this is what goes wrong; `seed` decides what is left open.
    pub fn set(&self, trouble: Trouble, seed: u64) {
        self.files.set_trouble(trouble, seed);
    }

    /// Whether what is to happen once is left to programs, or befalls the controller's own calls as well.
    pub fn spare_own(&self, is_spared: bool) {
        self.files.set_own(if is_spared { self.own } else { 0 });
    }

    /// What programs have met so far.
    pub fn met(&self) -> Met {
        let counts = &self.files.counts;
        let load = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        Met { slowed: load(&counts.slowed), failed: load(&counts.failed), refused: load(&counts.refused) }
    }

    /// Loses all that was not synced; with a seed, some sectors and names reach the disk all the same. No program may use
    /// the folder meanwhile.
    ///
    /// # Errors
    /// When the folder behind it cannot be changed.
    pub fn lose(&self, torn: Option<u64>) -> io::Result<Lost> {
        // What was written through memory and is not on its way yet comes in now, and is lost with the rest.
        for number in self.files.numbers() {
            self.notifier.inval_inode(INodeNo(number), 0, 0)?;
        }
        let mut dice = torn.map(ChaCha8Rng::seed_from_u64);
        let (lost, stale) = self.files.lose(dice.as_mut())?;
        for number in stale.inodes {
            self.notifier.inval_inode(INodeNo(number), 0, 0)?;
        }
        for (folder, name) in stale.names {
            self.notifier.inval_entry(INodeNo(folder.id), &name)?;
        }
        Ok(lost)
    }

    /// Tries something on the controller's own file, or, if it is to be made, on one that is not there. Gives how long it took,
    /// and the count if one was asked for.
    ///
    /// # Errors
    /// As the disk says.
    pub fn attempt(&self, trial: Trial) -> io::Result<(Duration, u64)> {
        let name = if trial == Trial::Make { "new" } else { "trial" };
        trial::attempt(trial, &self.shown.join(format!("{OWN}{name}")))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.files.set_trouble(Trouble::default(), 0);
        // If it fails, the mount goes with its namespace.
        let _ = umount2(&self.shown, MntFlags::MNT_DETACH);
    }
}
