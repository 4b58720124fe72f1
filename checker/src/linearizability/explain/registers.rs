//! Names for what goes wrong with registers, or whatever else says which state a call needs and which it makes.

use super::shrink::Shrunk;
use super::words::Words;
use super::{Named, precedes};
use crate::models::Model;

/// `None` where the culprit needs no state, or nothing says why it is not there.
pub(super) fn named<M: Model>(words: &Words<'_, '_, M>, shrunk: &Shrunk<M::Call>) -> Option<Named> {
    let (model, timed) = (&words.key.model, &words.key.timed);
    let needed = model.needs(&timed[shrunk.culprit].call)?;
    let what = words.deed(shrunk.culprit);
    let makers: Vec<usize> =
        (0..timed.len()).filter(|&at| model.makes(&timed[at].call) == Some(needed)).collect();
    let is_initial = model.number(&model.initial()) == Some(needed);
    if !is_initial && makers.is_empty() {
        return Some(("phantom read", format!("{what}, although nobody ever wrote that value")));
    }
    if !is_initial && precedes(&timed[shrunk.culprit], &timed[makers[0]]) {
        let writer = words.deed(makers[0]);
        return Some((
            "future read",
            format!("{what}, and only later did anybody write that value: {writer}"),
        ));
    }
    if let Some(between) = between(words, shrunk, needed) {
        return Some(overtaken(words, shrunk, between));
    }
    let rival = rival(words, shrunk, needed, makers.len() + usize::from(is_initial))?;
    let rival = words.deed(rival);
    Some(("lost update", format!("{what}, although {rival} had used up the same value")))
}

/// A kept call that came wholly after all that made the culprit's value and wholly before the culprit, and made or saw
/// another; one that made it if there is one, and the last of them.
fn between<M: Model>(words: &Words<'_, '_, M>, shrunk: &Shrunk<M::Call>, needed: u32) -> Option<usize> {
    let (model, timed) = (&words.key.model, &words.key.timed);
    let culprit = &timed[shrunk.culprit];
    let makes = |at: usize| model.makes(&timed[at].call);
    let makers = || shrunk.kept.iter().copied().filter(|&at| makes(at) == Some(needed));
    // A value that was there once and was taken on to another is gone.
    let is_used_up = |at: usize| model.needs(&timed[at].call) == Some(needed) && makers().count() == 1;
    let is_between = |&at: &usize| {
        let saw = makes(at).or_else(|| model.needs(&timed[at].call));
        saw.is_some_and(|saw| saw != needed)
            && precedes(&timed[at], culprit)
            && (is_used_up(at)
                || makers()
                    .all(|maker| precedes(&timed[maker], &timed[at]) || precedes(culprit, &timed[maker])))
    };
    let between = || shrunk.kept.iter().copied().filter(is_between);
    between().rfind(|&at| makes(at).is_some()).or_else(|| between().next_back())
}

fn overtaken<M: Model>(words: &Words<'_, '_, M>, shrunk: &Shrunk<M::Call>, between: usize) -> Named {
    let (model, timed) = (&words.key.model, &words.key.timed);
    let (what, other) = (words.deed(shrunk.culprit), words.deed(between));
    let is_read = model.is_read(&timed[shrunk.culprit].call);
    let stale = if is_read { "stale read" } else { "lost update" };
    let Some(made) = model.makes(&timed[between].call) else {
        return (stale, format!("{what}, although {other}: that value had already taken its place"));
    };
    let mut calls = timed.iter().filter(|timed| timed.completed.is_some());
    if !calls.any(|timed| model.needs(&timed.call) == Some(made)) {
        return ("lost write", format!("{what}, although {other}, which nobody ever saw"));
    }
    (stale, format!("{what}, although {other} and so had overwritten that value"))
}

/// Another call that succeeded from the culprit's value and changed it, where that value was there only once.
fn rival<M: Model>(
    words: &Words<'_, '_, M>,
    shrunk: &Shrunk<M::Call>,
    needed: u32,
    times: usize,
) -> Option<usize> {
    let (model, timed) = (&words.key.model, &words.key.timed);
    let changes = |at: usize| {
        let call = &timed[at].call;
        model.needs(call) == Some(needed)
            && model.makes(call).is_some_and(|makes| makes != needed)
            && timed[at].completed.is_some()
    };
    if times != 1 || !changes(shrunk.culprit) {
        return None;
    }
    shrunk.kept.iter().copied().find(|&at| at != shrunk.culprit && changes(at))
}
