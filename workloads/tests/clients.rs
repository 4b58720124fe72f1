//! What a client makes of a node's behaviour: `fail` only where the operation surely did not happen, `info` wherever it may
//! have; and how many clients load a system. Threads with a socket play the nodes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rafture_checker::history::{Event, EventKind, History, Process};
use rafture_workloads::load::{Load, drive};
use rafture_workloads::operation::{Answer, Ask};
use rafture_workloads::recorder::Recorder;
use rafture_workloads::systems::{self, Layout, Place, Route};
use rafture_workloads::workload;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

/// What a node says to the first request, and to all later ones.
#[derive(Clone, Copy)]
enum Manners {
    Says(&'static str),
    /// It points to the other node.
    Redirects,
    HangsUp,
    IsSilent,
}

/// Long enough that a machine which is busy with something else does not pass for a silent node.
const PATIENCE: Duration = Duration::from_millis(1500);

/// A node that answers every request in its manner.
fn node(manners: Manners, other: Arc<Mutex<Option<SocketAddr>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, other) = (stream.expect("a connection"), Arc::clone(&other));
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(1..) = stream.read(&mut buffer) {
                    let text = String::from_utf8_lossy(&buffer).into_owned();
                    buffer.fill(0);
                    // What a library says of itself at first is not part of the test.
                    let answer = match manners {
                        _ if text.contains("CLIENT") => "+OK\r\n+OK\r\n".to_owned(),
                        Manners::Says(answer) => format!("{answer}\r\n"),
                        Manners::Redirects => {
                            let other = other.lock().expect("no panic").expect("another node");
                            format!("-MOVED 0 {other}\r\n")
                        }
                        Manners::HangsUp => return,
                        Manners::IsSilent => continue,
                    };
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn layout(addresses: &[SocketAddr]) -> Arc<Layout> {
    let place = |(number, &client): (usize, &SocketAddr)| Place {
        name: format!("n{}", number + 1),
        client,
        peer: client,
        peers: addresses.to_vec(),
        folder: "/nowhere".into(),
    };
    Arc::new(Layout { nodes: addresses.iter().enumerate().map(place).collect() })
}

/// The outcome of one operation on a cluster of such nodes, and the node that had the last word.
fn outcome(manners: &[Manners], f: &'static str, value: Value) -> (String, usize) {
    let other = Arc::new(Mutex::new(None));
    let addresses: Vec<SocketAddr> =
        manners.iter().map(|&manners| node(manners, Arc::clone(&other))).collect();
    *other.lock().expect("no panic") = addresses.last().copied();
    one(&layout(&addresses), f, value)
}

fn one(layout: &Arc<Layout>, f: &'static str, value: Value) -> (String, usize) {
    let system = systems::find("rafture").expect("the built-in system");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ask = Ask { f, key: Some("k".into()), value };
    let (answer, node) = runtime.block_on(async {
        let mut client = system.client(Arc::clone(layout), Route::Leader(0));
        client.invoke(&ask, Instant::now() + PATIENCE).await
    });
    let text = match answer {
        Answer::Ok(value) => format!("ok {value}"),
        Answer::Fail(_) => "fail".into(),
        Answer::Info(_) => "info".into(),
    };
    (text, node)
}

#[test]
fn certain_answers_are_certain() {
    let check = |says, f, value: Value, expected: &str| {
        assert_eq!(outcome(&[Manners::Says(says)], f, value.clone()).0, expected, "{f} {value}: {says}");
    };
    check("+OK", "write", json!(5), "ok 5");
    check("$1\r\n7", "read", Value::Null, "ok 7");
    check("$-1", "read", Value::Null, "ok null");
    check("+OK", "cas", json!([1, 2]), "ok [1,2]");
    check("$-1", "cas", json!([1, 2]), "fail");
    check("-NOLEADER nobody", "write", json!(5), "fail");
    check("-ERR no", "write", json!(5), "fail");
}

#[test]
fn whatever_may_have_happened_is_info() {
    for manners in [Manners::HangsUp, Manners::IsSilent, Manners::Says("-UNKNOWN leadership was lost")] {
        assert_eq!(outcome(&[manners], "write", json!(5)).0, "info");
    }
}

#[test]
fn nobody_there_is_a_certain_failure() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    assert_eq!(one(&layout(&[free]), "write", json!(5)).0, "fail");
}

#[test]
fn redirections_are_followed() {
    assert_eq!(outcome(&[Manners::Redirects, Manners::Says("+OK")], "write", json!(5)), ("ok 5".into(), 1));
}

/// Clients of one good node, for a while; the events that they recorded.
fn driven(concurrency: usize, rate: Option<f64>, manners: Manners) -> Vec<Event> {
    let address = node(manners, Arc::default());
    let (system, workload) = (systems::find("rafture"), workload::find("register"));
    let (system, workload) = (system.expect("a system"), workload.expect("a workload"));
    let load = Load { concurrency, rate, patience: Duration::from_millis(100), seed: 3 };
    let ticks = AtomicU64::new(0);
    let start = std::time::Instant::now();
    let clock = move || start.elapsed().as_nanos() as u64 + ticks.fetch_add(1, Ordering::Relaxed);
    let recorder = Recorder::new(Arc::new(clock), channel().0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        let layout = layout(&[address]);
        let driving = drive(&load, &*system, &layout, &*workload, &recorder, stopped);
        let stopping = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            stop.send_replace(true);
        };
        tokio::join!(driving, stopping);
    });
    recorder.take()
}

#[test]
fn a_closed_loop_has_as_many_operations_open_as_clients() {
    let events = driven(4, None, Manners::Says("$-1"));
    let (mut open, mut most) = (0_i64, 0);
    for event in &events {
        open += if event.kind == EventKind::Invoke { 1 } else { -1 };
        most = most.max(open);
    }
    assert!(
        most == 4 && open == 0 && events.len() > 40,
        "{most} at most, {open} left, {} events",
        events.len()
    );
    History::of(&events).expect("every process does one thing at a time");
}

#[test]
fn an_open_loop_does_not_wait_for_a_system_that_stalls() {
    let events = driven(1, Some(200.0), Manners::IsSilent);
    let begun = events.iter().filter(|event| event.kind == EventKind::Invoke).count();
    assert!((60..200).contains(&begun), "{begun} begun in half a second at 200 a second");
    History::of(&events).expect("every process does one thing at a time");
    let processes: std::collections::BTreeSet<Process> = events.iter().map(|event| event.process).collect();
    assert_eq!(processes.len(), begun, "a process whose operation is uncertain is never heard of again");
}

#[test]
fn written_values_are_unique_and_a_seed_repeats_them() {
    let asked = |seed| {
        let workload = workload::find("register").expect("a workload");
        let random = rand::SeedableRng::seed_from_u64(seed);
        let mut generator = workload.generator(7, workload::Part::Any, random);
        (0..200).map(|_| generator.next()).collect::<Vec<Ask>>()
    };
    let written: Vec<String> =
        asked(1).iter().filter(|ask| ask.f == "write").map(|ask| ask.value.to_string()).collect();
    let unique: std::collections::BTreeSet<&String> = written.iter().collect();
    assert!(unique.len() == written.len() && written.len() > 50);
    assert!(asked(1) == asked(1) && asked(1) != asked(2));
}
