//! Latency of each operation over time: a point per operation, by colour what it was, by shape what became of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::bands::Bands;
use super::frame::{Frame, Heading, Mark, Values};
use super::palette::{self, Color, QUIET};
use super::scene::Scene;
use crate::measure::{Operation, Outcome};

const HEIGHT: f64 = 330.0;

/// From the back to the front, each with the most points that are drawn of it: together below a megabyte of SVG.
/// A failure is usually a mismatch and ordinary; an unknown outcome is what a reader looks for.
const LAYERS: [(Outcome, Mark, usize); 3] = [
    (Outcome::Fail, Mark::Cross, 1_000),
    (Outcome::Ok, Mark::Disc, 6_500),
    (Outcome::Info, Mark::Ring, 1_000),
];

/// A point in logical pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    x: f64,
    y: f64,
    color: Color,
}

pub(super) fn scene(operations: &[Operation<'_>], bands: &Bands) -> Scene {
    let colors = colors(operations);
    let heading = Heading { title: "Latency", unit: "ms", legend: legend(operations, &colors) };
    let mut frame = Frame::new(&heading, extent(operations), bands, HEIGHT);
    for (outcome, mark, budget) in LAYERS {
        let points = operations
            .iter()
            .filter(|operation| operation.outcome == outcome)
            .filter_map(|operation| {
                Some(Point {
                    x: frame.time.place(operation.invoked_ns as f64),
                    y: frame.value.place(operation.latency_ns()? as f64 / 1e6),
                    color: colors[operation.f],
                })
            })
            .collect();
        for point in thin(points, budget) {
            paint(&mut frame.scene, point, mark);
        }
    }
    frame.finish()
}

fn paint(scene: &mut Scene, point: Point, mark: Mark) {
    match mark {
        Mark::Cross => scene.cross(point.x, point.y, 1.8, point.color.faint(0.6)),
        Mark::Ring => scene.ring(point.x, point.y, 3.0, point.color),
        Mark::Disc | Mark::Line | Mark::Square => {
            scene.disc(point.x, point.y, 1.5, point.color.faint(0.55));
        }
    }
}

fn colors<'a>(operations: &[Operation<'a>]) -> BTreeMap<&'a str, Color> {
    let names: BTreeSet<&str> = operations.iter().map(|operation| operation.f).collect();
    let names = names.into_iter().enumerate();
    names.map(|(place, f)| (f, palette::operation_color(f, place))).collect()
}

fn legend(operations: &[Operation<'_>], colors: &BTreeMap<&str, Color>) -> Vec<(String, Mark, Color)> {
    let seen = |outcome| operations.iter().any(|operation| operation.outcome == outcome);
    let mut legend: Vec<_> = colors.iter().map(|(f, color)| ((*f).to_owned(), Mark::Disc, *color)).collect();
    for (outcome, words, mark) in
        [(Outcome::Fail, "failed", Mark::Cross), (Outcome::Info, "outcome unknown", Mark::Ring)]
    {
        if seen(outcome) {
            legend.push((words.to_owned(), mark, QUIET));
        }
    }
    legend
}

fn extent(operations: &[Operation<'_>]) -> Values {
    let latencies_ns = operations.iter().filter_map(Operation::latency_ns);
    let (min_ns, max_ns) = latencies_ns.fold((u64::MAX, 0), |(min, max), ns| (min.min(ns), max.max(ns)));
    if min_ns > max_ns {
        return Values::Logarithmic(0.1, 100.0);
    }
    Values::Logarithmic(min_ns as f64 / 1e6, max_ns as f64 / 1e6)
}

/// At most about `budget` points that look like all of them.
///
/// Points that fall into one cell of a grid and have one colour are one point: the slowest. The grid starts at what the eye
/// tells apart and grows until the rest fits. No extreme is lost, for the highest point of a column is alone in being so.
fn thin(points: Vec<Point>, budget: usize) -> Vec<Point> {
    let mut cell_px = 1.0;
    let mut points = points;
    loop {
        points = slowest_per_cell(points, cell_px);
        if points.len() <= budget {
            return points;
        }
        cell_px *= 1.25;
    }
}

fn slowest_per_cell(points: Vec<Point>, cell_px: f64) -> Vec<Point> {
    let mut place_of_cell = HashMap::with_capacity(points.len().min(1 << 16));
    let mut kept = Vec::<Point>::new();
    for point in points {
        let Color(red, green, blue) = point.color;
        let cell = ((point.x / cell_px) as i32, (point.y / cell_px) as i32, [red, green, blue]);
        let place = *place_of_cell.entry(cell).or_insert(kept.len());
        match kept.get_mut(place) {
            Some(other) if point.y < other.y => *other = point,
            Some(_) => {}
            None => kept.push(point),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn thinning_keeps_to_its_budget_and_loses_no_extreme() {
        for seed in 0..5 {
            let points = random_points(&mut ChaCha8Rng::seed_from_u64(seed));
            let slowest = |points: &[Point]| points.iter().map(|point| point.y).fold(f64::MAX, f64::min);
            let thinned = thin(points.clone(), 1_000);
            assert!((500..=1_000).contains(&thinned.len()), "seed {seed}: {}", thinned.len());
            assert_eq!(slowest(&thinned), slowest(&points), "seed {seed}");
        }
    }

    fn random_points(random: &mut ChaCha8Rng) -> Vec<Point> {
        let colors = [palette::BLUE, palette::GREEN];
        (0..50_000)
            .map(|_| Point {
                x: random.random_range(0.0..900.0),
                y: random.random_range(100.0..300.0),
                color: colors[random.random_range(0..2)],
            })
            .collect()
    }
}
