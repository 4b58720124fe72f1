//! The operations of one key, laid out for the search: in which order they end, and what is known of them as a whole.
//!
//! The one idea: an operation that never completed need not have happened, so those that nobody can have observed are left out here,
//! and those that do the same are one *class* of which only a number can be taken.

use std::collections::{HashMap, HashSet};

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
    pub(super) fn of<M: Model>(model: &M, call: &M::Call) -> Hints {
        Hints { needs: model.needs(call).unwrap_or(NONE), makes: model.makes(call).unwrap_or(NONE) }
    }

    /// Whether it overwrites, whatever was there.
    pub(super) fn is_blind(self) -> bool {
        self.needs == NONE && self.makes != NONE
    }

    /// Whether it may depend on the state in ways that the model does not tell.
    pub(super) fn sees_any(self) -> bool {
        self.needs == NONE && self.makes == NONE
    }
}

/// Calls that are open for ever and do the same: whichever was invoked first may go first, so a number tells which have gone.
#[derive(Debug)]
pub(super) struct Class<C> {
    pub(super) call: C,
    pub(super) hints: Hints,
    /// Origins of each, in order of invocation.
    pub(super) members: Vec<u32>,
}

/// What the search works on. An *origin* is an index in what it was built from; tables of states are indexed by their numbers.
pub(super) struct Problem<'t, M: Model> {
    pub(super) model: &'t M,
    /// In order of invocation.
    pub(super) timed: &'t [Timed<M::Call>],
    /// Origins of the completed ones, in order of completion.
    pub(super) completions: Vec<u32>,
    pub(super) classes: Vec<Class<M::Call>>,
    /// Origin and class of their members, in order of invocation.
    pub(super) open_for_ever: Vec<(u32, u32)>,
    /// Classes that make a state.
    pub(super) classes_making: HashMap<u32, Vec<u32>>,
    /// Classes that give no hint what they make.
    pub(super) classes_unknown: Vec<u32>,
    /// How many completed calls need each state.
    pub(super) needs: Vec<u32>,
    /// How many calls, completed or open for ever, make it.
    pub(super) makers: Vec<u32>,
    /// Whether a completed call may have seen any state.
    pub(super) sees_any: bool,
    /// The most that were open at once, of those that completed.
    pub(super) width: usize,
}

impl<'t, M: Model> Problem<'t, M> {
    pub(super) fn new(model: &'t M, timed: &'t [Timed<M::Call>]) -> Problem<'t, M> {
        assert!(timed.is_sorted_by_key(|timed| timed.invoked), "calls come in order of invocation");
        let mut completions: Vec<u32> =
            (0..timed.len() as u32).filter(|&at| timed[at as usize].completed.is_some()).collect();
        completions.sort_unstable_by_key(|&at| timed[at as usize].completed);
        let mut problem = Problem {
            model,
            timed,
            width: width(timed, &completions),
            completions,
            classes: Vec::new(),
            sees_any: false,
            open_for_ever: Vec::new(),
            classes_making: HashMap::new(),
            classes_unknown: Vec::new(),
            needs: Vec::new(),
            makers: Vec::new(),
        };
        problem.sees_any = problem.completions.iter().any(|&at| problem.hints(at).sees_any());
        problem.classify();
        problem.count();
        problem
    }

    pub(super) fn hints(&self, at: u32) -> Hints {
        Hints::of(self.model, &self.timed[at as usize].call)
    }

    /// A completed call that saw a state which nobody made: then no order helps.
    pub(super) fn phantom(&self) -> Option<u32> {
        let initial = self.model.number(&self.model.initial());
        let is_phantom =
            |needs: u32| needs != NONE && self.makers[needs as usize] == 0 && Some(needs) != initial;
        self.completions.iter().copied().find(|&at| is_phantom(self.hints(at).needs))
    }

    /// Keeps the open calls that can have been observed. One that makes a state which no completed call needs, nor an
    /// open one that is kept, is necessary in no order: taken out of it, the next call that changes the state
    /// overwrites it, and nobody looked in between. Reads without a result say nothing.
    fn classify(&mut self) {
        let is_open = |&(_, timed): &(u32, &Timed<M::Call>)| {
            timed.completed.is_none() && !self.model.is_read(&timed.call)
        };
        let open: Vec<u32> = (0..).zip(self.timed).filter(is_open).map(|(at, _)| at).collect();
        if open.is_empty() {
            return;
        }
        let needed = self.completions.iter().map(|&at| self.hints(at).needs);
        let observed = observed_states(needed, open.iter().map(|&at| self.hints(at)));
        let mut class_of: HashMap<&M::Call, u32> = HashMap::new();
        for at in open {
            let hints = self.hints(at);
            if hints.makes != NONE && !self.sees_any && !observed.contains(&hints.makes) {
                continue;
            }
            let call = &self.timed[at as usize].call;
            let class = *class_of.entry(call).or_insert_with(|| {
                self.classes.push(Class { call: call.clone(), hints, members: Vec::new() });
                self.classes.len() as u32 - 1
            });
            self.classes[class as usize].members.push(at);
            self.open_for_ever.push((at, class));
        }
    }

    fn count(&mut self) {
        let initial = self.model.number(&self.model.initial()).unwrap_or(0);
        let completed = self.completions.iter().map(|&at| self.hints(at));
        let all = completed.chain(self.classes.iter().map(|class| class.hints));
        let numbers = all.flat_map(|hints| [hints.needs, hints.makes]);
        let last = numbers.filter(|&state| state != NONE).fold(initial, u32::max);
        let (mut needs, mut makers) = (vec![0; last as usize + 1], vec![0; last as usize + 1]);
        for &at in &self.completions {
            let hints = self.hints(at);
            if hints.needs != NONE {
                needs[hints.needs as usize] += 1;
            }
            if hints.makes != NONE {
                makers[hints.makes as usize] += 1;
            }
        }
        for (class, number) in self.classes.iter().zip(0..) {
            if class.hints.makes == NONE {
                self.classes_unknown.push(number);
                continue;
            }
            makers[class.hints.makes as usize] += class.members.len() as u32;
            self.classes_making.entry(class.hints.makes).or_default().push(number);
        }
        (self.needs, self.makers) = (needs, makers);
    }
}

fn width<C>(timed: &[Timed<C>], completions: &[u32]) -> usize {
    let mut completions = completions.iter().map(|&at| timed[at as usize].deadline()).peekable();
    let (mut open, mut most) = (0, 0);
    for timed in timed.iter().filter(|timed| timed.completed.is_some()) {
        while completions.next_if(|&completed| completed < timed.invoked).is_some() {
            open -= 1;
        }
        open += 1;
        most = most.max(open);
    }
    most
}

/// States that a completed call needs, and those that an open call needs which makes one of them, and so on.
fn observed_states(needed: impl Iterator<Item = u32>, open: impl Iterator<Item = Hints>) -> HashSet<u32> {
    let mut needs_of_makers: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut waiting: Vec<u32> = needed.collect();
    for Hints { needs, makes } in open {
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
