//! Latency quantiles over the operations that succeeded.
//!
//! Latency counts from the invocation, which in open loop is the intended start, so that a stall shows in every
//! operation that had to wait for it. Operations of unknown outcome are not in it: they have no latency, and
//! their number stands in the operation counts.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::Operation;
use crate::results::LatencyQuantiles;

const NS_PER_MS: f64 = 1e6;

/// Quantiles per `f`, to three significant digits; the maximum is exact.
pub fn latency_by_f(operations: &[Operation<'_>]) -> BTreeMap<String, LatencyQuantiles> {
    let mut histograms = BTreeMap::<&str, Latencies>::new();
    for operation in operations {
        if operation.succeeded_ns().is_some() {
            let latency_ns = operation.latency_ns().unwrap_or(0);
            histograms.entry(operation.f).or_default().record(latency_ns);
        }
    }
    histograms.into_iter().map(|(f, latencies)| (f.to_owned(), latencies.quantiles())).collect()
}

/// A histogram of latencies that keeps its exact maximum.
#[derive(Clone)]
pub(super) struct Latencies {
    histogram: Histogram<u64>,
    max_ns: u64,
}

impl Default for Latencies {
    fn default() -> Latencies {
        let histogram = Histogram::new(3).expect("three significant digits are allowed");
        Latencies { histogram, max_ns: 0 }
    }
}

impl Latencies {
    pub(super) fn record(&mut self, latency_ns: u64) {
        let recorded = self.histogram.record(latency_ns);
        recorded.expect("a histogram that resizes itself takes every value");
        self.max_ns = self.max_ns.max(latency_ns);
    }

    pub(super) fn quantile_ms(&self, quantile: f64) -> f64 {
        let upper_ns = self.histogram.value_at_quantile(quantile);
        upper_ns.min(self.max_ns) as f64 / NS_PER_MS
    }

    pub(super) fn max_ms(&self) -> f64 {
        self.max_ns as f64 / NS_PER_MS
    }

    fn quantiles(&self) -> LatencyQuantiles {
        LatencyQuantiles {
            p50_ms: self.quantile_ms(0.5),
            p99_ms: self.quantile_ms(0.99),
            p999_ms: self.quantile_ms(0.999),
            max_ms: self.max_ms(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Outcome;

    /// Latencies of 1 to 1000 ms once each: every quantile is known.
    #[test]
    fn quantiles_are_right_to_three_digits() {
        let operations: Vec<_> = (1..=1000)
            .map(|ms| Operation {
                f: "read",
                invoked_ns: 5,
                completed_ns: Some(5 + ms * 1_000_000),
                outcome: Outcome::Ok,
                invocation: 0,
                completion: None,
            })
            .collect();
        let read = latency_by_f(&operations)["read"];
        for (actual, expected) in
            [(read.p50_ms, 500.0), (read.p99_ms, 990.0), (read.p999_ms, 999.0), (read.max_ms, 1000.0)]
        {
            assert!((actual - expected).abs() <= expected / 1000.0, "{actual} is not {expected}");
        }
    }

    #[test]
    fn what_did_not_succeed_has_no_latency() {
        let failed = Operation {
            f: "cas",
            invoked_ns: 0,
            completed_ns: Some(9),
            outcome: Outcome::Fail,
            invocation: 0,
            completion: None,
        };
        assert_eq!(latency_by_f(&[failed]), BTreeMap::new());
    }
}
