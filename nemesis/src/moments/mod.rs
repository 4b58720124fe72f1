//! Moments: what a fault can wait for, so that it strikes in the window that matters.
//!
//! A moment is something that nodes tell of themselves: an event in the trace of a node, or a line in the log of any program.
//! Here it is data and words; `watch` waits for it, `tail` follows the files.

mod tail;
mod watch;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::fault::NodeNumber;

pub use tail::Tail;
pub use watch::{Sighting, Watch, pattern};

/// What is waited for, and how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// How it shows.
    #[serde(flatten)]
    pub sign: Sign,
    /// The node that tells of it; any, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeNumber>,
    /// Milliseconds after which it is not waited for any more.
    pub within_ms: u64,
}

/// How a moment shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sign {
    /// In the trace of a node.
    Event(Event),
    /// In a line of its `stdout.log` or `stderr.log` that this regular expression matches.
    Log(String),
}

/// What a node's trace tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A node leads.
    LeaderElected,
    /// A node stands for election.
    ElectionBegun,
    /// A node has a term on disk that no node had before.
    TermBegun,
    /// A node begins to write a snapshot of its own state.
    SnapshotBegun,
    /// A snapshot that another node has sent is on disk.
    SnapshotInstalled,
    /// A configuration of the cluster is in a node's log, committed or not.
    ConfigurationChanged,
    /// A node came up.
    NodeStarted,
}

/// Words that name no moment.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MomentError {
    /// No such event.
    #[error("unknown moment `{word}` (hint: one of {known}, or {{ log = \"a line that matches\" }})")]
    Unknown {
        /// The word.
        word: String,
        /// What there is.
        known: String,
    },
    /// No such node.
    #[error("`{0}` is no node (hint: `n1` is the first)")]
    Node(String),
}

const EVENTS: [(Event, &str); 7] = [
    (Event::LeaderElected, "leader-elected"),
    (Event::ElectionBegun, "election-begun"),
    (Event::TermBegun, "term-begun"),
    (Event::SnapshotBegun, "snapshot-begun"),
    (Event::SnapshotInstalled, "snapshot-installed"),
    (Event::ConfigurationChanged, "configuration-changed"),
    (Event::NodeStarted, "node-started"),
];

/// Reads `leader-elected`, or `leader-elected@n2`.
///
/// # Errors
/// When there is no such event, or that is no node.
pub fn parse_event(text: &str) -> Result<(Event, Option<NodeNumber>), MomentError> {
    match text.split_once('@') {
        Some((event, node)) => Ok((event.parse()?, Some(parse_node(node)?))),
        None => Ok((text.parse()?, None)),
    }
}

/// Reads `n2`.
///
/// # Errors
/// When that is no node.
pub fn parse_node(text: &str) -> Result<NodeNumber, MomentError> {
    NodeNumber::try_from(text.to_owned()).map_err(|_| MomentError::Node(text.into()))
}

impl FromStr for Event {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Event, MomentError> {
        let found = EVENTS.iter().find(|(_, name)| *name == text);
        found.map(|(event, _)| *event).ok_or_else(|| MomentError::Unknown {
            word: text.into(),
            known: EVENTS.map(|(_, name)| name).join(", "),
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = EVENTS.iter().find(|(event, _)| event == self);
        f.pad(found.expect("every event has a name").1)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sign {
            Sign::Event(event) => write!(f, "{event}")?,
            Sign::Log(pattern) => write!(f, "a log line like {pattern:?}")?,
        }
        match self.node {
            Some(NodeNumber(number)) => write!(f, "@n{number}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_they_are_written() {
        for (event, name) in EVENTS {
            assert_eq!((parse_event(name), event.to_string()), (Ok((event, None)), name.to_owned()));
            let text = serde_json::to_string(&event).expect("plain data");
            assert_eq!(text, format!("\"{name}\""), "files and plans have one word for it");
        }
        assert_eq!(parse_event("term-begun@n2"), Ok((Event::TermBegun, Some(NodeNumber(2)))));
        assert_eq!(
            parse_event("full-moon").expect_err("no such event").to_string(),
            "unknown moment `full-moon` (hint: one of leader-elected, election-begun, term-begun, snapshot-begun, \
             snapshot-installed, configuration-changed, node-started, or { log = \"a line that matches\" })"
        );
        assert_eq!(
            parse_event("term-begun@n0").expect_err("no such node").to_string(),
            "`n0` is no node (hint: `n1` is the first)"
        );
    }

    #[test]
    fn moments_in_plans_say_how_they_show() {
        let moment = Moment { sign: Sign::Log("became leader".into()), node: None, within_ms: 5000 };
        let text = serde_json::to_string(&moment).expect("plain data");
        assert_eq!(text, r#"{"log":"became leader","within_ms":5000}"#);
        assert_eq!(serde_json::from_str::<Moment>(&text).expect("a moment"), moment);
        let moment =
            Moment { sign: Sign::Event(Event::LeaderElected), node: Some(NodeNumber(2)), within_ms: 1 };
        let text = serde_json::to_string(&moment).expect("plain data");
        assert_eq!(text, r#"{"event":"leader-elected","node":"n2","within_ms":1}"#);
        assert_eq!(serde_json::from_str::<Moment>(&text).expect("a moment"), moment);
    }
}
