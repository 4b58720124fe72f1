//! Counts: operations per `f`, faults per kind.

use std::collections::BTreeMap;

use super::{Operation, Outcome};
use crate::fault::FaultSpan;
use crate::results::{FaultCount, OperationCount};

/// How many operations of each `f` ended how.
pub fn operation_counts(operations: &[Operation<'_>]) -> BTreeMap<String, OperationCount> {
    let mut counts = BTreeMap::<&str, OperationCount>::new();
    for operation in operations {
        let count = counts.entry(operation.f).or_default();
        count.invoked += 1;
        match operation.outcome {
            Outcome::Ok => count.ok += 1,
            Outcome::Fail => count.fail += 1,
            Outcome::Info => count.info += 1,
        }
    }
    counts.into_iter().map(|(f, count)| (f.to_owned(), count)).collect()
}

/// How many faults of each kind went how far.
pub fn fault_counts(faults: &[FaultSpan]) -> BTreeMap<String, FaultCount> {
    let mut counts = BTreeMap::<String, FaultCount>::new();
    for fault in faults {
        let count = counts.entry(fault.kind.clone()).or_default();
        count.planned += 1;
        count.applied += u64::from(fault.applied_ns.is_some());
        count.proven += u64::from(fault.proven());
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_counts_as_far_as_it_went() {
        let span = |applied_ns, proven_ns| FaultSpan {
            kind: "kill".into(),
            applied_ns,
            proven_ns,
            ..FaultSpan::default()
        };
        let faults = [span(None, None), span(Some(1), None), span(Some(1), Some(2))];
        let expected = FaultCount { planned: 3, applied: 2, proven: 1 };
        assert_eq!(fault_counts(&faults), BTreeMap::from([("kill".to_owned(), expected)]));
    }
}
