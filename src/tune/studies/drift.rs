//! Drifting clocks: members whose clocks are too fast or too slow wait too short or too long.

use rafture_reports::tune::Study;
use rafture_sim::elections::Setup;

use super::{Lab, MEMBERS, Outage, chart, first_last, from_to, line, outage_charts, usual};

/// How far clocks are off at most, in percent; members are spread evenly from too slow to too fast.
const SPREADS: [f64; 6] = [0.0, 1.0, 5.0, 10.0, 25.0, 50.0];
/// How many times as fast as it should be a clock is.
const SPEEDS: [f64; 8] = [1.0, 2.0, 3.0, 4.0, 5.0, 5.5, 6.0, 7.0];

pub(super) fn study(lab: &mut Lab) -> Study {
    let spread: Vec<Outage> = SPREADS.map(|percent| lab.outage(&spread_over(percent))).into();
    let fast: Vec<Outage> =
        SPREADS.map(|percent| lab.outage(&one_fast(1.0 + percent / 100.0, 1, true))).into();
    let mut rates = |count: usize, pre_vote: bool| -> Vec<[f64; 3]> {
        SPEEDS.map(|speed| lab.false_elections(&one_fast(speed, count, pre_vote))).into()
    };
    let lines = [
        ("one follower is fast, PreVote", rates(1, true)),
        ("one follower is fast, no PreVote", rates(1, false)),
        ("three followers are fast, PreVote", rates(3, true)),
    ];
    let begins = |rates: &[[f64; 3]]| {
        let first = SPEEDS.iter().zip(rates).find(|(_, [rate, ..])| *rate > 0.0);
        first.map_or("not at seven times, either".to_owned(), |(speed, _)| {
            format!("from {speed} times its speed on")
        })
    };
    let (before, after) = first_last(&spread, |outage| outage.p50[0]);
    let (late_before, late_after) = first_last(&spread, |outage| outage.p99[0]);
    let (split_before, split_after) = first_last(&spread, |outage| outage.split[0]);
    let findings = vec![
        format!(
            "Clocks that are up to 50 % off, some fast and some slow, change the median outage {}, the 99th percentile {} and split votes from {split_before:.2} to {split_after:.2} %. Real clocks are off by less than a thousandth of that.",
            from_to(before, after, "ms"),
            from_to(late_before, late_after, "ms")
        ),
        format!(
            "Leaders that are well are deposed when a follower's clock is so fast that its timeout passes between two heartbeats: with five heartbeats in the shortest timeout, by one follower without PreVote {}, with PreVote {}; by a fast majority {}.",
            begins(&lines[1].1),
            begins(&lines[0].1),
            begins(&lines[2].1)
        ),
    ];
    let mut charts = outage_charts(
        "clocks are off by up to, %",
        &SPREADS,
        vec![("spread both ways", spread), ("one follower fast", fast)],
    );
    let lines = lines.into_iter().map(|(name, rates)| line(name, &SPEEDS, rates)).collect();
    charts.push(chart(
        "False elections when clocks are fast",
        ("times the true speed", "elections per hour"),
        false,
        lines,
    ));
    Study {
        name: "drifting-clocks".into(),
        question: "How far may clocks drift before elections suffer?".into(),
        setup: "Five members, timeouts from 150 to 300 ms by each one's own clock, a heartbeat every 30 ms by the leader's, links of 5 ms each way. Outages with clocks that are spread evenly from too slow to too fast, or of which one is fast; false elections in 100,000 heartbeats with followers that are much too fast.".into(),
        findings,
        charts,
    }
}

fn spread_over(percent: f64) -> Setup {
    let mut setup = usual();
    for (member, rate) in setup.rates_ppm.iter_mut().enumerate() {
        let place = member as f64 / (MEMBERS - 1) as f64 * 2.0 - 1.0;
        *rate = (1e6 * (1.0 + place * percent / 100.0)) as u64;
    }
    setup
}

/// The last `count` members are fast; the first one leads.
fn one_fast(speed: f64, count: usize, pre_vote: bool) -> Setup {
    let mut setup = usual();
    setup.pre_vote = pre_vote;
    setup.rates_ppm[MEMBERS - count..].fill((1e6 * speed) as u64);
    setup
}
