//! What was typed behind `rafture run`. What it means is `plan.rs`.

use std::path::PathBuf;

use clap::{Args, Parser};

use crate::duration::{Range, Span};

/// Start a cluster, drive it, break it, check what its clients saw, report
#[derive(Debug, Clone, Args)]
pub struct RunArguments {
    /// System under test (see `rafture systems`)
    #[arg(long, default_value = "rafture")]
    pub system: String,
    /// Something about the system that can be chosen (see `rafture systems`); may be given several times
    #[arg(long = "option", value_name = "NAME=VALUE")]
    pub options: Vec<String>,
    /// Nodes of the cluster
    #[arg(long, default_value_t = 5)]
    pub nodes: usize,
    /// What the clients do: register, cas-register
    #[arg(long, default_value = "register")]
    pub workload: String,
    /// Faults, with shape and target where you like: `kill@leader`, `partition:bridge`; `none` for none [default: kill,pause,partition, and power-loss where disks can be spoilt]
    #[arg(long)]
    pub faults: Option<String>,
    /// What strikes when, written by hand or recorded by a run, instead of drawn (see docs/schedules.md)
    #[arg(long, value_name = "FILE.toml")]
    pub schedule: Option<PathBuf>,
    /// Mean time between faults
    #[arg(long, default_value = "3s")]
    pub interval: Span,
    /// How long the cluster is driven under faults [default: 30s, or what the schedule takes]
    #[arg(long)]
    pub time_limit: Option<Span>,
    /// How long it is driven after the last fault was healed
    #[arg(long, default_value = "2s")]
    pub quiet: Span,
    /// Clients of a closed loop; `2n` is two per node
    #[arg(long, default_value = "10", value_name = "COUNT")]
    pub concurrency: String,
    /// Operations per second, begun on schedule (open loop); without it, each client asks when it was answered
    #[arg(long, value_name = "PER SECOND")]
    pub rate: Option<f64>,
    /// An operation that was not answered for so long may or may not have happened
    #[arg(long, default_value = "200ms")]
    pub patience: Span,
    /// Decides operations, schedule and targets; drawn if not given
    #[arg(long)]
    pub seed: Option<u64>,
    /// Where the nodes live: auto, netns, proxy
    #[arg(long, default_value = "auto")]
    pub network: String,
    /// Folder of all runs
    #[arg(long, default_value = "runs")]
    pub store: PathBuf,
    /// Name of this run's folder in the store; by default the system and the workload
    #[arg(long)]
    pub name: Option<String>,
    /// Something about this run that reports and lists tell it by, such as `commit=4f2a9c1`; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub labels: Vec<String>,
    /// Range that the nodes draw their election timeouts from
    #[arg(long, default_value = "150ms..300ms")]
    pub election_timeout: Range,
    /// Time between a leader's heartbeats
    #[arg(long, default_value = "50ms")]
    pub heartbeat: Span,
    /// Planted bug (see `rafture defects`)
    #[arg(long, value_name = "ID")]
    pub defect: Option<String>,
    /// How long it may take until an operation succeeds, while a majority of nodes is left alone
    #[arg(long, default_value = "10s")]
    pub serve_within: Span,
    /// Files of a node's data whose content faults of disks make wrong (`bit-flip`, `lost-write`, `misdirected-write`): a path or a name, in
    /// which `*` is anything and `?` any one character
    #[arg(long, default_value = "*", value_name = "PATTERN")]
    pub files: String,
    /// Program that `upgrade` replaces the nodes' with
    #[arg(long, value_name = "PROGRAM")]
    pub upgrade_to: Option<PathBuf>,
    /// Time that each checker may take
    #[arg(long, default_value = "60s")]
    pub check_time_limit: Span,
    /// Print results.json on one line instead of a summary
    #[arg(long)]
    pub json: bool,
}

impl Default for RunArguments {
    /// What `rafture run` means without any flag.
    fn default() -> RunArguments {
        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            arguments: RunArguments,
        }
        Line::parse_from(["run"]).arguments
    }
}
