//! The operations of one key, laid out for the depth-first search.
//!
//! The one idea: completed operations are ranked by completion. When the first that has no place yet is `base`, then
//! all before it are placed, and of those behind it only the ones that were open when `base` completed can be. They
//! are few, each has a *slot* of its own while it is open, and so a bit mask of slots tells them apart: the size of a
//! configuration does not depend on the length of the history.

use std::collections::{HashMap, HashSet};

use super::slots::Slots;
use super::timed::Timed;
use crate::models::Model;

/// No state.
pub(super) const NONE: u32 = u32::MAX;

/// A completed call with its hints.
#[derive(Debug)]
pub(super) struct Known<C, S> {
    pub(super) call: C,
    /// Index in what the problem was built from.
    pub(super) origin: u32,
    pub(super) needs: u32,
    pub(super) makes: u32,
    pub(super) is_read: bool,
    pub(super) completed: u32,
    /// Its slot.
    pub(super) bit: S,
}

impl<C, S> Known<C, S> {
    /// Whether it overwrites, whatever was there.
    pub(super) fn is_blind(&self) -> bool {
        self.needs == NONE && self.makes != NONE
    }
}

/// Open calls that do the same: whichever was invoked first may go first, so a number tells which have gone.
#[derive(Debug)]
pub(super) struct Class<C> {
    pub(super) call: C,
    pub(super) needs: u32,
    pub(super) makes: u32,
    /// Invocation and origin of each, in order of invocation.
    pub(super) members: Vec<(u32, u32)>,
}

/// What the search works on. Tables of states are indexed by their numbers.
pub(super) struct Problem<'m, M: Model, S> {
    pub(super) model: &'m M,
    /// The completed ones by rank.
    pub(super) calls: Vec<Known<M::Call, S>>,
    /// Ranks behind each that were open when it completed, one after another; `window_ends` cuts them.
    windows: Vec<u32>,
    window_ends: Vec<usize>,
    pub(super) classes: Vec<Class<M::Call>>,
    /// Classes that make a state.
    pub(super) classes_making: HashMap<u32, Vec<u32>>,
    /// Classes that give no hint what they make.
    pub(super) classes_unknown: Vec<u32>,
    /// How many completed calls need each state.
    pub(super) needs: Vec<u32>,
    /// How many calls, completed or open, make it.
    pub(super) makers: Vec<u32>,
    /// Whether an open call needs it.
    pub(super) needed_by_open: Vec<bool>,
    /// Least rank that needs it, or `NONE`.
    pub(super) needed_first: Vec<u32>,
    /// The most that were open at once.
    pub(super) width: usize,
}

impl<'m, M: Model, S: Slots> Problem<'m, M, S> {
    pub(super) fn new(model: &'m M, timed: &[Timed<M::Call>]) -> Problem<'m, M, S> {
        let mut problem = Problem {
            model,
            calls: ranked(model, timed),
            windows: Vec::new(),
            window_ends: Vec::new(),
            classes: Vec::new(),
            classes_making: HashMap::new(),
            classes_unknown: Vec::new(),
            needs: Vec::new(),
            makers: Vec::new(),
            needed_by_open: Vec::new(),
            needed_first: Vec::new(),
            width: 0,
        };
        problem.lay_windows(timed);
        problem.classify(timed);
        problem.count();
        problem
    }

    /// Ranks behind `base` that were open when it completed.
    pub(super) fn window(&self, base: usize) -> &[u32] {
        let start = base.checked_sub(1).map_or(0, |last| self.window_ends[last]);
        &self.windows[start..self.window_ends[base]]
    }

    /// The origin of a completed call that saw a state which nobody made: then no order helps.
    pub(super) fn phantom(&self) -> Option<u32> {
        let initial = self.model.number(&self.model.initial());
        let is_phantom =
            |needs: u32| needs != NONE && self.makers[needs as usize] == 0 && Some(needs) != initial;
        self.calls.iter().find(|call| is_phantom(call.needs)).map(|call| call.origin)
    }

    fn lay_windows(&mut self, timed: &[Timed<M::Call>]) {
        let mut invocations: Vec<(u32, u32)> = (self.calls.iter().zip(0..))
            .map(|(call, rank)| (timed[call.origin as usize].invoked, rank))
            .collect();
        invocations.sort_unstable();
        let mut invocations = invocations.into_iter().peekable();
        let mut open: Vec<u32> = Vec::new();
        let mut slots: Vec<usize> = vec![0; self.calls.len()];
        let mut free: Vec<usize> = Vec::new();
        for rank in 0..self.calls.len() {
            let completed = self.calls[rank].completed;
            while let Some((_, next)) = invocations.next_if(|&(invoked, _)| invoked < completed) {
                let slot = free.pop().unwrap_or_else(|| {
                    self.width += 1;
                    self.width - 1
                });
                slots[next as usize] = slot;
                self.calls[next as usize].bit = S::of(slot);
                let at = open.partition_point(|&other| other < next);
                open.insert(at, next);
            }
            let first = open.remove(0) as usize;
            assert_eq!(first, rank, "the first to complete has the least rank");
            free.push(slots[rank]);
            self.windows.extend_from_slice(&open);
            self.window_ends.push(self.windows.len());
        }
    }

    /// Keeps the open calls that can have been observed. One that makes a state which no completed call needs, nor an
    /// open one that is kept, is necessary in no order: taken out of it, the next call that changes the state
    /// overwrites it, and nobody looked in between. Reads without a result say nothing.
    fn classify(&mut self, timed: &[Timed<M::Call>]) {
        let model = self.model;
        let mut open: Vec<usize> = (0..timed.len())
            .filter(|&at| timed[at].completed.is_none() && !model.is_read(&timed[at].call))
            .collect();
        open.sort_unstable_by_key(|&at| timed[at].invoked);
        let hints = |at: usize| {
            let call = &timed[at].call;
            let (needs, makes) = (model.needs(call), model.makes(call));
            (needs.unwrap_or(NONE), makes.unwrap_or(NONE))
        };
        let needed = self.calls.iter().map(|call| call.needs);
        let observed = observed_states(needed, open.iter().map(|&at| hints(at)));
        let mut class_of: HashMap<&M::Call, usize> = HashMap::new();
        for at in open {
            let (needs, makes) = hints(at);
            if makes != NONE && !observed.contains(&makes) {
                continue;
            }
            let class = *class_of.entry(&timed[at].call).or_insert_with(|| {
                self.classes.push(Class { call: timed[at].call.clone(), needs, makes, members: Vec::new() });
                self.classes.len() - 1
            });
            let member = (timed[at].invoked, at as u32);
            self.classes[class].members.push(member);
        }
    }

    fn count(&mut self) {
        let initial = self.model.number(&self.model.initial()).unwrap_or(0);
        let hints = self.calls.iter().map(|call| [call.needs, call.makes]);
        let hints = hints.chain(self.classes.iter().map(|class| [class.needs, class.makes]));
        let last = hints.flatten().filter(|&state| state != NONE).fold(initial, u32::max);
        let states = last as usize + 1;
        self.needs = vec![0; states];
        self.makers = vec![0; states];
        self.needed_by_open = vec![false; states];
        self.needed_first = vec![NONE; states];
        for (call, rank) in self.calls.iter().zip(0..) {
            if call.needs != NONE {
                self.needs[call.needs as usize] += 1;
                let first = &mut self.needed_first[call.needs as usize];
                *first = rank.min(*first);
            }
            if call.makes != NONE {
                self.makers[call.makes as usize] += 1;
            }
        }
        for (class, number) in self.classes.iter().zip(0..) {
            if class.needs != NONE {
                self.needed_by_open[class.needs as usize] = true;
            }
            if class.makes == NONE {
                self.classes_unknown.push(number);
                continue;
            }
            self.makers[class.makes as usize] += class.members.len() as u32;
            let making = self.classes_making.entry(class.makes).or_default();
            making.push(number);
        }
    }
}

fn ranked<M: Model, S: Slots>(model: &M, timed: &[Timed<M::Call>]) -> Vec<Known<M::Call, S>> {
    let known = |(timed, origin): (&Timed<M::Call>, u32)| {
        Some(Known {
            completed: timed.completed?,
            origin,
            needs: model.needs(&timed.call).unwrap_or(NONE),
            makes: model.makes(&timed.call).unwrap_or(NONE),
            is_read: model.is_read(&timed.call),
            call: timed.call.clone(),
            bit: S::default(),
        })
    };
    let mut calls: Vec<Known<M::Call, S>> = timed.iter().zip(0..).filter_map(known).collect();
    calls.sort_unstable_by_key(|call| call.completed);
    calls
}

/// States that a completed call needs, and those that an open call needs which makes one of them, and so on.
/// `open` are pairs of what each needs and makes.
fn observed_states(
    needed: impl Iterator<Item = u32>,
    open: impl Iterator<Item = (u32, u32)>,
) -> HashSet<u32> {
    let mut needs_of_makers: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut waiting: Vec<u32> = needed.collect();
    for (needs, makes) in open {
        if makes == NONE {
            waiting.push(needs);
        } else if needs != NONE {
            needs_of_makers.entry(makes).or_default().push(needs);
        }
    }
    let mut observed = HashSet::new();
    while let Some(state) = waiting.pop() {
        if state != NONE && observed.insert(state) {
            waiting.extend(needs_of_makers.get(&state).into_iter().flatten());
        }
    }
    observed
}
