//! Bytes from anywhere: whatever comes in on a port or stands on a disk is understood or refused, and nothing more.
//!
//! `FUZZ=10000000 cargo test --release -p rafture-node --test decoders` tries so many inputs per decoder; `SEED=17` begins
//! elsewhere. Inputs are valid ones with a few bytes changed, cut, doubled or replaced, and now and then nothing but noise.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};

use bytes::{Bytes, BytesMut};
use rafture_node::machine::{Machine, Operation, Proposal, Requests};
use rafture_node::raft::{
    AppendResult, Body, Configuration, Entry, EntryId, HardState, Index, Message, NodeId, Payload, Snapshot,
    Term, Write, WriteId,
};
use rafture_node::resp;
use rafture_node::rules::Rules;
use rafture_node::server::{Hello, decode_message, encode_message};
use rafture_node::storage::{Disk, Storage, StorageOptions, save};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

/// Feeds `decode` with what becomes of `seeds`.
fn fuzz(seeds: &[Vec<u8>], share: u64, decode: impl Fn(&[u8])) {
    let seed = number("SEED", 1);
    println!("SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..number("FUZZ", 200_000) / share {
        let mut input = seeds[random.random_range(0..seeds.len())].clone();
        spoil(&mut input, &mut random);
        decode(&input);
    }
}

fn spoil(input: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..=input.len());
        match random.random_range(0..7) {
            0 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
            1 if at < input.len() => {
                input[at] = [0, 1, 0x7f, 0x80, 0xff, b'*', b'$', b'9'][random.random_range(0..8)];
            }
            2 => input.truncate(at),
            3 => input.insert(at, random.random()),
            4 => {
                let end = random.random_range(at..=input.len());
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            // Lengths and counts: what a bomb is made of.
            5 if at + 4 <= input.len() => {
                let length: u32 = [u32::MAX, 1 << 31, 1 << 24, 0][random.random_range(0..4)];
                input[at..at + 4].copy_from_slice(&length.to_le_bytes());
            }
            6 if random.random_bool(0.05) => *input = (0..at).map(|_| random.random()).collect(),
            _ => {}
        }
    }
}

fn words(line: &str) -> Vec<Bytes> {
    line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
}

#[test]
fn requests_of_clients() {
    let mut seeds: Vec<Vec<u8>> =
        vec![b"PING\r\n".to_vec(), b"*1\r\n$4\r\nPING\r\n".to_vec(), b"*2\r\n*1\r\n$1\r\na\r\n".to_vec()];
    for line in ["SET a 1 IFEQ 0", "LRANGE l 0 -1", "RAFT.SESSION DO 7 1 RPUSH l x", "MULTI"] {
        let mut buffer = BytesMut::new();
        resp::encode_request(&words(line), &mut buffer);
        resp::encode_request(&words("EXEC"), &mut buffer);
        seeds.push(buffer.to_vec());
    }
    fuzz(&seeds, 1, |input| {
        let mut buffer = BytesMut::from(input);
        let mut session = rafture_node::replica::Session::default();
        while let Ok(Some(request)) = resp::decode_request(&mut buffer) {
            assert!(request.iter().map(Bytes::len).sum::<usize>() <= input.len(), "more than arrived");
            if !request.is_empty() {
                rafture_node::replica::parse(&mut session, request);
            }
        }
    });
}

fn entries() -> Vec<Entry> {
    let mut log: Vec<Entry> = Vec::new();
    let members = BTreeMap::from([(NodeId(1), "10.0.0.1:1/10.0.0.1:2".to_owned())]);
    let payloads = [
        Payload::Noop,
        Payload::Command(Proposal::Plain(Requests::One(words("SET a 1"))).encode(7)),
        Payload::Configuration(Configuration::of(members).into()),
    ];
    for (payload, index) in payloads.into_iter().cycle().take(9).zip(1..) {
        let id = EntryId { term: Term(1), index: Index(index) };
        let previous = log.last().map_or(0, |entry| entry.chain);
        log.push(Entry::new(id, payload, previous));
    }
    log
}

fn snapshot() -> Snapshot {
    let last = entries().pop().expect("entries");
    Snapshot { last: last.id, chain: last.chain, configuration: Default::default(), size: 0 }
}

#[test]
fn messages_of_members() {
    let hello = Hello { cluster: 9, from: NodeId(1), to: NodeId(2) };
    let id = EntryId { term: Term(1), index: Index(0) };
    let bodies = [
        Body::RequestVote { last: id, transfer: false },
        Body::AppendEntries { previous: id, entries: entries(), commit: Index(3), round: 5 },
        Body::AppendEntriesReply {
            round: 5,
            result: AppendResult::Rejected { previous: Index(3), hint: id },
        },
        Body::InstallSnapshot { snapshot: snapshot(), offset: 0, data: "piece".into(), round: 5 },
        Body::ReadIndexReply { question: 3, index: Some(Index(4)) },
    ];
    let frame = |body| {
        let mut buffer = BytesMut::new();
        encode_message(&Message { from: hello.from, to: hello.to, term: Term(1), body }, false, &mut buffer);
        buffer.to_vec()
    };
    let seeds: Vec<Vec<u8>> = bodies.into_iter().map(frame).collect();
    fuzz(&seeds, 1, |input| {
        // Most changes stop at the checksum, so half of the time it is made to fit.
        let mut fitting = input.to_vec();
        if input.len() > 8 && input[0] & 1 == 0 {
            let length = (input.len() - 8) as u32;
            fitting[..4].copy_from_slice(&length.to_le_bytes());
            let sum = crc32c::crc32c(&input[8..]);
            fitting[4..8].copy_from_slice(&sum.to_le_bytes());
        }
        let mut buffer = BytesMut::from(&fitting[..]);
        while let Ok(Some(_)) = decode_message(&mut buffer, hello) {}
    });
}

#[test]
fn entries_and_images() {
    let mut machine = Machine::default();
    for (index, line) in ["SET a 1", "RPUSH l x y", "SADD s 1 2", "INCRBY n 5"].into_iter().enumerate() {
        machine.apply_entry(index as u64 + 1, &Proposal::Plain(Requests::One(words(line))).encode(1), true);
    }
    machine.apply_entry(9, &Proposal::Open(1000).encode(1), true);
    let session =
        Proposal::Session(9, 1, Requests::Transaction(vec![words("SET a 2"), words("LRANGE l 0 -1")]));
    machine.apply_entry(10, &session.encode(1), true);
    fuzz(&[machine.image()], 2, |input| {
        if let Some(machine) = Machine::from_image(Bytes::copy_from_slice(input)) {
            machine.digest();
        }
    });
    let seeds = [session.encode(5).to_vec(), Proposal::Open(7).encode(5).to_vec()];
    fuzz(&seeds, 2, |input| drop(Operation::decode(&Bytes::copy_from_slice(input))));
}

/// A disk that holds what it was given, for as long as it takes to read it.
#[derive(Clone, Default)]
struct Held(RefCell<BTreeMap<String, Vec<u8>>>);

impl Held {
    fn with<T>(&self, name: &str, deed: impl FnOnce(&mut Vec<u8>) -> T) -> io::Result<T> {
        self.0.borrow_mut().get_mut(name).map(deed).ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl Disk for Held {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.borrow().keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Bytes> {
        self.with(name, |content| Bytes::copy_from_slice(content))
    }

    fn read_at(&self, name: &str, offset: u64, length: u64) -> io::Result<Bytes> {
        self.with(name, |content| {
            let start = (offset as usize).min(content.len());
            Bytes::copy_from_slice(&content[start..(start + length as usize).min(content.len())])
        })
    }

    fn create(&mut self, name: &str, size: u64) -> io::Result<()> {
        self.0.borrow_mut().insert(name.to_owned(), vec![0; size as usize]);
        Ok(())
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        self.with(name, |content| {
            content.resize(content.len().max(end), 0);
            content[start..end].copy_from_slice(bytes);
        })
    }

    fn sync(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let content = self.0.borrow_mut().remove(from).ok_or(ErrorKind::NotFound)?;
        self.0.borrow_mut().insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.0.borrow_mut().remove(name).map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A damaged log is refused or lacks its tail: what comes back is always a prefix of what was written.
#[test]
fn logs_and_snapshots_on_disk() {
    let options = StorageOptions { node: NodeId(1), segment_bytes: 512, rules: Rules::ALL };
    let (mut storage, _) = Storage::open(Held::default(), options).expect("a fresh disk");
    let log = entries();
    for entries in log.chunks(2) {
        let hard_state = Some(HardState { term: Term(1), vote: None });
        let write = Write { id: WriteId(1), hard_state, entries: entries.to_vec(), chunk: None };
        storage.write(&[write]).expect("room");
    }
    let image = Machine::default().image();
    save(storage.disk(), NodeId(1), snapshot(), &image).expect("room");
    let disk = storage.into_disk().0.into_inner();
    for (name, content) in &disk {
        fuzz(std::slice::from_ref(content), 4 * disk.len() as u64, |input| {
            let mut files = disk.clone();
            files.insert(name.clone(), input.to_vec());
            if let Ok((_, opened)) = Storage::open(Held(RefCell::new(files)), options) {
                let recovered = opened.recovered.log;
                let base = recovered.base.index.0 as usize;
                let expected = &log[base.min(log.len())..];
                assert!(expected.starts_with(&recovered.entries), "{name}: {recovered:?}");
            }
        });
    }
}
