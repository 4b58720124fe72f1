//! How many elections a core holds in a second: `cargo bench -p rafture-sim --bench elections [-- TRIALS]`.

use std::env;
use std::time::Instant;

use rafture_sim::elections::{Delay, Failure, LinkSpec, Settled, Setup};

const MS: u64 = 1_000_000;

fn main() {
    // `cargo bench` passes a flag of its own.
    let trials = env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(100_000_u64);
    for members in [3, 5, 9] {
        for (name, pre_vote, sync) in [("", true, 0), (", no PreVote", false, 0), (", 1 ms syncs", true, MS)]
        {
            let link = LinkSpec { delay: Delay { base_ns: MS / 2, tail_ns: MS / 10 }, loss: 0.0 };
            let mut setup = Setup::uniform(members, (150 * MS, 300 * MS), 50 * MS, link);
            setup.pre_vote = pre_vote;
            setup.sync.base_ns = sync;
            let settled = Settled::new(&setup);
            let mut arena = settled.arena();
            let began = Instant::now();
            let mut wrote: Vec<u64> =
                (0..trials).filter_map(|seed| arena.fail(Failure::Kill, seed)?.wrote_ns).collect();
            let rate = trials as f64 / began.elapsed().as_secs_f64();
            assert_eq!(wrote.len() as u64, trials, "every one comes to its end");
            wrote.sort_unstable();
            let at = |share: f64| wrote[(share * (wrote.len() - 1) as f64) as usize] as f64 / MS as f64;
            println!(
                "{members} members{name}: {rate:.0} trials a second; a write after {:.1} ms (p50), {:.1} ms (p99)",
                at(0.5),
                at(0.99)
            );
        }
    }
}
