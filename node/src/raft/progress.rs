//! What a leader knows of one follower: how far it has come, and how much may be on its way to it.
//!
//! A follower is *probed* until it is known where the logs part, one message at a time; then entries are *replicated*
//! in a stream, as many messages and bytes ahead of its answers as the limits allow; and it is sent a *snapshot*
//! when what it lacks is no longer in the log.

use std::collections::VecDeque;

use super::Limits;
use super::types::{EntryId, Index, Snapshot, Time};

/// A leader's view of a follower (paper, Figure 2, "Volatile state on leaders").
#[derive(Debug, Clone)]
pub(super) struct Progress {
    /// Its log surely equals the leader's up to here.
    pub(super) matched: Index,
    /// The next entry to send it.
    pub(super) next: Index,
    /// The latest round that it has echoed.
    pub(super) round: u64,
    /// When it last answered.
    pub(super) contact: Time,
    /// It gets no entries.
    pub(super) is_held: bool,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    /// Where the logs part is not known: one message at a time, until one is accepted.
    Probe { waiting: bool },
    /// The logs match: entries are streamed, `next` runs ahead of the answers.
    Replicate(Window),
    /// What it lacks was compacted away.
    Snapshot { snapshot: Snapshot, offset: u64, waiting: bool },
}

/// Messages that were sent and not answered: the last index of each, and its bytes.
#[derive(Debug, Clone, Default)]
struct Window {
    messages: VecDeque<(Index, usize)>,
    bytes: usize,
}

/// What can be sent to a follower right away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sendable {
    /// Entries from `next` on.
    Entries,
    /// A piece of a snapshot, from this byte on.
    Chunk(Snapshot, u64),
    /// Nothing until it answers.
    Nothing,
}

impl Progress {
    pub(super) fn new(last: Index, now: Time) -> Progress {
        let state = State::Probe { waiting: false };
        Progress { matched: Index(0), next: last.next(), round: 0, contact: now, is_held: false, state }
    }

    pub(super) fn sendable(&self, limits: &Limits) -> Sendable {
        match &self.state {
            _ if self.is_held => Sendable::Nothing,
            State::Probe { waiting: false } => Sendable::Entries,
            State::Replicate(window) if window.has_room(limits) => Sendable::Entries,
            State::Snapshot { snapshot, offset, waiting: false } => {
                Sendable::Chunk(snapshot.clone(), *offset)
            }
            State::Probe { .. } | State::Replicate(_) | State::Snapshot { .. } => Sendable::Nothing,
        }
    }

    /// The name of the state, for people.
    pub(super) fn state_name(&self) -> &'static str {
        match self.state {
            _ if self.is_held => "held",
            State::Probe { .. } => "probe",
            State::Replicate(_) => "replicate",
            State::Snapshot { .. } => "snapshot",
        }
    }

    /// Messages and bytes on their way.
    pub(super) fn in_flight(&self) -> (usize, usize) {
        match &self.state {
            State::Replicate(window) => (window.messages.len(), window.bytes),
            State::Probe { waiting } | State::Snapshot { waiting, .. } => (usize::from(*waiting), 0),
        }
    }

    /// The snapshot that it is being sent.
    pub(super) fn snapshot(&self) -> Option<&Snapshot> {
        match &self.state {
            State::Snapshot { snapshot, .. } => Some(snapshot),
            State::Probe { .. } | State::Replicate(_) => None,
        }
    }

    /// A message with entries up to `last` was sent.
    pub(super) fn sent(&mut self, last: Index, bytes: usize) {
        match &mut self.state {
            State::Probe { waiting } => *waiting = true,
            State::Replicate(window) => {
                window.messages.push_back((last, bytes));
                window.bytes += bytes;
                self.next = last.next();
            }
            State::Snapshot { .. } => unreachable!("no entries are sent to a follower that lacks a snapshot"),
        }
    }

    /// A piece of its snapshot was sent.
    pub(super) fn sent_chunk(&mut self) {
        if let State::Snapshot { waiting, .. } = &mut self.state {
            *waiting = true;
        }
    }

    /// A heartbeat is due: a probe, a piece of a snapshot or its answer may have been lost, so another may go out.
    pub(super) fn heartbeat_is_due(&mut self) {
        match &mut self.state {
            State::Probe { waiting } | State::Snapshot { waiting, .. } => *waiting = false,
            State::Replicate(_) => {}
        }
    }

    /// It must be sent a snapshot from its start.
    pub(super) fn become_snapshot(&mut self, snapshot: Snapshot) {
        self.state = State::Snapshot { snapshot, offset: 0, waiting: false };
    }

    /// The follower's log matches up to `index`. `matched` never falls: an answer may be late. `base` is the entry before
    /// the first in the leader's log: a follower that has it needs no snapshot, whatever it was being sent.
    pub(super) fn accepted(&mut self, index: Index, base: Index) {
        self.matched = self.matched.max(index);
        self.next = self.next.max(self.matched.next());
        match &mut self.state {
            State::Probe { .. } => self.become_replicate(),
            State::Replicate(window) => window.answered(index),
            // What it was sent is in place. If the log has gone on without it meanwhile, the next one follows.
            State::Snapshot { snapshot, .. } if self.matched >= snapshot.last.index.min(base) => {
                self.become_replicate();
            }
            State::Snapshot { .. } => {}
        }
    }

    fn become_replicate(&mut self) {
        self.next = self.matched.next();
        self.state = State::Replicate(Window::default());
    }

    /// The follower refused a message that followed `previous`. Gives whether that tells anything new; if so,
    /// probing goes on behind `hint`.
    pub(super) fn maybe_rejected(&mut self, previous: Index, hint: Index) -> bool {
        let stale = match self.state {
            State::Probe { .. } => self.next.previous() != previous,
            State::Replicate(_) => previous <= self.matched,
            State::Snapshot { .. } => true,
        };
        if !stale {
            let before = hint.min(previous.previous()).max(self.matched);
            self.next = before.next();
            self.state = State::Probe { waiting: false };
        }
        !stale
    }

    /// The follower has the first `received` bytes of the snapshot `id`.
    pub(super) fn received(&mut self, id: EntryId, received: u64) {
        if let State::Snapshot { snapshot, offset, waiting } = &mut self.state
            && snapshot.last == id
            && received <= snapshot.size
        {
            // The whole is there and being put in place: the next heartbeat asks again, not sooner.
            *waiting = received == snapshot.size;
            *offset = received;
        }
    }
}

impl Window {
    fn has_room(&self, limits: &Limits) -> bool {
        let is_full = self.messages.len() >= limits.in_flight_messages_max
            || self.bytes >= limits.in_flight_bytes_max && !self.messages.is_empty();
        !is_full
    }

    fn answered(&mut self, index: Index) {
        while let Some(&(last, bytes)) = self.messages.front()
            && last <= index
        {
            self.messages.pop_front();
            self.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { in_flight_messages_max: 4, in_flight_bytes_max: 100, ..Limits::DEFAULT };

    fn has_room(progress: &Progress) -> bool {
        progress.sendable(&LIMITS) == Sendable::Entries
    }

    #[test]
    fn the_window_fills_and_empties_by_messages_and_by_bytes() {
        let mut progress = Progress::new(Index(0), Time(0));
        progress.accepted(Index(0), Index(0));
        for message in 1..=4 {
            assert!(has_room(&progress));
            progress.sent(Index(message), 1);
        }
        assert!(!has_room(&progress));
        progress.accepted(Index(3), Index(0));
        assert!(has_room(&progress));
        assert_eq!((progress.matched, progress.next), (Index(3), Index(5)));
        progress.sent(Index(5), 200);
        assert!(!has_room(&progress), "one message is enough when it is long");
        progress.accepted(Index(5), Index(0));
        assert_eq!((has_room(&progress), progress.in_flight()), (true, (0, 0)));
    }

    #[test]
    fn a_refusal_empties_the_window_and_goes_back_to_probing() {
        let mut progress = Progress::new(Index(9), Time(0));
        progress.accepted(Index(4), Index(0));
        progress.sent(Index(9), 1);
        assert!(progress.maybe_rejected(Index(9), Index(2)));
        assert_eq!(progress.next, Index(5), "never below what surely matches");
        assert!(has_room(&progress) && progress.state_name() == "probe");
    }

    #[test]
    fn late_answers_change_nothing() {
        let mut progress = Progress::new(Index(9), Time(0));
        progress.accepted(Index(7), Index(0));
        assert!(!progress.maybe_rejected(Index(6), Index(0)), "refused before it matched");
        progress.accepted(Index(5), Index(0));
        assert_eq!(progress.matched, Index(7));
    }

    #[test]
    fn a_snapshot_goes_piece_by_piece_and_takes_up_where_the_follower_is() {
        let id = EntryId { index: Index(50), ..EntryId::default() };
        let snapshot = Snapshot { last: id, chain: 0, configuration: Default::default(), size: 30 };
        let mut progress = Progress::new(Index(90), Time(0));
        progress.become_snapshot(snapshot.clone());
        assert_eq!(progress.sendable(&LIMITS), Sendable::Chunk(snapshot.clone(), 0));
        progress.sent_chunk();
        assert_eq!(progress.sendable(&LIMITS), Sendable::Nothing);
        assert!(!progress.maybe_rejected(Index(90), Index(0)), "a refused heartbeat says nothing new");
        progress.received(EntryId::default(), 20);
        assert_eq!(progress.sendable(&LIMITS), Sendable::Nothing, "an answer about another snapshot");
        progress.received(id, 10);
        assert_eq!(progress.sendable(&LIMITS), Sendable::Chunk(snapshot.clone(), 10));
        progress.received(id, 30);
        assert_eq!(progress.sendable(&LIMITS), Sendable::Nothing);
        progress.heartbeat_is_due();
        assert_eq!(progress.sendable(&LIMITS), Sendable::Chunk(snapshot, 30), "it may have been lost there");
        progress.accepted(Index(40), Index(45));
        assert_eq!((progress.next, progress.state_name()), (Index(91), "snapshot"));
        progress.accepted(Index(50), Index(45));
        assert_eq!((progress.next, progress.state_name()), (Index(51), "replicate"));
    }
}
