//! `results.json`: what a run was, what was found, and the figures.
//!
//! A plain record, filled by whoever drove the run with the help of [`crate::measure`]. Field names are a contract
//! with scripts: add fields, do not rename them. Durations end in their unit.

use std::collections::BTreeMap;

use rafture_checker::failure::Failure;
use rafture_checker::verdict::Verdict;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The whole of `results.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The worst of all checkers, of the faults and of the harness.
    pub verdict: Verdict,
    /// Why the verdict is not plainly `valid`, one sentence each: why vacuous, why unknown, what failed to start.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// The name under which the run is stored.
    pub name: String,
    /// The folder of the run, by its last component.
    pub run: String,
    /// The system under test.
    pub system: String,
    /// What the clients asked.
    pub workload: String,
    /// How many nodes.
    pub nodes: usize,
    /// How the nodes were connected: `netns: root`, `proxy`, …
    pub network: String,
    /// The one number that decides the plan.
    pub seed: u64,
    /// The line that repeats the run.
    pub command: String,
    /// What the seed repeats: the plan, or also the interleaving.
    #[serde(default)]
    pub note: String,
    /// What whoever asked for the run said of it: `commit`, `campaign`, …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// UTC, RFC 3339.
    pub started_at: String,
    /// When the run's time axis begins, nanoseconds of the machine's monotonic clock: node traces carry that clock.
    #[serde(default)]
    pub clock_start_ns: u64,
    /// The same by the wall clock, nanoseconds since 1970: logs of nodes carry that.
    #[serde(default)]
    pub wall_start_ns: Option<i64>,
    /// How long the clients were asked to work.
    pub time_limit_s: f64,
    /// Wall clock of the whole run, start and stop of the cluster included.
    pub seconds: f64,
    /// By how much a thread that only sleeps woke too late during the run. If that is much, the machine was overloaded, and figures of
    /// recovery and latency tell about the machine.
    #[serde(default)]
    pub lateness: Option<Lateness>,
    /// Successful operations per second while the clients worked.
    pub throughput: f64,
    /// What each checker said.
    pub checkers: BTreeMap<String, CheckerResult>,
    /// Per fault kind: how many were planned, applied, proven.
    pub faults: BTreeMap<String, FaultCount>,
    /// How long the service was away around each fault.
    pub recovery: Recovery,
    /// Per `f`, over operations that succeeded.
    pub latency: BTreeMap<String, LatencyQuantiles>,
    /// Per `f`.
    pub operations: BTreeMap<String, OperationCount>,
}

/// How late a thread woke that only slept.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Lateness {
    /// 99 of 100 times it was no later.
    pub p99_ms: f64,
    /// The latest.
    pub max_ms: f64,
}

impl Lateness {
    /// What figures of recovery are exact to.
    pub const EXACT_MS: f64 = 10.0;

    /// Whether figures of recovery and latency tell about the machine instead.
    pub fn is_overload(self) -> bool {
        self.p99_ms > Lateness::EXACT_MS
    }
}

/// One checker's word and whatever else it has to say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckerResult {
    /// Its verdict.
    pub verdict: Verdict,
    /// Its own keys. Reports know `failure` (a [`Failure`]), `violations` (a list whose entries hold a `sentence`)
    /// and `reason`; every other key is shown as it stands.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

/// How many faults of a kind went how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FaultCount {
    /// In the schedule and due within the run.
    pub planned: u64,
    /// The deed was done.
    pub applied: u64,
    /// A probe showed that it bites.
    pub proven: u64,
}

/// How many operations of a kind ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OperationCount {
    /// All that were sent.
    pub invoked: u64,
    /// They happened.
    pub ok: u64,
    /// They surely did not happen.
    pub fail: u64,
    /// They may have happened, including those that the end of the run cut off.
    pub info: u64,
}

/// Latency from the intended start of an operation to its success.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LatencyQuantiles {
    /// Half of them took no longer.
    pub p50_ms: f64,
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
    /// 999 of 1000 took no longer.
    pub p999_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// Outages over all faults, per kind, and one by one. See [`mod@crate::measure::recovery`] for the definition.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Recovery {
    /// Over the faults of every kind.
    #[serde(flatten)]
    pub all: OutageQuantiles,
    /// Per fault kind.
    pub by_fault: BTreeMap<String, OutageQuantiles>,
    /// Per fault, in the order in which they were applied.
    pub each: Vec<FaultRecovery>,
}

/// Quantiles of outages; `null` where there is nothing to measure.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct OutageQuantiles {
    /// How many faults were measured.
    pub count: u64,
    /// The median outage.
    pub p50_ms: Option<f64>,
    /// 99 of 100 outages were no longer.
    pub p99_ms: Option<f64>,
    /// The longest outage.
    pub max_ms: Option<f64>,
}

/// What one fault did to the service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultRecovery {
    /// The fault's number in the ledger.
    pub id: u64,
    /// Its kind.
    pub kind: String,
    /// Kind, shape and target in one piece.
    pub label: String,
    /// What exactly it did.
    pub detail: String,
    /// When it was in force, nanoseconds since the start of the run.
    pub applied_ns: u64,
    /// When it was taken back; absent when it stayed to the end.
    pub undone_ns: Option<u64>,
    /// Length of the longest stretch without a success that touches the fault.
    pub outage_ms: f64,
    /// Where that stretch begins, nanoseconds since the start of the run.
    pub outage_began_ns: u64,
    /// The success that ends it, or the end of the history.
    pub outage_ended_ns: u64,
    /// Whether a success ended it. Otherwise the outage is at least as long as stated.
    pub recovered: bool,
    /// From the undoing to the first success of an operation invoked after it; absent when there was none.
    pub after_heal_ms: Option<f64>,
    /// From the fault to the first new leader within the outage; absent when none was elected in it.
    pub new_leader_ms: Option<f64>,
}

impl Results {
    /// The violations of client histories, each with the name of the checker that found it.
    ///
    /// A `failure` that cannot be read is left out here and shown among the checker's other details.
    pub fn failures(&self) -> Vec<(&str, Failure)> {
        self.checkers.iter().filter_map(|(name, checker)| Some((name.as_str(), checker.failure()?))).collect()
    }
}

impl CheckerResult {
    /// The violation of a client history, if this checker found one.
    pub fn failure(&self) -> Option<Failure> {
        Failure::deserialize(self.details.get("failure")?).ok()
    }

    /// Sentences of the invariants that were broken, and the reason of a checker that gave up.
    pub fn sentences(&self) -> Vec<String> {
        let violations = self
            .details
            .get("violations")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(violation_sentence);
        let reason = self.details.get("reason").and_then(Value::as_str).map(str::to_owned);
        violations.chain(reason).collect()
    }
}

/// A violation is a sentence, or an object that holds one; anything else is shown as it stands, never dropped.
fn violation_sentence(violation: &Value) -> String {
    let sentence = violation.as_str().or_else(|| violation.get("sentence")?.as_str());
    let name = violation.get("name").and_then(Value::as_str);
    match (name, sentence) {
        (Some(name), Some(sentence)) => format!("{name}: {sentence}"),
        (None, Some(sentence)) => sentence.to_owned(),
        (_, None) => violation.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_checker_speaks_through_its_failure_its_violations_and_its_reason() {
        let checker: CheckerResult = serde_json::from_value(json!({
            "verdict": "invalid",
            "failure": {"key": "x", "anomaly": "stale read", "sentence": "s", "operations": []},
            "violations": [{"name": "one leader", "sentence": "two in term 3"}, "bare", {"odd": 1}],
            "reason": "out of time",
        }))
        .expect("a checker's result");
        assert_eq!(checker.failure().expect("a failure").anomaly, "stale read");
        assert_eq!(checker.sentences(), ["one leader: two in term 3", "bare", r#"{"odd":1}"#, "out of time"]);
    }

    #[test]
    fn recovery_keeps_its_quantiles_at_its_own_level() {
        let json = serde_json::to_value(Recovery::default()).expect("plain data");
        assert_eq!(
            json,
            json!({"count": 0, "p50_ms": null, "p99_ms": null, "max_ms": null, "by_fault": {}, "each": []})
        );
    }
}
