//! Labs 3 and 4: the key-value service on top.

use super::Scenario;
use super::scene::{ELECTION, Scene, ensure};
use rafture_node::resp::Reply;

pub(super) const SCENARIOS: [Scenario; 5] = [
    Scenario {
        name: "speed",
        source: "MIT 3A Speed",
        summary: "a thousand appends by one client, faster than three per heartbeat",
        nodes: 3,
        act: speed,
    },
    Scenario {
        name: "one-partition",
        source: "MIT 3A OnePartition",
        summary: "a write and a read in the minority do not finish before the network heals",
        nodes: 5,
        act: one_partition,
    },
    Scenario {
        name: "snapshot-rpc",
        source: "MIT 3B SnapshotRPC",
        summary: "a majority goes on and compacts its logs; whoever was away needs its snapshot to join in",
        nodes: 3,
        act: snapshot_rpc,
    },
    Scenario {
        name: "snapshot-size",
        source: "MIT 3B SnapshotSize",
        summary: "a snapshot holds the state, not its history",
        nodes: 3,
        act: snapshot_size,
    },
    Scenario {
        name: "submit-in-minority",
        source: "MIT 4A",
        summary: "a leader that is cut off answers none of its hundred pending commands with success",
        nodes: 3,
        act: submit_in_minority,
    },
];

fn speed(scene: &mut Scene) -> Result<(), String> {
    let leader = scene.one_leader()?;
    scene.wait(100);
    let began = scene.world.now;
    for number in 0..1000 {
        let asked = scene.submit(leader, &["APPEND", "x", &format!("{number},")]);
        scene.wait_until_answered(asked)?;
        ensure(scene.succeeded(asked), || format!("append {number} failed"))?;
    }
    let each = (scene.world.now - began) as f64 / 1e6 / 1000.0;
    ensure(each <= 33.3, || format!("{each:.1} ms for each append"))
}

fn one_partition(scene: &mut Scene) -> Result<(), String> {
    scene.one("first", 5)?;
    let leader = scene.one_leader()?;
    let written = scene.submit(leader, &["SET", "1", "13"]);
    scene.wait_until_answered(written)?;
    let minority = [leader, (leader + 1) % 5];
    scene.partition(&minority);
    let write = scene.submit(leader, &["SET", "1", "15"]);
    let read = scene.submit(leader, &["GET", "1"]);
    let other = (0..5).find(|node| !minority.contains(node)).expect("there are five");
    scene.wait_for(5 * ELECTION, "a leader of the majority", |scene| {
        scene.leaders().iter().any(|node| !minority.contains(node))
    })?;
    let next = scene.leaders().into_iter().find(|node| !minority.contains(node)).unwrap_or(other);
    let good = scene.submit(next, &["SET", "1", "14"]);
    scene.wait_until_answered(good)?;
    ensure(scene.succeeded(good), || "the majority cannot write".into())?;
    scene.wait(ELECTION);
    ensure(!scene.succeeded(write) && !scene.succeeded(read), || "the minority answered".into())?;
    scene.heal();
    scene.one("healed", 5)?;
    let leader = scene.one_leader()?;
    let read = scene.submit(leader, &["GET", "1"]);
    scene.wait_until_answered(read)?;
    ensure(scene.answer(read) == Some(&Reply::Bulk("14".into())), || format!("{:?}", scene.answer(read)))
}

fn snapshot_rpc(scene: &mut Scene) -> Result<(), String> {
    scene.snapshot_every(1000);
    scene.one("first", 3)?;
    let leader = scene.one_leader()?;
    let away = (leader + 1) % 3;
    scene.partition(&[away]);
    for number in 0..50 {
        scene.one(&number.to_string(), 2)?;
    }
    let start = scene.world.nodes[leader].replica().map_or(0, |replica| replica.raft().base().index.0);
    ensure(start > scene.last(away).index.0, || "the log was not compacted".into())?;
    scene.heal();
    scene.one("healed", 3)?;
    ensure(scene.agreed(away).len() == 52, || format!("{} values of 52", scene.agreed(away).len()))
}

fn snapshot_size(scene: &mut Scene) -> Result<(), String> {
    scene.snapshot_every(1000);
    let leader = scene.one_leader()?;
    for round in 0..200 {
        for value in ["a", "b"] {
            let asked = scene.submit(leader, &["SET", "x", &format!("{value}{}", round % 10)]);
            scene.wait_until_answered(asked)?;
        }
    }
    let size = |scene: &Scene| {
        let replica = scene.world.nodes[leader].replica()?;
        Some(replica.raft().snapshot()?.size)
    };
    scene.wait_for(1000, "a snapshot", |scene| size(scene).is_some())?;
    let bytes = size(scene).unwrap_or(u64::MAX);
    ensure(bytes <= 500, || format!("the snapshot has {bytes} bytes"))
}

fn submit_in_minority(scene: &mut Scene) -> Result<(), String> {
    scene.one("first", 3)?;
    let leader = scene.one_leader()?;
    scene.disconnect(leader);
    let numbers: Vec<u64> =
        (0..100).map(|number| scene.submit(leader, &["RPUSH", "log", &format!("lost {number}")])).collect();
    scene.one("kept", 2)?;
    scene.wait(ELECTION);
    scene.connect(leader);
    scene.one("last", 3)?;
    ensure(numbers.iter().all(|&number| !scene.succeeded(number)), || {
        "a lost command was acknowledged".into()
    })?;
    ensure(numbers.iter().all(|&number| scene.answer(number).is_some()), || {
        "a client waits for ever".into()
    })?;
    ensure(scene.agreed(leader) == ["first", "kept", "last"], || format!("{:?}", scene.agreed(leader)))
}
