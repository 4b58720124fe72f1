//! Simulated elections beside what is known of them.

use std::ops::Range;

use rafture_sim::elections::closed_form::split_vote_share;
use rafture_sim::elections::{Delay, Failure, LinkSpec, Settled, Setup, Trial};

const MS: u64 = 1_000_000;

fn link(ms: f64) -> LinkSpec {
    LinkSpec { delay: Delay { base_ns: (ms * MS as f64) as u64, tail_ns: 0 }, loss: 0.0 }
}

fn trials(setup: &Setup, failure: Failure, count: u64) -> Vec<Trial> {
    trials_from(setup, failure, 0..count)
}

fn trials_from(setup: &Setup, failure: Failure, seeds: Range<u64>) -> Vec<Trial> {
    println!("seeds {seeds:?}");
    let settled = Settled::new(setup);
    let mut arena = settled.arena();
    seeds.map(|seed| arena.fail(failure, seed).expect("it runs well")).collect()
}

/// Every cell of the table in the dissertation's chapter 9: timeouts from [1, 2] of a second, PreVote off, all members alike. A
/// cluster of which some are down is one whose first members live. `TRIALS=1000000` for more of them.
#[test]
fn split_votes_are_as_often_as_the_closed_form_says() {
    let least = std::env::var("TRIALS").map_or(4_000, |text| text.parse().expect("a number"));
    let sizes = [(3, 2), (5, 4), (5, 3), (7, 6), (7, 4), (9, 8), (9, 5)];
    let cells = sizes.into_iter().flat_map(|size| [0.01, 0.05, 0.1, 0.2].map(|latency| (size, latency)));
    for (cell, ((members, live), latency)) in (0..).zip(cells) {
        let mut setup = Setup::uniform(members, (1000 * MS, 2000 * MS), 500 * MS, link(1000.0 * latency));
        setup.pre_vote = false;
        // The leader is the first that goes.
        setup.down = members - 1 - live;
        let share = split_vote_share(members as u32, live as u32, latency);
        // A standard error says little of fewer than a hundred.
        let count = ((100.0 / share) as u64).clamp(least, 20 * least);
        // Cells that share seeds would be off together.
        let seen = trials_from(&setup, Failure::Kill, cell << 32..(cell << 32) + count);
        let seen = seen.iter().filter(|trial| trial.split > 0).count();
        let error = (share * (1.0 - share) / count as f64).sqrt();
        let off = (seen as f64 / count as f64 - share) / error.max(1.0 / count as f64);
        println!(
            "{members} members, {live} live, latency {latency}: {seen} of {count}, {share:.5}: {off:+.2} errors"
        );
        assert!(off.abs() < 3.0);
    }
}

#[test]
fn a_seed_repeats_a_trial_whatever_was_before() {
    let mut setup = Setup::uniform(5, (150 * MS, 160 * MS), 50 * MS, link(2.0));
    setup.sync = Delay { base_ns: MS, tail_ns: MS };
    setup.links[1][2].loss = 0.2;
    let settled = Settled::new(&setup);
    let first = settled.arena().fail(Failure::Kill, 7);
    let mut arena = settled.arena();
    let again: Vec<_> = (0..10).map(|seed| arena.fail(Failure::Kill, seed)).collect();
    assert_eq!(again[7], first);
    assert!(again.iter().any(|trial| *trial != first), "another seed, another trial");
}

/// With PreVote: somebody asks, somebody stands, hears votes, leads, is heard, hears back.
#[test]
fn the_steps_of_an_election_take_their_time() {
    let setup = Setup::uniform(3, (100 * MS, 200 * MS), 20 * MS, link(5.0));
    for (failure, least) in
        [(Failure::Kill, 80), (Failure::Pause, 80), (Failure::CutOff, 80), (Failure::Slow(200 * MS), 80)]
    {
        for trial in trials(&setup, failure, 200) {
            let [detected, heard, wrote] =
                [trial.detected_ns, trial.heard_ns, trial.wrote_ns].map(|ns| ns.expect("seen") / MS);
            assert!((least..=205).contains(&detected) || trial.split > 0, "{failure:?}: {trial:?}");
            assert!(heard >= detected + 25 && wrote >= detected + 30, "{failure:?}: {trial:?}");
            assert!(trial.stood >= 1 && trial.split == trial.stood - 1, "{failure:?}: {trial:?}");
        }
    }
}

#[test]
fn members_with_short_logs_never_lead_and_make_it_take_longer() {
    let mut setup = Setup::uniform(5, (150 * MS, 300 * MS), 75 * MS, link(2.0));
    setup.pre_vote = false;
    let mean = |setup: &Setup| {
        let trials = trials(setup, Failure::Kill, 2000);
        trials.iter().map(|trial| trial.heard_ns.expect("heard") as f64).sum::<f64>() / 2000.0
    };
    let whole = mean(&setup);
    setup.short_logs = 2;
    let short = mean(&setup);
    assert!(short > 1.1 * whole, "{short} {whole}");
    // Three of four cannot lead: only one is left, and it does.
    setup.short_logs = 2;
    assert!(trials(&setup, Failure::Kill, 100).iter().all(|trial| trial.wrote_ns.is_some()));
}

#[test]
fn who_stands_still_for_long_loses_its_place_and_a_follower_does_not_take_it() {
    let setup = Setup::uniform(5, (150 * MS, 300 * MS), 50 * MS, link(1.0));
    let settled = Settled::new(&setup);
    let mut arena = settled.arena();
    let mut elections = |node, ms: u64| {
        (0..200).filter(|seed| arena.stall(node, ms * MS, *seed).expect("it runs well")).count()
    };
    assert_eq!((elections(0, 90), elections(0, 400)), (0, 200), "the leader");
    assert_eq!(elections(1, 2000), 0, "a follower, whom nobody gives a vote");
    let without = Setup { pre_vote: false, ..setup.clone() };
    let settled = Settled::new(&without);
    let mut arena = settled.arena();
    let deposed = (0..200).filter(|seed| arena.stall(1, 2000 * MS, *seed).expect("it runs well")).count();
    assert_eq!(deposed, 200, "without PreVote it comes back with a later term");
}

#[test]
fn nothing_happens_while_nothing_fails_unless_the_network_is_too_bad_for_it() {
    let hour = 3_600_000 * MS;
    let mut setup = Setup::uniform(3, (150 * MS, 300 * MS), 50 * MS, link(1.0));
    assert_eq!(Settled::new(&setup).arena().quiet(hour / 60, 1).elections, 0);
    for from in 0..3 {
        for to in 0..3 {
            setup.links[from][to].delay.tail_ns = 60 * MS;
        }
    }
    let quiet = Settled::new(&setup).arena().quiet(hour / 60, 1);
    assert!(quiet.elections > 0 && quiet.suspicions >= quiet.elections, "{quiet:?}");
}
