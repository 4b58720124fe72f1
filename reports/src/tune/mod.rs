//! What `rafture tune` found: election timeouts, what they buy and what they cost, as data.
//!
//! In reading order: this file is the record, `statistics` what can be said of numbers that came by chance, `advice` which candidate to
//! take, `write` the files of a tuning, `rows` its trials line by line, `facts` what tables and pictures ask of it, `words` how it is
//! told, `endless` how what has no end is
//! written, `lines` how a terminal breaks it, `terminal` and `markdown` the short forms, `plot` its pictures, `page` the page. Nothing in
//! here measures or simulates.

pub mod advice;
mod endless;
mod facts;
mod lines;
mod markdown;
mod page;
mod plot;
mod rows;
pub mod statistics;
mod terminal;
pub(crate) mod words;
mod write;

#[cfg(test)]
mod sample;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use terminal::terminal;
pub(crate) use write::RECORD;
pub use write::write;

/// The record of a tuning, as `tune.json` holds it and `--json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuning {
    /// The line that repeats it.
    pub command: String,
    /// What decided all that was drawn.
    pub seed: u64,
    /// When it was begun, in UTC: `2026-11-26T09:30:00Z`.
    pub started: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The system whose nodes were measured or are to be configured.
    pub system: String,
    /// Members of the cluster.
    pub nodes: usize,
    /// The network between them.
    pub network: NetworkFacts,
    /// What the user wants.
    pub target: Option<Target>,
    /// The advice; none if no candidate meets the target, or none was asked for.
    pub recommendation: Option<Recommendation>,
    /// Why there is no advice: which bound stops it, and what is the nearest that can be reached.
    pub unmet: Option<String>,
    /// What else a reader should know, a sentence each.
    pub warnings: Vec<String>,
    /// Everything that was tried, in the order of the arguments.
    pub candidates: Vec<Candidate>,
    /// Fresh runs of what is recommended, if they were asked for.
    pub checks: Vec<Check>,
    /// How often votes are split by how wide the range is, on this network, by simulation.
    pub split_votes: Vec<SplitPoint>,
    /// The paper's Figure 16, if it was asked for.
    pub figure16: Vec<Curve>,
    /// What simulation says of questions that the dissertation leaves open, if they were asked for.
    pub studies: Vec<Study>,
}

/// How often nobody wins the first term after a leader was lost, with ranges of one width.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SplitPoint {
    /// Longest less shortest timeout, in milliseconds.
    pub range_ms: f64,
    /// Mean one-way latency, in milliseconds.
    pub latency_ms: f64,
    /// Failures that were simulated.
    pub trials: u64,
    /// Those in which nobody won the first term.
    pub split_votes: u64,
    /// Their share by the dissertation's formula (chapter 9.3), which takes one latency for all messages and no time for disks.
    pub closed_form: Option<f64>,
}

/// A question, and what simulation says of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// As `--study` takes it.
    pub name: String,
    /// The question, in a sentence.
    pub question: String,
    /// What was simulated, in a few sentences.
    pub setup: String,
    /// The answer, a sentence each, with figures.
    pub findings: Vec<String>,
    /// Pictures of it.
    pub charts: Vec<StudyChart>,
}

/// One picture of a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyChart {
    /// What is seen.
    pub title: String,
    /// What is varied, with its unit.
    pub x: String,
    /// What comes of it, with its unit.
    pub y: String,
    /// Whether the vertical axis is logarithmic.
    pub is_log: bool,
    /// Its lines.
    pub lines: Vec<StudyLine>,
}

/// One line of a picture: `[x, y, low, high]`, the last two where the true `y` lies with 95 % confidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StudyLine {
    /// What it stands for.
    pub name: String,
    /// Its points, by x.
    pub points: Vec<[f64; 4]>,
}

/// The network between the members, as it was given or measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkFacts {
    /// In words: `round trips of 1 ms, 0.2 ms of jitter, no loss`.
    pub words: String,
    /// Round trip between any two members, in milliseconds, row by row.
    pub round_trip_ms: Vec<Vec<f64>>,
    /// What chance adds to one way, on average, in milliseconds.
    pub jitter_ms: f64,
    /// Share of packets that are lost.
    pub loss: f64,
}

/// What the user wants of the election timeout.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// In 99 of 100 failures of a leader, writes succeed again after so many milliseconds.
    OutageMs(f64),
    /// Leaders that are well lose their place at most so often in an hour.
    FalseElectionsPerHour(f64),
}

/// A heartbeat and a range of election timeouts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Time between heartbeats, in milliseconds.
    pub heartbeat_ms: f64,
    /// The range that election timeouts are drawn from, in milliseconds.
    pub election_timeout_ms: [f64; 2],
}

/// A timing that was tried, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// What was tried.
    #[serde(flatten)]
    pub timing: Timing,
    /// Half of the leader's failures, all kinds together, are over for writes after so long.
    #[serde(with = "endless")]
    pub outage_p50_ms: f64,
    /// 99 of 100 of them are.
    #[serde(with = "endless")]
    pub outage_p99_ms: f64,
    /// How often a leader that is well loses its place: the best estimate.
    pub false_elections_per_hour: f64,
    /// The true rate lies in there with 95 % confidence; without an upper end where nothing is known.
    pub false_elections_per_hour_interval: [Option<f64>; 2],
    /// Where the outages above come from.
    pub source: Source,
    /// Elections after failures of all kinds, by where they were seen.
    pub together: BTreeMap<Source, Elections>,
    /// What elections of real processes were like, by what befell the leader.
    pub real: BTreeMap<Failure, Elections>,
    /// What simulated elections were like.
    pub simulated: BTreeMap<Failure, Elections>,
    /// Time in which nothing failed.
    pub steady: Vec<Steady>,
    /// What is wrong with it, a sentence each.
    pub warnings: Vec<String>,
}

/// Where a figure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Real processes.
    Real,
    /// The same core on virtual time.
    Simulated,
}

/// What befell the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// Its process was killed.
    Kill,
    /// Its process stood still.
    Pause,
    /// It was cut off from the other members.
    CutOff,
    /// Its links became slower by as much as the longest timeout.
    Slow,
}

/// One failure of a leader, and what followed. Times are in milliseconds since the failure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Which of the candidates. Numbers past theirs belong to curves of Figure 16 that say so, or to nothing in the record.
    pub candidate: usize,
    /// Real or simulated.
    pub source: Source,
    /// What befell the leader.
    pub failure: Failure,
    /// Its number among those of its candidate, source and failure.
    pub number: u64,
    /// When the first member gave the leader up. `None`: not seen.
    pub detected_ms: Option<f64>,
    /// When another member first heard the new leader. `None`: not until patience ended.
    pub heartbeat_ms: Option<f64>,
    /// When a write first succeeded. `None`: not until patience ended.
    pub write_ms: Option<f64>,
    /// Terms that somebody stood for.
    pub elections: u32,
    /// Those of them that nobody won.
    pub split_votes: u32,
}

/// Many trials of one candidate and one failure, in figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Elections {
    /// How many.
    pub trials: u64,
    /// Those in which no write succeeded until patience ended.
    pub without_end: u64,
    /// Until the first member gave the leader up.
    pub detected: Option<Spread>,
    /// Until another member first heard the new leader.
    pub heartbeat: Option<Spread>,
    /// Until a write first succeeded.
    pub write: Option<Spread>,
    /// Terms that somebody stood for, in all trials.
    pub elections: u64,
    /// Those of them that nobody won.
    pub split_votes: u64,
    /// Mean number of terms until there was a leader.
    pub terms_mean: f64,
}

/// Where numbers lie, in milliseconds. What had no end is longer than all else. An interval holds the true percentile with 95 % confidence; it is `null` at a side where the
/// numbers are too few to tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Spread {
    #[serde(with = "endless")]
    pub mean: f64,
    #[serde(with = "endless")]
    pub p5: f64,
    #[serde(with = "endless")]
    pub p25: f64,
    #[serde(with = "endless")]
    pub p50: f64,
    pub p50_interval: [Option<f64>; 2],
    #[serde(with = "endless")]
    pub p75: f64,
    #[serde(with = "endless")]
    pub p90: f64,
    #[serde(with = "endless")]
    pub p99: f64,
    pub p99_interval: [Option<f64>; 2],
    #[serde(with = "endless")]
    pub max: f64,
}

/// Time in which nothing failed, and elections that happened all the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Steady {
    /// Real or simulated.
    pub source: Source,
    /// What the cluster bore meanwhile: `idle`, `load`, `jitter`, `slow disks`.
    pub burden: String,
    /// How long, in hours.
    pub hours: f64,
    /// Elections meanwhile.
    pub elections: u64,
    /// Elections per hour.
    pub per_hour: f64,
    /// The true rate lies in there with 95 % confidence.
    pub per_hour_interval: [f64; 2],
    /// The longest that a follower heard nothing from its leader, in milliseconds, where it is known.
    pub longest_silence_ms: Option<f64>,
}

/// The advice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// What to configure.
    #[serde(flatten)]
    pub timing: Timing,
    /// As in [`Candidate`].
    #[serde(with = "endless")]
    pub outage_p50_ms: f64,
    /// As in [`Candidate`].
    #[serde(with = "endless")]
    pub outage_p99_ms: f64,
    /// As in [`Candidate`].
    pub false_elections_per_hour: f64,
    /// Which of the candidates it is.
    pub candidate: usize,
    /// Why this one, in a sentence or two.
    pub reason: String,
    /// How systems are told: the name of one, and the lines for it.
    pub configuration: Vec<Configuration>,
}

/// Lines that tell a system its timing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The system.
    pub system: String,
    /// Its lines: flags, or lines of a file.
    pub lines: Vec<String>,
    /// What it cannot be told exactly, if there is anything.
    pub note: Option<String>,
}

/// A fresh run of what is recommended, at another seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Its seed.
    pub seed: u64,
    /// Real or simulated.
    pub source: Source,
    /// What was measured, in the target's unit.
    #[serde(with = "endless")]
    pub measured: f64,
    /// Whether the target was met.
    pub met: bool,
}

/// One curve of the Raft paper's Figure 16, beside what was published: milliseconds from the crash of a leader until another member
/// heard the next one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Which half of the figure: `randomness` (above) or `timeout` (below).
    pub panel: String,
    /// What was tried.
    #[serde(flatten)]
    pub timing: Timing,
    /// The number that its trials bear, if they are kept; past those of the candidates.
    #[serde(default)]
    pub candidate: Option<usize>,
    /// What was measured on real processes, if it was.
    pub real: Option<Elections>,
    /// What was simulated, if it was.
    pub simulated: Option<Elections>,
    /// Percentile by percentile.
    pub points: Vec<CurvePoint>,
}

/// One percentile of a curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Which: 5, 25, 50, 75, 90, 99.
    pub percentile: f64,
    /// As published.
    pub published_ms: f64,
    /// As measured.
    pub real: Option<Beside>,
    /// As simulated.
    pub simulated: Option<Beside>,
}

/// A figure beside a published one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// The figure.
    pub ms: f64,
    /// The true one lies in there with 95 % confidence.
    pub interval_ms: [Option<f64>; 2],
    /// How far off it is, as a share of the published one; negative when it is less.
    pub off: f64,
    /// Whether it is as near as was asked for.
    pub is_near: bool,
    /// Why it is not, when it is not.
    pub reason: Option<String>,
}

impl Failure {
    /// All of them.
    pub const ALL: [Failure; 4] = [Failure::Kill, Failure::Pause, Failure::CutOff, Failure::Slow];

    /// The name, as flags and files have it.
    pub fn name(self) -> &'static str {
        match self {
            Failure::Kill => "kill",
            Failure::Pause => "pause",
            Failure::CutOff => "cut-off",
            Failure::Slow => "slow",
        }
    }
}

impl Source {
    /// The name, as files have it.
    pub fn name(self) -> &'static str {
        match self {
            Source::Real => "real",
            Source::Simulated => "simulated",
        }
    }
}

impl Elections {
    /// The figures of these trials, all of one candidate, source and failure.
    pub fn of<'a>(trials: impl Iterator<Item = &'a Trial>) -> Elections {
        let trials: Vec<&Trial> = trials.collect();
        let endless = |ms: Option<f64>| Some(ms.unwrap_or(f64::INFINITY));
        let spread = |value: &dyn Fn(&Trial) -> Option<f64>| {
            Spread::of(trials.iter().filter_map(|trial| value(trial)).collect())
        };
        let elections: u64 = trials.iter().map(|trial| u64::from(trial.elections)).sum();
        Elections {
            trials: trials.len() as u64,
            without_end: trials.iter().filter(|trial| trial.write_ms.is_none()).count() as u64,
            detected: spread(&|trial| trial.detected_ms),
            heartbeat: spread(&|trial| endless(trial.heartbeat_ms)),
            write: spread(&|trial| endless(trial.write_ms)),
            elections,
            split_votes: trials.iter().map(|trial| u64::from(trial.split_votes)).sum(),
            terms_mean: elections as f64 / trials.len().max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_had_no_end_is_longer_than_all_else_and_is_read_again() {
        let trial = |number: u64, write_ms| Trial {
            candidate: 0,
            source: Source::Real,
            failure: Failure::Kill,
            number,
            detected_ms: None,
            heartbeat_ms: Some(5.0),
            write_ms,
            elections: 1,
            split_votes: 0,
        };
        let trials: Vec<Trial> = (0..10).map(|number| trial(number, (number < 6).then_some(7.0))).collect();
        let elections = Elections::of(trials.iter());
        let write = elections.write.clone().expect("trials");
        assert_eq!((write.p50, write.p75, write.max), (7.0, f64::INFINITY, f64::INFINITY));
        assert_eq!((elections.without_end, elections.detected.clone()), (4, None));
        let text = serde_json::to_string(&elections).expect("plain data");
        assert!(text.contains("\"p75\":null"), "{text}");
        assert_eq!(
            serde_json::from_str::<Elections>(&text).expect("JSON").write.map(|write| write.p75),
            Some(f64::INFINITY)
        );
    }
}
