//! The operations of a history, sorted by the object that they are about.

use hashbrown::HashMap;

use super::ShapeError;
use super::timed::Timed;
use crate::history::{Datum, History, Operation, Outcome};
use crate::models::Model;

/// Keys in order of appearance, and the operations of each in order of invocation.
pub(super) struct Keys<'h> {
    pub(super) history: &'h History,
    names: Vec<Datum>,
    /// Places of operations, key after key; `ends` cuts them.
    places: Vec<u32>,
    ends: Vec<usize>,
}

impl<'h> Keys<'h> {
    pub(super) fn of(history: &'h History) -> Keys<'h> {
        let mut numbers: HashMap<Datum, u32> = HashMap::new();
        let (mut names, mut counts) = (Vec::new(), Vec::new());
        let number_of: Vec<u32> = (history.operations.iter())
            .map(|operation| {
                let number = *numbers.entry(operation.key).or_insert_with(|| {
                    names.push(operation.key);
                    counts.push(0);
                    names.len() as u32 - 1
                });
                counts[number as usize] += 1;
                number
            })
            .collect();
        let mut next: Vec<usize> = Vec::with_capacity(counts.len());
        let mut ends = Vec::with_capacity(counts.len());
        let mut end = 0;
        for count in counts {
            next.push(end);
            end += count;
            ends.push(end);
        }
        let mut places = vec![0; history.operations.len()];
        for (place, number) in (0..).zip(number_of) {
            let slot = &mut next[number as usize];
            places[*slot] = place;
            *slot += 1;
        }
        Keys { history, names, places, ends }
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// How many operations may have happened.
    pub(super) fn operations(&self) -> usize {
        let operations = &self.history.operations;
        operations.iter().filter(|operation| operation.outcome != Outcome::Fail).count()
    }

    /// How far it got with a key that was not begun, in words.
    pub(super) fn unreached(&self, number: usize) -> String {
        let is_ok = |&&place: &&u32| self.history.operations[place as usize].outcome == Outcome::Ok;
        let of = self.places(number).iter().filter(is_ok).count();
        reached(self.history, self.names[number], (0, of))
    }

    fn places(&self, number: usize) -> &[u32] {
        let start = number.checked_sub(1).map_or(0, |last| self.ends[last]);
        &self.places[start..self.ends[number]]
    }
}

/// The operations of one key in terms of its model; a `fail` did not happen, so it is left out.
pub(super) struct Key<'h, M: Model> {
    pub(super) history: &'h History,
    pub(super) name: Datum,
    pub(super) model: M,
    /// Places in the history, in order of invocation.
    pub(super) places: Vec<u32>,
    /// The same as calls, index by index.
    pub(super) timed: Vec<Timed<M::Call>>,
}

impl<'h, M: Model> Key<'h, M> {
    pub(super) fn of(
        keys: &Keys<'h>,
        number: usize,
        model: &impl Fn() -> M,
    ) -> Result<Key<'h, M>, ShapeError> {
        let (history, all) = (keys.history, keys.places(number));
        let mut model = model();
        let mut places = Vec::with_capacity(all.len());
        let mut timed = Vec::with_capacity(all.len());
        for &place in all {
            let operation = &history.operations[place as usize];
            let shaped = model.call(history, operation);
            let call = shaped.map_err(|message| ShapeError { line: operation.line(), message })?;
            let completed = match operation.outcome {
                Outcome::Ok => operation.completed_at(),
                Outcome::Info => None,
                Outcome::Fail => continue,
            };
            places.push(place);
            timed.push(Timed { call, invoked: operation.invoked_at, completed });
        }
        Ok(Key { history, name: keys.names[number], model, places, timed })
    }

    /// The operation at this index.
    pub(super) fn operation(&self, at: usize) -> &'h Operation {
        &self.history.operations[self.places[at] as usize]
    }

    /// How far a search got, in words.
    pub(super) fn reached(&self, rank: usize) -> String {
        let of = self.timed.iter().filter(|timed| timed.completed.is_some()).count();
        reached(self.history, self.name, (rank, of))
    }
}

fn reached(history: &History, key: Datum, (rank, of): (usize, usize)) -> String {
    let mut text = format!("{rank} of {of} completed operations");
    if !key.is_null() {
        text += &format!(" on key {}", history.values.to_json(key));
    }
    text + " had been ordered"
}
