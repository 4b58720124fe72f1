//! An order of calls in the making: each gets a moment, the first at which it can take effect behind what is there.

use crate::linearizability::timed::Timed;

/// Moments of calls; those of one moment keep the order in which they came.
pub(super) struct Plan<'t, C> {
    timed: &'t [Timed<C>],
    moments: Vec<(u32, u32)>,
    latest: u32,
}

impl<'t, C> Plan<'t, C> {
    pub(super) fn new(timed: &'t [Timed<C>]) -> Plan<'t, C> {
        Plan { timed, moments: Vec::with_capacity(timed.len()), latest: 0 }
    }

    /// Puts the call behind all that came with `next`.
    pub(super) fn next(&mut self, at: u32) {
        self.latest = self.latest.max(self.timed[at as usize].invoked);
        debug_assert!(self.latest <= self.timed[at as usize].deadline(), "call {at} has to be done by then");
        self.moments.push((self.latest, at));
    }

    /// Puts the call at its invocation or that moment, whichever is later; its neighbours are of no matter to it, nor it to them.
    pub(super) fn not_before(&mut self, moment: u32, at: u32) {
        self.moments.push((moment.max(self.timed[at as usize].invoked), at));
    }

    pub(super) fn order(mut self) -> Vec<u32> {
        self.moments.sort_by_key(|&(moment, _)| moment);
        self.moments.into_iter().map(|(_, at)| at).collect()
    }
}
