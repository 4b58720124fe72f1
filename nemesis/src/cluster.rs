//! The nodes of a cluster on their hosts: which are up, paused or down, and how they get from one to the other.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use thiserror::Error;

use crate::clocks::{Change, Sighting};
use crate::disk::Disks;
use crate::hosts::{Condition, Hosts, HostsError, Link};
use crate::process::{self, NodeSpec, Process, Spawner};

/// How long a node has to end when it is asked to.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// What a node is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It runs.
    Up,
    /// It stands still.
    Paused,
    /// It is not there.
    Down,
}

/// Why something could not be done to a node.
#[derive(Debug, Error)]
#[error("cannot {deed} {node}: {source}")]
pub struct NodeError {
    deed: &'static str,
    node: String,
    source: io::Error,
}

/// A cluster. Dropping it kills whatever runs.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    hosts: Hosts,
    spawner: Spawner,
    crashes: Vec<String>,
    /// After the nodes: they must be gone when it is dropped.
    disks: Option<Disks>,
}

#[derive(Debug)]
struct Node {
    spec: NodeSpec,
    process: Option<Process>,
    paused: bool,
    /// A fault is, or was just now, in force that it may rightly end by.
    may_end: bool,
    /// It has ended by such a fault.
    fell: bool,
}

impl Cluster {
    /// A cluster of nodes that are all down.
    ///
    /// # Errors
    /// When there can be no more threads.
    pub fn new(hosts: Hosts, specs: Vec<NodeSpec>) -> io::Result<Cluster> {
        let nodes = specs.into_iter().map(|spec| Node {
            spec,
            process: None,
            paused: false,
            may_end: false,
            fell: false,
        });
        let (nodes, spawner) = (nodes.collect(), Spawner::start()?);
        Ok(Cluster { nodes, hosts, spawner, crashes: Vec::new(), disks: None })
    }

    /// From now on these are under the nodes' data folders.
    pub fn put_on(&mut self, disks: Disks) {
        self.disks = Some(disks);
    }

    /// What is under the nodes' data folders, if anything.
    pub fn disks(&self) -> Option<&Disks> {
        self.disks.as_ref()
    }

    /// The same, to do something to it.
    pub fn disks_mut(&mut self) -> Option<&mut Disks> {
        self.disks.as_mut()
    }

    /// From now on, only these nodes may end by themselves without that being a crash.
    pub fn excuse(&mut self, nodes: &BTreeSet<usize>) {
        for (number, node) in self.nodes.iter_mut().enumerate() {
            node.may_end = nodes.contains(&number);
        }
    }

    /// The nodes that have ended by themselves and were excused, and are still down.
    pub fn fallen(&self) -> Vec<usize> {
        (0..self.len()).filter(|&node| self.nodes[node].fell).collect()
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// A node's name.
    pub fn name(&self, node: usize) -> &str {
        &self.nodes[node].spec.name
    }

    /// What a node is doing, as far as this cluster has brought it about.
    pub fn state(&self, node: usize) -> NodeState {
        match &self.nodes[node] {
            Node { process: None, .. } => NodeState::Down,
            Node { paused: true, .. } => NodeState::Paused,
            Node { .. } => NodeState::Up,
        }
    }

    /// The nodes in that state.
    pub fn in_state(&self, state: NodeState) -> Vec<usize> {
        (0..self.len()).filter(|&node| self.state(node) == state).collect()
    }

    /// Starts a node that is down.
    ///
    /// # Errors
    /// When its process cannot be started.
    pub fn start(&mut self, node: usize) -> Result<(), NodeError> {
        let namespace = self.hosts.namespace(node).map(|namespace| namespace.as_fd().try_clone_to_owned());
        let Node { spec, process, fell, .. } = &mut self.nodes[node];
        if process.is_some() {
            return Ok(());
        }
        let started =
            namespace.transpose().and_then(|namespace| Process::start(spec, namespace, &self.spawner));
        *process = Some(started.map_err(|source| failed("start", &spec.name, source))?);
        *fell = false;
        Ok(())
    }

    /// Kills nodes, all at once; they are gone when this returns. Those that are down stay so. Gives the processes.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill(&mut self, nodes: &[usize]) -> Result<Vec<u32>, NodeError> {
        // What has ended by itself was not killed.
        self.notice_crashes();
        let processes = self.signal(nodes, Signal::SIGKILL, "kill")?;
        for &node in nodes {
            let Node { spec, process, paused, fell, .. } = &mut self.nodes[node];
            if let Some(process) = process {
                process.reap().map_err(|source| failed("kill", &spec.name, source))?;
            }
            (*process, *paused, *fell) = (None, false, false);
        }
        Ok(processes)
    }

    /// Makes nodes stand still, all at once; they do when this returns. Gives the processes.
    ///
    /// # Errors
    /// When one does not.
    pub fn pause(&mut self, nodes: &[usize]) -> Result<Vec<u32>, NodeError> {
        self.notice_crashes();
        // Whatever comes of it, the signal is out, and they will have to be resumed.
        nodes.iter().for_each(|&node| self.nodes[node].paused = true);
        let processes = self.signal(nodes, Signal::SIGSTOP, "pause")?;
        for &node in nodes {
            let Node { spec, process, .. } = &self.nodes[node];
            if let Some(process) = process {
                process.await_standstill().map_err(|source| failed("pause", &spec.name, source))?;
            }
        }
        Ok(processes)
    }

    /// Lets nodes go on; those that do not stand still are not bothered.
    ///
    /// # Errors
    /// When one does not go on.
    pub fn resume(&mut self, nodes: &[usize]) -> Result<(), NodeError> {
        self.signal(nodes, Signal::SIGCONT, "resume")?;
        nodes.iter().for_each(|&node| self.nodes[node].paused = false);
        self.notice_crashes();
        for &node in nodes {
            let Node { spec, process, .. } = &self.nodes[node];
            if let Some(process) = process {
                process.await_motion().map_err(|source| failed("resume", &spec.name, source))?;
            }
        }
        Ok(())
    }

    /// Bends the clocks of nodes, of each by its own change, as long as its process lives. Gives the processes.
    ///
    /// # Errors
    /// When one is gone or cannot be stopped for it.
    pub fn bend_clocks(&mut self, changes: &BTreeMap<usize, Change>) -> Result<Vec<u32>, NodeError> {
        self.notice_crashes();
        // Nobody waits for a disk before all are bent.
        let (mut processes, mut away) = (Vec::new(), Vec::new());
        for (&node, change) in changes {
            let Node { spec, process, .. } = &mut self.nodes[node];
            if let Some(process) = process {
                let bent = process.clocks().and_then(|clocks| clocks.set(change));
                away.push(bent.map_err(|source| failed("bend the clocks of", &spec.name, source))?);
                processes.push(process.id());
            }
        }
        Ok(processes)
    }

    /// How long it took to bend the clocks of a node the last time; nothing if it is down.
    pub fn clocks_took(&mut self, node: usize) -> Duration {
        let clocks = self.nodes[node].process.as_mut().and_then(Process::bent_clocks);
        clocks.map_or(Duration::ZERO, |clocks| clocks.took())
    }

    /// Makes a node read its clocks. One that is down reads none.
    ///
    /// # Errors
    /// When it cannot.
    pub fn look_at_clocks(&mut self, node: usize) -> Result<Option<[Sighting; 2]>, NodeError> {
        let Node { spec, process, .. } = &mut self.nodes[node];
        let seen = process.as_mut().map(|process| process.clocks()?.look()).transpose();
        seen.map_err(|source| failed("read the clocks of", &spec.name, source))
    }

    /// Sets the clocks of nodes right. A node that was started again meanwhile has right ones.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn restore_clocks(&mut self, nodes: &[usize]) -> Result<(), NodeError> {
        let mut restored = Ok(());
        for &node in nodes {
            let Node { spec, process, .. } = &mut self.nodes[node];
            if let Some(clocks) = process.as_mut().and_then(Process::bent_clocks) {
                let done = clocks.restore();
                restored =
                    restored.and(done.map_err(|source| failed("restore the clocks of", &spec.name, source)));
            }
        }
        restored
    }

    /// Takes the last traces of bent clocks away that are right again.
    pub fn settle_clocks(&mut self) {
        for Node { process, .. } in &mut self.nodes {
            if let Some(clocks) = process.as_mut().and_then(Process::bent_clocks) {
                clocks.settle();
            }
        }
    }

    fn signal(&self, nodes: &[usize], signal: Signal, deed: &'static str) -> Result<Vec<u32>, NodeError> {
        let mut processes = Vec::new();
        for &node in nodes {
            let Node { spec, process, .. } = &self.nodes[node];
            if let Some(process) = process {
                process.signal(signal).map_err(|source| failed(deed, &spec.name, source))?;
                processes.push(process.id());
            }
        }
        Ok(processes)
    }

    /// Puts just these links under conditions; see [`Hosts::condition`].
    ///
    /// # Errors
    /// When that is not possible here.
    pub fn condition(&mut self, links: BTreeMap<Link, Condition>, seed: u64) -> Result<(), HostsError> {
        self.hosts.condition(links, seed)
    }

    /// Puts just these links out of service; none of them heals all. Gives how long it took.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn cut(&mut self, links: &BTreeSet<Link>) -> Result<Duration, HostsError> {
        self.hosts.cut(links)
    }

    /// The hosts that the nodes live on.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Takes note of nodes that have ended by themselves. They stay down.
    pub fn notice_crashes(&mut self) {
        for Node { spec, process, paused, may_end, fell } in &mut self.nodes {
            let Some(running) = process else {
                continue;
            };
            if let Some(status) = running.ended() {
                let (how, words) = (process::describe(status), running.last_words());
                match may_end {
                    true => *fell = true,
                    false => self.crashes.push(format!("{} ended by itself with {how}: {words}", spec.name)),
                }
                (*process, *paused) = (None, false);
            }
        }
    }

    /// Nodes that have ended by themselves, one sentence each.
    pub fn crashes(&self) -> &[String] {
        &self.crashes
    }

    /// The end of what a running node has written to its log; nothing if it is down.
    pub fn last_words(&self, node: usize) -> String {
        self.nodes[node].process.as_ref().map(Process::last_words).unwrap_or_default()
    }

    /// Stops all nodes: they are asked to end, and killed if they do not.
    ///
    /// # Errors
    /// When one can be neither stopped nor killed.
    pub fn stop(&mut self) -> Result<(), NodeError> {
        self.notice_crashes();
        let everybody: Vec<usize> = (0..self.len()).collect();
        self.signal(&everybody, Signal::SIGTERM, "stop")?;
        self.signal(&everybody, Signal::SIGCONT, "stop")?;
        let deadline = Instant::now() + STOP_PATIENCE;
        for Node { process, .. } in &mut self.nodes {
            while let Some(running) = process.as_mut().filter(|_| Instant::now() < deadline) {
                match running.ended() {
                    Some(_) => *process = None,
                    None => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        }
        self.kill(&everybody).map(drop)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let everybody: Vec<usize> = (0..self.len()).collect();
        // There is nobody left to tell; the parent-death signal is the second line.
        let _ = self.kill(&everybody);
    }
}

fn failed(deed: &'static str, node: &str, source: io::Error) -> NodeError {
    NodeError { deed, node: node.to_owned(), source }
}
