//! A few clusters at a time: most of a trial is waiting, so more of them than there are cores do not disturb each other much.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

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

/// Does all tasks, `jobs` at a time, in their order; gives what came of each. Each has a thread of its own, since hosts move a thread
/// into another namespace.
///
/// # Errors
/// The first that any task has met; the others end soon then.
pub(super) fn in_parallel<T: Sync, R: Send>(
    tasks: &[T],
    jobs: usize,
    stop: &watch::Receiver<bool>,
    work: impl Fn(usize, &T, Halt) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let next = AtomicUsize::new(0);
    let (fail, failed) = watch::channel(false);
    let halt = Halt { stop: stop.clone(), failed };
    let results: Mutex<Vec<Option<R>>> = Mutex::new(tasks.iter().map(|_| None).collect());
    let first_error: Mutex<Option<Error>> = Mutex::new(None);
    let worker = || {
        while !halt.is_called() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = tasks.get(number) else { return };
            match on_own_thread(|| work(number, task, halt.clone())) {
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
        let squares = in_parallel(&[3, 1, 2], 2, &stop, |number, task, _| Ok((number, task * task)));
        assert_eq!(squares.expect("nothing fails"), [(0, 9), (1, 1), (2, 4)]);
        let failed = in_parallel(&[1, 2, 3], 1, &stop, |_, &task, _| match task {
            2 => Err(Error::Harness("two".into())),
            3 => panic!("it is not begun"),
            _ => Ok(task),
        });
        assert!(failed.is_err_and(|error| error.to_string() == "two"));
    }

    #[test]
    fn who_is_stopped_before_the_end_has_no_result() {
        let (_keep, stop) = watch::channel(true);
        let nothing = in_parallel(&[1], 1, &stop, |_, &task, _| Ok(task));
        assert_eq!(nothing.expect_err("it was stopped").to_string(), stopped().to_string());
    }
}
