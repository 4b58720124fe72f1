//! Names for what goes wrong with several registers that operations read and write at once.
//!
//! The one idea: of each value that the culprit read, the writers are known by the value. Where the last of them was overwritten
//! wholly before the culprit began, or one of them wrote more than the culprit saw, that says what is wrong.

use super::shrink::Shrunk;
use super::words::Words;
use super::{Named, precedes};
use crate::models::{Access, Model};

/// What all operations of the key read and wrote.
struct Accesses<'w, 'k, 'h, M: Model> {
    words: &'w Words<'k, 'h, M>,
    of: Vec<Vec<Access>>,
    culprit: usize,
}

/// `None` where the object is no set of registers, or nothing of this says what is wrong.
pub(super) fn named<M: Model>(words: &Words<'_, '_, M>, shrunk: &Shrunk<M::Call>) -> Option<Named> {
    let calls = words.key.timed.iter().map(|timed| words.key.model.accesses(&timed.call));
    let accesses = Accesses { words, of: calls.collect::<Option<_>>()?, culprit: shrunk.culprit };
    let reads = || accesses.of[shrunk.culprit].iter().filter(|access| access.is_read);
    let phantom = reads().find_map(|read| accesses.phantom(read));
    let fractured = || reads().find_map(|read| accesses.fractured(read));
    phantom.or_else(fractured).or_else(|| reads().find_map(|read| accesses.overwritten(read)))
}

impl<M: Model> Accesses<'_, '_, '_, M> {
    fn precedes(&self, one: usize, other: usize) -> bool {
        precedes(&self.words.key.timed[one], &self.words.key.timed[other])
    }

    /// `process 3 read x = 4 at 1.204 s`, and nothing else that it did.
    fn what(&self, read: &Access) -> String {
        self.words.read(self.culprit, (read.register, read.value))
    }

    fn wrote(&self, at: usize, register: crate::history::Datum) -> Option<&Access> {
        self.of[at].iter().find(|access| !access.is_read && access.register == register)
    }

    /// Others that left what was read.
    fn writers<'a>(&'a self, read: &'a Access) -> impl Iterator<Item = usize> + Clone + 'a {
        let wrote = move |&at: &usize| {
            at != self.culprit
                && self.wrote(at, read.register).is_some_and(|written| written.value == read.value)
        };
        (0..self.of.len()).filter(wrote)
    }

    fn phantom(&self, read: &Access) -> Option<Named> {
        let what = self.what(read);
        if read.is_initial {
            return None;
        }
        let Some(first) = self.writers(read).next() else {
            return Some(("phantom read", format!("{what}, although nobody ever left that value there")));
        };
        let is_later = self.precedes(self.culprit, first);
        let writer = self.words.deed(first);
        is_later.then(|| {
            ("future read", format!("{what}, and only later did anybody write that value: {writer}"))
        })
    }

    /// Another wrote several registers at once, and only a part of that was seen.
    fn fractured(&self, read: &Access) -> Option<Named> {
        let mut writers = self.writers(read);
        let writer = writers.next().filter(|_| writers.next().is_none() && !read.is_initial)?;
        let reads = self.of[self.culprit].iter().filter(|access| access.is_read);
        let older = reads.filter(|other| other.register != read.register).find(|other| {
            let is_other = self.wrote(writer, other.register).is_some_and(|own| own.value != other.value);
            // Whoever wrote that had ended before.
            is_other && self.writers(other).all(|before| self.precedes(before, writer))
        })?;
        let (what, writer) = (self.what(read), self.words.deed(writer));
        let other = self.words.assignment((older.register, older.value));
        Some(("fractured read", format!("{what} beside {other}, although {writer}, all at once")))
    }

    /// Another wrote the register wholly after all that left the value, and wholly before the culprit.
    fn overwritten(&self, read: &Access) -> Option<Named> {
        let is_between = |&at: &usize| {
            self.wrote(at, read.register).is_some_and(|written| written.value != read.value)
                && self.precedes(at, self.culprit)
                && self
                    .writers(read)
                    .all(|writer| self.precedes(writer, at) || self.precedes(self.culprit, writer))
        };
        let between = (0..self.of.len()).rev().find(is_between)?;
        let made = self.wrote(between, read.register)?.value;
        let has_seen =
            |access: &Access| access.is_read && access.register == read.register && access.value == made;
        let (what, other) = (self.what(read), self.words.deed(between));
        Some(match self.of.iter().flatten().any(has_seen) {
            true => ("stale read", format!("{what}, although {other} and so had overwritten that value")),
            false => ("lost write", format!("{what}, although {other}, which nobody ever saw")),
        })
    }
}
