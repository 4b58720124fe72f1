//! One mounted folder: from the kernel's device to a file system that shows the folder behind it.
//!
//! Mounts are made in a mount namespace of the run's own, which its threads and its nodes live in: when the last of them is
//! gone, however it went, the kernel drops the namespace, and the mounts with it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fuser::{BackgroundSession, Config, INodeNo, Notifier, Session, SessionACL};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getgid, getuid};

use super::files::{Files, OWN, TRIAL};
use super::lies::Cause;
use super::pick::{Bit, files_below};
use super::served::Served;
use super::trial::{self, TRIAL_BYTES, Trial};
use super::trouble::{Errors, Trouble};
use super::undo::{Loss, Lost};

/// Where the kernel speaks to file systems.
pub(super) const DEVICE: &str = "/dev/fuse";
/// Threads that serve a mount: those that wait for the disk must not hold up the others. More of them find their caches cold.
const THREADS: usize = 3;

/// A mounted folder. It is unmounted when this is dropped.
#[derive(Debug)]
pub struct Mount {
    shown: PathBuf,
    behind: PathBuf,
    files: Arc<Files>,
    notifier: Notifier,
    /// Number of the controller's own file.
    own: u64,
    lies: Mutex<LiesInForce>,
    _session: BackgroundSession,
}

/// What is not as it should be, beyond what the files know themselves.
#[derive(Debug, Default)]
struct LiesInForce {
    /// Bits that read flipped, or why none could be found.
    flips: Vec<Result<Bit, String>>,
    /// Files that have shown something else than they hold: a page that a program has mapped may show it still.
    tainted: BTreeSet<u64>,
}

/// How often programs have met a trouble, the controller's own trials among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Met {
    /// Syncs that hung, or still do.
    pub stalled: u64,
    /// Syncs that hang at the moment.
    pub hanging: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Calls for which there was no room.
    pub refused: u64,
    /// Writes that got lost.
    pub lost: u64,
    /// Writes that came to another place.
    pub misdirected: u64,
    /// Reads that were given something else than the file holds.
    pub lied: u64,
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

/// Does it in a thread that does not drive others off their core when it wakes, nor do the threads that it starts. Whoever asks a file
/// system waits for the answer anyway, and is gone in a moment.
fn calmly<T: Send>(deed: impl FnOnce() -> T + Send) -> T {
    let calm = || {
        let parameters = libc::sched_param { sched_priority: 0 };
        // SAFETY: it reads the one structure, of this thread. If it fails, the thread is as any other.
        unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) };
        deed()
    };
    std::thread::scope(|scope| scope.spawn(calm).join()).expect("it does not panic")
}

impl Mount {
    /// Shows the folder `behind` at `shown`; what is removed waits in `limbo`. All of them must exist; `behind` and `limbo`
    /// are on one file system.
    ///
    /// # Errors
    /// When this process may not mount, or a folder cannot be used.
    pub fn open(shown: &Path, behind: &Path, limbo: &Path) -> io::Result<Mount> {
        let path = behind.join(TRIAL);
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
            Ok((notifier, calmly(|| session.spawn())?))
        };
        let (notifier, session) = serve().inspect_err(|_| {
            let _ = umount2(shown, MntFlags::MNT_DETACH);
        })?;
        let (shown, behind) = (shown.to_owned(), behind.to_owned());
        Ok(Mount { shown, behind, files, notifier, own, lies: Mutex::default(), _session: session })
    }

    /// From now on this is what goes wrong; `seed` decides what is left open.
    pub fn set(&self, trouble: Trouble, seed: u64) {
        let before = self.files.set_trouble(trouble, seed);
        let mut changed = Vec::new();
        let mut lies = self.lies();
        while lies.flips.len() > trouble.flips as usize {
            let flip = lies.flips.remove(0);
            changed.extend(flip.ok().and_then(|bit| self.files.flip_back(&bit)));
        }
        while lies.flips.len() < trouble.flips as usize {
            lies.flips.push(self.files.flip().map_err(|error| error.to_string()));
        }
        if trouble.lost_writes == Errors::None && before.lost_writes > Errors::None {
            changed.extend(self.files.take_back(Cause::Lost));
        }
        if trouble.misdirected_writes == Errors::None && before.misdirected_writes > Errors::None {
            changed.extend(self.files.take_back(Cause::Misdirected));
        }
        if trouble.flips > before.flips {
            changed.extend(self.files.lying().iter().map(|inode| inode.id));
        }
        lies.tainted.extend(&changed);
        drop(lies);
        let reads_begin_to_fail =
            trouble.read_errors > Errors::None && trouble.read_errors != before.read_errors;
        if reads_begin_to_fail || !changed.is_empty() {
            self.evict(|number| reads_begin_to_fail || changed.contains(&number));
        }
    }

    /// Files whose content is struck from now on, by their path from the data folder on or by their name: `*` is anything, `?`
    /// any one character. All of them until it is called.
    pub fn choose(&self, pattern: &str) {
        self.files.choose(pattern);
    }

    /// Bits that read flipped, in the order in which they were drawn, or why none could be.
    pub fn flips(&self) -> Vec<Result<Bit, String>> {
        self.lies().flips.clone()
    }

    /// The byte that the folder behind holds there.
    ///
    /// # Errors
    /// When it is not there.
    pub fn held(&self, file: &Path, offset: u64) -> io::Result<u8> {
        let mut byte = [0];
        let file = File::open(self.behind.join(file))?;
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut byte, offset)?;
        Ok(byte[0])
    }

    fn lies(&self) -> MutexGuard<'_, LiesInForce> {
        self.lies.lock().expect("nobody panics with it")
    }

    /// Makes the kernel forget what it holds of some files, while programs use them: a page that is mapped stays.
    fn evict(&self, is_meant: impl Fn(u64) -> bool) {
        let is_one = |metadata: &std::fs::Metadata| is_meant(metadata.ino());
        // Who cannot be seen now is seen when the node starts again.
        let files = files_below(&self.behind).unwrap_or_default().into_iter();
        let own = is_meant(self.own).then(|| self.own_path("trial"));
        let meant = files.filter(|(_, metadata)| is_one(metadata)).map(|(path, _)| self.shown.join(path));
        let paths: Vec<PathBuf> = meant.chain(own).collect();
        let _ = trial::evict(&paths);
    }

    /// Makes the kernel forget all of what it holds of files that show, or have shown, what they do not hold. No program may use
    /// the folder meanwhile.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn forget_lies(&self) -> io::Result<()> {
        let mut tainted = std::mem::take(&mut self.lies().tainted);
        tainted.extend(self.files.lying().iter().map(|inode| inode.id));
        tainted.into_iter().try_for_each(|number| self.notifier.inval_inode(INodeNo(number), 0, 0))
    }

    /// Whether what is to happen once is left to programs, or befalls the controller's own calls as well.
    pub fn spare_own(&self, is_spared: bool) {
        self.files.set_own(if is_spared { self.own } else { 0 });
    }

    /// What programs have met so far.
    pub fn met(&self) -> Met {
        let counts = &self.files.counts;
        let load = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        Met {
            stalled: load(&counts.stalled),
            hanging: load(&counts.hanging),
            failed: load(&counts.failed),
            refused: load(&counts.refused),
            lost: load(&counts.lost),
            misdirected: load(&counts.misdirected),
            lied: load(&counts.lied),
        }
    }

    /// Loses what was not synced, or some of it. No program may use the folder meanwhile.
    ///
    /// # Errors
    /// When the folder behind it cannot be changed.
    pub fn lose(&self, loss: Loss) -> io::Result<Lost> {
        self.forget_caches()?;
        let (lost, stale) = self.files.lose(loss)?;
        for number in stale.inodes {
            self.notifier.inval_inode(INodeNo(number), 0, 0)?;
        }
        for (folder, name) in stale.names {
            self.notifier.inval_entry(INodeNo(folder.id), &name)?;
        }
        Ok(lost)
    }

    /// What was written through memory and is not on its way yet comes in now, and nothing is remembered.
    fn forget_caches(&self) -> io::Result<()> {
        self.files
            .numbers()
            .into_iter()
            .try_for_each(|number| self.notifier.inval_inode(INodeNo(number), 0, 0))
    }

    /// Copies all that the folder holds at the moment into `to`, which must not be there. Programs may use it meanwhile, and
    /// wait so long.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn copy(&self, to: &Path) -> io::Result<()> {
        self.files.copy(to)
    }

    /// Moves all that the folder holds into `aside`, and all that `with` holds in its place. No program may use it meanwhile.
    ///
    /// # Errors
    /// When something cannot be moved; then it is where it was or where it was to go.
    pub fn replace(&self, with: &Path, aside: &Path) -> io::Result<()> {
        self.forget_caches()?;
        let names = self.files.replace(with, aside)?;
        for name in names {
            self.notifier.inval_entry(INodeNo::ROOT, &name)?;
        }
        self.notifier.inval_inode(INodeNo::ROOT, 0, 0)
    }

    /// Tries something on the controller's own file, or, if it is to be made, on one that is not there. Gives how long it took,
    /// and the count if one was asked for.
    ///
    /// # Errors
    /// As the disk says.
    pub fn attempt(&self, trial: Trial) -> io::Result<(Duration, u64)> {
        let name = if trial == Trial::Make { "new" } else { "trial" };
        trial::attempt(trial, &self.own_path(name))
    }

    /// Tries something on a file of the program's.
    ///
    /// # Errors
    /// As the disk says.
    pub fn attempt_on(&self, trial: Trial, file: &Path) -> io::Result<(Duration, u64)> {
        trial::attempt(trial, &self.shown.join(file))
    }

    fn own_path(&self, name: &str) -> PathBuf {
        self.shown.join(format!("{OWN}{name}"))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.files.set_trouble(Trouble::default(), 0);
        // If it fails, the mount goes with its namespace.
        let _ = umount2(&self.shown, MntFlags::MNT_DETACH);
    }
}
