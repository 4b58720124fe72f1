//! The search: forward through the events with all configurations that are possible, and none that another one covers.
//!
//! It is the search of Wing and Gong (1993) with just-in-time linearization (Lowe 2017), breadth first: an operation gets its place
//! when it completes and has none, and before it only what must come before it. What the past was is forgotten at every event, so
//! memory stays with the operations that are open. Five rules keep the configurations few.
//! - A read that the state allows is taken at once. It changes nothing, so any order from here in which it comes
//!   later stays an order when it is moved to the front.
//! - A blind write is placed before it completes only if somebody who is open needs what it makes, and then somebody must see it.
//!   Placed or not, all blind writes that are open with it are done (`frontier`).
//! - Of open calls that do the same, the first to complete goes first, and one that is open for ever goes last.
//! - A call that is open for ever is tried only when some open call needs what it makes.
//! - A state that completed calls still need is not left when no call remains that could make it again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use hashbrown::HashMap;

use super::frontier::{Configuration, START, Step, Taken, Trail, insert};
use super::machine::{Hints, Known, NONE, Steps};
use super::problem::Problem;
use super::search::Bounds;
use super::slots::Slots;
use super::timed::Timed;

/// How much of what open calls may be waiting for is remembered at most.
const WANTED_MAX: usize = 1024;

/// An open call that will complete.
#[derive(Clone)]
struct Open<S> {
    origin: u32,
    call: u32,
    completed: u32,
    hints: Hints,
    is_read: bool,
    /// Its slot.
    slot: usize,
    bit: S,
}

/// Calls that are open for ever and do the same: whichever was invoked first may go first, so a number tells which have gone.
struct Class {
    call: u32,
    hints: Hints,
    /// Origins of those that were invoked, in that order.
    members: Vec<u32>,
}

/// What is known of the calls that have not been invoked yet, by states; whatever may be for states that are not in the tables.
#[derive(Clone)]
struct Foresight {
    /// How many that complete need it.
    needs: Vec<u32>,
    /// How many make it.
    makers: Vec<u32>,
    /// Whether one that is open for ever needs it, be it invoked or not.
    needed_for_ever: Vec<bool>,
}

/// How far a search has come, and all that its future depends on.
#[derive(Clone)]
pub(super) struct Situation<T, S> {
    /// How many completions are behind it.
    pub(super) rank: usize,
    /// How many calls were invoked.
    invocations: usize,
    pub(super) frontier: Vec<Configuration<T, S>>,
    /// Whether a configuration was left out on the way that no other one covers.
    pub(super) is_cut: bool,
    /// In order of completion.
    open: Vec<Open<S>>,
    /// The slots of open blind writes.
    blind: S,
    free: Vec<usize>,
    slots: usize,
    /// How many of each class were invoked.
    invoked: Vec<usize>,
    foresight: Foresight,
}

/// The search itself: takes a [`Situation`] from one completion to the next.
pub(super) struct Forward<'p, T, S> {
    machine: &'p dyn Steps<T>,
    problem: &'p Problem<'p>,
    keeps_order: bool,
    pub(super) now: Situation<T, S>,
    pub(super) trail: Trail,
    classes: Vec<Class>,
    /// By origin, where it is open for ever.
    class_of: HashMap<u32, u32>,
    /// Classes that make a state, and those that give no hint what they make.
    classes_making: HashMap<u32, Vec<u32>>,
    classes_unknown: Vec<u32>,
    /// Classes that are possible in one state only, and the others.
    classes_needing: HashMap<u32, Vec<u32>>,
    classes_anywhere: Vec<u32>,
    /// What was found to be worth being made, by the states that open calls need, in ascending order.
    wanted: HashMap<Vec<u32>, Rc<Wanted>>,
    pub(super) steps: u64,
}

impl<'p, T: Clone + Eq, S: Slots> Forward<'p, T, S> {
    pub(super) fn new(
        machine: &'p dyn Steps<T>,
        problem: &'p Problem<'p>,
        keeps_order: bool,
    ) -> Forward<'p, T, S> {
        let start = Configuration {
            state: machine.initial(),
            used: S::default(),
            done: S::default(),
            taken: Taken::default(),
            is_unseen: false,
            trail: START,
        };
        let known = |table: &[u32], is_known: bool| if is_known { table.to_vec() } else { Vec::new() };
        let foresight = Foresight {
            needs: known(&problem.needs, problem.knows_needs),
            makers: known(&problem.makers, problem.knows_needs && problem.knows_makers),
            needed_for_ever: if problem.knows_needs { problem.needed_by_open.clone() } else { Vec::new() },
        };
        let now = Situation {
            rank: 0,
            invocations: 0,
            frontier: vec![start],
            is_cut: false,
            open: Vec::new(),
            blind: S::default(),
            free: Vec::new(),
            slots: 0,
            invoked: Vec::new(),
            foresight,
        };
        let mut forward = Forward {
            machine,
            problem,
            keeps_order,
            now,
            trail: Trail::default(),
            classes: Vec::new(),
            class_of: HashMap::new(),
            classes_making: HashMap::new(),
            classes_unknown: Vec::new(),
            classes_needing: HashMap::new(),
            classes_anywhere: Vec::new(),
            wanted: HashMap::new(),
            steps: 0,
        };
        forward.classify();
        forward
    }

    fn classify(&mut self) {
        let mut class_of_call: HashMap<u32, u32> = HashMap::new();
        for &origin in &self.problem.open_for_ever {
            let call = self.problem.timed[origin as usize].call;
            let next = self.classes.len() as u32;
            let class = *class_of_call.entry(call).or_insert(next);
            if class == next {
                let hints = self.problem.known[call as usize].hints;
                self.classes.push(Class { call, hints, members: Vec::new() });
                match hints.makes {
                    NONE => self.classes_unknown.push(class),
                    makes => self.classes_making.entry(makes).or_default().push(class),
                }
                match hints.needs {
                    NONE => self.classes_anywhere.push(class),
                    needs => self.classes_needing.entry(needs).or_default().push(class),
                }
            }
            self.classes[class as usize].members.push(origin);
            self.class_of.insert(origin, class);
        }
        self.now.invoked = vec![0; self.classes.len()];
    }

    /// Goes on to behind the next completion; `width` configurations are gone on with at most.
    pub(super) fn advance(&mut self, width: Width, bounds: &Bounds<'_>) -> Advance {
        let problem = self.problem;
        let Some(&completing) = problem.completions.get(self.now.rank) else {
            let last = self.now.frontier.first().expect("one is left").trail;
            return Advance::Over(self.trail.order(last));
        };
        let completed = problem.timed[completing as usize].deadline();
        while let Some(timed) = problem.timed.get(self.now.invocations)
            && timed.invoked < completed
        {
            self.invoke(self.now.invocations as u32, timed);
            self.now.invocations += 1;
        }
        self.complete(width, bounds)
    }

    fn invoke(&mut self, origin: u32, timed: &Timed<u32>) {
        let (call, Known { hints, is_read }) = (timed.call, self.problem.known(origin));
        if timed.completed.is_none() {
            if let Some(&class) = self.class_of.get(&origin) {
                self.now.invoked[class as usize] += 1;
                self.now.foresight.has_come(hints, false);
            }
            return;
        }
        self.now.foresight.has_come(hints, true);
        let slot = self.now.free.pop().unwrap_or_else(|| {
            self.now.slots += 1;
            self.now.slots - 1
        });
        let bit = S::of(slot);
        if hints.is_blind() {
            self.now.blind = self.now.blind.with(bit);
        }
        let completed = timed.deadline();
        let place = self.now.open.partition_point(|open| open.completed < completed);
        self.now.open.insert(place, Open { origin, call, completed, hints, is_read, slot, bit });
        if is_read {
            let mut frontier = std::mem::take(&mut self.now.frontier);
            for at in &mut frontier {
                self.see(at, place);
            }
            self.now.frontier = frontier;
        }
    }

    /// The first of the open calls completes: configurations in which it is not done go on until it is, or end.
    fn complete(&mut self, width: Width, bounds: &Bounds<'_>) -> Advance {
        let due = self.now.open.first().expect("it was invoked before");
        let (bit, origin, slot, makes) = (due.bit, due.origin, due.slot, due.hints.makes);
        let is_blind = due.hints.is_blind();
        let mut next = Vec::with_capacity(self.now.frontier.len());
        let mut waiting = Waiting { all: Vec::new(), queue: BinaryHeap::new() };
        let (mut is_used, mut is_unused) = (false, false);
        for mut at in std::mem::take(&mut self.now.frontier) {
            if !at.done.meets(bit) {
                waiting.push(at);
                continue;
            }
            let was_used = at.used.meets(bit);
            is_used |= was_used;
            is_unused |= !was_used;
            if is_blind && !was_used {
                if self.is_needed(makes) {
                    waiting.push(Configuration { done: at.done.without(bit), ..at.clone() });
                }
                at.trail = self.step(at.trail, Step::Hidden, origin);
            }
            at.used = at.used.without(bit);
            at.done = at.done.without(bit);
            next.push(at);
        }
        // Those that differ by this call alone have become the same.
        if is_used && is_unused {
            let all = std::mem::take(&mut next);
            all.into_iter().for_each(|at| self.now.is_cut |= insert(&mut next, at, width.is_loose));
        }
        while let Some(at) = waiting.next() {
            // The rest costs no less.
            let price = waiting.all[at].price();
            if width.is_loose && next.len() >= width.most {
                let cheaper = next.iter().filter(|other| other.price() <= price).count();
                if cheaper >= width.most {
                    self.now.is_cut = true;
                    break;
                }
            }
            self.steps += 1;
            let configurations = next.len() + waiting.all.len();
            let used = || configurations * size_of::<Configuration<T, S>>() + self.trail.bytes();
            if let Some((reason, hint)) = bounds.exceeded(self.steps, used) {
                return Advance::GaveUp(reason, hint);
            }
            self.expand(at, width, &mut waiting, &mut next);
        }
        if next.is_empty() {
            let orders = waiting.all.iter().map(|at| self.trail.order(at.trail));
            return Advance::Dead(orders.max_by_key(Vec::len).unwrap_or_default());
        }
        if next.len() > width.most {
            self.now.is_cut = true;
            next.sort_by_cached_key(Configuration::cost);
            next.truncate(width.most);
        }
        self.now.frontier = next;
        self.now.open.remove(0);
        self.now.free.push(slot);
        self.now.blind = self.now.blind.without(bit);
        self.now.rank += 1;
        Advance::Alive
    }

    /// Tries whatever may come next at a configuration in which the first open call is not done. Those in which it is then done
    /// go to `next`, the others to `waiting`.
    fn expand(
        &mut self,
        at: usize,
        width: Width,
        waiting: &mut Waiting<T, S>,
        next: &mut Vec<Configuration<T, S>>,
    ) {
        let at = waiting.all[at].clone();
        let (due, is_blind) = (self.now.open[0].bit, self.now.open[0].hints.is_blind());
        let wanted = self.wanted(&at);
        let (is_loose, mut is_cut) = (width.is_loose, false);
        let mut reach = |mut new: Configuration<T, S>| {
            // A blind write that can be thought before another one need not be: it goes on until it is placed.
            if if is_blind { new.used.meets(due) } else { new.done.meets(due) } {
                new.used = new.used.without(due);
                new.done = new.done.without(due);
                new.is_unseen = false;
                is_cut |= insert(next, new, is_loose);
            } else if is_loose && waiting.all.iter().any(|old| old.covers_loosely(&new)) {
                is_cut = true;
            } else if !waiting.all.iter().any(|old| old.covers(&new)) {
                waiting.push(new);
            }
        };
        for place in 0..self.now.open.len() {
            if let Some(new) = self.placed(&at, place, &wanted) {
                reach(new);
            }
        }
        for class in self.classes_at(&at.state) {
            if !wanted.classes[class as usize] {
                continue;
            }
            if let Some(new) = self.taken(&at, class, &wanted) {
                reach(new);
            }
        }
        self.now.is_cut |= is_cut;
    }

    /// Classes that may be possible in the state.
    fn classes_at(&self, state: &T) -> Vec<u32> {
        let Some(number) = self.machine.number(state) else {
            return (0..self.classes.len() as u32).collect();
        };
        let here = self.classes_needing.get(&number).map_or(&[][..], Vec::as_slice);
        here.iter().chain(&self.classes_anywhere).copied().collect()
    }

    /// After the open call at `place`, if it may be next.
    fn placed(
        &mut self,
        at: &Configuration<T, S>,
        place: usize,
        wanted: &Wanted,
    ) -> Option<Configuration<T, S>> {
        let open = &self.now.open[place];
        let is_blind = open.hints.is_blind();
        let is_pointless = is_blind && (at.is_unseen || place > 0 && !wanted.has(open.hints.makes));
        if open.is_read || at.used.meets(open.bit) || is_pointless {
            return None;
        }
        let mut before = self.now.open[..place].iter();
        if before.any(|other| other.call == open.call && !at.used.meets(other.bit)) {
            return None;
        }
        let (origin, bit, needs) = (open.origin, open.bit, open.hints.needs);
        let state = self.after(at, open.call, needs)?;
        let mut new = at.clone();
        new.used = at.used.with(bit);
        new.done = at.done.with(bit);
        self.enter(&mut new, state, origin, is_blind);
        Some(new)
    }

    /// After the next member of the class, if it may be next.
    fn taken(
        &mut self,
        at: &Configuration<T, S>,
        class: u32,
        wanted: &Wanted,
    ) -> Option<Configuration<T, S>> {
        let Class { call, hints, members } = &self.classes[class as usize];
        let is_pointless = hints.is_blind() && (at.is_unseen || !wanted.has(hints.makes));
        let (number, invoked) = (at.taken.of(class) as usize, self.now.invoked[class as usize]);
        let has_twin = |open: &Open<S>| !at.used.meets(open.bit) && open.call == *call;
        if is_pointless || number == invoked || self.now.open.iter().any(has_twin) {
            return None;
        }
        // Nobody demands that this one sees what it needs.
        let (origin, is_blind) = (members[number], hints.is_blind());
        let state = self.after(at, *call, NONE)?;
        let mut new = at.clone();
        new.taken = at.taken.with(class, price(invoked - number));
        self.enter(&mut new, state, origin, is_blind);
        Some(new)
    }

    /// Enters a new state by a call that was placed, and takes the reads that it allows.
    fn enter(&mut self, new: &mut Configuration<T, S>, state: T, origin: u32, is_blind: bool) {
        new.state = state;
        if is_blind {
            new.done = new.done.with(self.now.blind);
        }
        new.trail = self.step(new.trail, if is_blind { Step::Overwrote } else { Step::Placed }, origin);
        let before = new.done;
        for place in 0..self.now.open.len() {
            if self.now.open[place].is_read {
                self.see(new, place);
            }
        }
        new.is_unseen = is_blind && new.done == before;
    }

    /// Takes the open read at `place`, if the state allows it.
    fn see(&mut self, at: &mut Configuration<T, S>, place: usize) {
        let Open { origin, call, bit, .. } = self.now.open[place];
        if !at.done.meets(bit) && self.machine.step(&at.state, call).is_some() {
            at.done = at.done.with(bit);
            at.trail = self.step(at.trail, Step::Placed, origin);
        }
    }

    fn step(&mut self, from: u32, step: Step, origin: u32) -> u32 {
        if self.keeps_order { self.trail.add(from, step, origin) } else { START }
    }

    /// The state after `call`, unless the model forbids it, or it leaves for good a state that is still needed. `needs` is what
    /// a call needs that will complete.
    fn after(&self, at: &Configuration<T, S>, call: u32, needs: u32) -> Option<T> {
        let next = self.machine.step(&at.state, call)?;
        let Some(state) = self.machine.number(&at.state).filter(|_| next != at.state) else {
            return Some(next);
        };
        if self.now.foresight.may_be_made(state) {
            return Some(next);
        }
        let undone = |open: &&Open<S>| !at.done.meets(open.bit);
        let of_open = self.now.open.iter().filter(undone).filter(|open| open.hints.needs == state).count();
        let needed = self.now.foresight.needs[state as usize] as usize + of_open;
        if needed == usize::from(needs == state) {
            return Some(next);
        }
        let unused = |open: &Open<S>| open.hints.makes == state && !at.used.meets(open.bit);
        let classes = self.classes_making.get(&state).map_or(&[][..], Vec::as_slice);
        let remains = |&class: &u32| (at.taken.of(class) as usize) < self.now.invoked[class as usize];
        (self.now.open.iter().any(unused) || classes.iter().any(remains)).then_some(next)
    }

    /// Whether anybody who is open or comes later may need the state.
    fn is_needed(&self, state: u32) -> bool {
        self.now.foresight.may_be_needed(state) || self.now.open.iter().any(|open| open.hints.needs == state)
    }

    /// What open calls may be waiting for.
    fn wanted(&mut self, at: &Configuration<T, S>) -> Rc<Wanted> {
        let undone = self.now.open.iter().filter(|open| !at.done.meets(open.bit));
        let mut states: Vec<u32> =
            undone.map(|open| open.hints.needs).filter(|&needs| needs != NONE).collect();
        states.sort_unstable();
        states.dedup();
        if let Some(wanted) = self.wanted.get(&states) {
            return Rc::clone(wanted);
        }
        let mut wanted =
            Wanted { anything: false, states: states.clone(), classes: vec![false; self.classes.len()] };
        for &class in &self.classes_unknown {
            wanted.add(self.classes[class as usize].hints);
            wanted.classes[class as usize] = true;
        }
        let mut looked = 0;
        while let Some(making) = wanted.states.get(looked).map(|state| self.classes_making.get(state)) {
            looked += 1;
            for &class in making.into_iter().flatten() {
                wanted.add(self.classes[class as usize].hints);
                wanted.classes[class as usize] = true;
            }
        }
        if wanted.anything {
            wanted.classes.fill(true);
        }
        if self.wanted.len() == WANTED_MAX {
            self.wanted.clear();
        }
        let wanted = Rc::new(wanted);
        self.wanted.insert(states, Rc::clone(&wanted));
        wanted
    }
}

/// What it costs to take a call that is open for ever, when so many that do the same are there: the last ones are dear, since a
/// later call may have no other explanation.
fn price(remaining: usize) -> u32 {
    1 + (64 >> remaining.min(8))
}

impl Foresight {
    /// A call that was foreseen is there.
    fn has_come(&mut self, Hints { needs, makes }: Hints, completes: bool) {
        if let Some(needs) = self.needs.get_mut(needs as usize).filter(|_| completes) {
            *needs -= 1;
        }
        if let Some(makers) = self.makers.get_mut(makes as usize) {
            *makers -= 1;
        }
    }

    fn may_be_made(&self, state: u32) -> bool {
        self.makers.get(state as usize).is_none_or(|&makers| makers > 0)
    }

    fn may_be_needed(&self, state: u32) -> bool {
        self.needs.get(state as usize).is_none_or(|&needs| needs > 0)
            || self.needed_for_ever.get(state as usize).is_none_or(|&is_needed| is_needed)
    }
}

/// How many configurations are gone on with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Width {
    pub(super) most: usize,
    /// Whether of those that differ only by what was taken of the calls that are open for ever, the cheapest is enough.
    pub(super) is_loose: bool,
}

/// What became of a step.
pub(super) enum Advance {
    Alive,
    /// All completions are behind it; the order, if it was kept.
    Over(Vec<u32>),
    /// No configuration is left; the longest order before.
    Dead(Vec<u32>),
    GaveUp(String, &'static str),
}

/// Configurations in which the first open call is not done: the cheapest is the next to be gone on with.
struct Waiting<T, S> {
    all: Vec<Configuration<T, S>>,
    /// Price and place of those that were not gone on with yet.
    queue: BinaryHeap<Reverse<(u32, usize)>>,
}

impl<T: Eq, S: Slots> Waiting<T, S> {
    fn push(&mut self, new: Configuration<T, S>) {
        self.queue.push(Reverse((new.price(), self.all.len())));
        self.all.push(new);
    }

    fn next(&mut self) -> Option<usize> {
        self.queue.pop().map(|Reverse((_, at))| at)
    }
}

/// What is worth being made.
struct Wanted {
    /// Some call may depend on any state.
    anything: bool,
    states: Vec<u32>,
    /// By class.
    classes: Vec<bool>,
}

impl Wanted {
    fn add(&mut self, hints: Hints) {
        self.anything |= hints.sees_any();
        if hints.needs != NONE && !self.states.contains(&hints.needs) {
            self.states.push(hints.needs);
        }
    }

    fn has(&self, state: u32) -> bool {
        self.anything || self.states.contains(&state)
    }
}
