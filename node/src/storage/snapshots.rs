//! Snapshots on disk: written aside, synced, renamed, and the folder synced; so there is a whole one or none.
//!
//! ```text
//! file    = length: u32 | sum: u32 | head | content
//! head    = version, node: u32 | last: term, index | chain: u32 | size of content: u64 | configuration
//! content = what the state machine gave | its crc32c: u32
//! ```

use std::collections::BTreeSet;

use bytes::{Buf, BufMut, Bytes};

use super::disk::Disk;
use super::record::{HEAD, VERSION, put_id, take_id};
use super::{Damage, StorageError, failed};
use crate::raft::{Chunk, Configuration, EntryId, NodeId, Snapshot};

/// Where a snapshot is gathered that is coming in.
const RECEIVING: &str = "receiving";
/// Where one is written that this node makes.
const MAKING: &str = "making";
/// Bytes of the checksum behind the content.
pub(super) const SUM: usize = 4;
/// Bytes that are written at a time, so that no single write holds up the log for long.
const PIECE: usize = 1 << 20;

fn name(last: EntryId) -> String {
    format!("snapshot-{:016x}-{:016x}", last.index.0, last.term.0)
}

fn head(node: NodeId, snapshot: &Snapshot) -> Vec<u8> {
    let mut buffer = vec![0; HEAD];
    buffer.put_u32_le(VERSION);
    buffer.put_u32_le(node.0);
    put_id(snapshot.last, &mut buffer);
    buffer.put_u32_le(snapshot.chain);
    buffer.put_u64_le(snapshot.size);
    buffer.put_slice(&snapshot.configuration.encode());
    let (length, sum) = ((buffer.len() - HEAD) as u32, crc32c::crc32c(&buffer[HEAD..]));
    buffer[..4].copy_from_slice(&length.to_le_bytes());
    buffer[4..8].copy_from_slice(&sum.to_le_bytes());
    buffer
}

/// Reads a head; gives what it says and where the content starts.
fn parse_head(bytes: &Bytes) -> Option<(NodeId, Snapshot, u64)> {
    let mut rest = bytes.clone();
    let (length, sum) = (rest.try_get_u32_le().ok()? as usize, rest.try_get_u32_le().ok()?);
    let mut head = (length <= rest.len()).then(|| rest.split_to(length))?;
    if crc32c::crc32c(&head) != sum || head.try_get_u32_le().ok()? != VERSION {
        return None;
    }
    let node = NodeId(head.try_get_u32_le().ok()?);
    let last = take_id(&mut head)?;
    let (chain, size) = (head.try_get_u32_le().ok()?, head.try_get_u64_le().ok()?);
    let configuration = Configuration::decode(head)?.into();
    Some((node, Snapshot { last, chain, configuration, size }, (HEAD + length) as u64))
}

/// The content of a snapshot without its checksum; `None` when that does not fit.
fn open_content(content: &Bytes) -> Option<Bytes> {
    let body = content.slice(..content.len().checked_sub(SUM)?);
    (crc32c::crc32c(&body).to_le_bytes() == content[body.len()..]).then_some(body)
}

/// Saves the state that `snapshot` stands for; gives the snapshot with its size.
///
/// # Errors
/// When the disk refuses. There is then no such snapshot, and what was there before is as it was.
pub fn save(
    disk: &mut dyn Disk,
    node: NodeId,
    snapshot: Snapshot,
    body: &[u8],
) -> Result<Snapshot, StorageError> {
    let snapshot = Snapshot { size: (body.len() + SUM) as u64, ..snapshot };
    let result = write(disk, node, &snapshot, body);
    if matches!(result, Err(StorageError::Full { .. })) {
        // The room is needed.
        let _ = disk.remove(MAKING);
    }
    result.map(|()| snapshot)
}

fn write(disk: &mut dyn Disk, node: NodeId, snapshot: &Snapshot, body: &[u8]) -> Result<(), StorageError> {
    disk.create(MAKING, 0).map_err(failed("create", MAKING))?;
    let head = head(node, snapshot);
    let sum = crc32c::crc32c(body).to_le_bytes();
    let mut offset = 0;
    for piece in [&head[..]].into_iter().chain(body.chunks(PIECE)).chain([&sum[..]]) {
        disk.write_at(MAKING, offset, piece).map_err(failed("write to", MAKING))?;
        offset += piece.len() as u64;
    }
    put_in_place(disk, MAKING, snapshot.last)
}

fn put_in_place(disk: &mut dyn Disk, from: &str, last: EntryId) -> Result<(), StorageError> {
    disk.sync(from).map_err(failed("sync", from))?;
    disk.rename(from, &name(last)).map_err(failed("rename", from))?;
    disk.sync_folder().map_err(failed("sync the folder of", from))
}

/// A piece of the content of `snapshot`, for a follower.
///
/// # Errors
/// When it is not there any more.
pub fn read_chunk(disk: &dyn Disk, snapshot: &Snapshot, offset: u64, length: u64) -> std::io::Result<Bytes> {
    let file = name(snapshot.last);
    let start = disk.read_at(&file, 0, 4)?;
    let head = start.get(..4).map_or(0, |mut length| u64::from(length.get_u32_le())) + HEAD as u64;
    let length = length.min(snapshot.size.saturating_sub(offset));
    disk.read_at(&file, head + offset, length)
}

/// Takes in a piece; when it is the last, puts the snapshot in place and gives its content.
pub(super) fn receive(
    disk: &mut dyn Disk,
    node: NodeId,
    chunk: &Chunk,
) -> Result<Option<Bytes>, StorageError> {
    let head = head(node, &chunk.snapshot);
    if chunk.offset == 0 {
        disk.create(RECEIVING, 0).map_err(failed("create", RECEIVING))?;
        disk.write_at(RECEIVING, 0, &head).map_err(failed("write to", RECEIVING))?;
    }
    let offset = head.len() as u64 + chunk.offset;
    disk.write_at(RECEIVING, offset, &chunk.data).map_err(failed("write to", RECEIVING))?;
    if !chunk.is_last() {
        return Ok(None);
    }
    let content = disk.read_at(RECEIVING, head.len() as u64, chunk.snapshot.size);
    let content = content.map_err(failed("read", RECEIVING))?;
    let damaged = || StorageError::Damaged { file: RECEIVING.into(), damage: Damage::Snapshot };
    let body = open_content(&content).ok_or_else(damaged)?;
    put_in_place(disk, RECEIVING, chunk.snapshot.last)?;
    Ok(Some(body))
}

/// The latest snapshot with its content. What a crash left half done is cleared away, and so is what is older.
pub(super) fn open(disk: &mut dyn Disk, node: NodeId) -> Result<Option<(Snapshot, Bytes)>, StorageError> {
    let names = disk.list().map_err(failed("list", "snapshots"))?;
    for half in [RECEIVING, MAKING].into_iter().filter(|half| names.iter().any(|name| name == half)) {
        disk.remove(half).map_err(failed("remove", half))?;
    }
    let mut snapshots: Vec<&String> = names.iter().filter(|name| name.starts_with("snapshot-")).collect();
    let Some(latest) = snapshots.pop() else {
        return Ok(None);
    };
    let damaged = |damage| StorageError::Damaged { file: latest.clone(), damage };
    let bytes = disk.read(latest).map_err(failed("read", latest))?;
    let (owner, snapshot, start) = parse_head(&bytes).ok_or_else(|| damaged(Damage::Snapshot))?;
    if owner != node {
        return Err(damaged(Damage::Foreign { owner }));
    }
    let content = bytes.slice(start as usize..);
    let body = open_content(&content).filter(|_| content.len() as u64 == snapshot.size);
    let body = body.ok_or_else(|| damaged(Damage::Snapshot))?;
    for old in snapshots {
        disk.remove(old).map_err(failed("remove", old))?;
    }
    Ok(Some((snapshot, body)))
}

/// Removes the snapshots before `last` but for those in use. What came later stays, whoever asks.
pub(super) fn drop_before(
    disk: &mut dyn Disk,
    last: EntryId,
    in_use: &BTreeSet<EntryId>,
) -> Result<(), StorageError> {
    let keep: Vec<String> = in_use.iter().copied().map(name).collect();
    let last = name(last);
    let names = disk.list().map_err(failed("list", "snapshots"))?;
    let is_old = |name: &&String| name.starts_with("snapshot-") && **name < last && !keep.contains(name);
    for old in names.iter().filter(is_old) {
        disk.remove(old).map_err(failed("remove", old))?;
    }
    Ok(())
}
