//! What any single order of all transactions must keep, as far as it follows step by step: sessions, reads, and of two writes and a
//! read of one of them what the known order of two of the three says of the others.
//!
//! It is no decision: without a circle there may still be no order (deciding that is NP-complete, Gibbons & Korach 1997), but a circle
//! is found in little time, and the demands cut down the search.

use super::facts::{Facts, INITIAL};
use super::isolation::demand;
use super::order::{Clocks, Demand, Fan, Reason, Writers, topological};
use super::violation::{Violation, circle};

/// Rounds after which what has not been found yet is left to the search.
const ROUNDS_MAX: usize = 50;

/// The demands that follow.
pub(super) fn saturated(facts: &Facts<'_>, out_of_time: &dyn Fn() -> bool) -> Result<Vec<Demand>, Violation> {
    let mut demands: Vec<Demand> = Vec::new();
    let mut writers = Writers::of(facts);
    let readers = Readers::of(facts);
    for _ in 0..ROUNDS_MAX {
        let order = topological(facts, &demands);
        let order = order.map_err(|has_place| Violation::Circle(circle(facts, &demands, &has_place)))?;
        if out_of_time() {
            break;
        }
        let new = round(facts, &order, &demands, (&mut writers, &readers))?;
        if new.is_empty() {
            break;
        }
        demands.extend(new);
    }
    Ok(demands)
}

fn round(
    facts: &Facts<'_>,
    order: &[u32],
    demands: &[Demand],
    (writers, readers): (&mut Writers, &Readers),
) -> Result<Vec<Demand>, Violation> {
    let mut clocks = Clocks::new(facts, demands);
    let mut new = Vec::new();
    for &at in order {
        clocks.enter(at);
        for read in facts.reads(at) {
            let mut forgotten = None;
            writers.for_each_last(facts, (read.key, clocks.current()), |seen| {
                match demand(facts, seen, at, read) {
                    Err(violation) => forgotten = Some(violation),
                    Ok(Some(demand)) if !clocks.knows(demand.to, seen) => new.push(demand),
                    Ok(_) => {}
                }
            });
            forgotten.map_or(Ok(()), Err)?;
        }
        for write in facts.writes(at) {
            let key = write.key;
            let mut follow = |writer: Option<u32>| {
                for &reader in readers.last(facts, writer, key) {
                    if reader != at && !clocks.is_behind(reader) {
                        new.push(Demand { from: reader, to: at, reason: Reason::Unread { writer, key } });
                    }
                }
            };
            let mut is_first = true;
            writers.for_each_last(facts, (key, clocks.current()), |writer| {
                is_first = false;
                follow(Some(writer));
            });
            if is_first {
                follow(None);
            }
        }
        clocks.leave(at);
    }
    Ok(new)
}

/// The last reader in each session of every version.
struct Readers {
    of_versions: Fan,
    /// The version that each key has at first, if anybody read it.
    initial: Vec<Option<u32>>,
}

impl Readers {
    fn of(facts: &Facts<'_>) -> Readers {
        let all = 0..facts.len() as u32;
        let read = all.flat_map(|at| facts.reads(at).map(move |read| (read.version, at)));
        let mut pairs: Vec<(u32, u32)> = read.collect();
        pairs.sort_unstable();
        // Of those in one session the last is behind the others.
        let same = |one: &(u32, u32), other: &(u32, u32)| {
            one.0 == other.0 && facts.session_of[one.1 as usize] == facts.session_of[other.1 as usize]
        };
        let lasts = pairs.chunk_by(same).map(|chunk| chunk[chunk.len() - 1]);
        let mut initial = vec![None; facts.keys];
        for (version, number) in facts.versions.iter().zip(0..) {
            if version.writer == INITIAL {
                initial[version.key as usize] = Some(number);
            }
        }
        Readers { of_versions: Fan::of(facts.versions.len(), lasts), initial }
    }

    /// Readers of what that transaction wrote to the key; `None`: of what was there at first.
    fn last(&self, facts: &Facts<'_>, writer: Option<u32>, key: u32) -> &[u32] {
        let version = match writer {
            Some(writer) => facts.written(writer, key).map(|step| step.version),
            None => self.initial[key as usize],
        };
        version.map_or(&[], |version| self.of_versions.behind(version))
    }
}
