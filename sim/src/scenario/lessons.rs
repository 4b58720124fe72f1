//! What teaches Raft: each of these is worth reading with `--trace`.

use super::Scenario;
use super::scene::{ELECTION, Scene, ensure};

pub(super) const SCENARIOS: [Scenario; 6] = [
    Scenario {
        name: "minority-leader",
        source: "paper, 5.4; dissertation, 6.4",
        summary: "a leader in the minority answers nobody, and steps down when it notices",
        nodes: 5,
        act: minority_leader,
    },
    Scenario {
        name: "half-sent",
        source: "paper, 5.3",
        summary: "a leader dies after only some followers have its entry: it may survive, and nobody was told either way",
        nodes: 5,
        act: half_sent,
    },
    Scenario {
        name: "slow-network",
        source: "paper, 5.6",
        summary: "messages take longer than election timeouts: healthy leaders are deposed again and again",
        nodes: 5,
        act: slow_network,
    },
    Scenario {
        name: "split-votes",
        source: "paper, 5.2 and 9.3",
        summary: "all stand for election at once and nobody wins, until their timeouts differ",
        nodes: 5,
        act: split_votes,
    },
    Scenario {
        name: "majority-gone",
        source: "paper, 5.5",
        summary: "without a majority nothing happens, and with it everything goes on",
        nodes: 5,
        act: majority_gone,
    },
    Scenario {
        name: "log-repair",
        source: "paper, 5.3 and Figure 7",
        summary: "a new leader finds where other logs part from its own, and makes them equal",
        nodes: 5,
        act: log_repair,
    },
];

fn minority_leader(scene: &mut Scene) -> Result<(), String> {
    let old = scene.one_leader()?;
    scene.one("before", 5)?;
    scene.partition(&[old, (old + 1) % 5]);
    let write = scene.submit(old, &["RPUSH", "log", "in vain"]);
    let read = scene.submit(old, &["LRANGE", "log", "0", "-1"]);
    scene.wait_for(ELECTION, "a new leader", |scene| scene.leaders().iter().any(|&node| node != old))?;
    scene.wait_for(ELECTION, "the old leader steps down", |scene| !scene.leaders().contains(&old))?;
    ensure(!scene.succeeded(write) && !scene.succeeded(read), || "the minority answered".into())?;
    scene.heal();
    scene.one("after", 5)?;
    ensure(scene.agreed(old) == ["before", "after"], || format!("{:?}", scene.agreed(old)))
}

fn half_sent(scene: &mut Scene) -> Result<(), String> {
    let old = scene.one_leader()?;
    scene.one("before", 5)?;
    let (with, without): (Vec<usize>, Vec<usize>) =
        (0..5).filter(|&node| node != old).partition(|&node| node == (old + 1) % 5);
    without.iter().for_each(|&node| scene.disconnect(node));
    let write = scene.submit(old, &["RPUSH", "log", "half sent"]);
    let last = scene.last(old);
    scene.wait_for(100, "one follower has the entry", |scene| scene.last(with[0]) >= last)?;
    scene.crash(old);
    without.iter().for_each(|&node| scene.connect(node));
    scene.one("after", 4)?;
    ensure(!scene.succeeded(write), || "it was acknowledged by a minority".into())?;
    scene.start(old);
    scene.one("last", 5)?;
    let logs: Vec<Vec<String>> = (0..5).map(|node| scene.agreed(node)).collect();
    ensure(logs.iter().all(|log| *log == logs[0]), || format!("{logs:?}"))
}

fn slow_network(scene: &mut Scene) -> Result<(), String> {
    let leader = scene.one_leader()?;
    scene.one("before", 5)?;
    let term = scene.term(leader);
    scene.tell("messages take up to 600 ms now; nobody is down");
    scene.slow(600);
    scene.wait(10 * ELECTION);
    let latest = (0..5).map(|node| scene.term(node)).max().unwrap_or(term);
    ensure(latest.0 > term.0, || "no election without a cause, though the network is slow".into())?;
    scene.reliable();
    scene.one("after", 5).map(drop)
}

fn split_votes(scene: &mut Scene) -> Result<(), String> {
    let leader = scene.one_leader()?;
    scene.tell("timeouts are all the same now, and messages are slow: everybody stands at once");
    let options = &mut scene.world.plan.options;
    let wide = options.election_timeout;
    options.election_timeout = (wide.0, wide.0);
    scene.slow(40);
    (0..5).for_each(|node| scene.crash(node));
    (0..5).for_each(|node| scene.start(node));
    scene.wait(3 * ELECTION);
    let term = (0..5).map(|node| scene.term(node)).max().unwrap_or_default();
    scene.tell("and now they are drawn from a range again");
    scene.world.plan.options.election_timeout = wide;
    scene.reliable();
    (0..5).for_each(|node| scene.crash(node));
    (0..5).for_each(|node| scene.start(node));
    let next = scene.one_leader()?;
    scene.one("after", 5)?;
    let won = scene.term(next).0 - term.0;
    ensure(won <= 4, || format!("it took {won} terms after n{} to elect n{}", leader + 1, next + 1))
}

fn majority_gone(scene: &mut Scene) -> Result<(), String> {
    let before = scene.one("before", 5)?;
    let leader = scene.one_leader()?;
    let gone: Vec<usize> = (0..3).map(|step| (leader + step) % 5).collect();
    gone.iter().for_each(|&node| scene.crash(node));
    scene.wait(5 * ELECTION);
    scene.no_leader()?;
    let left = (leader + 3) % 5;
    ensure(scene.commit(left) <= before, || "something was committed without a majority".into())?;
    ensure(scene.term(left).0 < 3, || {
        format!("PreVote did not keep the term from growing: {}", scene.term(left))
    })?;
    scene.start(gone[0]);
    scene.one("after", 3)?;
    gone.iter().for_each(|&node| scene.start(node));
    scene.one("last", 5).map(drop)
}

fn log_repair(scene: &mut Scene) -> Result<(), String> {
    scene.one("common", 5)?;
    for round in 0..3 {
        let leader = scene.one_leader()?;
        scene.partition(&[leader]);
        for number in 0..3 {
            scene.submit(leader, &["RPUSH", "log", &format!("of n{} alone, {round}.{number}", leader + 1)]);
        }
        scene.wait_for(5 * ELECTION, "another leader", |scene| {
            scene.leaders().iter().any(|&node| node != leader)
        })?;
        let next = scene.leaders().into_iter().find(|&node| node != leader).unwrap_or(leader);
        let number = scene.submit(next, &["RPUSH", "log", &format!("agreed {round}")]);
        scene.wait_until_answered(number)?;
        scene.heal();
    }
    scene.one("last", 5)?;
    let logs: Vec<Vec<String>> = (0..5).map(|node| scene.agreed(node)).collect();
    ensure(logs.iter().all(|log| *log == logs[0]), || format!("{logs:?}"))?;
    ensure(logs[0].iter().all(|value| !value.contains("alone")), || format!("{:?}", logs[0]))
}
