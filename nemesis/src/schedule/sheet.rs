//! What a schedule file says, key by key, and where each stands in the text. What it means is in `phases`.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::duration::Span;
use crate::fault::FaultSpec;
use crate::moments::{self, Moment, Sign, parse_event, parse_node};

/// How long a moment is waited for if nobody says.
const WITHIN_MS: u64 = 10_000;

/// What is wrong, and how many bytes stand before it.
#[derive(Debug)]
pub(super) struct Complaint {
    pub(super) at: usize,
    pub(super) message: String,
}

/// What a file says.
pub(super) struct Sheet {
    pub(super) seed: Option<u64>,
    pub(super) end: Option<SheetEnd>,
    pub(super) phases: Vec<Phase>,
    pub(super) strikes: Vec<Strike>,
}

/// When all is over. Names come with their places.
pub(super) struct SheetEnd {
    pub(super) at_ms: u64,
    pub(super) after: Option<(String, usize)>,
}

/// One phase.
pub(super) struct Phase {
    at: usize,
    pub(super) lasts_ms: Option<u64>,
    pub(super) faults: Vec<Word>,
    pub(super) random: Option<Stretch>,
    pub(super) sequence: Vec<Step>,
    pub(super) strikes: Vec<Strike>,
    pub(super) repeat: Option<u64>,
    pub(super) until_ms: Option<u64>,
    pub(super) seed: Option<u64>,
}

/// A time of random faults.
pub(super) struct Stretch {
    pub(super) at: usize,
    pub(super) specs: Vec<FaultSpec>,
    pub(super) interval: Option<Duration>,
}

/// One thing after the other.
pub(super) enum Step {
    /// Nothing happens for so many milliseconds.
    Wait(u64),
    Strike(Strike),
}

/// One or more faults that begin and end together.
pub(super) struct Strike {
    pub(super) name: Option<(String, usize)>,
    pub(super) faults: Vec<Word>,
    pub(super) at_ms: u64,
    pub(super) lasts_ms: u64,
    pub(super) after: Option<(String, usize)>,
    pub(super) when: Option<Moment>,
    /// Where its moment stands.
    pub(super) when_at: usize,
    pub(super) until_ms: Option<u64>,
    pub(super) seed: Option<u64>,
}

/// A fault, and where it stands.
#[derive(Clone)]
pub(super) struct Word {
    pub(super) at: usize,
    pub(super) spec: FaultSpec,
    /// It strikes the node where the moment was seen.
    pub(super) there: bool,
}

impl Phase {
    pub(super) fn complaint(&self, message: &str) -> Complaint {
        Complaint { at: self.at, message: message.into() }
    }
}

const SHEET: [&str; 4] = ["seed", "end", "phase", "fault"];
const END: [&str; 2] = ["at", "after"];
const PHASE: [&str; 10] =
    ["name", "lasts", "faults", "random", "interval", "sequence", "fault", "repeat", "until", "seed"];
const STRIKE: [&str; 6] = ["fault", "for", "when", "within", "until", "seed"];
const STRIKE_IN_PHASE: [&str; 7] = ["fault", "at", "for", "when", "within", "until", "seed"];
const STRIKE_ALONE: [&str; 9] = ["name", "fault", "at", "after", "for", "when", "within", "until", "seed"];

/// A table of the file whose keys are all known.
struct Keys<'a> {
    table: &'a DeTable<'a>,
    /// Where it begins.
    at: usize,
}

type Value<'a> = &'a Spanned<DeValue<'a>>;

/// Reads what a text says.
pub(super) fn sheet(text: &str) -> Result<Sheet, Complaint> {
    let (parsed, errors) = DeTable::parse_recoverable(text);
    let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    if let Some(error) = errors.iter().min_by_key(|error| start(error)) {
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        return Err(Complaint { at: start(error), message });
    }
    let keys = Keys::of(parsed.get_ref(), 0, &SHEET)?;
    let sheet = Sheet {
        seed: keys.get("seed").map(seed).transpose()?,
        end: keys.get("end").map(end).transpose()?,
        phases: keys.tables("phase", phase)?,
        strikes: keys.tables("fault", |table, at| strike(Keys::of(table, at, &STRIKE_ALONE)?))?,
    };
    if sheet.phases.is_empty() && sheet.strikes.is_empty() && sheet.end.is_none() {
        let message = "there is nothing in this schedule (hint: [[phase]] with lasts = \"10s\" and random = \"kill,pause\")";
        return Err(Complaint { at: 0, message: message.into() });
    }
    Ok(sheet)
}

fn end(value: Value<'_>) -> Result<SheetEnd, Complaint> {
    let keys = Keys::of_value(value, &END)?;
    Ok(SheetEnd { at_ms: keys.time("at")?.unwrap_or(0), after: keys.name("after")? })
}

fn phase(table: &DeTable<'_>, at: usize) -> Result<Phase, Complaint> {
    let keys = Keys::of(table, at, &PHASE)?;
    keys.name("name")?;
    let phase = Phase {
        at,
        lasts_ms: keys.length("lasts")?,
        faults: keys.get("faults").map(words).transpose()?.unwrap_or_default(),
        random: keys.get("random").map(|value| stretch(value, &keys)).transpose()?,
        sequence: keys.get("sequence").map(sequence).transpose()?.unwrap_or_default(),
        strikes: keys.tables("fault", |table, at| strike(Keys::of(table, at, &STRIKE_IN_PHASE)?))?,
        repeat: keys.get("repeat").map(whole_number).transpose()?,
        until_ms: keys.time("until")?,
        seed: keys.get("seed").map(seed).transpose()?,
    };
    let is_open = !phase.faults.is_empty() || phase.random.is_some();
    let is_empty = !is_open && phase.sequence.is_empty() && phase.strikes.is_empty();
    if phase.lasts_ms.is_none() && (is_open || is_empty) {
        return Err(phase.complaint("it is open how long this phase lasts (hint: lasts = \"10s\")"));
    }
    if let Some(here) = phase.faults.iter().find(|word| word.there) {
        return Err(without_moment(here));
    }
    if phase.repeat == Some(0) {
        return Err(complain(keys.get("repeat").map_or(at..at, Spanned::span), "`repeat` is at least 1"));
    }
    if phase.random.is_none()
        && let Some(value) = keys.get("interval")
    {
        return Err(complain(value.span(), "`interval` belongs to `random` (hint: random = \"kill,pause\")"));
    }
    Ok(phase)
}

fn stretch(value: Value<'_>, keys: &Keys<'_>) -> Result<Stretch, Complaint> {
    let words = words(value)?;
    if let Some(here) = words.iter().find(|word| word.there) {
        return Err(without_moment(here));
    }
    Ok(Stretch {
        at: value.span().start,
        specs: words.into_iter().map(|word| word.spec).collect(),
        interval: keys.length("interval")?.map(Duration::from_millis),
    })
}

fn sequence(value: Value<'_>) -> Result<Vec<Step>, Complaint> {
    let steps = array(
        value,
        "an array of faults and waits, as [{ fault = \"kill\", for = \"1s\" }, { wait = \"1s\" }]",
    )?;
    let step = |value: Value<'_>| {
        let table = value.get_ref().as_table();
        if table.is_some_and(|table| table.keys().any(|key| key.get_ref() == "wait")) {
            let keys = Keys::of_value(value, &["wait"])?;
            return Ok(Step::Wait(keys.length("wait")?.unwrap_or(0)));
        }
        Ok(Step::Strike(strike(Keys::of_value(value, &STRIKE)?)?))
    };
    steps.iter().map(step).collect()
}

fn strike(keys: Keys<'_>) -> Result<Strike, Complaint> {
    let needed = |key: &str, hint: &str| Complaint {
        at: keys.at,
        message: format!("a fault needs `{key}` (hint: {hint})"),
    };
    let faults = keys.get("fault").ok_or_else(|| needed("fault", "fault = \"kill@leader\""))?;
    let lasts_ms = keys.length("for")?.ok_or_else(|| needed("for", "for = \"500ms\""))?;
    let strike = Strike {
        name: keys.name("name")?,
        faults: words(faults)?,
        at_ms: keys.time("at")?.unwrap_or(0),
        lasts_ms,
        after: keys.name("after")?,
        when: keys.get("when").map(|value| moment(value, &keys)).transpose()?,
        when_at: keys.get("when").map_or(keys.at, |value| value.span().start),
        until_ms: keys.time("until")?,
        seed: keys.get("seed").map(seed).transpose()?,
    };
    if strike.faults.is_empty() {
        return Err(complain(faults.span(), "there is no fault here (hint: \"kill@leader\")"));
    }
    if strike.when.is_none() {
        if let Some(value) = keys.get("within") {
            return Err(complain(
                value.span(),
                "`within` belongs to `when` (hint: when = \"leader-elected\")",
            ));
        }
        if let Some(here) = strike.faults.iter().find(|word| word.there) {
            return Err(without_moment(here));
        }
    }
    Ok(strike)
}

/// `leader-elected`, `leader-elected@n2`, or a table.
fn moment(value: Value<'_>, keys: &Keys<'_>) -> Result<Moment, Complaint> {
    let within_ms = keys.length("within")?.unwrap_or(WITHIN_MS);
    if let Some(text) = value.get_ref().as_str() {
        let (event, node) = parse_event(text).map_err(|error| complain(value.span(), &error.to_string()))?;
        return Ok(Moment { sign: Sign::Event(event), node, within_ms });
    }
    if !value.get_ref().is_table() {
        return Err(complain(
            value.span(),
            "`when` is a moment, as \"leader-elected\" or { log = \"became leader\" }",
        ));
    }
    let keys = Keys::of_value(value, &["event", "log", "node"])?;
    let sign = match (keys.get("event"), keys.get("log")) {
        (Some(event), None) => {
            let name = text(event)?;
            let (event, None) =
                parse_event(name).map_err(|error| complain(event.span(), &error.to_string()))?
            else {
                return Err(complain(event.span(), "the node of a moment stands in `node` here"));
            };
            Sign::Event(event)
        }
        (None, Some(log)) => {
            let pattern = text(log)?;
            moments::pattern(pattern).map_err(|error| {
                complain(log.span(), &format!("`{pattern}` is no regular expression: {error}"))
            })?;
            Sign::Log(pattern.into())
        }
        _ => return Err(complain(value.span(), "a moment has either an `event` or a `log`")),
    };
    let node = keys
        .get("node")
        .map(|node| parse_node(text(node)?).map_err(|error| complain(node.span(), &error.to_string())));
    Ok(Moment { sign, node: node.transpose()?, within_ms })
}

/// Faults as behind `--faults`, in one text or in an array of them.
fn words(value: Value<'_>) -> Result<Vec<Word>, Complaint> {
    let texts = match value.get_ref() {
        DeValue::Array(values) => values.iter().collect(),
        _ => vec![value],
    };
    let mut words = Vec::new();
    for value in texts {
        let list = text(value)?;
        let mut at = value.span().start + 1;
        for part in list.split(',') {
            let indent = part.len() - part.trim_start().len();
            let word = part.trim();
            if !word.is_empty() && list.trim() != "none" {
                words.push(fault(word, at + indent)?);
            }
            at += part.len() + 1;
        }
    }
    Ok(words)
}

fn fault(word: &str, at: usize) -> Result<Word, Complaint> {
    let complaint = |message: String| Complaint { at, message };
    // Whoever that will be, it is one node.
    let there = word.strip_suffix("@there").map(|rest| format!("{rest}@one"));
    let spec: FaultSpec =
        there.as_deref().unwrap_or(word).parse().map_err(|error| complaint(format!("{error}")))?;
    Ok(Word { at, spec, there: there.is_some() })
}

fn without_moment(word: &Word) -> Complaint {
    let message =
        "`there` is where a moment was seen, and none is waited for (hint: when = \"leader-elected\")";
    Complaint { at: word.at, message: message.into() }
}

impl<'a> Keys<'a> {
    fn of(table: &'a DeTable<'a>, at: usize, known: &[&str]) -> Result<Keys<'a>, Complaint> {
        // The first in the text, not in the alphabet.
        let unknown = table.keys().filter(|key| !known.contains(&&**key.get_ref()));
        match unknown.min_by_key(|key| key.span().start) {
            Some(key) => {
                let message = format!("unknown key `{}` (hint: one of {})", key.get_ref(), known.join(", "));
                Err(complain(key.span(), &message))
            }
            None => Ok(Keys { table, at }),
        }
    }

    fn of_value(value: Value<'a>, known: &[&str]) -> Result<Keys<'a>, Complaint> {
        match value.get_ref().as_table() {
            Some(table) => Keys::of(table, value.span().start, known),
            None => Err(complain(value.span(), &format!("this is to be a table of {}", known.join(", ")))),
        }
    }

    fn get(&self, key: &str) -> Option<Value<'a>> {
        self.table.get(key)
    }

    fn tables<T>(
        &self,
        key: &str,
        each: impl Fn(&'a DeTable<'a>, usize) -> Result<T, Complaint>,
    ) -> Result<Vec<T>, Complaint> {
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        let what = format!("written as [[{key}]]");
        let read = |value: Value<'a>| match value.get_ref().as_table() {
            Some(table) => each(table, value.span().start),
            None => Err(complain(value.span(), &format!("this is to be {what}"))),
        };
        array(value, &what)?.iter().map(read).collect()
    }

    fn name(&self, key: &str) -> Result<Option<(String, usize)>, Complaint> {
        let name = |value: Value<'_>| Ok((text(value)?.to_owned(), value.span().start));
        self.get(key).map(name).transpose()
    }

    /// A time, which may be nothing.
    fn time(&self, key: &str) -> Result<Option<u64>, Complaint> {
        self.get(key).map(milliseconds).transpose()
    }

    /// How long something takes, which is not nothing.
    fn length(&self, key: &str) -> Result<Option<u64>, Complaint> {
        match (self.time(key)?, self.get(key)) {
            (Some(0), Some(value)) => {
                Err(complain(value.span(), &format!("`{key}` has to be longer than nothing")))
            }
            (length, _) => Ok(length),
        }
    }
}

fn complain(span: Range<usize>, message: &str) -> Complaint {
    Complaint { at: span.start, message: message.into() }
}

fn array<'a>(value: Value<'a>, what: &str) -> Result<&'a toml::de::DeArray<'a>, Complaint> {
    value.get_ref().as_array().ok_or_else(|| complain(value.span(), &format!("this is to be {what}")))
}

fn text<'a>(value: Value<'a>) -> Result<&'a str, Complaint> {
    let complaint = || complain(value.span(), "this is to be a text in quotes");
    value.get_ref().as_str().ok_or_else(complaint)
}

fn milliseconds(value: Value<'_>) -> Result<u64, Complaint> {
    let complaint = || complain(value.span(), "this is to be a duration in quotes, as \"150ms\"");
    let text = value.get_ref().as_str().ok_or_else(complaint)?;
    let Span(duration) = text.parse().map_err(|error: String| complain(value.span(), &error))?;
    match duration.subsec_nanos().is_multiple_of(1_000_000) {
        true => Ok(duration.as_millis() as u64),
        false => Err(complain(value.span(), &format!("`{text}` is no whole number of milliseconds"))),
    }
}

fn whole_number(value: Value<'_>) -> Result<u64, Complaint> {
    let number = value.get_ref().as_integer().and_then(|integer| integer.as_str().parse().ok());
    number.ok_or_else(|| complain(value.span(), "this is to be a whole number"))
}

/// A number; in quotes if it does not fit into what TOML calls one.
fn seed(value: Value<'_>) -> Result<u64, Complaint> {
    match value.get_ref().as_str() {
        Some(text) => text.parse().map_err(|_| complain(value.span(), &format!("`{text}` is no seed"))),
        None => whole_number(value),
    }
}
