//! A schedule that a person has written, in TOML: what is read, and where it is wrong.
//!
//! ```toml
//! [[phase]]
//! lasts = "2s"                                            # nothing happens
//!
//! [[phase]]                                               # one after the other, three times
//! repeat = 3
//! sequence = [
//!     { fault = "kill@leader", for = "500ms" },
//!     { wait = "1s" },
//! ]
//! ```
//!
//! This file knows keys and values and where each stands; what they mean together is in `phases`. `docs/schedules.md` has
//! all of it.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::phases::expand;
use super::{Episode, Schedule};
use crate::duration::Span;
use crate::fault::FaultSpec;
use crate::moments::{self, Moment, Sign, parse_event, parse_node};

/// How long a moment is waited for if nobody says.
const WITHIN_MS: u64 = 10_000;

/// What a schedule is read for.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Nodes of the cluster.
    pub nodes: usize,
    /// Decides what is drawn, unless the file has a seed of its own.
    pub seed: u64,
    /// Mean time between the faults of a random stretch that does not say.
    pub interval: Duration,
    text: String,
}

/// A schedule that was read, and where its episodes stand in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// What it means.
    pub schedule: Schedule,
    places: Vec<Place>,
}

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {message}")]
pub struct ScriptError {
    /// Where.
    pub place: Place,
    /// What, in one line.
    pub message: String,
}

/// The same, by the number of bytes before it.
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

const SHEET: [&str; 4] = ["seed", "end", "phase", "fault"];
const END: [&str; 2] = ["at", "after"];
const PHASE: [&str; 10] =
    ["name", "lasts", "faults", "random", "interval", "sequence", "fault", "repeat", "until", "seed"];
const STRIKE: [&str; 6] = ["fault", "for", "when", "within", "until", "seed"];
const STRIKE_IN_PHASE: [&str; 7] = ["fault", "at", "for", "when", "within", "until", "seed"];
const STRIKE_ALONE: [&str; 9] = ["name", "fault", "at", "after", "for", "when", "within", "until", "seed"];

/// Reads a schedule.
///
/// # Errors
/// The first thing that is wrong with it, and where.
pub fn read(text: &str, settings: Settings) -> Result<Script, ScriptError> {
    let settings = Settings { text: text.to_owned(), ..settings };
    let located =
        |complaint: Complaint| ScriptError { place: place(text, complaint.at), message: complaint.message };
    let sheet = sheet(text).map_err(located)?;
    let (schedule, places) = expand(&sheet, &settings).map_err(located)?;
    Ok(Script { schedule, places: places.into_iter().map(|at| place(text, at)).collect() })
}

impl Settings {
    /// For a cluster of so many nodes.
    pub fn new(nodes: usize, seed: u64, interval: Duration) -> Settings {
        Settings { nodes, seed, interval, text: String::new() }
    }

    pub(super) fn line_of(&self, at: usize) -> usize {
        place(&self.text, at).line
    }
}

impl Script {
    /// Where an episode stands.
    pub fn place(&self, episode: &Episode) -> Place {
        self.places[episode.id as usize]
    }
}

impl Phase {
    pub(super) fn complaint(&self, message: &str) -> Complaint {
        Complaint { at: self.at, message: message.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

fn place(text: &str, at: usize) -> Place {
    let before = text.get(..at).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    Place { line: before.matches('\n').count() + 1, column: before[start..].chars().count() + 1 }
}

/// A table of the file whose keys are all known.
struct Keys<'a> {
    table: &'a DeTable<'a>,
    /// Where it begins.
    at: usize,
}

type Value<'a> = &'a Spanned<DeValue<'a>>;

fn sheet(text: &str) -> Result<Sheet, Complaint> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{FaultKind, Target};

    fn settings() -> Settings {
        Settings::new(5, 7, Duration::from_secs(3))
    }

    /// Number, time, length and words of every episode, and what it hangs on.
    fn lines(text: &str) -> Vec<String> {
        let script = read(text, settings()).unwrap_or_else(|error| panic!("{error}: {text}"));
        let line = |episode: &Episode| {
            let Episode { id, at_ms, lasts_ms, fault, after, when, until_ms, there, .. } = episode;
            let mut line = format!("{id} {at_ms}+{lasts_ms} {fault}");
            line += &after.map(|after| format!(" after {after}")).unwrap_or_default();
            line += &when.as_ref().map(|when| format!(" when {when}/{}", when.within_ms)).unwrap_or_default();
            line += &until_ms.map(|until| format!(" until {until}")).unwrap_or_default();
            line + if *there { " there" } else { "" }
        };
        let mut lines: Vec<String> = script.schedule.episodes.iter().map(line).collect();
        let end = script.schedule.end.expect("an end");
        let after = end.after.map(|after| format!(" after {after}")).unwrap_or_default();
        lines.push(format!("end {}{after}", end.at_ms));
        lines
    }

    #[test]
    fn phases_come_one_after_the_other() {
        let text = r#"
            [[phase]]
            lasts = "2s"

            [[phase]]
            faults = "partition:halves@n2, kill@n5"
            lasts = "3s"

            [[phase]]
            repeat = 2
            sequence = [
                { fault = "kill@leader", for = "500ms" },
                { wait = "1s" },
                { fault = "pause@minority", for = "250ms" },
            ]

            [[phase]]
            [[phase.fault]]
            fault = "pause@n1"
            at = "100ms"
            for = "1s"
            [[phase.fault]]
            fault = "pause@n2"
            at = "500ms"
            for = "1s"
        "#;
        assert_eq!(
            lines(text),
            [
                "0 2000+3000 partition:halves@n2",
                "1 2000+3000 kill@n5",
                "2 5000+500 kill@leader",
                "3 6500+250 pause@minority",
                "4 6750+500 kill@leader",
                "5 8250+250 pause@minority",
                "6 8600+1000 pause@n1",
                "7 9000+1000 pause@n2",
                "end 10000"
            ]
        );
    }

    #[test]
    fn what_waits_for_a_moment_is_followed_by_the_rest() {
        let text = r#"
            [[phase]]
            repeat = 2
            sequence = [
                { fault = "kill@there", when = "leader-elected@n2", within = "4s", for = "500ms" },
                { wait = "1s" },
                { fault = "pause@all", for = "250ms" },
            ]
            [[phase]]
            lasts = "3s"
            [[phase.fault]]
            fault = "partition:isolate@there"
            when = { log = "became (leader|candidate)", node = "n1" }
            within = "2s"
            for = "1s"
            [[phase]]
            lasts = "1s"
        "#;
        assert_eq!(
            lines(text),
            [
                "0 0+500 kill@one when leader-elected@n2/4000 there",
                "1 1000+250 pause@all after 0",
                "2 1250+500 kill@one after 0 when leader-elected@n2/4000 there",
                "3 1000+250 pause@all after 2",
                "4 1250+1000 partition:isolate@one after 2 when a log line like \"became (leader|candidate)\"@n1/2000 there",
                "end 5250 after 2"
            ]
        );
    }

    #[test]
    fn repeats_end_at_their_time() {
        let text = r#"
            [[phase]]
            until = "3s"
            sequence = [{ fault = "kill", for = "500ms" }, { wait = "500ms" }]
        "#;
        let found = lines(text);
        assert_eq!(found.len(), 4);
        assert!(found[2].starts_with("2 2000+500 kill@") && found[2].ends_with("until 3000"), "{found:?}");
        let waiting = r#"
            [[phase]]
            until = "3s"
            sequence = [{ fault = "kill", for = "500ms", when = "term-begun", within = "1s" }]
        "#;
        assert_eq!(lines(waiting).len(), 7, "as many as there may be");
    }

    #[test]
    fn random_stretches_hang_where_they_stand() {
        let text = r#"
            seed = 12
            [[phase]]
            lasts = "2s"
            [[phase]]
            random = "kill@leader,pause"
            interval = "500ms"
            lasts = "5s"
        "#;
        let script = read(text, settings()).expect("a schedule");
        let episodes = &script.schedule.episodes;
        assert!(episodes.len() > 4);
        assert!(
            episodes.iter().all(|episode| episode.at_ms >= 2000 && episode.at_ms + episode.lasts_ms <= 7000)
        );
        let kills = || episodes.iter().filter(|episode| episode.fault.kind == FaultKind::Kill);
        assert!(kills().count() > 0 && kills().all(|episode| episode.fault.target == Target::Leader));
        assert_eq!(script.place(&episodes[0]), Place { line: 6, column: 22 });
        // The seed of the file rules, not that of the run.
        let other = Settings::new(5, 8, Duration::from_secs(3));
        assert_eq!(read(text, other.clone()).expect("a schedule"), script);
        let without = text.replace("seed = 12", "");
        let drawn =
            [settings(), other].map(|settings| read(&without, settings).expect("a schedule").schedule);
        assert_ne!(drawn[0], drawn[1]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let fault = |rest: &str| format!("[[fault]]\nfault = \"kill\"\nfor = \"1s\"\n{rest}");
        let two = |one: &str, other: &str| {
            format!(
                "[[fault]]\nfault = \"{one}\"\nfor = \"2s\"\n[[fault]]\nfault = \"{other}\"\nat = \"1s\"\nfor = \"2s\"\n"
            )
        };
        for (text, expected) in [
            (
                "",
                "1:1: there is nothing in this schedule (hint: [[phase]] with lasts = \"10s\" and random = \"kill,pause\")",
            ),
            ("[[phase]]\nlasts = \"1s\nx", "2:12: invalid basic string, expected `\"`"),
            ("[[stage]]\n", "1:3: unknown key `stage` (hint: one of seed, end, phase, fault)"),
            (
                &fault("untli = \"3s\"\n"),
                "4:1: unknown key `untli` (hint: one of name, fault, at, after, for, when, within, until, seed)",
            ),
            (
                "[[phase]]\nsequence = [{ fault = \"kill\", for = \"1s\", at = \"1s\" }]",
                "2:43: unknown key `at` (hint: one of fault, for, when, within, until, seed)",
            ),
            (
                "[[fault]]\nfault = \"kill,pause@everyone\"\nfor = \"1s\"",
                "2:15: unknown target `everyone` (hint: one of one, minority, majority, all, leader, follower, behind, old-leader, leader-and-minority)",
            ),
            (
                "[[fault]]\nfault = \"partition:star\"\nfor = \"1s\"",
                "2:10: unknown shape `star` (hint: one of isolate, halves, ring, bridge, one-way, clients)",
            ),
            (
                "[[fault]]\nfault = \"kill@n9\"\nfor = \"1s\"",
                "2:10: `kill@n9` is not possible with 5 nodes (hint: it takes 9)",
            ),
            (
                "[[fault]]\nfault = \"kill@there\"\nfor = \"1s\"",
                "2:10: `there` is where a moment was seen, and none is waited for (hint: when = \"leader-elected\")",
            ),
            ("[[fault]]\nfault = \"kill\"\n", "1:1: a fault needs `for` (hint: for = \"500ms\")"),
            ("[[fault]]\nfor = \"1s\"\n", "1:1: a fault needs `fault` (hint: fault = \"kill@leader\")"),
            (
                "[[fault]]\nfault = \"none\"\nfor = \"1s\"\n",
                "2:9: there is no fault here (hint: \"kill@leader\")",
            ),
            (
                "[[fault]]\nfault = \"kill\"\nfor = \"1 day\"\n",
                "3:7: `1 day` is no duration (hint: a number and a unit, as 150ms, 10s, 2m)",
            ),
            (
                "[[fault]]\nfault = \"kill\"\nfor = 3\n",
                "3:7: this is to be a duration in quotes, as \"150ms\"",
            ),
            (
                "[[fault]]\nfault = \"kill\"\nfor = \"1500us\"\n",
                "3:7: `1500us` is no whole number of milliseconds",
            ),
            ("[[fault]]\nfault = \"kill\"\nfor = \"0s\"\n", "3:7: `for` has to be longer than nothing"),
            (
                &fault("when = \"full-moon\"\n"),
                "4:8: unknown moment `full-moon` (hint: one of leader-elected, election-begun, term-begun, snapshot-begun, snapshot-installed, configuration-changed, node-started, or { log = \"a line that matches\" })",
            ),
            (&fault("when = { log = \"(\" }\n"), "4:16: `(` is no regular expression: unclosed group"),
            (
                &fault("when = { log = \"x\", event = \"term-begun\" }\n"),
                "4:8: a moment has either an `event` or a `log`",
            ),
            (
                &fault("when = { log = \"x\", node = \"5\" }\n"),
                "4:28: `5` is no node (hint: `n1` is the first)",
            ),
            (
                &fault("when = \"term-begun@n7\"\n"),
                "4:8: `n7` is not there to be watched (hint: the cluster has 5 nodes)",
            ),
            (
                &fault("within = \"1s\"\n"),
                "4:10: `within` belongs to `when` (hint: when = \"leader-elected\")",
            ),
            (
                &fault("after = \"first\"\n"),
                "4:9: no fault before has the name `first` (hint: it needs a `name`, and to stand before this one)",
            ),
            (&fault("seed = -1\n"), "4:8: this is to be a whole number"),
            (&fault("seed = \"x\"\n"), "4:8: `x` is no seed"),
            (
                "[[phase]]\nrandom = \"kill\"\n",
                "1:1: it is open how long this phase lasts (hint: lasts = \"10s\")",
            ),
            (
                "[[phase]]\nlasts = \"1s\"\ninterval = \"1s\"\n",
                "3:12: `interval` belongs to `random` (hint: random = \"kill,pause\")",
            ),
            (
                "[[phase]]\nlasts = \"1s\"\nrandom = \"kill,pause,partition\"\n",
                "3:10: 3 kinds of faults do not fit into 1s (hint: at least 1.5s)",
            ),
            ("[[phase]]\nlasts = \"1s\"\nrepeat = 0\n", "3:10: `repeat` is at least 1"),
            (
                "[[phase]]\nlasts = \"1s\"\nuntil = \"2h\"\nfaults = \"kill\"\n",
                "4:11: these are more than 2000 strikes",
            ),
            (
                "[[phase]]\nlasts = \"1s\"\nsequence = [{ fault = \"kill\", for = \"1200ms\" }]",
                "1:1: what is in this phase may take 1200ms, and the phase lasts 1s (hint: make `lasts` longer or `within` shorter)",
            ),
            (
                "[[phase]]\nsequence = [{ wait = \"1s\" }]\n[[phase.fault]]\nfault = \"kill\"\nwhen = \"term-begun\"\nfor = \"1s\"\n",
                "1:1: it is open when this phase ends: something in it waits for a moment (hint: say how long it `lasts`)",
            ),
            (
                &two("delay:to=5ms@n1", "delay@n2"),
                "5:10: `delay@n2` may strike while `delay:to=5ms@n1` of line 2 is in force: what is measured would be the work of both (hint: let one end before the other)",
            ),
            (
                &two("kill@n1", "kill@n1"),
                "5:10: `kill@n1` may strike while `kill@n1` of line 2 is in force: nobody would be left to strike (hint: let one end before the other)",
            ),
            (
                &two("clock@n1", "clock@leader"),
                "5:10: `clock@leader` may strike while `clock@n1` of line 2 is in force: both may strike the same node, and the first to end would end both (hint: let one end before the other)",
            ),
        ] {
            let found = read(text, settings()).map(|script| script.schedule.episodes);
            let found = found.expect_err(text).to_string();
            assert_eq!(found, expected, "{text}");
            assert!(!found.contains('\n'));
        }
    }

    /// Faults of one kind are refused together only where they cannot be carried out.
    #[test]
    fn what_can_be_carried_out_together_may_be_written() {
        let two = |one: &str, other: &str| {
            format!(
                "[[fault]]\nfault = \"{one}\"\nfor = \"2s\"\n[[fault]]\nfault = \"{other}\"\nat = \"1s\"\nfor = \"2s\"\n"
            )
        };
        for (one, other) in [
            ("kill@n1", "kill@n2"),
            ("kill@leader", "kill@leader"),
            ("kill@n1", "pause@n1"),
            ("clock@n1", "clock@n2"),
        ] {
            assert!(read(&two(one, other), settings()).is_ok(), "{one} {other}");
        }
        // Each begins after the other has ended, whenever that is.
        let chain = r#"
            [[phase]]
            repeat = 3
            sequence = [{ fault = "partition:isolate@there", when = "leader-elected", for = "1s" }]
        "#;
        assert_eq!(lines(chain).len(), 4);
    }

    /// What the manual shows can be read.
    #[test]
    fn the_examples_of_the_manual_are_schedules() {
        let page = include_str!("../../../docs/schedules.md");
        let examples: Vec<&str> =
            page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(examples.len() >= 5);
        for example in examples {
            let script = read(example, settings()).unwrap_or_else(|error| panic!("{error} in\n{example}"));
            assert!(!script.schedule.episodes.is_empty(), "{example}");
        }
    }
}
