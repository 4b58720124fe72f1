//! The longest orders of a few calls that have no order of all, and why each ends where it ends.
//!
//! Not the search: that one is fast because it leaves out what cannot matter, and a reader wants to see every way that could have
//! been meant. So this tries all orders, of few enough calls.

use std::collections::HashSet;

use super::super::timed::Timed;
use crate::models::Model;

/// As many calls as a word has bits; more are too many to read anyway.
const CALLS_MAX: usize = 64;

/// Configurations that are looked at; beyond it, the longest orders so far have to do.
const CONFIGURATIONS_MAX: usize = 100_000;

/// As many orders as a reader compares.
const ORDERS_MAX: usize = 3;

/// One order that cannot be made longer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Longest<T> {
    /// Calls by their places, each with the state after it.
    pub(super) steps: Vec<(usize, T)>,
    /// Those that would have to be next, and that the state does not allow.
    pub(super) stuck: Vec<usize>,
}

struct Walk<'a, M: Model> {
    model: &'a M,
    timed: &'a [Timed<M::Call>],
    seen: HashSet<(u64, M::State)>,
    steps: Vec<(usize, M::State)>,
    /// Places of completed calls that they have placed, with the orders.
    found: Vec<(u64, Longest<M::State>)>,
}

/// The longest orders of `timed`, no two of which place the same calls; none if there are too many calls.
pub(super) fn longest<M: Model>(model: &M, timed: &[Timed<M::Call>]) -> Vec<Longest<M::State>> {
    if timed.len() > CALLS_MAX {
        return Vec::new();
    }
    let mut walk = Walk { model, timed, seen: HashSet::new(), steps: Vec::new(), found: Vec::new() };
    walk.go_on(0, &model.initial());
    let Walk { found, .. } = walk;
    found.into_iter().map(|(_, longest)| longest).collect()
}

impl<M: Model> Walk<'_, M> {
    fn go_on(&mut self, placed: u64, state: &M::State) {
        if self.seen.len() >= CONFIGURATIONS_MAX || !self.seen.insert((placed, state.clone())) {
            return;
        }
        let unplaced = (0..self.timed.len()).filter(|at| placed & 1 << at == 0);
        let deadline = unplaced.clone().map(|at| self.timed[at].deadline()).min().unwrap_or(0);
        let (mut stuck, mut is_longest) = (Vec::new(), true);
        for at in unplaced.filter(|&at| self.timed[at].invoked <= deadline) {
            let Some(next) = self.model.step(state, &self.timed[at].call) else {
                stuck.push(at);
                continue;
            };
            is_longest = false;
            self.steps.push((at, next.clone()));
            self.go_on(placed | 1 << at, &next);
            self.steps.pop();
        }
        if is_longest {
            self.keep(placed, stuck);
        }
    }

    /// Keeps the order if it is as long as the longest so far, counted in calls that surely happened.
    fn keep(&mut self, placed: u64, stuck: Vec<usize>) {
        let completed = |placed: u64| {
            let happened = |at: &usize| placed & 1 << at != 0 && self.timed[*at].completed.is_some();
            (0..self.timed.len()).filter(happened).count()
        };
        let length = completed(placed);
        let longest = self.found.first().map_or(0, |&(placed, _)| completed(placed));
        if length > longest {
            self.found.clear();
        }
        let is_new = self.found.iter().all(|&(other, _)| other != placed);
        if length >= longest && is_new && self.found.len() < ORDERS_MAX {
            self.found.push((placed, Longest { steps: self.steps.clone(), stuck }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Datum;
    use crate::models::{Call, Register};

    fn timed(call: Call, invoked: u32, completed: u32) -> Timed<Call> {
        Timed { call, invoked, completed: Some(completed) }
    }

    #[test]
    fn a_stale_read_is_stuck_behind_both_writes() {
        let model = Register::new(false, Datum::NULL);
        let calls = [timed(Call::Write(1), 0, 1), timed(Call::Write(2), 2, 3), timed(Call::Read(1), 4, 5)];
        let orders = longest(&model, &calls);
        assert_eq!(orders, [Longest { steps: vec![(0, 1), (1, 2)], stuck: vec![2] }]);
    }

    #[test]
    fn two_orders_that_leave_out_different_calls_are_both_told() {
        let model = Register::new(true, Datum::NULL);
        let calls = [timed(Call::Write(1), 0, 1), timed(Call::Cas(1, 2), 2, 9), timed(Call::Cas(1, 3), 3, 8)];
        let orders = longest(&model, &calls);
        let stuck: Vec<_> = orders.iter().map(|order| order.stuck.clone()).collect();
        assert_eq!(stuck, [[2], [1]]);
    }
}
