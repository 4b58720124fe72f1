//! Makes up a tuning and writes its files: to look at them, and to measure what they cost.
//!
//! `cargo run --release -p rafture-reports --example sample_tuning -- [--candidates 12] [--trials 50] [--simulated 100000] [--seed 7] FOLDER`
//!
//! Elections are drawn from a small model: members draw timeouts, the first to stand wins unless too many others stand within a message's time.
//! Nothing in it is a measurement of a real system; only the shapes are those of one. It says how long the files took and how large the page is, and
//! fails where the page exceeds what is promised.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use rafture_reports::terminal::Screen;
use rafture_reports::tune::statistics::rate_interval;
use rafture_reports::tune::{
    self, Beside, Candidate, Check, Configuration, Curve, CurvePoint, Elections, Failure, NetworkFacts,
    Recommendation, Source, SplitPoint, Spread, Steady, Study, StudyChart, StudyLine, Target, Timing, Trial,
    Tuning,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a page may take at most.
const PAGE_BYTES_MAX: u64 = 2_000_000;
const TARGET_MS: f64 = 500.0;
/// Shortest timeouts of the candidates, in milliseconds; the range is as wide as they are, or half as wide.
const LOWS: [f64; 6] = [50.0, 100.0, 150.0, 200.0, 300.0, 500.0];
/// Published percentiles of Figure 16 (Ongaro and Ousterhout, 2014), in milliseconds: p5, p25, p50, p75, p90, p99.
const PUBLISHED: [(&str, [f64; 2], [f64; 6]); 10] = [
    ("randomness", [150.0, 151.0], [287.0, 737.0, 1198.0, 1939.0, 3132.0, 5982.0]),
    ("randomness", [150.0, 155.0], [106.0, 155.0, 287.0, 435.0, 606.0, 1224.0]),
    ("randomness", [150.0, 175.0], [102.0, 121.0, 141.0, 164.0, 291.0, 463.0]),
    ("randomness", [150.0, 200.0], [104.0, 125.0, 146.0, 167.0, 193.0, 345.0]),
    ("randomness", [150.0, 300.0], [115.0, 144.0, 171.0, 208.0, 244.0, 405.0]),
    ("timeout", [12.0, 24.0], [19.0, 24.0, 30.0, 42.0, 52.0, 87.0]),
    ("timeout", [25.0, 50.0], [29.0, 35.0, 43.0, 52.0, 73.0, 118.0]),
    ("timeout", [50.0, 100.0], [44.0, 56.0, 67.0, 79.0, 96.0, 168.0]),
    ("timeout", [100.0, 200.0], [78.0, 100.0, 120.0, 145.0, 166.0, 273.0]),
    ("timeout", [150.0, 300.0], [115.0, 144.0, 171.0, 208.0, 244.0, 405.0]),
];
const PERCENTILES: [f64; 6] = [5.0, 25.0, 50.0, 75.0, 90.0, 99.0];

struct Arguments {
    candidates: usize,
    trials: u64,
    simulated: u64,
    seed: u64,
    folder: String,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut given =
        Arguments { candidates: 12, trials: 50, simulated: 100_000, seed: 7, folder: String::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("`{word}` needs a value"));
        match word.as_str() {
            "--candidates" => given.candidates = value()?.parse()?,
            "--trials" => given.trials = value()?.parse()?,
            "--simulated" => given.simulated = value()?.parse()?,
            "--seed" => given.seed = value()?.parse()?,
            _ => given.folder = word,
        }
    }
    match given.folder.is_empty() {
        true => {
            Err("usage: sample_tuning [--candidates N] [--trials N] [--simulated N] [--seed N] FOLDER".into())
        }
        false => Ok(given),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let mut random = ChaCha8Rng::seed_from_u64(arguments.seed);
    let began = Instant::now();
    let (tuning, trials) = tuning(&arguments, &mut random);
    eprintln!("made {} trials up in {:?}", trials.len(), began.elapsed());

    let folder = Path::new(&arguments.folder);
    let began = Instant::now();
    tune::write(folder, &tuning, &trials)?;
    let took = began.elapsed();
    let bytes = std::fs::metadata(folder.join("report.html"))?.len();
    eprintln!("wrote {} in {took:?}, report.html has {bytes} bytes", folder.display());
    print!("{}", tune::terminal(&tuning, Screen { color: false, width: 100 }));
    match bytes <= PAGE_BYTES_MAX {
        true => Ok(()),
        false => Err(format!("at most {PAGE_BYTES_MAX} bytes were promised").into()),
    }
}

/// How members elect one of them, in milliseconds.
#[derive(Clone, Copy)]
struct Model {
    timing: Timing,
    /// Members that may win.
    members: usize,
    /// Nobody wins if so many others stand within a message's time of the first.
    rivals: usize,
    /// A message's time.
    latency_ms: f64,
    /// What processes and disks add, on average.
    noise_ms: f64,
}

impl Model {
    fn trial(&self, random: &mut ChaCha8Rng, of: (usize, Source, Failure), number: u64) -> Trial {
        let (candidate, source, failure) = of;
        let Timing { heartbeat_ms, election_timeout_ms: [low, high] } = self.timing;
        // The failure comes at some time between two heartbeats; slow links hold the last ones back.
        let late = if failure == Failure::Slow { 0.4 * high } else { 0.0 };
        let mut now_ms = late - random.random_range(0.0..=heartbeat_ms);
        let (mut detected_ms, mut elections) = (None, 0);
        loop {
            let mut draws: Vec<f64> = (0..self.members).map(|_| random.random_range(low..=high)).collect();
            draws.sort_unstable_by(f64::total_cmp);
            elections += 1;
            now_ms += draws[0];
            detected_ms.get_or_insert(now_ms.max(0.0));
            now_ms += self.latency_ms + self.noise(random);
            let is_split = draws.get(self.rivals).is_some_and(|last| last - draws[0] < self.latency_ms);
            if !is_split || elections == 60 {
                break;
            }
        }
        let heard_ms = now_ms.max(0.0) + self.latency_ms + self.noise(random);
        let is_over = elections < 60;
        Trial {
            candidate,
            source,
            failure,
            number,
            detected_ms,
            heartbeat_ms: is_over.then_some(heard_ms),
            write_ms: is_over.then(|| heard_ms + 2.0 * self.latency_ms + self.noise(random)),
            elections,
            split_votes: elections - 1,
        }
    }

    fn noise(&self, random: &mut ChaCha8Rng) -> f64 {
        -self.noise_ms * random.random_range(1e-6f64..1.0).ln()
    }
}

fn tuning(arguments: &Arguments, random: &mut ChaCha8Rng) -> (Tuning, Vec<Trial>) {
    let mut trials = Vec::new();
    let candidates: Vec<Candidate> =
        (0..arguments.candidates).map(|place| candidate(place, arguments, random, &mut trials)).collect();
    let figure16 = PUBLISHED
        .iter()
        .enumerate()
        .map(|(place, published)| curve(arguments.candidates + place, published, random, &mut trials))
        .collect();
    let recommendation = recommendation(&candidates);
    let unmet = recommendation.is_none().then(|| "no candidate is that fast".to_owned());
    let checks = (1..=10)
        .map(|seed| Check {
            seed: arguments.seed + seed,
            source: Source::Real,
            measured: TARGET_MS * (0.7 + 0.034 * seed as f64),
            met: seed < 9,
        })
        .collect();
    let tuning = Tuning {
        command: format!("rafture tune --nodes 5 --rtt 2ms --jitter 0.3ms --target-outage 500ms --figure16 --seed {}", arguments.seed),
        seed: arguments.seed,
        started: "2026-11-26T09:30:00Z".into(),
        seconds: 412.7,
        system: "rafture".into(),
        nodes: 5,
        network: network(),
        target: Some(Target::OutageMs(TARGET_MS)),
        recommendation,
        unmet,
        warnings: vec!["Of 50 trials the 99th percentile is the worst one, and its interval is open (hint: `--trials 400`).".into()],
        candidates,
        checks,
        split_votes: split_votes(random),
        figure16,
        studies: vec![study()],
    };
    (tuning, trials)
}

fn network() -> NetworkFacts {
    let far =
        |one: i32, other: i32| if one == other { 0.0 } else { 1.5 + 0.5 * f64::from((one - other).abs()) };
    NetworkFacts {
        words: "round trips of 2 to 3.5 ms, 0.3 ms of jitter, no loss".into(),
        round_trip_ms: (0..5).map(|one| (0..5).map(|other| far(one, other)).collect()).collect(),
        jitter_ms: 0.3,
        loss: 0.0,
    }
}

fn candidate(
    place: usize,
    arguments: &Arguments,
    random: &mut ChaCha8Rng,
    trials: &mut Vec<Trial>,
) -> Candidate {
    let low = LOWS[place / 2 % LOWS.len()] + 25.0 * (place / 12) as f64;
    let high = if place.is_multiple_of(2) { 2.0 * low } else { 1.2 * low };
    let timing = Timing { heartbeat_ms: low / 3.0, election_timeout_ms: [low, high] };
    let mut together = BTreeMap::new();
    let mut of = |source: Source, count: u64| -> BTreeMap<Failure, Elections> {
        let noise_ms = if source == Source::Real { 2.2 } else { 1.6 };
        let model = Model { timing, members: 4, rivals: 2, latency_ms: 1.3, noise_ms };
        let begin = trials.len();
        let elections = |failure| {
            let first = trials.len();
            trials.extend((0..count).map(|number| model.trial(random, (place, source, failure), number)));
            (failure, Elections::of(trials[first..].iter()))
        };
        if count == 0 {
            return BTreeMap::new();
        }
        let by_failure = Failure::ALL.map(elections).into_iter().collect();
        together.insert(source, Elections::of(trials[begin..].iter()));
        by_failure
    };
    let real = of(Source::Real, arguments.trials);
    let simulated = of(Source::Simulated, arguments.simulated / 4);
    let source = if simulated.is_empty() { Source::Real } else { Source::Simulated };
    let told = together.get(&source).and_then(|elections: &Elections| elections.write.clone());
    let told = told.unwrap_or_else(|| nothing(low));
    let rate = 900.0 * (-low / 24.0).exp();
    let steady = steady(rate);
    Candidate {
        timing,
        outage_p50_ms: told.p50,
        outage_p99_ms: told.p99,
        false_elections_per_hour: steady[1].per_hour,
        false_elections_per_hour_interval: steady[1].per_hour_interval.map(Some),
        source,
        together,
        real,
        simulated,
        steady,
        warnings: match low < 80.0 {
            true => vec!["The shortest timeout is below three heartbeats and their jitter: one late heartbeat is an election.".into()],
            false => Vec::new(),
        },
    }
}

/// Where nothing was simulated.
fn nothing(ms: f64) -> Spread {
    Spread::of(vec![ms]).expect("one number has a spread")
}

fn steady(rate: f64) -> Vec<Steady> {
    let stretches = [
        (Source::Real, "load", 0.02),
        (Source::Simulated, "load", 400.0),
        (Source::Simulated, "slow disks", 400.0),
    ];
    let stretch = |(source, burden, hours): (Source, &str, f64)| {
        let factor = if burden == "load" { 1.0 } else { 2.5 };
        let elections = (rate * factor * hours).round() as u64;
        Steady {
            source,
            burden: burden.to_owned(),
            hours,
            elections,
            per_hour: elections as f64 / hours,
            per_hour_interval: rate_interval(elections, hours),
            longest_silence_ms: (source == Source::Real).then_some(61.0),
        }
    };
    stretches.map(stretch).to_vec()
}

fn recommendation(candidates: &[Candidate]) -> Option<Recommendation> {
    let fast = candidates.iter().enumerate().filter(|(_, candidate)| candidate.outage_p99_ms <= TARGET_MS);
    let (place, best) = fast.min_by(|(_, a), (_, b)| {
        let key = |candidate: &Candidate| (candidate.false_elections_per_hour, candidate.outage_p99_ms);
        key(a).partial_cmp(&key(b)).expect("numbers")
    })?;
    let Timing { heartbeat_ms, election_timeout_ms: [low, high] } = best.timing;
    let lines = |system: &str, lines: Vec<String>, note: Option<&str>| Configuration {
        system: system.to_owned(),
        lines,
        note: note.map(str::to_owned),
    };
    Some(Recommendation {
        timing: best.timing,
        outage_p50_ms: best.outage_p50_ms,
        outage_p99_ms: best.outage_p99_ms,
        false_elections_per_hour: best.false_elections_per_hour,
        candidate: place,
        reason: "Of the candidates that stay within 500 ms in 99 of 100 failures it has the fewest false elections.".into(),
        configuration: vec![
            lines("rafture", vec![format!("--heartbeat {heartbeat_ms:.0}ms --election-timeout {low:.0}ms..{high:.0}ms")], None),
            lines(
                "etcd",
                vec![format!("--heartbeat-interval={heartbeat_ms:.0}"), format!("--election-timeout={low:.0}")],
                Some("etcd draws from one to two times its `--election-timeout` by itself."),
            ),
            lines("a file of one's own", vec![format!("raft.heartbeat = \"{heartbeat_ms:.0}ms\""), format!("raft.election_timeout = [\"{low:.0}ms\", \"{high:.0}ms\"]")], None),
        ],
    })
}

fn curve(
    candidate: usize,
    (panel, range, published): &(&str, [f64; 2], [f64; 6]),
    random: &mut ChaCha8Rng,
    trials: &mut Vec<Trial>,
) -> Curve {
    let timing = Timing { heartbeat_ms: range[0] / 2.0, election_timeout_ms: *range };
    let mut of = |source: Source, count: u64| {
        let noise_ms = if source == Source::Real { 2.2 } else { 0.8 };
        let model = Model {
            timing,
            members: 2,
            rivals: 1,
            latency_ms: (0.4 * (range[1] - range[0])).min(if range[0] < 100.0 { 4.0 } else { 5.0 }),
            noise_ms,
        };
        let first = trials.len();
        trials
            .extend((0..count).map(|number| model.trial(random, (candidate, source, Failure::Kill), number)));
        Elections::of(trials[first..].iter())
    };
    let (real, simulated) = (of(Source::Real, 200), of(Source::Simulated, 10_000));
    let points = PERCENTILES.iter().zip(published).map(|(&percentile, &published_ms)| CurvePoint {
        percentile,
        published_ms,
        real: real.heartbeat.as_ref().map(|spread| beside(spread, percentile, published_ms)),
        simulated: simulated.heartbeat.as_ref().map(|spread| beside(spread, percentile, published_ms)),
    });
    Curve {
        panel: (*panel).to_owned(),
        timing,
        candidate: Some(candidate),
        points: points.collect(),
        real: Some(real),
        simulated: Some(simulated),
    }
}

fn beside(spread: &Spread, percentile: f64, published_ms: f64) -> Beside {
    let of = [spread.p5, spread.p25, spread.p50, spread.p75, spread.p90, spread.p99];
    let place = PERCENTILES.iter().position(|other| *other == percentile).unwrap_or(2);
    let off = of[place] / published_ms - 1.0;
    let is_near = off.abs() < 0.2;
    Beside {
        ms: of[place],
        interval_ms: if percentile == 50.0 { spread.p50_interval } else { [None, None] },
        off,
        is_near,
        reason: (!is_near).then(|| "this model has no disks and no broadcast time of its own".to_owned()),
    }
}

/// Split votes of five members by how wide the range is, and the dissertation's closed form.
fn split_votes(random: &mut ChaCha8Rng) -> Vec<SplitPoint> {
    let latency_ms = 1.3;
    let trials = 20_000;
    let point = |times: f64| {
        let range_ms = times * latency_ms;
        let timing = Timing { heartbeat_ms: 50.0, election_timeout_ms: [150.0, 150.0 + range_ms] };
        let model = Model { timing, members: 4, rivals: 2, latency_ms, noise_ms: 0.0 };
        let drawn =
            (0..trials).map(|number| model.trial(random, (0, Source::Simulated, Failure::Kill), number));
        let split_votes = drawn.filter(|trial| trial.split_votes > 0).count() as u64;
        SplitPoint { range_ms, latency_ms, trials, split_votes, closed_form: Some(closed_form(1.0 / times)) }
    };
    [2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 40.0, 100.0].map(point).to_vec()
}

/// That two more of four members stand within a share `l` of the range after the first.
fn closed_form(l: f64) -> f64 {
    let stay = 1.0 - l;
    6.0 * l.powi(2) * stay.powi(2) + 4.0 * l.powi(3) * stay + l.powi(4)
}

fn study() -> Study {
    let line = |name: &str, members: f64| {
        let point = |loss: f64| {
            let y = 0.002 * (members + 20.0 * loss).exp2() / 4.0;
            [loss * 100.0, y, y * 0.8, y * 1.25]
        };
        StudyLine { name: name.to_owned(), points: [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5].map(point).to_vec() }
    };
    let chart = |title: &str, is_log: bool| StudyChart {
        title: title.to_owned(),
        x: "packets lost, %".into(),
        y: "false elections per hour".into(),
        is_log,
        lines: vec![line("3 members", 3.0), line("5 members", 5.0), line("7 members", 7.0)],
    };
    Study {
        name: "loss".into(),
        question: "What does heavy loss do?".into(),
        setup:
            "Five members with timeouts of 150–300 ms, heartbeats every 50 ms, each packet lost by itself."
                .into(),
        findings: vec![
            "Each further 5 % of loss doubles the rate of false elections.".into(),
            "Up to 10 % nobody would see it: `0.02` an hour.".into(),
        ],
        charts: vec![chart("False elections by loss", true), chart("The same with equal steps", false)],
    }
}
