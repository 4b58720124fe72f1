//! All states of an etcd that a search comes by, each with the one that it was made from.
//!
//! The one idea: the past is asked for, by ranges of an older revision and by watches, so a state is a place in a tree of
//! changes, not merely what is there now.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use hashbrown::HashMap;

use super::request::{Answer, Change, Condition, Found, Key, Range, Request, Span, Step, StepResult};
use crate::history::{Datum, History};

/// What a key holds.
#[derive(Debug, Clone, PartialEq)]
struct Held {
    value: Datum,
    /// Of its latest change.
    revision: u64,
    /// How often it was put since it came into being.
    version: u64,
    /// 0: none.
    lease: i64,
}

type Keys = BTreeMap<Key, Held>;

#[derive(Debug, Clone)]
struct Store {
    /// What it was made from; the first is its own.
    parent: u32,
    revision: u64,
    keys: Rc<Keys>,
    leases: Rc<BTreeSet<i64>>,
    /// What its revision changed, if that differs from its parent's.
    changes: Rc<[Change]>,
}

/// States by number.
#[derive(Debug)]
pub(super) struct Stores(RefCell<Tree>);

#[derive(Debug)]
struct Tree {
    stores: Vec<Store>,
    numbers: HashMap<Made, u32>,
}

/// Parent, changes, and the lease that was granted or revoked.
type Made = (u32, Rc<[Change]>, Option<i64>);

impl Default for Stores {
    /// An etcd begins empty, at revision 1.
    fn default() -> Stores {
        let first = Store {
            parent: 0,
            revision: 1,
            keys: Rc::default(),
            leases: Rc::default(),
            changes: Rc::from([]),
        };
        Stores(RefCell::new(Tree { stores: vec![first], numbers: HashMap::new() }))
    }
}

/// A store that a request works on.
struct Work {
    store: Store,
    changes: Vec<Change>,
}

impl Stores {
    fn get(&self, number: u32) -> Store {
        self.0.borrow().stores[number as usize].clone()
    }

    pub(super) fn revision(&self, number: u32) -> u64 {
        self.0.borrow().stores[number as usize].revision
    }

    pub(super) fn changes(&self, number: u32) -> Rc<[Change]> {
        Rc::clone(&self.0.borrow().stores[number as usize].changes)
    }

    /// The state after a request and what it would be told; `None` if it cannot be answered there.
    pub(super) fn step(&self, number: u32, request: &Request) -> Option<(u32, Answer)> {
        let store = self.get(number);
        let revision = Some(store.revision);
        match request {
            Request::Range(range) => {
                let keys = self.keys_at(number, range.revision)?;
                let found = Some(found(&keys, range));
                Some((number, Answer { revision, found, transaction: None }))
            }
            Request::Transaction { conditions, then, otherwise } => {
                let holds = conditions.iter().all(|condition| condition.holds(&store.keys));
                let mut work = Work { store, changes: Vec::new() };
                let steps = if holds { then } else { otherwise };
                let results = steps.iter().map(|step| work.step(step)).collect::<Option<_>>()?;
                let next = self.after(number, work, None);
                let revision = Some(self.revision(next));
                Some((next, Answer { revision, found: None, transaction: Some((holds, results)) }))
            }
            &Request::GrantLease(lease) => {
                let mut work = Work { store, changes: Vec::new() };
                let is_new = Rc::make_mut(&mut work.store.leases).insert(lease);
                let next = if is_new { self.after(number, work, Some(lease)) } else { number };
                Some((next, Answer { revision, ..Answer::default() }))
            }
            &Request::RevokeLease(lease) => {
                let mut work = Work { store, changes: Vec::new() };
                let was_there = Rc::make_mut(&mut work.store.leases).remove(&lease);
                let held: Vec<Key> = (work.store.keys.iter())
                    .filter(|(_, held)| held.lease == lease)
                    .map(|(key, _)| Key::clone(key))
                    .collect();
                for key in &held {
                    work.delete(key);
                }
                let next = if was_there { self.after(number, work, Some(lease)) } else { number };
                Some((next, Answer { revision: Some(self.revision(next)), ..Answer::default() }))
            }
            Request::Watch { .. } | Request::Nothing => Some((number, Answer::default())),
        }
    }

    /// The number of what a request left.
    fn after(&self, parent: u32, work: Work, lease: Option<i64>) -> u32 {
        let Work { mut store, changes } = work;
        if changes.is_empty() && lease.is_none() {
            return parent;
        }
        let tree = &mut *self.0.borrow_mut();
        let changes: Rc<[Change]> = changes.into();
        let next = u32::try_from(tree.stores.len()).expect("fewer than 2^32 states");
        let number = *tree.numbers.entry((parent, Rc::clone(&changes), lease)).or_insert(next);
        if number == next {
            store.parent = parent;
            store.revision += u64::from(!changes.is_empty());
            store.changes = changes;
            tree.stores.push(store);
        }
        number
    }

    /// What was there at a revision; 0 is the latest. `None` where that is yet to come.
    fn keys_at(&self, number: u32, revision: u64) -> Option<Rc<Keys>> {
        let stores = &self.0.borrow().stores;
        let mut store = &stores[number as usize];
        if revision > store.revision {
            return None;
        }
        while revision != 0 && store.revision > revision {
            store = &stores[store.parent as usize];
        }
        Some(Rc::clone(&store.keys))
    }

    /// Whether `changes`, in order, are all that happened to these keys behind `after` up to `until`.
    pub(super) fn has_changed(
        &self,
        number: u32,
        span: &Span,
        (after, until): (u64, u64),
        changes: &[Change],
    ) -> bool {
        let stores = &self.0.borrow().stores;
        let mut store = &stores[number as usize];
        if store.revision < until || until < after {
            return false;
        }
        let mut left = changes;
        while store.revision > after && store.revision > 1 {
            if store.revision <= until && !store.is_told(span, &mut left) {
                return false;
            }
            store = &stores[store.parent as usize];
        }
        left.is_empty()
    }

    pub(super) fn show(&self, number: u32, history: &History) -> String {
        let store = self.get(number);
        let held = |(key, held): (&Key, &Held)| format!("{key} = {}", history.values.to_json(held.value));
        let shown: Vec<String> = store.keys.iter().map(held).collect();
        format!("revision {}: {}", store.revision, shown.join(", "))
    }
}

impl Store {
    /// Takes what this store's revision changed of these keys from the end of what was told. Within one revision a watch
    /// is told in any order.
    fn is_told(&self, span: &Span, left: &mut &[Change]) -> bool {
        let mut changed: Vec<&Change> = self.changes.iter().filter(|change| span.has(&change.key)).collect();
        let Some(rest) = left.len().checked_sub(changed.len()) else {
            return false;
        };
        let (before, mut told) = (&left[..rest], left[rest..].iter().collect::<Vec<_>>());
        changed.sort_by(|one, other| one.key.cmp(&other.key));
        told.sort_by(|one, other| one.key.cmp(&other.key));
        *left = before;
        changed == told
    }
}

impl Condition {
    fn holds(&self, keys: &Keys) -> bool {
        let held = keys.get(&self.key);
        match self.version {
            0 => held.map_or(0, |held| held.revision) == self.revision,
            version => held.is_some_and(|held| held.version == version),
        }
    }
}

impl Work {
    fn step(&mut self, step: &Step) -> Option<StepResult> {
        match step {
            Step::Put(key, value, lease) => {
                // Such a request is refused as a whole.
                if *lease != 0 && !self.store.leases.contains(lease) {
                    return None;
                }
                self.put(key, *value, *lease);
                Some(StepResult::Put)
            }
            Step::Delete(key) => Some(StepResult::Deleted(u64::from(self.delete(key)))),
            Step::Range(range) => Some(StepResult::Found(found(&self.store.keys, range))),
        }
    }

    fn put(&mut self, key: &Key, value: Datum, lease: i64) {
        let revision = self.store.revision + 1;
        let keys = Rc::make_mut(&mut self.store.keys);
        let version = keys.get(key).map_or(0, |held| held.version) + 1;
        keys.insert(Key::clone(key), Held { value, revision, version, lease });
        self.change(key, Some(value));
    }

    fn delete(&mut self, key: &Key) -> bool {
        let was_there = self.store.keys.contains_key(key);
        if was_there {
            Rc::make_mut(&mut self.store.keys).remove(key);
            self.change(key, None);
        }
        was_there
    }

    fn change(&mut self, key: &Key, value: Option<Datum>) {
        let revision = self.store.revision + 1;
        self.changes.push(Change { revision, key: Key::clone(key), value });
    }
}

fn found(keys: &Keys, range: &Range) -> Found {
    let item = |(key, held): (&Key, &Held)| (Key::clone(key), held.value, held.revision);
    let items: Vec<_> = match &range.span {
        Span::One(key) => keys.get_key_value(key).map(item).into_iter().collect(),
        Span::Prefix(start) | Span::From(start) | Span::Between(start, _) => {
            let from =
                keys.range::<str, _>((std::ops::Bound::Included(&**start), std::ops::Bound::Unbounded));
            from.take_while(|(key, _)| range.span.has(key)).map(item).collect()
        }
    };
    let mut found = Found { count: items.len(), items };
    if range.limit != 0 {
        found.items.truncate(range.limit);
    }
    found
}
