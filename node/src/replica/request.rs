//! What a client can ask of a node, beyond and around commands on keys.
//!
//! `MULTI`, `EXEC`, `READONLY` and the like change what the commands after them mean, so a connection has a [`Session`]
//! of its own, in which each request is understood.

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use crate::machine::{Command, Proposal, Requests};
use crate::raft::{Change, NodeId};
use crate::resp::Reply;

/// How long a client's session lasts without use, unless it says otherwise.
const SESSION_PATIENCE: Duration = Duration::from_secs(3600);

/// What a client asks of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Change the state: an entry of the log.
    Write(Proposal),
    /// Read the state.
    Read {
        /// What to read.
        commands: Vec<Command>,
        /// The answer is an array, as `EXEC` gives it.
        is_transaction: bool,
        /// Read at this node, whether or not it leads; as linearizable as at the leader.
        here: bool,
    },
    /// Other members.
    Change(Change),
    /// Another leader.
    Transfer(Option<NodeId>),
    /// A follower that gets no entries; or, with `false`, gets them again.
    Hold(NodeId, bool),
    /// Make a snapshot.
    Snapshot,
}

/// What a connection has said so far that bears on what it says next.
#[derive(Debug, Default)]
pub struct Session {
    /// After `MULTI`: what was asked since, or that some of it was wrong.
    transaction: Option<Result<Vec<Vec<Bytes>>, ()>>,
    /// After `READONLY`.
    reads_here: bool,
}

/// What a request comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParseOutcome {
    /// The member has to be asked.
    Ask(Request),
    /// The answer is already known.
    Answer(Reply),
    /// How the node is, as Redis says it.
    Info,
    /// How the node is, as Raft says it.
    RaftInfo,
}

use ParseOutcome::{Answer, Ask};

/// Understands a request in its session.
pub fn parse(session: &mut Session, request: Vec<Bytes>) -> ParseOutcome {
    let name = request[0].to_ascii_uppercase();
    match (&name[..], &request[1..]) {
        (b"MULTI", []) => match session.transaction {
            Some(_) => error("ERR MULTI calls can not be nested"),
            None => {
                session.transaction = Some(Ok(Vec::new()));
                ok()
            }
        },
        (b"DISCARD", []) => match session.transaction.take() {
            Some(_) => ok(),
            None => error("ERR DISCARD without MULTI"),
        },
        (b"EXEC", []) => match session.take_transaction() {
            Ok(requests) => transaction(requests, session.reads_here),
            Err(reply) => Answer(reply),
        },
        (b"RAFT.SESSION", arguments) => in_session(session, arguments),
        _ if session.transaction.is_some() => queue(session, request),
        (b"READONLY", []) => {
            session.reads_here = true;
            ok()
        }
        (b"READWRITE", []) => {
            session.reads_here = false;
            ok()
        }
        (b"PING", []) => Answer(Reply::Simple("PONG")),
        (b"PING" | b"ECHO", [text]) => Answer(Reply::Bulk(text.clone())),
        (b"INFO", _) => ParseOutcome::Info,
        (b"RAFT.INFO", []) => ParseOutcome::RaftInfo,
        (b"RAFT.ADD", arguments) => change(add(arguments)),
        (b"RAFT.REMOVE", arguments) => change(remove(arguments)),
        (b"RAFT.TRANSFER", []) => Ask(Request::Transfer(None)),
        (b"RAFT.TRANSFER", [node]) => match node_id(node) {
            Ok(node) => Ask(Request::Transfer(Some(node))),
            Err(text) => error(&text),
        },
        (b"RAFT.HOLD", [node]) => hold(node, true),
        (b"RAFT.RELEASE", [node]) => hold(node, false),
        (b"RAFT.SNAPSHOT", []) => Ask(Request::Snapshot),
        _ => match Command::parse(&request) {
            Some(Ok(command)) if command.is_read() => {
                let here = session.reads_here;
                Ask(Request::Read { commands: vec![command], is_transaction: false, here })
            }
            Some(Ok(_)) => Ask(Request::Write(Proposal::Plain(Requests::One(request)))),
            Some(Err(reply)) => Answer(reply),
            None => unknown(&name),
        },
    }
}

impl Session {
    fn take_transaction(&mut self) -> Result<Vec<Vec<Bytes>>, Reply> {
        match self.transaction.take() {
            Some(Ok(requests)) => Ok(requests),
            Some(Err(())) => {
                Err(Reply::Error("EXECABORT Transaction discarded because of previous errors.".into()))
            }
            None => Err(Reply::Error("ERR EXEC without MULTI".into())),
        }
    }
}

fn hold(node: &Bytes, is_held: bool) -> ParseOutcome {
    match node_id(node) {
        Ok(node) => Ask(Request::Hold(node, is_held)),
        Err(text) => error(&text),
    }
}

fn ok() -> ParseOutcome {
    Answer(Reply::Simple("OK"))
}

fn error(text: &str) -> ParseOutcome {
    Answer(Reply::Error(text.into()))
}

fn unknown(name: &[u8]) -> ParseOutcome {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    error(&format!("ERR unknown command '{}'", name.chars().take(64).collect::<String>()))
}

/// Takes a command into the transaction, unless it is wrong: then the whole of it is.
fn queue(session: &mut Session, request: Vec<Bytes>) -> ParseOutcome {
    let understood = match Command::parse(&request) {
        Some(Ok(_)) => Ok(()),
        Some(Err(reply)) => Err(Answer(reply)),
        None => Err(unknown(&request[0])),
    };
    match understood {
        Ok(()) => {
            if let Some(Ok(requests)) = &mut session.transaction {
                requests.push(request);
            }
            Answer(Reply::Simple("QUEUED"))
        }
        Err(answer) => {
            session.transaction = Some(Err(()));
            answer
        }
    }
}

fn transaction(requests: Vec<Vec<Bytes>>, here: bool) -> ParseOutcome {
    let commands: Option<Vec<Command>> =
        requests.iter().map(|request| Command::parse(request)?.ok().filter(Command::is_read)).collect();
    match commands {
        // What only reads needs no entry.
        Some(commands) => Ask(Request::Read { commands, is_transaction: true, here }),
        None => Ask(Request::Write(Proposal::Plain(Requests::Transaction(requests)))),
    }
}

/// `RAFT.SESSION OPEN [milliseconds]`, `CLOSE id`, or `DO id serial command …`, where the command may be `EXEC`.
fn in_session(session: &mut Session, arguments: &[Bytes]) -> ParseOutcome {
    let usage = "ERR usage: RAFT.SESSION OPEN [milliseconds] | CLOSE session | DO session serial command …";
    let Some((verb, rest)) = arguments.split_first() else {
        return error(usage);
    };
    let number = |text: &Bytes| std::str::from_utf8(text).ok().and_then(|text| text.parse::<u64>().ok());
    let proposal = match (&verb.to_ascii_uppercase()[..], rest) {
        (b"OPEN", []) => Some(Proposal::Open(SESSION_PATIENCE.as_millis() as u64)),
        (b"OPEN", [patience]) => number(patience).map(Proposal::Open),
        (b"CLOSE", [id]) => number(id).map(Proposal::Close),
        (b"DO", [id, serial, request @ ..]) if !request.is_empty() => {
            let Some((id, serial)) = number(id).zip(number(serial).filter(|&serial| serial > 0)) else {
                return error(usage);
            };
            let requests = if request[0].eq_ignore_ascii_case(b"EXEC") && request.len() == 1 {
                match session.take_transaction() {
                    Ok(requests) => Requests::Transaction(requests),
                    Err(reply) => return Answer(reply),
                }
            } else {
                match Command::parse(request) {
                    Some(Ok(_)) => Requests::One(request.to_vec()),
                    Some(Err(reply)) => return Answer(reply),
                    None => return unknown(&request[0]),
                }
            };
            Some(Proposal::Session(id, serial, requests))
        }
        _ => None,
    };
    proposal.map_or_else(|| error(usage), |proposal| Ask(Request::Write(proposal)))
}

fn change(change: Result<Change, String>) -> ParseOutcome {
    match change {
        Ok(change) => Ask(Request::Change(change)),
        Err(text) => error(&text),
    }
}

/// `RAFT.ADD node peer-address/client-address … [LEARNER]`
fn add(arguments: &[Bytes]) -> Result<Change, String> {
    let usage = || "ERR usage: RAFT.ADD n4 10.0.0.4:7001/10.0.0.4:7000 … [LEARNER]".to_owned();
    let (pairs, learn) = match arguments.split_last() {
        Some((last, rest)) if last.eq_ignore_ascii_case(b"LEARNER") => (rest, true),
        _ => (arguments, false),
    };
    let (pairs, []) = pairs.as_chunks::<2>() else {
        return Err(usage());
    };
    let mut added = BTreeMap::new();
    for [node, address] in pairs {
        let address = std::str::from_utf8(address).map_err(|_| usage())?;
        let parts = address.split_once('/').ok_or_else(usage)?;
        for part in [parts.0, parts.1] {
            part.parse::<SocketAddr>().map_err(|_| format!("ERR `{part}` is no address and port"))?;
        }
        added.insert(node_id(node)?, address.to_owned());
    }
    match (added.is_empty(), learn) {
        (true, _) => Err(usage()),
        (_, true) => Ok(Change { learners: added, ..Change::default() }),
        (_, false) => Ok(Change { voters: added, ..Change::default() }),
    }
}

/// `RAFT.REMOVE node …`
fn remove(arguments: &[Bytes]) -> Result<Change, String> {
    let remove: BTreeSet<NodeId> = arguments.iter().map(node_id).collect::<Result<_, _>>()?;
    match remove.is_empty() {
        true => Err("ERR usage: RAFT.REMOVE n4 …".into()),
        false => Ok(Change { remove, ..Change::default() }),
    }
}

fn node_id(text: &Bytes) -> Result<NodeId, String> {
    String::from_utf8_lossy(text).parse().map_err(|error| format!("ERR {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(session: &mut Session, line: &str) -> ParseOutcome {
        parse(session, line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect())
    }

    fn words(line: &str) -> Vec<Bytes> {
        line.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
    }

    #[test]
    fn a_transaction_is_one_proposal() {
        let session = &mut Session::default();
        assert_eq!(said(session, "multi"), ok());
        assert_eq!(said(session, "SET a 1"), Answer(Reply::Simple("QUEUED")));
        assert_eq!(said(session, "GET a"), Answer(Reply::Simple("QUEUED")));
        let requests = Requests::Transaction(vec![words("SET a 1"), words("GET a")]);
        assert_eq!(said(session, "EXEC"), Ask(Request::Write(Proposal::Plain(requests))));
        assert_eq!(said(session, "EXEC"), error("ERR EXEC without MULTI"));
    }

    #[test]
    fn what_only_reads_needs_no_entry() {
        let session = &mut Session::default();
        for line in ["READONLY", "MULTI", "GET a", "LLEN b"] {
            said(session, line);
        }
        match said(session, "EXEC") {
            Ask(Request::Read { commands, is_transaction: true, here: true }) => {
                assert_eq!(commands.len(), 2);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_wrong_command_spoils_its_transaction() {
        let session = &mut Session::default();
        said(session, "MULTI");
        assert_eq!(said(session, "FLY"), error("ERR unknown command 'fly'"));
        assert_eq!(said(session, "SET a 1"), Answer(Reply::Simple("QUEUED")));
        let aborted = "EXECABORT Transaction discarded because of previous errors.";
        assert_eq!(said(session, "EXEC"), error(aborted));
        said(session, "MULTI");
        assert_eq!(said(session, "DISCARD"), ok());
    }

    #[test]
    fn sessions_and_members_are_understood() {
        let session = &mut Session::default();
        let one = Requests::One(words("SET a 1"));
        let asked = Ask(Request::Write(Proposal::Session(7, 2, one)));
        assert_eq!(said(session, "RAFT.SESSION do 7 2 SET a 1"), asked);
        said(session, "MULTI");
        said(session, "SET a 1");
        let all = Requests::Transaction(vec![words("SET a 1")]);
        let asked = Ask(Request::Write(Proposal::Session(7, 3, all)));
        assert_eq!(said(session, "RAFT.SESSION DO 7 3 EXEC"), asked);
        for line in ["RAFT.SESSION", "RAFT.SESSION DO 7 0 SET a 1", "RAFT.SESSION CLOSE x"] {
            assert!(matches!(said(session, line), Answer(Reply::Error(_))), "{line}");
        }
        let address = "10.0.0.4:7001/10.0.0.4:7000";
        match said(session, &format!("RAFT.ADD n4 {address} LEARNER")) {
            Ask(Request::Change(change)) => assert_eq!(change.learners[&NodeId(4)], address),
            other => panic!("{other:?}"),
        }
        for line in
            ["RAFT.ADD", "RAFT.ADD n4", "RAFT.ADD n4 here", "RAFT.ADD x 1/2", "RAFT.REMOVE", "RAFT.REMOVE 3"]
        {
            assert!(matches!(said(session, line), Answer(Reply::Error(_))), "{line}");
        }
    }
}
