//! What went through a queue or a stack, value by value, where no value was put in twice.
//!
//! Moments are places among the events of these calls alone. A call that began at `b` and was done at `d` has its effect in one of
//! the gaps `b..d`, gap `g` being what follows moment `g`.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::history::Datum;
use crate::linearizability::timed::Timed;
use crate::models::SequenceCall;

/// No call.
pub(super) const NONE: u32 = u32::MAX;

/// One value's calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) put: u32,
    /// `NONE`: it was never taken, as far as anybody knows. It then stays behind the end.
    pub(super) take: u32,
    /// When each can have had its effect: a take not before its put, nor a put after its take.
    pub(super) put_begun: u32,
    pub(super) put_done: u32,
    pub(super) take_begun: u32,
    pub(super) take_done: u32,
}

impl Item {
    /// Whether there are gaps over which it is surely inside.
    pub(super) fn has_zone(&self) -> bool {
        self.put_done < self.take_begun
    }

    /// These calls of an item, without those that there are not.
    pub(super) fn calls(&self) -> impl Iterator<Item = u32> {
        [self.put, self.take].into_iter().filter(|&at| at != NONE)
    }
}

/// All that was put in for sure or was taken out, and what else was asked.
#[derive(Debug, Clone)]
pub(super) struct Items {
    pub(super) all: Vec<Item>,
    /// Begin and end of each completed call that found nothing, and the call, in order of invocation.
    pub(super) empties: Vec<(u32, u32, u32)>,
    /// Begin of each take that is open for ever, and the call, in order of invocation.
    pub(super) open_takes: Vec<(u32, u32)>,
    /// How many moments there are; also what comes behind the last.
    pub(super) end: u32,
}

impl Items {
    /// `None` where a value was put in twice, or `null` was. `Err`: calls that contradict each other by their values alone, or
    /// because a value was taken before it was put in. What nobody took, and may never have been put in, is left out: taken
    /// from any order, it leaves one.
    pub(super) fn of(timed: &[Timed<SequenceCall>]) -> Option<Result<Items, Vec<u32>>> {
        let mut pairs = Pairs::default();
        for (timed, at) in timed.iter().zip(0..) {
            if let (SequenceCall::Take(value), Some(_)) = (timed.call, timed.completed)
                && !value.is_null()
            {
                pairs.take(value, at);
            }
        }
        for (timed, at) in timed.iter().zip(0..) {
            if let SequenceCall::Put(value) = timed.call {
                pairs.put(value, at, timed.completed.is_some())?;
            }
        }
        let phantom = pairs.all.iter().find(|&&(put, _)| put == NONE);
        if let Some(&(_, take)) = phantom {
            return Some(Err(vec![take]));
        }
        if let Some(&(item, rival)) = pairs.rivals.first() {
            let (put, take) = pairs.all[item as usize];
            return Some(Err(sorted([put, take, rival])));
        }
        Some(Items::with_moments(timed, &pairs.all))
    }

    fn with_moments(timed: &[Timed<SequenceCall>], pairs: &[(u32, u32)]) -> Result<Items, Vec<u32>> {
        let (spans, end) = spans(timed);
        let mut items =
            Items { all: Vec::with_capacity(pairs.len()), empties: Vec::new(), open_takes: Vec::new(), end };
        for &(put, take) in pairs {
            let (put_begun, put_done) = spans[put as usize];
            let (take_begun, take_done) = spans.get(take as usize).copied().unwrap_or((end, end + 1));
            if take_done < put_begun {
                return Err(sorted([put, take]));
            }
            items.all.push(Item {
                put,
                take,
                put_begun,
                put_done: put_done.min(take_done),
                take_begun: take_begun.max(put_begun),
                take_done,
            });
        }
        for ((timed, &(begun, done)), at) in timed.iter().zip(&spans).zip(0..) {
            match (timed.call, timed.completed) {
                (SequenceCall::Take(value), Some(_)) if value.is_null() => {
                    items.empties.push((begun, done, at));
                }
                (SequenceCall::TakeUnknown, _) => items.open_takes.push((begun, at)),
                _ => {}
            }
        }
        Ok(items)
    }

    /// How often each gap lies between the end of the putting in of one of `these` and the begin of its taking out.
    pub(super) fn coverage<'i>(&self, these: impl IntoIterator<Item = &'i Item>) -> Vec<i32> {
        let mut coverage = vec![0; self.end as usize + 1];
        for item in these {
            if item.has_zone() {
                coverage[item.put_done as usize] += 1;
                coverage[item.take_begun as usize] -= 1;
            }
        }
        let mut sum = 0;
        for count in &mut coverage {
            sum += *count;
            *count = sum;
        }
        coverage
    }
}

/// Of `these`, as few as can be that are surely inside one after another, without a gap, over all of the gaps `from..to`;
/// `None` if they are not.
pub(super) fn cover<'i>(these: impl Iterator<Item = &'i Item>, from: u32, to: u32) -> Option<Vec<&'i Item>> {
    let touches =
        |item: &&Item| item.put_done < to && from < item.take_begun && item.put_done < item.take_begun;
    let mut sorted: Vec<&Item> = these.filter(touches).collect();
    sorted.sort_unstable_by_key(|item| item.put_done);
    let mut waiting = sorted.into_iter().peekable();
    let (mut cover, mut reached) = (Vec::new(), from);
    while reached < to {
        let mut best: Option<&Item> = None;
        while let Some(item) = waiting.next_if(|item| item.put_done <= reached) {
            if best.is_none_or(|best| best.take_begun < item.take_begun) {
                best = Some(item);
            }
        }
        let best = best.filter(|best| best.take_begun > reached)?;
        reached = best.take_begun;
        cover.push(best);
    }
    Some(cover)
}

/// For each call that found nothing the first gap that allows it: one over which nothing was surely inside, and that `may_be`; in
/// order of gaps. `Err`: such a call without one, what was inside, and `others`, without whom `may_be` would be another.
pub(super) fn gaps(
    items: &Items,
    may_be: impl Fn(u32) -> bool,
    others: &[u32],
) -> Result<Vec<(u32, u32)>, Vec<u32>> {
    let taken = || items.all.iter().filter(|item| others.is_empty() || item.take != NONE);
    let mut next = items.coverage(taken());
    let mut allowed = items.end;
    for gap in (0..items.end).rev() {
        if next[gap as usize] == 0 && may_be(gap) {
            allowed = gap;
        }
        next[gap as usize] = allowed.cast_signed();
    }
    let mut gaps = Vec::with_capacity(items.empties.len());
    for &(begun, done, at) in &items.empties {
        let gap = next[begun as usize].cast_unsigned();
        if gap >= done {
            let covering = cover(taken(), begun, done);
            let core = covering.map(|items| items.into_iter().flat_map(Item::calls).collect());
            return Err(sorted(core.unwrap_or_else(|| others.to_vec()).into_iter().chain([at])));
        }
        gaps.push((gap, at));
    }
    gaps.sort_unstable();
    Ok(gaps)
}

pub(super) fn sorted(calls: impl IntoIterator<Item = u32>) -> Vec<u32> {
    let mut calls: Vec<u32> = calls.into_iter().collect();
    calls.sort_unstable();
    calls.dedup();
    calls
}

/// Begin and end of each call among the events of these calls alone, and how many events there are; what never ends, ends
/// behind them.
fn spans(timed: &[Timed<SequenceCall>]) -> (Vec<(u32, u32)>, u32) {
    let mut events: Vec<(u32, u32, bool)> = Vec::with_capacity(2 * timed.len());
    for (timed, at) in timed.iter().zip(0..) {
        events.push((timed.invoked, at, false));
        events.extend(timed.completed.map(|completed| (completed, at, true)));
    }
    events.sort_unstable();
    let end = events.len() as u32;
    let mut spans = vec![(0, end); timed.len()];
    for ((_, at, is_end), moment) in events.into_iter().zip(0..) {
        let span = &mut spans[at as usize];
        *if is_end { &mut span.1 } else { &mut span.0 } = moment;
    }
    (spans, end)
}

/// Puts and takes by value.
#[derive(Default)]
struct Pairs {
    numbers: HashMap<Datum, u32>,
    all: Vec<(u32, u32)>,
    /// Numbers of values that were taken more than once, and the further takes.
    rivals: Vec<(u32, u32)>,
}

impl Pairs {
    fn take(&mut self, value: Datum, at: u32) {
        match self.numbers.entry(value) {
            Entry::Occupied(entry) => self.rivals.push((*entry.get(), at)),
            Entry::Vacant(entry) => {
                entry.insert(self.all.len() as u32);
                self.all.push((NONE, at));
            }
        }
    }

    fn put(&mut self, value: Datum, at: u32, is_sure: bool) -> Option<()> {
        match self.numbers.entry(value) {
            _ if value.is_null() => return None,
            Entry::Occupied(entry) => {
                let put = &mut self.all[*entry.get() as usize].0;
                if std::mem::replace(put, at) != NONE {
                    return None;
                }
            }
            Entry::Vacant(entry) if is_sure => {
                entry.insert(self.all.len() as u32);
                self.all.push((at, NONE));
            }
            Entry::Vacant(_) => {}
        }
        Some(())
    }
}
