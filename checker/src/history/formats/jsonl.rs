//! Reading `history.jsonl`: one event a line, with errors that name the line.
//!
//! The one idea: nearly all lines are plain, and those are scanned in one pass without a value tree. Whatever the
//! scanner does not take (escapes, floats, maps, unknown keys with such) goes through serde, which also words the errors.

use super::super::operation::{History, Record};
use super::super::tape::{self, Taped};
use super::super::value::{Datum, Values};
use super::super::{Event, EventKind};
use crate::lines::{self, ParseError};

/// Events of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// Its events, in the order of the file.
    pub events: Vec<Event>,
    /// What a reader should know though it is no error, one line each.
    pub notices: Vec<String>,
}

/// Reads events as such, one a line. A last line that was cut off is accepted with a notice.
///
/// # Errors
/// A line that is not JSON, or no event.
pub fn parse_jsonl(text: &[u8]) -> Result<Parsed, ParseError> {
    let read = lines::read(text)?;
    let events = read.records.into_iter().map(|(_, event)| event).collect();
    Ok(Parsed { events, notices: read.cut.map(cut_notice).into_iter().collect() })
}

pub(super) fn cut_notice(line: usize) -> String {
    format!("line {line} is cut off and was left out")
}

/// Takes one line, which is not empty. `is_last` if there is no line feed behind it; then it may be cut, which the
/// answer tells.
pub(super) fn take_line(
    history: &mut History,
    number: usize,
    line: &[u8],
    is_last: bool,
) -> Result<bool, ParseError> {
    // Whoever wants a tape wants what the scanner passes over.
    let plain = match history.tape {
        None => Scanner { text: line, at: 0 }.event(history),
        Some(_) => None,
    };
    let taken = match plain {
        Some((index, Scanned::Client(record))) => {
            let line = u32::try_from(number).unwrap_or(u32::MAX);
            history.follow(index).and_then(|()| history.record(&Record { line, ..record }))
        }
        Some((index, Scanned::Nemesis)) => {
            history.skip();
            history.follow(index)
        }
        None => match serde_json::from_slice::<Event>(line) {
            Ok(event) => {
                put_on_tape(history, &event, line);
                history.follow(event.index).and_then(|()| history.push_line(&event, number))
            }
            Err(error) if is_last && lines::is_cut(line, &error) => return Ok(true),
            Err(error) => return Err(lines::located(number, &error)),
        },
    };
    taken.map(|()| false).map_err(|message| ParseError { line: number, column: 1, message })
}

fn put_on_tape(history: &mut History, event: &Event, line: &[u8]) {
    let Some(tape) = &mut history.tape else {
        return;
    };
    let values = &mut history.values;
    let others = match serde_json::from_slice(line) {
        Ok(serde_json::Value::Object(mut all)) => {
            all.retain(|name, _| !tape::NAMES.contains(&name.as_str()));
            if all.is_empty() { Datum::NULL } else { values.take(&all.into()) }
        }
        _ => Datum::NULL,
    };
    let text = |values: &mut Values, text: &Option<std::borrow::Cow<'_, str>>| {
        text.as_ref().map_or(Datum::NULL, |text| values.text(text))
    };
    tape.push(Taped {
        time: event.time,
        process: event.process,
        kind: event.kind,
        f: values.text(&event.f),
        key: event.key.as_ref().map_or(Datum::NULL, |key| values.take(key)),
        value: values.take(&event.value),
        node: text(values, &event.node),
        error: text(values, &event.error),
        others,
    });
}

enum Scanned {
    Client(Record),
    Nemesis,
}

struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
}

/// Keys of an event, as bits of what was seen.
const TIME: u16 = 1;
const PROCESS: u16 = 2;
const KIND: u16 = 4;
const F: u16 = 8;
const INDEX: u16 = 16;
const VALUE: u16 = 32;
const KEY: u16 = 64;
const NODE: u16 = 128;
const NEEDED: u16 = TIME | PROCESS | KIND | F | INDEX;

impl<'t> Scanner<'t> {
    /// The event of a plain line. `None` says nothing about the others.
    fn event(mut self, history: &mut History) -> Option<(u64, Scanned)> {
        let mut record = Record {
            time: 0,
            process: 0,
            kind: EventKind::Invoke,
            f: history.first_name(),
            key: Datum::NULL,
            value: Datum::NULL,
            node: Datum::NULL,
            line: 0,
        };
        let (mut seen, mut is_nemesis, mut index) = (0u16, false, 0);
        self.expect(b'{')?;
        loop {
            let name = self.text()?;
            self.expect(b':')?;
            let bit = match name {
                b"index" => {
                    index = self.unsigned()?;
                    INDEX
                }
                b"time" => {
                    record.time = self.unsigned()?;
                    TIME
                }
                b"process" => {
                    match self.unsigned() {
                        Some(number) => record.process = number,
                        None => is_nemesis = (self.text()? == b"nemesis").then_some(true)?,
                    }
                    PROCESS
                }
                b"type" => {
                    record.kind = kind(self.text()?)?;
                    KIND
                }
                b"f" => {
                    let name = std::str::from_utf8(self.text()?).ok()?;
                    record.f = history.name(name).ok()?;
                    F
                }
                b"value" => {
                    record.value = self.value(&mut history.values, 0)?;
                    VALUE
                }
                b"key" => {
                    record.key = self.value(&mut history.values, 0)?;
                    KEY
                }
                b"node" => {
                    record.node = history.values.text(std::str::from_utf8(self.text()?).ok()?);
                    NODE
                }
                _ => return None,
            };
            if seen & bit != 0 {
                return None;
            }
            seen |= bit;
            match self.next()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        let is_whole = seen & NEEDED == NEEDED && self.at == self.text.len();
        match is_nemesis {
            true => is_whole.then_some((index, Scanned::Nemesis)),
            false => is_whole.then_some((index, Scanned::Client(record))),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The next byte that is no space.
    fn next(&mut self) -> Option<u8> {
        loop {
            let byte = self.peek()?;
            self.at += 1;
            if byte != b' ' {
                return Some(byte);
            }
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    fn skip_spaces(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    /// A string without escapes.
    fn text(&mut self) -> Option<&'t [u8]> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' | 0..0x20 => return None,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(&self.text[start..self.at - 1])
    }

    /// Digits; nothing is read where there are none.
    fn unsigned(&mut self) -> Option<u64> {
        self.skip_spaces();
        let start = self.at;
        let mut number = 0u64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
            self.at += 1;
        }
        let is_number = self.at > start && (self.text[start] != b'0' || self.at == start + 1);
        let goes_on = matches!(self.peek(), Some(b'.' | b'e' | b'E'));
        (is_number && !goes_on).then_some(number)
    }

    /// A value without maps, floats and escapes.
    fn value(&mut self, values: &mut Values, depth: usize) -> Option<Datum> {
        self.skip_spaces();
        match self.peek()? {
            b'0'..=b'9' => Datum::integer(self.unsigned()?.try_into().ok()?),
            b'-' => {
                self.at += 1;
                let number: i64 = self.unsigned()?.try_into().ok()?;
                // JSON tells no -0 from 0, but serde does.
                (number != 0).then(|| Datum::integer(-number))?
            }
            b'n' => self.word(b"null", Datum::NULL),
            b't' => self.word(b"true", Datum::boolean(true)),
            b'f' => self.word(b"false", Datum::boolean(false)),
            b'"' => Some(values.text(std::str::from_utf8(self.text()?).ok()?)),
            b'[' if depth < DEPTH_MAX => self.list(values, depth + 1),
            _ => None,
        }
    }

    fn list(&mut self, values: &mut Values, depth: usize) -> Option<Datum> {
        self.expect(b'[')?;
        let mut items: Vec<Datum> = Vec::new();
        self.skip_spaces();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Some(values.list(&items));
        }
        loop {
            items.push(self.value(values, depth)?);
            match self.next()? {
                b',' => {}
                b']' => return Some(values.list(&items)),
                _ => return None,
            }
        }
    }

    fn word(&mut self, word: &[u8], value: Datum) -> Option<Datum> {
        let is_here = self.text[self.at..].starts_with(word);
        self.at += word.len();
        is_here.then_some(value)
    }
}

/// Deeper lists go through serde, which knows its own bound.
const DEPTH_MAX: usize = 8;

fn kind(name: &[u8]) -> Option<EventKind> {
    match name {
        b"invoke" => Some(EventKind::Invoke),
        b"ok" => Some(EventKind::Ok),
        b"fail" => Some(EventKind::Fail),
        b"info" => Some(EventKind::Info),
        _ => None,
    }
}
