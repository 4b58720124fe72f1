//! Makes up a store of many runs, serves it, and measures what its pages cost at the server.
//!
//! `cargo run --release -p rafture-reports --example many_runs -- OUT 10000`
//!
//! Nothing in it is a measurement of a real system. A level of recovery that is 30 % higher from the 20th commit on is there for the
//! trends to find.

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use rafture_reports::store::UtcTime;
use rafture_reports::web::{self, Settings};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

const SYSTEMS: [&str; 2] = ["rafture", "etcd"];
const WORKLOADS: [&str; 2] = ["register", "cas-register"];
const FAULTS: [&[&str]; 3] = [&["kill"], &["kill", "pause"], &["kill", "partition", "pause"]];
const COMMITS: u64 = 40;
const REQUESTS: usize = 200;
/// 2026-07-01.
const START_S: u64 = 1_782_864_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [out, count] = &arguments[..] else { return Err("usage: many_runs OUT COUNT".into()) };
    let (out, count) = (Path::new(out), count.parse()?);
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for number in 0..count {
        write_run(out, number, count, &mut random)?;
    }
    let settings =
        Settings { store: out.to_path_buf(), listen: SocketAddr::from(([127, 0, 0, 1], 0)), token: None };
    let (tell, told) = std::sync::mpsc::channel();
    let began = Instant::now();
    std::thread::spawn(move || {
        let served = web::serve(
            &settings,
            |address| tell.send(address).expect("somebody waits"),
            std::future::pending(),
        );
        served.expect("the store is served");
    });
    let address = told.recv()?;
    println!("{count} runs, indexed in {:.1} s", began.elapsed().as_secs_f64());
    let folder = fs::read_dir(out.join("rafture-register"))?.next().ok_or("no run")??;
    let run = format!("/run/rafture-register/{}/", folder.file_name().to_string_lossy());
    for (name, path) in [
        ("list", "/"),
        ("filtered list", "/?system=rafture&fault=kill&verdict=valid&from=2026-07-10"),
        ("last page", "/?page=100"),
        ("trends", "/trends"),
        ("run", &run),
    ] {
        measure(name, path, address)?;
    }
    Ok(())
}

fn measure(name: &str, path: &str, address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let mut times: Vec<Duration> = Vec::new();
    let mut length = 0;
    for _ in 0..REQUESTS {
        let began = Instant::now();
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        times.push(began.elapsed());
        if !answer.starts_with(b"HTTP/1.1 200 ") {
            return Err(
                format!("{path}: {}", String::from_utf8_lossy(&answer[..answer.len().min(200)])).into()
            );
        }
        length = answer.len();
    }
    times.sort();
    let ms = |part: usize| times[(REQUESTS * part / 100).min(REQUESTS - 1)].as_secs_f64() * 1e3;
    println!("{name:<14} p50 {:6.2} ms  p99 {:6.2} ms  {:4} kB", ms(50), ms(99), length / 1000);
    Ok(())
}

fn write_run(out: &Path, number: u64, count: u64, random: &mut ChaCha8Rng) -> Result<(), Box<dyn Error>> {
    let started = UtcTime::from_seconds(START_S + number * 600);
    let commit = number * COMMITS / count;
    let results = results(number, commit, started, random);
    let name = results["name"].as_str().ok_or("a name")?;
    let folder = out.join(name).join(results["run"].as_str().ok_or("a run")?);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("plan.json"), serde_json::to_vec_pretty(&json!({"command": results["command"]}))?)?;
    fs::write(folder.join("results.json"), serde_json::to_vec_pretty(&results)?)?;
    Ok(())
}

fn results(number: u64, commit: u64, started: UtcTime, random: &mut ChaCha8Rng) -> Value {
    let mut pick = |count: usize| random.random_range(0..count);
    let (system, workload, faults) = (SYSTEMS[pick(2)], WORKLOADS[pick(2)], FAULTS[pick(3)]);
    let verdict = match pick(200) {
        0 => "invalid",
        1 | 2 => "vacuous",
        3 => "unknown",
        _ => "valid",
    };
    let mut around = |value: f64| value * (0.9 + 0.2 * random.random::<f64>());
    let level = if commit >= 20 { 1.3 } else { 1.0 };
    let outage = json!({"count": 6, "p50_ms": around(190.0 * level), "p99_ms": around(600.0), "max_ms": around(650.0)});
    let by_fault: Value = faults.iter().map(|kind| ((*kind).to_owned(), outage.clone())).collect();
    let counts: Value = faults
        .iter()
        .map(|kind| ((*kind).to_owned(), json!({"planned": 2, "applied": 2, "proven": 2})))
        .collect();
    let each: Vec<Value> = (0..6).map(|id| json!({"id": id, "kind": "kill", "label": "kill@leader", "detail": "kill -9 n1",
        "applied_ns": id * 4_000_000_000u64, "undone_ns": null, "outage_ms": 190.0, "outage_began_ns": 0, "outage_ended_ns": 1,
        "recovered": true, "after_heal_ms": null, "new_leader_ms": null})).collect();
    let latency =
        |p50: f64| json!({"p50_ms": p50, "p99_ms": p50 * 5.0, "p999_ms": p50 * 12.0, "max_ms": p50 * 100.0});
    let operations = json!({"invoked": 60_000, "ok": 59_000, "fail": 600, "info": 400});
    let mut recovery = outage;
    recovery["by_fault"] = by_fault;
    recovery["each"] = json!(each);
    json!({
        "verdict": verdict, "name": format!("{system}-{workload}"), "run": format!("{}-{number}", started.compact()),
        "system": system, "workload": workload, "nodes": 5, "network": "netns: root", "seed": number,
        "command": format!("rafture run --system {system} --workload {workload} --faults {} --seed {number}", faults.join(",")),
        "labels": {"commit": format!("{:09x}", 0x4f2a_9c1d_u64 * (commit + 1) % 0xf_ffff_ffff), "campaign": "nightly"},
        "started_at": started.to_string(), "time_limit_s": 30.0, "seconds": 35.0, "throughput": around(4_000.0),
        "checkers": {"linearizability": {"verdict": verdict}}, "faults": counts, "recovery": recovery,
        "latency": {"read": latency(around(1.3)), "write": latency(around(1.6))},
        "operations": {"read": operations, "write": operations},
    })
}
