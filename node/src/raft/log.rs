//! The log in memory: its entries since some base, which of them were handed to the disk, and which are synced there.
//!
//! It answers the questions that Raft asks of a log; deciding what to do with the answers is `replication.rs`. What
//! lies at the base or before it is known by the base's id alone: a snapshot has the rest.

use std::collections::VecDeque;
use std::sync::Arc;

use super::configuration::Configuration;
use super::types::{Entry, EntryId, Index, Payload, Snapshot, Term};

/// The log. Entries stand behind the base without a gap.
#[derive(Debug, Clone)]
pub(super) struct Log {
    /// The entry before the first in memory; everything up to it is committed.
    base: EntryId,
    base_chain: u32,
    entries: VecDeque<Entry>,
    /// Bytes of the log up to the end of each entry, since it was recovered: what lies between two entries is a
    /// difference, so no counter can drift.
    ends: VecDeque<u64>,
    base_end: u64,
    /// The configurations that the log holds, by index; the first is the one in force at the base.
    configurations: Vec<(Index, Arc<Configuration>)>,
    /// First index that was not yet handed out to be written.
    unwritten: Index,
    /// Everything up to here is synced on disk.
    durable: Index,
}

/// A log as the disk had it, or as a snapshot stands for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogStart {
    /// The entry before the first.
    pub base: EntryId,
    /// Its chained checksum.
    pub chain: u32,
    /// What follows it.
    pub entries: Vec<Entry>,
}

impl Log {
    /// A log as it was recovered: all of it is durable. `configuration` is the one in force at the base, or, if
    /// the base is before the snapshot, at the snapshot.
    pub(super) fn recovered(start: LogStart, configuration: (Index, Arc<Configuration>)) -> Log {
        let mut log = Log {
            base: start.base,
            base_chain: start.chain,
            entries: VecDeque::new(),
            ends: VecDeque::new(),
            base_end: 0,
            configurations: vec![configuration],
            unwritten: Index(0),
            durable: Index(0),
        };
        for entry in start.entries {
            log.append(entry);
        }
        log.durable = log.last().index;
        log.unwritten = log.durable.next();
        log
    }

    pub(super) fn base(&self) -> EntryId {
        self.base
    }

    pub(super) fn last(&self) -> EntryId {
        self.entries.back().map_or(self.base, |entry| entry.id)
    }

    pub(super) fn last_chain(&self) -> u32 {
        self.entries.back().map_or(self.base_chain, |entry| entry.chain)
    }

    pub(super) fn durable(&self) -> Index {
        self.durable
    }

    pub(super) fn get(&self, index: Index) -> Option<&Entry> {
        self.entries.get(self.place(index)?)
    }

    /// Where the entry at `index` stands in memory, if it is behind the base.
    fn place(&self, index: Index) -> Option<usize> {
        index.0.checked_sub(self.base.index.0 + 1).map(|place| place as usize)
    }

    /// The term at `index`; `None` before the base, where it is no longer known, and beyond the end.
    pub(super) fn term_at(&self, index: Index) -> Option<Term> {
        match index == self.base.index {
            true => Some(self.base.term),
            false => self.get(index).map(|entry| entry.id.term),
        }
    }

    /// The chained checksum at `index`, where `term_at` knows the term.
    pub(super) fn chain_at(&self, index: Index) -> Option<u32> {
        match index == self.base.index {
            true => Some(self.base_chain),
            false => self.get(index).map(|entry| entry.chain),
        }
    }

    pub(super) fn holds(&self, id: EntryId) -> bool {
        self.term_at(id.index) == Some(id.term)
    }

    /// The last entry at or before `index` whose term is at most `term`, but not before the base. Both sides use
    /// it to skip whole terms when they look for where their logs part (paper, end of section 5.3).
    pub(super) fn last_at_most(&self, index: Index, term: Term) -> EntryId {
        let upper = self.place(index.next()).unwrap_or(0).min(self.entries.len());
        // Terms never fall along a log.
        let within = self.entries.partition_point(|entry| entry.id.term <= term).min(upper);
        within.checked_sub(1).map_or(self.base, |place| self.entries[place].id)
    }

    /// Entries from `first` on: as many as fit into `bytes`, but at least one if there is one.
    pub(super) fn slice(&self, first: Index, bytes: usize) -> Vec<Entry> {
        let from = self.place(first).expect("behind the base").min(self.entries.len());
        let limit = self.end_before(from) + bytes as u64;
        let fitting = self.ends.partition_point(|&end| end <= limit).max(from + 1).min(self.entries.len());
        self.entries.range(from..fitting).cloned().collect()
    }

    /// Entries from `first` to `last`, both included.
    pub(super) fn range(&self, first: Index, last: Index) -> Vec<Entry> {
        let place = |index| self.place(index).expect("behind the base");
        self.entries.range(place(first)..=place(last)).cloned().collect()
    }

    /// Bytes of the entries behind `index`.
    pub(super) fn bytes_behind(&self, index: Index) -> u64 {
        let place = self.place(index.next()).unwrap_or(0).min(self.entries.len());
        self.end_before(self.entries.len()) - self.end_before(place)
    }

    fn end_before(&self, place: usize) -> u64 {
        place.checked_sub(1).map_or(self.base_end, |place| self.ends[place])
    }

    /// The configuration in force: the last in the log, committed or not (paper, section 6).
    pub(super) fn configuration(&self) -> &Arc<Configuration> {
        &self.configurations.last().expect("the first is never taken away").1
    }

    /// Where the configuration in force stands.
    pub(super) fn configuration_index(&self) -> Index {
        self.configurations.last().expect("the first is never taken away").0
    }

    /// How many configurations stand behind `index`.
    pub(super) fn configurations_behind(&self, index: Index) -> usize {
        self.configurations.iter().filter(|(since, _)| *since > index).count()
    }

    /// The configuration that was in force at `index`.
    pub(super) fn configuration_at(&self, index: Index) -> &Arc<Configuration> {
        let known = self.configurations.iter().rev().find(|(since, _)| *since <= index);
        &known.unwrap_or(&self.configurations[0]).1
    }

    /// Appends a new entry behind the last (a leader's way).
    pub(super) fn push(&mut self, term: Term, payload: Payload) -> EntryId {
        let id = EntryId { term, index: self.last().index.next() };
        self.append(Entry::new(id, payload, self.last_chain()));
        id
    }

    fn append(&mut self, entry: Entry) {
        assert_eq!(entry.id.index, self.last().index.next(), "a gap in the log");
        if let Payload::Configuration(configuration) = &entry.payload {
            // What the snapshot says of an index is not said again by the log.
            if entry.id.index > self.configuration_index() {
                self.configurations.push((entry.id.index, Arc::clone(configuration)));
            }
        }
        let end = self.end_before(self.entries.len()) + entry.size() as u64;
        self.entries.push_back(entry);
        self.ends.push_back(end);
    }

    /// Takes over `entries` that follow an entry which this log holds (a follower's way): those it has stay,
    /// the first that differs and all behind it are replaced (paper, Figure 2, AppendEntries 3 and 4).
    /// Gives the index at which old entries were cut away, if any were.
    pub(super) fn merge(&mut self, entries: Vec<Entry>) -> Option<Index> {
        let known = entries.iter().take_while(|entry| self.holds(entry.id)).count();
        let fresh = entries.get(known)?.id.index;
        let cut = (fresh <= self.last().index).then_some(fresh);
        if cut.is_some() {
            let place = self.place(fresh).expect("what is at the base is committed");
            self.entries.truncate(place);
            self.ends.truncate(place);
            while self.configurations.len() > 1 && self.configuration_index() >= fresh {
                self.configurations.pop();
            }
            self.unwritten = self.unwritten.min(fresh);
            self.durable = self.durable.min(fresh.previous());
        }
        entries.into_iter().skip(known).for_each(|entry| self.append(entry));
        cut
    }

    /// Entries that nobody wrote yet; they count as handed out from here on.
    pub(super) fn take_unwritten(&mut self) -> Vec<Entry> {
        if self.unwritten > self.last().index {
            return Vec::new();
        }
        let fresh = self.range(self.unwritten, self.last().index);
        self.unwritten = self.last().index.next();
        fresh
    }

    /// Entries up to `index` are synced.
    pub(super) fn became_durable(&mut self, index: Index) {
        assert!(index < self.unwritten, "entry {index} synced before it was written");
        self.durable = self.durable.max(index);
    }

    /// Forgets entries up to `index`, but keeps the last `keep` bytes of them for followers that are a little
    /// behind. `index` is covered by a snapshot.
    pub(super) fn compact(&mut self, index: Index, keep: u64) {
        let upto = self.end_before(self.entries.len()).saturating_sub(keep);
        let old = self.ends.partition_point(|&end| end <= upto);
        // What is not written yet has to be handed out first.
        let last = index.min(self.unwritten.previous()).min(Index(self.base.index.0 + old as u64));
        let Some(count) = self.place(last.next()).filter(|&count| count > 0) else {
            return;
        };
        let configuration = Arc::clone(self.configuration_at(last));
        (self.base, self.base_chain) = (self.entries[count - 1].id, self.entries[count - 1].chain);
        self.base_end = self.ends[count - 1];
        self.entries.drain(..count);
        self.ends.drain(..count);
        self.configurations.retain(|(since, _)| *since > last);
        self.configurations.insert(0, (last, configuration));
    }

    /// Starts anew behind a snapshot that is on disk (paper, section 7, InstallSnapshot 7).
    pub(super) fn reset(&mut self, snapshot: &Snapshot) {
        let end = self.end_before(self.entries.len());
        *self = Log {
            base: snapshot.last,
            base_chain: snapshot.chain,
            entries: VecDeque::new(),
            ends: VecDeque::new(),
            base_end: end,
            configurations: vec![(snapshot.last.index, Arc::clone(&snapshot.configuration))],
            unwritten: snapshot.last.index.next(),
            durable: snapshot.last.index,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::raft::NodeId;

    fn empty() -> Log {
        Log::recovered(LogStart::default(), (Index(0), Arc::default()))
    }

    fn log(terms: &[u64]) -> Log {
        let mut log = empty();
        for &term in terms {
            log.push(Term(term), Payload::Noop);
        }
        log
    }

    fn tail(terms: &[u64], first: u64) -> Vec<Entry> {
        log(terms).slice(Index(first), usize::MAX >> 1)
    }

    fn members(node: u32) -> Arc<Configuration> {
        Arc::new(Configuration::of(BTreeMap::from([(NodeId(node), String::new())])))
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
    fn a_cut_takes_back_durability_and_configurations() {
        let mut mine = log(&[1, 1]);
        mine.push(Term(2), Payload::Configuration(members(7)));
        mine.push(Term(2), Payload::Noop);
        assert_eq!(mine.take_unwritten().len(), 4);
        mine.became_durable(Index(4));
        assert_eq!(*mine.configuration(), members(7));
        mine.merge(tail(&[1, 1, 3], 3));
        assert_eq!(mine.durable(), Index(2));
        assert_eq!(mine.take_unwritten().len(), 1);
        assert_eq!(*mine.configuration(), Arc::default(), "the one before is in force again");
    }

    #[test]
    fn last_at_most_skips_later_terms() {
        let mut mine = log(&[1, 1, 4, 4, 6]);
        let at = |log: &Log, index, term| log.last_at_most(Index(index), Term(term)).index.0;
        assert_eq!((at(&mine, 5, 6), at(&mine, 5, 5), at(&mine, 3, 4)), (5, 4, 3));
        assert_eq!((at(&mine, 9, 3), at(&mine, 2, 0)), (2, 0));
        mine.take_unwritten();
        mine.compact(Index(3), 0);
        assert_eq!((at(&mine, 5, 5), at(&mine, 2, 9), at(&mine, 5, 1)), (4, 3, 3), "not before the base");
    }

    #[test]
    fn a_slice_has_at_least_one_entry() {
        let mine = log(&[1, 1, 1]);
        let size = mine.get(Index(1)).expect("an entry").size();
        assert_eq!(mine.slice(Index(2), 0).len(), 1);
        assert_eq!(mine.slice(Index(1), 2 * size).len(), 2);
        assert_eq!(mine.slice(Index(4), 64).len(), 0);
    }

    #[test]
    fn compaction_keeps_a_tail_and_what_was_never_written() {
        let mut mine = log(&[1, 1, 2]);
        let size = mine.get(Index(1)).expect("an entry").size() as u64;
        mine.compact(Index(2), 0);
        assert_eq!(mine.base().index, Index(0), "nothing was handed to the disk yet");
        mine.take_unwritten();
        mine.compact(Index(2), 2 * size);
        assert_eq!((mine.base().index, mine.bytes_behind(Index(1))), (Index(1), 2 * size));
        mine.compact(Index(2), 0);
        assert_eq!(mine.base(), EntryId { term: Term(1), index: Index(2) });
        assert_eq!((mine.term_at(Index(1)), mine.term_at(Index(3))), (None, Some(Term(2))));
        assert_eq!(mine.bytes_behind(Index(0)), size);
        assert_eq!(mine.push(Term(2), Payload::Noop).index, Index(4));
    }

    #[test]
    fn the_configuration_at_an_index_outlives_compaction() {
        let mut mine = log(&[1]);
        mine.push(Term(1), Payload::Configuration(members(1)));
        mine.push(Term(1), Payload::Configuration(members(2)));
        mine.push(Term(1), Payload::Noop);
        assert_eq!(*mine.configuration_at(Index(1)), Arc::default());
        mine.take_unwritten();
        mine.compact(Index(2), 0);
        assert_eq!(*mine.configuration_at(Index(2)), members(1));
        assert_eq!(*mine.configuration_at(Index(4)), members(2));
    }
}
