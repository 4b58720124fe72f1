//! An etcd: keys with revisions, transactions, ranges also of the past, leases, and watches.
//!
//! The one idea: the revision in an answer is a claim, and a strong one. A write that says it made revision 7 can only follow
//! one that made 6, so of the operations that were answered there is hardly a choice, and the search is as good as
//! straight. What is uncertain are requests that failed: they may have made one of the revisions that nobody claims. Whoever
//! saw such a revision, a watch or a range, told what it changed, and only a request that changes just that is tried there.
//! Nothing is trusted: all that was told is compared with what an etcd in that state would have told.

mod request;
mod store;

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use super::Model;
use crate::history::{Datum, History, Operation};
use request::{Answer, Change, Deed, Key, Request, Span, Step};
use store::Stores;

/// The model of one etcd, which is empty at revision 1 at first.
#[derive(Debug, Default)]
pub struct Etcd {
    deeds: Vec<Deed>,
    known: HashMap<Deed, u32>,
    stores: Stores,
    /// Revisions that an answered write claims to have made.
    claimed: BTreeSet<u64>,
    /// What somebody saw that a revision changed.
    seen: BTreeMap<u64, Vec<(Key, Option<Datum>)>>,
    /// All that some watch was told of its keys, by the revision before the first: up to which revision, and of which keys.
    watched: BTreeMap<u64, Vec<(u64, Span)>>,
}

impl Etcd {
    /// Keeps what an operation says about requests that failed.
    fn learn(&mut self, (request, answer): &Deed) {
        let mut see = |revision: u64, key: &Key, value: Option<Datum>| {
            self.seen.entry(revision).or_default().push((Key::clone(key), value));
        };
        match (request, answer) {
            (Request::Watch { span, after, until, changes }, _) => {
                for change in changes {
                    see(change.revision, &change.key, change.value);
                }
                self.watched.entry(*after).or_default().push((*until, span.clone()));
            }
            (Request::Range(_), Some(Answer { found: Some(found), .. })) => {
                found.items.iter().for_each(|(key, value, revision)| see(*revision, key, Some(*value)));
            }
            (_, Some(Answer { revision: Some(revision), transaction: Some(_), .. }))
                if self.writes(request, answer.as_ref()) =>
            {
                self.claimed.insert(*revision);
            }
            _ => {}
        }
    }

    /// Whether the request surely changed something; without an answer, whether it may have.
    fn writes(&self, request: &Request, answer: Option<&Answer>) -> bool {
        let Request::Transaction { then, otherwise, .. } = request else {
            return matches!(request, Request::GrantLease(_) | Request::RevokeLease(_));
        };
        let puts = |steps: &[Step]| steps.iter().any(|step| matches!(step, Step::Put(..)));
        let changes = |steps: &[Step]| steps.iter().any(|step| !matches!(step, Step::Range(_)));
        match answer.and_then(|answer| answer.transaction.as_ref()) {
            None => changes(then) || changes(otherwise),
            Some((holds, results)) => {
                let deleted = |result: &request::StepResult| matches!(result, request::StepResult::Deleted(count) if *count > 0);
                puts(if *holds { then } else { otherwise }) || results.iter().any(deleted)
            }
        }
    }

    /// Whether a request that failed can have made this revision: nobody else claims it, and what was seen of it is what
    /// these changes are.
    fn may_be(&self, revision: u64, changes: &[Change]) -> bool {
        if self.claimed.contains(&revision) {
            return false;
        }
        let does = |key: &Key, value: &Option<Datum>| {
            changes.iter().any(|change| change.key == *key && change.value == *value)
        };
        let seen = self.seen.get(&revision).map_or(&[][..], Vec::as_slice);
        if !seen.iter().all(|(key, value)| does(key, value)) {
            return false;
        }
        // A watch that was told all up to this revision and beyond would have been told of these changes.
        let is_missing = |(until, span): &(u64, Span)| {
            *until >= revision
                && changes.iter().any(|change| {
                    span.has(&change.key) && !seen.contains(&(Key::clone(&change.key), change.value))
                })
        };
        let before = self.watched.range(..revision).next_back();
        !before.is_some_and(|(_, watches)| watches.iter().any(is_missing))
    }
}

impl Model for Etcd {
    /// The number of a store; see `store`.
    type State = u32;
    /// The number of an operation.
    type Call = u32;

    fn call(&mut self, history: &History, operation: &Operation) -> Result<u32, String> {
        let deed = request::deed(history, operation)?;
        self.learn(&deed);
        let next = self.deeds.len() as u32;
        let number = *self.known.entry(deed.clone()).or_insert(next);
        if number == next {
            self.deeds.push(deed);
        }
        Ok(number)
    }

    fn initial(&self) -> u32 {
        0
    }

    fn step(&self, &state: &u32, &call: &u32) -> Option<u32> {
        let (request, answer) = &self.deeds[call as usize];
        if let Request::Watch { span, after, until, changes } = request {
            return self.stores.has_changed(state, span, (*after, *until), changes).then_some(state);
        }
        let (next, would) = self.stores.step(state, request)?;
        match answer {
            Some(told) => would.agrees(told).then_some(next),
            // One that changes nothing need not have happened; in an order it would only be in the way.
            None if next == state => None,
            None => {
                let revision = self.stores.revision(next);
                let is_new = revision > self.stores.revision(state);
                let may_be = !is_new || self.may_be(revision, &self.stores.changes(next));
                may_be.then_some(next)
            }
        }
    }

    fn is_read(&self, &call: &u32) -> bool {
        let (request, answer) = &self.deeds[call as usize];
        !self.writes(request, answer.as_ref())
    }

    fn show(&self, history: &History, &state: &u32) -> String {
        self.stores.show(state, history)
    }
}

impl Answer {
    /// Whether whoever was told `told` can have been told by an etcd that would tell this.
    fn agrees(&self, told: &Answer) -> bool {
        // Where nothing was told, everything agrees.
        fn holds<T: PartialEq>(would: &Option<T>, told: &Option<T>) -> bool {
            told.is_none() || would == told
        }
        holds(&self.revision, &told.revision)
            && holds(&self.found, &told.found)
            && holds(&self.transaction, &told.transaction)
    }
}
