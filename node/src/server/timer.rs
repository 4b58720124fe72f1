//! Waking up at a moment, to well below a millisecond.
//!
//! Tokio's own timers count in milliseconds, and round up. A member whose election timeout ends a millisecond before another's must stand
//! a millisecond before it: with ranges of a few milliseconds, members that all wake up late stand together, and votes are split.

use std::future::pending;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A timer of the kernel's.
pub(super) struct Timer(AsyncFd<Descriptor>);

struct Descriptor(TimerFd);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Timer {
    /// One that is not set. It belongs to the runtime that this is called in.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub(super) fn new() -> io::Result<Timer> {
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        // SAFETY: the descriptor belongs to what is registered, which nobody changes or takes out, so it is open for as long.
        let registered = unsafe { AsyncFd::register_with_interest(Descriptor(timer), Interest::READABLE) };
        Ok(Timer(registered?))
    }

    /// Ends when so much time has passed. Whoever drops it before may wait for another time then.
    pub(super) async fn sleep(&self, rest: Duration) {
        if rest.is_zero() {
            return;
        }
        let timer = &self.0.get_ref().0;
        // From now on, not until a moment: a clock that goes wrong in this process goes right in the kernel.
        if timer.set(Expiration::OneShot(rest.into()), TimerSetTimeFlags::empty()).is_err() {
            // The kernel counts in 64 bits of nanoseconds, as a deadline does: centuries that do not fit are not waited for.
            pending::<()>().await;
        }
        // What it says besides is how often it has gone off.
        let _ = self.0.async_io(Interest::READABLE, |timer| timer.0.wait().map_err(io::Error::from)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// So close to its moment does it go off, unless the machine is busy.
    const CLOSE: Duration = Duration::from_micros(400);

    #[tokio::test]
    async fn it_goes_off_within_a_fraction_of_a_millisecond() {
        let timer = Timer::new().expect("a timer");
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut in_a_row = 0;
        // Timers that round up to milliseconds are that close in some cases, never in twenty one after the other.
        for wait in (0..).map(|turn| Duration::from_micros(1_000 + 137 * (turn % 11))) {
            let began = Instant::now();
            timer.sleep(wait).await;
            let took = began.elapsed();
            assert!(took >= wait, "{took:?} instead of {wait:?}");
            in_a_row = if took < wait + CLOSE { in_a_row + 1 } else { 0 };
            if in_a_row == 20 {
                return;
            }
            assert!(Instant::now() < deadline, "it is never close twenty times in a row");
        }
    }

    #[tokio::test]
    async fn who_stops_waiting_waits_for_another_time_then() {
        let timer = Timer::new().expect("a timer");
        let (short, long) = (Duration::from_millis(1), Duration::from_millis(20));
        for _ in 0..3 {
            tokio::select! {
                biased;
                () = timer.sleep(Duration::from_secs(3600)) => panic!("it is not so late"),
                () = tokio::task::yield_now() => {}
            }
            let began = Instant::now();
            timer.sleep(short).await;
            assert!(began.elapsed() >= short);
            // It has gone off meanwhile, and nobody has looked.
            let pending = timer.sleep(short);
            tokio::select! {
                biased;
                () = pending => {}
                () = async { std::thread::sleep(2 * short); tokio::task::yield_now().await } => {}
            }
            let began = Instant::now();
            timer.sleep(long).await;
            assert!(began.elapsed() >= long, "what went off before is not taken for it");
            timer.sleep(Duration::ZERO).await;
        }
    }
}
