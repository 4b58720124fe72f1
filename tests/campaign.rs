//! A night of runs, as a CI job begins it, interrupts it and reads what came of it.

mod command;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use command::{Ended, end, rafture};
use serde_json::Value;

/// Short runs without faults, and a canary that is found without any.
const CALM: &str = "[run]\nfaults = \"none\"\ntime-limit = \"1s\"\nquiet = \"100ms\"\nnodes = 3\n\
                    [canary]\ndefect = \"mem-log\"\nfaults = \"kill@all\"\ntime-limit = \"4s\"\ninterval = \"500ms\"\n";

/// So many runs that ten interruptions do not see the end of them.
const RUNS: usize = 30;

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new(file: &str) -> Scene {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("night.toml"), file).expect("a file");
        Scene { folder }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("runs")
    }

    fn command(&self, words: &str) -> std::process::Command {
        let mut command = rafture("campaign");
        command.arg(self.folder.path().join("night.toml")).arg("--store").arg(self.store());
        command.args(words.split_whitespace());
        command
    }

    fn play(&self, words: &str) -> (Ended, Value) {
        let ended = end(self.command(words).arg("--json"));
        let told = serde_json::from_str(&ended.out);
        let told = told.unwrap_or_else(|error| panic!("{error}: {}{}", ended.out, ended.err));
        (ended, told)
    }
}

/// Runs in a store, by the cell they are for.
fn cells(store: &Path, name: &str) -> BTreeMap<String, Vec<PathBuf>> {
    let mut cells: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for entry in fs::read_dir(store.join(name)).expect("a folder").flatten() {
        if entry.file_type().expect("a type").is_symlink() {
            continue;
        }
        let Ok(plan) = fs::read(entry.path().join("plan.json")) else { continue };
        let plan: Value = serde_json::from_slice(&plan).expect("a plan");
        let cell = plan["labels"]["cell"].as_str().expect("a label").to_owned();
        cells.entry(cell).or_default().push(entry.path());
    }
    cells
}

#[test]
fn a_night_that_is_killed_goes_on_and_loses_nothing() {
    let scene = Scene::new(&format!("name = \"night\"\n[matrix]\nseeds = {RUNS}\n{CALM}"));
    for kill in 0..10_u64 {
        let mut command = scene.command("--jobs 2");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a campaign");
        // The moment is what is tested, whatever it has come to by then; the golden ratio leaves no gap.
        let share = (kill as f64 * 0.618_034).fract();
        std::thread::sleep(Duration::from_millis(300 + (share * 5000.0) as u64));
        child.kill().and_then(|()| child.wait()).expect("it dies");
    }
    let (ended, told) = scene.play("--jobs 2");
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert_eq!(told["night"]["entries"].as_array().map(Vec::len), Some(RUNS), "{told}");
    let cells = cells(&scene.store(), "night");
    assert_eq!(cells.len(), RUNS, "the canary's runs are gone as well: {cells:?}");
    for (cell, runs) in &cells {
        assert_eq!(runs.len(), 1, "cell {cell} was run more than once: {runs:?}");
        assert!(runs[0].join("results.json").exists(), "cell {cell} is not whole");
    }
    let nights = fs::read_dir(scene.store().join("night/nights")).expect("nights").count();
    assert_eq!(nights, 1, "a night that was interrupted is the same night");
    let store = scene.store().display().to_string();
    let deadline = Instant::now() + Duration::from_secs(5);
    while !processes_with(&store).is_empty() {
        assert!(Instant::now() < deadline, "{:?} live on", processes_with(&store));
    }
}

/// Processes whose command line names the store.
fn processes_with(store: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("a proc").flatten().map(|entry| entry.path());
    let line = |path: PathBuf| fs::read(path.join("cmdline")).ok();
    let lines = processes.filter_map(line).map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(store)).collect()
}

#[test]
fn what_fails_is_kept_whole_grouped_and_told_in_every_way() {
    let file = "name = \"night\"\n[matrix]\nseeds = [3, 4]\nworkload = [\"register\", \"cas-register\"]\n\
                [run]\ndefect = \"mem-log\"\nfaults = \"kill@all\"\ninterval = \"500ms\"\ntime-limit = \"4s\"\nnodes = 3\n\
                [canary]\ndefect = \"mem-log\"\nfaults = \"kill@all\"\ntime-limit = \"4s\"\ninterval = \"500ms\"\n";
    let scene = Scene::new(file);
    let (ended, told) = scene.play("--label commit=4f2a9c1");
    assert_eq!(ended.code, 1, "{}{}", ended.out, ended.err);
    let folder = PathBuf::from(told["folder"].as_str().expect("a folder"));
    let entries = told["night"]["entries"].as_array().expect("entries");
    assert_eq!(entries.len(), 4);
    let failed: Vec<&Value> = entries.iter().filter(|entry| entry["verdict"] == "invalid").collect();
    assert!(!failed.is_empty(), "{told}");
    for entry in &failed {
        let run = scene.store().join(entry["run"].as_str().expect("a run"));
        assert!(run.join("nodes/n1/stderr.log").exists(), "what failed is kept whole");
        let results: Value =
            serde_json::from_slice(&fs::read(run.join("results.json")).expect("results")).expect("json");
        assert_eq!(results["labels"]["commit"], "4f2a9c1");
        assert_eq!(entry["cause"]["fault"], "kill", "{entry}");
    }
    let summary = fs::read_to_string(folder.join("summary.md")).expect("a summary");
    assert!(summary.starts_with("## night, ") && summary.contains("### What failed"), "{summary}");
    assert!(summary.contains("rafture run ") && summary.contains("--seed 3"), "{summary}");
    let junit = fs::read_to_string(folder.join("junit.xml")).expect("a file");
    assert!(junit.contains("<failure") && junit.contains("register · seed 3"), "{junit}");

    // The next night knows what is not new.
    let (_, next) = scene.play("--night next");
    let before = &next["night"]["before"];
    assert_eq!(before["night"], told["night"]["night"], "{next}");
    assert!(before["causes"].as_array().is_some_and(|causes| !causes.is_empty()), "{before}");
    let summary = fs::read_to_string(scene.store().join("night/nights/next/summary.md")).expect("a summary");
    assert!(summary.contains("| known |") || summary.contains("gone since"), "{summary}");
}

#[test]
fn a_night_whose_canary_survives_proves_nothing() {
    let scene = Scene::new(
        "name = \"night\"\n[run]\nfaults = \"none\"\ntime-limit = \"1s\"\nquiet = \"100ms\"\nnodes = 3\n\
         [canary]\ndefect = \"no-fsync-log\"\nfaults = \"none\"\ntime-limit = \"1s\"\ntries = 1\n",
    );
    let (ended, told) = scene.play("");
    assert_eq!(ended.code, 3, "{}{}", ended.out, ended.err);
    assert_eq!(told["night"]["entries"][0]["verdict"], "valid", "{told}");
    assert_eq!(told["night"]["canaries"][0]["is_found"], false, "{told}");
}

#[test]
fn shards_share_a_night_and_are_joined() {
    let scene = Scene::new(&format!("name = \"night\"\n[matrix]\nseeds = 3\n{CALM}"));
    let stores = [1, 2].map(|shard| scene.folder.path().join(format!("shard{shard}")));
    for (shard, store) in (1..).zip(&stores) {
        let mut command = rafture("campaign");
        command.arg(scene.folder.path().join("night.toml")).arg("--store").arg(store);
        let ended = end(command.args(["--night", "tonight", "--shard", &format!("{shard}/2")]));
        assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    }
    let merge = || {
        let mut command = rafture("campaign merge");
        end(command.args(&stores).arg("--store").arg(scene.store()))
    };
    let merged = merge();
    assert_eq!(merged.code, 0, "{}{}", merged.out, merged.err);
    assert!(merged.out.contains("3 of 3 runs: 3 valid"), "{}", merged.out);
    let cells = cells(&scene.store(), "night");
    assert_eq!(cells.values().map(Vec::len).collect::<Vec<usize>>(), [1, 1, 1], "{cells:?}");
    let part = scene.store().join("night/.merging-999999999-half");
    fs::create_dir_all(&part).expect("a folder");
    let again = merge();
    assert!(!part.exists(), "what a killed merge has left is taken away");
    assert!(again.out.starts_with("0 runs copied, 3 were there"), "{}", again.out);
}

#[test]
fn a_night_stops_when_it_has_failed_enough() {
    let scene = Scene::new(
        "name = \"night\"\nstop-after = 1\njobs = 1\n[matrix]\nseeds = [3, 4, 5, 6]\n\
         [run]\nnodes = 3\nfaults = \"none\"\ntime-limit = \"1s\"\nsystem = \"rafture\"\nupgrade-to = \"/bin/false\"\n",
    );
    // An impossible combination is said before anything starts.
    let ended = end(&mut scene.command(""));
    assert_eq!(ended.code, 254, "{}", ended.err);
    let file = "name = \"night\"\nstop-after = 1\njobs = 1\n[matrix]\nseeds = [3, 4, 5, 6, 7, 8]\n\
         [run]\ndefect = \"mem-log\"\nfaults = \"kill@all\"\ninterval = \"500ms\"\ntime-limit = \"4s\"\nnodes = 3\n\
         [canary]\ndefect = \"mem-log\"\nfaults = \"kill@all\"\ntime-limit = \"4s\"\ninterval = \"500ms\"\n";
    let scene = Scene::new(file);
    let (ended, told) = scene.play("");
    assert_eq!(ended.code, 1, "{}", ended.err);
    let entries = told["night"]["entries"].as_array().expect("entries");
    assert!(entries.len() < 6, "{told}");
    assert!(told["night"]["stopped"].as_str().is_some_and(|why| why.contains("1 failure")), "{told}");
}
