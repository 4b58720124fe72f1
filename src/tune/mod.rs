//! `rafture tune`: election timeouts, measured and recommended.
//!
//! In reading order: `arguments` is what was typed and what it means, `network` what lies between members; `real` measures on real
//! processes, `simulated` in simulation; this file puts both together, asks for advice and writes the record; `checks` tries the advice.
//! `figure16` is the paper's figure, `studies` are questions that are open. What a figure means and which candidate is best is known by
//! `rafture_reports::tune` alone.

mod arguments;
mod checks;
mod figure16;
mod network;
mod real;
mod simulated;
mod studies;
mod sync;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rafture_checker::verdict::Verdict;
use rafture_nemesis::disk;
use rafture_nemesis::hosts::NetworkChoice;
use rafture_reports::Store;
use rafture_reports::store::UtcTime;
use rafture_reports::tune::advice::{self, Advice};
use rafture_reports::tune::statistics::rate_interval;
use rafture_reports::tune::{
    Candidate, Configuration, Elections, Failure, Recommendation, Source, Steady, Timing, Trial, Tuning,
    terminal, write,
};
use rafture_workloads::systems::{self, Options, System, timing};
use tokio::sync::watch;

pub use arguments::TuneArguments;

use crate::campaign;
use crate::command_line::quoted;
use crate::error::Error;
use crate::node::Switch;
use crate::run::pairs;
use crate::screen;
use arguments::Plan;
use real::{Burden, Measured, Progress, RealPlan};
use simulated::World;
use sync::Syncs;

/// Ranges for which split votes are counted begin here at least, so that they are about width alone.
const SPLIT_LOW_MS: f64 = 150.0;

/// A tuning under way.
struct Work<'a> {
    arguments: &'a TuneArguments,
    plan: Plan,
    system: Box<dyn System>,
    options: Options,
    /// Where the data of nodes may be.
    workplace: &'a Path,
    syncs: Syncs,
    stop: watch::Receiver<bool>,
}

/// Measures, simulates, advises.
///
/// # Errors
/// When the arguments make no sense, a cluster does not come up, or no candidate meets the target: then there is a page all the same.
pub fn tune(
    arguments: &TuneArguments,
    stop: impl FnOnce() -> Result<watch::Receiver<bool>, Error>,
) -> Result<Verdict, Error> {
    let (began, started) = (Instant::now(), SystemTime::now());
    let plan = arguments.plan()?;
    let options = pairs("option", &arguments.option)?;
    let system = systems::configured(&arguments.system, &options).map_err(Error::Input)?;
    for timing in &plan.timings {
        let cannot = |why| Error::Input(format!("{why} (hint: other --candidates, or another --heartbeat)"));
        system.tell(&told(timing)).map_err(cannot)?;
    }
    let choice: NetworkChoice = arguments.network.parse().map_err(Error::Input)?;
    let is_real = !arguments.sim && arguments.study.is_empty();
    if is_real {
        campaign::become_run(choice);
    }
    let store = Store::open(&arguments.store).map_err(Error::input)?;
    // A tuning gets its folder when there is something for it; what nodes need meanwhile goes beside.
    let workplace = store.tunings().map_err(Error::input)?;
    let syncs = Syncs::of(arguments, &workplace)?;
    if let Some(lack) = disk::lack().filter(|_| is_real && syncs.trouble().is_some()) {
        return Err(Error::Harness(format!(
            "other disks than this one's cannot be had here: {lack} (hint: --sim, or without --sync)"
        )));
    }
    let work = Work { arguments, plan, system, options, workplace: &workplace, syncs, stop: stop()? };
    let (mut tuning, trials) = work.carry_out(started)?;
    tuning.seconds = began.elapsed().as_secs_f64();
    let folder = store.create_tuning(arguments.seed, started).map_err(Error::input)?;
    write(&folder, &tuning, &trials).map_err(Error::harness)?;
    match arguments.json {
        true => println!("{}", serde_json::to_string(&tuning).expect("a record is plain data")),
        false => {
            println!("page: {}", folder.join("report.html").display());
            print!("{}", terminal(&tuning, screen::screen()));
        }
    }
    match tuning.unmet {
        Some(unmet) => Err(Error::Input(unmet)),
        None => Ok(Verdict::Valid),
    }
}

impl Work<'_> {
    fn carry_out(&self, started: SystemTime) -> Result<(Tuning, Vec<Trial>), Error> {
        let mut tuning = self.record(started);
        if self.arguments.figure16 {
            let bar = progress_bar("crashes");
            let note = |progress: Progress| show(&bar, progress);
            let found = figure16::figure16(self.arguments, self.syncs, self.workplace, &self.stop, &note)?;
            bar.finish_and_clear();
            (tuning.network, tuning.nodes) = (found.network, 5);
            tuning.figure16 = found.curves;
            tuning.warnings.extend(found.warnings);
            return Ok((tuning, found.trials));
        }
        if !self.plan.studies.is_empty() {
            let trials = self.arguments.simulated_share();
            tuning.network.words = "as each question has it".into();
            for name in &self.plan.studies {
                self.check_stop()?;
                tuning.studies.push(studies::study(name, self.arguments.seed, trials));
            }
            return Ok((tuning, Vec::new()));
        }
        let trials = self.try_candidates(&mut tuning)?;
        self.advise(&mut tuning)?;
        Ok((tuning, trials))
    }

    /// A record of nothing yet.
    fn record(&self, started: SystemTime) -> Tuning {
        let asks_for_advice = !self.arguments.figure16 && self.plan.studies.is_empty();
        let mut network = self.plan.network.facts();
        network.words += &format!(", {}", sync::words(self.syncs.meant));
        Tuning {
            command: command(),
            seed: self.arguments.seed,
            started: UtcTime::from(started).to_string(),
            seconds: 0.0,
            system: self.arguments.system.clone(),
            nodes: self.plan.network.nodes(),
            network,
            target: asks_for_advice.then_some(self.plan.target),
            recommendation: None,
            unmet: None,
            warnings: self.syncs.warning().filter(|_| !self.arguments.sim).into_iter().collect(),
            candidates: Vec::new(),
            checks: Vec::new(),
            split_votes: Vec::new(),
            figure16: Vec::new(),
            studies: Vec::new(),
        }
    }

    /// Simulation first: if that already says that the target cannot be met, nobody has to wait for real processes to say it, too.
    fn try_candidates(&self, tuning: &mut Tuning) -> Result<Vec<Trial>, Error> {
        let timings = &self.plan.timings;
        let mut parts: Vec<Parts> = timings.iter().map(|_| Parts::default()).collect();
        let round_trip_ms = self.plan.network.round_trip_ms_max();
        let figures = |parts: &[Parts]| {
            timings.iter().zip(parts).map(|(timing, parts)| parts.figures(timing, round_trip_ms)).collect()
        };
        if !self.arguments.real {
            self.simulate(tuning, &mut parts)?;
            tuning.candidates = figures(&parts);
        }
        let is_unmet = !self.arguments.real
            && matches!(advice::advise(&tuning.candidates, self.plan.target), Advice::Unmet(_));
        if !self.arguments.sim && !is_unmet {
            let measured = self.measure(timings, self.arguments.steady.0, self.arguments.seed)?;
            parts.iter_mut().zip(measured).for_each(|(parts, measured)| parts.measured = measured);
            tuning.candidates = figures(&parts);
        }
        Ok(parts
            .into_iter()
            .flat_map(|parts| parts.measured.trials.into_iter().chain(parts.simulated))
            .collect())
    }

    fn simulate(&self, tuning: &mut Tuning, parts: &mut [Parts]) -> Result<(), Error> {
        let world = self.world();
        let bar = progress_bar("simulated candidates");
        for (place, (timing, parts)) in self.plan.timings.iter().zip(parts.iter_mut()).enumerate() {
            self.check_stop()?;
            parts.simulate(self, &world, (place, &self.kept(timing)?));
            show(&bar, Progress { done: place as u64 + 1, of: self.plan.timings.len() as u64 });
        }
        bar.finish_and_clear();
        let lows = self.plan.timings.iter().map(|timing| timing.election_timeout_ms[0]);
        let low_ms = lows.fold(SPLIT_LOW_MS, f64::max);
        tuning.split_votes = world.split_votes(low_ms, (self.arguments.simulated_trials / 10).max(100));
        tuning.warnings.push(format!(
            "In simulation, each process stands still {} times an hour, for {} ms on average (--stalls, --stall): false elections are as rare as that is true of your machines.",
            self.plan.stalls.per_hour,
            self.plan.stalls.mean.as_secs_f64() * 1e3
        ));
        Ok(())
    }

    fn check_stop(&self) -> Result<(), Error> {
        match *self.stop.borrow() {
            true => Err(Error::Harness("stopped before it was done".into())),
            false => Ok(()),
        }
    }

    /// What becomes of these times on real processes, and of so much time in which nothing fails.
    fn measure(&self, timings: &[Timing], steady: Duration, seed: u64) -> Result<Vec<Measured>, Error> {
        let mut burdens = vec![Burden::Idle, Burden::Load, Burden::Jitter];
        if disk::lack().is_none() {
            burdens.push(Burden::SlowDisks);
        }
        let plan = RealPlan {
            system: self.arguments.system.clone(),
            options: self.options.clone(),
            nodes: self.plan.network.nodes(),
            timings: timings.to_vec(),
            failures: self.plan.failures.clone(),
            trials: self.arguments.trials,
            steady,
            burdens,
            seed,
            disks: self.syncs.trouble(),
            links: self.plan.network.conditions(),
            network: self.arguments.network.parse().map_err(Error::Input)?,
            jobs: self.arguments.jobs,
            folder: self.workplace.to_path_buf(),
            rafture: std::env::current_exe().map_err(Error::harness)?,
            pre_vote: self.arguments.pre_vote.map(|pre_vote| pre_vote == Switch::On),
        };
        let bar = progress_bar("trials");
        let measured = real::measure(&plan, &self.stop, &|progress| show(&bar, progress));
        bar.finish_and_clear();
        measured
    }

    /// What simulation is about.
    fn world(&self) -> World {
        World {
            network: self.plan.network.clone(),
            pre_vote: self.arguments.pre_vote.is_none_or(|pre_vote| pre_vote == Switch::On),
            sync: self.syncs.meant,
            stalls: self.plan.stalls,
            seed: self.arguments.seed,
        }
    }

    /// What the system makes of these times.
    fn kept(&self, timing: &Timing) -> Result<Timing, Error> {
        let kept = self.system.tell(&told(timing)).map_err(Error::Input)?.kept;
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let (low, high) = kept.election_timeout;
        Ok(Timing { heartbeat_ms: ms(kept.heartbeat), election_timeout_ms: [ms(low), ms(high)] })
    }

    fn advise(&self, tuning: &mut Tuning) -> Result<(), Error> {
        match advice::advise(&tuning.candidates, self.plan.target) {
            Advice::Unmet(why) => tuning.unmet = Some(why),
            Advice::Take(place, reason) => {
                let candidate = &tuning.candidates[place];
                tuning.recommendation = Some(Recommendation {
                    timing: candidate.timing,
                    outage_p50_ms: candidate.outage_p50_ms,
                    outage_p99_ms: candidate.outage_p99_ms,
                    false_elections_per_hour: candidate.false_elections_per_hour,
                    candidate: place,
                    reason,
                    configuration: self.configuration(&candidate.timing),
                });
                tuning.checks = checks::checks(self, &candidate.timing)?;
            }
        }
        Ok(())
    }

    /// The system that was asked about first, then the others.
    fn configuration(&self, timing: &Timing) -> Vec<Configuration> {
        let asked = [(self.system.name(), self.system.tell(&told(timing)))];
        let all = systems::all();
        let others = all.iter().filter(|other| other.name() != self.system.name());
        let others = others.map(|other| (other.name(), other.tell(&told(timing))));
        let all = asked.into_iter().chain(others).chain(timing::others(&told(timing)));
        let lines = all.map(|(system, told)| match told {
            Ok(told) => Configuration { system: system.into(), lines: told.lines, note: told.note },
            Err(why) => Configuration { system: system.into(), lines: Vec::new(), note: Some(why) },
        });
        lines.collect()
    }
}

/// What is found out of a candidate, one thing after the other.
#[derive(Default)]
struct Parts {
    measured: Measured,
    simulated: Vec<Trial>,
    steady: Vec<Steady>,
    unstable: u64,
}

impl Parts {
    fn simulate(&mut self, work: &Work<'_>, world: &World, (place, timing): (usize, &Timing)) {
        let failures = &work.plan.failures;
        let each = work.arguments.simulated_trials.div_ceil(failures.len() as u64);
        for &failure in failures {
            let found = world.fail(place, timing, failure, each);
            self.simulated.extend(found.trials);
            self.unstable += found.unstable;
        }
        self.steady = world.steady(place, timing);
    }

    /// Real figures go before simulated ones, of outages; of what is rare, simulation knows more.
    fn figures(&self, timing: &Timing, round_trip_ms: f64) -> Candidate {
        let all = [(Source::Real, &self.measured.trials), (Source::Simulated, &self.simulated)];
        let made = all.into_iter().filter(|(_, trials)| !trials.is_empty());
        let together: BTreeMap<Source, Elections> =
            made.map(|(source, trials)| (source, Elections::of(trials.iter()))).collect();
        let source = together.keys().next().copied().unwrap_or(Source::Simulated);
        let [outage_p50_ms, outage_p99_ms] = outage(together.get(&source));
        let steady: Vec<Steady> = self.measured.steady.iter().chain(&self.steady).cloned().collect();
        let false_elections = false_elections(&steady);
        let mut warnings = advice::warnings(timing, round_trip_ms);
        warnings.extend(self.measured.warnings.iter().cloned());
        if self.unstable > 0 {
            warnings.push(format!(
                "in {} of {} simulations the leader lost its place before anything was done to it",
                self.unstable,
                self.unstable + self.simulated.len() as u64
            ));
        }
        Candidate {
            timing: *timing,
            outage_p50_ms,
            outage_p99_ms,
            false_elections_per_hour: false_elections.0,
            false_elections_per_hour_interval: false_elections.1,
            source,
            together,
            real: by_failure(&self.measured.trials),
            simulated: by_failure(&self.simulated),
            steady,
            warnings,
        }
    }
}

fn by_failure(trials: &[Trial]) -> BTreeMap<Failure, Elections> {
    let of = |failure: Failure| {
        let mut found = trials.iter().filter(|trial| trial.failure == failure).peekable();
        found.peek()?;
        Some((failure, Elections::of(found)))
    };
    Failure::ALL.into_iter().filter_map(of).collect()
}

/// Percentiles 50 and 99 of the time until a write succeeds. Where no trial could be made, no leader lasts.
fn outage(elections: Option<&Elections>) -> [f64; 2] {
    let write = elections.and_then(|elections| elections.write.as_ref());
    write.map_or([f64::INFINITY; 2], |write| [write.p50, write.p99])
}

/// How often, and between what bounds. In simulation, what stalls and what the network do add up; where there is none, real time under all
/// burdens together is what is known.
fn false_elections(steady: &[Steady]) -> (f64, [Option<f64>; 2]) {
    let of = |source: Source| steady.iter().filter(move |steady| steady.source == source);
    if of(Source::Simulated).next().is_some() {
        let sum = |side: usize| of(Source::Simulated).map(|steady| steady.per_hour_interval[side]).sum();
        let rate = of(Source::Simulated).map(|steady| steady.per_hour).sum();
        return (rate, [Some(sum(0)), Some(sum(1))]);
    }
    let elections: u64 = of(Source::Real).map(|steady| steady.elections).sum();
    let hours: f64 = of(Source::Real).map(|steady| steady.hours).sum();
    match hours > 0.0 {
        true => (elections as f64 / hours, rate_interval(elections, hours).map(Some)),
        false => (0.0, [None, None]),
    }
}

/// The same in the words of systems.
fn told(timing: &Timing) -> timing::Timing {
    let time = |ms: f64| Duration::from_secs_f64(ms / 1e3);
    let [low, high] = timing.election_timeout_ms;
    timing::Timing { election_timeout: (time(low), time(high)), heartbeat: time(timing.heartbeat_ms) }
}

/// The line that repeats this.
fn command() -> String {
    let words = std::env::args().skip(1).map(|word| quoted(&word));
    std::iter::once("rafture".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

fn progress_bar(what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let template = format!("{{bar:30}} {{pos}} of {{len}} {what}, {{elapsed}} gone, {{eta}} to go");
    bar.set_style(ProgressStyle::with_template(&template).expect("the template is right"));
    bar
}

fn show(bar: &ProgressBar, Progress { done, of }: Progress) {
    bar.set_length(of);
    bar.set_position(done);
}
