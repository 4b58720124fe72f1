//! Names for what goes wrong with texts that grow: the key-value map of `get`, `put` and `append`.
//!
//! The one idea: a text that was read is taken apart into what it was put as and what was appended, each operation at most once. Where
//! that cannot be done the text is from nowhere, or something stands there too often; where it can, what is missing or stands
//! in the wrong order shows.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use super::shrink::Shrunk;
use super::words::Words;
use super::{Named, precedes};
use crate::models::{Edit, Model};

/// Steps of taking one text apart; beyond it nothing is said about it.
const STEPS_MAX: usize = 1_000_000;

/// `None` where the culprit reads no text, or nothing of this says what is wrong.
pub(super) fn named<M: Model>(words: &Words<'_, '_, M>, shrunk: &Shrunk<M::Call>) -> Option<Named> {
    let (timed, culprit) = (&words.key.timed, shrunk.culprit);
    let edits: Vec<Edit> =
        timed.iter().map(|timed| words.key.model.edit(&timed.call)).collect::<Option<_>>()?;
    let Edit::Told(Some(seen)) = &edits[culprit] else {
        return None;
    };
    let mut asked: HashMap<&Edit, usize> = HashMap::new();
    edits.iter().for_each(|edit| *asked.entry(edit).or_default() += 1);
    let what = words.deed(culprit);
    let had_begun = |at: &usize| !precedes(&timed[culprit], &timed[*at]);
    let all = 0..timed.len();
    if let Some(sources) = apart(&edits, all.clone().filter(had_begun), seen, true)? {
        let reading = Reading { words, edits: &edits, asked: &asked, sources: &sources, culprit };
        return reading.reordered().or_else(|| reading.overwritten()).or_else(|| reading.missing());
    }
    if let Some(sources) = apart(&edits, all.clone(), seen, true)? {
        let later = sources.iter().find(|at| !had_begun(at)).expect("or it would have done without");
        let later = words.deed(*later);
        return Some(("future read", format!("{what}, and only later did anybody ask for that: {later}")));
    }
    let Some(sources) = apart(&edits, all, seen, false)? else {
        let why = "nobody ever put or appended what would make that text";
        return Some(("phantom read", format!("{what}, although {why}")));
    };
    let mut stands: HashMap<&Edit, usize> = HashMap::new();
    sources.iter().for_each(|&at| *stands.entry(&edits[at]).or_default() += 1);
    let again = sources.into_iter().find(|&at| stands[&edits[at]] > asked[&edits[at]])?;
    let times = |count| if count == 2 { "twice".to_owned() } else { format!("{count} times") };
    let (stands, asked) = (times(stands[&edits[again]]), asked[&edits[again]]);
    let who = if asked == 1 { "one operation".to_owned() } else { format!("{asked} operations") };
    let deed = words.deed(again);
    let sentence = format!("{what}, in which that stands {stands}, although only {who} asked for it: {deed}");
    Some(("duplicated append", sentence))
}

/// A read of a text that can be taken apart.
struct Reading<'w, 'k, 'h, M: Model> {
    words: &'w Words<'k, 'h, M>,
    edits: &'w [Edit],
    /// How often each was asked for.
    asked: &'w HashMap<&'w Edit, usize>,
    /// What it is made of, in this order; a put can only be the first.
    sources: &'w [usize],
    culprit: usize,
}

impl<M: Model> Reading<'_, '_, '_, M> {
    fn precedes(&self, one: usize, other: usize) -> bool {
        precedes(&self.words.key.timed[one], &self.words.key.timed[other])
    }

    /// Whether no other operation could have been the source instead.
    fn is_unique(&self, source: usize) -> bool {
        self.asked[&self.edits[source]] == 1
    }

    /// Something stands before what had ended before it began.
    fn reordered(&self) -> Option<Named> {
        let pair = self.sources.windows(2).find(|pair| {
            self.precedes(pair[1], pair[0]) && pair.iter().all(|&source| self.is_unique(source))
        })?;
        let [what, first, second] = [self.culprit, pair[1], pair[0]].map(|at| self.words.deed(at));
        Some(("reordered", format!("{what}, although {first}, and {second}: the wrong order")))
    }

    /// A put that came wholly after what the text begins with, and wholly before the read.
    fn overwritten(&self) -> Option<Named> {
        let begins = self.sources.first().copied();
        if begins.is_some_and(|begins| !self.is_unique(begins)) {
            return None;
        }
        let put = (0..self.edits.len()).rev().find(|&at| {
            matches!(&self.edits[at], Edit::Put(_))
                && Some(at) != begins
                && self.precedes(at, self.culprit)
                && begins.is_none_or(|begins| self.precedes(begins, at))
        })?;
        Some(self.lost_or_stale("lost write", put, " and so had overwritten that text"))
    }

    /// An append that had ended before the read began, after which nothing was put, and which the text does not have.
    fn missing(&self) -> Option<Named> {
        let timed = &self.words.key.timed;
        let is_put = |at: &usize| matches!(&self.edits[*at], Edit::Put(_));
        let began = (0..timed.len()).filter(|&at| !self.precedes(self.culprit, at));
        let put_until = began.filter(is_put).map(|at| timed[at].deadline()).max().unwrap_or(0);
        let append = (0..timed.len()).find(|&at| {
            matches!(&self.edits[at], Edit::Append(piece) if !piece.is_empty())
                && self.precedes(at, self.culprit)
                && timed[at].invoked > put_until
                && self.sources.iter().all(|&source| self.edits[source] != self.edits[at])
        })?;
        Some(self.lost_or_stale("lost append", append, ", which is not there"))
    }

    /// The read is only old if anybody saw what it misses.
    fn lost_or_stale(&self, lost: &'static str, missed: usize, why: &str) -> Named {
        let is_seen = self.edits.iter().any(|edit| match (edit, &self.edits[missed]) {
            (Edit::Told(Some(told)), Edit::Put(text)) => told.starts_with(text.as_str()),
            (Edit::Told(Some(told)), Edit::Append(piece)) => told.contains(piece.as_str()),
            _ => false,
        });
        let (what, missed) = (self.words.deed(self.culprit), self.words.deed(missed));
        match is_seen {
            true => ("stale read", format!("{what}, although {missed}{why}")),
            false => (lost, format!("{what}, although {missed}, which nobody ever saw")),
        }
    }
}

/// The operations among `sources` that make up `text`, in order; `None` if there are none. The outer `None`: it takes too long to find
/// out.
fn apart(
    edits: &[Edit],
    sources: impl Iterator<Item = usize>,
    text: &str,
    is_once: bool,
) -> Option<Option<Vec<usize>>> {
    let (mut pieces, mut puts) = (HashMap::<&str, Piece>::new(), Vec::new());
    for at in sources {
        match &edits[at] {
            Edit::Put(put) if text.starts_with(put.as_str()) => puts.push((at, put.len())),
            Edit::Append(piece) if !piece.is_empty() => {
                pieces.entry(piece).or_default().sources.push(at);
            }
            _ => {}
        }
    }
    let lengths = pieces.keys().map(|piece| piece.len()).collect::<BTreeSet<_>>().into_iter().rev().collect();
    let mut apart = Apart { text, pieces, lengths, is_once, steps: 0 };
    if let Some(appends) = apart.appends(0) {
        return Some(Some(appends));
    }
    for (put, length) in puts {
        if let Some(appends) = apart.appends(length) {
            return Some(Some([vec![put], appends].concat()));
        }
    }
    (apart.steps < STEPS_MAX).then_some(None)
}

/// What may stand in a text, and how often it was taken.
#[derive(Default)]
struct Piece {
    sources: Vec<usize>,
    taken: usize,
}

struct Apart<'e> {
    text: &'e str,
    pieces: HashMap<&'e str, Piece>,
    /// Of all pieces, the longest first.
    lengths: Vec<usize>,
    /// Whether each source is there at most once.
    is_once: bool,
    steps: usize,
}

impl<'e> Apart<'e> {
    /// The appends that make up the text from there on.
    fn appends(&mut self, start: usize) -> Option<Vec<usize>> {
        self.pieces.values_mut().for_each(|piece| piece.taken = 0);
        // Where each piece begins, what was taken there, and the place of the next length to try.
        let (mut ways, mut at, mut next) = (Vec::<(usize, &'e str, usize)>::new(), start, 0);
        while at < self.text.len() {
            self.steps += 1;
            if self.steps >= STEPS_MAX {
                return None;
            }
            let Some(&length) = self.lengths.get(next) else {
                let (before, piece, tried) = ways.pop()?;
                self.pieces.get_mut(piece).expect("it was taken").taken -= 1;
                (at, next) = (before, tried + 1);
                continue;
            };
            match self.text.get(at..at + length).filter(|piece| self.take(piece)) {
                Some(piece) => {
                    ways.push((at, piece, next));
                    (at, next) = (at + length, 0);
                }
                None => next += 1,
            }
        }
        let mut times: HashMap<&str, usize> = HashMap::new();
        let source = |(_, piece, _): (usize, &'e str, usize)| {
            let time = times.entry(piece).or_default();
            *time += 1;
            let sources = &self.pieces[piece].sources;
            sources[(*time - 1).min(sources.len() - 1)]
        };
        Some(ways.into_iter().map(source).collect())
    }

    /// Whether there is such a piece, and one of it is left.
    fn take(&mut self, piece: &str) -> bool {
        let Some(known) = self.pieces.get_mut(piece) else {
            return false;
        };
        let is_left = !self.is_once || known.taken < known.sources.len();
        known.taken += usize::from(is_left);
        is_left
    }
}
