//! Whether some order of the operations, one after another and each within its time, explains the history.
//!
//! Keys are independent objects, so each is judged by itself (Horn & Kroening 2015), several at a time. For a key, a
//! *monitor* decides in log-linear time where the model has one that fits the history (`monitors`); elsewhere `search` looks for an
//! order among the calls that `problem` lays out. `shrink` cuts a failing key down to what is needed to fail, and `explain`
//! puts that into words.

mod broadening;
mod depth_first;
mod explain;
mod forward;
mod frontier;
mod keys;
mod layout;
mod machine;
mod monitors;
mod problem;
mod search;
mod slots;
mod timed;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::check::{Limits, Outcome, ShapeError};
use crate::consistency::Consistency;
use crate::history::{Datum, History};
use crate::models::{
    Counter, Etcd, Model, ModelKind, Register, Registers, Semaphore, Sequence, SequenceKind, Set, Text,
};
use crate::verdict::Verdict;
use keys::{Key, Keys};
pub use monitors::{
    Contents, Decision, decide_counter, decide_list, decide_queue, decide_register, decide_semaphore,
    decide_set, decide_stack,
};
pub(crate) use monitors::{Fate, forgettable};
use search::{Bounds, End};
pub use timed::Timed;

/// Checks a history against a model that has a name; registers hold `initial` at first.
///
/// # Errors
/// An operation that the model does not have, or a value of the wrong shape.
pub fn check(
    history: &History,
    model: ModelKind,
    initial: Datum,
    limits: &Limits<'_>,
) -> Result<Outcome, ShapeError> {
    let name = &model.to_string();
    let sequence = |kind| move || Sequence::new(kind);
    match model {
        ModelKind::Register => check_with(name, || Register::new(false, initial), history, limits),
        ModelKind::CasRegister => check_with(name, || Register::new(true, initial), history, limits),
        ModelKind::Kv => check_with(name, Text::default, history, limits),
        ModelKind::MultiRegister => check_with(name, || Registers::new(initial), history, limits),
        ModelKind::Mutex => check_with(name, || Semaphore::new(1), history, limits),
        ModelKind::Semaphore(permits) => check_with(name, || Semaphore::new(permits), history, limits),
        ModelKind::Counter => check_with(name, || Counter, history, limits),
        ModelKind::Set => check_with(name, Set::default, history, limits),
        ModelKind::Queue => check_with(name, sequence(SequenceKind::Queue), history, limits),
        ModelKind::Stack => check_with(name, sequence(SequenceKind::Stack), history, limits),
        ModelKind::List => check_with(name, sequence(SequenceKind::List), history, limits),
        ModelKind::Append
        | ModelKind::RwRegister
        | ModelKind::Bank
        | ModelKind::BankOverdraft
        | ModelKind::LongFork => {
            let message = format!("a `{model}` is judged as transactions, not as one object");
            Err(ShapeError { line: None, message })
        }
        ModelKind::Etcd => check_with(name, Etcd::default, history, limits),
    }
}

/// Checks a history against a model of one's own; `model` makes one per key.
///
/// # Errors
/// An operation that the model does not have, or a value of the wrong shape.
pub fn check_with<M: Model>(
    name: &str,
    model: impl Fn() -> M + Sync,
    history: &History,
    limits: &Limits<'_>,
) -> Result<Outcome, ShapeError> {
    let keys = Keys::of(history);
    let found = judge_all(&keys, &model, limits);
    let engines: BTreeSet<&str> = found.iter().flatten().map(|judged| judged.engine).collect();
    let mut outcome = Outcome {
        verdict: Verdict::Valid,
        model: name.to_owned(),
        consistency: Consistency::Linearizable.to_string(),
        engine: engines.into_iter().collect::<Vec<_>>().join("+"),
        operations: keys.operations(),
        keys: keys.len(),
        reason: None,
        anomalies: BTreeMap::new(),
        holds: None,
        failure: None,
        witness: Vec::new(),
    };
    let mut unknown = 0;
    for (number, judged) in found.into_iter().enumerate() {
        let Some(judged) = judged else {
            continue;
        };
        match judged.end {
            KeyEnd::Shape(error) => return Err(error),
            KeyEnd::Linearized(order) if limits.witness => outcome.witness.push(order),
            KeyEnd::Linearized(_) => {}
            KeyEnd::Violated { core, rank } => {
                let key = Key::of(&keys, number, &model)?;
                outcome.verdict = Verdict::Invalid;
                outcome.failure = Some(explain::failure(&key, core.as_deref(), rank, limits));
                outcome.reason = None;
                outcome.witness.clear();
                return Ok(outcome);
            }
            KeyEnd::GaveUp(reason) => {
                outcome.verdict = Verdict::Unknown;
                unknown += 1;
                outcome.reason.get_or_insert(reason);
            }
        }
    }
    if unknown > 1 {
        let more = format!(" (and {} more keys like it)", unknown - 1);
        outcome.reason = outcome.reason.map(|reason| reason + &more);
    }
    Ok(outcome)
}

/// What is known of one key.
struct Judged {
    engine: &'static str,
    end: KeyEnd,
}

enum KeyEnd {
    /// An order, by places in the history; empty unless it was asked for.
    Linearized(Vec<u32>),
    /// There is none. `core`: indices within the key of a few that suffice to show it. `rank`: how many completed ones the
    /// search could order.
    Violated {
        core: Option<Vec<u32>>,
        rank: usize,
    },
    GaveUp(String),
    Shape(ShapeError),
}

/// Judges key by key; once one is violated, those behind it are left out, so that the first one is what is reported.
fn judge_all<M: Model>(
    keys: &Keys<'_>,
    model: &(impl Fn() -> M + Sync),
    limits: &Limits<'_>,
) -> Vec<Option<Judged>> {
    let threads = limits.threads.clamp(1, keys.len().max(1));
    let (next, violated) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    let all: Mutex<Vec<Option<Judged>>> = Mutex::new((0..keys.len()).map(|_| None).collect());
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= keys.len() || number > violated.load(Ordering::Relaxed) {
                return;
            }
            let judged = judge(keys, number, model, threads, limits);
            if matches!(judged.end, KeyEnd::Violated { .. } | KeyEnd::Shape(_)) {
                violated.fetch_min(number, Ordering::Relaxed);
            }
            all.lock().expect("no worker panics with it")[number] = Some(judged);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    all.into_inner().expect("no worker panics with it")
}

fn judge<M: Model>(
    keys: &Keys<'_>,
    number: usize,
    model: &impl Fn() -> M,
    threads: usize,
    limits: &Limits<'_>,
) -> Judged {
    if (limits.out_of_time)() {
        let reached = keys.unreached(number);
        let reason = format!("the time limit was reached; {reached} (hint: a higher `--time-limit`)");
        return Judged { engine: "none", end: KeyEnd::GaveUp(reason) };
    }
    let key = match Key::of(keys, number, model) {
        Ok(key) => key,
        Err(error) => return Judged { engine: "none", end: KeyEnd::Shape(error) },
    };
    let places = |order: Vec<u32>| match limits.witness {
        true => order.into_iter().map(|at| key.places[at as usize]).collect(),
        false => Vec::new(),
    };
    if let Some((engine, decision)) = key.model.decide(&key.timed) {
        let end = match decision {
            Decision::Linearizable(order) => KeyEnd::Linearized(places(order)),
            Decision::Violation(core) => KeyEnd::Violated { core: Some(core), rank: 0 },
        };
        return Judged { engine, end };
    }
    let bounds = Bounds {
        out_of_time: limits.out_of_time,
        memory_bytes: limits.memory_bytes.map_or(usize::MAX, |bytes| bytes / threads),
        steps: u64::MAX,
    };
    let end = match search::search_keeping(&key.model, &key.timed, limits.witness, &bounds).0 {
        End::Linearized(order) => KeyEnd::Linearized(places(order)),
        End::Stuck { rank, core, .. } => KeyEnd::Violated { core, rank },
        End::GaveUp { reason, hint, rank } => {
            KeyEnd::GaveUp(format!("{reason}; {} (hint: {hint})", key.reached(rank)))
        }
    };
    Judged { engine: "search", end }
}
