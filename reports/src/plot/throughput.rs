//! Completions per second over time, stacked by outcome.

use super::bands::Bands;
use super::frame::{Frame, Heading, Mark, Values};
use super::palette::{BLUE, Color, ORANGE, PURPLE};
use super::scene::Scene;
use crate::measure::Window;

const HEIGHT: f64 = 190.0;

type Layer = (&'static str, Color, fn(&Window) -> u64);

/// From the bottom up.
const LAYERS: [Layer; 3] = [
    ("ok", BLUE, |window| window.ok),
    ("failed", ORANGE, |window| window.fail),
    ("outcome unknown", PURPLE, |window| window.info),
];

pub(super) fn scene(windows: &[Window], bands: &Bands) -> Scene {
    let all = |window: &Window| window.per_second(window.ok + window.fail + window.info);
    let max = windows.iter().map(all).fold(0.0, f64::max);
    let heading = Heading {
        title: "Throughput",
        unit: "per s",
        legend: LAYERS
            .iter()
            .filter(|(_, _, count)| windows.iter().any(|window| count(window) > 0))
            .map(|&(name, color, _)| (name.to_owned(), Mark::Square, color))
            .collect(),
    };
    let mut frame = Frame::new(&heading, Values::Linear(max), bands, HEIGHT);
    for window in windows {
        let (x, until_x) = (
            frame.time.place(window.from_ns as f64),
            frame.time.place((window.from_ns + window.length_ns) as f64),
        );
        let mut below = 0;
        for (_, color, count) in LAYERS {
            let above = below + count(window);
            let (bottom, top) =
                (frame.value.place(window.per_second(below)), frame.value.place(window.per_second(above)));
            if above > below && until_x > x {
                frame.scene.rectangle(x, top, until_x - x, bottom - top, color.faint(0.75));
            }
            below = above;
        }
    }
    frame.finish()
}
