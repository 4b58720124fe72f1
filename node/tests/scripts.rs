//! Situations of Raft as scripts: commands, and what the members then do, line by line.
//!
//! `REWRITE=1 cargo test -p rafture-node --test scripts` writes what happens into the scripts, to be reviewed.

mod world;

use std::fmt::Write as _;
use std::time::Duration;

use rafture_node::raft::{AppendResult, Body, Change, Input, Message, NodeId, Payload, Term};
use rafture_node::rules::Rules;
use world::World;

#[test]
fn scripts() {
    datadriven::walk("tests/testdata", |file| {
        let mut world = World::new(3, 1, Rules::ALL);
        file.run(|case| {
            let argument = case.args.iter().next();
            let (word, value) = argument.map(|(word, values)| (word.as_str(), values.first())).unzip();
            let words = [word.unwrap_or(""), value.flatten().map_or("", String::as_str)];
            run(&mut world, &case.directive, words, &case.input);
            let mut log = std::mem::take(&mut world.log);
            if log.is_empty() {
                log.push_str("ok\n");
            }
            log
        });
    });
}

/// One command. Nothing moves by itself: `settle` delivers and syncs until nothing is left to do, `settle-votes` the
/// same while AppendEntries get lost, `settle-pieces` while last pieces of snapshots do; `deliver` and `sync` go message by message and write by write.
fn run(world: &mut World, command: &str, words: [&str; 2], input: &str) {
    let node = |place: usize| -> NodeId { words[place].parse().expect("a node") };
    match command {
        "members" => *world = World::new(words[0].parse().expect("a number"), 1, Rules::ALL),
        "timeout" => world.timeout(node(0)),
        "settle" => world.settle(|_| true),
        "settle-votes" => {
            world.settle(|message| !matches!(message.body, Body::AppendEntries { .. }));
        }
        "deliver" => (0..words[0].parse().expect("a number")).for_each(|_| {
            let Message { from, to, body, .. } = &world.network[0];
            let _ = writeln!(world.log, "{from} to {to}: {}", describe(body));
            world.deliver(0);
        }),
        "settle-pieces" => world.settle(|message| match &message.body {
            Body::InstallSnapshot { snapshot, offset, data, .. } => {
                offset + (data.len() as u64) < snapshot.size
            }
            _ => true,
        }),
        "lose" => (0..words[0].parse().expect("a number")).for_each(|_| {
            let Message { from, to, body, .. } = world.network.pop_front().expect("a message");
            let _ = writeln!(world.log, "{from} to {to}, lost: {}", describe(&body));
        }),
        "sync" => {
            world.sync(node(0));
        }
        "wait" => {
            world.now = world.now + Duration::from_millis(words[0].parse().expect("milliseconds"));
        }
        "propose" => input.lines().for_each(|line| {
            world.propose(node(0), line);
        }),
        "read" => {
            world.read(node(0));
        }
        "read-here" => {
            world.ask(node(0), |request| Input::ReadHere(vec![request]));
        }
        "join" => world.add(node(0)),
        "add" => {
            let voters = [(node(1), String::new())].into();
            world.ask(node(0), |request| Input::Reconfigure(request, Change { voters, ..Change::default() }));
        }
        "learn" => {
            let learners = [(node(1), String::new())].into();
            world.ask(node(0), |request| {
                Input::Reconfigure(request, Change { learners, ..Change::default() })
            });
        }
        "remove" => {
            let remove = input.lines().map(|name| name.parse().expect("a node")).collect();
            world.ask(node(0), |request| Input::Reconfigure(request, Change { remove, ..Change::default() }));
        }
        "transfer" => {
            let target = node(1);
            world.ask(node(0), |request| Input::Transfer(request, Some(target)));
        }
        "hold" | "release" => {
            let (follower, is_held) = (node(1), command == "hold");
            world.ask(node(0), |request| Input::Hold(request, follower, is_held));
        }
        "compact" => world.compact(node(0)),
        "isolate" => {
            for other in world.members.clone() {
                world.cut.extend([(node(0), other), (other, node(0))]);
            }
        }
        "cut" => {
            world.cut.insert((node(0), node(1)));
        }
        "heal" => world.cut.clear(),
        "crash" => world.crash(node(0)),
        "start" => world.start(node(0)),
        "start-with" => {
            let term = |text: &str| Term(text.parse().expect("a term"));
            world.start_with(node(0), term(words[1]), input.split_whitespace().map(term));
        }
        "disk" => world.nodes.get_mut(&node(0)).expect("a member").disk_works = words[1] == "works",
        "logs" => logs(world),
        other => panic!("no such command: {other}"),
    }
}

fn describe(body: &Body) -> String {
    match body {
        Body::AppendEntries { previous, entries, .. } => {
            let entries: Vec<String> = entries.iter().map(|entry| entry.id.to_string()).collect();
            format!("[{}] after {previous}", entries.join(" "))
        }
        Body::AppendEntriesReply { result: AppendResult::Accepted { matched }, .. } => {
            format!("matched up to {matched}")
        }
        Body::AppendEntriesReply { result: AppendResult::Rejected { hint, .. }, .. } => {
            format!("refused, at most {hint}")
        }
        Body::InstallSnapshot { snapshot, offset, data, .. } => {
            format!("bytes {offset}..{} of the snapshot at {}", offset + data.len() as u64, snapshot.last)
        }
        Body::InstallSnapshotReply { last, received, installed, .. } => {
            let place = if *installed { ", in place" } else { "" };
            format!("has {received} bytes of the snapshot at {last}{place}")
        }
        Body::ReadIndex { .. } => "which index?".into(),
        Body::ReadIndexReply { index, .. } => format!("index {index:?}"),
        other => format!("{other:?}"),
    }
}

/// The synced logs as columns: term and command of each entry (`-` for none, `!` for a configuration), a star where it
/// is applied; a snapshot in brackets before them.
fn logs(world: &mut World) {
    let mut text = String::new();
    for (id, node) in &world.nodes {
        let _ = write!(text, "{id} term {}:", node.disk.hard_state.term);
        if let Some(snapshot) = &node.disk.snapshot {
            let _ = write!(text, " ({})", snapshot.last);
        }
        for entry in &node.disk.log.entries {
            let command = match &entry.payload {
                Payload::Noop => "-".to_owned(),
                Payload::Command(command) => String::from_utf8_lossy(command).into_owned(),
                Payload::Configuration(_) => "!".to_owned(),
            };
            let star = if node.applied.get(&entry.id.index) == Some(entry) { "*" } else { "" };
            let _ = write!(text, " {}{command}{star}", entry.id.term);
        }
        text.push('\n');
    }
    world.log.push_str(&text);
}
