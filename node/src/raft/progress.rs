//! What a leader knows of one follower: how far it has come, and how much may be on its way to it.

use std::collections::VecDeque;

use super::types::{Index, Time};

/// Messages with entries that may be on their way to one follower at a time.
const IN_FLIGHT_MAX: usize = 64;

/// A leader's view of a follower (paper, Figure 2, "Volatile state on leaders").
#[derive(Debug)]
pub(super) struct Progress {
    /// Its log surely equals the leader's up to here.
    pub(super) matched: Index,
    /// The next entry to send it.
    pub(super) next: Index,
    /// The latest round that it has echoed.
    pub(super) round: u64,
    /// When it last answered.
    pub(super) contact: Time,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Where the logs part is not known: one message at a time, until one is accepted.
    Probe { waiting: bool },
    /// The logs match: entries are streamed, `next` runs ahead of the answers. Holds the last index of each
    /// message that was not yet answered.
    Replicate { in_flight: VecDeque<Index> },
}

impl Progress {
    pub(super) fn new(last: Index, now: Time) -> Progress {
        let state = State::Probe { waiting: false };
        Progress { matched: Index(0), next: last.next(), round: 0, contact: now, state }
    }

    /// Whether entries may be sent.
    pub(super) fn has_room(&self) -> bool {
        match &self.state {
            State::Probe { waiting } => !waiting,
            State::Replicate { in_flight } => in_flight.len() < IN_FLIGHT_MAX,
        }
    }

    /// Whether more than one message may be on its way.
    pub(super) fn is_streaming(&self) -> bool {
        matches!(self.state, State::Replicate { .. })
    }

    /// A message with entries up to `last` was sent.
    pub(super) fn sent(&mut self, last: Index) {
        match &mut self.state {
            State::Probe { waiting } => *waiting = true,
            State::Replicate { in_flight } => {
                in_flight.push_back(last);
                self.next = last.next();
            }
        }
    }

    /// A heartbeat is due: a probe or its answer may have been lost, so another may go out.
    pub(super) fn heartbeat_is_due(&mut self) {
        if let State::Probe { waiting } = &mut self.state {
            *waiting = false;
        }
    }

    /// The follower's log matches up to `index`. `matched` never falls: an answer may be late.
    pub(super) fn accepted(&mut self, index: Index) {
        self.matched = self.matched.max(index);
        self.next = self.next.max(self.matched.next());
        match &mut self.state {
            State::Probe { .. } => {
                self.next = self.matched.next();
                self.state = State::Replicate { in_flight: VecDeque::new() };
            }
            State::Replicate { in_flight } => {
                while in_flight.front().is_some_and(|&last| last <= index) {
                    in_flight.pop_front();
                }
            }
        }
    }

    /// The follower refused a message that followed `previous`. Gives whether that tells anything new; if so,
    /// probing goes on behind `hint`.
    pub(super) fn maybe_rejected(&mut self, previous: Index, hint: Index) -> bool {
        let stale = match self.state {
            State::Probe { .. } => self.next.previous() != previous,
            State::Replicate { .. } => previous <= self.matched,
        };
        if !stale {
            let before = hint.min(previous.previous()).max(self.matched);
            self.next = before.next();
            self.state = State::Probe { waiting: false };
        }
        !stale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_fills_and_empties() {
        let mut progress = Progress::new(Index(0), Time(0));
        progress.accepted(Index(0));
        for message in 1..=IN_FLIGHT_MAX as u64 {
            assert!(progress.has_room());
            progress.sent(Index(message));
        }
        assert!(!progress.has_room());
        progress.accepted(Index(3));
        assert!(progress.has_room());
        assert_eq!((progress.matched, progress.next), (Index(3), Index(IN_FLIGHT_MAX as u64 + 1)));
    }

    #[test]
    fn a_refusal_empties_the_window_and_goes_back_to_probing() {
        let mut progress = Progress::new(Index(9), Time(0));
        progress.accepted(Index(4));
        progress.sent(Index(9));
        assert!(progress.maybe_rejected(Index(9), Index(2)));
        assert_eq!(progress.next, Index(5), "never below what surely matches");
        assert!(progress.has_room() && !progress.is_streaming());
    }

    #[test]
    fn late_answers_change_nothing() {
        let mut progress = Progress::new(Index(9), Time(0));
        progress.accepted(Index(7));
        assert!(!progress.maybe_rejected(Index(6), Index(0)), "refused before it matched");
        progress.accepted(Index(5));
        assert_eq!(progress.matched, Index(7));
    }
}
