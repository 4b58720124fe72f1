//! The search of Wing and Gong (1993) with the memo of Lowe (2017): depth first through the orders in which the
//! operations of one key can have taken effect, never twice from the same configuration.
//!
//! The search of `search` goes forward through the events with all configurations at once; this one follows one order as far as it
//! leads. It is the better one where compare-and-sets that nobody heard of make too many configurations. Its memo grows with
//! the history.
//!
//! It only ever steps to a call that was invoked before the first unplaced one completed. Four rules keep it short.
//! - A read that the state allows is taken at once. It changes nothing, so any order from here in which it comes
//!   later stays an order when it is moved to the front.
//! - A state that completed calls still need is not left when no call remains that could make it again.
//! - Before a blind write, every other open blind write whose value nobody needs is placed too: it is overwritten
//!   before anybody looks, and so needs no place of its own later.
//! - A call that is open for ever is tried last, and only when some open call needs what it makes.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::layout::{Known, NONE, Problem};
use super::search::{Bounds, End};
use super::slots::{Slots, Wide};
use super::timed::Timed;
use crate::models::Model;

/// Steps between two looks at the clock.
const STEPS_PER_LOOK: u64 = 4096;

/// The longest order is kept of at most this many calls: such histories are drawn. For long ones the copies would
/// add up to the square of the length.
const ORDER_CALLS_MAX: usize = 1000;

/// All that the future depends on.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Configuration<T, S> {
    /// Least rank that has no place yet.
    base: u32,
    /// Slots of the ranks behind it that have one.
    placed: S,
    state: T,
    /// Sum of the weights of the open calls that were taken; see [`weight`].
    taken: u128,
}

struct Frame<T, S> {
    at: Configuration<T, S>,
    /// Length of the order when it was entered.
    order: usize,
    /// Where its choices begin; they end where those of the next frame begin.
    choices: usize,
}

struct Search<'p, 'm, M: Model, S> {
    problem: &'p Problem<'m, M, S>,
    memo: HashSet<Configuration<M::State, S>, BuildHasherDefault<Mixer>>,
    frames: Vec<Frame<M::State, S>>,
    /// Ranks; from the number of ranks on, classes.
    choices: Vec<u32>,
    /// The same, of what has its place.
    order: Vec<u32>,
    /// What is left of the problem's counts.
    needs: Vec<u32>,
    makers: Vec<u32>,
    class_taken: Vec<u32>,
    deepest: usize,
    longest: Vec<u32>,
}

/// Looks for an order that explains `timed`; also says how many steps that took.
pub(super) fn search<M: Model>(model: &M, timed: &[Timed<M::Call>], bounds: &Bounds<'_>) -> (End, u64) {
    // The smaller the sets, the more configurations fit into memory.
    let small = Problem::<M, u64>::new(model, timed);
    match small.width {
        0..=64 => search_with(&small, bounds),
        65..=128 => search_with(&Problem::<M, u128>::new(model, timed), bounds),
        width if width <= Wide::COUNT => search_with(&Problem::<M, Wide>::new(model, timed), bounds),
        width => {
            let reason =
                format!("{width} operations were open at once on one key, more than {}", Wide::COUNT);
            let hint = "fewer clients, or more keys";
            (End::GaveUp { reason, hint, rank: 0 }, 0)
        }
    }
}

fn search_with<M: Model, S: Slots>(problem: &Problem<'_, M, S>, bounds: &Bounds<'_>) -> (End, u64) {
    if let Some(origin) = problem.phantom() {
        return (End::Stuck { rank: 0, order: Vec::new(), core: Some(vec![origin]) }, 0);
    }
    let mut search = Search {
        problem,
        memo: HashSet::default(),
        frames: Vec::new(),
        choices: Vec::new(),
        order: Vec::new(),
        needs: problem.needs.clone(),
        makers: problem.makers.clone(),
        class_taken: vec![0; problem.classes.len()],
        deepest: 0,
        longest: Vec::new(),
    };
    search.run(bounds)
}

impl<'p, M: Model, S: Slots> Search<'p, '_, M, S> {
    fn run(&mut self, bounds: &Bounds<'_>) -> (End, u64) {
        let root =
            Configuration { base: 0, placed: S::default(), state: self.problem.model.initial(), taken: 0 };
        if self.enter(root) {
            return (End::Linearized(self.origins(&self.order)), 0);
        }
        let mut steps = 0;
        while let Some(frame) = self.frames.last() {
            let (order, choices) = (frame.order, frame.choices);
            if self.choices.len() == choices {
                self.leave();
                continue;
            }
            steps += 1;
            if let Some((reason, hint)) = self.exceeded(steps, bounds) {
                let rank = self.deepest;
                return (End::GaveUp { reason, hint, rank }, steps);
            }
            self.undo_to(order);
            let choice = self.choices.pop().expect("it is longer");
            let next = self.chosen(choice);
            if self.enter(next) {
                return (End::Linearized(self.origins(&self.order)), steps);
            }
        }
        let order = self.origins(&self.longest);
        let rank = self.deepest;
        (End::Stuck { rank, order, core: None }, steps)
    }

    /// Goes on from `at`; tells whether everything has its place.
    fn enter(&mut self, mut at: Configuration<M::State, S>) -> bool {
        self.settle(&mut at);
        let base = at.base as usize;
        if base == self.problem.calls.len() {
            return true;
        }
        self.deepest = self.deepest.max(base);
        if !self.memo.insert(at.clone()) {
            return false;
        }
        let choices = self.choices.len();
        self.push_choices(&at);
        let order = self.order.len();
        self.frames.push(Frame { at, order, choices });
        false
    }

    fn leave(&mut self) {
        let frame = self.frames.pop().expect("there is one to leave");
        self.undo_to(frame.order);
        if self.order.len() > self.longest.len() && self.problem.calls.len() <= ORDER_CALLS_MAX {
            self.longest.clone_from(&self.order);
        }
    }

    /// Takes the reads that the state allows, and moves on to the first call without a place.
    fn settle(&mut self, at: &mut Configuration<M::State, S>) {
        let problem = self.problem;
        loop {
            while let Some(call) = problem.calls.get(at.base as usize)
                && at.placed.meets(call.bit)
            {
                at.placed = at.placed.without(call.bit);
                at.base += 1;
            }
            if at.base as usize == problem.calls.len() {
                return;
            }
            let before = self.order.len();
            for rank in open(problem, at.base, at.placed) {
                let call = self.call(rank);
                if call.is_read && problem.model.step(&at.state, &call.call).is_some() {
                    at.placed = at.placed.with(call.bit);
                    self.place(rank);
                }
            }
            if self.order.len() == before {
                return;
            }
        }
    }

    fn call(&self, rank: u32) -> &'p Known<M::Call, S> {
        &self.problem.calls[rank as usize]
    }

    /// Puts the choices at `at` on the stack, the best on top: that is, the one that must come soonest.
    fn push_choices(&mut self, at: &Configuration<M::State, S>) {
        self.push_open_for_ever(at);
        let start = self.choices.len();
        for rank in open(self.problem, at.base, at.placed) {
            let call = self.call(rank);
            let pointless = rank != at.base && self.is_hidden(rank);
            if !call.is_read && !pointless && self.may_step(at, &call.call, call.needs) {
                self.choices.push(rank);
            }
        }
        let (problem, base) = (self.problem, at.base);
        self.choices[start..]
            .sort_unstable_by_key(|&rank| std::cmp::Reverse((deadline(problem, base, rank), rank)));
    }

    fn push_open_for_ever(&mut self, at: &Configuration<M::State, S>) {
        let problem = self.problem;
        if problem.classes.is_empty() {
            return;
        }
        let mut wanted: Vec<u32> = Vec::new();
        let want = |wanted: &mut Vec<u32>, state: u32| {
            if problem.classes_making.contains_key(&state) && !wanted.contains(&state) {
                wanted.push(state);
            }
        };
        for rank in open(problem, at.base, at.placed) {
            want(&mut wanted, self.call(rank).needs);
        }
        for &class in &problem.classes_unknown {
            want(&mut wanted, problem.classes[class as usize].needs);
            self.push_class(at, class);
        }
        let mut looked = 0;
        while let Some(&state) = wanted.get(looked) {
            looked += 1;
            for &class in &problem.classes_making[&state] {
                want(&mut wanted, problem.classes[class as usize].needs);
                self.push_class(at, class);
            }
        }
    }

    fn push_class(&mut self, at: &Configuration<M::State, S>, class: u32) {
        let known = &self.problem.classes[class as usize];
        let completed = self.call(at.base).completed;
        let next = known.members.get(self.class_taken[class as usize] as usize);
        if next.is_some_and(|&(invoked, _)| invoked < completed) && self.may_step(at, &known.call, NONE) {
            self.choices.push(self.problem.calls.len() as u32 + class);
        }
    }

    /// Whether the model allows the call, and its step does not leave for good a state that is still needed. `needs`
    /// is what a completed call needs.
    fn may_step(&self, at: &Configuration<M::State, S>, call: &M::Call, needs: u32) -> bool {
        let model = self.problem.model;
        let Some(next) = model.step(&at.state, call) else {
            return false;
        };
        let Some(state) = model.number(&at.state) else {
            return true;
        };
        let needed = self.needs.get(state as usize).copied().unwrap_or(0);
        let remaining = needed - u32::from(needs == state);
        next == at.state || remaining == 0 || self.makers[state as usize] > 0
    }

    /// A blind write whose value nobody needs any more.
    fn is_hidden(&self, rank: u32) -> bool {
        let call = self.call(rank);
        let makes = call.makes as usize;
        call.is_blind() && self.needs[makes] == 0 && !self.problem.needed_by_open[makes]
    }

    fn chosen(&mut self, choice: u32) -> Configuration<M::State, S> {
        let problem = self.problem;
        let frame = self.frames.last().expect("a frame made the choice");
        let mut at = frame.at.clone();
        let (needs, makes) = self.hints(choice);
        if needs == NONE && makes != NONE {
            self.hide_others(&mut at, choice);
        }
        let call = match problem.calls.get(choice as usize) {
            Some(known) => {
                at.placed = at.placed.with(known.bit);
                &known.call
            }
            None => {
                let class = choice as usize - problem.calls.len();
                at.taken = at.taken.wrapping_add(weight(class as u64));
                &problem.classes[class].call
            }
        };
        let next = problem.model.step(&at.state, call);
        at.state = next.expect("a choice is a step that the model allows");
        self.place(choice);
        at
    }

    fn hide_others(&mut self, at: &mut Configuration<M::State, S>, choice: u32) {
        for rank in open(self.problem, at.base, at.placed) {
            if rank != choice && self.is_hidden(rank) {
                at.placed = at.placed.with(self.call(rank).bit);
                self.place(rank);
            }
        }
    }

    fn place(&mut self, choice: u32) {
        let (needs, makes) = self.hints(choice);
        if let Some(class) = self.class(choice) {
            self.class_taken[class] += 1;
        } else if needs != NONE {
            self.needs[needs as usize] -= 1;
        }
        if makes != NONE {
            self.makers[makes as usize] -= 1;
        }
        self.order.push(choice);
    }

    fn undo_to(&mut self, length: usize) {
        while self.order.len() > length {
            let choice = self.order.pop().expect("it is longer");
            let (needs, makes) = self.hints(choice);
            if let Some(class) = self.class(choice) {
                self.class_taken[class] -= 1;
            } else if needs != NONE {
                self.needs[needs as usize] += 1;
            }
            if makes != NONE {
                self.makers[makes as usize] += 1;
            }
        }
    }

    fn class(&self, choice: u32) -> Option<usize> {
        (choice as usize).checked_sub(self.problem.calls.len())
    }

    fn hints(&self, choice: u32) -> (u32, u32) {
        if let Some(class) = self.class(choice) {
            let class = &self.problem.classes[class];
            return (class.needs, class.makes);
        }
        let call = self.call(choice);
        (call.needs, call.makes)
    }

    /// The origins of `order`; the members of a class go in order of invocation.
    fn origins(&self, order: &[u32]) -> Vec<u32> {
        let mut taken = vec![0; self.problem.classes.len()];
        let origin = |&choice: &u32| {
            let Some(class) = self.class(choice) else {
                return self.call(choice).origin;
            };
            taken[class] += 1;
            self.problem.classes[class].members[taken[class] - 1].1
        };
        order.iter().map(origin).collect()
    }

    fn exceeded(&self, steps: u64, bounds: &Bounds<'_>) -> Option<(String, &'static str)> {
        if steps > bounds.steps {
            return Some((format!("gave up after {steps} steps"), "more steps"));
        }
        if !steps.is_multiple_of(STEPS_PER_LOOK) {
            return None;
        }
        if (bounds.out_of_time)() {
            return Some((
                "the time limit was reached".to_owned(),
                "a higher `--time-limit`, values that are written only once, or more keys",
            ));
        }
        // A hash table has room for up to twice its entries, and a control byte for each.
        let entry = size_of::<Configuration<M::State, S>>() + 1;
        let frames = self.frames.capacity() * size_of::<Frame<M::State, S>>();
        let used = self.memo.capacity() * entry * 8 / 7 + frames;
        let hint = "a higher `--memory-limit`, values that are written only once, or more keys";
        (used > bounds.memory_bytes).then(|| ("the memory limit was reached".to_owned(), hint))
    }
}

/// Unplaced ranks that were invoked before the base completed, the base first.
fn open<'p, M: Model, S: Slots>(
    problem: &'p Problem<'_, M, S>,
    base: u32,
    placed: S,
) -> impl Iterator<Item = u32> + use<'p, M, S> {
    let calls = &problem.calls;
    let behind = problem.window(base as usize).iter().copied();
    std::iter::once(base).chain(behind).filter(move |&rank| !calls[rank as usize].bit.meets(placed))
}

/// The rank by which the call must have taken effect: its own, or that of the first to need what it makes.
fn deadline<M: Model, S>(problem: &Problem<'_, M, S>, base: u32, rank: u32) -> u32 {
    let makes = problem.calls[rank as usize].makes;
    let needed = problem.needed_first.get(makes as usize).copied();
    needed.filter(|&first| first >= base).map_or(rank, |first| first.min(rank))
}

/// Which open calls were taken enters a configuration as a sum of 128-bit weights, not as a list that would grow
/// with the history. Two different sets have the same sum with a probability of 2^-128.
fn weight(class: u64) -> u128 {
    u128::from(mixed(2 * class)) << 64 | u128::from(mixed(2 * class + 1))
}

/// The finalizer of splitmix64 (Steele, Lea & Flood 2014).
fn mixed(seed: u64) -> u64 {
    let mut word = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// A multiplicative hash: nobody attacks the memo, and the standard one would take much of the search's time.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(26) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_u128(&mut self, word: u128) {
        self.write_u64(word as u64);
        self.write_u64((word >> 64) as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
}
