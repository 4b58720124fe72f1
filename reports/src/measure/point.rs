//! Few operations that stand for all of them in a plot of latency over time, the outliers among them.
//!
//! The one idea: operations that fall into one cell of a grid over time and latency are one point to the eye, so the slowest of
//! them stands for all. The grid grows coarser until the rest fits. What a reader looks for never goes by that: the slowest
//! operations of the whole run are all kept.

use std::collections::HashMap;

use super::Operation;

/// The grid at first: columns over the run, and rows for each doubling of latency.
const COLUMNS: f64 = 1_600.0;
const ROWS_PER_DOUBLING: f64 = 40.0;

const COARSEST: f64 = 1e6;

/// An operation that is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Its number among the operations.
    pub operation: usize,
    /// How many it stands for, itself included.
    pub count: u32,
}

/// At most `budget` points beside those of `kept` (numbers of operations), in order of invocation.
pub fn points(operations: &[Operation<'_>], end_ns: u64, budget: usize, kept: &[usize]) -> Vec<Point> {
    let completed = |(at, operation): (usize, &Operation<'_>)| {
        operation.latency_ns().map(|_| Point { operation: at, count: 1 })
    };
    let mut points: Vec<Point> = operations.iter().enumerate().filter_map(completed).collect();
    let mut coarseness = 1.0;
    // One cell for all of a kind is as coarse as it gets.
    while points.len() > budget && coarseness < COARSEST {
        points = slowest_per_cell(points, operations, end_ns, coarseness);
        coarseness *= 1.2;
    }
    let drawn: std::collections::HashSet<usize> = points.iter().map(|point| point.operation).collect();
    let missing = kept.iter().filter(|at| !drawn.contains(at) && operations[**at].completed_ns.is_some());
    points.extend(missing.map(|&operation| Point { operation, count: 1 }));
    // In an open loop, an operation that waited for a client stands behind others that were to begin later.
    points.sort_unstable_by_key(|point| (operations[point.operation].invoked_ns, point.operation));
    points
}

fn slowest_per_cell(
    points: Vec<Point>,
    operations: &[Operation<'_>],
    end_ns: u64,
    coarseness: f64,
) -> Vec<Point> {
    let column_ns = end_ns.max(1) as f64 / COLUMNS * coarseness;
    let rows = ROWS_PER_DOUBLING / coarseness;
    let mut place_of_cell = HashMap::with_capacity(points.len().min(1 << 16));
    let mut slowest = Vec::<Point>::new();
    for point in points {
        let operation = &operations[point.operation];
        let latency_ns = operation.latency_ns().unwrap_or(0).max(1);
        let row = ((latency_ns as f64).log2() * rows) as u32;
        let cell = ((operation.invoked_ns as f64 / column_ns) as u32, row, operation.outcome, operation.f);
        let place = *place_of_cell.entry(cell).or_insert(slowest.len());
        match slowest.get_mut(place) {
            Some(other) => {
                let is_slower = operations[other.operation].latency_ns() < operation.latency_ns();
                let count = other.count + point.count;
                *other = Point { operation: if is_slower { point } else { *other }.operation, count };
            }
            None => slowest.push(point),
        }
    }
    slowest
}

/// Numbers of the `count` operations that took longest to an outcome, the slowest first.
pub fn slowest(operations: &[Operation<'_>], count: usize) -> Vec<usize> {
    let mut all: Vec<(u64, usize)> = operations
        .iter()
        .enumerate()
        .filter_map(|(at, operation)| Some((operation.latency_ns()?, at)))
        .collect();
    // Of equals the first, also at the edge.
    let order = |left: &(u64, usize), right: &(u64, usize)| right.0.cmp(&left.0).then(left.1.cmp(&right.1));
    if count < all.len() {
        all.select_nth_unstable_by(count, order);
        all.truncate(count);
    }
    all.sort_unstable_by(order);
    all.into_iter().map(|(_, at)| at).collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::measure::Outcome;

    const END_NS: u64 = 30_000_000_000;

    fn operations(count: usize, random: &mut ChaCha8Rng) -> Vec<Operation<'static>> {
        // In no order, as those of an open loop that were to begin before they did.
        (0..count)
            .map(|_| {
                let invoked_ns = random.random_range(0..END_NS);
                Operation {
                    f: ["read", "write"][random.random_range(0..2)],
                    invoked_ns,
                    completed_ns: Some(invoked_ns + 200_000 + random.random_range(0..5_000_000)),
                    outcome: Outcome::Ok,
                    invocation: 0,
                    completion: None,
                }
            })
            .collect()
    }

    /// Sorting everything is the obvious way to the slowest.
    #[test]
    fn points_keep_to_their_budget_count_everything_and_lose_no_outlier() {
        for seed in 0..3 {
            let operations = operations(60_000, &mut ChaCha8Rng::seed_from_u64(seed));
            let mut sorted: Vec<usize> = (0..operations.len()).collect();
            sorted.sort_by_key(|&at| (std::cmp::Reverse(operations[at].latency_ns()), at));
            let slowest = slowest(&operations, 50);
            assert_eq!(slowest, sorted[..50], "seed {seed}");
            let points = points(&operations, END_NS, 2_000, &slowest);
            assert!((1_000..=2_050).contains(&points.len()), "seed {seed}: {} points", points.len());
            let drawn: Vec<usize> = points.iter().map(|point| point.operation).collect();
            assert!(slowest.iter().all(|at| drawn.contains(at)), "seed {seed}");
            assert!(drawn.is_sorted_by_key(|at| operations[*at].invoked_ns), "seed {seed}");
            let counted: u32 = points.iter().map(|point| point.count).sum();
            assert!(counted as usize >= operations.len(), "seed {seed}: {counted}");
        }
    }

    #[test]
    fn few_operations_are_all_drawn() {
        let operations = operations(100, &mut ChaCha8Rng::seed_from_u64(1));
        let points = points(&operations, END_NS, 2_000, &[]);
        assert_eq!(points.len(), 100);
        assert!(points.iter().all(|point| point.count == 1));
        assert_eq!(slowest(&operations, 500).len(), 100);
    }
}
