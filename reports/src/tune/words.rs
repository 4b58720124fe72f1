//! How a tuning is told: timings, rates, shares and intervals, in the same words on the terminal, in Markdown and on the page.
//! Durations have their words in `wording`.

use super::{Candidate, Curve, Failure, Recommendation, Source, Target, Timing, Tuning};
use crate::plot::axis::number;
use crate::wording::duration;

/// Hours in a year.
const YEAR_H: f64 = 8_766.0;

/// `50 ms`.
pub(crate) fn heartbeat(timing: &Timing) -> String {
    format!("{} ms", milliseconds(timing.heartbeat_ms))
}

/// `150–300 ms`, or `150 ms` where nothing is drawn.
pub(crate) fn timeout(timing: &Timing) -> String {
    let [low, high] = timing.election_timeout_ms.map(milliseconds);
    if low == high { format!("{low} ms") } else { format!("{low}–{high} ms") }
}

/// `heartbeat 50 ms, election timeout 150–300 ms`.
pub(super) fn timing(timing: &Timing) -> String {
    format!("heartbeat {}, election timeout {}", heartbeat(timing), timeout(timing))
}

/// With as many decimals as tell two timings apart; what is to be configured exactly stands in the lines for it.
fn milliseconds(ms: f64) -> String {
    let parts = if ms < 10.0 { 100.0 } else { 10.0 };
    number((ms * parts).round() / parts)
}

/// A short name for each candidate: its range, and its heartbeat only where another one differs in nothing else.
pub(super) fn names(candidates: &[Candidate]) -> Vec<String> {
    let name = |candidate: &Candidate| {
        let (range, beat) = (timeout(&candidate.timing), heartbeat(&candidate.timing));
        let is_twin = |other: &Candidate| timeout(&other.timing) == range && heartbeat(&other.timing) != beat;
        if candidates.iter().any(is_twin) { format!("{range}, beat {beat}") } else { range }
    };
    candidates.iter().map(name).collect()
}

/// How often something happens, as a person would say it: `12 an hour`, `3 a day`, `one in 12 days`.
pub(crate) fn rate(per_hour: f64) -> String {
    let per_day = per_hour * 24.0;
    match per_hour {
        none if none <= 0.0 => "none".to_owned(),
        hourly if hourly >= 1.0 => format!("{} an hour", significant(hourly)),
        _ if per_day >= 1.0 => format!("{} a day", significant(per_day)),
        _ if per_day * 365.0 >= 1.0 => format!("one in {} days", significant(1.0 / per_day)),
        rare => format!("one in {} years", significant(1.0 / (rare * YEAR_H))),
    }
}

/// A rate per hour for a column of figures: `0`, `0.0021`, `12.5`.
pub(super) fn per_hour(rate: f64) -> String {
    significant(rate)
}

/// At most three digits that say something.
pub(super) fn significant(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !value.is_finite() => "–".to_owned(),
        0.0 => "0".to_owned(),
        large if large >= 1e6 => format!("{value:.1e}"),
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => trimmed(format!("{value:.1}")),
        small if small >= 1.0 => trimmed(format!("{value:.2}")),
        small if small >= 1e-6 => {
            let places = (1.0 - small.log10().floor()) as usize;
            trimmed(format!("{value:.places$}"))
        }
        _ => format!("{value:.1e}"),
    }
}

fn trimmed(text: String) -> String {
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A share as percent, with as many digits as tell rare things apart.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        0.0 => "0 %".to_owned(),
        large if large >= 1.0 => format!("{large:.1} %"),
        small if small >= 0.1 => format!("{small:.2} %"),
        tiny => format!("{tiny:.3} %"),
    }
}

/// How far off a figure is: `+4 %`.
pub(super) fn off(share: f64) -> String {
    let percent = share * 100.0;
    if percent.abs() < 0.5 { "0 %".to_owned() } else { format!("{percent:+.0} %") }
}

/// An interval of durations: `380 ms to 430 ms`, `380 ms or more`.
pub(super) fn interval(bounds: [Option<f64>; 2]) -> String {
    match bounds {
        [Some(low), Some(high)] => format!("{} to {}", duration(low), duration(high)),
        [Some(low), None] => format!("{} or more", duration(low)),
        [None, Some(high)] => format!("{} or less", duration(high)),
        [None, None] => "too few to tell".to_owned(),
    }
}

/// What the user wants, as a sentence without its full stop.
pub(super) fn target(target: Target) -> String {
    match target {
        Target::OutageMs(ms) => {
            format!("in 99 of 100 failures of a leader, writes succeed again within {}", duration(ms))
        }
        Target::FalseElectionsPerHour(per_hour) => {
            format!("leaders that are well lose their place at most this often: {}", rate(per_hour))
        }
    }
}

/// A figure in the target's unit.
pub(super) fn measured(target: Option<Target>, value: f64) -> String {
    match target {
        Some(Target::FalseElectionsPerHour(_)) => rate(value),
        Some(Target::OutageMs(_)) | None => duration(value),
    }
}

/// What the advice buys.
pub(super) fn gain(advice: &Recommendation) -> String {
    let (half, most) = (duration(advice.outage_p50_ms), duration(advice.outage_p99_ms));
    format!("Writes are back after {half} in half of a leader's failures, and after {most} in 99 of 100.")
}

/// What the advice costs.
pub(super) fn cost(advice: &Recommendation) -> String {
    let per_hour = advice.false_elections_per_hour;
    let often = match per_hour {
        none if none <= 0.0 => {
            return "No leader that was well lost its place while this was measured.".to_owned();
        }
        hourly if hourly >= 1.0 => rate(hourly),
        rare => format!("{} ({} an hour)", rate(rare), significant(rare)),
    };
    format!("A leader that is well loses its place this often: {often}.")
}

/// How the fresh runs went; `None` without any.
pub(super) fn checks(tuning: &Tuning) -> Option<String> {
    let met = tuning.checks.iter().filter(|check| check.met).count();
    let all = tuning.checks.len();
    let runs = if all == 1 { "fresh run" } else { "fresh runs" };
    (all > 0).then(|| format!("The target was met in {met} of {all} {runs} at other seeds."))
}

/// What befell the leader, for a reader.
pub(super) fn failure(failure: Failure) -> &'static str {
    match failure {
        Failure::Kill => "killed",
        Failure::Pause => "paused",
        Failure::CutOff => "cut off",
        Failure::Slow => "slow links",
    }
}

/// Where Figure 16 is not as near as was asked for, and why: places of one reason together, in the order of the curves.
pub(super) fn far_off(curves: &[Curve]) -> Vec<(String, String)> {
    let mut far: Vec<(String, String)> = Vec::new();
    for curve in curves {
        let told = SOURCES.map(|source| reasons(curve, source).into_iter().map(move |why| (source, why)));
        for (source, (percentiles, reason)) in told.into_iter().flatten() {
            let place = format!("{} {}, {}", timeout(&curve.timing), percentiles.join(" "), source.name());
            match far.iter_mut().find(|(_, told)| *told == reason) {
                Some((places, _)) => *places = format!("{places}; {place}"),
                None => far.push((place, reason)),
            }
        }
    }
    far
}

/// The percentiles of one curve that are not near, by reason.
fn reasons(curve: &Curve, source: Source) -> Vec<(Vec<String>, String)> {
    let mut reasons: Vec<(Vec<String>, String)> = Vec::new();
    for point in &curve.points {
        let beside = match source {
            Source::Real => &point.real,
            Source::Simulated => &point.simulated,
        };
        let Some(beside) = beside.as_ref().filter(|beside| !beside.is_near) else { continue };
        let reason = beside.reason.clone().unwrap_or_else(|| "no reason was found".to_owned());
        let percentile = format!("p{}", significant(point.percentile));
        match reasons.iter_mut().find(|(_, told)| *told == reason) {
            Some((percentiles, _)) => percentiles.push(percentile),
            None => reasons.push((vec![percentile], reason)),
        }
    }
    reasons
}

/// `real` or `simulated`, in the order in which both are told.
pub(super) const SOURCES: [Source; 2] = [Source::Real, Source::Simulated];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_told_in_the_unit_that_a_person_would_use() {
        let told = [0.0, 12.0, 1.0, 0.5, 1.0 / 24.0, 1.0 / 240.0, 1.0 / 87_660.0].map(rate);
        let expected =
            ["none", "12 an hour", "1 an hour", "12 a day", "1 a day", "one in 10 days", "one in 10 years"];
        assert_eq!(told, expected);
    }

    #[test]
    fn figures_have_no_digits_that_say_nothing() {
        let told = [0.0, 0.002_14, 0.5, 1.0, 12.345, 1_234.6, 2e-7, 3.2e9].map(significant);
        assert_eq!(told, ["0", "0.0021", "0.5", "1", "12.3", "1235", "2.0e-7", "3.2e9"]);
        let shares = [0.0, 0.000_4, 0.004, 0.052, 0.181].map(percent);
        assert_eq!(shares, ["0 %", "0.040 %", "0.40 %", "5.2 %", "18.1 %"]);
    }

    #[test]
    fn a_heartbeat_is_part_of_a_name_where_nothing_else_differs() {
        let [one, other] = [150.0, 300.0].map(super::super::sample::candidate);
        let mut twin = one.clone();
        twin.timing.heartbeat_ms = 75.0;
        let expected = ["150–300 ms, beat 50 ms", "150–300 ms, beat 75 ms", "300–600 ms"];
        assert_eq!(names(&[one.clone(), twin, other]), expected);
        assert_eq!(names(&[one.clone(), one]), ["150–300 ms", "150–300 ms"]);
    }

    #[test]
    fn an_interval_without_an_end_says_so() {
        assert_eq!(interval([Some(380.0), None]), "380 ms or more");
        assert_eq!(interval([None, None]), "too few to tell");
    }

    #[test]
    fn a_cost_is_told_by_the_hour_as_well_where_it_is_rare() {
        let advice = super::super::sample::tuning(1).recommendation.expect("advice");
        let told = [0.0, 2.0, 0.25].map(|false_elections_per_hour| {
            cost(&Recommendation { false_elections_per_hour, ..advice.clone() })
        });
        let expected = [
            "No leader that was well lost its place while this was measured.",
            "A leader that is well loses its place this often: 2 an hour.",
            "A leader that is well loses its place this often: 6 a day (0.25 an hour).",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_range_of_one_value_is_one_value() {
        let fixed = Timing { heartbeat_ms: 37.5, election_timeout_ms: [150.0, 150.0] };
        assert_eq!(timing(&fixed), "heartbeat 37.5 ms, election timeout 150 ms");
    }
}
