//! `rafture history`: history files, shown, converted, cut and verified.

mod cut;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use rafture_checker::history::{Process, Recorded, Taped};
use rafture_checker::models::ModelKind;
use rafture_checker::verdict::Verdict;
use rafture_checker::{statistics, witness};

use crate::error::Error;
use crate::{history_file, witness_file};

/// Show, convert, cut and verify history files
#[derive(Debug, Args)]
pub struct HistoryArguments {
    #[command(subcommand)]
    command: HistoryCommand,
}

#[derive(Debug, Subcommand)]
enum HistoryCommand {
    /// What is in a history: format, model, keys, processes, and operations by kind and outcome
    Show {
        /// A history file in any format
        file: PathBuf,
    },
    /// Write a history in another format
    Convert {
        /// A history file in any format
        file: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Write a part of a history that is a history again
    Cut {
        /// A history file in any format
        file: PathBuf,
        #[command(flatten)]
        part: cut::Part,
        #[command(flatten)]
        output: Output,
    },
    /// Hold the witness of a valid history against it
    Verify {
        /// A history file in any format
        file: PathBuf,
        /// What `rafture check --witness` wrote
        witness: PathBuf,
    },
}

/// Where to write, and how.
#[derive(Debug, Args)]
struct Output {
    /// The format to write
    #[arg(long, value_enum, default_value_t = Target::Jsonl)]
    to: Target,
    /// The file to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Formats that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    /// One JSON event a line, as runs write it
    Jsonl,
    /// Jepsen's maps, one a line
    Edn,
}

/// Does what the arguments say.
///
/// # Errors
/// When a file is no history, or the output cannot be written.
pub fn history(arguments: &HistoryArguments) -> Result<Verdict, Error> {
    match &arguments.command {
        HistoryCommand::Show { file } => show(&read(file)?),
        HistoryCommand::Convert { file, output } => {
            let recorded = read(file)?;
            write(&recorded, &recorded.tape, output)
        }
        HistoryCommand::Cut { file, part, output } => {
            let recorded = read(file)?;
            let tape = cut::cut(&recorded, part)?;
            write(&recorded, &tape, output)
        }
        HistoryCommand::Verify { file, witness } => verify(file, witness),
    }
}

/// Reads a history with all its events, and says what a reader should know.
fn read(file: &Path) -> Result<Recorded, Error> {
    let recorded = history_file::read_tape(file)?;
    for notice in &recorded.notices {
        eprintln!("rafture: {}: {notice}", file.display());
    }
    Ok(recorded)
}

fn verify(file: &Path, path: &Path) -> Result<Verdict, Error> {
    let history = history_file::read(file, None)?.history;
    let claimed = witness_file::read(path, &history)?;
    let of = (claimed.model, &claimed.initial);
    match witness::verify(&history, of, &claimed.orders) {
        Ok(()) => {
            println!("valid: the witness explains all {} operations", history.operations.len());
            Ok(Verdict::Valid)
        }
        Err(why) => {
            println!("the witness does not explain the history: {why}");
            Ok(Verdict::Unknown)
        }
    }
}

fn show(recorded: &Recorded) -> Result<Verdict, Error> {
    let Recorded { history, tape, format, .. } = recorded;
    let mut keys: Vec<_> = history.operations.iter().map(|operation| operation.key).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut processes: Vec<u64> = history.operations.iter().map(|operation| operation.process).collect();
    processes.sort_unstable();
    processes.dedup();
    let times = || tape.iter().map(|event| event.time);
    let duration_ns = times().max().unwrap_or_default() - times().min().unwrap_or_default();
    let faults = tape.iter().filter(|event| event.process == Process::Nemesis).count();
    println!("format     {format}");
    println!(
        "model      {}",
        ModelKind::of(history).map_or("none that is known".into(), |kind| kind.to_string())
    );
    println!("operations {}", history.operations.len());
    println!("events     {}, {faults} of the nemesis", history.events());
    println!("keys       {}", keys.len());
    println!("processes  {}", processes.len());
    println!("duration   {:.3} s", duration_ns as f64 / 1e9);
    println!();
    let counts = statistics::counts(history);
    let width = counts.keys().map(String::len).max().unwrap_or_default().max(12);
    println!("{:<width$} {:>10} {:>10} {:>10} {:>10}", "", "invoked", "ok", "fail", "info");
    for (f, counts) in counts {
        println!(
            "{f:<width$} {:>10} {:>10} {:>10} {:>10}",
            counts.invoked, counts.ok, counts.fail, counts.info
        );
    }
    Ok(Verdict::Valid)
}

fn write(recorded: &Recorded, tape: &[Taped], output: &Output) -> Result<Verdict, Error> {
    if !recorded.history.is_timed() {
        let message = "the history has no times, and every format that can be written claims some";
        return Err(Error::Input(format!("{message} (hint: check it as it is)")));
    }
    let name = output.output.as_ref().map_or("standard output".into(), |path| path.display().to_string());
    let cannot = |error: std::io::Error| {
        Error::Harness(format!(
            "cannot write `{name}`: {error} (hint: is there room, and may you write there?)"
        ))
    };
    let out: Box<dyn Write> = match &output.output {
        Some(path) => Box::new(File::create(path).map_err(cannot)?),
        None => Box::new(std::io::stdout().lock()),
    };
    let mut out = BufWriter::new(out);
    let values = &recorded.history.values;
    for (event, index) in tape.iter().zip(0..) {
        let line = match output.to {
            Target::Jsonl => event.to_jsonl(values, index),
            Target::Edn => event.to_edn(values, index),
        };
        match writeln!(out, "{line}") {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(Verdict::Valid),
            written => written.map_err(cannot)?,
        }
    }
    out.flush().map_err(cannot)?;
    Ok(Verdict::Valid)
}
