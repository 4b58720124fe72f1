//! Objects whose state is a sequence of values: queue, stack and append-only list. All are empty at first.

use super::chains::Chains;
use super::interned::Interned;
use super::model::unknown;
use super::{Model, Part};
use crate::history::{Datum, History, Operation, Outcome};
use crate::linearizability::{Decision, Timed, decide_list, decide_queue, decide_stack};

/// Which of them it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SequenceKind {
    /// `enqueue v`, `dequeue` → v, or `null` when empty.
    Queue,
    /// `push v`, `pop` → v, or `null` when empty.
    Stack,
    /// `append v`, `read` → all of them.
    List,
}

/// The model of one of them.
#[derive(Debug)]
pub struct Sequence {
    kind: SequenceKind,
    /// Of stacks and lists.
    chains: Chains,
    /// Of queues, which lose what is at the other end than where they grow.
    queues: Interned<Vec<Datum>>,
}

/// An operation on a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SequenceCall {
    /// The value was put in.
    Put(Datum),
    /// The value was taken out; `null`: there was none.
    Take(Datum),
    /// Something was taken out, or not.
    TakeUnknown,
    /// All of it was read, and it was the state of this number.
    Read(u32),
    /// A read whose result is not known.
    ReadUnknown,
}

impl Sequence {
    /// An empty one.
    pub fn new(kind: SequenceKind) -> Sequence {
        Sequence { kind, chains: Chains::default(), queues: Interned::starting_with(Vec::new()) }
    }

    fn put(&self, state: u32, value: Datum) -> u32 {
        match self.kind {
            SequenceKind::Queue => {
                let items = self.queues.get(state);
                self.queues.number(items.iter().copied().chain([value]).collect())
            }
            SequenceKind::Stack | SequenceKind::List => self.chains.with(state, value),
        }
    }

    /// What was taken from that state, and the state after.
    fn taken(&self, state: u32) -> Option<(Datum, u32)> {
        match self.kind {
            SequenceKind::Queue => {
                let items = self.queues.get(state);
                let (&first, rest) = items.split_first()?;
                Some((first, self.queues.number(rest.to_vec())))
            }
            SequenceKind::Stack | SequenceKind::List => self.chains.split(state),
        }
    }

    fn take(&self, state: u32, told: Option<Datum>) -> Option<u32> {
        let (taken, rest) = self.taken(state).unwrap_or((Datum::NULL, state));
        told.is_none_or(|told| told == taken).then_some(rest)
    }
}

impl Model for Sequence {
    type State = u32;
    type Call = SequenceCall;

    fn call(&mut self, history: &History, operation: &Operation) -> Result<SequenceCall, String> {
        use SequenceKind::{List, Queue, Stack};
        let is_known = operation.outcome == Outcome::Ok;
        match (self.kind, history.f(operation)) {
            (Queue, "enqueue") | (Stack, "push") | (List, "append") => {
                Ok(SequenceCall::Put(operation.argument))
            }
            (Queue, "dequeue") | (Stack, "pop") if !is_known => Ok(SequenceCall::TakeUnknown),
            (Queue, "dequeue") | (Stack, "pop") => Ok(SequenceCall::Take(operation.result)),
            (List, "read") if !is_known => Ok(SequenceCall::ReadUnknown),
            (List, "read") if operation.result.is_null() => Ok(SequenceCall::Read(0)),
            (List, "read") => match history.values.as_list(operation.result) {
                Some(items) => Ok(SequenceCall::Read(self.chains.number(items))),
                None => {
                    let result = history.values.to_json(operation.result);
                    Err(format!("`read` of a list gives a list, not `{result}`"))
                }
            },
            (Queue, f) => Err(unknown(f, "queue", "it has `enqueue` and `dequeue`")),
            (Stack, f) => Err(unknown(f, "stack", "it has `push` and `pop`")),
            (List, f) => Err(unknown(f, "list", "it has `append` and `read`")),
        }
    }

    fn initial(&self) -> u32 {
        0
    }

    fn step(&self, &state: &u32, call: &SequenceCall) -> Option<u32> {
        match *call {
            SequenceCall::Put(value) => Some(self.put(state, value)),
            SequenceCall::Take(told) => self.take(state, Some(told)),
            SequenceCall::TakeUnknown => self.take(state, None),
            SequenceCall::Read(told) => (told == state).then_some(state),
            SequenceCall::ReadUnknown => Some(state),
        }
    }

    fn is_read(&self, call: &SequenceCall) -> bool {
        match call {
            SequenceCall::Read(_) | SequenceCall::ReadUnknown => true,
            SequenceCall::Take(told) => told.is_null(),
            SequenceCall::Put(_) | SequenceCall::TakeUnknown => false,
        }
    }

    fn decide(&self, calls: &[Timed<SequenceCall>]) -> Option<(&'static str, Decision)> {
        match self.kind {
            SequenceKind::List => Some(("list-prefixes", decide_list(calls, &self.chains)?)),
            SequenceKind::Queue => Some(("queue-zones", decide_queue(calls)?)),
            SequenceKind::Stack => Some(("stack-zones", decide_stack(calls)?)),
        }
    }

    fn show(&self, history: &History, &state: &u32) -> String {
        let items = match self.kind {
            SequenceKind::Queue => Vec::clone(&self.queues.get(state)),
            SequenceKind::Stack | SequenceKind::List => self.chains.items(state),
        };
        let shown: Vec<String> = items.iter().map(|&item| history.values.to_json(item).to_string()).collect();
        format!("[{}]", shown.join(", "))
    }

    fn part(&self, call: &SequenceCall) -> Part {
        match *call {
            // What says `null` may then have taken it, or found nothing.
            SequenceCall::Put(Datum::NULL) if self.kind != SequenceKind::List => Part::Whole,
            SequenceCall::Put(value) => Part::Put(value),
            SequenceCall::Take(Datum::NULL) | SequenceCall::ReadUnknown => Part::Sight(Vec::new()),
            SequenceCall::Take(value) => Part::Take(value),
            SequenceCall::TakeUnknown => Part::TakeUnknown,
            SequenceCall::Read(told) => Part::Sight(self.chains.items(told)),
        }
    }

    fn apart_from(&self, call: &SequenceCall, is_gone: &dyn Fn(Datum) -> bool) -> SequenceCall {
        match *call {
            SequenceCall::Read(told) => {
                let remains = |&value: &Datum| !is_gone(value);
                let items: Vec<Datum> = self.chains.items(told).into_iter().filter(remains).collect();
                SequenceCall::Read(self.chains.number(&items))
            }
            other => other,
        }
    }
}
