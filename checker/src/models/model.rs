//! The trait of a model.
//!
//! The one idea: a model need only say what one operation does to one state. The last four methods are hints; with
//! their defaults the search is right but must try more, and with them it can see dead ends coming.

use std::fmt::Debug;
use std::hash::Hash;

use crate::history::Operation;

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
    fn call(&mut self, operation: &Operation) -> Result<Self::Call, String>;

    /// The state before the first operation.
    fn initial(&self) -> Self::State;

    /// The state after `call`; `None` if `call` cannot have had its result in `state`.
    fn step(&self, state: &Self::State, call: &Self::Call) -> Option<Self::State>;

    /// Whether `call` never changes any state.
    fn is_read(&self, call: &Self::Call) -> bool;

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
}
