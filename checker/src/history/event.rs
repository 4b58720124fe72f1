//! One event of a history: the invocation of an operation, or what became of it.
//!
//! This is the line format of `history.jsonl`. Pairing events into operations is `operation.rs`; reading a
//! file with precise errors is `jsonl.rs`.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A line of `history.jsonl`. Unknown keys of a line are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Position in the history, from 0.
    pub index: u64,
    /// Nanoseconds since the start of the run.
    pub time: u64,
    /// Who: a client process, or `nemesis`.
    pub process: Process,
    /// What kind of event.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// What was asked: `read`, `write`, `cas`, `partition`, …
    pub f: Cow<'static, str>,
    /// The object that the operation is about, where the workload has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Value>,
    /// Argument on invoke, result on ok; `null` where there is none.
    #[serde(default)]
    pub value: Value,
    /// The node that was asked (on a completion: the one that answered).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Cow<'static, str>>,
    /// Why a `fail` failed or an `info` is uncertain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'static, str>>,
}

/// Who did an operation. A client process does one operation at a time; after an `info` its number is never
/// used again, because its last operation may still take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Process {
    /// A client process by its number.
    Client(u64),
    /// The nemesis: faults, not operations. Checkers skip it.
    Nemesis,
}

/// `invoke`, then exactly one of `ok`, `fail`, `info`, or nothing when the run was cut (which counts as `info`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// The operation was sent.
    Invoke,
    /// It happened.
    Ok,
    /// It surely did not happen.
    Fail,
    /// It may have happened, or may yet.
    Info,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Process::Client(number) => number.fmt(f),
            Process::Nemesis => f.pad("nemesis"),
        }
    }
}

impl Serialize for Process {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Process::Client(number) => serializer.serialize_u64(*number),
            Process::Nemesis => serializer.serialize_str("nemesis"),
        }
    }
}

impl<'de> Deserialize<'de> for Process {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Process;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a process number or \"nemesis\"")
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Process, E> {
                Ok(Process::Client(number))
            }
            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Process, E> {
                match name {
                    "nemesis" => Ok(Process::Nemesis),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
