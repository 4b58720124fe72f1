//! Which fault strikes when: a plan, as data, before anything happens.
//!
//! In reading order: this file is the data; [`random`] draws a schedule from a seed; [`mod@file`] reads one that a person has
//! written (key by key in `sheet`), in phases and sequences that `phases` turns into strikes, and `conflict` says which of them get into each
//! other's way; [`record`] writes any schedule down so that it can be read again; [`window`] tells when something will be
//! in force at the earliest and at the latest; [`agenda`] goes through a schedule while a run goes on; [`reduce`] looks for less that
//! still fails.

pub mod agenda;
mod conflict;
pub mod file;
mod phases;
pub mod random;
pub mod record;
pub mod reduce;
mod sheet;
pub mod window;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::moments::Moment;

pub use file::{Script, ScriptError};
pub use random::ScheduleError;

/// Faults over time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Schedule {
    /// Each at the place that its number says.
    pub episodes: Vec<Episode>,
    /// When all of it is over, if the schedule says so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

/// One fault, from its strike to its undoing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// Its number, from 0.
    pub id: u64,
    /// When it strikes: milliseconds since the start of the run, or since the end of the episode `after`. One with a moment waits
    /// for it from then on.
    pub at_ms: u64,
    /// How long it is in force.
    pub lasts_ms: u64,
    /// What it is.
    #[serde(flatten)]
    pub fault: Fault,
    /// Seed for what is drawn when it strikes: which nodes, which links, how bad.
    pub seed: u64,
    /// The episode whose end its time counts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// What it waits for, and strikes at once when it comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Moment>,
    /// Milliseconds since the start of the run; it does not begin later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// It strikes the node at which its moment was seen, whatever the target of the fault.
    #[serde(default, skip_serializing_if = "is_false")]
    pub there: bool,
}

/// The end of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Milliseconds since the start of the run, or since the end of the episode `after`.
    pub at_ms: u64,
    /// The episode whose end it counts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Episode {
    /// An episode at a fixed time.
    pub fn at(id: u64, at_ms: u64, lasts_ms: u64, fault: Fault, seed: u64) -> Episode {
        Episode { id, at_ms, lasts_ms, fault, seed, after: None, when: None, until_ms: None, there: false }
    }
}

impl Schedule {
    /// The schedule without some of its episodes. Whatever counted from the end of one of those counts from where that one
    /// counted from, and comes as much later as that one would have lasted.
    pub fn without(&self, is_left_out: impl Fn(&Episode) -> bool) -> Schedule {
        // Of each episode that is left out: from where, and how much later, to count instead.
        let mut instead: BTreeMap<u64, (Option<u64>, u64)> = BTreeMap::new();
        let mut numbers: BTreeMap<u64, u64> = BTreeMap::new();
        let mut episodes: Vec<Episode> = Vec::new();
        let count_from = |instead: &BTreeMap<u64, (Option<u64>, u64)>,
                          numbers: &BTreeMap<u64, u64>,
                          after: Option<u64>| {
            match after.and_then(|after| instead.get(&after)) {
                Some(&known) => known,
                None => (after.map(|after| numbers[&after]), 0),
            }
        };
        // An episode only ever counts from one before it.
        for episode in &self.episodes {
            let (after, later_ms) = count_from(&instead, &numbers, episode.after);
            let at_ms = episode.at_ms + later_ms;
            if is_left_out(episode) {
                instead.insert(episode.id, (after, at_ms + episode.lasts_ms));
                continue;
            }
            let id = episodes.len() as u64;
            numbers.insert(episode.id, id);
            episodes.push(Episode { id, at_ms, after, ..episode.clone() });
        }
        let end = self.end.map(|end| {
            let (after, later_ms) = count_from(&instead, &numbers, end.after);
            End { at_ms: end.at_ms + later_ms, after }
        });
        Schedule { episodes, end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::parse;
    use crate::fault::{FaultSpec, Target};

    fn fault() -> Fault {
        let FaultSpec { kind, .. } = parse("kill").expect("a fault")[0];
        serde_json::from_value(serde_json::json!({ "kind": kind, "target": Target::One })).expect("a fault")
    }

    #[test]
    fn a_plan_of_former_times_is_still_read() {
        let text = r#"{"episodes":[{"id":0,"at_ms":1000,"lasts_ms":700,"kind":"partition","shape":"bridge","target":"leader","seed":18446744073709551615}]}"#;
        let schedule: Schedule = serde_json::from_str(text).expect("a schedule");
        assert_eq!((schedule.episodes[0].at_ms, schedule.end), (1000, None));
        assert_eq!(serde_json::to_string(&schedule).expect("plain data"), text);
    }

    #[test]
    fn what_counted_from_an_episode_that_is_left_out_keeps_its_distance() {
        let chained = |id: u64, at_ms, after| Episode { after, ..Episode::at(id, at_ms, 100, fault(), id) };
        let schedule = Schedule {
            episodes: vec![
                chained(0, 1000, None),
                chained(1, 10, Some(0)),
                chained(2, 20, Some(1)),
                chained(3, 5, Some(0)),
            ],
            end: Some(End { at_ms: 7, after: Some(2) }),
        };
        let places = |schedule: &Schedule| {
            let episodes = schedule.episodes.iter();
            episodes
                .map(|episode| (episode.id, episode.at_ms, episode.after, episode.seed))
                .collect::<Vec<_>>()
        };
        let less = schedule.without(|episode| episode.id == 1);
        assert_eq!(places(&less), [(0, 1000, None, 0), (1, 130, Some(0), 2), (2, 5, Some(0), 3)]);
        assert_eq!(less.end, Some(End { at_ms: 7, after: Some(1) }));
        let least = schedule.without(|episode| episode.id != 2);
        assert_eq!(places(&least), [(0, 1230, None, 2)]);
        let none = schedule.without(|_| true);
        assert_eq!(none.end, Some(End { at_ms: 1337, after: None }));
    }
}
