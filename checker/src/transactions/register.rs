//! Dependencies among transactions that write registers and read them (Kingsbury & Alvaro 2020, Section 4.3).
//!
//! The one idea: a value that was written once names its writer, but nothing names its successor. So an order of two versions is
//! inferred only where a promise that is asked about forces it: the first value comes before all others; who reads a version and
//! replaces it comes right behind it (if no update may be lost); and for promises about real time, a version that was there
//! before another was begun is the earlier one.

use hashbrown::HashMap;

use super::anomaly::{Anomalies, Anomaly};
use super::explain::{self, Story};
use super::graph::{Edges, Kind};
use super::inferred::{Inferred, Unclear};
use super::steps::{Act, Step, Transactions};
use crate::history::{Datum, Outcome};

/// What was done with one register.
struct Object<'t> {
    transactions: &'t Transactions<'t>,
    key: u32,
    initial: Datum,
    writes: Vec<Write>,
    /// By value, the place among `writes`.
    places: HashMap<Datum, u32>,
    reads: Vec<Read>,
    internal: Vec<(u32, Datum, Anomaly)>,
    twice: Option<Datum>,
}

#[derive(Debug, Clone, Copy)]
struct Write {
    transaction: u32,
    value: Datum,
    /// Whether the transaction wrote nothing more to the same register.
    is_last: bool,
}

/// A read before any own write.
#[derive(Debug, Clone, Copy)]
struct Read {
    value: Datum,
    transaction: u32,
    /// Whether the reader wrote the register afterwards.
    replaces: bool,
}

/// A version: who wrote it, and who read it.
struct Version<'r> {
    write: Option<Write>,
    reads: &'r [Read],
}

/// What reads and writes tell of registers that held `initial` at first.
/// Once it is out of time, it stops at the next object.
pub(super) fn infer(
    transactions: &Transactions<'_>,
    initial: Datum,
    out_of_time: &dyn Fn() -> bool,
) -> Inferred {
    let mut inferred = Inferred { edges: Edges::among(transactions.len()), ..Inferred::default() };
    let mut committed: Vec<bool> =
        (0..transactions.len()).map(|at| transactions.outcome(at as u32) == Outcome::Ok).collect();
    let objects = || (0..transactions.keys.len() as u32).map(|key| Object::of(transactions, key, initial));
    if committed.iter().any(|is_ok| !is_ok) {
        for object in objects().filter(|object| object.twice.is_none()) {
            object.reads.iter().filter_map(|read| object.write_of(read.value)).for_each(|write| {
                committed[write.transaction as usize] |=
                    transactions.outcome(write.transaction) == Outcome::Info;
            });
        }
    }
    for object in objects().take_while(|_| !out_of_time()) {
        object.tell_internal(&mut inferred.anomalies);
        if let Some(value) = object.twice {
            inferred.unclear.get_or_insert(Unclear { key: object.key, value });
            continue;
        }
        object.tell_reads(&mut inferred.anomalies);
        object.tell_lost_updates(&mut inferred.anomalies);
        object.connect(&committed, &mut inferred.edges);
    }
    inferred.committed = committed;
    inferred
}

impl<'t> Object<'t> {
    fn of(transactions: &'t Transactions<'t>, key: u32, initial: Datum) -> Object<'t> {
        let mut object = Object {
            transactions,
            key,
            initial,
            writes: Vec::new(),
            places: HashMap::new(),
            reads: Vec::new(),
            internal: Vec::new(),
            twice: None,
        };
        for (transaction, steps) in transactions.about(key) {
            object.take(transaction, steps);
        }
        object.places.reserve(object.writes.len());
        for (write, place) in object.writes.iter().zip(0..) {
            if write.value == initial || object.places.insert(write.value, place).is_some() {
                object.twice.get_or_insert(write.value);
            }
        }
        object.reads.sort_unstable_by_key(|read| (read.value, read.transaction));
        object.reads.dedup_by_key(|read| (read.value, read.transaction));
        object
    }

    fn take(&mut self, transaction: u32, steps: impl Iterator<Item = Step>) {
        let (written, read) = (self.writes.len(), self.reads.len());
        for step in steps {
            let value = step.value;
            let own = self.writes[written..].last_mut();
            if step.act == Act::Write {
                own.into_iter().for_each(|before| before.is_last = false);
                self.writes.push(Write { transaction, value, is_last: true });
                continue;
            }
            if let Some(own) = own {
                if own.value != value {
                    self.internal.push((transaction, value, Anomaly::Internal));
                }
                continue;
            }
            if self.reads[read..].last().is_some_and(|before| before.value != value) {
                self.internal.push((transaction, value, Anomaly::NonRepeatableRead));
            }
            self.reads.push(Read { value, transaction, replaces: false });
        }
        let replaces = self.writes.len() > written;
        self.reads[read..].iter_mut().for_each(|read| read.replaces = replaces);
    }

    fn write_of(&self, value: Datum) -> Option<Write> {
        self.places.get(&value).map(|&place| self.writes[place as usize])
    }

    /// All versions that were read, each with its reads in order of invocation.
    fn versions(&self) -> impl Iterator<Item = Version<'_>> {
        let same = |one: &Read, other: &Read| one.value == other.value;
        self.reads.chunk_by(same).map(|reads| Version { write: self.write_of(reads[0].value), reads })
    }

    fn tell_internal(&self, anomalies: &mut Anomalies) {
        for &(transaction, value, anomaly) in &self.internal {
            anomalies.add(anomaly, || {
                let story = Story::new(self.transactions, &[transaction]);
                let did = story.read(transaction, self.key, value);
                let sentence =
                    format!("{did}, which is not what it had read or written there itself just before");
                story.failure(anomaly, Some(self.key), sentence)
            });
        }
    }

    fn tell_reads(&self, anomalies: &mut Anomalies) {
        for read in self.reads.iter().filter(|read| read.value != self.initial) {
            let tell = |anomaly: Anomaly, others: &[u32], why: &dyn Fn(&Story<'_>) -> String| {
                let story = Story::new(self.transactions, &[others, &[read.transaction]].concat());
                let did = story.read(read.transaction, self.key, read.value);
                story.failure(anomaly, Some(self.key), format!("{did}, {}", why(&story)))
            };
            let Some(write) = self.write_of(read.value) else {
                let anomaly = match self.transactions.history.is_excerpt {
                    true => Anomaly::UnexplainedRead,
                    false => Anomaly::GarbageRead,
                };
                anomalies
                    .add(anomaly, || tell(anomaly, &[], &|_| "although nobody ever wrote that".to_owned()));
                continue;
            };
            let writer = write.transaction;
            if self.transactions.outcome(writer) == Outcome::Fail {
                let why = |story: &Story<'_>| format!("which {} wrote, and was aborted", story.name(writer));
                anomalies.add(Anomaly::G1a, || tell(Anomaly::G1a, &[writer], &why));
            } else if writer == read.transaction {
                let why = |_: &Story<'_>| "which it had not written yet".to_owned();
                anomalies.add(Anomaly::Internal, || tell(Anomaly::Internal, &[], &why));
            } else if !write.is_last {
                let why = |story: &Story<'_>| format!("which {} itself overwrote", story.name(writer));
                anomalies.add(Anomaly::G1b, || tell(Anomaly::G1b, &[writer], &why));
            }
        }
    }

    fn tell_lost_updates(&self, anomalies: &mut Anomalies) {
        for version in self.versions() {
            let mut replacing = version.reads.iter().filter(|read| read.replaces);
            if let (Some(one), Some(other)) = (replacing.next(), replacing.next()) {
                anomalies.add(Anomaly::LostUpdate, || {
                    let story = Story::new(self.transactions, &[one.transaction, other.transaction]);
                    let (first, second) = (story.name(one.transaction), story.name(other.transaction));
                    let object = explain::key(self.transactions, self.key);
                    let value = explain::shown(self.transactions, one.value);
                    let sentence =
                        format!("{first} and {second} both found {object} = {value} and replaced it");
                    story.failure(Anomaly::LostUpdate, Some(self.key), sentence)
                });
            }
        }
    }

    /// The edges.
    fn connect(&self, is_committed: &[bool], edges: &mut Edges) {
        let mut writers: Vec<u32> = self.writes.iter().map(|write| write.transaction).collect();
        writers.retain(|&writer| is_committed[writer as usize]);
        writers.dedup();
        let times = Times::of(self, &writers);
        for version in self.versions() {
            let readers: Vec<u32> = version.reads.iter().map(|read| read.transaction).collect();
            if version.reads[0].value == self.initial {
                edges.add_all(&readers, &writers, Kind::Rw, self.key);
                continue;
            }
            let replacing = version.reads.iter().filter(|read| read.replaces);
            let replacing: Vec<u32> = replacing.map(|read| read.transaction).collect();
            edges.add_all(&readers, &replacing, Kind::Rw, self.key);
            if let Some(write) = version.write.filter(|write| is_committed[write.transaction as usize]) {
                readers.iter().for_each(|&reader| edges.add(write.transaction, reader, Kind::Wr, self.key));
                times.connect(self, write.transaction, &readers, edges);
            }
        }
    }
}

/// So many versions on either side of one are ordered by real time. What is further away is ordered through the
/// transactions between.
const NEIGHBOURS_MAX: usize = 32;

/// When versions began, and when they were surely there.
struct Times {
    /// Place of the invocation, and the writer; ascending.
    begun: Vec<(u32, u32)>,
    /// Place of the first completion of the writer or of whoever read it, and the writer; ascending.
    there: Vec<(u32, u32)>,
    /// The same by writer, in order of invocation.
    of: Vec<(u32, u32)>,
}

impl Times {
    fn of(object: &Object<'_>, writers: &[u32]) -> Times {
        let operation = |transaction: u32| object.transactions.operation(transaction);
        let completed = |transaction: u32| match operation(transaction).outcome {
            Outcome::Ok => operation(transaction).completed_at().unwrap_or(u32::MAX),
            Outcome::Fail | Outcome::Info => u32::MAX,
        };
        let mut of: Vec<(u32, u32)> = writers.iter().map(|&writer| (writer, completed(writer))).collect();
        for version in object.versions() {
            let writer = version.write.map(|write| write.transaction);
            let place = writer.and_then(|writer| of.binary_search_by_key(&writer, |one| one.0).ok());
            let read = version.reads.iter().map(|read| completed(read.transaction)).min();
            if let (Some(place), Some(read)) = (place, read) {
                of[place].1 = of[place].1.min(read);
            }
        }
        let mut there: Vec<(u32, u32)> = of.iter().map(|&(writer, there)| (there, writer)).collect();
        there.sort_unstable();
        let begun = writers.iter().map(|&writer| (operation(writer).invoked_at, writer)).collect();
        Times { begun, there, of }
    }

    /// The order of one version and its neighbours.
    fn connect(&self, object: &Object<'_>, writer: u32, readers: &[u32], edges: &mut Edges) {
        let operation = |transaction: u32| object.transactions.operation(transaction);
        let Ok(place) = self.of.binary_search_by_key(&writer, |one| one.0) else {
            return;
        };
        let there = self.of[place].1;
        // Who began when this version was there comes behind it, so those who read it did not see the other. Whoever began after
        // the reader was over does so anyway.
        let from = self.begun.partition_point(|&(begun, _)| begun <= there);
        for &reader in readers {
            let over = operation(reader).completed_at().unwrap_or(u32::MAX);
            let later = self.begun[from..].iter().take_while(|&&(begun, _)| begun < over);
            for &(_, later) in later.take(NEIGHBOURS_MAX) {
                edges.add(reader, later, Kind::RealtimeRw, object.key);
            }
        }
        // What was there when a reader of this version began comes before it. Whoever was over before the writer began does so
        // anyway, and for whoever began later than this version was there, the other rule speaks.
        let begun = operation(writer).invoked_at;
        let last = readers.iter().map(|&reader| operation(reader).invoked_at).max().unwrap_or(0);
        let until = self.there.partition_point(|&(there, _)| there < last);
        let earlier = self.there[..until].iter().rev().take_while(|&&(there, _)| there > begun);
        let earlier = earlier.filter(|&&(_, earlier)| operation(earlier).invoked_at < there);
        for &(_, earlier) in earlier.take(NEIGHBOURS_MAX) {
            edges.add(earlier, writer, Kind::RealtimeWw, object.key);
        }
    }
}

/// Why one transaction comes before another, by what was done with `key`; the story knows both.
pub(super) fn why(story: &Story<'_>, initial: Datum, key: u32, pair: (u32, u32), kind: Kind) -> String {
    let (one, other) = pair;
    let transactions = story.transactions();
    let object = Object::of(transactions, key, initial);
    let shown = |value| explain::shown(transactions, value);
    let (before, after) = (story.name(one), story.name(other));
    let written = |writer: u32| {
        let mut writes = object.writes.iter().rev();
        let write = writes.find(|write| write.transaction == writer);
        shown(write.expect("the edge comes from a write of it").value)
    };
    let is_of = |reader: u32| move |read: &&Read| read.transaction == reader;
    match kind {
        Kind::Wr => {
            let mut reads = object.reads.iter().filter(is_of(other));
            let of_one =
                |read: &&Read| object.write_of(read.value).is_some_and(|write| write.transaction == one);
            let read = reads.find(of_one).expect("the edge comes from such a read");
            format!("{}, which {before} wrote", story.read(other, key, read.value))
        }
        Kind::Rw => {
            let mut reads = object.reads.iter().filter(is_of(one));
            let replaced = |value: Datum| {
                object.reads.iter().filter(is_of(other)).any(|read| read.replaces && read.value == value)
            };
            let read = reads.find(|read| read.value == initial || replaced(read.value));
            let value = read.expect("the edge comes from such a read").value;
            let found = if value == initial { "as it was at first" } else { "as this one had found it too" };
            let (did, written) = (story.read(one, key, value), written(other));
            format!("{did}, {found}, and {after} replaced it by {written}")
        }
        Kind::RealtimeRw => {
            let read = object.reads.iter().find(is_of(one)).expect("the edge comes from a read of it");
            let (did, written) = (story.read(one, key, read.value), written(other));
            format!("{did}, and {after} began to write {written} when that was there already")
        }
        _ => {
            let name = explain::key(transactions, key);
            let (first, second) = (written(one), written(other));
            format!(
                "{before} wrote {name} = {first}, which was there before somebody began who read {second} of {after}"
            )
        }
    }
}
