//! Whole runs, as a user makes them: real node processes, real faults, real reports.

mod command;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use command::{end, rafture, run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use rafture::run::{Plan, RunArguments};
use serde_json::Value;
use tokio::sync::watch;

/// Everything that a finished run must have left.
fn check_whole(run: &Path) {
    for file in ["plan.json", "history.jsonl", "faults.jsonl", "results.json", "report.html", "summary.md"] {
        assert!(run.join(file).metadata().is_ok_and(|file| file.len() > 0), "{file}");
    }
    for plot in ["latency", "quantiles", "throughput", "recovery"] {
        for kind in ["svg", "png"] {
            assert!(run.join(format!("plots/{plot}.{kind}")).exists(), "{plot}.{kind}");
        }
    }
    assert!(run.join("nodes/n1/trace.jsonl").exists());
}

fn count(results: &Value, kind: &str, what: &str) -> u64 {
    results["faults"][kind][what].as_u64().unwrap_or(0)
}

/// What a test says that cannot be done here. Where everything must be, it fails instead.
fn skip(why: &str) {
    assert!(std::env::var_os("RAFTURE_REQUIRE_ALL").is_none(), "{why}");
    eprintln!("skipped: {why}");
}

#[test]
fn a_run_with_all_faults_is_valid_and_its_history_can_be_checked_again() {
    let store = tempfile::tempdir().expect("a folder");
    let (code, results) = run(store.path(), "--nodes 5 --time-limit 6s --interval 1s --quiet 1s --seed 11");
    assert_eq!((code, &results["verdict"]), (0, &"valid".into()), "{results:#}");
    for kind in ["kill", "pause", "partition"] {
        assert!(count(&results, kind, "proven") >= 1, "{kind}: {:#}", results["faults"]);
    }
    let latest = store.path().join("latest");
    check_whole(&latest);
    assert!(results["command"].as_str().is_some_and(|command| command.contains("--seed 11")));
    assert!(
        results["raft-invariants"].is_null() && results["checkers"]["raft-invariants"]["verdict"] == "valid"
    );

    let again = end(rafture("check --json").arg(latest.join("history.jsonl")));
    let line: Value = serde_json::from_str(&again.out).expect("one line");
    assert_eq!((again.code, &line["verdict"]), (0, &"valid".into()), "{}{}", again.out, again.err);

    fs::remove_file(latest.join("report.html")).expect("a report");
    let rebuilt = end(rafture("report").arg(&latest));
    assert_eq!(rebuilt.code, 0, "{}", rebuilt.err);
    assert!(
        rebuilt.out.trim_end().ends_with(results["command"].as_str().expect("a command")),
        "{}",
        rebuilt.out
    );
    check_whole(&latest);
}

#[test]
fn proxies_do_without_privilege() {
    let store = tempfile::tempdir().expect("a folder");
    let words = "--network proxy --nodes 3 --time-limit 4s --interval 1s --quiet 1s --workload register --rate 300 --seed 3";
    let (code, results) = run(store.path(), words);
    assert_eq!((code, &results["network"]), (0, &"proxy: asked for".into()), "{results:#}");
    assert!(count(&results, "partition", "proven") >= 1);
}

/// Faults of links; a corrupted message is nothing that an etcd promises to notice.
const LINKS: &str = "delay,loss,duplicate,reorder,bandwidth";

fn check_links((code, results): (i32, Value), faults: &str) {
    assert_eq!((code, &results["verdict"]), (0, &"valid".into()), "{results:#}");
    for kind in faults.split(',') {
        assert!(count(&results, kind, "proven") >= 1, "{kind}: {:#}", results["faults"]);
    }
}

#[test]
fn bad_links_are_survived_and_proven() {
    let store = tempfile::tempdir().expect("a folder");
    let words = "--nodes 3 --time-limit 8s --interval 1s --quiet 1s --seed 21 --network netns --faults";
    let mut command = rafture("run --json --store");
    let faults = format!("{LINKS},corrupt");
    let ended = end(command.arg(store.path()).args(words.split(' ')).arg(&faults));
    if ended.code == 4 && ended.err.contains("network namespaces") {
        return skip(ended.err.trim_end());
    }
    check_links((ended.code, serde_json::from_str(&ended.out).expect("results")), &faults);
}

#[test]
fn etcd_survives_bad_links() {
    let store = tempfile::tempdir().expect("a folder");
    let words = "--nodes 3 --time-limit 8s --interval 1s --quiet 1s --seed 22 --faults";
    if let Some(results) = run_etcd(store.path(), &format!("{words} {LINKS}")) {
        check_links(results, LINKS);
    }
}

/// More operations are due than clients can be busy with, again and again.
#[test]
fn an_open_loop_that_runs_over_is_recorded_as_a_history_all_the_same() {
    let store = tempfile::tempdir().expect("a folder");
    let words = "--nodes 3 --time-limit 5s --interval 1500ms --quiet 1s --faults pause@all --rate 6000 --patience 1s --seed 34";
    let (code, results) = run(store.path(), words);
    assert_eq!((code, &results["verdict"]), (0, &"valid".into()), "{results:#}");
    let checked = end(rafture("check").arg(store.path().join("latest/history.jsonl")));
    assert_eq!(checked.code, 0, "{}{}", checked.out, checked.err);
}

/// Clocks of nodes that jump, drift and sway by minutes and by half; leases are off.
const CLOCKS: &str = "--nodes 3 --time-limit 8s --interval 600ms --quiet 1s --faults clock --seed";

fn check_clocks(store: &Path, (code, results): (i32, Value)) {
    assert_eq!((code, &results["verdict"]), (0, &"valid".into()), "{results:#}");
    let counts = ["planned", "applied", "proven"].map(|what| count(&results, "clock", what));
    assert!(counts[0] >= 5 && counts == [counts[0]; 3], "{:#}", results["faults"]);
    let ledger = fs::read_to_string(store.join("latest/faults.jsonl")).expect("a ledger");
    assert!(
        ledger.contains("wall clock reads ") && ledger.contains("monotonic clock is right (to 0.0"),
        "{ledger}"
    );
}

#[test]
fn bent_clocks_are_survived_and_proven() {
    let store = tempfile::tempdir().expect("a folder");
    let results = run(store.path(), &format!("{CLOCKS} 32"));
    check_clocks(store.path(), results);
}

#[test]
fn etcd_survives_bent_clocks() {
    let store = tempfile::tempdir().expect("a folder");
    if let Some(results) = run_etcd(store.path(), &format!("{CLOCKS} 31")) {
        check_clocks(store.path(), results);
    }
}

/// A whole run with faults of disks; nothing where there can be none.
fn run_on_disks(store: &Path, words: &str) -> Option<(i32, Value)> {
    let mut command = rafture("run --json --store");
    let ended = end(command.arg(store).args(words.split_whitespace()));
    if ended.code == 4 && (ended.err.contains("cannot be done here") || ended.err.contains("cannot run here"))
    {
        skip(ended.err.trim_end());
        return None;
    }
    let results = serde_json::from_str(&ended.out);
    Some((ended.code, results.unwrap_or_else(|error| panic!("{error}: {}{}", ended.out, ended.err))))
}

const DISKS: &str = "power-loss,torn-write,slow-disk,io-error,disk-full";

fn check_disks((code, results): (i32, Value), faults: &str) {
    assert_eq!((code, &results["verdict"]), (0, &"valid".into()), "{results:#}");
    for kind in faults.split(',') {
        assert!(count(&results, kind, "proven") >= 1, "{kind}: {:#}", results["faults"]);
    }
}

#[test]
fn bad_disks_are_survived_and_proven() {
    let store = tempfile::tempdir().expect("a folder");
    let mounts = || fs::read_to_string("/proc/self/mounts").expect("mounts");
    let before = mounts();
    let words =
        "--nodes 5 --time-limit 10s --interval 1s --quiet 1s --workload cas-register --seed 31 --faults";
    if let Some(results) = run_on_disks(store.path(), &format!("{words} {DISKS}")) {
        check_disks(results, DISKS);
        check_whole(&store.path().join("latest"));
        let folder = store.path().join("latest/nodes/n1");
        assert!(
            fs::read_dir(folder.join("data")).expect("its data").count() > 1 && !folder.join("disk").exists()
        );
    }
    assert_eq!(mounts(), before);
}

#[test]
fn etcd_survives_power_losses() {
    let store = tempfile::tempdir().expect("a folder");
    let words =
        "--system etcd --nodes 3 --time-limit 10s --interval 2s --seed 32 --faults power-loss,slow-disk";
    if let Some(results) = run_on_disks(store.path(), words) {
        check_disks(results, "power-loss,slow-disk");
    }
}

/// What a node says it has synced and has not is gone when the power is.
#[test]
fn a_log_that_is_never_synced_is_found_by_power_losses() {
    let store = tempfile::tempdir().expect("a folder");
    let words =
        "--nodes 3 --time-limit 30s --interval 1s --seed 33 --defect no-fsync-log --faults power-loss@all";
    if let Some((code, results)) = run_on_disks(store.path(), words) {
        assert_eq!((code, &results["verdict"]), (1, &"invalid".into()), "{results:#}");
    }
}

#[test]
fn what_takes_packets_is_refused_where_there_are_none() {
    let store = tempfile::tempdir().expect("a folder");
    let words = "run --network proxy --nodes 3 --time-limit 2s --faults delay --store";
    let ended = end(rafture(words).arg(store.path()));
    assert_eq!((ended.code, &*ended.out), (4, ""), "{}", ended.err);
    assert!(ended.err.contains("`delay` needs network namespaces"), "{}", ended.err);
}

/// An ordinary user gets the same network, in a user namespace.
#[test]
fn namespaces_do_without_root() {
    if !Uid::effective().is_root() {
        return skip("only root can become an ordinary user (hint: run the tests as root)");
    }
    // The build folder may be closed to others.
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    let binary = folder.path().join("rafture");
    fs::copy(env!("CARGO_BIN_EXE_rafture"), &binary).expect("a copy");
    for path in [folder.path(), &binary] {
        std::os::unix::fs::chown(path, Some(65534), Some(65534)).expect("root may give away");
    }
    let mut command = std::process::Command::new(&binary);
    let words = "run --json --network netns --nodes 3 --time-limit 3s --interval 1s --quiet 1s --faults partition --seed 5";
    let ended = end(command.args(words.split(' ')).current_dir(&folder).uid(65534).gid(65534));
    let results: Value =
        serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {}", ended.err));
    assert_eq!((ended.code, &results["network"]), (0, &"netns: rootless, in a user namespace".into()));
}

/// A whole run of etcd; nothing where there is no etcd, or no namespace for it.
fn run_etcd(store: &Path, words: &str) -> Option<(i32, Value)> {
    let mut command = rafture("run --json --system etcd --store");
    let ended = end(command.arg(store).args(words.split_whitespace()));
    if ended.code == 4 && (ended.err.contains("cannot run here") || ended.err.contains("needs network names"))
    {
        skip(ended.err.trim_end());
        return None;
    }
    let results = serde_json::from_str(&ended.out);
    Some((ended.code, results.unwrap_or_else(|error| panic!("{error}: {}{}", ended.out, ended.err))))
}

#[test]
fn etcd_is_valid_under_all_faults() {
    let store = tempfile::tempdir().expect("a folder");
    let words = "--nodes 3 --time-limit 8s --interval 2s --faults kill,pause,partition --workload cas-register --seed 6";
    let Some((code, results)) = run_etcd(store.path(), words) else {
        return;
    };
    assert_eq!((code, &results["verdict"]), (0, &"valid".into()), "{results:#}");
    for kind in ["kill", "pause", "partition"] {
        assert!(count(&results, kind, "proven") >= 1, "{kind}: {:#}", results["faults"]);
    }
    assert!(
        results["checkers"]["raft-invariants"].is_null(),
        "etcd writes no trace to hold against anything"
    );
    let log = fs::read_to_string(store.path().join("latest/nodes/n1/stderr.log")).expect("a log");
    assert!(log.contains("\"heartbeat-interval\":\"30ms\""), "{log}");
}

/// Reads that a node answers by itself are late by a little at any time, and by much where it was cut off. Which read of the
/// many is taken for evidence, and so what it is called, differs from run to run.
#[test]
fn etcd_that_reads_locally_is_found_to() {
    let store = tempfile::tempdir().expect("a folder");
    let words = "--nodes 5 --time-limit 6s --interval 1s --faults partition@leader,partition:halves --option read=serializable --seed 7";
    let Some((code, results)) = run_etcd(store.path(), words) else {
        return;
    };
    assert_eq!((code, &results["verdict"]), (1, &"invalid".into()), "{results:#}");
    let linearizability = &results["checkers"]["linearizability"];
    let sentence = linearizability["failure"]["sentence"].as_str().expect("a sentence");
    assert!(linearizability["verdict"] == "invalid" && sentence.contains(" read k"), "{linearizability:#}");
    let command = results["command"].as_str().expect("a command");
    assert!(command.contains("--system etcd --option read=serializable"), "{command}");
}

#[test]
fn a_system_whose_program_is_missing_is_the_harness_failing() {
    let store = tempfile::tempdir().expect("a folder");
    let ended = end(rafture("run --system etcd --store").arg(store.path()).env("PATH", "/nowhere"));
    let expected =
        "rafture: `etcd` cannot run here: there is no program `etcd` (hint: apt-get install etcd-server)";
    assert_eq!((ended.code, ended.err.trim_end()), (4, expected));
    assert!(!store.path().join("latest").exists(), "it is said before there is a run");
    let listed = end(rafture("systems").env("PATH", "/nowhere"));
    assert!(listed.code == 0 && listed.out.contains("hint: apt-get install etcd-server"), "{}", listed.out);
}

/// The suite can find what it is for.
#[test]
fn a_planted_bug_is_found_and_explained() {
    let store = tempfile::tempdir().expect("a folder");
    let words =
        "--defect ack-early --faults partition:isolate@leader --time-limit 60s --interval 1s --seed 1";
    let (code, results) = run(store.path(), words);
    assert_eq!((code, &results["verdict"]), (1, &"invalid".into()), "{results:#}");
    let linearizability = &results["checkers"]["linearizability"];
    let found = linearizability["found_at_s"].as_f64().expect("a time");
    let history = fs::read_to_string(store.path().join("latest/history.jsonl")).expect("a history");
    let last: Value = serde_json::from_str(history.lines().last().expect("events")).expect("an event");
    let ended = last["time"].as_u64().expect("a time") as f64 / 1e9;
    // It takes less than a second; the rest is for a machine that stands still meanwhile.
    assert!(found <= ended && ended < found + 5.0, "found at {found} s, ended at {ended} s");
    let failure = &linearizability["failure"];
    let operations = failure["operations"].as_array().expect("evidence");
    assert!((1..=10).contains(&operations.len()), "{failure:#}");
    let page = fs::read_to_string(store.path().join("latest/report.html")).expect("a page");
    let sentence = failure["sentence"].as_str().expect("a sentence");
    assert!(page.contains(sentence.split(',').next().expect("a beginning")), "the page says why: {sentence}");
    assert!(store.path().join("latest/plots/violation.svg").exists());
}

/// One node that stands still is an outage whose length the ledger knows.
#[test]
fn an_outage_of_known_length_is_measured_to_ten_milliseconds() {
    let store = tempfile::tempdir().expect("a folder");
    let words = "--nodes 1 --faults pause@all --time-limit 5s --interval 1s --quiet 1s --seed 2 --concurrency 4 --patience 5s";
    let (_, results) = run(store.path(), words);
    let each = results["recovery"]["each"].as_array().expect("faults");
    assert!(each.len() >= 3, "{each:#?}");
    // A shared machine may stall anybody for a moment: half of the faults must be measured well, whatever it does.
    let errors: Vec<f64> = each
        .iter()
        .map(|fault| {
            let number = |name: &str| fault[name].as_f64().expect("a number");
            let known_ms = (number("undone_ns") - number("applied_ns")) / 1e6;
            (number("outage_ms") - known_ms).abs()
        })
        .collect();
    let good = errors.iter().filter(|error| **error <= 10.0).count();
    assert!(good * 2 >= errors.len(), "errors in ms: {errors:?}");
}

#[test]
fn ctrl_c_heals_and_still_reports() {
    let store = tempfile::tempdir().expect("a folder");
    let mut command = rafture("run --nodes 3 --time-limit 60s --seed 4 --store");
    let child =
        command.arg(store.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a run");
    let ledger = store.path().join("latest/faults.jsonl");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !fs::read_to_string(&ledger).is_ok_and(|text| text.contains("proven")) {
        assert!(Instant::now() < deadline, "no fault ever came");
        std::thread::sleep(Duration::from_millis(20));
    }
    let asked = Instant::now();
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).expect("it runs");
    let ended = child.wait_with_output().expect("it ends");
    assert!(asked.elapsed() < Duration::from_secs(10), "it took {:?}", asked.elapsed());
    // Faults that did not come yet prove nothing, but nothing is wrong either.
    assert!(matches!(ended.status.code(), Some(0 | 3)), "{}", String::from_utf8_lossy(&ended.stdout));
    check_whole(&store.path().join("latest"));
    let text = fs::read_to_string(&ledger).expect("a ledger");
    assert!(text.lines().last().is_some_and(|line| line.contains("undone")), "{text}");
}

/// The suite used as a library, with a program that is no node.
#[test]
fn a_node_that_ends_at_once_is_shown_with_its_last_words() {
    let store = tempfile::tempdir().expect("a folder");
    let program = store.path().join("node.sh");
    fs::write(&program, "#!/bin/sh\necho the disk is on fire >&2\nexit 7\n").expect("a script");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a program");
    let arguments = RunArguments { store: store.path().join("runs"), ..RunArguments::default() };
    let plan = Plan::new(&arguments).expect("a plan");
    let (_stop, stopped) = watch::channel(false);
    let error = rafture::run::run(&plan, program, stopped).expect_err("no node comes up");
    assert_eq!(error.exit_code(), 4);
    let text = error.to_string();
    assert!(text.contains("ended by itself with exit code 7: the disk is on fire"), "{text}");
}

#[test]
fn a_node_that_does_not_come_up_is_the_harness_failing() {
    let store = tempfile::tempdir().expect("a folder");
    // Nobody stands for election within the patience that a cluster has.
    let mut command = rafture(
        "run --nodes 1 --faults none --time-limit 1s --system rafture --election-timeout 100h..200h --heartbeat 1s --store",
    );
    let started = Instant::now();
    let ended = end(command.arg(store.path()));
    assert_eq!(ended.code, 4, "{}", ended.err);
    assert!(ended.err.contains("no node leads after 15s (hint: see `"), "{}", ended.err);
    assert!(started.elapsed() < Duration::from_secs(25));
    assert!(!store.path().join("latest/report.html").exists(), "no partial report");
}
