//! What happened, for people: one line an event, in the order in which it happened.

use std::fmt;

use rafture_node::machine::{Proposal, Requests};
use rafture_node::raft::{AppendResult, Body, Configuration, Message};
use rafture_node::replica::{Deed, Request};

/// Lines that were asked for. Without a reader, none is made.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(wanted: bool) -> Trace {
        Trace { lines: wanted.then(Vec::new) }
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.lines.is_some()
    }

    /// Something happened to `whom` at `now`.
    pub(crate) fn say(&mut self, now: u64, whom: &str, what: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(line(now, whom, &what()));
        }
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}

/// One line: milliseconds, who, what.
pub(crate) fn line(now: u64, whom: impl fmt::Display, what: &str) -> String {
    format!("{:>10}.{:03} ms  {whom:<8}  {what}", now / 1_000_000, now / 1000 % 1000)
}

/// A message in words.
pub(crate) fn message(message: &Message) -> String {
    let Message { from, to, term, body } = message;
    let body = match body {
        Body::PreVote { next, last } => format!("would you vote for me in term {next}? I have {last}"),
        Body::PreVoteReply { next, granted } => format!("{} in term {next}", yes(*granted)),
        Body::RequestVote { last, transfer } => {
            let how = if *transfer { ", as the leader wants" } else { "" };
            format!("vote for me; I have {last}{how}")
        }
        Body::RequestVoteReply { granted } => format!("{}, my vote", yes(*granted)),
        Body::AppendEntries { previous, entries, commit, .. } => match &entries[..] {
            [] => format!("heartbeat after {previous}, commit {commit}"),
            [one] => format!("append {} after {previous}, commit {commit}", one.id),
            [first, .., last] => {
                format!("append {} to {} after {previous}, commit {commit}", first.id, last.id)
            }
        },
        Body::AppendEntriesReply { result: AppendResult::Accepted { matched }, .. } => {
            format!("accepted up to {matched}")
        }
        Body::AppendEntriesReply { result: AppendResult::Rejected { previous, hint }, .. } => {
            format!("refused after {previous}; at most {hint} can match")
        }
        Body::InstallSnapshot { snapshot, offset, data, .. } => {
            let end = offset + data.len() as u64;
            format!("bytes {offset} to {end} of {} of the snapshot at {}", snapshot.size, snapshot.last)
        }
        Body::InstallSnapshotReply { last, received, installed, .. } => {
            let place = if *installed { ", in place" } else { "" };
            format!("{received} bytes of the snapshot at {last}{place}")
        }
        Body::TimeoutNow => "stand for election now".into(),
        Body::ReadIndex { .. } => "which index may I read at?".into(),
        Body::ReadIndexReply { index: Some(index), .. } => format!("read at {index}"),
        Body::ReadIndexReply { index: None, .. } => "I do not lead".into(),
    };
    format!("{from} to {to}, term {term}: {body}")
}

fn yes(granted: bool) -> &'static str {
    if granted { "yes" } else { "no" }
}

/// What is asked for, in words.
pub(crate) fn request(request: &Request) -> String {
    let words = |request: &Vec<bytes::Bytes>| {
        request.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>().join(" ")
    };
    match request {
        Request::Write(Proposal::Plain(Requests::One(one))) => {
            let text = words(one);
            text.chars().take(80).collect()
        }
        other => format!("{other:?}").chars().take(120).collect(),
    }
}

/// Members in words.
pub(crate) fn configuration(configuration: &Configuration) -> String {
    let names = |nodes: &std::collections::BTreeSet<_>| {
        nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let mut text = format!("voters {}", names(&configuration.voters));
    if configuration.is_joint() {
        text = format!("{text} and those before, {}", names(&configuration.outgoing));
    }
    if !configuration.learners.is_empty() {
        text = format!("{text}, learners {}", names(&configuration.learners));
    }
    text
}

/// What a node did, in words.
pub(crate) fn deed(deed: &Deed) -> String {
    match deed {
        Deed::Start { term, vote, last_index, .. } => {
            let vote = vote.as_ref().map(|vote| format!(", vote for {vote}")).unwrap_or_default();
            format!("recovers term {term}{vote}, log up to {last_index}")
        }
        Deed::Save { term, vote: Some(vote) } => format!("has synced its vote for {vote} in term {term}"),
        Deed::Save { term, vote: None } => format!("has synced term {term}"),
        Deed::Append { first, entries } => {
            format!("has synced entries {first} to {}", first + entries.len() as u64 - 1)
        }
        Deed::Role { role, term, leader } => {
            let leader = leader.as_ref().filter(|_| *role != "leader");
            let leader = leader.map(|leader| format!(" of {leader}")).unwrap_or_default();
            format!("is {role}{leader} in term {term}")
        }
        Deed::Commit { index, .. } => format!("has committed up to {index}"),
        Deed::Apply { first, entries } => {
            format!("has applied {first} to {}", first + entries.len() as u64 - 1)
        }
        Deed::Install { index, .. } => format!("has put a snapshot at {index} in place"),
        Deed::Restore { index, .. } => format!("has the state of a snapshot at {index}"),
        Deed::Snapshot { index, .. } => format!("begins to write a snapshot at {index}"),
        Deed::Configuration { voters, outgoing, learners } => {
            let also = |what: &str, nodes: &[String]| match nodes {
                [] => String::new(),
                nodes => format!(", {what} {}", nodes.join(" ")),
            };
            let voters = voters.join(" ");
            format!(
                "goes by a configuration with the voters {voters}{}{}",
                also("beside", outgoing),
                also("and the learners", learners)
            )
        }
    }
}
