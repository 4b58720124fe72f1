//! Collections that only grow and are read as a whole: append-only lists, and sets from which nothing is removed.
//!
//! The one idea: reads of a growing collection contain each other, so they stand in the order of their sizes, and what is put in
//! stands before the first read that has it. That gives every call a *layer*, and all of one layer must come before all of the
//! next; whether they can shows in one pass, with the latest invocation so far at hand. In a list the layers of values that
//! came in between the same two reads are in the order of the list. In a set a value may be put in again: whichever was invoked
//! first does it, and the others only must not come before the layer.

use super::{Decision, Plan};
use crate::history::Datum;
use crate::linearizability::timed::Timed;
use crate::models::{SequenceCall, SetCall};

const NONE: u32 = u32::MAX;

/// What reads saw, by their numbers; 0 saw nothing.
pub trait Contents {
    /// How many values it saw.
    fn size(&self, read: u32) -> u32;
    /// What `after` saw more than `before`, in a list behind it; `None` if that is not all the difference.
    fn beyond(&self, before: u32, after: u32) -> Option<Vec<Datum>>;
}

/// Decides an append-only list. `None` where a value that was read was put in more than once.
pub fn decide_list(timed: &[Timed<SequenceCall>], contents: &dyn Contents) -> Option<Decision> {
    let mut growing = Growing { timed, contents, is_list: true, puts: Vec::new(), reads: Vec::new() };
    for (timed, at) in timed.iter().zip(0..) {
        match (timed.call, timed.completed) {
            (SequenceCall::Put(value), _) => growing.puts.push((value, at)),
            (SequenceCall::Read(number), Some(_)) => growing.push_read(number, at),
            (SequenceCall::Read(_) | SequenceCall::ReadUnknown, _) => {}
            (SequenceCall::Take(_) | SequenceCall::TakeUnknown, _) => return None,
        }
    }
    growing.decide()
}

/// Decides a set. `None` where something may have been removed.
pub fn decide_set(timed: &[Timed<SetCall>], contents: &dyn Contents) -> Option<Decision> {
    let mut growing = Growing { timed, contents, is_list: false, puts: Vec::new(), reads: Vec::new() };
    for (timed, at) in timed.iter().zip(0..) {
        match (timed.call, timed.completed) {
            (SetCall::Add(value), _) => growing.puts.push((value, at)),
            (SetCall::Read(number), Some(_)) => growing.push_read(number, at),
            (SetCall::Read(_) | SetCall::ReadUnknown, _) => {}
            (SetCall::Remove(_), _) => return None,
        }
    }
    growing.decide()
}

struct Growing<'t, C> {
    timed: &'t [Timed<C>],
    contents: &'t dyn Contents,
    is_list: bool,
    /// In order of values, and of invocation for each.
    puts: Vec<(Datum, u32)>,
    /// Completed ones, in order of size.
    reads: Vec<Read>,
}

#[derive(Clone, Copy)]
struct Read {
    size: u32,
    at: u32,
    /// Of what it saw.
    number: u32,
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

impl<C> Growing<'_, C> {
    fn push_read(&mut self, number: u32, at: u32) {
        self.reads.push(Read { size: self.contents.size(number), at, number });
    }

    fn decide(mut self) -> Option<Decision> {
        self.puts.sort_unstable();
        self.reads.sort_unstable_by_key(|read| (read.size, read.at));
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
        let mut before: Option<&Read> = None;
        for read in &self.reads {
            let (seen, size) = before.map_or((0, 0), |before| (before.number, before.size));
            let Some(new) = self.contents.beyond(seen, read.number) else {
                let calls = before.into_iter().chain([read]).map(|read| read.at);
                return Err(Obstacle::Violation(self.with_reasons(calls.collect())));
            };
            for (value, place) in new.into_iter().zip(size + 1..) {
                let layer = &mut layers[self.maker(value, read.at)? as usize];
                if *layer != NONE {
                    // A list has it twice.
                    return Err(Obstacle::Violation(self.with_reasons(vec![read.at])));
                }
                *layer = 2 * if self.is_list { place } else { read.size } - 1;
            }
            before = Some(read);
        }
        let unseen = 2 * before.map_or(0, |before| before.size) + 1;
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
            self.reads.iter().map(|read| Layered { layer: 2 * read.size, at: read.at, floats: false });
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
            let mut behind = self.reads.iter().filter(|read| 2 * read.size > early.layer);
            core.extend(behind.next().map(|read| read.at));
        }
        self.with_reasons(core)
    }

    /// These, and for each value that one of them saw the first call that put it in: without it, a read would be one from
    /// nowhere, which is another fault than the one to show.
    fn with_reasons(&self, mut core: Vec<u32>) -> Vec<u32> {
        for at in core.clone() {
            let Some(read) = self.reads.iter().find(|read| read.at == at) else {
                continue;
            };
            for value in self.contents.beyond(0, read.number).unwrap_or_default() {
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
