//! `rafture run`: one test from its plan to its verdict.
//!
//! In reading order: `arguments` is what was typed and `plan` what it means; this file is the run itself, phase after
//! phase; `administrator` answers what faults ask of the system; `history` writes what clients record, `progress` shows it; `pulse` sees whether the machine keeps up; `judge` asks the checkers, and
//! `liveness` whether the cluster served while it should have.

mod administrator;
mod arguments;
mod history;
pub mod judge;
mod liveness;
mod plan;
mod progress;
pub(crate) mod pulse;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rafture_checker::history::Event;
use rafture_checker::online::Watch;
use rafture_checker::verdict::Verdict;
use rafture_nemesis::clean;
use rafture_nemesis::clock::RunClock;
use rafture_nemesis::clocks;
use rafture_nemesis::cluster::Cluster;
use rafture_nemesis::disk::{self, Disks};
use rafture_nemesis::fault::{ClusterFault, Fault, FaultKind, FaultSpec};
use rafture_nemesis::hosts::{Hosts, Network};
use rafture_nemesis::injector::Injector;
use rafture_nemesis::ledger::{Ledger, LedgerLine, State};
use rafture_nemesis::process::NodeSpec;
use rafture_nemesis::schedule::Episode;
use rafture_reports::results::{Lateness, Results};
use rafture_reports::store::{RunFolder, Store, UtcTime};
use rafture_reports::{Index, RunView, write_reports, write_results};
use rafture_workloads::load::{self, Load};
use rafture_workloads::recorder::Recorder;
use rafture_workloads::systems::{self, Layout, Place, Settings, System};
use rafture_workloads::workload::{self, Workload};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

pub use arguments::RunArguments;
pub use plan::Plan;
pub(crate) use plan::pairs;

use crate::error::Error;
use administrator::Adaptor;
use history::Watcher;
use judge::Case;
use progress::Scene;
use pulse::Pulse;

/// How long a cluster has to find a leader before anything is done to it.
const READY_PATIENCE: Duration = Duration::from_secs(15);
/// How long a node has to say whether it leads.
const STATUS_PATIENCE: Duration = Duration::from_millis(50);
/// How often it is asked, for the progress line.
const STATUS_INTERVAL: Duration = Duration::from_millis(500);

/// What is kept of a run once it is over.
#[derive(Debug)]
pub struct Finished {
    /// What was found.
    pub results: Results,
    /// Where everything is.
    pub folder: RunFolder,
}

/// Carries out `plan`. `rafture` is the program that can be a node. When `stop` says so, the run heals and ends early,
/// and still judges and reports.
///
/// # Errors
/// When the cluster does not come up, a fault cannot be healed, or the store cannot be written.
pub fn run(plan: &Plan, rafture: PathBuf, stop: watch::Receiver<bool>) -> Result<Finished, Error> {
    // The hosts may move a thread to another network namespace; it must not be the caller's.
    std::thread::scope(|scope| {
        let driver = std::thread::Builder::new().name("run".into());
        let running = driver.spawn_scoped(scope, || drive(plan, rafture, stop)).map_err(Error::harness)?;
        running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn drive(plan: &Plan, rafture: PathBuf, stop: watch::Receiver<bool>) -> Result<Finished, Error> {
    let began = Instant::now();
    let started = SystemTime::now();
    let system = systems::configured(&plan.system, &plan.options).map_err(Error::Input)?;
    if let Some(lack) = system.lack() {
        return Err(Error::Harness(format!("`{}` cannot run here: {lack}", plan.system)));
    }
    if let Some((episode, lack)) = disk_episode(plan).zip(disk::lack()) {
        return Err(Error::Harness(format!("`{}` cannot be done here: {lack}", episode.fault.kind)));
    }
    let store = Store::open(&plan.store).map_err(Error::input)?;
    clean::clean(store.path())
        .map_err(|error| Error::Harness(format!("cannot clean up after a former run: {error}")))?;
    let folder = store.create_run(&plan.name, plan.seed, started).map_err(Error::input)?;
    let plan = &plan.in_folder(folder.path());
    let text = serde_json::to_vec_pretty(plan).expect("a plan is plain data");
    folder.write_atomic("plan.json", &text).map_err(Error::harness)?;
    let schedule = plan.recorded(folder.path());
    folder.write_atomic(plan::SCHEDULE_FILE, schedule.as_bytes()).map_err(Error::harness)?;

    let hosts =
        Hosts::open(plan.network.parse().map_err(Error::Input)?, plan.nodes).map_err(Error::harness)?;
    let network = hosts.reason().to_owned();
    let kinds = || plan.schedule.episodes.iter().map(|episode| episode.fault.kind);
    let needs_namespaces = match system.reaches_peers_separately() {
        true => {
            let faults = plan.schedule.episodes.iter().map(|episode| episode.fault);
            let needs = |fault: &Fault| {
                matches!(fault.kind, FaultKind::Link(_) | FaultKind::Reset) || fault.concerns_clients()
            };
            faults.into_iter().find(needs).map(|fault| {
                // Whom it would have struck is not what is in the way.
                FaultSpec { shape: fault.shape, ..FaultSpec::of(fault.kind) }.to_string()
            })
        }
        false => Some(plan.system.clone()),
    };
    if let Some(name) = needs_namespaces.filter(|_| hosts.network() == Network::Proxy) {
        return Err(Error::Harness(format!(
            "`{name}` needs network namespaces: {} (hint: run as root, or see `rafture doctor`)",
            network.trim_start_matches("proxy: ")
        )));
    }
    if kinds().any(|kind| kind == FaultKind::Clock) {
        clocks::check().map_err(|lack| {
            Error::Harness(format!("`clock` cannot be done here: {lack} (hint: see `rafture doctor`)"))
        })?;
    }
    eprintln!("{}: {} nodes of {} on {network}, seed {}", plan.name, plan.nodes, plan.system, plan.seed);
    let stage = Stage::new(plan, &folder, hosts, system, rafture)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(Error::harness)?;
    let record = runtime.block_on(stage.play(plan, &folder, stop))?;
    runtime.shutdown_background();
    let results = conclude(plan, &folder, &record, network, started, began)?;
    Ok(Finished { results, folder })
}

/// The first fault of a disk, if there is one.
fn disk_episode(plan: &Plan) -> Option<&Episode> {
    plan.schedule.episodes.iter().find(|episode| matches!(episode.fault.kind, FaultKind::Disk(_)))
}

/// Everything that takes part in a run.
struct Stage {
    system: Box<dyn System>,
    workload: Box<dyn Workload>,
    layout: Arc<Layout>,
    cluster: Cluster,
}

/// What a run has left to judge.
struct Record {
    history: Vec<Event>,
    /// What was found while it grew.
    watched: Option<Watch>,
    crashes: Vec<String>,
    clock: RunClock,
    healed_ns: Option<u64>,
    lateness: Option<Lateness>,
    wall_start: SystemTime,
}

impl Stage {
    fn new(
        plan: &Plan,
        folder: &RunFolder,
        hosts: Hosts,
        system: Box<dyn System>,
        rafture: PathBuf,
    ) -> Result<Stage, Error> {
        let workload = workload::find(&plan.workload).map_err(Error::Input)?;
        let base = folder.path().canonicalize().map_err(Error::harness)?;
        let place = |node: usize| {
            let addresses = hosts.addresses(node);
            let name = format!("n{}", node + 1);
            Place {
                folder: base.join("nodes").join(&name),
                name,
                client: addresses.client,
                peer: addresses.peer,
                peers: addresses.peers.clone(),
            }
        };
        let layout = Layout { nodes: (0..plan.nodes).map(place).collect() };
        let settings = Settings {
            rafture,
            election_timeout: (plan.election_timeout.low, plan.election_timeout.high),
            heartbeat: plan.heartbeat.0,
            pre_vote: None,
            seed: plan.seed,
            defect: plan.defect.clone(),
            traced: true,
            changes_members: plan.schedule.episodes.iter().any(|episode| {
                let kind = episode.fault.kind;
                matches!(kind, FaultKind::Cluster(ClusterFault::Membership | ClusterFault::Wipe))
            }),
        };
        let spec = |node: usize| {
            let launch = system.launch(node, &layout, &settings);
            let joining = system.launch_joining(node, &layout, &settings);
            NodeSpec {
                joining: joining.arguments.into_iter().map(Into::into).collect(),
                name: layout.nodes[node].name.clone(),
                program: launch.program,
                arguments: launch.arguments.into_iter().map(Into::into).collect(),
                environment: launch
                    .environment
                    .into_iter()
                    .map(|(name, value)| (name.into(), value.into()))
                    .collect(),
                folder: layout.nodes[node].folder.clone(),
            }
        };
        let specs: Vec<NodeSpec> = (0..plan.nodes).map(spec).collect();
        // Before any node, and before the threads that start them: all must see what is mounted.
        let disks = disk_episode(plan).map(|_| {
            let folders: Vec<PathBuf> = specs.iter().map(|spec| spec.folder.clone()).collect();
            Disks::open(&folders)
        });
        let disks = disks.transpose().map_err(Error::harness)?;
        let mut cluster = Cluster::new(hosts, specs).map_err(Error::harness)?;
        if let Some(disks) = disks {
            (0..plan.nodes).for_each(|node| disks.choose(node, &plan.files));
            cluster.put_on(disks);
        }
        if let Some(program) = &plan.upgrade_to {
            cluster.set_upgrade(program.clone());
        }
        Ok(Stage { system, workload, layout: Arc::new(layout), cluster })
    }

    /// The run itself: the cluster comes up, is driven and harmed, is left alone, and stops.
    async fn play(
        mut self,
        plan: &Plan,
        folder: &RunFolder,
        stop: watch::Receiver<bool>,
    ) -> Result<Record, Error> {
        self.come_up().await?;
        let clock = RunClock::start();
        let wall_start = SystemTime::now();
        let pulse = Pulse::start().map_err(Error::harness)?;
        let (halt, halted) = watch::channel(false);
        let watcher = Watcher { watch: Watch::over(self.workload.model()), halt: halt.clone() };
        let path = folder.path().join("history.jsonl");
        let (copies, writer) = history::write_history(&path, watcher).map_err(Error::harness)?;
        let recorder = Recorder::new(Arc::new(move || clock.now()), copies);
        let ledger = Ledger::create(&folder.path().join("faults.jsonl")).map_err(Error::harness)?;
        let scene = Scene::default();
        scene.phase("under faults");

        let (end, ended) = watch::channel(false);
        let load = Load {
            concurrency: plan.concurrency,
            rate: plan.rate,
            patience: plan.patience.0,
            seed: plan.seed,
        };
        let Stage { system, workload, layout, cluster } = &mut self;
        let (system, layout): (&dyn System, &Arc<Layout>) = (&**system, layout);
        let driving = load::drive(&load, system, layout, &**workload, &recorder, ended);
        let adaptor = Adaptor::new(system, layout);
        let watching = watch_leader(&adaptor, &scene);
        let showing = progress::show(scene.clone(), recorder.clone(), plan.time_limit.0 + plan.quiet.0);
        let healed_ns = Cell::new(None);
        let harming = async {
            let note = |line: &LedgerLine| tell(line, &scene, &recorder);
            let mut injector = Injector::new(cluster, ledger, clock, note);
            let done = injector.run(&plan.schedule, plan.time_limit.0, &adaptor, halted.clone()).await;
            drop(injector);
            if done.is_ok() {
                let healed = clock.now();
                scene.phase("healed");
                // A run that is stopped early gives nobody the time to recover.
                if be_quiet(plan, &recorder, healed, halted.clone()).await {
                    healed_ns.set(Some(healed));
                }
            }
            // Whoever is driven has ended if nobody listens.
            let _ = end.send(true);
            done.map_err(Error::harness)
        };
        let work = async { tokio::join!(driving, harming).1 };
        tokio::select! {
            done = work => done?,
            () = watching => {}
            () = showing => {}
            () = pass_on(stop, halt) => {}
        }
        if *halted.borrow() {
            eprintln!("{}: stopped early; healed, and now checked", plan.name);
        }
        let lateness = pulse.stop();
        self.cluster.notice_crashes();
        let crashes = self.cluster.crashes().to_vec();
        self.cluster.stop().map_err(Error::harness)?;
        let history = recorder.take();
        drop(recorder);
        let written = tokio::task::spawn_blocking(move || writer.join()).await.map_err(Error::harness)?;
        let written = written.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let watched = written.map_err(|error| {
            Error::Harness(format!("cannot write the history: {error} (hint: is the disk full?)"))
        })?;
        Ok(Record { history, watched, crashes, clock, healed_ns: healed_ns.get(), lateness, wall_start })
    }

    async fn come_up(&mut self) -> Result<(), Error> {
        for node in 0..self.cluster.len() {
            self.cluster.start(node).map_err(Error::harness)?;
        }
        let deadline = Instant::now() + READY_PATIENCE;
        loop {
            self.cluster.notice_crashes();
            if let Some(crash) = self.cluster.crashes().first() {
                return Err(Error::Harness(format!("a node does not come up: {crash}")));
            }
            if systems::leader(&*self.system, &self.layout, STATUS_PATIENCE).await.is_some() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let logs = self.layout.nodes[0].folder.display();
                let words = self.cluster.last_words(0);
                return Err(Error::Harness(format!(
                    "no node leads after {READY_PATIENCE:?} (hint: see `{logs}/stderr.log` and its neighbours; it ends with: {words})"
                )));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Passes a line of the ledger on to those who watch, and into the history.
fn tell(line: &LedgerLine, scene: &Scene, recorder: &Recorder) {
    match line.state {
        State::Applied => scene.strike(line.id, format!("{} ({})", line.fault, line.detail)),
        State::Undone | State::Failed | State::Declined | State::Skipped => scene.undo(line.id),
        State::Planned | State::Proven => {}
    }
    if matches!(line.state, State::Applied | State::Undone) {
        let value =
            json!({ "id": line.id, "state": line.state, "target": line.fault.target, "detail": line.detail });
        recorder.nemesis(line.fault.kind.to_string(), value);
    }
}

/// Whoever stops the run from outside halts it like a violation does. Does not end.
async fn pass_on(mut stop: watch::Receiver<bool>, halt: watch::Sender<bool>) {
    if stop.wait_for(|stop| *stop).await.is_ok() {
        halt.send_replace(true);
    }
    std::future::pending::<()>().await;
}

/// The quiet window: the cluster is driven, and nothing is done to it. If it does not serve by the end, it gets more time. What began
/// before it was healed does not count, here as in the judgement: it may have been let in by what was healed last.
/// Tells whether the window was kept to its end.
async fn be_quiet(plan: &Plan, recorder: &Recorder, healed_ns: u64, mut stop: watch::Receiver<bool>) -> bool {
    let quiet = async {
        sleep(plan.quiet.0).await;
        let served = async {
            while !recorder.has_served(healed_ns) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        // That it never served is for the checkers to say.
        let _ = timeout(plan.serve_within.0, served).await;
    };
    tokio::select! {
        () = quiet => true,
        Ok(_) = stop.wait_for(|stop| *stop) => false,
    }
}

async fn watch_leader(adaptor: &Adaptor<'_>, scene: &Scene) {
    loop {
        scene.leader(adaptor.leader_name().await);
        sleep(STATUS_INTERVAL).await;
    }
}

/// Judges what was recorded and writes all reports.
fn conclude(
    plan: &Plan,
    folder: &RunFolder,
    record: &Record,
    network: String,
    started: SystemTime,
    began: Instant,
) -> Result<Results, Error> {
    let system = systems::find(&plan.system).map_err(Error::Input)?;
    let workload = workload::find(&plan.workload).map_err(Error::Input)?;
    let names: Vec<String> = (1..=plan.nodes).map(|node| format!("n{node}")).collect();
    let (traces, complaints) = judge::read_traces(folder.path(), &names);
    complaints.iter().for_each(|complaint| eprintln!("rafture: {complaint}"));
    let leaders = judge::leader_changes(&traces, record.clock.start_ns());
    let faults = folder.faults().map_err(Error::harness)?;
    let mut kinds: Vec<String> =
        plan.schedule.episodes.iter().map(|episode| episode.fault.kind.to_string()).collect();
    kinds.sort();
    kinds.dedup();
    let checkers = judge::judge(&Case {
        history: &record.history,
        watched: record.watched.as_ref(),
        model: workload.model(),
        operations: workload.operations(),
        traces: system.writes_traces().then_some(&traces),
        faults: &faults,
        kinds: &kinds,
        crashes: &record.crashes,
        healed_ns: record.healed_ns,
        nodes: &names,
        serve_within: plan.serve_within.0,
        time_limit: plan.check_time_limit.0,
    });
    let figures = judge::figures(&record.history, &faults, &leaders);
    let results = Results {
        verdict: Verdict::worst(checkers.values().map(|checker| checker.verdict)),
        reasons: judge::reasons(&checkers),
        name: plan.name.clone(),
        run: folder.name(),
        system: plan.system.clone(),
        workload: plan.workload.clone(),
        nodes: plan.nodes,
        network,
        seed: plan.seed,
        command: plan.command.clone(),
        note: "with real processes the seed repeats the plan, not how their threads interleave".into(),
        labels: plan.labels.clone(),
        started_at: UtcTime::from(started).to_string(),
        clock_start_ns: record.clock.start_ns(),
        wall_start_ns: record.wall_start.duration_since(UNIX_EPOCH).ok().map(|time| time.as_nanos() as i64),
        time_limit_s: plan.time_limit.0.as_secs_f64(),
        seconds: began.elapsed().as_secs_f64(),
        lateness: record.lateness,
        throughput: figures.throughput,
        checkers,
        faults: figures.faults,
        recovery: figures.recovery,
        latency: figures.latency,
        operations: figures.operations,
    };
    let view = RunView { results: &results, history: &record.history, faults: &faults, leaders: &leaders };
    // A page that cannot be made, even by a bug of ours, must not cost the run: what was found is stored in any case.
    let written = catch_unwind(AssertUnwindSafe(|| write_reports(folder, &view)));
    // Last: a run that has results is whole.
    write_results(folder, &results).map_err(Error::harness)?;
    if let Err(error) = Index::record(folder.path()) {
        // A table of runs is no reason to lose a verdict.
        eprintln!("rafture: {error}");
    }
    written.unwrap_or_else(|panic| resume_unwind(panic)).map_err(Error::harness)?;
    Ok(results)
}
