//! Stacks into which no value was put twice.
//!
//! A value whose push and pop overlap can be pushed and popped at one blow, which disturbs nothing. Any other is surely inside
//! over its *zone*, from the end of its push to the begin of its pop. The one idea: where no zone covers a gap, the stack can
//! be empty there (whatever an order keeps over the gap can as well be pushed behind it, or popped before), so the gaps cut
//! the history into *parts*. Within a part the stack is never empty, so one value lies at the bottom all the time: its push began
//! before the part does and its pop ends behind it. Whatever value can lie there may; without it, the rest of the part falls apart
//! further. A part without such a value has no order, and none has any chain of its zones from its begin to its end.
//!
//! Pops that are open for ever are given to what has to be gone and nobody is known to have taken. If that fails, it is a
//! violation where pops are too few, or where it would fail even if all such values could go at will from the first open pop on; else it is left to the
//! search.

mod open;
mod parts;

use super::Decision;
use super::items::{Item, Items, NONE, gaps, sorted};
use crate::linearizability::timed::Timed;
use crate::models::SequenceCall;
use parts::{Part, Parts};

/// Decides a stack. `None` where a value was put in twice, or is `null`, or where it depends on which values open pops took.
pub fn decide_stack(timed: &[Timed<SequenceCall>]) -> Option<Decision> {
    let decided = match Items::of(timed)? {
        Err(core) => Err(core),
        Ok(items) if open::are_of_use(&items) => decide_with_open_pops(&items)?,
        Ok(items) => order(&items),
    };
    Some(match decided {
        Ok(order) => Decision::Linearizable(order),
        Err(core) => Decision::Violation(core),
    })
}

fn decide_with_open_pops(items: &Items) -> Option<Result<Vec<u32>, Vec<u32>>> {
    let given = match open::given(items) {
        Ok(given) => given,
        Err(core) => return Some(Err(core)),
    };
    if let Ok(order) = order(&given) {
        return Some(Ok(order));
    }
    let core = order(&open::freed(items)).err()?;
    Some(Err(open::with_open_takes(items, core)))
}

/// What comes first in a gap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Pop,
    Empty,
    Push,
    /// Pushed and popped at one blow.
    Both,
}

/// Calls with their gaps; those of one gap and turn are in order.
type Places = Vec<(u32, Turn, u32)>;

/// `Err`: calls that no order explains.
fn order(items: &Items) -> Result<Vec<u32>, Vec<u32>> {
    let empties = gaps(items, |_| true, &[])?;
    let mut places: Places = Vec::with_capacity(2 * items.all.len() + empties.len());
    place_parts(items, &mut places)?;
    places.extend(empties.into_iter().map(|(gap, at)| (gap, Turn::Empty, at)));
    for item in items.all.iter().filter(|item| !item.has_zone()) {
        let gap = item.put_begun.max(item.take_begun);
        places.extend(item.calls().map(|at| (gap, Turn::Both, at)));
    }
    places.sort_by_key(|&(gap, turn, _)| (gap, turn));
    Ok(places.into_iter().map(|(_, _, at)| at).collect())
}

enum Task {
    Split(Part),
    /// Of this item, in this gap.
    Pop(u32, u32),
}

fn place_parts(items: &Items, places: &mut Places) -> Result<(), Vec<u32>> {
    let mut parts = Parts::new(items);
    let mut tasks: Vec<Task> = parts.first().into_iter().rev().map(Task::Split).collect();
    while let Some(task) = tasks.pop() {
        let part = match task {
            Task::Split(part) => part,
            Task::Pop(item, gap) => {
                let take = items.all[item as usize].take;
                places.extend((take != NONE).then_some((gap, Turn::Pop, take)));
                continue;
            }
        };
        let Some(bottom) = parts.remove_bottom(&part) else {
            return Err(sorted(parts.chain(&part).into_iter().flat_map(Item::calls)));
        };
        for item in bottom {
            places.push((part.start - 1, Turn::Push, items.all[item as usize].put));
            tasks.push(Task::Pop(item, part.end));
        }
        let start = tasks.len();
        parts.cut(&part, |part| tasks.push(Task::Split(part)));
        tasks[start..].reverse();
    }
    Ok(())
}
