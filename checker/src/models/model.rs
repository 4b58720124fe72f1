//! The trait of a model, for one's own models too.
//!
//! The one idea: a model need only say what one operation does to one state. The last methods are hints; with
//! their defaults the search is right but must try more, and with them it can see dead ends coming.
//!
//! A counter that stops at ten, say, is this:
//!
//! ```
//! use rafture_checker::history::{History, Operation, Outcome};
//! use rafture_checker::models::Model;
//!
//! struct UpToTen;
//!
//! impl Model for UpToTen {
//!     type State = u8;
//!     /// What a `step` was told, if that is known.
//!     type Call = Option<i64>;
//!
//!     fn call(&mut self, history: &History, operation: &Operation) -> Result<Option<i64>, String> {
//!         match history.f(operation) {
//!             "step" => Ok(operation.result.as_integer().filter(|_| operation.outcome == Outcome::Ok)),
//!             f => Err(format!("`{f}` is no operation of this model (hint: it has `step`)")),
//!         }
//!     }
//!     fn initial(&self) -> u8 {
//!         0
//!     }
//!     fn step(&self, state: &u8, told: &Option<i64>) -> Option<u8> {
//!         let next = (*state + 1).min(10);
//!         told.is_none_or(|told| told == i64::from(next)).then_some(next)
//!     }
//!     fn is_read(&self, _: &Option<i64>) -> bool {
//!         false
//!     }
//! }
//! ```

use std::fmt::Debug;
use std::hash::Hash;
use std::rc::Rc;

use crate::history::{Datum, History, Operation};
use crate::linearizability::{Decision, Timed};

/// A deterministic object. There is one per key, so that it may number the values that it meets.
pub trait Model {
    /// All that later operations can depend on. Equal states must behave alike for ever.
    type State: Clone + Eq + Hash + Debug;
    /// An operation with its argument, and with its result if that is known. Equal calls do the same.
    type Call: Clone + Eq + Hash + Debug;

    /// What `operation` is in terms of this model. It is asked in order of invocation.
    ///
    /// # Errors
    /// In one line, why the operation is none of this model.
    fn call(&mut self, history: &History, operation: &Operation) -> Result<Self::Call, String>;

    /// The state before the first operation.
    fn initial(&self) -> Self::State;

    /// The state after `call`; `None` if `call` cannot have had its result in `state`.
    fn step(&self, state: &Self::State, call: &Self::Call) -> Option<Self::State>;

    /// Whether `call` never changes any state.
    fn is_read(&self, call: &Self::Call) -> bool;

    /// The state in a few characters, for people.
    fn show(&self, _history: &History, state: &Self::State) -> String {
        format!("{state:?}")
    }

    /// The name of a monitor and what it found, where one fits this history; calls are in order of invocation. `None` leaves
    /// it to the search.
    fn decide(&self, _calls: &[Timed<Self::Call>]) -> Option<(&'static str, Decision)> {
        None
    }

    /// A number for `state`, such that different states have different ones, small enough to index a table.
    fn number(&self, _state: &Self::State) -> Option<u32> {
        None
    }

    /// The number of the only state in which `call` can have happened, if there is only one.
    fn needs(&self, _call: &Self::Call) -> Option<u32> {
        None
    }

    /// The number of the state after `call`, if that is the same wherever it can have happened. A call that makes a
    /// state and needs none must be possible in every state.
    fn makes(&self, _call: &Self::Call) -> Option<u32> {
        None
    }

    /// What `call` does to an object that consists of values; see [`Part`].
    fn part(&self, _call: &Self::Call) -> Part {
        Part::Whole
    }

    /// `call` as it would have been if the values for which `is_gone` is true had never been there.
    fn apart_from(&self, call: &Self::Call, _is_gone: &dyn Fn(Datum) -> bool) -> Self::Call {
        call.clone()
    }

    /// What `call` does to an object that is a number; see [`Tally`].
    fn tally(&self, _call: &Self::Call) -> Option<Tally> {
        None
    }

    /// What `call` does to an object that is a text; see [`Edit`].
    fn edit(&self, _call: &Self::Call) -> Option<Edit> {
        None
    }

    /// What `call` reads and writes of an object that consists of registers; see [`Access`].
    fn accesses(&self, _call: &Self::Call) -> Option<Vec<Access>> {
        None
    }

    /// The least and the greatest that such a number can be.
    fn tally_range(&self) -> (i64, i64) {
        (i64::MIN, i64::MAX)
    }
}

/// What a call does to an object that consists of values (a queue, a set, …), if the object looks the same to all calls about
/// other values when all that is about one value is left out. Evidence is cut down by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// It puts this value in.
    Put(Datum),
    /// It takes this value out.
    Take(Datum),
    /// It takes some value out, or none; nobody knows.
    TakeUnknown,
    /// It sees that these values are there, in this order, and no others.
    Sight(Vec<Datum>),
    /// None of these: nothing can be left out.
    Whole,
}

/// What a call does to an object that is a number, 0 at first, to which calls add.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tally {
    /// It adds so much.
    Add(i64),
    /// It sees the number; `None`: it is not known what it saw.
    Told(Option<i64>),
}

/// What a call does to an object that is a text, empty at first, which grows at its end. Evidence is named by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Edit {
    /// It becomes this text.
    Put(Rc<String>),
    /// This text is put behind it.
    Append(Rc<String>),
    /// It sees this text; `None`: it is not known what it saw.
    Told(Option<Rc<String>>),
}

/// One register that a call reads or writes, beside others and all at once. Evidence is named by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The name of the register.
    pub register: Datum,
    /// What was read before the call wrote there itself, or what it left there.
    pub value: Datum,
    /// Whether it was read.
    pub is_read: bool,
    /// Whether every register holds that at first.
    pub is_initial: bool,
}

/// The error of an operation that a model does not have.
pub(super) fn unknown(f: &str, model: &str, hint: &str) -> String {
    format!("`{f}` is no operation of the model `{model}` (hint: {hint})")
}
