//! Transactions whose writes are unique: what read-committed, read-atomic and causal demand of the order in which they committed.
//!
//! Each level says of whom a transaction sees something: of whoever it has read from before (read-committed), of those it reads
//! from and those before it in its session (read-atomic), of all that come before it by sessions and reads (causal). When one of them
//! wrote a key and the transaction read that key from another, the other must have committed later (Biswas & Enea 2019, section 2). The
//! level holds iff that, the sessions and the reads have no circle. One demand for each session that could be seen is enough, for
//! earlier writers of it come before (Møldrup & Pavlogiannis 2025).

use super::facts::{Facts, Step};
use super::order::{Clocks, Demand, Reason, Writers};
use super::violation::Violation;

/// What read-committed, or read-atomic, demands.
pub(super) fn direct_demands(facts: &Facts<'_>, is_atomic: bool) -> Result<Vec<Demand>, Violation> {
    let mut direct = Direct {
        facts,
        is_atomic,
        demands: Vec::new(),
        reads_of: vec![(0, 0); facts.keys],
        next_read: Vec::new(),
        sources: Vec::new(),
        seen: vec![(0, 0); facts.len()],
    };
    let mut written = vec![(0, 0); facts.keys];
    for session in 0..facts.sessions() {
        for at in facts.session(session) {
            direct.transaction(at)?;
            if !is_atomic {
                continue;
            }
            let mark = session as u32 + 1;
            for read in facts.reads(at) {
                let (of, writer) = written[read.key as usize];
                if of == mark {
                    direct.demand(writer, at, read)?;
                }
            }
            facts.writes(at).for_each(|step| written[step.key as usize] = (mark, at));
        }
    }
    Ok(direct.demands)
}

struct Direct<'f, 'h> {
    facts: &'f Facts<'h>,
    is_atomic: bool,
    demands: Vec<Demand>,
    /// By key: the transaction that read it last, plus one, and the first of its reads of the key, plus one.
    reads_of: Vec<(u32, u32)>,
    /// Behind each read of the transaction the next of the same key, plus one.
    next_read: Vec<u32>,
    /// Whom the transaction reads from, each once, and which of its reads is the first.
    sources: Vec<(u32, u32)>,
    /// By source: the transaction that it was last seen by, plus one.
    seen: Vec<(u32, u32)>,
}

impl Direct<'_, '_> {
    fn transaction(&mut self, at: u32) -> Result<(), Violation> {
        let facts = self.facts;
        let reads = facts.reads(at).count();
        if reads < 2 {
            return Ok(());
        }
        self.lay_reads(at, reads);
        for number in 0..self.sources.len() {
            let (source, first) = self.sources[number];
            if facts.writes(source).count() <= reads {
                for written in facts.writes(source) {
                    self.reads_of_key(at, written.key, (source, first))?;
                }
                continue;
            }
            let from = if self.is_atomic { 0 } else { first as usize };
            for read in facts.reads(at).skip(from) {
                if facts.written(source, read.key).is_some() {
                    self.demand(source, at, read)?;
                }
            }
        }
        Ok(())
    }

    fn lay_reads(&mut self, at: u32, reads: usize) {
        self.next_read.clear();
        self.next_read.resize(reads, 0);
        self.sources.clear();
        for number in (0..reads as u32).rev() {
            let step = self.facts.steps(at)[number as usize];
            let first = &mut self.reads_of[step.key as usize];
            self.next_read[number as usize] = if first.0 == at + 1 { first.1 } else { 0 };
            *first = (at + 1, number + 1);
        }
        for (read, number) in self.facts.reads(at).zip(0..) {
            if let Some(source) = self.facts.writer(read)
                && self.seen[source as usize].0 != at + 1
            {
                self.seen[source as usize] = (at + 1, number);
                self.sources.push((source, number));
            }
        }
    }

    /// Demands from reads of one key, where the source has been read from before if need be.
    fn reads_of_key(&mut self, at: u32, key: u32, (source, first): (u32, u32)) -> Result<(), Violation> {
        let (of, mut next) = self.reads_of[key as usize];
        if of != at + 1 {
            return Ok(());
        }
        while let Some(number) = next.checked_sub(1) {
            if self.is_atomic || number > first {
                self.demand(source, at, self.facts.steps(at)[number as usize])?;
            }
            next = self.next_read[number as usize];
        }
        Ok(())
    }

    /// `seen` wrote the key that `reader` read.
    fn demand(&mut self, seen: u32, reader: u32, read: Step) -> Result<(), Violation> {
        self.demands.extend(demand(self.facts, seen, reader, read)?);
        Ok(())
    }
}

/// What must be so when `reader` saw something of `seen`, which wrote the key that it read.
pub(super) fn demand(
    facts: &Facts<'_>,
    seen: u32,
    reader: u32,
    read: Step,
) -> Result<Option<Demand>, Violation> {
    let key = read.key;
    let Some(to) = facts.writer(read) else {
        return Err(Violation::Forgotten { seen, reader });
    };
    let is_plain =
        to == seen || facts.session_of[to as usize] == facts.session_of[seen as usize] && seen < to;
    Ok((!is_plain).then_some(Demand { from: seen, to, reason: Reason::Overwritten { reader, key } }))
}

/// What causal demands; `order` keeps sessions and reads.
pub(super) fn causal_demands(facts: &Facts<'_>, order: &[u32]) -> Result<Vec<Demand>, Violation> {
    let mut writers = Writers::of(facts);
    let mut clocks = Clocks::new(facts, &[]);
    let mut demands = Vec::new();
    let mut forgotten = None;
    for &at in order {
        clocks.enter(at);
        for read in facts.reads(at) {
            writers.for_each_last(facts, (read.key, clocks.current()), |seen| {
                match demand(facts, seen, at, read) {
                    Err(violation) => forgotten = Some(violation),
                    Ok(Some(demand)) if !clocks.knows(demand.to, seen) => demands.push(demand),
                    Ok(_) => {}
                }
            });
            if let Some(violation) = forgotten {
                return Err(violation);
            }
        }
        clocks.leave(at);
    }
    Ok(demands)
}
