//! What a client can ask of the keys, checked once where it comes in.

use bytes::Bytes;

use crate::resp::Reply;

/// A command on the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `GET key`
    Get(Bytes),
    /// `SET key value [NX | XX | IFEQ old]`
    Set {
        /// What to write.
        key: Bytes,
        /// The new value.
        value: Bytes,
        /// When to write.
        condition: Condition,
    },
    /// `DEL key …`
    Del(Vec<Bytes>),
    /// `EXISTS key …`
    Exists(Vec<Bytes>),
    /// `INCRBY key amount`
    IncrBy(Bytes, i64),
    /// `APPEND key value`
    Append(Bytes, Bytes),
    /// `RPUSH key value …`
    RPush(Bytes, Vec<Bytes>),
    /// `LPUSH key value …`
    LPush(Bytes, Vec<Bytes>),
    /// `RPOP key`
    RPop(Bytes),
    /// `LPOP key`
    LPop(Bytes),
    /// `LLEN key`
    LLen(Bytes),
    /// `LRANGE key first last`, both included, negative from the end.
    LRange(Bytes, i64, i64),
    /// `SADD key member …`
    SAdd(Bytes, Vec<Bytes>),
    /// `SREM key member …`
    SRem(Bytes, Vec<Bytes>),
    /// `SMEMBERS key`
    SMembers(Bytes),
    /// `SCARD key`
    SCard(Bytes),
}

/// When a `SET` takes place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// In any case.
    Always,
    /// If the key has no value (`NX`).
    Absent,
    /// If the key has a value (`XX`).
    Present,
    /// If the key has just this value (`IFEQ`): compare-and-set.
    Equal(Bytes),
}

/// Every name that `parse` knows.
const NAMES: [&[u8]; 19] = [
    b"GET",
    b"SET",
    b"DEL",
    b"EXISTS",
    b"INCR",
    b"DECR",
    b"INCRBY",
    b"APPEND",
    b"RPUSH",
    b"LPUSH",
    b"RPOP",
    b"LPOP",
    b"LLEN",
    b"LRANGE",
    b"SADD",
    b"SREM",
    b"SMEMBERS",
    b"SCARD",
    b"DECRBY",
];

impl Command {
    /// Understands a request; `None` when it is no command on keys.
    ///
    /// # Errors
    /// The reply for a request that is one, but not well formed.
    pub fn parse(request: &[Bytes]) -> Option<Result<Command, Reply>> {
        let (name, arguments) = request.split_first()?;
        let mut upper = [0; 16];
        let upper = upper.get_mut(..name.len())?;
        upper.copy_from_slice(name);
        upper.make_ascii_uppercase();
        let parsed = match (&*upper, arguments) {
            (b"GET", [key]) => Ok(Command::Get(key.clone())),
            (b"SET", [key, value, options @ ..]) => condition(options).map(|condition| Command::Set {
                key: key.clone(),
                value: value.clone(),
                condition,
            }),
            (b"DEL", [_, ..]) => Ok(Command::Del(arguments.to_vec())),
            (b"EXISTS", [_, ..]) => Ok(Command::Exists(arguments.to_vec())),
            (b"INCR", [key]) => Ok(Command::IncrBy(key.clone(), 1)),
            (b"DECR", [key]) => Ok(Command::IncrBy(key.clone(), -1)),
            (b"INCRBY", [key, amount]) => number(amount).map(|amount| Command::IncrBy(key.clone(), amount)),
            (b"DECRBY", [key, amount]) => number(amount).and_then(|amount| {
                let amount = amount.checked_neg().ok_or_else(not_a_number)?;
                Ok(Command::IncrBy(key.clone(), amount))
            }),
            (b"APPEND", [key, value]) => Ok(Command::Append(key.clone(), value.clone())),
            (b"RPUSH", [key, values @ ..]) if !values.is_empty() => {
                Ok(Command::RPush(key.clone(), values.to_vec()))
            }
            (b"LPUSH", [key, values @ ..]) if !values.is_empty() => {
                Ok(Command::LPush(key.clone(), values.to_vec()))
            }
            (b"RPOP", [key]) => Ok(Command::RPop(key.clone())),
            (b"LPOP", [key]) => Ok(Command::LPop(key.clone())),
            (b"LLEN", [key]) => Ok(Command::LLen(key.clone())),
            (b"LRANGE", [key, first, last]) => {
                number(first).and_then(|first| Ok(Command::LRange(key.clone(), first, number(last)?)))
            }
            (b"SADD", [key, members @ ..]) if !members.is_empty() => {
                Ok(Command::SAdd(key.clone(), members.to_vec()))
            }
            (b"SREM", [key, members @ ..]) if !members.is_empty() => {
                Ok(Command::SRem(key.clone(), members.to_vec()))
            }
            (b"SMEMBERS", [key]) => Ok(Command::SMembers(key.clone())),
            (b"SCARD", [key]) => Ok(Command::SCard(key.clone())),
            (name, _) if NAMES.contains(&name) => {
                let name = String::from_utf8_lossy(name).to_ascii_lowercase();
                Err(Reply::Error(format!("ERR wrong number of arguments for '{name}' command")))
            }
            _ => return None,
        };
        Some(parsed)
    }

    /// Whether it leaves the state as it is, and so needs no log entry.
    pub fn is_read(&self) -> bool {
        matches!(
            self,
            Command::Get(_)
                | Command::Exists(_)
                | Command::LLen(_)
                | Command::LRange(..)
                | Command::SMembers(_)
                | Command::SCard(_)
        )
    }

    /// The keys that it looks at or changes.
    pub(super) fn keys(&self) -> &[Bytes] {
        match self {
            Command::Del(keys) | Command::Exists(keys) => keys,
            Command::Get(key)
            | Command::Set { key, .. }
            | Command::IncrBy(key, _)
            | Command::Append(key, _)
            | Command::RPush(key, _)
            | Command::LPush(key, _)
            | Command::RPop(key)
            | Command::LPop(key)
            | Command::LLen(key)
            | Command::LRange(key, ..)
            | Command::SAdd(key, _)
            | Command::SRem(key, _)
            | Command::SMembers(key)
            | Command::SCard(key) => std::slice::from_ref(key),
        }
    }
}

fn condition(options: &[Bytes]) -> Result<Condition, Reply> {
    let is = |option: &Bytes, word: &str| option.eq_ignore_ascii_case(word.as_bytes());
    match options {
        [] => Ok(Condition::Always),
        [option] if is(option, "NX") => Ok(Condition::Absent),
        [option] if is(option, "XX") => Ok(Condition::Present),
        [option, old] if is(option, "IFEQ") => Ok(Condition::Equal(old.clone())),
        _ => Err(Reply::Error("ERR syntax error".into())),
    }
}

fn number(text: &Bytes) -> Result<i64, Reply> {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    parsed.ok_or_else(not_a_number)
}

fn not_a_number() -> Reply {
    Reply::Error("ERR value is not an integer or out of range".into())
}
