//! The operations of one key, laid out for the depth-first search.
//!
//! The one idea: completed operations are ranked by completion. When the first that has no place yet is `base`, then
//! all before it are placed, and of those behind it only the ones that were open when `base` completed can be. They
//! are few, each has a *slot* of its own while it is open, and so a bit mask of slots tells them apart: the size of a
//! configuration does not depend on the length of the history.

use hashbrown::HashMap;

use super::problem::Problem;
use super::slots::Slots;

/// A completed call.
#[derive(Debug)]
pub(super) struct Ranked<S> {
    pub(super) call: u32,
    pub(super) origin: u32,
    pub(super) is_read: bool,
    pub(super) completed: u32,
    /// Its slot.
    pub(super) bit: S,
}

/// Calls that are open for ever and do the same: whichever was invoked first may go first, so a number tells which have gone.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) call: u32,
    /// Invocation and origin of each, in order of invocation.
    pub(super) members: Vec<(u32, u32)>,
}

/// The completed operations by rank, and the others by class.
pub(super) struct Layout<S> {
    pub(super) calls: Vec<Ranked<S>>,
    /// Ranks behind each that were open when it completed, one after another; `window_ends` cuts them.
    windows: Vec<u32>,
    window_ends: Vec<usize>,
    pub(super) classes: Vec<Class>,
}

impl<S: Slots> Layout<S> {
    pub(super) fn new(problem: &Problem<'_>) -> Layout<S> {
        let ranked = |&origin: &u32| {
            let timed = &problem.timed[origin as usize];
            let (call, completed) = (timed.call, timed.deadline());
            let is_read = problem.known(origin).is_read;
            Ranked { call, origin, is_read, completed, bit: S::default() }
        };
        let mut layout = Layout {
            calls: problem.completions.iter().map(ranked).collect(),
            windows: Vec::new(),
            window_ends: Vec::new(),
            classes: classes(problem),
        };
        layout.lay_windows(problem);
        layout
    }

    /// Ranks behind `base` that were open when it completed.
    pub(super) fn window(&self, base: usize) -> &[u32] {
        let start = base.checked_sub(1).map_or(0, |last| self.window_ends[last]);
        &self.windows[start..self.window_ends[base]]
    }

    fn lay_windows(&mut self, problem: &Problem<'_>) {
        let mut invocations: Vec<(u32, u32)> = (self.calls.iter().zip(0..))
            .map(|(call, rank)| (problem.timed[call.origin as usize].invoked, rank))
            .collect();
        invocations.sort_unstable();
        let mut invocations = invocations.into_iter().peekable();
        let mut open: Vec<u32> = Vec::new();
        let mut slots: Vec<usize> = vec![0; self.calls.len()];
        let (mut free, mut width) = (Vec::new(), 0);
        for rank in 0..self.calls.len() {
            let completed = self.calls[rank].completed;
            while let Some((_, next)) = invocations.next_if(|&(invoked, _)| invoked < completed) {
                let slot = free.pop().unwrap_or_else(|| {
                    width += 1;
                    width - 1
                });
                slots[next as usize] = slot;
                self.calls[next as usize].bit = S::of(slot);
                let at = open.partition_point(|&other| other < next);
                open.insert(at, next);
            }
            let first = open.remove(0) as usize;
            assert_eq!(first, rank, "the first to complete has the least rank");
            free.push(slots[rank]);
            self.windows.extend_from_slice(&open);
            self.window_ends.push(self.windows.len());
        }
    }
}

fn classes(problem: &Problem<'_>) -> Vec<Class> {
    let (mut classes, mut class_of) = (Vec::new(), HashMap::new());
    for &at in &problem.open_for_ever {
        let timed = &problem.timed[at as usize];
        let class = *class_of.entry(timed.call).or_insert_with(|| {
            classes.push(Class { call: timed.call, members: Vec::new() });
            classes.len() - 1
        });
        classes[class].members.push((timed.invoked, at));
    }
    classes
}
