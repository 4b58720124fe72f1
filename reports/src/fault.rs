//! Faults and leader changes as reports see them: spans and marks on the time axis.
//!
//! Not the faults themselves: this reads the ledger `faults.jsonl`, whose lines each tell one step of one fault,
//! and joins the steps of a fault by its `id`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One fault from plan to undoing. Times are nanoseconds since the start of the run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FaultSpan {
    /// Its number in the ledger.
    pub id: u64,
    /// `kill`, `pause`, `partition`, …
    pub kind: String,
    /// Kind, shape and target in one piece, as they are written on the command line: `partition:bridge@leader`.
    pub label: String,
    /// The nodes it was aimed at.
    pub nodes: Vec<String>,
    /// The nodes that could not be counted on meanwhile.
    pub harmed: Vec<String>,
    /// What exactly it did.
    pub detail: String,
    /// When it was planned.
    pub planned_ns: u64,
    /// When it was in force.
    pub applied_ns: Option<u64>,
    /// When a probe showed that it bites.
    pub proven_ns: Option<u64>,
    /// When it was taken back.
    pub undone_ns: Option<u64>,
    /// What the probe saw.
    pub evidence: Option<String>,
    /// Why it could not be applied or undone.
    pub error: Option<String>,
    /// The cluster was asked to do it, and did not.
    pub is_declined: bool,
    /// Microseconds from the decision to the deed in force.
    pub took_us: Option<u64>,
}

/// A node became leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderChange {
    /// Nanoseconds since the start of the run; slightly negative for a leader elected before the clients began.
    pub time_ns: i64,
    /// Which node.
    pub node: String,
    /// In which term.
    pub term: u64,
}

/// A line of the ledger that is none.
#[derive(Debug, thiserror::Error)]
#[error("cannot read line {line} of the fault ledger: {source} (hint: the file may be from another version)")]
pub struct LedgerError {
    line: usize,
    source: serde_json::Error,
}

/// Reads `faults.jsonl`; spans come in the order of their ids.
///
/// A last line without its line feed is what a killed controller leaves, and is passed over if it cannot be read.
pub fn parse_ledger(text: &str) -> Result<Vec<FaultSpan>, LedgerError> {
    let mut spans = BTreeMap::<u64, FaultSpan>::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str::<LedgerLine>(line) {
            Ok(step) => spans.entry(step.id).or_default().take_step(step),
            Err(_) if !line.ends_with('\n') => break,
            Err(source) => {
                return Err(LedgerError { line: number + 1, source });
            }
        }
    }
    Ok(spans.into_values().collect())
}

impl FaultSpan {
    /// Whether a probe showed that it bites.
    pub fn proven(&self) -> bool {
        self.proven_ns.is_some()
    }

    /// When it was in force: from `applied` to `undone`, or to `end_ns` if it was never taken back.
    pub fn in_force(&self, end_ns: u64) -> Option<(u64, u64)> {
        let from = self.applied_ns?;
        Some((from, self.undone_ns.unwrap_or(end_ns).max(from)))
    }

    fn take_step(&mut self, step: LedgerLine) {
        self.id = step.id;
        match step.state {
            State::Planned => self.planned_ns = step.time,
            State::Applied => self.applied_ns = Some(step.time),
            State::Proven => self.proven_ns = Some(step.time),
            State::Undone => self.undone_ns = Some(step.time),
            State::Failed | State::Skipped => {}
            State::Declined => self.is_declined = true,
        }
        if self.label.is_empty() {
            self.label = step.label();
            self.kind = step.kind;
        }
        if !step.nodes.is_empty() {
            self.nodes = step.nodes;
        }
        if !step.harmed.is_empty() {
            self.harmed = step.harmed;
        }
        if !step.detail.is_empty() {
            self.detail = step.detail;
        }
        self.evidence = match (self.evidence.take(), step.evidence) {
            (Some(before), Some(more)) => Some(format!("{before}; {more}")),
            (before, more) => before.or(more),
        };
        self.error = step.error.or(self.error.take());
        if matches!(step.state, State::Applied) {
            self.took_us = step.took_us;
        }
    }
}

#[derive(Deserialize)]
struct LedgerLine {
    time: u64,
    id: u64,
    state: State,
    #[serde(default)]
    kind: String,
    shape: Option<String>,
    strength: Option<String>,
    target: Option<String>,
    #[serde(default)]
    nodes: Vec<String>,
    #[serde(default)]
    harmed: Vec<String>,
    #[serde(default)]
    detail: String,
    took_us: Option<u64>,
    evidence: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Planned,
    Applied,
    Proven,
    Undone,
    Failed,
    Declined,
    Skipped,
}

impl LedgerLine {
    fn label(&self) -> String {
        let mut label = self.kind.clone();
        if let Some(shape) = &self.shape {
            label = format!("{label}:{shape}");
        }
        if let Some(strength) = &self.strength {
            label = format!("{label}={strength}");
        }
        if let Some(target) = &self.target {
            label = format!("{label}@{target}");
        }
        label
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEDGER: &str = r#"{"time":10,"id":0,"state":"planned","kind":"partition","shape":"bridge","target":"leader","nodes":["n1"],"detail":"n1 | n2"}
{"time":12,"id":0,"state":"applied","kind":"partition","took_us":37}
{"time":13,"id":1,"state":"planned","kind":"kill","nodes":["n2"]}
{"time":15,"id":0,"state":"proven","kind":"partition","evidence":"10 of 10 probes failed"}
{"time":16,"id":1,"state":"failed","kind":"kill","error":"no such process"}
{"time":90,"id":0,"state":"undone","kind":"partition","took_us":99}
"#;

    #[test]
    fn the_steps_of_a_fault_make_one_span() {
        let spans = parse_ledger(LEDGER).expect("a ledger");
        assert_eq!(spans.len(), 2);
        assert_eq!(
            spans[0],
            FaultSpan {
                harmed: Vec::new(),
                is_declined: false,
                id: 0,
                kind: "partition".into(),
                label: "partition:bridge@leader".into(),
                nodes: vec!["n1".into()],
                detail: "n1 | n2".into(),
                planned_ns: 10,
                applied_ns: Some(12),
                proven_ns: Some(15),
                undone_ns: Some(90),
                evidence: Some("10 of 10 probes failed".into()),
                error: None,
                took_us: Some(37),
            }
        );
        assert_eq!(spans[1].in_force(100), None);
        assert_eq!(spans[1].error.as_deref(), Some("no such process"));
    }

    #[test]
    fn a_cut_last_line_is_passed_over_but_damage_in_the_middle_is_named() {
        let cut = format!("{LEDGER}{{\"time\":91,\"id\":2,\"sta");
        assert_eq!(parse_ledger(&cut).expect("a cut ledger").len(), 2);
        let damaged = format!("nonsense\n{LEDGER}");
        let error = parse_ledger(&damaged).expect_err("damage").to_string();
        assert!(error.starts_with("cannot read line 1 of the fault ledger"), "{error}");
    }
}
