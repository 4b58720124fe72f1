//! What was typed after `rafture tune`, and what it means, fully checked before anything starts.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use rafture_reports::tune::{Failure, Target, Timing};

use super::figure16;
use super::network::Network;
use super::simulated::Stalls;
use super::studies;
use crate::duration::{Range, Span};
use crate::error::Error;

/// A round trip where nobody says: between machines in one place.
const RTT: Duration = Duration::from_millis(1);

/// Measure election timeouts and recommend
///
/// Leaders fail again and again, on real processes and in simulation of the same core, for one candidate after the other: what an election timeout
/// buys (short outages) and what it costs (leaders deposed that are well). Advice, pictures, every trial: in the folder that it names.
#[derive(Debug, Args)]
pub struct TuneArguments {
    /// System to measure and to configure
    #[arg(long, default_value = "rafture")]
    pub(super) system: String,
    /// Choose something about the system: NAME=VALUE
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) option: Vec<String>,
    /// Members; a matrix brings its own number
    #[arg(long)]
    pub(super) nodes: Option<usize>,
    /// Round trip between any two members; 1ms unless something else says what the network is like
    #[arg(long)]
    pub(super) rtt: Option<Span>,
    /// What chance adds to one way, on average (exponential); none by default
    #[arg(long)]
    pub(super) jitter: Option<Span>,
    /// Share of packets that are lost: `1%` or 0.01
    #[arg(long, default_value = "0", value_parser = share)]
    pub(super) loss: f64,
    /// A sync of a member's disk takes so long; by default what it takes where the store is
    #[arg(long)]
    pub(super) sync: Option<Span>,
    /// And so much longer on average, by chance
    #[arg(long)]
    pub(super) sync_jitter: Option<Span>,
    /// Round trips between members in milliseconds, one row and one column each, in a file; or a known network by name
    #[arg(long, value_name = "FILE|NAME", conflicts_with_all = ["rtt", "hosts"])]
    pub(super) matrix: Option<String>,
    /// Measure round trips from here to these, HOST:PORT each, by connecting a few times: one for each member
    #[arg(long, value_delimiter = ',', value_name = "HOST:PORT", conflicts_with = "rtt")]
    pub(super) hosts: Vec<String>,
    /// Ranges of election timeouts to try, comma-separated; by default twelve that suit the network
    #[arg(long, value_delimiter = ',', value_name = "LOW..HIGH")]
    pub(super) candidates: Vec<Range>,
    /// Time between heartbeats, of all candidates; by default a fifth of each one's shortest timeout
    #[arg(long)]
    pub(super) heartbeat: Option<Span>,
    /// What befalls leaders
    #[arg(long, value_delimiter = ',', default_value = "kill,pause,cut-off,slow")]
    pub(super) failures: Vec<FailureName>,
    /// Real failures of each kind, for each candidate
    #[arg(long, default_value_t = 50)]
    pub(super) trials: u64,
    /// Simulated failures of each candidate, of all kinds together; a fifth as many for each point of a study, or curve of Figure 16
    #[arg(long, default_value_t = 100_000)]
    pub(super) simulated_trials: u64,
    /// How long real clusters are watched while nothing fails, under each burden
    #[arg(long, default_value = "3s")]
    pub(super) steady: Span,
    /// In simulation, a process stands still so often an hour, as machines, collectors of garbage and disks make it
    #[arg(long, default_value_t = 60.0, value_name = "PER HOUR")]
    pub(super) stalls: f64,
    /// In simulation, a process that stands still does so for this long on average (exponential)
    #[arg(long, default_value = "20ms")]
    pub(super) stall: Span,
    /// Advise the candidate with the fewest false elections whose outages stay below this in 99 of 100 failures
    #[arg(long, conflicts_with = "target_false_elections")]
    pub(super) target_outage: Option<Span>,
    /// Advise the candidate with the shortest outages that has at most so many false elections, as 1/day or 0.5/h; by default 1/day
    #[arg(long, value_name = "COUNT/TIME", value_parser = per_hour)]
    pub(super) target_false_elections: Option<f64>,
    /// Fresh runs of what is advised, at other seeds: whether the target is met
    #[arg(long, default_value_t = 0)]
    pub(super) checks: u64,
    /// Only measure real processes
    #[arg(long, conflicts_with = "sim")]
    pub(super) real: bool,
    /// Only simulate
    #[arg(long)]
    pub(super) sim: bool,
    /// Measure and simulate the Raft paper's Figure 16 instead, beside what was published; with --candidates, only those of its curves
    #[arg(long, conflicts_with_all = [
        "study", "matrix", "hosts", "nodes", "loss", "system", "option", "heartbeat", "failures", "steady", "stalls", "stall",
        "target_outage", "target_false_elections", "checks", "pre_vote",
    ])]
    pub(super) figure16: bool,
    /// Simulate a question that Raft's dissertation leaves open instead, or `all` of them
    #[arg(long, value_delimiter = ',', value_name = "NAME", conflicts_with_all = [
        "matrix", "hosts", "nodes", "rtt", "jitter", "loss", "sync", "sync_jitter", "system", "option", "candidates", "heartbeat", "failures", "trials", "steady",
        "stalls", "stall", "target_outage", "target_false_elections", "checks", "real", "jobs", "network", "pre_vote",
    ])]
    pub(super) study: Vec<String>,
    /// Real clusters at a time; fewer with timeouts below 150ms, more with 300ms and above
    #[arg(long, default_value_t = 4)]
    pub(super) jobs: usize,
    /// Where nodes live: auto, netns, proxy
    #[arg(long, default_value = "auto")]
    pub(super) network: String,
    /// Whether members ask who would vote for them before they stand
    #[arg(long)]
    pub(super) pre_vote: Option<crate::node::Switch>,
    /// Seed of all that is drawn
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Folder of all runs; a tuning goes into `tunings` in it
    #[arg(long, default_value = "runs")]
    pub(super) store: PathBuf,
    /// One JSON object on one line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FailureName {
    Kill,
    Pause,
    CutOff,
    Slow,
}

/// What the arguments mean.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) network: Network,
    pub(super) timings: Vec<Timing>,
    pub(super) failures: Vec<Failure>,
    pub(super) target: Target,
    pub(super) stalls: Stalls,
    pub(super) studies: Vec<&'static str>,
}

impl TuneArguments {
    /// What they mean.
    pub(super) fn plan(&self) -> Result<Plan, Error> {
        let demand = |holds: bool, text: &str| if holds { Ok(()) } else { Err(Error::Input(text.into())) };
        demand((1..=10_000).contains(&self.trials), "1 to 10000 trials (hint: --trials 50)")?;
        demand(
            (100..=10_000_000).contains(&self.simulated_trials),
            "100 to 10000000 simulated trials (hint: --simulated-trials 100000)",
        )?;
        demand((1..=64).contains(&self.jobs), "1 to 64 clusters at a time (hint: --jobs 4)")?;
        demand(
            !(self.real && self.steady.0.is_zero()),
            "without --steady, nothing is known of false elections on real processes (hint: --steady 3s)",
        )?;
        demand(self.checks <= 100, "at most 100 checks (hint: --checks 10)")?;
        demand(
            self.stalls >= 0.0 && self.stalls <= 1e6 && !self.stall.0.is_zero(),
            "a process stands still 0 to 1000000 times an hour, for longer than nothing (hint: --stalls 60 --stall 20ms)",
        )?;
        demand(self.jitter() <= Duration::from_secs(10), "at most 10s of jitter (hint: --jitter 1ms)")?;
        demand(
            [self.sync, self.sync_jitter].into_iter().flatten().all(|span| span.0 <= Duration::from_secs(1)),
            "a sync takes at most 1s, and by chance at most 1s more (hint: --sync 2ms --sync-jitter 1ms)",
        )?;
        demand(
            self.rtt.is_none_or(|rtt| rtt.0 <= Duration::from_secs(60)),
            "a round trip of at most 60s (hint: --rtt 1ms)",
        )?;
        demand(
            self.target_outage.is_none_or(|target| !target.0.is_zero()),
            "an outage always takes some time (hint: --target-outage 500ms)",
        )?;
        if self.figure16 {
            figure16::asked(self)?;
        }
        let network = self.network()?;
        let failures = self.failures.iter().map(|name| name.failure());
        Ok(Plan {
            // The paper's figure has times of its own.
            timings: if self.figure16 { Vec::new() } else { self.timings(&network)? },
            network,
            failures: Failure::ALL
                .into_iter()
                .filter(|failure| failures.clone().any(|asked| asked == *failure))
                .collect(),
            target: self.target(),
            stalls: Stalls { per_hour: self.stalls, mean: self.stall.0 },
            studies: studies::named(&self.study).map_err(Error::Input)?,
        })
    }

    /// Simulated failures for one of many points.
    pub(super) fn simulated_share(&self) -> u64 {
        (self.simulated_trials / 5).max(100)
    }

    fn target(&self) -> Target {
        match (self.target_outage, self.target_false_elections) {
            (Some(Span(outage)), _) => Target::OutageMs(outage.as_secs_f64() * 1e3),
            (None, rate) => Target::FalseElectionsPerHour(rate.unwrap_or(1.0 / 24.0)),
        }
    }

    fn jitter(&self) -> Duration {
        self.jitter.map_or(Duration::ZERO, |jitter| jitter.0)
    }

    fn network(&self) -> Result<Network, Error> {
        let network = match (&self.matrix, &self.hosts[..]) {
            (Some(matrix), _) => Network::matrix(matrix, self.jitter(), self.loss)?,
            (None, []) => Network::uniform(
                self.nodes.unwrap_or(5),
                self.rtt.map_or(RTT, |rtt| rtt.0),
                self.jitter(),
                self.loss,
            ),
            (None, hosts) if hosts.len() < 3 => {
                return Err(Error::Input(format!(
                    "{} hosts (hint: one for each member, 3 at least)",
                    hosts.len()
                )));
            }
            (None, hosts) => Network::measured(hosts, self.jitter.map(|jitter| jitter.0), self.loss)?,
        };
        let count = network.nodes();
        match self.nodes {
            Some(nodes) if nodes != count => Err(Error::Input(format!(
                "--nodes {nodes} does not fit: the network is one of {count} members (hint: leave --nodes out)"
            ))),
            _ if !(3..=50).contains(&count) => Err(Error::Input(format!(
                "{count} members: a leader that fails is replaced in clusters of 3 to 50 (hint: --nodes 5)"
            ))),
            _ => Ok(network),
        }
    }

    fn timings(&self, network: &Network) -> Result<Vec<Timing>, Error> {
        let ranges = match &self.candidates[..] {
            [] => default_ranges(network.round_trip_ms_max()),
            ranges => ranges.to_vec(),
        };
        ranges.iter().map(|range| self.timing(*range)).collect()
    }

    fn timing(&self, range: Range) -> Result<Timing, Error> {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        if range.low == range.high {
            return Err(Error::Input(format!(
                "the range `{range}` is empty: all members would stand at once, again and again (hint: {}..{})",
                Span(range.low),
                Span(2 * range.low)
            )));
        }
        if range.low < Duration::from_millis(1) || range.high > Duration::from_secs(600) {
            return Err(Error::Input(format!(
                "the range `{range}` is not within 1ms to 10m (hint: 150ms..300ms)"
            )));
        }
        let heartbeat = self.heartbeat.map_or(range.low / 5, |heartbeat| heartbeat.0);
        if heartbeat.is_zero() || heartbeat >= range.low {
            return Err(Error::Input(format!(
                "a heartbeat every {} is not below the election timeout of {range} (hint: --heartbeat {})",
                Span(heartbeat),
                Span(range.low / 5)
            )));
        }
        Ok(Timing { heartbeat_ms: ms(heartbeat), election_timeout_ms: [ms(range.low), ms(range.high)] })
    }
}

/// Twelve ranges [T, 2T], from what the network hardly bears up to nearly a hundred times as much: in one place, up to the second that etcd has
/// by default.
fn default_ranges(round_trip_ms: f64) -> Vec<Range> {
    let first = (5.0 * round_trip_ms).max(12.0);
    let low = |step: i32| {
        let exact = first * 1.5_f64.powi(step);
        // Two digits are as many as people remember.
        let unit = 10_f64.powf(exact.log10().floor() - 1.0);
        Duration::from_millis(((exact / unit).round() * unit) as u64)
    };
    (0..12).map(low).map(|low| Range { low, high: 2 * low }).collect()
}

impl FailureName {
    fn failure(self) -> Failure {
        match self {
            FailureName::Kill => Failure::Kill,
            FailureName::Pause => Failure::Pause,
            FailureName::CutOff => Failure::CutOff,
            FailureName::Slow => Failure::Slow,
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    let (number, per) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let share = number.trim().parse::<f64>().ok().map(|number| number / per);
    share
        .filter(|share| (0.0..=0.9).contains(share))
        .ok_or_else(|| format!("`{text}` is no share of packets (hint: 1% or 0.01, at most 90%)"))
}

fn per_hour(text: &str) -> Result<f64, String> {
    let complaint = || format!("`{text}` is no rate (hint: a count and a time, as 1/day, 0.5/h, 10/year)");
    let (count, time) = text.split_once('/').ok_or_else(complaint)?;
    let hours = match time.trim() {
        "m" | "minute" => 1.0 / 60.0,
        "h" | "hour" => 1.0,
        "d" | "day" => 24.0,
        "w" | "week" => 168.0,
        "month" => 730.0,
        "y" | "year" => 8760.0,
        _ => return Err(complaint()),
    };
    let count = count.trim().parse::<f64>().map_err(|_| complaint())?;
    if !(0.0..=1e9).contains(&count) { Err(complaint()) } else { Ok(count / hours) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_shares_are_read() {
        assert_eq!(per_hour("1/day"), Ok(1.0 / 24.0));
        assert_eq!(per_hour("0.5 / h"), Ok(0.5));
        for bad in ["1", "1/fortnight", "x/h", "-1/h", "NaN/h"] {
            assert!(per_hour(bad).expect_err(bad).contains("hint"), "{bad}");
        }
        assert_eq!((share("1%"), share("0.01"), share("0")), (Ok(0.01), Ok(0.01), Ok(0.0)));
        assert!(share("95%").is_err() && share("-1%").is_err() && share("x").is_err());
    }

    #[test]
    fn there_are_twelve_candidates_for_any_network() {
        for round_trip_ms in [0.0, 1.0, 70.0, 400.0] {
            let ranges = default_ranges(round_trip_ms);
            assert_eq!(ranges.len(), 12);
            assert!(ranges.windows(2).all(|pair| pair[0].low < pair[1].low), "{ranges:?}");
            assert!(ranges[0].low.as_secs_f64() * 1e3 >= 4.9 * round_trip_ms);
        }
        let words: Vec<String> = default_ranges(1.0).iter().map(ToString::to_string).collect();
        assert_eq!(words[..4], ["12ms..24ms", "18ms..36ms", "27ms..54ms", "41ms..82ms"]);
    }
}
