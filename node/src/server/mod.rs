//! A member as a process: files, sockets and the clock around it.
//!
//! In reading order: [`run`] puts it together; `member` owns all state; `clients` and `peers` are the connections, `disk`
//! the threads that wait for disks, `event` what all of them tell it, `inbox` how it waits for that, `timer` until
//! when, and `clock` what time it is; `wire` is what members say in bytes; `trace`, `report` and `metrics` are what the node tells of itself.

mod clients;
mod clock;
mod disk;
mod event;
mod inbox;
mod member;
mod metrics;
mod peers;
mod report;
mod timer;
mod trace;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::raft::{Config, Configuration, Limits, NodeId};
use crate::replica::{Replica, ReplicaOptions};
use crate::rules::Rules;
use crate::storage::{Folder, Lock, Storage, StorageError, StorageOptions};
use clock::clock;
use inbox::Inbox;
use member::{Asked, Member as Working};
use peers::Peer;
use report::Figures;
use timer::Timer;
use trace::Trace;
pub use wire::{Hello, Letter, WireError, decode as decode_message, encode as encode_message};

/// Messages and requests that may wait to be taken in; beyond it, connections wait.
const EVENTS_MAX: usize = 4096;

/// Everything that a node is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who it is, and who the others are.
    pub membership: Membership,
    /// It is to join a cluster that it is no member of yet: it waits to be added.
    pub joins: bool,
    /// Where it keeps its data; created if need be.
    pub data: PathBuf,
    /// Where it listens for clients.
    pub client: SocketAddr,
    /// Where it listens for other members.
    pub peer: SocketAddr,
    /// Where it serves metrics, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// The range that election timeouts are drawn from.
    pub election_timeout: (Duration, Duration),
    /// Time between heartbeats.
    pub heartbeat: Duration,
    /// Whether it asks who would vote for it before it stands.
    pub pre_vote: bool,
    /// Leaders answer reads by their lease, if clocks drift no more than this share.
    pub lease_drift: Option<f64>,
    /// A snapshot is made when so many bytes of entries have gathered behind the last.
    pub snapshot_bytes: u64,
    /// Bytes of a segment of its log, which is made of zeros ahead of its time.
    pub segment_bytes: u64,
    /// How much may be on its way, or wait.
    pub limits: Limits,
    /// How long it looks for what comes next before it sleeps, while things come quickly; zero to sleep at once.
    pub busy_poll: Duration,
    /// How long it gathers what no commit waits for before it syncs it; zero to sync at once.
    pub lazy_sync: Duration,
    /// Where it writes what it does, if anywhere.
    pub trace: Option<PathBuf>,
    /// Seed of the election timeouts.
    pub seed: u64,
    /// Rules that hold.
    pub rules: Rules,
}

/// A node and its cluster.
#[derive(Debug, Clone)]
pub struct Membership {
    /// This node.
    pub id: NodeId,
    /// Members of another cluster are refused.
    pub cluster: u64,
    /// All members, this one among them.
    pub members: BTreeMap<NodeId, Member>,
}

/// Where a member is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// By other members.
    pub peer: SocketAddr,
    /// By clients; redirections name it.
    pub client: SocketAddr,
}

/// Why a node stopped or did not start.
#[derive(Debug, Error)]
pub enum NodeError {
    /// Its data.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A socket.
    #[error("cannot listen on `{address}`: {source} (hint: is the port in use?)")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Anything else that the system refused.
    #[error("cannot {deed}: {source}")]
    Io {
        /// What was being done.
        deed: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// Runs a node on this thread until the process is told to stop (SIGTERM, SIGINT).
///
/// # Errors
/// When it cannot start, or its disk fails.
pub fn run(options: Options) -> Result<(), NodeError> {
    let failed = |deed| move |source| NodeError::Io { deed, source };
    // One thread for everything but the disk: the work of a member is in passing things on, and every hop
    // between threads would cost more than it wins.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(failed("start the node's runtime"))?.block_on(serve(options))
}

async fn serve(options: Options) -> Result<(), NodeError> {
    let failed = |deed| move |source| NodeError::Io { deed, source };
    let Membership { id, cluster, .. } = options.membership;
    let _lock = Lock::take(&options.data)?;
    let mut folder = Folder::open(&options.data);
    folder.prepare(options.segment_bytes, options.rules.log_is_synced).map_err(failed("start a thread"))?;
    let storage_options =
        StorageOptions { node: id, segment_bytes: options.segment_bytes, rules: options.rules };
    let (storage, opened) = Storage::open(folder, storage_options)?;
    if opened.torn_bytes > 0 {
        eprintln!("{id}: cleared {} bytes that a crash had left unfinished", opened.torn_bytes);
    }
    let trace = Trace::open(options.trace.as_deref()).map_err(failed("open the trace file"))?;
    let replica = Replica::new(
        config(&options),
        opened,
        ReplicaOptions {
            snapshot_bytes: options.snapshot_bytes,
            addresses: options.membership.addresses(),
            traced: options.trace.is_some(),
        },
        clock(),
    );
    let clients = listen(options.client).await?;
    let members = listen(options.peer).await?;

    let (event_sender, events) = mpsc::channel(EVENTS_MAX);
    let (done_sender, done) = mpsc::unbounded_channel();
    let jobs =
        disk::spawn(storage, options.lazy_sync, done_sender.clone()).map_err(failed("start a thread"))?;
    let others = options.membership.members.iter().filter(|&(&member, _)| member != id);
    let peers =
        others.map(|(&to, member)| (to, Peer::open(Hello { cluster, from: id, to }, member.peer))).collect();
    if let Some(address) = options.metrics {
        tokio::spawn(metrics::serve(listen(address).await?, event_sender.clone()));
    }
    tokio::spawn(peers::accept(members, cluster, id, event_sender.clone()));
    tokio::spawn(clients::accept(clients, event_sender));

    let member = Working {
        replica,
        membership: options.membership,
        data: options.data,
        chunk_bytes: options.limits.chunk_bytes,
        trace,
        jobs,
        done: done_sender,
        peers,
        asked: Asked::default(),
        figures: Figures::new(),
        messages: Vec::new(),
        jobs_due: Vec::new(),
        can_wait: false,
    };
    let timer = Timer::new().map_err(failed("set a timer"))?;
    let told_to_stop = tokio::spawn(told_to_stop()?);
    // The member is looked at first: signals are rare.
    tokio::select! {
        biased;
        result = member.work(Inbox::new(events, done, timer, options.busy_poll)) => Ok(result?),
        _ = told_to_stop => Ok(()),
    }
}

/// Waits for the signals that end a node.
fn told_to_stop() -> Result<impl Future<Output = ()>, NodeError> {
    let failed = |deed| move |source| NodeError::Io { deed, source };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed("watch for SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed("watch for SIGINT"))?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn config(options: &Options) -> Config {
    let id = options.membership.id;
    let configuration = match options.joins {
        true => Configuration::default(),
        false => Configuration::of(options.membership.addresses()),
    };
    let clock = clock();
    Config {
        id,
        configuration,
        election_timeout: options.election_timeout,
        heartbeat: options.heartbeat,
        pre_vote: options.pre_vote,
        limits: options.limits,
        lease_drift: options.lease_drift,
        // Members that drew the same timeouts would split every vote.
        seed: options.seed.wrapping_mul(31).wrapping_add(u64::from(id.0)),
        // The machine may have been started anew, or its wall clock set back, but not both to the same nanosecond.
        life: clock.now.0 ^ clock.wall_ms.rotate_left(44),
        rules: options.rules,
    }
}

impl Membership {
    fn addresses(&self) -> BTreeMap<NodeId, String> {
        let address = |member: &Member| format!("{}/{}", member.peer, member.client);
        self.members.iter().map(|(&node, member)| (node, address(member))).collect()
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, NodeError> {
    TcpListener::bind(address).await.map_err(|source| NodeError::Listen { address, source })
}
