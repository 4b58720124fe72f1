//! A failing key as evidence: the few operations that are enough to fail, the anomaly's name, a sentence, and the longest
//! orders.
//!
//! `shrink` finds the operations (`sources`: what must not be missing beside a call), `tally` what does not add up where
//! the object is a number; `registers`, `accesses`, `collections`, `texts` and `numbers` give the names, in the terms of their objects,
//! `words` says who did what, and `orders` is how far one can get.
//!
//! The names, from the culprit (the first operation after whose completion no order exists) and what it saw:
//!
//! | object | name | what distinguishes it |
//! |---|---|---|
//! | registers | `phantom read` | nobody ever asked to write that value |
//! | | `future read` | it was only written after the read had completed |
//! | | `lost write` | another write came wholly between, it was acknowledged, and nobody ever saw its value |
//! | | `stale read` | another write, or a read of another value, came wholly between |
//! | | `lost update` | two compare-and-sets succeeded from one value that was there only once |
//! | several registers | the first four | of one of the values that were read |
//! | | `fractured read` | of what another wrote at once, only a part was seen |
//! | texts | the first four | of the whole text, or of what it was put as |
//! | | `lost append` | it was acknowledged, is not there, and nobody ever saw it |
//! | | `duplicated append` | it stands there more often than it was asked for |
//! | | `reordered` | what was appended later stands before what was appended earlier |
//! | queues, stacks, sets, lists | `phantom` | nobody had put in what was taken or seen |
//! | | `duplicated element` | it was taken, or stood there, more often than it had been put in |
//! | | `lost element` | it had been put in, nobody took it out, and it was not there, nor ever seen again |
//! | | `wrong empty` | an empty queue or stack was found, and an element that was there is taken later |
//! | | `stale read` | an element was seen or not, although it had been taken out or put in before, as others saw |
//! | | `reordered` | elements came out, or stood there, in an order in which they cannot have been put in |
//! | counters | `lost increment` | less was read than had surely been added |
//! | | `impossible count` | what was read cannot be, whatever was added |
//! | | `stale read` | less was read than by an earlier read, and nobody took away so much |
//! | locks | `two holders` | it was acquired more often than it can be held |
//! | | `released while free` | it was released more often than it had been acquired |
//! | all | `non-linearizable` | no order explains the operations, and none of the above says why |

mod accesses;
mod collections;
mod numbers;
mod orders;
mod registers;
mod shrink;
mod sources;
mod tally;
mod texts;
mod words;

use super::timed::Timed;
use super::{Key, Limits};
use crate::failure::{Failure, FailureOperation, LongestOrder, OrderStep, Stuck};
use crate::models::{Model, Part};
use orders::Longest;
use shrink::Shrunk;
use words::Words;

/// As many operations as a drawing can show.
const OPERATIONS_MAX: usize = 24;

/// A name and a sentence.
type Named = (&'static str, String);

/// The evidence that `key` is not linearizable, of which `rank` completed operations can be ordered.
pub(super) fn failure<M: Model>(
    key: &Key<'_, M>,
    core: Option<&[u32]>,
    rank: usize,
    limits: &Limits<'_>,
) -> Failure {
    if let Some(failure) = numbers::failure(key) {
        return failure;
    }
    let shrunk = shrink::shrink(key, core, rank, limits);
    let words = Words::of(key, &shrunk.kept);
    let (anomaly, sentence) = registers::named(&words, &shrunk)
        .or_else(|| collections::named(&words, &shrunk))
        .or_else(|| texts::named(&words, &shrunk))
        .or_else(|| accesses::named(&words, &shrunk))
        .unwrap_or_else(|| no_order(&words, &shrunk));
    let shown = shown(key, &shrunk);
    let orders = orders::longest(&key.model, &shrunk.timed);
    let mut operations: Vec<FailureOperation> =
        shown.iter().map(|&place| words.bar(shrunk.kept[place])).collect();
    if let Some(place) = shown.iter().position(|&place| shrunk.kept[place] == shrunk.culprit) {
        operations[place].culprit = true;
    }
    let orders: Vec<LongestOrder> =
        orders.iter().filter_map(|longest| told(&words, &shrunk, &shown, longest)).collect();
    if orders.is_empty() {
        for (number, place) in shrunk.order.iter().enumerate() {
            if let Ok(place) = shown.binary_search(place) {
                operations[place].order = Some(number);
            }
        }
    }
    for (number, step) in orders.first().iter().flat_map(|order| &order.steps).enumerate() {
        operations[step.operation].order = Some(number);
    }
    Failure {
        key: key.history.key(key.operation(shrunk.culprit)),
        anomaly: anomaly.to_owned(),
        sentence,
        minimal: shrunk.minimal,
        necessity: necessity(key, &shrunk, shown.len()),
        before: shrunk.has_struck.then(|| {
            "Only these values matter: all others are left out of the reads that are shown.".to_owned()
        }),
        initial: Some(key.model.show(key.history, &key.model.initial())),
        operations,
        orders,
        relations: Vec::new(),
    }
}

/// Places of the kept calls that are drawn: all if they are few, else the culprit and those that completed last.
fn shown<M: Model>(key: &Key<'_, M>, shrunk: &Shrunk<M::Call>) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..shrunk.kept.len()).collect();
    shown.sort_by_key(|&place| {
        let at = shrunk.kept[place];
        (at != shrunk.culprit, std::cmp::Reverse(key.timed[at].completed))
    });
    shown.truncate(OPERATIONS_MAX);
    shown.sort_unstable();
    shown
}

/// An order in terms of the operations that are shown; `None` if it needs others.
fn told<M: Model>(
    words: &Words<'_, '_, M>,
    shrunk: &Shrunk<M::Call>,
    shown: &[usize],
    longest: &Longest<M::State>,
) -> Option<LongestOrder> {
    let key = words.key;
    let place = |at: usize| shown.binary_search(&at).ok();
    let step = |(at, state): &(usize, M::State)| {
        Some(OrderStep { operation: place(*at)?, state: key.model.show(key.history, state) })
    };
    let initial = key.model.initial();
    let last = longest.steps.last().map_or(&initial, |(_, state)| state);
    let stuck = |&at: &usize| {
        let reason = words.reason(last, (shrunk.kept[at], &shrunk.timed[at].call));
        Some(Stuck { operation: place(at)?, reason })
    };
    Some(LongestOrder {
        steps: longest.steps.iter().map(step).collect::<Option<_>>()?,
        stuck: longest.stuck.iter().map(stuck).collect::<Option<_>>()?,
    })
}

fn necessity<M: Model>(key: &Key<'_, M>, shrunk: &Shrunk<M::Call>, shown: usize) -> String {
    let might_help = |at: &&usize| key.model.part(&key.timed[**at].call) == Part::TakeUnknown;
    let helpers = shrunk.kept.iter().filter(might_help).count();
    let count = shrunk.kept.len() - helpers;
    let mut text = match (shrunk.minimal, count) {
        (true, 1) => "This operation alone is enough: no order has a place for it.".to_owned(),
        (true, count) => {
            let with = match shrunk.values.is_empty() {
                true => "those that saw what it did",
                false => "whatever else is about the same value",
            };
            format!(
                "Each of these {count} operations is needed: without any one of them, and {with}, there is an order."
            )
        }
        (false, count) => format!(
            "These {count} operations are enough to fail; it is not proven that all of them are needed."
        ),
    };
    if helpers > 0 {
        text += &format!(" {helpers} more were never answered: they might have helped, and do not.");
    }
    if shown < shrunk.kept.len() {
        text += &format!(" The {shown} latest of them are shown.");
    }
    text
}

fn no_order<M: Model>(words: &Words<'_, '_, M>, shrunk: &Shrunk<M::Call>) -> Named {
    let culprit = words.deed(shrunk.culprit);
    let sentence = match shrunk.kept.len() - 1 {
        0 => format!("{culprit}, which is possible in no order"),
        1 => format!("{culprit}, which no order of it and 1 other operation explains"),
        others => format!("{culprit}, which no order of it and {others} other operations explains"),
    };
    ("non-linearizable", sentence)
}

/// Whether `one` had completed when `other` was invoked.
fn precedes<C>(one: &Timed<C>, other: &Timed<C>) -> bool {
    one.completed.is_some_and(|completed| completed < other.invoked)
}
