//! The clocks of one process: bent, read as the process reads them, and set right again.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use super::threads::Stopped;
use super::vdso::Vdso;
use super::{Change, Line, Sighting, code};

/// The widest interval in which a clock was surely read that still says something about it.
const WIDTH_MAX_NS: i64 = 500_000;
/// How often a clock is read for one narrow enough; the machine may be slow.
const READINGS_MAX: usize = 10;
/// How long a program may take to be mapped when it is started.
const START_PATIENCE: Duration = Duration::from_millis(100);
/// A monotonic clock that is ahead goes at this share of its speed until it is not.
const CATCH_UP: f64 = -0.5;

/// What a process has been told about the time. As long as nothing was done, nothing is held.
#[derive(Debug)]
pub struct ProcessClocks {
    process: u32,
    memory: File,
    vdso: Vdso,
    /// What the functions began with.
    originals: Vec<[u8; 5]>,
    in_force: Option<InForce>,
    /// Which of the two slots the next change goes into.
    next: u64,
    took: Duration,
}

/// Threads that were in the kernel when clocks were bent. Dropping this waits until they come back, and lets them go on.
#[derive(Debug)]
#[must_use]
pub struct Away {
    _threads: Stopped,
}

#[derive(Debug, Clone, Copy)]
struct InForce {
    bases: [i64; code::CLOCKS],
    wall: Line,
    monotonic: Line,
    /// The change is over, and the monotonic clock is still ahead.
    catches_up: bool,
}

impl ProcessClocks {
    /// Looks where a process reads its clocks. Does nothing to it.
    ///
    /// # Errors
    /// When it has ended, is not 64-bit, or must not be looked at.
    pub fn of(process: u32) -> io::Result<ProcessClocks> {
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            match ProcessClocks::find(process) {
                // A program that is being started has no vDSO yet.
                Err(error) if !is_gone(&error) && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_micros(200));
                }
                found => return found,
            }
        }
    }

    fn find(process: u32) -> io::Result<ProcessClocks> {
        let memory = File::options().read(true).write(true).open(format!("/proc/{process}/mem"))?;
        let vdso = Vdso::find(process, &memory)?;
        let mut originals = vec![[0; 5]; vdso.functions.len()];
        for (bytes, (address, _)) in originals.iter_mut().zip(&vdso.functions) {
            memory.read_exact_at(bytes, *address)?;
        }
        Ok(ProcessClocks { process, memory, vdso, originals, in_force: None, next: 0, took: Duration::ZERO })
    }

    /// Bends its clocks from now on; what was done to them before is over. Its monotonic clock goes on from where it is.
    ///
    /// # Errors
    /// When it has ended or cannot be stopped.
    pub fn set(&mut self, change: &Change) -> io::Result<Away> {
        let began = Instant::now();
        let mut stopped = Stopped::stop(self.process)?;
        let now = read_all();
        let ahead_ns = self.ahead_ns(&now);
        let monotonic = change.monotonic().line();
        let monotonic = Line { jump_ns: monotonic.jump_ns + ahead_ns, ..monotonic };
        let (wall, catches_up) = (change.wall().line(), false);
        self.write(&mut stopped, InForce { bases: now, wall, monotonic, catches_up })?;
        let away = Away { _threads: stopped.release() };
        self.took = began.elapsed();
        Ok(away)
    }

    /// How long it took from the last [`ProcessClocks::set`] until it was in force and the process went on.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Sets its clocks right. A monotonic clock that is ahead goes at half its speed until it is not, for it must never go
    /// back; once it is right, [`ProcessClocks::settle`] takes the last trace away.
    ///
    /// # Errors
    /// When the kernel refuses. A process that has ended does not mind.
    pub fn restore(&mut self) -> io::Result<()> {
        if self.in_force.is_none_or(|in_force| in_force.catches_up) {
            return Ok(());
        }
        match self.try_restore() {
            Err(error) if is_gone(&error) => Ok(()),
            done => done,
        }
    }

    fn try_restore(&mut self) -> io::Result<()> {
        let mut stopped = Stopped::stop(self.process)?;
        let now = read_all();
        let jump_ns = self.ahead_ns(&now);
        if jump_ns <= 0 {
            return self.write_originals(&mut stopped);
        }
        let monotonic = Line { jump_ns, floor_ns: 0, ..Line::skew(CATCH_UP) };
        self.write(&mut stopped, InForce { bases: now, wall: Line::TRUE, monotonic, catches_up: true })
    }

    /// Takes the last trace away if nothing is bent any more.
    pub fn settle(&mut self) {
        let is_right = |in_force: &InForce| in_force.catches_up && self.ahead_ns(&read_all()) == 0;
        if self.in_force.as_ref().is_some_and(is_right) {
            // The clocks are right already; if this fails, they are so by way of the code.
            let _ = Stopped::stop(self.process).and_then(|mut stopped| self.write_originals(&mut stopped));
            self.in_force = None;
        }
    }

    /// Whether its functions are what they were.
    pub fn are_original(&self) -> bool {
        self.in_force.is_none()
    }

    /// Makes the process read its clocks, wall and monotonic, and says what it saw.
    ///
    /// # Errors
    /// When it has ended, or no thread of it can.
    pub fn look(&mut self) -> io::Result<[Sighting; 2]> {
        let mut stopped = Stopped::stop(self.process)?;
        let wall = self.look_at(&mut stopped, ClockId::CLOCK_REALTIME)?;
        let monotonic = self.look_at(&mut stopped, ClockId::CLOCK_MONOTONIC)?;
        Ok([wall, monotonic])
    }

    fn look_at(&mut self, stopped: &mut Stopped, clock: ClockId) -> io::Result<Sighting> {
        let function = self.vdso.functions[0].0;
        // Where the code waits; the slot that is in use, if one is.
        let slot = self.slot(self.next ^ 1);
        let home = slot + code::WAIT..slot + code::WAIT + 4;
        if self.in_force.is_none() {
            self.memory.write_all_at(&code::CODE, slot)?;
        }
        let number = clock.as_raw();
        let mut best: Option<Sighting> = None;
        for _ in 0..READINGS_MAX {
            let arguments = [number as u64, function];
            let answers: [u8; 48] = stopped.send(&self.memory, slot + code::LOOK, arguments, &home)?;
            let word = |from: usize| i64::from_le_bytes(answers[from..from + 8].try_into().expect("8 bytes"));
            let [before_ns, read_ns, after_ns] =
                [0, 16, 32].map(|from| word(from) * 1_000_000_000 + word(from + 8));
            let meant = |now: i64| now + self.meant_ns(number as usize, now);
            let (one, other) = (meant(before_ns), meant(after_ns));
            let sighting = Sighting {
                seen_ns: read_ns - before_ns.midpoint(after_ns),
                uncertain_ns: after_ns - before_ns,
                off_ns: (one.min(other) - read_ns).max(read_ns - one.max(other)).max(0),
            };
            if best.is_none_or(|best| sighting.uncertain_ns < best.uncertain_ns) {
                best = Some(sighting);
            }
            if sighting.uncertain_ns <= WIDTH_MAX_NS {
                break;
            }
        }
        Ok(best.expect("it was read at least once"))
    }

    /// What is added to a clock that would read `now` without.
    fn meant_ns(&self, clock: usize, now: i64) -> i64 {
        self.in_force.map_or(0, |InForce { bases, wall, monotonic, .. }| {
            let line = if is_wall(clock) { wall } else { monotonic };
            if bases[clock] == 0 { 0 } else { line.shift_ns(now - bases[clock]) }
        })
    }

    /// How far its monotonic clock is ahead.
    fn ahead_ns(&self, now: &[i64; code::CLOCKS]) -> i64 {
        let monotonic = ClockId::CLOCK_MONOTONIC.as_raw() as usize;
        self.meant_ns(monotonic, now[monotonic])
    }

    fn slot(&self, number: u64) -> u64 {
        self.vdso.room + number * code::SLOT
    }

    /// Code and table first, into the slot that nobody is in; then the jumps.
    fn write(&mut self, stopped: &mut Stopped, mut in_force: InForce) -> io::Result<()> {
        let slot = self.slot(self.next);
        let range = slot..slot + code::SLOT;
        stopped.clear(std::slice::from_ref(&range))?;
        for (clock, base) in in_force.bases.iter_mut().enumerate() {
            let line = if is_wall(clock) { &in_force.wall } else { &in_force.monotonic };
            if *line == Line::TRUE {
                *base = 0;
            }
        }
        let mut bytes = code::CODE.to_vec();
        bytes.extend(code::table(&in_force.bases, &in_force.wall, &in_force.monotonic));
        self.memory.write_all_at(&bytes, slot)?;
        let jump = |&(address, offset): &(u64, u64)| code::jump(address, slot + offset);
        let jumps: Vec<[u8; 5]> = self.vdso.functions.iter().map(jump).collect();
        // Should a jump not be written, the others are not left either.
        let written = self.begin_with(stopped, &jumps);
        if written.is_err() {
            self.begin_with(stopped, &self.originals)?;
        }
        written?;
        (self.in_force, self.next) = (Some(in_force), self.next ^ 1);
        Ok(())
    }

    /// The code stays where it is, for a thread may be in it yet; nobody enters it any more.
    fn write_originals(&mut self, stopped: &mut Stopped) -> io::Result<()> {
        self.begin_with(stopped, &self.originals)?;
        self.in_force = None;
        Ok(())
    }

    fn begin_with(&self, stopped: &mut Stopped, beginnings: &[[u8; 5]]) -> io::Result<()> {
        let functions = || self.vdso.functions.iter().map(|(address, _)| *address);
        // Who stands at the very start has done nothing yet.
        stopped.clear(&functions().map(|address| address + 1..address + 5).collect::<Vec<_>>())?;
        functions().zip(beginnings).try_for_each(|(address, bytes)| self.memory.write_all_at(bytes, address))
    }
}

fn is_wall(clock: usize) -> bool {
    1 << clock & code::WALL_CLOCKS != 0
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENOENT))
}

/// What every clock of this machine reads, 0 for those that there are none of.
fn read_all() -> [i64; code::CLOCKS] {
    let mut now = [0; code::CLOCKS];
    for (clock, now) in now.iter_mut().enumerate().filter(|(clock, _)| code::BENT_CLOCKS & 1 << clock != 0) {
        *now = read(clock as i32);
    }
    // Coarse clocks stand still for milliseconds, and are meant to be the same.
    let number = |clock: ClockId| clock.as_raw() as usize;
    now[number(ClockId::CLOCK_REALTIME_COARSE)] = now[number(ClockId::CLOCK_REALTIME)];
    now[number(ClockId::CLOCK_MONOTONIC_COARSE)] = now[number(ClockId::CLOCK_MONOTONIC)];
    now
}

fn read(clock: i32) -> i64 {
    clock_gettime(ClockId::from_raw(clock)).map_or(0, |now| now.tv_sec() * 1_000_000_000 + now.tv_nsec())
}
