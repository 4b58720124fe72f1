//! A tuning for tests: small, without chance, and with something of everything.

use std::collections::BTreeMap;

use super::{
    Beside, Candidate, Check, Configuration, Curve, CurvePoint, Elections, Failure, NetworkFacts,
    Recommendation, Source, SplitPoint, Steady, Study, StudyChart, StudyLine, Target, Timing, Trial, Tuning,
    statistics,
};

const TRIALS: u64 = 200;

/// A candidate whose timeouts are `low` to twice `low`.
pub(super) fn candidate(low: f64) -> Candidate {
    let timing = Timing { heartbeat_ms: low / 3.0, election_timeout_ms: [low, 2.0 * low] };
    let of = |source| {
        let failures = [Failure::Kill, Failure::Pause];
        failures
            .map(|failure| (failure, Elections::of(trials_of(0, low, source, failure).iter())))
            .into_iter()
            .collect()
    };
    let together = |source| {
        let trials = [Failure::Kill, Failure::Pause].map(|failure| trials_of(0, low, source, failure));
        (source, Elections::of(trials.iter().flatten()))
    };
    let together = BTreeMap::from([Source::Real, Source::Simulated].map(together));
    let write = together[&Source::Real].write.clone().expect("writes succeed");
    let per_hour = 300.0 / low;
    Candidate {
        timing,
        outage_p50_ms: write.p50,
        outage_p99_ms: write.p99,
        false_elections_per_hour: per_hour,
        false_elections_per_hour_interval: statistics::rate_interval((per_hour * 2.0) as u64, 2.0).map(Some),
        source: Source::Real,
        together,
        real: of(Source::Real),
        simulated: of(Source::Simulated),
        steady: vec![Steady {
            source: Source::Real,
            burden: "load".into(),
            hours: 2.0,
            elections: (per_hour * 2.0) as u64,
            per_hour,
            per_hour_interval: statistics::rate_interval((per_hour * 2.0) as u64, 2.0),
            longest_silence_ms: Some(low * 0.9),
        }],
        warnings: Vec::new(),
    }
}

/// Outages from `low` on, a little longer each time; the last trial of each is never over.
fn trials_of(candidate: usize, low: f64, source: Source, failure: Failure) -> Vec<Trial> {
    let extra = if failure == Failure::Kill { 0.0 } else { 9.0 };
    (0..TRIALS)
        .map(|number| {
            let heard = low + extra + number as f64 * low / 100.0;
            let is_over = number + 1 < TRIALS;
            Trial {
                candidate,
                source,
                failure,
                number,
                detected_ms: Some(heard - 5.0),
                heartbeat_ms: Some(heard),
                write_ms: is_over.then_some(heard + 3.0),
                elections: 1 + u32::from(number % 5 == 4),
                split_votes: u32::from(number % 5 == 4),
            }
        })
        .collect()
}

/// All trials of a source behind such a record.
pub(super) fn trials(tuning: &Tuning, source: Source) -> Vec<Trial> {
    let mut all = Vec::new();
    for (place, candidate) in tuning.candidates.iter().enumerate() {
        for failure in candidate.elections(source).keys() {
            all.extend(trials_of(place, candidate.timing.election_timeout_ms[0], source, *failure));
        }
    }
    all
}

/// A record with nothing in it but what cannot be missing.
pub(super) fn bare() -> Tuning {
    Tuning {
        command: "rafture tune --seed 7".into(),
        seed: 7,
        started: "2026-11-26T09:30:00Z".into(),
        seconds: 61.5,
        system: "rafture".into(),
        nodes: 3,
        network: NetworkFacts {
            words: "round trips of 1 ms".into(),
            round_trip_ms: vec![vec![0.0, 1.0, 1.0], vec![1.0, 0.0, 1.0], vec![1.0, 1.0, 0.0]],
            jitter_ms: 0.0,
            loss: 0.0,
        },
        target: None,
        recommendation: None,
        unmet: None,
        warnings: Vec::new(),
        candidates: Vec::new(),
        checks: Vec::new(),
        split_votes: Vec::new(),
        figure16: Vec::new(),
        studies: Vec::new(),
    }
}

/// A record with so many candidates, and something of everything else.
pub(super) fn tuning(candidates: usize) -> Tuning {
    let candidates: Vec<Candidate> =
        (0..candidates).map(|place| candidate(150.0 + 50.0 * place as f64)).collect();
    let recommendation = candidates.first().map(|first| Recommendation {
        timing: first.timing,
        outage_p50_ms: first.outage_p50_ms,
        outage_p99_ms: first.outage_p99_ms,
        false_elections_per_hour: first.false_elections_per_hour,
        candidate: 0,
        reason: "It has the fewest false elections of those that meet the target.".into(),
        configuration: vec![Configuration {
            system: "etcd".into(),
            lines: vec!["--heartbeat-interval=50".into(), "--election-timeout=150".into()],
            note: Some("etcd draws from one to two timeouts by itself".into()),
        }],
    });
    Tuning {
        target: Some(Target::OutageMs(500.0)),
        recommendation,
        candidates,
        checks: vec![Check { seed: 8, source: Source::Real, measured: 431.0, met: true }],
        split_votes: split_votes(),
        figure16: vec![curve("randomness", [150.0, 155.0]), curve("timeout", [12.0, 24.0])],
        studies: vec![study()],
        ..bare()
    }
}

fn split_votes() -> Vec<SplitPoint> {
    let points = [(2.0, 700), (5.0, 300), (10.0, 120), (20.0, 0)];
    points
        .map(|(range_ms, split_votes)| SplitPoint {
            range_ms,
            latency_ms: 0.5,
            trials: 2_000,
            split_votes,
            closed_form: Some(1.0 / range_ms),
        })
        .to_vec()
}

fn curve(panel: &str, election_timeout_ms: [f64; 2]) -> Curve {
    let timing = Timing { heartbeat_ms: election_timeout_ms[0] / 2.0, election_timeout_ms };
    let simulated = Elections::of(trials_of(0, 150.0, Source::Simulated, Failure::Kill).iter());
    let beside = |ms: f64, published: f64| Beside {
        ms,
        interval_ms: [Some(ms * 0.9), None],
        off: ms / published - 1.0,
        is_near: (ms / published - 1.0).abs() < 0.1,
        reason: (ms < published).then(|| "the published tail has a few clients of its own".to_owned()),
    };
    let point = |percentile, published_ms, ms| CurvePoint {
        percentile,
        published_ms,
        real: None,
        simulated: Some(beside(ms, published_ms)),
    };
    Curve {
        panel: panel.into(),
        timing,
        candidate: None,
        real: None,
        simulated: Some(simulated),
        points: vec![point(50.0, 287.0, 290.0), point(99.0, 1224.0, 440.0)],
    }
}

fn study() -> Study {
    let line = |name: &str, factor: f64| StudyLine {
        name: name.into(),
        points: [0.0, 10.0, 20.0, 30.0].map(|x| [x, factor * x, factor * x * 0.9, factor * x * 1.1]).to_vec(),
    };
    Study {
        name: "loss".into(),
        question: "What does heavy loss do?".into(),
        setup: "Five members, packets lost at random.".into(),
        findings: vec!["At 30 % a leader is lost each minute.".into()],
        charts: vec![StudyChart {
            title: "False elections by loss".into(),
            x: "lost packets, %".into(),
            y: "per hour".into(),
            is_log: false,
            lines: vec![line("3 members", 1.0), line("5 members", 2.0)],
        }],
    }
}
