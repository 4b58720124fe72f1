//! One cluster on hosts of its own, and whether it stands well under a leader.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rafture_nemesis::cluster::Cluster;
use rafture_nemesis::disk::{Disks, Trouble};
use rafture_nemesis::hosts::{Condition, Hosts, Link, Network, NetworkChoice};
use rafture_nemesis::process::NodeSpec;
use rafture_workloads::systems::timing::Timing;
use rafture_workloads::systems::{self, Launch, Layout, Options, Place, Settings, System};
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::elections::Elections;
use super::jobs::{Halt, stopped};
use super::scratch::Scratch;
use crate::error::Error;

/// How long a node has to say how it is.
const STATUS_PATIENCE: Duration = Duration::from_millis(200);
/// How often it is looked whether all is well.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// How long a cluster has to find its first leader, beside what its timeouts take: some programs take seconds to start.
const FIRST_PATIENCE: Duration = Duration::from_secs(15);

/// How a cluster is set up.
pub(super) struct Setup<'s> {
    pub(super) system: &'s str,
    pub(super) options: &'s Options,
    pub(super) nodes: usize,
    pub(super) timing: Timing,
    pub(super) seed: u64,
    pub(super) links: &'s BTreeMap<Link, Condition>,
    pub(super) network: NetworkChoice,
    pub(super) rafture: &'s Path,
    pub(super) pre_vote: Option<bool>,
    /// It is made, and goes with the cluster.
    pub(super) folder: &'s Path,
    /// Disks of ours are under the nodes, which do this wrong.
    pub(super) disks: Option<Trouble>,
}

/// A cluster at work.
pub(super) struct Stage {
    pub(super) system: Box<dyn System>,
    pub(super) layout: Arc<Layout>,
    pub(super) cluster: Cluster,
    pub(super) elections: Elections,
    /// What the system makes of the timing that it was told.
    pub(super) timing: Timing,
    /// The network as it is while nothing is done to it.
    pub(super) links: BTreeMap<Link, Condition>,
    /// What disks of ours do wrong while nothing is done to them.
    pub(super) disks: Trouble,
    settings: Settings,
    /// How often each node was started.
    lives: Vec<u64>,
    /// How often the network was changed.
    changes: u64,
    /// After the cluster: nodes write no more, and nothing is mounted, when it goes.
    _folder: Scratch,
}

/// All members follow one leader in one term, have all of its log, and are connected with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Well {
    pub(super) leader: usize,
    pub(super) term: u64,
}

/// Sets a cluster up on this thread, lets `act` do something with it, and takes it down. When `halt` is called, that ends at once.
pub(super) fn on_stage<R>(
    setup: &Setup<'_>,
    halt: Halt,
    act: impl AsyncFnOnce(&mut Stage) -> Result<R, Error>,
) -> Result<R, Error> {
    let mut stage = Stage::open(setup)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::harness)?;
    let work = async {
        stage.start_all()?;
        let well = stage.become_well(FIRST_PATIENCE + stage.patience()).await?;
        // One that has leaders and does not keep them is measured as far as it goes; one that has none is not there.
        if well.is_none() && !stage.elections.has_led() {
            return Err(stage.never_led());
        }
        act(&mut stage).await
    };
    runtime.block_on(LocalSet::new().run_until(async {
        tokio::select! {
            done = work => done,
            () = halt.called() => Err(stopped()),
        }
    }))
}

impl Stage {
    /// Hosts, and nodes that are all down. Moves this thread to the host of the clients.
    fn open(setup: &Setup<'_>) -> Result<Stage, Error> {
        let system = systems::configured(setup.system, setup.options).map_err(Error::Input)?;
        let told = system.tell(&setup.timing).map_err(Error::Input)?;
        let hosts = Hosts::open(setup.network, setup.nodes).map_err(Error::harness)?;
        if hosts.network() == Network::Proxy && !system.reaches_peers_separately() {
            return Err(Error::Harness(format!(
                "`{}` needs network namespaces: {} (hint: run as root, or see `rafture doctor`)",
                setup.system,
                hosts.reason().trim_start_matches("proxy: ")
            )));
        }
        let folder = Scratch::at(setup.folder.to_owned()).map_err(Error::harness)?;
        let layout = layout(setup, &hosts);
        let settings = Settings {
            rafture: setup.rafture.to_owned(),
            election_timeout: setup.timing.election_timeout,
            heartbeat: setup.timing.heartbeat,
            pre_vote: setup.pre_vote,
            seed: setup.seed,
            defect: None,
            traced: true,
            changes_members: false,
        };
        let spec = |node: usize| {
            let Launch { program, arguments, environment } = system.launch(node, &layout, &settings);
            NodeSpec {
                name: layout.nodes[node].name.clone(),
                program,
                arguments: arguments.into_iter().map(Into::into).collect(),
                joining: Vec::new(),
                environment: environment
                    .into_iter()
                    .map(|(name, value)| (name.into(), value.into()))
                    .collect(),
                folder: layout.nodes[node].folder.clone(),
            }
        };
        let specs: Vec<NodeSpec> = (0..setup.nodes).map(spec).collect();
        // Before any node, and before the thread that starts them: all must see what is mounted.
        let folders: Vec<PathBuf> = specs.iter().map(|spec| spec.folder.clone()).collect();
        let disks = setup.disks.map(|_| Disks::open(&folders)).transpose().map_err(Error::harness)?;
        let elections = Elections::of(&*system, &layout);
        let mut cluster = Cluster::new(hosts, specs).map_err(Error::harness)?;
        if let Some(disks) = disks {
            cluster.put_on(disks);
        }
        cluster.condition(setup.links.clone(), setup.seed).map_err(Error::harness)?;
        let mut stage = Stage {
            system,
            layout: Arc::new(layout),
            cluster,
            elections,
            timing: told.kept,
            links: setup.links.clone(),
            disks: setup.disks.unwrap_or_default(),
            settings,
            lives: vec![0; setup.nodes],
            changes: 0,
            _folder: folder,
        };
        stage.set_disks(stage.disks);
        Ok(stage)
    }

    fn start_all(&mut self) -> Result<(), Error> {
        (0..self.cluster.len()).try_for_each(|node| self.start(node))
    }

    /// Starts a node that is down. What it draws by chance is not what it drew in its last life.
    pub(super) fn start(&mut self, node: usize) -> Result<(), Error> {
        let lives = self.lives[node];
        self.lives[node] += 1;
        let launch = self.system.launch_again(node, &self.layout, &self.settings, lives);
        self.cluster.set_arguments(node, launch.arguments.into_iter().map(Into::into).collect());
        self.elections.forget_node(node);
        self.cluster.start(node).map_err(Error::harness)
    }

    /// What befalls packets from the next change of the network on.
    pub(super) fn network_seed(&mut self) -> u64 {
        self.changes += 1;
        self.settings.seed.wrapping_add(self.changes)
    }

    /// Disks of ours, if there are any, do this wrong from now on, each by a chance of its own.
    pub(super) fn set_disks(&mut self, trouble: Trouble) {
        let count = self.cluster.len();
        let seed = self.settings.seed.wrapping_mul(count as u64);
        if let Some(disks) = self.cluster.disks_mut() {
            (0..count).for_each(|node| disks.set(node, trouble, seed.wrapping_add(node as u64)));
        }
    }

    /// How long anything that the cluster does by itself may take: after so many timeouts nobody waits any more.
    pub(super) fn patience(&self) -> Duration {
        let (low, high) = self.timing.election_timeout;
        // With ranges that are so narrow, votes are split again and again.
        let timeouts = if high - low < low / 10 { 200 } else { 20 };
        timeouts * high + Duration::from_secs(5)
    }

    /// Longest that a packet is under way while nothing is done to the network, but for rare cases.
    pub(super) fn longest_delay(&self) -> Duration {
        let delay = |condition: &Condition| condition.delay + 5 * condition.jitter;
        self.links.values().map(delay).max().unwrap_or_default()
    }

    /// Waits until the cluster stands well; `None` if it does not within `patience`.
    pub(super) async fn become_well(&mut self, patience: Duration) -> Result<Option<Well>, Error> {
        let deadline = Instant::now() + patience;
        loop {
            self.check_processes()?;
            self.look();
            if let Some(well) = self.elections.settled()
                && self.is_connected()?
                && self.is_caught_up(well).await
                && self.is_still(well)
            {
                return Ok(Some(well));
            }
            if Instant::now() > deadline {
                return Ok(None);
            }
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// Whether nobody has given its leader up since.
    pub(super) fn is_still(&mut self, well: Well) -> bool {
        self.look();
        self.elections.settled() == Some(well)
    }

    pub(super) fn look(&mut self) {
        self.elections.look(&*self.system);
    }

    /// Whether every node can speak to every other at once. After a network was spoilt or a node was away, some wait for seconds until
    /// they try again, and the next leader would be one who cannot reach the others yet.
    fn is_connected(&mut self) -> Result<bool, Error> {
        let connected = self.cluster.connected().map_err(Error::harness)?;
        Ok(connected
            .is_none_or(|connected| Link::all(self.cluster.len()).all(|link| connected.contains(&link))))
    }

    /// Whether all logs are equally long, by the nodes' own word.
    async fn is_caught_up(&self, well: Well) -> bool {
        let statuses = systems::statuses(&*self.system, &self.layout, STATUS_PATIENCE).await;
        let Some(Some(leader)) = statuses.get(well.leader) else { return false };
        let is_same = |status: &Option<systems::Status>| {
            status.is_some_and(|status| status.term == leader.term && status.progress == leader.progress)
        };
        leader.leads && statuses.iter().all(is_same)
    }

    /// How far the logs of all nodes have come.
    pub(super) async fn lengths(&self) -> Vec<Option<u64>> {
        let statuses = systems::statuses(&*self.system, &self.layout, STATUS_PATIENCE).await;
        statuses.into_iter().map(|status| Some(status?.progress)).collect()
    }

    fn check_processes(&mut self) -> Result<(), Error> {
        self.cluster.notice_crashes();
        match self.cluster.crashes().first() {
            Some(crash) => Err(Error::Harness(format!("a node does not keep running: {crash}"))),
            None => Ok(()),
        }
    }

    fn never_led(&self) -> Error {
        let (low, high) = self.timing.election_timeout;
        Error::Harness(format!(
            "no node leads with election timeouts of {low:?}..{high:?} (hint: timeouts of ten round trips and more; n1 ends with: {})",
            self.cluster.last_words(0)
        ))
    }
}

fn layout(setup: &Setup<'_>, hosts: &Hosts) -> Layout {
    let place = |node: usize| {
        let addresses = hosts.addresses(node);
        let name = format!("n{}", node + 1);
        Place {
            folder: setup.folder.join(&name),
            name,
            client: addresses.client,
            peer: addresses.peer,
            peers: addresses.peers.clone(),
        }
    };
    Layout { nodes: (0..setup.nodes).map(place).collect() }
}
