//! What must come before what: the order of each session, reads behind their writes, and whatever else a promise demands.
//!
//! The one idea: a promise holds if its demands have no circle, and a topological order then is the proof. Clocks tell what a
//! transaction can know: of each session so many transactions (Fidge 1988, Mattern 1989). They are kept only while somebody who reads
//! from the transaction is still to come, since a history has as many sessions as it had crashes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::facts::Facts;

/// That one transaction must come before another because of what a third read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Demand {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) reason: Reason,
}

/// Why a demand is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// `reader` could see what `from` wrote to the key, and read what `to` wrote.
    Overwritten { reader: u32, key: u32 },
    /// `from` read what `writer` wrote (`None`: what was there at first), and `to` wrote the key after that.
    Unread { writer: Option<u32>, key: u32 },
}

/// Successors of each transaction, one after another.
pub(super) struct Fan {
    ends: Vec<u32>,
    items: Vec<u32>,
}

impl Fan {
    /// `pairs` of a transaction and what comes behind it, for so many transactions.
    pub(super) fn of(len: usize, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Fan {
        let mut counts = vec![0u32; len];
        pairs.clone().for_each(|(from, _)| counts[from as usize] += 1);
        let mut end = 0;
        let mut next: Vec<u32> = Vec::with_capacity(len);
        let ends = (counts.into_iter())
            .map(|count| {
                next.push(end);
                end += count;
                end
            })
            .collect();
        let mut items = vec![0; end as usize];
        for (from, to) in pairs {
            let slot = &mut next[from as usize];
            items[*slot as usize] = to;
            *slot += 1;
        }
        Fan { ends, items }
    }

    /// The readers of each transaction's writes, and what is demanded to come behind it.
    pub(super) fn forward(facts: &Facts<'_>, demands: &[Demand]) -> Fan {
        let all = 0..facts.len() as u32;
        let read = all.flat_map(|reader| facts.sources(reader).map(move |writer| (writer, reader)));
        Fan::of(facts.len(), read.chain(demands.iter().map(|demand| (demand.from, demand.to))))
    }

    pub(super) fn behind(&self, at: u32) -> &[u32] {
        let start = at.checked_sub(1).map_or(0, |last| self.ends[last as usize]);
        &self.items[start as usize..self.ends[at as usize] as usize]
    }
}

/// All transactions in an order that keeps the sessions, the reads and the demands; as near as possible to that of the history.
/// `Err`: which of them have a place, where the others have none.
pub(super) fn topological(facts: &Facts<'_>, demands: &[Demand]) -> Result<Vec<u32>, Vec<bool>> {
    let len = facts.len() as u32;
    let forward = Fan::forward(facts, demands);
    let mut missing: Vec<u32> = (0..len).map(|at| u32::from(facts.before(at).is_some())).collect();
    forward.items.iter().for_each(|&at| missing[at as usize] += 1);
    let ready = |at: u32| Reverse((facts.places[at as usize], at));
    let mut waiting: BinaryHeap<_> = (0..len).filter(|&at| missing[at as usize] == 0).map(ready).collect();
    let mut order = Vec::with_capacity(facts.len());
    while let Some(Reverse((_, at))) = waiting.pop() {
        order.push(at);
        let next = facts.after(at);
        for behind in forward.behind(at).iter().copied().chain(next) {
            missing[behind as usize] -= 1;
            if missing[behind as usize] == 0 {
                waiting.push(ready(behind));
            }
        }
    }
    if order.len() == facts.len() {
        return Ok(order);
    }
    let mut has_place = vec![false; facts.len()];
    order.into_iter().for_each(|at| has_place[at as usize] = true);
    Err(has_place)
}

/// What each transaction can know, one after another: whatever comes before it by sessions, reads and demands.
pub(super) struct Clocks<'f, 'h> {
    facts: &'f Facts<'h>,
    before: Fan,
    /// The latest of each session.
    sessions: Vec<Option<Box<[u32]>>>,
    /// Of those that somebody of another session still has to ask.
    kept: Vec<Option<Box<[u32]>>>,
    to_come: Vec<u32>,
    current: Box<[u32]>,
}

impl<'f, 'h> Clocks<'f, 'h> {
    pub(super) fn new(facts: &'f Facts<'h>, demands: &[Demand]) -> Clocks<'f, 'h> {
        let all = 0..facts.len() as u32;
        let read = all.flat_map(|reader| facts.sources(reader).map(move |writer| (reader, writer)));
        let demanded = demands.iter().map(|demand| (demand.to, demand.from));
        let before = Fan::of(facts.len(), read.chain(demanded));
        let mut to_come = vec![0; facts.len()];
        before.items.iter().for_each(|&at| to_come[at as usize] += 1);
        Clocks {
            facts,
            before,
            sessions: vec![None; facts.sessions()],
            kept: vec![None; facts.len()],
            to_come,
            current: Box::default(),
        }
    }

    /// Goes on to `at`, whose predecessors all have been gone to.
    pub(super) fn enter(&mut self, at: u32) {
        let session = self.facts.session_of[at as usize] as usize;
        let first = || vec![0; self.facts.sessions()].into();
        let mut clock = self.sessions[session].take().unwrap_or_else(first);
        for &source in self.before.behind(at) {
            let known = self.kept[source as usize].as_ref().expect("somebody still has to ask it");
            clock.iter_mut().zip(known).for_each(|(own, &known)| *own = (*own).max(known));
        }
        self.current = clock;
    }

    /// How many of each session come before the transaction that was entered.
    pub(super) fn current(&self) -> &[u32] {
        &self.current
    }

    /// What a source of the transaction that was entered knew, and itself.
    pub(super) fn kept(&self, source: u32) -> &[u32] {
        self.kept[source as usize].as_ref().expect("the reader has not been left")
    }

    /// Whether a source of the transaction that was entered comes behind `other`, or is it.
    pub(super) fn knows(&self, source: u32, other: u32) -> bool {
        let clock = self.kept(source);
        let (session, count) = self.facts.tick(other);
        clock[session] >= count
    }

    /// Whether the transaction that was entered comes behind `other`.
    pub(super) fn is_behind(&self, other: u32) -> bool {
        let (session, count) = self.facts.tick(other);
        self.current[session] >= count
    }

    /// Leaves the transaction that was entered.
    pub(super) fn leave(&mut self, at: u32) {
        for &source in self.before.behind(at) {
            let to_come = &mut self.to_come[source as usize];
            *to_come -= 1;
            if *to_come == 0 {
                self.kept[source as usize] = None;
            }
        }
        let (session, count) = self.facts.tick(at);
        let mut clock = std::mem::take(&mut self.current);
        clock[session] = count;
        if self.to_come[at as usize] > 0 {
            self.kept[at as usize] = Some(clock.clone());
        }
        self.sessions[session] = self.facts.after(at).map(|_| clock);
    }
}

/// The transactions that wrote each key, by session.
pub(super) struct Writers {
    /// Where the lists of each key end.
    key_ends: Vec<u32>,
    lists: Vec<List>,
    items: Vec<u32>,
}

struct List {
    session: u32,
    start: u32,
    end: u32,
    /// Where the last look-up ended; the next one is near.
    hint: u32,
}

impl Writers {
    pub(super) fn of(facts: &Facts<'_>) -> Writers {
        let all = 0..facts.len() as u32;
        let by_key = Fan::of(facts.keys, all.flat_map(|at| facts.writes(at).map(move |step| (step.key, at))));
        let mut writers = Writers { key_ends: Vec::new(), lists: Vec::new(), items: Vec::new() };
        for key in 0..facts.keys as u32 {
            // Transactions are numbered session after session, so those of a session are together and in order.
            for of_session in by_key
                .behind(key)
                .chunk_by(|&one, &other| facts.session_of[one as usize] == facts.session_of[other as usize])
            {
                let start = writers.items.len() as u32;
                writers.items.extend_from_slice(of_session);
                let session = facts.session_of[of_session[0] as usize];
                writers.lists.push(List { session, start, end: writers.items.len() as u32, hint: start });
            }
            writers.key_ends.push(writers.lists.len() as u32);
        }
        writers
    }

    /// Gives the last writer of the key in each session before that many of its transactions.
    pub(super) fn for_each_last(
        &mut self,
        facts: &Facts<'_>,
        (key, clock): (u32, &[u32]),
        mut visit: impl FnMut(u32),
    ) {
        let (lists, items) = self.lists(key);
        for list in lists {
            let session = list.session as usize;
            let bound = facts.session(session).start + clock[session];
            while list.hint > list.start && items[list.hint as usize - 1] >= bound {
                list.hint -= 1;
            }
            while list.hint < list.end && items[list.hint as usize] < bound {
                list.hint += 1;
            }
            if list.hint > list.start {
                visit(items[list.hint as usize - 1]);
            }
        }
    }

    fn lists(&mut self, key: u32) -> (&mut [List], &[u32]) {
        let start = key.checked_sub(1).map_or(0, |last| self.key_ends[last as usize]);
        (&mut self.lists[start as usize..self.key_ends[key as usize] as usize], &self.items)
    }
}
