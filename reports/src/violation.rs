//! Where a violation stands on the time axis of a run, for those who show what is around it.

use rafture_checker::verdict::Verdict;
use serde_json::Value;

use crate::results::{CheckerResult, Results};

/// The checker that says which nodes ended by themselves.
const CRASHES: &str = "crashes";

/// The stretch of a violation. Times are nanoseconds since the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ViolationSpan {
    /// The beginning of the first operation of the evidence, or the first line of a trace that is involved.
    pub(crate) from_ns: i64,
    /// The end of the last.
    pub(crate) until_ns: i64,
    /// When it was there to be seen: the end of the operation that no order explains.
    pub(crate) moment_ns: i64,
}

/// The first violation that tells its time: of a history, else of the nodes' traces.
pub(crate) fn span(results: &Results) -> Option<ViolationSpan> {
    of_history(results).or_else(|| of_traces(results))
}

/// The nodes that ended by themselves.
pub(crate) fn crashed_nodes(results: &Results) -> Vec<String> {
    let crashes = results.checkers.get(CRASHES).filter(|checker| checker.verdict == Verdict::Invalid);
    let sentences = crashes.map(CheckerResult::sentences).unwrap_or_default();
    // Each begins with the node's name.
    sentences.iter().filter_map(|sentence| sentence.split_whitespace().next()).map(str::to_owned).collect()
}

fn of_history(results: &Results) -> Option<ViolationSpan> {
    let failures = results.failures();
    let (_, failure) = failures.first()?;
    let operations = &failure.operations;
    let culprit = operations.iter().find(|operation| operation.culprit).or(operations.last())?;
    let ends = operations.iter().map(|operation| operation.completed_ns.unwrap_or(operation.invoked_ns));
    Some(ViolationSpan {
        from_ns: operations.iter().map(|operation| operation.invoked_ns).min()?.cast_signed(),
        until_ns: ends.max()?.cast_signed(),
        moment_ns: culprit.completed_ns.unwrap_or(culprit.invoked_ns).cast_signed(),
    })
}

/// Traces carry the machine's clock.
fn of_traces(results: &Results) -> Option<ViolationSpan> {
    let lists = results.checkers.values().filter_map(|checker| checker.details.get("violations")?.as_array());
    let times = lists.flatten().find_map(|violation| violation.get("times_ns")?.as_array());
    let since = |time: &Value| Some(time.as_u64()?.cast_signed() - results.clock_start_ns.cast_signed());
    let times: Vec<i64> = times?.iter().filter_map(since).collect();
    let (from_ns, until_ns) = (*times.iter().min()?, *times.iter().max()?);
    Some(ViolationSpan { from_ns, until_ns, moment_ns: until_ns })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sample;

    const MS: i64 = 1_000_000;

    fn with_checker(name: &str, checker: Value) -> Results {
        let checker = serde_json::from_value(checker).expect("a checker's result");
        Results { clock_start_ns: 500, checkers: [(name.to_owned(), checker)].into(), ..sample::results() }
    }

    #[test]
    fn a_violation_stands_where_its_evidence_stands() {
        let span = span(&sample::invalid_results()).expect("a failure");
        assert_eq!((span.from_ns, span.until_ns, span.moment_ns), (2_000 * MS, 2_030 * MS, 2_030 * MS));
    }

    #[test]
    fn one_of_the_nodes_stands_where_their_traces_say() {
        let violation = json!({"name": "one leader", "sentence": "two in term 3", "times_ns": [900, 800]});
        let results =
            with_checker("raft-invariants", json!({"verdict": "invalid", "violations": [violation]}));
        assert_eq!(span(&results), Some(ViolationSpan { from_ns: 300, until_ns: 400, moment_ns: 400 }));
    }

    #[test]
    fn a_crash_names_its_node_and_no_moment() {
        let sentence = "n3 ended by itself with exit status 1: out of memory";
        let results = with_checker("crashes", json!({"verdict": "invalid", "violations": [sentence]}));
        assert_eq!((span(&results), crashed_nodes(&results)), (None, vec!["n3".to_owned()]));
        assert_eq!(crashed_nodes(&sample::results()), Vec::<String>::new());
    }
}
