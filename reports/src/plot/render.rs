//! Scenes to files, through plotters: SVG for pages, PNG for everything else.
//!
//! Backends count in whole pixels, so a scene is painted at [`SCALE`] times its size; the SVG is then declared to be
//! as large as the scene. The font is built in, because the machines that make reports have none.

use std::sync::LazyLock;

use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::prelude::{Circle, DrawingArea, IntoDrawingArea, PathElement, Polygon, RGBColor, Rectangle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontDesc, FontFamily, FontStyle, ShapeStyle, TextStyle, register_font};

use super::palette::{Color, PAPER};
use super::scene::{Anchor, Paint, Scene, Shape, Text, WIDTH};

const SCALE: f64 = 2.0;

/// The built-in font by its name; a browser that lacks it takes the next of the list.
const FAMILY: &str = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif";

/// Height of a line over the size of the type: the bitmap backend measures fonts by the line.
const LINE_HEIGHT: f64 = 1.164;
/// plotters' own idea of the same number, by which its SVG backend divides.
const SVG_LINE_HEIGHT: f64 = 1.24;

/// Drawing failed. It does not depend on the data.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw a plot: {0}")]
pub struct RenderError(String);

impl RenderError {
    fn because(error: impl std::fmt::Display) -> RenderError {
        RenderError(error.to_string())
    }
}

/// The two backends disagree on what a font's size is and where its baseline lies.
#[derive(Clone, Copy)]
struct TextMetrics {
    /// Size to ask for over the size that is meant.
    size: f64,
    /// From the top of the text to its baseline, over the size asked for.
    baseline: f64,
}

const SVG_TEXT: TextMetrics = TextMetrics { size: SVG_LINE_HEIGHT, baseline: 0.76 / SVG_LINE_HEIGHT };
const BITMAP_TEXT: TextMetrics = TextMetrics { size: LINE_HEIGHT, baseline: 0.5 };

/// The scene as an SVG document.
pub(crate) fn svg(scene: &Scene) -> Result<String, RenderError> {
    let mut document = String::new();
    let (width, height) = pixels(scene);
    paint(SVGBackend::with_string(&mut document, (width, height)), scene, SVG_TEXT)?;
    let painted = format!(r#"width="{width}" height="{height}""#);
    let declared = format!(r#"width="{WIDTH}" height="{}""#, scene.height.ceil());
    Ok(document.replacen(&painted, &declared, 1))
}

/// The scene as a PNG file, [`SCALE`] times as large, for sharp screens.
pub(crate) fn png(scene: &Scene) -> Result<Vec<u8>, RenderError> {
    let (width, height) = pixels(scene);
    let mut buffer = vec![0; width as usize * height as usize * 3];
    paint(BitMapBackend::with_buffer(&mut buffer, (width, height)), scene, BITMAP_TEXT)?;
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().map_err(RenderError::because)?;
    writer.write_image_data(&buffer).map_err(RenderError::because)?;
    writer.finish().map_err(RenderError::because)?;
    Ok(file)
}

/// How wide `words` are in logical pixels.
pub(crate) fn text_width(words: &str, size: f64) -> f64 {
    // Measured large, because the answer comes in whole pixels.
    const LARGE: f64 = 100.0;
    let (width, _) =
        font(LARGE * LINE_HEIGHT, false).box_size(words).expect("the built-in font measures every text");
    f64::from(width) * size / LARGE
}

fn pixels(scene: &Scene) -> (u32, u32) {
    ((WIDTH * SCALE) as u32, (scene.height.ceil() * SCALE) as u32)
}

fn font(size: f64, bold: bool) -> FontDesc<'static> {
    static REGISTERED: LazyLock<()> = LazyLock::new(|| {
        let faces: [(FontStyle, &'static [u8]); 2] = [
            (FontStyle::Normal, include_bytes!("../../assets/DejaVuSans-subset.ttf")),
            (FontStyle::Bold, include_bytes!("../../assets/DejaVuSans-Bold-subset.ttf")),
        ];
        for (style, bytes) in faces {
            let registered = register_font(FAMILY, style, bytes);
            assert!(registered.is_ok(), "the built-in font `{}` is damaged", style.as_str());
        }
    });
    LazyLock::force(&REGISTERED);
    let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
    FontDesc::new(FontFamily::Name(FAMILY), size, style)
}

fn paint<B: DrawingBackend>(backend: B, scene: &Scene, metrics: TextMetrics) -> Result<(), RenderError> {
    let area = backend.into_drawing_area();
    area.fill(&rgb(PAPER)).map_err(RenderError::because)?;
    for shape in &scene.shapes {
        paint_shape(&area, shape, metrics)?;
    }
    area.present().map_err(RenderError::because)
}

type Area<B> = DrawingArea<B, plotters::coord::Shift>;

fn paint_shape<B: DrawingBackend>(
    area: &Area<B>,
    shape: &Shape,
    metrics: TextMetrics,
) -> Result<(), RenderError> {
    let drawn = match shape {
        Shape::Rectangle { x, y, width, height, paint } => {
            area.draw(&Rectangle::new([point(*x, *y), point(x + width, y + height)], filled(*paint)))
        }
        Shape::Line { points, width, paint } => {
            area.draw(&PathElement::new(scaled(points), stroked(*paint, *width)))
        }
        Shape::Disc { x, y, radius, paint } => {
            area.draw(&Circle::new(point(*x, *y), (radius * SCALE) as i32, filled(*paint)))
        }
        Shape::Ring { x, y, radius, paint } => {
            area.draw(&Circle::new(point(*x, *y), (radius * SCALE) as i32, stroked(*paint, 1.0)))
        }
        Shape::Polygon { points, paint } => area.draw(&Polygon::new(scaled(points), filled(*paint))),
        Shape::Text(text) => paint_text(area, text, metrics),
    };
    drawn.map_err(RenderError::because)
}

fn paint_text<B: DrawingBackend>(
    area: &Area<B>,
    text: &Text,
    metrics: TextMetrics,
) -> Result<(), plotters::drawing::DrawingAreaErrorKind<B::ErrorType>> {
    let size = text.size * SCALE * metrics.size;
    let horizontal = match text.anchor {
        Anchor::Start => HPos::Left,
        Anchor::Middle => HPos::Center,
        Anchor::End => HPos::Right,
    };
    let color = rgb(text.color);
    let style = TextStyle::from(font(size, text.bold)).color(&color).pos(Pos::new(horizontal, VPos::Top));
    let (x, baseline) = point(text.x, text.y);
    area.draw_text(&text.words, &style, (x, baseline - (size * metrics.baseline).round() as i32))
}

fn point(x: f64, y: f64) -> (i32, i32) {
    ((x * SCALE).round() as i32, (y * SCALE).round() as i32)
}

fn scaled(points: &[(f64, f64)]) -> Vec<(i32, i32)> {
    points.iter().map(|&(x, y)| point(x, y)).collect()
}

fn rgb(Color(red, green, blue): Color) -> RGBColor {
    RGBColor(red, green, blue)
}

fn filled(paint: Paint) -> ShapeStyle {
    rgb(paint.color).mix(paint.alpha).filled()
}

fn stroked(paint: Paint, width: f64) -> ShapeStyle {
    rgb(paint.color).mix(paint.alpha).stroke_width((width * SCALE).round() as u32)
}
