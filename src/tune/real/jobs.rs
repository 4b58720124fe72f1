//! A few clusters at a time: most of a trial is waiting, so more of them than there are cores do not disturb each other much. Those that
//! are disturbed by little have more of the machine.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

use crate::error::Error;

/// Tells a piece of work that it is to end: somebody outside wants it, or another piece has failed.
#[derive(Debug, Clone)]
pub(super) struct Halt {
    stop: watch::Receiver<bool>,
    failed: watch::Receiver<bool>,
}

impl Halt {
    fn is_called(&self) -> bool {
        *self.stop.borrow() || *self.failed.borrow()
    }

    /// Ends when it is called.
    pub(super) async fn called(mut self) {
        tokio::select! {
            () = holds(&mut self.stop) => {}
            () = holds(&mut self.failed) => {}
        }
    }
}

/// Whoever can say nothing more has not said it.
async fn holds(flag: &mut watch::Receiver<bool>) {
    if flag.wait_for(|flag| *flag).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Why nothing came of it.
pub(super) fn stopped() -> Error {
    Error::Harness("stopped before it was done".into())
}

/// With timeouts below this, a cluster has the machine to itself: elections take a few milliseconds, and so does what others do to them.
const ALONE_BELOW: Duration = Duration::from_millis(40);
/// Below this, it has half of it.
const HALF_BELOW: Duration = Duration::from_millis(150);

/// How many of `jobs` places a cluster takes whose least timeout is this. With four on two cores, 40 kills at 15ms..30ms took 24.4 ms until
/// the next heartbeat on average, and 21.1 ms with one.
pub(super) fn places(least_timeout: Duration, jobs: usize) -> usize {
    match least_timeout {
        timeout if timeout < ALONE_BELOW => jobs,
        timeout if timeout < HALF_BELOW => jobs.div_ceil(2),
        _ => 1,
    }
}

/// The places that are free, and who waits for them.
struct Places {
    free: Mutex<usize>,
    changed: Condvar,
}

impl Places {
    fn take(&self, count: usize) {
        let free = self.free.lock().expect("nobody panics with it");
        let mut free = self.changed.wait_while(free, |free| *free < count).expect("nobody panics with it");
        *free -= count;
    }

    fn give_back(&self, count: usize) {
        *self.free.lock().expect("nobody panics with it") += count;
        self.changed.notify_all();
    }
}

/// Does all tasks in their order, as many at a time as fit into `jobs` places, of which each says how many it takes; gives what came of each. Each has a thread of its own, since hosts move a thread
/// into another namespace.
///
/// # Errors
/// The first that any task has met; the others end soon then.
pub(super) fn in_parallel<T: Sync, R: Send>(
    tasks: &[T],
    (jobs, takes): (usize, impl Fn(&T) -> usize + Sync),
    stop: &watch::Receiver<bool>,
    work: impl Fn(usize, &T, Halt) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let next = AtomicUsize::new(0);
    let all = Places { free: Mutex::new(jobs), changed: Condvar::new() };
    let (fail, failed) = watch::channel(false);
    let halt = Halt { stop: stop.clone(), failed };
    let results: Mutex<Vec<Option<R>>> = Mutex::new(tasks.iter().map(|_| None).collect());
    let first_error: Mutex<Option<Error>> = Mutex::new(None);
    let worker = || {
        while !halt.is_called() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = tasks.get(number) else { return };
            let count = takes(task).min(jobs);
            all.take(count);
            let done = match halt.is_called() {
                true => Err(stopped()),
                false => on_own_thread(|| work(number, task, halt.clone())),
            };
            all.give_back(count);
            match done {
                Ok(result) => results.lock().expect("nobody panics with it")[number] = Some(result),
                Err(error) => {
                    first_error.lock().expect("nobody panics with it").get_or_insert(error);
                    fail.send_replace(true);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..jobs.min(tasks.len()) {
            scope.spawn(worker);
        }
    });
    if let Some(error) = first_error.into_inner().expect("nobody panics with it") {
        return Err(error);
    }
    let results = results.into_inner().expect("nobody panics with it");
    results.into_iter().collect::<Option<Vec<R>>>().ok_or_else(stopped)
}

fn on_own_thread<R: Send>(work: impl FnOnce() -> Result<R, Error> + Send) -> Result<R, Error> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("tune".into()).spawn_scoped(scope, work);
        let thread = thread.map_err(Error::harness)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_tasks_and_the_first_error_ends_all() {
        let (_keep, stop) = watch::channel(false);
        let squares =
            in_parallel(&[3, 1, 2], (2, |_: &i32| 1), &stop, |number, task, _| Ok((number, task * task)));
        assert_eq!(squares.expect("nothing fails"), [(0, 9), (1, 1), (2, 4)]);
        let failed = in_parallel(&[1, 2, 3], (1, |_: &i32| 1), &stop, |_, &task, _| match task {
            2 => Err(Error::Harness("two".into())),
            3 => panic!("it is not begun"),
            _ => Ok(task),
        });
        assert!(failed.is_err_and(|error| error.to_string() == "two"));
    }

    #[test]
    fn who_is_stopped_before_the_end_has_no_result() {
        let (_keep, stop) = watch::channel(true);
        let nothing = in_parallel(&[1], (1, |_: &i32| 1), &stop, |_, &task, _| Ok(task));
        assert_eq!(nothing.expect_err("it was stopped").to_string(), stopped().to_string());
    }

    #[test]
    fn no_more_places_are_taken_than_there_are() {
        let (_keep, stop) = watch::channel(false);
        let (taken, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let done = in_parallel(&[1, 4, 2, 2, 1, 9], (4, |&places: &usize| places), &stop, |_, &places, _| {
            let now = taken.fetch_add(places.min(4), Ordering::SeqCst) + places.min(4);
            most.fetch_max(now, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(2));
            taken.fetch_sub(places.min(4), Ordering::SeqCst);
            Ok(())
        });
        assert_eq!((done.expect("nothing fails").len(), most.into_inner()), (6, 4));
        assert_eq!([10, 100, 1000].map(|low| places(Duration::from_millis(low), 4)), [4, 2, 1]);
    }
}
