//! Asymmetric links: one way takes longer than the other, or carries nothing at all.

use rafture_reports::tune::Study;
use rafture_sim::elections::Setup;

use super::{Lab, MEMBERS, MS, Outage, chart, first_last, from_to, line, outage_charts, usual};

/// A round trip of all links.
const ROUND_TRIP_NS: u64 = 40 * MS;
/// How much of it the slower way takes, in percent.
const SHARES: [f64; 6] = [50.0, 60.0, 70.0, 80.0, 90.0, 100.0];

pub(super) fn study(lab: &mut Lab) -> Study {
    let among_all: Vec<Outage> = SHARES.map(|share| lab.outage(&skewed(share, |from, to| from < to))).into();
    let of_one: Vec<Outage> =
        SHARES.map(|share| lab.outage(&skewed(share, |from, to| from == 1 || (to != 1 && from < to)))).into();
    let deaf: Vec<f64> = vec![0.0, 1.0, 2.0];
    let rates = |lab: &mut Lab, pre_vote: bool| -> Vec<[f64; 3]> {
        deaf.iter().map(|count| lab.false_elections(&unheard(*count as usize, pre_vote))).collect()
    };
    let (with, without) = (rates(lab, true), rates(lab, false));
    let (before, after) = first_last(&among_all, |outage| outage.p50[0]);
    let (split_before, split_after) = first_last(&among_all, |outage| outage.split[0]);
    let findings = vec![
        format!(
            "Where all links are skewed alike and the round trip stays 40 ms, the median outage goes {} as the slower way takes all of it, and split votes go from {split_before:.1} to {split_after:.1} %: what an election takes is round trips, which have not changed, but whether others stand meanwhile is decided by the longer way alone.",
            from_to(before, after, "ms")
        ),
        format!(
            "A follower that does not hear its leader, but is heard, deposes it {:.0} times an hour without PreVote, and {:.0} times with it; two such followers {:.0} and {:.0} times. Asymmetry is harmless as long as both ways carry something; a way that carries nothing is what PreVote is for.",
            without[1][0], with[1][0], without[2][0], with[2][0]
        ),
    ];
    let mut charts = outage_charts(
        "share of the round trip that the slower way takes, %",
        &SHARES,
        vec![("all links", among_all), ("slow out of one member", of_one)],
    );
    let rate = chart(
        "Followers that their leader cannot reach, while they reach everybody",
        ("followers that hear nothing from the leader", "elections per hour"),
        false,
        vec![line("with PreVote", &deaf, with), line("without PreVote", &deaf, without)],
    );
    charts.push(rate);
    Study {
        name: "asymmetric-links".into(),
        question: "Does it matter for elections when links are slower one way than the other?".into(),
        setup: "Five members, timeouts from 150 to 300 ms, a heartbeat every 30 ms, round trips of 40 ms whose two ways take different shares of it; and members that the leader's packets do not reach at all, over links of 5 ms, for 100,000 heartbeats.".into(),
        findings,
        charts,
    }
}

fn skewed(share: f64, is_slow: impl Fn(usize, usize) -> bool) -> Setup {
    let mut setup = usual();
    let slow = (ROUND_TRIP_NS as f64 * share / 100.0) as u64;
    for from in 0..MEMBERS {
        for to in 0..MEMBERS {
            let way = if is_slow(from, to) { slow } else { ROUND_TRIP_NS - slow };
            setup.links[from][to].delay.base_ns = way;
        }
    }
    setup
}

/// The first member leads; nothing that it says reaches the last `count` ones.
fn unheard(count: usize, pre_vote: bool) -> Setup {
    let mut setup = usual();
    setup.pre_vote = pre_vote;
    setup.repeats = false;
    for to in MEMBERS - count..MEMBERS {
        setup.links[0][to].loss = 1.0;
    }
    setup
}
