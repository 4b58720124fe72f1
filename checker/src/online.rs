//! Whether a history is still linearizable while it grows, in memory that does not grow with it.
//!
//! Not the last word: a violation that is found here is one, but whoever wants to see it explained checks the whole history; and what
//! this cannot judge (values that are written twice, other objects than registers) it leaves to that check and says so. The one
//! idea: from time to time, what nobody can observe any more is forgotten, and what is left is a short history of the same
//! verdict ([`Watch::settle`]).

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::history::{Datum, Event, EventKind, Process, Values};
use crate::linearizability::{Decision, Fate, Timed, decide_register, forgettable};
use crate::models::{Call, ModelKind};

/// A history under watch.
#[derive(Debug)]
pub struct Watch {
    has_cas: bool,
    values: Values,
    keys: BTreeMap<Datum, Register>,
    /// The open operation of each process: its key, and its number.
    open: HashMap<u64, (Datum, u64)>,
    /// Events so far plus one: place 0 is for what was there before all.
    events: u32,
    operations: u64,
    /// Those of them that failed, which did not happen.
    refused: u64,
    violation: Option<Violation>,
    /// There was an operation that no register has.
    is_strange: bool,
    /// What the table of values may take before the values of forgotten operations are thrown out.
    values_bytes: usize,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The key as JSON; `null` if the history has none.
    pub key: String,
    /// Place of the event after which it was found, from 0.
    pub event: u32,
}

/// What is still known of one key.
#[derive(Debug, Default)]
struct Register {
    /// In order of invocation.
    operations: Vec<Kept>,
    /// How many of them make it worth looking again.
    enough: usize,
    /// A value was written twice.
    is_ambiguous: bool,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    number: u64,
    asked: Asked,
    invoked: u32,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum Asked {
    Read,
    Write(Datum),
    Cas(Datum, Datum),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    /// It may complete yet.
    Open,
    /// It never will.
    Uncertain,
    /// Where it completed, and what a read saw.
    Done(u32, Datum),
}

/// A key with fewer operations than this is not looked at for being long.
const LENGTH_MIN: usize = 256;

/// A table of values smaller than this is left as it is.
const VALUES_BYTES_MIN: usize = 1 << 20;

impl Watch {
    /// A watch over a history of this model, if there is a way to watch it.
    pub fn over(model: ModelKind) -> Option<Watch> {
        matches!(model, ModelKind::Register | ModelKind::CasRegister).then(|| Watch {
            has_cas: model == ModelKind::CasRegister,
            values: Values::default(),
            keys: BTreeMap::new(),
            open: HashMap::new(),
            events: 1,
            operations: 0,
            refused: 0,
            violation: None,
            is_strange: false,
            values_bytes: VALUES_BYTES_MIN,
        })
    }

    /// Takes the next event. What is no event of a register is left to the check of the whole history.
    pub fn feed(&mut self, event: &Event) {
        let at = self.events;
        self.events += 1;
        let Process::Client(process) = event.process else {
            return;
        };
        if event.kind == EventKind::Invoke {
            self.invoke(process, at, event);
        } else if let Some((key, number)) = self.open.remove(&process) {
            self.refused += u64::from(event.kind == EventKind::Fail);
            let register = self.keys.get_mut(&key).expect("it was put in");
            register.complete(number, at, event.kind, || self.values.take(&event.value));
            if register.operations.len() > register.enough {
                self.look(key);
            }
        }
    }

    fn invoke(&mut self, process: u64, at: u32, event: &Event) {
        let asked = match (&*event.f, event.value.as_array().map(Vec::as_slice)) {
            ("read", _) => Asked::Read,
            ("write", _) => Asked::Write(self.values.take(&event.value)),
            ("cas", Some([old, new])) if self.has_cas => {
                Asked::Cas(self.values.take(old), self.values.take(new))
            }
            _ => {
                self.is_strange = true;
                return;
            }
        };
        let key = event.key.as_ref().map_or(Datum::NULL, |key| self.values.take(key));
        let number = self.operations;
        self.operations += 1;
        self.open.insert(process, (key, number));
        let register = self.keys.entry(key).or_default();
        register.operations.push(Kept { number, asked, invoked: at, state: State::Open });
    }

    /// Looks at everything that has come; then forgets what nobody can observe any more.
    pub fn settle(&mut self) -> Option<&Violation> {
        let keys: Vec<Datum> = self.keys.keys().copied().collect();
        for key in keys {
            self.look(key);
        }
        if self.values.memory_bytes() > self.values_bytes {
            self.forget_values();
        }
        self.violation.as_ref()
    }

    /// Whether all that was fed has been judged, so that nothing is left to the check of the whole history.
    pub fn is_conclusive(&self) -> bool {
        !self.is_strange && self.unwatched() == 0
    }

    /// How many operations may have happened, or may yet.
    pub fn operations(&self) -> u64 {
        self.operations - self.refused
    }

    /// How many keys they were about.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// The first violation that was found.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Keys that could not be watched: a value was written twice.
    pub fn unwatched(&self) -> usize {
        self.keys.values().filter(|register| register.is_ambiguous).count()
    }

    /// Bytes that all of it takes, about.
    pub fn memory_bytes(&self) -> usize {
        self.values.memory_bytes() + self.remembered() * size_of::<Kept>()
    }

    /// How many operations are remembered.
    pub fn remembered(&self) -> usize {
        self.keys.values().map(|register| register.operations.len()).sum()
    }

    /// Makes the table of values anew, of those that are still there.
    fn forget_values(&mut self) {
        let old = std::mem::take(&mut self.values);
        let values = &mut self.values;
        let mut taken = |value: Datum| values.take(&old.to_json(value));
        self.open.values_mut().for_each(|(key, _)| *key = taken(*key));
        let keys = std::mem::take(&mut self.keys);
        for (key, mut register) in keys {
            register.operations.iter_mut().for_each(|kept| kept.retake(&mut taken));
            self.keys.insert(taken(key), register);
        }
        self.values_bytes = VALUES_BYTES_MIN.max(2 * self.values.memory_bytes());
    }

    fn look(&mut self, key: Datum) {
        let now = self.events;
        let register = self.keys.get_mut(&key).expect("a key that is there");
        if !register.look(now) && self.violation.is_none() {
            let key = self.values.to_json(key).to_string();
            self.violation = Some(Violation { key, event: now - 2 });
        }
    }
}

impl Register {
    fn complete(&mut self, number: u64, at: u32, kind: EventKind, result: impl FnOnce() -> Datum) {
        let Ok(place) = self.operations.binary_search_by_key(&number, |kept| kept.number) else {
            return;
        };
        let is_read = matches!(self.operations[place].asked, Asked::Read);
        match kind {
            EventKind::Ok => {
                let result = if is_read { result() } else { Datum::NULL };
                self.operations[place].state = State::Done(at, result);
            }
            // A read of nothing says nothing.
            EventKind::Info if !is_read => self.operations[place].state = State::Uncertain,
            _ => drop(self.operations.remove(place)),
        }
    }

    /// Whether what is kept is linearizable; then forgets what can be.
    fn look(&mut self, now: u32) -> bool {
        if self.is_ambiguous {
            self.operations.clear();
            return true;
        }
        let mut numbers: HashMap<Datum, u32> = HashMap::from([(Datum::NULL, 0)]);
        let mut number = |value: Datum| {
            let next = numbers.len() as u32;
            *numbers.entry(value).or_insert(next)
        };
        let timed: Vec<Timed<Call>> = self.operations.iter().map(|kept| kept.timed(&mut number)).collect();
        let open = self.operations.iter().filter(|kept| kept.state == State::Open);
        let horizon = open.map(|kept| kept.invoked).min().unwrap_or(now);
        let is_linearizable = match decide_register(&timed, numbers.len()) {
            Some(Decision::Linearizable(_)) => true,
            Some(Decision::Violation(_)) => false,
            None => {
                self.is_ambiguous = true;
                true
            }
        };
        if let Some(fates) = forgettable(&timed, numbers.len(), horizon).filter(|_| is_linearizable) {
            let mut fates = fates.into_iter();
            self.operations.retain_mut(|kept| kept.suffer(fates.next().expect("one for each")));
        }
        self.enough = LENGTH_MIN.max(2 * self.operations.len());
        is_linearizable
    }
}

impl Kept {
    /// Becomes what it has to; false if it can go.
    fn suffer(&mut self, fate: Fate) -> bool {
        match (fate, self.state, self.asked) {
            (Fate::Kept, ..) | (_, State::Open, _) => true,
            (Fate::Forgotten, ..) => false,
            (Fate::Stands { invoked, completed }, _, Asked::Write(value) | Asked::Cas(_, value)) => {
                self.asked = Asked::Write(value);
                self.invoked = invoked;
                self.state = completed.map_or(State::Uncertain, |at| State::Done(at, Datum::NULL));
                true
            }
            (Fate::Stands { .. }, _, Asked::Read) => {
                unreachable!("only what makes a value stands for others")
            }
        }
    }

    /// The same in another table of values.
    fn retake(&mut self, taken: &mut impl FnMut(Datum) -> Datum) {
        match &mut self.asked {
            Asked::Read => {}
            Asked::Write(value) => *value = taken(*value),
            Asked::Cas(old, new) => (*old, *new) = (taken(*old), taken(*new)),
        }
        if let State::Done(_, result) = &mut self.state {
            *result = taken(*result);
        }
    }

    fn timed(&self, number: &mut impl FnMut(Datum) -> u32) -> Timed<Call> {
        let (completed, result) = match self.state {
            State::Done(at, result) => (Some(at), Some(result)),
            State::Open | State::Uncertain => (None, None),
        };
        let call = match self.asked {
            Asked::Read => result.map_or(Call::ReadUnknown, |value| Call::Read(number(value))),
            Asked::Write(value) => Call::Write(number(value)),
            Asked::Cas(old, new) => Call::Cas(number(old), number(new)),
        };
        Timed { call, invoked: self.invoked, completed }
    }
}
