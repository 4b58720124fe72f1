//! What faults do to processes: ends and restarts in several manners, little processor time, no memory, a second process,
//! another program.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::time::sleep;

use super::deed::{Deed, Manner, What};
use super::{DeedError, Injector, LOOK_INTERVAL};
use crate::cluster::{NodeError, NodeState};
use crate::quota::PERIOD;

/// How long a process has to end when it is asked to, before it is killed.
const END_PATIENCE: Duration = Duration::from_secs(1);
/// How long a second process has to find out that it is one too many.
const TWIN_PATIENCE: Duration = Duration::from_millis(1500);
/// How long a process that wants processor time has to want too much.
const QUOTA_PATIENCE: Duration = PERIOD.saturating_mul(10);
/// A share of one processor that is far less than what a busy node wants.
const SHARES: std::ops::Range<f64> = 0.005..0.05;
/// How long one that has run out of memory may take to end.
const MEMORY_PATIENCE: Duration = Duration::from_millis(100);

impl Injector<'_> {
    /// Ends processes in that manner; in words, who is gone.
    pub(super) async fn end_processes(
        &mut self,
        deed: &Deed,
        manner: Manner,
    ) -> Result<Vec<String>, DeedError> {
        let ended = match manner {
            Manner::Once | Manner::Storm => self.cluster.kill(&deed.nodes)?,
            Manner::Rolling => self.cluster.kill(&deed.nodes[..1])?,
            Manner::Gentle => self.end_gently(&deed.nodes).await?,
        };
        Ok(ended.into_iter().map(|process| format!("process {process} is gone")).collect())
    }

    /// Asks nodes to end, and kills those that do not.
    async fn end_gently(&mut self, nodes: &[usize]) -> Result<Vec<u32>, NodeError> {
        let processes = self.cluster.ask_to_end(nodes)?;
        let deadline = Instant::now() + END_PATIENCE;
        while nodes.iter().any(|&node| self.cluster.state(node) == NodeState::Up) && Instant::now() < deadline
        {
            sleep(LOOK_INTERVAL).await;
            self.cluster.notice_crashes();
        }
        self.cluster.kill(nodes)?;
        Ok(processes)
    }

    /// The next step of a deed that has several, and how long after it comes the next.
    pub(super) async fn next_step(&mut self, deed: &Deed, step: u64) -> Result<Option<Duration>, DeedError> {
        let mut random = ChaCha8Rng::seed_from_u64(deed.seed ^ step);
        let mut milliseconds =
            |range: std::ops::Range<u64>| Duration::from_millis(random.random_range(range));
        let count = deed.nodes.len() as u64;
        match deed.what {
            // Down for a moment, up for a moment: some die before they have found out who they are, some just after.
            What::Kill(Manner::Storm) if step.is_multiple_of(2) => {
                self.start_all(&deed.nodes)?;
                Ok(Some(milliseconds(20..600)))
            }
            What::Kill(Manner::Storm) => {
                self.cluster.kill(&deed.nodes)?;
                Ok(Some(milliseconds(5..100)))
            }
            What::Kill(Manner::Rolling) if step.is_multiple_of(2) => {
                self.start_all(&deed.nodes)?;
                Ok(Some(milliseconds(200..1000)))
            }
            What::Kill(Manner::Rolling) => {
                let node = deed.nodes[((step / 2 + 1) % count) as usize];
                self.cluster.kill(&[node])?;
                Ok(Some(milliseconds(50..400)))
            }
            // What files show is read by who starts.
            What::Trouble(..) if step == 0 => {
                self.start_to_read(deed)?;
                Ok(None)
            }
            What::Upgrade if step + 1 < count => {
                self.upgrade(deed.nodes[step as usize + 1]).await?;
                Ok((step + 2 < count).then(|| milliseconds(300..1000)))
            }
            What::Reset => {
                self.cluster.reset(&deed.nodes)?;
                Ok(Some(milliseconds(100..1000)))
            }
            _ => Ok(None),
        }
    }

    fn start_all(&mut self, nodes: &[usize]) -> Result<(), NodeError> {
        nodes.iter().try_for_each(|&node| self.cluster.start(node))
    }

    /// A node goes on with the program that it is to be upgraded to; in words, which that is.
    pub(super) async fn upgrade(&mut self, node: usize) -> Result<String, DeedError> {
        let program = self.cluster.upgrade().ok_or(DeedError::NoUpgrade)?.to_owned();
        self.end_gently(&[node]).await?;
        self.cluster.set_program(node, program.clone());
        self.cluster.start(node)?;
        let name = self.cluster.name(node).to_owned();
        let runs = self.cluster.running_program(node).unwrap_or_default();
        match program.canonicalize().is_ok_and(|program| program == runs) {
            true => Ok(format!("{name} runs {}", runs.display())),
            false => Err(DeedError::WrongProgram(name, runs)),
        }
    }

    /// Sees whether nodes with little processor time would have wanted more.
    pub(super) async fn prove_quota(&self, nodes: &[usize]) -> Result<String, String> {
        let deadline = Instant::now() + QUOTA_PATIENCE;
        loop {
            let quotas = self.cluster.quotas(nodes);
            let words = || {
                let words = quotas.iter().map(|quota| format!("{} of {}", quota.held, quota.periods));
                words.collect::<Vec<_>>().join(", ")
            };
            if !quotas.is_empty() && quotas.iter().all(|quota| quota.held > 0 && quota.periods > 1) {
                return Ok(format!("stood still for the rest of {} periods of {PERIOD:?}", words()));
            }
            if Instant::now() > deadline {
                return Err(format!("wanted no more than they got in all of {} periods", words()));
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// Starts a second process of each node.
    pub(super) fn start_twins(&mut self, nodes: &[usize]) -> Result<Vec<String>, DeedError> {
        let mut words = Vec::new();
        for &node in nodes {
            let process = self.cluster.start_twin(node)?;
            words.push(format!(
                "process {process} of {} was started beside the first",
                self.cluster.name(node)
            ));
        }
        Ok(words)
    }

    /// What becomes of the second processes: those that find the place taken end, others go on.
    pub(super) async fn prove_twins(
        &mut self,
        nodes: &[usize],
        started: &[String],
    ) -> Result<String, String> {
        let deadline = Instant::now() + TWIN_PATIENCE;
        let mut ends: Vec<Option<String>> = vec![None; nodes.len()];
        while ends.iter().any(Option::is_none) && Instant::now() < deadline {
            for (end, &node) in ends.iter_mut().zip(nodes).filter(|(end, _)| end.is_none()) {
                *end = self.cluster.twin_ended(node);
            }
            sleep(LOOK_INTERVAL).await;
        }
        let words = started.iter().zip(ends).map(|(started, end)| match end {
            Some(end) => format!("{started}, and ended with {end}"),
            None => format!("{started}, and goes on"),
        });
        Ok(words.collect::<Vec<_>>().join("; "))
    }

    /// Nodes get no more memory; in words, how much they have.
    pub(super) fn limit_memory(&mut self, nodes: &[usize]) -> Result<Vec<String>, DeedError> {
        self.excuse();
        let sizes = self.cluster.limit_memory(nodes)?;
        let names = nodes.iter().map(|&node| self.cluster.name(node));
        let words = names.zip(sizes).map(|(name, bytes)| {
            format!("{name} has {} MiB of address space, and is refused every further page", bytes >> 20)
        });
        Ok(words.collect())
    }

    /// Nodes get memory again, and who has ended for lack of it is started.
    pub(super) async fn free_memory(&mut self, id: u64, deed: &Deed) -> Result<(), NodeError> {
        self.cluster.free_memory(&deed.nodes);
        // Who was refused some may be about to end by it; it must not do so when nobody expects it any more.
        sleep(MEMORY_PATIENCE).await;
        self.cluster.notice_crashes();
        self.start_fallen(id)
    }

    /// Starts who has ended by a fault that is over and by none that is still in force.
    pub(super) fn start_fallen(&mut self, over: u64) -> Result<(), NodeError> {
        let deed = self.in_force.remove(&over);
        self.excuse();
        let deeds = self.in_force.values().filter(|deed| deed.may_end_programs());
        let elsewhere: Vec<usize> = deeds.flat_map(|deed| &deed.nodes).copied().collect();
        let mut started = Ok(());
        for node in self.cluster.fallen().into_iter().filter(|node| !elsewhere.contains(node)) {
            started = started.and(self.cluster.start(node));
        }
        self.in_force.extend(deed.map(|deed| (over, deed)));
        started
    }
}

/// A share of one processor for a node, drawn.
pub(super) fn draw_share(random: &mut ChaCha8Rng) -> f64 {
    random.random_range(SHARES)
}
