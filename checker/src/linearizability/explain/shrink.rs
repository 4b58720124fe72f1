//! The few operations of a failing key that are enough to fail, each of them needed.
//!
//! First some stretch that fails, then delta debugging (Zeller & Hildebrandt 2002) down to a set of which nothing more can go.
//! The one idea is what may be left out: only what leaves every order of the whole an order of the rest, or the rest would
//! fail for a reason that the history does not have. There are three rules.
//!
//! - *Sources*: where calls say which state they need and make, a call goes together with all whose state it can have made
//!   (`sources`). What remains has in any order of the whole its maker right before it, among what remains.
//! - *Values*: where the object consists of values that can be looked at apart, a value goes with all that puts it in or takes it
//!   out, and is struck from all that is seen. A take of nobody knows which value stays as long as one of the remaining
//!   values may be what it took: one that was put in more often than it was surely taken out.
//! - *Reads*: of any other object only what changes nothing can go.

use hashbrown::HashMap;

use super::super::search::{Bounds, End, search};
use super::super::timed::Timed;
use super::super::{Decision, Key, Limits};
use super::sources::Sources;
use crate::history::Datum;
use crate::models::{Model, Part};

/// Steps of all searches together, and operations laid out for them: a few seconds' work.
const STEPS_MAX: u64 = 8_000_000;
const LAID_OUT_MAX: usize = 24_000_000;

/// The first stretch that is tried has so many completed operations, and so many more in each further one.
const STRETCH: usize = 8;
const STRETCH_GROWTH: usize = 8;

/// What is left of so many operations at most is remembered, so that it is not searched again.
const REMEMBERED_MAX: usize = 256;

/// From so many operations on, a monitor is asked first: it is faster than the search, but not where there is little to do.
const MONITORED_MIN: usize = 2000;

/// A part of a key's history that still fails.
pub(super) struct Shrunk<C> {
    /// Indices of its operations, in order of invocation.
    pub(super) kept: Vec<usize>,
    /// What they come to when all else is left out.
    pub(super) timed: Vec<Timed<C>>,
    /// The one without whose completion there is an order.
    pub(super) culprit: usize,
    /// Places in the longest order that the search met; empty if there are too many.
    pub(super) order: Vec<usize>,
    /// The values that remain, where the object consists of values, and whether others were struck from what reads saw.
    pub(super) values: Vec<Datum>,
    pub(super) has_struck: bool,
    /// Whether it has been shown that there is an order as soon as one of them is left out, with those that go with it.
    pub(super) minimal: bool,
}

/// What remains of the whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Cut {
    kept: Vec<usize>,
    /// In ascending order; others are struck out. Empty where the object does not consist of values.
    values: Vec<Datum>,
    /// Completions behind this place have not come yet.
    end: u32,
}

enum Rule {
    Sources(Sources),
    Values,
    Reads,
}

/// What can be left out as one.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Item {
    Call(usize),
    Value(Datum),
}

struct Shrink<'k, 'l, M: Model> {
    model: &'k M,
    timed: &'k [Timed<M::Call>],
    rule: Rule,
    limits: &'l Limits<'l>,
    steps: u64,
    laid_out: usize,
    /// By index, filled as they are asked for.
    sources: HashMap<usize, Vec<usize>>,
    /// Whether they fail: leaving out one call or another often leaves the same.
    tried: HashMap<Cut, bool>,
}

/// Shrinks a key of which `rank` completed operations can be ordered, but not all. `core`: some that suffice to fail.
pub(super) fn shrink<M: Model>(
    key: &Key<'_, M>,
    core: Option<&[u32]>,
    rank: usize,
    limits: &Limits<'_>,
) -> Shrunk<M::Call> {
    let (model, timed) = (&key.model, &key.timed[..]);
    let rule = Rule::of(model, timed);
    let sources = HashMap::new();
    let tried = HashMap::new();
    let mut shrink = Shrink { model, timed, rule, limits, steps: 0, laid_out: 0, sources, tried };
    let mut cut = shrink.start(core, rank);
    let mut minimal = shrink.drop_items(&mut cut);
    if matches!(shrink.rule, Rule::Values) && cut.end != u32::MAX {
        // What happened to these values later belongs to them.
        cut = shrink.with_values(cut.values, &cut.kept);
        minimal = shrink.drop_items(&mut cut);
    }
    // Of an object of which only reads can be left out, nobody can say what would be if a call had not been.
    let minimal = minimal && !matches!(shrink.rule, Rule::Reads) && shrink.each_is_needed(&cut);
    let culprit = shrink.culprit(&cut);
    let calls = shrink.calls(&cut);
    let order = match shrink.search(&calls) {
        End::Stuck { order, .. } => order.into_iter().map(|place| place as usize).collect(),
        End::Linearized(_) | End::GaveUp { .. } => Vec::new(),
    };
    let has_struck = cut.kept.iter().zip(&calls).any(|(&at, left)| left.call != timed[at].call);
    Shrunk { timed: calls, kept: cut.kept, culprit, order, values: cut.values, has_struck, minimal }
}

impl Rule {
    fn of<M: Model>(model: &M, timed: &[Timed<M::Call>]) -> Rule {
        if let Some(sources) = Sources::of(model, timed) {
            return Rule::Sources(sources);
        }
        let is_whole = |timed: &Timed<M::Call>| model.part(&timed.call) == Part::Whole;
        if timed.iter().any(is_whole) { Rule::Reads } else { Rule::Values }
    }
}

impl<M: Model> Shrink<'_, '_, M> {
    /// Some part that fails; the smaller, the better.
    fn start(&mut self, core: Option<&[u32]>, rank: usize) -> Cut {
        if let Some(core) = core {
            let core: Vec<usize> = core.iter().map(|&at| at as usize).collect();
            let cut = self.closed(&core);
            if self.fails(&cut) == Some(true) {
                return cut;
            }
        }
        let completions = self.completions();
        if matches!(self.rule, Rule::Sources(_))
            && let Some(cut) = self.stretch(&completions, rank)
        {
            return cut;
        }
        let culprit = self.end_of_prefix(&completions, rank);
        self.prefix(culprit)
    }

    /// These calls and whatever must not be missing beside them.
    fn closed(&mut self, calls: &[usize]) -> Cut {
        match self.rule {
            Rule::Sources(_) => {
                let mut is_kept = vec![false; self.timed.len()];
                let mut waiting = calls.to_vec();
                while let Some(at) = waiting.pop() {
                    if !std::mem::replace(&mut is_kept[at], true) {
                        waiting.extend(self.sources(at));
                    }
                }
                let kept = (0..is_kept.len()).filter(|&at| is_kept[at]).collect();
                Cut { kept, values: Vec::new(), end: u32::MAX }
            }
            Rule::Values => {
                let values = calls.iter().flat_map(|&at| self.values_of(at)).collect();
                self.with_values(values, calls)
            }
            Rule::Reads => Cut { kept: calls.to_vec(), values: Vec::new(), end: u32::MAX },
        }
    }

    /// All that is about these values, and the sights among `calls`.
    fn with_values(&self, mut values: Vec<Datum>, calls: &[usize]) -> Cut {
        values.sort_unstable();
        values.dedup();
        let mut seers: Vec<usize> = calls.to_vec();
        seers.sort_unstable();
        let mut cut = Cut { kept: Vec::new(), values, end: u32::MAX };
        cut.kept = (0..self.timed.len())
            .filter(|&at| match self.model.part(&self.timed[at].call) {
                Part::Put(value) | Part::Take(value) => cut.values.binary_search(&value).is_ok(),
                Part::Sight(_) => seers.binary_search(&at).is_ok(),
                Part::TakeUnknown | Part::Whole => true,
            })
            .collect();
        self.drop_unknown_takes(&mut cut);
        cut
    }

    fn sources(&mut self, at: usize) -> Vec<usize> {
        let Rule::Sources(sources) = &self.rule else {
            return Vec::new();
        };
        let (model, timed) = (self.model, self.timed);
        self.sources.entry(at).or_insert_with(|| sources.of_call(model, timed, at)).clone()
    }

    fn values_of(&self, at: usize) -> Vec<Datum> {
        match self.model.part(&self.timed[at].call) {
            Part::Put(value) | Part::Take(value) => vec![value],
            Part::Sight(values) => values,
            Part::TakeUnknown | Part::Whole => Vec::new(),
        }
    }

    /// A stretch around where the search got to, that fails, longer and longer; `None` if it would soon be the whole.
    fn stretch(&mut self, completions: &[usize], rank: usize) -> Option<Cut> {
        let (mut behind, mut ahead) = (STRETCH, 1);
        while !self.is_spent() {
            let end = (rank + ahead).min(completions.len());
            let start = rank.saturating_sub(behind);
            let from = completions.get(start).map_or(0, |&first| self.timed[first].invoked);
            let last = self.timed[completions[end - 1]].deadline();
            let is_near = |timed: &Timed<M::Call>| {
                timed.invoked < last && timed.completed.is_some_and(|completed| completed >= from)
            };
            let calls: Vec<usize> = (0..self.timed.len()).filter(|&at| is_near(&self.timed[at])).collect();
            let cut = self.closed(&calls);
            if self.fails(&cut) == Some(true) {
                return Some(cut);
            }
            if start == 0 && end == completions.len() {
                return None;
            }
            behind *= STRETCH_GROWTH;
            ahead *= STRETCH_GROWTH;
        }
        None
    }

    /// The first completion after which there is no order. The prefix grows in doubling strides from where the search
    /// got to, then the last stride is halved.
    fn end_of_prefix(&mut self, completions: &[usize], rank: usize) -> usize {
        let (mut ordered, mut stride) = (rank, 1);
        let mut failing = loop {
            let end = (ordered + stride).min(completions.len());
            let prefix = self.prefix(completions[end - 1]);
            if end == completions.len() || self.fails(&prefix) == Some(true) {
                break end;
            }
            ordered = end;
            stride *= 2;
        };
        while ordered + 1 < failing {
            let middle = ordered.midpoint(failing);
            let prefix = self.prefix(completions[middle - 1]);
            match self.fails(&prefix) {
                Some(true) => failing = middle,
                Some(false) | None => ordered = middle,
            }
        }
        completions[failing - 1]
    }

    /// Indices of completed operations, in order of completion.
    fn completions(&self) -> Vec<usize> {
        let is_completed = |&at: &usize| self.timed[at].completed.is_some();
        let mut completions: Vec<usize> = (0..self.timed.len()).filter(is_completed).collect();
        completions.sort_unstable_by_key(|&at| self.timed[at].completed);
        completions
    }

    /// What had been invoked when `last` completed.
    fn prefix(&self, last: usize) -> Cut {
        let end = self.timed[last].deadline();
        let began = |&at: &usize| {
            let timed = &self.timed[at];
            // A read that has not ended says nothing yet.
            timed.invoked < end && (timed.deadline() <= end || !self.model.is_read(&timed.call))
        };
        let kept: Vec<usize> = (0..self.timed.len()).filter(began).collect();
        let mut values = Vec::new();
        if matches!(self.rule, Rule::Values) {
            values = kept.iter().flat_map(|&at| self.values_of(at)).collect();
            values.sort_unstable();
            values.dedup();
        }
        Cut { kept, values, end }
    }

    fn calls(&self, cut: &Cut) -> Vec<Timed<M::Call>> {
        let is_gone = |value: Datum| cut.values.binary_search(&value).is_err();
        let timed = cut.kept.iter().map(|&at| &self.timed[at]);
        timed
            .map(|timed| Timed {
                call: match self.rule {
                    Rule::Values => self.model.apart_from(&timed.call, &is_gone),
                    Rule::Sources(_) | Rule::Reads => timed.call.clone(),
                },
                invoked: timed.invoked,
                completed: timed.completed.filter(|&at| at <= cut.end),
            })
            .collect()
    }

    /// Whether it has no order; `None` if that could not be found out.
    fn fails(&mut self, cut: &Cut) -> Option<bool> {
        if let Some(&fails) = self.tried.get(cut) {
            return Some(fails);
        }
        let fails = self.has_no_order(cut)?;
        if cut.kept.len() <= REMEMBERED_MAX {
            self.tried.insert(cut.clone(), fails);
        }
        Some(fails)
    }

    fn has_no_order(&mut self, cut: &Cut) -> Option<bool> {
        self.laid_out += cut.kept.len();
        let calls = self.calls(cut);
        if calls.len() >= MONITORED_MIN
            && let Some((_, decision)) = self.model.decide(&calls)
        {
            return Some(matches!(decision, Decision::Violation(_)));
        }
        match self.search(&calls) {
            End::Stuck { .. } => Some(true),
            End::Linearized(_) => Some(false),
            End::GaveUp { .. } => None,
        }
    }

    fn search(&mut self, calls: &[Timed<M::Call>]) -> End {
        let bounds = Bounds {
            out_of_time: self.limits.out_of_time,
            memory_bytes: self.limits.memory_bytes.unwrap_or(usize::MAX),
            steps: STEPS_MAX.saturating_sub(self.steps),
        };
        let (found, steps) = search(self.model, calls, &bounds);
        self.steps += steps;
        found
    }

    fn is_spent(&self) -> bool {
        self.steps >= STEPS_MAX || self.laid_out >= LAID_OUT_MAX || (self.limits.out_of_time)()
    }

    /// Drops chunks of halving size; at size one until nothing more can go. Tells whether it got there.
    fn drop_items(&mut self, cut: &mut Cut) -> bool {
        let mut size = self.items(cut).len().div_ceil(2);
        while size > 0 {
            let (mut items, mut start, mut has_dropped) = (self.items(cut), 0, false);
            while start < items.len() {
                if self.is_spent() {
                    return false;
                }
                let rest = self.without(cut, &items[start..items.len().min(start + size)]);
                if !rest.kept.is_empty() && self.fails(&rest) == Some(true) {
                    *cut = rest;
                    items = self.items(cut);
                    has_dropped = true;
                } else {
                    start += size;
                }
            }
            if size > 1 || !has_dropped {
                size /= 2;
            }
        }
        true
    }

    /// Whether without any one of them there is an order. What no rule lets go is asked about too, by itself.
    fn each_is_needed(&mut self, cut: &Cut) -> bool {
        let items = self.items(cut);
        let is_optional = |&at: &usize| {
            let timed = &self.timed[at];
            // Nobody says that it happened: it is there because it might have helped.
            timed.completed.is_none() || timed.completed > Some(cut.end)
        };
        let is_covered = |at: &usize| {
            items.contains(&Item::Call(*at))
                || self.values_of(*at).iter().any(|value| items.contains(&Item::Value(*value)))
        };
        let others: Vec<usize> =
            cut.kept.iter().copied().filter(|at| !is_optional(at) && !is_covered(at)).collect();
        let mut rests: Vec<Cut> = items.iter().map(|item| self.without(cut, &[*item])).collect();
        rests.extend(others.into_iter().map(|other| {
            let kept = cut.kept.iter().copied().filter(|&at| at != other).collect();
            Cut { kept, ..cut.clone() }
        }));
        rests.iter().all(|rest| self.fails(rest) == Some(false)) && self.fails(cut) == Some(true)
    }

    /// What can be left out, each by itself.
    fn items(&self, cut: &Cut) -> Vec<Item> {
        let calls = cut.kept.iter().copied().filter(|&at| match self.rule {
            Rule::Sources(_) => true,
            Rule::Values => matches!(self.model.part(&self.timed[at].call), Part::Sight(_)),
            Rule::Reads => self.model.is_read(&self.timed[at].call),
        });
        cut.values.iter().map(|&value| Item::Value(value)).chain(calls.map(Item::Call)).collect()
    }

    /// What remains without these, and without whatever has to go with them.
    fn without(&mut self, cut: &Cut, items: &[Item]) -> Cut {
        self.laid_out += cut.kept.len();
        let mut calls: Vec<usize> = Vec::new();
        let mut values: Vec<Datum> = Vec::new();
        for item in items {
            match *item {
                Item::Call(at) => calls.push(at),
                Item::Value(value) => values.push(value),
            }
        }
        calls.sort_unstable();
        values.sort_unstable();
        let mut rest = cut.clone();
        rest.values.retain(|value| values.binary_search(value).is_err());
        rest.kept.retain(|&at| match self.model.part(&self.timed[at].call) {
            Part::Put(value) | Part::Take(value) => values.binary_search(&value).is_err(),
            Part::Sight(_) | Part::TakeUnknown | Part::Whole => calls.binary_search(&at).is_err(),
        });
        match self.rule {
            Rule::Sources(_) => self.drop_orphans(&mut rest),
            Rule::Values => self.drop_unknown_takes(&mut rest),
            Rule::Reads => {}
        }
        rest
    }

    /// Drops whatever can have seen something that is no longer there, and so on.
    fn drop_orphans(&mut self, cut: &mut Cut) {
        loop {
            let kept = cut.kept.clone();
            cut.kept.retain(|&at| {
                let sources = self.sources(at);
                sources.iter().all(|source| kept.binary_search(source).is_ok())
            });
            if cut.kept.len() == kept.len() {
                return;
            }
        }
    }

    /// Drops takes of nobody knows which value if none of the remaining values can be it.
    fn drop_unknown_takes(&self, cut: &mut Cut) {
        let mut put_more_often: HashMap<Datum, i64> = HashMap::new();
        for &at in &cut.kept {
            match self.model.part(&self.timed[at].call) {
                Part::Put(value) => *put_more_often.entry(value).or_default() += 1,
                Part::Take(value) => *put_more_often.entry(value).or_default() -= 1,
                Part::Sight(_) | Part::TakeUnknown | Part::Whole => {}
            }
        }
        if put_more_often.values().all(|&more| more <= 0) {
            cut.kept.retain(|&at| self.model.part(&self.timed[at].call) != Part::TakeUnknown);
        }
    }

    /// The first completion after which there is no order of what remains.
    fn culprit(&mut self, cut: &Cut) -> usize {
        let mut completions: Vec<usize> = cut.kept.clone();
        completions.retain(|&at| self.timed[at].deadline() <= cut.end && self.timed[at].completed.is_some());
        completions.sort_unstable_by_key(|&at| self.timed[at].completed);
        let fails = |place: usize, shrink: &mut Self| {
            let end = shrink.timed[completions[place]].deadline();
            shrink.fails(&Cut { end, ..cut.clone() }) == Some(true)
        };
        let (mut ordered, mut failing) = (0, completions.len() - 1);
        while ordered < failing {
            let middle = ordered.midpoint(failing);
            match fails(middle, self) {
                true => failing = middle,
                false => ordered = middle + 1,
            }
        }
        completions[failing]
    }
}
