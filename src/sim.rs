//! `rafture sim`: the built-in node in deterministic simulation, seed after seed.

use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use rafture_checker::verdict::Verdict;
use rafture_nemesis::fault;
use rafture_node::rules::{Defect, Rules};
use rafture_sim::scenario::{self, Scenario};
use rafture_sim::{Finding, Outcome, Plan, PlanOptions, run, shrink};
use rafture_workloads::workload;
use serde_json::json;

use crate::duration::{Range, Span};
use crate::error::Error;

/// Prints a line. Whoever reads may have seen enough, as `head` does: that is no error.
macro_rules! say {
    ($($argument:tt)*) => {
        if writeln!(std::io::stdout(), $($argument)*).is_err() {
            std::process::exit(0);
        }
    };
}

/// Runs that shrinking a failing seed may take.
const SHRINK_TRIES: usize = 300;
/// Lines of a failing seed's trace that are shown unasked.
const TRACE_LINES: usize = 40;

/// The built-in node in deterministic simulation: thousands of seeds on virtual time
#[derive(Debug, Args)]
pub struct SimArguments {
    /// How many seeds, from 1 on, or from --first
    #[arg(long, default_value_t = 100, conflicts_with = "seed", value_name = "COUNT")]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1, conflicts_with = "seed", value_name = "SEED")]
    first: u64,
    /// This seed alone
    #[arg(long)]
    seed: Option<u64>,
    /// Nodes of the cluster at its start
    #[arg(long, default_value_t = 5)]
    nodes: usize,
    /// How long faults strike, in virtual time
    #[arg(long, default_value = "60s")]
    time_limit: Span,
    /// What the clients do: register, cas-register
    #[arg(long, default_value = "cas-register")]
    workload: String,
    /// Faults, as for `run`, and those that only a simulation can do; `all` or `none`
    #[arg(long, default_value = "all")]
    faults: String,
    /// Mean time between faults
    #[arg(long, default_value = "1500ms")]
    interval: Span,
    /// Range that the nodes draw their election timeouts from
    #[arg(long, default_value = "150ms..300ms")]
    election_timeout: Range,
    /// Time between a leader's heartbeats
    #[arg(long, default_value = "50ms")]
    heartbeat: Span,
    /// Planted bug (see `rafture defects`)
    #[arg(long)]
    defect: Option<Defect>,
    /// Play a situation with a name instead: `list` lists them, `all` plays all of them
    #[arg(long, conflicts_with = "seeds", value_name = "NAME")]
    scenario: Option<String>,
    /// Threads; by default one per core
    #[arg(long)]
    threads: Option<usize>,
    /// Tell every event of a --seed or a --scenario, one line each
    #[arg(long)]
    trace: bool,
    /// One JSON object on one line
    #[arg(long)]
    json: bool,
}

/// A seed that failed.
struct Failure {
    seed: u64,
    finding: Finding,
}

/// Runs the seeds.
///
/// # Errors
/// When the arguments make no sense.
pub fn sim(arguments: &SimArguments) -> Result<Verdict, Error> {
    if let Some(name) = &arguments.scenario {
        return scenarios(name, arguments);
    }
    if arguments.trace && arguments.seed.is_none() {
        return Err(Error::Input("--trace tells of one run (hint: --seed 1, or --scenario NAME)".into()));
    }
    let options = options(arguments)?;
    // What is wrong with the faults is wrong with every seed.
    Plan::new(arguments.seed.unwrap_or(arguments.first), options.clone()).map_err(Error::input)?;
    let (first, count) = arguments.seed.map_or((arguments.first, arguments.seeds), |seed| (seed, 1));
    let threads = arguments
        .threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get));
    let began = Instant::now();
    let totals = Totals::default();
    let next = AtomicU64::new(first);
    std::thread::scope(|scope| {
        let (next, totals, options) = (&next, &totals, &options);
        for _ in 0..threads.clamp(1, 256) {
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || totals.failed.load(Ordering::Relaxed) {
                        return;
                    }
                    let plan = Plan::new(seed, options.clone()).expect("the faults were checked");
                    totals.add(seed, &run(&plan, false));
                }
            });
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    let failure = totals.failure.lock().expect("no thread has panicked").take();
    conclude(arguments, &options, &totals, failure, seconds)
}

/// Lists or plays situations with a name.
fn scenarios(name: &str, arguments: &SimArguments) -> Result<Verdict, Error> {
    if name == "list" {
        for Scenario { name, source, summary, .. } in scenario::all() {
            say!("{name:<28} {source}\n{:<28} {summary}", "");
        }
        return Ok(Verdict::Valid);
    }
    let chosen = match name {
        "all" => scenario::all(),
        name => vec![scenario::find(name).map_err(Error::Input)?],
    };
    let mut verdict = Verdict::Valid;
    let mut played = Vec::new();
    for chosen in chosen {
        let began = Instant::now();
        let performance = scenario::play(&chosen, arguments.seed.unwrap_or(1), arguments.trace);
        let seconds = began.elapsed().as_secs_f64();
        let (messages, bytes) = performance.messages;
        let simulated = performance.simulated.as_secs_f64();
        if performance.complaint.is_some() {
            verdict = Verdict::Invalid;
        }
        if arguments.json {
            played.push(json!({
                "scenario": chosen.name,
                "verdict": if performance.complaint.is_some() { Verdict::Invalid } else { Verdict::Valid },
                "finding": performance.complaint,
                "simulated_s": simulated,
                "seconds": seconds,
                "messages": messages,
                "bytes": bytes,
            }));
            continue;
        }
        performance.trace.iter().for_each(|line| say!("{line}"));
        let end = performance.complaint.as_deref().unwrap_or("as it should");
        say!(
            "{:<28} {end}: {simulated:.1} s in {seconds:.2} s, {messages} messages, {bytes} bytes",
            chosen.name
        );
    }
    if arguments.json {
        say!("{}", json!({ "verdict": verdict, "scenarios": played }));
    }
    Ok(verdict)
}

fn options(arguments: &SimArguments) -> Result<PlanOptions, Error> {
    let faults = match arguments.faults.as_str() {
        "all" => fault::kinds_of_simulation().map(fault::FaultSpec::of).collect(),
        list => fault::parse(list).map_err(Error::input)?,
    };
    if let Some(real) = faults.iter().find(|spec: &&fault::FaultSpec| !spec.is_in_simulation()) {
        let text = format!("`{real}` is known to real runs only (hint: `rafture run --faults {real}`)");
        return Err(Error::Input(text));
    }
    workload::find(&arguments.workload).map_err(Error::Input)?;
    let number = |holds: bool, text: &str| if holds { Ok(()) } else { Err(Error::Input(text.into())) };
    number((1..=50).contains(&arguments.nodes), "a cluster has 1 to 50 nodes (hint: --nodes 5)")?;
    number(arguments.seeds > 0, "no seeds, no simulation (hint: --seeds 100)")?;
    number(!arguments.time_limit.0.is_zero(), "no time, no simulation (hint: --time-limit 60s)")?;
    number(
        arguments.heartbeat.0 < arguments.election_timeout.low && !arguments.heartbeat.0.is_zero(),
        "the heartbeat does not fit into the election timeout (hint: a tenth of it)",
    )?;
    Ok(PlanOptions {
        nodes: arguments.nodes,
        time_limit: arguments.time_limit.0,
        interval: arguments.interval.0,
        faults,
        workload: arguments.workload.clone(),
        rules: arguments.defect.map_or(Rules::ALL, Rules::without),
        election_timeout: (arguments.election_timeout.low, arguments.election_timeout.high),
        heartbeat: arguments.heartbeat.0,
    })
}

/// What all seeds come to.
#[derive(Default)]
struct Totals {
    seeds: AtomicU64,
    events: AtomicU64,
    acknowledged: AtomicU64,
    committed: AtomicU64,
    simulated_ns: AtomicU64,
    failed: AtomicBool,
    failure: Mutex<Option<Failure>>,
}

impl Totals {
    fn add(&self, seed: u64, outcome: &Outcome) {
        let Outcome { events, acknowledged, committed, simulated, .. } = outcome;
        for (total, part) in [
            (&self.seeds, 1),
            (&self.events, *events),
            (&self.acknowledged, *acknowledged),
            (&self.committed, *committed),
            (&self.simulated_ns, simulated.as_nanos() as u64),
        ] {
            total.fetch_add(part, Ordering::Relaxed);
        }
        if let Some(finding) = &outcome.finding {
            self.failed.store(true, Ordering::Relaxed);
            let mut failure = self.failure.lock().expect("no thread has panicked");
            // Of several that fail at once, always the same.
            if failure.as_ref().is_none_or(|known| known.seed > seed) {
                *failure = Some(Failure { seed, finding: finding.clone() });
            }
        }
    }
}

fn conclude(
    arguments: &SimArguments,
    options: &PlanOptions,
    totals: &Totals,
    failure: Option<Failure>,
    seconds: f64,
) -> Result<Verdict, Error> {
    let total = |of: &AtomicU64| of.load(Ordering::Relaxed);
    let simulated = Duration::from_nanos(total(&totals.simulated_ns)).as_secs_f64();
    let speed = simulated / seconds.max(1e-9);
    let verdict = match failure.as_ref().map(|failure| &failure.finding) {
        None => Verdict::Valid,
        Some(Finding::Vacuous(_)) => Verdict::Vacuous,
        Some(Finding::Invariant(_) | Finding::History(_)) => Verdict::Invalid,
    };
    let shown = match (&failure, arguments.seed.filter(|_| arguments.trace)) {
        (Some(failure), _) => Some(explain(arguments, options, failure)),
        (None, Some(seed)) => {
            let plan = Plan::new(seed, options.clone()).map_err(Error::input)?;
            Some(Explanation { lines: run(&plan, true).trace, schedule: Vec::new() })
        }
        (None, None) => None,
    };
    if arguments.json {
        let finding = failure.as_ref().map(|failure| failure.finding.to_string());
        let object = json!({
            "verdict": verdict,
            "seeds": total(&totals.seeds),
            "simulated_s": simulated,
            "seconds": seconds,
            "speed": speed,
            "events": total(&totals.events),
            "acknowledged": total(&totals.acknowledged),
            "committed": total(&totals.committed),
            "seed": failure.as_ref().map(|failure| failure.seed),
            "finding": finding,
            "schedule": shown.as_ref().map(|shown| &shown.schedule),
            "trace": shown.as_ref().map(|shown| &shown.lines),
            "command": failure.as_ref().map(|failure| command(arguments, failure.seed)),
        });
        say!("{object}");
        return Ok(verdict);
    }
    if let Some(Explanation { lines, schedule }) = &shown {
        lines.iter().for_each(|line| say!("{line}"));
        if let Some(Failure { seed, finding }) = &failure {
            say!("\nseed {seed}: {finding}");
            say!("it takes no more than: {}", if schedule.is_empty() { "nothing" } else { "" });
            schedule.iter().for_each(|line| say!("  {line}"));
        }
        say!();
    }
    say!(
        "{}: {} seeds, {:.1} simulated hours in {seconds:.1} s ({speed:.0} times real time), {} events, {} operations, {} entries",
        verdict,
        total(&totals.seeds),
        simulated / 3600.0,
        total(&totals.events),
        total(&totals.acknowledged),
        total(&totals.committed),
    );
    if let Some(failure) = &failure {
        say!("repeat: {}", command(arguments, failure.seed));
    }
    Ok(verdict)
}

/// What a reader needs to see of a seed.
struct Explanation {
    lines: Vec<String>,
    schedule: Vec<String>,
}

fn explain(arguments: &SimArguments, options: &PlanOptions, failure: &Failure) -> Explanation {
    eprintln!("seed {}: {}; looking for less that fails …", failure.seed, failure.finding);
    let plan = Plan::new(failure.seed, options.clone()).expect("the faults were checked");
    let short = shrink(&plan, &failure.finding, SHRINK_TRIES);
    let mut lines = run(&short, true).trace;
    if !arguments.trace && lines.len() > TRACE_LINES {
        lines.drain(..lines.len() - TRACE_LINES);
        lines.insert(0, format!("… the last {TRACE_LINES} lines; --trace has all"));
    }
    let episode = |episode: &rafture_nemesis::schedule::Episode| {
        let shape = episode.fault.shape.map(|shape| format!(":{shape}")).unwrap_or_default();
        format!(
            "at {:.3} s for {:.3} s: {}{shape}@{}",
            episode.at_ms as f64 / 1e3,
            episode.lasts_ms as f64 / 1e3,
            episode.fault.kind,
            episode.fault.target
        )
    };
    Explanation { lines, schedule: short.schedule.episodes.iter().map(episode).collect() }
}

/// The line that repeats a seed.
fn command(arguments: &SimArguments, seed: u64) -> String {
    let mut words = vec![format!("rafture sim --seed {seed} --nodes {}", arguments.nodes)];
    words.push(format!("--time-limit {} --interval {}", arguments.time_limit, arguments.interval));
    words.push(format!("--faults {} --workload {}", arguments.faults, arguments.workload));
    words.push(format!(
        "--election-timeout {} --heartbeat {}",
        arguments.election_timeout, arguments.heartbeat
    ));
    words.extend(arguments.defect.map(|defect| format!("--defect {defect}")));
    words.join(" ")
}
