//! Reading `history.jsonl`, with errors that name the line.

use super::{Event, Operation, operations};
use crate::lines::{self, ParseError};

/// A history that was read from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// Its events, in the order of the file.
    pub events: Vec<Event>,
    /// Line of each event, from 1.
    pub lines: Vec<usize>,
    /// What a reader should know though it is no error, one line each.
    pub notices: Vec<String>,
}

/// Reads events, one a line. A last line that was cut off is accepted with a notice.
///
/// # Errors
/// A line that is not JSON, or no event.
pub fn parse_jsonl(text: &[u8]) -> Result<Parsed, ParseError> {
    let read = lines::read(text)?;
    let (lines, events) = read.records.into_iter().unzip();
    let notices =
        read.cut.map(|line| format!("line {line} is cut off and was left out")).into_iter().collect();
    Ok(Parsed { events, lines, notices })
}

impl Parsed {
    /// The operations that the events pair up to; each knows its line.
    ///
    /// # Errors
    /// Events that no client can have recorded (see [`operations`]), with their line.
    pub fn operations(&self) -> Result<Vec<Operation>, ParseError> {
        let mut operations = operations(&self.events).map_err(|error| ParseError {
            line: self.lines[error.event],
            column: 1,
            message: error.message,
        })?;
        for operation in &mut operations {
            let event = operation.completed_at.unwrap_or(operation.invoked_at);
            operation.line = Some(self.lines[event]);
        }
        Ok(operations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: &str = r#"{"index":0,"time":5,"process":3,"type":"invoke","f":"read","value":null}"#;
    const DONE: &str = r#"{"index":1,"time":6,"process":3,"type":"ok","f":"read","value":4}"#;

    /// What comes of these lines: the error, or the number of operations and the notices.
    fn outcome(lines: &[&str]) -> String {
        text(&(lines.join("\n") + "\n"))
    }

    fn text(text: &str) -> String {
        let parsed = match parse_jsonl(text.as_bytes()) {
            Ok(parsed) => parsed,
            Err(error) => return error.to_string(),
        };
        match parsed.operations() {
            Ok(operations) => format!("{} operations{}", operations.len(), parsed.notices.concat()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_whole_history_is_read_and_the_nemesis_skipped() {
        let nemesis = r#"{"index":2,"time":1,"process":"nemesis","type":"info","f":"kill","value":{"target":"one"},"more":1}"#;
        assert_eq!(outcome(&[READ, nemesis, "", DONE]), "1 operations");
    }

    #[test]
    fn a_missing_completion_counts_as_info() {
        let operations =
            parse_jsonl(READ.as_bytes()).and_then(|parsed| parsed.operations()).expect("a history");
        assert_eq!(operations[0].outcome, super::super::Outcome::Info);
        assert_eq!(operations[0].completed_ns, None);
    }

    #[test]
    fn a_cut_last_line_is_noticed_and_a_broken_one_refused() {
        let cut = format!("{READ}\n{}", &DONE[..30]);
        assert_eq!(text(&cut), "1 operationsline 2 is cut off and was left out");
        assert_eq!(text(&(cut + "\n")), "2:30: EOF while parsing a value");
        assert_eq!(text(&format!("{READ}\n{{\"index\" 1")), "2:10: expected `:`");
    }

    #[test]
    fn errors_name_their_line() {
        let with = |line: &str, from: &str, to: &str| line.replace(from, to);
        let info = with(DONE, "\"ok\"", "\"info\"");
        let other = with(DONE, "read", "write");
        let again = with(DONE, "\"ok\"", "\"invoke\"");
        let early = with(DONE, "\"time\":6", "\"time\":4");
        let cases = [
            (vec![r#"{"index":0 "time":1}"#], "1:12: expected `,` or `}`"),
            (vec![r#"{"index":0,"time":1}"#], "1:20: missing field `process`"),
            (vec![DONE], "1:1: process 3 completes an operation that it never invoked"),
            (vec![READ, DONE, DONE], "3:1: process 3 completes its operation twice"),
            (vec![READ, READ], "2:1: process 3 invokes an operation while its last one is open"),
            (
                vec![READ, &info, &again],
                "3:1: process 3 goes on after an `info` (hint: give the client a new process number)",
            ),
            (vec![READ, &other], "2:1: process 3 completes `write`, but it had invoked `read`"),
            (vec![READ, &early], "2:1: time of process 3 runs backwards, from 5 to 4"),
        ];
        for (lines, expected) in cases {
            assert_eq!(outcome(&lines), expected, "{lines:#?}");
        }
    }
}
