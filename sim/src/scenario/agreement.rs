//! Lab 2B: logs agree, with no more messages and bytes than it takes.

use super::Scenario;
use super::scene::{ELECTION, Scene, ensure};
use rafture_node::raft::Index;

pub(super) const SCENARIOS: [Scenario; 9] = [
    Scenario {
        name: "basic-agree",
        source: "MIT 2B BasicAgree",
        summary: "three commands, each at the next index, none committed before it was asked for",
        nodes: 3,
        act: basic,
    },
    Scenario {
        name: "rpc-bytes",
        source: "MIT 2B RPCBytes",
        summary: "every command goes to every node just once",
        nodes: 3,
        act: bytes,
    },
    Scenario {
        name: "follower-failure",
        source: "MIT 2B FollowerFailure",
        summary: "agreement goes on without one follower, and not without both",
        nodes: 3,
        act: follower_failure,
    },
    Scenario {
        name: "leader-failure",
        source: "MIT 2B LeaderFailure",
        summary: "agreement goes on without one leader, and not without a second",
        nodes: 3,
        act: leader_failure,
    },
    Scenario {
        name: "fail-agree",
        source: "MIT 2B FailAgree",
        summary: "a follower that was away agrees when it is back",
        nodes: 3,
        act: fail_agree,
    },
    Scenario {
        name: "fail-no-agree",
        source: "MIT 2B FailNoAgree",
        summary: "nothing is agreed on while three of five are away",
        nodes: 5,
        act: fail_no_agree,
    },
    Scenario {
        name: "concurrent-starts",
        source: "MIT 2B ConcurrentStarts",
        summary: "five commands at once are all agreed on",
        nodes: 3,
        act: concurrent,
    },
    Scenario {
        name: "rejoin",
        source: "MIT 2B Rejoin",
        summary: "a leader comes back with entries that nobody wants, and gives them up",
        nodes: 3,
        act: rejoin,
    },
    Scenario {
        name: "backup",
        source: "MIT 2B Backup and Count",
        summary: "leaders back up quickly over long logs that part, and an idle cluster is quiet",
        nodes: 5,
        act: backup,
    },
];

fn basic(scene: &mut Scene) -> Result<(), String> {
    let leader = scene.one_leader()?;
    scene.wait(100);
    for number in 0..3_u64 {
        // The leader's own first entry stands before them.
        let before = scene.commit(leader);
        ensure(before == Index(1 + number), || format!("{before} entries before command {number}"))?;
        let index = scene.one(&number.to_string(), 3)?;
        ensure(index == before.next(), || format!("command {number} stands at {index}"))?;
    }
    Ok(())
}

fn bytes(scene: &mut Scene) -> Result<(), String> {
    scene.one("first", 3)?;
    let long = "x".repeat(5000);
    scene.count_from_here();
    for _ in 0..10 {
        scene.one(&long, 3)?;
    }
    let (_, bytes) = scene.calls();
    ensure(bytes <= 3 * 50_000 + 50_000, || format!("{bytes} bytes for 50000 to two followers"))
}

fn follower_failure(scene: &mut Scene) -> Result<(), String> {
    scene.one("101", 3)?;
    let leader = scene.one_leader()?;
    scene.disconnect((leader + 1) % 3);
    scene.one("102", 2)?;
    scene.wait(ELECTION);
    let last = scene.one("103", 2)?;
    let leader = scene.one_leader()?;
    scene.disconnect((leader + 1) % 3);
    scene.disconnect((leader + 2) % 3);
    let number = scene.submit(leader, &["RPUSH", "log", "104"]);
    scene.wait(2 * ELECTION);
    ensure(!scene.succeeded(number), || "a write was answered without a quorum".into())?;
    ensure((0..3).all(|node| scene.commit(node) <= last), || {
        "something was committed without a quorum".into()
    })
}

fn leader_failure(scene: &mut Scene) -> Result<(), String> {
    scene.one("101", 3)?;
    let first = scene.one_leader()?;
    scene.disconnect(first);
    scene.one("102", 2)?;
    let last = scene.one("103", 2)?;
    let second = scene.one_leader()?;
    scene.disconnect(second);
    for node in 0..3 {
        scene.submit(node, &["RPUSH", "log", "104"]);
    }
    scene.wait(2 * ELECTION);
    ensure((0..3).all(|node| scene.commit(node) <= last), || {
        "something was committed without a quorum".into()
    })
}

fn fail_agree(scene: &mut Scene) -> Result<(), String> {
    scene.one("101", 3)?;
    let leader = scene.one_leader()?;
    let away = (leader + 1) % 3;
    scene.disconnect(away);
    for command in ["102", "103", "104", "105"] {
        scene.one(command, 2)?;
    }
    scene.connect(away);
    scene.one("106", 3)?;
    scene.one("107", 3)?;
    let expected = ["101", "102", "103", "104", "105", "106", "107"];
    ensure(scene.agreed(away) == expected, || format!("n{} has {:?}", away + 1, scene.agreed(away)))
}

fn fail_no_agree(scene: &mut Scene) -> Result<(), String> {
    let before = scene.one("10", 5)?;
    let leader = scene.one_leader()?;
    for step in 1..4 {
        scene.disconnect((leader + step) % 5);
    }
    let number = scene.submit(leader, &["RPUSH", "log", "20"]);
    scene.wait(2 * ELECTION);
    ensure(!scene.succeeded(number), || "a write was answered without a quorum".into())?;
    ensure((0..5).all(|node| scene.commit(node) <= before), || {
        "something was committed without a quorum".into()
    })?;
    for step in 1..4 {
        scene.connect((leader + step) % 5);
    }
    scene.one_leader()?;
    scene.one("30", 5)?;
    scene.one("1000", 5).map(drop)
}

fn concurrent(scene: &mut Scene) -> Result<(), String> {
    let leader = scene.one_leader()?;
    let numbers: Vec<u64> =
        (0..5).map(|number| scene.submit(leader, &["RPUSH", "log", &number.to_string()])).collect();
    scene
        .wait_for(2000, "all five answers", |scene| numbers.iter().all(|&number| scene.succeeded(number)))?;
    let mut agreed = scene.agreed(leader);
    agreed.sort();
    ensure(agreed == ["0", "1", "2", "3", "4"], || format!("{agreed:?}"))
}

fn rejoin(scene: &mut Scene) -> Result<(), String> {
    scene.one("101", 3)?;
    let first = scene.one_leader()?;
    scene.disconnect(first);
    for command in ["102", "103", "104"] {
        scene.submit(first, &["RPUSH", "log", command]);
    }
    scene.one("103", 2)?;
    let second = scene.one_leader()?;
    scene.disconnect(second);
    scene.connect(first);
    scene.one("104", 2)?;
    scene.connect(second);
    scene.one("105", 3)?;
    let expected = ["101", "103", "104", "105"];
    ensure(scene.agreed(first) == expected, || format!("n{} has {:?}", first + 1, scene.agreed(first)))
}

fn backup(scene: &mut Scene) -> Result<(), String> {
    scene.one("first", 5)?;
    let first = scene.one_leader()?;
    let with_first = (first + 1) % 5;
    let others: Vec<usize> = (2..5).map(|step| (first + step) % 5).collect();
    others.iter().for_each(|&node| scene.disconnect(node));
    for number in 0..50 {
        scene.submit(first, &["RPUSH", "log", &format!("dead {number}")]);
    }
    scene.wait(ELECTION / 2);
    scene.disconnect(first);
    scene.disconnect(with_first);
    others.iter().for_each(|&node| scene.connect(node));
    for number in 0..50 {
        scene.one(&format!("good {number}"), 3)?;
    }
    let second = scene.one_leader()?;
    let away = *others.iter().find(|&&node| node != second).expect("there are three");
    scene.disconnect(away);
    for number in 50..100 {
        scene.submit(second, &["RPUSH", "log", &format!("dead {number}")]);
    }
    scene.wait(ELECTION / 2);
    (0..5).for_each(|node| scene.disconnect(node));
    [first, with_first, away].iter().for_each(|&node| scene.connect(node));
    for number in 50..100 {
        scene.one(&format!("good {number}"), 3)?;
    }
    (0..5).for_each(|node| scene.connect(node));
    scene.count_from_here();
    scene.one("last", 5)?;
    let agreed = scene.agreed(first);
    let good = agreed.iter().filter(|value| value.starts_with("good")).count();
    ensure(good == 100, || format!("{good} of 100 commands are there"))?;
    // Count: ten commands in at most (10 + 1 + 3) × 3 calls, and at most 60 calls in an idle second among three;
    // five nodes have twice as many followers.
    scene.wait(ELECTION);
    scene.count_from_here();
    let leader = scene.one_leader()?;
    let numbers: Vec<u64> =
        (0..10).map(|number| scene.submit(leader, &["RPUSH", "log", &number.to_string()])).collect();
    scene.wait_for(2000, "ten answers", |scene| numbers.iter().all(|&number| scene.succeeded(number)))?;
    let (calls, _) = scene.calls();
    ensure(calls <= 2 * 42, || format!("{calls} calls for ten commands"))?;
    scene.wait(100);
    scene.count_from_here();
    scene.wait(ELECTION);
    let (calls, _) = scene.calls();
    ensure(calls <= 2 * 60, || format!("{calls} calls in an idle second"))
}
