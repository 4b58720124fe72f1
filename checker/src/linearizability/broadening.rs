//! How wide the forward search goes, and where.
//!
//! The one idea: where operations are open for ever there can be very many configurations, and nearly all lead on. So only the
//! few most promising are gone on with. Where they lead nowhere, the search goes back a little and takes more along from there, then back
//! further with yet more, and in the end to where something was left out first, with all: only then is it shown that there is no order.

use super::forward::{Advance, Forward, Situation, Width};
use super::machine::Steps;
use super::problem::Problem;
use super::search::{Bounds, End};
use super::slots::{Slots, Wide};

/// The width while all goes well, and how much more of it each further try takes.
const WIDTH: usize = 2;
const WIDENING: usize = 8;

/// So many completions the first try at a difficulty goes back, and so many times as many each further one.
const RETREAT: usize = 64;
const RETREATING: usize = 8;

/// Tries at one difficulty before the whole is searched anew, without leaving anything out but what is too much.
const TRIES: u32 = 4;
const STRICT: usize = 8192;

/// How many situations to go back to are kept at most; the older ones lie further apart.
const KEPT: usize = 32;

/// Looks for an order that explains the problem's operations; also says how many steps that took.
pub(super) fn search<T: Clone + Eq>(
    machine: &dyn Steps<T>,
    problem: &Problem<'_>,
    keeps_order: bool,
    bounds: &Bounds<'_>,
) -> (End, u64) {
    // The smaller the sets, the faster they are compared.
    match problem.width {
        0..=64 => Broadening::<T, u64>::of(machine, problem, keeps_order).run(bounds),
        65..=128 => Broadening::<T, u128>::of(machine, problem, keeps_order).run(bounds),
        _ => Broadening::<T, Wide>::of(machine, problem, keeps_order).run(bounds),
    }
}

struct Broadening<'p, T, S> {
    forward: Forward<'p, T, S>,
    /// Where it was; up to the first, nothing was left out.
    kept: Vec<Situation<T, S>>,
    /// Completions between two that are kept.
    distance: usize,
    width: Width,
    /// How often it failed at the difficulty that it is at, and behind which rank that is over.
    tries: u32,
    until: usize,
}

impl<'p, T: Clone + Eq, S: Slots> Broadening<'p, T, S> {
    fn of(machine: &'p dyn Steps<T>, problem: &'p Problem<'p>, keeps_order: bool) -> Broadening<'p, T, S> {
        let forward = Forward::new(machine, problem, keeps_order);
        let kept = vec![forward.now.clone()];
        // Tables that grow with the states are copied seldom.
        let distance = RETREAT.max(problem.needs.len() / 8);
        let width = Width { most: WIDTH, is_loose: true };
        Broadening { forward, kept, distance, width, tries: 0, until: 0 }
    }

    fn run(mut self, bounds: &Bounds<'_>) -> (End, u64) {
        loop {
            let rank = self.forward.now.rank;
            let end = match self.forward.advance(self.width, bounds) {
                Advance::Alive => {
                    self.has_advanced();
                    continue;
                }
                Advance::Over(order) => End::Linearized(order),
                Advance::Dead(_) if self.forward.now.is_cut => {
                    self.retreat(rank);
                    continue;
                }
                Advance::Dead(order) => End::Stuck { rank, order, core: None },
                Advance::GaveUp(reason, hint) => End::GaveUp { reason, hint, rank },
            };
            return (end, self.forward.steps);
        }
    }

    fn has_advanced(&mut self) {
        let rank = self.forward.now.rank;
        if self.tries > 0 && self.tries <= TRIES && rank > self.until {
            self.tries = 0;
            self.width = Width { most: WIDTH, is_loose: true };
        }
        if self.forward.trail.is_littered() {
            let kept = self.kept.iter_mut().flat_map(|situation| &mut situation.frontier);
            let mut all: Vec<_> = kept.chain(&mut self.forward.now.frontier).collect();
            self.forward.trail.tidy(&mut all);
        }
        if !rank.is_multiple_of(self.distance) {
            return;
        }
        if !self.forward.now.is_cut {
            // Where nothing was left out, nothing before it has to be tried again.
            self.kept.clear();
        } else if self.tries > TRIES {
            return;
        } else if self.kept.len() == KEPT {
            let mut number = 0;
            self.kept.retain(|_| {
                number += 1;
                number % 2 == 1
            });
        }
        self.kept.push(self.forward.now.clone());
    }

    /// Goes back from a rank that could not be passed, to try more.
    fn retreat(&mut self, rank: usize) {
        self.tries += 1;
        if self.tries > TRIES {
            self.kept.truncate(1);
            let is_last = self.tries > TRIES + 1;
            self.width = Width { most: if is_last { usize::MAX } else { STRICT }, is_loose: false };
        } else {
            let back = RETREAT * RETREATING.pow(self.tries - 1);
            let target = rank.saturating_sub(back);
            let keep = self.kept.partition_point(|situation| situation.rank <= target);
            self.kept.truncate(keep.max(1));
            self.width = Width { most: WIDTH * WIDENING.pow(self.tries), is_loose: true };
            // Never less than before, or two difficulties close together would be gone back and forth between for ever.
            self.until = self.until.max(rank + RETREAT);
        }
        self.forward.now = self.kept.last().expect("the beginning is kept").clone();
    }
}
