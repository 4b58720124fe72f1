//! Logs of one event a line: those of old Jepsen (`INFO  jepsen.util - 3⇥:invoke⇥:write⇥4`, or the same without what stands
//! before the process, as in `history.txt`), and those of collections (`[3] call enq(4)`, `[3] return 4`).

use super::super::operation::{History, Record};
use super::super::tape::Taped;
use super::super::value::{Datum, Values};
use super::super::{EventKind, Process};
use super::edn::kind_of;
use super::forms::Forms;

/// What is wrong with a line, and in which column, from 1.
type Wrong = (usize, String);

/// What stands before an event in a log of old Jepsen.
const JEPSEN_PREFIX: &str = "jepsen.util - ";

/// Whether this line of a log has an event of old Jepsen.
pub(super) fn is_jepsen(line: &str) -> bool {
    jepsen_words(line).is_some()
}

/// Process, type, f and value.
fn jepsen_words<'l>(line: &'l str) -> Option<[&'l str; 4]> {
    let event = line.split_once(JEPSEN_PREFIX).map_or(line, |(_, event)| event);
    // Columns are set apart by tabs, or by spaces where somebody made them pretty.
    let word = |text: &'l str| text.find(char::is_whitespace).unwrap_or(text.len());
    let (process, rest) = event.trim().split_at(word(event.trim()));
    let (kind, rest) = rest.trim_start().split_at(word(rest.trim_start()));
    let (f, value) = rest.trim_start().split_at(word(rest.trim_start()));
    kind.strip_prefix(':').and_then(kind_of)?;
    Some([process, kind, f, if value.trim().is_empty() { "nil" } else { value.trim() }])
}

/// Takes a line; those without an event are passed over. The time is the number of the line.
pub(super) fn take_jepsen(history: &mut History, line: &str, number: u32) -> Result<(), Wrong> {
    let Some([process, kind, f, value]) = jepsen_words(line) else {
        return Ok(());
    };
    let kind = kind.strip_prefix(':').and_then(kind_of).expect("it was looked at");
    let f = f.trim_start_matches(':');
    let Ok(process) = process.parse() else {
        if history.tape.is_some() {
            let value = history.values.text(value);
            put_on_tape(history, (Process::Nemesis, kind, f), value, number);
        }
        history.skip();
        return Ok(());
    };
    let at = value.as_ptr().addr().saturating_sub(line.as_ptr().addr());
    let value = value_of(&mut history.values, value).map_err(|message| (at + 1, message))?;
    put_on_tape(history, (Process::Client(process), kind, f), value, number);
    let f = history.name(f).map_err(whole)?;
    // What a completion that is not `ok` carries is its reason, not its value.
    let value = if matches!(kind, EventKind::Invoke | EventKind::Ok) { value } else { Datum::NULL };
    let record = Record {
        time: u64::from(number),
        process,
        kind,
        f,
        key: Datum::NULL,
        value,
        node: Datum::NULL,
        line: number,
    };
    history.record(&record).map_err(whole)
}

/// What is wrong with the line as a whole.
fn whole(message: String) -> Wrong {
    (1, message)
}

pub(super) fn put_on_tape(
    history: &mut History,
    (process, kind, f): (Process, EventKind, &str),
    value: Datum,
    number: u32,
) {
    let Some(tape) = &mut history.tape else {
        return;
    };
    let none = Datum::NULL;
    let (time, f) = (u64::from(number), history.values.text(f));
    tape.push(Taped { time, process, kind, f, key: none, value, node: none, error: none, others: none });
}

fn value_of(values: &mut Values, text: &str) -> Result<Datum, String> {
    let text = format!("{text} ");
    let mut forms = Forms { text: text.as_bytes(), at: 0, is_json: false };
    forms.form(values).map_err(|_| format!("`{}` is no value", text.trim()))
}

/// Whether a collection is a stack, where the line tells what it is. Some logs say `add` and `remove` whatever they are of.
pub(super) fn is_stack(line: &str) -> Option<bool> {
    line.split_once("@object").map(|(_, object)| object.contains("stack"))
}

/// Takes a line of a collection's log.
pub(super) fn take_collection(
    history: &mut History,
    line: &str,
    number: u32,
    is_stack: bool,
) -> Result<(), Wrong> {
    take_deed(history, line, number, is_stack).map_err(whole)
}

fn take_deed(history: &mut History, line: &str, number: u32, is_stack: bool) -> Result<(), String> {
    let line = line.split('#').next().expect("the first piece").trim();
    if line.is_empty() {
        return Ok(());
    }
    let wrong = || format!("`{line}` is no event (hint: `[3] call enq(4)` or `[3] return 4`)");
    let event = line.strip_prefix('[').and_then(|line| line.split_once(']'));
    let (process, event) = event.ok_or_else(wrong)?;
    let process = process.trim().parse().map_err(|_| wrong())?;
    let event = event.trim();
    if let Some(call) = event.strip_prefix("call") {
        let end = call.trim_start().find(['(', ' ']).unwrap_or(call.trim_start().len());
        let (name, argument) = call.trim_start().split_at(end);
        let argument = argument.trim().trim_start_matches('(').trim_end_matches(')').trim();
        let f = match name {
            "add" if is_stack => "push",
            "remove" if is_stack => "pop",
            "enq" | "enqueue" | "add" => "enqueue",
            "deq" | "dequeue" | "remove" => "dequeue",
            "push" => "push",
            "pop" => "pop",
            _ => return Err(wrong()),
        };
        let f = history.name(f)?;
        let value = item(&mut history.values, argument);
        return record(history, process, EventKind::Invoke, f, value, number);
    }
    let Some(result) = event.strip_prefix("return") else {
        return Err(wrong());
    };
    let Some(f) = history.open(process) else {
        return Err(format!("process {process} completes an operation that it never invoked"));
    };
    let result = result.trim().trim_start_matches('[').trim_end_matches(']');
    let value = match result {
        "empty" | "EMPTY" => Datum::NULL,
        result => item(&mut history.values, result),
    };
    record(history, process, EventKind::Ok, f, value, number)
}

fn record(
    history: &mut History,
    process: u64,
    kind: EventKind,
    f: super::super::Name,
    value: Datum,
    number: u32,
) -> Result<(), String> {
    if history.tape.is_some() {
        let name = history.name_of(f).to_owned();
        put_on_tape(history, (Process::Client(process), kind, &name), value, number);
    }
    let (key, node) = (Datum::NULL, Datum::NULL);
    history.record(&Record { time: u64::from(number), process, kind, f, key, value, node, line: number })
}

fn item(values: &mut Values, text: &str) -> Datum {
    match text {
        "" => Datum::NULL,
        text => text.parse().ok().and_then(Datum::integer).unwrap_or_else(|| values.text(text)),
    }
}
