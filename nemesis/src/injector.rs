//! Carries a schedule out on a cluster. The only place where faults become deeds.
//!
//! Every deed goes the same way: its target is resolved, a line with its undo goes into the ledger, it is done, it is
//! proven, and at its end it is undone. What is in force is kept in one place, so that whatever ends the run, all of it
//! can be healed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::clock::RunClock;
use crate::clocks::{Change, SKEW_SHOWS_AFTER_MS};
use crate::cluster::{Cluster, NodeError, NodeState};
use crate::disk::{DiskError, Disks, Subject, Trouble};
use crate::fault::{DiskFault, Fault, FaultKind, Target};
use crate::grudge::{choose, describe, grudge};
use crate::hosts::{Condition, HostsError, Link};
use crate::ledger::{Ledger, LedgerLine, State};
use crate::links::{condition, proof};
use crate::schedule::{Episode, Schedule};

/// How often nodes are looked after while no fault is due.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// How long a leader is waited for when it is to be struck.
const LEADER_PATIENCE: Duration = Duration::from_secs(1);
/// How long a node may take to end by an error of its disk.
const END_PATIENCE: Duration = Duration::from_millis(300);
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
}

/// A fault in force, with all that it takes to undo it.
#[derive(Debug, Clone)]
struct Deed {
    fault: Fault,
    nodes: Vec<usize>,
    cut: BTreeSet<Link>,
    /// Links that it puts under a condition.
    conditions: BTreeMap<Link, Condition>,
    /// What becomes of the clocks of each node.
    clocks: BTreeMap<usize, Change>,
    /// What it does to disks.
    trouble: Trouble,
    seed: u64,
    /// It was meant for the leader, but struck another.
    leaderless: bool,
}

#[derive(Debug, Error)]
enum DeedError {
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Hosts(#[from] HostsError),
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl<'a> Injector<'a> {
    /// An injector with nothing in force, which writes every deed on `cluster` into `ledger` and tells `on_line`.
    pub fn new(
        cluster: &'a mut Cluster,
        ledger: Ledger,
        clock: RunClock,
        on_line: impl FnMut(&LedgerLine) + 'a,
    ) -> Injector<'a> {
        Injector { cluster, ledger, clock, on_line: Box::new(on_line), in_force: BTreeMap::new() }
    }

    /// Carries out `schedule` until it ends, `until` is over, or `stop` says so; then heals everything. `leader` is asked
    /// when a fault is to strike the leader.
    ///
    /// # Errors
    /// When the ledger cannot be written, or something cannot be healed.
    pub async fn run(
        &mut self,
        schedule: &Schedule,
        until: Duration,
        leader: impl AsyncFn() -> Option<usize>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), InjectorError> {
        let strikes = schedule.episodes.iter().map(|episode| (episode.at_ms, true, episode));
        let undos =
            schedule.episodes.iter().map(|episode| (episode.at_ms + episode.lasts_ms, false, episode));
        let mut moments: Vec<(u64, bool, &Episode)> = strikes.chain(undos).collect();
        // What ends at the same moment as something begins, ends first.
        moments.sort_by_key(|(at_ms, strikes, episode)| (*at_ms, *strikes, episode.id));
        let done = self.follow(&moments, until, leader, &mut stop).await;
        // Whatever went wrong, nothing stays broken.
        let healed = self.heal().await;
        done.and(healed)
    }

    async fn follow(
        &mut self,
        moments: &[(u64, bool, &Episode)],
        until: Duration,
        leader: impl AsyncFn() -> Option<usize>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), InjectorError> {
        for &(at_ms, strikes, episode) in moments {
            if !self.wait(Duration::from_millis(at_ms), stop).await {
                break;
            }
            match strikes {
                true => self.strike(episode, &leader).await?,
                false => self.undo(episode.id).await?,
            }
        }
        self.wait(until, stop).await;
        Ok(())
    }

    /// Undoes whatever is in force, as much of it as can be, and makes sure that every link carries again.
    ///
    /// # Errors
    /// The first thing that could not be undone.
    async fn heal(&mut self) -> Result<(), InjectorError> {
        let mut healed = Ok(());
        for id in self.in_force.keys().copied().collect::<Vec<_>>() {
            healed = healed.and(self.undo(id).await);
        }
        healed.and(self.prove_cut(&BTreeSet::new()).await.map(drop).map_err(InjectorError::Heal))
    }

    /// Waits for a moment of the run, and looks after the nodes meanwhile; `false` when told to stop.
    async fn wait(&mut self, moment: Duration, stop: &mut watch::Receiver<bool>) -> bool {
        loop {
            self.cluster.notice_crashes();
            self.cluster.settle_clocks();
            let left = moment.saturating_sub(Duration::from_nanos(self.clock.now()));
            if *stop.borrow() || left.is_zero() {
                return !*stop.borrow();
            }
            tokio::select! {
                () = sleep(left.min(LOOK_INTERVAL)) => {}
                // A sender that is gone says nothing more.
                Ok(()) = stop.changed() => {}
            }
        }
    }

    async fn strike(
        &mut self,
        episode: &Episode,
        leader: impl AsyncFn() -> Option<usize>,
    ) -> Result<(), InjectorError> {
        let leader = match episode.fault.target {
            Target::Leader => find_leader(leader).await,
            _ => None,
        };
        let decided = Instant::now();
        let deed = self.resolve(episode, leader);
        if deed.nodes.is_empty() && deed.cut.is_empty() && deed.conditions.is_empty() {
            let error = Some("no node is left to strike: all are down or paused already".into());
            return self.note(episode.id, &deed, State::Failed, |line| LedgerLine { error, ..line });
        }
        let undo = Some(deed.undo_in_words().to_owned());
        self.note(episode.id, &deed, State::Planned, |line| LedgerLine { undo, ..line })?;
        self.in_force.insert(episode.id, deed.clone());
        if let FaultKind::Disk(kind) = deed.fault.kind {
            self.mark(kind, &deed.nodes).await;
        }
        let processes = match self.apply(&deed) {
            Ok(processes) => processes,
            Err(error) => {
                let error = Some(error.to_string());
                return self.note(episode.id, &deed, State::Failed, |line| LedgerLine { error, ..line });
            }
        };
        let took_us = Some(decided.elapsed().as_micros() as u64);
        self.note(episode.id, &deed, State::Applied, |line| LedgerLine { took_us, ..line })?;
        match self.prove(&deed, &processes).await {
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

    fn resolve(&self, episode: &Episode, leader: Option<usize>) -> Deed {
        let mut random = ChaCha8Rng::seed_from_u64(episode.seed);
        let fault = episode.fault;
        let count = self.cluster.len();
        let available = match fault.kind {
            FaultKind::Kill | FaultKind::Disk(DiskFault::PowerLoss | DiskFault::TornWrite) => {
                [NodeState::Up, NodeState::Paused].map(|state| self.cluster.in_state(state)).concat()
            }
            FaultKind::Pause | FaultKind::Clock => self.cluster.in_state(NodeState::Up),
            FaultKind::Partition | FaultKind::Link(_) | FaultKind::Disk(_) | FaultKind::Simulated(_) => {
                (0..count).collect()
            }
        };
        let nodes = choose(fault.target, count, &available, leader, &mut random);
        let leaderless =
            fault.target == Target::Leader && leader.is_none_or(|leader| !nodes.contains(&leader));
        let cut = fault.shape.map(|shape| grudge(shape, count, &nodes, &mut random)).unwrap_or_default();
        let mut conditions = BTreeMap::new();
        if let FaultKind::Link(kind) = fault.kind {
            let condition = condition(kind, &mut random);
            let is_struck = |link: &Link| nodes.contains(&link.from) || nodes.contains(&link.to);
            conditions.extend(Link::all(count).filter(is_struck).map(|link| (link, condition)));
        }
        let mut clocks = BTreeMap::new();
        if fault.kind == FaultKind::Clock {
            clocks.extend(nodes.iter().map(|&node| (node, Change::draw(&mut random))));
        }
        let trouble = match fault.kind {
            FaultKind::Disk(kind) => Trouble::draw(kind, &mut random),
            _ => Trouble::default(),
        };
        Deed { fault, nodes, cut, conditions, clocks, trouble, seed: episode.seed, leaderless }
    }

    /// Does it; gives the processes that it was done to.
    fn apply(&mut self, deed: &Deed) -> Result<Vec<u32>, DeedError> {
        match deed.fault.kind {
            FaultKind::Kill => Ok(self.cluster.kill(&deed.nodes)?),
            FaultKind::Pause => Ok(self.cluster.pause(&deed.nodes)?),
            FaultKind::Partition => Ok(self.cluster.cut(&deed.cut).map(|_| Vec::new())?),
            FaultKind::Link(_) => Ok(self.condition(None, deed.seed).map(|()| Vec::new())?),
            FaultKind::Clock => Ok(self.cluster.bend_clocks(&deed.clocks)?),
            FaultKind::Disk(kind @ (DiskFault::PowerLoss | DiskFault::TornWrite)) => {
                let processes = self.cluster.kill(&deed.nodes)?;
                let loss = match kind {
                    DiskFault::TornWrite => crate::disk::Loss::Torn(deed.seed),
                    _ => crate::disk::Loss::All,
                };
                self.disks_mut().lose(&deed.nodes, loss)?;
                Ok(processes)
            }
            FaultKind::Disk(DiskFault::SlowDisk | DiskFault::IoError | DiskFault::DiskFull) => {
                self.excuse();
                self.trouble(deed.seed);
                Ok(Vec::new())
            }
            FaultKind::Simulated(_) => unreachable!("a plan for real processes has no such fault"),
        }
    }

    /// Puts links under the conditions of all deeds in force, but for one that is over.
    fn condition(&mut self, over: Option<u64>, seed: u64) -> Result<(), HostsError> {
        let mut conditions: BTreeMap<Link, Condition> = BTreeMap::new();
        for (_, deed) in self.in_force.iter().filter(|(id, _)| Some(**id) != over) {
            for (&link, &condition) in &deed.conditions {
                let all = conditions.entry(link).or_default();
                *all = all.and(condition);
            }
        }
        self.cluster.condition(conditions, seed)
    }

    /// Makes disks as bad as all deeds in force want them.
    fn trouble(&mut self, seed: u64) {
        for node in 0..self.cluster.len() {
            let deeds = self.in_force.values().filter(|deed| deed.nodes.contains(&node));
            let trouble = deeds.fold(Trouble::default(), |all, deed| all.and(deed.trouble));
            self.disks_mut().set(node, trouble, seed ^ node as u64);
        }
    }

    /// Who meets errors may end by them.
    fn excuse(&mut self) {
        let deeds = self.in_force.values().filter(|deed| deed.trouble.may_end_programs());
        let nodes = deeds.flat_map(|deed| &deed.nodes).copied().collect();
        self.cluster.excuse(&nodes);
    }

    fn disks_mut(&mut self) -> &mut Disks {
        self.cluster.disks_mut().expect("a plan with such faults has put disks under the nodes")
    }

    /// These nodes' disks, to be tried out by a thread that may wait.
    fn subjects(&self, nodes: &[usize]) -> Vec<Subject> {
        let disks = self.cluster.disks();
        nodes.iter().filter_map(|&node| Some(disks?.subject(node).clone())).collect()
    }

    /// What is about to be lost gets something in it that will be missed.
    async fn mark(&mut self, kind: DiskFault, nodes: &[usize]) {
        if !matches!(kind, DiskFault::PowerLoss | DiskFault::TornWrite) {
            return;
        }
        let subjects = self.subjects(nodes);
        let marking = spawn_blocking(move || {
            std::thread::scope(|scope| {
                let marks: Vec<_> = subjects.iter().map(|subject| scope.spawn(|| subject.mark())).collect();
                marks.into_iter().map(|mark| mark.join().unwrap_or(false)).collect::<Vec<_>>()
            })
        });
        let marked = marking.await.unwrap_or_default();
        for (&node, is_marked) in nodes.iter().zip(marked) {
            self.disks_mut().set_marked(node, is_marked);
        }
    }

    async fn prove_disks(&self, kind: DiskFault, deed: &Deed) -> Result<String, String> {
        let (subjects, asked) = (self.subjects(&deed.nodes), deed.trouble);
        let proving = spawn_blocking(move || {
            // All at once: each may have to wait for its disk.
            std::thread::scope(|scope| {
                let prove = |subject| scope.spawn(move || Subject::prove(subject, kind, asked));
                let proofs: Vec<_> = subjects.iter().map(prove).collect();
                let crashed = |_| Err("the attempt crashed".into());
                let each = proofs.into_iter().map(|proof| proof.join().unwrap_or_else(crashed));
                each.collect::<Result<Vec<_>, String>>()
            })
        });
        let words = proving.await.map_err(|error| error.to_string())??;
        let named = deed.nodes.iter().map(|&node| self.cluster.name(node)).zip(words);
        Ok(named.map(|(name, words)| format!("{name}: {words}")).collect::<Vec<_>>().join("; "))
    }

    /// Disks are good again, and who has ended by theirs is started.
    async fn restore_disks(&mut self, id: u64, deed: &Deed) -> Result<(), NodeError> {
        self.in_force.remove(&id);
        let failed = self.subjects(&deed.nodes).iter().map(Subject::has_failed).collect::<Vec<_>>();
        self.trouble(deed.seed);
        self.in_force.insert(id, deed.clone());
        // Who has met an error may be about to end by it; it must not do so when nobody expects it any more.
        let deadline = Instant::now() + END_PATIENCE;
        let is_about_to_end = |cluster: &Cluster| {
            let mut nodes = deed.nodes.iter().zip(&failed).filter(|(_, failed)| **failed);
            deed.trouble.may_end_programs() && nodes.any(|(&node, _)| cluster.state(node) == NodeState::Up)
        };
        while is_about_to_end(self.cluster) && Instant::now() < deadline {
            sleep(LOOK_INTERVAL).await;
            self.cluster.notice_crashes();
        }
        self.in_force.remove(&id);
        self.excuse();
        let elsewhere: BTreeSet<usize> = self
            .in_force
            .values()
            .filter(|deed| deed.trouble.may_end_programs())
            .flat_map(|deed| deed.nodes.clone())
            .collect();
        let mut started = Ok(());
        for node in self.cluster.fallen() {
            if !elsewhere.contains(&node) {
                started = started.and(self.cluster.start(node));
            }
        }
        self.in_force.insert(id, deed.clone());
        started
    }

    /// Links that carry nothing.
    fn cut(&self) -> BTreeSet<Link> {
        self.in_force.values().flat_map(|deed| &deed.cut).copied().collect()
    }

    /// Sees whether a deed bites, in words either way.
    async fn prove(&mut self, deed: &Deed, processes: &[u32]) -> Result<String, String> {
        if let FaultKind::Link(kind) = deed.fault.kind {
            let cut = self.cut();
            let links: BTreeSet<Link> =
                deed.conditions.keys().copied().filter(|link| !cut.contains(link)).collect();
            let asked = deed.conditions.values().next().copied().unwrap_or_default();
            return proof(kind, asked, self.cluster.hosts(), &links).await;
        }
        if deed.fault.kind == FaultKind::Partition {
            return self.prove_cut(&deed.cut).await;
        }
        if deed.fault.kind == FaultKind::Clock {
            return self.prove_clocks(&deed.clocks).await;
        }
        if let FaultKind::Disk(kind) = deed.fault.kind {
            return self.prove_disks(kind, deed).await;
        }
        // Killing and pausing wait for the fact: the process was reaped, or all of its threads stand still.
        let fact = if deed.fault.kind == FaultKind::Kill { "is gone" } else { "stands still" };
        let words: Vec<String> =
            processes.iter().map(|process| format!("process {process} {fact}")).collect();
        match words.is_empty() {
            true => Err("no process was there to strike".into()),
            false => Ok(words.join(", ")),
        }
    }

    /// Makes nodes read their clocks.
    async fn prove_clocks(&mut self, changes: &BTreeMap<usize, Change>) -> Result<String, String> {
        if changes.values().any(Change::is_gradual) {
            sleep(Duration::from_millis(SKEW_SHOWS_AFTER_MS)).await;
        }
        let mut words = Vec::new();
        for (&node, change) in changes {
            let seen = self.cluster.look_at_clocks(node).map_err(|error| error.to_string())?;
            let took_ms = self.cluster.clocks_took(node).as_secs_f64() * 1e3;
            let name = self.cluster.name(node);
            let seen = seen.ok_or_else(|| format!("{name} is gone"))?;
            let evidence = change.judge(seen).map_err(|error| format!("{name}: {error}"))?;
            words.push(format!("{name}, bent within {took_ms:.3} ms: {evidence}"));
        }
        Ok(words.join("; "))
    }

    /// Tries every link: those that are cut must carry nothing, and all others must carry.
    async fn prove_cut(&self, cut: &BTreeSet<Link>) -> Result<String, String> {
        // What is under a condition has a proof of its own, and may be slow or lossy.
        let conditioned = |link: &Link| self.in_force.values().any(|deed| deed.conditions.contains_key(link));
        let whole: BTreeSet<Link> =
            Link::all(self.cluster.len()).filter(|link| !cut.contains(link) && !conditioned(link)).collect();
        let mut complaint = String::new();
        for _ in 0..PROBES_MAX {
            let carried = self.cluster.hosts().probe(&whole).await.map_err(|error| error.to_string())?;
            let leaks = carried.intersection(cut).count();
            let silent = whole.difference(&carried).count();
            if leaks == 0 && silent == 0 {
                return Ok(format!("{} cut links carry nothing, {} others carry", cut.len(), whole.len()));
            }
            complaint = format!(
                "{leaks} of {} cut links carry, {silent} of {} others do not",
                cut.len(),
                whole.len()
            );
        }
        Err(complaint)
    }

    async fn undo(&mut self, id: u64) -> Result<(), InjectorError> {
        let Some(deed) = self.in_force.get(&id).cloned() else {
            return Ok(());
        };
        let undone = match deed.fault.kind {
            FaultKind::Kill | FaultKind::Disk(DiskFault::PowerLoss | DiskFault::TornWrite) => {
                self.restart(&deed).map_err(DeedError::from)
            }
            FaultKind::Disk(DiskFault::SlowDisk | DiskFault::IoError | DiskFault::DiskFull) => {
                self.restore_disks(id, &deed).await.map_err(DeedError::from)
            }
            FaultKind::Pause => self.cluster.resume(&deed.nodes).map_err(DeedError::from),
            FaultKind::Partition => self.cluster.cut(&BTreeSet::new()).map(drop).map_err(DeedError::from),
            // What others have put the same links under stays.
            FaultKind::Link(_) => self.condition(Some(id), deed.seed).map_err(DeedError::from),
            FaultKind::Clock => self.cluster.restore_clocks(&deed.nodes).map_err(DeedError::from),
            FaultKind::Simulated(_) => Ok(()),
        };
        if let Err(error) = undone {
            let text = error.to_string();
            let error = Some(text.clone());
            self.note(id, &deed, State::Failed, |line| LedgerLine { error, ..line })?;
            return Err(InjectorError::Heal(text));
        }
        self.in_force.remove(&id);
        self.note(id, &deed, State::Undone, |line| line)
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
        let line = add(LedgerLine {
            time: self.clock.now(),
            id,
            state,
            fault: deed.fault,
            nodes: deed.nodes.iter().map(|&node| self.cluster.name(node).to_owned()).collect(),
            detail: self.detail(deed),
            undo: None,
            took_us: None,
            evidence: None,
            error: None,
        });
        self.ledger.write(&line)?;
        (self.on_line)(&line);
        Ok(())
    }

    fn detail(&self, deed: &Deed) -> String {
        let names: Vec<&str> = deed.nodes.iter().map(|&node| self.cluster.name(node)).collect();
        let detail = match deed.fault.kind {
            FaultKind::Kill => format!("kill -9 {}", names.join(" ")),
            FaultKind::Pause => format!("stop {}", names.join(" ")),
            FaultKind::Partition => describe(self.cluster.len(), &deed.cut),
            FaultKind::Link(_) => {
                let condition = deed.conditions.values().next().copied().unwrap_or_default();
                format!("from and to {}: {condition}", names.join(" "))
            }
            FaultKind::Clock => {
                let words = deed
                    .clocks
                    .iter()
                    .map(|(&node, change)| format!("{}: {change}", self.cluster.name(node)));
                words.collect::<Vec<_>>().join("; ")
            }
            FaultKind::Disk(DiskFault::PowerLoss) => format!("power off {}", names.join(" ")),
            FaultKind::Disk(DiskFault::TornWrite) => {
                format!("power off {}, in the middle of writes", names.join(" "))
            }
            FaultKind::Disk(_) => format!("disk of {}: {}", names.join(" "), deed.trouble),
            FaultKind::Simulated(_) => names.join(" "),
        };
        match deed.leaderless {
            true => format!("{detail} (nobody led, or could be had)"),
            false => detail,
        }
    }
}

/// Who leads; between two leaders, it is waited for the next. After a while, somebody else must do.
async fn find_leader(leader: impl AsyncFn() -> Option<usize>) -> Option<usize> {
    let deadline = Instant::now() + LEADER_PATIENCE;
    loop {
        match leader().await {
            None if Instant::now() < deadline => sleep(LOOK_INTERVAL).await,
            found => return found,
        }
    }
}

impl Deed {
    fn undo_in_words(&self) -> &'static str {
        match self.fault.kind {
            FaultKind::Kill => "start the nodes again",
            FaultKind::Pause => "continue the processes",
            FaultKind::Partition => "cut no link",
            FaultKind::Link(_) => "make the links whole",
            FaultKind::Clock => "set the clocks right",
            FaultKind::Disk(DiskFault::PowerLoss | DiskFault::TornWrite) => "start the nodes again",
            FaultKind::Disk(_) => "make the disks good, and start who has ended by them",
            FaultKind::Simulated(_) => "none",
        }
    }
}
