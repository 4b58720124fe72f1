//! The nodes of a cluster on their hosts: which are up, paused or down, and how they get from one to the other.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use thiserror::Error;

use crate::clocks::{Change, Sighting};
use crate::disk::Disks;
use crate::hosts::{Condition, Hosts, HostsError, Link};
use crate::process::{self, NodeSpec, Process, Spawner};
use crate::quota::Held;

/// With a number behind it, the folder in that of a node that has what one said which was on its address before: `replaced-1`.
pub const REPLACED: &str = "replaced-";
/// The folder in that of a node in which it keeps its data.
const DATA: &str = "data";
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
    /// What nodes are upgraded to.
    upgrade: Option<PathBuf>,
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
    /// It was asked to end, or to be a member no longer.
    leaves: bool,
    /// It is no member of the cluster: it is started as one that joins.
    joins: bool,
    /// It may not be started before it is let in again.
    is_out: bool,
    /// How many have had its address before it.
    lives: usize,
    /// A second process of it.
    twin: Option<Process>,
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
            leaves: false,
            joins: false,
            is_out: false,
            lives: 0,
            twin: None,
        });
        let (nodes, spawner) = (nodes.collect(), Spawner::start()?);
        Ok(Cluster { nodes, hosts, spawner, crashes: Vec::new(), disks: None, upgrade: None })
    }

    /// From now on these are under the nodes' data folders.
    pub fn put_on(&mut self, disks: Disks) {
        self.disks = Some(disks);
    }

    /// This is the program that nodes are upgraded to.
    pub fn set_upgrade(&mut self, program: PathBuf) {
        self.upgrade = Some(program);
    }

    /// The program that nodes are upgraded to, if there is one.
    pub fn upgrade(&self) -> Option<&Path> {
        self.upgrade.as_deref()
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

    /// Where each node runs and writes.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.nodes.iter().map(|node| node.spec.folder.clone()).collect()
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

    /// Whether a node was wiped and not let in since.
    pub fn is_wiped(&self, node: usize) -> bool {
        self.nodes[node].is_out
    }

    /// A node that was wiped may be started again.
    pub fn let_in(&mut self, node: usize) {
        self.nodes[node].is_out = false;
    }

    /// Starts a node that is down, unless it was wiped and not let in since.
    ///
    /// # Errors
    /// When its process cannot be started.
    pub fn start(&mut self, node: usize) -> Result<(), NodeError> {
        if self.nodes[node].process.is_some() || self.nodes[node].is_out {
            return Ok(());
        }
        if let Some(disks) = &self.disks {
            let told = disks.before_start(node);
            told.map_err(|error| failed("start", self.name(node), io::Error::other(error)))?;
        }
        let process = self.start_process(node, "")?;
        let Node { process: place, fell, leaves, .. } = &mut self.nodes[node];
        (*place, *fell, *leaves) = (Some(process), false, false);
        Ok(())
    }

    /// Starts a second process of a node, beside the first. Gives the process.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_twin(&mut self, node: usize) -> Result<u32, NodeError> {
        let twin = self.start_process(node, "twin-")?;
        let process = twin.id();
        self.nodes[node].twin = Some(twin);
        Ok(process)
    }

    /// How the second process of a node has ended, if it has, and its last words.
    pub fn twin_ended(&mut self, node: usize) -> Option<String> {
        let twin = self.nodes[node].twin.as_mut()?;
        let status = twin.ended()?;
        Some(format!("{}: {}", process::describe(status), twin.last_words()))
    }

    /// Kills second processes of nodes.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill_twins(&mut self, nodes: &[usize]) -> Result<(), NodeError> {
        for &node in nodes {
            let Node { spec, twin, .. } = &mut self.nodes[node];
            if let Some(mut twin) = twin.take() {
                let gone = twin
                    .ended()
                    .map_or_else(|| twin.signal(Signal::SIGKILL).and_then(|()| twin.reap()), |_| Ok(()));
                gone.map_err(|source| failed("kill the second process of", &spec.name, source))?;
            }
        }
        Ok(())
    }

    fn start_process(&self, node: usize, prefix: &str) -> Result<Process, NodeError> {
        let Node { spec, joins, .. } = &self.nodes[node];
        let namespace = self.hosts.namespace(node).map(|namespace| namespace.as_fd().try_clone_to_owned());
        let joining;
        let chosen = match joins {
            true => {
                joining = NodeSpec { arguments: spec.joining.clone(), ..spec.clone() };
                &joining
            }
            false => spec,
        };
        let start = |namespace| Process::start(chosen, prefix, namespace, &self.spawner);
        namespace.transpose().and_then(start).map_err(|source| failed("start", &spec.name, source))
    }

    /// From now on a node is started by this program.
    pub fn set_program(&mut self, node: usize, program: PathBuf) {
        self.nodes[node].spec.program = program;
    }

    /// From now on a node is started with these arguments.
    pub fn set_arguments(&mut self, node: usize, arguments: Vec<OsString>) {
        self.nodes[node].spec.arguments = arguments;
    }

    /// The program that a node runs, as the kernel sees it; nothing if it is down.
    pub fn running_program(&self, node: usize) -> Option<PathBuf> {
        let process = self.nodes[node].process.as_ref()?;
        std::fs::read_link(format!("/proc/{}/exe", process.id())).ok()
    }

    /// A node that is down has no data any more, and is started as one that joins the cluster: another one, on the same address.
    /// What the former has said and traced is moved into the folder [`REPLACED`] and a number, beside the new one's.
    ///
    /// # Errors
    /// When its files cannot be removed or moved.
    pub fn wipe(&mut self, node: usize) -> Result<(), NodeError> {
        let Node { spec, joins, is_out, lives, .. } = &mut self.nodes[node];
        (*joins, *is_out, *lives) = (true, true, *lives + 1);
        let kept = spec.folder.join(format!("{REPLACED}{lives}"));
        let replaced = empty(&spec.folder.join(DATA)).and_then(|()| move_files(&spec.folder, &kept));
        replaced.map_err(|source| failed("remove the data of", &spec.name, source))
    }

    /// Nodes are asked to end; that they do is no crash.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn ask_to_end(&mut self, nodes: &[usize]) -> Result<Vec<u32>, NodeError> {
        self.notice_crashes();
        nodes.iter().for_each(|&node| self.nodes[node].leaves = true);
        self.signal(nodes, Signal::SIGTERM, "stop")
    }

    /// A node may end by itself, since it was taken out of the cluster.
    pub fn expect_end(&mut self, node: usize) {
        self.nodes[node].leaves = true;
    }

    /// Nodes get `share` of one processor each from now on, or all that they want. Gives the processes.
    ///
    /// # Errors
    /// When one is gone.
    pub fn set_quota(&mut self, nodes: &[usize], share: Option<f64>) -> Result<Vec<u32>, NodeError> {
        self.notice_crashes();
        self.each(nodes, "limit the processor time of", |process, is_paused| {
            process.set_quota(share, is_paused).map(|()| process.id())
        })
    }

    /// What has come of the quotas of nodes.
    pub fn quotas(&self, nodes: &[usize]) -> Vec<Held> {
        let quota = |&node: &usize| Some(self.nodes[node].process.as_ref()?.quota()?.held());
        nodes.iter().filter_map(quota).collect()
    }

    /// Nodes get no more memory from now on. Gives how many bytes of address space each has.
    ///
    /// # Errors
    /// When one is gone.
    pub fn limit_memory(&mut self, nodes: &[usize]) -> Result<Vec<u64>, NodeError> {
        self.notice_crashes();
        self.each(nodes, "limit the memory of", |process, _| process.limit_memory())
    }

    /// Nodes get memory again.
    pub fn free_memory(&mut self, nodes: &[usize]) {
        for &node in nodes {
            if let Some(process) = &mut self.nodes[node].process {
                process.free_memory();
            }
        }
    }

    fn each<T>(
        &mut self,
        nodes: &[usize],
        deed: &'static str,
        mut act: impl FnMut(&mut Process, bool) -> io::Result<T>,
    ) -> Result<Vec<T>, NodeError> {
        let mut results = Vec::new();
        for &node in nodes {
            let Node { spec, process, paused, .. } = &mut self.nodes[node];
            if let Some(process) = process {
                results.push(act(process, *paused).map_err(|source| failed(deed, &spec.name, source))?);
            }
        }
        Ok(results)
    }

    /// From now on, or not any more, these nodes are stopped and continued by nobody's quota.
    fn suspend_quotas(&self, nodes: &[usize], is_suspended: bool) {
        for Node { process, paused, .. } in nodes.iter().map(|&node| &self.nodes[node]) {
            if let Some(quota) = process.as_ref().and_then(Process::quota) {
                quota.suspend(is_suspended || *paused);
            }
        }
    }

    /// Kills nodes, and does not wait until they are gone: one that is in the middle of a sync goes when the disk is done. That they end is
    /// no crash; [`Cluster::kill`] waits for it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn begin_kill(&mut self, nodes: &[usize]) -> Result<(), NodeError> {
        self.notice_crashes();
        nodes.iter().for_each(|&node| self.nodes[node].leaves = true);
        self.signal(nodes, Signal::SIGKILL, "kill").map(drop)
    }

    /// Stops nodes, and does not wait until they stand still; [`Cluster::pause`] does.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn begin_pause(&mut self, nodes: &[usize]) -> Result<(), NodeError> {
        self.notice_crashes();
        self.suspend_quotas(nodes, true);
        nodes.iter().for_each(|&node| self.nodes[node].paused = true);
        self.signal(nodes, Signal::SIGSTOP, "pause").map(drop)
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
        self.suspend_quotas(nodes, true);
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
        self.suspend_quotas(nodes, false);
        Ok(())
    }

    /// Bends the clocks of nodes, of each by its own change, as long as its process lives. Gives the processes.
    ///
    /// # Errors
    /// When one is gone or cannot be stopped for it.
    pub fn bend_clocks(&mut self, changes: &BTreeMap<usize, Change>) -> Result<Vec<u32>, NodeError> {
        self.notice_crashes();
        let nodes: Vec<usize> = changes.keys().copied().collect();
        // Nobody waits for a disk before all are bent.
        let (mut processes, mut away) = (Vec::new(), Vec::new());
        self.suspend_quotas(&nodes, true);
        for (&node, change) in changes {
            let Node { spec, process, .. } = &mut self.nodes[node];
            if let Some(process) = process {
                let bent = process.clocks().and_then(|clocks| clocks.set(change));
                away.push(bent.map_err(|source| failed("bend the clocks of", &spec.name, source)));
                processes.push(process.id());
            }
        }
        self.suspend_quotas(&nodes, false);
        away.into_iter().try_for_each(|away| away.map(drop))?;
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
        self.suspend_quotas(&[node], true);
        let Node { spec, process, .. } = &mut self.nodes[node];
        let seen = process.as_mut().map(|process| process.clocks()?.look()).transpose();
        let seen = seen.map_err(|source| failed("read the clocks of", &spec.name, source));
        self.suspend_quotas(&[node], false);
        seen
    }

    /// Sets the clocks of nodes right. A node that was started again meanwhile has right ones.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn restore_clocks(&mut self, nodes: &[usize]) -> Result<(), NodeError> {
        let mut restored = Ok(());
        self.suspend_quotas(nodes, true);
        for &node in nodes {
            let Node { spec, process, .. } = &mut self.nodes[node];
            if let Some(clocks) = process.as_mut().and_then(Process::bent_clocks) {
                let done = clocks.restore();
                restored =
                    restored.and(done.map_err(|source| failed("restore the clocks of", &spec.name, source)));
            }
        }
        self.suspend_quotas(nodes, false);
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

    /// Breaks all connections of nodes off; see [`Hosts::reset`].
    ///
    /// # Errors
    /// When that is not possible here.
    pub fn reset(&mut self, nodes: &[usize]) -> Result<usize, HostsError> {
        self.hosts.reset(nodes)
    }

    /// Links with a live connection of nodes; see [`Hosts::connected`].
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn connected(&mut self) -> Result<Option<BTreeSet<Link>>, HostsError> {
        self.hosts.connected()
    }

    /// The hosts that the nodes live on.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Takes note of nodes that have ended by themselves. They stay down.
    pub fn notice_crashes(&mut self) {
        for Node { spec, process, paused, may_end, fell, leaves, .. } in &mut self.nodes {
            let Some(running) = process else {
                continue;
            };
            if let Some(status) = running.ended() {
                let (how, words) = (process::describe(status), running.last_words());
                match *leaves || *may_end {
                    true => *fell = !*leaves,
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
        self.kill_twins(&everybody)?;
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
        let _ = self.kill_twins(&everybody);
        let _ = self.kill(&everybody);
    }
}

/// Moves the files of a folder, and no folders, into another.
fn move_files(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::rename(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Removes whatever is in a folder, and not the folder: something may be mounted there.
fn empty(folder: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => std::fs::remove_dir_all(entry.path())?,
            false => std::fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

fn failed(deed: &'static str, node: &str, source: io::Error) -> NodeError {
    NodeError { deed, node: node.to_owned(), source }
}
