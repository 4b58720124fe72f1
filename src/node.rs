//! `rafture node`: one Raft node process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rafture_node::raft::{Limits, NodeId};
use rafture_node::rules::{Defect, Rules};
use rafture_node::server::{self, Member, Membership, NodeError, Options};
use rafture_node::storage::SEGMENT_BYTES;

use crate::duration::{Range, Span};
use crate::error::Error;

/// One Raft node process.
#[derive(Debug, Args)]
pub struct NodeArguments {
    /// Name of this node, `n` and a number
    #[arg(long)]
    id: NodeId,
    /// Address to listen on for clients (RESP)
    #[arg(long)]
    client: SocketAddr,
    /// Address to listen on for other nodes
    #[arg(long)]
    peer: SocketAddr,
    /// All nodes, this one among them: name=peer-address/client-address. The log goes before it, once it says otherwise
    #[arg(long, value_delimiter = ',', value_parser = member, required = true)]
    members: Vec<(NodeId, Member)>,
    /// Join a cluster: wait to be added with RAFT.ADD to that of the other --members
    #[arg(long)]
    join: bool,
    /// Folder of its data; created if need be
    #[arg(long)]
    data: PathBuf,
    /// File to write what it does to, one JSON line a deed
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Address to serve metrics on, for Prometheus, at /metrics
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Answer reads by the leader's lease, if no clock is faster or slower than true time by more than this share, as
    /// 0.05; all nodes alike
    #[arg(long, value_name = "DRIFT", value_parser = drift)]
    lease: Option<f64>,
    /// Make a snapshot when so many bytes of entries have gathered behind the last
    #[arg(long, default_value_t = 64 << 20, value_name = "BYTES")]
    snapshot_bytes: u64,
    /// Make segments of the log of so many bytes; each is filled with zeros ahead of its time, and one at every start
    #[arg(long, default_value_t = SEGMENT_BYTES, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(64 << 10..))]
    segment_bytes: u64,
    /// Refuse writes while so many bytes of entries are not yet committed
    #[arg(long, default_value_t = Limits::DEFAULT.uncommitted_bytes_max, value_name = "BYTES")]
    uncommitted_bytes: u64,
    /// Range that election timeouts are drawn from
    #[arg(long, default_value = "150ms..300ms")]
    election_timeout: Range,
    /// Time between heartbeats
    #[arg(long, default_value = "50ms")]
    heartbeat: Span,
    /// Ask who would vote for this node before it stands for election; `off` is what the paper has
    #[arg(long, default_value = "on")]
    pre_vote: Switch,
    /// Look for what comes next for so long before going to sleep, while things come in quick succession: lower latency
    /// for some processor time that nobody else wants; 0ms to sleep at once
    #[arg(long, default_value = "1ms")]
    busy_poll: Span,
    /// Gather what no commit waits for, because faster nodes are enough, for so long before syncing it: fewer syncs,
    /// which matters where nodes share a disk; 0ms to sync at once
    #[arg(long, default_value = "1ms")]
    lazy_sync: Span,
    /// Number of the cluster; nodes of another are refused
    #[arg(long, default_value_t = 0)]
    cluster: u64,
    /// Seed of the election timeouts
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Planted bug (see `rafture defects`)
    #[arg(long)]
    defect: Option<Defect>,
}

/// On or off, as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

fn drift(text: &str) -> Result<f64, String> {
    let drift = text.parse::<f64>().ok().filter(|drift| (0.0..=0.5).contains(drift));
    drift.ok_or_else(|| format!("`{text}` is no share of time (hint: 0.05 is five percent; at most 0.5)"))
}

fn member(text: &str) -> Result<(NodeId, Member), String> {
    let complaint = || format!("`{text}` is no member (hint: n1=10.0.0.1:7001/10.0.0.1:7000)");
    let (name, addresses) = text.split_once('=').ok_or_else(complaint)?;
    let (peer, client) = addresses.split_once('/').ok_or_else(complaint)?;
    let address = |text: &str| text.parse().map_err(|_| complaint());
    Ok((name.parse()?, Member { peer: address(peer)?, client: address(client)? }))
}

/// Runs until it is told to stop.
///
/// # Errors
/// When the node cannot start, or its disk fails.
pub fn node(arguments: NodeArguments) -> Result<(), Error> {
    let NodeArguments { id, client, peer, data, trace, election_timeout, seed, .. } = arguments;
    let members: BTreeMap<NodeId, Member> = arguments.members.into_iter().collect();
    if !members.contains_key(&id) {
        return Err(Error::Input(format!("`{id}` is not among the members (hint: add it to --members)")));
    }
    if arguments.heartbeat.0 >= election_timeout.low {
        return Err(Error::Input(format!(
            "a heartbeat every {} does not fit into an election timeout of {election_timeout} (hint: a tenth of it)",
            arguments.heartbeat
        )));
    }
    let options = Options {
        membership: Membership { id, cluster: arguments.cluster, members },
        data,
        client,
        peer,
        joins: arguments.join,
        metrics: arguments.metrics,
        election_timeout: (election_timeout.low, election_timeout.high),
        heartbeat: arguments.heartbeat.0,
        pre_vote: arguments.pre_vote == Switch::On,
        lease_drift: arguments.lease,
        snapshot_bytes: arguments.snapshot_bytes.max(1),
        segment_bytes: arguments.segment_bytes,
        limits: Limits { uncommitted_bytes_max: arguments.uncommitted_bytes, ..Limits::DEFAULT },
        busy_poll: arguments.busy_poll.0,
        lazy_sync: arguments.lazy_sync.0,
        trace,
        seed,
        rules: arguments.defect.map_or(Rules::ALL, Rules::without),
    };
    server::run(options).map_err(|error| match error {
        NodeError::Listen { .. } => Error::Input(format!("{id}: {error}")),
        NodeError::Storage(_) | NodeError::Io { .. } => Error::Harness(format!("{id}: {error}")),
    })
}
