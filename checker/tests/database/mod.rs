//! A database in memory that runs transactions at a chosen isolation level, and the events that its clients record; for tests and
//! examples.
//!
//! The one idea: every object keeps all its versions with their times, so that a level is nothing but which moments a transaction reads
//! from, and whether its commit is refused. What serializable transactions do, they do in one moment within their time.

#![allow(dead_code, reason = "each test and example uses a part of it")]

use std::borrow::Cow;
use std::collections::BinaryHeap;

use rafture_checker::history::{Event, EventKind, History, Process};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// What is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isolation {
    /// All happens at the commit.
    Serializable,
    /// Reads are from the moment of the beginning; of two that overlap and write the same, the second is refused.
    Snapshot,
    /// Each read is from its own moment; writes come with the commit.
    ReadCommitted,
}

/// What to make.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Lists, or else registers.
    pub(super) lists: bool,
    pub(super) isolation: Isolation,
    pub(super) clients: u64,
    pub(super) transactions: usize,
    /// So many at a time; one that was written often is replaced by a new one.
    pub(super) keys: usize,
    pub(super) writes_per_key: u64,
    pub(super) steps_max: usize,
    /// Share of transactions whose client never hears of them; half of those happen.
    pub(super) crashes: f64,
}

/// A micro-operation; reads get what they saw.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) key: u64,
    pub(super) written: Option<u64>,
    pub(super) seen: Vec<u64>,
}

/// A transaction and what became of it.
#[derive(Debug, Clone)]
pub(super) struct Deed {
    pub(super) process: u64,
    pub(super) kind: EventKind,
    pub(super) steps: Vec<Step>,
    pub(super) invoked: u64,
    pub(super) completed: u64,
    /// Ascending: the first step's moment, …, and the commit's.
    moments: Vec<u64>,
    happens: bool,
}

/// Transactions in order of invocation.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) deeds: Vec<Deed>,
    pub(super) lists: bool,
}

/// Runs random transactions.
pub(super) fn generated(shape: &Shape, seed: u64) -> Made {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut ready: BinaryHeap<std::cmp::Reverse<(u64, u64)>> =
        (0..shape.clients).map(|client| std::cmp::Reverse((random.random_range(0..1000), client))).collect();
    let mut process_of: Vec<u64> = (0..shape.clients).collect();
    let mut unused = shape.clients;
    let mut keys = Keys { names: (0..shape.keys as u64).collect(), written: vec![0; shape.keys] };
    let mut deeds = Vec::with_capacity(shape.transactions);
    for _ in 0..shape.transactions {
        let std::cmp::Reverse((invoked, client)) = ready.pop().expect("a client");
        let steps: Vec<Step> =
            (0..random.random_range(1..=shape.steps_max)).map(|_| keys.step(shape, &mut random)).collect();
        let latency = 20 + random.random_range(0..1000);
        let mut moments: Vec<u64> =
            (0..=steps.len()).map(|_| invoked + 1 + random.random_range(0..latency - 1)).collect();
        moments.sort_unstable();
        let crashes = random.random_bool(shape.crashes);
        let happens = !crashes || random.random_bool(0.5);
        let kind = if crashes { EventKind::Info } else { EventKind::Ok };
        let process = process_of[client as usize];
        let completed = invoked + latency;
        deeds.push(Deed { process, kind, steps, invoked, completed, moments, happens });
        if crashes {
            process_of[client as usize] = unused;
            unused += 1;
        }
        ready.push(std::cmp::Reverse((completed + 1 + random.random_range(0..100), client)));
    }
    run(shape, &mut deeds, keys.names.iter().max().map_or(0, |&last| last as usize + 1));
    Made { deeds, lists: shape.lists }
}

struct Keys {
    names: Vec<u64>,
    written: Vec<u64>,
}

impl Keys {
    fn step(&mut self, shape: &Shape, random: &mut ChaCha8Rng) -> Step {
        let at = random.random_range(0..self.names.len());
        if self.written[at] == shape.writes_per_key {
            self.names[at] = self.names.iter().max().expect("there are keys") + 1;
            self.written[at] = 0;
        }
        let written = random.random_bool(0.5).then(|| {
            self.written[at] += 1;
            self.written[at]
        });
        Step { key: self.names[at], written, seen: Vec::new() }
    }
}

/// Lets everything happen in the order of its moments.
fn run(shape: &Shape, deeds: &mut [Deed], keys: usize) {
    let mut order: Vec<(u64, usize, usize)> = Vec::new();
    for (at, deed) in deeds.iter().enumerate().filter(|(_, deed)| deed.happens) {
        order.extend(deed.moments.iter().enumerate().map(|(step, &moment)| (moment, at, step)));
    }
    order.sort_unstable();
    // Each version with its place in `order`.
    let mut objects: Vec<Vec<(u64, usize)>> = vec![Vec::new(); keys];
    let mut begun = vec![usize::MAX; deeds.len()];
    for (now, (_, at, step)) in order.into_iter().enumerate() {
        let deed = &mut deeds[at];
        begun[at] = begun[at].min(now);
        let is_commit = step == deed.steps.len();
        match shape.isolation {
            Isolation::ReadCommitted if !is_commit => read(shape, &objects, now, deed, step),
            Isolation::Serializable if is_commit => {
                (0..deed.steps.len()).for_each(|step| read(shape, &objects, now, deed, step));
            }
            Isolation::Snapshot if is_commit => {
                (0..deed.steps.len()).for_each(|step| read(shape, &objects, begun[at], deed, step));
                let is_new = |&(_, when): &(u64, usize)| when > begun[at];
                let mut written = deed.steps.iter().filter(|step| step.written.is_some());
                if written.any(|step| objects[step.key as usize].last().is_some_and(is_new)) {
                    if deed.kind == EventKind::Ok {
                        deed.kind = EventKind::Fail;
                    }
                    continue;
                }
            }
            _ => {}
        }
        if is_commit {
            for step in &deed.steps {
                objects[step.key as usize].extend(step.written.map(|value| (value, now)));
            }
        }
    }
}

/// What was there at that place in the order, and what the transaction itself wrote before.
fn read(shape: &Shape, objects: &[Vec<(u64, usize)>], now: usize, deed: &mut Deed, step: usize) {
    let (before, rest) = deed.steps.split_at_mut(step);
    let reading = &mut rest[0];
    if reading.written.is_some() {
        return;
    }
    let versions = &objects[reading.key as usize];
    let visible = &versions[..versions.partition_point(|&(_, when)| when < now)];
    let own = before.iter().filter(|step| step.key == reading.key).filter_map(|step| step.written);
    let all = visible.iter().map(|&(value, _)| value).chain(own);
    reading.seen = match shape.lists {
        true => all.collect(),
        false => all.last().into_iter().collect(),
    };
}

impl Made {
    /// As it would have been recorded, event by event.
    pub(super) fn events(&self) -> impl Iterator<Item = Event> {
        let mut moments: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * self.deeds.len());
        for (at, deed) in self.deeds.iter().enumerate() {
            moments.push((deed.invoked, false, at));
            if deed.kind != EventKind::Info {
                moments.push((deed.completed, true, at));
            }
        }
        moments.sort_unstable();
        moments.into_iter().zip(0..).map(|((time, is_end, at), index)| self.event(at, (time, is_end, index)))
    }

    fn event(&self, at: usize, (time, is_end, index): (u64, bool, u64)) -> Event {
        let deed = &self.deeds[at];
        let is_known = is_end && deed.kind == EventKind::Ok;
        let step = |step: &Step| match (step.written, self.lists) {
            (Some(value), true) => json!(["append", step.key, value]),
            (Some(value), false) => json!(["w", step.key, value]),
            (None, _) if !is_known => json!(["r", step.key, null]),
            (None, true) => json!(["r", step.key, step.seen]),
            (None, false) => json!(["r", step.key, step.seen.last()]),
        };
        Event {
            index,
            time,
            process: Process::Client(deed.process),
            kind: if is_end { deed.kind } else { EventKind::Invoke },
            f: Cow::Borrowed("txn"),
            key: None,
            value: Value::Array(deed.steps.iter().map(step).collect()),
            node: None,
            error: None,
        }
    }

    pub(super) fn history(&self) -> History {
        History::of(&self.events().collect::<Vec<_>>()).expect("every process does one thing at a time")
    }

    /// The first read after that share of the history that saw at least two values sees the last of them no more; whether there was
    /// one.
    pub(super) fn make_stale(&mut self, share: f64) -> bool {
        let read = self.late_read(share);
        read.is_some_and(|read| {
            read.seen.pop();
            true
        })
    }

    /// The same read sees something that nobody wrote.
    pub(super) fn make_garbage(&mut self, share: f64) -> bool {
        let read = self.late_read(share);
        read.is_some_and(|read| {
            read.seen.push(u64::from(u32::MAX));
            true
        })
    }

    fn late_read(&mut self, share: f64) -> Option<&mut Step> {
        let from = (self.deeds.len() as f64 * share) as usize;
        let done = self.deeds[from..].iter_mut().filter(|deed| deed.kind == EventKind::Ok);
        let mut steps = done.flat_map(|deed| deed.steps.iter_mut());
        steps.find(|step| step.written.is_none() && step.seen.len() > 1)
    }
}
