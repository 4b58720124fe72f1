//! Latency quantiles per window of the run, as lines that break where nothing succeeded.

use super::bands::Bands;
use super::frame::{Frame, Heading, Mark, Values};
use super::palette::{BLUE, Color, ORANGE, QUIET, VERMILION};
use super::scene::Scene;
use crate::measure::{Window, WindowQuantiles};

const HEIGHT: f64 = 230.0;

type Quantile = (&'static str, Color, f64, fn(&WindowQuantiles) -> f64);

const QUANTILES: [Quantile; 4] = [
    ("max", QUIET, 1.0, |quantiles| quantiles.max_ms),
    ("p99", VERMILION, 1.5, |quantiles| quantiles.p99_ms),
    ("p95", ORANGE, 1.5, |quantiles| quantiles.p95_ms),
    ("p50", BLUE, 2.0, |quantiles| quantiles.p50_ms),
];

pub(super) fn scene(windows: &[Window], bands: &Bands) -> Scene {
    let heading = Heading {
        title: "Latency quantiles",
        unit: "ms",
        legend: QUANTILES
            .iter()
            .rev()
            .map(|&(name, color, ..)| (name.to_owned(), Mark::Line, color))
            .collect(),
    };
    let mut frame = Frame::new(&heading, extent(windows), bands, HEIGHT);
    for (_, color, width, quantile) in QUANTILES {
        for stretch in windows.chunk_by(|left, right| left.latency.is_some() == right.latency.is_some()) {
            let points: Vec<(f64, f64)> = stretch
                .iter()
                .filter_map(|window| {
                    let middle_ns = window.from_ns + window.length_ns / 2;
                    let value_ms = quantile(&window.latency?);
                    Some((frame.time.place(middle_ns as f64), frame.value.place(value_ms)))
                })
                .collect();
            // A window between two silent ones is a point, not a line.
            match points[..] {
                [] => {}
                [(x, y)] => frame.scene.disc(x, y, width, color),
                _ => frame.scene.line(points, width, color),
            }
        }
    }
    frame.finish()
}

fn extent(windows: &[Window]) -> Values {
    let quantiles = || windows.iter().filter_map(|window| window.latency);
    let min_ms = quantiles().map(|quantiles| quantiles.p50_ms).fold(f64::INFINITY, f64::min);
    let max_ms = quantiles().map(|quantiles| quantiles.max_ms).fold(0.0, f64::max);
    if min_ms > max_ms {
        return Values::Logarithmic(0.1, 100.0);
    }
    Values::Logarithmic(min_ms, max_ms)
}
