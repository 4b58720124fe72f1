//! Load without faults and without a history: how fast a system is, and how long it takes.
//!
//! The one that measures shares its machine with the system that is measured, so it does next to nothing: bytes out,
//! bytes in, one number into a histogram. *Closed loop*: so many clients, each asking again as soon as it was answered.
//! *Open loop*: operations begin on schedule, and their latency counts from when they should have begun, so that a stall
//! shows in full (coordinated omission).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use hdrhistogram::Histogram;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep_until};

use crate::systems::Boxed;

/// Longest latency that is told from longer ones, in microseconds.
const LATENCY_MAX_US: u64 = 60_000_000;

/// Clients that share a connection, in every system: programs that want speed send the requests of many users over few
/// connections.
pub const CLIENTS_PER_CONNECTION: usize = 16;

/// What the runtime's timers are exact to.
const TIMER_TICK: Duration = Duration::from_millis(1);

/// One client's way to the node that leads, for one operation at a time.
pub trait Driver: Send {
    /// Writes a value.
    ///
    /// # Errors
    /// What the system said, or what became of the connection.
    fn put<'a>(&'a mut self, key: &'a str, value: &'a Bytes) -> Boxed<'a, Result<(), String>>;
    /// Reads a value, linearizably; it must be there.
    ///
    /// # Errors
    /// What the system said, or what became of the connection.
    fn get<'a>(&'a mut self, key: &'a str) -> Boxed<'a, Result<(), String>>;
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// Only writes.
    Write,
    /// Only reads.
    Read,
    /// As many of one as of the other.
    Mixed,
}

/// How a system is driven.
#[derive(Debug, Clone)]
pub struct BenchLoad {
    /// What is asked.
    pub mix: Mix,
    /// Operations per second; makes it an open loop.
    pub rate: Option<f64>,
    /// Bytes of a value.
    pub value_size: usize,
    /// Keys are drawn from so many, all alike.
    pub keys: usize,
    /// Seed of what is asked and when.
    pub seed: u64,
}

/// What one slice of time has shown.
#[derive(Debug, Clone)]
pub struct Slice {
    /// Operations that succeeded and ended within the slice.
    pub ok: u64,
    /// Operations that failed.
    pub errors: u64,
    /// What the first of them said.
    pub error: Option<String>,
    /// Their latencies in microseconds.
    pub latency_us: Histogram<u64>,
    /// How long it was.
    pub lasted: Duration,
}

impl Slice {
    /// Nothing yet.
    pub fn empty() -> Slice {
        let latency_us = Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).expect("the bounds are in order");
        Slice { ok: 0, errors: 0, error: None, latency_us, lasted: Duration::ZERO }
    }

    /// Takes in what another slice has shown.
    pub fn add(&mut self, other: &Slice) {
        self.ok += other.ok;
        self.errors += other.errors;
        self.error = self.error.take().or_else(|| other.error.clone());
        self.latency_us.add(&other.latency_us).expect("both have the same bounds");
        self.lasted += other.lasted;
    }

    /// Operations that succeeded, per second.
    pub fn throughput(&self) -> f64 {
        self.ok as f64 / self.lasted.as_secs_f64().max(1e-9)
    }

    fn count(&mut self, began: Instant, result: Result<(), String>) {
        match result {
            Ok(()) => {
                self.ok += 1;
                self.latency_us.saturating_record((began.elapsed().as_micros() as u64).max(1));
            }
            Err(error) => {
                self.errors += 1;
                self.error.get_or_insert(error);
            }
        }
    }
}

/// The name of a key.
fn key(number: usize) -> String {
    format!("key:{number:010}")
}

/// Gives every key a value, so that reads find one.
///
/// # Errors
/// At the first write that fails.
pub async fn fill(drivers: &mut [Box<dyn Driver>], load: &BenchLoad) -> Result<(), String> {
    let value = Bytes::from(vec![b'v'; load.value_size]);
    let count = drivers.len();
    let shares = drivers.iter_mut().enumerate().map(|(share, driver)| {
        let value = value.clone();
        async move {
            for number in (share..load.keys).step_by(count) {
                driver.put(&key(number), &value).await?;
            }
            Ok::<(), String>(())
        }
    });
    let mut shares: Vec<_> = shares.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        let mut failed = None;
        shares.retain_mut(|share| match share.as_mut().poll(context) {
            std::task::Poll::Ready(result) => {
                failed = failed.take().or(result.err());
                false
            }
            std::task::Poll::Pending => true,
        });
        match (failed, shares.is_empty()) {
            (Some(error), _) => std::task::Poll::Ready(Err(error)),
            (None, true) => std::task::Poll::Ready(Ok(())),
            (None, false) => std::task::Poll::Pending,
        }
    })
    .await
}

/// Drives a system for a while: first `warm_up`, which is not counted, then `lasts`.
pub async fn drive(
    drivers: Vec<Box<dyn Driver>>,
    load: &BenchLoad,
    warm_up: Duration,
    lasts: Duration,
) -> (Slice, Vec<Box<dyn Driver>>) {
    let begins = Instant::now() + warm_up;
    let bounds = Bounds { begins, ends: begins + lasts };
    let slice = Rc::new(RefCell::new(Slice::empty()));
    let local = LocalSet::new();
    let drivers = local
        .run_until(async {
            match load.rate {
                None => closed(drivers, load, bounds, &slice).await,
                Some(rate) => open(drivers, load, rate, bounds, &slice).await,
            }
        })
        .await;
    drop(local);
    let mut slice = Rc::try_unwrap(slice).expect("every client has ended").into_inner();
    slice.lasted = lasts;
    (slice, drivers)
}

#[derive(Clone, Copy)]
struct Bounds {
    begins: Instant,
    ends: Instant,
}

impl Bounds {
    fn contain(self, now: Instant) -> bool {
        (self.begins..self.ends).contains(&now)
    }
}

struct Asker {
    mix: Mix,
    keys: usize,
    value: Bytes,
    random: ChaCha8Rng,
}

impl Asker {
    fn new(load: &BenchLoad, number: usize) -> Asker {
        let mut random = ChaCha8Rng::seed_from_u64(load.seed);
        random.set_stream(number as u64 + 1);
        let value = Bytes::from(vec![b'v'; load.value_size]);
        Asker { mix: load.mix, keys: load.keys, value, random }
    }

    async fn ask(&mut self, driver: &mut dyn Driver) -> Result<(), String> {
        let key = key(self.random.random_range(0..self.keys));
        let writes = match self.mix {
            Mix::Write => true,
            Mix::Read => false,
            Mix::Mixed => self.random.random_bool(0.5),
        };
        match writes {
            true => driver.put(&key, &self.value).await,
            false => driver.get(&key).await,
        }
    }
}

async fn closed(
    drivers: Vec<Box<dyn Driver>>,
    load: &BenchLoad,
    bounds: Bounds,
    slice: &Rc<RefCell<Slice>>,
) -> Vec<Box<dyn Driver>> {
    let mut clients = JoinSet::new();
    for (number, mut driver) in drivers.into_iter().enumerate() {
        let (mut asker, slice) = (Asker::new(load, number), Rc::clone(slice));
        clients.spawn_local(async move {
            while Instant::now() < bounds.ends {
                let began = Instant::now();
                let result = asker.ask(&mut *driver).await;
                let failed = result.is_err();
                if bounds.contain(Instant::now()) {
                    slice.borrow_mut().count(began, result);
                }
                if failed {
                    // A connection that has failed fails again at once.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            driver
        });
    }
    clients.join_all().await
}

async fn open(
    drivers: Vec<Box<dyn Driver>>,
    load: &BenchLoad,
    rate: f64,
    bounds: Bounds,
    slice: &Rc<RefCell<Slice>>,
) -> Vec<Box<dyn Driver>> {
    let mut random = ChaCha8Rng::seed_from_u64(load.seed);
    let (back, mut returning) = tokio::sync::mpsc::unbounded_channel();
    let count = drivers.len();
    let all = drivers.into_iter().enumerate();
    let mut idle: VecDeque<(Box<dyn Driver>, Asker)> =
        all.map(|(number, driver)| (driver, Asker::new(load, number))).collect();
    let mut due = Instant::now();
    while due < bounds.ends {
        wait_until(due).await;
        while let Ok(client) = returning.try_recv() {
            idle.push_back(client);
        }
        let client = match idle.pop_front() {
            Some(client) => Some(client),
            // All are busy: the operation waits, and its waiting counts.
            None => returning.recv().await,
        };
        let Some((mut driver, mut asker)) = client else {
            break;
        };
        let (began, back, slice) = (due, back.clone(), Rc::clone(slice));
        tokio::task::spawn_local(async move {
            let result = asker.ask(&mut *driver).await;
            // An operation belongs to the time in which it was due.
            if bounds.contain(began) {
                slice.borrow_mut().count(began, result);
            }
            let _ = back.send((driver, asker));
        });
        // Independent arrivals: exponential gaps.
        due += Duration::from_secs_f64(-(1.0 - random.random::<f64>()).ln() / rate);
    }
    drop(back);
    let mut drivers: Vec<Box<dyn Driver>> = idle.into_iter().map(|(driver, _)| driver).collect();
    while drivers.len() < count
        && let Some((driver, _)) = returning.recv().await
    {
        drivers.push(driver);
    }
    drivers
}

/// Waits until it is time, to the microsecond: the runtime's own timers tick in milliseconds, which would be most of the
/// latency of a fast system.
async fn wait_until(due: Instant) {
    if due.saturating_duration_since(Instant::now()) > 2 * TIMER_TICK {
        sleep_until(due - 2 * TIMER_TICK).await;
    }
    while Instant::now() < due {
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stands still once, for a while.
    struct Stalling {
        left: u32,
    }

    impl Driver for Stalling {
        fn put<'a>(&'a mut self, _: &'a str, _: &'a Bytes) -> Boxed<'a, Result<(), String>> {
            self.left = self.left.wrapping_sub(1);
            let stalls = self.left == 0;
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(if stalls { 300 } else { 1 })).await;
                Ok(())
            })
        }

        fn get<'a>(&'a mut self, key: &'a str) -> Boxed<'a, Result<(), String>> {
            Box::pin(async move { Err(format!("there is no {key}")) })
        }
    }

    fn load(rate: Option<f64>, mix: Mix) -> BenchLoad {
        BenchLoad { mix, rate, value_size: 8, keys: 10, seed: 1 }
    }

    fn measure(load: &BenchLoad) -> Slice {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let drivers: Vec<Box<dyn Driver>> = vec![Box::new(Stalling { left: 20 })];
        runtime.block_on(drive(drivers, load, Duration::ZERO, Duration::from_millis(800))).0
    }

    /// One stall of 300 ms of a single client: a closed loop sees one slow operation, an open loop all those that
    /// should have begun meanwhile.
    #[test]
    fn an_open_loop_counts_those_that_had_to_wait() {
        let slow = |slice: &Slice| {
            let all = slice.latency_us.iter_recorded();
            all.filter(|value| value.value_iterated_to() > 50_000)
                .map(|value| value.count_at_value())
                .sum::<u64>()
        };
        let closed = measure(&load(None, Mix::Write));
        assert_eq!(slow(&closed), 1);
        let open = measure(&load(Some(200.0), Mix::Write));
        assert!(slow(&open) > 20, "{} of {} were slow", slow(&open), open.ok);
    }

    #[test]
    fn failures_are_no_throughput() {
        let failing = measure(&load(None, Mix::Read));
        assert_eq!(failing.ok, 0);
        assert!(
            failing.errors > 10 && failing.error.is_some_and(|error| error.starts_with("there is no key:"))
        );
    }
}
