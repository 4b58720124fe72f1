//! A schedule drawn from a seed: rounds of all kinds, targets dealt from decks so that what matters comes in every run.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use super::{Episode, Schedule};
use crate::fault::{Fault, FaultError, FaultKind, FaultSpec};

/// Faults that do not fit into a run.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// Not with so few nodes.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// Not in so short a time.
    #[error("{faults} kinds of faults do not fit into {limit:?} (hint: at least {needed:?})")]
    TooShort {
        /// How many there are.
        faults: usize,
        /// The time limit.
        limit: Duration,
        /// What it would take.
        needed: Duration,
    },
}

/// The cluster is left alone at first, so that every run has some healthy seconds.
const LEAD_MS: u64 = 1000;
/// Shortest time that a fault is in force, and that the cluster is left between two of one kind.
const SHORTEST_MS: u64 = 150;
/// Time that each kind of fault takes at the very least.
const ROOM_MS: u64 = 500;

impl Schedule {
    /// Draws a schedule: rounds in which every one of `specs` comes once, in a drawn order, `interval` apart on average. Faults of different kinds may overlap, those of one kind do not. All are undone before `limit`.
    ///
    /// # Errors
    /// When a fault is not possible with so few nodes, or all of them not in so short a time.
    pub fn random(
        seed: u64,
        specs: &[FaultSpec],
        interval: Duration,
        limit: Duration,
        nodes: usize,
    ) -> Result<Schedule, ScheduleError> {
        specs.iter().try_for_each(|spec| spec.check(nodes))?;
        if specs.is_empty() {
            return Ok(Schedule::default());
        }
        let limit_ms = limit.as_millis() as u64;
        let needed_ms = ROOM_MS * specs.len() as u64;
        if limit_ms < needed_ms {
            let needed = Duration::from_millis(needed_ms);
            return Err(ScheduleError::TooShort { faults: specs.len(), limit, needed });
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let lead_ms = LEAD_MS.min(limit_ms / 10);
        // If the first round would not fit otherwise, everything moves closer together.
        let fair_ms = (limit_ms - lead_ms) * 2 / 3 / specs.len() as u64;
        let interval_ms = (interval.as_millis() as u64).clamp(1, fair_ms.max(1));
        let mut draft = Draft { episodes: Vec::new(), ends: BTreeMap::new(), limit_ms, interval_ms };
        let mut at_ms = lead_ms;
        let mut turn: Vec<FaultSpec> = Vec::new();
        let mut decks: BTreeMap<FaultSpec, Vec<Fault>> = BTreeMap::new();
        while at_ms + SHORTEST_MS < limit_ms {
            if turn.is_empty() {
                turn = specs.to_vec();
            }
            let spec = turn.swap_remove(random.random_range(0..turn.len()));
            let deck = decks.entry(spec).or_default();
            if deck.is_empty() {
                *deck = spec.deck(nodes, &mut random);
            }
            // Dealt, not drawn: what is rare comes too, and what is frequent does not fail to.
            let fault = deck.swap_remove(random.random_range(0..deck.len()));
            draft.add(at_ms, fault, &mut random);
            at_ms += random.random_range(interval_ms / 2..=interval_ms * 3 / 2).max(1);
        }
        Ok(Schedule { episodes: draft.finish(), end: None })
    }
}

struct Draft {
    episodes: Vec<Episode>,
    /// When the last fault of each kind is undone.
    ends: BTreeMap<FaultKind, u64>,
    limit_ms: u64,
    interval_ms: u64,
}

impl Draft {
    fn add(&mut self, at_ms: u64, fault: Fault, random: &mut ChaCha8Rng) {
        let free_ms = self.ends.get(&fault.kind).map_or(0, |end| end + SHORTEST_MS);
        let at_ms = at_ms.max(free_ms);
        let room_ms = self.limit_ms.saturating_sub(at_ms);
        // Some are over before anybody has noticed: a node that was away for less than an election timeout.
        let lasts_ms = match random.random_bool(0.25) {
            true => random.random_range(SHORTEST_MS..=2 * SHORTEST_MS),
            false => {
                random.random_range(self.interval_ms * 3 / 10..=self.interval_ms * 12 / 10).max(SHORTEST_MS)
            }
        };
        let seed = random.random();
        if room_ms > SHORTEST_MS {
            let lasts_ms = lasts_ms.min(room_ms);
            self.ends.insert(fault.kind, at_ms + lasts_ms);
            self.episodes.push(Episode::at(0, at_ms, lasts_ms, fault, seed));
        }
    }

    fn finish(mut self) -> Vec<Episode> {
        self.episodes.sort_by_key(|episode| episode.at_ms);
        for (episode, id) in self.episodes.iter_mut().zip(0..) {
            episode.id = id;
        }
        self.episodes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::fault::{Target, parse};

    fn schedule(seed: u64, faults: &str, interval_s: u64, limit_s: u64) -> Vec<Episode> {
        let (interval, limit) = (Duration::from_secs(interval_s), Duration::from_secs(limit_s));
        let specs = parse(faults).expect("faults");
        Schedule::random(seed, &specs, interval, limit, 5).expect("a schedule").episodes
    }

    #[test]
    fn a_seed_gives_the_same_schedule_and_another_seed_another() {
        let one = schedule(7, "kill,pause,partition", 3, 60);
        assert_eq!(one, schedule(7, "kill,pause,partition", 3, 60));
        assert_ne!(one, schedule(8, "kill,pause,partition", 3, 60));
        let text = serde_json::to_string(&one).expect("plain data");
        assert_eq!(serde_json::from_str::<Vec<Episode>>(&text).expect("a schedule"), one);
    }

    #[test]
    fn every_fault_comes_and_all_are_over_in_time() {
        for seed in 0..200 {
            for (interval, limit) in [(3, 30), (3, 60), (10, 10), (60, 5), (1, 120)] {
                let faults = "kill,pause@leader,partition:ring,partition";
                let episodes = schedule(seed, faults, interval, limit);
                let kinds: BTreeSet<FaultKind> = episodes.iter().map(|episode| episode.fault.kind).collect();
                assert_eq!(kinds.len(), 3, "seed {seed}, {interval} s in {limit} s: {episodes:?}");
                assert!(episodes.iter().all(|episode| episode.at_ms + episode.lasts_ms <= limit * 1000));
            }
        }
    }

    #[test]
    fn faults_of_one_kind_do_not_overlap() {
        for seed in 0..200 {
            let mut ends: BTreeMap<FaultKind, u64> = BTreeMap::new();
            for episode in schedule(seed, "kill,pause,partition", 1, 60) {
                let before = ends.insert(episode.fault.kind, episode.at_ms + episode.lasts_ms);
                assert!(before.is_none_or(|end| end < episode.at_ms), "seed {seed}");
            }
        }
    }

    /// The interval is a mean, leaders are struck often, and whole clusters sometimes.
    #[test]
    fn what_is_drawn_has_the_frequencies_that_find_bugs() {
        let all: Vec<Episode> =
            (0..200).flat_map(|seed| schedule(seed, "kill,pause,partition", 3, 60)).collect();
        let mean_s = 200.0 * 59.0 / all.len() as f64;
        assert!((2.5..4.5).contains(&mean_s), "every {mean_s} s");
        let share = |target| {
            all.iter().filter(|episode| episode.fault.target == target).count() as f64 / all.len() as f64
        };
        assert!(share(Target::Leader) > 0.25, "{}", share(Target::Leader));
        assert!(share(Target::All) > 0.08 && share(Target::Majority) > 0.05);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        let specs = parse("kill,pause,partition").expect("faults");
        let random = |limit_ms, nodes| {
            let limit = Duration::from_millis(limit_ms);
            Schedule::random(1, &specs, Duration::from_secs(3), limit, nodes)
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        assert_eq!(
            random(900, 5),
            Err("3 kinds of faults do not fit into 900ms (hint: at least 1.5s)".into())
        );
        assert_eq!(
            random(9000, 1),
            Err("`partition` is not possible with 1 nodes (hint: it takes 2)".into())
        );
        assert_eq!(random(1500, 5), Ok(()));
    }
}
