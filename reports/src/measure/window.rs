//! The run cut into windows of equal length: throughput and latency over time.

use super::latency::Latencies;
use super::{Operation, Outcome};

const NS_PER_S: f64 = 1e9;

/// At most so many windows in a plot, so that each is wide enough to see.
pub const WINDOWS_MAX: u64 = 120;

/// Window lengths to choose from: steps that a reader can count in.
const LENGTHS_MS: [u64; 12] =
    [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000, 3_600_000];

/// What happened in one window.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Where it begins, nanoseconds since the start of the run.
    pub from_ns: u64,
    /// Its length.
    pub length_ns: u64,
    /// Successes recorded in it.
    pub ok: u64,
    /// Failures recorded in it.
    pub fail: u64,
    /// Unknown outcomes recorded in it.
    pub info: u64,
    /// Latency of the successes that were invoked in it; `None` when there were none.
    pub latency: Option<WindowQuantiles>,
}

/// Latency within a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WindowQuantiles {
    /// Half took no longer.
    pub p50_ms: f64,
    /// 95 of 100 took no longer.
    pub p95_ms: f64,
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

impl Window {
    /// `count` of this window as a rate.
    pub fn per_second(&self, count: u64) -> f64 {
        count as f64 * NS_PER_S / self.length_ns as f64
    }
}

/// Successful operations per second, from the first invocation to the last completion.
pub fn throughput(operations: &[Operation<'_>]) -> f64 {
    let first_ns = operations.iter().map(|operation| operation.invoked_ns).min();
    let last_ns = operations.iter().filter_map(|operation| operation.completed_ns).max();
    let (Some(first_ns), Some(last_ns)) = (first_ns, last_ns) else {
        return 0.0;
    };
    let ok = operations.iter().filter(|operation| operation.outcome == Outcome::Ok).count();
    ok as f64 * NS_PER_S / last_ns.saturating_sub(first_ns).max(1) as f64
}

/// The windows from 0 to `end_ns`, about `count_max` at most, of a length that readers can count in.
pub fn windows(operations: &[Operation<'_>], end_ns: u64, count_max: u64) -> Vec<Window> {
    let length_ns = window_length_ns(end_ns, count_max);
    let count = (end_ns / length_ns + 1) as usize;
    let mut windows: Vec<Window> = (0..count as u64)
        .map(|number| Window {
            from_ns: number * length_ns,
            length_ns,
            ok: 0,
            fail: 0,
            info: 0,
            latency: None,
        })
        .collect();
    let mut latencies = vec![None::<Latencies>; count];
    let place = |time_ns: u64| ((time_ns / length_ns) as usize).min(count - 1);
    for operation in operations {
        let Some(completed_ns) = operation.completed_ns else {
            continue;
        };
        let window = &mut windows[place(completed_ns)];
        match operation.outcome {
            Outcome::Ok => {
                window.ok += 1;
                let latency_ns = completed_ns.saturating_sub(operation.invoked_ns);
                latencies[place(operation.invoked_ns)].get_or_insert_default().record(latency_ns);
            }
            Outcome::Fail => window.fail += 1,
            Outcome::Info => window.info += 1,
        }
    }
    for (window, latencies) in windows.iter_mut().zip(&latencies) {
        window.latency = latencies.as_ref().map(quantiles);
    }
    windows
}

fn window_length_ns(end_ns: u64, count_max: u64) -> u64 {
    let enough = |length_ms: &&u64| end_ns / (**length_ms * 1_000_000) < count_max;
    let longest = LENGTHS_MS[LENGTHS_MS.len() - 1];
    let length_ms = *LENGTHS_MS.iter().find(enough).unwrap_or(&longest);
    length_ms * 1_000_000
}

fn quantiles(latencies: &Latencies) -> WindowQuantiles {
    WindowQuantiles {
        p50_ms: latencies.quantile_ms(0.5),
        p95_ms: latencies.quantile_ms(0.95),
        p99_ms: latencies.quantile_ms(0.99),
        max_ms: latencies.max_ms(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(invoked_ms: u64, completed_ms: u64, outcome: Outcome) -> Operation<'static> {
        Operation {
            f: "read",
            invoked_ns: invoked_ms * 1_000_000,
            completed_ns: Some(completed_ms * 1_000_000),
            outcome,
            invocation: 0,
            completion: None,
        }
    }

    /// A ten-second run has windows of 100 ms; the slow read counts where it ended, its latency where it began.
    #[test]
    fn completions_count_where_they_end_and_latency_where_it_began() {
        let operations = [
            operation(10, 20, Outcome::Ok),
            operation(30, 150, Outcome::Ok),
            operation(110, 120, Outcome::Info),
        ];
        let windows = windows(&operations, 10_000_000_000, WINDOWS_MAX);
        assert_eq!((windows[0].ok, windows[1].ok, windows[1].info), (1, 1, 1));
        assert_eq!(windows[0].latency.expect("two reads began in it").max_ms, 120.0);
        assert_eq!(windows[1].latency, None);
        assert_eq!(windows[0].per_second(windows[0].ok), 10.0);
    }

    #[test]
    fn throughput_counts_from_the_first_invocation() {
        let operations = [operation(1_000, 1_500, Outcome::Ok), operation(1_500, 3_000, Outcome::Ok)];
        assert_eq!(throughput(&operations), 1.0);
        assert_eq!(throughput(&[]), 0.0);
    }
}
