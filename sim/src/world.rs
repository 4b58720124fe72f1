//! Everything there is, and time: events in the order in which they are due, one after the other.
//!
//! An event happens to one node or one client. What follows from it is more events; and after each, the invariants are
//! held against the node that it happened to.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use rafture_checker::history::{Event, EventKind, Process};
use rafture_node::raft::{Body, Message, NodeId, RequestId, Role};
use rafture_node::replica::{Effect, Request};
use rafture_node::resp::Reply;
use rafture_node::storage::{self, StorageError};
use rafture_workloads::operation::{Answer, Ask};
use rafture_workloads::workload;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::client::{self, Client, Kind, Reaction};
use crate::clock::NodeClock;
use crate::disk::Crash;
use crate::invariants::{Broken, Invariants};
use crate::network::Network;
use crate::node::{Asker, LIMITS, Node};
use crate::plan::{Plan, SPARES};
use crate::trace::Trace;

/// Nanoseconds of a millisecond.
const MS: u64 = 1_000_000;
/// A client gives an operation up after so long.
const PATIENCE: u64 = 1000 * MS;
/// A client that was refused asks again after so long.
const RETRY: u64 = 20 * MS;
/// What a client waits between two operations while something is happening, on average.
const BUSY_THINK: u64 = 20 * MS;
/// How long clients are busy after a fault has struck: an election and a bit.
const BUSY: u64 = 300 * MS;
/// Events of a paused node come when it goes on; those that it would never have taken in are lost with it.
const HELD_MAX: usize = 10_000;

/// The simulated world.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) now: u64,
    pub(crate) random: ChaCha8Rng,
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) clients: Vec<Client>,
    pub(crate) trace: Trace,
    pub(crate) history: Vec<Event>,
    pub(crate) broken: Option<Broken>,
    /// No client begins anything any more.
    pub(crate) is_closed: bool,
    /// Until then clients ask fast: something is happening.
    pub(crate) busy_until: u64,
    pub(crate) events: u64,
    pub(crate) acknowledged: u64,
    pub(crate) messages: u64,
    pub(crate) message_bytes: u64,
    /// What scenarios were answered.
    pub(crate) answers: BTreeMap<u64, Reply>,
    latest_submission: u64,
    /// No node waits longer for a leader. A scenario may shorten the timeouts of nodes that it starts.
    timeout_max: Duration,
    invariants: Invariants,
    due: BinaryHeap<Reverse<Due>>,
    sequence: u64,
    /// What befell paused nodes.
    held: Vec<(usize, What)>,
}

struct Due {
    at: u64,
    sequence: u64,
    what: What,
}

/// Something that happens.
#[derive(Debug)]
enum What {
    /// A message arrives.
    Message(Box<Message>),
    /// A timer of a node may have run out.
    Tick { node: usize, life: u64, at: u64 },
    /// The disk has done what it was doing.
    Written { node: usize, life: u64 },
    /// A snapshot was made.
    Saved { node: usize, life: u64 },
    /// A request arrives.
    Request { node: usize, asker: Asker, request: Box<Request> },
    /// An answer arrives.
    Reply { client: usize, attempt: u64, reply: Reply },
    /// A client wants to go on.
    Turn { client: usize, attempt: u64 },
    /// A client's patience ends.
    Patience { client: usize, attempt: u64 },
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        self.sequence == other.sequence
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Due) -> Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

impl World {
    /// A cluster that comes up, and clients that begin to use it.
    pub(crate) fn new(plan: &Plan, traced: bool) -> World {
        let mut random = ChaCha8Rng::seed_from_u64(plan.seed);
        random.set_stream(1);
        let count = plan.options.nodes + SPARES;
        let drift = plan.drift_ppm.min(90_000);
        let mut node = |id: usize| {
            let rate = random.random_range(1_000_000 - drift..=1_000_000 + drift);
            // No two machines were started at the same time.
            let clock =
                NodeClock::new(random.random_range(MS..1000 * MS), rate, random.random_range(0..5000));
            Node::new(NodeId(id as u32), clock)
        };
        let nodes = (1..=count).map(&mut node).collect();
        let mut world = World {
            plan: plan.clone(),
            now: 0,
            random,
            nodes,
            network: Network::new(plan.weather),
            clients: Vec::new(),
            trace: Trace::new(traced),
            history: Vec::new(),
            broken: None,
            is_closed: false,
            busy_until: 0,
            events: 0,
            acknowledged: 0,
            messages: 0,
            message_bytes: 0,
            answers: BTreeMap::new(),
            latest_submission: 0,
            timeout_max: plan.options.election_timeout.1,
            invariants: Invariants::default(),
            due: BinaryHeap::new(),
            sequence: 0,
            held: Vec::new(),
        };
        (0..count).for_each(|node| world.start(node));
        if plan.clients > 0 {
            world.hire();
        }
        world
    }

    fn hire(&mut self) {
        let workload = workload::find(&self.plan.options.workload).expect("the plan was checked");
        let nodes = self.plan.options.nodes;
        let (workers, seed) = (self.plan.clients, self.plan.seed);
        self.clients = (0..workers).map(|number| Client::worker(number, nodes, &*workload, seed)).collect();
        self.clients.push(Client::insistent(0));
        for client in 0..self.clients.len() {
            self.rest(client);
        }
    }

    /// Lets everything happen that is due before `end`, or until an invariant breaks.
    pub(crate) fn run_until(&mut self, end: u64) {
        while self.broken.is_none()
            && let Some(Reverse(next)) = self.due.peek()
            && next.at < end
        {
            let Reverse(due) = self.due.pop().expect("it was just there");
            self.now = due.at;
            self.happen(due.what);
        }
        self.now = self.now.max(end);
    }

    fn schedule(&mut self, at: u64, what: What) {
        self.sequence += 1;
        self.due.push(Reverse(Due { at, sequence: self.sequence, what }));
    }

    fn happen(&mut self, what: What) {
        self.events += 1;
        let node = match &what {
            What::Message(message) => Some(message.to.0 as usize - 1),
            What::Tick { node, .. }
            | What::Written { node, .. }
            | What::Saved { node, .. }
            | What::Request { node, .. } => Some(*node),
            What::Reply { .. } | What::Turn { .. } | What::Patience { .. } => None,
        };
        if let Some(node) = node.filter(|&node| self.nodes[node].paused_until.is_some()) {
            if self.held.len() < HELD_MAX {
                self.held.push((node, what));
            }
            return;
        }
        match what {
            What::Message(message) => self.receive(*message),
            What::Tick { node, life, at } => self.tick(node, life, at),
            What::Written { node, life } => self.written(node, life),
            What::Saved { node, life } => self.saved(node, life),
            What::Request { node, asker, request } => self.request(node, asker, *request),
            What::Reply { client, attempt, reply } => self.replied(client, attempt, &reply),
            What::Turn { client, attempt } => self.turn(client, attempt),
            What::Patience { client, attempt } => self.out_of_patience(client, attempt),
        }
    }

    // ---- nodes ----

    pub(crate) fn start(&mut self, node: usize) {
        let (now, traced) = (self.now, self.trace.is_wanted());
        if self.nodes[node].up.is_some() {
            return;
        }
        if let Err(error) = self.nodes[node].start(&self.plan, now, traced) {
            let sentence = format!("n{} cannot come up: {error}", node + 1);
            self.broken = self.broken.take().or(Some(Broken { number: 13, sentence }));
            return;
        }
        self.say(node, || "comes up".into());
        self.after(node);
    }

    pub(crate) fn crash(&mut self, node: usize, crash: Crash, fuse: u32) {
        if self.nodes[node].up.is_none() {
            return;
        }
        self.say(node, || format!("dies ({crash:?})"));
        let mut random = ChaCha8Rng::seed_from_u64(self.random.random());
        self.nodes[node].crash(crash, fuse, &mut random);
        // Those who wait for an answer find their connection closed, and know nothing.
        self.held.retain(|(held, _)| *held != node);
    }

    pub(crate) fn pause(&mut self, node: usize, until: u64) {
        self.say(node, || "stands still".into());
        self.nodes[node].paused_until = Some(until);
    }

    pub(crate) fn resume(&mut self, node: usize) {
        if self.nodes[node].paused_until.take().is_none() {
            return;
        }
        self.say(node, || "goes on".into());
        let (mine, others) = std::mem::take(&mut self.held).into_iter().partition(|(held, _)| *held == node);
        self.held = others;
        let mine: Vec<(usize, What)> = mine;
        // Its timers have run out meanwhile, and that is what it finds first.
        let (ticks, rest): (Vec<_>, Vec<_>) =
            mine.into_iter().map(|(_, what)| what).partition(|what| matches!(what, What::Tick { .. }));
        for what in ticks.into_iter().chain(rest) {
            let now = self.now;
            self.schedule(now, what);
        }
    }

    /// The node that leads, if any does; of several, the one with the latest term.
    pub(crate) fn leader(&self) -> Option<usize> {
        let standing = |node: usize| Some((node, self.nodes[node].replica()?.raft().standing()));
        let all = (0..self.nodes.len()).filter_map(standing);
        let leading = all.filter(|(_, standing)| standing.role == Role::Leader);
        leading.max_by_key(|(_, standing)| standing.term).map(|(node, _)| node)
    }

    /// The operator asks the leader for something.
    pub(crate) fn order(&mut self, request: Request) {
        if let Some(node) = self.leader() {
            self.say(node, || format!("is told by the operator: {request:?}"));
            let at = self.now + MS;
            let request = Box::new(request);
            self.schedule(at, What::Request { node, asker: Asker::Operator, request });
        }
    }

    /// A scenario asks a node for something; gives the number under which the answer will be.
    pub(crate) fn submit(&mut self, node: usize, request: Request) -> u64 {
        self.latest_submission += 1;
        let number = self.latest_submission;
        self.say(node, || format!("is asked for {}", crate::trace::request(&request)));
        self.request(node, Asker::Scene(number), request);
        number
    }

    fn receive(&mut self, message: Message) {
        let node = message.to.0 as usize - 1;
        let clock = self.nodes[node].clock.read(self.now);
        self.say(node, || format!("hears {}", crate::trace::message(&message)));
        if let Some(up) = &mut self.nodes[node].up {
            up.replica.receive(message, clock);
            self.after(node);
        }
    }

    fn tick(&mut self, node: usize, life: u64, at: u64) {
        let now = self.now;
        let clock = self.nodes[node].clock.read(now);
        if self.nodes[node].life != life {
            return;
        }
        let Some(up) = &mut self.nodes[node].up else {
            return;
        };
        // An earlier one was set meanwhile, and has come or will.
        if up.tick_at != at {
            return;
        }
        up.tick_at = u64::MAX;
        if up.replica.deadline() <= clock.now {
            up.replica.tick(clock);
        }
        self.after(node);
    }

    fn begin_write(&mut self, node: usize) {
        let (low, high) = self.plan.sync_us;
        let micros = self.random.random_range(low..=high) * self.nodes[node].disk_slowness;
        let (at, life) = (self.now + micros * 1000, self.nodes[node].life);
        let Some(up) = &mut self.nodes[node].up else {
            return;
        };
        if up.writing.is_empty() && !up.queue.is_empty() {
            up.writing = std::mem::take(&mut up.queue);
            self.schedule(at, What::Written { node, life });
        }
    }

    fn written(&mut self, node: usize, life: u64) {
        if self.nodes[node].life != life {
            return;
        }
        let clock = self.nodes[node].clock.read(self.now);
        let Some(up) = &mut self.nodes[node].up else {
            return;
        };
        match up.storage.write(&up.writing) {
            Ok(restored) => {
                let writes = std::mem::take(&mut up.writing);
                up.replica.written(&writes, restored, clock);
                writes.iter().for_each(|write| self.nodes[node].synced.written(write));
                self.forget(node);
                self.after(node);
            }
            Err(StorageError::Full { .. }) => {
                up.replica.disk_is_full();
                let at = self.now + 200 * MS;
                self.schedule(at, What::Written { node, life });
            }
            Err(error) => {
                let sentence = format!("n{} cannot write: {error}", node + 1);
                self.broken = Some(Broken { number: 13, sentence });
            }
        }
    }

    fn forget(&mut self, node: usize) {
        let Some(up) = &mut self.nodes[node].up else {
            return;
        };
        if let Some((last, in_use)) = up.forget.take()
            && let Err(error) = up.storage.saved(last, &in_use)
        {
            let sentence = format!("n{} cannot tidy up: {error}", node + 1);
            self.broken = Some(Broken { number: 13, sentence });
        }
    }

    fn saved(&mut self, node: usize, life: u64) {
        if self.nodes[node].life != life {
            return;
        }
        let clock = self.nodes[node].clock.read(self.now);
        let id = self.nodes[node].id;
        let Some(up) = &mut self.nodes[node].up else {
            return;
        };
        let Some(save) = up.saving.take() else {
            return;
        };
        let (snapshot, machine) = *save;
        match storage::save(up.storage.disk(), id, snapshot, &machine.image()) {
            Ok(snapshot) => {
                up.replica.saved(Ok(snapshot.clone()), clock);
                self.nodes[node].synced.saved(&snapshot);
            }
            Err(error) => up.replica.saved(Err(error.to_string()), clock),
        }
        self.after(node);
        // What it made needless goes between two writes.
        if self.nodes[node].up.as_ref().is_some_and(|up| up.writing.is_empty()) {
            self.forget(node);
        }
    }

    fn request(&mut self, node: usize, asker: Asker, request: Request) {
        let clock = self.nodes[node].clock.read(self.now);
        let Some(up) = &mut self.nodes[node].up else {
            // Nobody listens there: nothing has happened, and that is certain.
            let reply = Reply::Error("NOLEADER the connection was refused".into());
            match asker {
                Asker::Client { client, attempt } => self.reply(client, attempt, reply),
                Asker::Scene(number) => drop(self.answers.insert(number, reply)),
                Asker::Operator => {}
            }
            return;
        };
        up.latest_request += 1;
        let id = RequestId(up.latest_request);
        up.asked.insert(id, asker);
        up.replica.ask(vec![(id, request)], clock);
        self.after(node);
    }

    /// Carries out what a node wants done after an event, and holds the invariants against it.
    fn after(&mut self, node: usize) {
        let now = self.now;
        let Some(up) = &mut self.nodes[node].up else {
            return;
        };
        let mut messages = Vec::new();
        for effect in up.replica.effects() {
            match effect {
                Effect::Send(message) => messages.push(message),
                Effect::Write(write) => {
                    let known = self.invariants.handed_out(self.nodes[node].id, &write);
                    self.broken = self.broken.take().or(known.err());
                    if let Some(up) = &mut self.nodes[node].up {
                        up.queue.push(write);
                    }
                }
                Effect::Save(save) => {
                    let at = now + self.random.random_range(MS..40 * MS);
                    let life = self.nodes[node].life;
                    self.schedule(at, What::Saved { node, life });
                    if let Some(up) = &mut self.nodes[node].up {
                        up.saving = Some(save);
                    }
                }
                Effect::Forget(last, in_use) => {
                    if let Some(up) = &mut self.nodes[node].up {
                        up.forget = Some((last, in_use));
                    }
                }
                Effect::Answer(request, reply) => {
                    let asker = self.nodes[node].up.as_mut().and_then(|up| up.asked.remove(&request));
                    match asker {
                        Some(Asker::Client { client, attempt }) => self.reply(client, attempt, reply),
                        Some(Asker::Scene(number)) => {
                            self.say(node, || format!("answers {reply:?}"));
                            self.answers.insert(number, reply);
                        }
                        Some(Asker::Operator) => self.say(node, || format!("tells the operator: {reply:?}")),
                        None => {}
                    }
                }
                Effect::Configured(configuration) => {
                    self.say(node, || format!("goes by {}", crate::trace::configuration(&configuration)));
                }
                Effect::Note(deed) => self.say(node, || crate::trace::deed(&deed)),
            }
        }
        for message in messages {
            self.send(node, message);
        }
        self.begin_write(node);
        self.set_timer(node);
        let timeout = self.timeout_max;
        let held = self.invariants.after(node, &self.nodes, now, timeout);
        self.broken = self.broken.take().or(held.err());
    }

    fn send(&mut self, node: usize, mut message: Message) {
        let told = self.invariants.sent(&self.nodes[node], &message);
        self.broken = self.broken.take().or(told.err());
        if let Body::InstallSnapshot { snapshot, offset, data, .. } = &mut message.body {
            let disk = self.nodes[node].up.as_mut().expect("it has just spoken").storage.disk();
            match storage::read_chunk(disk, snapshot, *offset, LIMITS.chunk_bytes) {
                Ok(content) => *data = content,
                Err(error) => {
                    let sentence = format!("n{} cannot read its snapshot: {error}", node + 1);
                    self.broken = Some(Broken { number: 13, sentence });
                }
            }
        }
        let to = message.to.0 as usize - 1;
        self.messages += 1;
        self.message_bytes += size(&message);
        let arrivals = self.network.fate(node, to, self.now, &mut self.random);
        if arrivals.is_empty() {
            self.say(node, || format!("says in vain: {}", crate::trace::message(&message)));
        }
        let mut message = Some(Box::new(message));
        for (place, at) in arrivals.iter().enumerate() {
            let copy = match place + 1 == arrivals.len() {
                true => message.take(),
                false => message.clone(),
            };
            self.schedule(*at, What::Message(copy.expect("it is taken last")));
        }
    }

    fn set_timer(&mut self, node: usize) {
        let (clock, life) = (self.nodes[node].clock, self.nodes[node].life);
        let Some(up) = &mut self.nodes[node].up else {
            return;
        };
        let at = clock.when(up.replica.deadline()).max(self.now);
        if at < up.tick_at {
            up.tick_at = at;
            self.schedule(at, What::Tick { node, life, at });
        }
    }

    // ---- clients ----

    /// A client thinks before it goes on.
    fn rest(&mut self, client: usize) {
        let mean = match self.now < self.busy_until {
            true => BUSY_THINK,
            false => self.plan.think.as_nanos() as u64,
        };
        let at = self.now + self.random.random_range(mean / 4..mean * 7 / 4);
        let attempt = self.clients[client].attempt;
        self.schedule(at, What::Turn { client, attempt });
    }

    /// A fault strikes: who would think goes on at once. What goes wrong then is wrong for a moment only, and somebody
    /// has to look, best of all at who leads just now: it may do so no longer, and not know.
    pub(crate) fn wake_clients(&mut self, leader: Option<usize>) {
        self.busy_until = self.now + BUSY;
        let mut homes = self.clients.iter_mut().filter_map(Client::home_mut);
        if let Some((home, leader)) = homes.next().zip(leader) {
            *home = leader;
        }
        for client in 0..self.clients.len() {
            if self.clients[client].wish.is_none() {
                self.rest(client);
            }
        }
    }

    fn turn(&mut self, client: usize, attempt: u64) {
        if self.clients[client].attempt != attempt || self.is_closed {
            return;
        }
        if self.clients[client].wish.is_none() {
            let wish = self.clients[client].next();
            if let Some(ask) = &wish.ask {
                self.record(client, EventKind::Invoke, ask, ask.value.clone(), None);
                let at = self.now + PATIENCE;
                // An operation has one patience, however many tries it takes.
                self.schedule(at, What::Patience { client, attempt: attempt + 1 });
            }
        }
        self.attempt(client);
    }

    fn attempt(&mut self, client: usize) {
        let delay = self.random.random_range(50_000..400_000);
        let at = self.now + delay;
        let own = &mut self.clients[client];
        let Some(wish) = &own.wish else {
            return;
        };
        own.attempt += 1;
        let (node, request) = (own.node, Box::new(wish.request.clone()));
        let asker = Asker::Client { client, attempt: own.attempt };
        if matches!(own.kind, Kind::Insistent(_)) {
            let attempt = own.attempt;
            self.schedule(at + PATIENCE, What::Patience { client, attempt });
        }
        self.schedule(at, What::Request { node, asker, request });
    }

    fn reply(&mut self, client: usize, attempt: u64, reply: Reply) {
        let at = self.now + self.random.random_range(50_000..400_000);
        self.schedule(at, What::Reply { client, attempt, reply });
    }

    fn replied(&mut self, client: usize, attempt: u64, reply: &Reply) {
        if self.clients[client].attempt != attempt {
            return;
        }
        let Some(wish) = self.clients[client].wish.clone() else {
            return;
        };
        let nodes = self.nodes.len();
        match &wish.ask {
            Some(ask) => match client::interpret(ask, reply, nodes) {
                Reaction::Over(answer) => self.finish(client, ask, &answer),
                Reaction::Elsewhere(leader) => self.try_elsewhere(client, leader),
                Reaction::Unknown => {
                    self.finish(client, ask, &Answer::Info("leadership was lost".into()));
                }
            },
            None => self.insist(client, reply),
        }
    }

    /// The client with a session was answered.
    fn insist(&mut self, client: usize, reply: &Reply) {
        let Kind::Insistent(insistent) = &mut self.clients[client].kind else {
            return;
        };
        match (insistent.session, reply) {
            (None, Reply::Integer(session)) => insistent.session = Some(session.cast_unsigned()),
            (Some(session), Reply::Integer(length)) => {
                let serial = insistent.serial;
                if length.cast_unsigned() != serial {
                    let sentence =
                        format!("session {session} has appended {serial} values, and there are {length}");
                    self.broken = Some(Broken { number: 14, sentence });
                }
            }
            (Some(_), Reply::Error(text)) if text.starts_with("NOSESSION") => {
                // The log's time has gone by: a leader's clock has jumped.
                (insistent.session, insistent.serial) = (None, 0);
                insistent.list += 1;
            }
            (_, Reply::Error(text)) => {
                return match client::error(text, self.nodes.len()) {
                    Reaction::Elsewhere(leader) => self.try_elsewhere(client, leader),
                    // Once more: that is what the session is for. But a session that may or may not have been opened
                    // is of no use, and another is opened.
                    Reaction::Unknown | Reaction::Over(_) => self.try_elsewhere(client, None),
                };
            }
            (_, reply) => {
                let sentence = format!("a session was answered {reply:?}");
                self.broken = Some(Broken { number: 14, sentence });
            }
        }
        self.acknowledged += 1;
        self.clients[client].wish = None;
        self.rest(client);
    }

    fn try_elsewhere(&mut self, client: usize, leader: Option<usize>) {
        let nodes = self.nodes.len();
        let own = &mut self.clients[client];
        own.node = leader.unwrap_or((own.node + 1) % nodes);
        own.attempt += 1;
        let (at, attempt) = (self.now + RETRY, own.attempt);
        self.schedule(at, What::Turn { client, attempt });
    }

    fn out_of_patience(&mut self, client: usize, attempt: u64) {
        let own = &self.clients[client];
        let Some(wish) = own.wish.clone() else {
            return;
        };
        match &wish.ask {
            // The operation that this patience was for may be long over.
            Some(ask) if self.is_of(client, attempt) => {
                let answer = match ask.f {
                    // A read that nobody heard of changes nothing.
                    "read" => Answer::Fail("no answer in time".into()),
                    _ => Answer::Info("no answer in time".into()),
                };
                self.finish(client, ask, &answer);
            }
            None if own.attempt == attempt => self.try_elsewhere(client, None),
            Some(_) | None => {}
        }
    }

    /// Whether the operation under way is the one whose first try had this number.
    fn is_of(&self, client: usize, first: u64) -> bool {
        self.clients[client].first_attempt == first
    }

    fn finish(&mut self, client: usize, ask: &Ask, answer: &Answer) {
        let (kind, value, error) = match answer {
            Answer::Ok(value) => (EventKind::Ok, value.clone(), None),
            Answer::Fail(reason) => (EventKind::Fail, ask.value.clone(), Some(reason.clone())),
            Answer::Info(reason) => (EventKind::Info, ask.value.clone(), Some(reason.clone())),
        };
        self.acknowledged += u64::from(kind == EventKind::Ok);
        let is_info = kind == EventKind::Info;
        self.record(client, kind, ask, value, error);
        let workers = self.clients.len() as u64;
        let own = &mut self.clients[client];
        own.learn(ask, answer);
        own.wish = None;
        own.attempt += 1;
        if let Kind::Worker(worker) = &mut own.kind
            && is_info
        {
            worker.process += workers;
        }
        self.rest(client);
    }

    fn record(
        &mut self,
        client: usize,
        kind: EventKind,
        ask: &Ask,
        value: Value,
        error: Option<std::borrow::Cow<'static, str>>,
    ) {
        let Kind::Worker(worker) = &self.clients[client].kind else {
            return;
        };
        let process = worker.process;
        if self.trace.is_wanted() {
            let key = ask.key.clone().unwrap_or_default();
            let text = format!("{kind:?} {} {key} {value}", ask.f);
            self.trace.say(self.now, &format!("client {process}"), || text);
        }
        self.history.push(Event {
            index: self.history.len() as u64,
            time: self.now,
            process: Process::Client(process),
            kind,
            f: ask.f.into(),
            key: ask.key.clone().map(Value::String),
            value,
            node: None,
            error,
        });
    }

    /// How much was ever committed.
    pub(crate) fn committed(&self) -> u64 {
        self.invariants.committed()
    }

    fn say(&mut self, node: usize, what: impl FnOnce() -> String) {
        if self.trace.is_wanted() {
            let whom = format!("n{}", node + 1);
            self.trace.say(self.now, &whom, what);
        }
    }
}

/// Roughly what a message takes on the wire.
fn size(message: &Message) -> u64 {
    let body = match &message.body {
        Body::AppendEntries { entries, .. } => entries.iter().map(rafture_node::raft::Entry::size).sum(),
        Body::InstallSnapshot { data, .. } => data.len(),
        _ => 0,
    };
    48 + body as u64
}
