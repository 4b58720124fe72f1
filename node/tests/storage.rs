//! The log file across crashes: what was synced comes back, a torn tail goes, damage before it is refused.

use std::fs;
use std::path::Path;

use rafture_node::raft::{Entry, EntryId, HardState, Index, NodeId, Payload, Term, Write, WriteId};
use rafture_node::rules::{Defect, Rules};
use rafture_node::storage::{Damage, Recovered, Storage, StorageError};

const ME: NodeId = NodeId(1);

fn entry(index: u64, term: u64, log: &[Entry]) -> Entry {
    let id = EntryId { term: Term(term), index: Index(index) };
    let previous = log.get((index as usize).wrapping_sub(2)).map_or(0, |entry| entry.chain);
    Entry::new(id, Payload::Command(format!("{index} in {term}").into()), previous)
}

/// Entries at the given indices, all of one term, that follow `log`.
fn entries(indices: std::ops::RangeInclusive<u64>, term: u64, log: &[Entry]) -> Vec<Entry> {
    let mut all = log[..*indices.start() as usize - 1].to_vec();
    for index in indices.clone() {
        all.push(entry(index, term, &all));
    }
    all.split_off(*indices.start() as usize - 1)
}

fn write(id: u64, term: u64, entries: Vec<Entry>) -> Write {
    let hard_state = HardState { term: Term(term), vote: Some(ME) };
    Write { id: WriteId(id), hard_state: Some(hard_state), entries }
}

fn open(folder: &Path) -> Result<(Storage, Recovered), StorageError> {
    Storage::open(folder, ME, Rules::ALL)
}

fn recover(folder: &Path) -> Recovered {
    open(folder).expect("a log that can be used").1
}

/// Three batches; gives the log after each and the file's length then.
fn three_batches(folder: &Path) -> Vec<(Vec<Entry>, u64)> {
    let (mut storage, recovered) = open(folder).expect("a fresh folder");
    assert_eq!(recovered.entries, []);
    let mut log: Vec<Entry> = Vec::new();
    let mut states = Vec::new();
    for (id, (term, range)) in (1..).zip([(1, 1..=3), (1, 4..=5), (2, 4..=4)]) {
        let new = entries(range, term, &log);
        log.truncate(new[0].id.index.0 as usize - 1);
        log.extend(new.clone());
        storage.write(&[write(id, term, new)]).expect("a disk that works");
        let length = fs::metadata(folder.join("log")).expect("a log").len();
        states.push((log.clone(), length));
    }
    states
}

#[test]
fn what_was_synced_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let states = three_batches(folder.path());
    let recovered = recover(folder.path());
    assert_eq!(recovered.entries, states[2].0, "the last batch has replaced entries 4 and 5");
    assert_eq!(recovered.hard_state, HardState { term: Term(2), vote: Some(ME) });
    assert_eq!(recovered.torn_bytes, 0);
}

/// A crash may leave any prefix of the batch that was being written, and nothing before it may suffer.
#[test]
fn a_torn_tail_is_cut_at_every_length() {
    let folder = tempfile::tempdir().expect("a folder");
    let states = three_batches(folder.path());
    let whole = fs::read(folder.path().join("log")).expect("a log");
    for length in states[1].1..states[2].1 {
        fs::write(folder.path().join("log"), &whole[..length as usize]).expect("a write");
        let recovered = recover(folder.path());
        let before = &states[1].0;
        assert!(recovered.entries == *before || recovered.entries == states[2].0, "cut at {length}");
        let rest = fs::metadata(folder.path().join("log")).expect("a log").len();
        assert_eq!(rest + recovered.torn_bytes, length, "what is torn is cut off");
    }
}

/// Sectors of an unsynced batch may also reach the disk out of order: the tail is damaged, not short.
#[test]
fn a_damaged_last_batch_is_a_torn_tail_and_earlier_damage_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let states = three_batches(folder.path());
    let whole = fs::read(&path).expect("a log");
    let header = 17;
    for at in header..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x20;
        fs::write(&path, &damaged).expect("a write");
        match open(folder.path()) {
            Ok((_, recovered)) => {
                assert!(at as u64 >= states[1].1, "damage at {at} was passed over");
                assert!(recovered.entries == states[1].0 || recovered.entries == states[2].0);
            }
            Err(StorageError::Damaged { damage: Damage::Middle { at: found }, .. }) => {
                assert!(found <= at && (at as u64) < states[1].1, "damage at {at}, found at {found}");
            }
            Err(other) => panic!("damage at {at}: {other}"),
        }
        assert!(fs::metadata(&path).is_ok(), "nothing is thrown away");
    }
}

#[test]
fn a_folder_has_one_owner_at_a_time_and_for_ever() {
    let folder = tempfile::tempdir().expect("a folder");
    let (storage, _) = open(folder.path()).expect("a fresh folder");
    let second = open(folder.path()).expect_err("it is in use");
    assert!(second.to_string().contains("in use by another node"), "{second}");
    drop(storage);
    let stranger = Storage::open(folder.path(), NodeId(2), Rules::ALL).expect_err("it is of another node");
    assert!(stranger.to_string().contains("belongs to `n1`"), "{stranger}");
}

#[test]
fn what_is_no_log_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("log")).expect("a folder in the way");
    let error = open(folder.path()).expect_err("a folder is no file");
    assert!(error.to_string().starts_with("cannot open `"), "{error}");
}

#[test]
fn planted_bugs_forget_what_they_say_they_forget() {
    for (defect, log_survives, vote_survives) in
        [(Defect::MemLog, false, true), (Defect::MemVote, true, false)]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let rules = Rules::without(defect);
        let (mut storage, _) = Storage::open(folder.path(), ME, rules).expect("a fresh folder");
        storage.write(&[write(1, 3, entries(1..=2, 3, &[]))]).expect("a disk that works");
        drop(storage);
        let recovered = recover(folder.path());
        assert_eq!(!recovered.entries.is_empty(), log_survives, "{defect}");
        assert_eq!(recovered.hard_state != HardState::default(), vote_survives, "{defect}");
    }
}
