//! Nodes as real processes: killed, paused, crashed and left behind. `sleep` and `sh` play the nodes.

mod nobody;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rafture_nemesis::clean::{clean, controller, is_alive};
use rafture_nemesis::clock::RunClock;
use rafture_nemesis::cluster::{Cluster, NodeState};
use rafture_nemesis::fault::parse;
use rafture_nemesis::hosts::{Hosts, NetworkChoice};
use rafture_nemesis::injector::Injector;
use rafture_nemesis::ledger::{Ledger, LedgerLine, State};
use rafture_nemesis::process::NodeSpec;
use rafture_nemesis::schedule::Schedule;
use tokio::sync::watch;

use nobody::Nobody;

fn cluster(folder: &Path, scripts: &[&str]) -> Cluster {
    let hosts = Hosts::open(NetworkChoice::Proxy, scripts.len()).expect("proxies need nothing");
    let spec = |(number, script): (usize, &&str)| NodeSpec {
        name: format!("n{}", number + 1),
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), (*script).into()],
        joining: Vec::new(),
        environment: Vec::new(),
        folder: folder.join(format!("n{}", number + 1)),
    };
    Cluster::new(hosts, scripts.iter().enumerate().map(spec).collect()).expect("a cluster")
}

/// The state letter of a process, if it is there.
fn state(process: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn nodes_are_killed_paused_and_started_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut cluster = cluster(folder.path(), &["exec sleep 60"; 3]);
    (0..3).for_each(|node| cluster.start(node).expect("a start"));
    let paused = cluster.pause(&[0, 2]).expect("a pause");
    assert!(paused.iter().all(|&process| state(process) == Some('T')), "{paused:?}");
    assert_eq!(cluster.in_state(NodeState::Paused), [0, 2]);
    let killed = cluster.kill(&[0, 1]).expect("a kill");
    assert!(killed.iter().all(|&process| state(process).is_none()), "{killed:?} are reaped");
    assert_eq!(cluster.in_state(NodeState::Down), [0, 1]);
    cluster.resume(&[0, 1, 2]).expect("a resume");
    assert_ne!(state(paused[1]), Some('T'));
    cluster.start(0).expect("a restart");
    assert_eq!(cluster.in_state(NodeState::Up), [0, 2]);
    cluster.stop().expect("a stop");
    assert!(cluster.in_state(NodeState::Down).len() == 3 && cluster.crashes().is_empty());
}

#[test]
fn a_node_that_ends_by_itself_is_a_crash_and_its_children_go_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "sleep 60 & echo $! > child; echo broken >&2; exit 3";
    let mut cluster = cluster(folder.path(), &[script]);
    cluster.start(0).expect("a start");
    wait_until("the node ends", || {
        cluster.notice_crashes();
        !cluster.crashes().is_empty()
    });
    assert_eq!(cluster.crashes(), ["n1 ended by itself with exit code 3: broken"]);
    let child = fs::read_to_string(folder.path().join("n1/child")).expect("a child");
    let child: u32 = child.trim().parse().expect("a number");
    wait_until("the child goes", || !matches!(state(child), Some('R' | 'S')));
    let killed = cluster.kill(&[0]).expect("nothing to do");
    assert!(killed.is_empty(), "what has ended by itself was not killed");
}

#[test]
fn dropping_a_cluster_kills_its_nodes() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut cluster = cluster(folder.path(), &["trap '' TERM; sleep 60 & wait"]);
    cluster.start(0).expect("a start");
    let processes = cluster.pause(&[0]).expect("a pause");
    drop(cluster);
    assert_eq!(state(processes[0]), None);
}

/// A schedule with every kind of fault, on processes that do nothing: each is planned, applied, proven and undone.
#[test]
fn a_schedule_is_carried_out_and_everything_is_undone() {
    let folder = tempfile::tempdir().expect("a folder");
    let seed = 5;
    println!("seed {seed}");
    let specs = parse("kill,pause,partition").expect("faults");
    let limit = Duration::from_secs(4);
    let schedule = Schedule::random(seed, &specs, Duration::from_millis(500), limit, 5).expect("a schedule");
    let mut cluster = cluster(folder.path(), &["exec sleep 60"; 5]);
    (0..5).for_each(|node| cluster.start(node).expect("a start"));
    let path = folder.path().join("faults.jsonl");
    let ledger = Ledger::create(&path).expect("a ledger");
    let (_stop, stopped) = watch::channel(false);
    let mut told = 0;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut injector = Injector::new(&mut cluster, ledger, RunClock::start(), |_| told += 1);
        injector.run(&schedule, limit, &Nobody { leader: Some(3) }, stopped).await.expect("all is healed");
    });
    assert_eq!(cluster.in_state(NodeState::Up).len(), 5);

    let text = fs::read_to_string(&path).expect("a ledger");
    let lines: Vec<LedgerLine> =
        text.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
    assert_eq!(lines.len(), told);
    let with = |wanted: State| -> BTreeSet<u64> {
        lines.iter().filter(|line| line.state == wanted).map(|line| line.id).collect()
    };
    let failed = with(State::Failed);
    let struck: BTreeSet<u64> =
        (0..schedule.episodes.len() as u64).filter(|id| !failed.contains(id)).collect();
    for wanted in [State::Planned, State::Applied, State::Proven, State::Undone] {
        assert_eq!(with(wanted), struck, "{wanted:?}:\n{text}");
    }
    assert!(struck.len() >= 3, "{text}");
    assert!(lines.windows(2).all(|pair| pair[0].time <= pair[1].time));
}

#[test]
fn a_run_that_is_stopped_is_healed_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let specs = parse("kill@all").expect("faults");
    let hour = Duration::from_secs(3600);
    let mut schedule = Schedule::random(1, &specs, hour, hour, 2).expect("a schedule");
    schedule.episodes[0].at_ms = 0;
    let mut cluster = cluster(folder.path(), &["exec sleep 60"; 2]);
    (0..2).for_each(|node| cluster.start(node).expect("a start"));
    let ledger = Ledger::create(&folder.path().join("faults.jsonl")).expect("a ledger");
    let (stop, stopped) = watch::channel(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let stop_when_proven = |line: &LedgerLine| {
            if line.state == State::Proven {
                stop.send_replace(true);
            }
        };
        let mut injector = Injector::new(&mut cluster, ledger, RunClock::start(), stop_when_proven);
        injector.run(&schedule, hour, &Nobody { leader: None }, stopped).await.expect("all is healed");
    });
    assert_eq!(cluster.in_state(NodeState::Up).len(), 2);
}

#[test]
fn only_what_a_dead_controller_left_is_cleaned() {
    let store = tempfile::tempdir().expect("a folder");
    let sleeper = |controller: &str| {
        let mut command = Command::new("sleep");
        command.arg("60").env("RAFTURE_CONTROLLER", controller).stdin(Stdio::null());
        command.spawn().expect("a process")
    };
    assert!(is_alive(&controller()) && !is_alive("1:0") && !is_alive("nonsense"));
    let (mut orphan, mut child) = (sleeper("1:0"), sleeper(&controller()));
    // The new program has its environment only after exec.
    let environment = |process: u32| fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
    wait_until("the orphan is there", || environment(orphan.id()).windows(4).any(|word| word == b"=1:0"));

    let run = store.path().join("name/run");
    fs::create_dir_all(&run).expect("a folder");
    fs::write(run.join("plan.json"), r#"{"controller":"1:0"}"#).expect("a plan");
    let line = r#"{"time":5,"id":0,"state":"applied","kind":"pause","target":"one"}"#;
    fs::write(run.join("faults.jsonl"), format!("{line}\n{}", &line[..20])).expect("a ledger");

    let cleaned = clean(store.path()).expect("a cleaning");
    assert!(cleaned.processes.contains(&format!("sleep ({})", orphan.id())), "{cleaned:?}");
    assert_eq!(cleaned.ledgers, std::slice::from_ref(&run));
    assert!(orphan.wait().is_ok_and(|status| !status.success()));
    assert!(child.try_wait().is_ok_and(|status| status.is_none()), "the child of a living controller lives");
    let ledger = fs::read_to_string(run.join("faults.jsonl")).expect("a ledger");
    assert!(ledger.lines().count() == 2 && ledger.contains("\"undone\""), "{ledger}");
    assert!(clean(store.path()).expect("a second cleaning").ledgers.is_empty());
    child.kill().and_then(|()| child.wait()).expect("it goes");
}
