//! All events of a history as they were recorded, those of the nemesis and what no checker asks for included.
//!
//! A check needs operations and nothing else ([`super::History`]); this is for whoever writes a history again. The one idea: what is
//! written in one format and read again is the same in every other.

use serde_json::Value;

use super::value::{Datum, Values};
use super::{EventKind, Process};

/// One event; its place is its number on the tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taped {
    /// Nanoseconds since the start of the run.
    pub time: u64,
    /// Who.
    pub process: Process,
    /// What kind of event.
    pub kind: EventKind,
    /// What was asked, a text.
    pub f: Datum,
    /// The object, `null` if there is only one.
    pub key: Datum,
    /// Argument, result, or whatever stood there.
    pub value: Datum,
    /// The node, a text, or `null`.
    pub node: Datum,
    /// Why it failed, a text, or `null`.
    pub error: Datum,
    /// A map of all else that stood there, or `null`.
    pub others: Datum,
}

/// Names of what every event may have; all others are others.
pub(super) const NAMES: [&str; 9] =
    ["index", "time", "process", "type", "f", "key", "value", "node", "error"];

impl Taped {
    /// The event as a line of `history.jsonl`.
    pub fn to_jsonl(&self, values: &Values, index: usize) -> String {
        let mut line = format!(
            r#"{{"index":{index},"time":{},"process":{},"type":"{}","f":{}"#,
            self.time,
            match self.process {
                Process::Client(number) => number.to_string(),
                Process::Nemesis => "\"nemesis\"".to_owned(),
            },
            word(self.kind),
            values.to_json(self.f),
        );
        let mut field = |name: &str, value: Datum| {
            line += &format!(",{}:{}", Value::from(name), values.to_json(value));
        };
        if !self.key.is_null() {
            field("key", self.key);
        }
        field("value", self.value);
        for (name, value) in [("node", self.node), ("error", self.error)] {
            if !value.is_null() {
                field(name, value);
            }
        }
        for (name, value) in self.others(values) {
            field(&name, value);
        }
        line + "}"
    }

    /// The event as a map of Jepsen's `history.edn`. What a machine calls by its name is a keyword: types, kinds of operations, and
    /// the first word of a micro-operation.
    pub fn to_edn(&self, values: &Values, index: usize) -> String {
        let f = values.as_text(self.f).unwrap_or_default();
        let is_transaction = f == "txn";
        let mut map = format!(
            "{{:index {index}, :time {}, :type :{}, :process {}, :f {}",
            self.time,
            word(self.kind),
            match self.process {
                Process::Client(number) => number.to_string(),
                Process::Nemesis => ":nemesis".to_owned(),
            },
            keyword(f),
        );
        let mut field = |name: &str, value: Datum, is_transaction: bool| {
            map += &format!(", {} {}", keyword(name), edn(values, value, is_transaction));
        };
        field("value", self.value, is_transaction);
        for (name, value) in [("key", self.key), ("node", self.node), ("error", self.error)] {
            if !value.is_null() {
                field(name, value, false);
            }
        }
        for (name, value) in self.others(values) {
            field(&name, value, false);
        }
        map + "}"
    }

    /// What else stood there, in order of the names.
    fn others(&self, values: &Values) -> Vec<(String, Datum)> {
        let pairs = values.as_map(self.others).map_or(&[][..], |pairs| pairs.as_chunks::<2>().0);
        let mut others: Vec<_> = pairs.iter().map(|&[name, value]| (values.key_name(name), value)).collect();
        others.sort_unstable();
        others
    }
}

fn word(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Invoke => "invoke",
        EventKind::Ok => "ok",
        EventKind::Fail => "fail",
        EventKind::Info => "info",
    }
}

/// A keyword, or a text where it could not be read as one again.
fn keyword(name: &str) -> String {
    let is_plain = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.!?*+<>=".contains(&byte));
    if is_plain { format!(":{name}") } else { Value::from(name).to_string() }
}

fn edn(values: &Values, value: Datum, is_transaction: bool) -> String {
    if let Some(items) = values.as_list(value) {
        if let (&[name, key, value], true) = (items, is_transaction)
            && let Some(name) = values.as_text(name)
        {
            return format!("[{} {} {}]", keyword(name), edn(values, key, false), edn(values, value, false));
        }
        let items: Vec<String> = items.iter().map(|&item| edn(values, item, is_transaction)).collect();
        return format!("[{}]", items.join(" "));
    }
    if let Some(pairs) = values.as_map(value) {
        let pair = |[key, value]: &[Datum; 2]| {
            format!("{} {}", edn(values, *key, false), edn(values, *value, false))
        };
        let pairs: Vec<String> = pairs.as_chunks::<2>().0.iter().map(pair).collect();
        return format!("{{{}}}", pairs.join(", "));
    }
    match values.to_json(value) {
        Value::Null => "nil".to_owned(),
        other => other.to_string(),
    }
}
