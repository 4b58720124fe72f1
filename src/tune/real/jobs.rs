//! A few clusters at a time: most of a trial is waiting, so more of them than there are cores do not disturb each other much. Those that
//! are disturbed by little have more of the machine, and those that do little less.

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
/// From here on two share a place: they do little, and bear a lot.
const LITTLE_FROM: Duration = Duration::from_millis(300);
/// Places are counted in halves.
const WHOLE: usize = 2;

/// How many half places, of those that `jobs` clusters have, one with this least timeout takes. With four clusters on two cores, 40 kills at
/// 15ms..30ms took 24.4 ms until the next heartbeat on average, and 21.1 ms with one.
pub(super) fn places(least_timeout: Duration, jobs: usize) -> usize {
    match least_timeout {
        timeout if timeout < ALONE_BELOW => jobs * WHOLE,
        timeout if timeout < HALF_BELOW => (jobs * WHOLE).div_ceil(2).max(WHOLE),
        timeout if timeout < LITTLE_FROM => WHOLE,
        _ => 1,
    }
}

/// Whether somebody who takes so much keeps others waiting who would fit in otherwise.
pub(super) fn is_much(places: usize) -> bool {
    places > WHOLE
}

/// Which task is next, and the half places that are free for it. Nobody is begun before those in front of it: whoever needs the whole machine
/// would wait for ever.
struct Queue {
    next: usize,
    free: usize,
}

/// Does all tasks in their order, as many at a time as fit into `jobs` places, of which each says how many halves it takes; gives what came
/// of each. Each has a thread of its own, since hosts move a thread into another namespace.
///
/// # Errors
/// The first that any task has met; the others end soon then.
pub(super) fn in_parallel<T: Sync, R: Send>(
    tasks: &[T],
    (jobs, takes): (usize, impl Fn(&T) -> usize + Sync),
    stop: &watch::Receiver<bool>,
    work: impl Fn(usize, &T, Halt) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let places = jobs * WHOLE;
    let takes = |task: &T| takes(task).min(places);
    let (queue, changed) = (Mutex::new(Queue { next: 0, free: places }), Condvar::new());
    let (fail, failed) = watch::channel(false);
    let halt = Halt { stop: stop.clone(), failed };
    let results: Mutex<Vec<Option<R>>> = Mutex::new(tasks.iter().map(|_| None).collect());
    let first_error: Mutex<Option<Error>> = Mutex::new(None);
    let begin = || {
        let must_wait =
            |queue: &mut Queue| tasks.get(queue.next).is_some_and(|task| takes(task) > queue.free);
        let queue = queue.lock().expect("nobody panics with it");
        let mut queue = changed.wait_while(queue, must_wait).expect("nobody panics with it");
        let number = queue.next;
        let task = tasks.get(number)?;
        queue.next += 1;
        queue.free -= takes(task);
        // The one behind it may fit as well.
        changed.notify_all();
        Some((number, task))
    };
    let worker = || {
        while let Some((number, task)) = begin() {
            let done = match halt.is_called() {
                true => Err(stopped()),
                false => on_own_thread(|| work(number, task, halt.clone())),
            };
            match done {
                Ok(result) => results.lock().expect("nobody panics with it")[number] = Some(result),
                Err(error) => {
                    first_error.lock().expect("nobody panics with it").get_or_insert(error);
                    fail.send_replace(true);
                }
            }
            queue.lock().expect("nobody panics with it").free += takes(task);
            changed.notify_all();
        }
    };
    thread::scope(|scope| {
        for _ in 0..places.min(tasks.len()) {
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_tasks_and_the_first_error_ends_all() {
        let (_keep, stop) = watch::channel(false);
        let squares =
            in_parallel(&[3, 1, 2], (2, |_: &i32| 1), &stop, |number, task, _| Ok((number, task * task)));
        assert_eq!(squares.expect("nothing fails"), [(0, 9), (1, 1), (2, 4)]);
        let failed = in_parallel(&[1, 2, 3], (1, |_: &i32| WHOLE), &stop, |_, &task, _| match task {
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
    fn no_more_places_are_taken_than_there_are_and_nobody_is_passed_over() {
        let (_keep, stop) = watch::channel(false);
        let (taken, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let begun = Mutex::new(Vec::new());
        let tasks = [1, 4, 2, 2, 1, 9];
        let done = in_parallel(&tasks, (2, |&places: &usize| places), &stop, |number, &places, _| {
            begun.lock().expect("nobody panics").push(number);
            let now = taken.fetch_add(places.min(4), Ordering::SeqCst) + places.min(4);
            most.fetch_max(now, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(2));
            taken.fetch_sub(places.min(4), Ordering::SeqCst);
            Ok(())
        });
        assert_eq!((done.expect("nothing fails").len(), most.into_inner()), (6, 4));
        let begun = begun.into_inner().expect("nobody panicked");
        let place = |number| begun.iter().position(|&other| other == number).expect("it was begun");
        // Those of one moment may begin in any order.
        assert!(place(0) == 0 && place(1) == 1 && place(4) > place(1) && place(5) == 5, "{begun:?}");
        assert_eq!([10, 100, 200, 1000].map(|low| places(Duration::from_millis(low), 4)), [8, 4, 2, 1]);
        assert_eq!([10, 100, 200, 1000].map(|low| places(Duration::from_millis(low), 1)), [2, 2, 2, 1]);
    }
}
