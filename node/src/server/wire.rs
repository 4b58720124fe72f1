//! Messages between members, in bytes.
//!
//! ```text
//! hello = "RFT2" | cluster: u64 | from: u32 | to: u32     first on every connection; refused if it does not fit
//! frame = length: u32 | crc32c(body): u32 | body          numbers little-endian
//! body  = kind: u8 | term: u64 | what the kind has
//! ```
//!
//! A connection carries messages one way, from the member that opened it.

use bytes::{Buf, BufMut, Bytes, BytesMut, TryGetError};
use thiserror::Error;

use crate::raft::{
    AppendResult, Body, Configuration, Entry, EntryId, Index, Message, NodeId, Payload, Snapshot, Term,
};

/// Bytes of a hello.
pub(super) const HELLO_BYTES: usize = 20;
/// Longest body that is accepted.
const BODY_BYTES_MAX: usize = 64 << 20;
const MAGIC: &[u8; 4] = b"RFT2";

/// Who speaks to whom on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// The number of the cluster.
    pub cluster: u64,
    /// Who opened the connection.
    pub from: NodeId,
    /// Whom it was opened to.
    pub to: NodeId,
}

/// Bytes that are no message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// It is something else altogether.
    #[error("it does not start as a member of a cluster does")]
    Magic,
    /// No message is so long.
    #[error("a frame of {0} bytes is too long")]
    TooLong(usize),
    /// The checksum does not fit.
    #[error("a frame is damaged")]
    Checksum,
    /// It is whole, and no message.
    #[error("a frame holds no message")]
    Content,
}

impl From<TryGetError> for WireError {
    fn from(_: TryGetError) -> WireError {
        WireError::Content
    }
}

/// A message as it arrived.
#[derive(Debug, PartialEq, Eq)]
pub struct Letter {
    /// What it says.
    pub message: Message,
    /// No commit waits for what it asks this node to sync.
    pub can_wait: bool,
}

/// The kind of the one message that may wait, and the bit that says so.
const APPEND_ENTRIES: u8 = 5;
const CAN_WAIT: u8 = 0x80;

impl Hello {
    pub(super) fn encode(self) -> Bytes {
        let mut buffer = BytesMut::with_capacity(HELLO_BYTES);
        buffer.put_slice(MAGIC);
        buffer.put_u64_le(self.cluster);
        buffer.put_u32_le(self.from.0);
        buffer.put_u32_le(self.to.0);
        buffer.freeze()
    }

    pub(super) fn decode(mut bytes: &[u8]) -> Result<Hello, WireError> {
        if !bytes.starts_with(MAGIC) {
            return Err(WireError::Magic);
        }
        bytes.advance(MAGIC.len());
        let cluster = bytes.try_get_u64_le()?;
        let (from, to) = (bytes.try_get_u32_le()?, bytes.try_get_u32_le()?);
        Ok(Hello { cluster, from: NodeId(from), to: NodeId(to) })
    }
}

/// Appends `message` as a frame. `can_wait`: no commit waits for what it asks the receiver to sync.
pub fn encode(message: &Message, can_wait: bool, buffer: &mut BytesMut) {
    let start = buffer.len();
    buffer.put_u64_le(0);
    put_body(message, buffer);
    if can_wait && matches!(message.body, Body::AppendEntries { .. }) {
        buffer[start + 8] |= CAN_WAIT;
    }
    let body = &buffer[start + 8..];
    let (length, sum) = (body.len() as u32, crc32c::crc32c(body));
    buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
    buffer[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
}

/// Takes the first whole frame off `buffer`; `None` when it has not arrived yet.
///
/// # Errors
/// When the bytes are no message; the connection is of no more use then.
pub fn decode(buffer: &mut BytesMut, hello: Hello) -> Result<Option<Letter>, WireError> {
    let mut head = &buffer[..];
    let (Ok(length), Ok(sum)) = (head.try_get_u32_le(), head.try_get_u32_le()) else {
        return Ok(None);
    };
    let length = length as usize;
    if length > BODY_BYTES_MAX {
        return Err(WireError::TooLong(length));
    }
    if head.len() < length {
        return Ok(None);
    }
    let mut body = buffer.split_to(8 + length).freeze();
    body.advance(8);
    if crc32c::crc32c(&body) != sum {
        return Err(WireError::Checksum);
    }
    take_body(body, hello).map(Some)
}

fn put_body(message: &Message, buffer: &mut BytesMut) {
    let kind = match message.body {
        Body::PreVote { .. } => 1,
        Body::PreVoteReply { .. } => 2,
        Body::RequestVote { .. } => 3,
        Body::RequestVoteReply { .. } => 4,
        Body::AppendEntries { .. } => APPEND_ENTRIES,
        Body::AppendEntriesReply { .. } => 6,
        Body::InstallSnapshot { .. } => 7,
        Body::InstallSnapshotReply { .. } => 8,
        Body::TimeoutNow => 9,
        Body::ReadIndex { .. } => 10,
        Body::ReadIndexReply { .. } => 11,
    };
    buffer.put_u8(kind);
    buffer.put_u64_le(message.term.0);
    match &message.body {
        Body::PreVote { next, last } => {
            buffer.put_u64_le(next.0);
            put_id(*last, buffer);
        }
        Body::PreVoteReply { next, granted } => {
            buffer.put_u64_le(next.0);
            buffer.put_u8(u8::from(*granted));
        }
        Body::RequestVote { last, transfer } => {
            put_id(*last, buffer);
            buffer.put_u8(u8::from(*transfer));
        }
        Body::RequestVoteReply { granted } => buffer.put_u8(u8::from(*granted)),
        Body::AppendEntries { previous, entries, commit, round } => {
            put_id(*previous, buffer);
            buffer.put_u64_le(commit.0);
            buffer.put_u64_le(*round);
            buffer.put_u32_le(entries.len() as u32);
            entries.iter().for_each(|entry| put_entry(entry, buffer));
        }
        Body::AppendEntriesReply { round, result } => {
            buffer.put_u64_le(*round);
            match result {
                AppendResult::Accepted { matched } => {
                    buffer.put_u8(1);
                    buffer.put_u64_le(matched.0);
                }
                AppendResult::Rejected { previous, hint } => {
                    buffer.put_u8(0);
                    buffer.put_u64_le(previous.0);
                    put_id(*hint, buffer);
                }
            }
        }
        Body::InstallSnapshot { snapshot, offset, data, round } => {
            put_id(snapshot.last, buffer);
            buffer.put_u32_le(snapshot.chain);
            buffer.put_u64_le(snapshot.size);
            put_bytes(&snapshot.configuration.encode(), buffer);
            buffer.put_u64_le(*offset);
            buffer.put_u64_le(*round);
            put_bytes(data, buffer);
        }
        Body::InstallSnapshotReply { last, received, installed, round } => {
            put_id(*last, buffer);
            buffer.put_u64_le(*received);
            buffer.put_u8(u8::from(*installed));
            buffer.put_u64_le(*round);
        }
        Body::TimeoutNow => {}
        Body::ReadIndex { question } => buffer.put_u128_le(*question),
        Body::ReadIndexReply { question, index } => {
            buffer.put_u128_le(*question);
            buffer.put_u8(u8::from(index.is_some()));
            buffer.put_u64_le(index.map_or(0, |index| index.0));
        }
    }
}

fn take_body(mut body: Bytes, hello: Hello) -> Result<Letter, WireError> {
    let kind = body.try_get_u8()?;
    let can_wait = kind == APPEND_ENTRIES | CAN_WAIT;
    let kind = if can_wait { APPEND_ENTRIES } else { kind };
    let term = Term(body.try_get_u64_le()?);
    let content = match kind {
        1 => Body::PreVote { next: Term(body.try_get_u64_le()?), last: take_id(&mut body)? },
        2 => Body::PreVoteReply { next: Term(body.try_get_u64_le()?), granted: take_bool(&mut body)? },
        3 => Body::RequestVote { last: take_id(&mut body)?, transfer: take_bool(&mut body)? },
        4 => Body::RequestVoteReply { granted: take_bool(&mut body)? },
        APPEND_ENTRIES => {
            let previous = take_id(&mut body)?;
            let commit = Index(body.try_get_u64_le()?);
            let round = body.try_get_u64_le()?;
            let entries = take_entries(previous, &mut body)?;
            Body::AppendEntries { previous, entries, commit, round }
        }
        6 => {
            let round = body.try_get_u64_le()?;
            let result = match take_bool(&mut body)? {
                true => AppendResult::Accepted { matched: Index(body.try_get_u64_le()?) },
                false => AppendResult::Rejected {
                    previous: Index(body.try_get_u64_le()?),
                    hint: take_id(&mut body)?,
                },
            };
            Body::AppendEntriesReply { round, result }
        }
        7 => {
            let last = take_id(&mut body)?;
            let (chain, size) = (body.try_get_u32_le()?, body.try_get_u64_le()?);
            let configuration = Configuration::decode(take_bytes(&mut body)?).ok_or(WireError::Content)?;
            let snapshot = Snapshot { last, chain, configuration: configuration.into(), size };
            let (offset, round) = (body.try_get_u64_le()?, body.try_get_u64_le()?);
            Body::InstallSnapshot { snapshot, offset, data: take_bytes(&mut body)?, round }
        }
        8 => {
            let (last, received) = (take_id(&mut body)?, body.try_get_u64_le()?);
            let (installed, round) = (take_bool(&mut body)?, body.try_get_u64_le()?);
            Body::InstallSnapshotReply { last, received, installed, round }
        }
        9 => Body::TimeoutNow,
        10 => Body::ReadIndex { question: body.try_get_u128_le()? },
        11 => {
            let (question, known) = (body.try_get_u128_le()?, take_bool(&mut body)?);
            let index = Index(body.try_get_u64_le()?);
            Body::ReadIndexReply { question, index: known.then_some(index) }
        }
        _ => return Err(WireError::Content),
    };
    match body.is_empty() {
        true => {
            let message = Message { from: hello.from, to: hello.to, term, body: content };
            Ok(Letter { message, can_wait })
        }
        false => Err(WireError::Content),
    }
}

fn put_id(id: EntryId, buffer: &mut BytesMut) {
    buffer.put_u64_le(id.term.0);
    buffer.put_u64_le(id.index.0);
}

fn take_id(body: &mut Bytes) -> Result<EntryId, WireError> {
    let (term, index) = (body.try_get_u64_le()?, body.try_get_u64_le()?);
    Ok(EntryId { term: Term(term), index: Index(index) })
}

fn take_bool(body: &mut Bytes) -> Result<bool, WireError> {
    match body.try_get_u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(WireError::Content),
    }
}

fn put_bytes(bytes: &[u8], buffer: &mut BytesMut) {
    buffer.put_u32_le(bytes.len() as u32);
    buffer.put_slice(bytes);
}

fn take_bytes(body: &mut Bytes) -> Result<Bytes, WireError> {
    let length = body.try_get_u32_le()? as usize;
    match length <= body.len() {
        true => Ok(body.split_to(length)),
        false => Err(WireError::Content),
    }
}

fn put_entry(entry: &Entry, buffer: &mut BytesMut) {
    buffer.put_u64_le(entry.id.term.0);
    buffer.put_u32_le(entry.chain);
    let (kind, payload) = entry.payload.parts();
    buffer.put_u8(kind);
    put_bytes(&payload, buffer);
}

/// Entries follow `previous` and each other without a gap, so their indices need not be sent.
fn take_entries(previous: EntryId, body: &mut Bytes) -> Result<Vec<Entry>, WireError> {
    let count = body.try_get_u32_le()?;
    let mut entries: Vec<Entry> = Vec::new();
    let mut index = previous.index;
    for _ in 0..count {
        index = index.next();
        let term = Term(body.try_get_u64_le()?);
        let chain = body.try_get_u32_le()?;
        let kind = body.try_get_u8()?;
        let payload = Payload::from_parts(kind, take_bytes(body)?).ok_or(WireError::Content)?;
        entries.push(Entry { id: EntryId { term, index }, chain, payload });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const HELLO: Hello = Hello { cluster: 9, from: NodeId(1), to: NodeId(2) };

    fn bodies() -> Vec<Body> {
        let id = EntryId { term: Term(3), index: Index(8) };
        let entry = |index, payload| Entry::new(EntryId { term: Term(4), index: Index(index) }, payload, 1);
        let members = BTreeMap::from([(NodeId(1), "10.0.0.1:1/10.0.0.1:2".to_owned())]);
        let configuration = std::sync::Arc::new(Configuration::of(members));
        let snapshot = Snapshot { last: id, chain: 7, configuration: configuration.clone(), size: 9 };
        let change = Payload::Configuration(configuration);
        let entries =
            vec![entry(9, Payload::Noop), entry(10, Payload::Command("SET".into())), entry(11, change)];
        vec![
            Body::PreVote { next: Term(5), last: id },
            Body::PreVoteReply { next: Term(5), granted: true },
            Body::RequestVote { last: id, transfer: true },
            Body::RequestVoteReply { granted: false },
            Body::AppendEntries { previous: id, entries, commit: Index(7), round: 2 },
            Body::AppendEntries { previous: id, entries: vec![], commit: Index(7), round: 2 },
            Body::AppendEntriesReply { round: 2, result: AppendResult::Accepted { matched: Index(4) } },
            Body::AppendEntriesReply {
                round: 2,
                result: AppendResult::Rejected { previous: Index(4), hint: id },
            },
            Body::InstallSnapshot { snapshot, offset: 4, data: "piece".into(), round: 2 },
            Body::InstallSnapshotReply { last: id, received: 9, installed: false, round: 2 },
            Body::TimeoutNow,
            Body::ReadIndex { question: u128::MAX },
            Body::ReadIndexReply { question: 7, index: Some(Index(8)) },
            Body::ReadIndexReply { question: 7, index: None },
        ]
    }

    #[test]
    fn messages_survive_the_way_and_no_cut_or_flipped_bit_passes() {
        for (place, body) in bodies().into_iter().enumerate() {
            let can_wait = matches!(body, Body::AppendEntries { .. }) && place % 2 == 0;
            let message = Message { from: HELLO.from, to: HELLO.to, term: Term(4), body };
            let mut whole = BytesMut::new();
            encode(&message, can_wait, &mut whole);
            for cut in 0..whole.len() {
                assert_eq!(decode(&mut BytesMut::from(&whole[..cut]), HELLO), Ok(None));
            }
            for bit in 64..whole.len() * 8 {
                let mut flipped = whole.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(decode(&mut flipped, HELLO), Err(WireError::Checksum));
            }
            assert_eq!(decode(&mut whole, HELLO), Ok(Some(Letter { message, can_wait })));
            assert!(whole.is_empty());
        }
    }

    #[test]
    fn a_hello_is_recognized() {
        let bytes = HELLO.encode();
        assert_eq!((bytes.len(), Hello::decode(&bytes)), (HELLO_BYTES, Ok(HELLO)));
        assert_eq!(Hello::decode(b"GET / HTTP/1.1\r\n\r\n  "), Err(WireError::Magic));
    }
}
