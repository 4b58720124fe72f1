//! Counters and semaphores whose calls do not add up, whatever their order.
//!
//! The one idea: all calls that completed before a read began are in its number, and of the others only those that began before it
//! ended can be. So there is a least and a greatest number that it can have told, and no call need be tried out. Where
//! this finds nothing, the evidence is cut down like that of any other object.

use super::super::timed::Timed;
use crate::models::Tally;

/// Pairs of reads that are looked at one by one.
const PAIRS_MAX: usize = 200;

/// With no number beyond this, no sum of them overflows.
const NUMBER_MAX: u64 = 1 << 30;

/// What does not add up; calls by their indices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Imbalance {
    /// The read is below the least or above the greatest that it can have told.
    Read { read: usize, told: i64, surely: Sum, least: i64, greatest: i64 },
    /// The later read is below what the earlier one told, and too little was taken away since.
    Backwards { earlier: usize, later: usize, told: (i64, i64) },
    /// More was surely added than was ever taken away and has room: these calls, the last of them one too many.
    TooMany { added: Vec<usize>, surely: Sum, taken: Sum },
    /// More was surely taken away than anybody had added: this call is one too many.
    TooFew { taken: usize, surely: Sum, added: Sum },
}

/// How many calls, and what they come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum {
    pub(super) calls: usize,
    pub(super) total: i64,
}

/// Calls that add, with what and when.
struct Adds {
    /// By place of completion or invocation, each with the sums of all up to it.
    completed: Vec<(u32, [Sum; 2])>,
    invoked: Vec<(u32, [Sum; 2])>,
}

/// Calls with their tallies, and the least and greatest that the number can be.
pub(super) fn imbalance(timed: &[Timed<Tally>], range: (i64, i64)) -> Option<Imbalance> {
    let is_huge = |timed: &Timed<Tally>| match timed.call {
        Tally::Add(number) => number.unsigned_abs() > NUMBER_MAX,
        Tally::Told(_) => false,
    };
    if timed.iter().any(is_huge) {
        return None;
    }
    let adds = Adds::of(timed);
    let mut reads: Vec<(u32, usize, i64)> = (timed.iter().enumerate())
        .filter_map(|(at, timed)| match timed.call {
            Tally::Told(Some(told)) => Some((timed.completed?, at, told)),
            Tally::Told(None) | Tally::Add(_) => None,
        })
        .collect();
    reads.sort_unstable();
    let read = reads.iter().find_map(|&(_, read, told)| wrong_read(timed, &adds, read, told));
    read.or_else(|| backwards(timed, &reads)).or_else(|| out_of_range(timed, &adds, range))
}

impl Adds {
    fn of(timed: &[Timed<Tally>]) -> Adds {
        let adds = || {
            timed.iter().filter_map(|timed| match timed.call {
                Tally::Add(number) => Some((timed, number)),
                Tally::Told(_) => None,
            })
        };
        Adds {
            completed: summed(
                adds().filter_map(|(timed, number)| Some((timed.completed?, number))).collect(),
            ),
            invoked: summed(adds().map(|(timed, number)| (timed.invoked, number)).collect()),
        }
    }

    /// What had completed before `place`: what was taken away, and what was added.
    fn completed_before(&self, place: u32) -> [Sum; 2] {
        before(&self.completed, place)
    }

    fn invoked_before(&self, place: u32) -> [Sum; 2] {
        before(&self.invoked, place)
    }
}

fn summed(mut adds: Vec<(u32, i64)>) -> Vec<(u32, [Sum; 2])> {
    adds.sort_unstable();
    let mut sums = [Sum::default(); 2];
    let all = adds.into_iter().map(|(place, number)| {
        let sum = &mut sums[usize::from(number >= 0)];
        *sum = Sum { calls: sum.calls + 1, total: sum.total + number };
        (place, sums)
    });
    all.collect()
}

fn before(sums: &[(u32, [Sum; 2])], place: u32) -> [Sum; 2] {
    let count = sums.partition_point(|&(other, _)| other < place);
    count.checked_sub(1).map_or_else(Default::default, |last| sums[last].1)
}

fn wrong_read(timed: &[Timed<Tally>], adds: &Adds, read: usize, told: i64) -> Option<Imbalance> {
    let [taken, added] = adds.completed_before(timed[read].invoked);
    let [may_take, may_add] = adds.invoked_before(timed[read].deadline());
    let (least, greatest) = (added.total + may_take.total, may_add.total + taken.total);
    let surely = Sum { calls: taken.calls + added.calls, total: taken.total + added.total };
    let is_wrong = told < least || told > greatest;
    is_wrong.then_some(Imbalance::Read { read, told, surely, least, greatest })
}

/// Reads are in order of completion.
fn backwards(timed: &[Timed<Tally>], reads: &[(u32, usize, i64)]) -> Option<Imbalance> {
    let mut highest: Vec<(u32, usize, i64)> = Vec::new();
    for &(completed, read, told) in reads {
        if highest.last().is_none_or(|&(_, _, most)| told > most) {
            highest.push((completed, read, told));
        }
    }
    let earlier = |&(_, later, told): &(u32, usize, i64)| {
        let before = highest.partition_point(|&(completed, ..)| completed < timed[later].invoked);
        let (_, earlier, most) = highest[before.checked_sub(1)?];
        (most > told).then_some((earlier, later, (most, told)))
    };
    let mut pairs = reads.iter().filter_map(earlier).take(PAIRS_MAX);
    let (earlier, later, told) = pairs.find(|&(earlier, later, told)| {
        let between = |timed_add: &&Timed<Tally>| {
            timed_add.deadline() > timed[earlier].invoked && timed_add.invoked < timed[later].deadline()
        };
        let taken = timed.iter().filter(between).map(|timed| match timed.call {
            Tally::Add(number) => number.min(0),
            Tally::Told(_) => 0,
        });
        told.1 < told.0 + taken.sum::<i64>()
    })?;
    Some(Imbalance::Backwards { earlier, later, told })
}

/// At each completion, all that completed against all that began.
fn out_of_range(timed: &[Timed<Tally>], adds: &Adds, (least, greatest): (i64, i64)) -> Option<Imbalance> {
    if (least, greatest) == (i64::MIN, i64::MAX) {
        return None;
    }
    let mut completions: Vec<(u32, usize)> =
        timed.iter().enumerate().filter_map(|(at, timed)| Some((timed.completed?, at))).collect();
    completions.sort_unstable();
    for (place, &(completed, at)) in completions.iter().enumerate() {
        let [surely_taken, surely_added] = adds.completed_before(completed + 1);
        let [may_take, may_add] = adds.invoked_before(completed);
        if surely_added.total + may_take.total > greatest {
            let is_add =
                |&&(_, at): &&(u32, usize)| matches!(timed[at].call, Tally::Add(number) if number > 0);
            let held = completions[..=place].iter().rev().filter(is_add).map(|&(_, at)| at);
            let mut added: Vec<usize> = held.take(usize::try_from(greatest).ok()? + 1).collect();
            added.reverse();
            return Some(Imbalance::TooMany { added, surely: surely_added, taken: may_take });
        }
        if surely_taken.total + may_add.total < least {
            return Some(Imbalance::TooFew { taken: at, surely: surely_taken, added: may_add });
        }
    }
    None
}
