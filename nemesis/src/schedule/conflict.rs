//! Which faults get into each other's way: two of one kind, at once, where one would end or replace the other.
//!
//! Faults of different kinds never do: each undoes what it has done. Of one kind, it is only refused what cannot be carried out
//! as it is written.

use super::Episode;
use super::window::{may_overlap, windows};
use crate::fault::{ClusterFault, DiskFault, FaultKind, Target};

/// The first two episodes that cannot be carried out together, the later one first, and why.
pub(super) fn find(episodes: &[Episode]) -> Option<(&Episode, &Episode, &'static str)> {
    let windows = windows(episodes);
    for (number, later) in episodes.iter().enumerate() {
        for (before, earlier) in episodes[..number].iter().enumerate() {
            let are_apart = windows[before].ends_ms.1 <= windows[number].begins_ms.0
                || windows[number].ends_ms.1 <= windows[before].begins_ms.0;
            if are_apart || earlier.fault.kind != later.fault.kind {
                continue;
            }
            if let Some(why) = conflict(earlier, later).filter(|_| may_overlap(episodes, earlier, later)) {
                return Some((later, earlier, why));
            }
        }
    }
    None
}

/// Why two faults of one kind cannot be in force at once.
fn conflict(earlier: &Episode, later: &Episode) -> Option<&'static str> {
    let named = |episode: &Episode| match episode.fault.target {
        Target::Node(number) if !episode.there => Some(number),
        _ => None,
    };
    let names = (named(earlier), named(later));
    let may_meet = names.0.is_none() || names.1.is_none() || names.0 == names.1;
    match later.fault.kind {
        // Both strike those that are still up: the second finds somebody, if it may choose and somebody is left.
        FaultKind::Kill | FaultKind::Pause | FaultKind::Disk(DiskFault::PowerLoss | DiskFault::TornWrite) => {
            let same = names.0.is_some() && names.0 == names.1;
            (same || earlier.fault.target == Target::All).then_some("nobody would be left to strike")
        }
        // They add up, and the end of one leaves what the other does.
        FaultKind::Partition
        | FaultKind::Reset
        | FaultKind::Cluster(ClusterFault::Transfer | ClusterFault::Snapshot) => None,
        FaultKind::Link(_) => {
            let shapes = (earlier.fault.shape, later.fault.shape);
            let targets = (earlier.fault.target, later.fault.target);
            let are_links = matches!(targets, (Target::Link(_), Target::Link(_)));
            let are_apart = (!may_meet && shapes.0 == shapes.1 && shapes.0.is_some())
                || (are_links && targets.0 != targets.1);
            (!are_apart).then_some("what is measured would be the work of both")
        }
        FaultKind::Clock
        | FaultKind::Cpu
        | FaultKind::Memory
        | FaultKind::Twin
        | FaultKind::Disk(
            DiskFault::SlowDisk
            | DiskFault::IoError
            | DiskFault::DiskFull
            | DiskFault::BitFlip
            | DiskFault::LostWrite
            | DiskFault::MisdirectedWrite
            | DiskFault::Rollback
            | DiskFault::Amnesia,
        ) => may_meet.then_some("both may strike the same node, and the first to end would end both"),
        FaultKind::Upgrade => Some("a cluster is upgraded once"),
        FaultKind::Cluster(ClusterFault::Membership | ClusterFault::Wipe) => {
            Some("one member is away at a time")
        }
    }
}
