//! What tables and pictures ask of a record: which measurement a candidate's figures stand for, how sure they are, and which candidates
//! others beat. It reads what is there and draws no conclusion of its own.

use std::collections::BTreeMap;

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

    /// Time until a write succeeded after all failures together, by one source.
    pub(super) fn outage(&self, source: Source) -> Option<&Spread> {
        self.together.get(&source)?.write.as_ref()
    }

    /// The true 99th percentile of its outage lies in there with 95 % confidence, as far as it is known.
    pub(super) fn outage_p99_interval(&self) -> [Option<f64>; 2] {
        self.outage(self.source).map_or([None, None], |spread| spread.p99_interval)
    }

    /// The true rate of false elections lies in there with 95 % confidence, if anything is known of it.
    pub(super) fn false_elections_interval(&self) -> Option<[f64; 2]> {
        let [low, high] = self.false_elections_per_hour_interval;
        Some([low?, high?])
    }

    /// Split votes after all failures together, by one source.
    pub(super) fn split_votes(&self, source: Source) -> SplitVotes {
        self.together.get(&source).map_or(SplitVotes::default(), |elections| SplitVotes {
            split: elections.split_votes,
            of: elections.elections,
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
}
