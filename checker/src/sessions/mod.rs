//! Promises that speak of sessions, not of real time: sequential, causal, monotonic reads and read your writes for objects;
//! read-committed, read-atomic and causal for transactions.
//!
//! A session is what one process did, in its order. `facts` finds who wrote what was read, which is all that counts where no value is
//! written twice; `order` and `violation` tell what must come before what, and find circles. On these stand the promises:
//!
//! | promise | holds if | where |
//! |---|---|---|
//! | `monotonic-reads` | of each key, no session reads a version older than one that it has read, nor comes back to one | `guarantees` |
//! | `read-your-writes` | of each key, no session reads a version older than what it wrote last | `guarantees` |
//! | `causal` (objects) | each session has an order of all that it can know in which its reads are right: causal memory | `views` |
//! | `sequential` | there is one such order for all | `saturation`, `search` |
//! | `read-committed`, `read-atomic`, `causal` (transactions) | there is one order of commits that what each sees allows | `isolation` |
//!
//! Sequential implies causal, causal implies both guarantees. Causal memory lets two processes see writes that know
//! nothing of each other in different orders; of transactions `causal` asks for one order of commits, as databases that converge promise
//! (Biswas & Enea 2019).

mod explain;
mod facts;
mod guarantees;
mod isolation;
mod order;
mod saturation;
mod search;
mod views;
mod violation;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::check::{Limits, Outcome, Question, ShapeError};
use crate::consistency::Consistency;
use crate::failure::Failure;
use crate::history::{History, Outcome as Ended};
use crate::linearizability;
use crate::models::{
    Counter, Etcd, Model, ModelKind, Register, Registers, Semaphore, Sequence, SequenceKind, Set, Text,
};
use crate::verdict::Verdict;
use facts::{Facts, NoFacts};
use guarantees::Guarantee;
use search::Searched;
use views::Viewed;
use violation::{Violation, circle};

/// Whether it is decided here.
pub(crate) fn decides(model: ModelKind, consistency: Consistency) -> bool {
    match consistency {
        Consistency::Sequential => !model.is_transactional(),
        Consistency::Causal | Consistency::MonotonicReads | Consistency::ReadYourWrites
            if is_registers(model) =>
        {
            consistency.fits(model)
        }
        Consistency::ReadCommitted | Consistency::ReadAtomic => model == ModelKind::RwRegister,
        _ => false,
    }
}

fn is_registers(model: ModelKind) -> bool {
    matches!(
        model,
        ModelKind::Register | ModelKind::CasRegister | ModelKind::MultiRegister | ModelKind::RwRegister
    )
}

/// What was found, and by which algorithm.
struct Found {
    engine: &'static str,
    end: End,
}

enum End {
    Holds,
    Violated(Box<Failure>),
    Unknown(String),
}

impl Found {
    fn holds(engine: &'static str) -> Found {
        Found { engine, end: End::Holds }
    }

    fn violated(engine: &'static str, failure: Failure) -> Found {
        Found { engine, end: End::Violated(Box::new(failure)) }
    }

    fn unknown(engine: &'static str, reason: impl Into<String>) -> Found {
        Found { engine, end: End::Unknown(reason.into()) }
    }
}

/// Holds a history against one of these promises.
///
/// # Errors
/// An operation that the model does not have, or a value of the wrong shape.
pub(crate) fn check(
    history: &History,
    question: &Question,
    limits: &Limits<'_>,
) -> Result<Outcome, ShapeError> {
    let Question { model, consistency, .. } = *question;
    let mut keys: Vec<_> = history.operations.iter().map(|operation| operation.key).collect();
    keys.sort_unstable();
    keys.dedup();
    let happened = |operation: &&crate::history::Operation| operation.outcome != Ended::Fail;
    let Found { engine, end } = found(history, question, limits)?;
    let (verdict, reason, failure) = match end {
        End::Holds => (Verdict::Valid, None, None),
        End::Violated(failure) => (Verdict::Invalid, None, Some(*failure)),
        End::Unknown(reason) => (Verdict::Unknown, Some(reason), None),
    };
    Ok(Outcome {
        verdict,
        model: model.to_string(),
        consistency: consistency.to_string(),
        engine: engine.to_owned(),
        operations: history.operations.iter().filter(happened).count(),
        keys: keys.len(),
        reason,
        anomalies: BTreeMap::new(),
        holds: None,
        failure,
        witness: Vec::new(),
    })
}

fn found(history: &History, question: &Question, limits: &Limits<'_>) -> Result<Found, ShapeError> {
    let Question { model, consistency, initial } = *question;
    if !is_registers(model) {
        return sequential(history, question, None, limits);
    }
    let facts = match Facts::of(history, model, initial) {
        Ok(facts) => facts,
        Err(NoFacts::Shape(error)) => return Err(error),
        Err(NoFacts::Flaw(flaw)) => {
            return Ok(Found::violated("reads-from", explain::flawed(history, &flaw)));
        }
        Err(NoFacts::Ambiguous(_)) if consistency == Consistency::Sequential => {
            return sequential(history, question, None, limits);
        }
        Err(NoFacts::Ambiguous(read)) => {
            if is_linearizable(history, question, limits)? {
                return Ok(Found::holds("linearizable"));
            }
            let (value, key) = (history.values.to_json(read.value), history.values.to_json(read.key));
            let which = if read.key.is_null() { String::new() } else { format!(" to key {key}") };
            let reason =
                format!("the value {value} was read, and more than one operation may have written it{which}");
            let hint = "(hint: write every value only once, so that a read tells whose write it saw)";
            return Ok(Found::unknown("reads-from", format!("{reason} {hint}")));
        }
    };
    if consistency == Consistency::Sequential {
        return sequential(history, question, Some(&facts), limits);
    }
    let guarantee = match consistency {
        Consistency::MonotonicReads => Guarantee::MonotonicReads,
        Consistency::ReadYourWrites => Guarantee::ReadYourWrites,
        _ if model.is_transactional() => return Ok(isolated(&facts, consistency)),
        _ if is_long_walk(&facts) && is_linearizable(history, question, limits)? => {
            return Ok(Found::holds("linearizable"));
        }
        _ => return Ok(causal(&facts, limits)),
    };
    for facts in facts.by_key() {
        if (limits.out_of_time)() {
            return Ok(Found::unknown("session-guarantees", TIME_IS_UP));
        }
        if let Err(violation) = guarantees::hold(&facts, guarantee) {
            let failure = explain::failure(&facts, &violation, consistency);
            return Ok(Found::violated("session-guarantees", failure));
        }
    }
    Ok(Found::holds("session-guarantees"))
}

const TIME_IS_UP: &str = "the time limit was reached (hint: a higher `--time-limit`)";

/// Walks through all that every session can know may be long where clients crashed often, for each crash begins a session. Then it is
/// worth looking first for one order for all in real time.
fn is_long_walk(facts: &Facts<'_>) -> bool {
    const STEPS: usize = 10_000_000;
    facts.len().saturating_mul(facts.sessions()) > STEPS
}

/// Looks at the clock that a search for a linearization may take before others get their turn: some tens of millions of steps.
const LOOKS_MAX: u64 = 5_000;

/// Whether it is surely linearizable, and so keeps every promise about sessions.
fn is_linearizable(history: &History, question: &Question, limits: &Limits<'_>) -> Result<bool, ShapeError> {
    if !history.is_timed() {
        return Ok(false);
    }
    let looks = AtomicU64::new(0);
    let out_of_time = || looks.fetch_add(1, Ordering::Relaxed) > LOOKS_MAX || (limits.out_of_time)();
    let limits = Limits { out_of_time: &out_of_time, witness: false, ..*limits };
    let outcome = linearizability::check(history, question.model, question.initial, &limits)?;
    Ok(outcome.verdict == Verdict::Valid)
}

fn isolated(facts: &Facts<'_>, consistency: Consistency) -> Found {
    let engine = "commit-order";
    let demands = match consistency {
        Consistency::ReadCommitted => isolation::direct_demands(facts, false),
        Consistency::ReadAtomic => isolation::direct_demands(facts, true),
        _ => order::topological(facts, &[])
            .map_err(|has_place| Violation::Circle(circle(facts, &[], &has_place)))
            .and_then(|order| isolation::causal_demands(facts, &order)),
    };
    let ordered = demands.and_then(|demands| {
        let order = order::topological(facts, &demands);
        order.map_err(|has_place| Violation::Circle(circle(facts, &demands, &has_place)))
    });
    match ordered {
        Ok(_) => Found::holds(engine),
        Err(violation) => Found::violated(engine, explain::failure(facts, &violation, consistency)),
    }
}

fn causal(facts: &Facts<'_>, limits: &Limits<'_>) -> Found {
    let engine = "causal-views";
    if let Err(has_place) = order::topological(facts, &[]) {
        let violation = Violation::Circle(circle(facts, &[], &has_place));
        return Found::violated(engine, explain::failure(facts, &violation, Consistency::Causal));
    }
    match views::views(facts, limits.out_of_time) {
        Viewed::Views => Found::holds(engine),
        Viewed::Violated(violation) => {
            Found::violated(engine, explain::failure(facts, &violation, Consistency::Causal))
        }
        Viewed::OutOfTime => Found::unknown(engine, TIME_IS_UP),
    }
}

/// A linearization is one order for all; without one, demands and then a search decide.
fn sequential(
    history: &History,
    question: &Question,
    facts: Option<&Facts<'_>>,
    limits: &Limits<'_>,
) -> Result<Found, ShapeError> {
    if is_linearizable(history, question, limits)? {
        return Ok(Found::holds("linearizable"));
    }
    let mut pairs = Vec::new();
    if let Some(facts) = facts {
        match saturation::saturated(facts, limits.out_of_time) {
            Err(violation) => {
                let failure = explain::failure(facts, &violation, Consistency::Sequential);
                return Ok(Found::violated("saturation", failure));
            }
            Ok(demands) => {
                let place = |at: u32| facts.places[at as usize];
                pairs.extend(demands.iter().map(|demand| (place(demand.from), place(demand.to))));
            }
        }
    }
    let searched = searched(history, question, &pairs, limits)?;
    Ok(match searched {
        Searched::Ordered => Found::holds("session-search"),
        Searched::NoOrder(stuck) => {
            let operations = history.operations.iter().filter(|operation| operation.outcome != Ended::Fail);
            Found::violated("session-search", explain::unordered(history, &stuck, operations.count()))
        }
        Searched::GaveUp(reason) => Found::unknown("session-search", reason),
    })
}

fn searched(
    history: &History,
    question: &Question,
    pairs: &[(u32, u32)],
    limits: &Limits<'_>,
) -> Result<Searched, ShapeError> {
    fn with<M: Model>(
        history: &History,
        model: impl Fn() -> M,
        pairs: &[(u32, u32)],
        limits: &Limits<'_>,
    ) -> Result<Searched, ShapeError> {
        search::search(history, &model, pairs, limits)
    }
    let initial = question.initial;
    let sequence = |kind| move || Sequence::new(kind);
    match question.model {
        ModelKind::Register => with(history, || Register::new(false, initial), pairs, limits),
        ModelKind::CasRegister => with(history, || Register::new(true, initial), pairs, limits),
        ModelKind::Kv => with(history, Text::default, pairs, limits),
        ModelKind::MultiRegister => with(history, || Registers::new(initial), pairs, limits),
        ModelKind::Mutex => with(history, || Semaphore::new(1), pairs, limits),
        ModelKind::Semaphore(permits) => with(history, || Semaphore::new(permits), pairs, limits),
        ModelKind::Counter => with(history, || Counter, pairs, limits),
        ModelKind::Set => with(history, Set::default, pairs, limits),
        ModelKind::Queue => with(history, sequence(SequenceKind::Queue), pairs, limits),
        ModelKind::Stack => with(history, sequence(SequenceKind::Stack), pairs, limits),
        ModelKind::List => with(history, sequence(SequenceKind::List), pairs, limits),
        ModelKind::Etcd => with(history, Etcd::default, pairs, limits),
        ModelKind::Append
        | ModelKind::RwRegister
        | ModelKind::Bank
        | ModelKind::BankOverdraft
        | ModelKind::LongFork => unreachable!("nobody asks whether transactions are sequential"),
    }
}
