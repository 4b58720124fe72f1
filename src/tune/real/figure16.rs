//! The set-up of the Raft paper's Figure 16 on real processes: how long from the crash of a leader until another member has heard the next.
//!
//! Worst case by design: logs of different lengths, so that two of the four that are left cannot win; heartbeats of half the least timeout,
//! which a leader of ours sends to all in one step; no PreVote; and a crash at any moment between two heartbeats.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rafture_nemesis::clock::monotonic_ns;
use rafture_nemesis::hosts::{Condition, Link, NetworkChoice};
use rafture_reports::tune::{Failure, Timing};
use rafture_workloads::systems::{Options, Order};
use rand::RngExt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::jobs::{Halt, in_parallel, places};
use super::outcome::Figures;
use super::scratch::Scratch;
use super::stage::{Setup, Well, on_stage};
use super::trial::Player;
use super::{Counter, Measured, Progress, told, too_late, unsteady};
use crate::error::Error;
use crate::run::pulse::Pulse;

/// Servers, as in the paper.
const NODES: usize = 5;
/// A trial that was no trial is begun again so often.
const TRIES_MAX: u64 = 10;

/// What is to be measured.
#[derive(Debug, Clone)]
pub(crate) struct Figure16Plan {
    /// The curves; a cluster of its own for each.
    pub(crate) curves: Vec<Timing>,
    /// Crashes for each of them.
    pub(crate) trials: u64,
    /// How long a packet is under way between two servers.
    pub(crate) one_way: Duration,
    /// How much longer by chance, on average.
    pub(crate) jitter: Duration,
    /// Decides when leaders crash and who cannot win.
    pub(crate) seed: u64,
    /// Where nodes live.
    pub(crate) network: NetworkChoice,
    /// Clusters at a time.
    pub(crate) jobs: usize,
    /// A folder for data and logs goes in there, and goes away at the end.
    pub(crate) folder: PathBuf,
    /// The program of this suite, which can be a node.
    pub(crate) rafture: PathBuf,
}

/// Measures; gives what came of each curve, in their order. `write_ms` of a trial is there as well, though the paper has no such figure.
///
/// # Errors
/// When a cluster does not come up, or it was stopped.
pub(crate) fn figure16(
    plan: &Figure16Plan,
    stop: &watch::Receiver<bool>,
    note: &(dyn Fn(Progress) + Sync),
) -> Result<Vec<Measured>, Error> {
    let scratch = Scratch::within(&plan.folder)?;
    let counter = Counter { done: AtomicU64::new(0), of: plan.trials * plan.curves.len() as u64, note };
    let takes = |curve: &Timing| places(told(curve).election_timeout.0, plan.jobs);
    in_parallel(&plan.curves, (plan.jobs, takes), stop, |number, curve, halt| {
        draw(plan, (number, curve), scratch.join(number), halt, &counter)
    })
}

fn draw(
    plan: &Figure16Plan,
    (number, curve): (usize, &Timing),
    folder: PathBuf,
    halt: Halt,
    counter: &Counter<'_>,
) -> Result<Measured, Error> {
    let condition = Condition { delay: plan.one_way, jitter: plan.jitter, ..Condition::default() };
    let links: BTreeMap<Link, Condition> = match condition == Condition::default() {
        true => BTreeMap::new(),
        false => Link::all(NODES).map(|link| (link, condition)).collect(),
    };
    let setup = Setup {
        system: "rafture",
        options: &Options::new(),
        nodes: NODES,
        timing: told(curve),
        seed: plan.seed.wrapping_add(number as u64),
        links: &links,
        network: plan.network,
        rafture: &plan.rafture,
        pre_vote: Some(false),
        folder: &folder,
        has_disks: false,
    };
    let pulse = Pulse::start().map_err(Error::harness)?;
    let mut found = on_stage(&setup, halt, async |stage| {
        let mut found = Measured::default();
        let mut player = Player::new(stage, setup.seed);
        for trial in 0..plan.trials {
            match player.crash().await? {
                Some(figures) => found.trials.push(figures.trial(number, Failure::Kill, trial)),
                None => {
                    let left = plan.trials - trial;
                    found.warnings.push(unsteady(&format!("{left} trials")));
                    counter.count(left);
                    break;
                }
            }
            counter.count(1);
        }
        Ok(found)
    })?;
    found.warnings.extend(pulse.stop().and_then(|lateness| too_late(lateness, curve)));
    Ok(found)
}

impl Player<'_> {
    /// Holds two followers back, and lets the leader crash; `None` if that was not to be had.
    async fn crash(&mut self) -> Result<Option<Figures>, Error> {
        for _ in 0..TRIES_MAX {
            let Some(well) = self.stage.become_well(self.stage.patience()).await? else {
                return Ok(None);
            };
            if self.connect(None).await.is_err() || !self.hold_two(well).await {
                continue;
            }
            if let Some(figures) = self.strike(Failure::Kill, well, monotonic_ns()).await? {
                return Ok(Some(figures));
            }
        }
        Ok(None)
    }

    /// Two followers get no more entries, the second from one entry later on than the first. Tells whether the logs of all are as long
    /// as that makes them.
    async fn hold_two(&mut self, well: Well) -> bool {
        let followers: Vec<usize> = (0..NODES).filter(|&node| node != well.leader).collect();
        let first = self.random.random_range(0..followers.len());
        let second = (first + self.random.random_range(1..followers.len())) % followers.len();
        let held = [followers[first], followers[second]];
        for node in held {
            let stage = &*self.stage;
            let asked = stage.system.order(Order::Hold, node, &stage.layout).await;
            if asked.is_err() || self.writers.write(well.leader).await.is_err() {
                return false;
            }
        }
        self.differ(well, held).await
    }

    /// Whether the first one held lacks two entries, the second one, and nobody else any. Entries may still be under way.
    async fn differ(&mut self, well: Well, held: [usize; 2]) -> bool {
        let deadline = Instant::now() + self.stage.patience();
        loop {
            let lengths = self.stage.lengths().await;
            let whole = lengths[well.leader];
            let lacks = |node: usize| match held.iter().position(|&other| other == node) {
                Some(place) => 2 - place as u64,
                None => 0,
            };
            let is_as_asked = |(node, length): (usize, &Option<u64>)| {
                length.is_some() && length.map(|length| length + lacks(node)) == whole
            };
            if lengths.iter().enumerate().all(is_as_asked) {
                return true;
            }
            if !self.stage.is_still(well) || Instant::now() > deadline {
                return false;
            }
            sleep(Duration::from_millis(1)).await;
        }
    }
}
