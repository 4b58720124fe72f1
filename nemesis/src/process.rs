//! One node process: started in its host, bound to the life of this process, stopped and killed for certain.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, getppid};

use crate::clean::{self, CONTROLLER_VARIABLE};
use crate::clocks::ProcessClocks;
use crate::quota::Quota;

/// How much of a node's last words is shown.
const LAST_LINES: usize = 3;
const LAST_BYTES: u64 = 8 << 10;
const LINE_CHARACTERS: usize = 300;

/// How to start a node.
#[derive(Debug, Clone, Default)]
pub struct NodeSpec {
    /// Its name: `n1`.
    pub name: String,
    /// What to run.
    pub program: PathBuf,
    /// With what arguments.
    pub arguments: Vec<OsString>,
    /// With what arguments when it is no member of the cluster yet, or not any more.
    pub joining: Vec<OsString>,
    /// Added to the environment.
    pub environment: Vec<(OsString, OsString)>,
    /// It runs there, and its output goes there: `stdout.log`, `stderr.log`.
    pub folder: PathBuf,
}

/// A running node process.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    /// Where in the log this life of the node begins.
    log_start: u64,
    /// Once they have been bent. Another life of the node has clocks of its own.
    clocks: Option<ProcessClocks>,
    /// While it gets little of the processor.
    quota: Option<Quota>,
    /// What it might have of memory, while it gets no more.
    memory: Option<libc::rlimit64>,
}

/// A thread that starts processes. The kernel kills a process whose parent-death signal is set when the *thread* that
/// started it ends, so all are started by one that lives as long as the cluster.
#[derive(Debug)]
pub struct Spawner {
    orders: Sender<(Command, Sender<io::Result<Child>>)>,
}

impl Spawner {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub fn start() -> io::Result<Spawner> {
        let (orders, inbox) = channel::<(Command, Sender<io::Result<Child>>)>();
        std::thread::Builder::new().name("spawner".into()).spawn(move || {
            for (mut command, outcome) in inbox {
                // Whoever ordered it may have gone; then the process must go too.
                if let Err(std::sync::mpsc::SendError(Ok(mut child))) = outcome.send(command.spawn()) {
                    let _ = child.kill().and_then(|()| child.wait());
                }
            }
        })?;
        Ok(Spawner { orders })
    }

    fn spawn(&self, command: Command) -> io::Result<Child> {
        let (sender, outcome) = channel();
        let gone = || io::Error::other("the thread that starts processes has ended");
        self.orders.send((command, sender)).map_err(|_| gone())?;
        outcome.recv().map_err(|_| gone())?
    }
}

impl Process {
    /// Starts a node, in `namespace` if there is one. What it says goes to files whose names begin with `prefix`.
    ///
    /// # Errors
    /// When its program, folder or namespace cannot be used.
    pub fn start(
        spec: &NodeSpec,
        prefix: &str,
        namespace: Option<OwnedFd>,
        spawner: &Spawner,
    ) -> io::Result<Process> {
        fs::create_dir_all(&spec.folder)?;
        let path = |name: &str| spec.folder.join(format!("{prefix}{name}"));
        let output = |name| File::options().append(true).create(true).open(path(name));
        let mut command = Command::new(&spec.program);
        command
            .args(&spec.arguments)
            .envs(spec.environment.iter().cloned())
            .env(CONTROLLER_VARIABLE, clean::controller())
            .current_dir(&spec.folder)
            .stdin(Stdio::null())
            .stdout(output("stdout.log")?)
            .stderr(output("stderr.log")?)
            .process_group(0);
        let parent = Pid::this();
        // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                set_pdeathsig(Signal::SIGKILL)?;
                // The parent may have died before the signal was set.
                if getppid() != parent {
                    return Err(io::Error::from_raw_os_error(libc::ESRCH));
                }
                match &namespace {
                    Some(namespace) => Ok(setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?),
                    None => Ok(()),
                }
            });
        }
        let log = path("stderr.log");
        let log_start = fs::metadata(&log)?.len();
        Ok(Process {
            child: spawner.spawn(command)?,
            log,
            log_start,
            clocks: None,
            quota: None,
            memory: None,
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its clocks, to be bent.
    ///
    /// # Errors
    /// When it has ended, or they cannot be.
    pub fn clocks(&mut self) -> io::Result<&mut ProcessClocks> {
        let clocks = match self.clocks.take() {
            Some(clocks) => clocks,
            None => ProcessClocks::of(self.id())?,
        };
        Ok(self.clocks.insert(clocks))
    }

    /// Its clocks, if they have ever been bent.
    pub fn bent_clocks(&mut self) -> Option<&mut ProcessClocks> {
        self.clocks.as_mut()
    }

    /// It gets `share` of one processor from now on, or all that it wants.
    ///
    /// # Errors
    /// When it is gone.
    pub fn set_quota(&mut self, share: Option<f64>, is_paused: bool) -> io::Result<()> {
        self.quota = None;
        self.quota = share.map(|share| Quota::of(self.group(), share, is_paused)).transpose()?;
        Ok(())
    }

    /// Its quota of the processor, while it has one.
    pub fn quota(&self) -> Option<&Quota> {
        self.quota.as_ref()
    }

    /// It gets no more memory from now on than it has. Gives how many bytes of address space that is.
    ///
    /// # Errors
    /// When it is gone.
    pub fn limit_memory(&mut self) -> io::Result<u64> {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.id()))?;
        let pages: u64 = statm.split(' ').next().and_then(|pages| pages.parse().ok()).unwrap_or(0);
        let before = address_space(self.id(), None)?;
        // More than nothing is refused it: what it has already stays.
        address_space(self.id(), Some(libc::rlimit64 { rlim_cur: 0, ..before }))?;
        self.memory.get_or_insert(before);
        // SAFETY: asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        Ok(pages * page.cast_unsigned())
    }

    /// It gets as much memory again as it might have before. What has ended needs none.
    pub fn free_memory(&mut self) {
        if let Some(before) = self.memory.take() {
            let _ = address_space(self.id(), Some(before));
        }
    }

    /// How it ended, if it has. Whatever it has started goes with it.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        // A look first: once it is reaped, the number of its group may be somebody else's.
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.group()), look) {
            Ok(WaitStatus::StillAlive) | Err(_) => return None,
            Ok(_) => {}
        }
        self.quota = None;
        // What is gone needs no signal.
        let _ = self.signal(Signal::SIGKILL);
        self.child.wait().ok()
    }

    /// Waits until it is gone; it was killed before.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn reap(&mut self) -> io::Result<()> {
        // Once it is reaped, the number of its group may be somebody else's.
        self.quota = None;
        self.child.wait().map(drop)
    }

    /// Waits until every thread of it stands still; it was told to before.
    ///
    /// # Errors
    /// When they do not, or it has ended.
    pub fn await_standstill(&self) -> io::Result<()> {
        self.await_state("stop", |state| state == 'T')
    }

    /// Waits until it goes on; it was told to before.
    ///
    /// # Errors
    /// When it does not, or it has ended.
    pub fn await_motion(&self) -> io::Result<()> {
        self.await_state("go on", |state| state != 'T')
    }

    /// Sends a signal to it and to all that it has started. What has ended does not mind.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match killpg(self.group(), signal) {
            // The whole group has ended already.
            Err(nix::errno::Errno::ESRCH) => Ok(()),
            result => Ok(result?),
        }
    }

    fn await_state(&self, verb: &str, holds: impl Fn(char) -> bool) -> io::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(1);
        loop {
            let states = thread_states(self.id());
            if states.is_empty() || states.iter().any(|state| matches!(state, 'Z' | 'X')) {
                return Err(io::Error::other(format!("process {} has ended", self.id())));
            }
            if states.iter().all(|&state| holds(state)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("process {} does not {verb}: {states:?}", self.id())));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn group(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// The end of what it has written to its log, for a sentence about its end.
    pub fn last_words(&self) -> String {
        let mut text = Vec::new();
        let read = File::open(&self.log).and_then(|mut log| {
            let from = self.log_start.max(log.metadata()?.len().saturating_sub(LAST_BYTES));
            log.seek(SeekFrom::Start(from))?;
            log.read_to_end(&mut text)
        });
        let text = String::from_utf8_lossy(&text);
        // Advice on how to see more is not for whoever reads this.
        let says =
            |line: &&str| !line.trim().is_empty() && !line.starts_with("note: run with `RUST_BACKTRACE");
        let lines: Vec<&str> = text.lines().filter(says).collect();
        match read {
            Ok(_) => {
                let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
                let cut = |line: &&str| line.chars().take(LINE_CHARACTERS).collect::<String>();
                last.iter().map(cut).collect::<Vec<_>>().join(" / ")
            }
            Err(error) => error.to_string(),
        }
    }
}

/// How much address space a process may have; changes it if told to what.
fn address_space(process: u32, to: Option<libc::rlimit64>) -> io::Result<libc::rlimit64> {
    let mut before = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let to = to.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: both structures live as long as the call.
    match unsafe { libc::prlimit64(process.cast_signed(), libc::RLIMIT_AS, to, &raw mut before) } {
        0 => Ok(before),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The states of all threads of a process, as `/proc` has them: `R`, `S`, `T`, …
fn thread_states(process: u32) -> Vec<char> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
        return Vec::new();
    };
    let stat = |thread: io::Result<fs::DirEntry>| fs::read_to_string(thread.ok()?.path().join("stat")).ok();
    threads.filter_map(stat).filter_map(|stat| clean::after_name(&stat)?.chars().next()).collect()
}

/// How a process ended, in words.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}
