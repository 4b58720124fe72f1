//! Makes a long valid history of registers with unique values and checks it; prints operations, seconds and peak
//! memory. `cargo run --release --example generate_and_check -- 1000000 5 10 7` (operations, keys, clients, seed).

use std::fmt::Write as _;
use std::time::Instant;

use rafture_checker::history::parse_jsonl;
use rafture_checker::linearizability::{Limits, check};
use rafture_checker::models::ModelKind;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).map(|word| word.parse().expect("a number")).collect();
    let [operations, keys, clients, seed] = numbers[..] else {
        panic!("arguments: operations, keys, clients, seed");
    };
    let text = generated(operations, keys, clients, seed);
    println!("text of {} MB; peak so far {}", text.len() / 1_000_000, peak());
    let start = Instant::now();
    let parsed = parse_jsonl(text.as_bytes()).expect("a history");
    println!("parsed {} events in {:.2} s", parsed.events.len(), start.elapsed().as_secs_f64());
    drop(text);
    let start = Instant::now();
    let operations = parsed.operations().expect("operations");
    println!("paired {} operations in {:.2} s", operations.len(), start.elapsed().as_secs_f64());
    drop(parsed);
    let start = Instant::now();
    let outcome = check(&operations, ModelKind::Register, &Limits::NONE).expect("the shape");
    println!("{} in {:.2} s; peak {}", outcome.verdict, start.elapsed().as_secs_f64(), peak());
}

fn generated(operations: u64, keys: u64, clients: u64, seed: u64) -> String {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut idle: Vec<(u64, u64)> = (0..clients).map(|id| (random.random_range(1..1000), id)).collect();
    let mut moments = Vec::new();
    let mut deeds = Vec::new();
    for number in 0..operations {
        let client = (0..idle.len()).min_by_key(|&at| idle[at]).expect("a client");
        let (invoked, process) = idle[client];
        let latency = 2 + random.random_range(0..1000);
        let effect = invoked + 1 + random.random_range(0..latency - 1);
        let (key, is_read) = (random.random_range(0..keys), random.random_bool(0.5));
        moments.extend([(invoked, 0, number), (effect, 1, number), (invoked + latency, 2, number)]);
        deeds.push((process, key, is_read, number + 1));
        idle[client].0 += latency + 1 + random.random_range(0..100);
    }
    moments.sort_unstable();
    let mut state = vec![None; keys as usize];
    let mut text = String::new();
    for (index, (time, kind, number)) in moments.into_iter().enumerate() {
        let (process, key, is_read, value) = &mut deeds[number as usize];
        if kind == 1 {
            match is_read {
                true => *value = state[*key as usize].unwrap_or(0),
                false => state[*key as usize] = Some(*value),
            }
            continue;
        }
        let (kind, f) = (["invoke", "", "ok"][kind], if *is_read { "read" } else { "write" });
        let known =
            if *is_read && (kind == "invoke" || *value == 0) { "null".to_owned() } else { value.to_string() };
        writeln!(
            text,
            r#"{{"index":{index},"time":{time},"process":{process},"type":"{kind}","f":"{f}","key":"k{key}","value":{known}}}"#
        )
        .expect("a string takes it");
    }
    text
}

fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or("unknown".to_owned(), |size| size.trim().to_owned())
}
