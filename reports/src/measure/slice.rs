//! The run cut into many short slices: what was answered in each, by whom, and how fast.
//!
//! Finer than windows, which are for reading figures: slices are for a page that zooms. Counts of neighbours can be added up to
//! any coarser picture, quantiles cannot, so latency has slices of its own that are not merged.

use std::collections::BTreeMap;

use rafture_checker::history::Event;

use super::{Operation, Outcome};

/// Steps of a length, to which powers of ten are added: what a reader can count in.
const STEPS: [u64; 3] = [1, 2, 5];

/// Nothing is cut finer: clients need about so long for an operation.
const SHORTEST_NS: u64 = 1_000_000;

/// How operations ended, slice by slice, by the time at which their outcome was known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Slices {
    /// Length of each.
    pub length_ns: u64,
    /// Successes.
    pub ok: Vec<u32>,
    /// Failures.
    pub fail: Vec<u32>,
    /// Unknown outcomes.
    pub info: Vec<u32>,
    /// Successes that this node answered.
    pub served: BTreeMap<String, Vec<u32>>,
}

/// Latency of the successes of one `f` that were invoked in a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatencySlice {
    /// The slice's number.
    pub slice: usize,
    /// How many there were.
    pub count: u32,
    /// The fastest.
    pub min_ns: u64,
    /// Half took no longer.
    pub p50_ns: u64,
    /// 99 of 100 took no longer.
    pub p99_ns: u64,
    /// The slowest.
    pub max_ns: u64,
}

/// The slices from 0 to `end_ns`, at most `count_max`.
pub fn slices(history: &[Event], operations: &[Operation<'_>], end_ns: u64, count_max: u64) -> Slices {
    let length_ns = length_ns(end_ns, count_max);
    let count = (end_ns / length_ns + 1) as usize;
    let none = || vec![0; count];
    let mut slices = Slices { length_ns, ok: none(), fail: none(), info: none(), served: BTreeMap::new() };
    let mut served = BTreeMap::<&str, Vec<u32>>::new();
    for operation in operations {
        let Some(completed_ns) = operation.completed_ns else {
            continue;
        };
        let place = ((completed_ns / length_ns) as usize).min(count - 1);
        match operation.outcome {
            Outcome::Ok => slices.ok[place] += 1,
            Outcome::Fail => slices.fail[place] += 1,
            Outcome::Info => slices.info[place] += 1,
        }
        let answer = operation.completion.filter(|_| operation.outcome == Outcome::Ok);
        if let Some(node) = answer.and_then(|answer| history.get(answer)?.node.as_deref()) {
            served.entry(node).or_insert_with(none)[place] += 1;
        }
    }
    slices.served = served.into_iter().map(|(node, counts)| (node.to_owned(), counts)).collect();
    slices
}

/// Latency per `f` over slices of the returned length; at most `count_max`, and those without a success are left out.
pub fn latency_slices<'a>(
    operations: &[Operation<'a>],
    end_ns: u64,
    count_max: u64,
) -> (u64, BTreeMap<&'a str, Vec<LatencySlice>>) {
    let length_ns = length_ns(end_ns, count_max);
    let mut by_f = BTreeMap::<&str, BTreeMap<usize, Vec<u64>>>::new();
    for operation in operations.iter().filter(|operation| operation.outcome == Outcome::Ok) {
        let Some(latency_ns) = operation.latency_ns() else {
            continue;
        };
        let slice = (operation.invoked_ns / length_ns) as usize;
        by_f.entry(operation.f).or_default().entry(slice).or_default().push(latency_ns);
    }
    let of_f = |latencies: BTreeMap<usize, Vec<u64>>| {
        latencies.into_iter().map(|(slice, latencies)| latency_slice(slice, latencies)).collect()
    };
    (length_ns, by_f.into_iter().map(|(f, latencies)| (f, of_f(latencies))).collect())
}

fn latency_slice(slice: usize, mut latencies: Vec<u64>) -> LatencySlice {
    latencies.sort_unstable();
    let count = latencies.len();
    let at = |part: f64| latencies[((part * count as f64).ceil() as usize).clamp(1, count) - 1];
    LatencySlice {
        slice,
        count: count as u32,
        min_ns: at(0.0),
        p50_ns: at(0.5),
        p99_ns: at(0.99),
        max_ns: at(1.0),
    }
}

/// The shortest round length of which `count_max` reach from 0 to `end_ns`.
fn length_ns(end_ns: u64, count_max: u64) -> u64 {
    let mut power = SHORTEST_NS;
    loop {
        if let Some(length) = STEPS.iter().map(|step| step * power).find(|length| end_ns / length < count_max)
        {
            return length;
        }
        power *= 10;
    }
}

#[cfg(test)]
mod tests {
    use rafture_checker::history::EventKind;

    use super::*;
    use crate::measure::operations;
    use crate::sample::event;

    const MS: u64 = 1_000_000;

    #[test]
    fn lengths_are_round_and_few_enough() {
        let lengths = [0, 999, 30_000, 3_600_000].map(|end_ms| length_ns(end_ms * MS, 1_000) / MS);
        assert_eq!(lengths, [1, 1, 50, 5_000]);
    }

    /// Whoever answers serves, not whoever was asked; what failed served nobody.
    #[test]
    fn a_node_serves_by_answering() {
        let at = |time_ms: u64, process, kind, node: &'static str| {
            let event = event(time_ms * MS, process, kind, "read");
            rafture_checker::history::Event { node: Some(node.into()), ..event }
        };
        let history = [
            at(0, 1, EventKind::Invoke, "n1"),
            at(3, 1, EventKind::Ok, "n2"),
            at(4, 2, EventKind::Invoke, "n1"),
            at(5, 2, EventKind::Fail, "n1"),
            at(6, 3, EventKind::Invoke, "n3"),
        ];
        let slices = slices(&history, &operations(&history), 5 * MS, 10);
        assert_eq!(slices.length_ns, MS);
        assert_eq!((&slices.ok[..], &slices.fail[..]), (&[0, 0, 0, 1, 0, 0][..], &[0, 0, 0, 0, 0, 1][..]));
        assert_eq!(slices.served, [("n2".to_owned(), vec![0, 0, 0, 1, 0, 0])].into());
    }

    /// Latencies of 1 to 100 ms, all invoked in the first slice.
    #[test]
    fn quantiles_of_a_slice_are_exact() {
        let history: Vec<_> = (1..=100)
            .flat_map(|ms| {
                [event(0, ms, EventKind::Invoke, "read"), event(ms * MS, ms, EventKind::Ok, "read")]
            })
            .collect();
        let (_, by_f) = latency_slices(&operations(&history), 100 * MS, 10);
        let slice = by_f["read"][0];
        let told = [slice.min_ns, slice.p50_ns, slice.p99_ns, slice.max_ns].map(|ns| ns / MS);
        assert_eq!((told, slice.count, by_f["read"].len()), ([1, 50, 99, 100], 100, 1));
    }
}
