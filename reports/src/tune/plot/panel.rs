//! One coordinate system within a picture: grid, words beside it, and lines, bands and whiskers by the values that they stand for.

use super::axes::Axis;
use crate::plot::axis::Scale;
use crate::plot::palette::{Color, GRID, INK, QUIET};
use crate::plot::render::text_width;
use crate::plot::scene::{Anchor, Paint, Scene, Text, WIDTH};

pub(super) const LEFT: f64 = 62.0;
pub(super) const RIGHT: f64 = WIDTH - 20.0;
const TICK_SIZE: f64 = 12.0;
/// Words below a panel need so much.
pub(super) const BELOW: f64 = 42.0;

/// A coordinate system.
pub(super) struct Panel {
    pub(super) x: Scale,
    pub(super) y: Scale,
    pub(super) axes: [Axis; 2],
    area: Area,
}

/// Where it stands, in logical pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

/// What is written beside it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Names<'a> {
    /// Above it.
    pub(super) title: &'a str,
    /// Below its horizontal axis.
    pub(super) x: &'a str,
    /// Above its vertical axis, where there is no title.
    pub(super) y: &'a str,
}

/// The head of a whole picture.
pub(super) fn paint_title(scene: &mut Scene, title: &str) {
    scene.text(Text::new(LEFT, 23.0, 15.0, title).bold());
}

impl Panel {
    /// Paints what lies behind the data.
    pub(super) fn new(scene: &mut Scene, area: Area, axes: [Axis; 2], names: Names<'_>) -> Panel {
        let x = axes[0].scale((area.left, area.right));
        let y = axes[1].scale((area.bottom, area.top));
        let panel = Panel { x, y, axes, area };
        panel.paint_values(scene);
        panel.paint_places(scene);
        panel.paint_names(scene, names);
        panel
    }

    /// The same for rows that have names instead of values.
    pub(super) fn without_values(scene: &mut Scene, area: Area, axes: [Axis; 2], x_name: &str) -> Panel {
        let x = axes[0].scale((area.left, area.right));
        let y = axes[1].scale((area.bottom, area.top));
        let panel = Panel { x, y, axes, area };
        panel.paint_places(scene);
        panel.paint_names(scene, Names { x: x_name, ..Names::default() });
        panel
    }

    fn paint_values(&self, scene: &mut Scene) {
        let Area { left, right, top, bottom } = self.area;
        for tick in self.axes[1].ticks((bottom - top) / 36.0) {
            let y = self.y.place(tick);
            scene.line(vec![(left, y), (right, y)], 1.0, GRID);
            let words = Text::new(left - 8.0, y + 4.0, TICK_SIZE, self.axes[1].word(tick));
            scene.text(words.anchor(Anchor::End).color(QUIET));
        }
    }

    fn paint_places(&self, scene: &mut Scene) {
        let Area { left, right, top, bottom } = self.area;
        scene.line(vec![(left, bottom), (right, bottom)], 1.0, QUIET);
        let mut taken_until = f64::NEG_INFINITY;
        for tick in self.axes[0].ticks((right - left) / 62.0) {
            let (x, words) = (self.x.place(tick), self.axes[0].word(tick));
            scene.line(vec![(x, top), (x, bottom)], 1.0, GRID);
            scene.line(vec![(x, bottom), (x, bottom + 4.0)], 1.0, QUIET);
            let half = text_width(&words, TICK_SIZE) / 2.0;
            if x - half > taken_until + 5.0 {
                let words = Text::new(x, bottom + 17.0, TICK_SIZE, words);
                scene.text(words.anchor(Anchor::Middle).color(QUIET));
                taken_until = x + half;
            }
        }
    }

    fn paint_names(&self, scene: &mut Scene, names: Names<'_>) {
        let Area { left, right, top, bottom } = self.area;
        if !names.title.is_empty() {
            scene.text(Text::new(left, top - 8.0, 12.5, names.title).bold());
        } else if !names.y.is_empty() {
            scene.text(Text::new(left, top - 10.0, TICK_SIZE, names.y).color(QUIET));
        }
        if !names.x.is_empty() {
            let words = Text::new((left + right) / 2.0, bottom + 34.0, TICK_SIZE, names.x);
            scene.text(words.anchor(Anchor::Middle).color(QUIET));
        }
    }

    /// Where a point stands.
    pub(super) fn place(&self, x: f64, y: f64) -> (f64, f64) {
        (self.x.place(x), self.y.place(y))
    }

    /// The part of a line that is on the horizontal axis, in pixels; it goes on to the edge where it leaves the picture.
    fn inside(&self, line: &[(f64, f64)]) -> Vec<(f64, f64)> {
        let [axis, _] = self.axes;
        let is_drawn = |point: &&(f64, f64)| axis.has(point.0) && point.1.is_finite();
        let mut inside: Vec<(f64, f64)> =
            line.iter().filter(is_drawn).map(|&(x, y)| self.place(x, y)).collect();
        let leaves = line.last().is_some_and(|(x, _)| *x > axis.until);
        if let Some(&(_, y)) = inside.last().filter(|_| leaves) {
            inside.push((self.area.right, y));
        }
        inside
    }

    /// A line through values.
    pub(super) fn line(&self, scene: &mut Scene, line: &[(f64, f64)], width: f64, paint: impl Into<Paint>) {
        let inside = self.inside(line);
        if inside.len() > 1 {
            scene.line(inside, width, paint);
        }
    }

    /// A dashed line through values.
    pub(super) fn dashed(&self, scene: &mut Scene, line: &[(f64, f64)], width: f64, paint: impl Into<Paint>) {
        scene.dashed(&self.inside(line), width, paint);
    }

    /// A faint area between two values at each place.
    pub(super) fn band(&self, scene: &mut Scene, line: &[(f64, f64)], band: &[[f64; 2]], color: Color) {
        let side = |side: usize| -> Vec<(f64, f64)> {
            let points: Vec<(f64, f64)> =
                line.iter().zip(band).map(|(&(x, _), ends)| (x, ends[side])).collect();
            self.inside(&points)
        };
        let (low, mut high) = (side(0), side(1));
        high.reverse();
        if low.len() > 1 {
            scene.polygon([low, high].concat(), color.faint(0.14));
        }
    }

    /// An interval upwards at one place.
    pub(super) fn whisker(&self, scene: &mut Scene, x: f64, ends: [f64; 2], paint: impl Into<Paint>) {
        let (x, [low, high]) = (self.x.place(x), ends.map(|end| self.y.place(end)));
        let paint = paint.into();
        scene.line(vec![(x, low), (x, high)], 1.0, paint);
        for end in [low, high] {
            scene.line(vec![(x - 3.0, end), (x + 3.0, end)], 1.0, paint);
        }
    }

    /// An interval sidewards at one height.
    pub(super) fn sideways(&self, scene: &mut Scene, y: f64, ends: [f64; 2], paint: impl Into<Paint>) {
        let (y, [low, high]) = (self.y.place(y), ends.map(|end| self.x.place(end)));
        let paint = paint.into();
        scene.line(vec![(low, y), (high, y)], 1.0, paint);
        for end in [low, high] {
            scene.line(vec![(end, y - 3.0), (end, y + 3.0)], 1.0, paint);
        }
    }

    /// A line across the whole panel at a place, with a word at its top; nothing where the place is not on the axis.
    pub(super) fn wall(&self, scene: &mut Scene, x: f64, words: &str) {
        if !self.axes[0].has(x) {
            return;
        }
        let x = self.x.place(x);
        scene.dashed(&[(x, self.area.top), (x, self.area.bottom)], 1.5, INK.faint(0.7));
        let room = self.area.right - x;
        let anchor = if text_width(words, TICK_SIZE) + 6.0 > room { Anchor::End } else { Anchor::Start };
        let from = if anchor == Anchor::End { x - 5.0 } else { x + 5.0 };
        scene.text(Text::new(from, self.area.top + 12.0, TICK_SIZE, words).anchor(anchor));
    }

    /// The same at a height.
    pub(super) fn floor(&self, scene: &mut Scene, y: f64, words: &str) {
        if !self.axes[1].has(y) {
            return;
        }
        let y = self.y.place(y);
        scene.dashed(&[(self.area.left, y), (self.area.right, y)], 1.5, INK.faint(0.7));
        scene.text(Text::new(self.area.right - 4.0, y - 5.0, TICK_SIZE, words).anchor(Anchor::End));
    }
}
