//! A picture as data: shapes in logical pixels, painted in order.

use super::palette::Color;
use crate::wording::visible;

/// Every plot is this wide; pages scale it.
pub(super) const WIDTH: f64 = 1000.0;

/// A whole picture of [`WIDTH`] times `height`.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) height: f64,
    pub(super) shapes: Vec<Shape>,
}

/// Something to paint. `y` grows downwards.
#[derive(Debug, Clone)]
pub(super) enum Shape {
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
pub(super) struct Paint {
    pub(super) color: Color,
    /// 0 is nothing, 1 is all of it.
    pub(super) alpha: f64,
}

/// Words: `x` is where `anchor` says, `y` the baseline.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) words: String,
    pub(super) size: f64,
    pub(super) anchor: Anchor,
    pub(super) bold: bool,
    pub(super) color: Color,
}

/// Which part of the words stands at `x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Scene {
    pub(super) fn new(height: f64) -> Scene {
        Scene { height, shapes: Vec::new() }
    }

    pub(super) fn rectangle(&mut self, x: f64, y: f64, width: f64, height: f64, paint: impl Into<Paint>) {
        let paint = paint.into();
        self.shapes.push(Shape::Rectangle { x, y, width, height, paint });
    }

    pub(super) fn line(&mut self, points: Vec<(f64, f64)>, width: f64, paint: impl Into<Paint>) {
        let paint = paint.into();
        self.shapes.push(Shape::Line { points, width, paint });
    }

    pub(super) fn disc(&mut self, x: f64, y: f64, radius: f64, paint: impl Into<Paint>) {
        let paint = paint.into();
        self.shapes.push(Shape::Disc { x, y, radius, paint });
    }

    pub(super) fn ring(&mut self, x: f64, y: f64, radius: f64, paint: impl Into<Paint>) {
        let paint = paint.into();
        self.shapes.push(Shape::Ring { x, y, radius, paint });
    }

    pub(super) fn cross(&mut self, x: f64, y: f64, radius: f64, paint: impl Into<Paint>) {
        let paint = paint.into();
        for slope in [-1.0, 1.0] {
            let (from, until) = ((x - radius, y - slope * radius), (x + radius, y + slope * radius));
            self.line(vec![from, until], 1.0, paint);
        }
    }

    pub(super) fn polygon(&mut self, points: Vec<(f64, f64)>, paint: impl Into<Paint>) {
        let paint = paint.into();
        self.shapes.push(Shape::Polygon { points, paint });
    }

    pub(super) fn text(&mut self, text: Text) {
        self.shapes.push(Shape::Text(text));
    }
}

impl Text {
    /// Ordinary dark words that begin at `x`. No file of a picture can hold control characters, so they are written out.
    pub(super) fn new(x: f64, y: f64, size: f64, words: impl Into<String>) -> Text {
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

    pub(super) fn anchor(self, anchor: Anchor) -> Text {
        Text { anchor, ..self }
    }

    pub(super) fn color(self, color: Color) -> Text {
        Text { color, ..self }
    }

    pub(super) fn bold(self) -> Text {
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

    /// XML cannot hold most control characters, and what turns the direction of writing would turn a label around.
    #[test]
    fn words_have_no_character_that_cannot_be_seen() {
        let text = Text::new(0.0, 0.0, 12.0, "kill\0\u{1b}[31m\u{202e}@leader");
        assert_eq!(text.words, r"kill\u0000\u001b[31m\u202e@leader");
    }
}
