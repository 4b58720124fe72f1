//! Which candidate to take: what meets the target, and of that the one that costs least; and why, in words.
//!
//! Longer timeouts make outages longer and false elections rarer, so a target for one leaves the other to be made as small as it goes.

use super::words::{rate, timing as words};
use super::{Candidate, Target, Timing};
use crate::wording::{capitalized, duration};

/// Failures to come are not those that were measured, so an outage has to stay below its target by this much.
const MARGIN: f64 = 0.05;
/// More heartbeats should fit into the shortest timeout, or a single late one deposes a leader.
const HEARTBEATS_MIN: f64 = 3.0;

/// What is advised.
#[derive(Debug, Clone, PartialEq)]
pub enum Advice {
    /// This candidate, for this reason.
    Take(usize, String),
    /// None of them: which bound stops it, and what is nearest.
    Unmet(String),
}

/// Chooses. Candidates whose figures are not finite are those that no trial of came to its end; they are never taken.
pub fn advise(candidates: &[Candidate], target: Target) -> Advice {
    let all = || candidates.iter().enumerate().filter(|(_, candidate)| candidate.outage_p99_ms.is_finite());
    let least = |key: &dyn Fn(&Candidate) -> (f64, f64), meets: &dyn Fn(&Candidate) -> bool| {
        let meeting = all().filter(|(_, candidate)| meets(candidate));
        meeting.min_by(|(_, one), (_, other)| key(one).partial_cmp(&key(other)).expect("figures are numbers"))
    };
    match target {
        Target::OutageMs(target) => {
            let meets = |candidate: &Candidate| outage_bound(candidate) * (1.0 + MARGIN) <= target;
            // Of those that are equally quiet, the one with the most room.
            let key = |candidate: &Candidate| {
                // Where nothing is known, nothing good is.
                let is_known = rate_bound(candidate).is_finite();
                let rate = if is_known { candidate.false_elections_per_hour } else { f64::INFINITY };
                (rate, -candidate.timing.election_timeout_ms[0])
            };
            // They seem to meet it, but trials are too few to say so.
            let perhaps = |candidate: &Candidate| candidate.outage_p99_ms <= target && !meets(candidate);
            match least(&key, &meets) {
                Some((place, candidate)) => {
                    let quieter = least(&key, &perhaps).map(|(_, other)| other);
                    let quieter = quieter.filter(|other| key(other).0 < key(candidate).0);
                    let more = quieter.map(passed_over).unwrap_or_default();
                    Advice::Take(place, why_quiet(candidate, target) + &more)
                }
                None => Advice::Unmet(outage_unmet(candidates, target)),
            }
        }
        Target::FalseElectionsPerHour(target) => {
            let meets = |candidate: &Candidate| rate_bound(candidate) <= target;
            let key = |candidate: &Candidate| (outage_bound(candidate), candidate.false_elections_per_hour);
            match least(&key, &meets) {
                Some((place, candidate)) => Advice::Take(place, why_fast(candidate, target)),
                None => Advice::Unmet(rate_unmet(candidates, target)),
            }
        }
    }
}

/// What is wrong with a timing on a network whose longest round trip is this, a sentence each.
pub fn warnings(timing: &Timing, round_trip_ms: f64) -> Vec<String> {
    let [low, high] = timing.election_timeout_ms;
    let mut found = Vec::new();
    if timing.heartbeat_ms * HEARTBEATS_MIN > low {
        found.push(format!(
            "the heartbeat of {} is too close to the shortest timeout of {}: a single one that is late or lost deposes a leader that is well",
            duration(timing.heartbeat_ms),
            duration(low)
        ));
    }
    if high - low < round_trip_ms {
        found.push(format!(
            "the range is {} wide, narrower than a round trip of {}: who times out next has not heard of the first yet, so votes are split",
            duration(high - low),
            duration(round_trip_ms)
        ));
    }
    if low < round_trip_ms + timing.heartbeat_ms {
        found.push(format!(
            "a heartbeat of {} and a round trip of {} do not fit into the shortest timeout of {}: leaders are given up while they are well",
            duration(timing.heartbeat_ms),
            duration(round_trip_ms),
            duration(low)
        ));
    }
    found
}

/// The outage that 99 of 100 failures surely stay below, as far as it can be told: the longest that was seen, where trials are few.
fn outage_bound(candidate: &Candidate) -> f64 {
    let spread = candidate.together.get(&candidate.source).and_then(|elections| elections.write.as_ref());
    spread.map_or(f64::INFINITY, |spread| spread.p99_interval[1].unwrap_or(spread.max))
}

/// The rate that false elections surely stay below.
fn rate_bound(candidate: &Candidate) -> f64 {
    candidate.false_elections_per_hour_interval[1].unwrap_or(f64::INFINITY)
}

fn why_quiet(candidate: &Candidate, target: f64) -> String {
    format!(
        "Of the candidates whose outages stay below {} in 99 of 100 failures ({} here), it has the fewest false elections: {}.",
        duration(target),
        duration(candidate.outage_p99_ms),
        rate(candidate.false_elections_per_hour)
    )
}

/// Why a candidate that has fewer false elections is not taken.
fn passed_over(candidate: &Candidate) -> String {
    format!(
        " {} has fewer, {}, and {} in 99 of 100 failures here; but what was measured leaves it at up to {}, which is too close: more failures would tell (--trials).",
        capitalized(&words(&candidate.timing)),
        rate(candidate.false_elections_per_hour),
        duration(candidate.outage_p99_ms),
        duration(outage_bound(candidate))
    )
}

fn why_fast(candidate: &Candidate, target: f64) -> String {
    format!(
        "Of the candidates whose false elections surely stay at or below {} ({} here), it has the shortest outages: {} in 99 of 100 failures.",
        rate(target),
        rate(candidate.false_elections_per_hour),
        duration(candidate.outage_p99_ms)
    )
}

fn outage_unmet(candidates: &[Candidate], target: f64) -> String {
    let nearest = candidates.iter().min_by(|one, other| outage_bound(one).total_cmp(&outage_bound(other)));
    let Some(nearest) = nearest.filter(|nearest| nearest.outage_p99_ms.is_finite()) else {
        return "no trial of any candidate came to its end: nobody wins elections on this network (hint: longer timeouts in --candidates)".into();
    };
    let [low, _] = nearest.timing.election_timeout_ms;
    format!(
        "no candidate keeps outages below {}: it takes {} until the shortest timeout that was tried has run out, and then votes have to go there and back; the nearest is {} with {} (hint: --target-outage {}ms, or shorter --candidates)",
        duration(target),
        duration(low - nearest.timing.heartbeat_ms),
        words(&nearest.timing),
        duration(outage_bound(nearest)),
        (outage_bound(nearest) * (1.0 + MARGIN)).ceil()
    )
}

fn rate_unmet(candidates: &[Candidate], target: f64) -> String {
    let nearest = candidates.iter().min_by(|one, other| rate_bound(one).total_cmp(&rate_bound(other)));
    let Some(nearest) = nearest else {
        return "there is no candidate (hint: --candidates 150ms..300ms)".into();
    };
    let why = match rate_bound(nearest) > nearest.false_elections_per_hour {
        true => "what was watched leaves room for more",
        false => "processes that stand still and packets that are late depose leaders more often than that",
    };
    format!(
        "no candidate keeps false elections at or below {}: {why}; the nearest is {} with {} at most (hint: longer --candidates, or --target-false-elections {:.3e}/h)",
        rate(target),
        words(&nearest.timing),
        rate(rate_bound(nearest)),
        rate_bound(nearest) * 1.05
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Elections, Source, Spread};
    use super::*;

    /// A candidate with this outage and rate; half of its outages take half as long.
    fn candidate(low: f64, outage: f64, per_hour: f64) -> Candidate {
        let spread = Spread {
            mean: outage / 2.0,
            p5: 0.0,
            p25: 0.0,
            p50: outage / 2.0,
            p50_interval: [None, None],
            p75: outage,
            p90: outage,
            p99: outage,
            p99_interval: [None, Some(outage * 1.01)],
            max: outage,
        };
        let elections = Elections { write: Some(spread), ..Elections::of([].iter()) };
        Candidate {
            timing: Timing { heartbeat_ms: low / 5.0, election_timeout_ms: [low, 2.0 * low] },
            outage_p50_ms: outage / 2.0,
            outage_p99_ms: outage,
            false_elections_per_hour: per_hour,
            false_elections_per_hour_interval: [Some(0.0), Some(per_hour * 1.5)],
            source: Source::Simulated,
            together: BTreeMap::from([(Source::Simulated, elections)]),
            real: BTreeMap::new(),
            simulated: BTreeMap::new(),
            steady: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn candidates() -> Vec<Candidate> {
        vec![candidate(50.0, 120.0, 40.0), candidate(150.0, 350.0, 0.5), candidate(500.0, 1100.0, 0.001)]
    }

    #[test]
    fn an_outage_is_met_with_the_fewest_false_elections() {
        let taken = |target| match advise(&candidates(), Target::OutageMs(target)) {
            Advice::Take(place, _) => Some(place),
            Advice::Unmet(_) => None,
        };
        assert_eq!([130.0, 371.5, 370.0, 5000.0].map(taken), [Some(0), Some(1), Some(0), Some(2)]);
        assert_eq!(taken(100.0), None);
    }

    #[test]
    fn who_is_passed_over_for_want_of_trials_is_named() {
        let why = |target| match advise(&candidates(), Target::OutageMs(target)) {
            Advice::Take(_, why) => why.replace(['\u{a0}', '\u{202f}'], " "),
            Advice::Unmet(text) => panic!("{text}"),
        };
        let named = "Heartbeat 30 ms, election timeout 150–300 ms has fewer, ";
        assert!(why(370.0).contains(named), "{}", why(370.0));
        assert!(why(370.0).contains("leaves it at up to 354 ms"), "{}", why(370.0));
        assert!(!why(372.0).contains("has fewer"), "it is taken: {}", why(372.0));
        assert!(!why(130.0).contains("has fewer"), "350 ms is too long: {}", why(130.0));
    }

    #[test]
    fn a_rate_is_met_with_the_shortest_outages_and_by_its_bound() {
        let taken = |target| match advise(&candidates(), Target::FalseElectionsPerHour(target)) {
            Advice::Take(place, _) => Some(place),
            Advice::Unmet(_) => None,
        };
        assert_eq!([60.0, 0.75, 0.74, 0.001].map(taken), [Some(0), Some(1), Some(2), None]);
    }

    #[test]
    fn who_cannot_be_met_is_told_the_nearest() {
        let unmet = |target| match advise(&candidates(), target) {
            // Numbers and units are kept together by spaces that do not break.
            Advice::Unmet(text) => text.replace(['\u{a0}', '\u{202f}'], " "),
            Advice::Take(place, _) => panic!("{place}"),
        };
        let text = unmet(Target::OutageMs(100.0));
        assert!(
            text.contains("election timeout 50–100 ms with 121 ms") && text.contains("--target-outage 128ms"),
            "{text}"
        );
        let text = unmet(Target::FalseElectionsPerHour(0.0));
        assert!(text.contains("500–1000 ms") && text.contains("/h)"), "{text}");
    }

    #[test]
    fn warnings_say_why() {
        let timing = |heartbeat_ms, low, high| Timing { heartbeat_ms, election_timeout_ms: [low, high] };
        assert_eq!(warnings(&timing(30.0, 150.0, 300.0), 10.0), [""; 0]);
        assert!(warnings(&timing(60.0, 150.0, 300.0), 10.0)[0].contains("too close"));
        assert!(warnings(&timing(30.0, 150.0, 155.0), 10.0)[0].contains("narrower than a round trip"));
        assert_eq!(warnings(&timing(30.0, 100.0, 120.0), 80.0).len(), 3 - 1);
    }
}
