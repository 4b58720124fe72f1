//! The records of the log file, in bytes.
//!
//! ```text
//! record = length: u32 | crc32c(body): u32 | body        (numbers little-endian)
//! body   = 1 | version: u32 | node: u32                  header, the first record
//!        | 2 | position: u64                             batch: what precedes is synced; where this record stands
//!        | 3 | term: u64 | vote: u32                     term and vote (0: none)
//!        | 4 | term: u64 | index: u64 | chain: u32 | 0   entry without a command
//!        | 4 | term: u64 | index: u64 | chain: u32 | 1 | command
//! ```

use bytes::{Buf, BufMut, Bytes};

use crate::raft::{Entry, EntryId, HardState, Index, NodeId, Payload, Term};

/// Bytes before a record's body.
pub(super) const HEAD: usize = 8;
/// Length of the body of a batch record: recovery looks for it among damaged bytes.
pub(super) const BATCH_BODY: usize = 9;
/// The version of this format.
pub(super) const VERSION: u32 = 1;

/// A record of the log file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    Header { version: u32, node: NodeId },
    Batch { position: u64 },
    HardState(HardState),
    Entry(Entry),
}

impl Record {
    pub(super) fn encode(&self, buffer: &mut Vec<u8>) {
        let start = buffer.len();
        buffer.put_u64_le(0);
        match self {
            Record::Header { version, node } => {
                buffer.put_u8(1);
                buffer.put_u32_le(*version);
                buffer.put_u32_le(node.0);
            }
            Record::Batch { position } => {
                buffer.put_u8(2);
                buffer.put_u64_le(*position);
            }
            Record::HardState(HardState { term, vote }) => {
                buffer.put_u8(3);
                buffer.put_u64_le(term.0);
                buffer.put_u32_le(vote.map_or(0, |node| node.0));
            }
            Record::Entry(entry) => {
                buffer.put_u8(4);
                buffer.put_u64_le(entry.id.term.0);
                buffer.put_u64_le(entry.id.index.0);
                buffer.put_u32_le(entry.chain);
                match &entry.payload {
                    Payload::Noop => buffer.put_u8(0),
                    Payload::Command(command) => {
                        buffer.put_u8(1);
                        buffer.put_slice(command);
                    }
                }
            }
        }
        let body = &buffer[start + HEAD..];
        let (length, sum) = (body.len() as u32, crc32c::crc32c(body));
        buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
        buffer[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
    }

    /// Reads the record at the start of `bytes`; gives it and its length. `None` when there is no whole and
    /// undamaged one.
    pub(super) fn decode(bytes: &Bytes) -> Option<(Record, usize)> {
        let mut head = bytes.get(..HEAD)?;
        let (length, sum) = (head.get_u32_le() as usize, head.get_u32_le());
        let end = HEAD.checked_add(length).filter(|&end| end <= bytes.len())?;
        let body = bytes.slice(HEAD..end);
        if crc32c::crc32c(&body) != sum {
            return None;
        }
        Some((Record::decode_body(body)?, end))
    }

    fn decode_body(mut body: Bytes) -> Option<Record> {
        let record = match body.try_get_u8().ok()? {
            1 => Record::Header {
                version: body.try_get_u32_le().ok()?,
                node: NodeId(body.try_get_u32_le().ok()?),
            },
            2 => Record::Batch { position: body.try_get_u64_le().ok()? },
            3 => {
                let term = Term(body.try_get_u64_le().ok()?);
                let vote = body.try_get_u32_le().ok()?;
                Record::HardState(HardState { term, vote: (vote != 0).then_some(NodeId(vote)) })
            }
            4 => {
                let term = Term(body.try_get_u64_le().ok()?);
                let index = Index(body.try_get_u64_le().ok()?);
                let chain = body.try_get_u32_le().ok()?;
                let payload = match body.try_get_u8().ok()? {
                    0 => Payload::Noop,
                    1 => Payload::Command(std::mem::take(&mut body)),
                    _ => return None,
                };
                Record::Entry(Entry { id: EntryId { term, index }, chain, payload })
            }
            _ => return None,
        };
        body.is_empty().then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_the_way_to_disk_and_back_and_no_bit_may_flip() {
        let id = EntryId { term: Term(7), index: Index(1) };
        let records = [
            Record::Header { version: VERSION, node: NodeId(3) },
            Record::Batch { position: 17 },
            Record::HardState(HardState { term: Term(7), vote: Some(NodeId(2)) }),
            Record::HardState(HardState { term: Term(8), vote: None }),
            Record::Entry(Entry::new(id, Payload::Noop, 5)),
            Record::Entry(Entry::new(id, Payload::Command("SET".into()), 5)),
        ];
        for record in records {
            let mut buffer = Vec::new();
            record.encode(&mut buffer);
            let length = buffer.len();
            assert_eq!(Record::decode(&Bytes::copy_from_slice(&buffer)), Some((record, length)));
            for bit in 0..length * 8 {
                buffer[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Record::decode(&Bytes::copy_from_slice(&buffer)), None, "bit {bit}");
                buffer[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    #[test]
    fn recovery_knows_a_batch_by_its_length() {
        let mut buffer = Vec::new();
        Record::Batch { position: 0 }.encode(&mut buffer);
        assert_eq!(buffer.len(), HEAD + BATCH_BODY);
    }
}
