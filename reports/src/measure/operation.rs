//! Events of clients paired into operations, with only what figures and plots need, and the places of the rest.
//!
//! Not the checker's notion of an operation: no values, and an event out of place is passed over, because the
//! checker has judged the history's form already.

use std::collections::HashMap;

use rafture_checker::history::{Event, EventKind, Process};

/// One operation of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation<'a> {
    /// What was asked.
    pub f: &'a str,
    /// The intended start, nanoseconds since the start of the run.
    pub invoked_ns: u64,
    /// When its outcome was recorded; `None` when the run ended first.
    pub completed_ns: Option<u64>,
    /// What became of it.
    pub outcome: Outcome,
    /// Where its invocation stands among the events, for those who want to know more of it.
    pub invocation: usize,
    /// Where its completion stands.
    pub completion: Option<usize>,
}

/// What became of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It happened.
    Ok,
    /// It surely did not happen.
    Fail,
    /// It may have happened.
    Info,
}

impl Operation<'_> {
    /// From the intended start to the recorded outcome.
    pub fn latency_ns(&self) -> Option<u64> {
        Some(self.completed_ns?.saturating_sub(self.invoked_ns))
    }

    /// When it succeeded, if it did.
    pub fn succeeded_ns(&self) -> Option<u64> {
        self.completed_ns.filter(|_| self.outcome == Outcome::Ok)
    }
}

/// All operations of clients, in order of invocation.
pub fn operations(history: &[Event]) -> Vec<Operation<'_>> {
    let mut operations = Vec::with_capacity(history.len() / 2);
    let mut open = HashMap::<Process, usize>::new();
    for (place, event) in history.iter().enumerate().filter(|(_, event)| is_client(event)) {
        let outcome = match event.kind {
            EventKind::Invoke => {
                open.insert(event.process, operations.len());
                operations.push(Operation {
                    f: &event.f,
                    invoked_ns: event.time,
                    completed_ns: None,
                    outcome: Outcome::Info,
                    invocation: place,
                    completion: None,
                });
                continue;
            }
            EventKind::Ok => Outcome::Ok,
            EventKind::Fail => Outcome::Fail,
            EventKind::Info => Outcome::Info,
        };
        if let Some(index) = open.remove(&event.process) {
            operations[index].completed_ns = Some(event.time);
            operations[index].outcome = outcome;
            operations[index].completion = Some(place);
        }
    }
    operations
}

pub(super) fn is_client(event: &Event) -> bool {
    matches!(event.process, Process::Client(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{event, nemesis_event};

    #[test]
    fn events_pair_by_process_and_what_never_ended_is_info() {
        let history = [
            event(0, 1, EventKind::Invoke, "read"),
            event(5, 2, EventKind::Invoke, "write"),
            nemesis_event(6),
            event(9, 1, EventKind::Ok, "read"),
            event(11, 1, EventKind::Invoke, "cas"),
            event(12, 1, EventKind::Fail, "cas"),
        ];
        let told: Vec<_> = operations(&history)
            .into_iter()
            .map(|operation| (operation.f, operation.latency_ns(), operation.outcome))
            .collect();
        assert_eq!(
            told,
            [("read", Some(9), Outcome::Ok), ("write", None, Outcome::Info), ("cas", Some(1), Outcome::Fail),]
        );
    }
}
