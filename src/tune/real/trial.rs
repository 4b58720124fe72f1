//! One failure of a leader: from a cluster that stands well, through what follows, to a cluster that is whole again.

use std::time::Duration;

use rafture_nemesis::clock::monotonic_ns;
use rafture_reports::tune::Failure;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::outcome::{Failed, Figures, is_spoilt};
use super::stage::{Stage, Well};
use super::writes::Writers;
use super::{dice, failure};
use crate::error::Error;

/// How often it is looked what nodes have written, and a write is tried at whoever leads.
const STEP: Duration = Duration::from_millis(1);
/// Of so many steps, one also tries a write at the next member, whatever logs say: so the figure does not hang on them.
const STEPS_PER_MEMBER: u64 = 2;
/// A trial that was no trial is begun again so often.
const TRIES_MAX: u64 = 10;

/// Purposes of chance.
const MOMENTS: u64 = 1;

/// Whoever makes trials with one cluster.
pub(super) struct Player<'s> {
    pub(super) stage: &'s mut Stage,
    pub(super) writers: Writers,
    pub(super) random: ChaCha8Rng,
}

/// What came of an attempt to make a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// It was made, at last: so often something else had come in between.
    Made {
        /// What followed.
        figures: Figures,
        /// How often it was begun again.
        disturbed: u64,
    },
    /// No leader was followed by all long enough.
    Fruitless,
}

impl<'s> Player<'s> {
    pub(super) fn new(stage: &'s mut Stage, seed: u64) -> Player<'s> {
        let writers = Writers::of(stage.cluster.len(), stage.longest_delay());
        Player { stage, writers, random: dice(seed, MOMENTS) }
    }

    /// Makes one trial.
    pub(super) async fn play(&mut self, failure: Failure) -> Result<Attempt, Error> {
        for disturbed in 0..TRIES_MAX {
            let Some(well) = self.stage.become_well(self.stage.patience()).await? else {
                return Ok(Attempt::Fruitless);
            };
            // A member that cannot be reached now can be once all is well again.
            if self.connect(Some(well.leader)).await.is_err() {
                continue;
            }
            let quiet_ns = self.stage.elections.latest_ns();
            if let Some(figures) = self.strike(failure, well, quiet_ns).await? {
                return Ok(Attempt::Made { figures, disturbed });
            }
        }
        Ok(Attempt::Fruitless)
    }

    pub(super) async fn connect(&mut self, without: Option<usize>) -> Result<(), String> {
        let Stage { system, layout, .. } = &*self.stage;
        self.writers.renew(&**system, layout, without).await
    }

    /// A leader that all follow fails at a moment by chance; gives what follows, unless it was no trial. Since `quiet_ns` followers hear
    /// heartbeats and nothing else.
    pub(super) async fn strike(
        &mut self,
        failure: Failure,
        well: Well,
        quiet_ns: u64,
    ) -> Result<Option<Figures>, Error> {
        self.await_moment(quiet_ns).await;
        if !self.stage.is_still(well) {
            return Ok(None);
        }
        self.stage.elections.forget_past();
        let at_ns = failure::strike(self.stage, failure, well.leader)?;
        let followed = self.follow(failure, Failed { was: well, at_ns }).await;
        // Whatever comes of it, the cluster is made whole.
        if failure == Failure::Kill {
            self.stage.elections.forget_node(well.leader);
        }
        failure::undo(self.stage, failure, well.leader)?;
        let (figures, bit) = followed?;
        let is_trial = bit && !is_spoilt(self.stage.elections.seen(), at_ns);
        Ok(is_trial.then_some(figures))
    }

    /// Every moment between two heartbeats is as likely as any other. The first interval is waited out: elections and entries come at
    /// other times than heartbeats, and followers count from what they heard last.
    async fn await_moment(&mut self, quiet_ns: u64) {
        let heartbeat = self.stage.timing.heartbeat;
        let steady_ns = quiet_ns + heartbeat.as_nanos() as u64;
        let rest = Duration::from_nanos(steady_ns.saturating_sub(monotonic_ns()));
        let share: f64 = self.random.random();
        sleep_until(Instant::now() + rest + heartbeat.mul_f64(share)).await;
    }

    /// Watches until all is over, or patience is; tells whether the failure was seen to bite, too.
    async fn follow(&mut self, failure: Failure, failed: Failed) -> Result<(Figures, bool), Error> {
        let patience = self.stage.patience();
        let Player { stage, writers, .. } = self;
        let delay = stage.timing.election_timeout.1;
        let Stage { system, cluster, elections, .. } = &mut **stage;
        let proof = failure::network_has_failed(cluster, failure, failed.was.leader, delay);
        let watching = async {
            let deadline = Instant::now() + patience;
            let mut ticks = interval(STEP);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let mut figures = Figures::default();
            for step in 0.. {
                ticks.tick().await;
                elections.look(&**system);
                let since = |at_ns: u64| at_ns.saturating_sub(failed.at_ns);
                let written = figures.write_ns.or_else(|| writers.first_success().map(since));
                figures = Figures { write_ns: written, ..Figures::of(elections.seen(), failed) };
                let is_over = figures.write_ns.is_some() && figures.heartbeat_ns.is_some();
                if is_over || Instant::now() > deadline {
                    break;
                }
                if figures.write_ns.is_none() {
                    try_writes(writers, step, elections.newest_leader(), failed.was.leader);
                }
            }
            figures
        };
        let (figures, is_struck) = tokio::join!(watching, proof);
        let is_struck = is_struck? && failure::process_has_failed(cluster, failure, failed.was.leader)?;
        Ok((figures, is_struck))
    }
}

/// Begins the writes of one step: at whoever says that he leads, and at every other member in turns. None of those that a step begins
/// was begun before the failure, and none is asked of the leader that failed: what it still takes in is no sign of an end.
fn try_writes(writers: &mut Writers, step: u64, leads: Option<usize>, failed: usize) {
    let count = writers.members() as u64;
    if let Some(leader) = leads.filter(|&leader| leader != failed) {
        writers.begin(leader);
    }
    if step.is_multiple_of(STEPS_PER_MEMBER) {
        let turn = (step / STEPS_PER_MEMBER) % (count - 1);
        writers.begin(((failed as u64 + 1 + turn) % count) as usize);
    }
}
