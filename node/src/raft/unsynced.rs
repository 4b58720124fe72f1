//! Writes on their way to the disk, and the messages that wait for them.
//!
//! "Before responding, persist" (paper, Figure 2) is kept here: a message that depends on what a node has
//! promised or stored is held until every write begun before it is synced.

use std::collections::VecDeque;

use super::WriteId;
use super::message::Message;
use super::types::{Index, Snapshot};

/// Writes that were handed out and not yet reported as synced, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Unsynced {
    writes: VecDeque<Unfinished>,
    latest: WriteId,
}

#[derive(Debug, Clone)]
struct Unfinished {
    id: WriteId,
    hard_state: bool,
    /// The log is durable up to here when this write is; lowered when the log is cut meanwhile.
    last: Option<Index>,
    /// It puts this snapshot in place.
    snapshot: Option<Snapshot>,
    then: Vec<Message>,
}

/// What is true once writes were synced.
#[derive(Debug, Clone, Default)]
pub(super) struct Synced {
    /// The log is durable up to here.
    pub(super) last: Option<Index>,
    /// This snapshot is in place.
    pub(super) snapshot: Option<Snapshot>,
    /// Messages that may go out.
    pub(super) messages: Vec<Message>,
}

impl Unsynced {
    pub(super) fn begin(
        &mut self,
        hard_state: bool,
        last: Option<Index>,
        snapshot: Option<Snapshot>,
    ) -> WriteId {
        self.latest = WriteId(self.latest.0 + 1);
        let then = Vec::new();
        self.writes.push_back(Unfinished { id: self.latest, hard_state, last, snapshot, then });
        self.latest
    }

    /// Holds `message` until everything begun so far is synced; gives it back if there is nothing to wait for.
    pub(super) fn hold(&mut self, message: Message) -> Option<Message> {
        match self.writes.back_mut() {
            Some(write) => {
                write.then.push(message);
                None
            }
            None => Some(message),
        }
    }

    /// Whether a promise (term or vote) is still on its way to the disk.
    pub(super) fn has_hard_state(&self) -> bool {
        self.writes.iter().any(|write| write.hard_state)
    }

    /// Whether a snapshot is on its way to its place.
    pub(super) fn has_snapshot(&self) -> bool {
        self.writes.iter().any(|write| write.snapshot.is_some())
    }

    /// The log was cut at `index`: what was written from there on will never count as durable.
    pub(super) fn cut(&mut self, index: Index) {
        for last in self.writes.iter_mut().filter_map(|write| write.last.as_mut()) {
            *last = (*last).min(index.previous());
        }
    }

    /// Write `id` and all before it are synced.
    pub(super) fn finish(&mut self, id: WriteId) -> Synced {
        assert!(id <= self.latest, "write {id:?} was never begun");
        let mut synced = Synced::default();
        while self.writes.front().is_some_and(|write| write.id <= id) {
            let write = self.writes.pop_front().expect("there is a front");
            synced.last = synced.last.max(write.last);
            synced.snapshot = write.snapshot.or(synced.snapshot);
            synced.messages.extend(write.then);
        }
        synced
    }
}
