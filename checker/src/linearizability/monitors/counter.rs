//! Counters to which every `add` adds the same number: then nobody can tell one `add` from another.
//!
//! The one idea: a read that saw `k` of them comes between the `k`-th and the one behind it. So the reads give the `k`-th `add` a
//! window: from the last invocation of a read that saw fewer to the first completion of a read that saw as many. The windows
//! move on with `k`, and each goes to the `add` of those open in it that has to be done first (Glover 1967).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Decision, Plan};
use crate::linearizability::timed::Timed;
use crate::models::CounterCall;

/// Decides a counter of which all numbers added are equal, those apart that are zero; else `None`.
pub fn decide_counter(timed: &[Timed<CounterCall>]) -> Option<Decision> {
    let counter = Counter::of(timed)?;
    Some(match counter {
        Ok(counter) => counter.decide(),
        Err(impossible) => Decision::Violation(vec![impossible]),
    })
}

struct Counter<'t> {
    timed: &'t [Timed<CounterCall>],
    /// In order of invocation.
    adds: Vec<u32>,
    /// Completed reads with how many adds each saw, in that order.
    reads: Vec<(u32, u32)>,
    /// Window of the `k`-th add at `k - 1`; the last is for all that no read saw.
    windows: Vec<Window>,
}

#[derive(Clone, Copy)]
struct Window {
    start: u32,
    end: u32,
}

impl<'t> Counter<'t> {
    /// `Err`: a read that no number of adds explains.
    fn of(timed: &'t [Timed<CounterCall>]) -> Option<Result<Counter<'t>, u32>> {
        let number = |timed: &Timed<CounterCall>| match timed.call {
            CounterCall::Add(number) if number != 0 => Some(number),
            CounterCall::Add(_) | CounterCall::Read(_) => None,
        };
        let one = timed.iter().find_map(number).unwrap_or(1);
        if timed.iter().filter_map(number).any(|other| other != one) {
            return None;
        }
        let places = 0..timed.len() as u32;
        let adds: Vec<u32> = places.clone().filter(|&at| number(&timed[at as usize]).is_some()).collect();
        // Beyond this the numbers would wrap around.
        one.checked_mul(i64::try_from(adds.len()).ok()?)?;
        let mut reads = Vec::new();
        for at in places {
            let Timed { call: CounterCall::Read(Some(told)), completed: Some(_), .. } = timed[at as usize]
            else {
                continue;
            };
            let is_possible =
                told.checked_rem(one) == Some(0) && (0..=adds.len() as i64).contains(&(told / one));
            if !is_possible {
                return Some(Err(at));
            }
            reads.push(((told / one) as u32, at));
        }
        reads.sort_unstable();
        let mut counter = Counter { timed, adds, reads, windows: Vec::new() };
        counter.windows = counter.windows();
        Some(Ok(counter))
    }

    fn windows(&self) -> Vec<Window> {
        let most = self.reads.last().map_or(0, |&(seen, _)| seen);
        let mut windows = vec![Window { start: 0, end: u32::MAX }; most as usize + 1];
        for &(seen, at) in &self.reads {
            let Timed { invoked, .. } = self.timed[at as usize];
            let start = &mut windows[seen as usize].start;
            *start = invoked.max(*start);
            if let Some(last) = seen.checked_sub(1) {
                let end = &mut windows[last as usize].end;
                *end = self.timed[at as usize].deadline().min(*end);
            }
        }
        for at in 1..windows.len() {
            windows[at].start = windows[at].start.max(windows[at - 1].start);
        }
        for at in (1..windows.len()).rev() {
            windows[at - 1].end = windows[at - 1].end.min(windows[at].end);
        }
        windows
    }

    fn decide(&self) -> Decision {
        let mut chosen: Vec<u32> = Vec::with_capacity(self.windows.len());
        let mut waiting: BinaryHeap<Reverse<(u32, u32)>> = BinaryHeap::new();
        let mut arriving = self.adds.iter().copied().peekable();
        for (window, seen) in self.windows.iter().zip(0..) {
            if window.start > window.end {
                return Decision::Violation(self.backwards(seen, seen + 1, &[]));
            }
            while let Some(at) = arriving.next_if(|&at| self.timed[at as usize].invoked < window.end) {
                waiting.push(Reverse((self.timed[at as usize].deadline(), at)));
            }
            if let Some(&Reverse((deadline, late))) = waiting.peek()
                && deadline < window.start
            {
                return Decision::Violation(self.missed(&chosen, late));
            }
            // The last window takes all that remain.
            if seen as usize + 1 == self.windows.len() {
                break;
            }
            match waiting.pop() {
                Some(Reverse((_, at))) => chosen.push(at),
                None => return Decision::Violation(self.too_many(seen + 1)),
            }
        }
        let rest = waiting.into_iter().map(|Reverse((_, at))| at);
        let rest: Vec<u32> = rest.filter(|&at| self.timed[at as usize].completed.is_some()).collect();
        Decision::Linearizable(self.order(&chosen, &sorted(rest)))
    }

    /// A read that saw that many when fewer had been invoked, and those.
    fn too_many(&self, seen: u32) -> Vec<u32> {
        let read = self.read_of_at_least(seen);
        let end = self.timed[read as usize].deadline();
        let adds = self.adds.iter().copied().filter(|&at| self.timed[at as usize].invoked < end);
        sorted(adds.chain([read]).collect())
    }

    /// The completed read that saw so many or more and ends first.
    fn read_of_at_least(&self, seen: u32) -> u32 {
        let first = self.reads.partition_point(|&(other, _)| other < seen);
        let reads = self.reads[first..].iter().map(|&(_, at)| at);
        reads.min_by_key(|&at| self.timed[at as usize].deadline()).expect("a window ends with a read")
    }

    /// An add that was not among the chosen although it lies wholly before a read that saw only these.
    fn missed(&self, chosen: &[u32], late: u32) -> Vec<u32> {
        let deadline = |at: u32| self.timed[at as usize].deadline();
        // From there on all lie wholly between the same two reads, or they would have been chosen sooner.
        let before = chosen.iter().rposition(|&at| deadline(at) > deadline(late)).map_or(0, |last| last + 1);
        let between = [&chosen[before..], &[late]].concat();
        self.backwards(chosen.len() as u32, before as u32, &between)
    }

    /// A read that saw `more` or more, wholly before one that saw `seen` or fewer, and `between` them more adds than make up for
    /// it. What the first one saw is there too, so that it is no read from nowhere.
    fn backwards(&self, seen: u32, more: u32, between: &[u32]) -> Vec<u32> {
        let behind = self.reads.partition_point(|&(other, _)| other <= seen);
        let reads = self.reads[..behind].iter().map(|&(_, at)| at);
        let second =
            reads.max_by_key(|&at| self.timed[at as usize].invoked).expect("a window starts with a read");
        let mut core = [between, &[second]].concat();
        if more > 0 {
            let first = self.read_of_at_least(more);
            let seen = self.reads.iter().find(|&&(_, at)| at == first).map_or(0, |&(seen, _)| seen);
            core.push(first);
            core.extend_from_slice(&self.adds[..seen as usize]);
        }
        core.sort_unstable();
        core.dedup();
        core
    }

    fn order(&self, chosen: &[u32], rest: &[u32]) -> Vec<u32> {
        let mut plan = Plan::new(self.timed);
        let mut reads = self.reads.iter().peekable();
        for (&add, seen) in chosen.iter().zip(0..) {
            let until = reads.clone().take_while(|&&(other, _)| other == seen).count();
            reads.by_ref().take(until).for_each(|&(_, at)| plan.next(at));
            plan.next(add);
        }
        reads.for_each(|&(_, at)| plan.next(at));
        rest.iter().for_each(|&at| plan.next(at));
        let is_nothing = |&at: &u32| {
            self.timed[at as usize].call == CounterCall::Add(0) && self.timed[at as usize].completed.is_some()
        };
        (0..self.timed.len() as u32).filter(is_nothing).for_each(|at| plan.not_before(0, at));
        plan.order()
    }
}

fn sorted(mut calls: Vec<u32>) -> Vec<u32> {
    calls.sort_unstable();
    calls
}
