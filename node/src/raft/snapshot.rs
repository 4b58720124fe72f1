//! What replaces the start of a log: snapshots that this node made, and those it is sent (paper, section 7).
//!
//! The core knows what a snapshot stands for; its content is the driver's. Pieces go out empty and are filled in on
//! their way, and what comes in is handed on to the disk piece by piece.

use bytes::Bytes;

use super::message::Body;
use super::types::{EntryId, Index, NodeId, Snapshot};
use super::{Chunk, Output, Raft, State};

/// The snapshots that a node knows of.
#[derive(Debug, Clone)]
pub(super) struct Snapshots {
    latest: Option<Snapshot>,
    /// The one that is coming in, and how much of it was handed to the disk.
    receiving: Option<(Snapshot, u64)>,
}

impl Snapshots {
    pub(super) fn new(latest: Option<Snapshot>) -> Snapshots {
        Snapshots { latest, receiving: None }
    }

    pub(super) fn latest(&self) -> Option<&Snapshot> {
        self.latest.as_ref()
    }
}

impl Raft {
    /// The driver's own snapshot is on disk.
    pub(super) fn compact(&mut self, snapshot: Snapshot) {
        assert!(snapshot.last.index <= self.commit, "a snapshot of what is not committed");
        let is_newer = |known: &Snapshot| snapshot.last.index > known.last.index;
        if self.snapshots.latest.as_ref().is_none_or(is_newer) {
            self.log.compact(snapshot.last.index, self.config.limits.keep_bytes);
            self.snapshots.latest = Some(snapshot);
        }
    }

    pub(super) fn send_chunk(&mut self, peer: NodeId, snapshot: Snapshot, offset: u64) {
        let State::Leader(leader) = &mut self.state else {
            return;
        };
        let Some(follower) = leader.followers.get_mut(&peer) else {
            return;
        };
        follower.sent_chunk();
        let round = leader.reads.round();
        self.send(peer, Body::InstallSnapshot { snapshot, offset, data: Bytes::new(), round });
    }

    /// The follower's side (paper, Figure 13, "InstallSnapshot RPC").
    pub(super) fn install_snapshot(
        &mut self,
        from: NodeId,
        snapshot: Snapshot,
        offset: u64,
        data: Bytes,
        round: u64,
    ) {
        self.heard_leader(from);
        let last = snapshot.last;
        if last.index <= self.commit || self.log.holds(last) {
            // The log has all of it: what a snapshot covers is committed. (Rule 6 of Figure 13.)
            self.commit_to(last.index);
            let body = Body::InstallSnapshotReply { last, received: snapshot.size, installed: true, round };
            return self.send_after_sync(from, body);
        }
        let size = snapshot.size;
        let received = self.take_chunk(snapshot, offset, data);
        // The answer waits for the disk, and once that has the last piece, the snapshot is in place.
        let installed = received == size;
        self.send_after_sync(from, Body::InstallSnapshotReply { last, received, installed, round });
    }

    /// Takes a piece if it is the next one; gives how much of the snapshot is there.
    fn take_chunk(&mut self, snapshot: Snapshot, offset: u64, data: Bytes) -> u64 {
        if self.unsynced.has_snapshot() {
            // One is being put in place, and nothing else may happen to the log meanwhile.
            let (current, received) = self.snapshots.receiving.as_ref().expect("it is being received");
            return if current.last == snapshot.last { *received } else { 0 };
        }
        // A stray piece of another snapshot must not end what is going on; only a start begins something.
        let is_known = self.snapshots.receiving.as_ref().is_some_and(|(current, _)| *current == snapshot);
        if !is_known && offset == 0 {
            self.snapshots.receiving = Some((snapshot.clone(), 0));
        } else if !is_known {
            return 0;
        }
        let (_, received) = self.snapshots.receiving.as_mut().expect("it is known or was begun");
        let fits = offset == *received && *received + data.len() as u64 <= snapshot.size;
        if fits && !data.is_empty() {
            *received += data.len() as u64;
            self.gathered.chunk = Some(Chunk { snapshot, offset, data });
        }
        *received
    }

    /// A snapshot that came in is in place on disk: the log goes on behind it, and so does the state machine.
    pub(super) fn installed(&mut self, snapshot: Snapshot) {
        self.snapshots.receiving = None;
        assert!(
            snapshot.last.index > self.commit,
            "{} was committed while a snapshot of {} was put in place",
            self.commit,
            snapshot.last.index
        );
        self.log.reset(&snapshot);
        self.commit = snapshot.last.index;
        self.snapshots.latest = Some(snapshot.clone());
        self.configuration_changed();
        self.gathered.outputs.push(Output::Restore(snapshot));
        self.release_asked();
    }

    /// The leader's side of an answer.
    pub(super) fn install_answered(
        &mut self,
        from: NodeId,
        last: EntryId,
        received: u64,
        installed: bool,
        round: u64,
    ) {
        let (latest, base) = (self.snapshots.latest.clone(), self.log.base().index);
        let Some(follower) = self.answered(from, round) else {
            return;
        };
        match installed {
            true => follower.accepted(last.index, base),
            false => follower.received(last, received),
        }
        // A newer snapshot spares the follower what it would have to be sent behind the old one; but what has been
        // sent for the most part is ended first.
        if let (Some(current), Some(latest)) = (follower.snapshot(), latest)
            && received == 0
            && current.last.index < latest.last.index
        {
            follower.become_snapshot(latest);
        }
        self.after_answer(from);
    }

    /// How far the log reaches back, for those who keep it on disk.
    pub fn first(&self) -> Index {
        self.log.base().index.next()
    }
}
