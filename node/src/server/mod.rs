//! A member as a process: files, sockets and the clock around the core.
//!
//! In reading order: [`run`] puts it together; `replica` owns all state; `clients` and `peers` are the connections, and `event`
//! what they tell it;
//! `wire` is what members say in bytes; `trace` is what the node tells of itself.

mod clients;
mod event;
mod peers;
mod replica;
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

use crate::machine::Machine;
use crate::raft::{Config, NodeId, Raft};
use crate::rules::Rules;
use crate::storage::{Storage, StorageError};
use peers::Peer;
use replica::{Clients, Replica, now};
use trace::Trace;
use wire::Hello;

/// Messages and requests that may wait to be taken in; beyond it, connections wait.
const EVENTS_MAX: usize = 4096;
/// Entries of one message take at most this many bytes.
const MESSAGE_BYTES_MAX: usize = 256 << 10;

/// Everything that a node is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who it is, and who the others are.
    pub membership: Membership,
    /// Where it keeps its data; created if need be.
    pub data: PathBuf,
    /// Where it listens for clients.
    pub client: SocketAddr,
    /// Where it listens for other members.
    pub peer: SocketAddr,
    /// The range that election timeouts are drawn from.
    pub election_timeout: (Duration, Duration),
    /// Time between heartbeats.
    pub heartbeat: Duration,
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
    let (storage, recovered) = Storage::open(&options.data, id, options.rules)?;
    if recovered.torn_bytes > 0 {
        eprintln!("{id}: cut off {} bytes that a crash had left unfinished", recovered.torn_bytes);
    }
    let mut trace = Trace::open(options.trace.as_deref()).map_err(failed("open the trace file"))?;
    trace.start(now(), &recovered);
    trace.flush();
    let clients = listen(options.client).await?;
    let members = listen(options.peer).await?;

    let (event_sender, events) = mpsc::channel(EVENTS_MAX);
    let (synced_sender, synced) = mpsc::unbounded_channel();
    // The receiver is gone only when the node is on its way out.
    let writes =
        storage.spawn(move |result| drop(synced_sender.send(result))).map_err(failed("start a thread"))?;

    let others = options.membership.members.iter().filter(|&(&member, _)| member != id);
    let peers =
        others.map(|(&to, member)| (to, Peer::open(Hello { cluster, from: id, to }, member.peer))).collect();
    let ids: Vec<NodeId> = options.membership.members.keys().copied().collect();
    tokio::spawn(peers::accept(members, cluster, id, ids.clone(), event_sender.clone()));
    tokio::spawn(clients::accept(clients, event_sender));

    let config = Config {
        id,
        members: ids,
        election_timeout: options.election_timeout,
        heartbeat: options.heartbeat,
        message_bytes_max: MESSAGE_BYTES_MAX,
        // Members that drew the same timeouts would split every vote.
        seed: options.seed.wrapping_mul(31).wrapping_add(u64::from(id.0)),
        rules: options.rules,
    };
    let replica = Replica {
        raft: Raft::new(config, recovered.hard_state, recovered.entries, now()),
        machine: Machine::default(),
        membership: options.membership,
        rules: options.rules,
        trace,
        writes,
        peers,
        clients: Clients::default(),
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed("watch for SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed("watch for SIGINT"))?;
    tokio::select! {
        result = replica.work(events, synced) => Ok(result?),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, NodeError> {
    TcpListener::bind(address).await.map_err(|source| NodeError::Listen { address, source })
}
