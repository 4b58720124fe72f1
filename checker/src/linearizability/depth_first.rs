//! The search of Wing and Gong (1993) with the memo of Lowe (2017): depth first through the orders in which the
//! operations of one key can have taken effect, never twice from the same configuration.
//!
//! It knows nothing of a call but what it does to a state, so it serves all models. It only ever steps to a call that was invoked
//! before the first unplaced one completed. Its memo grows with the history. Two rules keep it short.
//! - A read that the state allows is taken at once. It changes nothing, so any order from here in which it comes
//!   later stays an order when it is moved to the front.
//! - A call that is open for ever is tried last, and of those that do the same the first comes first.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::layout::{Layout, Ranked};
use super::machine::Steps;
use super::problem::Problem;
use super::search::{Bounds, End};
use super::slots::{Slots, Wide};

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

struct Search<'p, T, S> {
    machine: &'p dyn Steps<T>,
    layout: &'p Layout<S>,
    memo: HashSet<Configuration<T, S>, BuildHasherDefault<Mixer>>,
    frames: Vec<Frame<T, S>>,
    /// Ranks; from the number of ranks on, classes.
    choices: Vec<u32>,
    /// The same, of what has its place.
    order: Vec<u32>,
    class_taken: Vec<u32>,
    deepest: usize,
    longest: Vec<u32>,
}

/// Looks for an order that explains the problem's operations; also says how many steps that took.
pub(super) fn search<T: Clone + Eq + Hash>(
    machine: &dyn Steps<T>,
    problem: &Problem<'_>,
    bounds: &Bounds<'_>,
) -> (End, u64) {
    // The smaller the sets, the more configurations fit into memory.
    match problem.width {
        0..=64 => search_with::<T, u64>(machine, problem, bounds),
        65..=128 => search_with::<T, u128>(machine, problem, bounds),
        _ => search_with::<T, Wide>(machine, problem, bounds),
    }
}

fn search_with<T: Clone + Eq + Hash, S: Slots>(
    machine: &dyn Steps<T>,
    problem: &Problem<'_>,
    bounds: &Bounds<'_>,
) -> (End, u64) {
    let layout = Layout::<S>::new(problem);
    let mut search = Search {
        machine,
        memo: HashSet::default(),
        frames: Vec::new(),
        choices: Vec::new(),
        order: Vec::new(),
        class_taken: vec![0; layout.classes.len()],
        deepest: 0,
        longest: Vec::new(),
        layout: &layout,
    };
    search.run(bounds)
}

impl<'p, T: Clone + Eq + Hash, S: Slots> Search<'p, T, S> {
    fn run(&mut self, bounds: &Bounds<'_>) -> (End, u64) {
        let root = Configuration { base: 0, placed: S::default(), state: self.machine.initial(), taken: 0 };
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
            if let Some((reason, hint)) = bounds.exceeded(steps, || self.bytes()) {
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
    fn enter(&mut self, mut at: Configuration<T, S>) -> bool {
        self.settle(&mut at);
        let base = at.base as usize;
        if base == self.layout.calls.len() {
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
        if self.order.len() > self.longest.len() && self.layout.calls.len() <= ORDER_CALLS_MAX {
            self.longest.clone_from(&self.order);
        }
    }

    /// Takes the reads that the state allows, and moves on to the first call without a place.
    fn settle(&mut self, at: &mut Configuration<T, S>) {
        let layout = self.layout;
        loop {
            while let Some(call) = layout.calls.get(at.base as usize)
                && at.placed.meets(call.bit)
            {
                at.placed = at.placed.without(call.bit);
                at.base += 1;
            }
            if at.base as usize == layout.calls.len() {
                return;
            }
            let before = self.order.len();
            for rank in open(layout, at.base, at.placed) {
                let call = self.call(rank);
                if call.is_read && self.machine.step(&at.state, call.call).is_some() {
                    at.placed = at.placed.with(call.bit);
                    self.place(rank);
                }
            }
            if self.order.len() == before {
                return;
            }
        }
    }

    fn call(&self, rank: u32) -> &'p Ranked<S> {
        &self.layout.calls[rank as usize]
    }

    /// Puts the choices at `at` on the stack, the best on top: that is, the one that must come soonest.
    fn push_choices(&mut self, at: &Configuration<T, S>) {
        let layout = self.layout;
        let completed = self.call(at.base).completed;
        for (class, number) in layout.classes.iter().zip(0..) {
            let next = class.members.get(self.class_taken[number as usize] as usize);
            let is_invoked = next.is_some_and(|&(invoked, _)| invoked < completed);
            if is_invoked && self.machine.step(&at.state, class.call).is_some() {
                self.choices.push(layout.calls.len() as u32 + number);
            }
        }
        let start = self.choices.len();
        for rank in open(layout, at.base, at.placed) {
            let call = self.call(rank);
            if !call.is_read && self.machine.step(&at.state, call.call).is_some() {
                self.choices.push(rank);
            }
        }
        self.choices[start..].reverse();
    }

    fn chosen(&mut self, choice: u32) -> Configuration<T, S> {
        let frame = self.frames.last().expect("a frame made the choice");
        let mut at = frame.at.clone();
        let call = match self.layout.calls.get(choice as usize) {
            Some(ranked) => {
                at.placed = at.placed.with(ranked.bit);
                ranked.call
            }
            None => {
                let class = choice as usize - self.layout.calls.len();
                at.taken = at.taken.wrapping_add(weight(class as u64));
                self.layout.classes[class].call
            }
        };
        let next = self.machine.step(&at.state, call);
        at.state = next.expect("a choice is a step that the model allows");
        self.place(choice);
        at
    }

    fn place(&mut self, choice: u32) {
        if let Some(class) = self.class(choice) {
            self.class_taken[class] += 1;
        }
        self.order.push(choice);
    }

    fn undo_to(&mut self, length: usize) {
        while self.order.len() > length {
            let choice = self.order.pop().expect("it is longer");
            if let Some(class) = self.class(choice) {
                self.class_taken[class] -= 1;
            }
        }
    }

    /// The class that the choice is of; `None` if it is a rank.
    fn class(&self, choice: u32) -> Option<usize> {
        (choice as usize).checked_sub(self.layout.calls.len())
    }

    /// The origins of `order`; the members of a class go in order of invocation.
    fn origins(&self, order: &[u32]) -> Vec<u32> {
        let mut taken = vec![0; self.layout.classes.len()];
        let origin = |&choice: &u32| {
            let Some(class) = self.class(choice) else {
                return self.call(choice).origin;
            };
            taken[class] += 1;
            self.layout.classes[class].members[taken[class] - 1].1
        };
        order.iter().map(origin).collect()
    }

    fn bytes(&self) -> usize {
        // A hash table has room for up to twice its entries, and a control byte for each.
        let entry = size_of::<Configuration<T, S>>() + 1;
        self.memo.capacity() * entry * 8 / 7 + self.frames.capacity() * size_of::<Frame<T, S>>()
    }
}

/// Unplaced ranks that were invoked before the base completed, the base first.
fn open<S: Slots>(layout: &Layout<S>, base: u32, placed: S) -> impl Iterator<Item = u32> + use<'_, S> {
    let calls = &layout.calls;
    let behind = layout.window(base as usize).iter().copied();
    std::iter::once(base).chain(behind).filter(move |&rank| !calls[rank as usize].bit.meets(placed))
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
