//! Lab 2D: logs stay short, and whoever lacks their start gets a snapshot.

use super::Scenario;
use super::scene::{ELECTION, Scene, ensure};
use rafture_node::raft::Index;

pub(super) const SCENARIOS: [Scenario; 6] = [
    Scenario {
        name: "snapshot-basic",
        source: "MIT 2D SnapshotBasic",
        summary: "logs are cut off at snapshots while everybody is there",
        nodes: 3,
        act: |scene| install(scene, Harm::None, false),
    },
    Scenario {
        name: "snapshot-install",
        source: "MIT 2D SnapshotInstall",
        summary: "a node that was cut off for long catches up by a snapshot",
        nodes: 3,
        act: |scene| install(scene, Harm::Disconnect, false),
    },
    Scenario {
        name: "snapshot-install-unreliable",
        source: "MIT 2D SnapshotInstallUnreliable",
        summary: "the same over a network that loses messages",
        nodes: 3,
        act: |scene| install(scene, Harm::Disconnect, true),
    },
    Scenario {
        name: "snapshot-install-crash",
        source: "MIT 2D SnapshotInstallCrash and SnapshotInstallUnCrash",
        summary: "a node that was down for long catches up by a snapshot, also over a network that loses messages",
        nodes: 3,
        act: |scene| {
            install(scene, Harm::Crash, false)?;
            install(scene, Harm::Crash, true)
        },
    },
    Scenario {
        name: "snapshot-all-crash",
        source: "MIT 2D SnapshotAllCrash",
        summary: "all crash, and no index ever goes down",
        nodes: 3,
        act: all_crash,
    },
    Scenario {
        name: "snapshot-init",
        source: "MIT 3D SnapshotInit",
        summary: "what comes after a snapshot and a restart is not lost by the next restart",
        nodes: 3,
        act: init,
    },
];

#[derive(PartialEq)]
enum Harm {
    None,
    Disconnect,
    Crash,
}

/// A snapshot after about ten commands of the labs.
const SNAPSHOT_BYTES: u64 = 1000;
/// A log that is regularly cut off is not much longer, but for what is kept for whoever is a little behind.
const LOG_BYTES: u64 = 2000 + crate::node::LIMITS.keep_bytes;

fn install(scene: &mut Scene, harm: Harm, unreliable: bool) -> Result<(), String> {
    scene.snapshot_every(SNAPSHOT_BYTES);
    if unreliable {
        scene.unreliable(false);
    }
    scene.one("first", 3)?;
    for round in 0..30 {
        let leader = scene.one_leader()?;
        let (victim, sender) = match round % 3 {
            1 => (leader, (leader + 1) % 3),
            _ => ((leader + 1) % 3, leader),
        };
        match harm {
            Harm::None => {}
            Harm::Disconnect => scene.disconnect(victim),
            Harm::Crash => scene.crash(victim),
        }
        if harm != Harm::None {
            scene.one(&format!("{round} alone"), 2)?;
        }
        let commands = 5 + scene.draw(10);
        for number in 0..commands {
            scene.submit(sender, &["SET", &format!("k{number}"), &round.to_string()]);
            scene.one(&format!("{round}.{number}"), if harm == Harm::None { 3 } else { 2 })?;
        }
        let long = (0..3).find(|&node| scene.is_up(node) && scene.log_bytes(node) > LOG_BYTES);
        ensure(long.is_none(), || format!("a log has {} bytes", scene.log_bytes(long.unwrap_or(0))))?;
        match harm {
            Harm::None => {}
            Harm::Disconnect => scene.connect(victim),
            Harm::Crash => scene.start(victim),
        }
        scene.one(&format!("{round} all"), 3)?;
    }
    scene.reliable();
    Ok(())
}

fn all_crash(scene: &mut Scene) -> Result<(), String> {
    scene.snapshot_every(SNAPSHOT_BYTES);
    scene.one("first", 3)?;
    for round in 0..5 {
        let commands = 5 + scene.draw(10);
        let mut last = Index(0);
        for number in 0..commands {
            last = scene.one(&format!("{round}.{number}"), 3)?;
        }
        (0..3).for_each(|node| scene.crash(node));
        (0..3).for_each(|node| scene.start(node));
        let next = scene.one(&format!("{round} again"), 3)?;
        ensure(next > last, || format!("the index went from {last} to {next}"))?;
    }
    Ok(())
}

fn init(scene: &mut Scene) -> Result<(), String> {
    scene.snapshot_every(SNAPSHOT_BYTES);
    for number in 0..20 {
        scene.one(&number.to_string(), 3)?;
    }
    for round in 0..2 {
        (0..3).for_each(|node| scene.crash(node));
        (0..3).for_each(|node| scene.start(node));
        scene.wait(ELECTION);
        scene.one(&format!("after {round}"), 3)?;
    }
    let agreed = scene.agreed(0);
    ensure(agreed.len() == 22, || format!("{} of 22 values are there", agreed.len()))
}
