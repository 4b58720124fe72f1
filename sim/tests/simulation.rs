//! The simulation by itself: the node bears whatever a seed brings, planted bugs do not, and a seed is a seed.

use std::time::Duration;

use rafture_nemesis::fault::{self, FaultSpec};
use rafture_node::rules::{Defect, Rules};
use rafture_sim::{Outcome, Plan, PlanOptions, run, scenario, shrink};

/// Faults that are enough for every planted bug; with fewer kinds, each comes more often.
const STAPLES: &str = "kill,pause,partition,power-loss";

fn options(rules: Rules, seconds: u64) -> PlanOptions {
    PlanOptions {
        nodes: 5,
        time_limit: Duration::from_secs(seconds),
        interval: Duration::from_millis(1500),
        faults: fault::kinds_of_simulation().map(FaultSpec::of).collect(),
        workload: "cas-register".into(),
        rules,
        election_timeout: (Duration::from_millis(150), Duration::from_millis(300)),
        heartbeat: Duration::from_millis(50),
    }
}

fn plan(seed: u64, rules: Rules, seconds: u64) -> Plan {
    Plan::new(seed, options(rules, seconds)).expect("the faults fit")
}

/// Which seeds are tried; `SEED=17` tries that one.
fn seeds(count: u64) -> std::ops::Range<u64> {
    match std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 1..count + 1,
    }
}

#[test]
fn the_node_bears_whatever_a_seed_brings() {
    for seed in seeds(60) {
        let outcome = run(&plan(seed, Rules::ALL, 30), false);
        assert_eq!(outcome.finding, None, "SEED={seed}");
        assert!(outcome.acknowledged > 100, "SEED={seed}: {} operations", outcome.acknowledged);
    }
}

/// Every planted bug breaks something within a few seeds, and what is found survives being cut down.
#[test]
fn planted_bugs_are_found_and_cut_down() {
    for defect in Defect::ALL {
        let found = (1..2000).find_map(|seed| {
            let faults = fault::parse(STAPLES).expect("faults");
            let options = PlanOptions { faults, ..options(Rules::without(defect), 60) };
            let plan = Plan::new(seed, options).expect("the faults fit");
            Some((seed, run(&plan, false).finding?, plan))
        });
        let (seed, finding, plan) = found.unwrap_or_else(|| panic!("{defect} is not found"));
        println!("{defect}: SEED={seed}: {finding}");
        let short = shrink(&plan, &finding, 30);
        assert!(short.schedule.episodes.len() <= plan.schedule.episodes.len());
        assert!(run(&short, false).finding.is_some(), "{defect}: SEED={seed}");
    }
}

#[test]
fn a_seed_repeats_a_run_to_the_byte() {
    for seed in seeds(3) {
        let plan = plan(seed, Rules::ALL, 30);
        let again = |traced| -> Outcome { run(&plan, traced) };
        let (one, other, silent) = (again(true), again(true), again(false));
        assert!(one.trace == other.trace, "SEED={seed}");
        assert!(one.trace.len() > 1000);
        let figures = |outcome: &Outcome| (outcome.events, outcome.messages, outcome.acknowledged);
        assert_eq!(figures(&one), figures(&silent), "SEED={seed}: to be watched changes nothing");
    }
    assert!(run(&plan(1, Rules::ALL, 10), true).trace != run(&plan(2, Rules::ALL, 10), true).trace);
}

#[test]
fn every_scenario_ends_as_it_should() {
    for scenario in scenario::all() {
        for seed in seeds(5) {
            let performance = scenario::play(&scenario, seed, false);
            assert_eq!(performance.complaint, None, "{}: SEED={seed}", scenario.name);
        }
    }
}
