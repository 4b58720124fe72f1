//! Clients' sessions: what makes a retried write harmless (dissertation, 6.3).
//!
//! A session knows the serial number that it has got to and what was answered to it. They expire by the log's time, so
//! that all members forget the same session at the same entry.

use std::collections::{BTreeMap, BTreeSet};

use super::value::{hash, mix};
use crate::resp::Reply;

/// All sessions that are open.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Sessions {
    open: BTreeMap<u64, Session>,
    /// When each expires, soonest first.
    expiries: BTreeSet<(u64, u64)>,
}

/// One client's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    /// 0 before anything was done in it.
    pub(super) serial: u64,
    pub(super) reply: Reply,
    pub(super) patience_ms: u64,
    pub(super) used_ms: u64,
}

/// Whether a serial number is to be carried out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Now,
    /// It was, and this came of it.
    Again(Reply),
    /// It was, and so was this later one: what came of it is forgotten.
    TooLate(u64),
}

impl Sessions {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn serial(&self, id: u64) -> Option<u64> {
        self.open.get(&id).map(|session| session.serial)
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (u64, &Session)> {
        self.open.iter().map(|(&id, session)| (id, session))
    }

    pub(super) fn open(&mut self, id: u64, patience_ms: u64, now_ms: u64) {
        let session = Session { serial: 0, reply: Reply::Null, patience_ms, used_ms: now_ms };
        self.insert(id, session);
    }

    pub(super) fn insert(&mut self, id: u64, session: Session) {
        self.expiries.insert((session.expiry_ms(), id));
        self.open.insert(id, session);
    }

    pub(super) fn close(&mut self, id: u64) -> bool {
        let closed = self.open.remove(&id);
        if let Some(session) = &closed {
            self.expiries.remove(&(session.expiry_ms(), id));
        }
        closed.is_some()
    }

    /// A serial number is asked for; `None` without such a session. Its being asked for is a use.
    pub(super) fn begin(&mut self, id: u64, serial: u64, now_ms: u64) -> Option<Turn> {
        let session = self.open.get_mut(&id)?;
        self.expiries.remove(&(session.expiry_ms(), id));
        session.used_ms = now_ms;
        self.expiries.insert((session.expiry_ms(), id));
        Some(match serial {
            _ if serial > session.serial => Turn::Now,
            _ if serial == session.serial && serial > 0 => Turn::Again(session.reply.clone()),
            _ => Turn::TooLate(session.serial),
        })
    }

    pub(super) fn end(&mut self, id: u64, serial: u64, reply: Reply) {
        let session = self.open.get_mut(&id).expect("it was just used");
        (session.serial, session.reply) = (serial, reply);
    }

    pub(super) fn expire(&mut self, now_ms: u64) {
        while let Some(&(expiry_ms, id)) = self.expiries.first()
            && expiry_ms < now_ms
        {
            self.expiries.pop_first();
            self.open.remove(&id);
        }
    }

    pub(super) fn digest(&self) -> u64 {
        self.open.iter().fold(0, |sum, (&id, session)| {
            let Session { serial, patience_ms, used_ms, .. } = *session;
            let numbers = [id, serial, patience_ms, used_ms];
            sum.wrapping_add(numbers.into_iter().fold(hash(7, b"session"), mix))
        })
    }
}

impl Session {
    fn expiry_ms(&self) -> u64 {
        self.used_ms.saturating_add(self.patience_ms)
    }
}
