//! Makes up a run and writes its reports: to look at them, and to measure what they cost.
//!
//! `cargo run --release -p rafture-reports --example sample_report -- [--operations 20000] [--verdict valid|invalid|vacuous] [--seed 7] FOLDER`
//!
//! With a million operations the reports must stand within 5 s and `report.html` below 2 MB; it says so at its end, and fails where
//! they do not. One operation takes far longer than all others, so that it can be looked for in the page. Nothing in it is a measurement of a real system; only the shapes are those of one.

use std::error::Error;
use std::time::{Duration, Instant, SystemTime};

use rafture_checker::failure::{Failure, FailureOperation};
use rafture_checker::history::{Event, EventKind, Process};
use rafture_checker::verdict::Verdict;
use rafture_reports::measure::measure;
use rafture_reports::results::{CheckerResult, Lateness};
use rafture_reports::store::UtcTime;
use rafture_reports::{
    FaultSpan, LeaderChange, Results, RunFolder, RunView, Store, terminal, write_reports, write_results,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

const S: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;
const RUN_S: u64 = 30;
const CLIENTS: u64 = 10;
const TIMEOUT_NS: u64 = S;
const KEYS: u64 = 8;

/// When the run's time axis begins on the clock that traces carry.
const CLOCK_START_NS: u64 = 1_000 * S;

/// The one that takes longer than all others.
const WORST_NS: u64 = 2_718 * MS;

/// Who asked for it: a number that no client comes to.
const WORST_PROCESS: u64 = 1_000_000_007;

/// A log without times, which tries to be more than text.
const LOG: &[u8] = b"listening on 10.77.0.1:7000\npeer said </script><b onclick=x>hello</b>\x1b[31m\n";

/// What a page may take at most.
const PAGE_BYTES_MAX: u64 = 2_000_000;
const REPORT_LIMIT: Duration = Duration::from_secs(5);

struct Arguments {
    operations: u64,
    verdict: Verdict,
    seed: u64,
    folder: String,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut given = Arguments { operations: 20_000, verdict: Verdict::Valid, seed: 7, folder: String::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("`{word}` needs a value"));
        match word.as_str() {
            "--operations" => given.operations = value()?.parse()?,
            "--verdict" => given.verdict = serde_json::from_value(json!(value()?))?,
            "--seed" => given.seed = value()?.parse()?,
            _ => given.folder = word,
        }
    }
    match given.folder.is_empty() {
        true => {
            Err("usage: sample_report [--operations N] [--verdict valid|invalid|vacuous] [--seed N] FOLDER"
                .into())
        }
        false => Ok(given),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { operations, verdict, seed, folder } = arguments()?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (faults, leaders) = faults_and_leaders(&mut random);
    let history = history(operations, &leaders, &mut random);

    let began = Instant::now();
    let results = results(verdict, seed, &history, &faults, &leaders);
    eprintln!("measured {} events in {:?}", history.len(), began.elapsed());

    let run = Store::open(folder)?.create_run(&format!("sample-{verdict}"), seed, SystemTime::now())?;
    traces(&run, &leaders)?;
    let began = Instant::now();
    let view = RunView { results: &results, history: &history, faults: &faults, leaders: &leaders };
    write_results(&run, &results)?;
    write_reports(&run, &view)?;
    let took = began.elapsed();
    let bytes = std::fs::metadata(run.path().join("report.html"))?.len();
    eprintln!("wrote {} in {took:?}, report.html has {bytes} bytes", run.path().display());
    print!("{}", terminal::summary(&results, terminal::Screen::PLAIN));
    match bytes <= PAGE_BYTES_MAX && took <= REPORT_LIMIT {
        true => Ok(()),
        false => Err(format!("at most {PAGE_BYTES_MAX} bytes in {REPORT_LIMIT:?} were promised").into()),
    }
}

/// What the nodes of such a run would leave: traces, and a log with a time in each line or with none.
fn traces(run: &RunFolder, leaders: &[LeaderChange]) -> Result<(), Box<dyn Error>> {
    for node in 1..=5 {
        let name = format!("n{node}");
        let mut trace = String::new();
        for leader in leaders {
            let time = CLOCK_START_NS.saturating_add_signed(leader.time_ns);
            let (role, time) =
                if leader.node == name { ("leader", time) } else { ("follower", time + 3 * MS) };
            let (term, leader) = (leader.term, &leader.node);
            let line = json!({"time": time, "event": "role", "role": role, "term": term, "leader": leader});
            trace.push_str(&format!("{line}\n"));
        }
        run.write_atomic(&format!("nodes/{name}/trace.jsonl"), trace.as_bytes())?;
        run.write_atomic(&format!("nodes/{name}/stderr.log"), LOG)?;
    }
    Ok(())
}

/// A fault each three seconds or so, some of which overlap; those at the leader bring a new one.
fn faults_and_leaders(random: &mut ChaCha8Rng) -> (Vec<FaultSpan>, Vec<LeaderChange>) {
    let plan = [
        ("kill", "kill@leader", "SIGKILL to n1", true),
        ("partition", "partition:bridge@leader", "n1 n2 | n4 n5, n3 sees both", true),
        ("pause", "pause@one", "SIGSTOP to n4", false),
        ("partition", "partition:isolate-leader", "n3 | n1 n2 n4 n5", true),
        ("kill", "kill@minority", "SIGKILL to n2 n5", false),
        ("pause", "pause@leader", "SIGSTOP to n2", true),
        ("partition", "partition:one-way@one", "n5 hears nobody", false),
        ("kill", "kill@majority", "SIGKILL to n1 n2 n3", true),
    ];
    let (mut faults, mut leaders) = (Vec::new(), vec![leader(-40 * MS as i64, 1, 2)]);
    let mut at_ns = 2 * S;
    for (id, (kind, label, detail, elects)) in (0..).zip(plan) {
        let lasts_ns = random.random_range(1_500 * MS..4_000 * MS);
        faults.push(FaultSpan {
            is_declined: false,
            harmed: vec![format!("n{}", 1 + id % 5)],
            id,
            kind: kind.into(),
            label: label.into(),
            nodes: vec![format!("n{}", 1 + id % 5)],
            detail: detail.into(),
            planned_ns: at_ns,
            applied_ns: Some(at_ns + 2 * MS),
            proven_ns: Some(at_ns + 9 * MS),
            undone_ns: Some(at_ns + lasts_ns),
            evidence: Some("every probe across the cut failed".into()),
            error: None,
            took_us: Some(900),
        });
        if elects {
            let elected_ns = (at_ns + random.random_range(410 * MS..700 * MS)) as i64;
            leaders.push(leader(elected_ns, 1 + (id + 1) % 5, leaders.len() as u64 + 2));
        }
        at_ns += random.random_range(2_400 * MS..3_800 * MS);
    }
    (faults, leaders)
}

fn leader(time_ns: i64, node: u64, term: u64) -> LeaderChange {
    LeaderChange { time_ns, node: format!("n{node}"), term }
}

/// Clients in a closed loop that stall before each new leader, and sometimes time out then.
fn history(count: u64, leaders: &[LeaderChange], random: &mut ChaCha8Rng) -> Vec<Event> {
    let pace_ns = RUN_S * S * CLIENTS / count;
    let mut events = Vec::new();
    for client in 0..CLIENTS {
        let (mut now_ns, mut process) = (random.random_range(0..pace_ns), client);
        while now_ns < RUN_S * S {
            let f = ["read", "write", "cas"][random.random_range(0..3)];
            let usual_ns = pace_ns as f64 * (0.2 + random.random_range(0.0f64..1.0).powi(6) * 2.0);
            let stall_ns = stall_ns(now_ns, leaders);
            let latency_ns = (usual_ns as u64 + stall_ns).min(TIMEOUT_NS);
            let kind = match f {
                _ if stall_ns > 0 && random.random_bool(0.3) => EventKind::Info,
                "cas" if random.random_bool(0.3) => EventKind::Fail,
                _ => EventKind::Ok,
            };
            let value = match f {
                "cas" => json!([random.random_range(0..5), random.random_range(0..5)]),
                _ => json!(random.random_range(0..5)),
            };
            let asked = if f == "read" { Value::Null } else { value.clone() };
            let key = format!("k{}", random.random_range(0..KEYS));
            let node = served_by(now_ns + latency_ns, leaders);
            let of = |event: Event, value| Event {
                key: Some(json!(key)),
                value,
                node: Some(node.clone().into()),
                ..event
            };
            events.push(of(event(now_ns, process, EventKind::Invoke, f), asked));
            events.push(of(event(now_ns + latency_ns, process, kind, f), value));
            if kind == EventKind::Info {
                process += CLIENTS;
            }
            now_ns += latency_ns + random.random_range(0..pace_ns);
        }
    }
    let worst = |time, kind, value| Event {
        key: Some(json!("worst")),
        value,
        node: Some("n3".into()),
        ..event(time, WORST_PROCESS, kind, "write")
    };
    events.push(worst(17 * S, EventKind::Invoke, json!(271_828)));
    events.push(worst(17 * S + WORST_NS, EventKind::Ok, json!(271_828)));
    events.sort_by_key(|event| event.time);
    for (index, event) in (0..).zip(&mut events) {
        event.index = index;
    }
    events
}

/// The leader at that time.
fn served_by(time_ns: u64, leaders: &[LeaderChange]) -> String {
    let before = leaders.iter().rfind(|leader| leader.time_ns <= time_ns.cast_signed());
    before.map_or_else(|| "n1".to_owned(), |leader| leader.node.clone())
}

/// How long an operation at `now_ns` waits for the next leader, if it is one of those who must.
fn stall_ns(now_ns: u64, leaders: &[LeaderChange]) -> u64 {
    let next = leaders.iter().filter_map(|leader| u64::try_from(leader.time_ns).ok());
    let waits = next.map(|elected_ns| elected_ns.saturating_sub(now_ns));
    waits.filter(|wait_ns| (1..400 * MS).contains(wait_ns)).min().unwrap_or(0)
}

fn event(time: u64, process: u64, kind: EventKind, f: &'static str) -> Event {
    Event {
        index: 0,
        time,
        process: Process::Client(process),
        kind,
        f: f.into(),
        key: None,
        value: Value::Null,
        node: None,
        error: None,
    }
}

fn results(
    verdict: Verdict,
    seed: u64,
    history: &[Event],
    faults: &[FaultSpan],
    leaders: &[LeaderChange],
) -> Results {
    let measures = measure(history, faults, leaders);
    let vacuous = verdict == Verdict::Vacuous;
    let reasons = vacuous.then(|| "No `cas` ever succeeded, so the run says nothing about it.".to_owned());
    Results {
        verdict,
        reasons: reasons.into_iter().collect(),
        name: "cas-register".into(),
        run: format!("20260724T091502-{seed}"),
        system: "rafture".into(),
        workload: "cas-register".into(),
        nodes: 5,
        network: "netns: root".into(),
        seed,
        command: format!("rafture run --workload cas-register --faults kill,pause,partition --time-limit 30s --seed {seed}"),
        note: "With real processes the seed repeats the plan (operations, faults, targets), not the interleaving.".into(),
        labels: std::collections::BTreeMap::from([("commit".to_owned(), "4f2a9c1".to_owned())]),
        wall_start_ns: None,
        lateness: Some(Lateness { p99_ms: 14.2, max_ms: 61.0 }),
        started_at: UtcTime::from(SystemTime::now()).to_string(),
        clock_start_ns: CLOCK_START_NS,
        time_limit_s: RUN_S as f64,
        seconds: RUN_S as f64 + 2.3,
        throughput: measures.throughput,
        checkers: [
            ("linearizability", verdict, linearizability(verdict)),
            ("invariants", Verdict::Valid, Map::from_iter([("events".to_owned(), json!(48_211))])),
            ("statistics", if vacuous { verdict } else { Verdict::Valid }, Map::new()),
        ]
        .map(|(name, verdict, details)| (name.to_owned(), CheckerResult { verdict, details }))
        .into(),
        faults: measures.faults,
        recovery: measures.recovery,
        latency: measures.latency,
        operations: measures.operations,
    }
}

fn linearizability(verdict: Verdict) -> Map<String, Value> {
    let mut details =
        Map::from_iter([("engine".to_owned(), json!("wgl")), ("model".to_owned(), json!("cas-register"))]);
    if verdict == Verdict::Invalid {
        details.insert("failure".to_owned(), json!(stale_read()));
    }
    details
}

/// A read that returns what had been overwritten before it began.
fn stale_read() -> Failure {
    let operation =
        |process, label: &str, from_us: u64, until_us: Option<u64>, order: Option<usize>| FailureOperation {
            process: Process::Client(process),
            f: label.split(' ').next().unwrap_or_default().to_owned(),
            label: label.to_owned(),
            invoked_ns: 5_850 * MS + from_us * 1_000,
            completed_ns: until_us.map(|until_us| 5_850 * MS + until_us * 1_000),
            culprit: order == Some(0),
            order: order.filter(|order| *order > 0),
            index: None,
            line: None,
            node: None,
        };
    Failure {
        key: Some(json!("x")),
        anomaly: "stale read".into(),
        sentence: "process 4 read x = 3 at 5.876 s, although process 7 had overwritten it with 4 by 5.868 s"
            .into(),
        operations: vec![
            operation(3, "write 3", 0, Some(4_100), Some(1)),
            operation(4, "read → 3", 3_000, Some(7_400), Some(2)),
            operation(12, "write 5", 5_000, None, None),
            operation(7, "write 4", 9_000, Some(18_000), Some(3)),
            operation(3, "cas 3 → 4", 11_000, Some(12_400), None),
            operation(9, "read → 4", 18_600, Some(21_000), Some(4)),
            operation(4, "read → 3", 22_000, Some(26_000), Some(0)),
        ],
        minimal: true,
        necessity: "Each of these 7 operations is needed.".into(),
        before: None,
        initial: Some("null".into()),
        orders: Vec::new(),
        relations: Vec::new(),
    }
}
