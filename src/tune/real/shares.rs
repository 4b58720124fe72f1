//! What one timing has to go through, shared among a few clusters so that none keeps all others waiting at the end; and what came of them, put
//! together again.

use std::cmp::Reverse;
use std::ops::Range;
use std::time::Duration;

use rafture_reports::results::Lateness;
use rafture_reports::tune::Timing;
use tokio::sync::watch;

use super::jobs::{Halt, in_parallel, is_much, places};
use super::{Measured, told, unsteady};
use crate::error::Error;

/// A share lasts about so long.
const SHARE_LASTS: Duration = Duration::from_secs(60);
/// What a trial takes beside waiting for elections.
const TRIAL_LASTS: Duration = Duration::from_millis(100);
/// Whoever sleeps wakes up too late by more than this share of the least timeout, in one case of a hundred: figures are not trusted then.
const LATENESS_SHARE_MAX: f64 = 0.1;

/// One cluster's work.
pub(super) struct Task {
    /// The place of the timing.
    pub(super) candidate: usize,
    pub(super) timing: Timing,
    /// Which of the shares of this timing it is.
    pub(super) share: usize,
    /// Numbers of the trials.
    pub(super) numbers: Range<u64>,
    /// Disks must be mounted before nodes start, so those that are to be slow have a cluster of their own.
    pub(super) has_slow_disks: bool,
}

impl Task {
    /// The shares of so many trials, each of which is one failure of each of so many kinds.
    pub(super) fn shares(candidate: usize, timing: Timing, (trials, kinds): (u64, u64)) -> Vec<Task> {
        let all = lasts(&timing) * (trials * kinds) as u32;
        let count = (all.as_secs_f64() / SHARE_LASTS.as_secs_f64()).ceil() as u64;
        let count = count.clamp(1, trials.max(1));
        let bounds = |share: u64| share * trials / count..(share + 1) * trials / count;
        (0..count)
            .map(|share| Task {
                candidate,
                timing,
                share: share as usize,
                numbers: bounds(share),
                has_slow_disks: false,
            })
            .collect()
    }

    /// The half places that it takes.
    pub(super) fn places(&self, jobs: usize) -> usize {
        // Nothing is timed where disks are slow, and they keep nobody else waiting.
        let least = if self.has_slow_disks { Duration::MAX } else { told(&self.timing).election_timeout.0 };
        places(least, jobs)
    }
}

/// Does all tasks, a few at a time; gives what came of each timing, in their order.
///
/// # Errors
/// The first that any task has met.
pub(super) fn all_together(
    timings: &[Timing],
    tasks: Vec<Task>,
    jobs: usize,
    stop: &watch::Receiver<bool>,
    work: impl Fn(usize, &Task, Halt) -> Result<Found, Error> + Sync,
) -> Result<Vec<Measured>, Error> {
    let tasks = in_good_order(tasks, jobs);
    let done = in_parallel(&tasks, (jobs, |task: &Task| task.places(jobs)), stop, work)?;
    let mut found: Vec<Found> = timings.iter().map(|_| Found::default()).collect();
    tasks.iter().zip(done).for_each(|(task, done)| found[task.candidate].add(done));
    Ok(timings.iter().zip(found).map(|(timing, found)| found.told(timing)).collect())
}

/// Those that need more of the machine than others first, since others fill well what is left at the end; then those that last longest.
fn in_good_order(mut tasks: Vec<Task>, jobs: usize) -> Vec<Task> {
    let lasts = |task: &Task| lasts(&task.timing) * (task.numbers.end - task.numbers.start) as u32;
    tasks.sort_by_key(|task| Reverse((is_much(task.places(jobs)), lasts(task))));
    tasks
}

/// About how long a trial lasts, from one cluster that is well to the next. The narrower a range, the more votes are split.
fn lasts(timing: &Timing) -> Duration {
    let (low, high) = told(timing).election_timeout;
    let splits = high.as_secs_f64() / (high - low).max(Duration::from_micros(1)).as_secs_f64() / 20.0;
    TRIAL_LASTS + high.mul_f64(1.25 * (1.0 + splits))
}

/// What came of one cluster, or of a few with the same timing.
#[derive(Default)]
pub(super) struct Found {
    pub(super) measured: Measured,
    /// Trials that were begun again.
    pub(super) again: u64,
    /// Trials that could not be had.
    pub(super) missed: u64,
    /// How late sleepers woke up, at worst.
    pub(super) lateness: Option<Lateness>,
}

impl Found {
    pub(super) fn add(&mut self, other: Found) {
        let Measured { trials, steady, warnings } = other.measured;
        self.measured.trials.extend(trials);
        self.measured.steady.extend(steady);
        self.measured.warnings.extend(warnings);
        self.again += other.again;
        self.missed += other.missed;
        let worse = |one: Lateness, other: Lateness| if one.p99_ms < other.p99_ms { other } else { one };
        self.lateness = match (self.lateness, other.lateness) {
            (Some(one), Some(other)) => Some(worse(one, other)),
            (one, other) => one.or(other),
        };
    }

    /// With a sentence for whatever makes figures less than they seem.
    pub(super) fn told(self, timing: &Timing) -> Measured {
        let Found { mut measured, again, missed, lateness } = self;
        if missed > 0 {
            measured.warnings.push(unsteady(&counted(missed)));
        }
        if again > 0 {
            measured.warnings.push(format!(
                "{} begun again: somebody stood for election before anything was done to the leader, or the failure was not seen to bite",
                counted(again)
            ));
        }
        measured.warnings.extend(lateness.and_then(|lateness| too_late(lateness, timing)));
        measured
    }
}

fn counted(trials: u64) -> String {
    if trials == 1 { "one trial was".into() } else { format!("{trials} trials were") }
}

/// Says so if the machine was too busy.
fn too_late(lateness: Lateness, timing: &Timing) -> Option<String> {
    let bound_ms = LATENESS_SHARE_MAX * timing.election_timeout_ms[0];
    (lateness.p99_ms > bound_ms).then(|| {
        format!(
            "the machine was busy: one sleeper in a hundred woke up more than {:.1} ms late, and {bound_ms:.1} ms is what figures for these timeouts bear",
            lateness.p99_ms
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(low: f64, high: f64) -> Timing {
        Timing { heartbeat_ms: low / 5.0, election_timeout_ms: [low, high] }
    }

    #[test]
    fn shares_are_all_trials_and_each_only_once() {
        let shares = |timing, trials| -> Vec<(u64, u64)> {
            Task::shares(3, timing, (trials, 4))
                .into_iter()
                .map(|task| (task.numbers.start, task.numbers.end))
                .collect()
        };
        assert_eq!(shares(timing(100.0, 200.0), 10), [(0, 10)], "it is over soon");
        let long = shares(timing(1000.0, 2000.0), 50);
        assert!(long.len() > 4 && long.len() <= 50, "{long:?}");
        let all: Vec<u64> = long.iter().flat_map(|&(begin, end)| begin..end).collect();
        assert_eq!(all, (0..50).collect::<Vec<u64>>());
        assert_eq!(shares(timing(60_000.0, 90_000.0), 2), [(0, 1), (1, 2)], "a trial is not divided");
        assert_eq!(shares(timing(1000.0, 2000.0), 0), [(0, 0)]);
        let narrow = Task::shares(0, timing(150.0, 151.0), (200, 1)).len();
        let wide = Task::shares(0, timing(150.0, 300.0), (200, 1)).len();
        assert!(narrow > wide, "{narrow} and {wide}");
    }

    #[test]
    fn what_fills_the_machine_comes_first_and_then_what_lasts_longest() {
        let timings = [(15.0, 30.0), (1000.0, 2000.0), (50.0, 100.0), (400.0, 800.0)];
        let tasks = (0..).zip(timings).map(|(candidate, (low, high))| Task {
            numbers: 0..10,
            ..Task::shares(candidate, timing(low, high), (1, 1)).remove(0)
        });
        let order: Vec<usize> = in_good_order(tasks.collect(), 4).iter().map(|task| task.candidate).collect();
        assert_eq!(order, [2, 0, 1, 3]);
    }

    #[test]
    fn what_came_of_a_few_clusters_is_told_once() {
        let lateness = |p99_ms| Some(Lateness { p99_ms, max_ms: 50.0 });
        let one =
            |again, missed, p99_ms| Found { again, missed, lateness: lateness(p99_ms), ..Found::default() };
        let mut found = Found::default();
        [one(1, 0, 2.0), one(2, 3, 20.0), one(0, 4, 1.0)].into_iter().for_each(|other| found.add(other));
        let warnings = found.told(&timing(150.0, 300.0)).warnings;
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        let begins = ["no leader", "3 trials were begun again", "the machine was busy"];
        begins
            .iter()
            .zip(&warnings)
            .for_each(|(begin, warning)| assert!(warning.starts_with(begin), "{warning}"));
        assert!(warnings[0].contains("7 trials") && warnings[2].contains("20.0 ms"), "{warnings:?}");
        assert_eq!(one(0, 0, 1.0).told(&timing(150.0, 300.0)).warnings, Vec::<String>::new());
    }
}
