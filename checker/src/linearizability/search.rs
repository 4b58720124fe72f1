//! The general search: which one is asked, what it may spend, how it can end.
//!
//! A model that tells of every call what it needs or makes is searched forward through the events (`forward`, `broadening`); of any other, nothing
//! tells which orders are pointless, so all of them at once would be too many and one is followed as far as it leads (`depth_first`).

use super::machine::Machine;
use super::problem::Problem;
use super::slots::{Slots, Wide};
use super::timed::Timed;
use super::{broadening, depth_first};
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

impl Bounds<'_> {
    /// Steps between two looks at the clock and at the memory.
    const STEPS_PER_LOOK: u64 = 4096;

    /// What was exceeded by so many steps, and what would help. `used` tells how many bytes are in use.
    pub(super) fn exceeded(
        &self,
        steps: u64,
        used: impl FnOnce() -> usize,
    ) -> Option<(String, &'static str)> {
        if steps > self.steps {
            return Some((format!("gave up after {steps} steps"), "more steps"));
        }
        if !steps.is_multiple_of(Bounds::STEPS_PER_LOOK) {
            return None;
        }
        if (self.out_of_time)() {
            let hint = "a higher `--time-limit`, values that are written only once, or more keys";
            return Some(("the time limit was reached".to_owned(), hint));
        }
        let hint = "a higher `--memory-limit`, values that are written only once, or more keys";
        (used() > self.memory_bytes).then(|| ("the memory limit was reached".to_owned(), hint))
    }
}

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
    let (machine, timed) = Machine::of(model, timed);
    let problem = Problem::new(&timed, &machine.known, model.number(&model.initial()));
    if problem.width > Wide::COUNT {
        let width = problem.width;
        let reason = format!("{width} operations were open at once on one key, more than {}", Wide::COUNT);
        return (End::GaveUp { reason, hint: "fewer clients, or more keys", rank: 0 }, 0);
    }
    if let Some(origin) = problem.phantom() {
        return (End::Stuck { rank: 0, order: Vec::new(), core: Some(vec![origin]) }, 0);
    }
    match problem.sees_any {
        true => depth_first::search(&machine, &problem, bounds),
        false => broadening::search(&machine, &problem, keeps_order, bounds),
    }
}
