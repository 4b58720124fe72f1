//! Trials with a few real processes: their times are in order, and nothing is left.

use super::*;
use rafture_sim::elections::Delay;
use rafture_workloads::systems;

const TIMING: Timing = Timing { heartbeat_ms: 50.0, election_timeout_ms: [150.0, 300.0] };
/// How much later than it should anything may happen on a machine that is busy with other tests.
const SLACK_MS: f64 = 1000.0;

fn nothing(_: Progress) {}

/// What a test says that cannot be done here. Where everything must be, it fails instead.
fn skip(why: &str) {
    assert!(std::env::var_os("RAFTURE_REQUIRE_ALL").is_none(), "{why}");
    eprintln!("skipped: {why}");
}

/// The program, which is built beside the tests.
fn program() -> PathBuf {
    let own = std::env::current_exe().expect("a test is a program");
    own.parent().and_then(Path::parent).expect("it is in a folder").join("rafture")
}

/// Why trials of a system cannot be made here, if they cannot.
fn lack(system: &str) -> Option<String> {
    if !program().exists() {
        return Some("the program is not built (hint: cargo build)".into());
    }
    let on_own_thread = std::thread::spawn(|| {
        rafture_nemesis::hosts::Hosts::open(NetworkChoice::Netns, 1).err().map(|error| error.to_string())
    });
    let lack = on_own_thread.join().expect("it does not panic");
    lack.or_else(|| systems::find(system).expect("there is such a system").lack())
}

fn plan(system: &str, folder: &Path) -> RealPlan {
    RealPlan {
        system: system.into(),
        options: Options::new(),
        nodes: 3,
        timings: vec![TIMING],
        failures: Failure::ALL.to_vec(),
        trials: 2,
        steady: Duration::ZERO,
        burdens: Vec::new(),
        seed: 1,
        disks: None,
        links: BTreeMap::new(),
        network: NetworkChoice::Netns,
        jobs: 1,
        folder: folder.to_owned(),
        rafture: program(),
        pre_vote: None,
    }
}

/// Measures in a folder of its own, in which nothing may be left then.
fn measured(plan: impl Fn(&Path) -> RealPlan) -> Vec<Measured> {
    let folder = tempfile::tempdir().expect("a folder");
    let (_keep, stop) = watch::channel(false);
    let found = measure(&plan(folder.path()), &stop, &nothing).expect("it can be measured");
    check_nothing_is_left(folder.path());
    found
}

/// Neither a file, nor a node that has its files there.
fn check_nothing_is_left(folder: &Path) {
    let left: Vec<_> = std::fs::read_dir(folder).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(processes_with(&folder.display().to_string()), Vec::<String>::new());
}

/// Processes that were started with these words among their arguments.
fn processes_with(words: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("every Linux has it").flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(words)).collect()
}

fn check_trials(system: &str) {
    if let Some(lack) = lack(system) {
        return skip(&lack);
    }
    let found = measured(|folder| plan(system, folder));
    let trials = &found[0].trials;
    assert_eq!(trials.len(), 8, "{:?}", found[0].warnings);
    // Its followers have heard the leader a heartbeat before at the earliest; a tick of etcd is one heartbeat, too. Once, a machine
    // that was busy may have kept a heartbeat back.
    let least_ms = TIMING.election_timeout_ms[0] - 2.0 * TIMING.heartbeat_ms;
    let early = trials.iter().filter(|trial| trial.detected_ms.is_some_and(|detected| detected < least_ms));
    assert!(early.count() <= 1, "{trials:?}");
    for trial in trials {
        let [detected, heartbeat, write] =
            [trial.detected_ms, trial.heartbeat_ms, trial.write_ms].map(|time| time.expect("it ended"));
        assert!(detected < TIMING.election_timeout_ms[1] + SLACK_MS, "{trial:?}");
        assert!(detected <= heartbeat && heartbeat < 6000.0 + SLACK_MS, "{trial:?}");
        // A wall clock's times are a millisecond early at most.
        assert!(write >= detected - 1.0 && write < 12_000.0, "{trial:?}");
        assert!(trial.elections >= 1 && trial.split_votes < trial.elections, "{trial:?}");
    }
    let of = |failure| trials.iter().filter(move |trial| trial.failure == failure);
    for failure in Failure::ALL {
        assert_eq!(of(failure).map(|trial| trial.number).collect::<Vec<_>>(), [0, 1], "{failure:?}");
    }
}

#[test]
fn every_failure_of_a_leader_of_ours_has_sane_times() {
    check_trials("rafture");
}

#[test]
fn every_failure_of_a_leader_of_etcd_has_sane_times() {
    check_trials("etcd");
}

#[test]
fn slow_disks_make_real_elections_longer() {
    if let Some(lack) = lack("rafture").or_else(disk::lack) {
        return skip(&lack);
    }
    let slow_sync = Duration::from_millis(20);
    let found = measured(|folder| RealPlan {
        failures: vec![Failure::Kill],
        disks: Some(Trouble { slow_sync, ..Trouble::default() }),
        ..plan("rafture", folder)
    });
    assert_eq!(found[0].trials.len(), 2, "{:?}", found[0].warnings);
    for trial in &found[0].trials {
        // Whoever stands stores its vote before it asks, and whoever votes for it before it answers.
        let took =
            trial.heartbeat_ms.zip(trial.detected_ms).map(|(heartbeat, detected)| heartbeat - detected);
        assert!(took.is_some_and(|took| took >= 40.0), "{trial:?}");
    }
}

#[test]
fn elections_without_cause_are_counted_under_every_burden() {
    if let Some(lack) = lack("rafture").or_else(disk::lack) {
        return skip(&lack);
    }
    let burdens = vec![Burden::Idle, Burden::Load, Burden::Jitter, Burden::SlowDisks];
    let steady = |folder: &Path| RealPlan {
        timings: vec![Timing { heartbeat_ms: 100.0, election_timeout_ms: [1000.0, 2000.0] }],
        trials: 0,
        steady: Duration::from_millis(300),
        burdens: burdens.clone(),
        jobs: 2,
        ..plan("rafture", folder)
    };
    let found = measured(steady);
    let names: Vec<&str> = found[0].steady.iter().map(|steady| steady.burden.as_str()).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["idle", "jitter", "load", "slow disks"]);
    for steady in &found[0].steady {
        assert!(steady.hours >= 0.3 / 3600.0 && steady.per_hour_interval[1] > 0.0, "{steady:?}");
    }
}

#[test]
fn two_servers_of_figure_16_cannot_win() {
    if let Some(lack) = lack("rafture") {
        return skip(&lack);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let plan = Figure16Plan {
        curves: vec![Timing { heartbeat_ms: 75.0, election_timeout_ms: [150.0, 300.0] }],
        trials: 2,
        link: Delay { base_ns: 3_000_000, tail_ns: 0 },
        sync: None,
        seed: 1,
        network: NetworkChoice::Netns,
        jobs: 1,
        folder: folder.path().to_owned(),
        rafture: program(),
    };
    let (_keep, stop) = watch::channel(false);
    let drawn = figure16(&plan, &stop, &nothing).expect("trials");
    let curve = &drawn.curves[0];
    assert_eq!(curve.trials.len(), 2, "{:?}", curve.warnings);
    assert!(drawn.link.base_ns >= 3_000_000 && drawn.sync.base_ns > 0, "{drawn:?}");
    for trial in &curve.trials {
        // One heartbeat before the least timeout at the earliest, and two messages there and one back; a little less, for what messages
        // take by themselves is known on average.
        assert!(trial.heartbeat_ms.is_some_and(|time| time > 75.0 + 6.0), "{trial:?}");
    }
}

#[test]
fn who_is_stopped_in_the_middle_leaves_nothing() {
    if let Some(lack) = lack("rafture") {
        return skip(&lack);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (call, stop) = watch::channel(false);
    let plan = RealPlan { trials: 1000, ..plan("rafture", folder.path()) };
    // The first trial is over: nodes run, and the next one has begun.
    let note = |_| {
        call.send_replace(true);
    };
    let error = measure(&plan, &stop, &note).expect_err("it was stopped");
    assert_eq!(error.to_string(), "stopped before it was done");
    check_nothing_is_left(folder.path());
}

#[test]
fn plans_that_make_no_sense_are_refused() {
    let folder = std::env::temp_dir();
    let (_keep, stop) = watch::channel(false);
    let refused =
        |plan: RealPlan| measure(&plan, &stop, &nothing).expect_err("it makes no sense").to_string();
    let good = || plan("rafture", &folder);
    assert!(refused(RealPlan { nodes: 2, ..good() }).contains("--nodes 3"));
    assert!(refused(RealPlan { jobs: 0, ..good() }).contains("--jobs"));
    assert!(refused(RealPlan { system: "none".into(), ..good() }).contains("unknown system"));
    let timing = Timing { heartbeat_ms: 200.0, election_timeout_ms: [150.0, 300.0] };
    assert!(refused(RealPlan { timings: vec![timing], ..good() }).contains("heartbeat"));
    assert!(refused(RealPlan { folder: "/nowhere".into(), ..good() }).contains("/nowhere"));
}
