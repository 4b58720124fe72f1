//! A violation of a weak promise in words: the anomaly's name, a sentence, the few operations, and what must come before what.
//!
//! | name | what distinguishes it |
//! |---|---|
//! | `phantom read` | nobody ever asked to write that value |
//! | `aborted read` | who asked to write it failed (Adya 1999: G1a) |
//! | `intermediate read` | its writer had replaced it before it was done (G1b) |
//! | `internal inconsistency` | a transaction did not see its own write |
//! | `future read` | the reader itself, or somebody who knew what it read, wrote the value afterwards |
//! | `non-monotonic read` | a process, or a transaction, went back |
//! | `lost own write` | a process did not see what it had written |
//! | `causality violation` | a cause of something seen was not seen |
//! | `fractured read` | a part of a transaction was seen, and another not |
//! | `non-sequential` | no order in which every process keeps its own gives these results |

use crate::consistency::Consistency;
use crate::failure::{Failure, FailureOperation, Relation};
use crate::history::{Datum, History, Operation, Outcome};
use crate::models::MicroOperation;

use super::facts::{Facts, Flaw};
use super::order::Reason;
use super::violation::{Link, Violation, Why, path};

/// As many operations as a drawing can show.
const OPERATIONS_MAX: usize = 20;

/// The evidence of what was found against a promise.
pub(super) fn failure(facts: &Facts<'_>, violation: &Violation, promise: Consistency) -> Failure {
    let words = Words { history: facts.history };
    match violation {
        Violation::Forgotten { seen, reader } => forgotten(facts, words, (*seen, *reader), promise),
        Violation::Older { reader, earlier, is_own } => older(facts, words, (*reader, *earlier), *is_own),
        Violation::Circle(links) => around(facts, words, links, promise),
    }
}

/// The evidence of a read that no promise allows.
pub(super) fn flawed(history: &History, flaw: &Flaw) -> Failure {
    let words = Words { history };
    let (reader, read, writer) = match *flaw {
        Flaw::NeverWritten { reader, read }
        | Flaw::OwnFuture { reader, read }
        | Flaw::Internal { reader, read, .. } => (reader, read, None),
        Flaw::Aborted { reader, read, writer } | Flaw::Intermediate { reader, read, writer } => {
            (reader, read, Some(writer))
        }
    };
    let who = words.who(reader);
    let (object, value) = (words.object(read.key), words.value(read.value));
    let (anomaly, rest) = match *flaw {
        Flaw::NeverWritten { .. } => ("phantom read", "although nobody ever wrote that value".to_owned()),
        Flaw::Aborted { writer, .. } => {
            ("aborted read", format!("although {} failed to write it", words.who(writer)))
        }
        Flaw::Intermediate { writer, .. } => (
            "intermediate read",
            format!("although {} had written something else in the end", words.who(writer)),
        ),
        Flaw::Internal { written, .. } => (
            "internal inconsistency",
            format!("although the same transaction had just written {}", words.value(written)),
        ),
        Flaw::OwnFuture { .. } => ("future read", "before it wrote that value itself".to_owned()),
    };
    let mut places: Vec<u32> = writer.into_iter().chain([reader]).collect();
    places.sort_unstable();
    let sentence = format!("{who} read {object} = {value}{}, {rest}", words.when(reader));
    words.evidence(&places, (reader, anomaly, sentence), Vec::new())
}

/// The evidence that a search found no order; `stuck` is what came next where it got farthest.
pub(super) fn unordered(history: &History, stuck: &[u32], operations: usize) -> Failure {
    let words = Words { history };
    let mut places = stuck.to_vec();
    places.sort_unstable();
    places.truncate(OPERATIONS_MAX);
    let culprit = *places.last().expect("something has no place");
    let sentence = format!(
        "no order of {operations} operations in which every process keeps its own explains that {}",
        words.deed(culprit)
    );
    words.evidence(&places, (culprit, "non-sequential", sentence), Vec::new())
}

fn forgotten(
    facts: &Facts<'_>,
    words: Words<'_>,
    (seen, reader): (u32, u32),
    promise: Consistency,
) -> Failure {
    let way = path(facts, seen, reader).unwrap_or_else(|| vec![seen, reader]);
    let place = |at: u32| facts.places[at as usize];
    let links: Vec<Link> =
        (way.windows(2)).filter_map(|pair| super::violation::plain_link(facts, pair[0], pair[1])).collect();
    let anomaly = match promise {
        Consistency::ReadCommitted => "non-monotonic read",
        Consistency::ReadAtomic => "fractured read",
        Consistency::Sequential => "non-sequential",
        _ => "causality violation",
    };
    let sentence = format!(
        "{}, although what it could know includes that {}, which came after what was there at first",
        words.deed(place(reader)),
        words.deed(place(seen)),
    );
    let places: Vec<u32> = way.iter().map(|&at| place(at)).collect();
    relate(facts, words, &places, (place(reader), anomaly, sentence), &links)
}

fn older(facts: &Facts<'_>, words: Words<'_>, (reader, earlier): (u32, u32), is_own: bool) -> Failure {
    let place = |at: u32| facts.places[at as usize];
    let source = facts.reads(reader).find_map(|read| facts.writer(read));
    let newer = facts.reads(earlier).find_map(|read| facts.writer(read)).filter(|_| !is_own);
    let (mut links, mut places) = (Vec::new(), vec![place(reader), place(earlier)]);
    let mut why = "";
    if let Some(source) = source {
        places.push(place(source));
        links.push(Link { from: source, to: reader, why: Why::Read });
        let target = if is_own { earlier } else { newer.unwrap_or(earlier) };
        let way = path(facts, source, target);
        why = match &way {
            Some(way) => {
                let links_of_way =
                    way.windows(2).filter_map(|pair| super::violation::plain_link(facts, pair[0], pair[1]));
                links.extend(links_of_way);
                places.extend(way.iter().map(|&at| place(at)));
                ", and that write came after the one whose value it read"
            }
            None => ", to which it had gone on from the same value",
        };
    }
    if let Some(newer) = newer {
        places.push(place(newer));
        links.push(Link { from: newer, to: earlier, why: Why::Read });
    }
    links.push(Link { from: earlier, to: reader, why: Why::Session });
    let anomaly = if is_own { "lost own write" } else { "non-monotonic read" };
    let (read, done) = (words.deed(place(reader)), words.done(place(earlier)));
    let sentence = format!("{read}, although it had itself {done}{why}");
    relate(facts, words, &places, (place(reader), anomaly, sentence), &links)
}

fn around(facts: &Facts<'_>, words: Words<'_>, links: &[Link], promise: Consistency) -> Failure {
    let place = |at: u32| facts.places[at as usize];
    let mut all = links.to_vec();
    let mut places: Vec<u32> = links.iter().map(|link| place(link.from)).collect();
    let mut culprit = None;
    for link in links {
        let Why::Demand(reason) = link.why else {
            continue;
        };
        let (reader, writer) = match reason {
            Reason::Overwritten { reader, .. } => (reader, Some(link.to)),
            Reason::Unread { writer, .. } => (link.from, writer),
        };
        places.extend(writer.map(place));
        places.push(place(reader));
        culprit = culprit.max(Some(place(reader)));
        all.extend(writer.map(|writer| Link { from: writer, to: reader, why: Why::Read }));
        if let Reason::Overwritten { reader, .. } = reason
            && let Some(way) = path(facts, link.from, reader).filter(|way| way.len() <= 4)
        {
            places.extend(way.iter().map(|&at| place(at)));
            all.extend(
                way.windows(2).filter_map(|pair| super::violation::plain_link(facts, pair[0], pair[1])),
            );
        }
    }
    let anomaly = match (culprit, promise) {
        (None, _) => "future read",
        (_, Consistency::ReadCommitted) => "non-monotonic read",
        (_, Consistency::ReadAtomic) => "fractured read",
        (_, Consistency::Sequential) => "non-sequential",
        _ => "causality violation",
    };
    let is_read = |link: &&Link| link.why == Why::Read;
    let culprit = culprit.or_else(|| links.iter().filter(is_read).map(|link| place(link.to)).max());
    let culprit = culprit.expect("sessions alone make no circle");
    let steps: Vec<String> = links.iter().map(|link| words.because(facts, link)).collect();
    let sentence = format!("{}, but that goes round in a circle: {}", words.deed(culprit), steps.join("; "));
    relate(facts, words, &places, (culprit, anomaly, sentence), &all)
}

/// The evidence with these relations, each once.
fn relate(
    facts: &Facts<'_>,
    words: Words<'_>,
    places: &[u32],
    named: (u32, &'static str, String),
    links: &[Link],
) -> Failure {
    let mut places = places.to_vec();
    places.sort_unstable();
    places.dedup();
    places.truncate(OPERATIONS_MAX);
    let at = |number: u32| places.binary_search(&facts.places[number as usize]).ok();
    let mut relations: Vec<Relation> = Vec::new();
    for link in links {
        let (Some(from), Some(to)) = (at(link.from), at(link.to)) else {
            continue;
        };
        let kind = match link.why {
            Why::Session => "process",
            Why::Read => "wr",
            Why::Demand(Reason::Overwritten { .. }) => "ww",
            Why::Demand(Reason::Unread { .. }) => "rw",
        };
        let relation = Relation { from, to, kind: kind.to_owned(), sentence: words.because(facts, link) };
        if !relations.contains(&relation) {
            relations.push(relation);
        }
    }
    words.evidence(&places, named, relations)
}

/// Operations by their places, in words.
#[derive(Clone, Copy)]
struct Words<'h> {
    history: &'h History,
}

impl Words<'_> {
    fn evidence(
        self,
        places: &[u32],
        (culprit, anomaly, sentence): (u32, &'static str, String),
        relations: Vec<Relation>,
    ) -> Failure {
        let bar = |&place: &u32| {
            let operation = self.operation(place);
            FailureOperation {
                label: self.label(operation),
                culprit: place == culprit,
                ..FailureOperation::of(self.history, operation)
            }
        };
        Failure {
            key: self.history.key(self.operation(culprit)),
            anomaly: anomaly.to_owned(),
            sentence,
            operations: places.iter().map(bar).collect(),
            relations,
            ..Failure::default()
        }
    }

    fn operation(&self, place: u32) -> &Operation {
        &self.history.operations[place as usize]
    }

    fn who(&self, place: u32) -> String {
        format!("process {}", self.operation(place).process)
    }

    /// When it was over, or where it stands in a file that has no times.
    fn when(&self, place: u32) -> String {
        let operation = self.operation(place);
        match (self.history.is_timed(), operation.line(), operation.completed_ns()) {
            (false, Some(line), _) => format!(" in line {line}"),
            (_, _, Some(time)) if operation.outcome == Outcome::Ok => format!(" at {}", seconds(time)),
            _ => format!(" from {} on", seconds(operation.invoked_ns)),
        }
    }

    fn object(&self, key: Datum) -> String {
        match self.history.values.as_text(key) {
            Some(name) => name.to_owned(),
            None if key.is_null() => "the value".to_owned(),
            None => self.value(key),
        }
    }

    fn value(&self, value: Datum) -> String {
        self.history.values.to_json(value).to_string()
    }

    /// `process 3 read x = 4 at 1.204 s`.
    fn deed(&self, place: u32) -> String {
        format!("{} {}", self.who(place), self.did(place, "wrote"))
    }

    /// `written x = 4 at 1.204 s`, for after `had`.
    fn done(&self, place: u32) -> String {
        self.did(place, "written")
    }

    fn did(&self, place: u32, wrote: &str) -> String {
        let operation = self.operation(place);
        let object = self.object(operation.key);
        let did = match (self.history.f(operation), self.history.values.as_list(operation.argument)) {
            ("read", _) => format!("read {object} = {}", self.value(operation.result)),
            ("write", _) => format!("{wrote} {object} = {}", self.value(operation.argument)),
            ("cas", Some(&[old, new])) => {
                format!("changed {object} from {} to {}", self.value(old), self.value(new))
            }
            (f, _) => {
                let done = if wrote == "wrote" { "did" } else { "done" };
                let label = self.label(operation);
                if f == "txn" { format!("{done} `{label}`") } else { format!("{done} `{label}` on {object}") }
            }
        };
        format!("{did}{}", self.when(place))
    }

    fn label(&self, operation: &Operation) -> String {
        let f = self.history.f(operation);
        let is_known = operation.outcome == Outcome::Ok;
        match self.history.values.as_list(operation.argument) {
            Some(&[old, new]) if f == "cas" => format!("cas {} → {}", self.value(old), self.value(new)),
            Some(asked) if f == "txn" => {
                let told = self.history.values.as_list(operation.result).filter(|_| is_known);
                let steps = told.unwrap_or(asked).iter().filter_map(|&step| {
                    let MicroOperation { key, value, is_read } =
                        MicroOperation::of(self.history, step).ok()?;
                    let verb = if is_read { "r" } else { "w" };
                    Some(format!("{verb} {} {}", self.object(key), self.value(value)))
                });
                steps.collect::<Vec<_>>().join(", ")
            }
            _ if operation.argument.is_null() && is_known => {
                format!("{f} → {}", self.value(operation.result))
            }
            _ if operation.argument.is_null() => format!("{f} → ?"),
            _ => format!("{f} {}", self.value(operation.argument)),
        }
    }

    /// `` `write 1` of process 3``.
    fn named(&self, place: u32) -> String {
        let operation = self.operation(place);
        let key =
            if operation.key.is_null() { String::new() } else { format!("{} ", self.object(operation.key)) };
        format!("`{key}{}` of process {}", self.label(operation), operation.process)
    }

    /// Why the first of a pair comes before the second.
    fn because(&self, facts: &Facts<'_>, link: &Link) -> String {
        let place = |at: u32| facts.places[at as usize];
        let [from, to] = [link.from, link.to].map(|at| self.named(place(at)));
        match link.why {
            Why::Session => format!("{from} comes before {to}, for one process did both"),
            Why::Read => format!("{from} comes before {to}, which read what it wrote"),
            Why::Demand(Reason::Overwritten { reader, .. }) => {
                let reader = self.named(place(reader));
                format!(
                    "{from} comes before {to}, for {reader} could know of both and read what the second wrote"
                )
            }
            Why::Demand(Reason::Unread { .. }) => {
                format!("{from} comes before {to}, for it read what was there before that write")
            }
        }
    }
}

fn seconds(time_ns: u64) -> String {
    format!("{}.{:03} s", time_ns / 1_000_000_000, time_ns / 1_000_000 % 1000)
}
