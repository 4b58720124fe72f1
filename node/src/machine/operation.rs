//! What an entry of the log holds: commands as clients sent them, with the time of the leader that took them in.
//!
//! ```text
//! entry   = time: u64 | content                             milliseconds, numbers little-endian
//! content = 1 | request                                     one command
//!         | 2 | request …                                   MULTI … EXEC: all of them at once
//!         | 3 | patience: u64                               open a session that lasts so long without use
//!         | 4 | session: u64                                close it
//!         | 5 | session: u64 | serial: u64 | content 1 or 2 in a session
//! ```
//! A request is in RESP.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::command::Command;
use crate::resp;

/// What is to be done to the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// One command.
    One(Command),
    /// Several, with nothing in between.
    Transaction(Vec<Command>),
    /// Open a session; it expires when it was not used for so many milliseconds of the log's time.
    Open(u64),
    /// Close a session.
    Close(u64),
    /// In a session: done once, however often it is asked for under the same serial number.
    Session(u64, u64, Commands),
}

/// What a session can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commands {
    /// One command.
    One(Command),
    /// Several, with nothing in between.
    Transaction(Vec<Command>),
}

/// Requests that were understood, as they came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requests {
    /// One.
    One(Vec<Bytes>),
    /// What stood between `MULTI` and `EXEC`.
    Transaction(Vec<Vec<Bytes>>),
}

/// An operation as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proposal {
    /// Outside of any session.
    Plain(Requests),
    /// Open a session.
    Open(u64),
    /// Close one.
    Close(u64),
    /// In a session, under a serial number.
    Session(u64, u64, Requests),
}

impl Proposal {
    /// As it stands in the log.
    pub fn encode(&self, time_ms: u64) -> Bytes {
        let mut buffer = BytesMut::new();
        buffer.put_u64_le(time_ms);
        match self {
            Proposal::Plain(requests) => put_requests(requests, &mut buffer),
            Proposal::Open(patience) => {
                buffer.put_u8(3);
                buffer.put_u64_le(*patience);
            }
            Proposal::Close(session) => {
                buffer.put_u8(4);
                buffer.put_u64_le(*session);
            }
            Proposal::Session(session, serial, requests) => {
                buffer.put_u8(5);
                buffer.put_u64_le(*session);
                buffer.put_u64_le(*serial);
                put_requests(requests, &mut buffer);
            }
        }
        buffer.freeze()
    }
}

fn put_requests(requests: &Requests, buffer: &mut BytesMut) {
    match requests {
        Requests::One(request) => {
            buffer.put_u8(1);
            resp::encode_request(request, buffer);
        }
        Requests::Transaction(requests) => {
            buffer.put_u8(2);
            requests.iter().for_each(|request| resp::encode_request(request, buffer));
        }
    }
}

impl Operation {
    /// Reads an entry: when it was taken in, and what it does. `None` when it is none.
    pub fn decode(entry: &Bytes) -> Option<(u64, Operation)> {
        let mut rest = entry.clone();
        let time_ms = rest.try_get_u64_le().ok()?;
        let operation = match rest.first()? {
            3 => {
                rest.advance(1);
                Operation::Open(rest.try_get_u64_le().ok()?)
            }
            4 => {
                rest.advance(1);
                Operation::Close(rest.try_get_u64_le().ok()?)
            }
            5 => {
                rest.advance(1);
                let (session, serial) = (rest.try_get_u64_le().ok()?, rest.try_get_u64_le().ok()?);
                Operation::Session(session, serial, take_commands(std::mem::take(&mut rest))?)
            }
            _ => match take_commands(std::mem::take(&mut rest))? {
                Commands::One(command) => Operation::One(command),
                Commands::Transaction(commands) => Operation::Transaction(commands),
            },
        };
        rest.is_empty().then_some((time_ms, operation))
    }
}

fn take_commands(content: Bytes) -> Option<Commands> {
    let (kind, mut at) = (*content.first()?, 1);
    let mut next = || {
        let (request, end) = resp::parse_request(&content, at)?;
        at = end;
        Command::parse(&request)?.ok()
    };
    match kind {
        1 => {
            let command = next()?;
            (at == content.len()).then_some(Commands::One(command))
        }
        2 => {
            let mut commands = Vec::new();
            loop {
                match next() {
                    Some(command) => commands.push(command),
                    None => return (at == content.len()).then_some(Commands::Transaction(commands)),
                }
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Vec<Bytes> {
        text.split(' ').map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
    }

    #[test]
    fn an_entry_survives_the_way_and_no_cut_passes_for_another() {
        let one = || Requests::One(request("SET a 1"));
        let several = || Requests::Transaction(vec![request("SET a 1"), request("INCRBY b 2")]);
        let proposals = [
            Proposal::Plain(one()),
            Proposal::Plain(several()),
            Proposal::Plain(Requests::Transaction(Vec::new())),
            Proposal::Open(60_000),
            Proposal::Close(7),
            Proposal::Session(7, 1, one()),
            Proposal::Session(7, 2, several()),
        ];
        for proposal in proposals {
            let entry = proposal.encode(1234);
            let (time_ms, operation) = Operation::decode(&entry).expect("an entry");
            assert_eq!(time_ms, 1234);
            for cut in 0..entry.len() {
                let cut_off = Operation::decode(&entry.slice(..cut));
                assert_ne!(cut_off, Some((1234, operation.clone())), "{proposal:?} cut at {cut}");
            }
        }
    }
}
