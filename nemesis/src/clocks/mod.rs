//! Faults of clocks: what becomes of the wall clock and of the monotonic clock of an unmodified process.
//!
//! In reading order: here it is as data, drawn from a seed; [`ProcessClocks`] does it; `code` is what it writes, `vdso` finds the
//! place, `threads` makes the process stand still meanwhile. Programs read clocks through the vDSO, a few functions that the kernel maps
//! into each of them. Their beginnings are overwritten with jumps, in that one process only (the pages are copied on the
//! first write). What bypasses them is not bent: direct system calls, and the kernel's own timers. A process that is started again has a fresh
//! vDSO, and one whose controller was killed is gone with it, so nothing is ever left.
//!
//! A monotonic clock never goes back, whatever is done to it, for programs are promised that much: it jumps forward, goes too fast or too
//! slowly, and if it is ahead at the end, it goes at half its speed until it is not.

use std::fmt;
use std::io::Read;
use std::ops::RangeInclusive;
use std::process::{Command, Stdio};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::fault::{Shape, Strength};

#[cfg(target_arch = "x86_64")]
mod code;
#[cfg(target_arch = "x86_64")]
mod process;
#[cfg(not(target_arch = "x86_64"))]
#[path = "elsewhere.rs"]
mod process;
#[cfg(target_arch = "x86_64")]
mod threads;
#[cfg(target_arch = "x86_64")]
mod vdso;

pub use process::{Away, ProcessClocks};

/// How long a clock that goes at a wrong speed is left alone before it is looked at.
pub const SKEW_SHOWS_AFTER_MS: u64 = 25;
/// How far what a process reads may be from what is meant, by [`Sighting::off_ns`] and [`Sighting::uncertain_ns`] together.
pub const EXACT_NS: i64 = 1_000_000;

/// Turns of a strobe: 8 to 134 ms.
const STROBES: RangeInclusive<u8> = 23..=27;
/// Turns of a sway: 67 to 537 ms, about what election timeouts are.
const SWAYS: RangeInclusive<u8> = 26..=29;

/// What becomes of one clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Course {
    /// Nothing.
    True,
    /// It is off by so many nanoseconds.
    Jump(i64),
    /// It gains so much: 0.1 is 10 % too fast, -0.1 is 10 % too slow.
    Skew(f64),
    /// It jumps by so many nanoseconds and back, in turns of two to that power of nanoseconds.
    Strobe(i64, u8),
    /// It goes too fast and too slowly by that share, in turns of two to that power of nanoseconds.
    Sway(f64, u8),
}

/// What becomes of the clocks of a process.
///
/// 1. Some clock is bent.
/// 2. The monotonic one never goes back: it jumps forward only, has no strobe, and loses less than all of its speed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    wall: Course,
    monotonic: Course,
}

/// What a process saw of one of its clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// By how much it is ahead of the machine's.
    pub seen_ns: i64,
    /// It was read somewhere in an interval of this length.
    pub uncertain_ns: i64,
    /// How far outside of what is meant for that interval.
    pub off_ns: i64,
}

/// A course as the code follows it; `code` says what each field does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    fold: i64,
    mask: i64,
    /// 32 bits of it are a fraction.
    rate: i64,
    jump_ns: i64,
    gate: i64,
    floor_ns: i64,
}

impl Change {
    /// A change of both clocks.
    ///
    /// # Panics
    /// When it is none, or a monotonic clock would go back.
    pub fn new(wall: Course, monotonic: Course) -> Change {
        assert!((wall, monotonic) != (Course::True, Course::True), "a change changes something");
        let goes_on = match monotonic {
            Course::True => true,
            Course::Jump(by_ns) => by_ns >= 0,
            Course::Skew(rate) => rate > -1.0,
            Course::Sway(rate, _) => rate.abs() < 1.0,
            Course::Strobe(..) => false,
        };
        assert!(goes_on, "a monotonic clock does not go back: {monotonic:?}");
        Change { wall, monotonic }
    }

    /// Draws one: of the wall clock, of the monotonic clock, or of both. A wall clock may be anything from ten milliseconds to
    /// ten minutes off, for what depends on it may fail by little or by much. Either goes 10 to 50 % too fast or too slowly: enough to end a
    /// lease of a second or two while others still trust in it.
    pub fn draw(random: &mut ChaCha8Rng) -> Change {
        let (wall, monotonic) =
            [(true, false), (true, false), (false, true), (true, true)][random.random_range(0..4)];
        let wall = if wall { Course::draw_wall(random) } else { Course::True };
        let monotonic = if monotonic { Course::draw_monotonic(random) } else { Course::True };
        Change { wall, monotonic }
    }

    /// One of that shape, as bad as was asked for, or as the dice say.
    ///
    /// # Panics
    /// When it is no shape of clocks.
    pub fn shaped(shape: Shape, strength: Option<Strength>, random: &mut ChaCha8Rng) -> Change {
        let sign = if random.random_bool(0.5) { 1 } else { -1 };
        let jump_ns = |drawn_ns: i64| match strength {
            Some(Strength::Micros(micros)) => micros.cast_signed() * 1000,
            _ => drawn_ns,
        };
        let rate = |drawn: f64| match strength {
            Some(Strength::Millionths(share)) => f64::from(share) / 1e6 * f64::from(sign as i32),
            _ => drawn,
        };
        let (wall, monotonic) = match shape {
            Shape::WallJump => (Course::Jump(sign * jump_ns(draw_ns(10.0, 600_000.0, random))), Course::True),
            Shape::WallSkew => (Course::Skew(rate(draw_rate(random))), Course::True),
            Shape::WallStrobe => {
                let by_ns = sign * jump_ns(draw_ns(10.0, 60_000.0, random));
                (Course::Strobe(by_ns, random.random_range(STROBES)), Course::True)
            }
            Shape::MonotonicJump => (Course::True, Course::Jump(jump_ns(draw_ns(10.0, 3000.0, random)))),
            Shape::MonotonicSkew => (Course::True, Course::Skew(rate(draw_rate(random)))),
            Shape::MonotonicSway => {
                (Course::True, Course::Sway(rate(draw_rate(random)), random.random_range(SWAYS)))
            }
            other => panic!("no fault of clocks has the shape `{other}`"),
        };
        Change { wall, monotonic }
    }

    /// What becomes of the wall clock.
    pub fn wall(&self) -> Course {
        self.wall
    }

    /// What becomes of the monotonic clock.
    pub fn monotonic(&self) -> Course {
        self.monotonic
    }

    /// Whether it takes a while until anything can be seen of it.
    pub fn is_gradual(&self) -> bool {
        [self.wall, self.monotonic].iter().any(|course| matches!(course, Course::Skew(_) | Course::Sway(..)))
    }

    /// Whether a process saw what was meant; what it saw, in words.
    ///
    /// # Errors
    /// What it saw, and that it is not what was meant.
    pub fn judge(&self, [wall, monotonic]: [Sighting; 2]) -> Result<String, String> {
        let words = |name: &str, sighting: Sighting, course: Course| {
            let seen = match course {
                Course::True => "is right".to_owned(),
                _ => format!("reads {:+.3} ms", sighting.seen_ns as f64 / 1e6),
            };
            let exact_ms = (sighting.uncertain_ns + sighting.off_ns) as f64 / 1e6;
            format!("{name} {seen} (to {exact_ms:.3} ms)")
        };
        let text = format!(
            "{}, {}",
            words("wall clock", wall, self.wall),
            words("monotonic clock", monotonic, self.monotonic)
        );
        let is_exact = |sighting: Sighting| sighting.uncertain_ns + sighting.off_ns < EXACT_NS;
        let shows = |sighting: Sighting, course: Course| match course {
            Course::Jump(_) | Course::Skew(_) => sighting.seen_ns.abs() > sighting.uncertain_ns,
            // They have turns in which nothing is to be seen.
            Course::True | Course::Strobe(..) | Course::Sway(..) => true,
        };
        match is_exact(wall)
            && is_exact(monotonic)
            && shows(wall, self.wall)
            && shows(monotonic, self.monotonic)
        {
            true => Ok(text),
            false => Err(format!("{text}, which is not as meant")),
        }
    }
}

impl Course {
    fn draw_wall(random: &mut ChaCha8Rng) -> Course {
        match random.random_range(0..4) {
            0 | 1 => {
                let by_ns = draw_ns(10.0, 600_000.0, random);
                Course::Jump(if random.random_bool(0.5) { by_ns } else { -by_ns })
            }
            2 => Course::Skew(draw_rate(random)),
            _ => {
                let by_ns = draw_ns(10.0, 60_000.0, random);
                let by_ns = if random.random_bool(0.5) { by_ns } else { -by_ns };
                Course::Strobe(by_ns, random.random_range(STROBES))
            }
        }
    }

    /// A jump is small enough to be caught up with in seconds.
    fn draw_monotonic(random: &mut ChaCha8Rng) -> Course {
        match random.random_range(0..4) {
            0 => Course::Jump(draw_ns(10.0, 3000.0, random)),
            1 | 2 => Course::Skew(draw_rate(random)),
            _ => Course::Sway(draw_rate(random), random.random_range(SWAYS)),
        }
    }

    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "there is no code to follow it"))]
    fn line(self) -> Line {
        let turn = |power: u8| 1i64 << power;
        match self {
            Course::True => Line::TRUE,
            Course::Jump(jump_ns) => Line { jump_ns, ..Line::TRUE },
            Course::Skew(rate) => Line::skew(rate),
            Course::Strobe(jump_ns, power) => Line { jump_ns, gate: turn(power), ..Line::TRUE },
            Course::Sway(rate, power) => {
                Line { fold: turn(power), mask: turn(power) - 1, ..Line::skew(rate) }
            }
        }
    }
}

impl Line {
    const TRUE: Line = Line { fold: 0, mask: -1, rate: 0, jump_ns: 0, gate: 0, floor_ns: i64::MIN };

    fn skew(rate: f64) -> Line {
        Line { rate: (rate * f64::from(1u32 << 31) * 2.0) as i64, ..Line::TRUE }
    }

    /// What is added after so much time: the same as `code` does, for whoever wants to know what is meant.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "there is no code to follow it"))]
    fn shift_ns(&self, passed_ns: i64) -> i64 {
        let folded = if passed_ns & self.fold == 0 { passed_ns } else { !passed_ns } & self.mask;
        let gained = ((i128::from(folded) * i128::from(self.rate)) >> 32) as i64;
        let shift = if passed_ns & self.gate == 0 { gained + self.jump_ns } else { 0 };
        shift.max(self.floor_ns)
    }
}

/// Between two numbers of milliseconds, small ones as often as large ones.
fn draw_ns(low_ms: f64, high_ms: f64, random: &mut ChaCha8Rng) -> i64 {
    random.random_range(low_ms.ln()..high_ms.ln()).exp() as i64 * 1_000_000
}

/// 10 to 50 %, in either direction.
fn draw_rate(random: &mut ChaCha8Rng) -> f64 {
    let rate = f64::from(random.random_range(100..=500)) / 1000.0;
    if random.random_bool(0.5) { rate } else { -rate }
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let speed = |rate: f64| if rate < 0.0 { "slow" } else { "fast" };
        let turn_ms = |power: u8| (1i64 << power) as f64 / 1e6;
        match *self {
            Course::True => write!(f, "right"),
            Course::Jump(by_ns) => write!(f, "{:+.3} s", by_ns as f64 / 1e9),
            Course::Skew(rate) => write!(f, "{:.1} % {}", rate.abs() * 100.0, speed(rate)),
            Course::Strobe(by_ns, power) => {
                write!(f, "{:+.3} s and back, {:.0} ms each", by_ns as f64 / 1e9, turn_ms(power))
            }
            Course::Sway(rate, power) => {
                let (one, other) = (speed(rate), speed(-rate));
                write!(
                    f,
                    "{:.1} % {one} and {other} by turns, {:.0} ms each",
                    rate.abs() * 100.0,
                    turn_ms(power)
                )
            }
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.wall, self.monotonic) {
            (wall, Course::True) => write!(f, "wall clock {wall}"),
            (Course::True, monotonic) => write!(f, "monotonic clock {monotonic}"),
            (wall, monotonic) => write!(f, "wall clock {wall}, monotonic clock {monotonic}"),
        }
    }
}

/// Tries it on a process that does nothing.
///
/// # Errors
/// Why it does not work here.
pub fn check() -> Result<String, String> {
    let mut command = Command::new("/bin/sh");
    let waiting = command.args(["-c", "echo here; read line"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = waiting.spawn().map_err(|error| format!("/bin/sh: {error}"))?;
    // Until it has said something, it may not be that program yet.
    let said = child.stdout.as_mut().map(|output| output.read_exact(&mut [0]));
    let tried = match said {
        Some(Ok(())) => try_on(child.id()),
        _ => Err("/bin/sh says nothing".into()),
    };
    // It waits for a line, and would go with this process in any case.
    let _ = child.kill().and_then(|()| child.wait());
    tried
}

fn try_on(process: u32) -> Result<String, String> {
    let change = Change::new(Course::Jump(5_000_000_000), Course::Jump(1_000_000_000));
    let tried = ProcessClocks::of(process).and_then(|mut clocks| {
        drop(clocks.set(&change)?);
        let took = clocks.took();
        let seen = clocks.look()?;
        clocks.restore()?;
        Ok((took, seen))
    });
    let (took, seen) = tried.map_err(|error| error.to_string())?;
    change.judge(seen).map(|_| format!("a process was told another time in {took:.1?}"))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_line_adds_what_its_course_says() {
        let shift =
            |course: Course, passed_ms: i64| course.line().shift_ns(passed_ms * 1_000_000) / 1_000_000;
        assert_eq!(shift(Course::Jump(-7_000_000), 1000), -7);
        assert_eq!(
            (shift(Course::Skew(0.25), 1000), shift(Course::Skew(-0.5), 3_600_000)),
            (250, -1_800_000)
        );
        let strobe = Course::Strobe(50_000_000, 24); // 16.8 ms
        assert_eq!([1, 16, 17, 33, 34].map(|ms| shift(strobe, ms)), [50, 50, 0, 0, 50]);
        let sway = Course::Sway(0.5, 27); // 134 ms
        assert_eq!([0, 100, 134, 168, 268, 369].map(|ms| shift(sway, ms)), [0, 50, 67, 50, 0, 50]);
    }

    #[test]
    fn what_is_drawn_keeps_its_promises_and_all_kinds_come() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let drawn: Vec<Change> = (0..1000).map(|_| Change::draw(&mut random)).collect();
        assert!(drawn.iter().all(|change| Change::new(change.wall, change.monotonic) == *change));
        for word in
            ["wall clock +", "wall clock -", "fast", "slow", "and back", "by turns", "monotonic clock +"]
        {
            assert!(drawn.iter().any(|change| change.to_string().contains(word)), "{word}");
        }
        let change = Change::new(Course::Jump(12_300_000_000), Course::Skew(-0.123));
        assert_eq!(change.to_string(), "wall clock +12.300 s, monotonic clock 12.3 % slow");
    }

    #[test]
    #[should_panic(expected = "does not go back")]
    fn a_monotonic_clock_is_not_sent_back() {
        let _ = Change::new(Course::True, Course::Jump(-1));
    }
}
