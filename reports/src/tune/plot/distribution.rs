//! How long it lasts, as the paper's Figure 16 shows it: the share of failures after which a thing had happened, over milliseconds.
//!
//! Few candidates are compared in one panel for each failure. Many would be a heap, so each gets a panel of its own, all over the same
//! axis, with a colour for each failure.

use super::axes::{Axis, Unit};
use super::legend::{self, Entry, Look};
use super::panel::{self, Area, BELOW, LEFT, Names, Panel, RIGHT};
use super::samples::{Moment, Sample};
use super::{COLORS, Picture, Samples, failure_color};
use crate::plot::palette::{Color, INK, QUIET};
use crate::plot::scene::Scene;
use crate::tune::statistics::quantile;
use crate::tune::words::{self, SOURCES};
use crate::tune::{Failure, Source, Tuning};

/// More candidates than this stand in panels of their own.
const TOGETHER_MAX: usize = 4;
/// More panels than this are a wall; then what is recommended and what is not beaten is shown first.
const PANELS_MAX: usize = 24;
const TOP: f64 = 40.0;

/// One panel and what is drawn in it.
struct Drawing<'a> {
    title: String,
    curves: Vec<(&'a Sample, Source, Color)>,
}

/// All panels and what their colours mean.
struct Drawings<'a> {
    panels: Vec<Drawing<'a>>,
    colors: Vec<(String, Color)>,
    left_out: usize,
}

/// Both distributions, as far as anything was seen.
pub(super) fn pictures(tuning: &Tuning, samples: &Samples) -> Vec<Picture> {
    let moments = [
        (Moment::Leader, "leader", "Until another member heard the new leader"),
        (Moment::Write, "write", "Until a write succeeded"),
    ];
    let picture = |(moment, name, title): (Moment, &str, &str)| {
        let drawings = drawings(tuning, samples, moment);
        let scene = scene(&drawings, moment, title)?;
        Some(Picture { name: name.to_owned(), caption: caption(&drawings, title), scene })
    };
    moments.into_iter().filter_map(picture).collect()
}

fn caption(drawings: &Drawings<'_>, title: &str) -> String {
    let mut caption = format!(
        "{title}: the share of failures over time since the failure; real trials as solid lines, each with the band in which the true share \
         at each time lies with 95 % confidence (Wilson's interval, pointwise), simulated trials dashed. A line that ends below 100 % had \
         trials that did not end until patience ended."
    );
    if drawings.left_out > 0 {
        caption +=
            &format!(" {} candidates are left out; those that another one beats first.", drawings.left_out);
    }
    caption
}

fn drawings<'a>(tuning: &Tuning, samples: &'a Samples, moment: Moment) -> Drawings<'a> {
    match tuning.candidates.len() {
        few if few <= TOGETHER_MAX => by_failure(tuning, samples, moment),
        _ => by_candidate(tuning, samples, moment),
    }
}

fn by_failure<'a>(tuning: &Tuning, samples: &'a Samples, moment: Moment) -> Drawings<'a> {
    let names = words::names(&tuning.candidates);
    let panel = |failure: Failure| Drawing {
        title: words::failure(failure).to_owned(),
        curves: (0..names.len())
            .flat_map(|place| curves(samples, (place, failure), moment, COLORS[place % COLORS.len()]))
            .collect(),
    };
    let panels = Failure::ALL.map(panel).into_iter().filter(|panel| !panel.curves.is_empty());
    Drawings { panels: panels.collect(), colors: names.into_iter().zip(COLORS).collect(), left_out: 0 }
}

fn by_candidate<'a>(tuning: &Tuning, samples: &'a Samples, moment: Moment) -> Drawings<'a> {
    let names = words::names(&tuning.candidates);
    let shown = shown(tuning);
    let panel = |&place: &usize| Drawing {
        title: match tuning.recommended() == Some(place) {
            true => format!("{}, recommended", names[place]),
            false => names[place].clone(),
        },
        curves: Failure::ALL
            .into_iter()
            .flat_map(|failure| curves(samples, (place, failure), moment, failure_color(failure)))
            .collect(),
    };
    let panels: Vec<Drawing<'_>> = shown.iter().map(panel).filter(|panel| !panel.curves.is_empty()).collect();
    let has = |failure: &Failure| samples.keys().any(|(_, _, other)| other == failure);
    let colors = Failure::ALL.into_iter().filter(has);
    Drawings {
        panels,
        colors: colors.map(|failure| (words::failure(failure).to_owned(), failure_color(failure))).collect(),
        left_out: names.len() - shown.len(),
    }
}

/// The candidates that have a panel, in the order of the arguments.
fn shown(tuning: &Tuning) -> Vec<usize> {
    let beaten = tuning.beaten();
    let mut shown: Vec<usize> = (0..tuning.candidates.len()).collect();
    shown.sort_by_key(|&place| (tuning.recommended() != Some(place), beaten[place], place));
    shown.truncate(PANELS_MAX);
    shown.sort_unstable();
    shown
}

fn curves(
    samples: &Samples,
    (candidate, failure): (usize, Failure),
    moment: Moment,
    color: Color,
) -> impl Iterator<Item = (&Sample, Source, Color)> {
    SOURCES.into_iter().filter_map(move |source| {
        let sample = samples.get(&(candidate, source, failure))?;
        (!sample.times(moment).is_empty()).then_some((sample, source, color))
    })
}

fn scene(drawings: &Drawings<'_>, moment: Moment, title: &str) -> Option<Scene> {
    let times = extent(drawings, moment)?;
    let grid = Grid::of(drawings.panels.len());
    let entries = entries(drawings);
    let top = TOP + legend::height(&entries) + 30.0;
    let mut scene = Scene::new(top + grid.rows() as f64 * grid.row_height() + 6.0);
    panel::paint_title(&mut scene, title);
    legend::paint(&mut scene, &entries, TOP - 4.0);
    for (place, drawing) in drawings.panels.iter().enumerate() {
        let names = Names {
            title: &drawing.title,
            x: if grid.columns <= 2 { "since the failure" } else { "" },
            ..Names::default()
        };
        let panel = Panel::new(&mut scene, grid.area(place, top), [times, Axis::SHARES], names);
        paint_curves(&mut scene, &panel, drawing, (moment, grid.points()));
    }
    Some(scene)
}

fn paint_curves(scene: &mut Scene, panel: &Panel, drawing: &Drawing<'_>, (moment, points): (Moment, usize)) {
    let curve = |sample: &Sample| sample.curve(moment, points);
    let of = |wanted: Source| drawing.curves.iter().filter(move |(_, source, _)| *source == wanted);
    for (sample, _, color) in of(Source::Real) {
        let curve = curve(sample);
        panel.band(scene, &curve.line, &curve.band, *color);
    }
    for (sample, _, color) in of(Source::Real) {
        panel.line(scene, &curve(sample).line, 2.0, *color);
    }
    // Dashes above the lines, or they could not be seen where both agree.
    for (sample, _, color) in of(Source::Simulated) {
        panel.dashed(scene, &curve(sample).line, 1.5, color.darker());
    }
}

/// All but the rarest: a tail of one trial in a thousand would squeeze all the rest.
fn extent(drawings: &Drawings<'_>, moment: Moment) -> Option<Axis> {
    let samples =
        || drawings.panels.iter().flat_map(|panel| &panel.curves).map(|(sample, ..)| sample.times(moment));
    let least = samples().filter_map(|times| quantile(times, 0.002)).min_by(f64::total_cmp)?;
    let most = samples().filter_map(|times| quantile(times, 0.998)).max_by(f64::total_cmp)?;
    Some(Axis::suiting((least.max(0.1) * 0.9, most.max(1.0) * 1.02), Unit::Time))
}

fn entries(drawings: &Drawings<'_>) -> Vec<Entry> {
    let has = |wanted: Source| {
        drawings.panels.iter().flat_map(|panel| &panel.curves).any(|(_, source, _)| *source == wanted)
    };
    let mut entries: Vec<Entry> =
        drawings.colors.iter().map(|(name, color)| (name.clone(), Look::Solid, *color)).collect();
    if has(Source::Real) {
        entries.push(("real".to_owned(), Look::Solid, INK));
        entries.push(("95 % of the true share".to_owned(), Look::Band, QUIET));
    }
    if has(Source::Simulated) {
        entries.push(("simulated".to_owned(), Look::Dashed, INK));
    }
    entries
}

/// Panels side by side.
struct Grid {
    columns: usize,
    panels: usize,
}

impl Grid {
    fn of(panels: usize) -> Grid {
        let columns = match panels {
            0 | 1 => 1,
            2..=4 => 2,
            5..=12 => 3,
            _ => 4,
        };
        Grid { columns, panels }
    }

    fn rows(&self) -> usize {
        self.panels.div_ceil(self.columns)
    }

    fn row_height(&self) -> f64 {
        match self.columns {
            1 => 330.0,
            2 => 285.0,
            3 => 210.0,
            _ => 175.0,
        }
    }

    /// A small panel shows no more points than it has pixels for.
    fn points(&self) -> usize {
        match self.columns {
            1 | 2 => 300,
            3 => 140,
            _ => 80,
        }
    }

    fn area(&self, place: usize, top: f64) -> Area {
        let (row, column) = (place / self.columns, place % self.columns);
        let gap = 66.0;
        let width = (RIGHT - LEFT - gap * (self.columns - 1) as f64) / self.columns as f64;
        let left = LEFT + column as f64 * (width + gap);
        let top = top + row as f64 * self.row_height();
        let below = if self.columns <= 2 { BELOW + 26.0 } else { 48.0 };
        Area { left, right: left + width, top, bottom: top + self.row_height() - below }
    }
}
