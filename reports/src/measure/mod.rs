//! The figures of a run, from its history, its fault spans and its leader changes. Pure: data in, numbers out.
//!
//! Reading order: `operation.rs` pairs events, the others measure operations.

mod count;
mod latency;
mod operation;
mod point;
pub mod recovery;
mod slice;
mod window;

use std::collections::BTreeMap;

use rafture_checker::history::Event;

pub use count::{fault_counts, operation_counts};
pub use latency::latency_by_f;
pub use operation::{Operation, Outcome, operations};
pub use point::{Point, points, slowest};
pub use recovery::recovery;
pub use slice::{LatencySlice, Slices, latency_slices, slices};
pub use window::{WINDOWS_MAX, Window, WindowQuantiles, throughput, windows};

use crate::fault::{FaultSpan, LeaderChange};
use crate::results::{FaultCount, LatencyQuantiles, OperationCount, Recovery};

/// Everything in `results.json` that is measured rather than judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Measures {
    /// Successful operations per second, from the first invocation to the last event.
    pub throughput: f64,
    /// Per fault kind.
    pub faults: BTreeMap<String, FaultCount>,
    /// Outages.
    pub recovery: Recovery,
    /// Per `f`, over operations that succeeded; an `f` that never did is absent.
    pub latency: BTreeMap<String, LatencyQuantiles>,
    /// Per `f`.
    pub operations: BTreeMap<String, OperationCount>,
}

/// Measures a run.
pub fn measure(history: &[Event], faults: &[FaultSpan], leaders: &[LeaderChange]) -> Measures {
    let operations = operations(history);
    Measures {
        throughput: throughput(&operations),
        faults: fault_counts(faults),
        recovery: recovery(&operations, faults, leaders, end_ns(history)),
        latency: latency_by_f(&operations),
        operations: operation_counts(&operations),
    }
}

/// The time of the last event of a client: what comes after it is not observed.
pub fn end_ns(history: &[Event]) -> u64 {
    history.iter().filter(|event| operation::is_client(event)).map(|event| event.time).max().unwrap_or(0)
}
