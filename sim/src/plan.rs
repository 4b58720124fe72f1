//! What a seed decides before anything happens: the cluster, its surroundings, its clients and what befalls it.

use std::time::Duration;

use rafture_nemesis::fault::{FaultKind, FaultSpec};
use rafture_nemesis::schedule::{Schedule, ScheduleError};
use rafture_node::rules::Rules;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub use crate::network::Weather;

/// What a person asks for.
#[derive(Debug, Clone)]
pub struct PlanOptions {
    /// Members at the start.
    pub nodes: usize,
    /// How long faults strike, in virtual time.
    pub time_limit: Duration,
    /// Mean time between faults.
    pub interval: Duration,
    /// What strikes.
    pub faults: Vec<FaultSpec>,
    /// Name of the workload.
    pub workload: String,
    /// Rules that hold.
    pub rules: Rules,
    /// Range of election timeouts.
    pub election_timeout: (Duration, Duration),
    /// Time between heartbeats.
    pub heartbeat: Duration,
}

/// Everything that a run is made of. Two runs of one plan are equal to the byte.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What decided all of it, and decides the rest as it comes.
    pub seed: u64,
    /// What was asked for.
    pub options: PlanOptions,
    /// What strikes when.
    pub schedule: Schedule,
    /// The network when nothing ails it.
    pub weather: Weather,
    /// Leaders answer reads by their lease, with this bound on drifting clocks.
    pub lease_drift: Option<f64>,
    /// How far clocks are off, at most, in millionths. A lease needs its bound kept; nothing else does.
    pub drift_ppm: u32,
    /// Clients.
    pub clients: usize,
    /// What a client waits between two operations, on average.
    pub think: Duration,
    /// A sync of the disk takes so long, at least and at most, in microseconds.
    pub sync_us: (u64, u64),
    /// Bytes of entries that make a snapshot due.
    pub snapshot_bytes: u64,
}

/// Nodes that are there to be added, beyond those that the cluster starts with.
pub(crate) const SPARES: usize = 2;

impl Plan {
    /// The plan of a seed.
    ///
    /// # Errors
    /// When the faults do not fit.
    pub fn new(seed: u64, options: PlanOptions) -> Result<Plan, ScheduleError> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let PlanOptions { nodes, time_limit, interval, ref faults, .. } = options;
        let schedule = Schedule::random(random.random(), faults, interval, time_limit, nodes)?;
        let changes_clocks = faults.iter().any(|spec| spec.kind == FaultKind::Clock);
        // A third of the clusters read by lease, and keep their clocks within its bound.
        let lease_drift = random.random_bool(0.33).then_some(0.1);
        let drift_ppm = match (lease_drift, changes_clocks) {
            (Some(_), _) => 90_000,
            (None, true) => 500_000,
            (None, false) => 1000,
        };
        let calm = random.random_bool(0.5);
        let weather = Weather {
            delay_us: random.random_range(50..500),
            jitter_us: [100, 500, 3000][random.random_range(0..3)],
            loss: if calm { 0.0 } else { random.random_range(0.0..0.03) },
            duplicates: if calm { 0.0 } else { random.random_range(0.0..0.03) },
        };
        let fast = random.random_range(50..500);
        Ok(Plan {
            seed,
            options,
            schedule,
            weather,
            lease_drift,
            drift_ppm,
            clients: random.random_range(4..=6),
            think: Duration::from_millis(random.random_range(200..700)),
            sync_us: (fast, fast * 4),
            snapshot_bytes: random.random_range(4 << 10..24 << 10),
        })
    }
}
