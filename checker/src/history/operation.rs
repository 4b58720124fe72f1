//! Operations: each invocation paired with its completion.
//!
//! The one idea: order is the order of the events, not of their times. Two events may carry the same nanosecond,
//! but one was recorded first, and what completed before another was invoked came before it.

use std::collections::HashMap;

use serde_json::Value;

use super::{Event, EventKind, Process};

/// One operation of a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// The number of the client process.
    pub process: u64,
    /// What was asked.
    pub f: String,
    /// The object that it is about, where there are several.
    pub key: Option<Value>,
    /// The argument.
    pub argument: Value,
    /// The result; `null` unless the outcome is `Ok`.
    pub result: Value,
    /// What became of it.
    pub outcome: Outcome,
    /// Invocation, nanoseconds since the start of the run.
    pub invoked_ns: u64,
    /// Completion likewise; `None` while there is none. An `Info` may have one, but is open for ever.
    pub completed_ns: Option<u64>,
    /// Place of the invocation among the events.
    pub invoked_at: usize,
    /// Place of the completion among the events.
    pub completed_at: Option<usize>,
    /// Line of the completion, or of the invocation where there is none, from 1, if the history came from a file.
    pub line: Option<usize>,
}

/// What became of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It happened.
    Ok,
    /// It surely did not happen.
    Fail,
    /// It may have happened, or may yet.
    Info,
}

/// Events that no client can have recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {event}: {message}")]
pub struct PairingError {
    /// Place of the event that does not fit, from 0.
    pub event: usize,
    /// What is wrong, in one line.
    pub message: String,
}

/// What is known of a process.
struct Client {
    time: u64,
    /// Its latest operation.
    operation: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    Done,
    /// Its operation may still take effect, so the number is used up.
    Uncertain,
}

/// Pairs the events of client processes, in order of invocation; those of the nemesis are skipped. An invocation
/// without a completion counts as `info`.
///
/// # Errors
/// A completion without its invocation, a second one, one of another `f`; a process that invokes while its operation
/// is open, or after an `info`; times of one process that run backwards.
pub fn operations(events: &[Event]) -> Result<Vec<Operation>, PairingError> {
    let mut clients: HashMap<u64, Client> = HashMap::new();
    let mut operations = Vec::with_capacity(events.len() / 2);
    for (at, event) in events.iter().enumerate() {
        let Process::Client(process) = event.process else {
            continue;
        };
        take(&mut clients, &mut operations, at, process, event)
            .map_err(|message| PairingError { event: at, message })?;
    }
    Ok(operations)
}

fn take(
    clients: &mut HashMap<u64, Client>,
    operations: &mut Vec<Operation>,
    at: usize,
    process: u64,
    event: &Event,
) -> Result<(), String> {
    if let Some(client) = clients.get(&process)
        && event.time < client.time
    {
        return Err(format!(
            "time of process {process} runs backwards, from {} to {}",
            client.time, event.time
        ));
    }
    if event.kind == EventKind::Invoke {
        may_invoke(process, clients.get(&process))?;
        let client = Client { time: event.time, operation: operations.len(), state: State::Open };
        clients.insert(process, client);
        operations.push(invoked(at, process, event));
        return Ok(());
    }
    let Some(client) = clients.get_mut(&process) else {
        return Err(format!("process {process} completes an operation that it never invoked"));
    };
    if client.state != State::Open {
        return Err(format!("process {process} completes its operation twice"));
    }
    client.time = event.time;
    client.state = match event.kind {
        EventKind::Info => State::Uncertain,
        _ => State::Done,
    };
    complete(&mut operations[client.operation], at, event)
}

fn may_invoke(process: u64, client: Option<&Client>) -> Result<(), String> {
    match client.map(|client| client.state) {
        None | Some(State::Done) => Ok(()),
        Some(State::Open) => {
            Err(format!("process {process} invokes an operation while its last one is open"))
        }
        Some(State::Uncertain) => Err(format!(
            "process {process} goes on after an `info` (hint: give the client a new process number)"
        )),
    }
}

fn invoked(at: usize, process: u64, event: &Event) -> Operation {
    Operation {
        process,
        f: event.f.to_string(),
        key: event.key.clone(),
        argument: event.value.clone(),
        result: Value::Null,
        outcome: Outcome::Info,
        invoked_ns: event.time,
        completed_ns: None,
        invoked_at: at,
        completed_at: None,
        line: None,
    }
}

fn complete(operation: &mut Operation, at: usize, event: &Event) -> Result<(), String> {
    let Operation { process, f, .. } = operation;
    if *f != event.f {
        return Err(format!("process {process} completes `{}`, but it had invoked `{f}`", event.f));
    }
    if event.key.is_some() && event.key != operation.key {
        return Err(format!("process {process} completes `{f}` of another key than it had invoked"));
    }
    operation.completed_ns = Some(event.time);
    operation.completed_at = Some(at);
    operation.outcome = match event.kind {
        EventKind::Ok => Outcome::Ok,
        EventKind::Fail => Outcome::Fail,
        EventKind::Info | EventKind::Invoke => Outcome::Info,
    };
    if operation.outcome == Outcome::Ok {
        operation.result = event.value.clone();
    }
    Ok(())
}
