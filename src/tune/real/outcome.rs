//! The figures of one failure, out of what nodes wrote of the elections that followed. Pure: events in, figures out.

use std::collections::BTreeSet;

use rafture_reports::tune::{Failure, Source, Trial};
use rafture_workloads::systems::elections::ElectionStep;

use super::elections::Seen;
use super::stage::Well;

/// A leader that failed, and when, on the machine's monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) was: Well,
    pub(super) at_ns: u64,
}

/// What followed. Times are in nanoseconds since the failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Figures {
    /// Until the first other member gave the leader up.
    pub(super) detected_ns: Option<u64>,
    /// Until a member heard the next leader.
    pub(super) heartbeat_ns: Option<u64>,
    /// Until a write succeeded.
    pub(super) write_ns: Option<u64>,
    /// Terms that somebody stood for until there was a leader.
    pub(super) elections: u32,
    /// Those of them that nobody won.
    pub(super) split_votes: u32,
}

impl Figures {
    /// What these events say. Of writes they say nothing.
    pub(super) fn of(seen: &[Seen], failed: Failed) -> Figures {
        let Failed { was, at_ns } = failed;
        let since = |seen: &Seen| seen.at_ns.saturating_sub(at_ns);
        let gave_up = |seen: &&Seen| {
            seen.node != was.leader && matches!(seen.step, ElectionStep::Asked | ElectionStep::Stood)
        };
        // Only who does not lead follows, so whoever says so is another member than the new leader.
        let heard = |seen: &&Seen| seen.step == ElectionStep::Followed && seen.term > was.term;
        let first_heard = seen.iter().filter(heard).min_by_key(|seen| (seen.at_ns, seen.term));
        let last_term = first_heard.map_or(u64::MAX, |seen| seen.term);
        let terms = |step: ElectionStep| -> BTreeSet<u64> {
            let in_between =
                |seen: &&Seen| seen.step == step && seen.term > was.term && seen.term <= last_term;
            seen.iter().filter(in_between).map(|seen| seen.term).collect()
        };
        let (stood, won) = (terms(ElectionStep::Stood), terms(ElectionStep::Led));
        Figures {
            detected_ns: seen.iter().filter(gave_up).map(since).min(),
            heartbeat_ns: first_heard.map(since),
            write_ns: None,
            elections: stood.len() as u32,
            split_votes: stood.difference(&won).count() as u32,
        }
    }

    /// The trial with these figures.
    pub(super) fn trial(&self, candidate: usize, failure: Failure, number: u64) -> Trial {
        let milliseconds = |time: Option<u64>| time.map(|time| time as f64 / 1e6);
        Trial {
            candidate,
            source: Source::Real,
            failure,
            number,
            detected_ms: milliseconds(self.detected_ns),
            heartbeat_ms: milliseconds(self.heartbeat_ns),
            write_ms: milliseconds(self.write_ns),
            elections: self.elections,
            split_votes: self.split_votes,
        }
    }
}

/// Whether anybody surely gave the leader up before it failed: then it is no trial.
pub(super) fn is_spoilt(seen: &[Seen], at_ns: u64) -> bool {
    seen.iter().any(|seen| seen.at_ns + seen.late_ns < at_ns)
}

#[cfg(test)]
mod tests {
    use super::ElectionStep::{Asked, Followed, Led, Stood, Waited};
    use super::*;

    const FAILED: Failed = Failed { was: Well { leader: 0, term: 3 }, at_ns: 1000 };

    fn seen(events: &[(usize, u64, u64, ElectionStep)]) -> Vec<Seen> {
        let seen = |&(node, at_ns, term, step)| Seen { node, at_ns, late_ns: 0, term, step };
        events.iter().map(seen).collect()
    }

    #[test]
    fn one_election_has_its_times() {
        let events = seen(&[
            (1, 1150, 3, Asked),
            (1, 1151, 4, Stood),
            (1, 1160, 4, Led),
            (2, 1155, 4, Waited),
            (2, 1162, 4, Followed),
            // The old leader finds out later; it is not who gives it up.
            (0, 1140, 3, Waited),
            (0, 1300, 4, Followed),
        ]);
        let expected =
            Figures { detected_ns: Some(150), heartbeat_ns: Some(162), elections: 1, ..Figures::default() };
        assert_eq!(Figures::of(&events, FAILED), expected);
    }

    #[test]
    fn terms_that_nobody_won_are_split_votes_and_later_ones_do_not_count() {
        let events = seen(&[
            (1, 1150, 4, Stood),
            (2, 1152, 4, Stood),
            (1, 1350, 5, Stood),
            (2, 1500, 6, Stood),
            (2, 1510, 6, Led),
            (1, 1515, 6, Followed),
            (1, 1700, 7, Stood),
        ]);
        let figures = Figures::of(&events, FAILED);
        assert_eq!((figures.elections, figures.split_votes), (3, 2));
        assert_eq!(figures.heartbeat_ns, Some(515));
    }

    #[test]
    fn an_election_without_end_has_no_heartbeat() {
        let figures = Figures::of(&seen(&[(1, 1150, 3, Asked), (1, 1400, 3, Asked)]), FAILED);
        assert_eq!(figures, Figures { detected_ns: Some(150), ..Figures::default() });
        let figures = Figures::of(&seen(&[(1, 1150, 4, Stood), (1, 1400, 5, Stood)]), FAILED);
        assert_eq!((figures.elections, figures.split_votes, figures.heartbeat_ns), (2, 2, None));
    }

    /// A wall clock's time is cut off: what is said to be before the failure may have been behind it.
    #[test]
    fn what_happened_before_the_failure_spoils_a_trial() {
        let mut events = seen(&[(1, 999, 3, Asked)]);
        assert!(is_spoilt(&events, 1000));
        events[0].late_ns = 5;
        assert!(!is_spoilt(&events, 1000));
        assert_eq!(Figures::of(&events, FAILED).detected_ns, Some(0));
    }
}
