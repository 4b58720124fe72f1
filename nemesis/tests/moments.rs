//! Faults that wait: shells play the nodes, and write traces and logs as nodes do.

mod nobody;

use std::fs;
use std::path::Path;
use std::time::Duration;

use nobody::Nobody;
use rafture_nemesis::clock::RunClock;
use rafture_nemesis::cluster::Cluster;
use rafture_nemesis::hosts::{Hosts, NetworkChoice};
use rafture_nemesis::injector::Injector;
use rafture_nemesis::ledger::{Ledger, LedgerLine, State};
use rafture_nemesis::process::NodeSpec;
use rafture_nemesis::schedule::file::{Settings, read};
use tokio::sync::watch;

/// Two nodes: the first says again and again that it leads, the second says hello in its log.
const SCRIPTS: [&str; 2] = [
    "while sleep 0.1; do echo '{\"time\":7,\"event\":\"role\",\"role\":\"leader\",\"term\":2,\"leader\":\"n1\"}' >> trace.jsonl; done",
    "while sleep 0.1; do echo well, hello there >&2; done",
];

/// The ledger of a schedule on these nodes.
fn carry_out(folder: &Path, text: &str) -> Vec<LedgerLine> {
    let hosts = Hosts::open(NetworkChoice::Proxy, SCRIPTS.len()).expect("proxies need nothing");
    let spec = |(number, script): (usize, &&str)| NodeSpec {
        name: format!("n{}", number + 1),
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), (*script).into()],
        environment: Vec::new(),
        joining: Vec::new(),
        folder: folder.join(format!("n{}", number + 1)),
    };
    let specs = SCRIPTS.iter().enumerate().map(spec).collect();
    let mut cluster = Cluster::new(hosts, specs).expect("a cluster");
    (0..SCRIPTS.len()).for_each(|node| cluster.start(node).expect("a start"));
    let script = read(text, Settings::new(SCRIPTS.len(), 1, Duration::from_secs(1))).expect("a schedule");
    let path = folder.join("faults.jsonl");
    let ledger = Ledger::create(&path).expect("a ledger");
    let (_stop, stopped) = watch::channel(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut injector = Injector::new(&mut cluster, ledger, RunClock::start(), |_| {});
        let nobody = Nobody { leader: None };
        injector.run(&script.schedule, Duration::ZERO, &nobody, stopped).await.expect("all is healed");
    });
    let text = fs::read_to_string(&path).expect("a ledger");
    text.lines().map(|line| serde_json::from_str(line).expect("a line")).collect()
}

fn line(lines: &[LedgerLine], id: u64, state: State) -> &LedgerLine {
    let found = lines.iter().find(|line| line.id == id && line.state == state);
    found.unwrap_or_else(|| panic!("{id} {state:?}: {lines:#?}"))
}

#[test]
fn a_fault_strikes_where_and_when_its_moment_was_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = r#"
        [[phase]]
        sequence = [
            { fault = "pause@there", when = "leader-elected", within = "5s", for = "100ms" },
            { fault = "kill@there", when = { log = "hel+o" }, within = "5s", for = "100ms" },
            { wait = "50ms" },
            { fault = "pause@n1", for = "50ms" },
        ]
    "#;
    let lines = carry_out(folder.path(), text);
    let first = line(&lines, 0, State::Planned);
    let seen = first.moment.as_ref().expect("what it waited for");
    assert_eq!((&*seen.node, &*seen.words), ("n1", "leader-elected in term 2"));
    assert_eq!(first.nodes, ["n1"]);
    let second = line(&lines, 1, State::Planned);
    let seen = second.moment.as_ref().expect("what it waited for");
    assert_eq!((&*seen.node, &*seen.words, seen.time), ("n2", "well, hello there", None));
    for id in 0..3 {
        line(&lines, id, State::Proven);
        line(&lines, id, State::Undone);
    }
    // Each counts from the end of the one before.
    let third = line(&lines, 2, State::Planned);
    let between = third.time - line(&lines, 1, State::Undone).time;
    assert!((45_000_000..1_000_000_000).contains(&between), "{between}");
    let lasted = line(&lines, 1, State::Undone).time - second.time;
    assert!(lasted >= 99_000_000, "{lasted}");
}

#[test]
fn a_moment_that_does_not_come_is_said_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = r#"
        [[phase]]
        sequence = [
            { fault = "kill@there", when = "snapshot-begun", within = "300ms", for = "10s" },
            { fault = "pause@n2", for = "50ms" },
        ]
    "#;
    let lines = carry_out(folder.path(), text);
    assert_eq!((lines[0].id, lines[0].state), (0, State::Skipped));
    assert_eq!(lines[0].error.as_deref(), Some("snapshot-begun was not seen within 300ms"));
    line(&lines, 1, State::Undone);
}

/// A run that lasts as long as it was told cuts off what still waits.
#[test]
fn what_waits_when_the_time_is_over_is_skipped() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = r#"
        [[fault]]
        fault = "kill@there"
        when = "node-started"
        within = "60s"
        for = "10s"
    "#;
    let script = read(text, Settings::new(2, 1, Duration::from_secs(1))).expect("a schedule");
    let schedule = rafture_nemesis::schedule::Schedule { end: None, ..script.schedule };
    let hosts = Hosts::open(NetworkChoice::Proxy, 1).expect("proxies need nothing");
    let spec = NodeSpec {
        name: "n1".into(),
        program: "/bin/sleep".into(),
        arguments: vec!["60".into()],
        environment: Vec::new(),
        joining: Vec::new(),
        folder: folder.path().join("n1"),
    };
    let mut cluster = Cluster::new(hosts, vec![spec]).expect("a cluster");
    cluster.start(0).expect("a start");
    let ledger = Ledger::create(&folder.path().join("faults.jsonl")).expect("a ledger");
    let (_stop, stopped) = watch::channel(false);
    let mut told = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let tell = |line: &LedgerLine| told.push((line.state, line.error.clone()));
        let mut injector = Injector::new(&mut cluster, ledger, RunClock::start(), tell);
        let nobody = Nobody { leader: None };
        let limit = Duration::from_millis(200);
        injector.run(&schedule, limit, &nobody, stopped).await.expect("all is healed");
    });
    assert_eq!(told, [(State::Skipped, Some("the time of the run was over".into()))]);
}
