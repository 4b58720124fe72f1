//! Reports of etcd's robustness tests: what each client asked and was told (`operations.json`), and what its watches were told
//! (`watch.json`), as JSON objects one after another.
//!
//! Clients stand in files of their own, so nothing can be recorded before all have come: `finish` puts the moments of all
//! into the order of their times. A response to a watch becomes an operation too: it read which changes there were between
//! two revisions. What an etcd makes of them is in `models/etcd`.

use hashbrown::HashMap;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::operation::{History, Record};
use super::super::tape::Taped;
use super::super::value::Datum;
use super::super::{EventKind, Process};
use super::position::Position;
use crate::lines::{self, ParseError};

/// Reads such a report piece by piece, file after file.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// What has come and has not been read.
    rest: Vec<u8>,
    /// Where it begins.
    position: Position,
    /// How much must have come before it is worth trying again.
    enough: usize,
    /// Whether there is only one file, so that a line says where something is.
    has_more_files: bool,
    deeds: Vec<Deed>,
    /// Watches so far.
    watches: usize,
}

/// What one operation or one response to a watch becomes.
#[derive(Debug)]
struct Deed {
    who: Who,
    invoked: u64,
    /// `None`: nobody knows what became of it.
    completed: Option<(u64, EventKind)>,
    f: &'static str,
    argument: Datum,
    result: Datum,
    line: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    Client(u64),
    Watch(usize),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    client_id: Option<u64>,
    input: Option<Input>,
    call: Option<u64>,
    output: Option<Output>,
    #[serde(rename = "Return")]
    completed: Option<u64>,
    request: Option<WatchRequest>,
    responses: Option<Vec<WatchResponse>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    #[serde(rename = "Type")]
    kind: String,
    range: Option<Range>,
    txn: Option<Transaction>,
    lease_grant: Option<Lease>,
    lease_revoke: Option<Lease>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Range {
    start: String,
    #[serde(default)]
    end: String,
    #[serde(default)]
    limit: u64,
    #[serde(default)]
    revision: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Transaction {
    conditions: Option<Vec<Condition>>,
    operations_on_success: Option<Vec<Step>>,
    operations_on_failure: Option<Vec<Step>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Condition {
    key: String,
    #[serde(default)]
    expected_revision: u64,
    #[serde(default)]
    expected_version: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Step {
    #[serde(rename = "Type")]
    kind: String,
    range: Option<Range>,
    put: Option<Put>,
    delete: Option<Delete>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Put {
    key: String,
    value: TextOrHash,
    #[serde(default, rename = "LeaseID")]
    lease_id: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Delete {
    key: String,
}

/// Long values are told by a hash.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct TextOrHash {
    value: String,
    hash: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Lease {
    #[serde(rename = "LeaseID")]
    lease_id: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    txn: Option<TransactionOutput>,
    range: Option<Listing>,
    #[serde(default)]
    revision: i64,
    #[serde(default)]
    partial_response: bool,
    error: Option<String>,
    client_error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TransactionOutput {
    #[serde(default)]
    failure: bool,
    results: Option<Vec<Listing>>,
}

/// What a range found, or how many a delete deleted.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    #[serde(rename = "KVs")]
    items: Option<Vec<Item>>,
    #[serde(default)]
    count: u64,
    #[serde(default)]
    deleted: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    key: String,
    value: TextOrHash,
    mod_revision: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WatchRequest {
    key: String,
    #[serde(default)]
    revision: u64,
    #[serde(default)]
    with_prefix: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WatchResponse {
    events: Option<Vec<WatchEvent>>,
    #[serde(default)]
    is_progress_notify: bool,
    #[serde(default)]
    revision: u64,
    time: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WatchEvent {
    #[serde(rename = "Type")]
    kind: String,
    key: String,
    #[serde(default)]
    value: TextOrHash,
    revision: u64,
}

/// A longer object is no operation.
const OBJECT_BYTES_MAX: usize = 256 << 20;

impl Report {
    /// What comes next is another file.
    pub(super) fn begin_file(&mut self, history: &mut History) -> Result<(), ParseError> {
        self.end_file(history)?;
        self.has_more_files = true;
        self.position = Position::default();
        Ok(())
    }

    pub(super) fn feed(&mut self, history: &mut History, text: &[u8]) -> Result<(), ParseError> {
        self.rest.extend_from_slice(text);
        if self.rest.len() < self.enough {
            return Ok(());
        }
        if self.rest.len() > OBJECT_BYTES_MAX {
            let message = "an object of more than 256 MiB (hint: is this a history?)".to_owned();
            return Err(self.position.error(message));
        }
        self.read(history)
    }

    /// Bytes that wait, and those of what was read and is not recorded yet.
    pub(super) fn memory_bytes(&self) -> usize {
        self.rest.capacity() + self.deeds.capacity() * size_of::<Deed>()
    }

    /// Reads all whole objects that there are.
    fn read(&mut self, history: &mut History) -> Result<(), ParseError> {
        let text = std::mem::take(&mut self.rest);
        let mut done = 0;
        loop {
            let start = done + text[done..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.position = self.position.after(&text[done..start]);
            done = start;
            let mut entries = serde_json::Deserializer::from_slice(&text[start..]).into_iter::<Entry>();
            match entries.next() {
                None => break,
                Some(Err(error)) if error.is_eof() => break,
                Some(Err(error)) => {
                    return Err(self.position.behind(&lines::located(0, &error), error.line()));
                }
                Some(Ok(entry)) => {
                    self.take(history, entry).map_err(|message| self.position.error(message))?;
                    done += entries.byte_offset();
                    self.position = self.position.after(&text[start..done]);
                }
            }
        }
        self.rest = text[done..].to_vec();
        self.enough = 2 * self.rest.len();
        Ok(())
    }

    fn take(&mut self, history: &mut History, entry: Entry) -> Result<(), String> {
        let line = if self.has_more_files { 0 } else { self.position.line() };
        match (entry.input, entry.request) {
            (Some(input), _) => {
                let client = entry.client_id.ok_or("an operation without `ClientId`")?;
                let invoked = entry.call.ok_or("an operation without `Call`")?;
                let output = entry.output.ok_or("an operation without `Output`")?;
                let (f, argument) = asked(&input)?;
                let has_text = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
                let kind = match () {
                    () if has_text(&output.error) => None,
                    () if has_text(&output.client_error) => Some(EventKind::Fail),
                    () => Some(EventKind::Ok),
                };
                let result = match kind {
                    Some(EventKind::Ok) => told(&input, &output)?,
                    _ => Value::Null,
                };
                let completed = kind.map(|kind| Ok((entry.completed.ok_or("no `Return`")?, kind)));
                let completed = completed.transpose().map_err(|why: &str| why.to_owned())?;
                let (argument, result) = (history.values.take(&argument), history.values.take(&result));
                let who = Who::Client(client);
                self.deeds.push(Deed { who, invoked, completed, f, argument, result, line });
                Ok(())
            }
            (None, Some(request)) => {
                self.take_watch(history, &request, entry.responses.unwrap_or_default(), line)
            }
            (None, None) => Err("neither an operation nor a watch (hint: `Input` or `Request`)".to_owned()),
        }
    }

    /// A response tells all changes behind those that were told before it, up to its last one, or up to the revision of which
    /// it says that nothing is missing.
    fn take_watch(
        &mut self,
        history: &mut History,
        request: &WatchRequest,
        responses: Vec<WatchResponse>,
        line: u32,
    ) -> Result<(), String> {
        let who = Who::Watch(self.watches);
        self.watches += 1;
        let mut told = request.revision.checked_sub(1);
        for response in responses {
            let events = response.events.unwrap_or_default();
            let first = events.first().map(|event| event.revision);
            let last = events.iter().map(|event| event.revision).max();
            let until = if response.is_progress_notify { Some(response.revision).max(last) } else { last };
            let Some(until) = until else {
                continue;
            };
            let changes: Vec<Value> = events.iter().map(change).collect::<Result<_, _>>()?;
            // A watch without a revision begins at whatever it was told first.
            let after = told.or(first.map(|first| first.saturating_sub(1))).unwrap_or(until);
            let argument = json!({"key": request.key, "prefix": request.with_prefix, "after": after});
            let result = json!({"until": until, "changes": changes});
            self.deeds.push(Deed {
                who,
                invoked: response.time,
                completed: Some((response.time, EventKind::Ok)),
                f: "watch",
                argument: history.values.take(&argument),
                result: history.values.take(&result),
                line,
            });
            told = Some(until);
        }
        Ok(())
    }

    fn end_file(&mut self, history: &mut History) -> Result<(), ParseError> {
        self.read(history)?;
        if self.rest.trim_ascii().is_empty() {
            return Ok(());
        }
        Err(self.position.error("the file ends within an object (hint: was it cut?)".to_owned()))
    }

    /// Records everything in order of time.
    pub(super) fn finish(mut self, history: &mut History) -> Result<(), ParseError> {
        self.end_file(history)?;
        let names = self.names();
        let mut moments: Vec<(u64, usize, bool)> = Vec::with_capacity(2 * self.deeds.len());
        for (at, deed) in self.deeds.iter().enumerate() {
            moments.push((deed.invoked, at, false));
            moments.extend(deed.completed.map(|(time, _)| (time, at, true)));
        }
        // At one time, all is concurrent but for what a watch was told: it began and ended then.
        let is_watch = |at: usize| matches!(self.deeds[at].who, Who::Watch(_));
        moments.sort_by_key(|&(time, at, is_end)| match is_watch(at) {
            true => (time, 1, at, is_end),
            false => (time, 2 * u8::from(is_end), at, is_end),
        });
        for (time, at, is_end) in moments {
            let deed = &self.deeds[at];
            let ended = deed.completed.filter(|_| is_end).map(|(_, kind)| kind);
            let value = if is_end { deed.result } else { deed.argument };
            let kind = ended.unwrap_or(EventKind::Invoke);
            put_on_tape(history, (time, names[at], kind), deed.f, value);
            let taken = history.name(deed.f).and_then(|f| {
                history.record(&Record {
                    time,
                    process: names[at],
                    kind,
                    f,
                    key: Datum::NULL,
                    value,
                    node: Datum::NULL,
                    line: deed.line,
                })
            });
            let line = deed.line.max(1) as usize;
            taken.map_err(|message| ParseError { line, column: 1, message })?;
        }
        Ok(())
    }

    /// A process number for each deed. A client that goes on after an uncertain operation does so under a new number.
    fn names(&self) -> Vec<u64> {
        let mut order: Vec<usize> = (0..self.deeds.len()).collect();
        order.sort_by_key(|&at| self.deeds[at].invoked);
        let last = self.deeds.iter().map(|deed| match deed.who {
            Who::Client(number) => number,
            Who::Watch(_) => 0,
        });
        let mut next = last.max().map_or(0, |last| last.saturating_add(1));
        let mut current: HashMap<Who, u64> = HashMap::new();
        let mut names = vec![0; self.deeds.len()];
        for at in order {
            let who = self.deeds[at].who;
            let mut fresh = || {
                next = next.wrapping_add(1);
                next - 1
            };
            let name = *current.entry(who).or_insert_with(|| match who {
                Who::Client(number) => number,
                Who::Watch(_) => fresh(),
            });
            names[at] = name;
            if self.deeds[at].completed.is_none() {
                current.insert(who, fresh());
            }
        }
        names
    }
}

fn put_on_tape(history: &mut History, (time, process, kind): (u64, u64, EventKind), f: &str, value: Datum) {
    let Some(tape) = &mut history.tape else {
        return;
    };
    let (process, f, none) = (Process::Client(process), history.values.text(f), Datum::NULL);
    tape.push(Taped { time, process, kind, f, key: none, value, node: none, error: none, others: none });
}

fn asked(input: &Input) -> Result<(&'static str, Value), String> {
    let missing = |what: &str| format!("an input of type `{}` without `{what}`", input.kind);
    match &*input.kind {
        "range" => Ok(("range", range(input.range.as_ref().ok_or_else(|| missing("Range"))?))),
        "txn" => {
            let transaction = input.txn.as_ref().ok_or_else(|| missing("Txn"))?;
            let conditions = transaction.conditions.iter().flatten();
            let conditions: Vec<Value> = conditions
                .map(|condition| {
                    json!([condition.key, condition.expected_revision, condition.expected_version])
                })
                .collect();
            let steps = |steps: &Option<Vec<Step>>| {
                steps.iter().flatten().map(step).collect::<Result<Vec<Value>, String>>()
            };
            let then = steps(&transaction.operations_on_success)?;
            let otherwise = steps(&transaction.operations_on_failure)?;
            Ok(("transaction", json!({"if": conditions, "then": then, "else": otherwise})))
        }
        "leaseGrant" => {
            let lease = input.lease_grant.as_ref().ok_or_else(|| missing("LeaseGrant"))?;
            Ok(("grant-lease", json!(lease.lease_id)))
        }
        "leaseRevoke" => {
            let lease = input.lease_revoke.as_ref().ok_or_else(|| missing("LeaseRevoke"))?;
            Ok(("revoke-lease", json!(lease.lease_id)))
        }
        "defragment" => Ok(("defragment", Value::Null)),
        "compact" => Ok(("compact", Value::Null)),
        other => Err(format!(
            "unknown type of input `{other}` (hint: range, txn, leaseGrant, leaseRevoke, defragment or compact)"
        )),
    }
}

fn range(range: &Range) -> Value {
    json!({"start": range.start, "end": range.end, "limit": range.limit, "revision": range.revision})
}

fn step(step: &Step) -> Result<Value, String> {
    let missing = |what: &str| format!("a step of type `{}` without `{what}`", step.kind);
    match &*step.kind {
        "put" | "put-operation" => {
            let put = step.put.as_ref().ok_or_else(|| missing("Put"))?;
            Ok(json!(["put", put.key, text(&put.value), put.lease_id]))
        }
        "delete" | "delete-operation" => {
            Ok(json!(["delete", step.delete.as_ref().ok_or_else(|| missing("Delete"))?.key]))
        }
        "range" | "range-operation" => {
            Ok(json!(["range", range(step.range.as_ref().ok_or_else(|| missing("Range"))?)]))
        }
        other => Err(format!("unknown type of step `{other}` (hint: put, delete or range)")),
    }
}

fn text(value: &TextOrHash) -> Value {
    if value.hash == 0 { json!(value.value) } else { json!(value.hash) }
}

/// What the client was told: always the revision, and more unless the response is partial.
fn told(input: &Input, output: &Output) -> Result<Value, String> {
    let mut told = json!({"revision": output.revision});
    if output.partial_response {
        return Ok(told);
    }
    match &*input.kind {
        "range" => {
            let found = output.range.as_ref().ok_or("the output of a range without `Range`")?;
            told["found"] = listing(found);
        }
        "txn" => {
            let output = output.txn.as_ref().ok_or("the output of a transaction without `Txn`")?;
            let transaction = input.txn.as_ref().ok_or("an input of type `txn` without `Txn`")?;
            let steps = match output.failure {
                true => &transaction.operations_on_failure,
                false => &transaction.operations_on_success,
            };
            let (steps, results) =
                (steps.as_deref().unwrap_or_default(), output.results.as_deref().unwrap_or_default());
            if steps.len() != results.len() {
                return Err(format!("{} results of {} steps", results.len(), steps.len()));
            }
            let result = |(step, result): (&Step, &Listing)| match &*step.kind {
                "put" | "put-operation" => Value::Null,
                "delete" | "delete-operation" => json!(result.deleted),
                _ => listing(result),
            };
            told["then"] = json!(!output.failure);
            told["results"] = steps.iter().zip(results).map(result).collect();
        }
        _ => {}
    }
    Ok(told)
}

fn listing(listing: &Listing) -> Value {
    let items = listing.items.iter().flatten();
    let items: Vec<Value> =
        items.map(|item| json!([item.key, text(&item.value), item.mod_revision])).collect();
    json!({"count": listing.count, "items": items})
}

fn change(event: &WatchEvent) -> Result<Value, String> {
    match &*event.kind {
        "put" | "put-operation" => Ok(json!([event.revision, "put", event.key, text(&event.value)])),
        "delete" | "delete-operation" => Ok(json!([event.revision, "delete", event.key])),
        other => Err(format!("unknown type of event `{other}` (hint: put or delete)")),
    }
}
