//! Transactions: whether what they read and wrote can be explained by one order of them, or by less.
//!
//! This is what Elle does (Kingsbury & Alvaro 2020): it infers which transaction must have come before which (`append`, `register`),
//! makes that a graph (`graph`), and looks for circles (`components`, `cycles`), which have names (`anomaly`) and are told
//! in words (`explain`). What is found was surely there. What is not found is absent as far as the values tell:
//! lists tell all of it, registers only a part, so short histories of registers are also searched for an order if one in real time is asked
//! for. `order` gives such an order. `bank` and `long_fork` are workloads with a rule of their own.

mod anomaly;
mod append;
mod bank;
mod components;
mod cycles;
mod explain;
mod graph;
mod inferred;
mod long_fork;
mod order;
mod register;
mod steps;

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::check::{Limits, Outcome, ShapeError};
use crate::consistency::Consistency;
use crate::failure::Failure;
use crate::history::{Datum, History, Outcome as Fate};
use crate::linearizability;
use crate::models::ModelKind;
use crate::verdict::Verdict;
use anomaly::Anomalies;
pub use anomaly::{Anomaly, Class, Order};
use graph::Graph;
use inferred::{Inferred, Unclear};
use steps::{LIST_WORDS, REGISTER_WORDS, Transactions};

/// What the objects of transactions are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Family {
    /// Lists.
    Append,
    /// Registers that held this at first.
    Register(Datum),
}

/// What was found in a history.
struct Found {
    anomalies: Anomalies,
    engine: &'static str,
    keys: usize,
    /// Why nothing was found, if that says nothing.
    unclear: Option<String>,
    /// An order that explains all, if one was wanted and found.
    order: Option<Vec<u32>>,
}

/// Whether it is decided here.
pub(crate) fn decides(model: ModelKind, consistency: Consistency) -> bool {
    model.is_transactional() && anomaly::is_decided(consistency)
}

/// Holds a history of transactions against a promise about them; registers hold `initial` at first.
///
/// # Errors
/// An operation that is no transaction of this model, or a value of the wrong shape.
pub(crate) fn check(
    history: &History,
    (model, consistency): (ModelKind, Consistency),
    initial: Datum,
    limits: &Limits<'_>,
) -> Result<Outcome, ShapeError> {
    let found = match model {
        ModelKind::Bank => bank::find(history, false)?,
        ModelKind::BankOverdraft => bank::find(history, true)?,
        ModelKind::LongFork => long_fork::find(history)?,
        ModelKind::RwRegister => by_graph(history, Family::Register(initial), consistency, limits)?,
        _ => by_graph(history, Family::Append, consistency, limits)?,
    };
    Ok(outcome(history, (model, consistency), found))
}

fn outcome(history: &History, (model, consistency): (ModelKind, Consistency), found: Found) -> Outcome {
    let Found { mut anomalies, engine, keys, unclear, order } = found;
    let holds: Vec<String> = anomalies.holds().iter().map(Consistency::to_string).collect();
    let failure = anomalies.forbidden(consistency);
    let reason = unclear.filter(|_| failure.is_none());
    let verdict = match (&failure, &reason) {
        (Some(_), _) => Verdict::Invalid,
        (None, Some(_)) => Verdict::Unknown,
        (None, None) => Verdict::Valid,
    };
    let happened = history.operations.iter().filter(|operation| operation.outcome != Fate::Fail);
    Outcome {
        verdict,
        model: model.to_string(),
        consistency: consistency.to_string(),
        engine: engine.to_owned(),
        operations: happened.count(),
        keys,
        reason,
        anomalies: anomalies.counts(),
        holds: Some(if holds.is_empty() { "none".to_owned() } else { holds.join(" and ") }),
        failure,
        witness: order.into_iter().collect(),
    }
}

fn by_graph(
    history: &History,
    family: Family,
    consistency: Consistency,
    limits: &Limits<'_>,
) -> Result<Found, ShapeError> {
    let (words, initial) = match family {
        Family::Append => (LIST_WORDS, None),
        Family::Register(initial) => (REGISTER_WORDS, Some(initial)),
    };
    let transactions = Transactions::of(history, words)?;
    let Inferred { mut edges, committed, mut anomalies, unclear } = match family {
        Family::Append => append::infer(&transactions, limits.out_of_time),
        Family::Register(initial) => register::infer(&transactions, initial, limits.out_of_time),
    };
    let keys = transactions.keys.len();
    let mut found =
        Found { anomalies: Anomalies::default(), engine: "graph", keys, unclear: None, order: None };
    found.unclear = unclear.map(|unclear| unclear.reason(&transactions));
    let out_of_time = |reached: &str| {
        format!(
            "the time limit was reached; {reached} (hint: a higher `--time-limit`, or fewer transactions)"
        )
    };
    if (limits.out_of_time)() {
        let reached = format!("no cycle of the {} transactions had been looked for", transactions.len());
        found.unclear.get_or_insert_with(|| out_of_time(&reached));
        return Ok(Found { anomalies, ..found });
    }
    edges.add_orders(&history.operations);
    let graph = Graph::of(edges);
    let is_whole = cycles::find(&graph, transactions.len(), limits.out_of_time, |cycle| {
        anomalies.add(cycle.anomaly(), || explain::cycle(&transactions, family, &cycle));
    });
    found.anomalies = anomalies;
    if !is_whole {
        found.unclear.get_or_insert_with(|| out_of_time("not all kinds of cycles had been looked for"));
    }
    let is_searched = initial.is_some_and(|_| history.operations.len() <= SEARCHED_MAX)
        && consistency == Consistency::StrictSerializable;
    if (limits.witness || is_searched) && found.unclear.is_none() && found.anomalies.is_empty() {
        found.order = order::order(&graph, &transactions, &committed, initial);
        if let Some(initial) = initial.filter(|_| is_searched && found.order.is_none()) {
            search(&mut found, history, initial, limits)?;
        }
    }
    Ok(found)
}

/// Where dependencies tell only a part, histories up to this length are searched for an order.
const SEARCHED_MAX: usize = 1000;

/// How often a search asks for the time before it is given up; each time stands for a few thousand steps.
const SEARCH_ASKS_MAX: usize = 100;

/// Takes all registers for one object, whose histories a search decides, if not for how long that takes.
fn search(
    found: &mut Found,
    history: &History,
    initial: Datum,
    limits: &Limits<'_>,
) -> Result<(), ShapeError> {
    let asks = AtomicUsize::new(0);
    let out_of_time = || (limits.out_of_time)() || asks.fetch_add(1, Ordering::Relaxed) > SEARCH_ASKS_MAX;
    let bounded = Limits { out_of_time: &out_of_time, witness: true, ..*limits };
    let searched = linearizability::check(history, ModelKind::MultiRegister, initial, &bounded)?;
    if let Some(failure) = searched.failure {
        let anomaly = Anomaly::NoOrder;
        let name = format!("{anomaly} ({})", anomaly.plain());
        found.anomalies.add(anomaly, || Failure { anomaly: name, ..failure });
    }
    found.order = searched.witness.into_iter().next();
    found.engine = "graph+search";
    Ok(())
}

impl Unclear {
    fn reason(&self, transactions: &Transactions<'_>) -> String {
        let (key, value) = (explain::key(transactions, self.key), explain::shown(transactions, self.value));
        format!(
            "{value} was written to {key} twice, so its reads do not name their writer (hint: write each value once)"
        )
    }
}
