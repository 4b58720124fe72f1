//! What faults do to disks: they are made as bad as all deeds in force want them, tried out, and made good again.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::deed::{Deed, What};
use super::{DeedError, Injector, LOOK_INTERVAL, OVERDUE_INTERVAL};
use crate::cluster::{Cluster, NodeError, NodeState};
use crate::disk::{Disks, Subject, Trouble};
use crate::fault::DiskFault;

/// How long a node may take to end by an error of its disk.
const END_PATIENCE: Duration = Duration::from_millis(300);
/// How many times it is waited for a node to find out that it cannot live with what is in its folder.
const LIFE_STEPS: u64 = 7;
/// How far a folder is set back, in milliseconds: the time between the copy and the end of the process.
const BACK_MS: std::ops::Range<u64> = 100..1500;

impl Injector<'_> {
    /// Makes disks as bad as all deeds in force want them.
    pub(super) fn trouble(&mut self, seed: u64) {
        for node in 0..self.cluster.len() {
            let deeds = self.in_force.values().filter(|deed| deed.nodes.contains(&node));
            let trouble = deeds.fold(Trouble::default(), |all, deed| all.and(deed.trouble()));
            self.disks_mut().set(node, trouble, seed ^ node as u64);
        }
    }

    /// Who meets errors may end by them.
    pub(super) fn excuse(&mut self) {
        let deeds = self.in_force.values().filter(|deed| deed.may_end_programs());
        let nodes = deeds.flat_map(|deed| &deed.nodes).chain(&self.forgetful).copied().collect();
        self.cluster.excuse(&nodes);
    }

    pub(super) fn disks_mut(&mut self) -> &mut Disks {
        self.cluster.disks_mut().expect("a plan with such faults has put disks under the nodes")
    }

    /// These nodes' disks, to be tried out by a thread that may wait.
    fn subjects(&self, nodes: &[usize]) -> Vec<Subject> {
        let disks = self.cluster.disks();
        nodes.iter().filter_map(|&node| Some(disks?.subject(node).clone())).collect()
    }

    /// What is about to be lost gets something in it that will be missed.
    pub(super) async fn mark(&mut self, nodes: &[usize]) {
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

    pub(super) async fn prove_disks(&self, kind: DiskFault, deed: &Deed) -> Result<String, String> {
        let (subjects, asked) = (self.subjects(&deed.nodes), deed.trouble());
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
    pub(super) async fn restore_disks(&mut self, id: u64, deed: &Deed) -> Result<(), NodeError> {
        self.in_force.remove(&id);
        let failed = self.subjects(&deed.nodes).iter().map(Subject::has_failed).collect::<Vec<_>>();
        self.trouble(deed.seed);
        self.in_force.insert(id, deed.clone());
        // Who has met an error may be about to end by it; it must not do so when nobody expects it any more.
        let deadline = Instant::now() + END_PATIENCE;
        let is_about_to_end = |cluster: &Cluster| {
            let mut nodes = deed.nodes.iter().zip(&failed).filter(|(_, failed)| **failed);
            deed.may_end_programs() && nodes.any(|(&node, _)| cluster.state(node) == NodeState::Up)
        };
        while is_about_to_end(self.cluster) && Instant::now() < deadline {
            sleep(LOOK_INTERVAL).await;
            self.cluster.notice_crashes();
        }
        self.start_fallen(id)
    }

    /// Nodes are killed, and a bit of each reads flipped when they start again: what they hold in memory, or have mapped, is as good as ever.
    pub(super) fn flip_bits(&mut self, deed: &Deed) -> Result<Vec<String>, DeedError> {
        self.excuse();
        let processes = self.cluster.kill(&deed.nodes)?;
        self.trouble(deed.seed);
        deed.nodes.iter().try_for_each(|&node| self.disks_mut().before_start(node))?;
        Ok(processes.into_iter().map(|process| format!("process {process} is gone")).collect())
    }

    /// Nodes start again to read what their files show, but for those that are down for another reason.
    pub(super) fn start_to_read(&mut self, deed: &Deed) -> Result<(), NodeError> {
        let keeps_down = |other: &&Deed| {
            matches!(
                other.what,
                What::Kill(_) | What::PowerOff(_) | What::Replace(_) | What::Remove | What::Wipe
            )
        };
        let down: Vec<usize> =
            self.in_force.values().filter(keeps_down).flat_map(|other| other.nodes.clone()).collect();
        let struck: Vec<usize> = deed.nodes.iter().copied().filter(|node| !down.contains(node)).collect();
        self.cluster.kill(&struck)?;
        struck.into_iter().try_for_each(|node| self.cluster.start(node))
    }

    /// Nodes are killed, and find their folders empty, or as they were a while ago; gives who is gone.
    pub(super) async fn replace_data(
        &mut self,
        kind: DiskFault,
        deed: &Deed,
    ) -> Result<Vec<String>, DeedError> {
        self.excuse();
        if kind == DiskFault::Rollback {
            deed.nodes.iter().try_for_each(|&node| self.disks_mut().keep(node))?;
            let back_ms = ChaCha8Rng::seed_from_u64(deed.seed).random_range(BACK_MS);
            sleep(Duration::from_millis(back_ms)).await;
        }
        let processes = self.cluster.kill(&deed.nodes)?;
        for &node in &deed.nodes {
            match kind {
                DiskFault::Rollback => self.disks_mut().roll_back(node)?,
                _ => self.disks_mut().wipe(node)?,
            }
        }
        Ok(processes.into_iter().map(|process| format!("process {process} is gone")).collect())
    }

    /// Nodes are started with what they find in their folders. Who ends by that in a while gets its own data back.
    pub(super) async fn live_on(&mut self, id: u64, deed: &Deed, is_healing: bool) -> Result<(), DeedError> {
        self.excuse();
        if deed.steps == 0 {
            self.restart(deed)?;
        }
        for _ in deed.steps..LIFE_STEPS {
            self.cluster.notice_crashes();
            if self.fallen_by(deed).len() == deed.nodes.len() {
                break;
            }
            if !is_healing {
                // Other faults are due meanwhile; it will be asked again.
                self.in_force.entry(id).and_modify(|deed| deed.steps += 1);
                return Err(DeedError::Declined("a node may still find out what it lacks".into()));
            }
            sleep(OVERDUE_INTERVAL).await;
        }
        self.cluster.notice_crashes();
        let fallen = self.fallen_by(deed);
        for &node in &deed.nodes {
            match fallen.contains(&node) {
                true => self.disks_mut().give_back(node)?,
                false => self.disks_mut().forget_own(node)?,
            }
        }
        Ok(self.start_fallen(id)?)
    }

    /// Which of its nodes have ended by themselves.
    fn fallen_by(&self, deed: &Deed) -> Vec<usize> {
        self.cluster.fallen().into_iter().filter(|node| deed.nodes.contains(node)).collect()
    }
}
