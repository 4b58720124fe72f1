//! A run changes nothing of the machine, and a controller that is killed at any moment, or told to stop, leaves nothing: not a
//! process, not a device, not a mount; and the history so far can be checked.

mod command;
mod machine;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use command::{end, rafture};
use machine::Machine;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// How often a controller is killed; another number in the environment, as `KILLS`, counts.
const KILLS: u64 = 20;

/// One fault of every kind that there is, in every way that leaves something else to undo.
const ALL: &str = "kill,kill:storm,kill:rolling,pause,partition,partition:clients,delay,loss,duplicate,reorder,corrupt,\
                   bandwidth,reset,clock,cpu,memory,twin,power-loss,torn-write,slow-disk,io-error,disk-full,\
                   bit-flip,lost-write,misdirected-write,rollback,amnesia,membership,wipe,transfer,snapshot";

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

fn kill_at(store: &Path, moment: Duration, network: &str, faults: &str) {
    let words = "run --nodes 3 --time-limit 60s --interval 100ms --seed 9 --store";
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
    let before = Machine::now();
    let kills = std::env::var("KILLS").map_or(KILLS, |kills| kills.parse().expect("a number"));
    for kill in 0..kills {
        // Spread over start, elections and faults; the golden ratio leaves no gap.
        let share = (seed as f64 * 0.1 + kill as f64 * 0.618_034).fract();
        let network = if kill % 4 == 3 { "proxy" } else { "auto" };
        // Where there cannot be all, those runs end by themselves, and leave nothing either.
        let faults = if network == "auto" { ALL } else { "kill,pause,partition,cpu,memory" };
        kill_at(store.path(), Duration::from_millis((share * 5000.0) as u64), network, faults);
    }
    before.check_unchanged();
}

/// A process that has nothing to do with any run; it must not notice.
struct Bystander(std::process::Child);

impl Drop for Bystander {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).expect("it is there");
    }
}

#[test]
fn a_run_with_all_faults_changes_nothing_of_the_machine() {
    let store = tempfile::tempdir().expect("a folder");
    let bystander = Bystander(std::process::Command::new("sleep").arg("600").spawn().expect("a bystander"));
    let before = Machine::now();
    let words =
        "run --nodes 5 --time-limit 18s --interval 300ms --quiet 500ms --rate 500 --seed 12 --json --faults";
    let ended = end(rafture(words).args([ALL, "--store"]).arg(store.path()));
    // What comes of so many faults at once, some of which take what was synced, is judged elsewhere.
    assert!(matches!(ended.code, 0..=3), "{}{}", ended.out, ended.err);
    before.check_unchanged();
    let status = fs::read_to_string(format!("/proc/{}/status", bystander.0.id())).expect("it is there");
    assert!(status.contains("State:\tS (sleeping)"), "{status}");
}

#[test]
fn a_run_that_is_told_to_stop_heals_first() {
    let store = tempfile::tempdir().expect("a folder");
    let before = Machine::now();
    let mut command = rafture("run --nodes 3 --time-limit 60s --interval 200ms --seed 13 --store");
    command.arg(store.path()).args(["--faults", ALL]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("a run");
    std::thread::sleep(Duration::from_secs(4));
    let controller = Pid::from_raw(child.id().cast_signed());
    nix::sys::signal::kill(controller, Signal::SIGINT).expect("it is there");
    let code = child.wait().expect("it ends").code();
    assert!(matches!(code, Some(0..=4)), "{code:?}");
    before.check_unchanged();
    assert_eq!(children_of(controller.as_raw().cast_unsigned()), [""; 0]);
}
