//! Histories that are linearizable by construction, and the events that they are recorded as; for tests and examples.
//!
//! The way of making them: the thread that is ready first goes next; its operation has a random latency and takes effect at a random
//! moment within; a non-read may crash, and then it has an effect or not, nobody knows, and the thread goes on under a new number. Nearly
//! as many operations are open at any time as there are clients: deliberately hard.

#![allow(dead_code, reason = "each test and example uses a part of it")]

pub(super) mod bugs;

use std::borrow::Cow;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use rafture_checker::history::{Event, EventKind, History, Process};
use rafture_checker::models::ModelKind;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// Every model of one object whose histories can be made.
pub(super) const MODELS: [ModelKind; 11] = [
    ModelKind::Register,
    ModelKind::CasRegister,
    ModelKind::Kv,
    ModelKind::MultiRegister,
    ModelKind::Mutex,
    ModelKind::Semaphore(2),
    ModelKind::Counter,
    ModelKind::Set,
    ModelKind::Queue,
    ModelKind::Stack,
    ModelKind::List,
];

/// What to make.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) model: ModelKind,
    pub(super) clients: u64,
    pub(super) operations: usize,
    /// Values are drawn from so many; 0: each is new.
    pub(super) values: u64,
    /// Share of non-reads whose client never hears of them.
    pub(super) crashes: f64,
    pub(super) keys: u64,
}

/// What makes a history harder than its shape says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Twist {
    None,
    /// Nine in ten non-reads of the last hundredth crash.
    Burst,
    /// A crashed operation takes effect up to a hundred latencies after its invocation.
    Late,
    /// Every client writes only one value, its own number.
    OwnValue,
    /// Half of the operations are about the first key.
    HotKey,
    /// From time to time there is no leader: nothing completes, every operation times out, and half of those that are no reads
    /// take effect when the leader is back.
    Pauses,
}

/// Time between two pauses, their length, and how long a client waits for an answer in one.
const PAUSE_EVERY: u64 = 50_000;
const PAUSE: u64 = 5_000;
const TIMEOUT: u64 = 1_500;

/// One operation and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Deed {
    pub(super) f: &'static str,
    pub(super) key: u64,
    pub(super) argument: Value,
    pub(super) result: Value,
    pub(super) kind: EventKind,
    pub(super) process: u64,
    pub(super) invoked: u64,
    effect: Option<u64>,
    pub(super) completed: Option<u64>,
}

/// Deeds in order of invocation, and their moments: time, the deed, whether it is the completion.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) deeds: Vec<Deed>,
    pub(super) moments: Vec<(u64, usize, bool)>,
    has_keys: bool,
}

pub(super) fn generated(shape: &Shape, seed: u64) -> Made {
    generated_with(shape, Twist::None, seed)
}

pub(super) fn generated_with(shape: &Shape, twist: Twist, seed: u64) -> Made {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut ready: BinaryHeap<std::cmp::Reverse<(u64, u64)>> = (0..shape.clients)
        .map(|client| std::cmp::Reverse((1 + random.random_range(0..1000), client)))
        .collect();
    let mut process_of: Vec<u64> = (0..shape.clients).collect();
    let mut unused = shape.clients;
    let mut fresh = 0;
    let mut deeds = Vec::with_capacity(shape.operations);
    for number in 0..shape.operations {
        let std::cmp::Reverse((invoked, client)) = ready.pop().expect("a client");
        let mut latency = 2 + random.random_range(0..1000);
        let mut effect = invoked + 1 + random.random_range(0..latency - 1);
        let (f, mut argument) = asked(shape, &mut random, &mut fresh);
        let is_burst = twist == Twist::Burst && number >= shape.operations - shape.operations / 100;
        let share = if is_burst { 0.9 } else { shape.crashes };
        let mut crashes = !is_read(f) && random.random_bool(share);
        let mut has_effect = !crashes || random.random_bool(0.5);
        let mut key = random.random_range(0..shape.keys);
        match twist {
            Twist::Late if crashes => effect += random.random_range(0..100_000),
            Twist::OwnValue if f == "write" => argument = json!(client),
            Twist::HotKey if random.random_bool(0.5) => key = 0,
            Twist::Pauses if invoked % PAUSE_EVERY < PAUSE => {
                crashes = true;
                has_effect = !is_read(f) && random.random_bool(0.5);
                latency = TIMEOUT;
                effect = invoked - invoked % PAUSE_EVERY + PAUSE + random.random_range(0..TIMEOUT);
            }
            _ => {}
        }
        let process = process_of[client as usize];
        deeds.push(Deed {
            f,
            key,
            argument,
            result: Value::Null,
            kind: if crashes { EventKind::Info } else { EventKind::Ok },
            process,
            invoked,
            effect: has_effect.then_some(effect),
            completed: (!crashes).then_some(invoked + latency),
        });
        if crashes {
            process_of[client as usize] = unused;
            unused += 1;
        }
        ready.push(std::cmp::Reverse((invoked + latency + 1 + random.random_range(0..100), client)));
    }
    take_effect(shape, &mut deeds);
    let mut moments: Vec<(u64, usize, bool)> = Vec::with_capacity(2 * deeds.len());
    for (at, deed) in deeds.iter().enumerate() {
        moments.push((deed.invoked, at, false));
        moments.extend(deed.completed.map(|time| (time, at, true)));
    }
    // At one time, what is invoked first makes the history harder.
    moments.sort_unstable_by_key(|&(time, at, is_end)| (time, is_end, at));
    Made { deeds, moments, has_keys: shape.keys > 1 }
}

fn is_read(f: &str) -> bool {
    matches!(f, "read" | "get")
}

fn asked(shape: &Shape, random: &mut ChaCha8Rng, fresh: &mut u64) -> (&'static str, Value) {
    let mut value = |random: &mut ChaCha8Rng| match shape.values {
        0 => {
            *fresh += 1;
            *fresh
        }
        values => random.random_range(0..values),
    };
    let share: f64 = random.random();
    match shape.model {
        ModelKind::Register if share < 0.5 => ("read", Value::Null),
        ModelKind::Register => ("write", json!(value(random))),
        ModelKind::CasRegister if share < 0.34 => ("read", Value::Null),
        // What it takes is put in when it takes effect, if values are new each.
        ModelKind::CasRegister if share < 0.67 => {
            let old = if shape.values == 0 { Value::Null } else { json!(value(random)) };
            ("cas", json!([old, value(random)]))
        }
        ModelKind::CasRegister => ("write", json!(value(random))),
        ModelKind::Counter if share < 0.5 => ("read", Value::Null),
        ModelKind::Counter => ("add", json!(1 + if shape.values == 0 { 0 } else { value(random) })),
        ModelKind::Queue if share < 0.5 => ("dequeue", Value::Null),
        ModelKind::Queue => ("enqueue", json!(value(random))),
        ModelKind::Stack if share < 0.5 => ("pop", Value::Null),
        ModelKind::Stack => ("push", json!(value(random))),
        // Whole collections are long, so long histories read them seldom.
        ModelKind::Set | ModelKind::List if share < (20.0 / shape.operations as f64).clamp(0.0001, 0.5) => {
            ("read", Value::Null)
        }
        ModelKind::Set => ("add", json!(value(random))),
        ModelKind::List => ("append", json!(value(random))),
        ModelKind::Mutex | ModelKind::Semaphore(_) if share < 0.5 => ("acquire", Value::Null),
        ModelKind::Mutex | ModelKind::Semaphore(_) => ("release", Value::Null),
        ModelKind::Kv if share < 0.4 => ("get", Value::Null),
        ModelKind::Kv if share < 0.6 => ("put", json!(format!("p{};", value(random)))),
        ModelKind::Kv => ("append", json!(format!("a{};", value(random)))),
        ModelKind::Etcd => unreachable!("what an etcd answers is recorded, not generated"),
        ModelKind::MultiRegister | ModelKind::RwRegister => {
            let steps: Vec<Value> = (0..1 + random.random_range(0..2))
                .map(|_| {
                    let register = random.random_range(0..2);
                    match random.random_bool(0.5) {
                        true => json!(["r", register, null]),
                        false => json!(["w", register, value(random)]),
                    }
                })
                .collect();
            ("txn", json!(steps))
        }
        ModelKind::Append | ModelKind::Bank | ModelKind::BankOverdraft | ModelKind::LongFork => {
            unreachable!("transactions come from a database of their own")
        }
    }
}

/// What every object answers, in the order in which operations take effect.
fn take_effect(shape: &Shape, deeds: &mut [Deed]) {
    let mut order: Vec<(u64, usize)> =
        deeds.iter().enumerate().filter_map(|(at, deed)| Some((deed.effect?, at))).collect();
    order.sort_unstable();
    let mut objects: Vec<Object> = (0..shape.keys).map(|_| Object::default()).collect();
    for (_, at) in order {
        let deed = &mut deeds[at];
        let object = &mut objects[deed.key as usize];
        if deed.f == "cas" && shape.values == 0 && !deed.process.is_multiple_of(3) {
            deed.argument[0] = object.register.clone();
        }
        match object.answer(shape.model, deed.f, &deed.argument) {
            Some(result) => deed.result = result,
            None if deed.kind == EventKind::Ok => deed.kind = EventKind::Fail,
            None => {}
        }
    }
}

/// Every kind of object at once.
#[derive(Default)]
struct Object {
    register: Value,
    number: i64,
    items: VecDeque<Value>,
    set: BTreeSet<u64>,
    text: String,
    registers: [Value; 2],
}

impl Object {
    /// The answer; `None`: it is refused.
    fn answer(&mut self, model: ModelKind, f: &str, argument: &Value) -> Option<Value> {
        let permits = if let ModelKind::Semaphore(permits) = model { permits.into() } else { 1 };
        Some(match (model, f) {
            (ModelKind::Counter, "read") => json!(self.number),
            (ModelKind::Set, "read") => json!(self.set),
            (ModelKind::List, "read") => json!(self.items),
            (_, "read") => self.register.clone(),
            (_, "write") => {
                self.register = argument.clone();
                argument.clone()
            }
            (_, "cas") if argument[0] != self.register => return None,
            (_, "cas") => {
                self.register = argument[1].clone();
                argument.clone()
            }
            (ModelKind::Counter, "add") => {
                self.number += argument.as_i64().expect("a number");
                argument.clone()
            }
            (_, "add") => {
                self.set.insert(argument.as_u64().expect("a number"));
                argument.clone()
            }
            (ModelKind::Kv, "append") => {
                self.text += argument.as_str().expect("a text");
                argument.clone()
            }
            (_, "enqueue" | "push" | "append") => {
                self.items.push_back(argument.clone());
                argument.clone()
            }
            (_, "dequeue") => self.items.pop_front().unwrap_or_default(),
            (_, "pop") => self.items.pop_back().unwrap_or_default(),
            (_, "acquire") if self.number == permits => return None,
            (_, "acquire") => {
                self.number += 1;
                Value::Null
            }
            (_, "release") if self.number == 0 => return None,
            (_, "release") => {
                self.number -= 1;
                Value::Null
            }
            (_, "get") => json!(self.text),
            (_, "put") => {
                self.text = argument.as_str().expect("a text").to_owned();
                argument.clone()
            }
            (_, "txn") => {
                let steps = argument.as_array().expect("steps").iter().map(|step| {
                    let register = step[1].as_u64().expect("a register") as usize;
                    if step[0] == "w" {
                        self.registers[register] = step[2].clone();
                    }
                    json!([step[0], step[1], self.registers[register]])
                });
                steps.collect()
            }
            other => unreachable!("no object has {other:?}"),
        })
    }
}

impl Made {
    /// As it would have been recorded.
    pub(super) fn events(&self) -> Vec<Event> {
        self.moments.iter().zip(0..).map(|(moment, index)| self.event(moment, index)).collect()
    }

    pub(super) fn event(&self, &(time, at, is_end): &(u64, usize, bool), index: u64) -> Event {
        let deed = &self.deeds[at];
        let value = match (is_end, deed.kind, &deed.result) {
            (true, EventKind::Ok, result) => result.clone(),
            _ => deed.argument.clone(),
        };
        Event {
            index,
            time,
            process: Process::Client(deed.process),
            kind: if is_end { deed.kind } else { EventKind::Invoke },
            f: Cow::Borrowed(deed.f),
            key: self.has_keys.then(|| json!(format!("k{}", deed.key))),
            value,
            node: None,
            error: None,
        }
    }

    pub(super) fn history(&self) -> History {
        History::of(&self.events()).expect("every process does one thing at a time")
    }

    /// The first completed read after that share of the history gets a value that was overwritten wholly before it began; whether
    /// there was one.
    pub(super) fn make_stale(&mut self, share: f64) -> bool {
        let from = self.deeds.len() * (share * 1000.0) as usize / 1000;
        let is_late = |deed: &Deed| deed.f == "read" && deed.completed.is_some();
        let Some(read) = (from..self.deeds.len()).find(|&at| is_late(&self.deeds[at])) else {
            return false;
        };
        let (key, begun) = (self.deeds[read].key, self.deeds[read].invoked);
        let is_write = |deed: &&Deed| deed.f == "write" && deed.key == key && deed.completed.is_some();
        let writes: Vec<&Deed> = self.deeds[..read].iter().filter(is_write).collect();
        let last = writes.iter().filter(|deed| deed.completed < Some(begun)).max_by_key(|deed| deed.invoked);
        let Some(last) = last.map(|deed| deed.invoked) else {
            return false;
        };
        let old = writes.iter().rfind(|deed| deed.completed < Some(last)).map(|deed| deed.argument.clone());
        let is_found = old.is_some();
        self.deeds[read].result = old.unwrap_or_default();
        is_found
    }

    /// The same read gets a value that nobody wrote.
    pub(super) fn make_phantom(&mut self, share: f64) {
        let from = self.deeds.len() * (share * 1000.0) as usize / 1000;
        let is_late = |deed: &&mut Deed| deed.f == "read" && deed.completed.is_some();
        let read = self.deeds[from..].iter_mut().find(is_late).expect("a read");
        read.result = json!(u32::MAX);
    }
}
