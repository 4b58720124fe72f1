//! Looks for one order of all operations in which each process keeps its own, over all keys together: sequential consistency
//! (Lamport 1979), for any model.
//!
//! Unlike linearizability it cannot be judged key by key. The one idea: a configuration is how far each process has got and the states
//! that the keys have; it is entered once. A read that is possible is taken at once, for it takes nothing away from others.
//! Where a model tells what a call needs and makes, a state is not overwritten while somebody still needs it and nobody can make it
//! again.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashMap, HashSet};

use crate::check::{Limits, ShapeError};
use crate::history::{Datum, History, Outcome};
use crate::models::Model;

/// How a search ended.
pub(super) enum Searched {
    /// Places of operations in an order that explains the history.
    Ordered,
    /// There is none; the places of those that came next where it got farthest.
    NoOrder(Vec<u32>),
    GaveUp(String),
}

/// Steps between two looks at the clock.
const STEPS_PER_LOOK: u64 = 1 << 12;

struct Placed<C> {
    place: u32,
    key: u32,
    call: C,
    is_read: bool,
    is_optional: bool,
    needs: Option<u32>,
    makes: Option<u32>,
    /// How many demands have not been met yet.
    waits_for: u32,
}

struct Search<'h, M: Model> {
    history: &'h History,
    models: Vec<M>,
    sessions: Vec<Vec<Placed<M::Call>>>,
    /// Behind an operation those that must not come before it: session and number.
    behind: HashMap<u32, Vec<(u32, u32)>>,
    got: Vec<u32>,
    states: Vec<M::State>,
    /// By key and state: who still needs it among those that happened, who can still make it.
    counts: Vec<HashMap<u32, (u32, u32)>>,
    /// What was placed: its session, and the state of its key before.
    trail: Vec<(u32, Option<M::State>)>,
    left: usize,
    seen: HashSet<u128>,
    /// The number of the configuration.
    number: u128,
    /// States that an uncertain call needs.
    hoped_for: HashSet<(u32, u32)>,
    hasher: DefaultHashBuilder,
}

/// Searches; `demands` are pairs of places, the first of which must come first in any order.
pub(super) fn search<M: Model>(
    history: &History,
    model: &dyn Fn() -> M,
    demands: &[(u32, u32)],
    limits: &Limits<'_>,
) -> Result<Searched, ShapeError> {
    let mut search = Search::of(history, model)?;
    search.take_demands(demands);
    Ok(search.run(limits))
}

impl<'h, M: Model> Search<'h, M> {
    fn of(history: &'h History, model: &dyn Fn() -> M) -> Result<Search<'h, M>, ShapeError> {
        let mut search = Search {
            history,
            models: Vec::new(),
            sessions: Vec::new(),
            behind: HashMap::new(),
            got: Vec::new(),
            states: Vec::new(),
            counts: Vec::new(),
            trail: Vec::new(),
            left: 0,
            seen: HashSet::new(),
            number: 0,
            hoped_for: HashSet::new(),
            hasher: DefaultHashBuilder::default(),
        };
        let mut keys: HashMap<Datum, u32> = HashMap::new();
        let mut session_of: HashMap<u64, usize> = HashMap::new();
        for (operation, place) in history.operations.iter().zip(0..) {
            let key = *keys.entry(operation.key).or_insert_with(|| {
                search.models.push(model());
                search.counts.push(HashMap::new());
                search.models.len() as u32 - 1
            });
            let model = &mut search.models[key as usize];
            let shaped = model.call(history, operation);
            let call = shaped.map_err(|message| ShapeError { line: operation.line(), message })?;
            let is_read = model.is_read(&call);
            let is_optional = operation.outcome == Outcome::Info;
            if operation.outcome == Outcome::Fail || is_optional && is_read {
                continue;
            }
            let (mut needs, makes) = (model.needs(&call), model.makes(&call));
            if is_optional {
                search.hoped_for.extend(needs.take().map(|state| (key, state)));
            }
            let counts = &mut search.counts[key as usize];
            needs.into_iter().for_each(|state| counts.entry(state).or_default().0 += 1);
            makes.into_iter().for_each(|state| counts.entry(state).or_default().1 += 1);
            let session = *session_of.entry(operation.process).or_insert_with(|| {
                search.sessions.push(Vec::new());
                search.sessions.len() - 1
            });
            search.left += usize::from(!is_optional);
            let placed = Placed { place, key, call, is_read, is_optional, needs, makes, waits_for: 0 };
            search.sessions[session].push(placed);
        }
        search.got = vec![0; search.sessions.len()];
        search.states = search.models.iter().map(Model::initial).collect();
        Ok(search)
    }

    fn take_demands(&mut self, demands: &[(u32, u32)]) {
        let mut at_of: HashMap<u32, (u32, u32)> = HashMap::new();
        if !demands.is_empty() {
            for (session, number) in self.sessions.iter().zip(0..) {
                at_of.extend(session.iter().zip(0..).map(|(placed, at)| (placed.place, (number, at))));
            }
        }
        for (from, to) in demands {
            let (session, at) = at_of[to];
            self.sessions[session as usize][at as usize].waits_for += 1;
            self.behind.entry(*from).or_default().push((session, at));
        }
    }

    /// Depth first; each frame is what may come next at a configuration and how much had been placed there.
    fn run(&mut self, limits: &Limits<'_>) -> Searched {
        let mut steps = 0;
        let (mut farthest, mut stuck) = (usize::MAX, Vec::new());
        self.take_reads();
        let mut frames: Vec<(Vec<u32>, usize)> = vec![(self.choices(), self.trail.len())];
        while self.left > 0 {
            let Some((choices, length)) = frames.last_mut() else {
                return Searched::NoOrder(stuck);
            };
            let length = *length;
            let choice = choices.pop();
            self.undo_to(length);
            let Some(session) = choice else {
                if self.left < farthest {
                    (farthest, stuck) = (self.left, self.next_places());
                }
                frames.pop();
                continue;
            };
            steps += 1;
            if let Some(reason) = self.exceeded(steps, limits) {
                return Searched::GaveUp(reason);
            }
            self.place(session);
            self.take_reads();
            if self.left == 0 {
                break;
            }
            if self.seen.insert(self.number) {
                frames.push((self.choices(), self.trail.len()));
            }
        }
        Searched::Ordered
    }

    fn next(&self, session: u32) -> Option<&Placed<M::Call>> {
        self.sessions[session as usize].get(self.got[session as usize] as usize)
    }

    fn take_reads(&mut self) {
        let mut waiting: Vec<u32> = (0..self.sessions.len() as u32).collect();
        while let Some(session) = waiting.pop() {
            let is_possible = |next: &Placed<M::Call>| {
                let model = &self.models[next.key as usize];
                next.is_read
                    && next.waits_for == 0
                    && model.step(&self.states[next.key as usize], &next.call).is_some()
            };
            if self.next(session).is_some_and(is_possible) {
                waiting.push(session);
                let freed = self.place(session);
                waiting.extend(freed);
            }
        }
    }

    /// Sessions that may go on, the one that did so first in the history last.
    fn choices(&self) -> Vec<u32> {
        let all = 0..self.sessions.len() as u32;
        let mut choices: Vec<u32> = all.filter(|&session| self.may_go_on(session)).collect();
        choices.sort_unstable_by_key(|&session| std::cmp::Reverse(self.urgency(session)));
        choices
    }

    fn urgency(&self, session: u32) -> u32 {
        let next = self.next(session).expect("it may go on");
        let operation = &self.history.operations[next.place as usize];
        operation.completed_at().filter(|_| !next.is_optional).unwrap_or(u32::MAX)
    }

    fn may_go_on(&self, session: u32) -> bool {
        let Some(next) = self.next(session).filter(|next| !next.is_read && next.waits_for == 0) else {
            return false;
        };
        let (model, state) = (&self.models[next.key as usize], &self.states[next.key as usize]);
        let Some(after) = model.step(state, &next.call) else {
            return false;
        };
        // What only an uncertain call makes and nobody needs is no help.
        let counts = |state: Option<u32>| state.and_then(|state| self.counts[next.key as usize].get(&state));
        if next.is_optional
            && let Some(made) = next.makes
            && counts(next.makes).is_none_or(|counts| counts.0 == 0)
            && !self.hoped_for.contains(&(next.key, made))
        {
            return false;
        }
        let (before, after) = (model.number(state), model.number(&after));
        let own = u32::from(next.needs.is_some() && next.needs == before);
        let is_lost = |&(needed, makers): &(u32, u32)| needed > own && makers == 0;
        before == after || !counts(before).is_some_and(is_lost)
    }

    /// Places the next of a session; gives the sessions that waited for it.
    fn place(&mut self, session: u32) -> Vec<u32> {
        self.mix_session(session);
        let next = &self.sessions[session as usize][self.got[session as usize] as usize];
        let (key, place, is_read) = (next.key, next.place, next.is_read);
        let state = &self.states[key as usize];
        let after = self.models[key as usize].step(state, &next.call).expect("it is possible");
        self.left -= usize::from(!next.is_optional);
        count(&mut self.counts[key as usize], (next.needs, next.makes), |count| *count -= 1);
        let before = (!is_read).then(|| self.change(key, after));
        self.got[session as usize] += 1;
        self.mix_session(session);
        self.trail.push((session, before));
        let mut freed = Vec::new();
        for &(session, at) in self.behind.get(&place).into_iter().flatten() {
            self.sessions[session as usize][at as usize].waits_for -= 1;
            freed.push(session);
        }
        freed
    }

    fn undo_to(&mut self, length: usize) {
        while self.trail.len() > length {
            let (session, before) = self.trail.pop().expect("it is longer");
            self.mix_session(session);
            self.got[session as usize] -= 1;
            self.mix_session(session);
            let undone = &self.sessions[session as usize][self.got[session as usize] as usize];
            let (key, place) = (undone.key, undone.place);
            self.left += usize::from(!undone.is_optional);
            count(&mut self.counts[key as usize], (undone.needs, undone.makes), |count| *count += 1);
            before.map(|before| self.change(key, before));
            for &(session, at) in self.behind.get(&place).into_iter().flatten() {
                self.sessions[session as usize][at as usize].waits_for += 1;
            }
        }
    }

    /// Gives the key another state; the one that it had.
    fn change(&mut self, key: u32, state: M::State) -> M::State {
        self.number ^= self.mixed(&(key, &self.states[key as usize]));
        let before = std::mem::replace(&mut self.states[key as usize], state);
        self.number ^= self.mixed(&(key, &self.states[key as usize]));
        before
    }

    /// Takes how far a session has got out of the number of the configuration, or puts it there.
    fn mix_session(&mut self, session: u32) {
        self.number ^= self.mixed(&(u32::MAX, session, self.got[session as usize]));
    }

    /// Two different configurations have the same number with a probability of 2^-128.
    fn mixed(&self, part: &impl Hash) -> u128 {
        let half = |salt: u64| u128::from(self.hasher.hash_one((salt, part)));
        half(0) << 64 | half(1)
    }

    /// What comes next in each process that is not done.
    fn next_places(&self) -> Vec<u32> {
        let all = 0..self.sessions.len() as u32;
        all.filter_map(|session| self.next(session)).map(|next| next.place).collect()
    }

    fn exceeded(&self, steps: u64, limits: &Limits<'_>) -> Option<String> {
        let reached = || format!("{} completed operations had no place yet", self.left);
        if self.seen.capacity() * 17 * 8 / 7 > limits.memory_bytes.unwrap_or(usize::MAX) {
            return Some(format!(
                "the memory limit was reached; {} (hint: a higher `--memory-limit`)",
                reached()
            ));
        }
        let is_late = steps.is_multiple_of(STEPS_PER_LOOK) && (limits.out_of_time)();
        is_late.then(|| format!("the time limit was reached; {} (hint: a higher `--time-limit`)", reached()))
    }
}

fn count(
    counts: &mut HashMap<u32, (u32, u32)>,
    (needs, makes): (Option<u32>, Option<u32>),
    change: impl Fn(&mut u32),
) {
    if let Some(of) = needs.and_then(|state| counts.get_mut(&state)) {
        change(&mut of.0);
    }
    if let Some(of) = makes.and_then(|state| counts.get_mut(&state)) {
        change(&mut of.1);
    }
}
