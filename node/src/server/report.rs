//! How a node is, for people, scripts and Prometheus: one list of facts in three forms.

use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::raft::{Role, Standing};
use crate::replica::Replica;

/// Longest sync that is counted as such, in microseconds.
const SYNC_MAX_US: u64 = 60_000_000;

/// What the server has seen of its disk.
pub(super) struct Figures {
    syncs_us: Histogram<u64>,
    last_sync_us: u64,
    is_full: bool,
}

impl Figures {
    pub(super) fn new() -> Figures {
        let syncs_us = Histogram::new_with_bounds(1, SYNC_MAX_US, 3).expect("the bounds are in order");
        Figures { syncs_us, last_sync_us: 0, is_full: false }
    }

    pub(super) fn synced(&mut self, took: Duration) {
        self.last_sync_us = took.as_micros() as u64;
        self.syncs_us.saturating_record(self.last_sync_us.max(1));
    }

    /// Notes whether the disk is full; tells whether that is news.
    pub(super) fn disk_is_full(&mut self, is_full: bool) -> bool {
        std::mem::replace(&mut self.is_full, is_full) != is_full
    }
}

/// A fact: its name, whom it is about if not the node itself, and its value.
pub(super) struct Fact {
    name: &'static str,
    follower: Option<String>,
    value: Value,
}

enum Value {
    Word(String),
    Number(u64),
}

/// All there is to say. `asking` is how many connections wait for answers.
pub(super) fn facts(replica: &Replica, figures: &Figures, asking: usize) -> Vec<Fact> {
    let raft = replica.raft();
    let Standing { role, term, leader } = raft.standing();
    let word = |name, value: String| Fact { name, follower: None, value: Value::Word(value) };
    let number = |name, value: u64| Fact { name, follower: None, value: Value::Number(value) };
    let snapshot = raft.snapshot().map_or(0, |snapshot| snapshot.last.index.0);
    let (writes, reads) = replica.waiting();
    let configuration = raft.configuration();
    let names = |nodes: &std::collections::BTreeSet<_>| {
        nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    let mut facts = vec![
        word("id", raft.id().to_string()),
        word("role", format!("{role:?}")),
        number("term", term.0),
        word("leader", leader.map(|leader| leader.to_string()).unwrap_or_default()),
        word("voters", names(&configuration.voters)),
        word("outgoing", names(&configuration.outgoing)),
        word("learners", names(&configuration.learners)),
        number("first", raft.base().index.0 + 1),
        number("last", raft.last().index.0),
        number("durable", raft.durable().0),
        number("commit", raft.commit().0),
        number("snapshot", snapshot),
        number("log_bytes", raft.log_bytes()),
        number("keys", replica.machine().len() as u64),
        number("sessions", replica.machine().sessions() as u64),
        number("waiting_writes", writes as u64),
        number("waiting_reads", reads as u64),
        number("waiting_connections", asking as u64),
        number("syncs", figures.syncs_us.len()),
        number("sync_last_us", figures.last_sync_us),
        number("sync_p50_us", figures.syncs_us.value_at_quantile(0.5)),
        number("sync_p99_us", figures.syncs_us.value_at_quantile(0.99)),
        number("sync_max_us", figures.syncs_us.max()),
        number("disk_full", u64::from(figures.is_full)),
    ];
    for follower in raft.followers() {
        let about = |name, value| Fact { name, follower: Some(follower.id.to_string()), value };
        facts.extend([
            about("state", Value::Word(follower.state.into())),
            about("learner", Value::Number(u64::from(follower.is_learner))),
            about("matched", Value::Number(follower.matched.0)),
            about("next", Value::Number(follower.next.0)),
            about("in_flight_messages", Value::Number(follower.in_flight_messages as u64)),
            about("in_flight_bytes", Value::Number(follower.in_flight_bytes as u64)),
            about("silent_ms", Value::Number(follower.silent.as_millis() as u64)),
        ]);
    }
    facts
}

/// One fact a line: `name:value`, and `follower.n2:name=value,…`.
pub(super) fn lines(facts: &[Fact]) -> String {
    let mut text = String::new();
    let mut current: Option<&String> = None;
    for Fact { name, follower, value } in facts {
        let value = match value {
            Value::Word(word) => word.clone(),
            Value::Number(number) => number.to_string(),
        };
        // Writing to a string cannot fail.
        let _ = match follower {
            None => write!(text, "{name}:{value}\r\n"),
            Some(follower) if current == Some(follower) => write!(text, ",{name}={value}"),
            Some(follower) => {
                let before = if current.is_some() { "\r\n" } else { "" };
                current = Some(follower);
                write!(text, "{before}follower.{follower}:{name}={value}")
            }
        };
    }
    if current.is_some() {
        text.push_str("\r\n");
    }
    text
}

/// The text format of Prometheus, version 0.0.4.
pub(super) fn prometheus(facts: &[Fact]) -> String {
    let mut text = String::new();
    let mut names: Vec<(&str, bool)> = Vec::new();
    for fact in facts {
        let kind = (fact.name, fact.follower.is_some());
        if !names.contains(&kind) {
            names.push(kind);
        }
    }
    for (name, of_follower) in names {
        let part = if of_follower { "follower_" } else { "" };
        let _ = writeln!(text, "# TYPE rafture_{part}{name} gauge");
        for fact in facts.iter().filter(|fact| (fact.name, fact.follower.is_some()) == (name, of_follower)) {
            let follower = fact.follower.iter().map(|follower| format!("follower=\"{follower}\""));
            let (value, word) = match &fact.value {
                Value::Number(number) => (*number, None),
                Value::Word(word) => (1, Some(format!("value=\"{word}\""))),
            };
            let labels: Vec<String> = follower.chain(word).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(text, "rafture_{part}{name}{labels} {value}");
        }
    }
    text
}

/// What clients of Redis expect of `INFO`.
pub(super) fn redis(replica: &Replica) -> String {
    let raft = replica.raft();
    let is_leader = raft.standing().role == Role::Leader;
    let role = if is_leader { "master" } else { "slave" };
    let followers = raft.followers().len();
    format!(
        "# Server\r\nrafture_version:{}\r\nprocess_id:{}\r\n\r\n# Replication\r\nrole:{role}\r\nconnected_slaves:{followers}\r\nmaster_repl_offset:{}\r\n\r\n# Keyspace\r\ndb0:keys={}\r\n",
        env!("CARGO_PKG_VERSION"),
        std::process::id(),
        raft.commit(),
        replica.machine().len(),
    )
}
