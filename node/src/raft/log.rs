//! The log in memory: all entries, which of them were handed to the disk, and which are synced there.
//!
//! It answers the questions that Raft asks of a log; deciding what to do with the answers is `replication.rs`.

use super::types::{Entry, EntryId, Index, Payload, Term};

/// The log. Entries stand at 1, 2, 3 … without a gap.
#[derive(Debug)]
pub(super) struct Log {
    entries: Vec<Entry>,
    /// First index that was not yet handed out to be written.
    unwritten: Index,
    /// Everything up to here is synced on disk.
    durable: Index,
}

impl Log {
    /// A log as it was recovered: all of it is durable.
    pub(super) fn recovered(entries: Vec<Entry>) -> Log {
        let last = Index(entries.len() as u64);
        for (place, entry) in entries.iter().enumerate() {
            assert_eq!(entry.id.index.0, place as u64 + 1, "a gap in the log");
        }
        Log { entries, unwritten: last.next(), durable: last }
    }

    pub(super) fn last(&self) -> EntryId {
        self.entries.last().map_or(EntryId::default(), |entry| entry.id)
    }

    pub(super) fn durable(&self) -> Index {
        self.durable
    }

    pub(super) fn get(&self, index: Index) -> Option<&Entry> {
        self.entries.get((index.0 as usize).checked_sub(1)?)
    }

    /// The term at `index`; before the log it is 0, beyond its end there is none.
    pub(super) fn term_at(&self, index: Index) -> Option<Term> {
        match index {
            Index(0) => Some(Term(0)),
            _ => self.get(index).map(|entry| entry.id.term),
        }
    }

    pub(super) fn holds(&self, id: EntryId) -> bool {
        self.term_at(id.index) == Some(id.term)
    }

    /// The last entry at or before `index` whose term is at most `term`. Both sides use it to skip whole terms
    /// when they look for where their logs part (paper, end of section 5.3).
    pub(super) fn last_at_most(&self, index: Index, term: Term) -> EntryId {
        let upper = self.entries.len().min(index.0 as usize);
        let within = self.entries[..upper].partition_point(|entry| entry.id.term <= term);
        within.checked_sub(1).map_or(EntryId::default(), |place| self.entries[place].id)
    }

    /// Entries from `first` on: as many as fit into `bytes`, but at least one if there is one.
    pub(super) fn slice(&self, first: Index, bytes: usize) -> &[Entry] {
        let from = (first.0 as usize - 1).min(self.entries.len());
        let rest = &self.entries[from..];
        let mut size = 0;
        let fitting = rest.iter().take_while(|entry| {
            let fits = size == 0 || size + entry.size() <= bytes;
            size += entry.size();
            fits
        });
        &rest[..fitting.count()]
    }

    /// Entries from `first` to `last`, both included.
    pub(super) fn range(&self, first: Index, last: Index) -> &[Entry] {
        &self.entries[first.0 as usize - 1..last.0 as usize]
    }

    /// Appends a new entry behind the last (a leader's way).
    pub(super) fn push(&mut self, term: Term, payload: Payload) -> EntryId {
        let id = EntryId { term, index: self.last().index.next() };
        let previous = self.entries.last().map_or(0, |entry| entry.chain);
        self.entries.push(Entry::new(id, payload, previous));
        id
    }

    /// Takes over `entries` that follow an entry which this log holds (a follower's way): those it has stay,
    /// the first that differs and all behind it are replaced (paper, Figure 2, AppendEntries 3 and 4).
    /// Gives the index at which old entries were cut away, if any were.
    pub(super) fn merge(&mut self, entries: Vec<Entry>) -> Option<Index> {
        let known = entries.iter().take_while(|entry| self.holds(entry.id)).count();
        let fresh = entries.get(known)?.id.index;
        let cut = (fresh <= self.last().index).then_some(fresh);
        if cut.is_some() {
            self.entries.truncate(fresh.0 as usize - 1);
            self.unwritten = self.unwritten.min(fresh);
            self.durable = self.durable.min(fresh.previous());
        }
        assert_eq!(fresh, self.last().index.next(), "entries with a gap before them");
        self.entries.extend(entries.into_iter().skip(known));
        cut
    }

    /// Entries that nobody wrote yet; they count as handed out from here on.
    pub(super) fn take_unwritten(&mut self) -> &[Entry] {
        let from = self.unwritten.0 as usize - 1;
        self.unwritten = self.last().index.next();
        &self.entries[from..]
    }

    /// Entries up to `index` are synced.
    pub(super) fn became_durable(&mut self, index: Index) {
        assert!(index < self.unwritten, "entry {index} synced before it was written");
        self.durable = self.durable.max(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(terms: &[u64]) -> Log {
        let mut log = Log::recovered(Vec::new());
        for &term in terms {
            log.push(Term(term), Payload::Noop);
        }
        log
    }

    fn tail(terms: &[u64], first: u64) -> Vec<Entry> {
        log(terms).slice(Index(first), usize::MAX).to_vec()
    }

    #[test]
    fn merge_keeps_what_matches_and_replaces_what_does_not() {
        let mut mine = log(&[1, 1, 2, 2]);
        assert_eq!(mine.merge(tail(&[1, 1, 2], 2)), None, "a delayed message cuts nothing");
        assert_eq!(mine.last().index, Index(4));
        assert_eq!(mine.merge(tail(&[1, 1, 3], 3)), Some(Index(3)));
        assert_eq!(mine.last(), EntryId { term: Term(3), index: Index(3) });
    }

    #[test]
    fn a_cut_takes_back_durability() {
        let mut mine = log(&[1, 1, 2, 2]);
        assert_eq!(mine.take_unwritten().len(), 4);
        mine.became_durable(Index(4));
        mine.merge(tail(&[1, 1, 3], 3));
        assert_eq!(mine.durable(), Index(2));
        assert_eq!(mine.take_unwritten().len(), 1);
    }

    #[test]
    fn last_at_most_skips_later_terms() {
        let mine = log(&[1, 1, 4, 4, 6]);
        let at = |index, term| mine.last_at_most(Index(index), Term(term)).index.0;
        assert_eq!((at(5, 6), at(5, 5), at(3, 4), at(9, 3), at(2, 0)), (5, 4, 3, 2, 0));
    }

    #[test]
    fn a_slice_has_at_least_one_entry() {
        let mine = log(&[1, 1, 1]);
        assert_eq!(mine.slice(Index(2), 0).len(), 1);
        assert_eq!(mine.slice(Index(1), 64).len(), 2);
        assert_eq!(mine.slice(Index(4), 64).len(), 0);
    }
}
