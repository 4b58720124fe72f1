//! Files of histories: what each looks like, and how they become operations.
//!
//! Text is fed in pieces as it comes from a disk; what is needed later is kept as operations and nothing else, so a file may
//! be larger than memory. The [`Format`] is found by content: the first thing that is neither white space nor a comment tells.

mod awdit;
mod edn;
mod forms;
mod jsonl;
mod log;
mod position;
mod report;
mod tuples;

use std::fmt;
use std::str::FromStr;

use super::operation::History;
use super::tape::Taped;
use crate::lines::ParseError;
use awdit::Transaction;
use edn::Maps;
pub use jsonl::{Parsed, parse_jsonl};
use report::Report;

/// Ways to write a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// One JSON event a line, as runs write it.
    Jsonl,
    /// Maps of Jepsen and Knossos.
    Edn,
    /// The same in a JSON array, as for Elle's command.
    JsonArray,
    /// Lines of old Jepsen's log, or of its `history.txt`.
    JepsenLog,
    /// Maps with a `:key`, as Porcupine's tests of a key-value map have them.
    PorcupineKv,
    /// Calls and returns of a concurrent collection.
    CollectionLog,
    /// Transactions, session by session, without times.
    Awdit,
    /// `operations.json` and `watch.json` of etcd's robustness tests, of one client or all of them.
    EtcdReport,
}

const NAMED: [(&str, Format); 8] = [
    ("jsonl", Format::Jsonl),
    ("edn", Format::Edn),
    ("json-array", Format::JsonArray),
    ("jepsen-log", Format::JepsenLog),
    ("porcupine-kv", Format::PorcupineKv),
    ("collection-log", Format::CollectionLog),
    ("awdit", Format::Awdit),
    ("etcd-report", Format::EtcdReport),
];

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = NAMED.iter().find(|(_, format)| format == self);
        f.pad(named.expect("every format has a name").0)
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Format, String> {
        let names: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
        let named = NAMED.iter().find(|(known, _)| *known == name).map(|(_, format)| *format);
        named.ok_or_else(|| format!("unknown format `{name}` (hint: one of auto, {})", names.join(", ")))
    }
}

/// A history that was read from a file.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its operations.
    pub history: History,
    /// All its events, if they were asked for.
    pub tape: Vec<Taped>,
    /// How it was written.
    pub format: Format,
    /// What a reader should know though it is no error, one line each.
    pub notices: Vec<String>,
}

/// Reads a history piece by piece.
#[derive(Debug)]
pub struct Reader {
    history: History,
    format: Option<Format>,
    source: Source,
    notices: Vec<String>,
}

#[derive(Debug)]
enum Source {
    /// The beginning, from which the format is not clear yet.
    Unknown(Vec<u8>),
    Lines(Lines),
    Maps(Maps),
    Report(Box<Report>),
}

#[derive(Debug, Default)]
struct Lines {
    /// A line that is not whole yet.
    rest: Vec<u8>,
    line: usize,
    /// What several lines make up.
    transaction: Transaction,
    /// The log says that its collection is a stack.
    is_stack: bool,
}

/// A line longer than this is no event; without a bound, a file of no lines would be read into memory.
const LINE_BYTES_MAX: usize = 256 << 20;

/// The format must show within so many bytes.
const HEAD_BYTES: usize = 1 << 16;

impl Reader {
    /// A reader of that format; without one it is found by content.
    pub fn new(format: Option<Format>) -> Reader {
        let source = Source::Unknown(Vec::new());
        Reader { history: History::default(), format, source, notices: Vec::new() }
    }

    /// The same, and it keeps all events as they were recorded.
    pub fn with_tape(format: Option<Format>) -> Reader {
        let mut reader = Reader::new(format);
        reader.history.tape = Some(Vec::new());
        reader
    }

    /// Takes the next piece of the file.
    ///
    /// # Errors
    /// What is no history of this format, with its line.
    pub fn feed(&mut self, text: &[u8]) -> Result<(), ParseError> {
        self.take_piece(text).map_err(ParseError::in_one_line)
    }

    fn take_piece(&mut self, text: &[u8]) -> Result<(), ParseError> {
        match &mut self.source {
            Source::Unknown(head) => {
                head.extend_from_slice(text);
                if head.len() < HEAD_BYTES {
                    return Ok(());
                }
                self.begin()
            }
            Source::Maps(maps) => maps.feed(&mut self.history, text),
            Source::Report(report) => report.feed(&mut self.history, text),
            Source::Lines(_) => self.feed_lines(text),
        }
    }

    /// What comes next is another file of the same history. Only reports have several.
    ///
    /// # Errors
    /// As for [`Reader::feed`], about the file before.
    pub fn begin_file(&mut self) -> Result<(), ParseError> {
        let begun = self.begin().and_then(|()| match &mut self.source {
            Source::Report(report) => report.begin_file(&mut self.history),
            Source::Unknown(_) | Source::Maps(_) | Source::Lines(_) => Ok(()),
        });
        begun.map_err(ParseError::in_one_line)
    }

    /// How many operations have come so far.
    pub fn operations(&self) -> usize {
        self.history.operations.len()
    }

    /// Bytes that what has come takes in memory, about.
    pub fn memory_bytes(&self) -> usize {
        let waiting = match &self.source {
            Source::Unknown(head) => head.capacity(),
            Source::Lines(lines) => lines.rest.capacity(),
            Source::Maps(maps) => maps.memory_bytes(),
            Source::Report(report) => report.memory_bytes(),
        };
        self.history.memory_bytes() + waiting
    }

    /// Finds the format from the beginning that has come, and reads that.
    fn begin(&mut self) -> Result<(), ParseError> {
        let Source::Unknown(head) = &mut self.source else {
            return Ok(());
        };
        let head = std::mem::take(head);
        // Some editors mark UTF-8 so.
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head);
        if head.trim_ascii().is_empty() && self.format.is_none() {
            return Err(no_event());
        }
        let Some(format) = self.format.or_else(|| found(head)) else {
            let message = "no history in a format that is known (hint: `--format` names them)".to_owned();
            return Err(ParseError { line: 1, column: 1, message });
        };
        self.format = Some(format);
        self.source = source_of(format);
        self.take_piece(head)
    }

    fn feed_lines(&mut self, text: &[u8]) -> Result<(), ParseError> {
        let mut text = text;
        let mut rest = self.lines().take_rest();
        while let Some(end) = memchr::memchr(b'\n', text) {
            let (line, behind) = (&text[..end], &text[end + 1..]);
            text = behind;
            if rest.is_empty() {
                self.take(line, false)?;
                continue;
            }
            rest.extend_from_slice(line);
            self.take(&rest, false)?;
            rest.clear();
        }
        let lines = self.lines();
        if rest.len() + text.len() > LINE_BYTES_MAX {
            let message = "a line of more than 256 MiB (hint: is this a history?)".to_owned();
            return Err(ParseError { line: lines.line + 1, column: 1, message });
        }
        rest.extend_from_slice(text);
        lines.rest = rest;
        Ok(())
    }

    fn lines(&mut self) -> &mut Lines {
        match &mut self.source {
            Source::Lines(lines) => lines,
            Source::Unknown(_) | Source::Maps(_) | Source::Report(_) => {
                unreachable!("only lines are fed as lines")
            }
        }
    }

    fn take(&mut self, line: &[u8], is_last: bool) -> Result<(), ParseError> {
        let lines = self.lines();
        lines.line += 1;
        let number = lines.line;
        let line = line.trim_ascii_end();
        if line.is_empty() {
            return Ok(());
        }
        if self.format == Some(Format::Jsonl) {
            if jsonl::take_line(&mut self.history, number, line, is_last)? {
                self.notices.push(jsonl::cut_notice(number));
            }
            return Ok(());
        }
        if let (Some(Format::Awdit), Source::Lines(lines)) = (self.format, &mut self.source) {
            let wrong = |message: String| ParseError { line: number, column: 1, message };
            return lines.transaction.take(&mut self.history, line, number).map_err(wrong);
        }
        let wrong = |(column, message): (usize, String)| ParseError { line: number, column, message };
        let text = std::str::from_utf8(line)
            .map_err(|error| wrong((error.valid_up_to() + 1, "not UTF-8".to_owned())))?;
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let taken = match self.format {
            Some(Format::JepsenLog) => log::take_jepsen(&mut self.history, text, number),
            _ => {
                let is_stack = log::is_stack(text).unwrap_or(self.lines().is_stack);
                self.lines().is_stack = is_stack;
                log::take_collection(&mut self.history, text, number, is_stack)
            }
        };
        taken.map_err(wrong)
    }

    /// The last transaction of a file ends with it.
    fn end_transaction(&mut self) -> Result<(), ParseError> {
        if self.format != Some(Format::Awdit) {
            return Ok(());
        }
        self.notices.push(awdit::notice());
        if let Source::Lines(lines) = &mut self.source {
            let line = lines.line;
            let ended = lines.transaction.end(&mut self.history, line);
            return ended.map_err(|message| ParseError { line, column: 1, message });
        }
        Ok(())
    }

    /// All that was read. What was cut off at the end is left out with a notice.
    ///
    /// # Errors
    /// As for [`Reader::feed`].
    pub fn finish(self) -> Result<Recorded, ParseError> {
        self.end().map_err(ParseError::in_one_line)
    }

    fn end(mut self) -> Result<Recorded, ParseError> {
        self.begin()?;
        match std::mem::replace(&mut self.source, Source::Unknown(Vec::new())) {
            Source::Maps(maps) => self.notices.extend(maps.finish(&mut self.history)?),
            Source::Lines(mut lines) => {
                let rest = lines.take_rest();
                self.source = Source::Lines(lines);
                self.take(&rest, true)?;
                self.end_transaction()?;
            }
            Source::Report(report) => report.finish(&mut self.history)?,
            Source::Unknown(_) => {}
        }
        let format = self.format.unwrap_or(Format::Jsonl);
        tuples::part(&mut self.history);
        let tape = self.history.tape.take().unwrap_or_default();
        if self.history.events() == 0 {
            return Err(no_event());
        }
        self.history.is_excerpt = matches!(format, Format::Edn | Format::JsonArray);
        Ok(Recorded { history: self.history, tape, format, notices: self.notices })
    }
}

impl Lines {
    fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.rest)
    }
}

fn no_event() -> ParseError {
    ParseError { line: 1, column: 1, message: "no event (hint: is this a history?)".to_owned() }
}

fn source_of(format: Format) -> Source {
    match format {
        Format::Jsonl | Format::JepsenLog | Format::CollectionLog | Format::Awdit => {
            Source::Lines(Lines::default())
        }
        Format::Edn | Format::PorcupineKv => Source::Maps(Maps::new(false)),
        Format::JsonArray => Source::Maps(Maps::new(true)),
        Format::EtcdReport => Source::Report(Box::default()),
    }
}

/// The format of a file that begins so.
fn found(head: &[u8]) -> Option<Format> {
    let text = String::from_utf8_lossy(head);
    let mut text = text.trim_start();
    // A log of a collection may begin with remarks, too.
    while text.starts_with(';') || text.starts_with("# ") && !text.starts_with("# @object") {
        text = text.split_once('\n')?.1.trim_start();
    }
    let first = text.lines().next()?;
    let mut bytes = text.bytes().filter(|byte| !byte.is_ascii_whitespace());
    let (one, two, three) = (bytes.next()?, bytes.next(), bytes.next());
    match (one, two, three) {
        (b'{', Some(b'"'), _) if is_report(text) => Some(Format::EtcdReport),
        (b'{', Some(b'"'), _) => Some(Format::Jsonl),
        (b'[', Some(b'{'), Some(b'"')) => Some(Format::JsonArray),
        (b'[', Some(byte), _) if byte.is_ascii_digit() && first.contains(']') => Some(Format::CollectionLog),
        (b'#', _, _) if first.contains("@object") => Some(Format::CollectionLog),
        (b'{', _, _) if first.contains(":key ") && !first.contains(":time") => Some(Format::PorcupineKv),
        (b'{' | b'[' | b'(' | b'#', _, _) => Some(Format::Edn),
        (b'r' | b'w', _, _) if awdit::is_step(first) => Some(Format::Awdit),
        _ => text.lines().any(log::is_jepsen).then_some(Format::JepsenLog),
    }
}

/// Objects of a report begin with the client's or the watch's.
fn is_report(text: &str) -> bool {
    let name = text.trim_start_matches('{').trim_start();
    ["\"ClientId\"", "\"Input\"", "\"Request\""].iter().any(|begin| name.starts_with(begin))
}
