//! Simulation of candidates: failures of leaders by the hundred thousand, and how often leaders that are well lose their place.
//!
//! Every trial has a seed of its own, made of the tuning's, so it does not matter which thread has it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rafture_reports::tune::statistics::{rate_interval, share_interval};
use rafture_reports::tune::{Failure, Source, SplitPoint, Steady, Timing, Trial};
use rafture_sim::elections::closed_form::split_vote_share;
use rafture_sim::elections::{self, Delay, Settled, Setup};

use super::network::Network;

/// Trials that a thread takes at a time.
const CHUNK: u64 = 2000;
/// Trials of processes that stand still.
const STALLS: u64 = 20_000;
/// Heartbeats that are simulated to see what the network alone does, of all candidates alike.
const HEARTBEATS: u64 = 100_000;
/// Widths of ranges that split votes are counted for, in one-way latencies.
const RANGES: [f64; 12] = [1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0];

/// What is simulated, whatever the candidate.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) network: Network,
    pub(super) pre_vote: bool,
    /// What a sync of a disk takes.
    pub(super) sync: Delay,
    pub(super) stalls: Stalls,
    pub(super) seed: u64,
}

/// How often processes stand still, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stalls {
    /// So often, each process.
    pub(super) per_hour: f64,
    /// For so long on average; it has an exponential distribution.
    pub(super) mean: Duration,
}

/// Trials of one failure, and how many could not be made since nobody led for long enough.
pub(super) struct Trials {
    pub(super) trials: Vec<Trial>,
    pub(super) unstable: u64,
}

impl World {
    /// A cluster of this world with these times.
    pub(super) fn setup(&self, timing: &Timing) -> Setup {
        let ns = |ms: f64| (ms * 1e6) as u64;
        let [low, high] = timing.election_timeout_ms;
        let links = self.network.links();
        let mut setup =
            Setup::uniform(links.len(), (ns(low), ns(high)), ns(timing.heartbeat_ms), links[0][1]);
        (setup.links, setup.pre_vote, setup.sync) = (links, self.pre_vote, self.sync);
        setup
    }

    /// So many failures of leaders.
    pub(super) fn fail(&self, candidate: usize, timing: &Timing, failure: Failure, count: u64) -> Trials {
        let high_ns = (timing.election_timeout_ms[1] * 1e6) as u64;
        let kind = match failure {
            Failure::Kill => elections::Failure::Kill,
            Failure::Pause => elections::Failure::Pause,
            Failure::CutOff => elections::Failure::CutOff,
            Failure::Slow => elections::Failure::Slow(high_ns),
        };
        let first = seed(self.seed, candidate, failure as u64);
        let found = many(&self.setup(timing), kind, first, count);
        let trials = (0..)
            .zip(&found)
            .filter_map(|(number, trial)| Some(told(&(*trial)?, candidate, failure, number)));
        let trials: Vec<Trial> = trials.collect();
        Trials { unstable: count - trials.len() as u64, trials }
    }

    /// How often leaders that are well lose their place.
    pub(super) fn steady(&self, candidate: usize, timing: &Timing) -> Vec<Steady> {
        let setup = self.setup(timing);
        let varies = self.network.jitter > Duration::ZERO || self.network.loss > 0.0;
        let has_stalls = self.stalls.per_hour > 0.0;
        let stalled = has_stalls.then(|| self.stalled(candidate, &setup));
        // Where every message takes the same time, nothing but a stall keeps a heartbeat back.
        let quiet = (varies || !has_stalls).then(|| self.quiet(candidate, &setup));
        stalled.into_iter().chain(quiet).collect()
    }

    /// Processes stand still now and then.
    fn stalled(&self, candidate: usize, setup: &Setup) -> Steady {
        let mean_ns = self.stalls.mean.as_nanos() as f64;
        let found = elections::stalls(setup, mean_ns, STALLS, seed(self.seed, candidate, 10));
        let drawn_per_hour = setup.members() as f64 * self.stalls.per_hour * found.longer_share;
        // Once in the age of the universe is as rare as need be said.
        let drawn_per_hour = drawn_per_hour.max(1e-15);
        let hours = found.trials as f64 / drawn_per_hour;
        Steady {
            source: Source::Simulated,
            burden: "stalls".into(),
            hours,
            elections: found.elections,
            per_hour: found.elections as f64 / hours,
            per_hour_interval: share_interval(found.elections, found.trials)
                .map(|share| share * drawn_per_hour),
            longest_silence_ms: None,
        }
    }

    /// Nothing fails and nobody stands still; the network does what it does.
    fn quiet(&self, candidate: usize, setup: &Setup) -> Steady {
        let settled = Settled::new(setup);
        let lasts = HEARTBEATS * setup.heartbeat_ns;
        let quiet = settled.arena().quiet(lasts, seed(self.seed, candidate, 11));
        let hours = lasts as f64 / 3.6e12;
        Steady {
            source: Source::Simulated,
            burden: "network".into(),
            hours,
            elections: quiet.elections,
            per_hour: quiet.elections as f64 / hours,
            per_hour_interval: rate_interval(quiet.elections, hours),
            longest_silence_ms: None,
        }
    }

    /// How often nobody wins the first term, with ranges of growing width.
    pub(super) fn split_votes(&self, low_ms: f64, trials: u64) -> Vec<SplitPoint> {
        let latency_ms = self.network.one_way_ms_mean();
        let point = |(number, width): (usize, f64)| {
            let range_ms = width * latency_ms;
            let timing =
                Timing { heartbeat_ms: low_ms / 5.0, election_timeout_ms: [low_ms, low_ms + range_ms] };
            let first = seed(self.seed, 1000 + number, 12);
            let found = many(&self.setup(&timing), elections::Failure::Kill, first, trials);
            let found: Vec<elections::Trial> = found.into_iter().flatten().collect();
            let nodes = self.network.nodes() as u32;
            SplitPoint {
                range_ms,
                latency_ms,
                trials: found.len() as u64,
                split_votes: found.iter().filter(|trial| trial.split > 0).count() as u64,
                closed_form: (width > 1.0).then(|| split_vote_share(nodes, nodes - 1, 1.0 / width)),
            }
        };
        let latency_is_known = latency_ms > 0.0;
        RANGES.into_iter().enumerate().filter(|_| latency_is_known).map(point).collect()
    }
}

/// A trial as the record has it.
pub(super) fn told(trial: &elections::Trial, candidate: usize, failure: Failure, number: u64) -> Trial {
    let ms = |ns: Option<u64>| ns.map(|ns| ns as f64 / 1e6);
    Trial {
        candidate,
        source: Source::Simulated,
        failure,
        number,
        detected_ms: ms(trial.detected_ns),
        heartbeat_ms: ms(trial.heard_ns),
        write_ms: ms(trial.wrote_ns),
        elections: trial.stood,
        split_votes: trial.split,
    }
}

/// Trials with seeds from `first` on, in order, on all processors.
pub(super) fn many(
    setup: &Setup,
    failure: elections::Failure,
    first: u64,
    count: u64,
) -> Vec<Option<elections::Trial>> {
    let settled = Settled::new(setup);
    let chunks = count.div_ceil(CHUNK);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut arena = settled.arena();
        let mut done = BTreeMap::new();
        loop {
            let chunk = next.fetch_add(1, Ordering::Relaxed) as u64;
            if chunk >= chunks {
                return done;
            }
            let seeds = chunk * CHUNK..((chunk + 1) * CHUNK).min(count);
            let trials = seeds.map(|number| arena.fail(failure, first.wrapping_add(number)));
            done.insert(chunk, trials.collect::<Vec<_>>());
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let done = thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let ended = started.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<BTreeMap<_, _>>()
    });
    done.into_values().flatten().collect()
}

/// Seeds for one purpose, far from those for another.
pub(super) fn seed(seed: u64, candidate: usize, purpose: u64) -> u64 {
    let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (candidate as u64) << 40 ^ purpose << 56;
    mixed.wrapping_mul(0xd134_2543_de82_ef95) >> 4
}
