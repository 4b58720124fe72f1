//! Lab 2C: crashes, and a network that loses and reorders.

use super::Scenario;
use super::scene::{ELECTION, Scene, ensure};

pub(super) const SCENARIOS: [Scenario; 7] = [
    Scenario {
        name: "persist-1",
        source: "MIT 2C Persist1",
        summary: "all restart, then the leader, then a follower: nothing is lost",
        nodes: 3,
        act: persist_1,
    },
    Scenario {
        name: "persist-2",
        source: "MIT 2C Persist2",
        summary: "five rounds of nodes cut off and restarted in parts",
        nodes: 5,
        act: persist_2,
    },
    Scenario {
        name: "persist-3",
        source: "MIT 2C Persist3",
        summary: "leader and follower crash while the third is cut off; the leader returns",
        nodes: 3,
        act: persist_3,
    },
    Scenario {
        name: "figure-8",
        source: "MIT 2C Figure8",
        summary: "a thousand rounds of leaders that crash right after taking a command (paper, Figure 8)",
        nodes: 5,
        act: figure_8,
    },
    Scenario {
        name: "unreliable-agree",
        source: "MIT 2C UnreliableAgree",
        summary: "250 commands over a network that loses a tenth of its messages",
        nodes: 5,
        act: unreliable_agree,
    },
    Scenario {
        name: "figure-8-unreliable",
        source: "MIT 2C Figure8Unreliable",
        summary: "as figure-8 with leaders cut off, over a network that loses and reorders",
        nodes: 5,
        act: figure_8_unreliable,
    },
    Scenario {
        name: "churn",
        source: "MIT 2C ReliableChurn and UnreliableChurn",
        summary: "twenty rounds of cuts, crashes and returns under load: what was acknowledged stays",
        nodes: 5,
        act: churn,
    },
];

fn restart(scene: &mut Scene, node: usize) {
    scene.crash(node);
    scene.start(node);
}

fn persist_1(scene: &mut Scene) -> Result<(), String> {
    scene.one("11", 3)?;
    (0..3).for_each(|node| restart(scene, node));
    scene.one("12", 3)?;
    let leader = scene.one_leader()?;
    restart(scene, leader);
    scene.one("13", 3)?;
    let leader = scene.one_leader()?;
    scene.crash(leader);
    scene.one("14", 2)?;
    scene.start(leader);
    scene.one("15", 3)?;
    let leader = scene.one_leader()?;
    let follower = (leader + 1) % 3;
    scene.crash(follower);
    scene.one("16", 2)?;
    scene.start(follower);
    scene.one("17", 3)?;
    ensure(scene.agreed(follower) == ["11", "12", "13", "14", "15", "16", "17"], || "values were lost".into())
}

fn persist_2(scene: &mut Scene) -> Result<(), String> {
    for round in 0..5 {
        scene.one(&format!("{round}a"), 5)?;
        let leader = scene.one_leader()?;
        let at = |step: usize| (leader + step) % 5;
        scene.disconnect(at(1));
        scene.disconnect(at(2));
        scene.one(&format!("{round}b"), 3)?;
        [0, 3, 4].iter().for_each(|&step| scene.disconnect(at(step)));
        [1, 2].iter().for_each(|&step| {
            restart(scene, at(step));
            scene.connect(at(step));
        });
        scene.wait(ELECTION);
        restart(scene, at(3));
        scene.connect(at(3));
        scene.one(&format!("{round}c"), 3)?;
        [4, 0].iter().for_each(|&step| scene.connect(at(step)));
    }
    scene.one("last", 5).map(drop)
}

fn persist_3(scene: &mut Scene) -> Result<(), String> {
    scene.one("101", 3)?;
    let leader = scene.one_leader()?;
    scene.disconnect((leader + 2) % 3);
    scene.one("102", 2)?;
    scene.crash(leader);
    scene.crash((leader + 1) % 3);
    scene.connect((leader + 2) % 3);
    scene.start(leader);
    scene.one("103", 2)?;
    scene.start((leader + 1) % 3);
    scene.one("104", 3).map(drop)
}

fn figure_8(scene: &mut Scene) -> Result<(), String> {
    scene.one("first", 1)?;
    let mut up = 5;
    for round in 0..1000 {
        let command = round.to_string();
        let mut leader = None;
        for node in scene.leaders() {
            scene.submit(node, &["RPUSH", "log", &command]);
            leader = Some(node);
        }
        let wait = if scene.chance(0.1) { scene.draw(500) } else { scene.draw(13) };
        scene.wait(wait);
        if let Some(leader) = leader {
            scene.crash(leader);
            up -= 1;
        }
        if up < 3 {
            let node = scene.draw(5) as usize;
            if !scene.is_up(node) {
                scene.start(node);
                up += 1;
            }
        }
    }
    (0..5).for_each(|node| scene.start(node));
    scene.one("last", 5).map(drop)
}

fn unreliable_agree(scene: &mut Scene) -> Result<(), String> {
    scene.unreliable(false);
    for round in 1..50 {
        let mut numbers = Vec::new();
        if let [leader, ..] = scene.leaders()[..] {
            for part in 0..4 {
                numbers.push(scene.submit(leader, &["RPUSH", "log", &format!("{round}.{part}")]));
            }
        }
        scene.one(&format!("{round}.4"), 1)?;
    }
    scene.reliable();
    scene.wait(100);
    scene.one("last", 5).map(drop)
}

fn figure_8_unreliable(scene: &mut Scene) -> Result<(), String> {
    scene.unreliable(false);
    scene.one("first", 1)?;
    let mut connected = 5;
    for round in 0..1000 {
        if round == 200 {
            scene.unreliable(true);
        }
        let command = round.to_string();
        let mut leader = None;
        for node in scene.leaders() {
            scene.submit(node, &["RPUSH", "log", &command]);
            leader = Some(node).filter(|&node| scene.is_connected(node));
        }
        let wait = if scene.chance(0.1) { scene.draw(500) } else { scene.draw(13) };
        scene.wait(wait);
        if let Some(leader) = leader
            && scene.chance(0.5)
        {
            scene.disconnect(leader);
            connected -= 1;
        }
        if connected < 3 {
            let node = scene.draw(5) as usize;
            if !scene.is_connected(node) {
                scene.connect(node);
                connected += 1;
            }
        }
    }
    (0..5).for_each(|node| scene.connect(node));
    scene.one("last", 5).map(drop)
}

fn churn(scene: &mut Scene) -> Result<(), String> {
    for unreliable in [false, true] {
        if unreliable {
            scene.unreliable(false);
        }
        let mut asked: Vec<(u64, String)> = Vec::new();
        for round in 0..20 {
            // Three clients, a command each every 100 ms.
            for part in 0..7 {
                for client in 0..3 {
                    let value = format!("{unreliable} {round} {part} {client}");
                    if let [leader, ..] = scene.leaders()[..] {
                        asked.push((scene.submit(leader, &["RPUSH", "log", &value]), value));
                    }
                }
                scene.wait(100);
            }
            if scene.chance(0.2) {
                let node = scene.draw(5) as usize;
                scene.disconnect(node);
            }
            if scene.chance(0.5) {
                let node = scene.draw(5) as usize;
                scene.start(node);
                scene.connect(node);
            }
            if scene.chance(0.2) {
                let node = scene.draw(5) as usize;
                scene.crash(node);
            }
        }
        (0..5).for_each(|node| {
            scene.start(node);
            scene.connect(node);
        });
        scene.reliable();
        scene.wait(ELECTION);
        scene.one("last", 5)?;
        let agreed = scene.agreed(0);
        let lost = asked.iter().find(|(number, value)| scene.succeeded(*number) && !agreed.contains(value));
        ensure(lost.is_none(), || format!("acknowledged and lost: {lost:?}"))?;
        let done = asked.iter().filter(|(number, _)| scene.succeeded(*number)).count();
        ensure(done * 4 > asked.len(), || format!("only {done} of {} were acknowledged", asked.len()))?;
    }
    Ok(())
}
