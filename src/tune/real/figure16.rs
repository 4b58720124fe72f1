//! The set-up of the Raft paper's Figure 16 on real processes: how long from the crash of a leader until another member has heard the next.
//!
//! Worst case by design: logs of different lengths, so that two of the four that are left cannot win; heartbeats of half the least timeout,
//! which a leader of ours sends to all in one step; no PreVote; and a crash at any moment between two heartbeats.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rafture_nemesis::clock::monotonic_ns;
use rafture_nemesis::disk::Trouble;
use rafture_nemesis::hosts::{Condition, Link, NetworkChoice};
use rafture_reports::tune::{Failure, Timing};
use rafture_sim::elections::Delay;
use rafture_workloads::systems::elections::ElectionStep;
use rafture_workloads::systems::{Options, Order};
use rand::RngExt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::elections::Seen;
use super::jobs::{Halt, in_parallel};
use super::outcome::Figures;
use super::scratch::Scratch;
use super::shares::{Found, Task, all_together};
use super::stage::{Setup, Well, on_stage};
use super::trial::Player;
use super::{Counter, FRUITLESS_MAX, Measured, Progress, told};
use crate::error::Error;
use crate::run::pulse::Pulse;

/// Servers, as in the paper.
const NODES: usize = 5;
/// The node of this project has no options.
static NO_OPTIONS: Options = Options::new();
/// A trial that was no trial is begun again so often.
const TRIES_MAX: u64 = 10;

/// So many crashes show what messages and syncs take by themselves.
const OWN_TRIALS: usize = 15;
/// Elections with these timeouts show it.
const OWN_TIMING: Timing = Timing { heartbeat_ms: 50.0, election_timeout_ms: [100.0, 200.0] };
/// What is next to nothing, but goes the same ways through the network and the disk as what is something.
const NEXT_TO_NOTHING: Duration = Duration::from_micros(1);

/// What is to be measured.
#[derive(Debug, Clone)]
pub(crate) struct Figure16Plan {
    /// The curves; clusters of its own for each.
    pub(crate) curves: Vec<Timing>,
    /// Crashes for each of them.
    pub(crate) trials: u64,
    /// How long a message takes from one server to another, all told.
    pub(crate) link: Delay,
    /// How long a server takes to store something, all told; `None` leaves it to this machine's disk. It takes FUSE.
    pub(crate) sync: Option<Delay>,
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

/// What came of it.
#[derive(Debug)]
pub(crate) struct Drawn {
    /// Of each curve, in their order.
    pub(crate) curves: Vec<Measured>,
    /// How long messages took, all told: what was asked for, unless this machine takes longer by itself.
    pub(crate) link: Delay,
    /// How long it took to store something.
    pub(crate) sync: Delay,
}

/// Measures. `write_ms` of a trial is there as well, though the paper has no such figure.
///
/// # Errors
/// When a cluster does not come up, or it was stopped.
pub(crate) fn figure16(
    plan: &Figure16Plan,
    stop: &watch::Receiver<bool>,
    note: &(dyn Fn(Progress) + Sync),
) -> Result<Drawn, Error> {
    let scratch = Scratch::within(&plan.folder)?;
    let counter = Counter { done: AtomicU64::new(0), of: plan.trials * plan.curves.len() as u64, note };
    let of = |(curve, &timing): (usize, &Timing)| Task::shares(curve, timing, (plan.trials, 1));
    let tasks: Vec<Task> = plan.curves.iter().enumerate().flat_map(of).collect();
    let own =
        in_parallel(&[()], (1, |()| 1), stop, |_, (), halt| own(plan, &scratch.join(tasks.len()), halt))?;
    let own = own[0];
    let curves = all_together(&plan.curves, tasks, plan.jobs, stop, |number, task, halt| {
        draw(plan, (own, task), &scratch.join(number), halt, &counter)
    })?;
    let sync = plan.sync.map_or(own.sync(), |sync| with(sync, own.sync_ns));
    Ok(Drawn { curves, link: with(plan.link, own.way_ns), sync })
}

/// What messages and syncs take by themselves, in nanoseconds: from when a server has decided until what it said is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Own {
    way_ns: u64,
    sync_ns: u64,
}

impl Own {
    fn sync(self) -> Delay {
        Delay { base_ns: self.sync_ns, tail_ns: 0 }
    }

    /// By an election that was won at the first attempt: the winner stores its vote and asks, others store theirs and answer; and then it
    /// speaks.
    fn of(seen: &[Seen]) -> Option<Own> {
        let led = seen.iter().find(|seen| seen.step == ElectionStep::Led)?;
        let mut stood = seen.iter().filter(|seen| (seen.step, seen.term) == (ElectionStep::Stood, led.term));
        let stood = stood.next().filter(|first| first.node == led.node && stood.next().is_none())?;
        let mut heard =
            seen.iter().filter(|seen| (seen.step, seen.term) == (ElectionStep::Followed, led.term));
        let way_ns = heard.next()?.at_ns.checked_sub(led.at_ns)?;
        let election_ns = led.at_ns.checked_sub(stood.at_ns)?;
        Some(Own { way_ns, sync_ns: (election_ns / 2).saturating_sub(way_ns) })
    }
}

/// What has to come on top of what something takes by itself, for it to take `meant` on average.
fn without(meant: Delay, own_ns: u64) -> Delay {
    let more = own_ns.saturating_sub(meant.base_ns);
    Delay { base_ns: meant.base_ns.saturating_sub(own_ns), tail_ns: meant.tail_ns.saturating_sub(more) }
}

/// What it takes then.
fn with(meant: Delay, own_ns: u64) -> Delay {
    let Delay { base_ns, tail_ns } = without(meant, own_ns);
    Delay { base_ns: base_ns + own_ns, tail_ns }
}

fn own(plan: &Figure16Plan, folder: &Path, halt: Halt) -> Result<Own, Error> {
    let nothing = Delay { base_ns: NEXT_TO_NOTHING.as_nanos() as u64, tail_ns: 0 };
    let links = links(nothing);
    let setup = setup(plan, (&OWN_TIMING, plan.seed), (&links, plan.sync.map(|_| disk(nothing))), folder);
    on_stage(&setup, halt, async |stage| {
        let mut player = Player::new(stage, setup.seed);
        let mut found = Vec::new();
        for _ in 0..OWN_TRIALS {
            if player.crash().await?.is_some() {
                found.extend(Own::of(player.stage.elections.seen()));
            }
        }
        let median = |figure: fn(&Own) -> u64| {
            let mut figures: Vec<u64> = found.iter().map(figure).collect();
            figures.sort_unstable();
            figures.get(figures.len() / 2).copied().unwrap_or_default()
        };
        Ok(Own { way_ns: median(|own| own.way_ns), sync_ns: median(|own| own.sync_ns) })
    })
}

fn links(delay: Delay) -> BTreeMap<Link, Condition> {
    let [delay, jitter] = [delay.base_ns, delay.tail_ns].map(Duration::from_nanos);
    let condition = Condition { delay, jitter, ..Condition::default() };
    match condition == Condition::default() {
        true => BTreeMap::new(),
        false => Link::all(NODES).map(|link| (link, condition)).collect(),
    }
}

fn disk(sync: Delay) -> Trouble {
    let [slow_sync, uneven_sync] = [sync.base_ns, sync.tail_ns].map(Duration::from_nanos);
    Trouble { slow_sync, uneven_sync, ..Trouble::default() }
}

fn setup<'s>(
    plan: &'s Figure16Plan,
    (timing, seed): (&Timing, u64),
    (links, disks): (&'s BTreeMap<Link, Condition>, Option<Trouble>),
    folder: &'s Path,
) -> Setup<'s> {
    Setup {
        system: "rafture",
        options: &NO_OPTIONS,
        nodes: NODES,
        timing: told(timing),
        seed,
        links,
        network: plan.network,
        rafture: &plan.rafture,
        pre_vote: Some(false),
        folder,
        disks,
    }
}

fn draw(
    plan: &Figure16Plan,
    (own, task): (Own, &Task),
    folder: &Path,
    halt: Halt,
    counter: &Counter<'_>,
) -> Result<Found, Error> {
    let links = links(without(plan.link, own.way_ns));
    let disks = plan.sync.map(|sync| disk(without(sync, own.sync_ns)));
    let seed = plan.seed.wrapping_add((task.share * plan.curves.len() + task.candidate) as u64);
    let setup = setup(plan, (&task.timing, seed), (&links, disks), folder);
    let pulse = Pulse::start().map_err(Error::harness)?;
    let mut found = on_stage(&setup, halt, async |stage| {
        let mut found = Found::default();
        let mut player = Player::new(stage, setup.seed);
        let mut fruitless = 0;
        for number in task.numbers.clone() {
            match player.crash().await? {
                Some(figures) => {
                    found.measured.trials.push(figures.trial(task.candidate, Failure::Kill, number));
                    fruitless = 0;
                }
                None => (fruitless, found.missed) = (fruitless + 1, found.missed + 1),
            }
            counter.count(1);
            if fruitless == FRUITLESS_MAX {
                let left = task.numbers.end - number - 1;
                found.missed += left;
                counter.count(left);
                break;
            }
        }
        Ok(found)
    })?;
    found.lateness = pulse.stop();
    Ok(found)
}

impl Player<'_> {
    /// Holds two followers back, and lets the leader crash; `None` if that was not to be had.
    async fn crash(&mut self) -> Result<Option<Figures>, Error> {
        for _ in 0..TRIES_MAX {
            let Some(well) = self.stage.become_well(self.stage.patience()).await? else {
                return Ok(None);
            };
            if self.connect(None).await.is_err() {
                continue;
            }
            let held = self.draw_two(well);
            if self.hold(well, held).await
                && let Some(figures) = self.strike(Failure::Kill, well, monotonic_ns()).await?
            {
                return Ok(Some(figures));
            }
            self.release(held).await;
        }
        Ok(None)
    }

    fn draw_two(&mut self, well: Well) -> [usize; 2] {
        let followers: Vec<usize> = (0..NODES).filter(|&node| node != well.leader).collect();
        let first = self.random.random_range(0..followers.len());
        let second = (first + self.random.random_range(1..followers.len())) % followers.len();
        [followers[first], followers[second]]
    }

    /// Two followers get no more entries, the second from one entry later on than the first. Tells whether the logs of all are as long
    /// as that makes them.
    async fn hold(&mut self, well: Well, held: [usize; 2]) -> bool {
        for node in held {
            let stage = &*self.stage;
            let asked = stage.system.order(Order::Hold, node, &stage.layout).await;
            if asked.is_err() || self.writers.write(well.leader).await.is_err() {
                return false;
            }
        }
        self.differ(well, held).await
    }

    /// If the leader still leads, it would hold them back for ever; if not, they are free, and nobody has to be asked.
    async fn release(&mut self, held: [usize; 2]) {
        let stage = &*self.stage;
        for node in held {
            let _ = stage.system.order(Order::Release, node, &stage.layout).await;
        }
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

#[cfg(test)]
mod tests {
    use super::ElectionStep::{Followed, Led, Stood};
    use super::*;

    fn seen(events: &[(usize, u64, u64, ElectionStep)]) -> Vec<Seen> {
        let seen = |&(node, at_ns, term, step)| Seen { node, at_ns, late_ns: 0, term, step };
        events.iter().map(seen).collect()
    }

    #[test]
    fn what_messages_and_syncs_take_is_seen_in_an_election_without_rivals() {
        let one = seen(&[(1, 100, 2, Stood), (1, 150, 2, Led), (3, 161, 2, Followed), (2, 159, 2, Followed)]);
        assert_eq!(Own::of(&one), Some(Own { way_ns: 11, sync_ns: 14 }));
        let rivals = seen(&[(1, 100, 2, Stood), (2, 101, 2, Stood), (1, 150, 2, Led), (3, 161, 2, Followed)]);
        assert_eq!(Own::of(&rivals), None);
        let later = seen(&[(2, 50, 1, Stood), (1, 100, 2, Stood), (1, 150, 2, Led), (3, 161, 2, Followed)]);
        assert!(Own::of(&later).is_some(), "a term before does not count");
        assert_eq!(Own::of(&seen(&[(1, 100, 2, Stood)])), None);
    }

    #[test]
    fn what_something_takes_by_itself_is_taken_off() {
        let meant = Delay { base_ns: 300, tail_ns: 400 };
        for (own_ns, rest, all) in
            [(100, (200, 400), (300, 400)), (500, (0, 200), (500, 200)), (900, (0, 0), (900, 0))]
        {
            let [found_rest, found_all] = [without(meant, own_ns), with(meant, own_ns)];
            assert_eq!((found_rest.base_ns, found_rest.tail_ns), rest);
            assert_eq!((found_all.base_ns, found_all.tail_ns), all);
        }
    }
}
