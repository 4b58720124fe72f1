//! Who did what and when, in words that need no knowledge of the tool.

use super::super::Key;
use crate::failure::{FailureOperation, label, shortened};
use crate::history::{Datum, Operation, Outcome};
use crate::models::{MicroOperation, Model, Part, steps_of};

/// The words for the operations of one key.
pub(super) struct Words<'k, 'h, M: Model> {
    pub(super) key: &'k Key<'h, M>,
    precision: Precision,
}

/// How exactly times are told: so that those of a few operations differ.
#[derive(Debug, Clone, Copy)]
enum Precision {
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl<'k, 'h, M: Model> Words<'k, 'h, M> {
    /// For these operations above all.
    pub(super) fn of(key: &'k Key<'h, M>, operations: &[usize]) -> Words<'k, 'h, M> {
        let invoked = operations.iter().map(|&at| key.operation(at).invoked_ns);
        let first = invoked.clone().min().unwrap_or(0);
        let last = operations.iter().filter_map(|&at| key.operation(at).completed_ns()).chain(invoked).max();
        let precision = match last.unwrap_or(0) - first.min(last.unwrap_or(0)) {
            span if span < 10_000 => Precision::Nanoseconds,
            span if span < 1_000_000 => Precision::Microseconds,
            _ => Precision::Milliseconds,
        };
        Words { key, precision }
    }

    pub(super) fn bar(&self, at: usize) -> FailureOperation {
        FailureOperation::of(self.key.history, self.key.operation(at))
    }

    /// `process 3 read x = 4 at 1.204 s`; the time is that of the completion.
    pub(super) fn deed(&self, at: usize) -> String {
        let operation = self.key.operation(at);
        let (process, verb) = (operation.process, self.verb(at));
        match operation.completed_ns().filter(|_| operation.outcome == Outcome::Ok) {
            Some(time) => format!("process {process} {verb} at {}", self.time(time)),
            None => {
                let begun = self.time(operation.invoked_ns);
                format!("process {process} {verb} (begun at {begun}, outcome unknown)")
            }
        }
    }

    fn verb(&self, at: usize) -> String {
        let (history, operation) = (self.key.history, self.key.operation(at));
        let object = self.object(at);
        let argument = || self.value(operation.argument);
        match (history.f(operation), history.values.as_list(operation.argument)) {
            ("read" | "get", _) => format!("read {object} = {}", self.value(operation.result)),
            ("write" | "put", _) => format!("wrote {object} = {}", argument()),
            ("cas", Some(&[old, new])) => {
                format!("changed {object} from {} to {}", self.value(old), self.value(new))
            }
            ("dequeue" | "pop", _) if operation.outcome != Outcome::Ok => format!("took from {object}"),
            ("dequeue" | "pop", _) if operation.result.is_null() => format!("found {object} empty"),
            ("dequeue", _) => format!("dequeued {}", self.value(operation.result)),
            ("pop", _) => format!("popped {}", self.value(operation.result)),
            ("enqueue", _) => format!("enqueued {}", argument()),
            ("push", _) => format!("pushed {}", argument()),
            ("append", _) => format!("appended {}", argument()),
            ("add", _) => format!("added {}", argument()),
            ("remove", _) => format!("removed {}", argument()),
            ("txn", _) => self.transaction(operation),
            ("acquire", _) => format!("acquired {object}"),
            ("release", _) => format!("released {object}"),
            _ => format!("did `{}` on {object}", label(history, operation)),
        }
    }

    /// `read x = 4, wrote y = 2`; what was read is told only where it is known.
    fn transaction(&self, operation: &Operation) -> String {
        let history = self.key.history;
        let steps = steps_of(history, operation).unwrap_or_default();
        let steps = steps.iter().filter_map(|&step| MicroOperation::of(history, step).ok());
        let is_told = |step: &MicroOperation| !step.is_read || operation.outcome == Outcome::Ok;
        let told = steps.filter(is_told).map(|step| {
            let verb = if step.is_read { "read" } else { "wrote" };
            format!("{verb} {}", self.assignment((step.key, step.value)))
        });
        shortened(told.collect::<Vec<_>>().join(", "))
    }

    /// `x = 4`.
    pub(super) fn assignment(&self, (register, value): (Datum, Datum)) -> String {
        let name = self.key.history.values.as_text(register);
        let name = name.map_or_else(|| self.value(register), str::to_owned);
        format!("{name} = {}", self.value(value))
    }

    /// `process 3 read x = 4 at 1.204 s`, of all that the operation read.
    pub(super) fn read(&self, at: usize, read: (Datum, Datum)) -> String {
        let operation = self.key.operation(at);
        let time = operation.completed_ns().unwrap_or(operation.invoked_ns);
        format!("process {} read {} at {}", operation.process, self.assignment(read), self.time(time))
    }

    /// What it is about: the key, or what such operations are about.
    pub(super) fn object(&self, at: usize) -> String {
        let (history, operation) = (self.key.history, self.key.operation(at));
        if let Some(name) = history.values.as_text(self.key.name) {
            return name.to_owned();
        }
        if !self.key.name.is_null() {
            return self.value(self.key.name);
        }
        let noun = match history.f(operation) {
            "enqueue" | "dequeue" => "the queue",
            "push" | "pop" => "the stack",
            "acquire" | "release" => "the lock",
            "add" | "remove" => "the object",
            "append" => "the list",
            "txn" => "the registers",
            _ => "the value",
        };
        noun.to_owned()
    }

    pub(super) fn value(&self, value: Datum) -> String {
        shortened(self.key.history.values.to_json(value).to_string())
    }

    pub(super) fn values(&self, values: &[Datum]) -> String {
        let shown: Vec<String> = values.iter().map(|&value| self.value(value)).collect();
        shortened(format!("[{}]", shown.join(", ")))
    }

    pub(super) fn time(&self, time_ns: u64) -> String {
        let (seconds, rest) = (time_ns / 1_000_000_000, time_ns % 1_000_000_000);
        match self.precision {
            Precision::Milliseconds => format!("{seconds}.{:03} s", rest / 1_000_000),
            Precision::Microseconds => format!("{seconds}.{:06} s", rest / 1000),
            Precision::Nanoseconds => format!("{seconds}.{rest:09} s"),
        }
    }

    /// Why the call at `at`, which comes to `call`, cannot be next when the object is in `state`.
    pub(super) fn reason(&self, state: &M::State, (at, call): (usize, &M::Call)) -> String {
        let (history, operation) = (self.key.history, self.key.operation(at));
        let held = format!("{} was then {}", self.object(at), shortened(self.key.model.show(history, state)));
        let returned = self.value(operation.result);
        let f = history.f(operation);
        match (self.key.model.part(call), f) {
            (Part::Sight(_), "dequeue" | "pop") => format!("{held}, and this {f} found nothing"),
            (Part::Sight(values), _) => format!("{held}, and this {f} saw {}", self.values(&values)),
            (_, "read" | "get" | "dequeue" | "pop") => format!("{held}, and this {f} returned {returned}"),
            (_, "cas") => match history.values.as_list(operation.argument) {
                Some(&[old, _]) => {
                    format!("{held}, and this compare-and-set found {} there", self.value(old))
                }
                _ => held,
            },
            (_, "acquire" | "release") => format!("{held}, so it cannot be {f}d"),
            _ => format!("{held}, and then this {f} cannot have had its result"),
        }
    }
}
