//! Carries a schedule out on a cluster. The only place where faults become deeds.
//!
//! In reading order: `deed` is a fault in force; `follow` goes through the schedule; this file takes each fault from its ledger line to its undoing; `processes`, `links`, `clocks`,
//! `disks` and `members` have what is particular to each family.
//!
//! Every deed goes the same way: its target is resolved, a line with its undo goes into the ledger, it is done, it is
//! proven, and at its end it is undone. What is in force is kept in one place, so that whatever ends the run, all of it
//! can be healed.

mod clocks;
mod deed;
mod disks;
mod follow;
mod links;
mod members;
mod processes;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::administrator::Administrator;
use crate::clock::RunClock;
use crate::clocks::Change;
use crate::cluster::{Cluster, NodeError, NodeState};
use crate::disk::{DiskError, Loss, Trouble};
use crate::fault::{ClusterFault, DiskFault, FaultKind, NodeNumber, Shape, Strength, Target};
use crate::grudge::{Roles, choose, grudge};
use crate::hosts::{HostsError, Link};
use crate::ledger::{Ledger, LedgerLine, Seen, State};
use crate::links::condition;
use crate::moments::{Event, Sighting, Sign};
use crate::schedule::{Episode, Schedule};
use deed::{Deed, Manner, What};

/// How often nodes are looked after while no fault is due.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// How long a leader is waited for when it is to be struck.
const LEADER_PATIENCE: Duration = Duration::from_secs(1);
/// When a deed with several steps does its second.
const FIRST_STEP_AFTER: Duration = Duration::from_millis(100);
/// When the cluster is asked again to take a member back.
const OVERDUE_INTERVAL: Duration = Duration::from_millis(300);
/// How often a cut is tried before it counts as toothless: the machine may be slow.
const PROBES_MAX: usize = 3;

/// Why the injector cannot go on.
#[derive(Debug, Error)]
pub enum InjectorError {
    /// A deed must not be done without the ledger.
    #[error("cannot write the fault ledger: {0} (hint: is the disk full?)")]
    Ledger(#[from] io::Error),
    /// A fault cannot be taken back.
    #[error("cannot heal: {0}")]
    Heal(String),
}

/// Carries out one schedule.
pub struct Injector<'a> {
    cluster: &'a mut Cluster,
    ledger: Ledger,
    clock: RunClock,
    /// Is told every line of the ledger.
    on_line: Box<dyn FnMut(&LedgerLine) + 'a>,
    /// Whatever has to be undone, by its number in the ledger.
    in_force: BTreeMap<u64, Deed>,
    /// Nodes that something they had synced was taken from: they may find out at any time, and end by it.
    forgetful: BTreeSet<usize>,
}

#[derive(Debug, Error)]
enum DeedError {
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Hosts(#[from] HostsError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("the cluster did not do it: {0}")]
    Declined(String),
    #[error("there is no program to upgrade to")]
    NoUpgrade,
    #[error("{0} runs {1} after its upgrade")]
    WrongProgram(String, PathBuf),
}

impl<'a> Injector<'a> {
    /// An injector with nothing in force, which writes every deed on `cluster` into `ledger` and tells `on_line`.
    pub fn new(
        cluster: &'a mut Cluster,
        ledger: Ledger,
        clock: RunClock,
        on_line: impl FnMut(&LedgerLine) + 'a,
    ) -> Injector<'a> {
        Injector {
            cluster,
            ledger,
            clock,
            on_line: Box::new(on_line),
            in_force: BTreeMap::new(),
            forgetful: BTreeSet::new(),
        }
    }

    /// Carries out `schedule` until it says itself that it ends, or else until `until` is over, or until `stop` says so; then heals
    /// everything. `administrator` is asked who is who when a fault is to strike one.
    ///
    /// # Errors
    /// When the ledger cannot be written, or something cannot be healed.
    pub async fn run(
        &mut self,
        schedule: &Schedule,
        until: Duration,
        administrator: &dyn Administrator,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), InjectorError> {
        let done = self.follow(schedule, until, administrator, &mut stop).await;
        // Whatever went wrong, nothing stays broken.
        let healed = self.heal(administrator).await;
        done.and(healed)
    }

    /// Goes on with deeds that have several steps, and with undoing those that could not be undone so far.
    async fn take_steps(&mut self, administrator: &dyn Administrator) -> Result<(), InjectorError> {
        let now = Instant::now();
        let due = self.in_force.iter().filter(|(_, deed)| deed.next.is_some_and(|next| next <= now));
        for id in due.map(|(&id, _)| id).collect::<Vec<_>>() {
            let deed = self.in_force[&id].clone();
            if deed.is_overdue {
                self.undo(id, administrator, false).await?;
                continue;
            }
            let stepped = self.next_step(&deed, deed.steps).await;
            let after = stepped.as_ref().ok().copied().flatten();
            if let Err(error) = stepped {
                let error = Some(error.to_string());
                self.note(id, &deed, State::Failed, |line| LedgerLine { error, ..line })?;
            }
            if let Some(deed) = self.in_force.get_mut(&id) {
                (deed.next, deed.steps) = (after.map(|after| Instant::now() + after), deed.steps + 1);
            }
        }
        Ok(())
    }

    /// Undoes whatever is in force, as much of it as can be, and makes sure that every link carries again.
    ///
    /// # Errors
    /// The first thing that could not be undone.
    async fn heal(&mut self, administrator: &dyn Administrator) -> Result<(), InjectorError> {
        let mut healed = Ok(());
        // A cluster can take members back when everything else is well.
        let mut ids: Vec<(bool, u64)> =
            self.in_force.iter().map(|(&id, deed)| (deed.takes_members_out(), id)).collect();
        ids.sort_unstable();
        for (_, id) in ids {
            healed = healed.and(self.undo(id, administrator, true).await);
        }
        // Who has found out late what was taken from it gets another chance.
        self.cluster.notice_crashes();
        for node in self.cluster.fallen() {
            let started = self.cluster.start(node);
            healed = healed.and(started.map_err(|error| InjectorError::Heal(error.to_string())));
        }
        healed.and(self.prove_cut(&BTreeSet::new()).await.map(drop).map_err(InjectorError::Heal))
    }

    /// Does what an episode says, in a moment that was `seen` if it waited for one.
    async fn strike(
        &mut self,
        episode: &Episode,
        seen: Option<&Sighting>,
        administrator: &dyn Administrator,
    ) -> Result<(), InjectorError> {
        let episode = &aimed(episode, seen);
        let roles = match episode.fault.target {
            // Who has just been elected leads, and nobody need be asked.
            Target::Leader | Target::LeaderAndMinority if is_election(episode) && seen.is_some() => {
                Roles { leader: seen.map(|seen| seen.node), ..Roles::default() }
            }
            Target::Leader
            | Target::LeaderAndMinority
            | Target::Follower
            | Target::Behind
            | Target::OldLeader => find_roles(administrator).await,
            Target::One
            | Target::Minority
            | Target::Majority
            | Target::All
            | Target::Node(_)
            | Target::Link(_) => Roles::default(),
        };
        let decided = Instant::now();
        let deed = self.resolve(episode, roles);
        if deed.is_empty() {
            let error = Some("no node is left to strike: all are down or paused already".into());
            return self.note(episode.id, &deed, State::Failed, |line| LedgerLine { error, ..line });
        }
        let is_out = |deed: &Deed| deed.takes_members_out();
        if is_out(&deed) && self.in_force.values().any(is_out) {
            let error = Some("another member is still out".into());
            return self.note(episode.id, &deed, State::Declined, |line| LedgerLine { error, ..line });
        }
        let undo = Some(deed.undo_in_words().to_owned());
        let moment = seen.map(|seen| self.moment(seen));
        self.note(episode.id, &deed, State::Planned, |line| LedgerLine { undo, moment, ..line })?;
        self.in_force.insert(episode.id, deed.clone());
        if let What::PowerOff(_) = deed.what {
            self.mark(&deed.nodes).await;
        }
        let facts = match self.apply(&deed, administrator).await {
            Ok(facts) => facts,
            Err(error @ DeedError::Declined(_)) => {
                // What was asked of the cluster may still come to pass.
                if !deed.takes_members_out() {
                    self.in_force.remove(&episode.id);
                }
                let error = Some(error.to_string());
                return self.note(episode.id, &deed, State::Declined, |line| LedgerLine { error, ..line });
            }
            Err(error) => {
                let error = Some(error.to_string());
                return self.note(episode.id, &deed, State::Failed, |line| LedgerLine { error, ..line });
            }
        };
        let took_us = Some(decided.elapsed().as_micros() as u64);
        self.note(episode.id, &deed, State::Applied, |line| LedgerLine { took_us, ..line })?;
        if let Some(deed) = self.in_force.get_mut(&episode.id) {
            deed.next = deed.has_steps().then(|| Instant::now() + FIRST_STEP_AFTER);
        }
        match self.prove(&deed, &facts).await {
            Ok(evidence) => {
                let evidence = Some(evidence);
                self.note(episode.id, &deed, State::Proven, |line| LedgerLine { evidence, ..line })
            }
            Err(error) => {
                let error = Some(error);
                self.note(episode.id, &deed, State::Failed, |line| LedgerLine { error, ..line })
            }
        }
    }

    fn resolve(&self, episode: &Episode, roles: Roles) -> Deed {
        let mut random = ChaCha8Rng::seed_from_u64(episode.seed);
        let fault = episode.fault;
        let count = self.cluster.len();
        let available = match fault.kind {
            FaultKind::Kill
            | FaultKind::Disk(
                DiskFault::PowerLoss | DiskFault::TornWrite | DiskFault::Rollback | DiskFault::Amnesia,
            )
            | FaultKind::Cluster(ClusterFault::Membership | ClusterFault::Wipe) => {
                [NodeState::Up, NodeState::Paused].map(|state| self.cluster.in_state(state)).concat()
            }
            FaultKind::Pause
            | FaultKind::Clock
            | FaultKind::Cpu
            | FaultKind::Memory
            | FaultKind::Twin
            | FaultKind::Upgrade
            | FaultKind::Reset
            | FaultKind::Cluster(ClusterFault::Transfer | ClusterFault::Snapshot) => {
                self.cluster.in_state(NodeState::Up)
            }
            _ => (0..count).collect(),
        };
        let nodes = choose(fault.target, count, &available, roles, &mut random);
        let leaderless = matches!(fault.target, Target::Leader | Target::LeaderAndMinority)
            && roles.leader.is_none_or(|leader| !nodes.contains(&leader));
        let what = match fault.kind {
            FaultKind::Kill => What::Kill(match fault.shape {
                Some(Shape::Gentle) => Manner::Gentle,
                Some(Shape::Storm) => Manner::Storm,
                Some(Shape::Rolling) => Manner::Rolling,
                _ => Manner::Once,
            }),
            FaultKind::Cpu => What::Quota(match fault.strength {
                Some(Strength::Millionths(share)) => f64::from(share) / 1e6,
                _ => processes::draw_share(&mut random),
            }),
            FaultKind::Memory => What::Memory,
            FaultKind::Twin => What::Twin,
            FaultKind::Upgrade => What::Upgrade,
            FaultKind::Reset => What::Reset,
            FaultKind::Cluster(ClusterFault::Membership) => What::Remove,
            FaultKind::Cluster(ClusterFault::Wipe) => What::Wipe,
            FaultKind::Cluster(ClusterFault::Transfer) => What::Transfer,
            FaultKind::Cluster(ClusterFault::Snapshot) => What::Snapshot,
            FaultKind::Pause => What::Pause,
            FaultKind::Partition => {
                let shape = fault.shape.expect("a partition has a shape");
                What::Cut(match fault.target {
                    Target::Link(name) => [Link::named(name, count)].into(),
                    _ => grudge(shape, count, &nodes, &mut random),
                })
            }
            FaultKind::Link(kind) => {
                let (from, to) =
                    (|link: &Link| nodes.contains(&link.from), |link: &Link| nodes.contains(&link.to));
                let links = match fault.shape {
                    _ if let Target::Link(name) = fault.target => [Link::named(name, count)].into(),
                    Some(Shape::Clients) => grudge(Shape::Clients, count, &nodes, &mut random),
                    Some(Shape::From) => Link::all(count).filter(from).collect(),
                    Some(Shape::To) => Link::all(count).filter(to).collect(),
                    _ => Link::all(count).filter(|link| from(link) || to(link)).collect(),
                };
                What::Condition(condition(kind, fault.strength, &mut random), links)
            }
            FaultKind::Clock => {
                let mut change = || match fault.shape {
                    Some(shape) => Change::shaped(shape, fault.strength, &mut random),
                    None => Change::draw(&mut random),
                };
                What::Clocks(nodes.iter().map(|&node| (node, change())).collect())
            }
            FaultKind::Disk(kind @ (DiskFault::PowerLoss | DiskFault::TornWrite)) => What::PowerOff(kind),
            FaultKind::Disk(kind @ (DiskFault::Rollback | DiskFault::Amnesia)) => What::Replace(kind),
            FaultKind::Disk(kind) => {
                What::Trouble(kind, Trouble::draw(kind, fault.shape, fault.strength, &mut random))
            }
        };
        Deed { fault, nodes, what, seed: episode.seed, next: None, steps: 0, is_overdue: false, leaderless }
    }

    /// Does it; gives what was seen of it at once, in words.
    async fn apply(
        &mut self,
        deed: &Deed,
        administrator: &dyn Administrator,
    ) -> Result<Vec<String>, DeedError> {
        let none = |()| Vec::new();
        if matches!(deed.what, What::Replace(_)) || deed.trouble().lies() {
            self.forgetful.extend(&deed.nodes);
        }
        // Killing and pausing wait for the fact: the process was reaped, or all of its threads stand still.
        let each = |processes: Vec<u32>, fact: &str| {
            processes.into_iter().map(|process| format!("process {process} {fact}")).collect()
        };
        match &deed.what {
            What::Kill(manner) => self.end_processes(deed, *manner).await,
            What::Pause => Ok(each(self.cluster.pause(&deed.nodes)?, "stands still")),
            What::Quota(share) => Ok(each(self.cluster.set_quota(&deed.nodes, Some(*share))?, "has a quota")),
            What::Memory => self.limit_memory(&deed.nodes),
            What::Twin => self.start_twins(&deed.nodes),
            What::Upgrade => Ok(vec![self.upgrade(deed.nodes[0]).await?]),
            What::Reset => {
                let broken = self.cluster.reset(&deed.nodes)?;
                Ok((broken > 0)
                    .then(|| format!("{broken} connections were broken off"))
                    .into_iter()
                    .collect())
            }
            What::Remove | What::Wipe | What::Transfer | What::Snapshot => {
                self.strike_members(deed, administrator).await
            }
            What::Cut(_) => Ok(self.cut(None).map(none)?),
            What::Condition(..) => Ok(self.condition(None, deed.seed).map(none)?),
            What::Clocks(changes) => Ok(each(self.cluster.bend_clocks(changes)?, "has bent clocks")),
            What::PowerOff(kind) => {
                let processes = self.cluster.kill(&deed.nodes)?;
                let loss = match (kind, deed.fault.shape) {
                    (DiskFault::TornWrite, _) => Loss::Torn(deed.seed),
                    (_, Some(Shape::OneFile)) => Loss::OneFile(deed.seed),
                    _ => Loss::All,
                };
                self.disks_mut().lose(&deed.nodes, loss)?;
                Ok(each(processes, "is gone"))
            }
            What::Replace(kind) => self.replace_data(*kind, deed).await,
            What::Trouble(_, trouble) if trouble.flips > 0 => self.flip_bits(deed),
            What::Trouble(..) => {
                self.excuse();
                self.trouble(deed.seed);
                Ok(Vec::new())
            }
        }
    }

    /// Sees whether a deed bites, in words either way.
    async fn prove(&mut self, deed: &Deed, facts: &[String]) -> Result<String, String> {
        match &deed.what {
            What::Cut(_) => self.prove_cut(&self.links_cut()).await,
            What::Condition(asked, links) => {
                let FaultKind::Link(kind) = deed.fault.kind else { unreachable!("it is one of links") };
                self.prove_condition(kind, *asked, links).await
            }
            What::Clocks(changes) => self.prove_clocks(changes).await,
            What::PowerOff(kind) | What::Replace(kind) | What::Trouble(kind, _) => {
                self.prove_disks(*kind, deed).await
            }
            What::Quota(_) => self.prove_quota(&deed.nodes).await,
            What::Twin => self.prove_twins(&deed.nodes, facts).await,
            What::Reset if facts.is_empty() => Err("there was no connection to break off".into()),
            _ if facts.is_empty() => Err("no process was there to strike".into()),
            _ => Ok(facts.join(", ")),
        }
    }

    async fn undo(
        &mut self,
        id: u64,
        administrator: &dyn Administrator,
        is_healing: bool,
    ) -> Result<(), InjectorError> {
        let Some(deed) = self.in_force.get(&id).cloned() else {
            return Ok(());
        };
        let undone = match &deed.what {
            What::Kill(_) | What::PowerOff(_) => self.restart(&deed).map_err(DeedError::from),
            What::Pause => self.cluster.resume(&deed.nodes).map_err(DeedError::from),
            What::Quota(_) => self.cluster.set_quota(&deed.nodes, None).map(drop).map_err(DeedError::from),
            What::Memory => self.free_memory(id, &deed).await.map_err(DeedError::from),
            What::Twin => self.cluster.kill_twins(&deed.nodes).map_err(DeedError::from),
            What::Upgrade | What::Reset | What::Transfer | What::Snapshot => Ok(()),
            What::Remove | What::Wipe => self.take_back(&deed, administrator, is_healing).await,
            // What others have done to the same links stays.
            What::Cut(_) => self.cut(Some(id)).map_err(DeedError::from),
            What::Condition(..) => self.condition(Some(id), deed.seed).map_err(DeedError::from),
            What::Clocks(_) => self.cluster.restore_clocks(&deed.nodes).map_err(DeedError::from),
            What::Replace(_) => self.live_on(id, &deed, is_healing).await,
            What::Trouble(..) => self.restore_disks(id, &deed).await.map_err(DeedError::from),
        };
        match undone {
            Ok(()) => {
                self.in_force.remove(&id);
                let evidence = deed.course();
                self.note(id, &deed, State::Undone, |line| LedgerLine { evidence, ..line })
            }
            Err(DeedError::Declined(_)) if !is_healing => {
                if let Some(deed) = self.in_force.get_mut(&id) {
                    (deed.is_overdue, deed.next) = (true, Some(Instant::now() + OVERDUE_INTERVAL));
                }
                Ok(())
            }
            Err(error) => {
                let text = error.to_string();
                let error = Some(text.clone());
                self.note(id, &deed, State::Failed, |line| LedgerLine { error, ..line })?;
                // What a cluster does not do is for those to judge who judge the cluster; all else is tried again when the run ends.
                match deed.takes_members_out() {
                    true => {
                        self.in_force.remove(&id);
                        Ok(())
                    }
                    false => Err(InjectorError::Heal(text)),
                }
            }
        }
    }

    /// Starts all that can be started.
    fn restart(&mut self, deed: &Deed) -> Result<(), NodeError> {
        let mut started = Ok(());
        for &node in &deed.nodes {
            started = started.and(self.cluster.start(node));
        }
        started
    }

    fn note(
        &mut self,
        id: u64,
        deed: &Deed,
        state: State,
        add: impl FnOnce(LedgerLine) -> LedgerLine,
    ) -> Result<(), InjectorError> {
        let count = self.cluster.len();
        let line = add(LedgerLine {
            nodes: deed.nodes.iter().map(|&node| self.cluster.name(node).to_owned()).collect(),
            harmed: deed.harmed(count).into_iter().map(|node| self.cluster.name(node).to_owned()).collect(),
            detail: deed.detail(self.cluster),
            ..LedgerLine::of(self.clock.now(), id, state, deed.fault)
        });
        self.write(&line)
    }

    fn write(&mut self, line: &LedgerLine) -> Result<(), InjectorError> {
        self.ledger.write(line)?;
        (self.on_line)(line);
        Ok(())
    }

    /// What was seen, on the time axis of the run.
    fn moment(&self, seen: &Sighting) -> Seen {
        Seen {
            node: self.cluster.name(seen.node).to_owned(),
            time: seen.time_ns.map(|time| time.saturating_sub(self.clock.start_ns())),
            words: seen.words.clone(),
        }
    }
}

/// The episode, aimed at the node where its moment was seen if it is to strike there.
fn aimed(episode: &Episode, seen: Option<&Sighting>) -> Episode {
    let mut episode = episode.clone();
    if let Some(seen) = seen.filter(|_| episode.there) {
        episode.fault.target = Target::Node(NodeNumber(seen.node + 1));
    }
    episode
}

/// Whether an episode waits for a leader.
fn is_election(episode: &Episode) -> bool {
    episode.when.as_ref().is_some_and(|moment| moment.sign == Sign::Event(Event::LeaderElected))
}

/// Who is who; between two leaders, it is waited for the next. After a while, somebody else must do.
async fn find_roles(administrator: &dyn Administrator) -> Roles {
    let deadline = Instant::now() + LEADER_PATIENCE;
    loop {
        match administrator.roles().await {
            Roles { leader: None, .. } if Instant::now() < deadline => sleep(LOOK_INTERVAL).await,
            roles => return roles,
        }
    }
}
