//! Lab 2A: leaders come and go.

use super::Scenario;
use super::scene::{ELECTION, Scene, ensure};

pub(super) const SCENARIOS: [Scenario; 3] = [
    Scenario {
        name: "initial-election",
        source: "MIT 2A InitialElection",
        summary: "a cluster comes up: one leader, one term everywhere, and it stays while nothing happens",
        nodes: 3,
        act: initial,
    },
    Scenario {
        name: "re-election",
        source: "MIT 2A ReElection",
        summary: "leaders are cut off and come back; without a quorum nobody leads",
        nodes: 3,
        act: again,
    },
    Scenario {
        name: "many-elections",
        source: "MIT 2A ManyElections",
        summary: "nine times three of seven are cut off, and the other four always have a leader",
        nodes: 7,
        act: many,
    },
];

fn initial(scene: &mut Scene) -> Result<(), String> {
    let leader = scene.one_leader()?;
    scene.wait(50);
    let term = scene.term(leader);
    ensure(term.0 >= 1, || "the term is 0".into())?;
    ensure((0..scene.nodes).all(|node| scene.term(node) == term), || "terms differ".into())?;
    scene.wait(2 * ELECTION);
    ensure(scene.term(leader) == term, || format!("term {term} changed although nothing happened"))?;
    scene.one_leader().map(drop)
}

fn again(scene: &mut Scene) -> Result<(), String> {
    let first = scene.one_leader()?;
    scene.disconnect(first);
    let second = scene.one_leader()?;
    scene.connect(first);
    scene.wait(ELECTION);
    let kept = scene.one_leader()?;
    ensure(kept == second, || "the old leader's return disturbed the new one".into())?;
    let other = (0..3).find(|&node| node != second).expect("there are three");
    scene.disconnect(second);
    scene.disconnect(other);
    scene.wait(2 * ELECTION);
    scene.no_leader()?;
    scene.connect(other);
    scene.one_leader()?;
    scene.connect(second);
    scene.one_leader().map(drop)
}

fn many(scene: &mut Scene) -> Result<(), String> {
    scene.one_leader()?;
    for _ in 0..9 {
        let mut away = Vec::new();
        while away.len() < 3 {
            let node = scene.draw(7) as usize;
            if !away.contains(&node) {
                away.push(node);
                scene.disconnect(node);
            }
        }
        scene.one_leader()?;
        away.into_iter().for_each(|node| scene.connect(node));
    }
    scene.one_leader().map(drop)
}
