//! The write-ahead log: segments of one length, written from their start to their end, each batch with one sync.
//!
//! A crash may tear what was being written, and that was promised to nobody. Damage before it is another thing: what
//! was synced is gone, and a node that went on without it could break promises (protocol-aware recovery,
//! FAST '18), so it must not start. A batch record tells the two apart: it is written only after everything before it
//! was synced. Damage with a batch record behind it lies in the middle; damage without one is the torn tail.

use std::collections::VecDeque;

use bytes::Bytes;

use super::disk::Disk;
use super::record::{BATCH_BODY, HEAD, Header, Record};
use super::{Damage, StorageError, failed};
use crate::raft::{Entry, EntryId, HardState, Index, LogStart, NodeId, Write};
use crate::rules::Rules;

/// The log on disk.
#[derive(Debug)]
pub(super) struct Segments {
    node: NodeId,
    size: u64,
    rules: Rules,
    /// Those that were not dropped yet; the last is being written.
    live: VecDeque<Segment>,
    /// Where the next batch goes in the last one.
    position: u64,
    /// The sum of the last record.
    sum: u32,
    hard_state: HardState,
    /// The last entry, and its chain.
    last: EntryId,
    chain: u32,
}

#[derive(Debug)]
struct Segment {
    sequence: u64,
    /// The last entry of the log when it was begun.
    base: Index,
    /// The lowest index that was written in it.
    lowest: Index,
}

/// What the log on disk says.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) segments: Segments,
    pub(super) hard_state: HardState,
    pub(super) log: LogStart,
    pub(super) torn_bytes: u64,
}

fn name(sequence: u64) -> String {
    format!("log-{sequence:016x}")
}

fn sequence(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_prefix("log-")?, 16).ok()
}

impl Segments {
    /// Reads all segments, clears the torn tail away, and is ready to go on behind it.
    pub(super) fn open(
        disk: &mut dyn Disk,
        node: NodeId,
        size: u64,
        rules: Rules,
    ) -> Result<Read, StorageError> {
        let names = disk.list().map_err(failed("list", "the log"))?;
        let mut sequences: Vec<u64> = names.iter().filter_map(|name| sequence(name)).collect();
        sequences.sort_unstable();
        let mut reader = Reader::new(node, size, rules);
        for (place, &sequence) in sequences.iter().enumerate() {
            let is_last = place + 1 == sequences.len();
            let content = disk.read(&name(sequence)).map_err(failed("read", &name(sequence)))?;
            let read = reader.segment(&content, sequence, is_last);
            match read.map_err(|damage| StorageError::Damaged { file: name(sequence), damage })? {
                Tail::Clean => {}
                // It was being made when the node died, and nothing was ever written into it.
                Tail::Unborn => {
                    disk.remove(&name(sequence)).map_err(failed("remove", &name(sequence)))?;
                    disk.sync_folder().map_err(failed("sync the folder of", &name(sequence)))?;
                }
                Tail::Torn { from, to } => {
                    // Whatever is written there next may be shorter, and what is left must not pass for its sequel.
                    let zeros = vec![0; (to - from) as usize];
                    let file = name(sequence);
                    disk.write_at(&file, from, &zeros).map_err(failed("clear the torn tail of", &file))?;
                    disk.sync(&file).map_err(failed("sync", &file))?;
                }
            }
        }
        Ok(reader.finish())
    }

    /// Begins the first segment, or another one.
    pub(super) fn begin(&mut self, disk: &mut dyn Disk) -> Result<(), StorageError> {
        let sequence = self.live.back().map_or(1, |segment| segment.sequence + 1);
        let file = name(sequence);
        let header = Header {
            node: self.node,
            sequence,
            before: self.sum,
            hard_state: self.hard_state,
            base: self.last,
            chain: self.chain,
        };
        let mut buffer = Vec::new();
        let sum = Record::Header(header).encode(0, &mut buffer);
        disk.create(&file, self.size).map_err(failed("make room for", &file))?;
        disk.write_at(&file, 0, &buffer).map_err(failed("write to", &file))?;
        disk.sync(&file).map_err(failed("sync", &file))?;
        disk.sync_folder().map_err(failed("sync the folder of", &file))?;
        (self.position, self.sum) = (buffer.len() as u64, sum);
        let lowest = Index(u64::MAX);
        self.live.push_back(Segment { sequence, base: self.last.index, lowest });
        Ok(())
    }

    /// Writes a batch and syncs it.
    pub(super) fn write(&mut self, disk: &mut dyn Disk, writes: &[Write]) -> Result<(), StorageError> {
        let has_hard_state = self.rules.vote_is_persistent && writes.iter().any(|w| w.hard_state.is_some());
        let has_entries = self.rules.log_is_persistent && writes.iter().any(|w| !w.entries.is_empty());
        if !has_hard_state && !has_entries {
            return Ok(());
        }
        let room: usize = writes.iter().flat_map(|write| &write.entries).map(|entry| entry.size() + 64).sum();
        if self.position > HEAD as u64 + 100 && self.position + room as u64 + 256 > self.size {
            self.begin(disk)?;
        }
        let sequence = self.live.back().expect("a segment was begun").sequence;
        let mut buffer = Vec::with_capacity(room + 256);
        let batch = Record::Batch { sequence, position: self.position, before: self.sum };
        let mut sum = batch.encode(self.sum, &mut buffer);
        let (mut hard_state, mut last, mut chain) = (self.hard_state, self.last, self.chain);
        let mut lowest = Index(u64::MAX);
        for write in writes {
            if let Some(new) = write.hard_state.filter(|_| self.rules.vote_is_persistent) {
                sum = Record::HardState(new).encode(sum, &mut buffer);
                hard_state = new;
            }
            for entry in write.entries.iter().filter(|_| self.rules.log_is_persistent) {
                sum = Record::Entry(entry.clone()).encode(sum, &mut buffer);
                (last, chain) = (entry.id, entry.chain);
                lowest = lowest.min(entry.id.index);
            }
        }
        let file = name(sequence);
        disk.write_at(&file, self.position, &buffer).map_err(failed("write to", &file))?;
        if self.rules.log_is_synced {
            disk.sync(&file).map_err(failed("sync", &file))?;
        }
        self.position += buffer.len() as u64;
        (self.sum, self.hard_state, self.last, self.chain) = (sum, hard_state, last, chain);
        let segment = self.live.back_mut().expect("a segment was begun");
        segment.lowest = segment.lowest.min(lowest);
        Ok(())
    }

    /// The log goes on behind a snapshot, and nothing before it counts any more.
    pub(super) fn restart(
        &mut self,
        disk: &mut dyn Disk,
        last: EntryId,
        chain: u32,
    ) -> Result<(), StorageError> {
        (self.last, self.chain) = (last, chain);
        self.begin(disk)?;
        self.drop_first(disk, self.live.len() - 1)
    }

    /// Removes segments that a snapshot up to `index` has made needless.
    pub(super) fn drop_covered(&mut self, disk: &mut dyn Disk, index: Index) -> Result<(), StorageError> {
        // A reader that starts with a segment must find every entry behind its base: an entry may have replaced
        // another that stood in an earlier segment.
        let may_start = |place: usize| {
            let base = self.live[place].base;
            base <= index && self.live.range(place..).all(|segment| segment.lowest > base)
        };
        let first = (1..self.live.len()).rev().find(|&place| may_start(place)).unwrap_or(0);
        self.drop_first(disk, first)
    }

    fn drop_first(&mut self, disk: &mut dyn Disk, count: usize) -> Result<(), StorageError> {
        if count == 0 {
            return Ok(());
        }
        // In order, so that a crash in between leaves no gap.
        for segment in self.live.drain(..count) {
            let file = name(segment.sequence);
            disk.remove(&file).map_err(failed("remove", &file))?;
            disk.sync_folder().map_err(failed("sync the folder of", &file))?;
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.live.len() as u64 * self.size
    }
}

/// How a segment ends.
enum Tail {
    Clean,
    /// Bytes that hold no record, up to the last that is not zero.
    Torn {
        from: u64,
        to: u64,
    },
    Unborn,
}

/// Reads segments one after the other.
struct Reader {
    segments: Segments,
    log: LogStart,
    torn_bytes: u64,
}

impl Reader {
    fn new(node: NodeId, size: u64, rules: Rules) -> Reader {
        let segments = Segments {
            node,
            size,
            rules,
            live: VecDeque::new(),
            position: 0,
            sum: 0,
            hard_state: HardState::default(),
            last: EntryId::default(),
            chain: 0,
        };
        Reader { segments, log: LogStart::default(), torn_bytes: 0 }
    }

    fn segment(&mut self, content: &Bytes, sequence: u64, is_last: bool) -> Result<Tail, Damage> {
        let (header, length, sum) = match Record::decode(content, 0) {
            Some((Record::Header(header), length, sum)) if header.sequence == sequence => {
                (header, length, sum)
            }
            _ if is_last && !has_batch_behind(content, 0, sequence) => {
                self.torn_bytes += end_of_content(content, 0);
                return Ok(Tail::Unborn);
            }
            Some((Record::Header(_), ..)) => return Err(Damage::Gap { at: 0 }),
            _ => return Err(Damage::Header),
        };
        self.take_header(&header)?;
        self.segments.sum = sum;
        let mut at = length;
        while let Some((record, length, sum)) = Record::decode(&content.slice(at..), self.segments.sum) {
            self.take(record, at)?;
            self.segments.sum = sum;
            at += length;
        }
        self.segments.position = at as u64;
        let end = end_of_content(content, at);
        if end == at as u64 {
            return Ok(Tail::Clean);
        }
        if !is_last || has_batch_behind(content, at, sequence) {
            return Err(Damage::Middle { at });
        }
        self.torn_bytes += end - at as u64;
        Ok(Tail::Torn { from: at as u64, to: end })
    }

    fn take_header(&mut self, header: &Header) -> Result<(), Damage> {
        let Segments { node, live, sum, .. } = &self.segments;
        if header.node != *node {
            return Err(Damage::Foreign { owner: header.node });
        }
        match live.back() {
            // Whatever came before was dropped.
            None => {
                (self.log.base, self.log.chain) = (header.base, header.chain);
                self.segments.hard_state = header.hard_state;
            }
            Some(before) if before.sequence + 1 != header.sequence || header.before != *sum => {
                return Err(Damage::Gap { at: 0 });
            }
            Some(_) => {
                // A log that goes on elsewhere than it ended goes on behind a snapshot.
                if header.base != self.last().0 || header.chain != self.last().1 {
                    let entries = Vec::new();
                    self.log = LogStart { base: header.base, chain: header.chain, entries };
                }
                if header.hard_state != self.segments.hard_state {
                    return Err(Damage::Gap { at: 0 });
                }
            }
        }
        let (sequence, base) = (header.sequence, header.base.index);
        self.segments.live.push_back(Segment { sequence, base, lowest: Index(u64::MAX) });
        Ok(())
    }

    fn last(&self) -> (EntryId, u32) {
        let last = self.log.entries.last();
        last.map_or((self.log.base, self.log.chain), |entry| (entry.id, entry.chain))
    }

    fn take(&mut self, record: Record, at: usize) -> Result<(), Damage> {
        match record {
            Record::Header(_) => Err(Damage::Gap { at }),
            Record::Batch { position, .. } if position != at as u64 => Err(Damage::Gap { at }),
            Record::Batch { .. } => Ok(()),
            Record::HardState(hard_state) => {
                self.segments.hard_state = hard_state;
                Ok(())
            }
            Record::Entry(entry) => self.push(entry).ok_or(Damage::Gap { at }),
        }
    }

    fn push(&mut self, entry: Entry) -> Option<()> {
        let segment = self.segments.live.back_mut()?;
        segment.lowest = segment.lowest.min(entry.id.index);
        let before = entry.id.index.0.checked_sub(self.log.base.index.0 + 1)? as usize;
        if before > self.log.entries.len() {
            return None;
        }
        self.log.entries.truncate(before);
        let expected = Entry::new(entry.id, entry.payload.clone(), self.last().1);
        (expected.chain == entry.chain).then(|| self.log.entries.push(entry))
    }

    fn finish(mut self) -> Read {
        (self.segments.last, self.segments.chain) = self.last();
        let hard_state = self.segments.hard_state;
        Read { segments: self.segments, hard_state, log: self.log, torn_bytes: self.torn_bytes }
    }
}

/// Where the last byte behind `at` ends that is not zero; `at` when there is none.
fn end_of_content(content: &Bytes, at: usize) -> u64 {
    content[at..].iter().rposition(|&byte| byte != 0).map_or(at, |last| at + last + 1) as u64
}

fn has_batch_behind(content: &Bytes, damage: usize, sequence: u64) -> bool {
    let length = (BATCH_BODY as u32).to_le_bytes();
    let candidates = damage + 1..content.len().saturating_sub(HEAD + BATCH_BODY - 1);
    let mut at_length = candidates.filter(|&at| content[at..at + 4] == length);
    at_length.any(|at| Record::is_batch(&content[at..], sequence, at as u64))
}
