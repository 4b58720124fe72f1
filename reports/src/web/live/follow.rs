//! Reads the files of a run while they grow: each time only what was added.
//!
//! It shows and does not judge, so what cannot be read is passed over: a line that is only half there is read when it is whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rafture_checker::history::{EventKind, Process};
use serde::Deserialize;
use serde_json::Value;

use crate::fault::{FaultSpan, parse_ledger};

/// Of a history that is longer when somebody begins to look, only the end is read.
const HISTORY_MAX: u64 = 32 << 20;
/// A leader says so at the end of its trace, or long ago.
const TRACE_MAX: u64 = 256 << 10;
/// So many seconds are shown.
const SECONDS: u64 = 300;

/// A run as far as its files tell.
#[derive(Debug)]
pub(in crate::web) struct Live {
    folder: PathBuf,
    history: Tail,
    open: BTreeMap<Process, u64>,
    seconds: BTreeMap<u64, Second>,
    asked: Instant,
    /// Operations that ended, by how.
    pub(super) ok: u64,
    pub(super) fail: u64,
    pub(super) info: u64,
    /// The last event, nanoseconds since the start of the run.
    pub(super) time_ns: u64,
    pub(super) faults: Vec<FaultSpan>,
    /// Node and term.
    pub(super) leader: Option<(String, u64)>,
    pub(super) is_alive: bool,
    /// The beginning of the history was not read.
    pub(super) is_cut: bool,
}

/// One second of the run.
#[derive(Debug, Default)]
pub(super) struct Second {
    pub(super) ok: u64,
    /// Of its successes, in microseconds.
    latencies_us: Vec<u32>,
}

#[derive(Deserialize)]
struct Line {
    time: u64,
    process: Process,
    #[serde(rename = "type")]
    kind: EventKind,
}

impl Live {
    pub(in crate::web) fn new(folder: &Path) -> Live {
        let history = Tail::new(folder.join("history.jsonl"), HISTORY_MAX);
        Live {
            folder: folder.to_path_buf(),
            is_cut: history.offset > 0,
            history,
            open: BTreeMap::new(),
            seconds: BTreeMap::new(),
            asked: Instant::now(),
            ok: 0,
            fail: 0,
            info: 0,
            time_ns: 0,
            faults: Vec::new(),
            leader: None,
            is_alive: false,
        }
    }

    /// When it was last read.
    pub(super) fn asked(&self) -> Instant {
        self.asked
    }

    /// Takes in what is new.
    pub(super) fn read(&mut self) {
        self.asked = Instant::now();
        for line in self.history.read().split(|byte| *byte == b'\n') {
            if let Ok(line) = serde_json::from_slice::<Line>(line) {
                self.take(&line);
            }
        }
        let first = (self.time_ns / 1_000_000_000).saturating_sub(SECONDS);
        self.seconds = self.seconds.split_off(&first);
        let ledger = fs::read_to_string(self.folder.join("faults.jsonl")).unwrap_or_default();
        if let Ok(faults) = parse_ledger(&ledger) {
            self.faults = faults;
        }
        self.leader = leader(&self.folder);
        self.is_alive = controller(&self.folder).is_some_and(|controller| is_alive(&controller));
    }

    fn take(&mut self, line: &Line) {
        self.time_ns = self.time_ns.max(line.time);
        if line.process == Process::Nemesis {
            return;
        }
        match line.kind {
            EventKind::Invoke => {
                self.open.insert(line.process, line.time);
                return;
            }
            EventKind::Ok => self.ok += 1,
            EventKind::Fail => self.fail += 1,
            EventKind::Info => self.info += 1,
        }
        let invoked_ns = self.open.remove(&line.process);
        let second = self.seconds.entry(line.time / 1_000_000_000).or_default();
        if line.kind == EventKind::Ok {
            second.ok += 1;
            let latency_us = invoked_ns.map(|invoked_ns| line.time.saturating_sub(invoked_ns) / 1_000);
            second.latencies_us.extend(latency_us.and_then(|us| u32::try_from(us).ok()));
        }
    }

    /// Faults that strike right now.
    pub(super) fn in_force(&self) -> impl Iterator<Item = &FaultSpan> {
        self.faults.iter().filter(|fault| {
            let is_over = fault.undone_ns.is_some() || fault.is_declined;
            fault.applied_ns.is_some() && !is_over
        })
    }

    /// Every second from the first that is kept to the last, also those in which nothing succeeded. The last one is left out: it is not over.
    pub(super) fn seconds(&self) -> impl Iterator<Item = (u64, &Second)> {
        static NOTHING: Second = Second { ok: 0, latencies_us: Vec::new() };
        let now = self.time_ns / 1_000_000_000;
        let first = self.seconds.keys().next().copied().unwrap_or(0).max(now.saturating_sub(SECONDS));
        (first..now).map(|second| (second, self.seconds.get(&second).unwrap_or(&NOTHING)))
    }
}

impl Second {
    pub(super) fn p50_ms(&self) -> Option<f64> {
        self.quantile_ms(0.5)
    }

    pub(super) fn p99_ms(&self) -> Option<f64> {
        self.quantile_ms(0.99)
    }

    fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let mut latencies = self.latencies_us.clone();
        let place = (latencies.len().checked_sub(1)? as f64 * quantile).round() as usize;
        let (_, us, _) = latencies.select_nth_unstable(place);
        Some(f64::from(*us) / 1e3)
    }
}

/// A file that grows, read in whole lines.
#[derive(Debug)]
struct Tail {
    path: PathBuf,
    offset: u64,
}

impl Tail {
    fn new(path: PathBuf, at_most: u64) -> Tail {
        let length = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        Tail { path, offset: length.saturating_sub(at_most) }
    }

    /// The whole lines that were added, after a piece of one at the very start of a file that was cut.
    fn read(&mut self) -> Vec<u8> {
        let mut added = Vec::new();
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.offset))?;
            // What is added meanwhile is for the next time.
            file.take(HISTORY_MAX).read_to_end(&mut added)
        });
        if read.is_err() {
            return Vec::new();
        }
        added.truncate(added.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        self.offset += added.len() as u64;
        added
    }
}

/// Of the nodes that were elected last as far as their own traces tell, the one with the highest term.
fn leader(folder: &Path) -> Option<(String, u64)> {
    let nodes = fs::read_dir(folder.join("nodes")).ok()?.flatten();
    let elected = nodes.filter_map(|node| {
        let name = node.file_name().into_string().ok()?;
        let trace = Tail::new(node.path().join("trace.jsonl"), TRACE_MAX).read();
        let roles = trace.split(|byte| *byte == b'\n').rev().filter(|line| {
            let role = br#""event":"role""#;
            line.windows(role.len()).any(|window| window == role)
        });
        let last = roles.filter_map(|line| serde_json::from_slice::<Value>(line).ok()).next()?;
        (last["role"] == "leader").then(|| Some((name, last["term"].as_u64()?)))?
    });
    elected.max_by_key(|(_, term)| *term)
}

/// The process that drives the run, as `pid:starttime`.
fn controller(folder: &Path) -> Option<String> {
    let plan: Value = serde_json::from_slice(&fs::read(folder.join("plan.json")).ok()?).ok()?;
    Some(plan["controller"].as_str()?.to_owned())
}

/// Whether it lives: a process with that number started at that time, the 22nd field of its `stat`, behind a name that may hold anything.
fn is_alive(controller: &str) -> bool {
    let start = |process: &str| {
        let process: u32 = process.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let fields: Vec<String> = stat.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect();
        let is_dead = matches!(fields.first().map(String::as_str), Some("Z" | "X"));
        fields.get(19).filter(|_| !is_dead).cloned()
    };
    controller.split_once(':').is_some_and(|(process, told)| start(process).is_some_and(|real| real == told))
}
