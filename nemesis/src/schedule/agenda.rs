//! A schedule while a run goes on: what is due now, what is waited for, what is over.
//!
//! It knows no clock: it is told the time, in milliseconds since the start of the run, and what has become of each episode.

use super::phases::span;
use super::{End, Episode, Schedule};

/// A schedule that is being carried out.
#[derive(Debug)]
pub struct Agenda<'a> {
    schedule: &'a Schedule,
    stages: Vec<Stage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Pending,
    /// Its moment is waited for.
    Waiting {
        until_ms: u64,
    },
    InForce {
        until_ms: u64,
    },
    Over {
        at_ms: u64,
    },
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due<'a> {
    /// This one strikes.
    Strike(&'a Episode),
    /// This one is undone.
    Undo(&'a Episode),
    /// The moment of this one is waited for from now on.
    Await(&'a Episode),
    /// This one does not strike any more, and why.
    Skip(&'a Episode, String),
}

impl<'a> Agenda<'a> {
    /// Nothing of `schedule` has been done yet.
    pub fn new(schedule: &'a Schedule) -> Agenda<'a> {
        Agenda { schedule, stages: vec![Stage::Pending; schedule.episodes.len()] }
    }

    /// What is due at `now_ms`, the earliest first. Say what has become of it before you ask again.
    pub fn due(&self, now_ms: u64) -> Option<Due<'a>> {
        let (at_ms, _, id) = self.times().min()?;
        if at_ms > now_ms {
            return None;
        }
        let episode = &self.schedule.episodes[id as usize];
        Some(match (self.stages[id as usize], &episode.when) {
            (Stage::InForce { .. }, _) => Due::Undo(episode),
            (Stage::Pending, _) if episode.until_ms.is_some_and(|until_ms| until_ms < now_ms) => Due::Skip(
                episode,
                format!("it was not to begin after {}", span(episode.until_ms.unwrap_or(0))),
            ),
            (Stage::Pending, Some(_)) => Due::Await(episode),
            (Stage::Pending, None) => Due::Strike(episode),
            (Stage::Waiting { .. }, when) => {
                let what = when.as_ref().map(ToString::to_string).unwrap_or_default();
                let within = span(when.as_ref().map_or(0, |moment| moment.within_ms));
                Due::Skip(episode, format!("{what} was not seen within {within}"))
            }
            (Stage::Over { .. }, _) => unreachable!("what is over is not due"),
        })
    }

    /// When something will be due next, as far as is known.
    pub fn next_ms(&self) -> Option<u64> {
        self.times().map(|(at_ms, _, _)| at_ms).min()
    }

    /// When each becomes due; what ends comes before what begins.
    fn times(&self) -> impl Iterator<Item = (u64, bool, u64)> {
        let episodes = self.schedule.episodes.iter().zip(&self.stages);
        episodes.filter_map(|(episode, stage)| match *stage {
            Stage::Pending => {
                self.base_ms(episode.after).map(|base| (base + episode.at_ms, true, episode.id))
            }
            Stage::Waiting { until_ms } => Some((until_ms, true, episode.id)),
            Stage::InForce { until_ms } => Some((until_ms, false, episode.id)),
            Stage::Over { .. } => None,
        })
    }

    /// The time that those count from who come after an episode; none as long as it is not over.
    fn base_ms(&self, after: Option<u64>) -> Option<u64> {
        match after.map(|after| self.stages[after as usize]) {
            None => Some(0),
            Some(Stage::Over { at_ms }) => Some(at_ms),
            Some(_) => None,
        }
    }

    /// The moment of an episode is waited for.
    pub fn is_awaited(&mut self, episode: &Episode, now_ms: u64) {
        let within_ms = episode.when.as_ref().map_or(0, |moment| moment.within_ms);
        self.stages[episode.id as usize] = Stage::Waiting { until_ms: now_ms + within_ms };
    }

    /// An episode has struck.
    pub fn has_struck(&mut self, episode: &Episode, now_ms: u64) {
        // What has a fixed time ends at a fixed time, even if the deed took long.
        let is_fixed = episode.after.is_none() && episode.when.is_none();
        let begun_ms = if is_fixed { episode.at_ms } else { now_ms };
        self.stages[episode.id as usize] = Stage::InForce { until_ms: begun_ms + episode.lasts_ms };
    }

    /// An episode was undone or skipped.
    pub fn is_over(&mut self, episode: &Episode, now_ms: u64) {
        self.stages[episode.id as usize] = Stage::Over { at_ms: now_ms };
    }

    /// The episodes that have not begun.
    pub fn unbegun(&self) -> Vec<&'a Episode> {
        let episodes = self.schedule.episodes.iter().zip(&self.stages);
        let unbegun = episodes.filter(|(_, stage)| matches!(stage, Stage::Pending | Stage::Waiting { .. }));
        unbegun.map(|(episode, _)| episode).collect()
    }

    /// When the run ends that this schedule decides: at once if it does not say. None as long as something is not over.
    pub fn end_ms(&self) -> Option<u64> {
        let is_over = self.stages.iter().all(|stage| matches!(stage, Stage::Over { .. }));
        let End { at_ms, after } = self.schedule.end.unwrap_or(End { at_ms: 0, after: None });
        is_over.then(|| self.base_ms(after).unwrap_or(0) + at_ms)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::schedule::file::{Settings, read};

    fn schedule(text: &str) -> Schedule {
        read(text, Settings::new(5, 1, Duration::from_secs(3))).expect("a schedule").schedule
    }

    /// Goes through `schedule` in steps of 10 ms; moments come at `moments`. Each thing that is done, with its time.
    fn play(schedule: &Schedule, moments: &[(u64, u64)]) -> Vec<String> {
        let mut agenda = Agenda::new(schedule);
        let mut lines = Vec::new();
        for now_ms in (0..20_000).step_by(10) {
            for (_, id) in moments.iter().filter(|(at_ms, _)| *at_ms == now_ms) {
                agenda.has_struck(&schedule.episodes[*id as usize], now_ms);
                lines.push(format!("{now_ms} moment {id}"));
            }
            while let Some(due) = agenda.due(now_ms) {
                let line = match due {
                    Due::Strike(episode) => {
                        agenda.has_struck(episode, now_ms);
                        format!("strike {}", episode.id)
                    }
                    Due::Undo(episode) => {
                        agenda.is_over(episode, now_ms);
                        format!("undo {}", episode.id)
                    }
                    Due::Await(episode) => {
                        agenda.is_awaited(episode, now_ms);
                        format!("await {}", episode.id)
                    }
                    Due::Skip(episode, why) => {
                        agenda.is_over(episode, now_ms);
                        format!("skip {}: {why}", episode.id)
                    }
                };
                lines.push(format!("{now_ms} {line}"));
            }
            if agenda.end_ms().is_some_and(|end_ms| end_ms <= now_ms) {
                lines.push(format!("{now_ms} end"));
                return lines;
            }
        }
        panic!("it does not end: {lines:?}");
    }

    #[test]
    fn what_ends_when_something_begins_ends_first() {
        let text = r#"
            [[phase]]
            sequence = [{ fault = "partition", for = "1s" }, { fault = "partition", for = "1s" }, { wait = "500ms" }]
        "#;
        let lines = play(&schedule(text), &[]);
        assert_eq!(lines, ["0 strike 0", "1000 undo 0", "1000 strike 1", "2000 undo 1", "2500 end"]);
    }

    #[test]
    fn what_comes_after_a_moment_counts_from_its_end() {
        let text = r#"
            [[phase]]
            sequence = [
                { fault = "kill@there", when = "leader-elected", within = "3s", for = "500ms" },
                { wait = "1s" },
                { fault = "pause@leader", for = "200ms" },
            ]
            [[phase]]
            lasts = "1s"
        "#;
        let (schedule, waits) = (schedule(text), "0 await 0".to_owned());
        assert_eq!(
            play(&schedule, &[(700, 0)]),
            [&waits, "700 moment 0", "1200 undo 0", "2200 strike 1", "2400 undo 1", "3400 end"]
        );
        assert_eq!(
            play(&schedule, &[]),
            [
                &waits,
                "3000 skip 0: leader-elected was not seen within 3s",
                "4000 strike 1",
                "4200 undo 1",
                "5200 end"
            ]
        );
    }

    #[test]
    fn what_is_not_to_begin_late_is_skipped() {
        let text = r#"
            [[fault]]
            name = "first"
            fault = "kill@n1"
            when = { log = "elected" }
            within = "2s"
            for = "1s"
            [[fault]]
            fault = "pause@n2"
            after = "first"
            until = "2s"
            for = "1s"
        "#;
        let lines = play(&schedule(text), &[(500, 0)]);
        assert_eq!(lines[2..], ["1500 undo 0", "1500 strike 1", "2500 undo 1", "2500 end"]);
        let lines = play(&schedule(text), &[]);
        assert_eq!(
            lines[1..],
            [
                "2000 skip 0: a log line like \"elected\" was not seen within 2s",
                "2000 strike 1",
                "3000 undo 1",
                "3000 end"
            ]
        );
        let lines = play(&schedule(text), &[(1500, 0)]);
        assert_eq!(lines[3..], ["2500 skip 1: it was not to begin after 2s", "2500 end"]);
    }
}
