//! The replicated state machine: keys with strings, lists and sets, clients' sessions, and nothing that depends on the
//! machine it runs on.
//!
//! Every member applies the same operations in the same order, so whatever is in here must be a function of them
//! alone: no clock, no randomness, no hash order. Time is the log's own: what leaders have written into entries. The
//! digest makes a difference between members visible.
//!
//! In reading order: `command` and `operation` are what is asked; `value` what keys have; `sessions` what makes a retry
//! harmless; `image` the whole state in bytes.

mod command;
mod image;
mod operation;
mod sessions;
mod value;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

pub use command::{Command, Condition};
pub use operation::{Commands, Operation, Proposal, Requests};

use crate::resp::Reply;
use sessions::Sessions;
use value::Value;

const OK: Reply = Reply::Simple("OK");

/// The state.
#[derive(Debug, Default, Clone)]
pub struct Machine {
    keys: BTreeMap<Bytes, Slot>,
    digest: u64,
    sessions: Sessions,
    /// The log's time: the latest that any entry had.
    time_ms: u64,
}

/// A value with its digest, so that a change need not read what was there before.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    value: Value,
    digest: u64,
}

impl Machine {
    /// A hash of the whole state: equal states have equal digests, whatever led to them.
    pub fn digest(&self) -> u64 {
        self.digest.wrapping_add(self.sessions.digest())
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// The serial number that a session has got to; `None` when there is no such session.
    pub fn serial(&self, session: u64) -> Option<u64> {
        self.sessions.serial(session)
    }

    /// The log's time, in milliseconds.
    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// Carries out the entry at `index`. `deduplicate`: a session's serial number that was done is not done again.
    ///
    /// # Panics
    /// When the entry holds no operation: only what was understood is ever proposed.
    pub fn apply_entry(&mut self, index: u64, entry: &Bytes, deduplicate: bool) -> Reply {
        let (time_ms, operation) = Operation::decode(entry).expect("an entry holds an operation");
        self.time_ms = self.time_ms.max(time_ms);
        self.sessions.expire(self.time_ms);
        match operation {
            Operation::One(command) => self.apply(&command),
            Operation::Transaction(commands) => self.apply_all(&commands),
            Operation::Open(patience_ms) => {
                // The index is a number that no other session can have.
                self.sessions.open(index, patience_ms, self.time_ms);
                Reply::Integer(index.cast_signed())
            }
            Operation::Close(session) => match self.sessions.close(session) {
                true => OK,
                false => no_session(session),
            },
            Operation::Session(session, serial, commands) => {
                self.apply_in_session(session, serial, &commands, deduplicate)
            }
        }
    }

    fn apply_in_session(
        &mut self,
        session: u64,
        serial: u64,
        commands: &Commands,
        deduplicate: bool,
    ) -> Reply {
        match self.sessions.begin(session, serial, self.time_ms) {
            None => return no_session(session),
            Some(sessions::Turn::Again(reply)) if deduplicate => return reply,
            Some(sessions::Turn::TooLate(latest)) if deduplicate => {
                let text = format!("STALE session {session} is at serial number {latest}, beyond {serial}");
                return Reply::Error(text);
            }
            Some(_) => {}
        }
        let reply = match commands {
            Commands::One(command) => self.apply(command),
            Commands::Transaction(commands) => self.apply_all(commands),
        };
        self.sessions.end(session, serial, reply.clone());
        reply
    }

    fn apply_all(&mut self, commands: &[Command]) -> Reply {
        Reply::Array(commands.iter().map(|command| self.apply(command)).collect())
    }

    /// What reading commands answer; they change nothing.
    ///
    /// # Panics
    /// When one of them would change something.
    pub fn read(&self, command: &Command) -> Reply {
        assert!(command.is_read(), "{command:?} is no read");
        match command {
            Command::Get(key) => match self.string(key) {
                Ok(value) => value.map_or(Reply::Null, |value| Reply::Bulk(value.clone())),
                Err(wrong_type) => wrong_type,
            },
            Command::Exists(keys) => {
                Reply::Integer(keys.iter().filter(|key| self.keys.contains_key(*key)).count() as i64)
            }
            Command::LLen(key) => match self.list(key) {
                Ok(list) => Reply::Integer(list.map_or(0, VecDeque::len) as i64),
                Err(wrong_type) => wrong_type,
            },
            Command::LRange(key, first, last) => match self.list(key) {
                Ok(list) => Reply::Array(range(list, *first, *last)),
                Err(wrong_type) => wrong_type,
            },
            Command::SMembers(key) => match self.set_of(key) {
                Ok(members) => {
                    Reply::Array(members.into_iter().flatten().cloned().map(Reply::Bulk).collect())
                }
                Err(wrong_type) => wrong_type,
            },
            Command::SCard(key) => match self.set_of(key) {
                Ok(members) => Reply::Integer(members.map_or(0, BTreeSet::len) as i64),
                Err(wrong_type) => wrong_type,
            },
            _ => unreachable!("it was asserted to be a read"),
        }
    }

    /// Carries out a command.
    pub fn apply(&mut self, command: &Command) -> Reply {
        match command {
            Command::Set { key, value, condition } => self.set(key, value, condition),
            Command::Del(keys) => {
                Reply::Integer(keys.iter().filter(|key| self.remove(key).is_some()).count() as i64)
            }
            Command::IncrBy(key, amount) => self.increment(key, *amount),
            Command::Append(key, value) => self.append(key, value),
            Command::RPush(key, values) => self.push(key, values, false),
            Command::LPush(key, values) => self.push(key, values, true),
            Command::RPop(key) => self.pop(key, false),
            Command::LPop(key) => self.pop(key, true),
            Command::SAdd(key, members) => self.add(key, members),
            Command::SRem(key, members) => self.take_out(key, members),
            Command::Get(_)
            | Command::Exists(_)
            | Command::LLen(_)
            | Command::LRange(..)
            | Command::SMembers(_)
            | Command::SCard(_) => self.read(command),
        }
    }

    /// What an entry would answer, were it applied to the state as it is: `None` for one of a session.
    pub(crate) fn preview(&self, entry: &Bytes) -> Option<Reply> {
        let (_, operation) = Operation::decode(entry)?;
        let commands = match &operation {
            Operation::One(command) => std::slice::from_ref(command),
            Operation::Transaction(commands) => commands,
            Operation::Open(_) | Operation::Close(_) | Operation::Session(..) => return None,
        };
        let touched = commands.iter().flat_map(Command::keys);
        let known = touched.filter_map(|key| self.keys.get_key_value(key));
        let keys = known.map(|(key, slot)| (key.clone(), slot.clone())).collect();
        let mut part = Machine { keys, ..Machine::default() };
        Some(match &operation {
            Operation::Transaction(commands) => part.apply_all(commands),
            _ => part.apply(&commands[0]),
        })
    }

    fn set(&mut self, key: &Bytes, value: &Bytes, condition: &Condition) -> Reply {
        let holds = match condition {
            Condition::Always => true,
            Condition::Absent => !self.keys.contains_key(key),
            Condition::Present => self.keys.contains_key(key),
            Condition::Equal(old) => match self.string(key) {
                Ok(current) => current == Some(old),
                Err(wrong_type) => return wrong_type,
            },
        };
        if !holds {
            return Reply::Null;
        }
        self.insert(key, Value::String(owned(value)));
        OK
    }

    fn increment(&mut self, key: &Bytes, amount: i64) -> Reply {
        let current = match self.string(key) {
            Ok(None) => Some(0),
            Ok(Some(value)) => std::str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok()),
            Err(wrong_type) => return wrong_type,
        };
        let Some(sum) = current.and_then(|current| current.checked_add(amount)) else {
            return Reply::Error("ERR value is not an integer or out of range".into());
        };
        self.insert(key, Value::String(sum.to_string().into()));
        Reply::Integer(sum)
    }

    fn append(&mut self, key: &Bytes, value: &Bytes) -> Reply {
        let whole = match self.string(key) {
            Ok(current) => [current.map_or(&[][..], |current| &current[..]), &value[..]].concat(),
            Err(wrong_type) => return wrong_type,
        };
        let length = whole.len();
        self.insert(key, Value::String(whole.into()));
        Reply::Integer(length as i64)
    }

    fn push(&mut self, key: &Bytes, values: &[Bytes], first: bool) -> Reply {
        if let Err(wrong_type) = self.list(key) {
            return wrong_type;
        }
        let length = self.change(
            key,
            || Value::List(VecDeque::new()),
            |slot| {
                let Value::List(list) = &mut slot.value else {
                    unreachable!("it was a list just now");
                };
                for value in values {
                    if first {
                        slot.digest = value::with_first(slot.digest, value);
                        list.push_front(owned(value));
                    } else {
                        slot.digest = slot.digest.wrapping_add(value::at(list.len(), value));
                        list.push_back(owned(value));
                    }
                }
                list.len()
            },
        );
        Reply::Integer(length as i64)
    }

    fn pop(&mut self, key: &Bytes, first: bool) -> Reply {
        match self.list(key) {
            Ok(None) => return Reply::Null,
            Ok(Some(_)) => {}
            Err(wrong_type) => return wrong_type,
        }
        let (value, is_empty) = self.change(
            key,
            || Value::List(VecDeque::new()),
            |slot| {
                let Value::List(list) = &mut slot.value else {
                    unreachable!("it was a list just now");
                };
                let value = if first { list.pop_front() } else { list.pop_back() };
                if let Some(value) = &value {
                    slot.digest = match first {
                        true => value::without_first(slot.digest, value),
                        false => slot.digest.wrapping_sub(value::at(list.len(), value)),
                    };
                }
                (value, list.is_empty())
            },
        );
        if is_empty {
            self.remove(key);
        }
        value.map_or(Reply::Null, Reply::Bulk)
    }

    fn add(&mut self, key: &Bytes, members: &[Bytes]) -> Reply {
        if let Err(wrong_type) = self.set_of(key) {
            return wrong_type;
        }
        let added = self.change(
            key,
            || Value::Set(BTreeSet::new()),
            |slot| {
                let Value::Set(set) = &mut slot.value else {
                    unreachable!("it was a set just now");
                };
                let fresh = members.iter().filter(|member| set.insert(owned(member)));
                fresh.fold(0, |added, member| {
                    slot.digest = slot.digest.wrapping_add(value::in_set(member));
                    added + 1
                })
            },
        );
        Reply::Integer(added)
    }

    fn take_out(&mut self, key: &Bytes, members: &[Bytes]) -> Reply {
        match self.set_of(key) {
            Ok(None) => return Reply::Integer(0),
            Ok(Some(_)) => {}
            Err(wrong_type) => return wrong_type,
        }
        let (removed, is_empty) = self.change(
            key,
            || Value::Set(BTreeSet::new()),
            |slot| {
                let Value::Set(set) = &mut slot.value else {
                    unreachable!("it was a set just now");
                };
                let mut removed = 0;
                for member in members {
                    if set.remove(member) {
                        slot.digest = slot.digest.wrapping_sub(value::in_set(member));
                        removed += 1;
                    }
                }
                (removed, set.is_empty())
            },
        );
        if is_empty {
            self.remove(key);
        }
        Reply::Integer(removed)
    }

    fn insert(&mut self, key: &Bytes, value: Value) {
        let slot = Slot { digest: value.digest(), value };
        let added = value::key_digest(key, slot.digest);
        let removed = match self.keys.get_mut(key) {
            Some(before) => value::key_digest(key, std::mem::replace(before, slot).digest),
            None => {
                self.keys.insert(owned(key), slot);
                0
            }
        };
        self.digest = self.digest.wrapping_add(added).wrapping_sub(removed);
    }

    /// Changes the value of a key in place; `empty` is what a key without one is given first.
    fn change<T>(
        &mut self,
        key: &Bytes,
        empty: impl FnOnce() -> Value,
        deed: impl FnOnce(&mut Slot) -> T,
    ) -> T {
        if !self.keys.contains_key(key) {
            self.insert(key, empty());
        }
        let slot = self.keys.get_mut(key).expect("it was put there");
        let before = value::key_digest(key, slot.digest);
        let result = deed(slot);
        let after = value::key_digest(key, slot.digest);
        self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
        result
    }

    fn remove(&mut self, key: &Bytes) -> Option<Value> {
        let slot = self.keys.remove(key)?;
        self.digest = self.digest.wrapping_sub(value::key_digest(key, slot.digest));
        Some(slot.value)
    }

    fn string(&self, key: &Bytes) -> Result<Option<&Bytes>, Reply> {
        match self.keys.get(key).map(|slot| &slot.value) {
            None => Ok(None),
            Some(Value::String(value)) => Ok(Some(value)),
            Some(Value::List(_) | Value::Set(_)) => Err(wrong_type()),
        }
    }

    fn list(&self, key: &Bytes) -> Result<Option<&VecDeque<Bytes>>, Reply> {
        match self.keys.get(key).map(|slot| &slot.value) {
            None => Ok(None),
            Some(Value::List(list)) => Ok(Some(list)),
            Some(Value::String(_) | Value::Set(_)) => Err(wrong_type()),
        }
    }

    fn set_of(&self, key: &Bytes) -> Result<Option<&BTreeSet<Bytes>>, Reply> {
        match self.keys.get(key).map(|slot| &slot.value) {
            None => Ok(None),
            Some(Value::Set(members)) => Ok(Some(members)),
            Some(Value::String(_) | Value::List(_)) => Err(wrong_type()),
        }
    }
}

/// A copy of its own: a slice would keep alive the whole message or file that it came in.
fn owned(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn no_session(session: u64) -> Reply {
    Reply::Error(format!("NOSESSION there is no session {session}, or it has expired"))
}

fn wrong_type() -> Reply {
    Reply::Error("WRONGTYPE Operation against a key holding the wrong kind of value".into())
}

fn range(list: Option<&VecDeque<Bytes>>, first: i64, last: i64) -> Vec<Reply> {
    let Some(list) = list else {
        return Vec::new();
    };
    let length = list.len() as i64;
    let from_start = |place: i64| {
        if place < 0 { (length + place).max(0) } else { place }
    };
    let end = if last < 0 { length + last } else { last.min(length - 1) };
    let places = from_start(first)..end + 1;
    places.filter_map(|place| list.get(place as usize)).cloned().map(Reply::Bulk).collect()
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::resp;

    fn words(line: &str) -> Vec<Bytes> {
        line.split_whitespace().map(|word| word.to_owned().into()).collect()
    }

    fn shown(reply: &Reply) -> String {
        let mut buffer = BytesMut::new();
        resp::encode_reply(reply, &mut buffer);
        let text = String::from_utf8(buffer.to_vec()).expect("text");
        text.trim_end().replace("\r\n", " ")
    }

    /// Runs one command a line; gives the replies as they go over the wire, one a line.
    fn check(machine: &mut Machine, script: &str, expected: &str) {
        let mut replies = Vec::new();
        for line in script.split(';') {
            let reply = match Command::parse(&words(line)).expect("a command") {
                Ok(command) => {
                    let entry = Proposal::Plain(Requests::One(words(line))).encode(0);
                    let preview = machine.preview(&entry);
                    let reply = machine.apply(&command);
                    assert_eq!(preview.as_ref(), Some(&reply), "{line}");
                    reply
                }
                Err(reply) => reply,
            };
            replies.push(shown(&reply));
            let recomputed = machine.keys.iter().fold(0_u64, |sum, (key, slot)| {
                assert_eq!(slot.digest, slot.value.digest(), "{line}");
                sum.wrapping_add(value::key_digest(key, slot.digest))
            });
            assert_eq!(machine.digest, recomputed, "{line}");
            let image = Machine::from_image(machine.image().into()).expect("an image");
            assert_eq!((image.digest(), image.keys), (machine.digest(), machine.keys.clone()), "{line}");
        }
        assert_eq!(replies.join(";"), expected, "{script}");
    }

    #[test]
    fn strings() {
        let machine = &mut Machine::default();
        check(machine, "GET a;SET a 1;get a;EXISTS a a b", "$-1;+OK;$1 1;:2");
        check(machine, "SET a 2 NX;SET b 2 XX;SET a 3 XX;SET b 4 nx", "$-1;$-1;+OK;+OK");
        check(machine, "SET a 5 IFEQ 3;SET a 6 IFEQ 3;SET c 1 IFEQ 1;GET a", "+OK;$-1;$-1;$1 5");
        check(machine, "INCRBY a 10;INCRBY n -2;DEL a n none;GET a", ":15;:-2;:2;$-1");
        check(machine, "APPEND s ab;APPEND s c;GET s;INCR n;DECR n;DECRBY n 5", ":2;:3;$3 abc;:1;:0;:-5");
    }

    #[test]
    fn lists() {
        let machine = &mut Machine::default();
        check(machine, "RPUSH l a b;RPUSH l c;LRANGE l 0 -1", ":2;:3;*3 $1 a $1 b $1 c");
        check(
            machine,
            "LRANGE l 1 1;LRANGE l -2 9;LRANGE l 5 9;LRANGE no 0 -1",
            "*1 $1 b;*2 $1 b $1 c;*0;*0",
        );
        check(machine, "LPUSH l y x;LLEN l;RPOP l;LPOP l;LRANGE l 0 -1", ":5;:5;$1 c;$1 x;*3 $1 y $1 a $1 b");
        check(machine, "RPOP l;RPOP l;RPOP l;RPOP l;EXISTS l;LLEN l", "$1 b;$1 a;$1 y;$-1;:0;:0");
    }

    #[test]
    fn sets() {
        let machine = &mut Machine::default();
        check(machine, "SADD s b a b;SADD s a c;SMEMBERS s;SCARD s", ":2;:1;*3 $1 a $1 b $1 c;:3");
        check(machine, "SREM s a z;SREM s b c;EXISTS s;SREM s a;SMEMBERS s", ":1;:2;:0;:0;*0");
    }

    #[test]
    fn what_is_wrong_changes_nothing() {
        let machine = &mut Machine::default();
        check(machine, "RPUSH l a;SET s x;SADD m a", ":1;+OK;:1");
        let before = machine.digest();
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        let script =
            "GET l;INCRBY l 1;RPUSH s x;SET l 1 IFEQ a;SADD l x;SREM s x;LPOP m;APPEND m x;SMEMBERS s";
        check(machine, script, &[wrong; 9].join(";"));
        let number = "-ERR value is not an integer or out of range";
        check(machine, "INCRBY s 1;INCRBY n x;DECRBY n -9223372036854775808", &[number; 3].join(";"));
        check(machine, "SET a", "-ERR wrong number of arguments for 'set' command");
        check(machine, "SET a b EX 5", "-ERR syntax error");
        assert_eq!(machine.digest(), before);
    }

    #[test]
    fn the_digest_is_of_the_state_and_not_of_the_way_there() {
        let (one, other) = (&mut Machine::default(), &mut Machine::default());
        check(one, "SET a 1;RPUSH l x y;SET gone 1;DEL gone;SADD s 1 2", "+OK;:2;+OK;:1;:2");
        check(other, "LPUSH l y;SADD s 2 3 1;SET a 2;LPUSH l x;SREM s 3;SET a 1", ":1;:3;+OK;:2;:1;+OK");
        assert_eq!(one.digest(), other.digest());
        check(other, "RPUSH l z", ":3");
        assert_ne!(one.digest(), other.digest());
        check(other, "RPOP l;LPOP l;LPUSH l x", "$1 z;$1 x;:2");
        assert_eq!(one.digest(), other.digest());
    }

    fn entry(machine: &mut Machine, index: u64, time_ms: u64, proposal: &Proposal) -> String {
        let reply = machine.apply_entry(index, &proposal.encode(time_ms), true);
        let image = Machine::from_image(machine.image().into()).expect("an image");
        assert_eq!((image.digest(), image.time_ms), (machine.digest(), machine.time_ms));
        shown(&reply)
    }

    fn incr() -> Requests {
        Requests::One(words("INCRBY n 1"))
    }

    #[test]
    fn a_session_does_each_serial_number_once() {
        let machine = &mut Machine::default();
        assert_eq!(entry(machine, 1, 0, &Proposal::Open(1000)), ":1");
        let at = |serial| Proposal::Session(1, serial, incr());
        assert_eq!(entry(machine, 2, 0, &at(1)), ":1");
        assert_eq!(entry(machine, 3, 0, &at(1)), ":1", "the answer of the first time");
        assert_eq!(entry(machine, 4, 0, &at(2)), ":2");
        assert_eq!(entry(machine, 5, 0, &at(1)), "-STALE session 1 is at serial number 2, beyond 1");
        let both = Requests::Transaction(vec![words("INCRBY n 1"), words("GET n")]);
        assert_eq!(entry(machine, 6, 0, &Proposal::Session(1, 3, both)), "*2 :3 $1 3");
        assert_eq!(entry(machine, 7, 0, &Proposal::Close(1)), "+OK");
        assert_eq!(entry(machine, 8, 0, &at(4)), "-NOSESSION there is no session 1, or it has expired");
        check(machine, "GET n", "$1 3");
    }

    #[test]
    fn a_session_expires_by_the_time_of_the_log() {
        let machine = &mut Machine::default();
        entry(machine, 1, 5000, &Proposal::Open(1000));
        let at = |serial| Proposal::Session(1, serial, incr());
        assert_eq!(entry(machine, 2, 6000, &at(1)), ":1");
        assert_eq!(entry(machine, 3, 100, &at(2)), ":2", "a leader whose clock is behind turns no time back");
        assert_eq!(entry(machine, 4, 7001, &at(3)), "-NOSESSION there is no session 1, or it has expired");
        assert_eq!(machine.sessions(), 0);
    }
}
