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

use super::depth_first;
use super::frontier::{Configuration, START, Step, Taken, Trail, insert};
use super::problem::{Class, Hints, NONE, Problem};
use super::slots::{Slots, Wide};
use super::timed::Timed;
use crate::models::Model;

/// How a search ended.
#[derive(Debug)]
pub(super) enum End {
    /// An order was found; origins, unless nobody asked for them.
    Linearized(Vec<u32>),
    /// There is none. `rank` completed calls could be placed; origins of the longest order are in `order`.
    /// `core`: origins of a few that suffice, where they are known.
    Stuck { rank: usize, order: Vec<u32>, core: Option<Vec<u32>> },
    /// Neither was shown within the bounds. `hint`: what would help.
    GaveUp { reason: String, hint: &'static str, rank: usize },
}

/// What a search may spend.
pub(super) struct Bounds<'a> {
    pub(super) out_of_time: &'a dyn Fn() -> bool,
    pub(super) memory_bytes: usize,
    pub(super) steps: u64,
}

/// Steps between two looks at the clock.
const STEPS_PER_LOOK: u64 = 4096;

/// How much is left out, in one search after the other: whether of configurations that differ by what was taken of the operations that
/// are open for ever only the one with the fewest is kept, and how many are gone on with at most. There can be very many of
/// those, and nearly all lead to an order.
const WIDTHS: [(bool, usize); 4] = [(true, 32), (true, 1024), (false, 8192), (false, usize::MAX)];

/// How far it goes where compare-and-sets are open for ever, before the depth-first search is asked: such a call can lead from any
/// state to any other, and the configurations multiply.
const STEPS_BEFORE_DEPTH: u64 = 20_000;

/// Orders are kept of histories of at most this many calls without being asked for: such histories are drawn.
const ORDER_CALLS_MAX: usize = 1000;

/// Looks for an order that explains `timed`; also says how many steps that took. Of a long history the order itself is
/// not kept.
pub(super) fn search<M: Model>(model: &M, timed: &[Timed<M::Call>], bounds: &Bounds<'_>) -> (End, u64) {
    search_keeping(model, timed, timed.len() <= ORDER_CALLS_MAX, bounds)
}

/// The same, and the order is kept if that is wanted.
pub(super) fn search_keeping<M: Model>(
    model: &M,
    timed: &[Timed<M::Call>],
    keeps_order: bool,
    bounds: &Bounds<'_>,
) -> (End, u64) {
    let problem = Problem::new(model, timed);
    if let Some(origin) = problem.phantom() {
        return (End::Stuck { rank: 0, order: Vec::new(), core: Some(vec![origin]) }, 0);
    }
    let is_opaque = |class: &Class<M::Call>| !class.hints.is_blind() && class.hints.makes != NONE;
    if !problem.classes.iter().any(is_opaque) {
        return forward(&problem, keeps_order, bounds);
    }
    let few = Bounds { steps: bounds.steps.min(STEPS_BEFORE_DEPTH), ..*bounds };
    match forward(&problem, keeps_order, &few) {
        (End::GaveUp { .. }, steps) if steps > few.steps => depth_first::search(model, timed, bounds),
        found => found,
    }
}

fn forward<M: Model>(problem: &Problem<'_, M>, keeps_order: bool, bounds: &Bounds<'_>) -> (End, u64) {
    // The smaller the sets, the faster they are compared.
    match problem.width {
        0..=64 => widening::<M, u64>(problem, keeps_order, bounds),
        65..=128 => widening::<M, u128>(problem, keeps_order, bounds),
        width if width <= Wide::COUNT => widening::<M, Wide>(problem, keeps_order, bounds),
        width => {
            let reason =
                format!("{width} operations were open at once on one key, more than {}", Wide::COUNT);
            let hint = "fewer clients, or more keys";
            (End::GaveUp { reason, hint, rank: 0 }, 0)
        }
    }
}

/// Searches with the most promising configurations, then with more and more of them, until there is an order or none was
/// left out.
fn widening<M: Model, S: Slots>(
    problem: &Problem<'_, M>,
    keeps_order: bool,
    bounds: &Bounds<'_>,
) -> (End, u64) {
    let mut steps = 0;
    for (is_loose, most) in WIDTHS {
        let mut search = Search::<M, S>::new(problem, keeps_order);
        (search.is_loose, search.most) = (is_loose, most);
        search.steps = steps;
        let end = search.run(bounds);
        steps = search.steps;
        if !(search.is_cut && matches!(end, End::Stuck { .. })) {
            return (end, steps);
        }
    }
    unreachable!("the last width cuts nothing")
}

/// An open call that will complete.
struct Open<S> {
    origin: u32,
    completed: u32,
    hints: Hints,
    is_read: bool,
    /// Its slot.
    slot: usize,
    bit: S,
    /// The same for open calls that do the same.
    kind: u32,
}

struct Search<'p, 't, M: Model, S> {
    problem: &'p Problem<'t, M>,
    keeps_order: bool,
    /// What may be left out; see [`WIDTHS`].
    is_loose: bool,
    most: usize,
    /// Whether anything was that nothing covers.
    is_cut: bool,
    frontier: Vec<Configuration<M::State, S>>,
    trail: Trail,
    /// In order of completion.
    open: Vec<Open<S>>,
    /// The slots of open blind writes.
    blind: S,
    free: Vec<usize>,
    slots: usize,
    kinds: u32,
    /// How many of each class have been invoked.
    invoked: Vec<u32>,
    /// How many completed calls that are not invoked yet need each state, and how many calls make it.
    needs: Vec<u32>,
    makers: Vec<u32>,
    steps: u64,
    /// Configurations looked at since the last look at the clock.
    looked: u64,
}

impl<'p, 't, M: Model, S: Slots> Search<'p, 't, M, S> {
    fn new(problem: &'p Problem<'t, M>, keeps_order: bool) -> Search<'p, 't, M, S> {
        let start = Configuration {
            state: problem.model.initial(),
            used: S::default(),
            done: S::default(),
            taken: Taken::default(),
            is_unseen: false,
            trail: START,
        };
        Search {
            problem,
            keeps_order,
            is_loose: false,
            most: usize::MAX,
            is_cut: false,
            frontier: vec![start],
            trail: Trail::default(),
            open: Vec::new(),
            blind: S::default(),
            free: Vec::new(),
            slots: 0,
            kinds: 0,
            invoked: vec![0; problem.classes.len()],
            needs: problem.needs.clone(),
            makers: problem.makers.clone(),
            steps: 0,
            looked: 0,
        }
    }

    fn run(&mut self, bounds: &Bounds<'_>) -> End {
        let problem = self.problem;
        let mut next = 0;
        let mut open_for_ever = problem.open_for_ever.iter().peekable();
        for (rank, &completing) in problem.completions.iter().enumerate() {
            let completed = problem.timed[completing as usize].deadline();
            while let Some(timed) = problem.timed.get(next).filter(|timed| timed.invoked < completed) {
                let origin = next as u32;
                next += 1;
                if timed.completed.is_some() {
                    self.invoke(origin, timed);
                } else if let Some(&(_, class)) = open_for_ever.next_if(|&&(at, _)| at == origin) {
                    self.open_for_ever(class);
                }
            }
            match self.complete(bounds) {
                Completed::Alive => self.trail.tidy(&mut self.frontier),
                Completed::Dead(order) => return End::Stuck { rank, order, core: None },
                Completed::GaveUp(reason, hint) => return End::GaveUp { reason, hint, rank },
            }
        }
        let last = self.frontier.first().expect("one is left").trail;
        End::Linearized(self.trail.order(last))
    }

    fn invoke(&mut self, origin: u32, timed: &'t Timed<M::Call>) {
        let (call, hints) = (&timed.call, self.problem.hints(origin));
        if hints.needs != NONE {
            self.needs[hints.needs as usize] -= 1;
        }
        if hints.makes != NONE {
            self.makers[hints.makes as usize] -= 1;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        });
        let (bit, is_read) = (S::of(slot), self.problem.model.is_read(call));
        if hints.is_blind() {
            self.blind = self.blind.with(bit);
        }
        let twin = self.open.iter().find(|open| self.call(open.origin) == call).map(|open| open.kind);
        let kind = twin.unwrap_or_else(|| {
            self.kinds += 1;
            self.kinds - 1
        });
        let completed = timed.deadline();
        let place = self.open.partition_point(|open| open.completed < completed);
        self.open.insert(place, Open { origin, completed, hints, is_read, slot, bit, kind });
        if is_read {
            let mut frontier = std::mem::take(&mut self.frontier);
            for at in &mut frontier {
                self.see(at, place);
            }
            self.frontier = frontier;
        }
    }

    fn open_for_ever(&mut self, class: u32) {
        self.invoked[class as usize] += 1;
        let makes = self.problem.classes[class as usize].hints.makes;
        if makes != NONE {
            self.makers[makes as usize] -= 1;
        }
    }

    fn call(&self, origin: u32) -> &'t M::Call {
        &self.problem.timed[origin as usize].call
    }

    /// The first of the open calls completes: configurations in which it is not done go on until it is, or end.
    fn complete(&mut self, bounds: &Bounds<'_>) -> Completed {
        let due = self.open.first().expect("it was invoked before");
        let (bit, origin, slot, makes) = (due.bit, due.origin, due.slot, due.hints.makes);
        let is_blind = due.hints.is_blind();
        let mut next = Vec::with_capacity(self.frontier.len());
        let mut waiting = Vec::new();
        let (mut is_used, mut is_unused) = (false, false);
        for mut at in std::mem::take(&mut self.frontier) {
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
        self.looked += next.len() as u64;
        // Those that differ by this call alone have become the same.
        if is_used && is_unused {
            let all = std::mem::take(&mut next);
            all.into_iter().for_each(|at| self.is_cut |= insert(&mut next, at, self.is_loose));
        }
        let mut looked = 0;
        while looked < waiting.len() {
            self.steps += 1;
            if let Some((reason, hint)) = self.exceeded(bounds, next.len() + waiting.len()) {
                return Completed::GaveUp(reason, hint);
            }
            self.expand(looked, &mut waiting, &mut next);
            looked += 1;
        }
        if next.is_empty() {
            let orders = waiting.iter().map(|at| self.trail.order(at.trail));
            return Completed::Dead(orders.max_by_key(Vec::len).unwrap_or_default());
        }
        if next.len() > self.most {
            self.is_cut = true;
            next.sort_by_cached_key(Configuration::cost);
            next.truncate(self.most);
        }
        self.frontier = next;
        self.open.remove(0);
        self.free.push(slot);
        self.blind = self.blind.without(bit);
        Completed::Alive
    }

    /// Tries whatever may come next at a configuration in which the first open call is not done. Those in which it is then done
    /// go to `next`, the others to `waiting`.
    fn expand(
        &mut self,
        at: usize,
        waiting: &mut Vec<Configuration<M::State, S>>,
        next: &mut Vec<Configuration<M::State, S>>,
    ) {
        let at = waiting[at].clone();
        let (due, is_blind) = (self.open[0].bit, self.open[0].hints.is_blind());
        let wanted = self.wanted(&at);
        let (is_loose, mut is_cut) = (self.is_loose, false);
        let mut reach = |mut new: Configuration<M::State, S>| {
            // A blind write that can be thought before another one need not be: it goes on until it is placed.
            if if is_blind { new.used.meets(due) } else { new.done.meets(due) } {
                new.used = new.used.without(due);
                new.done = new.done.without(due);
                new.is_unseen = false;
                is_cut |= insert(next, new, is_loose);
            } else if is_loose && waiting.iter().any(|old| old.covers_loosely(&new)) {
                is_cut = true;
            } else if !waiting.iter().any(|old| old.covers(&new)) {
                waiting.push(new);
            }
        };
        for place in 0..self.open.len() {
            if let Some(new) = self.placed(&at, place, &wanted) {
                reach(new);
            }
        }
        for &class in &wanted.classes {
            if let Some(new) = self.taken(&at, class, &wanted) {
                reach(new);
            }
        }
        self.is_cut |= is_cut;
    }

    /// After the open call at `place`, if it may be next.
    fn placed(
        &mut self,
        at: &Configuration<M::State, S>,
        place: usize,
        wanted: &Wanted,
    ) -> Option<Configuration<M::State, S>> {
        let open = &self.open[place];
        let is_blind = open.hints.is_blind();
        let is_pointless = is_blind && (at.is_unseen || place > 0 && !wanted.has(open.hints.makes));
        if open.is_read || at.used.meets(open.bit) || is_pointless {
            return None;
        }
        let mut before = self.open[..place].iter();
        if before.any(|other| other.kind == open.kind && !at.used.meets(other.bit)) {
            return None;
        }
        let (origin, bit, needs) = (open.origin, open.bit, open.hints.needs);
        let state = self.after(at, self.call(origin), needs)?;
        let mut new = at.clone();
        new.used = at.used.with(bit);
        new.done = at.done.with(bit);
        self.enter(&mut new, state, origin, is_blind);
        Some(new)
    }

    /// After the next member of the class, if it may be next.
    fn taken(
        &mut self,
        at: &Configuration<M::State, S>,
        class: u32,
        wanted: &Wanted,
    ) -> Option<Configuration<M::State, S>> {
        let problem = self.problem;
        let Class { call, hints, members } = &problem.classes[class as usize];
        let is_pointless = hints.is_blind() && (at.is_unseen || !wanted.has(hints.makes));
        let number = at.taken.of(class);
        let has_twin = |open: &Open<S>| !at.used.meets(open.bit) && self.call(open.origin) == call;
        if is_pointless || number == self.invoked[class as usize] || self.open.iter().any(has_twin) {
            return None;
        }
        // Nobody demands that this one sees what it needs.
        let state = self.after(at, call, NONE)?;
        let mut new = at.clone();
        new.taken = at.taken.with(class);
        self.enter(&mut new, state, members[number as usize], hints.is_blind());
        Some(new)
    }

    /// Enters a new state by a call that was placed, and takes the reads that it allows.
    fn enter(&mut self, new: &mut Configuration<M::State, S>, state: M::State, origin: u32, is_blind: bool) {
        new.state = state;
        if is_blind {
            new.done = new.done.with(self.blind);
        }
        new.trail = self.step(new.trail, if is_blind { Step::Overwrote } else { Step::Placed }, origin);
        let before = new.done;
        for place in 0..self.open.len() {
            if self.open[place].is_read {
                self.see(new, place);
            }
        }
        new.is_unseen = is_blind && new.done == before;
    }

    /// Takes the open read at `place`, if the state allows it.
    fn see(&mut self, at: &mut Configuration<M::State, S>, place: usize) {
        let Open { origin, bit, .. } = self.open[place];
        if !at.done.meets(bit) && self.problem.model.step(&at.state, self.call(origin)).is_some() {
            at.done = at.done.with(bit);
            at.trail = self.step(at.trail, Step::Placed, origin);
        }
    }

    fn step(&mut self, from: u32, step: Step, origin: u32) -> u32 {
        if self.keeps_order { self.trail.add(from, step, origin) } else { START }
    }

    /// The state after `call`, unless the model forbids it, or it leaves for good a state that is still needed. `needs` is what
    /// a call needs that will complete.
    fn after(&self, at: &Configuration<M::State, S>, call: &M::Call, needs: u32) -> Option<M::State> {
        let model = self.problem.model;
        let next = model.step(&at.state, call)?;
        let Some(state) = model.number(&at.state).filter(|_| next != at.state) else {
            return Some(next);
        };
        if self.makers.get(state as usize).is_none_or(|&makers| makers > 0) {
            return Some(next);
        }
        let undone = |open: &&Open<S>| !at.done.meets(open.bit);
        let of_open = self.open.iter().filter(undone).filter(|open| open.hints.needs == state).count();
        let needed = self.needs[state as usize] as usize + of_open;
        if needed == usize::from(needs == state) {
            return Some(next);
        }
        let unused = |open: &Open<S>| open.hints.makes == state && !at.used.meets(open.bit);
        let classes = self.problem.classes_making.get(&state).map_or(&[][..], Vec::as_slice);
        let remains = |&class: &u32| at.taken.of(class) < self.invoked[class as usize];
        (self.open.iter().any(unused) || classes.iter().any(remains)).then_some(next)
    }

    /// Whether anybody who is open or comes later may need the state.
    fn is_needed(&self, state: u32) -> bool {
        let by_class = |class: &Class<M::Call>| class.hints.needs == state || class.hints.sees_any();
        self.problem.sees_any
            || self.needs.get(state as usize).is_none_or(|&needs| needs > 0)
            || self.open.iter().any(|open| open.hints.needs == state)
            || self.problem.classes.iter().any(by_class)
    }

    /// What open calls may be waiting for.
    fn wanted(&self, at: &Configuration<M::State, S>) -> Wanted {
        let problem = self.problem;
        let mut wanted = Wanted { anything: false, states: Vec::new(), classes: Vec::new() };
        for open in self.open.iter().filter(|open| !at.done.meets(open.bit)) {
            wanted.add(open.hints);
        }
        for &class in &problem.classes_unknown {
            wanted.add(problem.classes[class as usize].hints);
            wanted.classes.push(class);
        }
        let mut looked = 0;
        while let Some(making) = wanted.states.get(looked).map(|state| problem.classes_making.get(state)) {
            looked += 1;
            for &class in making.into_iter().flatten() {
                wanted.add(problem.classes[class as usize].hints);
                wanted.classes.push(class);
            }
        }
        if wanted.anything {
            wanted.classes = (0..problem.classes.len() as u32).collect();
        }
        wanted
    }

    fn exceeded(&mut self, bounds: &Bounds<'_>, configurations: usize) -> Option<(String, &'static str)> {
        if self.steps > bounds.steps {
            return Some((format!("gave up after {} steps", self.steps), "more steps"));
        }
        self.looked += 1;
        if self.looked < STEPS_PER_LOOK {
            return None;
        }
        self.looked = 0;
        if (bounds.out_of_time)() {
            return Some((
                "the time limit was reached".to_owned(),
                "a higher `--time-limit`, values that are written only once, or more keys",
            ));
        }
        let used = configurations * size_of::<Configuration<M::State, S>>() + self.trail.bytes();
        let hint = "a higher `--memory-limit`, values that are written only once, or more keys";
        (used > bounds.memory_bytes).then(|| ("the memory limit was reached".to_owned(), hint))
    }
}

/// What became of a completion.
enum Completed {
    Alive,
    /// No configuration is left; the longest order before.
    Dead(Vec<u32>),
    GaveUp(String, &'static str),
}

/// What is worth being made.
struct Wanted {
    /// Some call may depend on any state.
    anything: bool,
    states: Vec<u32>,
    classes: Vec<u32>,
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
