//! Every fault by itself, on real processes of ours and of etcd: applied, proven, undone, and survived.

mod command;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use command::{end, rafture};
use serde_json::Value;

/// What a test says that cannot be done here. Where everything must be, it fails instead.
fn skip(why: &str) {
    assert!(std::env::var_os("RAFTURE_REQUIRE_ALL").is_none(), "{why}");
    eprintln!("skipped: {why}");
}

/// A short run with one fault, which is survived; its folder, unless it cannot be done here.
fn strike(system: &str, fault: &str, more: &[&str]) -> Option<tempfile::TempDir> {
    let (store, code, results) = run(system, fault, more)?;
    assert_eq!((code, &results["verdict"]), (0, &"valid".into()), "{system}: {results:#}");
    Some(store)
}

/// A short run with one fault, whatever comes of it.
fn run(system: &str, fault: &str, more: &[&str]) -> Option<(tempfile::TempDir, i32, Value)> {
    let store = tempfile::tempdir().expect("a folder");
    let seed = 1 + fault.bytes().map(u64::from).sum::<u64>();
    println!("seed {seed}");
    let words = "run --json --nodes 3 --time-limit 4s --interval 1500ms --quiet 500ms --rate 500 --system";
    let mut command = rafture(words);
    command.args([system, "--faults", fault, "--seed", &seed.to_string(), "--store"]).arg(store.path());
    let ended = end(command.args(more));
    let cannot = ["cannot be done here", "cannot run here", "needs network namespaces"];
    if ended.code == 4 && cannot.iter().any(|words| ended.err.contains(words)) {
        skip(ended.err.trim_end());
        return None;
    }
    let results: Value =
        serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {}", ended.err));
    let ledger = fs::read_to_string(store.path().join("latest/faults.jsonl")).expect("a ledger");
    check_ledger(&ledger);
    Some((store, ended.code, results))
}

/// Whatever was applied was undone, and one at least was proven.
fn check_ledger(ledger: &str) {
    let lines: Vec<Value> =
        ledger.lines().map(|line| serde_json::from_str(line).expect("a line of the ledger")).collect();
    let with = |state: &str| -> Vec<&Value> {
        lines.iter().filter(|line| line["state"] == state).map(|line| &line["id"]).collect()
    };
    let undone = with("undone");
    assert!(with("applied").iter().all(|id| undone.contains(id)), "{ledger}");
    let proofs = lines.iter().filter(|line| line["state"] == "proven");
    let has_evidence = |line: &Value| line["evidence"].as_str().is_some_and(|words| !words.is_empty());
    assert!(proofs.clone().count() > 0 && proofs.clone().all(has_evidence), "{ledger}");
}

/// Both at once: a run mostly waits.
fn on_both(fault: &str) {
    std::thread::scope(|scope| {
        let strike = |system| scope.spawn(move || drop(strike(system, fault, &[])));
        let ended = ["rafture", "etcd"].map(strike).map(std::thread::ScopedJoinHandle::join);
        ended.into_iter().for_each(|run| run.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    });
}

macro_rules! faults {
    ($($name:ident: $fault:literal,)*) => {
        $(#[test] fn $name() { on_both($fault); })*
    };
}

faults! {
    kill: "kill",
    kill_gently: "kill:gentle",
    kill_again_and_again: "kill:storm",
    kill_one_after_another: "kill:rolling",
    pause: "pause",
    partition: "partition",
    partition_from_clients: "partition:clients",
    delay: "delay",
    delay_to_clients: "delay:clients=60ms@leader",
    loss: "loss:from@leader",
    duplicate: "duplicate",
    reorder: "reorder",
    bandwidth: "bandwidth",
    one_link_is_cut: "partition@n1-n2",
    one_link_is_slow: "bandwidth=50kB/s@clients-n3",
    reset: "reset",
    clock: "clock",
    wall_clock_jumps: "clock:wall-jump=1m@leader",
    monotonic_clock_is_slow: "clock:monotonic-skew=20%",
    power_loss: "power-loss",
    torn_write: "torn-write",
    slow_disk: "slow-disk=20ms",
    io_error: "io-error@follower",
    disk_full: "disk-full@follower",
    power_loss_for_one_file: "power-loss:one-file",
    syncs_hang: "slow-disk:stall=400ms",
    reads_fail: "io-error:read@follower",
    writes_fail: "io-error:write@follower",
    cpu: "cpu=1%@leader",
    memory: "memory@follower",
    twin: "twin",
    membership: "membership",
    wipe: "wipe",
    transfer: "transfer",
}

/// Our nodes put checksums on what they say. Those of etcd believe what they hear, and may end by it.
#[test]
fn corrupt() {
    strike("rafture", "corrupt:to@follower", &[]);
    run("etcd", "corrupt:to@follower", &[]);
}

/// What a follower has forgotten, the others still have. One of etcd's ends when its leader tells it of more than it has.
#[test]
fn followers_forget() {
    for fault in ["rollback@follower", "amnesia@follower"] {
        strike("rafture", fault, &[]);
        run("etcd", fault, &[]);
    }
}

/// What a follower finds in its files is not what it has written; it may see that and end, or go on with what it has. Those of
/// etcd may end as above.
#[test]
fn files_show_what_was_never_written() {
    for fault in ["bit-flip@follower", "lost-write@follower", "misdirected-write@follower"] {
        strike("rafture", fault, &[]);
        run("etcd", fault, &[]);
    }
}

/// What is chosen is struck, and nothing else.
#[test]
fn bits_flip_in_chosen_files() {
    if let Some((store, ..)) = run("etcd", "bit-flip@follower", &["--files", "*.wal"]) {
        let ledger = fs::read_to_string(store.path().join("latest/faults.jsonl")).expect("a ledger");
        let proofs = ledger.lines().filter(|line| line.contains("\"proven\""));
        assert!(
            proofs.clone().count() > 0 && proofs.clone().all(|line| line.contains(".wal` reads ")),
            "{ledger}"
        );
    }
}

#[test]
fn our_nodes_make_snapshots_when_told_to() {
    strike("rafture", "snapshot", &[]);
}

#[test]
fn etcd_is_not_asked_for_what_it_cannot_do() {
    let ended = end(&mut rafture("run --system etcd --faults snapshot"));
    assert_eq!((ended.code, ended.out.as_str()), (254, ""));
    assert_eq!(ended.err, "rafture: `etcd` cannot be asked for `snapshot` (hint: leave it out)\n");
}

#[test]
fn who_is_replaced_leaves_its_traces_beside_those_of_its_successor() {
    if let Some(store) = strike("rafture", "wipe@n2", &[]) {
        let node = store.path().join("latest/nodes/n2");
        let said = |path: &str| fs::read_to_string(node.join(path)).expect(path).lines().count();
        assert!(said("replaced-1/trace.jsonl") > 0 && said("trace.jsonl") > 0);
        assert!(!node.join("replaced-1/data").exists());
    }
}

/// Another build of a program, as far as anybody can tell.
fn other_build(program: &Path, folder: &Path) -> PathBuf {
    let other = folder.join("other-build");
    fs::copy(program, &other).expect("a copy");
    other
}

#[test]
fn programs_are_upgraded_during_a_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let upgrade = |system: &str, program: &Path| {
        let other = other_build(program, folder.path());
        let ledger = strike(system, "upgrade", &["--upgrade-to", other.to_str().expect("a path")])
            .map(|store| fs::read_to_string(store.path().join("latest/faults.jsonl")).expect("a ledger"));
        assert!(
            ledger.as_ref().is_none_or(|ledger| ledger.contains("runs ") && ledger.contains("other-build"))
        );
        fs::remove_file(other).expect("it was there");
    };
    upgrade("rafture", Path::new(env!("CARGO_BIN_EXE_rafture")));
    let found = Command::new("which").arg("etcd").output().expect("which");
    match String::from_utf8_lossy(&found.stdout).trim() {
        "" => skip("there is no etcd"),
        path => upgrade("etcd", Path::new(path)),
    }
}

#[test]
fn an_upgrade_needs_a_program_and_a_program_an_upgrade() {
    for (words, complaint) in [
        (
            "run --faults upgrade",
            "rafture: `upgrade` to what? (hint: --upgrade-to PROGRAM, another build of the system)\n",
        ),
        (
            "run --upgrade-to /bin/sh",
            "rafture: `--upgrade-to` takes the fault `upgrade` (hint: --faults upgrade)\n",
        ),
    ] {
        let ended = end(&mut rafture(words));
        assert_eq!((ended.code, ended.err.as_str()), (254, complaint));
    }
}
