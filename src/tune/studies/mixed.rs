//! Mixed ranges: some members wait for a shorter time than others.

use rafture_reports::tune::Study;
use rafture_sim::elections::Setup;

use super::{Lab, MEMBERS, MS, Outage, outage_charts, usual};

/// Members with the shorter range.
const COUNTS: [f64; 6] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
const SHORT: (u64, u64) = (150 * MS, 300 * MS);
const LONG: (u64, u64) = (300 * MS, 600 * MS);
/// As narrow as the longest way is long, and not overlapping.
const STAIRS_NS: u64 = 20 * MS;

pub(super) fn study(lab: &mut Lab) -> Study {
    let mixed: Vec<Outage> = COUNTS.map(|count| lab.outage(&with_short(count as usize))).into();
    let uniform = lab.outage(&usual());
    let stairs = lab.outage(&stairs());
    let at = |count: usize| (mixed[count].p50[0], mixed[count].p99[0], mixed[count].split[0]);
    let (none, one, three, all) = (at(0), at(1), at(3), at(MEMBERS));
    let findings = vec![
        format!(
            "With timeouts from 300 to 600 ms for all, half of the outages are over after {:.0} ms and 99 of 100 after {:.0} ms, {:.1} % of first votes split; with 150 to 300 ms for all after {:.0} and {:.0} ms, {:.1} % split.",
            none.0, none.1, none.2, all.0, all.1, all.2
        ),
        format!(
            "One member with the shorter range gains little or nothing: {:.0} and {:.0} ms, {:.1} % split. The others help nobody to depose a leader until their own shortest timeout has passed since they heard it, so it is refused until then. It takes a majority: with three of five it is {:.0} and {:.0} ms, {:.1} % split.",
            one.0, one.1, one.2, three.0, three.1, three.2
        ),
        format!(
            "Ranges of 20 ms that stand beside each other like stairs, from 150 ms on, give {:.0} and {:.0} ms and {:.2} % split, where one range for all from 150 to 300 ms gives {:.0} and {:.0} ms and {:.2} %: an order of succession is no better than chance, since the first in line is refused until a majority waits no longer",
            stairs.p50[0], stairs.p99[0], stairs.split[0], uniform.p50[0], uniform.p99[0], uniform.split[0]
        ),
    ];
    Study {
        name: "mixed-ranges".into(),
        question: "What do members with different ranges of timeouts do to each other?".into(),
        setup: "Five members, some with timeouts from 150 to 300 ms and the others from 300 to 600 ms, a heartbeat every 30 ms, links of 5 ms each way; the leader that dies has the longer range, unless nobody has. And ranges like stairs: 150 to 170 ms, 170 to 190 ms, and so on.".into(),
        findings,
        charts: outage_charts("members with the shorter range", &COUNTS, vec![("", mixed)]),
    }
}

/// The first member leads and dies; it is one of the long ones, unless there are none.
fn with_short(count: usize) -> Setup {
    let mut setup = usual();
    setup.timeouts_ns.fill(LONG);
    setup.timeouts_ns[MEMBERS - count..].fill(SHORT);
    setup
}

fn stairs() -> Setup {
    let mut setup = usual();
    for (member, range) in setup.timeouts_ns.iter_mut().enumerate() {
        // The leader's own place in line does not matter: it dies.
        let low = SHORT.0 + STAIRS_NS * member.saturating_sub(1) as u64;
        *range = (low, low + STAIRS_NS);
    }
    setup
}
