//! One node: its member, its storage and clock, and how it dies and comes back.

use std::collections::{BTreeMap, BTreeSet};

use rafture_node::machine::Machine;
use rafture_node::raft::{
    Config, Configuration, EntryId, Index, Limits, NodeId, RequestId, Snapshot, Term, Write,
};
use rafture_node::replica::{Replica, ReplicaOptions};
use rafture_node::storage::{Opened, Storage, StorageError, StorageOptions};
use rand_chacha::ChaCha8Rng;

use crate::clock::NodeClock;
use crate::disk::{Crash, SimDisk};
use crate::plan::Plan;

/// Small, so that logs have several and lose some.
const SEGMENT_BYTES: u64 = 8 << 10;

/// Small, so that every limit is met.
pub(crate) const LIMITS: Limits = Limits {
    message_bytes_max: 1 << 10,
    in_flight_messages_max: 8,
    in_flight_bytes_max: 4 << 10,
    uncommitted_bytes_max: 32 << 10,
    chunk_bytes: 1 << 10,
    keep_bytes: 2 << 10,
};

/// A node and what belongs to it.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) up: Option<Up>,
    /// While it is down.
    disk: Option<SimDisk>,
    /// Each life has a greater number: what was begun in one does not end in another.
    pub(crate) life: u64,
    pub(crate) clock: NodeClock,
    pub(crate) paused_until: Option<u64>,
    /// Syncs take so many times as long.
    pub(crate) disk_slowness: u64,
    /// Faults that keep it down, and those that keep its disk full.
    pub(crate) downed_by: BTreeSet<u64>,
    pub(crate) filled_by: BTreeSet<u64>,
    /// What is surely on its disk.
    pub(crate) synced: Synced,
}

/// A node that runs.
pub(crate) struct Up {
    pub(crate) replica: Replica,
    pub(crate) storage: Storage<SimDisk>,
    /// Handed to the disk and not begun.
    pub(crate) queue: Vec<Write>,
    /// Being written.
    pub(crate) writing: Vec<Write>,
    pub(crate) saving: Option<Box<(Snapshot, Machine)>>,
    pub(crate) forget: Option<(EntryId, BTreeSet<EntryId>)>,
    /// Who asked what, by the number of the request: a client's try.
    pub(crate) asked: BTreeMap<RequestId, Asker>,
    pub(crate) latest_request: u64,
    /// The earliest tick that is under way.
    pub(crate) tick_at: u64,
}

/// Who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    Client {
        client: usize,
        attempt: u64,
    },
    /// A scenario, which looks for the answer under this number.
    Scene(u64),
    /// The operator, who does not listen.
    Operator,
}

/// The log as it is surely on disk: term and chain of each entry.
#[derive(Debug, Clone, Default)]
pub(crate) struct Synced {
    pub(crate) term: Term,
    pub(crate) vote: Option<NodeId>,
    base: Index,
    base_chain: (Term, u32),
    entries: Vec<(Term, u32)>,
}

impl Synced {
    fn of(opened: &Opened) -> Synced {
        let (hard_state, log) = (opened.recovered.hard_state, &opened.recovered.log);
        Synced {
            term: hard_state.term,
            vote: hard_state.vote,
            base: log.base.index,
            base_chain: (log.base.term, log.chain),
            entries: log.entries.iter().map(|entry| (entry.id.term, entry.chain)).collect(),
        }
    }

    pub(crate) fn written(&mut self, write: &Write) {
        if let Some(hard_state) = write.hard_state {
            (self.term, self.vote) = (hard_state.term, hard_state.vote);
        }
        // A snapshot may cover entries that were still on their way to the disk.
        let beyond = write.entries.iter().filter(|entry| entry.id.index > self.base);
        if let Some(first) = beyond.clone().next() {
            self.entries.truncate((first.id.index.0 - self.base.0 - 1) as usize);
            self.entries.extend(beyond.map(|entry| (entry.id.term, entry.chain)));
        }
        if let Some(chunk) = write.chunk.as_ref().filter(|chunk| chunk.is_last()) {
            let Snapshot { last, chain, .. } = chunk.snapshot;
            (self.base, self.base_chain, self.entries) = (last.index, (last.term, chain), Vec::new());
        }
    }

    /// A snapshot up to there is on disk, whatever the log has.
    pub(crate) fn saved(&mut self, snapshot: &Snapshot) {
        if self.last() < snapshot.last.index {
            self.base = snapshot.last.index;
            self.base_chain = (snapshot.last.term, snapshot.chain);
            self.entries.clear();
        }
    }

    pub(crate) fn last(&self) -> Index {
        Index(self.base.0 + self.entries.len() as u64)
    }

    /// Whether the entry at `index` is this one, or is covered by a snapshot.
    pub(crate) fn holds(&self, index: Index, entry: (Term, u32)) -> bool {
        match index.0.checked_sub(self.base.0 + 1) {
            Some(place) => self.entries.get(place as usize) == Some(&entry),
            None => index < self.base || self.base_chain == entry,
        }
    }
}

impl Node {
    pub(crate) fn new(id: NodeId, clock: NodeClock) -> Node {
        Node {
            id,
            up: None,
            disk: Some(SimDisk::default()),
            life: 0,
            clock,
            paused_until: None,
            disk_slowness: 1,
            downed_by: BTreeSet::new(),
            filled_by: BTreeSet::new(),
            synced: Synced::default(),
        }
    }

    /// Comes up with what its disk holds.
    ///
    /// # Errors
    /// When the disk cannot be used: nothing that befalls it may lead there.
    pub(crate) fn start(&mut self, plan: &Plan, now: u64, traced: bool) -> Result<(), StorageError> {
        let Some(mut disk) = self.disk.take() else {
            return Ok(());
        };
        self.life += 1;
        disk.is_full = false;
        let rules = plan.options.rules;
        let options = StorageOptions { node: self.id, segment_bytes: SEGMENT_BYTES, rules };
        let (mut storage, opened) = Storage::open(disk, options)?;
        storage.disk().is_full = !self.filled_by.is_empty();
        self.synced = Synced::of(&opened);
        let founders = 1..=plan.options.nodes as u32;
        let configuration = match founders.contains(&self.id.0) {
            true => Configuration::of(founders.map(|id| (NodeId(id), address(NodeId(id)))).collect()),
            false => Configuration::default(),
        };
        let seed =
            plan.seed.wrapping_mul(1 << 20).wrapping_add(self.life << 8).wrapping_add(self.id.0.into());
        let config = Config {
            id: self.id,
            configuration,
            election_timeout: plan.options.election_timeout,
            heartbeat: plan.options.heartbeat,
            pre_vote: true,
            limits: LIMITS,
            lease_drift: plan.lease_drift,
            seed,
            life: self.life,
            rules,
        };
        let options =
            ReplicaOptions { snapshot_bytes: plan.snapshot_bytes, addresses: BTreeMap::new(), traced };
        self.up = Some(Up {
            replica: Replica::new(config, opened, options, self.clock.read(now)),
            storage,
            queue: Vec::new(),
            writing: Vec::new(),
            saving: None,
            forget: None,
            asked: BTreeMap::new(),
            latest_request: 0,
            tick_at: u64::MAX,
        });
        Ok(())
    }

    /// Dies, between any two operations of what its disk was doing.
    pub(crate) fn crash(&mut self, crash: Crash, fuse: u32, random: &mut ChaCha8Rng) {
        let Some(mut up) = self.up.take() else {
            return;
        };
        up.storage.disk().fuse = Some(fuse);
        // Whether it got to its end or not, nobody was told.
        let _ = up.storage.write(&up.writing);
        if let Some(save) = up.saving.take() {
            let (snapshot, machine) = *save;
            let _ = rafture_node::storage::save(up.storage.disk(), self.id, snapshot, &machine.image());
        }
        let mut disk = up.storage.into_disk();
        disk.crash(crash, random);
        self.disk = Some(disk);
        self.paused_until = None;
    }

    /// The core, while it runs.
    pub(crate) fn replica(&self) -> Option<&Replica> {
        self.up.as_ref().map(|up| &up.replica)
    }
}

/// How a node is reached: the simulation goes by names.
pub(crate) fn address(id: NodeId) -> String {
    format!("{id}:1/{id}:2")
}
