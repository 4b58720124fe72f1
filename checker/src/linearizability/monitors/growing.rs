//! Collections that only grow and are read as a whole: append-only lists, and sets from which nothing is removed.
//!
//! The one idea: reads of a growing collection contain each other, so they stand in the order of their sizes, and what is put in
//! stands before the first read that has it. That gives every call a *layer*, and all of one layer must come before all of the
//! next; whether they can shows in one pass, with the latest invocation so far at hand. In a list the layers of values that
//! came in between the same two reads are in the order of the list. In a set a value may be put in again: whichever was invoked
//! first does it, and the others only must not come before the layer.

use std::rc::Rc;

use super::{Decision, Plan};
use crate::history::Datum;
use crate::linearizability::timed::Timed;
use crate::models::{SequenceCall, SetCall};

const NONE: u32 = u32::MAX;

/// Decides an append-only list; `contents` tells what a read saw, by its number. `None` where a value that was read was put in
/// more than once.
pub fn decide_list(
    timed: &[Timed<SequenceCall>],
    contents: impl Fn(u32) -> Rc<Vec<Datum>>,
) -> Option<Decision> {
    let mut growing = Growing::new(timed, true);
    for (timed, at) in timed.iter().zip(0..) {
        match (timed.call, timed.completed) {
            (SequenceCall::Put(value), _) => growing.puts.push((value, at)),
            (SequenceCall::Read(number), Some(_)) => growing.reads.push((contents(number), at)),
            (SequenceCall::Read(_) | SequenceCall::ReadUnknown, _) => {}
            (SequenceCall::Take(_) | SequenceCall::TakeUnknown, _) => return None,
        }
    }
    growing.decide()
}

/// Decides a set; `contents` tells what a read saw, in ascending order, by its number. `None` where something may have been
/// removed.
pub fn decide_set(timed: &[Timed<SetCall>], contents: impl Fn(u32) -> Rc<Vec<Datum>>) -> Option<Decision> {
    let mut growing = Growing::new(timed, false);
    for (timed, at) in timed.iter().zip(0..) {
        match (timed.call, timed.completed) {
            (SetCall::Add(value), _) => growing.puts.push((value, at)),
            (SetCall::Read(number), Some(_)) => growing.reads.push((contents(number), at)),
            (SetCall::Read(_) | SetCall::ReadUnknown, _) => {}
            (SetCall::Remove(_), _) => return None,
        }
    }
    growing.decide()
}

struct Growing<'t, C> {
    timed: &'t [Timed<C>],
    is_list: bool,
    /// In order of values, and of invocation for each.
    puts: Vec<(Datum, u32)>,
    /// Completed ones, in order of size.
    reads: Vec<(Rc<Vec<Datum>>, u32)>,
}

/// A call and its layer: that of a read is even, that of what puts a value in is odd.
#[derive(Clone, Copy)]
struct Layered {
    layer: u32,
    at: u32,
    /// It may come later than its layer.
    floats: bool,
}

/// Why there are no layers.
enum Obstacle {
    /// It cannot be told which call put a value in.
    Ambiguous,
    /// These calls contradict each other.
    Violation(Vec<u32>),
}

impl<'t, C> Growing<'t, C> {
    fn new(timed: &'t [Timed<C>], is_list: bool) -> Growing<'t, C> {
        Growing { timed, is_list, puts: Vec::new(), reads: Vec::new() }
    }

    fn decide(mut self) -> Option<Decision> {
        self.puts.sort_unstable();
        self.reads.sort_by_key(|(items, _)| items.len());
        let layered = match self.layered() {
            Ok(layered) => layered,
            Err(Obstacle::Ambiguous) => return None,
            Err(Obstacle::Violation(core)) => return Some(Decision::Violation(core)),
        };
        Some(match self.order(&layered) {
            Ok(order) => Decision::Linearizable(order),
            Err((early, late)) => Decision::Violation(self.core(&early, &late)),
        })
    }

    /// All calls that have to have a place, with their layers.
    fn layered(&self) -> Result<Vec<Layered>, Obstacle> {
        let mut layers = vec![NONE; self.timed.len()];
        let mut before: &[Datum] = &[];
        let mut last = None;
        for (items, read) in &self.reads {
            layers[*read as usize] = 2 * items.len() as u32;
            let Some(new) = self.new_values(before, items) else {
                let calls = last.into_iter().chain([*read]);
                return Err(Obstacle::Violation(self.with_reasons(calls.collect())));
            };
            for (value, place) in new.into_iter().zip(before.len() as u32 + 1..) {
                let maker = self.maker(value, *read)?;
                if std::mem::replace(&mut layers[maker as usize], 0) != NONE {
                    // A list has it twice.
                    return Err(Obstacle::Violation(self.with_reasons(vec![*read])));
                }
                layers[maker as usize] = 2 * if self.is_list { place } else { items.len() as u32 } - 1;
            }
            (before, last) = (items, Some(*read));
        }
        let unseen = 2 * before.len() as u32 + 1;
        Ok(self.placed(&layers, unseen))
    }

    /// The first call that put the value in, which `read` saw.
    fn maker(&self, value: Datum, read: u32) -> Result<u32, Obstacle> {
        let start = self.puts.partition_point(|&(other, _)| other < value);
        let mut makers = self.puts[start..].iter().take_while(|&&(other, _)| other == value);
        let Some(&(_, first)) = makers.next() else {
            return Err(Obstacle::Violation(self.with_reasons(vec![read])));
        };
        match self.is_list && makers.next().is_some() {
            true => Err(Obstacle::Ambiguous),
            false => Ok(first),
        }
    }

    /// Reads, the first call for each value that was seen, and all completed ones besides.
    fn placed(&self, layers: &[u32], unseen: u32) -> Vec<Layered> {
        let reads =
            self.reads.iter().map(|&(_, at)| Layered { layer: layers[at as usize], at, floats: false });
        let mut placed: Vec<Layered> = reads.collect();
        for puts in self.puts.chunk_by(|one, other| one.0 == other.0) {
            let seen = layers[puts[0].1 as usize];
            for &(_, at) in puts {
                let (layer, floats) = match seen {
                    NONE => (unseen, false),
                    _ => (seen, at != puts[0].1),
                };
                let has_place = self.timed[at as usize].completed.is_some() || (seen != NONE && !floats);
                placed.extend(has_place.then_some(Layered { layer, at, floats }));
            }
        }
        placed.sort_unstable_by_key(|call| (call.layer, call.at));
        placed
    }

    /// What the second read saw more than the first; `None` if that is not all the difference.
    fn new_values(&self, before: &[Datum], after: &[Datum]) -> Option<Vec<Datum>> {
        if self.is_list {
            return after.strip_prefix(before).map(<[Datum]>::to_vec);
        }
        let mut before = before.iter().peekable();
        let new = after.iter().copied().filter(|value| before.next_if_eq(&value).is_none()).collect();
        before.peek().is_none().then_some(new)
    }

    /// `Err`: a call, and one of a later layer that had ended before it began.
    fn order(&self, layered: &[Layered]) -> Result<Vec<u32>, (Layered, Layered)> {
        let mut plan = Plan::new(self.timed);
        let mut latest: Option<Layered> = None;
        let invoked = |call: &Layered| self.timed[call.at as usize].invoked;
        for layer in layered.chunk_by(|one, other| one.layer == other.layer) {
            let before = latest;
            for call in layer {
                if let Some(early) = before
                    && self.timed[call.at as usize].deadline() < invoked(&early)
                {
                    return Err((early, *call));
                }
                if call.floats {
                    plan.not_before(before.map_or(0, |early| invoked(&early)), call.at);
                    continue;
                }
                plan.next(call.at);
                if latest.is_none_or(|latest| invoked(&latest) < invoked(call)) {
                    latest = Some(*call);
                }
            }
        }
        Ok(plan.order())
    }

    /// Two calls in the wrong order, and what shows it: for a value, the first read that has it.
    fn core(&self, early: &Layered, late: &Layered) -> Vec<u32> {
        let is_read = |call: &Layered| call.layer.is_multiple_of(2);
        let mut core = vec![early.at, late.at];
        if !is_read(early) && !is_read(late) {
            let mut behind = self.reads.iter().filter(|(items, _)| 2 * items.len() as u32 > early.layer);
            core.extend(behind.next().map(|&(_, at)| at));
        }
        self.with_reasons(core)
    }

    /// These, and for each value that one of them saw the first call that put it in: without it, a read would be one from
    /// nowhere, which is another fault than the one to show.
    fn with_reasons(&self, mut core: Vec<u32>) -> Vec<u32> {
        for at in core.clone() {
            let Some((items, _)) = self.reads.iter().find(|&&(_, read)| read == at) else {
                continue;
            };
            for &value in items.iter() {
                let start = self.puts.partition_point(|&(other, _)| other < value);
                let maker = self.puts.get(start).filter(|&&(other, _)| other == value);
                core.extend(maker.map(|&(_, at)| at));
            }
        }
        core.sort_unstable();
        core.dedup();
        core
    }
}
