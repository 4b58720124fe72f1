//! Semaphores, a mutex among them: all that acquire are alike, and so are all that release.
//!
//! The one idea: nothing needs to happen before its time is up. When a call's is, it happens; if no permit is there for it, or
//! none is taken, one of the other kind goes first, and of those that have begun the one whose time is up first. Whoever
//! happened sooner in another order can as well happen then, and of two that are alike the more urgent one can go first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Decision, Plan};
use crate::linearizability::timed::Timed;
use crate::models::SemaphoreCall;

/// Decides a semaphore with so many permits, open calls included.
pub fn decide_semaphore(timed: &[Timed<SemaphoreCall>], permits: u32) -> Decision {
    let completed = |at: &u32| Some((timed[*at as usize].completed?, *at));
    let mut ends: Vec<(u32, u32)> = (0..timed.len() as u32).filter_map(|at| completed(&at)).collect();
    ends.sort_unstable();
    let mut semaphore = Semaphore { timed, permits, taken: 0, begun: Default::default(), next: 0 };
    let mut is_placed = vec![false; timed.len()];
    let mut plan = Plan::new(timed);
    for (end, at) in ends {
        if is_placed[at as usize] {
            continue;
        }
        semaphore.begin(end);
        if !semaphore.may(timed[at as usize].call) {
            let Some(other) = semaphore.most_urgent(opposite(timed[at as usize].call), &is_placed) else {
                return Decision::Violation((0..semaphore.next).collect());
            };
            semaphore.place(other, &mut is_placed);
            plan.next(other);
        }
        semaphore.place(at, &mut is_placed);
        plan.next(at);
    }
    Decision::Linearizable(plan.order())
}

fn opposite(call: SemaphoreCall) -> SemaphoreCall {
    match call {
        SemaphoreCall::Acquire => SemaphoreCall::Release,
        SemaphoreCall::Release => SemaphoreCall::Acquire,
    }
}

struct Semaphore<'t> {
    timed: &'t [Timed<SemaphoreCall>],
    permits: u32,
    taken: u32,
    /// Those that acquire and those that release, by when their time is up; some have happened.
    begun: [BinaryHeap<Reverse<(u32, u32)>>; 2],
    /// The first that has not begun.
    next: u32,
}

impl Semaphore<'_> {
    fn begin(&mut self, end: u32) {
        while let Some(timed) = self.timed.get(self.next as usize).filter(|timed| timed.invoked < end) {
            self.begun[timed.call as usize].push(Reverse((timed.deadline(), self.next)));
            self.next += 1;
        }
    }

    fn may(&self, call: SemaphoreCall) -> bool {
        match call {
            SemaphoreCall::Acquire => self.taken < self.permits,
            SemaphoreCall::Release => self.taken > 0,
        }
    }

    fn most_urgent(&mut self, call: SemaphoreCall, is_placed: &[bool]) -> Option<u32> {
        let waiting = std::iter::from_fn(|| self.begun[call as usize].pop());
        waiting.map(|Reverse((_, at))| at).find(|&at| !is_placed[at as usize])
    }

    fn place(&mut self, at: u32, is_placed: &mut [bool]) {
        is_placed[at as usize] = true;
        match self.timed[at as usize].call {
            SemaphoreCall::Acquire => self.taken += 1,
            SemaphoreCall::Release => self.taken -= 1,
        }
    }
}
