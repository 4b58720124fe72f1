//! A semaphore: `acquire` takes a permit and `release` gives one back. With one permit it is a mutex (which has no
//! owner: anybody may release it).

use super::model::unknown;
use super::{Model, Tally};
use crate::history::{History, Operation};
use crate::linearizability::{Decision, Timed, decide_semaphore};

/// The model of one semaphore.
#[derive(Debug)]
pub struct Semaphore {
    permits: u32,
}

/// An operation on a semaphore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SemaphoreCall {
    /// A permit was taken.
    Acquire,
    /// A permit was given back.
    Release,
}

impl Semaphore {
    /// A semaphore with so many permits.
    pub fn new(permits: u32) -> Semaphore {
        Semaphore { permits }
    }
}

impl Model for Semaphore {
    /// How many permits are taken.
    type State = u32;
    type Call = SemaphoreCall;

    fn call(&mut self, history: &History, operation: &Operation) -> Result<SemaphoreCall, String> {
        match history.f(operation) {
            "acquire" => Ok(SemaphoreCall::Acquire),
            "release" => Ok(SemaphoreCall::Release),
            f => Err(unknown(f, "mutex", "it has `acquire` and `release`")),
        }
    }

    fn initial(&self) -> u32 {
        0
    }

    fn step(&self, &taken: &u32, call: &SemaphoreCall) -> Option<u32> {
        match call {
            SemaphoreCall::Acquire => (taken < self.permits).then_some(taken + 1),
            SemaphoreCall::Release => taken.checked_sub(1),
        }
    }

    fn is_read(&self, _: &SemaphoreCall) -> bool {
        false
    }

    fn decide(&self, calls: &[Timed<SemaphoreCall>]) -> Option<(&'static str, Decision)> {
        Some(("urgent-first", decide_semaphore(calls, self.permits)))
    }

    fn show(&self, _: &History, taken: &u32) -> String {
        match (self.permits, taken) {
            (1, 0) => "free".to_owned(),
            (1, _) => "held".to_owned(),
            (permits, taken) => format!("{taken} of {permits} held"),
        }
    }

    fn tally(&self, call: &SemaphoreCall) -> Option<Tally> {
        Some(match call {
            SemaphoreCall::Acquire => Tally::Add(1),
            SemaphoreCall::Release => Tally::Add(-1),
        })
    }

    fn tally_range(&self) -> (i64, i64) {
        (0, self.permits.into())
    }
}
