//! What tables and pictures ask of a record: which measurement a candidate's figures stand for, how sure they are, and which candidates
//! others beat. It reads what is there and draws no conclusion of its own.

use std::collections::BTreeMap;

use super::statistics::rate_interval;
use super::words::SOURCES;
use super::{Candidate, Elections, Failure, Source, Spread, Timing, Tuning};

/// Elections in which nobody won, and all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct SplitVotes {
    /// Nobody won.
    pub(super) split: u64,
    /// Terms that somebody stood for.
    pub(super) of: u64,
}

impl Candidate {
    /// Its elections of one source, by what befell the leader.
    pub(super) fn elections(&self, source: Source) -> &BTreeMap<Failure, Elections> {
        match source {
            Source::Real => &self.real,
            Source::Simulated => &self.simulated,
        }
    }

    /// The failure that its outage is the outage of: the one with just these figures, or the first that was tried.
    pub(super) fn told_failure(&self) -> Option<Failure> {
        let tried = self.elections(self.source);
        let has_its_figures = |elections: &Elections| {
            elections.write.as_ref().is_some_and(|write| is_same(write.p99, self.outage_p99_ms))
        };
        let told = tried.iter().find(|(_, elections)| has_its_figures(elections));
        told.or_else(|| tried.first_key_value()).map(|(failure, _)| *failure)
    }

    /// Time until a write succeeded after that failure, by one source.
    pub(super) fn outage(&self, source: Source) -> Option<&Spread> {
        self.elections(source).get(&self.told_failure()?)?.write.as_ref()
    }

    /// The true 99th percentile of its outage lies in there with 95 % confidence, as far as it is known.
    pub(super) fn outage_p99_interval(&self) -> [Option<f64>; 2] {
        let spread = self.outage(self.source).filter(|spread| is_same(spread.p99, self.outage_p99_ms));
        spread.map_or([None, None], |spread| spread.p99_interval)
    }

    /// The true rate of false elections lies in there with 95 % confidence: the interval of the one stretch of time with just this
    /// rate, or of all time of its source taken together if that has it.
    pub(super) fn false_elections_interval(&self) -> Option<[f64; 2]> {
        let rate = self.false_elections_per_hour;
        let told = self.steady.iter().filter(|steady| is_same(steady.per_hour, rate));
        // Of several, the longest knows most: it matters where nothing was seen at all.
        let longest = told.max_by(|a, b| a.hours.total_cmp(&b.hours));
        longest.map(|steady| steady.per_hour_interval).or_else(|| self.pooled_interval(rate))
    }

    fn pooled_interval(&self, rate: f64) -> Option<[f64; 2]> {
        let sums = [Some(Source::Real), Some(Source::Simulated), None].map(|source| {
            let of = self.steady.iter().filter(|steady| source.is_none_or(|source| steady.source == source));
            of.fold((0, 0.0), |(count, hours), steady| (count + steady.elections, hours + steady.hours))
        });
        let (count, hours) =
            sums.into_iter().find(|&(count, hours)| hours > 0.0 && is_same(count as f64 / hours, rate))?;
        Some(rate_interval(count, hours))
    }

    /// Split votes after all failures together, by one source.
    pub(super) fn split_votes(&self, source: Source) -> SplitVotes {
        self.elections(source).values().fold(SplitVotes::default(), |sum, elections| SplitVotes {
            split: sum.split + elections.split_votes,
            of: sum.of + elections.elections,
        })
    }

    /// Whether another one has shorter outages without more false elections, or fewer of these without longer outages.
    pub(super) fn is_beaten_by(&self, other: &Candidate) -> bool {
        let mine = [self.outage_p99_ms, self.false_elections_per_hour];
        let theirs = [other.outage_p99_ms, other.false_elections_per_hour];
        mine != theirs && mine.iter().zip(theirs).all(|(mine, theirs)| theirs <= *mine)
    }
}

impl Tuning {
    /// The sources that anything was measured by, the real one first.
    pub(super) fn sources(&self) -> Vec<Source> {
        let has_trials = |candidate: &Candidate, source: Source| {
            candidate.elections(source).values().any(|elections| elections.trials > 0)
        };
        let has = |source: &Source| self.candidates.iter().any(|candidate| has_trials(candidate, *source));
        SOURCES.into_iter().filter(has).collect()
    }

    /// For each candidate whether another one beats it.
    pub(super) fn beaten(&self) -> Vec<bool> {
        let is_beaten = |one: &Candidate| self.candidates.iter().any(|other| one.is_beaten_by(other));
        self.candidates.iter().map(is_beaten).collect()
    }

    /// Which candidate is recommended.
    pub(super) fn recommended(&self) -> Option<usize> {
        let place = self.recommendation.as_ref()?.candidate;
        (place < self.candidates.len()).then_some(place)
    }

    /// What trials with this number tried, if the record says so.
    pub(super) fn timing_of(&self, candidate: usize) -> Option<Timing> {
        let own = self.candidates.get(candidate).map(|candidate| candidate.timing);
        own.or_else(|| {
            let curve = self.figure16.iter().find(|curve| curve.candidate == Some(candidate));
            curve.map(|curve| curve.timing)
        })
    }
}

/// Figures that were copied, perhaps through text.
fn is_same(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-9 * left.abs().max(1.0)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_candidate_is_beaten_by_whoever_is_better_one_way_and_not_worse_the_other() {
        let [a, b] = [(100.0, 2.0), (100.0, 3.0)].map(|(outage_p99_ms, false_elections_per_hour)| {
            Candidate { outage_p99_ms, false_elections_per_hour, ..sample::candidate(150.0) }
        });
        assert!(b.is_beaten_by(&a) && !a.is_beaten_by(&b) && !a.is_beaten_by(&a));
    }

    #[test]
    fn intervals_are_those_of_the_measurement_that_has_the_figure() {
        let candidate = sample::candidate(150.0);
        assert_eq!(candidate.told_failure(), Some(Failure::Pause), "its outage is that of a pause");
        assert!(candidate.outage_p99_interval()[0].is_some());
        assert_eq!(candidate.false_elections_interval(), Some(candidate.steady[0].per_hour_interval));
        let strange = Candidate { outage_p99_ms: 1.0, false_elections_per_hour: 77.0, ..candidate };
        assert_eq!(strange.outage_p99_interval(), [None, None]);
        assert_eq!(strange.false_elections_interval(), None);
    }
}
