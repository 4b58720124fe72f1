//! Processes that stand still by chance: how often that costs a leader its place which is well.
//!
//! Few stalls last long enough to matter, and simulating the others would take all the time. How long they last has an exponential
//! distribution, which behind any point is the same again: so only stalls are drawn that last longer than is surely harmless, and what
//! share of all they are is known.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::link::exponential;
use super::{Settled, Setup};

/// What came of stalls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stalls {
    /// Stalls that were drawn, each of any member.
    pub trials: u64,
    /// Those of them that somebody stood for election after.
    pub elections: u64,
    /// The share of all stalls that last long enough to be drawn; the others do no harm.
    pub longer_share: f64,
}

/// Lets members of a cluster that runs well stand still, one in each trial, for a time that is `mean_ns` on average.
pub fn stalls(setup: &Setup, mean_ns: f64, trials: u64, seed: u64) -> Stalls {
    let harmless = harmless_ns(setup);
    let settled = Settled::new(setup);
    let mut arena = settled.arena();
    let deposed = (0..trials).filter(|number| {
        let seed = seed.wrapping_add(*number);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let node = random.random_range(0..setup.members() - setup.down);
        let lasts = harmless + exponential(&mut random, mean_ns);
        // A cluster that does not stay under a leader by itself loses it in any case.
        arena.stall(node, lasts as u64, seed).unwrap_or(true)
    });
    let elections = deposed.count() as u64;
    Stalls { trials, elections, longer_share: (-harmless / mean_ns).exp() }
}

/// Who is back before gets a heartbeat out, or in, while everybody still waits.
fn harmless_ns(setup: &Setup) -> f64 {
    let shortest = setup.timeouts_ns.iter().map(|(low, _)| *low).min().unwrap_or(0);
    let taken = setup.heartbeat_ns + 2 * setup.longest_way();
    shortest.saturating_sub(taken) as f64
}

#[cfg(test)]
mod tests {
    use super::super::{Delay, LinkSpec};
    use super::*;

    const MS: u64 = 1_000_000;

    /// The same rate, whether all stalls are drawn or only those that matter: with means from a third of the timeout up, drawing all of
    /// them is no waste, and a lower point to draw from changes nothing but how many of them do harm.
    #[test]
    fn what_is_left_out_does_no_harm() {
        let link = LinkSpec { delay: Delay { base_ns: MS, tail_ns: 0 }, loss: 0.0 };
        let setup = Setup::uniform(5, (100 * MS, 200 * MS), 20 * MS, link);
        let mean = 40.0 * MS as f64;
        let found = stalls(&setup, mean, 20_000, 5);
        let share = found.longer_share * found.elections as f64 / found.trials as f64;
        let settled = Settled::new(&setup);
        let mut arena = settled.arena();
        let mut random = ChaCha8Rng::seed_from_u64(9);
        let all = (0..20_000).filter(|seed| {
            let (node, lasts) = (random.random_range(0..5), exponential(&mut random, mean));
            arena.stall(node, lasts as u64, *seed).expect("it runs well")
        });
        let plain = all.count() as f64 / 20_000.0;
        let error = (plain / 20_000.0).sqrt();
        println!("seeds 5, 9: {share:.5} {plain:.5} ± {error:.5}");
        assert!(plain > 0.0 && (share - plain).abs() < 4.0 * error);
    }
}
