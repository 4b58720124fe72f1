//! Trials in order: the times of one candidate, source and failure, sorted, and their distribution as a line of bounded length.

use super::Samples;
use crate::tune::Trial;
use crate::tune::statistics::share_interval;

/// Trials of one candidate, source and failure.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    trials: u64,
    leader: Vec<f64>,
    write: Vec<f64>,
}

/// What a distribution is the distribution of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Another member heard the new leader.
    Leader,
    /// A write succeeded.
    Write,
}

/// A distribution as a line: the share of trials in which it had happened, by milliseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Curve {
    /// The line.
    pub(super) line: Vec<(f64, f64)>,
    /// Where the true share lies at each point with 95 % confidence.
    pub(super) band: Vec<[f64; 2]>,
}

/// Puts trials in order.
pub(super) fn of(trials: &[Trial]) -> Samples {
    let mut samples = Samples::new();
    for trial in trials {
        let sample = samples.entry((trial.candidate, trial.source, trial.failure)).or_default();
        sample.trials += 1;
        sample.leader.extend(trial.heartbeat_ms.filter(|ms| ms.is_finite()));
        sample.write.extend(trial.write_ms.filter(|ms| ms.is_finite()));
    }
    for sample in samples.values_mut() {
        sample.leader.sort_unstable_by(f64::total_cmp);
        sample.write.sort_unstable_by(f64::total_cmp);
    }
    samples
}

impl Sample {
    /// How many trials.
    pub(super) fn trials(&self) -> u64 {
        self.trials
    }

    /// When it happened, in order, in those trials in which it did.
    pub(super) fn times(&self, moment: Moment) -> &[f64] {
        match moment {
            Moment::Leader => &self.leader,
            Moment::Write => &self.write,
        }
    }

    /// The distribution in about `points` points. A trial in which it never happened keeps the line from reaching the top.
    pub(super) fn curve(&self, moment: Moment, points: usize) -> Curve {
        let corners = corners(self.times(moment), points);
        let share = |count: u64| count as f64 / self.trials.max(1) as f64;
        Curve {
            line: corners.iter().map(|&(ms, count)| (ms, share(count))).collect(),
            band: corners.iter().map(|&(_, count)| share_interval(count, self.trials)).collect(),
        }
    }
}

/// How many had happened by which time: a step each of few, else a line through as many as are asked for, the first and last included.
fn corners(times: &[f64], points: usize) -> Vec<(f64, u64)> {
    if 2 * times.len() <= points {
        let steps = times.iter().zip(0u64..).flat_map(|(&ms, before)| [(ms, before), (ms, before + 1)]);
        return steps.collect();
    }
    let last = times.len() - 1;
    (0..points)
        .map(|point| {
            let rank = point * last / (points - 1);
            (times[rank], rank as u64 + 1)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tune::{Failure, Source};

    fn sample(count: u64, never: u64) -> Sample {
        let trial = |number: u64| Trial {
            candidate: 0,
            source: Source::Real,
            failure: Failure::Kill,
            number,
            detected_ms: None,
            heartbeat_ms: (number >= never).then_some((count - number) as f64),
            write_ms: None,
            elections: 1,
            split_votes: 0,
        };
        let trials: Vec<Trial> = (0..count).map(trial).collect();
        of(&trials)[&(0, Source::Real, Failure::Kill)].clone()
    }

    #[test]
    fn few_trials_are_steps_and_those_without_an_end_are_missing_at_the_top() {
        let curve = sample(4, 2).curve(Moment::Leader, 300);
        assert_eq!(curve.line, [(1.0, 0.0), (1.0, 0.25), (2.0, 0.25), (2.0, 0.5)]);
        let holds = |((_, share), [low, high]): (&(f64, f64), &[f64; 2])| low <= share && share <= high;
        assert!(curve.line.iter().zip(&curve.band).all(holds));
        assert_eq!(sample(4, 4).curve(Moment::Leader, 300).line, []);
    }

    #[test]
    fn many_trials_are_a_bounded_line_from_the_first_to_the_last() {
        let line = sample(10_000, 0).curve(Moment::Leader, 300).line;
        assert_eq!((line.len(), line[0], line[299]), (300, (1.0, 0.0001), (10_000.0, 1.0)));
        assert!(line.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1));
    }
}
