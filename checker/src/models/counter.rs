//! A counter: `add n`, also of negative numbers, and `read`; 0 at first.

use super::model::unknown;
use super::{Model, Tally};
use crate::history::{History, Operation, Outcome};
use crate::linearizability::{Decision, Timed, decide_counter};

/// The model of one counter.
#[derive(Debug, Default)]
pub struct Counter;

/// An operation on a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CounterCall {
    /// So much was added.
    Add(i64),
    /// It read so much; nothing is known of one that did not answer.
    Read(Option<i64>),
}

impl Model for Counter {
    type State = i64;
    type Call = CounterCall;

    fn call(&mut self, history: &History, operation: &Operation) -> Result<CounterCall, String> {
        let shown = |value| history.values.to_json(value);
        match history.f(operation) {
            "add" => match operation.argument.as_integer() {
                Some(number) => Ok(CounterCall::Add(number)),
                None => Err(format!("`add` takes an integer, not `{}`", shown(operation.argument))),
            },
            "read" if operation.outcome != Outcome::Ok => Ok(CounterCall::Read(None)),
            "read" => match operation.result.as_integer() {
                Some(number) => Ok(CounterCall::Read(Some(number))),
                None => {
                    Err(format!("`read` of a counter gives an integer, not `{}`", shown(operation.result)))
                }
            },
            f => Err(unknown(f, "counter", "it has `add` and `read`")),
        }
    }

    fn initial(&self) -> i64 {
        0
    }

    fn step(&self, &state: &i64, call: &CounterCall) -> Option<i64> {
        match *call {
            CounterCall::Add(number) => Some(state.wrapping_add(number)),
            CounterCall::Read(told) => told.is_none_or(|told| told == state).then_some(state),
        }
    }

    fn is_read(&self, call: &CounterCall) -> bool {
        matches!(call, CounterCall::Read(_))
    }

    fn decide(&self, calls: &[Timed<CounterCall>]) -> Option<(&'static str, Decision)> {
        Some(("equal-adds", decide_counter(calls)?))
    }

    fn tally(&self, call: &CounterCall) -> Option<Tally> {
        Some(match *call {
            CounterCall::Add(number) => Tally::Add(number),
            CounterCall::Read(told) => Tally::Told(told),
        })
    }
}
