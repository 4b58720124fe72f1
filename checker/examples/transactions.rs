//! Writes a history of transactions of a database in memory to standard output.
//!
//! `cargo run --release -p rafture-checker --example transactions -- append --operations 1000000 --clients 20 --keys 10
//! --writes-per-key 100 --steps 4 --crashes 0.01 --isolation snapshot --bug stale --seed 7`

use std::io::{BufWriter, Write};

#[path = "../tests/database/mod.rs"]
mod database;

use database::{Isolation, Shape, generated};

fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1));
    let number =
        |name: &str, default: f64| word(name).map_or(default, |word| word.parse().expect("a number"));
    let shape = Shape {
        lists: words.first().is_none_or(|word| word != "rw-register"),
        isolation: match word("--isolation").map(String::as_str) {
            Some("snapshot") => Isolation::Snapshot,
            Some("read-committed") => Isolation::ReadCommitted,
            _ => Isolation::Serializable,
        },
        clients: number("--clients", 20.0) as u64,
        transactions: number("--operations", 1000.0) as usize,
        keys: number("--keys", 10.0) as usize,
        writes_per_key: number("--writes-per-key", 100.0) as u64,
        steps_max: number("--steps", 4.0) as usize,
        crashes: number("--crashes", 0.0),
    };
    let mut made = generated(&shape, number("--seed", 1.0) as u64);
    match word("--bug").map(String::as_str) {
        Some("stale") => assert!(made.make_stale(0.9), "nothing was read"),
        Some("garbage") => assert!(made.make_garbage(0.9), "nothing was read"),
        _ => {}
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    for event in made.events() {
        serde_json::to_writer(&mut out, &event)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}
