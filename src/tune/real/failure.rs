//! How a leader is made to fail, when exactly, how that is seen, and how it is undone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rafture_nemesis::clock::monotonic_ns;
use rafture_nemesis::cluster::{Cluster, NodeState};
use rafture_nemesis::hosts::{Condition, Link, Network};
use rafture_reports::tune::Failure;

use super::stage::Stage;
use crate::error::Error;

/// Datagrams on each slow link that show that it is: few, since they take the way of heartbeats.
const SAMPLES: u64 = 2;
/// How much longer than its delay a datagram is waited for.
const SAMPLE_PATIENCE: Duration = Duration::from_millis(100);

/// Makes the leader fail. Gives the moment at which it did, on the machine's monotonic clock.
pub(super) fn strike(stage: &mut Stage, failure: Failure, leader: usize) -> Result<u64, Error> {
    let links = links_of(leader, stage.cluster.len());
    match failure {
        // A signal takes effect within microseconds of the call that sends it, on whichever core the process runs. That it is gone, or
        // stands still, takes longer if it waits for its disk, but it does nothing more meanwhile; so that is waited for at the end.
        Failure::Kill => {
            let at_ns = monotonic_ns();
            stage.cluster.begin_kill(&[leader]).map_err(Error::harness)?;
            Ok(at_ns)
        }
        Failure::Pause => {
            let at_ns = monotonic_ns();
            stage.cluster.begin_pause(&[leader]).map_err(Error::harness)?;
            Ok(at_ns)
        }
        // The kernel puts a change of its filter in force at the end of the call.
        Failure::CutOff => {
            stage.cluster.cut(&links).map_err(Error::harness)?;
            Ok(monotonic_ns())
        }
        // Packets take the slow way from the moment that the filter leaves them to it, which is at the end as well.
        Failure::Slow => {
            let seed = stage.network_seed();
            let slow = slower(&stage.links, &links, stage.timing.election_timeout.1);
            stage.cluster.condition(slow, seed).map_err(Error::harness)?;
            Ok(monotonic_ns())
        }
    }
}

/// Whether the process that was struck is gone, or stands still. Waits for that.
pub(super) fn process_has_failed(
    cluster: &mut Cluster,
    failure: Failure,
    leader: usize,
) -> Result<bool, Error> {
    match failure {
        Failure::Kill => {
            cluster.kill(&[leader]).map_err(Error::harness)?;
            Ok(cluster.state(leader) == NodeState::Down)
        }
        Failure::Pause => {
            cluster.pause(&[leader]).map_err(Error::harness)?;
            Ok(cluster.state(leader) == NodeState::Paused)
        }
        Failure::CutOff | Failure::Slow => Ok(true),
    }
}

/// Whether the network that was struck carries nothing, or everything too late; that takes a while to see.
pub(super) async fn network_has_failed(
    cluster: &Cluster,
    failure: Failure,
    leader: usize,
    delay: Duration,
) -> Result<bool, Error> {
    let links = links_of(leader, cluster.len());
    match failure {
        Failure::Kill | Failure::Pause => Ok(true),
        Failure::CutOff => {
            let carried = cluster.hosts().probe(&BTreeSet::new()).await.map_err(Error::harness)?;
            Ok(carried.is_disjoint(&links))
        }
        Failure::Slow => {
            let patience = delay + SAMPLE_PATIENCE;
            let sampled = cluster.hosts().sample(&links, SAMPLES, patience).await.map_err(Error::harness)?;
            Ok(sampled.took.first().is_some_and(|&fastest| fastest >= delay))
        }
    }
}

/// Takes it back.
pub(super) fn undo(stage: &mut Stage, failure: Failure, leader: usize) -> Result<(), Error> {
    match failure {
        Failure::Kill => stage.start(leader),
        Failure::Pause => stage.cluster.resume(&[leader]).map_err(Error::harness),
        Failure::CutOff => {
            stage.cluster.cut(&BTreeSet::new()).map_err(Error::harness)?;
            refresh(stage, leader)
        }
        Failure::Slow => {
            let (links, seed) = (stage.links.clone(), stage.network_seed());
            stage.cluster.condition(links, seed).map_err(Error::harness)?;
            refresh(stage, leader)
        }
    }
}

/// Breaks the connections of a node off, so that it makes new ones: TCP remembers a spoilt network, and tries again ever more rarely.
/// Where that is not possible, it is waited for.
fn refresh(stage: &mut Stage, leader: usize) -> Result<(), Error> {
    match stage.cluster.hosts().network() {
        Network::Netns => stage.cluster.reset(&[leader]).map(drop).map_err(Error::harness),
        Network::Proxy => Ok(()),
    }
}

/// Both ways between a node and all others; not those to the clients, who still reach it.
fn links_of(node: usize, count: usize) -> BTreeSet<Link> {
    Link::all(count).filter(|link| link.from == node || link.to == node).collect()
}

/// The network with these links later by so much.
fn slower(
    links: &BTreeMap<Link, Condition>,
    slow: &BTreeSet<Link>,
    delay: Duration,
) -> BTreeMap<Link, Condition> {
    let later = Condition { delay, ..Condition::default() };
    let mut all = links.clone();
    for &link in slow {
        let condition = all.entry(link).or_default();
        *condition = condition.and(later);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_of_the_leader_are_struck_and_what_they_bore_before_stays() {
        let links = links_of(0, 3);
        assert_eq!(links.len(), 4);
        assert!(!links.contains(&Link { from: 1, to: 2 }));
        let (own, far) = (Duration::from_millis(2), Duration::from_millis(300));
        let base = Condition { delay: own, loss: 0.1, ..Condition::default() };
        let slow = slower(&Link::all(3).map(|link| (link, base)).collect(), &links, far);
        assert_eq!(slow[&Link { from: 0, to: 1 }], Condition { delay: own + far, ..base });
        assert_eq!(slow[&Link { from: 1, to: 2 }], base);
    }
}
