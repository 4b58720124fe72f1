//! Time in which nothing fails: elections that happen all the same are without cause.

use std::collections::BTreeSet;
use std::time::Duration;

use rafture_nemesis::clock::monotonic_ns;
use rafture_nemesis::disk::Trouble;
use rafture_nemesis::hosts::{Condition, Link};
use rafture_reports::tune::statistics::rate_interval;
use rafture_reports::tune::{Source, Steady};
use rafture_workloads::operation::Ask;
use rafture_workloads::systems::Route;
use rafture_workloads::systems::elections::ElectionStep;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::Burden;
use super::stage::{Stage, Well};
use crate::error::Error;

/// Clients that write under load, each one write after the other.
const CLIENTS: u64 = 4;
/// How long one of them waits for an answer.
const WRITE_PATIENCE: Duration = Duration::from_secs(1);
/// What links are later by on average when they jitter, as a share of a heartbeat.
const JITTER_SHARE: f64 = 0.3;
/// What every sync of a slow disk takes longer.
const SLOW_SYNC: Duration = Duration::from_millis(20);
/// How often it is looked what nodes have written. What they write says when it was.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Lets time pass under a burden; `None` if there was no leader to begin with.
pub(super) async fn keep(
    stage: &mut Stage,
    burden: Burden,
    lasts: Duration,
) -> Result<Option<Steady>, Error> {
    let Some(well) = stage.become_well(stage.patience()).await? else {
        return Ok(None);
    };
    stage.elections.forget_past();
    let began_ns = monotonic_ns();
    impose(stage, burden)?;
    let mut clients = JoinSet::new();
    if burden == Burden::Load {
        hire(stage, well, &mut clients);
    }
    let end = Instant::now() + lasts;
    while Instant::now() < end {
        sleep_until(end.min(Instant::now() + LOOK_INTERVAL)).await;
        stage.look();
    }
    // Waiting for the last writes would be time that is not counted.
    clients.shutdown().await;
    let hours = Duration::from_nanos(monotonic_ns() - began_ns).as_secs_f64() / 3600.0;
    relieve(stage, burden)?;
    let elections = begun(stage, well.term);
    Ok(Some(Steady {
        source: Source::Real,
        burden: burden.name().into(),
        hours,
        elections,
        per_hour: elections as f64 / hours,
        per_hour_interval: rate_interval(elections, hours),
        // Heartbeats are in no trace: only that they were missed long enough.
        longest_silence_ms: None,
    }))
}

/// Terms that somebody has stood for since.
fn begun(stage: &Stage, term: u64) -> u64 {
    let stood = stage.elections.seen().iter().filter(|seen| seen.step == ElectionStep::Stood);
    let terms: BTreeSet<u64> = stood.map(|seen| seen.term).filter(|&stood| stood > term).collect();
    terms.len() as u64
}

fn impose(stage: &mut Stage, burden: Burden) -> Result<(), Error> {
    match burden {
        Burden::Idle | Burden::Load => Ok(()),
        Burden::Jitter => {
            let jitter = stage.timing.heartbeat.mul_f64(JITTER_SHARE);
            let more = Condition { jitter, ..Condition::default() };
            let mut links = stage.links.clone();
            for link in Link::all(stage.cluster.len()) {
                let condition = links.entry(link).or_default();
                *condition = condition.and(more);
            }
            let seed = stage.network_seed();
            stage.cluster.condition(links, seed).map_err(Error::harness)
        }
        Burden::SlowDisks => {
            let slow_sync = stage.disks.slow_sync + SLOW_SYNC;
            stage.set_disks(Trouble { slow_sync, ..stage.disks });
            Ok(())
        }
    }
}

fn relieve(stage: &mut Stage, burden: Burden) -> Result<(), Error> {
    match burden {
        Burden::Idle | Burden::Load => Ok(()),
        Burden::Jitter => {
            let (links, seed) = (stage.links.clone(), stage.network_seed());
            stage.cluster.condition(links, seed).map_err(Error::harness)
        }
        Burden::SlowDisks => {
            stage.set_disks(stage.disks);
            Ok(())
        }
    }
}

/// Clients that write without end, one write after the other, wherever the leader is.
fn hire(stage: &Stage, well: Well, clients: &mut JoinSet<()>) {
    for number in 0..CLIENTS {
        let mut client = stage.system.client(stage.layout.clone(), Route::Leader(well.leader));
        clients.spawn_local(async move {
            for value in 0_u64.. {
                let ask = Ask { f: "write", key: Some(format!("load-{number}")), value: json!(value) };
                client.invoke(&ask, Instant::now() + WRITE_PATIENCE).await;
                // A client that is refused at once leaves others their turn.
                sleep(Duration::ZERO).await;
            }
        });
    }
}
