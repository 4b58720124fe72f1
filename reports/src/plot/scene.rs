//! A picture as data: shapes in logical pixels, painted in order.

use super::palette::Color;
use crate::wording::visible;

/// Every plot is this wide; pages scale it.
pub(crate) const WIDTH: f64 = 1000.0;

/// A whole picture of [`WIDTH`] times `height`.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) height: f64,
    pub(crate) shapes: Vec<Shape>,
}

/// Something to paint. `y` grows downwards.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    /// A filled rectangle.
    Rectangle { x: f64, y: f64, width: f64, height: f64, paint: Paint },
    /// A line through points.
    Line { points: Vec<(f64, f64)>, width: f64, paint: Paint },
    /// A filled disc.
    Disc { x: f64, y: f64, radius: f64, paint: Paint },
    /// A circle without a filling.
    Ring { x: f64, y: f64, radius: f64, paint: Paint },
    /// A filled polygon.
    Polygon { points: Vec<(f64, f64)>, paint: Paint },
    /// Words on a baseline.
    Text(Text),
}

/// A colour and how much of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Paint {
    pub(crate) color: Color,
    /// 0 is nothing, 1 is all of it.
    pub(crate) alpha: f64,
}

/// Words: `x` is where `anchor` says, `y` the baseline.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) words: String,
    pub(crate) size: f64,
    pub(crate) anchor: Anchor,
    pub(crate) bold: bool,
    pub(crate) color: Color,
}

/// Which part of the words stands at `x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Scene {
    pub(crate) fn new(height: f64) -> Scene {
        Scene { height, shapes: Vec::new() }
    }

    pub(crate) fn rectangle(&mut self, x: f64, y: f64, width: f64, height: f64, paint: impl Into<Paint>) {
        let paint = paint.into();
        self.shapes.push(Shape::Rectangle { x, y, width, height, paint });
    }

    pub(crate) fn line(&mut self, points: Vec<(f64, f64)>, width: f64, paint: impl Into<Paint>) {
        let paint = paint.into();
        self.shapes.push(Shape::Line { points, width, paint });
    }

    /// A line with gaps. A backend draws no pattern, so each dash is a line of its own.
    pub(crate) fn dashed(&mut self, points: &[(f64, f64)], width: f64, paint: impl Into<Paint>) {
        let paint = paint.into();
        for dash in dashes(points) {
            self.line(dash, width, paint);
        }
    }

    pub(crate) fn disc(&mut self, x: f64, y: f64, radius: f64, paint: impl Into<Paint>) {
        let paint = paint.into();
        self.shapes.push(Shape::Disc { x, y, radius, paint });
    }

    pub(crate) fn ring(&mut self, x: f64, y: f64, radius: f64, paint: impl Into<Paint>) {
        let paint = paint.into();
        self.shapes.push(Shape::Ring { x, y, radius, paint });
    }

    pub(crate) fn cross(&mut self, x: f64, y: f64, radius: f64, paint: impl Into<Paint>) {
        let paint = paint.into();
        for slope in [-1.0, 1.0] {
            let (from, until) = ((x - radius, y - slope * radius), (x + radius, y + slope * radius));
            self.line(vec![from, until], 1.0, paint);
        }
    }

    pub(crate) fn polygon(&mut self, points: Vec<(f64, f64)>, paint: impl Into<Paint>) {
        let paint = paint.into();
        self.shapes.push(Shape::Polygon { points, paint });
    }

    pub(crate) fn text(&mut self, text: Text) {
        self.shapes.push(Shape::Text(text));
    }
}

/// Length of a dash, and of the gap behind it.
const DASH: [f64; 2] = [7.0, 4.5];

/// The parts of a line that its dashes cover.
fn dashes(points: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
    let (mut dashes, mut dash) = (Vec::new(), Vec::from_iter(points.first().copied()));
    let (mut is_drawn, mut left) = (true, DASH[0]);
    for pair in points.windows(2) {
        let (mut from, until) = (pair[0], pair[1]);
        let mut length = (until.0 - from.0).hypot(until.1 - from.1);
        while length > left {
            let part = left / length;
            from = (from.0 + (until.0 - from.0) * part, from.1 + (until.1 - from.1) * part);
            length -= left;
            if is_drawn {
                dash.push(from);
                dashes.push(std::mem::take(&mut dash));
            } else {
                dash = vec![from];
            }
            is_drawn = !is_drawn;
            left = DASH[usize::from(!is_drawn)];
        }
        left -= length;
        if is_drawn {
            dash.push(until);
        }
    }
    dashes.extend((is_drawn && dash.len() > 1).then_some(dash));
    dashes
}

impl Text {
    /// Ordinary dark words that begin at `x`. No file of a picture can hold control characters, so they are written out.
    pub(crate) fn new(x: f64, y: f64, size: f64, words: impl Into<String>) -> Text {
        Text {
            x,
            y,
            words: visible(&words.into()).into_owned(),
            size,
            anchor: Anchor::Start,
            bold: false,
            color: super::palette::INK,
        }
    }

    pub(crate) fn anchor(self, anchor: Anchor) -> Text {
        Text { anchor, ..self }
    }

    pub(crate) fn color(self, color: Color) -> Text {
        Text { color, ..self }
    }

    pub(crate) fn bold(self) -> Text {
        Text { bold: true, ..self }
    }
}

impl From<Color> for Paint {
    fn from(color: Color) -> Paint {
        Paint { color, alpha: 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_and_gaps_fill_the_line_around_its_corners() {
        let dashes = dashes(&[(0.0, 0.0), (10.0, 0.0), (10.0, 13.0)]);
        let expected = [vec![(0.0, 0.0), (7.0, 0.0)], vec![(10.0, 1.5), (10.0, 8.5)]];
        assert_eq!(dashes[..2], expected);
        assert_eq!(dashes.len(), 2, "the line ends in a gap");
        assert_eq!(super::dashes(&[(0.0, 0.0), (3.0, 0.0)]), [vec![(0.0, 0.0), (3.0, 0.0)]]);
        assert_eq!(super::dashes(&[]).len(), 0);
    }

    /// XML cannot hold most control characters, and what turns the direction of writing would turn a label around.
    #[test]
    fn words_have_no_character_that_cannot_be_seen() {
        let text = Text::new(0.0, 0.0, 12.0, "kill\0\u{1b}[31m\u{202e}@leader");
        assert_eq!(text.words, r"kill\u0000\u001b[31m\u202e@leader");
    }
}
