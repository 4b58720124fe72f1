//! One node process: started in its host, bound to the life of this process, stopped and killed for certain.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getppid};

use crate::clean::{self, CONTROLLER_VARIABLE};

/// How to start a node.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    /// Its name: `n1`.
    pub name: String,
    /// What to run.
    pub program: PathBuf,
    /// With what arguments.
    pub arguments: Vec<OsString>,
    /// Added to the environment.
    pub environment: Vec<(OsString, OsString)>,
    /// It runs there, and its output goes there: `stdout.log`, `stderr.log`.
    pub folder: PathBuf,
}

/// A running node process.
#[derive(Debug)]
pub struct Process {
    child: Child,
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
        std::thread::Builder::new()
            .name("spawner".into())
            .spawn(move || {
                for (mut command, outcome) in inbox {
                    // Whoever ordered it may have gone; then the process must go too.
                    if let Err(std::sync::mpsc::SendError(Ok(mut child))) =
                        outcome.send(command.spawn())
                    {
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
    /// Starts a node, in `namespace` if there is one.
    ///
    /// # Errors
    /// When its program, folder or namespace cannot be used.
    pub fn start(
        spec: &NodeSpec,
        namespace: Option<OwnedFd>,
        spawner: &Spawner,
    ) -> io::Result<Process> {
        fs::create_dir_all(&spec.folder)?;
        let output = |name| {
            File::options()
                .append(true)
                .create(true)
                .open(spec.folder.join(name))
        };
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
        Ok(Process {
            child: spawner.spawn(command)?,
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Kills it and all of its group, and waits until it is gone.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill(&mut self) -> io::Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.child.wait().map(drop)
    }

    /// Stops it, and waits until every thread of it stands still.
    ///
    /// # Errors
    /// When it does not.
    pub fn pause(&mut self) -> io::Result<()> {
        self.signal(Signal::SIGSTOP)?;
        self.await_state("stop", |state| state == 'T')
    }

    /// Lets it go on, and waits until it does.
    ///
    /// # Errors
    /// When it does not.
    pub fn resume(&mut self) -> io::Result<()> {
        self.signal(Signal::SIGCONT)?;
        self.await_state("go on", |state| state != 'T')
    }

    /// Asks it to end.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn terminate(&mut self) -> io::Result<()> {
        self.signal(Signal::SIGTERM)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        match killpg(Pid::from_raw(self.child.id().cast_signed()), signal) {
            // The whole group has ended already.
            Err(nix::errno::Errno::ESRCH) => Ok(()),
            result => Ok(result?),
        }
    }

    fn await_state(&self, verb: &str, holds: impl Fn(char) -> bool) -> io::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(1);
        loop {
            let states = thread_states(self.child.id());
            if states.iter().all(|&state| holds(state)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(io::Error::other(format!(
                    "process {} does not {verb}: {states:?}",
                    self.child.id()
                )));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// The states of all threads of a process, as `/proc` has them: `R`, `S`, `T`, …
fn thread_states(process: u32) -> Vec<char> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
        return Vec::new();
    };
    let stat = |thread: io::Result<fs::DirEntry>| {
        fs::read_to_string(thread.ok()?.path().join("stat")).ok()
    };
    threads
        .filter_map(stat)
        .filter_map(|stat| clean::after_name(&stat)?.chars().next())
        .collect()
}

/// How a process ended, in words.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}
