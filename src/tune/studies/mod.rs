//! Questions about elections that Raft's dissertation leaves open (chapter 9), answered by simulation: one file each.
//!
//! All of them speak of five members, timeouts from 150 to 300 ms, a heartbeat every 30 ms and links of 5 ms each way over TCP, unless they
//! say otherwise.

mod asymmetric;
mod drift;
mod loss;
mod mixed;

use rafture_reports::tune::statistics::{quantile, quantile_interval, rate_interval, share_interval};
use rafture_reports::tune::{Study, StudyChart, StudyLine};
use rafture_sim::elections::{Delay, Failure, LinkSpec, Settled, Setup};

use super::simulated::{many, seed};

/// The questions, as `--study` takes them.
const NAMES: [&str; 4] = ["asymmetric-links", "heavy-loss", "drifting-clocks", "mixed-ranges"];
const MS: u64 = 1_000_000;
const MEMBERS: usize = 5;
const RANGE_NS: (u64, u64) = (150 * MS, 300 * MS);
const HEARTBEAT_NS: u64 = 30 * MS;
const WAY_NS: u64 = 5 * MS;
/// Heartbeats of a time in which nothing fails.
const QUIET_HEARTBEATS: u64 = 100_000;

/// Whoever simulates for a study.
struct Lab {
    seed: u64,
    trials: u64,
    /// Simulations so far: each has seeds of its own.
    count: usize,
}

/// What came of failures: percentiles of the outage, each with its interval, and the share of first terms without a winner.
struct Outage {
    p50: [f64; 3],
    p99: [f64; 3],
    split: [f64; 3],
    /// Failures that did not come to an end, or could not be made since nobody led.
    lost: u64,
}

/// The questions of these names, each once.
pub(super) fn named(names: &[String]) -> Result<Vec<&'static str>, String> {
    if let Some(unknown) = names.iter().find(|name| *name != "all" && !NAMES.contains(&name.as_str())) {
        return Err(format!("there is no study `{unknown}` (hint: all, or some of {})", NAMES.join(", ")));
    }
    let is_asked = |name: &&str| names.iter().any(|asked| asked == "all" || asked == name);
    Ok(NAMES.into_iter().filter(is_asked).collect())
}

/// The answer to a question; `trials` failures for every point of its pictures.
pub(super) fn study(name: &str, of: u64, trials: u64) -> Study {
    let mut lab = Lab { seed: of, trials, count: 0 };
    match name {
        "asymmetric-links" => asymmetric::study(&mut lab),
        "heavy-loss" => loss::study(&mut lab),
        "drifting-clocks" => drift::study(&mut lab),
        "mixed-ranges" => mixed::study(&mut lab),
        other => unreachable!("no study is called {other}"),
    }
}

/// What all questions begin from.
fn usual() -> Setup {
    let link = LinkSpec { delay: Delay { base_ns: WAY_NS, tail_ns: 0 }, loss: 0.0 };
    Setup::uniform(MEMBERS, RANGE_NS, HEARTBEAT_NS, link)
}

impl Lab {
    fn next_seed(&mut self) -> u64 {
        self.count += 1;
        seed(self.seed, self.count, 32)
    }

    /// Leaders are killed.
    fn outage(&mut self, setup: &Setup) -> Outage {
        let first = self.next_seed();
        let found: Vec<_> = many(setup, Failure::Kill, first, self.trials).into_iter().flatten().collect();
        let mut ms: Vec<f64> =
            found.iter().filter_map(|trial| trial.wrote_ns).map(|ns| ns as f64 / MS as f64).collect();
        ms.sort_by(f64::total_cmp);
        let at = |q: f64| {
            let value = quantile(&ms, q).unwrap_or(f64::NAN);
            let [low, high] = quantile_interval(&ms, q);
            [value, low.unwrap_or(value), high.unwrap_or(value)]
        };
        let split = found.iter().filter(|trial| trial.split > 0).count() as u64;
        let [low, high] = share_interval(split, found.len() as u64);
        let percent = [split as f64 / found.len().max(1) as f64, low, high].map(|share| 100.0 * share);
        Outage { p50: at(0.5), p99: at(0.99), split: percent, lost: self.trials - ms.len() as u64 }
    }

    /// Nothing fails: elections per hour all the same.
    fn false_elections(&mut self, setup: &Setup) -> [f64; 3] {
        let first = self.next_seed();
        let lasts = QUIET_HEARTBEATS * setup.heartbeat_ns;
        let settled = Settled::new(setup);
        let quiet = settled.arena().quiet(lasts, first);
        let hours = lasts as f64 / 3.6e12;
        let [low, high] = rate_interval(quiet.elections, hours);
        [quiet.elections as f64 / hours, low, high]
    }
}

/// A line of a picture: what is varied, and what came of it.
fn line(name: &str, xs: &[f64], ys: Vec<[f64; 3]>) -> StudyLine {
    let points = xs.iter().zip(ys).filter(|(_, [y, ..])| y.is_finite());
    StudyLine { name: name.into(), points: points.map(|(&x, [y, low, high])| [x, y, low, high]).collect() }
}

fn chart(title: &str, (x, y): (&str, &str), is_log: bool, lines: Vec<StudyLine>) -> StudyChart {
    StudyChart { title: title.into(), x: x.into(), y: y.into(), is_log, lines }
}

/// Outages in one picture, split votes in another.
fn outage_charts(x: &str, xs: &[f64], series: Vec<(&str, Vec<Outage>)>) -> Vec<StudyChart> {
    let mut outages = Vec::new();
    let mut splits = Vec::new();
    for (name, found) in series {
        let named = |what: &str| if name.is_empty() { what.to_owned() } else { format!("{name}, {what}") };
        outages.push(line(&named("p50"), xs, found.iter().map(|outage| outage.p50).collect()));
        outages.push(line(&named("p99"), xs, found.iter().map(|outage| outage.p99).collect()));
        let name = if name.is_empty() { "split votes" } else { name };
        splits.push(line(name, xs, found.iter().map(|outage| outage.split).collect()));
    }
    vec![
        chart("From the death of a leader to the next write", (x, "outage, ms"), false, outages),
        chart("First terms that nobody won", (x, "split votes, %"), false, splits),
    ]
}

/// Two numbers beside each other, in words.
fn from_to(from: f64, to: f64, unit: &str) -> String {
    format!("from {from:.0} to {to:.0} {unit}")
}

fn first_last(found: &[Outage], value: impl Fn(&Outage) -> f64) -> (f64, f64) {
    let last = found.last().map_or(f64::NAN, &value);
    (found.first().map_or(f64::NAN, &value), last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_study_with_findings_and_lines() {
        for name in named(&["all".into()]).expect("names") {
            let study = study(name, 3, 200);
            assert_eq!(study.name, name);
            assert!(!study.findings.is_empty() && !study.charts.is_empty(), "{name}");
            for chart in &study.charts {
                assert!(chart.lines.iter().all(|line| line.points.len() > 1), "{name}: {}", chart.title);
            }
            let words = study.findings.join(" ");
            assert!(!words.contains("NaN") && !words.contains("inf"), "{name}: {words}");
        }
        assert!(named(&["nothing".into()]).expect_err("no study").contains("heavy-loss"));
    }
}
