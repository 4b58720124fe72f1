//! Line charts as SVG in the page, in the colours of its style sheet. Data in, markup out.
//!
//! Columns are equally wide: commits stand in order, not in time, and seconds are all of one length.

use maud::{Markup, html};

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 30.0;
/// About what a label below the axis takes.
const LABEL: f64 = 96.0;
/// Up to so many columns every value gets a dot.
const DOTS_MAX: usize = 160;

/// What is drawn.
pub(super) struct Chart<'a> {
    /// What a reader who cannot see it is told.
    pub(super) caption: &'a str,
    /// What stands below each column; those for which there is no room are left out.
    pub(super) labels: &'a [String],
    /// Lines, each with a value a column.
    pub(super) lines: &'a [Line],
    /// Lowest and highest of each column.
    pub(super) ranges: &'a [Option<(f64, f64)>],
    /// Columns to draw attention to, and whether they are bad news.
    pub(super) marks: &'a [(usize, bool)],
    /// Spans of columns, from and until, with what they are.
    pub(super) bands: &'a [(f64, f64, String)],
    /// Values as a reader wants them.
    pub(super) unit: fn(f64) -> String,
}

/// One line of a chart.
pub(super) struct Line {
    /// What it is, for the legend.
    pub(super) name: &'static str,
    /// `a` or `b`: its colour.
    pub(super) class: &'static str,
    /// A value a column.
    pub(super) values: Vec<Option<f64>>,
}

impl Chart<'_> {
    pub(super) fn svg(&self) -> Markup {
        let top = self.top();
        let step = round_up(top / 4.0);
        let ticks: Vec<f64> =
            (0..=4).map(|tick| f64::from(tick) * step).filter(|tick| *tick <= top).collect();
        html! {
            figure.chart {
                @if self.lines.len() > 1 {
                    figcaption { @for line in self.lines { span class=(line.class) { (line.name) } } }
                }
                svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(self.caption) {
                    @for (from, until, what) in self.bands {
                        @let (left, right) = (self.x(*from), self.x(*until).max(self.x(*from) + 2.0));
                        rect .band x=(px(left)) y=(TOP) width=(px(right - left)) height=(HEIGHT - TOP - BOTTOM) { title { (what) } }
                    }
                    @for tick in &ticks {
                        @let y = px(y(*tick, top));
                        line .grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y) y2=(y) {}
                        text .tick x=(LEFT - 10.0) y=(px(self::y(*tick, top) + 4.5)) text-anchor="end" { @if *tick == 0.0 { "0" } @else { ((self.unit)(*tick)) } }
                    }
                    (self.column_labels())
                    @for (place, bad) in self.marks {
                        @let x = px(self.x(*place as f64 - 0.5));
                        line .change .bad[*bad] x1=(x) x2=(x) y1=(TOP) y2=(HEIGHT - BOTTOM) {}
                        path .change .bad[*bad] d=(format!("M{x} {} l-6 -10 l12 0 z", TOP + 8.0)) {}
                    }
                    @for (column, range) in self.ranges.iter().enumerate() {
                        @if let Some((low, high)) = range {
                            @let x = px(self.x(column as f64));
                            line .range x1=(x) x2=(x) y1=(px(y(*low, top))) y2=(px(y(high.min(top), top))) {}
                        }
                    }
                    @for line in self.lines { (self.line(line, top)) }
                }
            }
        }
    }

    /// The highest value worth room: what medians reach, and of ranges what lies not far above.
    fn top(&self) -> f64 {
        let values = self.lines.iter().flat_map(|line| line.values.iter().flatten());
        let highest = values.copied().fold(0.0, f64::max);
        let ranges = self.ranges.iter().flatten().map(|(_, high)| *high);
        let reach = ranges.fold(highest, f64::max).min(highest * 1.6);
        if reach > 0.0 { reach * 1.06 } else { 1.0 }
    }

    fn x(&self, column: f64) -> f64 {
        let columns = self.labels.len().max(1) as f64;
        LEFT + (column + 0.5).clamp(0.0, columns) * (WIDTH - LEFT - RIGHT) / columns
    }

    fn column_labels(&self) -> Markup {
        let mut free = 0.0;
        let mut fits = |x: f64| {
            let fits = x - LABEL / 2.0 >= free;
            free = if fits { x + LABEL / 2.0 } else { free };
            fits
        };
        html! {
            @for (column, label) in self.labels.iter().enumerate() {
                @let x = self.x(column as f64);
                @if !label.is_empty() && fits(x) {
                    text .tick x=(px(x.clamp(LEFT, WIDTH - LABEL / 2.0))) y=(HEIGHT - 8.0) text-anchor="middle" { (label) }
                }
            }
        }
    }

    /// Where values are missing, the line is broken.
    fn line(&self, line: &Line, top: f64) -> Markup {
        let points = line.values.iter().enumerate().filter_map(|(column, value)| Some((column, (*value)?)));
        let mut path = String::new();
        let mut last = None;
        for (column, value) in points.clone() {
            let is_next = last.is_some_and(|last| last + 1 == column);
            path.push_str(&format!(
                "{}{} {}",
                if is_next { "L" } else { "M" },
                px(self.x(column as f64)),
                px(y(value, top))
            ));
            last = Some(column);
        }
        html! {
            path class=(format!("line {}", line.class)) d=(path) {}
            @if line.values.len() <= DOTS_MAX {
                @for (column, value) in points {
                    circle class=(format!("dot {}", line.class)) cx=(px(self.x(column as f64))) cy=(px(y(value, top))) r="3.2" {
                        title { (self.labels.get(column).map_or("", String::as_str)) ": " ((self.unit)(value)) }
                    }
                }
            }
        }
    }
}

fn y(value: f64, top: f64) -> f64 {
    let part = (value / top).clamp(0.0, 1.0);
    HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)
}

/// No browser draws finer, and `NaN` is no place.
fn px(place: f64) -> String {
    format!("{:.1}", if place.is_finite() { place } else { 0.0 })
}

/// The next 1, 2 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|digit| digit * power)
        .into_iter()
        .find(|round| *round >= value * 0.999)
        .unwrap_or(value)
}
