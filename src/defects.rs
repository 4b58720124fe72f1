//! `rafture defects`: the planted bugs, and how soon each is caught under which faults.
//!
//! What a mix of faults is worth is measured, not believed: every planted bug is run under every mix with the same seeds.

use std::path::PathBuf;

use clap::Args;
use rafture_checker::verdict::Verdict;
use rafture_nemesis::hosts;
use rafture_node::rules::Defect;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::duration::Span;
use crate::error::Error;
use crate::run::{self, Plan, RunArguments};

/// List the planted bugs of the built-in node; measure how soon each is caught
#[derive(Debug, Args)]
pub struct DefectsArguments {
    /// Run every bug under every mix of faults
    #[arg(long)]
    measure: bool,
    /// Faults to measure with, as behind `run --faults`; may be given several times
    #[arg(long = "mix", value_name = "FAULTS", requires = "measure", default_value = "kill,pause,partition")]
    mixes: Vec<String>,
    /// Only these bugs
    #[arg(long, value_delimiter = ',', value_name = "ID", requires = "measure")]
    only: Vec<Defect>,
    /// Seeds from 1 on, each of which is one run
    #[arg(long, default_value_t = 3, requires = "measure")]
    seeds: u64,
    /// How long a run looks for a bug at most
    #[arg(long, default_value = "30s", requires = "measure")]
    time_limit: Span,
    /// Mean time between faults
    #[arg(long, default_value = "1s", requires = "measure")]
    interval: Span,
    /// Operations per second; without it, each client asks when it was answered
    #[arg(long, value_name = "PER SECOND", requires = "measure")]
    rate: Option<f64>,
    /// Folder of the runs
    #[arg(long, default_value = "runs", requires = "measure")]
    store: PathBuf,
    /// Print one JSON object on one line instead of a table
    #[arg(long)]
    json: bool,
}

/// What became of one bug under one mix.
struct Cell {
    defect: Defect,
    /// Seconds from the start of a run to its verdict, of those that found the bug.
    found_s: Vec<f64>,
    runs: u64,
}

/// Lists or measures.
///
/// # Errors
/// When a mix cannot be followed, or a run cannot be made.
pub fn defects(
    arguments: &DefectsArguments,
    stop: impl FnOnce() -> Result<watch::Receiver<bool>, Error>,
) -> Result<Verdict, Error> {
    if !arguments.measure {
        list(arguments.json);
        return Ok(Verdict::Valid);
    }
    // Before there is any thread. Where it is not allowed, opening hosts will find other ways, or say so.
    let _ = hosts::seek_privilege(hosts::NetworkChoice::Auto);
    let stop = stop()?;
    let defects = if arguments.only.is_empty() { Defect::ALL.to_vec() } else { arguments.only.clone() };
    // All of them are looked at before anything starts.
    for mix in &arguments.mixes {
        defects.iter().try_for_each(|&defect| plan(arguments, mix, defect, 1).map(drop))?;
    }
    let mut rows = Vec::new();
    for mix in &arguments.mixes {
        let cells = defects.iter().map(|&defect| measure(arguments, mix, defect, &stop));
        rows.push((mix.as_str(), cells.collect::<Result<Vec<Cell>, Error>>()?));
    }
    show(arguments, &rows);
    Ok(Verdict::Valid)
}

fn list(json: bool) {
    if json {
        let defects: Vec<Value> = Defect::ALL
            .iter()
            .map(|defect| json!({ "id": defect.id(), "change": defect.change() }))
            .collect();
        println!("{}", json!({ "defects": defects }));
        return;
    }
    for defect in Defect::ALL {
        println!("{:<14} {}", defect.id(), defect.change());
    }
    println!("\nfind one: rafture run --defect {} --time-limit 60s", Defect::ALL[0]);
}

fn plan(arguments: &DefectsArguments, mix: &str, defect: Defect, seed: u64) -> Result<Plan, Error> {
    Plan::new(&RunArguments {
        faults: Some(mix.into()),
        defect: Some(defect.id().into()),
        seed: Some(seed),
        time_limit: Some(arguments.time_limit),
        interval: arguments.interval,
        rate: arguments.rate,
        store: arguments.store.clone(),
        name: Some("defects".into()),
        ..RunArguments::default()
    })
}

fn measure(
    arguments: &DefectsArguments,
    mix: &str,
    defect: Defect,
    stop: &watch::Receiver<bool>,
) -> Result<Cell, Error> {
    let mut cell = Cell { defect, found_s: Vec::new(), runs: 0 };
    for seed in 1..=arguments.seeds {
        if *stop.borrow() {
            break;
        }
        let plan = plan(arguments, mix, defect, seed)?;
        let rafture = std::env::current_exe().map_err(Error::harness)?;
        let results = run::run(&plan, rafture, stop.clone())?.results;
        if results.verdict == Verdict::Invalid {
            cell.found_s.push(results.seconds);
        }
        cell.runs += 1;
        eprintln!("{mix}: {defect} with seed {seed}: {} after {:.1} s", results.verdict, results.seconds);
    }
    Ok(cell)
}

/// The value in the middle, the upper of two.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn show(arguments: &DefectsArguments, rows: &[(&str, Vec<Cell>)]) {
    let sum = |cells: &[Cell]| -> (usize, u64) {
        (cells.iter().map(|cell| cell.found_s.len()).sum(), cells.iter().map(|cell| cell.runs).sum())
    };
    let all = |cells: &[Cell]| median(cells.iter().flat_map(|cell| cell.found_s.clone()).collect());
    if arguments.json {
        let cell = |cell: &Cell| json!({ "id": cell.defect.id(), "found": cell.found_s.len(), "runs": cell.runs, "median_s": median(cell.found_s.clone()) });
        let row = |(mix, cells): &(&str, Vec<Cell>)| {
            let (found, runs) = sum(cells);
            let defects: Vec<Value> = cells.iter().map(cell).collect();
            json!({ "faults": mix, "found": found, "runs": runs, "median_s": all(cells), "defects": defects })
        };
        println!("{}", json!({ "mixes": rows.iter().map(row).collect::<Vec<Value>>() }));
        return;
    }
    for (mix, cells) in rows {
        let (found, runs) = sum(cells);
        let words = |seconds: Option<f64>| seconds.map_or("–".into(), |seconds| format!("{seconds:.1} s"));
        println!("{mix}: {found} of {runs} found, {} in the middle", words(all(cells)));
        for cell in cells {
            let (found, middle) = (cell.found_s.len(), words(median(cell.found_s.clone())));
            println!("  {:<14} {found} of {}  {middle}", cell.defect.id(), cell.runs);
        }
    }
}
