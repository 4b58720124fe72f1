//! What every plot over time shares: title, legend, fault lanes, leader marks, grid and axes.
//!
//! ```text
//!  title                         ● legend
//!         ▭▭▭▭ lanes ▭▭▭▭
//!         ▾ n2 t3
//!   100 ┤
//!       └──────────────────
//!         0      5     10 s
//! ```

use super::axis::{self, Scale};
use super::bands::Bands;
use super::palette::{Color, GRID, INK, QUIET};
use super::render::text_width;
use super::scene::{Anchor, Scene, Text, WIDTH};

const LEFT: f64 = 62.0;
const RIGHT: f64 = WIDTH - 16.0;
const TITLE_HEIGHT: f64 = 36.0;
const LEADERS_HEIGHT: f64 = 16.0;
const BELOW: f64 = 46.0;
const TICK_SIZE: f64 = 12.0;
const LEGEND_SIZE: f64 = 12.5;

/// What a plot says about itself.
pub(super) struct Heading<'a> {
    pub(super) title: &'a str,
    /// The unit of the vertical axis.
    pub(super) unit: &'a str,
    pub(super) legend: Vec<(String, Mark, Color)>,
}

/// How a thing looks in the legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Disc,
    Ring,
    Cross,
    Line,
    Square,
}

/// The vertical axis.
#[derive(Debug, Clone, Copy)]
pub(super) enum Values {
    /// From 0 to about this.
    Linear(f64),
    /// Latencies between these, in whatever order of magnitude.
    Logarithmic(f64, f64),
}

/// A prepared plot: paint the data at `time` and `value` into `scene`, then [`Frame::finish`].
pub(super) struct Frame<'a> {
    pub(super) scene: Scene,
    pub(super) time: Scale,
    pub(super) value: Scale,
    pub(super) bottom: f64,
    bands: &'a Bands,
    top: f64,
}

impl<'a> Frame<'a> {
    /// Paints everything that lies behind the data.
    pub(super) fn new(heading: &Heading<'_>, values: Values, bands: &'a Bands, height: f64) -> Frame<'a> {
        let lanes_top = TITLE_HEIGHT;
        let top = lanes_top + bands.height() + LEADERS_HEIGHT;
        let bottom = top + height;
        let mut scene = Scene::new(bottom + BELOW);
        let time = time_scale((0, bands.end_ns));
        let (value, ticks) = value_scale(values, (bottom, top));
        paint_title(&mut scene, heading);
        bands.paint_shade(&mut scene, &time, (top, bottom));
        paint_value_axis(&mut scene, &value, &ticks, heading.unit, top);
        paint_time_axis(&mut scene, &time, (0.0, bands.end_ns as f64 / 1e9), bottom);
        bands.paint_lanes(&mut scene, &time, lanes_top);
        paint_bands_legend(&mut scene, bands, bottom + BELOW - 7.0);
        Frame { scene, time, value, bottom, bands, top }
    }

    /// The finished picture, with marks for leaders over the data.
    pub(super) fn finish(mut self) -> Scene {
        self.bands.paint_leaders(&mut self.scene, &self.time, (self.top, self.bottom));
        self.scene
    }
}

/// The usual horizontal axis over `from..until` nanoseconds.
pub(super) fn time_scale((from_ns, until_ns): (u64, u64)) -> Scale {
    Scale::linear((from_ns as f64, until_ns.max(from_ns + 1) as f64), (LEFT, RIGHT))
}

/// Title to the left, legend to the right of one line.
pub(super) fn paint_title(scene: &mut Scene, heading: &Heading<'_>) {
    scene.text(Text::new(LEFT, 23.0, 15.0, heading.title).bold());
    let mut x = RIGHT;
    for (words, mark, color) in heading.legend.iter().rev() {
        x -= text_width(words, LEGEND_SIZE);
        scene.text(Text::new(x, 23.0, LEGEND_SIZE, words));
        x -= 12.0;
        paint_mark(scene, (x, 18.5), *mark, *color);
        x -= 18.0;
    }
}

/// Ticks and grid of a time axis in seconds.
pub(super) fn paint_time_axis(scene: &mut Scene, time: &Scale, (from_s, until_s): (f64, f64), bottom: f64) {
    scene.line(vec![(LEFT, bottom), (RIGHT, bottom)], 1.0, QUIET);
    for tick in axis::linear_ticks(from_s, until_s, 10.0) {
        let x = time.place(tick * 1e9);
        scene.line(vec![(x, bottom), (x, bottom + 4.0)], 1.0, QUIET);
        let words = format!("{} s", axis::number(tick));
        scene.text(Text::new(x, bottom + 17.0, TICK_SIZE, words).anchor(Anchor::Middle).color(QUIET));
    }
}

/// The kinds of faults and the mark of a leader, below a time axis.
pub(super) fn paint_bands_legend(scene: &mut Scene, bands: &Bands, y: f64) {
    let mut x = LEFT;
    for (kind, color) in bands.legend() {
        scene.rectangle(x, y - 9.0, 11.0, 10.0, color.faint(0.85));
        scene.text(Text::new(x + 16.0, y, TICK_SIZE, kind));
        x += 16.0 + text_width(kind, TICK_SIZE) + 18.0;
    }
    if bands.has_leaders() {
        scene.polygon(vec![(x, y - 8.0), (x + 9.0, y - 8.0), (x + 4.5, y - 1.0)], INK);
        scene.text(Text::new(x + 16.0, y, TICK_SIZE, "new leader (node, term)"));
    }
}

fn value_scale(values: Values, range_px: (f64, f64)) -> (Scale, Vec<f64>) {
    match values {
        Values::Linear(max) => {
            let step = axis::round_step(max.max(1.0) / 6.0);
            let until = (max.max(1.0) / step).ceil() * step;
            let ticks = axis::linear_ticks(0.0, until, until / step);
            (Scale::linear((0.0, until), range_px), ticks)
        }
        Values::Logarithmic(min, max) => {
            let from = 10f64.powf(min.max(0.001).log10().floor());
            let until = axis::round_step(max.max(from * 10.0));
            (Scale::logarithmic((from, until), range_px), axis::decades(from, until))
        }
    }
}

fn paint_value_axis(scene: &mut Scene, value: &Scale, ticks: &[f64], unit: &str, top: f64) {
    for &tick in ticks {
        let y = value.place(tick);
        scene.line(vec![(LEFT, y), (RIGHT, y)], 1.0, GRID);
        let words = Text::new(LEFT - 8.0, y + 4.0, TICK_SIZE, axis::number(tick));
        scene.text(words.anchor(Anchor::End).color(QUIET));
    }
    scene.text(Text::new(LEFT - 8.0, top - 9.0, TICK_SIZE, unit).anchor(Anchor::End).color(QUIET));
}

fn paint_mark(scene: &mut Scene, (x, y): (f64, f64), mark: Mark, color: Color) {
    match mark {
        Mark::Disc => scene.disc(x, y, 4.0, color),
        Mark::Ring => scene.ring(x, y, 4.0, color),
        Mark::Cross => scene.cross(x, y, 3.5, color),
        Mark::Line => scene.line(vec![(x - 8.0, y), (x + 6.0, y)], 2.0, color),
        Mark::Square => scene.rectangle(x - 5.0, y - 5.0, 10.0, 10.0, color),
    }
}
