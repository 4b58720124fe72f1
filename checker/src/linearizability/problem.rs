//! The operations of one key, laid out for the searches: in which order they end, and what is known of them as a whole.
//!
//! The one idea: an operation that never completed need not have happened, so those that nobody can have observed are left out here.

use hashbrown::{HashMap, HashSet};

use super::machine::{Hints, Known, NONE};
use super::timed::Timed;

/// What a search works on. An *origin* is an index in what it was built from; tables of states are indexed by their numbers.
#[derive(Debug)]
pub(super) struct Problem<'k> {
    /// Calls by number, in order of invocation.
    pub(super) timed: &'k [Timed<u32>],
    /// By call.
    pub(super) known: &'k [Known],
    /// Origins of the completed ones, in order of completion.
    pub(super) completions: Vec<u32>,
    /// Origins of those that are open for ever and can have been observed, in order of invocation.
    pub(super) open_for_ever: Vec<u32>,
    /// How many completed calls need each state.
    pub(super) needs: Vec<u32>,
    /// How many calls, completed or open for ever, make it.
    pub(super) makers: Vec<u32>,
    /// Whether a call that is open for ever needs it.
    pub(super) needed_by_open: Vec<bool>,
    /// Whether a completed call may have seen any state.
    pub(super) sees_any: bool,
    /// Whether hints tell of every call what it needs, and of every one that is no read what it makes: only then do the tables
    /// say that a state is not needed, or not made, any more.
    pub(super) knows_needs: bool,
    pub(super) knows_makers: bool,
    /// The most that were open at once, of those that completed.
    pub(super) width: usize,
    initial: Option<u32>,
}

impl<'k> Problem<'k> {
    /// Lays out calls in order of invocation; `initial` is the number of the state before all.
    pub(super) fn new(timed: &'k [Timed<u32>], known: &'k [Known], initial: Option<u32>) -> Problem<'k> {
        assert!(timed.is_sorted_by_key(|timed| timed.invoked), "calls come in order of invocation");
        let mut completions: Vec<u32> =
            (0..timed.len() as u32).filter(|&at| timed[at as usize].completed.is_some()).collect();
        completions.sort_unstable_by_key(|&at| timed[at as usize].completed);
        let mut problem = Problem {
            timed,
            known,
            width: width(timed, &completions),
            completions,
            open_for_ever: Vec::new(),
            needs: Vec::new(),
            makers: Vec::new(),
            needed_by_open: Vec::new(),
            sees_any: false,
            knows_needs: false,
            knows_makers: initial.is_some()
                && known.iter().all(|call| call.is_read || call.hints.makes != NONE),
            initial,
        };
        problem.sees_any = problem.completions.iter().any(|&at| problem.hints(at).sees_any());
        // A read that never completed says nothing.
        let has_hints = |call: &Known| call.is_read || !call.hints.sees_any();
        problem.knows_needs = !problem.sees_any && known.iter().all(has_hints);
        problem.choose_open();
        problem.count();
        problem
    }

    pub(super) fn known(&self, at: u32) -> Known {
        self.known[self.timed[at as usize].call as usize]
    }

    pub(super) fn hints(&self, at: u32) -> Hints {
        self.known(at).hints
    }

    /// A completed call that saw a state which nobody made: then no order helps.
    pub(super) fn phantom(&self) -> Option<u32> {
        let is_phantom =
            |needs: u32| needs != NONE && self.makers[needs as usize] == 0 && Some(needs) != self.initial;
        let mut completions = self.completions.iter().copied().filter(|_| self.knows_makers);
        completions.find(|&at| is_phantom(self.hints(at).needs))
    }

    /// Keeps the open calls that can have been observed. One that makes a state which no completed call needs, nor an
    /// open one that is kept, is necessary in no order: taken out of it, the next call that changes the state
    /// overwrites it, and nobody looked in between. Reads without a result say nothing.
    fn choose_open(&mut self) {
        let is_open = |&at: &u32| self.timed[at as usize].completed.is_none() && !self.known(at).is_read;
        let mut open: Vec<u32> = (0..self.timed.len() as u32).filter(is_open).collect();
        if open.is_empty() {
            return;
        }
        if self.knows_needs {
            let needed = self.completions.iter().map(|&at| self.hints(at).needs);
            let observed = observed_states(needed, open.iter().map(|&at| self.hints(at)));
            open.retain(|&at| {
                let makes = self.hints(at).makes;
                makes == NONE || observed.contains(&makes)
            });
        }
        self.open_for_ever = open;
    }

    fn count(&mut self) {
        let hints: Vec<Hints> = self.known.iter().map(|known| known.hints).collect();
        let numbers = hints.iter().flat_map(|hints| [hints.needs, hints.makes]);
        let last = numbers.filter(|&state| state != NONE).fold(self.initial.unwrap_or(0), u32::max);
        let states = last as usize + 1;
        (self.needs, self.makers, self.needed_by_open) =
            (vec![0; states], vec![0; states], vec![false; states]);
        let call = |at: u32| self.timed[at as usize].call as usize;
        for &at in &self.completions {
            let Hints { needs, makes } = hints[call(at)];
            if needs != NONE {
                self.needs[needs as usize] += 1;
            }
            if makes != NONE {
                self.makers[makes as usize] += 1;
            }
        }
        for &at in &self.open_for_ever {
            let Hints { needs, makes } = hints[call(at)];
            if needs != NONE {
                self.needed_by_open[needs as usize] = true;
            }
            if makes != NONE {
                self.makers[makes as usize] += 1;
            }
        }
    }
}

fn width(timed: &[Timed<u32>], completions: &[u32]) -> usize {
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
