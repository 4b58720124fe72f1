//! Schedules as a user gives them: written by hand, with moments, repeated from what a run has recorded, and cut down.

mod command;

use std::fs;
use std::path::{Path, PathBuf};

use command::{end, rafture};
use serde_json::Value;

/// What a test says that cannot be done here. Where everything must be, it fails instead.
fn skip(why: &str) {
    assert!(std::env::var_os("RAFTURE_REQUIRE_ALL").is_none(), "{why}");
    eprintln!("skipped: {why}");
}

/// A run with this schedule; its results, or nothing where there can be no such run.
fn run(store: &Path, schedule: &Path, words: &str) -> Option<(i32, Value)> {
    let mut command = rafture("run --json --nodes 3 --quiet 1s --store");
    let ended = end(command.arg(store).arg("--schedule").arg(schedule).args(words.split_whitespace()));
    if ended.code == 4 && (ended.err.contains("cannot run here") || ended.err.contains("needs network names"))
    {
        skip(ended.err.trim_end());
        return None;
    }
    let results = serde_json::from_str(&ended.out);
    Some((ended.code, results.unwrap_or_else(|error| panic!("{error}: {}{}", ended.out, ended.err))))
}

fn written(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("by hand.toml");
    fs::write(&path, text).expect("a file");
    path
}

/// The lines of the ledger in which a fault is planned.
fn planned(store: &Path) -> Vec<Value> {
    let text = fs::read_to_string(store.join("latest/faults.jsonl")).expect("a ledger");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line"));
    lines.filter(|line| line["state"] == "planned").collect()
}

fn plan(store: &Path) -> Value {
    let text = fs::read_to_string(store.join("latest/plan.json")).expect("a plan");
    serde_json::from_str(&text).expect("a plan")
}

#[test]
fn leaders_are_struck_as_soon_as_they_lead_and_all_of_it_is_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("my runs");
    let text = r#"
        [[phase]]
        lasts = "500ms"

        [[phase]]
        lasts = "2500ms"
        [[phase.fault]]
        fault = "kill@leader"
        for = "1s"
        [[phase.fault]]
        fault = "pause@there"
        when = "leader-elected"
        within = "1500ms"
        for = "500ms"
    "#;
    let schedule = written(folder.path(), text);
    let (code, results) = run(&store, &schedule, "--seed 3 --network proxy").expect("proxies need nothing");
    assert_eq!((code, &results["verdict"]), (0, &"valid".into()), "{results:#}");
    let planned = planned(&store);
    let moment = &planned[1]["moment"];
    assert_eq!(planned[1]["nodes"][0], moment["node"], "{planned:#?}");
    let time = |value: &Value| value["time"].as_u64().expect("a time") as f64 / 1e6;
    let late_ms = time(&planned[1]) - time(moment);
    // It takes one or two; a machine that many share may stand still for a while.
    assert!((0.0..500.0).contains(&late_ms), "{late_ms} ms after its moment");

    // The command works as it stands, by itself and for whoever reads it in the plan.
    let first = plan(&store);
    let command = first["command"].as_str().expect("a command");
    let recorded = "/schedule.toml' --seed 3";
    assert!(command.contains("--schedule '") || command.contains(recorded), "{command}");
    let mut again = std::process::Command::new("/bin/sh");
    let binary = Path::new(env!("CARGO_BIN_EXE_rafture")).parent().expect("a folder").display().to_string();
    let path = format!("{binary}:{}", std::env::var("PATH").unwrap_or_default());
    let ended = end(again.args(["-c", command]).env("PATH", path).current_dir(folder.path()));
    assert_eq!(ended.code, 0, "{command}: {}", ended.err);
    let second = plan(&store);
    assert_eq!(second["schedule"], first["schedule"]);
    assert_ne!(second["command"], first["command"], "each names what it has recorded itself");
}

#[test]
fn etcd_is_struck_by_a_line_of_its_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = r#"
        [[phase]]
        lasts = "500ms"

        [[phase]]
        lasts = "2500ms"
        [[phase.fault]]
        fault = "kill@leader"
        for = "1s"
        [[phase.fault]]
        fault = "pause@there"
        when = { log = "became leader at term \\d+" }
        within = "2s"
        for = "500ms"
    "#;
    let schedule = written(folder.path(), text);
    let Some((code, results)) = run(folder.path(), &schedule, "--system etcd --seed 3") else {
        return;
    };
    assert_eq!((code, &results["verdict"]), (0, &"valid".into()), "{results:#}");
    let planned = planned(folder.path());
    let moment = &planned[1]["moment"];
    assert_eq!(planned[1]["nodes"][0], moment["node"], "{planned:#?}");
    assert!(moment["words"].as_str().is_some_and(|words| words.contains("became leader")), "{moment}");
}

/// A leader that is cut off and answers reads: the partition is needed, and nothing else.
#[test]
fn a_run_that_failed_is_cut_down_to_what_it_takes() {
    let store = tempfile::tempdir().expect("a folder");
    let text = r#"
        [[phase]]
        sequence = [
            { wait = "500ms" },
            { fault = "pause@n1", for = "200ms" },
            { wait = "300ms" },
            { fault = "partition:isolate@leader", for = "2s" },
            { fault = "kill@n2", for = "200ms" },
        ]
    "#;
    let schedule = written(store.path(), text);
    let words = "--defect read-local --network proxy --seed 3";
    // Whether somebody reads in the moment when it is wrong is chance.
    let fails = || run(store.path(), &schedule, words).is_some_and(|(code, _)| code == 1);
    assert!((0..8).any(|_| fails()), "the leader was cut off eight times, and nobody read what was old");
    let failed = store.path().join("latest").canonicalize().expect("a run");
    let mut command = rafture("shrink --json --runs 6 --time-limit 1m");
    let ended = end(command.arg(&failed));
    // Whether it comes again is chance, and it nearly always does.
    assert!(matches!(ended.code, 1 | 2), "{}", ended.err);
    let found: Value = serde_json::from_str(&ended.out).expect("one line");
    assert!(found["runs"].as_u64().is_some_and(|runs| (1..=6).contains(&runs)), "{found:#}");
    if ended.code == 1 {
        assert!(found["faults_left"].as_u64().is_some_and(|left| left < 3), "{found:#}");
        let text = fs::read_to_string(failed.join("shrunk.toml")).expect("what was found");
        assert!(text.contains("of 3 faults, "), "{text}");
        assert!(
            found["command"].as_str().is_some_and(|command| command.contains("shrunk.toml")),
            "{found:#}"
        );
    }
}

#[test]
fn what_cannot_be_cut_down_is_said() {
    let store = tempfile::tempdir().expect("a folder");
    let (code, _) = command::run(store.path(), "--nodes 1 --faults none --time-limit 1s --quiet 0s --seed 1");
    assert_eq!(code, 0);
    let ended = end(rafture("shrink").arg(store.path().join("latest")));
    assert_eq!((ended.code, &*ended.out), (254, ""), "{}", ended.err);
    assert!(ended.err.contains("is valid, and only an invalid one can be cut down"), "{}", ended.err);
    assert_eq!(end(&mut rafture("shrink /nowhere")).code, 254);
}
