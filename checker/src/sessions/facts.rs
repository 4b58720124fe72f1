//! Who wrote what was read: a history as sessions of transactions, each read with the one write that it saw.
//!
//! A session is a process, in the order in which it asked. An operation on one register is a transaction of one step, a
//! compare-and-set is a read and a write. The one idea: where no value is written twice, a read names its write, and nothing else of
//! the values matters. An operation whose outcome is unknown counts if somebody saw what it wrote; nobody can tell of the others.

use hashbrown::HashMap;

use crate::check::ShapeError;
use crate::history::{Datum, History, Operation, Outcome};
use crate::models::{MicroOperation, Model, ModelKind, Register, steps_of};

/// The writer of what is there at first.
pub(super) const INITIAL: u32 = u32::MAX;
/// The writer of what nobody wrote.
pub(super) const NOBODY: u32 = u32::MAX - 1;

/// A step of a transaction. Reads of its own writes are no steps, and of several writes to one key only the last is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) version: u32,
    pub(super) key: u32,
    pub(super) is_read: bool,
}

/// A value that a key had.
#[derive(Debug, Clone, Copy)]
pub(super) struct Version {
    pub(super) key: u32,
    /// A transaction, [`INITIAL`] or [`NOBODY`].
    pub(super) writer: u32,
}

/// What no promise allows, by itself. Operations by their places in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Nobody ever asked to write what was read.
    NeverWritten { reader: u32, read: MicroOperation },
    /// It was asked by one that failed.
    Aborted { reader: u32, read: MicroOperation, writer: u32 },
    /// The writer replaced it before it was done.
    Intermediate { reader: u32, read: MicroOperation, writer: u32 },
    /// The reader had itself written something else before, in the same transaction.
    Internal { reader: u32, read: MicroOperation, written: Datum },
    /// The reader itself only wrote it afterwards.
    OwnFuture { reader: u32, read: MicroOperation },
}

/// Why there are no facts.
#[derive(Debug)]
pub(super) enum NoFacts {
    Shape(ShapeError),
    Flaw(Flaw),
    /// A value that was read has two writers.
    Ambiguous(MicroOperation),
}

/// Sessions, transactions and versions; see the head of this file.
pub(super) struct Facts<'h> {
    pub(super) history: &'h History,
    /// Place in the history of each transaction, session after session.
    pub(super) places: Vec<u32>,
    /// Where each session ends among the transactions.
    pub(super) session_ends: Vec<u32>,
    pub(super) session_of: Vec<u32>,
    pub(super) versions: Vec<Version>,
    /// How many keys there are.
    pub(super) keys: usize,
    steps: Vec<Step>,
    step_ends: Vec<u32>,
}

impl<'h> Facts<'h> {
    /// The facts of a history of registers that hold `initial` at first.
    pub(super) fn of(history: &'h History, model: ModelKind, initial: Datum) -> Result<Facts<'h>, NoFacts> {
        let mut raw = Raw::of(history, model, initial).map_err(NoFacts::Shape)?;
        raw.keep_observed();
        let mut facts = Facts {
            history,
            places: Vec::new(),
            session_ends: Vec::new(),
            session_of: Vec::new(),
            versions: Vec::new(),
            keys: raw.keys.len(),
            steps: Vec::new(),
            step_ends: Vec::new(),
        };
        let number_of = facts.lay_sessions(&raw);
        raw.find_flaw().map_or(Ok(()), |flaw| Err(NoFacts::Flaw(flaw)))?;
        raw.find_ambiguity().map_or(Ok(()), |read| Err(NoFacts::Ambiguous(read)))?;
        facts.lay_steps(&raw, &number_of);
        Ok(facts)
    }

    /// Of each key only what touches it, if there are several.
    pub(super) fn by_key(self) -> Vec<Facts<'h>> {
        if self.keys < 2 {
            return vec![self];
        }
        let mut touching: Vec<Vec<u32>> = vec![Vec::new(); self.keys];
        for at in 0..self.len() as u32 {
            for step in self.steps(at) {
                let of_key = &mut touching[step.key as usize];
                if of_key.last() != Some(&at) {
                    of_key.push(at);
                }
            }
        }
        let mut local = vec![NOBODY; self.len()];
        let only = |(touching, key): (Vec<u32>, u32)| self.only(key, &touching, &mut local);
        touching.into_iter().zip(0..).map(only).collect()
    }

    /// The transactions that touch a key, renumbered; `local` is room for their numbers.
    fn only(&self, key: u32, touching: &[u32], local: &mut [u32]) -> Facts<'h> {
        let mut facts = Facts {
            history: self.history,
            places: touching.iter().map(|&at| self.places[at as usize]).collect(),
            session_ends: Vec::new(),
            session_of: Vec::with_capacity(touching.len()),
            versions: Vec::with_capacity(touching.len() + 1),
            keys: 1,
            steps: Vec::new(),
            step_ends: Vec::with_capacity(touching.len()),
        };
        let mut last = NOBODY;
        for (&at, number) in touching.iter().zip(0..) {
            local[at as usize] = number;
            let session = self.session_of[at as usize];
            if session != last {
                facts.session_ends.push(number);
                last = session;
            }
            *facts.session_ends.last_mut().expect("its session has begun") = number + 1;
            facts.session_of.push(facts.session_ends.len() as u32 - 1);
        }
        for number in 0..touching.len() as u32 {
            facts.versions.push(Version { key: 0, writer: number });
        }
        let first = touching.len() as u32;
        facts.versions.push(Version { key: 0, writer: INITIAL });
        for &at in touching {
            for &step in self.steps(at).iter().filter(|step| step.key == key) {
                let writer = if step.is_read { self.writer(step) } else { Some(at) };
                let version = writer.map_or(first, |writer| local[writer as usize]);
                facts.steps.push(Step { version, key: 0, is_read: step.is_read });
            }
            facts.step_ends.push(facts.steps.len() as u32);
        }
        facts
    }

    /// How many transactions there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn sessions(&self) -> usize {
        self.session_ends.len()
    }

    /// The transactions of a session.
    pub(super) fn session(&self, session: usize) -> std::ops::Range<u32> {
        let start = session.checked_sub(1).map_or(0, |last| self.session_ends[last]);
        start..self.session_ends[session]
    }

    /// The transaction before this one in its session.
    pub(super) fn before(&self, at: u32) -> Option<u32> {
        let start = self.session(self.session_of[at as usize] as usize).start;
        (at > start).then(|| at - 1)
    }

    /// The transaction behind this one in its session.
    pub(super) fn after(&self, at: u32) -> Option<u32> {
        let end = self.session_ends[self.session_of[at as usize] as usize];
        (at + 1 < end).then_some(at + 1)
    }

    /// The session of a transaction, and how many of that session there are up to it.
    pub(super) fn tick(&self, at: u32) -> (usize, u32) {
        let session = self.session_of[at as usize] as usize;
        (session, at - self.session(session).start + 1)
    }

    /// Reads in the order of the transaction, then writes by key.
    pub(super) fn steps(&self, at: u32) -> &[Step] {
        let start = at.checked_sub(1).map_or(0, |last| self.step_ends[last as usize]);
        &self.steps[start as usize..self.step_ends[at as usize] as usize]
    }

    pub(super) fn reads(&self, at: u32) -> impl Iterator<Item = Step> + Clone {
        self.steps(at).iter().copied().filter(|step| step.is_read)
    }

    pub(super) fn writes(&self, at: u32) -> impl Iterator<Item = Step> + Clone {
        self.steps(at).iter().copied().filter(|step| !step.is_read)
    }

    /// What this transaction wrote to the key.
    pub(super) fn written(&self, at: u32, key: u32) -> Option<Step> {
        let steps = self.steps(at);
        let writes = &steps[steps.partition_point(|step| step.is_read)..];
        writes.binary_search_by_key(&key, |step| step.key).ok().map(|found| writes[found])
    }

    /// The transaction that wrote what this step read; `None` for what was there at first.
    pub(super) fn writer(&self, step: Step) -> Option<u32> {
        let writer = self.versions[step.version as usize].writer;
        (writer < NOBODY).then_some(writer)
    }

    /// The transactions whose writes this one saw.
    pub(super) fn sources(&self, at: u32) -> impl Iterator<Item = u32> + Clone {
        self.reads(at).filter_map(|step| self.writer(step))
    }

    /// Numbers the operations that count, session after session.
    fn lay_sessions(&mut self, raw: &Raw<'_>) -> Vec<u32> {
        let mut session_of_process: HashMap<u64, u32> = HashMap::new();
        let mut counts: Vec<u32> = Vec::new();
        let operations = &self.history.operations;
        let session = |operation: &Operation, counts: &mut Vec<u32>, known: &mut HashMap<u64, u32>| {
            *known.entry(operation.process).or_insert_with(|| {
                counts.push(0);
                counts.len() as u32 - 1
            })
        };
        let mut sessions = Vec::with_capacity(operations.len());
        for (operation, &is_kept) in operations.iter().zip(&raw.is_kept) {
            let number = if is_kept {
                let number = session(operation, &mut counts, &mut session_of_process);
                counts[number as usize] += 1;
                number
            } else {
                NOBODY
            };
            sessions.push(number);
        }
        let mut end = 0;
        let mut next = Vec::with_capacity(counts.len());
        for &count in &counts {
            next.push(end);
            end += count;
            self.session_ends.push(end);
        }
        self.places = vec![0; end as usize];
        self.session_of = vec![0; end as usize];
        let mut number_of = vec![NOBODY; operations.len()];
        for (place, &session) in (0..).zip(&sessions) {
            if session != NOBODY {
                let number = next[session as usize];
                next[session as usize] += 1;
                self.places[number as usize] = place;
                self.session_of[number as usize] = session;
                number_of[place as usize] = number;
            }
        }
        number_of
    }

    fn lay_steps(&mut self, raw: &Raw<'_>, number_of: &[u32]) {
        self.versions = (raw.versions.iter())
            .map(|version| Version {
                key: version.key,
                writer: match version.writer {
                    INITIAL | NOBODY => version.writer,
                    place => number_of[place as usize],
                },
            })
            .collect();
        let mut own: Own = Own::new(raw.keys.len());
        for &place in &self.places {
            let start = self.steps.len();
            for &RawStep { version, is_read } in raw.steps(place) {
                let key = raw.versions[version as usize].key;
                let written = own.replaced(place, key, (!is_read).then_some(version));
                match (is_read, written) {
                    (true, Some(_)) => {}
                    (false, Some(old)) => {
                        let mut steps = self.steps[start..].iter_mut();
                        let step = steps.find(|step| !step.is_read && step.version == old);
                        step.expect("it was laid down").version = version;
                    }
                    (_, None) => self.steps.push(Step { version, key, is_read }),
                }
            }
            // Reads in their order, then writes by key.
            self.steps[start..].sort_by_key(|step| if step.is_read { 0 } else { step.key + 1 });
            self.step_ends.push(self.steps.len() as u32);
        }
    }
}

/// What the current transaction wrote last to each key.
struct Own(Vec<(u32, u32)>);

impl Own {
    fn new(keys: usize) -> Own {
        Own(vec![(NOBODY, 0); keys])
    }

    /// What that transaction last wrote to the key, which `next` now takes the place of.
    fn replaced(&mut self, place: u32, key: u32, next: Option<u32>) -> Option<u32> {
        let slot = &mut self.0[key as usize];
        let old = (slot.0 == place).then_some(slot.1);
        if let Some(next) = next {
            *slot = (place, next);
        }
        old
    }
}

#[derive(Clone, Copy)]
struct RawStep {
    version: u32,
    is_read: bool,
}

#[derive(Clone, Copy)]
struct RawVersion {
    key: u32,
    value: Datum,
    /// A place in the history, [`INITIAL`] or [`NOBODY`].
    writer: u32,
    /// There is a second one.
    is_ambiguous: bool,
    /// A failed operation that asked to write it, or [`NOBODY`].
    failed: u32,
}

/// All operations step by step, as they stand in the history.
struct Raw<'h> {
    history: &'h History,
    initial: Datum,
    keys: HashMap<Datum, u32>,
    key_names: Vec<Datum>,
    numbers: HashMap<(u32, Datum), u32>,
    versions: Vec<RawVersion>,
    steps: Vec<RawStep>,
    step_ends: Vec<u32>,
    is_kept: Vec<bool>,
}

impl<'h> Raw<'h> {
    fn of(history: &'h History, model: ModelKind, initial: Datum) -> Result<Raw<'h>, ShapeError> {
        let mut raw = Raw {
            history,
            initial,
            keys: HashMap::new(),
            key_names: Vec::new(),
            numbers: HashMap::new(),
            versions: Vec::new(),
            steps: Vec::with_capacity(history.operations.len()),
            step_ends: Vec::with_capacity(history.operations.len()),
            is_kept: Vec::new(),
        };
        let mut register = Register::new(model == ModelKind::CasRegister, initial);
        let is_single = matches!(model, ModelKind::Register | ModelKind::CasRegister);
        for (operation, place) in history.operations.iter().zip(0..) {
            let added = match is_single {
                true => register.call(history, operation).map(|_| raw.add_single(operation, place)),
                false => raw.add_transaction(operation, place),
            };
            added.map_err(|message| ShapeError { line: operation.line(), message })?;
            raw.step_ends.push(raw.steps.len() as u32);
        }
        Ok(raw)
    }

    /// Its shape is that of the model.
    fn add_single(&mut self, operation: &Operation, place: u32) {
        let Operation { key, argument, result, outcome, .. } = *operation;
        let read = |value| MicroOperation { key, value, is_read: true };
        let write = |value| MicroOperation { key, value, is_read: false };
        match (self.history.f(operation), self.history.values.as_list(argument)) {
            ("read", _) if outcome == Outcome::Ok => self.add(read(result), outcome, place),
            ("read", _) => {}
            ("cas", Some(&[old, new])) if outcome != Outcome::Fail => {
                self.add(read(old), outcome, place);
                self.add(write(new), outcome, place);
            }
            ("cas", _) => {}
            _ => self.add(write(argument), outcome, place),
        }
    }

    fn add_transaction(&mut self, operation: &Operation, place: u32) -> Result<(), String> {
        for &step in steps_of(self.history, operation)? {
            let step = MicroOperation::of(self.history, step)?;
            if !step.is_read || operation.outcome == Outcome::Ok {
                self.add(step, operation.outcome, place);
            }
        }
        Ok(())
    }

    fn add(&mut self, step: MicroOperation, outcome: Outcome, place: u32) {
        let number = self.version(step.key, step.value);
        let version = &mut self.versions[number as usize];
        if outcome == Outcome::Fail {
            version.failed = place;
            return;
        }
        if !step.is_read {
            version.is_ambiguous |= version.writer != NOBODY && version.writer != place;
            version.writer = place;
        }
        self.steps.push(RawStep { version: number, is_read: step.is_read });
    }

    fn version(&mut self, key: Datum, value: Datum) -> u32 {
        let next_key = self.keys.len() as u32;
        let key_number = *self.keys.entry(key).or_insert(next_key);
        if key_number == next_key {
            self.key_names.push(key);
        }
        let next = self.versions.len() as u32;
        let number = *self.numbers.entry((key_number, value)).or_insert(next);
        if number == next {
            let writer = if value == self.initial { INITIAL } else { NOBODY };
            let (is_ambiguous, failed) = (false, NOBODY);
            self.versions.push(RawVersion { key: key_number, value, writer, is_ambiguous, failed });
        }
        number
    }

    fn steps(&self, place: u32) -> &[RawStep] {
        let start = place.checked_sub(1).map_or(0, |last| self.step_ends[last as usize]);
        &self.steps[start as usize..self.step_ends[place as usize] as usize]
    }

    /// What happened, and what may have happened and was seen by one that is kept.
    fn keep_observed(&mut self) {
        let operations = &self.history.operations;
        self.is_kept = operations.iter().map(|operation| operation.outcome == Outcome::Ok).collect();
        let mut waiting: Vec<u32> =
            (0..operations.len() as u32).filter(|&place| self.is_kept[place as usize]).collect();
        while let Some(place) = waiting.pop() {
            let start = place.checked_sub(1).map_or(0, |last| self.step_ends[last as usize]);
            for at in start..self.step_ends[place as usize] {
                let step = self.steps[at as usize];
                let RawVersion { writer, is_ambiguous, .. } = self.versions[step.version as usize];
                // Of two writers, nobody can tell which was seen.
                let is_new =
                    step.is_read && !is_ambiguous && writer < NOBODY && !self.is_kept[writer as usize];
                if is_new {
                    self.is_kept[writer as usize] = true;
                    waiting.push(writer);
                }
            }
        }
    }

    fn kept(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.is_kept).filter(|&(_, &is_kept)| is_kept).map(|(place, _)| place)
    }

    fn shown(&self, version: u32) -> MicroOperation {
        let RawVersion { key, value, .. } = self.versions[version as usize];
        MicroOperation { key: self.key_names[key as usize], value, is_read: true }
    }

    /// The first read that no promise allows.
    fn find_flaw(&self) -> Option<Flaw> {
        let is_intermediate = self.intermediate();
        let mut own = Own::new(self.keys.len());
        for reader in self.kept() {
            for &RawStep { version: number, is_read } in self.steps(reader) {
                let version = self.versions[number as usize];
                let written = own.replaced(reader, version.key, (!is_read).then_some(number));
                if !is_read {
                    continue;
                }
                let read = self.shown(number);
                if let Some(written) = written {
                    let written = self.versions[written as usize].value;
                    if written != version.value {
                        return Some(Flaw::Internal { reader, read, written });
                    }
                    continue;
                }
                match version.writer {
                    NOBODY if version.failed != NOBODY => {
                        return Some(Flaw::Aborted { reader, read, writer: version.failed });
                    }
                    NOBODY => return Some(Flaw::NeverWritten { reader, read }),
                    _ if version.is_ambiguous => {}
                    writer if writer == reader => return Some(Flaw::OwnFuture { reader, read }),
                    writer if is_intermediate[number as usize] => {
                        return Some(Flaw::Intermediate { reader, read, writer });
                    }
                    _ => {}
                }
            }
        }
        None
    }

    /// Versions that their own writer replaced.
    fn intermediate(&self) -> Vec<bool> {
        let mut is_intermediate = vec![false; self.versions.len()];
        let mut own = Own::new(self.keys.len());
        for place in self.kept() {
            for &RawStep { version, is_read } in self.steps(place) {
                let key = self.versions[version as usize].key;
                match own.replaced(place, key, (!is_read).then_some(version)) {
                    Some(old) if !is_read && old != version => is_intermediate[old as usize] = true,
                    _ => {}
                }
            }
        }
        is_intermediate
    }

    /// A read of a version with two writers.
    fn find_ambiguity(&self) -> Option<MicroOperation> {
        let mut own = Own::new(self.keys.len());
        for place in self.kept() {
            for &RawStep { version, is_read } in self.steps(place) {
                let RawVersion { key, is_ambiguous, .. } = self.versions[version as usize];
                let written = own.replaced(place, key, (!is_read).then_some(version));
                if is_read && is_ambiguous && written.is_none() {
                    return Some(self.shown(version));
                }
            }
        }
        None
    }
}
