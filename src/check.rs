//! `rafture check`: recorded histories, judged one by one, each within its budget.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rafture_checker::check::{self, Limits, Outcome};
use rafture_checker::consistency::Consistency;
use rafture_checker::history::{Datum, Format, History, Recorded};
use rafture_checker::models::ModelKind;
use rafture_checker::verdict::Verdict;
use rafture_reports::text_drawing::{drawing, plain};
use rafture_reports::{Counterexample, counterexample_html};
use serde_json::json;

use crate::budget::Budget;
use crate::duration::Span;
use crate::error::Error;
use crate::history_file::{self, Reading, Within};
use crate::screen::screen;
use crate::witness_file;

/// Check recorded histories
#[derive(Debug, Clone, Args)]
pub struct CheckArguments {
    /// History files, also packed with gzip or zstd, or folders with a report of etcd's robustness tests
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How the files are written: auto (by content), jsonl, edn, json-array, jepsen-log, porcupine-kv, collection-log,
    /// awdit, etcd-report
    #[arg(long, default_value = "auto")]
    format: String,
    /// What they are held against: auto (by the names of operations), register, cas-register, kv, multi-register, mutex,
    /// semaphore:N, counter, set, queue, stack, list, etcd; of transactions append, rw-register, bank, bank-overdraft, long-fork
    #[arg(long, default_value = "auto")]
    model: String,
    /// What is asked for [default: the strongest there is for the model; causal where a file has no times]: linearizable, sequential, causal, read-your-writes,
    /// monotonic-reads; of transactions strict-serializable, strong-session-serializable, serializable, strong-snapshot-isolation,
    /// strong-session-snapshot-isolation, snapshot-isolation, read-atomic, read-committed, read-uncommitted, causal
    #[arg(long)]
    consistency: Option<Consistency>,
    /// What registers hold at first, as JSON [default: null; in files that do not come from rafture null or 0]
    #[arg(long)]
    initial: Option<String>,
    /// Give up after so long, a file
    #[arg(long, default_value = "60s")]
    time_limit: Span,
    /// Give up when the history and the check of it take more than so many megabytes, a file
    #[arg(long, default_value_t = 4096, value_name = "MB")]
    memory_limit: usize,
    /// Keys checked at the same time
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Write the order that explains a valid history, for `rafture history verify`
    #[arg(long, value_name = "FILE")]
    witness: Option<PathBuf>,
    /// Write a page that shows why a history is invalid, or just the history and its verdict: one file, no network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// One JSON object a file
    #[arg(long)]
    json: bool,
}

/// Checks each file; gives the worst verdict.
///
/// # Errors
/// At the first file that is no history.
pub fn check(arguments: &CheckArguments) -> Result<Verdict, Error> {
    let outputs = [("--witness", &arguments.witness), ("--html", &arguments.html)];
    if arguments.files.len() > 1
        && let Some((flag, _)) = outputs.iter().find(|(_, file)| file.is_some())
    {
        return Err(Error::Input(format!(
            "`{flag}` takes one history at a time (hint: check the files one by one)"
        )));
    }
    let question = Question::of(arguments)?;
    let mut verdicts = Vec::new();
    for (number, file) in (1..).zip(&arguments.files) {
        let is_last = number == arguments.files.len();
        verdicts.push(check_file(file, &question, arguments, is_last)?);
    }
    Ok(Verdict::worst(verdicts))
}

/// What is asked of every file.
#[derive(Clone)]
struct Question {
    /// `None`: found by content.
    format: Option<Format>,
    /// `None`: found by names.
    model: Option<ModelKind>,
    /// `None`: whatever the format makes likely.
    initial: Option<serde_json::Value>,
}

impl Question {
    fn of(arguments: &CheckArguments) -> Result<Question, Error> {
        let is_given = |text: &&String| *text != "auto";
        let format = Some(&arguments.format).filter(is_given).map(|name| name.parse().map_err(Error::Input));
        let model = Some(&arguments.model).filter(is_given).map(|name| name.parse().map_err(Error::input));
        let initial = arguments.initial.as_ref().map(|text| {
            serde_json::from_str(text).map_err(|error| {
                Error::Input(format!("`--initial` is no JSON: {error} (hint: `--initial 0`)"))
            })
        });
        Ok(Question { format: format.transpose()?, model: model.transpose()?, initial: initial.transpose()? })
    }

    /// The model of a history.
    fn model(&self, name: &Path, history: &History) -> Result<ModelKind, Error> {
        self.model.or_else(|| ModelKind::of(history)).ok_or_else(|| {
            let names: Vec<&str> = history.names().map(|(_, name)| name).collect();
            let (file, names) = (name.display(), names.join("`, `"));
            Error::Input(format!(
                "{file}: no model has the operations `{names}` (hint: `--model` names them)"
            ))
        })
    }

    /// What registers may have held at first.
    fn initials(&self, recorded: &mut Recorded) -> Vec<Datum> {
        match (&self.initial, recorded.format) {
            (Some(value), _) => vec![recorded.history.values.take(value)],
            (None, Format::Jsonl | Format::Awdit) => vec![Datum::NULL],
            (None, _) => vec![Datum::NULL, Datum::integer(0).expect("a small integer")],
        }
    }
}

/// What came of a file.
enum Checked {
    /// It takes more than it may to read it: why, and how many operations were read.
    Unread { reason: String, operations: usize },
    /// All of it was read and checked.
    Whole(Box<Answer>),
}

/// A history, and what is known of it.
struct Answer {
    recorded: Recorded,
    model: ModelKind,
    consistency: Consistency,
    /// What registers held at first.
    initial: Datum,
    outcome: Outcome,
}

fn check_file(
    file: &Path,
    question: &Question,
    arguments: &CheckArguments,
    is_last: bool,
) -> Result<Verdict, Error> {
    let budget = Arc::new(Budget::new(arguments.time_limit.0, memory_bytes(arguments)));
    let (path, question, copied) = (file.to_owned(), question.clone(), arguments.clone());
    match budget.spend(move |budget| answer(&path, &question, &copied, budget)) {
        Ok(Ok(Checked::Whole(mut answer))) => {
            answer.outcome.reason = answer.outcome.reason.map(|reason| budget.put_right(&reason));
            tell(file, &answer, arguments, budget.elapsed())
        }
        Ok(Ok(Checked::Unread { reason, operations })) => {
            say_unread(file, &budget.put_right(&reason), operations, arguments.json);
            Ok(Verdict::Unknown)
        }
        Ok(Err(error)) => Err(error),
        Err(left) => {
            say_unread(file, &left.reason, left.operations, arguments.json);
            if !is_last {
                // It would take time and memory from the next file. How it ends matters to nobody.
                let _ = left.thread.join();
            }
            Ok(Verdict::Unknown)
        }
    }
}

fn memory_bytes(arguments: &CheckArguments) -> usize {
    arguments.memory_limit.saturating_mul(1 << 20)
}

/// Reads and checks.
fn answer(
    file: &Path,
    question: &Question,
    arguments: &CheckArguments,
    budget: &Budget,
) -> Result<Checked, Error> {
    let name = file.display();
    let out_of_time = || budget.is_spent();
    let memory_bytes = memory_bytes(arguments);
    let goes_on = |operations| {
        budget.note_reading(operations);
        !budget.is_spent()
    };
    let within = Within { memory_bytes, goes_on: &goes_on };
    let mut recorded = match history_file::read_within(file, question.format, &within)? {
        Reading::Whole(recorded) => *recorded,
        Reading::Stopped { reason, operations } => return Ok(Checked::Unread { reason, operations }),
    };
    budget.note_read(recorded.history.operations.len());
    for notice in &recorded.notices {
        eprintln!("rafture: {name}: {notice}");
    }
    let initials = question.initials(&mut recorded);
    let history = &recorded.history;
    if history.operations.is_empty() {
        eprintln!("rafture: {name}: no client did anything, so nothing is proven");
    }
    let model = question.model(file, history)?;
    let consistency = arguments.consistency.unwrap_or_else(|| match history.is_timed() {
        true => Consistency::strongest(model),
        false => Consistency::Causal,
    });
    if arguments.witness.is_some() && consistency != Consistency::Linearizable {
        let hint = "`--consistency linearizable`";
        return Err(Error::Input(format!("there is no witness of `{consistency}` (hint: {hint})")));
    }
    let limits = Limits {
        out_of_time: &out_of_time,
        memory_bytes: Some(memory_bytes.saturating_sub(history.memory_bytes())),
        threads: arguments.threads,
        witness: arguments.witness.is_some(),
    };
    let check = |initial| {
        check::check(history, &check::Question { model, consistency, initial }, &limits).map_err(|error| {
            let line = error.line.map_or_else(String::new, |line| format!("{line}:1:"));
            Error::Input(format!("{name}:{line} {error}"))
        })
    };
    let mut outcome = check(initials[0])?;
    let mut initial = initials[0];
    for &other in &initials[1..] {
        if outcome.verdict == Verdict::Invalid {
            let second = check(other)?;
            if second.verdict == Verdict::Valid {
                (outcome, initial) = (second, other);
            }
        }
    }
    Ok(Checked::Whole(Box::new(Answer { recorded, model, consistency, initial, outcome })))
}

/// Writes what was asked for, and says what is known.
fn tell(
    file: &Path,
    answer: &Answer,
    arguments: &CheckArguments,
    elapsed: Duration,
) -> Result<Verdict, Error> {
    let Answer { recorded, model, consistency, initial, outcome } = answer;
    let (name, history) = (file.display(), &recorded.history);
    if let Some(path) = &arguments.witness
        && outcome.verdict == Verdict::Valid
    {
        if model.is_transactional() && outcome.witness.is_empty() {
            return Err(Error::Input(format!(
                "{name}: valid, but no order in real time was found that explains all of it (hint: leave `--witness` out)"
            )));
        }
        witness_file::write(path, history, (*model, &history.values.to_json(*initial)), &outcome.witness)?;
    }
    let seconds = elapsed.as_secs_f64();
    if let Some(path) = &arguments.html {
        write_page(path, file, history, outcome)?;
    }
    if arguments.json {
        let line = json!({
            "file": file,
            "verdict": outcome.verdict,
            "model": model.to_string(),
            "consistency": outcome.consistency,
            "engine": outcome.engine,
            "format": recorded.format.to_string(),
            "operations": outcome.operations,
            "keys": outcome.keys,
            "seconds": seconds,
            "reason": outcome.reason,
            "anomalies": outcome.anomalies,
            "holds": outcome.holds,
            "failure": outcome.failure,
        });
        println!("{line}");
        return Ok(outcome.verdict);
    }
    println!(
        "{name}: {} ({} operations on {} keys, {model}, {consistency}, {}, {:.2?})",
        outcome.verdict,
        outcome.operations,
        outcome.keys,
        outcome.engine,
        Duration::from_secs_f64(seconds),
    );
    if let Some(reason) = &outcome.reason {
        println!("  {reason}");
    }
    if !outcome.anomalies.is_empty() {
        let count = |(name, count): (&String, &u64)| format!("{count} x {name}");
        println!("  found: {}", outcome.anomalies.iter().map(count).collect::<Vec<_>>().join(", "));
    }
    if let Some(holds) = outcome.holds.as_ref().filter(|holds| **holds != outcome.consistency) {
        println!("  holds, as far as the values tell: {holds}");
    }
    if let Some(failure) = &outcome.failure {
        let [anomaly, sentence] = [&failure.anomaly, &failure.sentence].map(|text| plain(text));
        println!("  {anomaly}: {sentence}");
        print!("\n{}", drawing(failure, screen()));
        for relation in &failure.relations {
            println!("  {}: {}", plain(&relation.kind), plain(&relation.sentence));
        }
    }
    Ok(outcome.verdict)
}

/// The verdict about a file that takes more than it may.
fn say_unread(file: &Path, reason: &str, operations: usize, is_json: bool) {
    let verdict = Verdict::Unknown;
    if is_json {
        let line = json!({
            "file": file,
            "verdict": verdict,
            "engine": "none",
            "operations": operations,
            "reason": reason,
        });
        println!("{line}");
        return;
    }
    println!("{}: {verdict}\n  {reason}", file.display());
}

/// The page of one history.
fn write_page(path: &Path, file: &Path, history: &History, outcome: &Outcome) -> Result<(), Error> {
    let facts = [
        ("model", outcome.model.clone()),
        ("promise", outcome.consistency.clone()),
        ("decided by", outcome.engine.clone()),
        ("operations", outcome.operations.to_string()),
        ("keys", outcome.keys.to_string()),
    ];
    let title = file.display().to_string();
    let command =
        format!("rafture check {title} --model {} --consistency {}", outcome.model, outcome.consistency);
    let page = counterexample_html(&Counterexample {
        title: &title,
        verdict: outcome.verdict,
        facts: &facts,
        reason: outcome.reason.as_deref(),
        failure: outcome.failure.as_ref(),
        history,
        faults: &[],
        command: Some(&command),
    });
    std::fs::write(path, page).map_err(|error| {
        Error::Harness(format!(
            "cannot write `{}`: {error} (hint: is there room, and may you write there?)",
            path.display()
        ))
    })
}
