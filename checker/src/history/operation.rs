//! Operations: each invocation paired with its completion, in a form of which many millions fit into memory.
//!
//! The one idea: order is the order of the events, not of their times. Two events may carry the same nanosecond,
//! but one was recorded first, and what completed before another was invoked came before it.

use hashbrown::HashMap;
use serde_json::Value;

use super::value::{Datum, Values};
use super::{Event, EventKind, Process, Taped};

/// The name of an operation's kind, by its number in the table of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(u32);

/// One operation of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// The number of the client process.
    pub process: u64,
    /// The object that it is about, where there are several; else `null`.
    pub key: Datum,
    /// The argument.
    pub argument: Datum,
    /// The result; `null` unless the outcome is `Ok`.
    pub result: Datum,
    /// Invocation, nanoseconds since the start of the run.
    pub invoked_ns: u64,
    /// Nanoseconds since the start of the run, or [`NEVER_NS`].
    completed_ns: u64,
    /// Place of the invocation among the events.
    pub invoked_at: u32,
    /// Place among the events, or [`NEVER`].
    completed_at: u32,
    /// What was asked.
    pub f: Name,
    /// Line of the completion, or of the invocation where there is none, from 1; 0 if the history is from no file.
    line: u32,
    /// The node that answered, or was asked, plus one.
    node: u32,
    /// What became of it.
    pub outcome: Outcome,
}

const NEVER_NS: u64 = u64::MAX;
const NEVER: u32 = u32::MAX;

impl Operation {
    /// Completion, nanoseconds since the start of the run; `None` while there is none. An `Info` may have one, but is
    /// open for ever.
    pub fn completed_ns(&self) -> Option<u64> {
        (self.completed_ns != NEVER_NS).then_some(self.completed_ns)
    }

    /// Place of the completion among the events.
    pub fn completed_at(&self) -> Option<u32> {
        (self.completed_at != NEVER).then_some(self.completed_at)
    }

    /// Line of the completion, or of the invocation where there is none, from 1, if the history came from a file.
    pub fn line(&self) -> Option<usize> {
        (self.line != 0).then_some(self.line as usize)
    }
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

/// An event whose values stand in the table of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Nanoseconds since the start of the run.
    pub time: u64,
    /// The client.
    pub process: u64,
    /// What kind of event.
    pub kind: EventKind,
    /// What was asked.
    pub f: Name,
    /// The object, `null` if there is only one.
    pub key: Datum,
    /// Argument on invoke, result on ok.
    pub value: Datum,
    /// The node, as a text of the table; else `null`.
    pub node: Datum,
    /// Its line in a file, from 1; else 0.
    pub line: u32,
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

/// What clients did: operations in order of invocation, and the table of their values.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// All of them, in order of invocation.
    pub operations: Vec<Operation>,
    /// What their words mean.
    pub values: Values,
    /// Whether what others did may be missing, as in files of other tools; then a value of unknown origin proves nothing.
    pub is_excerpt: bool,
    names: Vec<Box<str>>,
    nodes: Vec<Datum>,
    clients: HashMap<u64, Client>,
    events: u32,
    is_untimed: bool,
    /// The number that the last event gave itself.
    index: Option<u64>,
    /// All events as they were recorded, where somebody wants them.
    pub(super) tape: Option<Vec<Taped>>,
}

/// What is known of a process.
#[derive(Debug, Clone)]
struct Client {
    time: u64,
    /// Its latest operation.
    operation: u32,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Open,
    Done,
    /// Its operation may still take effect, so the number is used up.
    Uncertain,
}

/// More kinds of operations than this are no history, and would make every look-up slow.
const NAMES_MAX: usize = 1000;

impl History {
    /// The operations that `events` pair up to. Those of the nemesis are skipped. An invocation without a completion
    /// counts as `info`.
    ///
    /// # Errors
    /// A completion without its invocation, a second one, one of another `f`; a process that invokes while its operation
    /// is open, or after an `info`; times of one process that run backwards.
    pub fn of(events: &[Event]) -> Result<History, PairingError> {
        let mut history = History::default();
        for (at, event) in events.iter().enumerate() {
            history.push(event).map_err(|message| PairingError { event: at, message })?;
        }
        Ok(history)
    }

    /// Adds an event.
    ///
    /// # Errors
    /// In one line, why no client can have recorded it; see [`History::of`].
    pub fn push(&mut self, event: &Event) -> Result<(), String> {
        self.push_line(event, 0)
    }

    /// The same for an event that stands in a line of a file.
    pub(super) fn push_line(&mut self, event: &Event, line: usize) -> Result<(), String> {
        let Process::Client(process) = event.process else {
            self.skip();
            return Ok(());
        };
        let record = Record {
            time: event.time,
            process,
            kind: event.kind,
            f: self.name(&event.f)?,
            key: event.key.as_ref().map_or(Datum::NULL, |key| self.values.take(key)),
            value: self.values.take(&event.value),
            node: event.node.as_ref().map_or(Datum::NULL, |node| self.values.text(node)),
            line: u32::try_from(line).unwrap_or(u32::MAX),
        };
        self.record(&record)
    }

    /// Takes note of the number that an event gives itself.
    ///
    /// # Errors
    /// When it is not behind that of the event before: then the order of the events is not that of the file.
    pub(super) fn follow(&mut self, index: u64) -> Result<(), String> {
        let last = self.index.replace(index);
        match last {
            Some(last) if index == last => Err(format!("there are two events with the index {index}")),
            Some(last) if index < last => Err(format!(
                "the index runs backwards, from {last} to {index} (hint: events stand in the order in which they were recorded)"
            )),
            _ => Ok(()),
        }
    }

    /// Counts an event that is no client's.
    pub fn skip(&mut self) {
        self.events += 1;
    }

    /// Adds an event whose values stand in this history's table.
    ///
    /// # Errors
    /// In one line, why no client can have recorded it; see [`History::of`].
    pub fn record(&mut self, record: &Record) -> Result<(), String> {
        let at = self.events;
        self.events = at.checked_add(1).filter(|&next| next != NEVER).ok_or("more than 2^32 events")?;
        let process = record.process;
        let known = self.clients.get_mut(&process);
        if let Some(client) = &known
            && record.time < client.time
        {
            return Err(format!(
                "time of process {process} runs backwards, from {} to {}",
                client.time, record.time
            ));
        }
        if record.kind == EventKind::Invoke {
            may_invoke(process, known.map(|client| client.state))?;
            let operation = self.operations.len() as u32;
            self.clients.insert(process, Client { time: record.time, operation, state: State::Open });
            let node = self.node_number(record.node);
            self.operations.push(invoked(at, node, record));
            return Ok(());
        }
        let Some(client) = known else {
            return Err(format!("process {process} completes an operation that it never invoked"));
        };
        if client.state != State::Open {
            return Err(format!("process {process} completes its operation twice"));
        }
        client.time = record.time;
        client.state = if record.kind == EventKind::Info { State::Uncertain } else { State::Done };
        let number = client.operation as usize;
        let node = self.node_number(record.node);
        let names = &self.names;
        complete(&mut self.operations[number], names, at, node, record)
    }

    /// The number of a name.
    ///
    /// # Errors
    /// When there are more of them than any history has, or it is none that could be shown.
    pub fn name(&mut self, name: &str) -> Result<Name, String> {
        if let Some(number) = self.names.iter().position(|known| **known == *name) {
            return Ok(Name(number as u32));
        }
        if name.contains(char::is_control) {
            return Err(format!("`f` is no name but {name:?}"));
        }
        if self.names.len() == NAMES_MAX {
            return Err(format!("more than {NAMES_MAX} kinds of operations (hint: is this a history?)"));
        }
        self.names.push(name.into());
        Ok(Name(self.names.len() as u32 - 1))
    }

    /// Whether the order of events of different processes says anything. Where nothing was recorded but what each process did,
    /// only promises that do not speak of real time can be judged.
    pub fn is_timed(&self) -> bool {
        !self.is_untimed
    }

    /// Says that only the order within each process was recorded.
    pub(super) fn forget_times(&mut self) {
        self.is_untimed = true;
    }

    /// What the open operation of a process asked.
    pub(super) fn open(&self, process: u64) -> Option<Name> {
        let client = self.clients.get(&process).filter(|client| client.state == State::Open)?;
        Some(self.operations[client.operation as usize].f)
    }

    /// The name of that number.
    pub(super) fn name_of(&self, name: Name) -> &str {
        &self.names[name.0 as usize]
    }

    /// A name that stands for none.
    pub(super) fn first_name(&self) -> Name {
        Name(0)
    }

    /// What `operation` asked.
    pub fn f(&self, operation: &Operation) -> &str {
        &self.names[operation.f.0 as usize]
    }

    /// All names of kinds of operations, by number.
    pub fn names(&self) -> impl Iterator<Item = (Name, &str)> {
        self.names.iter().zip(0..).map(|(name, number)| (Name(number), &**name))
    }

    /// The node that answered, or was asked.
    pub fn node(&self, operation: &Operation) -> Option<&str> {
        let number = operation.node.checked_sub(1)?;
        self.values.as_text(self.nodes[number as usize])
    }

    /// The key as JSON, where the history has keys.
    pub fn key(&self, operation: &Operation) -> Option<Value> {
        (!operation.key.is_null()).then(|| self.values.to_json(operation.key))
    }

    /// How many events there were, those of the nemesis too.
    pub fn events(&self) -> usize {
        self.events as usize
    }

    /// Bytes that it takes in memory, about.
    pub fn memory_bytes(&self) -> usize {
        self.operations.len() * size_of::<Operation>()
            + self.tape.as_ref().map_or(0, |tape| tape.len() * size_of::<Taped>())
            + self.values.memory_bytes()
            + self.clients.capacity() * size_of::<(u64, Client)>()
    }

    /// Nodes are few, and asked for far more often than they change.
    fn node_number(&mut self, node: Datum) -> u32 {
        if node.is_null() {
            return 0;
        }
        let known = self.nodes.iter().position(|&known| known == node);
        let number = known.unwrap_or_else(|| {
            if self.nodes.len() < NAMES_MAX {
                self.nodes.push(node);
            }
            self.nodes.len() - 1
        });
        number as u32 + 1
    }
}

fn may_invoke(process: u64, state: Option<State>) -> Result<(), String> {
    match state {
        None | Some(State::Done) => Ok(()),
        Some(State::Open) => {
            Err(format!("process {process} invokes an operation while its last one is open"))
        }
        Some(State::Uncertain) => Err(format!(
            "process {process} goes on after an `info` (hint: give the client a new process number)"
        )),
    }
}

fn invoked(at: u32, node: u32, record: &Record) -> Operation {
    Operation {
        process: record.process,
        key: record.key,
        argument: record.value,
        result: Datum::NULL,
        invoked_ns: record.time,
        completed_ns: NEVER_NS,
        invoked_at: at,
        completed_at: NEVER,
        f: record.f,
        line: record.line,
        node,
        outcome: Outcome::Info,
    }
}

fn complete(
    operation: &mut Operation,
    names: &[Box<str>],
    at: u32,
    node: u32,
    record: &Record,
) -> Result<(), String> {
    let Operation { process, f, .. } = *operation;
    let name = |name: Name| &names[name.0 as usize];
    if f != record.f {
        let (told, asked) = (name(record.f), name(f));
        return Err(format!("process {process} completes `{told}`, but it had invoked `{asked}`"));
    }
    if !record.key.is_null() && record.key != operation.key {
        return Err(format!("process {process} completes `{}` of another key than it had invoked", name(f)));
    }
    let is_echo = || matches!(name(f).as_ref(), "write" | "cas" | "put" | "enqueue" | "push");
    if record.kind == EventKind::Ok
        && record.value != operation.argument
        && !record.value.is_null()
        && is_echo()
    {
        return Err(format!(
            "process {process} completes `{}` of another value than it had invoked",
            name(f)
        ));
    }
    operation.completed_ns = record.time;
    operation.completed_at = at;
    operation.line = record.line;
    if node != 0 {
        operation.node = node;
    }
    operation.outcome = match record.kind {
        EventKind::Ok => Outcome::Ok,
        EventKind::Fail => Outcome::Fail,
        EventKind::Info | EventKind::Invoke => Outcome::Info,
    };
    if operation.outcome == Outcome::Ok {
        operation.result = record.value;
    }
    Ok(())
}
