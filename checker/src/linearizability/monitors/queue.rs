//! Queues into which no value was put twice.
//!
//! The one idea: values go in and out in one and the same order. One comes before another when it was put in wholly before it, or
//! taken out wholly before it; as long as no two each come before the other, an order is found by always taking one that
//! nothing has to precede. A dequeue that found nothing needs a gap over which no value was surely inside; such gaps cut the
//! history into pieces that are judged by themselves (the patterns are those of Bouajjani, Emmi, Enea & Hamza 2015).
//!
//! Dequeues that are open for ever are given to what has to be gone and was taken by nobody, by [`give`].

mod give;

use super::Decision;
use super::items::{Item, Items, NONE, gaps, sorted};
use crate::linearizability::timed::Timed;
use crate::models::SequenceCall;

/// Decides a queue. `None` where a value was put in twice, or is `null`.
pub fn decide_queue(timed: &[Timed<SequenceCall>]) -> Option<Decision> {
    let decided = Items::of(timed)?.and_then(|mut items| {
        let gaps = match items.open_takes.is_empty() || items.all.iter().all(|item| item.take != NONE) {
            true => gaps(&items, |_| true, &[])?,
            false => give::give(&mut items)?,
        };
        order(&items, &gaps)
    });
    Some(match decided {
        Ok(order) => Decision::Linearizable(order),
        Err(core) => Decision::Violation(core),
    })
}

/// An order in which each call of `gaps` has its gap. `Err`: two values of which each comes before the other.
fn order(items: &Items, gaps: &[(u32, u32)]) -> Result<Vec<u32>, Vec<u32>> {
    let piece = |item: &Item| gaps.partition_point(|&(gap, _)| gap < item.put_done) as u32;
    let mut pieces: Vec<(u32, u32)> =
        (items.all.iter().zip(0..)).map(|(item, number)| (piece(item), number)).collect();
    pieces.sort_unstable();
    let mut order = Vec::with_capacity(2 * pieces.len() + gaps.len());
    let mut cut = 0;
    for piece in pieces.chunk_by(|one, other| one.0 == other.0) {
        let start = piece[0].0 as usize;
        order.extend(gaps[cut..start].iter().map(|&(_, at)| at));
        cut = start;
        let these: Vec<&Item> = piece.iter().map(|&(_, number)| &items.all[number as usize]).collect();
        let from = start.checked_sub(1).map_or(0, |last| gaps[last].0);
        push_calls(&mut order, &in_turn(&these)?, from);
    }
    order.extend(gaps[cut..].iter().map(|&(_, at)| at));
    Ok(order)
}

/// Their calls, each as early as can be; none before the gap `from`.
fn push_calls(order: &mut Vec<u32>, queued: &[&Item], from: u32) {
    let mut calls = Vec::with_capacity(2 * queued.len());
    let (mut put, mut taken) = (from, from);
    for item in queued {
        put = put.max(item.put_begun);
        taken = taken.max(put).max(item.take_begun);
        calls.push((put, false, item.put));
        if item.take != NONE {
            calls.push((taken, true, item.take));
        }
    }
    calls.sort_by_key(|&(gap, is_take, _)| (gap, is_take));
    order.extend(calls.into_iter().map(|(_, _, at)| at));
}

/// The items in the order in which they went through. `Err`: calls of two that each come before the other.
///
/// Next can be whoever began to be put in before all the others had been, and likewise began to be taken out.
fn in_turn<'i>(items: &[&'i Item]) -> Result<Vec<&'i Item>, Vec<u32>> {
    let by = |key: fn(&Item) -> u32| {
        let mut numbers: Vec<(u32, u32)> = items.iter().zip(0..).map(|(item, at)| (key(item), at)).collect();
        numbers.sort_unstable();
        numbers
    };
    let mut begins =
        [by(|item| item.put_begun), by(|item| item.take_begun)].map(|all| all.into_iter().peekable());
    let mut ends =
        [by(|item| item.put_done), by(|item| item.take_done)].map(|all| all.into_iter().peekable());
    // How many of the two each has begun soon enough.
    let mut ready = vec![0_u8; items.len()];
    let mut is_placed = vec![false; items.len()];
    let mut waiting = Vec::new();
    let mut turn = Vec::with_capacity(items.len());
    while turn.len() < items.len() {
        for (begins, ends) in begins.iter_mut().zip(&mut ends) {
            while ends.next_if(|&(_, at)| is_placed[at as usize]).is_some() {}
            let &(first, _) = ends.peek().expect("one has no place yet");
            while let Some((_, at)) = begins.next_if(|&(begun, _)| begun <= first) {
                ready[at as usize] += 1;
                if ready[at as usize] == 2 {
                    waiting.push(at);
                }
            }
        }
        let Some(at) = waiting.pop() else {
            let blocking = ends.iter_mut().filter_map(|ends| ends.peek()).map(|&(_, at)| items[at as usize]);
            return Err(sorted(blocking.flat_map(Item::calls)));
        };
        is_placed[at as usize] = true;
        turn.push(items[at as usize]);
    }
    Ok(turn)
}
