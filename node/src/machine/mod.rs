//! The replicated state machine: keys with strings and lists, and nothing that depends on the machine it runs on.
//!
//! Every member applies the same commands in the same order, so whatever is in here must be a function of them
//! alone: no clock, no randomness, no hash order. The digest makes a difference between members visible.

mod command;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

pub use command::{Command, Condition};

use crate::resp::Reply;

const OK: Reply = Reply::Simple("OK");

/// The state.
#[derive(Debug, Default)]
pub struct Machine {
    values: BTreeMap<Bytes, Value>,
    digest: u64,
}

#[derive(Debug, Clone)]
enum Value {
    String(Bytes),
    List(VecDeque<Bytes>),
}

impl Machine {
    /// A hash of the whole state: equal states have equal digests, whatever led to them.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Carries out a command.
    pub fn apply(&mut self, command: &Command) -> Reply {
        match command {
            Command::Get(key) => match self.string(key) {
                Ok(value) => value.map_or(Reply::Null, Reply::Bulk),
                Err(wrong_type) => wrong_type,
            },
            Command::Set { key, value, condition } => self.set(key, value, condition),
            Command::Del(keys) => {
                Reply::Integer(keys.iter().filter(|key| self.remove(key).is_some()).count() as i64)
            }
            Command::IncrBy(key, amount) => self.increment(key, *amount),
            Command::RPush(key, values) => self.push(key, values),
            Command::LRange(key, first, last) => match self.list(key) {
                Ok(list) => Reply::Array(range(list, *first, *last)),
                Err(wrong_type) => wrong_type,
            },
        }
    }

    /// What `apply` would answer, without doing it.
    pub fn preview(&self, command: &Command) -> Reply {
        let touched: Vec<&Bytes> = match command {
            Command::Get(key) | Command::IncrBy(key, _) | Command::RPush(key, _) => vec![key],
            Command::Set { key, .. } | Command::LRange(key, ..) => vec![key],
            Command::Del(keys) => keys.iter().collect(),
        };
        let known = touched.into_iter().filter_map(|key| self.values.get_key_value(key));
        let values = known.map(|(key, value)| (key.clone(), value.clone())).collect();
        Machine { values, digest: self.digest }.apply(command)
    }

    fn set(&mut self, key: &Bytes, value: &Bytes, condition: &Condition) -> Reply {
        let holds = match condition {
            Condition::Always => true,
            Condition::Absent => !self.values.contains_key(key),
            Condition::Present => self.values.contains_key(key),
            Condition::Equal(old) => match self.string(key) {
                Ok(current) => current.as_ref() == Some(old),
                Err(wrong_type) => return wrong_type,
            },
        };
        if !holds {
            return Reply::Null;
        }
        self.remove(key);
        self.insert(key, Value::String(value.clone()));
        OK
    }

    fn increment(&mut self, key: &Bytes, amount: i64) -> Reply {
        let current = match self.string(key) {
            Ok(None) => Some(0),
            Ok(Some(value)) => std::str::from_utf8(&value).ok().and_then(|text| text.parse::<i64>().ok()),
            Err(wrong_type) => return wrong_type,
        };
        let Some(sum) = current.and_then(|current| current.checked_add(amount)) else {
            return Reply::Error("ERR value is not an integer or out of range".into());
        };
        self.remove(key);
        self.insert(key, Value::String(sum.to_string().into()));
        Reply::Integer(sum)
    }

    fn push(&mut self, key: &Bytes, values: &[Bytes]) -> Reply {
        let length = match self.list(key) {
            Ok(list) => list.map_or(0, VecDeque::len),
            Err(wrong_type) => return wrong_type,
        };
        for (offset, value) in values.iter().enumerate() {
            self.digest = self.digest.wrapping_add(element_digest(key, length + offset + 1, value));
        }
        let list = self.values.entry(key.clone()).or_insert_with(|| Value::List(VecDeque::new()));
        if let Value::List(list) = list {
            list.extend(values.iter().cloned());
        }
        Reply::Integer((length + values.len()) as i64)
    }

    fn insert(&mut self, key: &Bytes, value: Value) {
        self.digest = self.digest.wrapping_add(value_digest(key, &value));
        self.values.insert(key.clone(), value);
    }

    fn remove(&mut self, key: &Bytes) -> Option<Value> {
        let value = self.values.remove(key)?;
        self.digest = self.digest.wrapping_sub(value_digest(key, &value));
        Some(value)
    }

    fn string(&self, key: &Bytes) -> Result<Option<Bytes>, Reply> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::String(value)) => Ok(Some(value.clone())),
            Some(Value::List(_)) => Err(wrong_type()),
        }
    }

    fn list(&self, key: &Bytes) -> Result<Option<&VecDeque<Bytes>>, Reply> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::List(list)) => Ok(Some(list)),
            Some(Value::String(_)) => Err(wrong_type()),
        }
    }
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

/// The state's digest is the sum of its parts', so that a change costs what it changes. Place 0 is a string,
/// the elements of a list stand at 1, 2, 3 …
fn value_digest(key: &[u8], value: &Value) -> u64 {
    match value {
        Value::String(value) => element_digest(key, 0, value),
        Value::List(list) => list
            .iter()
            .enumerate()
            .map(|(place, value)| element_digest(key, place + 1, value))
            .fold(0, u64::wrapping_add),
    }
}

/// FNV-1a with lengths between, so that no two parts run into each other.
fn element_digest(key: &[u8], place: usize, value: &[u8]) -> u64 {
    let lengths = [key.len() as u64, place as u64, value.len() as u64];
    let head = lengths.iter().flat_map(|number| number.to_le_bytes());
    let all = head.chain(key.iter().copied()).chain(value.iter().copied());
    let hash = all.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The last bytes of FNV barely reach its high bits; a sum needs all of them.
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::resp;

    /// Runs one command a line; gives the replies as they go over the wire, one a line.
    fn check(machine: &mut Machine, script: &str, expected: &str) {
        let mut replies = String::new();
        for line in script.split(';') {
            let request: Vec<Bytes> = line.split_whitespace().map(|word| word.to_owned().into()).collect();
            let reply = match Command::parse(&request).expect("a command") {
                Ok(command) => {
                    let preview = machine.preview(&command);
                    let reply = machine.apply(&command);
                    assert_eq!(preview, reply, "{line}");
                    reply
                }
                Err(reply) => reply,
            };
            let mut buffer = BytesMut::new();
            resp::encode_reply(&reply, &mut buffer);
            let text = String::from_utf8(buffer.to_vec()).expect("text");
            replies.push_str(&text.trim_end().replace("\r\n", " "));
            replies.push(';');
        }
        assert_eq!(replies.trim_end_matches(';'), expected, "{script}");
    }

    #[test]
    fn strings() {
        let machine = &mut Machine::default();
        check(machine, "GET a;SET a 1;get a", "$-1;+OK;$1 1");
        check(machine, "SET a 2 NX;SET b 2 XX;SET a 3 XX;SET b 4 nx", "$-1;$-1;+OK;+OK");
        check(machine, "SET a 5 IFEQ 3;SET a 6 IFEQ 3;SET c 1 IFEQ 1;GET a", "+OK;$-1;$-1;$1 5");
        check(machine, "INCRBY a 10;INCRBY n -2;DEL a n none;GET a", ":15;:-2;:2;$-1");
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
    }

    #[test]
    fn what_is_wrong_changes_nothing() {
        let machine = &mut Machine::default();
        check(machine, "RPUSH l a;SET s x", ":1;+OK");
        let before = machine.digest();
        let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
        check(machine, "GET l;INCRBY l 1;RPUSH s x;SET l 1 IFEQ a", &[wrong; 4].join(";"));
        let number = "-ERR value is not an integer or out of range";
        check(machine, "INCRBY s 1;INCRBY n x", &[number; 2].join(";"));
        check(machine, "SET a", "-ERR wrong number of arguments for 'set' command");
        check(machine, "SET a b EX 5", "-ERR syntax error");
        assert_eq!(machine.digest(), before);
    }

    #[test]
    fn the_digest_is_of_the_state_and_not_of_the_way_there() {
        let (one, other) = (&mut Machine::default(), &mut Machine::default());
        check(one, "SET a 1;RPUSH l x y;SET gone 1;DEL gone", "+OK;:2;+OK;:1");
        check(other, "RPUSH l x;SET a 2;RPUSH l y;SET a 1", ":1;+OK;:2;+OK");
        assert_eq!(one.digest(), other.digest());
        check(other, "RPUSH l z", ":3");
        assert_ne!(one.digest(), other.digest());
    }
}
