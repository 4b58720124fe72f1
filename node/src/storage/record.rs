//! The records of the log's files, in bytes.
//!
//! ```text
//! record = length: u32 | sum: u32 | body                  numbers little-endian
//! sum    = crc32c of the body, begun with the sum of the record before it: a record that is lost, repeated or misplaced
//!          breaks the chain as surely as a flipped bit
//! body   = 1 | version, node: u32 | sequence: u64 | before: u32 | term, vote | base: term, index, chain
//!                                                         header, a segment's first record; its sum begins anew
//!        | 2 | sequence, position: u64 | before: u32 | own: u32
//!                                                         batch: everything before it is synced. `own` is its own
//!                                                         crc32c, so that it is known even behind damage
//!        | 3 | term: u64 | vote: u32                      term and vote (0: none)
//!        | 4 | term, index: u64 | chain: u32 | kind: u8 | payload      entry
//! ```

use bytes::{Buf, BufMut, Bytes};

use crate::raft::{Entry, EntryId, HardState, Index, NodeId, Payload, Term};

/// Bytes before a record's body.
pub(super) const HEAD: usize = 8;
/// Length of the body of a batch record: recovery looks for it among damaged bytes.
pub(super) const BATCH_BODY: usize = 25;
/// The version of this format.
pub(super) const VERSION: u32 = 2;

/// A record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    Header(Header),
    Batch { sequence: u64, position: u64, before: u32 },
    HardState(HardState),
    Entry(Entry),
}

/// How a segment begins: all that a reader needs who has none of those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) node: NodeId,
    /// Segments are numbered from 1.
    pub(super) sequence: u64,
    /// The sum of the last record of the segment before.
    pub(super) before: u32,
    pub(super) hard_state: HardState,
    /// The last entry of the log when the segment was begun, and its chain.
    pub(super) base: EntryId,
    pub(super) chain: u32,
}

impl Record {
    /// Appends the record behind one whose sum is `before`; gives its own.
    pub(super) fn encode(&self, before: u32, buffer: &mut Vec<u8>) -> u32 {
        let start = buffer.len();
        buffer.put_u64_le(0);
        match self {
            Record::Header(header) => {
                buffer.put_u8(1);
                buffer.put_u32_le(VERSION);
                buffer.put_u32_le(header.node.0);
                buffer.put_u64_le(header.sequence);
                buffer.put_u32_le(header.before);
                put_hard_state(header.hard_state, buffer);
                put_id(header.base, buffer);
                buffer.put_u32_le(header.chain);
            }
            Record::Batch { sequence, position, before } => {
                buffer.put_u8(2);
                buffer.put_u64_le(*sequence);
                buffer.put_u64_le(*position);
                buffer.put_u32_le(*before);
                let own = crc32c::crc32c(&buffer[start + HEAD..]);
                buffer.put_u32_le(own);
            }
            Record::HardState(hard_state) => {
                buffer.put_u8(3);
                put_hard_state(*hard_state, buffer);
            }
            Record::Entry(entry) => {
                buffer.put_u8(4);
                put_id(entry.id, buffer);
                buffer.put_u32_le(entry.chain);
                let (kind, payload) = entry.payload.parts();
                buffer.put_u8(kind);
                buffer.put_slice(&payload);
            }
        }
        let body = &buffer[start + HEAD..];
        let (length, sum) = (body.len() as u32, crc32c::crc32c_append(before, body));
        buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
        buffer[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
        sum
    }

    /// Reads the record at the start of `bytes`, behind one whose sum is `before`; gives it, its length and its sum.
    /// `None` when there is no whole and undamaged one.
    pub(super) fn decode(bytes: &Bytes, before: u32) -> Option<(Record, usize, u32)> {
        let mut head = bytes.get(..HEAD)?;
        let (length, sum) = (head.get_u32_le() as usize, head.get_u32_le());
        let end = HEAD.checked_add(length).filter(|&end| length > 0 && end <= bytes.len())?;
        let body = bytes.slice(HEAD..end);
        if crc32c::crc32c_append(before, &body) != sum {
            return None;
        }
        Some((Record::decode_body(body)?, end, sum))
    }

    fn decode_body(mut body: Bytes) -> Option<Record> {
        let record = match body.try_get_u8().ok()? {
            1 => {
                let version = body.try_get_u32_le().ok()?;
                (version == VERSION).then_some(())?;
                Record::Header(Header {
                    node: NodeId(body.try_get_u32_le().ok()?),
                    sequence: body.try_get_u64_le().ok()?,
                    before: body.try_get_u32_le().ok()?,
                    hard_state: take_hard_state(&mut body)?,
                    base: take_id(&mut body)?,
                    chain: body.try_get_u32_le().ok()?,
                })
            }
            2 => {
                let record = Record::Batch {
                    sequence: body.try_get_u64_le().ok()?,
                    position: body.try_get_u64_le().ok()?,
                    before: body.try_get_u32_le().ok()?,
                };
                body.try_get_u32_le().ok()?;
                record
            }
            3 => Record::HardState(take_hard_state(&mut body)?),
            4 => {
                let id = take_id(&mut body)?;
                let chain = body.try_get_u32_le().ok()?;
                let kind = body.try_get_u8().ok()?;
                let payload = Payload::from_parts(kind, std::mem::take(&mut body))?;
                Record::Entry(Entry { id, chain, payload })
            }
            _ => return None,
        };
        body.is_empty().then_some(record)
    }

    /// Whether a batch record of this segment stands at the start of `bytes`, whatever is before it.
    pub(super) fn is_batch(bytes: &[u8], sequence: u64, position: u64) -> bool {
        let Some(body) = bytes.get(HEAD..HEAD + BATCH_BODY).filter(|body| body[0] == 2) else {
            return false;
        };
        let (content, own) = body.split_at(BATCH_BODY - 4);
        crc32c::crc32c(content).to_le_bytes() == own
            && content[1..9] == sequence.to_le_bytes()
            && content[9..17] == position.to_le_bytes()
    }
}

fn put_hard_state(HardState { term, vote }: HardState, buffer: &mut Vec<u8>) {
    buffer.put_u64_le(term.0);
    buffer.put_u32_le(vote.map_or(0, |node| node.0));
}

fn take_hard_state(body: &mut Bytes) -> Option<HardState> {
    let term = Term(body.try_get_u64_le().ok()?);
    let vote = body.try_get_u32_le().ok()?;
    Some(HardState { term, vote: (vote != 0).then_some(NodeId(vote)) })
}

pub(super) fn put_id(id: EntryId, buffer: &mut Vec<u8>) {
    buffer.put_u64_le(id.term.0);
    buffer.put_u64_le(id.index.0);
}

pub(super) fn take_id(body: &mut Bytes) -> Option<EntryId> {
    let term = Term(body.try_get_u64_le().ok()?);
    Some(EntryId { term, index: Index(body.try_get_u64_le().ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_the_way_to_disk_and_back_and_no_bit_may_flip() {
        let id = EntryId { term: Term(7), index: Index(1) };
        let hard_state = HardState { term: Term(7), vote: Some(NodeId(2)) };
        let header = Header { node: NodeId(3), sequence: 4, before: 5, hard_state, base: id, chain: 6 };
        let records = [
            Record::Header(header),
            Record::Batch { sequence: 4, position: 17, before: 5 },
            Record::HardState(hard_state),
            Record::HardState(HardState { term: Term(8), vote: None }),
            Record::Entry(Entry::new(id, Payload::Noop, 5)),
            Record::Entry(Entry::new(id, Payload::Command("SET".into()), 5)),
            Record::Entry(Entry::new(id, Payload::Configuration(Default::default()), 5)),
        ];
        for record in records {
            let mut buffer = Vec::new();
            let sum = record.encode(9, &mut buffer);
            let length = buffer.len();
            let whole = Bytes::copy_from_slice(&buffer);
            assert_eq!(Record::decode(&whole, 9), Some((record, length, sum)));
            assert_eq!(Record::decode(&whole, 8), None, "behind another record");
            for bit in 0..length * 8 {
                buffer[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Record::decode(&Bytes::copy_from_slice(&buffer), 9), None, "bit {bit}");
                buffer[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    #[test]
    fn a_batch_is_known_by_itself() {
        let mut buffer = Vec::new();
        Record::Batch { sequence: 4, position: 17, before: 5 }.encode(9, &mut buffer);
        assert_eq!(buffer.len(), HEAD + BATCH_BODY);
        assert!(Record::is_batch(&buffer, 4, 17));
        assert!(!Record::is_batch(&buffer, 3, 17) && !Record::is_batch(&buffer, 4, 16));
        buffer[HEAD + 3] ^= 1;
        assert!(!Record::is_batch(&buffer, 4, 17));
    }
}
