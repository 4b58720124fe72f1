//! A few members in one thread: the core with a network and disks that do just what a test tells them.
//!
//! Nothing here knows Raft; it only carries what the cores put out. A crash loses what was not synced.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use rafture_node::raft::{
    Body, Chunk, Config, Configuration, Entry, EntryId, HardState, Index, Input, Limits, LogStart, Message,
    NodeId, Output, Payload, Raft, Recovered, RequestId, Role, Snapshot, Term, Time, Write,
};
use rafture_node::rules::Rules;

/// Everything there is.
pub(crate) struct World {
    pub(crate) members: Vec<NodeId>,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    /// Messages on their way.
    pub(crate) network: VecDeque<Message>,
    pub(crate) cut: BTreeSet<(NodeId, NodeId)>,
    pub(crate) now: Time,
    pub(crate) log: String,
    seed: u64,
    rules: Rules,
    voters: Vec<NodeId>,
    latest_request: u64,
}

/// One member with its disk.
pub(crate) struct Node {
    /// `None` while it is down.
    pub(crate) raft: Option<Raft>,
    /// What is synced.
    pub(crate) disk: Recovered,
    /// Handed to the disk and not synced.
    pub(crate) writes: VecDeque<Write>,
    pub(crate) disk_works: bool,
    /// What it applied in this life, or was told by a snapshot that it had.
    pub(crate) applied: BTreeMap<Index, Entry>,
    pub(crate) applied_to: Index,
}

/// Snapshots of these tests have no content, but a size, and go in pieces of so much.
const SNAPSHOT_BYTES: u64 = 5;
const CHUNK_BYTES: u64 = 2;

impl World {
    pub(crate) fn new(count: u32, seed: u64, rules: Rules) -> World {
        let members: Vec<NodeId> = (1..=count).map(NodeId).collect();
        let mut world = World {
            members: members.clone(),
            nodes: BTreeMap::new(),
            network: VecDeque::new(),
            cut: BTreeSet::new(),
            now: Time(1),
            log: String::new(),
            seed,
            rules,
            voters: members.clone(),
            latest_request: 0,
        };
        members.into_iter().for_each(|id| world.add(id));
        world
    }

    /// A new node comes up. One that was not there from the start waits to become a member.
    pub(crate) fn add(&mut self, id: NodeId) {
        let node = Node {
            raft: None,
            disk: Recovered::default(),
            writes: VecDeque::new(),
            disk_works: true,
            applied: BTreeMap::new(),
            applied_to: Index(0),
        };
        self.nodes.insert(id, node);
        if !self.members.contains(&id) {
            self.members.push(id);
        }
        self.start(id);
    }

    pub(crate) fn start(&mut self, id: NodeId) {
        self.seed += 1;
        let addresses = self.voters.iter().map(|&voter| (voter, String::new())).collect();
        let configuration = match self.voters.contains(&id) {
            true => Configuration::of(addresses),
            false => Configuration::default(),
        };
        let config = Config {
            id,
            configuration,
            election_timeout: (Duration::from_millis(150), Duration::from_millis(300)),
            heartbeat: Duration::from_millis(50),
            pre_vote: true,
            limits: Limits { message_bytes_max: 1, keep_bytes: 0, ..Limits::DEFAULT },
            lease_drift: None,
            seed: self.seed,
            life: self.seed,
            rules: self.rules,
        };
        let node = self.nodes.get_mut(&id).expect("a member");
        node.applied.clear();
        node.applied_to = node.disk.snapshot.as_ref().map_or(Index(0), |snapshot| snapshot.last.index);
        node.raft = Some(Raft::new(config, node.disk.clone(), self.now));
    }

    /// Comes up in `term` with a log whose entries are of these terms.
    #[allow(dead_code, reason = "only scripts begin with logs that parted long ago")]
    pub(crate) fn start_with(&mut self, id: NodeId, term: Term, terms: impl Iterator<Item = Term>) {
        let disk = &mut self.nodes.get_mut(&id).expect("a member").disk;
        disk.hard_state = HardState { term, vote: None };
        let (mut chain, base) = (disk.log.chain, disk.log.base.index.0);
        disk.log.entries = terms
            .zip(base + 1..)
            .map(|(term, index)| {
                let entry =
                    Entry::new(EntryId { term, index: Index(index) }, Payload::Command("x".into()), chain);
                chain = entry.chain;
                entry
            })
            .collect();
        self.start(id);
    }

    pub(crate) fn crash(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).expect("a member");
        node.raft = None;
        node.writes.clear();
    }

    pub(crate) fn raft(&self, id: NodeId) -> Option<&Raft> {
        self.nodes[&id].raft.as_ref()
    }

    pub(crate) fn step(&mut self, id: NodeId, input: Input) {
        let now = self.now;
        let node = self.nodes.get_mut(&id).expect("a member");
        let Some(raft) = &mut node.raft else {
            return;
        };
        for output in raft.step(input, now) {
            match output {
                Output::Send(mut message) => {
                    if let Body::InstallSnapshot { snapshot, offset, data, .. } = &mut message.body {
                        *data = vec![0; CHUNK_BYTES.min(snapshot.size - *offset) as usize].into();
                    }
                    self.network.push_back(message);
                }
                Output::Write(write) => node.writes.push_back(write),
                Output::Commit(entries) => {
                    let indices: Vec<String> = entries.iter().map(|entry| entry.id.to_string()).collect();
                    let _ = writeln!(self.log, "{id} commits {}", indices.join(" "));
                    for entry in entries {
                        assert_eq!(entry.id.index, node.applied_to.next(), "{id} applies out of order");
                        node.applied_to = entry.id.index;
                        node.applied.insert(entry.id.index, entry);
                    }
                }
                Output::Restore(snapshot) => {
                    let _ = writeln!(self.log, "{id} takes over a snapshot at {}", snapshot.last);
                    node.applied_to = snapshot.last.index;
                }
                Output::Configured(configuration) => {
                    let names = |nodes: &BTreeSet<NodeId>| {
                        nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
                    };
                    let mut text = names(&configuration.voters);
                    if configuration.is_joint() {
                        text = format!("{text} and {}", names(&configuration.outgoing));
                    }
                    if !configuration.learners.is_empty() {
                        text = format!("{text}, learning {}", names(&configuration.learners));
                    }
                    let _ = writeln!(self.log, "{id} goes by voters {text}");
                }
                Output::Became(standing) => {
                    let leader = standing.leader.map(|leader| format!(" of {leader}")).unwrap_or_default();
                    let leader = if standing.role == Role::Leader { String::new() } else { leader };
                    let _ =
                        writeln!(self.log, "{id} is {:?}{leader} in term {}", standing.role, standing.term);
                }
                Output::Proposed(request, at) => {
                    let _ = writeln!(self.log, "{id} puts request {} at {at}", request.0);
                }
                Output::ReadReady(request, index) => {
                    assert!(index <= node.applied_to, "a read before its entries");
                    let _ = writeln!(self.log, "{id} answers read {} at {index}", request.0);
                }
                Output::Done(request) => {
                    let _ = writeln!(self.log, "{id} has done request {}", request.0);
                }
                Output::Refused(request, why) => {
                    let _ = writeln!(self.log, "{id} refuses request {}: {why:?}", request.0);
                }
            }
        }
    }

    pub(crate) fn propose(&mut self, id: NodeId, command: &str) -> RequestId {
        let request = self.request();
        self.step(id, Input::Propose(vec![(request, Bytes::from(command.to_owned()))]));
        request
    }

    pub(crate) fn read(&mut self, id: NodeId) -> RequestId {
        let request = self.request();
        self.step(id, Input::Read(vec![request]));
        request
    }

    /// Asks something else of `id`.
    pub(crate) fn ask(&mut self, id: NodeId, input: impl FnOnce(RequestId) -> Input) -> RequestId {
        let request = self.request();
        self.step(id, input(request));
        request
    }

    /// The state machine of `id` is saved.
    pub(crate) fn compact(&mut self, id: NodeId) {
        let Some(raft) = self.raft(id) else {
            return;
        };
        let snapshot = Snapshot { size: SNAPSHOT_BYTES, ..raft.snapshot_at_commit() };
        let disk = &mut self.nodes.get_mut(&id).expect("a member").disk;
        if disk.snapshot.as_ref().is_none_or(|known| known.last.index < snapshot.last.index)
            && snapshot.last.index > Index(0)
        {
            // A disk that is behind has the rest of the log when the snapshot's place is reached.
            let covered = (snapshot.last.index.0 - disk.log.base.index.0) as usize;
            let kept = disk.log.entries.split_off(covered.min(disk.log.entries.len()));
            disk.log = LogStart { base: snapshot.last, chain: snapshot.chain, entries: kept };
            disk.snapshot = Some(snapshot.clone());
            self.step(id, Input::Compact(snapshot));
        }
    }

    fn request(&mut self) -> RequestId {
        self.latest_request += 1;
        RequestId(self.latest_request)
    }

    /// Lets time pass until `id` has something to do.
    pub(crate) fn timeout(&mut self, id: NodeId) {
        if let Some(raft) = self.raft(id) {
            self.now = self.now.max(raft.deadline());
            self.step(id, Input::Tick);
        }
    }

    /// Syncs the oldest write of `id`.
    pub(crate) fn sync(&mut self, id: NodeId) -> bool {
        let node = self.nodes.get_mut(&id).expect("a member");
        let Some(write) = node.disk_works.then(|| node.writes.pop_front()).flatten() else {
            return false;
        };
        node.disk.hard_state = write.hard_state.unwrap_or(node.disk.hard_state);
        let log = &mut node.disk.log;
        let base = log.base.index;
        if let Some(first) = write.entries.iter().find(|entry| entry.id.index > base) {
            let place = (first.id.index.0 - base.0 - 1) as usize;
            assert!(place <= log.entries.len(), "a gap on the disk of {id}");
            log.entries.truncate(place);
            log.entries.extend(write.entries.iter().filter(|entry| entry.id.index > base).cloned());
        }
        if let Some(Chunk { snapshot, .. }) = write.chunk.filter(Chunk::is_last) {
            *log = LogStart { base: snapshot.last, chain: snapshot.chain, entries: Vec::new() };
            node.disk.snapshot = Some(snapshot);
        }
        self.step(id, Input::Written(write.id));
        true
    }

    /// Delivers the message at `place` of the network, unless its link is cut.
    pub(crate) fn deliver(&mut self, place: usize) {
        let message = self.network.remove(place).expect("a message");
        if !self.cut.contains(&(message.from, message.to)) {
            self.step(message.to, Input::Receive(message));
        }
    }

    /// Delivers what `arrives` and syncs until nothing is left to do.
    pub(crate) fn settle(&mut self, arrives: impl Fn(&Message) -> bool) {
        for _ in 0..100_000 {
            let synced = self.members.clone().into_iter().any(|id| self.sync(id));
            if !synced && self.network.is_empty() {
                return;
            }
            match self.network.front().map(&arrives) {
                Some(true) => self.deliver(0),
                Some(false) => drop(self.network.pop_front()),
                None => {}
            }
        }
        panic!("the members never come to rest:\n{}", self.log);
    }
}
