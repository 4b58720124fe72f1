//! What was asked and what became of it, per kind of operation.
//!
//! It is no judgement of the system: it tells whether the history was able to prove anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::history::{History, Name, Outcome};

/// How many operations of one kind ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All of them.
    pub invoked: u64,
    /// Those that happened.
    pub ok: u64,
    /// Those that surely did not.
    pub fail: u64,
    /// Those that may have, with the ones that never completed.
    pub info: u64,
}

/// The counts per `f`.
pub fn counts(history: &History) -> BTreeMap<String, Counts> {
    let mut by_name: BTreeMap<Name, Counts> = BTreeMap::new();
    for operation in &history.operations {
        let of_kind = by_name.entry(operation.f).or_default();
        of_kind.invoked += 1;
        match operation.outcome {
            Outcome::Ok => of_kind.ok += 1,
            Outcome::Fail => of_kind.fail += 1,
            Outcome::Info => of_kind.info += 1,
        }
    }
    let named = history.names().filter_map(|(name, text)| Some((text.to_owned(), *by_name.get(&name)?)));
    named.collect()
}

/// Those of `expected` that never succeeded, asked for or not: a run with any of them proves nothing about it.
pub fn never_succeeded<'a>(counts: &BTreeMap<String, Counts>, expected: &[&'a str]) -> Vec<&'a str> {
    let succeeded = |f: &str| counts.get(f).is_some_and(|of_kind| of_kind.ok > 0);
    expected.iter().copied().filter(|f| !succeeded(f)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Reader;

    #[test]
    fn every_outcome_is_counted_and_what_never_succeeded_is_named() {
        let text = r#"
{"index":0,"time":0,"process":0,"type":"invoke","f":"read","value":null}
{"index":1,"time":1,"process":0,"type":"ok","f":"read","value":null}
{"index":2,"time":2,"process":0,"type":"invoke","f":"cas","value":[1,2]}
{"index":3,"time":3,"process":0,"type":"fail","f":"cas","value":[1,2]}
{"index":4,"time":4,"process":0,"type":"invoke","f":"cas","value":[1,2]}
"#;
        let mut reader = Reader::new(None);
        let read = reader.feed(text.as_bytes()).and_then(|()| reader.finish());
        let counts = counts(&read.expect("a history").history);
        let (read, cas) = (counts["read"], counts["cas"]);
        assert_eq!((read.invoked, read.ok, read.fail, read.info), (1, 1, 0, 0));
        assert_eq!((cas.invoked, cas.ok, cas.fail, cas.info), (2, 0, 1, 1));
        let never = never_succeeded(&counts, &["read", "write", "cas"]);
        assert_eq!(never, ["write", "cas"]);
    }
}
