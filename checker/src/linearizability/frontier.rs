//! Configurations of a search, and sets of them of which none makes another one superfluous.
//!
//! The one idea: a configuration speaks of nothing but the operations that are open, so its size does not depend on the length of the
//! history. A blind write that was open when another one was placed is *done* without being *used*: it can be thought right
//! before that one, where nobody saw it, and can still be placed where somebody does.

use std::rc::Rc;

use super::slots::Slots;

/// All that the future depends on. Sets are of the slots of open operations that will complete.
#[derive(Debug, Clone)]
pub(super) struct Configuration<T, S> {
    pub(super) state: T,
    /// Those that have their place and cannot be placed again, reads excepted.
    pub(super) used: S,
    /// Those that need no place any more; all of `used` are among them.
    pub(super) done: S,
    /// How many were taken of the classes of calls that are open for ever.
    pub(super) taken: Taken,
    /// Whether a blind write was placed last for somebody to see it, and nobody has.
    pub(super) is_unseen: bool,
    /// The last step of the way here; see `Trail`.
    pub(super) trail: u32,
}

impl<T: Eq, S: Slots> Configuration<T, S> {
    /// The less it has spent, the likelier it leads on.
    pub(super) fn cost(&self) -> (u32, u32, u32) {
        (self.taken.price, self.used.count(), u32::MAX - self.done.count())
    }

    /// What was paid for the calls that are open for ever.
    pub(super) fn price(&self) -> u32 {
        self.taken.price
    }

    /// Whether whatever is possible from `other` is possible from here.
    pub(super) fn covers(&self, other: &Configuration<T, S>) -> bool {
        self.covers_but_for_taken(other) && self.taken.is_within(&other.taken)
    }

    /// The same, if it did not matter which operations were taken of those that are open for ever, but only what they cost.
    pub(super) fn covers_loosely(&self, other: &Configuration<T, S>) -> bool {
        self.covers_but_for_taken(other) && self.taken.price <= other.taken.price
    }

    fn covers_but_for_taken(&self, other: &Configuration<T, S>) -> bool {
        self.state == other.state
            && other.done.is_within(self.done)
            && self.used.is_within(other.used)
            && self.is_unseen <= other.is_unseen
    }
}

/// Puts `new` into the set, unless one is there that covers it; those that it covers go. Loosely, one that is the same but for what
/// it took covers those that paid more. Tells whether anything was left out for that reason alone.
pub(super) fn insert<T: Eq, S: Slots>(
    set: &mut Vec<Configuration<T, S>>,
    new: Configuration<T, S>,
    is_loose: bool,
) -> bool {
    if set.iter().any(|old| old.covers(&new)) {
        return false;
    }
    if is_loose && set.iter().any(|old| old.covers_loosely(&new)) {
        return true;
    }
    let mut is_cut = false;
    set.retain(|old| {
        let goes_loosely = is_loose && new.covers_loosely(old);
        let goes = goes_loosely || new.covers(old);
        is_cut |= goes_loosely && !new.covers(old);
        !goes
    });
    set.push(new);
    is_cut
}

/// How many were taken of each class, where any were: class and number in ascending order. Many configurations share one list.
#[derive(Debug, Clone, Default)]
pub(super) struct Taken {
    list: Option<Rc<[(u32, u32)]>>,
    /// What all of them cost together.
    price: u32,
}

impl Taken {
    fn list(&self) -> &[(u32, u32)] {
        self.list.as_deref().unwrap_or_default()
    }

    pub(super) fn of(&self, class: u32) -> u32 {
        let list = self.list();
        list.binary_search_by_key(&class, |&(class, _)| class).map_or(0, |at| list[at].1)
    }

    /// One more of `class`, at this price.
    pub(super) fn with(&self, class: u32, price: u32) -> Taken {
        let mut list = self.list().to_vec();
        match list.binary_search_by_key(&class, |&(class, _)| class) {
            Ok(at) => list[at].1 += 1,
            Err(at) => list.insert(at, (class, 1)),
        }
        Taken { list: Some(list.into()), price: self.price + price }
    }

    /// Whether no more of any class were taken than in `other`.
    fn is_within(&self, other: &Taken) -> bool {
        match (&self.list, &other.list) {
            (None, _) => true,
            (Some(one), Some(other)) if Rc::ptr_eq(one, other) => true,
            _ => self.list().iter().all(|&(class, count)| count <= other.of(class)),
        }
    }
}

/// What happened to an operation on a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Placed,
    /// Placed, and it overwrote whatever was there.
    Overwrote,
    /// It completed, and is thought right before the last one that overwrote.
    Hidden,
}

/// The ways to all configurations, as a tree with its root at the bottom.
#[derive(Debug, Default)]
pub(super) struct Trail {
    steps: Vec<(Step, u32, u32)>,
    /// How many there may be before dead branches are cut off.
    enough: usize,
}

/// Where every way begins.
pub(super) const START: u32 = u32::MAX;

impl Trail {
    /// The way to `from`, and then `origin`.
    pub(super) fn add(&mut self, from: u32, step: Step, origin: u32) -> u32 {
        self.steps.push((step, origin, from));
        self.steps.len() as u32 - 1
    }

    pub(super) fn bytes(&self) -> usize {
        self.steps.capacity() * size_of::<(Step, u32, u32)>()
    }

    /// Whether it is worth tidying up.
    pub(super) fn is_littered(&self) -> bool {
        self.steps.len() >= self.enough.max(4096)
    }

    /// Forgets what leads to none of these.
    pub(super) fn tidy<T, S>(&mut self, set: &mut [&mut Configuration<T, S>]) {
        let mut number = vec![START; self.steps.len()];
        for configuration in set.iter() {
            let mut at = configuration.trail;
            while at != START && number[at as usize] == START {
                number[at as usize] = 0;
                at = self.steps[at as usize].2;
            }
        }
        let mut kept = 0;
        for at in 0..self.steps.len() {
            if number[at] == START {
                continue;
            }
            let (step, origin, from) = self.steps[at];
            let from = if from == START { START } else { number[from as usize] };
            self.steps[kept] = (step, origin, from);
            number[at] = kept as u32;
            kept += 1;
        }
        self.steps.truncate(kept);
        self.enough = 2 * kept;
        for configuration in set.iter_mut().filter(|configuration| configuration.trail != START) {
            configuration.trail = number[configuration.trail as usize];
        }
    }

    /// The operations on the way to `last` in an order that explains them.
    pub(super) fn order(&self, last: u32) -> Vec<u32> {
        let mut steps = Vec::new();
        let mut at = last;
        while at != START {
            let (step, origin, from) = self.steps[at as usize];
            steps.push((step, origin));
            at = from;
        }
        let (mut order, mut since_overwrite) = (Vec::with_capacity(steps.len()), Vec::new());
        for (step, origin) in steps.into_iter().rev() {
            match step {
                Step::Hidden => order.push(origin),
                Step::Placed => since_overwrite.push(origin),
                Step::Overwrote => {
                    order.append(&mut since_overwrite);
                    since_overwrite.push(origin);
                }
            }
        }
        order.append(&mut since_overwrite);
        order
    }
}
