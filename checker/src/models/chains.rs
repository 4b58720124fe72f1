//! Sequences that grow and shrink at their ends, each kept as its last value and the sequence before it: so the states of a long
//! history take no more room than its operations, whatever their lengths.

use std::cell::RefCell;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::history::Datum;
use crate::linearizability::Contents;

/// Sequences by number; equal ones have one number, and the empty one is 0.
#[derive(Debug)]
pub(super) struct Chains(RefCell<Links>);

#[derive(Debug)]
struct Links {
    all: Vec<Link>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The last sequence that came as a whole, and its beginnings, by length.
    latest: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    before: u32,
    length: u32,
    value: Datum,
}

impl Default for Chains {
    fn default() -> Chains {
        let empty = Link { before: 0, length: 0, value: Datum::NULL };
        let hasher = DefaultHashBuilder::default();
        Chains(RefCell::new(Links { all: vec![empty], numbers: HashTable::new(), hasher, latest: vec![0] }))
    }
}

impl Chains {
    /// The sequence with this value behind it.
    pub(super) fn with(&self, number: u32, value: Datum) -> u32 {
        self.0.borrow_mut().with(number, value)
    }

    /// The last value, and the sequence without it; `None` if it is empty.
    pub(super) fn split(&self, number: u32) -> Option<(Datum, u32)> {
        let link = self.0.borrow().all[number as usize];
        (number != 0).then_some((link.value, link.before))
    }

    /// The number of these items. Sequences that come one after another have most of their beginnings in common.
    pub(super) fn number(&self, items: &[Datum]) -> u32 {
        let links = &mut *self.0.borrow_mut();
        let is_known = |&(&number, item): &(&u32, &Datum)| links.all[number as usize].value == *item;
        let known = links.latest[1..].iter().zip(items).take_while(is_known).count();
        links.latest.truncate(known + 1);
        let mut number = links.latest[known];
        for &item in &items[known..] {
            number = links.with(number, item);
            links.latest.push(number);
        }
        number
    }

    /// The items of a sequence.
    pub(super) fn items(&self, number: u32) -> Vec<Datum> {
        self.beyond(0, number).expect("every sequence begins with the empty one")
    }
}

impl Links {
    fn with(&mut self, before: u32, value: Datum) -> u32 {
        let Links { all, numbers, hasher, .. } = self;
        let hash = |before: u32, value: Datum| hasher.hash_one((before, value));
        let entry = numbers.entry(
            hash(before, value),
            |&number| {
                let link = all[number as usize];
                link.before == before && link.value == value
            },
            |&number| hash(all[number as usize].before, all[number as usize].value),
        );
        let next = u32::try_from(all.len()).expect("fewer than 2^32 states");
        let number = *entry.or_insert(next).get();
        if number == next {
            let length = all[before as usize].length + 1;
            all.push(Link { before, length, value });
        }
        number
    }
}

impl Contents for Chains {
    fn size(&self, number: u32) -> u32 {
        self.0.borrow().all[number as usize].length
    }

    fn beyond(&self, before: u32, after: u32) -> Option<Vec<Datum>> {
        let links = self.0.borrow();
        let length = links.all[before as usize].length;
        let (mut number, mut items) = (after, Vec::new());
        while links.all[number as usize].length > length {
            items.push(links.all[number as usize].value);
            number = links.all[number as usize].before;
        }
        items.reverse();
        (number == before).then_some(items)
    }
}
