//! A controller that is killed at any moment leaves nothing: not a process, not a device, not a mount; and the history so
//! far can be checked.

mod command;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use command::{end, rafture};

/// How often a controller is killed.
const KILLS: u64 = 20;

/// Faults that mount something, and some beside.
const DISKS: &str = "power-loss,torn-write,slow-disk,io-error,disk-full,kill,partition";

/// Processes that carry this controller in their environment.
fn children_of(controller: u32) -> Vec<String> {
    let marker = format!("RAFTURE_CONTROLLER={controller}:");
    let processes = fs::read_dir("/proc").expect("a proc").flatten();
    let is_child = |path: &Path| {
        let environment = fs::read(path.join("environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|variable| variable.starts_with(marker.as_bytes()))
    };
    processes
        .map(|entry| entry.path())
        .filter(|path| is_child(path))
        .map(|path| path.display().to_string())
        .collect()
}

/// What the machine itself has: devices and mounts.
fn machine() -> (BTreeSet<String>, String) {
    let devices = fs::read_dir("/sys/class/net").expect("devices").flatten();
    let devices = devices.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    (devices, fs::read_to_string("/proc/self/mounts").expect("mounts"))
}

fn kill_at(store: &Path, moment: Duration, network: &str, faults: &str) {
    let words = "run --nodes 3 --time-limit 60s --interval 500ms --seed 9 --store";
    let mut command = rafture(words);
    command
        .arg(store)
        .args(["--network", network, "--faults", faults])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("a run");
    let controller = child.id();
    // The moment is what is tested, whatever the run has come to by then.
    std::thread::sleep(moment);
    child.kill().and_then(|()| child.wait()).expect("it dies");

    let cleaned = end(rafture("clean --store").arg(store));
    assert_eq!(cleaned.code, 0, "killed at {moment:?}: {}", cleaned.err);
    let deadline = Instant::now() + Duration::from_secs(2);
    while !children_of(controller).is_empty() {
        assert!(Instant::now() < deadline, "killed at {moment:?}: {:?} live on", children_of(controller));
    }
    let history = store.join("latest/history.jsonl");
    // In its first quarter of a second a history may have nothing on disk.
    if history.metadata().is_ok_and(|file| file.len() > 0) {
        let checked = end(rafture("check").arg(&history));
        assert_eq!(checked.code, 0, "killed at {moment:?}: {}{}", checked.out, checked.err);
    }
    assert!(!store.join("latest/results.json").exists(), "an unfinished run passes for a whole one");
}

#[test]
fn a_killed_controller_leaves_nothing() {
    let seed = 20_261_123_u64;
    println!("seed {seed}");
    let store = tempfile::tempdir().expect("a folder");
    let before = machine();
    for kill in 0..KILLS {
        // Spread over start, elections and faults; the golden ratio leaves no gap.
        let share = (seed as f64 * 0.1 + kill as f64 * 0.618_034).fract();
        let network = if kill % 4 == 3 { "proxy" } else { "auto" };
        // Where there can be no faults of disks, those runs end by themselves, and leave nothing either.
        let faults = if kill % 2 == 1 { DISKS } else { "kill,pause,partition" };
        kill_at(store.path(), Duration::from_millis((share * 4000.0) as u64), network, faults);
    }
    assert_eq!(machine(), before);
}
