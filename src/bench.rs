//! `rafture bench`: how fast systems are without faults, side by side.
//!
//! All clusters are up from start to end and only one is driven at a time, in turns, so that what the machine does
//! meanwhile befalls them all alike. Nodes are plain processes on loopback addresses, their data on one disk, synced as
//! ever.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use rafture_checker::verdict::Verdict;
use rafture_nemesis::disk::{self, Disks};
use rafture_nemesis::hosts::ports;
use rafture_nemesis::process::{NodeSpec, Process, Spawner};
use rafture_workloads::bench::{BenchLoad, Driver, Mix, Slice, drive, fill};
use rafture_workloads::systems::{self, Layout, Options, Place, Settings, System};
use serde_json::{Map, Value, json};

use crate::duration::{Range, Span};
use crate::error::Error;

/// How long a cluster has to find a leader.
const READY_PATIENCE: Duration = Duration::from_secs(20);
/// How long a node has to say whether it leads.
const STATUS_PATIENCE: Duration = Duration::from_millis(500);
/// Share of a slice that is not counted at its start, and the least of it.
const WARM_UP: f64 = 0.1;
const WARM_UP_MIN: Duration = Duration::from_millis(200);
/// Clients that an open loop may have under way at once.
const OPEN_CLIENTS: usize = 512;

/// Measure throughput and latency without faults, of several systems side by side
#[derive(Debug, Args)]
pub struct BenchArguments {
    /// Systems to measure, comma-separated
    #[arg(long, default_value = "rafture", value_delimiter = ',')]
    system: Vec<String>,
    /// What is asked
    #[arg(long, default_value = "write")]
    f: F,
    /// Clients, each with one operation under way
    #[arg(long, default_value_t = 32)]
    concurrency: usize,
    /// Operations per second, begun on schedule (open loop); latency counts from when they should have begun
    #[arg(long, value_name = "PER SECOND")]
    rate: Option<f64>,
    /// Bytes of a value
    #[arg(long, default_value_t = 256)]
    value_size: usize,
    /// Keys, all of which have a value before anything is measured
    #[arg(long, default_value_t = 10_000)]
    keys: usize,
    /// Measured time per system
    #[arg(long, default_value = "10s")]
    duration: Span,
    /// Turns that each system gets
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Nodes of each cluster
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Seed of what is asked and when
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Start each system twice: with the file system in between that disks are harmed by, and on the bare folder
    #[arg(long)]
    mounted: bool,
    /// Folder on the disk that is to be measured; what is put there is removed at the end
    #[arg(long, default_value = ".")]
    folder: PathBuf,
    /// Range that the nodes draw their election timeouts from; wide, so that load alone deposes nobody
    #[arg(long, default_value = "1s..2s")]
    election_timeout: Range,
    /// Time between a leader's heartbeats
    #[arg(long, default_value = "100ms")]
    heartbeat: Span,
    /// One JSON object on one line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum F {
    Write,
    Read,
    Mixed,
}

/// A folder that goes when the measurement is over, however it ends.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One cluster at work.
struct Rival {
    name: String,
    system: Box<dyn System>,
    layout: Layout,
    processes: Vec<Process>,
    drivers: Vec<Box<dyn Driver>>,
    slices: Vec<Slice>,
    /// Core-seconds of its nodes, and of the load, while it was driven.
    cpu: (f64, f64),
    /// After the processes: they must be gone when it is dropped.
    _disks: Option<Disks>,
}

/// A system that is to be started, with its place.
struct Entry {
    shown: String,
    name: String,
    layout: Layout,
    disks: Option<Disks>,
}

/// Measures.
///
/// # Errors
/// When the arguments make no sense, or a cluster does not come up.
pub fn bench(arguments: &BenchArguments) -> Result<Verdict, Error> {
    check(arguments)?;
    let folder = arguments
        .folder
        .canonicalize()
        .map_err(|error| Error::Input(format!("cannot use `{}`: {error}", arguments.folder.display())))?;
    if statfs(&folder).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC) {
        eprintln!("`{}` is in memory: a sync costs nothing there (hint: --folder)", folder.display());
    }
    let scratch = Scratch(folder.join(format!(".rafture-bench-{}", std::process::id())));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::harness)?;
    let rivals = runtime.block_on(async {
        let work = measure(arguments, &scratch.0);
        let mut stop = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .map_err(Error::harness)?;
        tokio::select! {
            rivals = work => rivals,
            _ = tokio::signal::ctrl_c() => Err(Error::Harness("stopped before it was done".into())),
            _ = stop.recv() => Err(Error::Harness("stopped before it was done".into())),
        }
    })?;
    match arguments.json {
        true => println!("{}", object(&rivals)),
        false => print!("{}", table(arguments, &rivals)),
    }
    Ok(Verdict::Valid)
}

fn check(arguments: &BenchArguments) -> Result<(), Error> {
    let demand = |holds: bool, text: &str| if holds { Ok(()) } else { Err(Error::Input(text.into())) };
    demand((1..=4096).contains(&arguments.concurrency), "1 to 4096 clients (hint: --concurrency 32)")?;
    demand(
        arguments.rate.is_none_or(|rate| rate > 0.0 && rate.is_finite()),
        "a rate is more than 0 (hint: --rate 1000)",
    )?;
    demand(
        (1..=1 << 20).contains(&arguments.value_size),
        "a value has 1 to 1048576 bytes (hint: --value-size 256)",
    )?;
    demand((1..=10_000_000).contains(&arguments.keys), "1 to 10000000 keys (hint: --keys 10000)")?;
    demand((1..=1000).contains(&arguments.rounds), "1 to 1000 rounds (hint: --rounds 5)")?;
    demand((1..=50).contains(&arguments.nodes), "a cluster has 1 to 50 nodes (hint: --nodes 3)")?;
    demand(arguments.duration.0 >= Duration::from_millis(100), "at least 100ms (hint: --duration 10s)")?;
    demand(
        !arguments.heartbeat.0.is_zero() && arguments.heartbeat.0 < arguments.election_timeout.low,
        "the heartbeat does not fit into the election timeout (hint: a tenth of it)",
    )?;
    if let Some(lack) = disk::lack().filter(|_| arguments.mounted) {
        return Err(Error::Harness(format!("`--mounted` cannot be done here: {lack}")));
    }
    for name in &arguments.system {
        let system = systems::configured(name, &Options::new()).map_err(Error::Input)?;
        if let Some(lack) = system.lack() {
            return Err(Error::Harness(lack));
        }
    }
    Ok(())
}

async fn measure(arguments: &BenchArguments, scratch: &Path) -> Result<Vec<Rival>, Error> {
    let load = BenchLoad {
        mix: match arguments.f {
            F::Write => Mix::Write,
            F::Read => Mix::Read,
            F::Mixed => Mix::Mixed,
        },
        rate: arguments.rate,
        value_size: arguments.value_size,
        keys: arguments.keys,
        seed: arguments.seed,
    };
    // Before the thread that starts nodes: all must see what is mounted.
    let entries = entries(arguments, scratch)?;
    // Their nodes end with this thread, whatever happens to the rest.
    let spawner = Spawner::start().map_err(Error::harness)?;
    let start = |entry| Rival::start(arguments, entry, &spawner);
    let mut rivals = entries.into_iter().map(start).collect::<Result<Vec<_>, _>>()?;
    for rival in &mut rivals {
        rival.make_ready(arguments, &load).await?;
    }
    let lasts = arguments.duration.0 / arguments.rounds;
    let warm_up = lasts.mul_f64(WARM_UP).max(WARM_UP_MIN);
    for round in 1..=arguments.rounds {
        for rival in &mut rivals {
            rival.be_driven(&load, warm_up, lasts).await?;
            let last = rival.slices.last().expect("it was just driven");
            eprintln!("round {round} of {}: {} {:.0}/s", arguments.rounds, rival.name, last.throughput());
        }
    }
    Ok(rivals)
}

/// Everybody who is to be measured, each at a place of its own.
fn entries(arguments: &BenchArguments, scratch: &Path) -> Result<Vec<Entry>, Error> {
    let mut entries: Vec<Entry> = Vec::new();
    for name in &arguments.system {
        for is_mounted in [true, false].into_iter().filter(|is_mounted| arguments.mounted || !is_mounted) {
            let named = if is_mounted { format!("{name}-mounted") } else { name.clone() };
            let is_same = |entry: &&Entry| entry.name == *name && entry.disks.is_some() == is_mounted;
            let again = entries.iter().filter(is_same).count();
            let shown = if again == 0 { named } else { format!("{named}-{}", again + 1) };
            let folder = scratch.join(entries.len().to_string());
            let layout = layout(arguments.nodes, &folder).map_err(Error::harness)?;
            let folders: Vec<PathBuf> = layout.nodes.iter().map(|place| place.folder.clone()).collect();
            let disks = is_mounted.then(|| Disks::open(&folders)).transpose().map_err(Error::harness)?;
            entries.push(Entry { shown, name: name.clone(), layout, disks });
        }
    }
    Ok(entries)
}

impl Rival {
    fn start(arguments: &BenchArguments, entry: Entry, spawner: &Spawner) -> Result<Rival, Error> {
        let Entry { shown, name, layout, disks } = entry;
        let system = systems::configured(&name, &Options::new()).map_err(Error::Input)?;
        let settings = Settings {
            rafture: std::env::current_exe().map_err(Error::harness)?,
            election_timeout: (arguments.election_timeout.low, arguments.election_timeout.high),
            heartbeat: arguments.heartbeat.0,
            pre_vote: None,
            seed: arguments.seed,
            defect: None,
            traced: false,
            changes_members: false,
        };
        let mut processes = Vec::new();
        for node in 0..arguments.nodes {
            let launch = system.launch(node, &layout, &settings);
            let spec = NodeSpec {
                joining: Vec::new(),
                name: layout.nodes[node].name.clone(),
                program: launch.program,
                arguments: launch.arguments.into_iter().map(Into::into).collect(),
                environment: launch
                    .environment
                    .into_iter()
                    .map(|(name, value)| (name.into(), value.into()))
                    .collect(),
                folder: layout.nodes[node].folder.clone(),
            };
            processes.push(Process::start(&spec, "", None, spawner).map_err(Error::harness)?);
        }
        let (drivers, slices) = (Vec::new(), Vec::new());
        Ok(Rival { name: shown, system, layout, processes, drivers, slices, cpu: (0.0, 0.0), _disks: disks })
    }

    /// Waits for a leader, connects to it, gives every key a value.
    async fn make_ready(&mut self, arguments: &BenchArguments, load: &BenchLoad) -> Result<(), Error> {
        let deadline = Instant::now() + READY_PATIENCE;
        let leader = loop {
            self.check_processes()?;
            let found = systems::leader(&*self.system, &self.layout, STATUS_PATIENCE).await;
            match found {
                Some((leader, _)) => break leader,
                None if Instant::now() > deadline => {
                    let words = self.processes[0].last_words();
                    return Err(Error::Harness(format!(
                        "no node of {} leads after {READY_PATIENCE:?}; n1 ends with: {words}",
                        self.name
                    )));
                }
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let clients = if arguments.rate.is_some() { OPEN_CLIENTS } else { arguments.concurrency };
        let place = &self.layout.nodes[leader];
        let failed =
            |what: &str, error: String| Error::Harness(format!("{}: cannot {what}: {error}", self.name));
        let mut fillers = self.system.drivers(place, 64).await.map_err(|error| failed("connect", error))?;
        fill(&mut fillers, load).await.map_err(|error| failed("write", error))?;
        drop(fillers);
        self.drivers = self.system.drivers(place, clients).await.map_err(|error| failed("connect", error))?;
        Ok(())
    }

    async fn be_driven(&mut self, load: &BenchLoad, warm_up: Duration, lasts: Duration) -> Result<(), Error> {
        // What others have left in the page cache is written now, not during this turn.
        let folder = std::fs::File::open(&self.layout.nodes[0].folder).map_err(Error::harness)?;
        nix::unistd::syncfs(&folder).map_err(Error::harness)?;
        let before = (self.nodes_cpu(), cpu_seconds("self"));
        let (slice, drivers) = drive(std::mem::take(&mut self.drivers), load, warm_up, lasts).await;
        self.drivers = drivers;
        let share = lasts.as_secs_f64() / (warm_up + lasts).as_secs_f64();
        self.cpu.0 += (self.nodes_cpu() - before.0) * share;
        self.cpu.1 += (cpu_seconds("self") - before.1) * share;
        self.check_processes()?;
        if slice.ok == 0 {
            let error = slice.error.unwrap_or_else(|| "nothing was answered".into());
            return Err(Error::Harness(format!("{}: nothing succeeds: {error}", self.name)));
        }
        self.slices.push(slice);
        Ok(())
    }

    fn check_processes(&mut self) -> Result<(), Error> {
        for (process, place) in self.processes.iter_mut().zip(&self.layout.nodes) {
            if process.ended().is_some() {
                return Err(Error::Harness(format!(
                    "{} of {} has ended: {}",
                    place.name,
                    self.name,
                    process.last_words()
                )));
            }
        }
        Ok(())
    }

    fn nodes_cpu(&self) -> f64 {
        self.processes.iter().map(|process| cpu_seconds(&process.id().to_string())).sum()
    }

    fn whole(&self) -> Slice {
        let mut whole = Slice::empty();
        self.slices.iter().for_each(|slice| whole.add(slice));
        whole
    }

    fn throughputs(&self) -> Vec<f64> {
        self.slices.iter().map(Slice::throughput).collect()
    }
}

/// Core-seconds that a process has used; 0 when it cannot be told.
fn cpu_seconds(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name, in brackets, may have spaces in it; user and system time are the 12th and 13th behind it.
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    let ticks: f64 =
        behind.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}

/// Free loopback addresses for a cluster. Somebody else may take one before a node does; then that node says so.
fn layout(nodes: usize, folder: &Path) -> std::io::Result<Layout> {
    let held = ports::hold(2 * nodes)?;
    let addresses: Vec<SocketAddr> = held.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    let (clients, peers) = addresses.split_at(nodes);
    let place = |node: usize| {
        let name = format!("n{}", node + 1);
        let folder = folder.join(&name);
        Place { name, client: clients[node], peer: peers[node], peers: peers.to_vec(), folder }
    };
    Ok(Layout { nodes: (0..nodes).map(place).collect() })
}

fn milliseconds(slice: &Slice, quantile: f64) -> f64 {
    slice.latency_us.value_at_quantile(quantile) as f64 / 1000.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

/// How many times as fast the first was as the other, turn by turn.
fn ratios(first: &Rival, other: &Rival) -> Vec<f64> {
    first.throughputs().iter().zip(other.throughputs()).map(|(first, other)| first / other).collect()
}

fn object(rivals: &[Rival]) -> Value {
    let mut object = Map::new();
    for rival in rivals {
        let whole = rival.whole();
        let per_thousand = |seconds: f64| seconds / (whole.ok as f64 / 1000.0).max(1e-9);
        object.insert(
            rival.name.clone(),
            json!({
                "throughput": whole.throughput(),
                "p50_ms": milliseconds(&whole, 0.5),
                "p99_ms": milliseconds(&whole, 0.99),
                "p999_ms": milliseconds(&whole, 0.999),
                "max_ms": whole.latency_us.max() as f64 / 1000.0,
                "ok": whole.ok,
                "errors": whole.errors,
                "throughputs": rival.throughputs(),
                "nodes_core_s_per_1000": per_thousand(rival.cpu.0),
                "load_core_s_per_1000": per_thousand(rival.cpu.1),
            }),
        );
    }
    if let [first, others @ ..] = rivals {
        let ratio = |other: &Rival| (other.name.clone(), json!(median(ratios(first, other))));
        object.insert("ratio".into(), Value::Object(others.iter().map(ratio).collect()));
    }
    Value::Object(object)
}

fn table(arguments: &BenchArguments, rivals: &[Rival]) -> String {
    let mut text = Vec::new();
    let how = match arguments.rate {
        Some(rate) => format!("{rate}/s on schedule"),
        None => format!("{} clients", arguments.concurrency),
    };
    // Writing to a vector cannot fail.
    let _ = writeln!(
        text,
        "{:?}, {how}, values of {} bytes, {} nodes, {} turns each",
        arguments.f, arguments.value_size, arguments.nodes, arguments.rounds
    );
    let _ = writeln!(
        text,
        "{:<12} {:>9} {:>19} {:>8} {:>8} {:>8} {:>7}  core-s per 1000 (nodes, load)",
        "system", "ok/s", "turns min..max", "p50 ms", "p99 ms", "p99.9", "errors"
    );
    for rival in rivals {
        let whole = rival.whole();
        let turns = rival.throughputs();
        let (low, high) =
            turns.iter().fold((f64::MAX, 0.0_f64), |(low, high), &turn| (low.min(turn), high.max(turn)));
        let thousands = (whole.ok as f64 / 1000.0).max(1e-9);
        let _ = writeln!(
            text,
            "{:<12} {:>9.0} {:>19} {:>8.2} {:>8.2} {:>8.2} {:>7}  {:.3}, {:.3}",
            rival.name,
            whole.throughput(),
            format!("{low:.0}..{high:.0}"),
            milliseconds(&whole, 0.5),
            milliseconds(&whole, 0.99),
            milliseconds(&whole, 0.999),
            whole.errors,
            rival.cpu.0 / thousands,
            rival.cpu.1 / thousands,
        );
        if let Some(error) = &whole.error {
            let _ = writeln!(text, "{:<12} first error: {error}", "");
        }
    }
    if let [first, others @ ..] = rivals {
        for other in others {
            let ratios = ratios(first, other);
            let (low, high) = ratios
                .iter()
                .fold((f64::MAX, 0.0_f64), |(low, high), &ratio| (low.min(ratio), high.max(ratio)));
            let _ = writeln!(
                text,
                "{} is {:.2} times as fast as {} (median of the turns; {low:.2}..{high:.2})",
                first.name,
                median(ratios),
                other.name
            );
        }
    }
    String::from_utf8(text).expect("it was text")
}
