//! `rafture history`: history files, shown, converted and verified.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use rafture_checker::history::{EventKind, History, Operation, Outcome};
use rafture_checker::verdict::Verdict;
use rafture_checker::{statistics, witness};
use serde_json::{Value, json};

use crate::error::Error;
use crate::{history_file, witness_file};

/// Show, convert and verify history files
#[derive(Debug, Args)]
pub struct HistoryArguments {
    #[command(subcommand)]
    command: HistoryCommand,
}

#[derive(Debug, Subcommand)]
enum HistoryCommand {
    /// What is in a history: operations by kind and outcome
    Show {
        /// A history file in any format
        file: PathBuf,
    },
    /// Write a history in another format to standard output
    Convert {
        /// A history file in any format
        file: PathBuf,
        /// The format to write
        #[arg(long, value_enum, default_value_t = Target::Jsonl)]
        to: Target,
    },
    /// Hold the witness of a valid history against it
    Verify {
        /// A history file in any format
        file: PathBuf,
        /// What `rafture check --witness` wrote
        witness: PathBuf,
    },
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
/// When a file is no history, or standard output cannot be written.
pub fn history(arguments: &HistoryArguments) -> Result<Verdict, Error> {
    match &arguments.command {
        HistoryCommand::Show { file } => show(&history_file::read(file, None)?.history),
        HistoryCommand::Convert { file, to } => convert(&history_file::read(file, None)?.history, *to),
        HistoryCommand::Verify { file, witness: path } => {
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
    }
}

fn show(history: &History) -> Result<Verdict, Error> {
    println!("{:<12} {:>10} {:>10} {:>10} {:>10}", "", "invoked", "ok", "fail", "info");
    for (f, counts) in statistics::counts(history) {
        println!("{f:<12} {:>10} {:>10} {:>10} {:>10}", counts.invoked, counts.ok, counts.fail, counts.info);
    }
    Ok(Verdict::Valid)
}

/// Events of all operations, in the order in which they were recorded.
fn convert(history: &History, to: Target) -> Result<Verdict, Error> {
    let mut events: Vec<(u32, &Operation, bool)> = Vec::with_capacity(2 * history.operations.len());
    for operation in &history.operations {
        events.push((operation.invoked_at, operation, false));
        events.extend(operation.completed_at().map(|at| (at, operation, true)));
    }
    events.sort_unstable_by_key(|&(at, ..)| at);
    let mut out = BufWriter::new(std::io::stdout().lock());
    let cannot = |error: std::io::Error| Error::Harness(format!("cannot write the history: {error}"));
    for ((_, operation, is_end), index) in events.into_iter().zip(0..) {
        let event = event(history, operation, is_end, index);
        match to {
            Target::Jsonl => writeln!(out, "{event}"),
            Target::Edn => writeln!(out, "{}", edn_event(&event)),
        }
        .map_err(cannot)?;
    }
    out.flush().map_err(cannot)?;
    Ok(Verdict::Valid)
}

fn event(history: &History, operation: &Operation, is_end: bool, index: u64) -> Value {
    let (time, kind) = match (is_end, operation.outcome) {
        (false, _) => (operation.invoked_ns, EventKind::Invoke),
        (true, Outcome::Ok) => (operation.completed_ns().unwrap_or_default(), EventKind::Ok),
        (true, Outcome::Fail) => (operation.completed_ns().unwrap_or_default(), EventKind::Fail),
        (true, Outcome::Info) => (operation.completed_ns().unwrap_or_default(), EventKind::Info),
    };
    let value = if kind == EventKind::Ok { operation.result } else { operation.argument };
    let mut event = json!({
        "index": index,
        "time": time,
        "process": operation.process,
        "type": kind,
        "f": history.f(operation),
        "value": history.values.to_json(value),
    });
    if let Some(key) = history.key(operation) {
        event["key"] = key;
    }
    if let Some(node) = history.node(operation) {
        event["node"] = node.into();
    }
    event
}

/// What a machine calls by its name is a keyword: types, kinds of operations, and the first word of a micro-operation.
fn edn_event(event: &Value) -> String {
    let fields = event.as_object().expect("an event is an object").iter().map(|(name, value)| {
        let value = match (name.as_str(), value) {
            ("type" | "f", Value::String(word)) => format!(":{word}"),
            _ => edn(value, event["f"] == "txn"),
        };
        format!(":{name} {value}")
    });
    format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
}

fn edn(value: &Value, is_transaction: bool) -> String {
    let joined = |items: Vec<String>| items.join(" ");
    match value {
        Value::Null => "nil".to_owned(),
        Value::Array(items) => match &items[..] {
            [Value::String(word), key, value] if is_transaction => {
                format!("[:{word} {} {}]", edn(key, false), edn(value, false))
            }
            items => format!("[{}]", joined(items.iter().map(|item| edn(item, is_transaction)).collect())),
        },
        Value::Object(pairs) => {
            let pairs =
                pairs.iter().map(|(key, value)| format!("{} {}", Value::from(&**key), edn(value, false)));
            format!("{{{}}}", joined(pairs.collect()))
        }
        other => other.to_string(),
    }
}
