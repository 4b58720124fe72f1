//! The Raft paper's Figure 16, on real processes and in simulation, beside what was published (Ongaro and Ousterhout 2014, section 9.3).
//!
//! Five servers; the leader crashes between two synchronised heartbeats, whose interval is half the shortest timeout; the logs of two of
//! the other four are too short to lead. The figure shows how long until another server hears the next leader. The paper says of its
//! cluster only that a broadcast took about 15 ms; what the servers' disks and links must have been like is inferred from the curves.

use std::path::Path;
use std::time::Duration;

use rafture_nemesis::disk;
use rafture_nemesis::hosts::NetworkChoice;
use rafture_reports::tune::statistics::{quantile, quantile_interval};
use rafture_reports::tune::{
    Beside, Curve, CurvePoint, Elections, Failure, NetworkFacts, Source, Timing, Trial,
};
use rafture_sim::elections::{self, Delay, LinkSpec, Setup};
use tokio::sync::watch;

use super::arguments::TuneArguments;
use super::network::Network;
use super::real::{Figure16Plan, Progress, figure16 as measure};
use super::simulated::{many, seed, told};
use super::sync::{self, Syncs};
use crate::duration::{Range, Span};
use crate::error::Error;

/// As in the paper.
const SERVERS: usize = 5;
const PERCENTILES: [f64; 6] = [5.0, 25.0, 50.0, 75.0, 90.0, 99.0];

/// A curve as published: percentiles in milliseconds, measured in the figure's vector graphics.
struct Published {
    panel: &'static str,
    range: [f64; 2],
    ms: [Option<f64>; 6],
}

const fn curve(panel: &'static str, range: [f64; 2], ms: [f64; 6]) -> Published {
    let [a, b, c, d, e, f] = ms;
    Published { panel, range, ms: [Some(a), Some(b), Some(c), Some(d), Some(e), Some(f)] }
}

const RANDOMNESS: &str = "randomness";
const TIMEOUT: &str = "timeout";

const PUBLISHED: [Published; 11] = [
    Published {
        panel: RANDOMNESS,
        range: [150.0, 150.0],
        // A hundred trials have no 99th percentile to speak of.
        ms: [Some(17404.0), Some(28498.0), Some(41112.0), Some(60677.0), Some(84953.0), None],
    },
    curve(RANDOMNESS, [150.0, 151.0], [287.0, 737.0, 1198.0, 1939.0, 3132.0, 5982.0]),
    curve(RANDOMNESS, [150.0, 155.0], [106.0, 155.0, 287.0, 435.0, 606.0, 1224.0]),
    curve(RANDOMNESS, [150.0, 175.0], [102.0, 121.0, 141.0, 164.0, 291.0, 463.0]),
    curve(RANDOMNESS, [150.0, 200.0], [104.0, 125.0, 146.0, 167.0, 193.0, 345.0]),
    curve(RANDOMNESS, [150.0, 300.0], [115.0, 144.0, 171.0, 208.0, 244.0, 405.0]),
    curve(TIMEOUT, [12.0, 24.0], [19.0, 24.0, 30.0, 42.0, 52.0, 87.0]),
    curve(TIMEOUT, [25.0, 50.0], [29.0, 35.0, 43.0, 52.0, 73.0, 118.0]),
    curve(TIMEOUT, [50.0, 100.0], [44.0, 56.0, 67.0, 79.0, 96.0, 168.0]),
    curve(TIMEOUT, [100.0, 200.0], [78.0, 100.0, 120.0, 145.0, 166.0, 273.0]),
    curve(TIMEOUT, [150.0, 300.0], [115.0, 144.0, 171.0, 208.0, 244.0, 405.0]),
];

/// What the paper's servers must have been like, for one set of figures to fit all curves: a packet takes 0.7 ms, a sync 2.9 ms with
/// a long tail, and a new leader another 4.5 ms, since LogCabin stores its first entry before it sends it.
const LINK: Delay = Delay { base_ns: 297_000, tail_ns: 389_000 };
const SYNC: Delay = Delay { base_ns: 310_000, tail_ns: 2_580_000 };
const BEFORE_FIRST: Delay = Delay { base_ns: 3_300_000, tail_ns: 1_200_000 };

/// So many simulated crashes are enough for the curve without randomness: each takes minutes of virtual time.
const SIMULATED_WITHOUT_RANDOMNESS: u64 = 300;

/// What came of it.
pub(super) struct Found {
    /// That of real servers, and how it came about.
    pub(super) network: NetworkFacts,
    pub(super) curves: Vec<Curve>,
    pub(super) trials: Vec<Trial>,
    pub(super) warnings: Vec<String>,
}

/// All curves that were asked for, with their trials.
///
/// # Errors
/// When a curve is named that is not there, or a cluster does not come up.
pub(super) fn figure16(
    arguments: &TuneArguments,
    syncs: Syncs,
    folder: &Path,
    stop: &watch::Receiver<bool>,
    note: &(dyn Fn(Progress) + Sync),
) -> Result<Found, Error> {
    let mut trials = Vec::new();
    let mut warnings = Vec::new();
    let asked = asked(arguments)?;
    let mut servers = Servers::of(arguments, syncs);
    warnings.extend(servers.warning.take());
    // Without randomness a curve takes hours, and the last one is there twice.
    let is_measured = |published: &Published| published.range[0] < published.range[1] && !is_again(published);
    let measured: Vec<usize> =
        asked.iter().copied().filter(|&place| is_measured(&PUBLISHED[place])).collect();
    if !arguments.sim {
        let plan = Figure16Plan {
            curves: measured.iter().map(|&place| PUBLISHED[place].timing()).collect(),
            trials: arguments.trials,
            link: servers.link,
            sync: servers.is_mounted.then_some(servers.sync),
            seed: arguments.seed,
            network: arguments.network.parse::<NetworkChoice>().map_err(Error::Input)?,
            jobs: arguments.jobs,
            folder: folder.to_path_buf(),
            rafture: std::env::current_exe().map_err(Error::harness)?,
        };
        let drawn = measure(&plan, stop, note)?;
        (servers.link, servers.sync) = (drawn.link, drawn.sync);
        for (found, &place) in drawn.curves.into_iter().zip(&measured) {
            let name = PUBLISHED[place].name();
            warnings.extend(found.warnings.iter().map(|warning| format!("{name}: {warning}")));
            trials.extend(found.trials.into_iter().map(|trial| Trial { candidate: place, ..trial }));
        }
    }
    let count = arguments.simulated_share();
    let mut curves = Vec::new();
    for place in asked {
        let published = &PUBLISHED[place];
        // The last curve is one of the upper panel's again: its trials are that one's.
        let twin = PUBLISHED.iter().position(|other| other.range == published.range).unwrap_or(place);
        if place == twin && !arguments.real {
            trials.extend(published.simulate(place, arguments.seed, count));
        }
        let of = |source: Source| -> Vec<Trial> {
            let is_mine = |trial: &&Trial| (trial.candidate, trial.source) == (twin, source);
            trials.iter().filter(is_mine).copied().collect()
        };
        let (real, simulated) = (of(Source::Real), of(Source::Simulated));
        curves.push(published.beside((twin, arguments.seed, &servers, count), &real, &simulated));
    }
    Ok(Found { network: servers.network(), curves, trials, warnings })
}

/// What lies between real servers, and their disks: what was inferred from the curves, unless something else was asked for.
struct Servers {
    link: Delay,
    sync: Delay,
    /// Their disks are made slower than this machine's.
    is_mounted: bool,
    warning: Option<String>,
}

impl Servers {
    fn of(arguments: &TuneArguments, syncs: Syncs) -> Servers {
        let ns = |span: Option<Span>, else_ns: u64| span.map_or(else_ns, |span| span.0.as_nanos() as u64);
        let link = Delay {
            base_ns: ns(arguments.rtt.map(|rtt| Span(rtt.0 / 2)), LINK.base_ns),
            tail_ns: ns(arguments.jitter, LINK.tail_ns),
        };
        let is_told = arguments.sync.is_some() || arguments.sync_jitter.is_some();
        // Whoever asks for a disk that cannot be had has been told so.
        let lack = disk::lack().filter(|_| !is_told && !arguments.sim);
        Servers {
            link,
            sync: if is_told || lack.is_some() { syncs.meant } else { SYNC },
            is_mounted: lack.is_none(),
            warning: lack.map(|lack| {
                format!("real servers have this machine's disk, not one like the paper's, which cannot be had here: {lack}")
            }),
        }
    }

    fn are_as_inferred(&self) -> bool {
        (self.link, self.sync) == (LINK, SYNC)
    }

    fn network(&self) -> NetworkFacts {
        let [least, jitter] = [self.link.base_ns, self.link.tail_ns].map(Duration::from_nanos);
        let mut facts = Network::uniform(SERVERS, 2 * least, jitter, 0.0).facts();
        facts.words += &format!(", {}", sync::words(self.sync));
        facts.words += match self.are_as_inferred() {
            true => ", as inferred from the published curves",
            false => " at real servers; simulated ones have what was inferred from the published curves",
        };
        facts
    }
}

/// The places of the curves that were asked for; all of them if none was named.
pub(super) fn asked(arguments: &TuneArguments) -> Result<Vec<usize>, Error> {
    let is_of = |published: &Published, range: &Range| {
        published.range == [range.low, range.high].map(|bound| bound.as_secs_f64() * 1e3)
    };
    let unknown =
        arguments.candidates.iter().find(|range| !PUBLISHED.iter().any(|curve| is_of(curve, range)));
    if let Some(range) = unknown {
        let names = PUBLISHED.map(|curve| format!("{}ms..{}ms", curve.range[0], curve.range[1]));
        return Err(Error::Input(format!(
            "Figure 16 has no curve of {range} (hint: some of {})",
            names.join(", ")
        )));
    }
    let is_asked = |place: &usize| {
        arguments.candidates.is_empty()
            || arguments.candidates.iter().any(|range| is_of(&PUBLISHED[*place], range))
    };
    Ok((0..PUBLISHED.len()).filter(is_asked).collect())
}

/// The lower panel repeats the upper one's last curve.
fn is_again(published: &Published) -> bool {
    published.panel == TIMEOUT && published.range == [150.0, 300.0]
}

impl Published {
    fn timing(&self) -> Timing {
        Timing { heartbeat_ms: self.range[0] / 2.0, election_timeout_ms: self.range }
    }

    fn name(&self) -> String {
        format!("{}-{} ms", self.range[0], self.range[1])
    }

    fn setup(&self, link: Delay, sync: Delay, before_first: Delay) -> Setup {
        let ns = self.range.map(|ms| (ms * 1e6) as u64);
        let link = LinkSpec { delay: link, loss: 0.0 };
        let mut setup = Setup::uniform(SERVERS, (ns[0], ns[1]), ns[0] / 2, link);
        (setup.pre_vote, setup.short_logs) = (false, 2);
        (setup.sync, setup.before_first) = (sync, before_first);
        setup
    }

    fn simulate(&self, place: usize, of: u64, count: u64) -> Vec<Trial> {
        let is_without_randomness = self.range[0] == self.range[1];
        let count = if is_without_randomness { count.min(SIMULATED_WITHOUT_RANDOMNESS) } else { count };
        let setup = self.setup(LINK, SYNC, BEFORE_FIRST);
        let found = many(&setup, elections::Failure::Kill, seed(of, place, 16), count);
        let all = (0..).zip(found);
        all.filter_map(|(number, trial)| Some(told(&trial?, place, Failure::Kill, number))).collect()
    }

    /// What this project's own node must come to in the set-up of the real trials, where it differs from the paper's.
    fn expected(&self, (place, of, servers, count): (usize, u64, &Servers, u64)) -> Vec<f64> {
        let setup = self.setup(servers.link, servers.sync, Delay::default());
        let found = many(&setup, elections::Failure::Kill, seed(of, place, 17), count);
        let mut ms: Vec<f64> =
            found.iter().filter_map(|trial| Some((*trial)?.heard_ns? as f64 / 1e6)).collect();
        ms.sort_by(f64::total_cmp);
        ms
    }

    fn beside(
        &self,
        (place, of, servers, count): (usize, u64, &Servers, u64),
        real: &[Trial],
        simulated: &[Trial],
    ) -> Curve {
        let sorted = |trials: &[Trial]| {
            // What had no end counts as longer than all else.
            let mut ms: Vec<f64> =
                trials.iter().map(|trial| trial.heartbeat_ms.unwrap_or(f64::INFINITY)).collect();
            ms.sort_by(f64::total_cmp);
            ms
        };
        let (real_ms, simulated_ms) = (sorted(real), sorted(simulated));
        let expected =
            if real_ms.is_empty() { Vec::new() } else { self.expected((place, of, servers, count)) };
        let points = PERCENTILES.into_iter().zip(self.ms).filter_map(|(percentile, published)| {
            let published_ms = published?;
            let point = Point { percentile, published_ms };
            Some(CurvePoint {
                percentile,
                published_ms,
                real: point.real(&real_ms, (&expected, servers.are_as_inferred())),
                simulated: point.simulated(&simulated_ms, self.range[0] == self.range[1]),
            })
        });
        let of = |trials: &[Trial]| (!trials.is_empty()).then(|| Elections::of(trials.iter()));
        Curve {
            panel: self.panel.into(),
            timing: self.timing(),
            candidate: Some(place),
            points: points.collect(),
            real: of(real),
            simulated: of(simulated),
        }
    }
}

/// One percentile that was published.
struct Point {
    percentile: f64,
    published_ms: f64,
}

impl Point {
    /// Near is 15 % at the median and 30 % elsewhere.
    fn real_bound(&self) -> f64 {
        if self.percentile == 50.0 { 0.15 } else { 0.3 }
    }

    fn real(&self, sorted: &[f64], (expected, is_same): (&[f64], bool)) -> Option<Beside> {
        let bound = self.real_bound();
        let mut beside = self.compare(sorted, |off, _| off.abs() <= bound)?;
        if !beside.is_near {
            let expected = quantile(expected, self.percentile / 100.0)?;
            beside.reason = Some(self.why(&beside, (expected, is_same), sorted.len()));
        }
        Some(beside)
    }

    /// Near is 10 % or 10 ms.
    fn simulated(&self, sorted: &[f64], is_without_randomness: bool) -> Option<Beside> {
        let mut beside = self.compare(sorted, |off, ms| off.abs() <= 0.1 || ms <= 10.0)?;
        if !beside.is_near {
            beside.reason = Some(match is_without_randomness {
                true => "nothing but the jitter of links and disks ends split votes there, and of that nothing is known".into(),
                false => "one set of links and disks stands for eleven measurements".into(),
            });
        }
        Some(beside)
    }

    fn compare(&self, sorted: &[f64], is_near: impl Fn(f64, f64) -> bool) -> Option<Beside> {
        let ms = quantile(sorted, self.percentile / 100.0).filter(|ms| ms.is_finite())?;
        let interval_ms =
            quantile_interval(sorted, self.percentile / 100.0).map(|ms| ms.filter(|ms| ms.is_finite()));
        let off = ms / self.published_ms - 1.0;
        let is_near = is_near(off, (ms - self.published_ms).abs());
        Some(Beside { ms, interval_ms, off, is_near, reason: None })
    }

    /// `is_same` is whether links and disks are those that were inferred.
    fn why(&self, beside: &Beside, (expected, is_same): (f64, bool), trials: usize) -> String {
        let [low, high] = beside.interval_ms;
        let holds = |ms: f64| low.is_none_or(|low| low <= ms) && high.is_none_or(|high| ms <= high);
        let word = |bound: Option<f64>| bound.map_or("?".into(), |ms| format!("{ms:.0}"));
        let interval = format!("{} to {} ms", word(low), word(high));
        let published = self.published_ms;
        if holds(published) {
            return format!(
                "{trials} trials leave it anywhere in {interval}, which holds what was published"
            );
        }
        let bound = self.real_bound();
        if let Some(near) =
            [1.0 - bound, 1.0 + bound].map(|share| share * published).into_iter().find(|ms| holds(*ms))
        {
            return format!(
                "{trials} trials leave it anywhere in {interval}, and with {near:.0} ms it would be near enough"
            );
        }
        let expects = format!(
            "simulation expects {expected:.0} ms of this node here, as it sends its first entry before it has stored it, which LogCabin did not{}; {interval} was measured",
            if is_same { "" } else { ", and its links and disks are not quite those that were inferred" }
        );
        // What was measured lies between what was published and what this node is expected to do; or beyond that.
        let is_between = |one: f64, ms: f64, other: f64| (one.min(other)..=one.max(other)).contains(&ms);
        if holds(expected) || is_between(published, beside.ms, expected) {
            expects
        } else if is_between(published, expected, beside.ms) {
            format!("explained in part: {expects}")
        } else {
            format!("not explained: {expects}; was the machine busy?")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_the_figures_allow() {
        let point = Point { percentile: 50.0, published_ms: 100.0 };
        let why = |ms: f64, [low, high]: [f64; 2], expected: f64| {
            let interval_ms = [Some(low), Some(high)];
            let beside = Beside { ms, interval_ms, off: ms / 100.0 - 1.0, is_near: false, reason: None };
            point.why(&beside, (expected, true), 200)
        };
        assert!(why(120.0, [90.0, 150.0], 100.0).ends_with("90 to 150 ms, which holds what was published"));
        assert!(why(120.0, [110.0, 150.0], 100.0).ends_with("and with 115 ms it would be near enough"));
        assert!(why(130.0, [120.0, 150.0], 125.0).starts_with("simulation expects 125 ms"));
        assert!(why(130.0, [120.0, 135.0], 140.0).starts_with("simulation expects 140 ms"));
        assert!(
            why(130.0, [125.0, 150.0], 120.0).starts_with("explained in part: simulation expects 120 ms")
        );
        assert!(why(130.0, [120.0, 150.0], 90.0).starts_with("not explained: simulation expects 90 ms"));
    }
}
