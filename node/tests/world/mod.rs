//! A few members in one thread: the core with a network and disks that do just what a test tells them.
//!
//! Nothing here knows Raft; it only carries what the cores put out. A crash loses what was not synced.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use rafture_node::raft::{
    Config, Entry, HardState, Index, Input, Message, NodeId, Output, Raft, RequestId, Role, Time, Write,
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
    latest_request: u64,
}

/// One member with its disk.
pub(crate) struct Node {
    /// `None` while it is down.
    pub(crate) raft: Option<Raft>,
    /// What is synced.
    pub(crate) hard_state: HardState,
    pub(crate) entries: Vec<Entry>,
    /// Handed to the disk and not synced.
    pub(crate) writes: VecDeque<Write>,
    pub(crate) disk_works: bool,
    /// What it applied in this life.
    pub(crate) applied: Vec<Entry>,
    pub(crate) answers: Vec<String>,
}

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
            latest_request: 0,
        };
        for id in members {
            let node = Node {
                raft: None,
                hard_state: HardState::default(),
                entries: Vec::new(),
                writes: VecDeque::new(),
                disk_works: true,
                applied: Vec::new(),
                answers: Vec::new(),
            };
            world.nodes.insert(id, node);
            world.start(id);
        }
        world
    }

    pub(crate) fn start(&mut self, id: NodeId) {
        self.seed += 1;
        let config = Config {
            id,
            members: self.members.clone(),
            election_timeout: (Duration::from_millis(150), Duration::from_millis(300)),
            heartbeat: Duration::from_millis(50),
            message_bytes_max: 1,
            seed: self.seed,
            rules: self.rules,
        };
        let node = self.nodes.get_mut(&id).expect("a member");
        node.applied.clear();
        node.raft = Some(Raft::new(config, node.hard_state, node.entries.clone(), self.now));
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
                Output::Send(message) => self.network.push_back(message),
                Output::Write(write) => node.writes.push_back(write),
                Output::Commit(entries) => {
                    let indices: Vec<String> = entries.iter().map(|entry| entry.id.to_string()).collect();
                    let _ = writeln!(self.log, "{id} commits {}", indices.join(" "));
                    node.applied.extend(entries);
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
                    assert!(index.0 <= node.applied.len() as u64, "a read before its entries");
                    let _ = writeln!(self.log, "{id} answers read {} at {index}", request.0);
                    node.answers.push(format!("read {} at {index}", request.0));
                }
                Output::NotLeader(request) => {
                    let _ = writeln!(self.log, "{id} refuses request {}", request.0);
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
        node.hard_state = write.hard_state.unwrap_or(node.hard_state);
        if let Some(first) = write.entries.first() {
            let Index(first) = first.id.index;
            node.entries.truncate(first as usize - 1);
            assert_eq!(node.entries.len() as u64, first - 1, "a gap on the disk of {id}");
            node.entries.extend(write.entries);
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
