//! The few operations of a failing key that are enough to fail.
//!
//! First the shortest prefix that fails: its last completion is the *culprit*, for without it an order exists. Then
//! delta debugging (Zeller & Hildebrandt 2002) on that prefix. The one idea is what may be left out: a write can only
//! go together with everything that needs its value, else a read of it would look like a read from nowhere, and the
//! rest would fail for a reason that the history does not have.

use std::collections::HashMap;

use super::search::{Bounds, End, search};
use super::timed::Timed;
use super::{Key, Limits};
use crate::models::Model;

/// Steps of all searches together, and operations laid out for them: about a second's work.
const STEPS_MAX: u64 = 4_000_000;
const LAID_OUT_MAX: usize = 8_000_000;

/// A part of a key's history that still fails.
pub(super) struct Shrunk {
    /// Indices of its operations, in order of invocation.
    pub(super) kept: Vec<usize>,
    /// The one without whose completion there is an order.
    pub(super) culprit: usize,
    /// Indices in the longest order of the others.
    pub(super) order: Vec<usize>,
}

struct Shrink<'k, 'l, M: Model> {
    model: &'k M,
    timed: &'k [Timed<M::Call>],
    limits: &'l Limits<'l>,
    steps: u64,
    laid_out: usize,
}

/// Shrinks a key of which `rank` completed operations can be ordered, but not all. `core`: some that suffice to fail.
pub(super) fn shrink<M: Model>(
    key: &Key<'_, M>,
    core: Option<&[u32]>,
    rank: usize,
    limits: &Limits<'_>,
) -> Shrunk {
    let mut shrink = Shrink { model: &key.model, timed: &key.timed, limits, steps: 0, laid_out: 0 };
    let all: Vec<usize> = match core {
        Some(core) => core.iter().map(|&at| at as usize).collect(),
        None => (0..key.timed.len()).collect(),
    };
    let culprit = shrink.culprit(&all, rank);
    let mut kept = shrink.prefix(&all, culprit);
    if shrink.fails(&kept, culprit).is_some() {
        shrink.drop_chunks(&mut kept, culprit);
    }
    let order = shrink.fails(&kept, culprit).unwrap_or_default();
    Shrunk { kept, culprit, order }
}

impl<M: Model> Shrink<'_, '_, M> {
    /// The first completion after which there is no order. The prefix grows in doubling strides from where the search
    /// got to, then the last stride is halved.
    fn culprit(&mut self, all: &[usize], rank: usize) -> usize {
        let completions = self.completions(all);
        let (mut ordered, mut stride) = (rank, 1);
        let mut failing = loop {
            let end = (ordered + stride).min(completions.len());
            let last = completions[end - 1];
            let prefix = self.prefix(all, last);
            if end == completions.len() || self.fails(&prefix, last).is_some() {
                break end;
            }
            ordered = end;
            stride *= 2;
        };
        while ordered + 1 < failing {
            let middle = ordered.midpoint(failing);
            let last = completions[middle - 1];
            let prefix = self.prefix(all, last);
            match self.fails(&prefix, last) {
                Some(_) => failing = middle,
                None => ordered = middle,
            }
        }
        completions[failing - 1]
    }

    /// Indices of completed operations, in order of completion.
    fn completions(&self, all: &[usize]) -> Vec<usize> {
        let completed = |&at: &usize| self.timed[at].completed.is_some();
        let mut completions: Vec<usize> = all.iter().copied().filter(completed).collect();
        completions.sort_unstable_by_key(|&at| self.timed[at].completed);
        completions
    }

    /// What had been invoked when `last` completed.
    fn prefix(&self, of: &[usize], last: usize) -> Vec<usize> {
        let invoked = |&at: &usize| self.timed[at].invoked < self.timed[last].deadline();
        of.iter().copied().filter(invoked).collect()
    }

    /// Searches `kept` as it was when `last` completed; the longest order if there is none of all.
    fn fails(&mut self, kept: &[usize], last: usize) -> Option<Vec<usize>> {
        let end = self.timed[last].completed;
        let subset: Vec<Timed<M::Call>> = kept
            .iter()
            .map(|&at| Timed {
                completed: self.timed[at].completed.filter(|&at| Some(at) <= end),
                ..self.timed[at].clone()
            })
            .collect();
        self.laid_out += kept.len();
        let bounds = Bounds {
            out_of_time: self.limits.out_of_time,
            memory_bytes: self.limits.memory_bytes.unwrap_or(usize::MAX),
            steps: STEPS_MAX.saturating_sub(self.steps),
        };
        let (found, steps) = search(self.model, &subset, &bounds);
        self.steps += steps;
        match found {
            End::Stuck { order, .. } => Some(order.into_iter().map(|at| kept[at as usize]).collect()),
            End::Linearized(_) | End::GaveUp { .. } => None,
        }
    }

    fn is_spent(&self) -> bool {
        self.steps >= STEPS_MAX || self.laid_out >= LAID_OUT_MAX || (self.limits.out_of_time)()
    }

    fn drop_chunks(&mut self, kept: &mut Vec<usize>, culprit: usize) {
        let mut size = kept.len().div_ceil(2);
        while size > 0 {
            let mut start = 0;
            while start < kept.len() {
                if self.is_spent() {
                    return;
                }
                let end = (start + size).min(kept.len());
                let rest = self.without(kept, start..end);
                let helps = rest.len() < kept.len() && rest.contains(&culprit);
                if helps && self.fails(&rest, culprit).is_some() {
                    *kept = rest;
                } else {
                    start = end;
                }
            }
            size /= 2;
        }
    }

    /// `kept` without that range, and without whatever needs what is made there; see the head of this file.
    fn without(&mut self, kept: &[usize], range: std::ops::Range<usize>) -> Vec<usize> {
        self.laid_out += kept.len();
        let mut needing: HashMap<u32, Vec<usize>> = HashMap::new();
        for (place, &at) in kept.iter().enumerate() {
            if let Some(state) = self.model.needs(&self.timed[at].call) {
                needing.entry(state).or_default().push(place);
            }
        }
        let all_hint = kept.iter().all(|&at| self.hints(at));
        let mut dropped = vec![false; kept.len()];
        let mut waiting: Vec<usize> = range.collect();
        while let Some(place) = waiting.pop() {
            let call = &self.timed[kept[place]].call;
            if dropped[place] || !(all_hint || self.model.is_read(call)) {
                continue;
            }
            dropped[place] = true;
            let made = self.model.makes(call);
            waiting.extend(made.and_then(|state| needing.remove(&state)).unwrap_or_default());
        }
        let remains = kept.iter().zip(dropped).filter(|&(_, dropped)| !dropped);
        remains.map(|(&at, _)| at).collect()
    }

    /// Whether the model says what the call depends on. A read whose result is not known depends on nothing.
    fn hints(&self, at: usize) -> bool {
        let call = &self.timed[at].call;
        if self.model.is_read(call) {
            return true;
        }
        let (needs, makes) = (self.model.needs(call), self.model.makes(call));
        needs.is_some() || makes.is_some()
    }
}
