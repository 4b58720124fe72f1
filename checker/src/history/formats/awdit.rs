//! Transactions of sessions without times, as AWDIT's tests have them: `r key value` or `w key value` a line, `-----` between the
//! transactions of a session, `=====` between sessions (Møldrup & Pavlogiannis 2025).
//!
//! Sessions become processes, one after another. That order means nothing, and the history says so
//! ([`History::is_timed`](super::super::History::is_timed)).

use super::super::operation::{History, Record};
use super::super::value::{Datum, Values};
use super::super::{EventKind, Process};
use super::log::put_on_tape;

/// The transaction that is being read.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    session: u64,
    asked: Vec<Datum>,
    told: Vec<Datum>,
}

/// What every reader of such a file should know.
pub(super) fn notice() -> String {
    "the file has no times, so nothing that speaks of real time can be asked of it".to_owned()
}

/// Whether a line is a step of a transaction.
pub(super) fn is_step(line: &str) -> bool {
    words(line).is_some()
}

/// `r` or `w`, the key, the value.
fn words(line: &str) -> Option<[&str; 3]> {
    let mut words = line.split_ascii_whitespace();
    let step = [words.next()?, words.next()?, words.next()?];
    (matches!(step[0], "r" | "w") && words.next().is_none()).then_some(step)
}

impl Transaction {
    /// Takes a line.
    pub(super) fn take(&mut self, history: &mut History, line: &[u8], number: usize) -> Result<(), String> {
        let line = std::str::from_utf8(line).map_err(|_| "not UTF-8")?.trim();
        let is_ruled = |byte: u8| line.len() >= 3 && line.bytes().all(|other| other == byte);
        if is_ruled(b'-') || is_ruled(b'=') {
            self.end(history, number)?;
            self.session += u64::from(is_ruled(b'='));
            return Ok(());
        }
        let Some([f, key, value]) = words(line) else {
            let hint = "(hint: `r key value`, `w key value`, `-----` or `=====`)";
            return Err(format!("`{line}` is no step of a transaction {hint}"));
        };
        let values = &mut history.values;
        let (f, key, value, is_read) = (values.text(f), datum(values, key), datum(values, value), f == "r");
        let asked = values.list(&[f, key, if is_read { Datum::NULL } else { value }]);
        self.asked.push(asked);
        self.told.push(values.list(&[f, key, value]));
        Ok(())
    }

    /// Ends the transaction, if one has begun.
    pub(super) fn end(&mut self, history: &mut History, number: usize) -> Result<(), String> {
        history.forget_times();
        if self.asked.is_empty() {
            return Ok(());
        }
        let f = history.name("txn")?;
        let line = u32::try_from(number).unwrap_or(u32::MAX);
        for (kind, steps) in [(EventKind::Invoke, &mut self.asked), (EventKind::Ok, &mut self.told)] {
            let value = history.values.list(steps);
            steps.clear();
            put_on_tape(history, (Process::Client(self.session), kind, "txn"), value, line);
            history.record(&Record {
                time: u64::from(line),
                process: self.session,
                kind,
                f,
                key: Datum::NULL,
                value,
                node: Datum::NULL,
                line,
            })?;
        }
        Ok(())
    }
}

fn datum(values: &mut Values, word: &str) -> Datum {
    word.parse().ok().and_then(Datum::integer).unwrap_or_else(|| values.text(word))
}
