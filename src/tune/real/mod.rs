//! Trials on real processes: a cluster stands well under a leader, the leader is made to fail, and what follows is measured.
//!
//! In reading order: this file is what is asked for and what comes of it; `jobs` lets a few clusters work at a time, `shares` is
//! what each of them does, `stage` is one of them and `scratch` where it has its files, `elections` follows what its nodes write of elections, `writes` are clients that try whether a write succeeds; `failure` makes a
//! leader fail, `trial` is one failure from a cluster that is well to one that is well again, `outcome` makes figures of what was seen;
//! `steady` is time in which nothing fails, and `figure16` the set-up of the paper's figure. Nothing in here chooses between timings.

mod elections;
mod failure;
mod figure16;
mod jobs;
mod outcome;
mod scratch;
mod shares;
mod stage;
mod steady;
#[cfg(test)]
mod tests;
mod trial;
mod writes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rafture_nemesis::disk::{self, Trouble};
use rafture_nemesis::hosts::{Condition, Link, NetworkChoice};
use rafture_reports::tune::{Failure, Steady, Timing, Trial};
use rafture_workloads::systems::{self, Options};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio::sync::watch;

pub(crate) use figure16::{Figure16Plan, figure16};

use super::told;
use crate::error::Error;
use crate::run::pulse::Pulse;
use jobs::Halt;
use scratch::Scratch;
use shares::{Found, Task};
use stage::{Setup, on_stage};
use trial::{Attempt, Player};

/// So many trials one after the other that could not be made, for want of a steady leader, are the end of a timing.
const FRUITLESS_MAX: u64 = 3;

/// What is to be measured.
#[derive(Debug, Clone)]
pub(crate) struct RealPlan {
    /// Name of the system.
    pub(crate) system: String,
    /// What is chosen about it.
    pub(crate) options: Options,
    /// Members of each cluster.
    pub(crate) nodes: usize,
    /// What is tried: a cluster of its own for each.
    pub(crate) timings: Vec<Timing>,
    /// What befalls leaders.
    pub(crate) failures: Vec<Failure>,
    /// Trials for each timing and failure.
    pub(crate) trials: u64,
    /// Time in which nothing fails, for each timing and burden.
    pub(crate) steady: Duration,
    /// What clusters bear meanwhile.
    pub(crate) burdens: Vec<Burden>,
    /// Decides when failures strike, and everything that nodes of ours draw.
    pub(crate) seed: u64,
    /// What disks do wrong all the time, so that syncs take what they are to take; `None` for those of this machine. It takes FUSE.
    pub(crate) disks: Option<Trouble>,
    /// The network between the members; links that are not there are as good as the machine's own.
    pub(crate) links: BTreeMap<Link, Condition>,
    /// Where nodes live.
    pub(crate) network: NetworkChoice,
    /// Clusters at a time; fewer with short timeouts, whose figures bear little company.
    pub(crate) jobs: usize,
    /// A folder for data and logs goes in there, and goes away at the end.
    pub(crate) folder: PathBuf,
    /// The program of this suite, which can be a node.
    pub(crate) rafture: PathBuf,
    /// Whether nodes ask before they stand for election; `None` leaves it to the system.
    pub(crate) pre_vote: Option<bool>,
}

/// What a cluster bears while nothing fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Burden {
    /// Nothing.
    Idle,
    /// A few clients that write, one write after the other.
    Load,
    /// Links that are later now and then, by 0.3 heartbeats on average.
    Jitter,
    /// Disks that take long to sync. It takes FUSE.
    SlowDisks,
}

/// What came of one timing.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Measured {
    /// Failures of leaders, those of one kind in order of their numbers.
    pub(crate) trials: Vec<Trial>,
    /// Time in which nothing failed.
    pub(crate) steady: Vec<Steady>,
    /// Why figures may not be what they seem, a sentence each.
    pub(crate) warnings: Vec<String>,
}

/// How far the work has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Trials and steady times that are over.
    pub(crate) done: u64,
    /// All of them.
    pub(crate) of: u64,
}

/// What is counted, and shown to whoever waits.
pub(super) struct Counter<'n> {
    done: AtomicU64,
    of: u64,
    note: &'n (dyn Fn(Progress) + Sync),
}

/// Measures; gives what came of each timing, in their order. When `stop` says so, it ends soon, and leaves nothing.
///
/// # Errors
/// When the plan makes no sense, a cluster does not come up, or it was stopped.
pub(crate) fn measure(
    plan: &RealPlan,
    stop: &watch::Receiver<bool>,
    note: &(dyn Fn(Progress) + Sync),
) -> Result<Vec<Measured>, Error> {
    plan.check()?;
    let scratch = Scratch::within(&plan.folder)?;
    let steady = if plan.steady.is_zero() { 0 } else { plan.burdens.len() };
    let each = plan.trials * plan.failures.len() as u64 + steady as u64;
    let counter = Counter { done: AtomicU64::new(0), of: each * plan.timings.len() as u64, note };
    shares::all_together(&plan.timings, plan.tasks(), plan.jobs, stop, |number, task, halt| {
        work(plan, task, &scratch.join(number), halt, &counter)
    })
}

/// Everything that one cluster has to go through.
fn work(
    plan: &RealPlan,
    task: &Task,
    folder: &Path,
    halt: Halt,
    counter: &Counter<'_>,
) -> Result<Found, Error> {
    let setup = Setup {
        system: &plan.system,
        options: &plan.options,
        nodes: plan.nodes,
        timing: told(&task.timing),
        seed: plan.seed.wrapping_add((task.share * plan.timings.len() + task.candidate) as u64),
        links: &plan.links,
        network: plan.network,
        rafture: &plan.rafture,
        pre_vote: plan.pre_vote,
        folder,
        disks: plan.disks.or(task.has_slow_disks.then(Trouble::default)),
    };
    let pulse = Pulse::start().map_err(Error::harness)?;
    let mut found = on_stage(&setup, halt, async |stage| {
        let mut found = Found::default();
        if !task.has_slow_disks {
            let mut player = Player::new(stage, setup.seed);
            make_trials(plan, task, &mut player, &mut found, counter).await?;
        }
        let is_mine =
            |burden: &&Burden| task.share == 0 && (**burden == Burden::SlowDisks) == task.has_slow_disks;
        let Measured { steady, warnings, .. } = &mut found.measured;
        for &burden in plan.burdens.iter().filter(is_mine).filter(|_| !plan.steady.is_zero()) {
            match steady::keep(stage, burden, plan.steady).await? {
                Some(time) => steady.push(time),
                None => warnings.push(unsteady(&format!("time under the burden `{}` was", burden.name()))),
            }
            counter.count(1);
        }
        Ok(found)
    })?;
    // Where disks are slow, nothing is timed.
    found.lateness = pulse.stop().filter(|_| !task.has_slow_disks);
    if task.share == 0 && !task.has_slow_disks {
        found.measured.warnings.extend(told_otherwise(plan, &setup)?);
    }
    Ok(found)
}

/// Says so if the system cannot be told the timing exactly.
fn told_otherwise(plan: &RealPlan, setup: &Setup<'_>) -> Result<Option<String>, Error> {
    let system = systems::configured(&plan.system, &plan.options).map_err(Error::Input)?;
    let told = system.tell(&setup.timing).map_err(Error::Input)?;
    Ok(told.note.map(|note| format!("{} could not be told this exactly: {note}", plan.system)))
}

/// All failures in turns, so that what the machine does meanwhile befalls them all alike.
async fn make_trials(
    plan: &RealPlan,
    task: &Task,
    player: &mut Player<'_>,
    found: &mut Found,
    counter: &Counter<'_>,
) -> Result<(), Error> {
    let mut fruitless = 0;
    let mut left = (task.numbers.end - task.numbers.start) * plan.failures.len() as u64;
    for number in task.numbers.clone() {
        for &failure in &plan.failures {
            match player.play(failure).await? {
                Attempt::Made { figures, disturbed } => {
                    found.measured.trials.push(figures.trial(task.candidate, failure, number));
                    (fruitless, found.again) = (0, found.again + disturbed);
                }
                Attempt::Fruitless => (fruitless, found.missed) = (fruitless + 1, found.missed + 1),
            }
            (left, _) = (left - 1, counter.count(1));
            if fruitless == FRUITLESS_MAX {
                found.missed += left;
                counter.count(left);
                return Ok(());
            }
        }
    }
    Ok(())
}

fn unsteady(what: &str) -> String {
    format!("no leader was followed by all long enough to measure; {what} not to be had")
}

/// Numbers by chance for one purpose among many of one seed.
fn dice(seed: u64, purpose: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(purpose);
    random
}

impl RealPlan {
    fn check(&self) -> Result<(), Error> {
        let demand = |holds: bool, text: &str| if holds { Ok(()) } else { Err(Error::Input(text.into())) };
        demand(
            self.nodes >= 3,
            "a leader that fails is replaced by the others only if they are a majority (hint: --nodes 3)",
        )?;
        demand(self.jobs > 0, "no cluster at a time, nothing to measure (hint: --jobs 4)")?;
        let system = systems::configured(&self.system, &self.options).map_err(Error::Input)?;
        for timing in &self.timings {
            system.tell(&told(timing)).map_err(Error::Input)?;
        }
        if let Some(lack) = system.lack() {
            return Err(Error::Harness(format!("`{}` cannot run here: {lack}", self.system)));
        }
        match disk::lack().filter(|_| self.burdens.contains(&Burden::SlowDisks) || self.disks.is_some()) {
            Some(lack) => Err(Error::Harness(format!("slow disks cannot be had here: {lack}"))),
            None => Ok(()),
        }
    }

    fn tasks(&self) -> Vec<Task> {
        let has_slow_disks = self.burdens.contains(&Burden::SlowDisks) && !self.steady.is_zero();
        let each = (self.trials, self.failures.len() as u64);
        let of = |(candidate, &timing): (usize, &Timing)| {
            let slow = Task { candidate, timing, share: 0, numbers: 0..0, has_slow_disks: true };
            let slow = has_slow_disks.then_some(slow);
            Task::shares(candidate, timing, each).into_iter().chain(slow)
        };
        self.timings.iter().enumerate().flat_map(of).collect()
    }
}

impl Burden {
    /// The name, as files have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Burden::Idle => "idle",
            Burden::Load => "load",
            Burden::Jitter => "jitter",
            Burden::SlowDisks => "slow disks",
        }
    }
}

impl Counter<'_> {
    fn count(&self, more: u64) {
        let done = self.done.fetch_add(more, Ordering::Relaxed) + more;
        (self.note)(Progress { done, of: self.of });
    }
}
