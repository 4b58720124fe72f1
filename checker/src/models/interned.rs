//! States that are too large to be copied at every step: each is kept once, and its number stands for it.

use std::cell::RefCell;
use std::hash::Hash;
use std::rc::Rc;

use hashbrown::HashMap;

/// The states that were met, by number.
#[derive(Debug)]
pub(super) struct Interned<T>(RefCell<Table<T>>);

#[derive(Debug)]
struct Table<T> {
    states: Vec<Rc<T>>,
    numbers: HashMap<Rc<T>, u32>,
}

impl<T: Hash + Eq> Interned<T> {
    /// With this one as number 0.
    pub(super) fn starting_with(first: T) -> Interned<T> {
        let table = Table { states: Vec::new(), numbers: HashMap::new() };
        let interned = Interned(RefCell::new(table));
        interned.number(first);
        interned
    }

    /// The number of `state`.
    pub(super) fn number(&self, state: T) -> u32 {
        let table = &mut *self.0.borrow_mut();
        if let Some(&number) = table.numbers.get(&state) {
            return number;
        }
        let number = u32::try_from(table.states.len()).expect("fewer than 2^32 states");
        let state = Rc::new(state);
        table.states.push(Rc::clone(&state));
        table.numbers.insert(state, number);
        number
    }

    /// The state of that number.
    pub(super) fn get(&self, number: u32) -> Rc<T> {
        Rc::clone(&self.0.borrow().states[number as usize])
    }
}
