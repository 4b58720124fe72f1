//! Names for what goes wrong with queues, stacks, sets and lists: objects that consist of values.

use super::super::timed::Timed;
use super::shrink::Shrunk;
use super::words::Words;
use super::{Named, precedes};
use crate::history::Datum;
use crate::models::{Model, Part};

/// What all calls of the key do to one value, by index.
struct Traffic {
    puts: Vec<usize>,
    takes: Vec<usize>,
}

/// `None` where the object does not consist of values, or nothing of this says what is wrong.
pub(super) fn named<M: Model>(words: &Words<'_, '_, M>, shrunk: &Shrunk<M::Call>) -> Option<Named> {
    let place = shrunk.kept.iter().position(|&at| at == shrunk.culprit)?;
    match words.key.model.part(&shrunk.timed[place].call) {
        Part::Take(value) => wrong_take(words, shrunk, value),
        Part::Sight(_) if words.key.history.f(words.key.operation(shrunk.culprit)) == "read" => {
            let Part::Sight(seen) = words.key.model.part(&words.key.timed[shrunk.culprit].call) else {
                return None;
            };
            wrong_read(words, shrunk, &seen)
        }
        Part::Sight(_) => wrong_empty(words, shrunk),
        // What a put makes impossible is something that another call saw or took.
        Part::Put(_) => wrong_order(words, shrunk),
        Part::TakeUnknown | Part::Whole => None,
    }
}

fn wrong_take<M: Model>(words: &Words<'_, '_, M>, shrunk: &Shrunk<M::Call>, value: Datum) -> Option<Named> {
    let timed = &words.key.timed;
    let (culprit, what) = (shrunk.culprit, words.deed(shrunk.culprit));
    let traffic = traffic(words, value);
    if let Some(named) = from_nowhere(words, culprit, &traffic) {
        return Some(named);
    }
    let taken: Vec<usize> =
        traffic.takes.iter().copied().filter(|&at| timed[at].completed.is_some()).collect();
    if taken.len() > traffic.puts.len() {
        let other = taken.iter().copied().find(|&at| at != culprit)?;
        let times = if traffic.puts.len() == 1 { "once" } else { "fewer times" };
        let sentence = format!("{what}, although {} and it had been put in only {times}", words.deed(other));
        return Some(("duplicated element", sentence));
    }
    wrong_order(words, shrunk)
}

/// Nobody had put in what the culprit took or saw.
fn from_nowhere<M: Model>(words: &Words<'_, '_, M>, culprit: usize, traffic: &Traffic) -> Option<Named> {
    let timed = &words.key.timed;
    let what = words.deed(culprit);
    let Some(&first) = traffic.puts.first() else {
        return Some(("phantom", format!("{what}, although nobody ever put that in")));
    };
    let is_later = precedes(&timed[culprit], &timed[first]);
    is_later.then(|| {
        ("phantom", format!("{what}, and only later did anybody put that in: {}", words.deed(first)))
    })
}

/// An element that nobody took although it was its turn, or elements in the wrong order.
fn wrong_order<M: Model>(words: &Words<'_, '_, M>, shrunk: &Shrunk<M::Call>) -> Option<Named> {
    let what = words.deed(shrunk.culprit);
    let is_taken = |value: Datum| !traffic(words, value).takes.is_empty();
    let own = words.key.model.part(&words.key.timed[shrunk.culprit].call);
    let left = puts(words, shrunk)
        .find(|&(at, value)| at != shrunk.culprit && Part::Take(value) != own && !is_taken(value));
    if let Some((put, _)) = left {
        let put = words.deed(put);
        return Some(("lost element", format!("{what}, although {put} and that was never taken out")));
    }
    let other = puts(words, shrunk).find(|&(at, value)| at != shrunk.culprit && Part::Take(value) != own)?;
    let other = words.deed(other.0);
    let sentence =
        format!("{what}, which is the wrong order: {other}, and that was taken out at another turn");
    Some(("reordered", sentence))
}

fn wrong_empty<M: Model>(words: &Words<'_, '_, M>, shrunk: &Shrunk<M::Call>) -> Option<Named> {
    let timed = &words.key.timed;
    let culprit = &timed[shrunk.culprit];
    let what = words.deed(shrunk.culprit);
    let mut there = puts(words, shrunk).filter(|&(put, _)| precedes(&timed[put], culprit));
    let (put, value) = there.find(|&(_, value)| {
        let takes = traffic(words, value).takes;
        takes.iter().all(|&take| timed[take].invoked > culprit.deadline())
    })?;
    let (put, takes) = (words.deed(put), traffic(words, value).takes);
    Some(match takes.first() {
        None => ("lost element", format!("{what}, although {put} and nobody ever took that out")),
        Some(&take) => {
            let take = words.deed(take);
            ("wrong empty", format!("{what}, although {put} and it was taken out only later: {take}"))
        }
    })
}

fn wrong_read<M: Model>(words: &Words<'_, '_, M>, shrunk: &Shrunk<M::Call>, seen: &[Datum]) -> Option<Named> {
    let timed = &words.key.timed;
    let culprit = &timed[shrunk.culprit];
    let what = format!("process {} read", words.key.operation(shrunk.culprit).process);
    let at = match words.key.operation(shrunk.culprit).completed_ns() {
        Some(time) => format!(" at {}", words.time(time)),
        None => String::new(),
    };
    for &value in &shrunk.values {
        let traffic = traffic(words, value);
        let (shown, is_seen) = (words.value(value), seen.contains(&value));
        let times = seen.iter().filter(|&&other| other == value).count();
        let first = traffic.puts.first().copied();
        if is_seen && first.is_none_or(|put| precedes(culprit, &timed[put])) {
            return Some(("phantom", format!("{what} {shown}{at}, although nobody had put it in by then")));
        }
        if times > traffic.puts.len() {
            let sentence = format!("{what} {shown} {times} times{at}, although it was put in less often");
            return Some(("duplicated element", sentence));
        }
        let put = traffic.puts.iter().copied().find(|&put| precedes(&timed[put], culprit));
        let may_be_out = |take: &&usize| timed[**take].invoked < culprit.deadline();
        let take = traffic.takes.iter().find(may_be_out).copied();
        match (is_seen, put, take) {
            (false, Some(put), None) => return Some(missing(words, (&what, &at), (value, put))),
            (true, _, Some(take)) if traffic.puts.iter().all(|&put| precedes(&timed[put], &timed[take])) => {
                let taken = words.deed(take);
                return Some(("stale read", format!("{what} {shown}{at}, although {taken}")));
            }
            _ => {}
        }
    }
    disagreement(words, shrunk, (&what, &at), seen)
}

/// A value that had been put in, and was not seen.
fn missing<M: Model>(
    words: &Words<'_, '_, M>,
    (what, at): (&str, &str),
    (value, put): (Datum, usize),
) -> Named {
    let (shown, put) = (words.value(value), words.deed(put));
    let sees = |timed: &Timed<M::Call>| match words.key.model.part(&timed.call) {
        Part::Sight(values) => values.contains(&value),
        _ => false,
    };
    match words.key.timed.iter().any(sees) {
        true => ("stale read", format!("{what} without {shown}{at}, although {put}")),
        false => {
            let sentence = format!("{what} without {shown}{at}, although {put}; nobody ever saw it");
            ("lost element", sentence)
        }
    }
}

/// Another read that saw two values the other way round, or one less although it came later.
fn disagreement<M: Model>(
    words: &Words<'_, '_, M>,
    shrunk: &Shrunk<M::Call>,
    (what, at): (&str, &str),
    seen: &[Datum],
) -> Option<Named> {
    let place = |values: &[Datum], value: Datum| values.iter().position(|&other| other == value);
    for &other in shrunk.kept.iter().filter(|&&other| other != shrunk.culprit) {
        let Part::Sight(values) = words.key.model.part(&words.key.timed[other].call) else {
            continue;
        };
        let process = words.key.operation(other).process;
        for (&one, &two) in
            shrunk.values.iter().flat_map(|one| shrunk.values.iter().map(move |two| (one, two)))
        {
            let (shown, after) = (words.value(one), words.value(two));
            let (here, there) =
                ((place(seen, one), place(seen, two)), (place(&values, one), place(&values, two)));
            if let ((Some(first), Some(second)), (Some(first_there), Some(second_there))) = (here, there)
                && first < second
                && second_there < first_there
            {
                let sentence = format!(
                    "{what} {shown} before {after}{at}, although process {process} read them the other way round"
                );
                return Some(("reordered", sentence));
            }
            if let ((Some(_), None), (None, Some(_))) = (here, there) {
                let sentence = format!(
                    "{what} {shown} without {after}{at}, although process {process} read {after} without {shown}"
                );
                return Some(("reordered", sentence));
            }
        }
        let lacking =
            shrunk.values.iter().copied().find(|value| values.contains(value) && !seen.contains(value));
        if let Some(value) = lacking {
            let shown = words.value(value);
            let sentence =
                format!("{what} without {shown}{at}, although process {process} had read it before");
            return Some(("stale read", sentence));
        }
    }
    None
}

/// All that put something in, among what is kept.
fn puts<M: Model>(
    words: &Words<'_, '_, M>,
    shrunk: &Shrunk<M::Call>,
) -> impl Iterator<Item = (usize, Datum)> {
    let part = |&at: &usize| match words.key.model.part(&words.key.timed[at].call) {
        Part::Put(value) => Some((at, value)),
        _ => None,
    };
    shrunk.kept.iter().filter_map(part).collect::<Vec<_>>().into_iter()
}

fn traffic<M: Model>(words: &Words<'_, '_, M>, value: Datum) -> Traffic {
    let (model, timed) = (&words.key.model, &words.key.timed);
    let of = |part: &Part| (0..timed.len()).filter(|&at| model.part(&timed[at].call) == *part).collect();
    Traffic { puts: of(&Part::Put(value)), takes: of(&Part::Take(value)) }
}
