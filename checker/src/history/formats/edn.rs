//! Jepsen's operations: maps with `:type`, `:f`, `:value`, `:process`, `:time`, one after another or in one vector or list, as
//! EDN or as JSON.
//!
//! The one idea: a file is fed in pieces, and a piece may end within a form; what is not whole waits for the next piece.

use super::super::operation::{History, Record};
use super::super::tape::{self, Taped};
use super::super::value::{Datum, Values};
use super::super::{EventKind, Process};
use super::forms::{Forms, Stop};
use super::position::Position;
use crate::lines::ParseError;

/// Reads such a file piece by piece.
#[derive(Debug, Default)]
pub(super) struct Maps {
    is_json: bool,
    /// What has come and has not been read.
    rest: Vec<u8>,
    /// Where it begins.
    position: Position,
    /// What closes the collection that the operations stand in, if they do.
    closing: Option<u8>,
    is_closed: bool,
    has_begun: bool,
    /// How much must have come before it is worth trying again.
    enough: usize,
    /// Events so far, which are the time where none is given.
    events: u64,
}

/// A form longer than this is no operation.
const FORM_BYTES_MAX: usize = 256 << 20;

impl Maps {
    pub(super) fn new(is_json: bool) -> Maps {
        Maps { is_json, ..Maps::default() }
    }

    pub(super) fn feed(&mut self, history: &mut History, text: &[u8]) -> Result<(), ParseError> {
        self.rest.extend_from_slice(text);
        if self.rest.len() < self.enough {
            return Ok(());
        }
        if self.rest.len() > FORM_BYTES_MAX {
            let message = "an operation of more than 256 MiB (hint: is this a history?)".to_owned();
            return Err(self.position.error(message));
        }
        self.read(history)
    }

    /// Bytes that wait.
    pub(super) fn memory_bytes(&self) -> usize {
        self.rest.capacity()
    }

    /// Reads all whole forms that there are.
    fn read(&mut self, history: &mut History) -> Result<(), ParseError> {
        let text = std::mem::take(&mut self.rest);
        let mut done = 0;
        let mut line = self.position;
        loop {
            let mut forms = Forms { text: &text, at: done, is_json: self.is_json };
            let next = self.next(&mut forms, history);
            let begun = line.after(&text[done..forms.at.min(text.len())]);
            match next {
                Ok(Some((value, start))) => {
                    let place = line.after(&text[done..start]);
                    self.event(history, value, place.line()).map_err(|message| place.error(message))?;
                }
                Ok(None) => {}
                Err(Stop::End) => break,
                Err(Stop::Wrong(at, message)) => return Err(line.after(&text[done..at]).error(message)),
            }
            line = begun;
            done = forms.at;
        }
        self.rest = text[done..].to_vec();
        // Else a form that never ends would be read again with every piece.
        self.enough = 2 * self.rest.len();
        self.position = line;
        Ok(())
    }

    /// The next form and where it begins; `None` for what only holds others.
    fn next(&mut self, forms: &mut Forms<'_>, history: &mut History) -> Result<Option<(Datum, usize)>, Stop> {
        let byte = forms.peek()?;
        let start = forms.at;
        if self.is_closed {
            return Err(Stop::Wrong(start, "more text behind the end of the history".to_owned()));
        }
        if !self.has_begun && matches!(byte, b'[' | b'(') {
            self.closing = Some(if byte == b'[' { b']' } else { b')' });
            self.has_begun = true;
            forms.at += 1;
            return Ok(None);
        }
        if Some(byte) == self.closing {
            self.is_closed = true;
            forms.at += 1;
            return Ok(None);
        }
        self.has_begun = true;
        let value = forms.form(&mut history.values)?;
        Ok(Some((value, start)))
    }

    fn event(&mut self, history: &mut History, value: Datum, line: u32) -> Result<(), String> {
        let Some(pairs) = history.values.as_map(value) else {
            let shown = history.values.to_json(value).to_string();
            let shown: String = shown.chars().take(40).collect();
            return Err(format!("an operation is a map, not `{shown}`"));
        };
        let pairs = pairs.as_chunks::<2>().0.to_vec();
        let fields = Fields::of(&history.values, &pairs);
        let time = match fields.time {
            Some(time) => time
                .as_integer()
                .and_then(|time| u64::try_from(time).ok())
                .or_else(|| (time.is_null() || time.as_integer().is_some()).then_some(self.events)),
            None => Some(self.events),
        };
        let time = time.ok_or("`time` is no integer")?;
        self.events += 1;
        let kind = fields.kind.and_then(|kind| history.values.as_text(kind)).and_then(kind_of);
        let kind = kind.ok_or("`type` is none of invoke, ok, fail and info")?;
        if let Some(index) = fields.index.and_then(Datum::as_integer).and_then(|index| index.try_into().ok())
        {
            history.follow(index)?;
        }
        let process = match fields.process {
            // Whoever recorded one thing after another needs no processes.
            None => Process::Client(0),
            Some(process) => match process.as_integer().map(u64::try_from) {
                Some(Ok(process)) => Process::Client(process),
                _ => Process::Nemesis,
            },
        };
        let value = fields.value.unwrap_or(Datum::NULL);
        let f = match fields.f.map(|f| history.values.as_text(f)) {
            Some(Some(f)) => f.to_owned(),
            Some(None) if fields.f != Some(Datum::NULL) => return Err("`f` is no name".to_owned()),
            _ => "txn".to_owned(),
        };
        put_on_tape(history, &fields, &pairs, (time, process, kind), &f);
        let Process::Client(process) = process else {
            history.skip();
            return Ok(());
        };
        let f = history.name(&f)?;
        let key = fields.key.unwrap_or(Datum::NULL);
        let node = fields.node.filter(|&node| history.values.as_text(node).is_some());
        let node = node.unwrap_or(Datum::NULL);
        history.record(&Record { time, process, kind, f, key, value, node, line })
    }

    pub(super) fn finish(mut self, history: &mut History) -> Result<Option<String>, ParseError> {
        // A last word is whole when nothing comes behind it.
        self.rest.push(b'\n');
        self.read(history)?;
        let left = self.rest.trim_ascii_start();
        let is_done = left.is_empty() || left.starts_with(b";");
        if is_done && (self.closing.is_none() || self.is_closed) {
            return Ok(None);
        }
        let line = self.position.after(&self.rest[..self.rest.len() - left.len()]).line();
        Ok(Some(format!("line {line}: the file ends within the history, what is cut was left out")))
    }
}

fn put_on_tape(
    history: &mut History,
    fields: &Fields,
    pairs: &[[Datum; 2]],
    (time, process, kind): (u64, Process, EventKind),
    f: &str,
) {
    let Some(tape) = &mut history.tape else {
        return;
    };
    let values = &mut history.values;
    let mut others: Vec<(Datum, Datum)> = Vec::new();
    for &[name, value] in pairs {
        if !values.as_text(name).is_some_and(|name| tape::NAMES.contains(&name)) {
            let name = values.key_name(name);
            others.push((values.text(&name), value));
        }
    }
    // A name may be there as a text and as a number.
    others.sort_unstable();
    others.dedup_by_key(|(name, _)| *name);
    let others = if others.is_empty() { Datum::NULL } else { values.map(&mut others) };
    let text = |values: &mut Values, value: Option<Datum>| match value {
        Some(value) if !value.is_null() && values.as_text(value).is_none() => {
            let shown = values.to_json(value).to_string();
            values.text(&shown)
        }
        value => value.unwrap_or(Datum::NULL),
    };
    tape.push(Taped {
        time,
        process,
        kind,
        f: values.text(f),
        key: fields.key.unwrap_or(Datum::NULL),
        value: fields.value.unwrap_or(Datum::NULL),
        node: text(values, fields.node),
        error: text(values, fields.error),
        others,
    });
}

/// What an operation's map says.
#[derive(Default)]
struct Fields {
    index: Option<Datum>,
    error: Option<Datum>,
    kind: Option<Datum>,
    f: Option<Datum>,
    value: Option<Datum>,
    process: Option<Datum>,
    time: Option<Datum>,
    key: Option<Datum>,
    node: Option<Datum>,
}

impl Fields {
    fn of(values: &Values, pairs: &[[Datum; 2]]) -> Fields {
        let mut fields = Fields::default();
        for &[key, value] in pairs {
            let field = match values.as_text(key) {
                Some("index") => &mut fields.index,
                Some("error") => &mut fields.error,
                Some("type") => &mut fields.kind,
                Some("f") => &mut fields.f,
                Some("value") => &mut fields.value,
                Some("process") => &mut fields.process,
                Some("time") => &mut fields.time,
                Some("key") => &mut fields.key,
                Some("node") => &mut fields.node,
                _ => continue,
            };
            *field = Some(value);
        }
        fields
    }
}

pub(super) fn kind_of(name: &str) -> Option<EventKind> {
    match name {
        "invoke" => Some(EventKind::Invoke),
        "ok" => Some(EventKind::Ok),
        "fail" => Some(EventKind::Fail),
        "info" => Some(EventKind::Info),
        _ => None,
    }
}
