//! Promises about sessions and weak isolation against their definitions, which are tried out in full, on small random histories; and
//! that whoever promises more promises less.
//!
//! `HISTORIES=1000000 cargo test --release -p rafture-checker --test every_view` tries so many of them, all kinds together.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rafture_checker::check::{Limits, Outcome, Question, check};
use rafture_checker::consistency::Consistency;
use rafture_checker::history::{Datum, Event, EventKind, History, Process};
use rafture_checker::models::ModelKind;
use rafture_checker::verdict::Verdict;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// One operation, or one transaction: its reads, then its writes, as keys and values; 0 is what is there at first.
#[derive(Debug, Clone)]
struct Deed {
    session: usize,
    reads: Vec<(usize, u32)>,
    writes: Vec<(usize, u32)>,
    /// Nobody knows whether it happened; then it is the last of its session.
    is_open: bool,
}

impl Deed {
    fn wrote(&self, key: usize) -> Option<u32> {
        self.writes.iter().rfind(|write| write.0 == key).map(|write| write.1)
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Sessions one after another; every value is new, and a read gives any value that its key ever has.
fn objects(random: &mut ChaCha8Rng) -> Vec<Deed> {
    let (sessions, keys) = (random.random_range(1..4), random.random_range(1..3));
    let mut fresh = vec![0; keys];
    let mut deeds = Vec::new();
    for session in 0..sessions {
        for _ in 0..random.random_range(1..4) {
            let key = random.random_range(0..keys);
            let kind = random.random_range(0..20);
            let mut deed = Deed { session, reads: Vec::new(), writes: Vec::new(), is_open: false };
            if kind < 12 {
                deed.reads.push((key, u32::MAX));
            }
            if kind >= 10 {
                fresh[key] += 1;
                deed.writes.push((key, fresh[key]));
            }
            deeds.push(deed);
        }
        deeds.last_mut().expect("one at least").is_open = random.random_bool(0.15);
    }
    fill_reads(random, &mut deeds, &fresh);
    deeds
}

fn transactions(random: &mut ChaCha8Rng) -> Vec<Deed> {
    let keys = random.random_range(1..4);
    let mut fresh = vec![0; keys];
    let mut deeds = Vec::new();
    let all = random.random_range(2..6);
    let mut session = 0;
    for _ in 0..all {
        let mut deed = Deed { session, reads: Vec::new(), writes: Vec::new(), is_open: false };
        for _ in 0..random.random_range(0..4) {
            deed.reads.push((random.random_range(0..keys), u32::MAX));
        }
        for (key, fresh) in fresh.iter_mut().enumerate() {
            if random.random_bool(0.5) {
                *fresh += 1;
                deed.writes.push((key, *fresh));
            }
        }
        session += usize::from(random.random_bool(0.6));
        deeds.push(deed);
    }
    fill_reads(random, &mut deeds, &fresh);
    deeds
}

fn fill_reads(random: &mut ChaCha8Rng, deeds: &mut [Deed], fresh: &[u32]) {
    let is_wild = random.random_bool(0.05);
    for deed in deeds {
        for read in &mut deed.reads {
            read.1 = random.random_range(0..=fresh[read.0] + u32::from(is_wild));
        }
    }
}

/// The deeds as they would be recorded, the sessions interleaved by chance.
fn history(random: &mut ChaCha8Rng, deeds: &[Deed], is_transactional: bool) -> History {
    let shown = |value: u32| if value == 0 { Value::Null } else { json!(value) };
    let mut waiting: BTreeMap<usize, Vec<(&Deed, EventKind)>> = BTreeMap::new();
    for deed in deeds {
        let of_session = waiting.entry(deed.session).or_default();
        of_session.push((deed, EventKind::Invoke));
        let end = if deed.is_open { EventKind::Info } else { EventKind::Ok };
        of_session.push((deed, end));
    }
    let mut events = Vec::new();
    while !waiting.is_empty() {
        let of = *waiting.keys().nth(random.random_range(0..waiting.len())).expect("a session");
        let queue = waiting.get_mut(&of).expect("it waits");
        let (deed, kind) = queue.remove(0);
        if queue.is_empty() {
            waiting.remove(&of);
        }
        let key = deed.reads.iter().chain(&deed.writes).next().map_or(0, |step| step.0);
        let is_told = kind == EventKind::Ok;
        let read = deed.reads.first().map(|read| shown(read.1));
        let (f, value) = match (deed.reads.as_slice(), deed.writes.as_slice()) {
            _ if is_transactional => {
                let told = |value| if is_told { shown(value) } else { Value::Null };
                let reads = deed.reads.iter().map(|&(key, value)| json!(["r", key, told(value)]));
                let writes = deed.writes.iter().map(|&(key, value)| json!(["w", key, value]));
                ("txn", reads.chain(writes).collect())
            }
            ([_], [write]) => ("cas", json!([read, write.1])),
            ([_], _) => ("read", read.filter(|_| is_told).unwrap_or_default()),
            (_, [write]) => ("write", json!(write.1)),
            other => unreachable!("{other:?} is no operation of a register"),
        };
        events.push(Event {
            index: events.len() as u64,
            time: events.len() as u64,
            process: Process::Client(of as u64),
            kind,
            f: Cow::Borrowed(f),
            key: (!is_transactional).then(|| json!(key)),
            value,
            node: None,
            error: None,
        });
    }
    History::of(&events).expect("every process does one thing at a time")
}

/// Whether what is meant by the promise holds for one choice of which open ones happened.
fn holds(deeds: &[Deed], promise: impl Fn(&[Deed]) -> bool) -> bool {
    let open: Vec<usize> = (0..deeds.len()).filter(|&at| deeds[at].is_open).collect();
    (0..1 << open.len()).any(|chosen: usize| {
        let happened = |at: usize| match open.iter().position(|&other| other == at) {
            Some(number) => chosen >> number & 1 == 1,
            None => true,
        };
        let kept: Vec<Deed> = (0..deeds.len())
            .filter(|&at| happened(at))
            // Nobody knows what an open read gave.
            .filter(|&at| !deeds[at].is_open || !deeds[at].writes.is_empty())
            .map(|at| deeds[at].clone())
            .collect();
        let is_written = |&(key, value): &(usize, u32)| value == 0 || writer(&kept, key, value).is_some();
        kept.iter().all(|deed| deed.reads.iter().all(is_written)) && promise(&kept)
    })
}

fn writer(deeds: &[Deed], key: usize, value: u32) -> Option<usize> {
    deeds.iter().position(|deed| deed.writes.contains(&(key, value)))
}

/// What comes before what by sessions and reads; of one key only, if that is given.
fn known(deeds: &[Deed], only: Option<usize>) -> Vec<Vec<bool>> {
    let count = deeds.len();
    let touches = |at: usize| {
        only.is_none_or(|key| deeds[at].reads.iter().chain(&deeds[at].writes).any(|step| step.0 == key))
    };
    let mut before = vec![vec![false; count]; count];
    for to in (0..count).filter(|&at| touches(at)) {
        for from in (0..count).filter(|&at| touches(at)) {
            before[from][to] |= from < to && deeds[from].session == deeds[to].session;
        }
        for &(key, value) in deeds[to].reads.iter().filter(|read| only.is_none_or(|key| key == read.0)) {
            if let Some(from) = writer(deeds, key, value) {
                before[from][to] = true;
            }
        }
    }
    for middle in 0..count {
        for from in 0..count {
            for to in 0..count {
                before[from][to] |= before[from][middle] && before[middle][to];
            }
        }
    }
    before
}

fn is_guaranteed(deeds: &[Deed], is_own: bool) -> bool {
    let keys = deeds.iter().flat_map(|deed| deed.reads.iter().chain(&deed.writes)).map(|step| step.0);
    keys.max().is_none_or(|last| (0..=last).all(|key| is_guaranteed_for(deeds, key, is_own)))
}

fn is_guaranteed_for(deeds: &[Deed], key: usize, is_own: bool) -> bool {
    let before = known(deeds, Some(key));
    let reads = |at: usize| deeds[at].reads.iter().find(|read| read.0 == key).map(|read| read.1);
    let of = |value: u32| writer(deeds, key, value);
    let is_older = |one: u32, other: u32| match (of(one), of(other)) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(one), Some(other)) => before[one][other],
    };
    let all = 0..deeds.len();
    all.clone().all(|at| !before[at][at])
        && all.clone().all(|late| {
            let Some(read) = reads(late) else { return true };
            let earlier: Vec<usize> =
                (0..late).filter(|&at| deeds[at].session == deeds[late].session).collect();
            match is_own {
                true => earlier.iter().filter_map(|&at| deeds[at].wrote(key)).all(|own| !is_older(read, own)),
                false => {
                    let seen: Vec<u32> = earlier.iter().filter_map(|&at| reads(at)).collect();
                    let comes_back = seen
                        .iter()
                        .position(|&other| other == read)
                        .is_some_and(|first| seen[first..].iter().any(|&other| other != read));
                    !comes_back && seen.iter().all(|&other| !is_older(read, other))
                }
            }
        })
}

/// Whether all writes, and the reads of those sessions, have an order that keeps `before` and gives what was read.
fn has_view(deeds: &[Deed], before: &[Vec<bool>], readers: &dyn Fn(usize) -> bool) -> bool {
    let placed = &mut vec![false; deeds.len()];
    place_next(deeds, before, readers, &mut BTreeMap::new(), placed)
}

fn place_next(
    deeds: &[Deed],
    before: &[Vec<bool>],
    readers: &dyn Fn(usize) -> bool,
    state: &mut BTreeMap<usize, u32>,
    placed: &mut Vec<bool>,
) -> bool {
    if placed.iter().all(|&placed| placed) {
        return true;
    }
    for at in 0..deeds.len() {
        let is_next = !placed[at] && (0..deeds.len()).all(|other| placed[other] || !before[other][at]);
        let is_right = |&(key, value): &(usize, u32)| state.get(&key).copied().unwrap_or(0) == value;
        if !is_next || readers(at) && !deeds[at].reads.iter().all(is_right) {
            continue;
        }
        let saved = state.clone();
        state.extend(deeds[at].writes.iter().copied());
        placed[at] = true;
        if place_next(deeds, before, readers, state, placed) {
            return true;
        }
        placed[at] = false;
        *state = saved;
    }
    false
}

fn is_sequential(deeds: &[Deed]) -> bool {
    let count = deeds.len();
    let session = |from: usize, to: usize| from < to && deeds[from].session == deeds[to].session;
    let before: Vec<Vec<bool>> =
        (0..count).map(|from| (0..count).map(|to| session(from, to)).collect()).collect();
    has_view(deeds, &before, &|_| true)
}

fn is_causal_memory(deeds: &[Deed]) -> bool {
    let before = known(deeds, None);
    let sessions = deeds.iter().map(|deed| deed.session).max().map_or(0, |last| last + 1);
    (0..deeds.len()).all(|at| !before[at][at])
        && (0..sessions).all(|session| has_view(deeds, &before, &|at| deeds[at].session == session))
}

/// Whether the transactions have an order of commits for that level (Biswas & Enea 2019, definition 2.2).
fn is_isolated(deeds: &[Deed], level: Consistency) -> bool {
    let before = known(deeds, None);
    let is_acyclic = (0..deeds.len()).all(|at| !before[at][at]);
    let reads_from = |to: usize, number: usize| {
        let (key, value) = deeds[to].reads[number];
        writer(deeds, key, value)
    };
    let sees = |from: usize, to: usize, number: usize| match level {
        Consistency::ReadCommitted => (0..number).any(|earlier| reads_from(to, earlier) == Some(from)),
        Consistency::ReadAtomic => {
            from < to && deeds[from].session == deeds[to].session
                || (0..deeds[to].reads.len()).any(|other| reads_from(to, other) == Some(from))
        }
        _ => before[from][to],
    };
    let count = deeds.len();
    let mut must = before.clone();
    for to in 0..count {
        for number in 0..deeds[to].reads.len() {
            let (key, value) = deeds[to].reads[number];
            for from in (0..count).filter(|&from| from != to && sees(from, to, number)) {
                match (deeds[from].wrote(key), reads_from(to, number)) {
                    (None, _) => {}
                    (Some(other), _) if other == value => {}
                    (Some(_), Some(source)) => must[from][source] = true,
                    (Some(_), None) => return false,
                }
            }
        }
    }
    is_acyclic && has_view(deeds, &must, &|_| false)
}

fn judged(history: &History, model: ModelKind, consistency: Consistency) -> Outcome {
    let question = Question { model, consistency, initial: Datum::NULL };
    check(history, &question, &Limits::NONE).expect("the shape")
}

type Definition = fn(&[Deed]) -> bool;

#[test]
fn small_histories_keep_what_the_definitions_say() {
    let (histories, seed) = (number("HISTORIES", 40_000), number("SEED", 20_261_125));
    println!("seed {seed}, {histories} histories");
    let promises: [(Consistency, Definition); 4] = [
        (Consistency::Sequential, is_sequential),
        (Consistency::Causal, is_causal_memory),
        (Consistency::ReadYourWrites, |deeds| is_guaranteed(deeds, true)),
        (Consistency::MonotonicReads, |deeds| is_guaranteed(deeds, false)),
    ];
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut counts = [[0; 2]; 4];
    let mut distinct = [0; 4];
    for at in 0..histories {
        let deeds = objects(&mut random);
        let history = history(&mut random, &deeds, false);
        let model = ModelKind::CasRegister;
        let mut verdicts = vec![judged(&history, model, Consistency::Linearizable).verdict == Verdict::Valid];
        for ((consistency, definition), counts) in promises.iter().zip(&mut counts) {
            let outcome = judged(&history, model, *consistency);
            let expected = holds(&deeds, definition);
            let what = || format!("history {at}, seed {seed}, {consistency}: {deeds:#?} {outcome:#?}");
            assert_eq!(outcome.verdict == Verdict::Valid, expected, "{}", what());
            assert_eq!(outcome.failure.is_some(), !expected, "{}", what());
            if let Some(failure) = &outcome.failure {
                let culprits = failure.operations.iter().filter(|operation| operation.culprit).count();
                assert_eq!(culprits, 1, "{}", what());
                let all = failure.operations.len();
                assert!(
                    failure.relations.iter().all(|relation| relation.from.max(relation.to) < all),
                    "{}",
                    what()
                );
            }
            counts[usize::from(expected)] += 1;
            verdicts.push(expected);
        }
        let [linearizable, sequential, causal, own, monotonic] = verdicts[..] else { unreachable!("five") };
        assert!(!linearizable || sequential, "{deeds:#?}");
        assert!(!sequential || causal, "{deeds:#?}");
        assert!(!causal || own && monotonic, "{deeds:#?}");
        distinct[0] += usize::from(sequential && !linearizable);
        distinct[1] += usize::from(causal && !sequential);
        distinct[2] += usize::from(own && monotonic && !causal);
        distinct[3] += usize::from(own != monotonic);
    }
    println!("invalid and valid: {counts:?}; told apart: {distinct:?}");
    // A test that meets only one verdict, or no difference, would prove nothing.
    assert!(counts.iter().flatten().all(|&count| count > histories / 200), "{counts:?}");
    assert!(distinct.iter().all(|&count| count > 0), "{distinct:?}");
}

#[test]
fn small_transactions_are_isolated_as_the_definitions_say() {
    let (histories, seed) = (number("HISTORIES", 40_000), number("SEED", 20_261_126));
    println!("seed {seed}, {histories} histories");
    let levels = [Consistency::ReadCommitted, Consistency::ReadAtomic, Consistency::Causal];
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut counts = [[0; 2]; 3];
    for at in 0..histories {
        let deeds = transactions(&mut random);
        let history = history(&mut random, &deeds, true);
        let mut stronger = true;
        for (level, counts) in levels.iter().zip(&mut counts).rev() {
            let outcome = judged(&history, ModelKind::RwRegister, *level);
            let expected = holds(&deeds, |deeds| is_isolated(deeds, *level));
            let what = || format!("history {at}, seed {seed}, {level}: {deeds:#?} {outcome:#?}");
            assert_eq!(outcome.verdict == Verdict::Valid, expected, "{}", what());
            counts[usize::from(expected)] += 1;
            assert!(expected || *level == Consistency::Causal || !stronger, "{}", what());
            stronger = expected;
        }
    }
    println!("invalid and valid: {counts:?}");
    assert!(counts.iter().flatten().all(|&count| count > histories / 200), "{counts:?}");
}
