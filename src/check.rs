//! `rafture check`: recorded histories, judged one by one.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use rafture_checker::ParseError;
use rafture_checker::history::{Reader, Recorded};
use rafture_checker::linearizability::{self, Limits};
use rafture_checker::models::ModelKind;
use rafture_checker::verdict::Verdict;
use serde_json::json;

use crate::duration::Span;
use crate::error::Error;

/// Check recorded histories
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// History files (`history.jsonl` of a run)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How the files are written
    #[arg(long, value_enum, default_value_t = Format::Auto)]
    format: Format,
    /// What they are held against: register, cas-register
    #[arg(long, default_value = "cas-register")]
    model: String,
    /// Give up after so long, a file
    #[arg(long, default_value = "60s")]
    time_limit: Span,
    /// Give up when the search remembers more than so many megabytes
    #[arg(long, default_value_t = 4096, value_name = "MB")]
    memory_limit: usize,
    /// Keys checked at the same time
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// One JSON object a file
    #[arg(long)]
    json: bool,
}

/// Ways to write a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Found by content
    Auto,
    /// One event a line, as runs write it
    Jsonl,
}

/// Checks each file; gives the worst verdict.
///
/// # Errors
/// At the first file that is no history.
pub fn check(arguments: &CheckArguments) -> Result<Verdict, Error> {
    let model: ModelKind = arguments.model.parse().map_err(Error::input)?;
    let mut verdicts = Vec::new();
    for file in &arguments.files {
        verdicts.push(check_file(file, model, arguments)?);
    }
    Ok(Verdict::worst(verdicts))
}

fn check_file(file: &Path, model: ModelKind, arguments: &CheckArguments) -> Result<Verdict, Error> {
    let start = Instant::now();
    let name = file.display();
    let recorded = read_history(file)?;
    for notice in &recorded.notices {
        eprintln!("rafture: {name}: {notice}");
    }
    let out_of_time = || start.elapsed() > arguments.time_limit.0;
    let limits = Limits {
        out_of_time: &out_of_time,
        memory_bytes: Some(arguments.memory_limit << 20),
        threads: arguments.threads,
        witness: false,
    };
    let outcome = linearizability::check(&recorded.history, model, &limits).map_err(|error| {
        let line = error.line.map_or_else(String::new, |line| format!("{line}:1:"));
        Error::Input(format!("{name}:{line} {error}"))
    })?;
    let seconds = start.elapsed().as_secs_f64();
    if arguments.json {
        let line = json!({
            "file": file,
            "verdict": outcome.verdict,
            "model": model.to_string(),
            "engine": outcome.engine,
            "operations": outcome.operations,
            "keys": outcome.keys,
            "seconds": seconds,
            "reason": outcome.reason,
            "failure": outcome.failure,
        });
        println!("{line}");
        return Ok(outcome.verdict);
    }
    println!(
        "{name}: {} ({} operations on {} keys, {model}, {}, {:.2?})",
        outcome.verdict,
        outcome.operations,
        outcome.keys,
        outcome.engine,
        Duration::from_secs_f64(seconds),
    );
    if let Some(reason) = &outcome.reason {
        println!("  {reason}");
    }
    if let Some(failure) = &outcome.failure {
        println!("  {}: {}", failure.anomaly, failure.sentence);
        for operation in &failure.operations {
            println!("{}", bar(operation));
        }
    }
    Ok(outcome.verdict)
}

/// How much of a file is read at once.
const PIECE_BYTES: usize = 1 << 20;

fn read_history(file: &Path) -> Result<Recorded, Error> {
    let name = file.display();
    let cannot = |error: std::io::Error| {
        Error::Input(format!("cannot read `{name}`: {error} (hint: give a history file)"))
    };
    let wrong = |error: ParseError| Error::Input(format!("{name}:{error}"));
    let mut source = File::open(file).map_err(cannot)?;
    let mut reader = Reader::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let length = source.read(&mut piece).map_err(cannot)?;
        if length == 0 {
            return reader.finish().map_err(wrong);
        }
        reader.feed(&piece[..length]).map_err(wrong)?;
    }
}

/// One operation of the evidence as a line.
fn bar(operation: &rafture_checker::failure::FailureOperation) -> String {
    let milliseconds = |nanoseconds: u64| format!("{:.3}", nanoseconds as f64 / 1e6);
    let end = operation.completed_ns.map_or("…".into(), milliseconds);
    let mark = if operation.culprit { "  <- no order explains this" } else { "" };
    format!(
        "    process {:<4} {:>12} .. {:>12} ms  {}{mark}",
        operation.process.to_string(),
        milliseconds(operation.invoked_ns),
        end,
        operation.label
    )
}
