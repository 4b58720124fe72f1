//! A model and the calls of one key, by numbers: what the searches step through.
//!
//! The one idea: equal calls have one number, and all that is asked of a model goes through [`Steps`]. So the searches are compiled
//! once for each type of state and not once for each model.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::timed::Timed;
use crate::models::Model;

/// No state.
pub(super) const NONE: u32 = u32::MAX;

/// What a call depends on and what it leaves behind, by numbers of states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hints {
    pub(super) needs: u32,
    pub(super) makes: u32,
}

impl Hints {
    /// Whether it overwrites, whatever was there.
    pub(super) fn is_blind(self) -> bool {
        self.needs == NONE && self.makes != NONE
    }

    /// Whether it may depend on the state in ways that the model does not tell.
    pub(super) fn sees_any(self) -> bool {
        self.needs == NONE && self.makes == NONE
    }
}

/// What is known of a call without looking at any state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) hints: Hints,
    pub(super) is_read: bool,
}

impl Known {
    /// What is known of `call`.
    pub(super) fn of<M: Model>(model: &M, call: &M::Call) -> Known {
        let hints =
            Hints { needs: model.needs(call).unwrap_or(NONE), makes: model.makes(call).unwrap_or(NONE) };
        Known { hints, is_read: model.is_read(call) }
    }
}

/// What calls do to states; see [`Model`].
pub(super) trait Steps<T> {
    fn initial(&self) -> T;
    fn step(&self, state: &T, call: u32) -> Option<T>;
    fn number(&self, state: &T) -> Option<u32>;
}

/// A model with its calls.
pub(super) struct Machine<'m, M: Model> {
    model: &'m M,
    /// By number.
    calls: Vec<M::Call>,
    pub(super) known: Vec<Known>,
}

impl<'m, M: Model> Machine<'m, M> {
    /// The machine of all these calls, and the calls by their numbers.
    pub(super) fn of(model: &'m M, timed: &[Timed<M::Call>]) -> (Machine<'m, M>, Vec<Timed<u32>>) {
        let mut machine = Machine { model, calls: Vec::new(), known: Vec::new() };
        let (mut numbers, hasher) = (HashTable::new(), DefaultHashBuilder::default());
        let number = |timed: &Timed<M::Call>| {
            let (calls, known) = (&mut machine.calls, &mut machine.known);
            let hash = hasher.hash_one(&timed.call);
            let is_it = |&number: &u32| calls[number as usize] == timed.call;
            let number = match numbers.find(hash, is_it) {
                Some(&number) => number,
                None => {
                    let number = calls.len() as u32;
                    numbers.insert_unique(hash, number, |&number| hasher.hash_one(&calls[number as usize]));
                    known.push(Known::of(model, &timed.call));
                    calls.push(timed.call.clone());
                    number
                }
            };
            Timed { call: number, invoked: timed.invoked, completed: timed.completed }
        };
        let timed = timed.iter().map(number).collect();
        (machine, timed)
    }
}

impl<M: Model> Steps<M::State> for Machine<'_, M> {
    fn initial(&self) -> M::State {
        self.model.initial()
    }

    fn step(&self, state: &M::State, call: u32) -> Option<M::State> {
        self.model.step(state, &self.calls[call as usize])
    }

    fn number(&self, state: &M::State) -> Option<u32> {
        self.model.number(state)
    }
}
