//! What is drawn how: names and samples in a row, and in a further one where the picture ends.

use super::panel::{LEFT, RIGHT};
use crate::plot::palette::Color;
use crate::plot::render::text_width;
use crate::plot::scene::{Scene, Text};

const SIZE: f64 = 12.0;
const ROW: f64 = 19.0;
/// Space between two names.
const APART: f64 = 20.0;
/// A sample is so wide, with the space behind it.
const SAMPLE: f64 = 28.0;

/// How a thing looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Solid,
    Dashed,
    Band,
    Disc,
    Ring,
    Faint,
}

/// A name, how the thing looks, and its colour.
pub(super) type Entry = (String, Look, Color);

/// How much room they need.
pub(super) fn height(entries: &[Entry]) -> f64 {
    if entries.is_empty() {
        return 0.0;
    }
    places(entries).last().map_or(0.0, |(_, row)| (*row as f64 + 1.0) * ROW)
}

/// Paints them from `top` down.
pub(super) fn paint(scene: &mut Scene, entries: &[Entry], top: f64) {
    for ((words, look, color), (x, row)) in entries.iter().zip(places(entries)) {
        let baseline = top + row as f64 * ROW + 13.0;
        paint_look(scene, (x, baseline - 4.5), *look, *color);
        scene.text(Text::new(x + SAMPLE, baseline, SIZE, words));
    }
}

/// Where each begins, and in which row.
fn places(entries: &[Entry]) -> Vec<(f64, usize)> {
    let (mut x, mut row) = (LEFT, 0);
    let place = |(words, ..): &Entry| {
        let width = SAMPLE + text_width(words, SIZE);
        if x + width > RIGHT && x > LEFT {
            (x, row) = (LEFT, row + 1);
        }
        let here = (x, row);
        x += width + APART;
        here
    };
    entries.iter().map(place).collect()
}

fn paint_look(scene: &mut Scene, (x, y): (f64, f64), look: Look, color: Color) {
    let line = [(x, y), (x + 21.0, y)];
    match look {
        Look::Solid => scene.line(line.to_vec(), 2.0, color),
        Look::Dashed => scene.dashed(&line, 1.5, color),
        Look::Band => scene.rectangle(x, y - 5.0, 21.0, 10.0, color.faint(0.2)),
        Look::Disc => scene.disc(x + 10.0, y, 4.5, color),
        Look::Ring => scene.ring(x + 10.0, y, 4.5, color),
        Look::Faint => scene.disc(x + 10.0, y, 4.5, color.faint(0.35)),
    }
}
