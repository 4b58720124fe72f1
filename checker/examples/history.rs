//! Writes a history that is linearizable by construction, or nearly, to standard output.
//!
//! `cargo run --release -p rafture-checker --example history -- cas-register --clients 10 --operations 100000 --values 5 --crashes 0.01
//! --keys 1 --seed 7 --bug stale`
//!
//! Bugs of registers are `stale` and `phantom`; of collections and counters `lost`, `duplicated`, `reordered` and `empty`.

use std::io::{BufWriter, Write};

#[path = "../tests/generator/mod.rs"]
mod generator;

use generator::bugs::Bug;
use generator::{Shape, generated};
use rafture_checker::models::ModelKind;

fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let model = words.first().and_then(|word| word.parse().ok()).unwrap_or(ModelKind::Register);
    let word = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1));
    let number =
        |name: &str, default: f64| word(name).map_or(default, |word| word.parse().expect("a number"));
    let shape = Shape {
        model,
        clients: number("--clients", 10.0) as u64,
        operations: number("--operations", 1000.0) as usize,
        values: number("--values", 0.0) as u64,
        crashes: number("--crashes", 0.0),
        keys: number("--keys", 1.0) as u64,
    };
    let mut made = generated(&shape, number("--seed", 1.0) as u64);
    match word("--bug").map(String::as_str) {
        Some("stale") => assert!(made.make_stale(0.9), "nothing was overwritten"),
        Some("phantom") => made.make_phantom(0.9),
        Some(name) => {
            let known = Bug::ALL.into_iter().find(|(known, _)| *known == name);
            made.plant(known.expect("stale, phantom, lost, duplicated, reordered or empty").1, 0.9);
        }
        None => {}
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    for (moment, index) in made.moments.iter().zip(0..) {
        serde_json::to_writer(&mut out, &made.event(moment, index))?;
        out.write_all(b"\n")?;
    }
    out.flush()
}
