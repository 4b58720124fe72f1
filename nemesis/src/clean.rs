//! What a killed controller may leave, found and undone. Namespaces, rules and sockets go with the processes that hold
//! them, and node processes die with their controller; what is left is a process that slipped through, and a ledger in
//! which faults are still in force.
//!
//! Every node process carries its controller in its environment, so that only what a rafture has started, and whose
//! rafture is dead, is ever touched.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::ledger::{LedgerLine, State};

/// Names the controller in a node's environment, as `pid:starttime`.
pub(crate) const CONTROLLER_VARIABLE: &str = "RAFTURE_CONTROLLER";

/// How long a killed process may take to go.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was cleaned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Processes that were killed, with their names.
    pub processes: Vec<String>,
    /// Runs whose ledger was closed.
    pub ledgers: Vec<PathBuf>,
}

/// This process, as `pid:starttime`: no other process ever has both.
pub fn controller() -> String {
    let process = std::process::id();
    format!("{process}:{}", start_time(process).unwrap_or_default())
}

/// Whether the process `pid:starttime` is alive.
pub fn is_alive(controller: &str) -> bool {
    let parts = controller.split_once(':');
    parts.is_some_and(|(process, start)| {
        process.parse().ok().and_then(start_time).is_some_and(|time| time == start)
    })
}

/// Kills node processes whose controller is dead, and closes the ledgers of abandoned runs in `store`.
///
/// # Errors
/// When a process does not go, or a ledger cannot be written.
pub fn clean(store: &Path) -> io::Result<Cleaned> {
    let processes = orphans();
    let mut cleaned = Cleaned::default();
    for (process, name) in &processes {
        // Gone meanwhile is as good.
        let _ = kill(Pid::from_raw(process.cast_signed()), Signal::SIGKILL);
        cleaned.processes.push(format!("{name} ({process})"));
    }
    let deadline = Instant::now() + PATIENCE;
    while let Some((process, name)) = processes.iter().find(|(process, _)| is_orphan(*process)) {
        if Instant::now() > deadline {
            return Err(io::Error::other(format!("process {process} ({name}) does not go")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    for run in abandoned_runs(store) {
        if close_ledger(&run.join("faults.jsonl"))? {
            cleaned.ledgers.push(run);
        }
    }
    Ok(cleaned)
}

/// Processes that a dead controller has left, by id and name.
pub fn orphans() -> Vec<(u32, String)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let processes = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let name = |process: u32| {
        fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default().trim().to_owned()
    };
    processes.filter(|&process| is_orphan(process)).map(|process| (process, name(process))).collect()
}

fn is_orphan(process: u32) -> bool {
    // Process numbers mean something only within one pid namespace: what runs in a container is judged in there.
    let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/pid")).ok();
    if namespace(&process.to_string()) != namespace("self") {
        return false;
    }
    // Of processes of others nothing can be read, and they are none of ours; what has ended has no environment.
    let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
    let variables =
        environment.split(|&byte| byte == 0).filter_map(|variable| std::str::from_utf8(variable).ok());
    let named =
        variables.filter_map(|variable| variable.strip_prefix(CONTROLLER_VARIABLE)?.strip_prefix('='));
    named.map(is_alive).next() == Some(false)
}

/// Runs that were begun and not finished, and whose controller is dead.
fn abandoned_runs(store: &Path) -> Vec<PathBuf> {
    let folders = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).into_iter().flatten();
        let real = |entry: io::Result<fs::DirEntry>| {
            let entry = entry.ok()?;
            entry.file_type().ok()?.is_dir().then(|| entry.path())
        };
        entries.filter_map(real).collect()
    };
    let runs = folders(store).into_iter().flat_map(|name| folders(&name));
    runs.filter(|run| is_abandoned(run)).collect()
}

fn is_abandoned(run: &Path) -> bool {
    // First what is cheap: stores have thousands of runs, nearly all of them whole.
    if run.join("results.json").exists() {
        return false;
    }
    let plan =
        fs::read(run.join("plan.json")).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    let controller = plan.as_ref().and_then(|plan| plan["controller"].as_str());
    controller.is_some_and(|controller| !is_alive(controller))
}

/// Adds `undone` for every fault that is in force by the ledger: it went with its controller. Tells whether there was any.
fn close_ledger(path: &Path) -> io::Result<bool> {
    let Ok(text) = fs::read_to_string(path) else {
        return Ok(false);
    };
    let mut in_force: BTreeMap<u64, LedgerLine> = BTreeMap::new();
    let mut last_time = 0;
    for line in text.lines().filter_map(|line| serde_json::from_str::<LedgerLine>(line).ok()) {
        last_time = line.time;
        match line.state {
            State::Planned | State::Applied | State::Proven => drop(in_force.insert(line.id, line)),
            // What could not be proven is in force all the same.
            State::Failed => {}
            State::Undone | State::Declined | State::Skipped => drop(in_force.remove(&line.id)),
        }
    }
    if in_force.is_empty() {
        return Ok(false);
    }
    let mut file = fs::File::options().append(true).open(path)?;
    // A line that was cut goes; what follows must start a line of its own.
    file.set_len(text.rfind('\n').map_or(0, |end| end + 1) as u64)?;
    for line in in_force.into_values() {
        let evidence = Some("cleaned after the controller had died".to_owned());
        let line = LedgerLine { time: last_time, state: State::Undone, evidence, took_us: None, ..line };
        file.write_all(format!("{}\n", serde_json::to_string(&line)?).as_bytes())?;
    }
    Ok(true)
}

/// When a process was started, in ticks since the machine was; the 22nd field of its `stat`.
fn start_time(process: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<&str> = after_name(&stat)?.split(' ').collect();
    let is_dead = matches!(fields.first(), Some(&("Z" | "X")));
    fields.get(19).filter(|_| !is_dead).map(|time| (*time).to_owned())
}

/// What follows the name in `/proc/…/stat`; the name itself may hold anything.
pub(crate) fn after_name(stat: &str) -> Option<&str> {
    Some(stat.rsplit_once(") ")?.1)
}
