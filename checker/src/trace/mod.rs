//! What the nodes did inside: events of their traces.

mod event;

pub use event::{Role, TraceBody, TraceEvent};

use crate::lines::{self, ParseError};

/// Reads a `trace.jsonl`. A last line that was cut off is left out: the node was killed while it wrote.
///
/// # Errors
/// A line that is not JSON, or no event of a trace.
pub fn parse_trace(text: &[u8]) -> Result<Vec<TraceEvent>, ParseError> {
    let read = lines::read(text)?;
    Ok(read.records.into_iter().map(|(_, event)| event).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read_but_for_its_cut_end() {
        let text = r#"{"time":1,"event":"save","term":2,"vote":"n1"}
{"time":2,"event":"role","role":"pre-candidate","term":2,"leader":null}
{"time":3,"event":"append","first":1,"entries":[[2,77]]}
{"time":4,"event":"snapshot","index":9,"term":2}
{"time":5,"event":"configuration","voters":["n1","n2"],"outgoing":[],"learners":["n3"]}
{"time":6,"event":"comm"#;
        let events = parse_trace(text.as_bytes()).expect("a trace");
        let entries = vec![(2, 77)];
        assert_eq!(events.len(), 5);
        assert_eq!(events[2].body, TraceBody::Append { first: 1, entries });
        let error = parse_trace(b"{\"time\":1,\"event\":\"sleep\"}\n").expect_err("no such event");
        assert!(error.to_string().starts_with("1:"), "{error}");
        assert!(error.message.contains("unknown variant `sleep`"), "{error}");
    }
}
