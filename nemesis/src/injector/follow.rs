//! Follows a schedule: strikes and undoes when it is time, waits for moments, and looks after the nodes meanwhile.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;

use super::{Injector, InjectorError, LOOK_INTERVAL};
use crate::administrator::Administrator;
use crate::ledger::{LedgerLine, State};
use crate::moments::{Sighting, Watch};
use crate::schedule::agenda::{Agenda, Due};
use crate::schedule::{Episode, Schedule};

/// How often it is looked for a moment that is waited for.
const MOMENT_INTERVAL: Duration = Duration::from_millis(1);

impl Injector<'_> {
    pub(super) async fn follow(
        &mut self,
        schedule: &Schedule,
        until: Duration,
        administrator: &dyn Administrator,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), InjectorError> {
        let mut agenda = Agenda::new(schedule);
        let mut watches: BTreeMap<u64, Watch> = BTreeMap::new();
        let mut looked_after: Option<Instant> = None;
        while !*stop.borrow() {
            if looked_after.is_none_or(|then| then.elapsed() >= LOOK_INTERVAL) {
                self.cluster.notice_crashes();
                self.cluster.settle_clocks();
                self.take_steps(administrator).await?;
                looked_after = Some(Instant::now());
            }
            if let Some((id, sighting)) = see(&mut watches) {
                watches.remove(&id);
                self.begin(&mut agenda, &schedule.episodes[id as usize], Some(&sighting), administrator)
                    .await?;
                continue;
            }
            if let Some(due) = agenda.due(self.now_ms()) {
                self.act(due, &mut agenda, &mut watches, administrator).await?;
                continue;
            }
            let end = match schedule.end {
                Some(_) => agenda.end_ms().map(Duration::from_millis),
                None => Some(until),
            };
            let now = Duration::from_nanos(self.clock.now());
            if end.is_some_and(|end| end <= now) {
                for episode in agenda.unbegun() {
                    self.skip(episode, "the time of the run was over".into())?;
                }
                return Ok(());
            }
            let interval = if watches.is_empty() { LOOK_INTERVAL } else { MOMENT_INTERVAL };
            let next = agenda.next_ms().map(Duration::from_millis).into_iter().chain(end);
            let left = next.map(|next| next.saturating_sub(now)).chain([interval]).min().unwrap_or(interval);
            tokio::select! {
                () = sleep(left) => {}
                // A sender that is gone says nothing more.
                Ok(()) = stop.changed() => {}
            }
        }
        Ok(())
    }

    async fn act(
        &mut self,
        due: Due<'_>,
        agenda: &mut Agenda<'_>,
        watches: &mut BTreeMap<u64, Watch>,
        administrator: &dyn Administrator,
    ) -> Result<(), InjectorError> {
        match due {
            Due::Strike(episode) => self.begin(agenda, episode, None, administrator).await?,
            Due::Undo(episode) => {
                self.undo(episode.id, administrator, false).await?;
                agenda.is_over(episode, self.now_ms());
            }
            Due::Await(episode) => {
                let moment = episode.when.as_ref().expect("who waits has something to wait for");
                match Watch::begin(moment, &self.cluster.folders()) {
                    Ok(watch) => {
                        watches.insert(episode.id, watch);
                        agenda.is_awaited(episode, self.now_ms());
                    }
                    Err(why) => {
                        self.skip(episode, why)?;
                        agenda.is_over(episode, self.now_ms());
                    }
                }
            }
            Due::Skip(episode, why) => {
                watches.remove(&episode.id);
                self.skip(episode, why)?;
                agenda.is_over(episode, self.now_ms());
            }
        }
        Ok(())
    }

    async fn begin(
        &mut self,
        agenda: &mut Agenda<'_>,
        episode: &Episode,
        seen: Option<&Sighting>,
        administrator: &dyn Administrator,
    ) -> Result<(), InjectorError> {
        // It is in force while it is being proven.
        let begun_ms = self.now_ms();
        self.strike(episode, seen, administrator).await?;
        agenda.has_struck(episode, begun_ms);
        Ok(())
    }

    /// Says that a fault does not strike, and why.
    fn skip(&mut self, episode: &Episode, why: String) -> Result<(), InjectorError> {
        let line = LedgerLine {
            error: Some(why),
            ..LedgerLine::of(self.clock.now(), episode.id, State::Skipped, episode.fault)
        };
        self.write(&line)
    }

    fn now_ms(&self) -> u64 {
        self.clock.now() / 1_000_000
    }
}

/// A moment that has come, and whose it is.
fn see(watches: &mut BTreeMap<u64, Watch>) -> Option<(u64, Sighting)> {
    watches.iter_mut().find_map(|(&id, watch)| Some((id, watch.look()?)))
}
