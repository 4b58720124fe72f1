//! What a client can ask of the state machine, checked once where it comes in.

use bytes::Bytes;

use crate::resp::{self, Reply};

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
    /// `INCRBY key amount`
    IncrBy(Bytes, i64),
    /// `RPUSH key value …`
    RPush(Bytes, Vec<Bytes>),
    /// `LRANGE key first last`, both included, negative from the end.
    LRange(Bytes, i64, i64),
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

impl Command {
    /// Understands a request; `None` when it is no command on keys.
    ///
    /// # Errors
    /// The reply for a request that is one, but not well formed.
    pub fn parse(request: &[Bytes]) -> Option<Result<Command, Reply>> {
        let (name, arguments) = request.split_first()?;
        let name = name.to_ascii_uppercase();
        let parsed = match (&name[..], arguments) {
            (b"GET", [key]) => Ok(Command::Get(key.clone())),
            (b"SET", [key, value, options @ ..]) => condition(options).map(|condition| Command::Set {
                key: key.clone(),
                value: value.clone(),
                condition,
            }),
            (b"DEL", [_, ..]) => Ok(Command::Del(arguments.to_vec())),
            (b"INCRBY", [key, amount]) => number(amount).map(|amount| Command::IncrBy(key.clone(), amount)),
            (b"RPUSH", [key, values @ ..]) if !values.is_empty() => {
                Ok(Command::RPush(key.clone(), values.to_vec()))
            }
            (b"LRANGE", [key, first, last]) => {
                number(first).and_then(|first| Ok(Command::LRange(key.clone(), first, number(last)?)))
            }
            (b"GET" | b"SET" | b"DEL" | b"INCRBY" | b"RPUSH" | b"LRANGE", _) => {
                let name = String::from_utf8_lossy(&name).to_ascii_lowercase();
                Err(Reply::Error(format!("ERR wrong number of arguments for '{name}' command")))
            }
            _ => return None,
        };
        Some(parsed)
    }

    /// Reads a command back from a log entry.
    ///
    /// # Panics
    /// When the entry holds none: only parsed requests are ever proposed.
    pub(crate) fn from_entry(entry: &Bytes) -> Command {
        let request = resp::decode_request(&mut entry.as_ref().into());
        let request = request.ok().flatten().expect("an entry holds a whole request");
        let parsed = Command::parse(&request).expect("an entry holds a command");
        parsed.expect("an entry holds a well-formed command")
    }

    /// Whether it leaves the state as it is, and so needs no log entry.
    pub fn is_read(&self) -> bool {
        matches!(self, Command::Get(_) | Command::LRange(..))
    }
}

fn condition(options: &[Bytes]) -> Result<Condition, Reply> {
    let upper: Vec<Vec<u8>> = options.iter().map(|option| option.to_ascii_uppercase()).collect();
    let words: Vec<&[u8]> = upper.iter().map(Vec::as_slice).collect();
    match words[..] {
        [] => Ok(Condition::Always),
        [b"NX"] => Ok(Condition::Absent),
        [b"XX"] => Ok(Condition::Present),
        [b"IFEQ", _] => Ok(Condition::Equal(options[1].clone())),
        _ => Err(Reply::Error("ERR syntax error".into())),
    }
}

fn number(text: &Bytes) -> Result<i64, Reply> {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| Reply::Error("ERR value is not an integer or out of range".into()))
}
