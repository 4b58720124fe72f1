//! The log and snapshots across crashes: what was synced comes back, a torn tail goes, damage before it is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rafture_node::raft::{
    Chunk, Configuration, Entry, EntryId, HardState, Index, NodeId, Payload, Snapshot, Term, Write, WriteId,
};
use rafture_node::rules::{Defect, Rules};
use rafture_node::storage::{
    Damage, Folder, Lock, Opened, Storage, StorageError, StorageOptions, read_chunk, save,
};

const ME: NodeId = NodeId(1);
/// Small, so that a few entries fill one.
const SEGMENT: u64 = 4096;

fn entry(index: u64, term: u64, previous: u32) -> Entry {
    let id = EntryId { term: Term(term), index: Index(index) };
    Entry::new(id, Payload::Command(format!("{index} in {term}").into()), previous)
}

/// Entries at the given indices, all of one term, that follow `log`, which starts at 1.
fn entries(indices: std::ops::RangeInclusive<u64>, term: u64, log: &[Entry]) -> Vec<Entry> {
    let mut chain = log.get((*indices.start() as usize).wrapping_sub(2)).map_or(0, |entry| entry.chain);
    let follow = |index| {
        let next = entry(index, term, chain);
        chain = next.chain;
        next
    };
    indices.map(follow).collect()
}

fn write(term: u64, entries: Vec<Entry>) -> Write {
    let hard_state = HardState { term: Term(term), vote: Some(ME) };
    Write { id: WriteId(1), hard_state: Some(hard_state), entries, chunk: None }
}

fn options(node: NodeId, rules: Rules) -> StorageOptions {
    StorageOptions { node, segment_bytes: SEGMENT, rules }
}

fn open(folder: &Path) -> Result<(Storage<Folder>, Opened), StorageError> {
    Storage::open(Folder::open(folder), options(ME, Rules::ALL))
}

fn recover(folder: &Path) -> Opened {
    open(folder).expect("a log that can be used").1
}

fn log_files(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path());
    let is_log =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log-"));
    let mut files: Vec<PathBuf> = all.filter(is_log).collect();
    files.sort();
    files
}

/// Where a file's content ends and its zeros begin.
fn end(file: &Path) -> usize {
    let content = fs::read(file).expect("a log");
    content.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

/// Three batches in one segment; gives the log after each and where the file's content ended then.
fn three_batches(folder: &Path) -> Vec<(Vec<Entry>, usize)> {
    let (mut storage, opened) = open(folder).expect("a fresh folder");
    assert_eq!(opened.recovered, Default::default());
    let mut log: Vec<Entry> = Vec::new();
    let mut states = Vec::new();
    for (term, range) in [(1, 1..=3), (1, 4..=5), (2, 4..=4)] {
        let new = entries(range, term, &log);
        log.truncate(new[0].id.index.0 as usize - 1);
        log.extend(new.clone());
        storage.write(&[write(term, new)]).expect("a disk that works");
        states.push((log.clone(), end(&log_files(folder)[0])));
    }
    states
}

#[test]
fn what_was_synced_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let states = three_batches(folder.path());
    let opened = recover(folder.path());
    assert_eq!(opened.recovered.log.entries, states[2].0, "the last batch has replaced entries 4 and 5");
    assert_eq!(opened.recovered.hard_state, HardState { term: Term(2), vote: Some(ME) });
    assert_eq!(opened.torn_bytes, 0);
}

/// A crash may leave any prefix of the batch that was being written, and nothing before it may suffer; nor may what is
/// written after it pass for more than it is.
#[test]
fn a_torn_tail_is_cleared_at_every_length() {
    let folder = tempfile::tempdir().expect("a folder");
    let states = three_batches(folder.path());
    let file = log_files(folder.path()).remove(0);
    let whole = fs::read(&file).expect("a log");
    for length in states[1].1..states[2].1 {
        let mut torn = whole.clone();
        torn[length..].fill(0);
        fs::write(&file, &torn).expect("a write");
        let (mut storage, opened) = open(folder.path()).expect("a torn tail is no damage");
        let log = opened.recovered.log.entries;
        assert!(log == states[1].0 || log == states[2].0, "cut at {length}");
        let next = entries(6..=6, 3, &states[1].0);
        if log == states[1].0 {
            storage.write(&[write(3, next.clone())]).expect("a disk that works");
            let again = recover(folder.path());
            assert_eq!(again.recovered.log.entries[5..], next, "cut at {length}");
            assert_eq!(again.torn_bytes, 0, "what was torn had been cleared away");
        }
    }
}

/// Sectors of an unsynced batch may also reach the disk out of order: the tail is damaged, not short.
#[test]
fn a_damaged_last_batch_is_a_torn_tail_and_earlier_damage_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let states = three_batches(folder.path());
    let file = log_files(folder.path()).remove(0);
    let whole = fs::read(&file).expect("a log");
    for at in 0..states[2].1 {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x20;
        fs::write(&file, &damaged).expect("a write");
        match open(folder.path()) {
            Ok((_, opened)) => {
                assert!(at >= states[1].1, "damage at {at} was passed over");
                assert!(opened.recovered.log.entries == states[1].0);
            }
            Err(StorageError::Damaged { damage: Damage::Middle { at: found }, .. }) => {
                assert!(found <= at && at < states[1].1, "damage at {at}, found at {found}");
            }
            Err(StorageError::Damaged { damage: Damage::Header, .. }) => assert!(at < 80),
            Err(other) => panic!("damage at {at}: {other}"),
        }
        assert!(fs::metadata(&file).is_ok(), "nothing is thrown away");
    }
}

/// Writes until there are several segments; gives the log.
fn several_segments(folder: &Path) -> Vec<Entry> {
    let (mut storage, _) = open(folder).expect("a fresh folder");
    let mut log = Vec::new();
    for batch in 0..40_u64 {
        let new = entries(batch * 5 + 1..=batch * 5 + 5, 1 + batch / 7, &log);
        log.extend(new.clone());
        storage.write(&[write(1 + batch / 7, new)]).expect("a disk that works");
    }
    log
}

#[test]
fn a_log_of_several_segments_comes_back_and_none_may_be_missing_or_misplaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = several_segments(folder.path());
    let files = log_files(folder.path());
    assert!(files.len() >= 3, "{files:?}");
    assert_eq!(recover(folder.path()).recovered.log.entries, log);

    let (one, other) = (fs::read(&files[1]).expect("a log"), fs::read(&files[2]).expect("a log"));
    fs::write(&files[1], &other).expect("a write");
    assert!(open(folder.path()).is_err(), "a segment in the place of another");
    fs::write(&files[1], &one).expect("a write");
    // The last batch of a segment that is not the last was synced, so it cannot be torn.
    let mut short = one.clone();
    short[end(&files[1]) - 40..].fill(0);
    fs::write(&files[1], &short).expect("a write");
    assert!(open(folder.path()).is_err(), "a lost batch at the end of a segment");
    fs::remove_file(&files[1]).expect("a file");
    assert!(open(folder.path()).is_err(), "a lost segment");
    fs::write(&files[1], &one).expect("a write");
    assert_eq!(recover(folder.path()).recovered.log.entries, log);
    fs::remove_file(&files[0]).expect("a file");
    let error = open(folder.path()).map(|_| ()).expect_err("no snapshot covers the lost start").to_string();
    assert!(error.contains("no snapshot covers"), "{error}");
}

fn snapshot(log: &[Entry], index: usize) -> Snapshot {
    let members = BTreeMap::from([(ME, String::new())]);
    let Entry { id, chain, .. } = log[index - 1];
    Snapshot { last: id, chain, configuration: Configuration::of(members).into(), size: 0 }
}

#[test]
fn a_snapshot_makes_segments_needless_and_comes_back_with_the_rest() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = several_segments(folder.path());
    let (mut storage, _) = open(folder.path()).expect("a log");
    let before = log_files(folder.path()).len();
    let saved = save(storage.disk(), ME, snapshot(&log, 100), b"state").expect("room");
    storage.saved(saved.last, &BTreeSet::new()).expect("a disk that works");
    assert!(log_files(folder.path()).len() < before);
    let later = save(storage.disk(), ME, snapshot(&log, 150), b"later").expect("room");
    storage.saved(later.last, &BTreeSet::from([saved.last])).expect("a disk that works");
    let piece = read_chunk(storage.disk(), &saved, 1, 3).expect("it is in use");
    assert_eq!(&piece[..], b"tat");
    let opened = recover(folder.path());
    assert_eq!(opened.content, Some(Bytes::from("later")));
    assert_eq!(opened.recovered.snapshot, Some(later));
    assert_eq!(opened.recovered.log.entries.last(), log.last());
    assert!(opened.recovered.log.base.index <= Index(150));
}

/// Pieces of a snapshot, the last of which puts it in place.
fn receive(storage: &mut Storage<Folder>, snapshot: &Snapshot, content: &[u8]) -> Option<Bytes> {
    let mut restored = None;
    for (place, piece) in content.chunks(3).enumerate() {
        let (offset, data) = (place as u64 * 3, Bytes::copy_from_slice(piece));
        let chunk = Some(Chunk { snapshot: snapshot.clone(), offset, data });
        let write = Write { id: WriteId(1), hard_state: None, entries: Vec::new(), chunk };
        restored = storage.write(&[write]).expect("a disk that works");
    }
    restored
}

#[test]
fn a_snapshot_that_came_in_replaces_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut content = b"the state".to_vec();
    content.extend(crc32c::crc32c(&content).to_le_bytes());
    let other: Vec<Entry> = entries(1..=300, 9, &[]);
    let snapshot = Snapshot { size: content.len() as u64, ..snapshot(&other, 300) };
    several_segments(folder.path());
    let (mut storage, _) = open(folder.path()).expect("a log");
    assert_eq!(receive(&mut storage, &snapshot, &content), Some(Bytes::from("the state")));
    let next = vec![entry(301, 9, snapshot.chain)];
    storage.write(&[write(9, next.clone())]).expect("a disk that works");
    drop(storage);
    let opened = recover(folder.path());
    assert_eq!(opened.recovered.snapshot, Some(snapshot.clone()));
    assert_eq!((opened.recovered.log.base, opened.recovered.log.entries), (snapshot.last, next));
    assert_eq!(opened.content, Some(Bytes::from("the state")));
    assert_eq!(log_files(folder.path()).len(), 1);
}

#[test]
fn half_a_snapshot_is_none_and_a_damaged_one_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = several_segments(folder.path());
    let (mut storage, _) = open(folder.path()).expect("a log");
    let half = Snapshot { size: 100, ..snapshot(&log, 200) };
    assert_eq!(receive(&mut storage, &half, b"only so much"), None);
    assert_eq!(recover(folder.path()).recovered.snapshot, None);
    let saved = save(storage.disk(), ME, snapshot(&log, 100), b"state").expect("room");
    assert_eq!(recover(folder.path()).recovered.snapshot, Some(saved));
    let is_snapshot = |path: &PathBuf| path.to_string_lossy().contains("snapshot-");
    let files = fs::read_dir(folder.path()).expect("a folder").map(|file| file.expect("a file").path());
    let file = files.into_iter().find(is_snapshot).expect("a snapshot");
    let whole = fs::read(&file).expect("a snapshot");
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&file, &damaged).expect("a write");
        assert!(open(folder.path()).is_err(), "damage at {at}");
    }
}

#[test]
fn a_folder_has_one_owner_at_a_time_and_for_ever() {
    let folder = tempfile::tempdir().expect("a folder");
    let lock = Lock::take(folder.path()).expect("a fresh folder");
    let second = Lock::take(folder.path()).expect_err("it is in use");
    assert!(second.to_string().contains("in use by another node"), "{second}");
    drop(lock);
    Lock::take(folder.path()).expect("nobody holds it");
    open(folder.path()).expect("a fresh folder");
    let stranger = Storage::open(Folder::open(folder.path()), options(NodeId(2), Rules::ALL)).map(|_| ());
    let stranger = stranger.expect_err("it is of another node");
    assert!(stranger.to_string().contains("belongs to `n1`"), "{stranger}");
}

#[test]
fn what_is_no_log_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("log-0000000000000001")).expect("a folder in the way");
    let error = open(folder.path()).map(|_| ()).expect_err("a folder is no file");
    assert!(error.to_string().starts_with("cannot read `log-"), "{error}");
}

#[test]
fn planted_bugs_forget_what_they_say_they_forget() {
    for (defect, log_survives, vote_survives) in
        [(Defect::MemLog, false, true), (Defect::MemVote, true, false)]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let rules = options(ME, Rules::without(defect));
        let (mut storage, _) = Storage::open(Folder::open(folder.path()), rules).expect("a fresh folder");
        storage.write(&[write(3, entries(1..=2, 3, &[]))]).expect("a disk that works");
        drop(storage);
        let recovered = recover(folder.path()).recovered;
        assert_eq!(!recovered.log.entries.is_empty(), log_survives, "{defect}");
        assert_eq!(recovered.hard_state != HardState::default(), vote_survives, "{defect}");
    }
}
