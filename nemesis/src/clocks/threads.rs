//! A process whose threads stand still under ptrace, each where it happened to be, until this is dropped.
//!
//! A thread in the middle of a system call that cannot be interrupted (a sync of a disk) is not waited for: it is in the kernel, and
//! will stop before it comes back. Signals that come meanwhile are delivered afterwards. No signal is ever forced upon a
//! thread, for that may change how the process handles it: a thread that was sent to do something waits in a loop when it has.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::unistd::Pid;

/// How long a thread that can stop has to.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two looks at a thread that does not stop at once.
const LOOK: Duration = Duration::from_micros(20);
/// Stack that a function may use to which a thread is sent.
const STACK: usize = 512;

/// All threads of a process, standing still.
#[derive(Debug)]
#[must_use]
pub(super) struct Stopped {
    process: u32,
    threads: Vec<Thread>,
}

#[derive(Debug)]
struct Thread {
    id: Pid,
    /// It does not stand still yet: it is in the kernel, and will stop when it comes back.
    is_away: bool,
    /// To be delivered when it goes on.
    signals: Vec<i32>,
}

#[derive(PartialEq, Eq)]
enum Look {
    Stopped,
    Away,
    Moves,
    Gone,
}

impl Stopped {
    /// Stops all threads of a process.
    pub(super) fn stop(process: u32) -> io::Result<Stopped> {
        let mut stopped = Stopped { process, threads: Vec::new() };
        let mut known = BTreeSet::new();
        loop {
            // A thread may have started others before it stopped.
            let fresh: Vec<i32> = threads(process)?.into_iter().filter(|id| known.insert(*id)).collect();
            if fresh.is_empty() {
                break;
            }
            let before = stopped.threads.len();
            for id in fresh.into_iter().map(Pid::from_raw) {
                if seize(process, id)? {
                    stopped.threads.push(Thread { id, is_away: true, signals: Vec::new() });
                }
            }
            for number in (before..stopped.threads.len()).rev() {
                if !stopped.threads[number].await_stop(process, true)? {
                    stopped.threads.swap_remove(number);
                }
            }
        }
        match stopped.threads.is_empty() {
            true => Err(Errno::ESRCH.into()),
            false => Ok(stopped),
        }
    }

    /// Lets those go on that stand still; what is left are those that are in the kernel, to be let go when they come back.
    pub(super) fn release(mut self) -> Stopped {
        let process = self.process;
        self.threads.iter_mut().filter(|thread| !thread.is_away).for_each(|thread| thread.detach(process));
        self.threads.retain(|thread| thread.is_away);
        self
    }

    /// Lets those go on for a moment that stand in one of `ranges`, until nobody does.
    pub(super) fn clear(&mut self, ranges: &[Range<u64>]) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for thread in self.threads.iter_mut().filter(|thread| !thread.is_away) {
            while ranges.iter().any(|range| thread.position().is_ok_and(|at| range.contains(&at))) {
                if Instant::now() > deadline {
                    return Err(io::Error::other(format!("thread {} does not leave the vDSO", thread.id)));
                }
                thread.resume()?;
                ptrace::interrupt(thread.id)?;
                if !thread.await_stop(self.process, false)? {
                    return Err(Errno::ESRCH.into());
                }
            }
        }
        Ok(())
    }

    /// Sends one thread to `function` with three arguments, of which the second is the address of `answer`'s bytes, until it
    /// waits in the loop `home`. All but the answer is as it was afterwards. It needs `STACK` bytes of stack.
    pub(super) fn send<const LENGTH: usize>(
        &mut self,
        memory: &File,
        function: u64,
        [first, third]: [u64; 2],
        home: &Range<u64>,
    ) -> io::Result<[u8; LENGTH]> {
        let process = self.process;
        let here = self.threads.iter_mut().find(|thread| !thread.is_away);
        let thread = here.ok_or_else(|| io::Error::other("every thread is waiting for a disk"))?;
        let registers = ptrace::getregs(thread.id)?;
        // Beyond the red zone. What lies below may belong to somebody else: stacks of Go are small.
        let answer = (registers.rsp - 128 - LENGTH as u64) & !15;
        let mut kept = vec![0; STACK + LENGTH];
        memory.read_exact_at(&mut kept, answer - STACK as u64)?;
        let mut sent = registers;
        (sent.rip, sent.rsp, sent.rdi, sent.rsi, sent.rdx) = (function, answer, first, answer, third);
        // It comes from no system call that could have to be started again.
        (sent.rax, sent.orig_rax) = (0, u64::MAX);
        ptrace::setregs(thread.id, sent)?;
        let mut bytes = [0; LENGTH];
        let ran = thread.run(process, home).and_then(|()| memory.read_exact_at(&mut bytes, answer));
        memory.write_all_at(&kept, answer - STACK as u64)?;
        ptrace::setregs(thread.id, registers)?;
        ran.map(|()| bytes)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // Those first that the rest of the process needs.
        self.threads.sort_by_key(|thread| thread.is_away);
        for thread in &mut self.threads {
            let is_there =
                !thread.is_away || matches!(thread.wait(self.process, None, false), Ok(Look::Stopped));
            if is_there {
                thread.detach(self.process);
            }
        }
    }
}

impl Thread {
    /// Waits until it stands still; `false` if it has ended instead.
    fn await_stop(&mut self, process: u32, may_be_away: bool) -> io::Result<bool> {
        match self.wait(process, Some(Instant::now() + PATIENCE), may_be_away)? {
            Look::Gone => Ok(false),
            Look::Moves => Err(io::Error::other(format!("thread {} does not stop", self.id))),
            look => {
                self.is_away = look == Look::Away;
                Ok(true)
            }
        }
    }

    fn wait(&mut self, process: u32, deadline: Option<Instant>, may_be_away: bool) -> io::Result<Look> {
        loop {
            match self.look(process)? {
                Look::Moves => {}
                Look::Away if !may_be_away => {}
                found => return Ok(found),
            }
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Ok(Look::Moves);
            }
            std::thread::sleep(LOOK);
        }
    }

    fn look(&mut self, process: u32) -> io::Result<Look> {
        if let Some(status) = wait_for(self.id, libc::WSTOPPED)? {
            // The low byte is a signal, the next says of what kind the stop is; without one, it is a signal on its way.
            if status >> 8 == 0 {
                self.signals.push(status & 0x7f);
            }
            return Ok(Look::Stopped);
        }
        Ok(match state(process, self.id) {
            Some('D') => Look::Away,
            Some('Z' | 'X') | None => {
                // A thread that ends under ptrace must be waited for; the first stands for the process, which others wait for.
                if self.id.as_raw().cast_unsigned() != process {
                    wait_for(self.id, libc::WEXITED)?;
                }
                Look::Gone
            }
            Some(_) => Look::Moves,
        })
    }

    fn resume(&mut self) -> io::Result<()> {
        ptrace::cont(self.id, None)?;
        self.is_away = true;
        Ok(())
    }

    fn position(&self) -> io::Result<u64> {
        Ok(ptrace::getregs(self.id)?.rip)
    }

    /// Lets it run until it waits at `home`.
    fn run(&mut self, process: u32, home: &Range<u64>) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = LOOK;
        while !home.contains(&self.position()?) {
            if Instant::now() > deadline {
                return Err(io::Error::other(format!(
                    "thread {} does not come to where it was sent",
                    self.id
                )));
            }
            self.resume()?;
            // It takes a microsecond, once it has a core.
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(2));
            // It may have stopped already, for a signal.
            ptrace::interrupt(self.id)?;
            if !self.await_stop(process, false)? {
                return Err(Errno::ESRCH.into());
            }
        }
        Ok(())
    }

    fn detach(&mut self, process: u32) {
        let mut signals = self.signals.drain(..);
        let first = signals.next().unwrap_or(0);
        // SAFETY: neither call touches memory of this process.
        unsafe {
            libc::ptrace(libc::PTRACE_DETACH, self.id.as_raw(), 0, i64::from(first));
            for signal in signals {
                libc::syscall(libc::SYS_tgkill, process, self.id.as_raw(), signal);
            }
        }
    }
}

/// Takes a thread over and asks it to stop; `false` if it has ended.
fn seize(process: u32, id: Pid) -> io::Result<bool> {
    match ptrace::seize(id, ptrace::Options::empty()).and_then(|()| ptrace::interrupt(id)) {
        Ok(()) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(_) if matches!(state(process, id), Some('Z' | 'X') | None) => Ok(false),
        Err(error) => Err(io::Error::other(format!(
            "ptrace: {error} (hint: kernel.yama.ptrace_scope must be 0 or 1, and no other debugger at work)"
        ))),
    }
}

fn threads(process: u32) -> io::Result<Vec<i32>> {
    let names = fs::read_dir(format!("/proc/{process}/task"))?;
    Ok(names.filter_map(|name| name.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// The state letter of a thread, if it is there.
fn state(process: u32, id: Pid) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{process}/task/{id}/stat")).ok()?;
    crate::clean::after_name(&stat)?.chars().next()
}

/// What a thread has to report of that kind, if anything: the status that a stop comes with.
fn wait_for(id: Pid, kind: i32) -> io::Result<Option<i32>> {
    // SAFETY: all zeros are a value of this plain structure.
    let mut report: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = kind | libc::WNOHANG | libc::__WALL;
    // SAFETY: the structure outlives the call, which fills it in.
    let done = unsafe { libc::waitid(libc::P_PID, id.as_raw().cast_unsigned(), &raw mut report, options) };
    match Errno::result(done) {
        // SAFETY: waitid has filled in a report about a child, or left all zeros.
        Ok(_) => Ok(unsafe { (report.si_pid() != 0).then(|| report.si_status()) }),
        Err(Errno::ECHILD) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
