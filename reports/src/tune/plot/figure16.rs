//! The Raft paper's Figure 16: how much randomness timeouts need (above), and how short they can be (below). Published percentiles are
//! marks, what was simulated is dashed, what was measured is solid.

use super::axes::{Axis, Unit};
use super::legend::{self, Entry, Look};
use super::panel::{self, Area, BELOW, LEFT, Names, Panel, RIGHT};
use super::samples::Moment;
use super::{COLORS, Picture, Samples};
use crate::plot::palette::{Color, INK};
use crate::plot::scene::Scene;
use crate::tune::words::{self, SOURCES};
use crate::tune::{Curve, Elections, Failure, Source, Spread, Tuning};

const TOP: f64 = 40.0;
const HEIGHT: f64 = 270.0;
const POINTS: usize = 300;
/// The panels as the paper has them, each with its axis of times in milliseconds.
const PANELS: [(&str, &str); 2] = [
    ("randomness", "How much randomness is needed (randomness)"),
    ("timeout", "How short timeouts can be (timeout)"),
];

/// The picture, if the figure was asked for.
pub(super) fn picture(tuning: &Tuning, samples: &Samples) -> Option<Picture> {
    let panels: Vec<(&str, Vec<&Curve>)> = PANELS
        .iter()
        .map(|(name, title)| (*title, tuning.figure16.iter().filter(|curve| curve.panel == *name).collect()))
        .filter(|(_, curves): &(_, Vec<&Curve>)| !curves.is_empty())
        .collect();
    if panels.is_empty() {
        return None;
    }
    let heights: Vec<f64> = panels
        .iter()
        .map(|(_, curves)| legend::height(&entries(curves)) + 34.0 + HEIGHT + BELOW + 16.0)
        .collect();
    let looks = looks(tuning);
    let top = TOP + legend::height(&looks) + 12.0;
    let mut scene = Scene::new(top + heights.iter().sum::<f64>());
    panel::paint_title(&mut scene, "Figure 16: until another member heard the new leader");
    legend::paint(&mut scene, &looks, TOP - 4.0);
    let mut above = top;
    for ((title, curves), height) in panels.iter().zip(&heights) {
        paint_panel(&mut scene, (title, curves), samples, above);
        above += height;
    }
    let caption = "The Raft paper's Figure 16: the share of crashes after which another member had heard the new leader, by milliseconds; \
                   published percentiles as discs, simulated dashed, measured on real processes solid.";
    Some(Picture { name: "figure16".into(), caption: caption.into(), scene })
}

fn looks(tuning: &Tuning) -> Vec<Entry> {
    let mut looks = vec![("published".to_owned(), Look::Disc, INK)];
    if tuning.figure16.iter().any(|curve| curve.simulated.is_some()) {
        looks.push(("simulated".to_owned(), Look::Dashed, INK));
    }
    if tuning.figure16.iter().any(|curve| curve.real.is_some()) {
        looks.push(("real".to_owned(), Look::Solid, INK));
    }
    looks
}

fn entries(curves: &[&Curve]) -> Vec<Entry> {
    let names = curves.iter().map(|curve| words::timeout(&curve.timing));
    names.zip(COLORS.into_iter().cycle()).map(|(name, color)| (name, Look::Solid, color)).collect()
}

fn paint_panel(scene: &mut Scene, (title, curves): (&str, &[&Curve]), samples: &Samples, above: f64) {
    let entries = entries(curves);
    let top = above + 26.0 + legend::height(&entries);
    let area = Area { left: LEFT, right: RIGHT, top, bottom: top + HEIGHT };
    let names = Names { x: "since the crash", ..Names::default() };
    let panel = Panel::new(scene, area, [times(curves), Axis::SHARES], names);
    scene.text(crate::plot::scene::Text::new(LEFT, above + 14.0, 12.5, title).bold());
    legend::paint(scene, &entries, above + 18.0);
    for (curve, color) in curves.iter().zip(COLORS.into_iter().cycle()) {
        paint_curve(scene, &panel, (curve, color), samples);
    }
}

/// Equal ratios where curves lie far apart, as those of the upper half do.
fn times(curves: &[&Curve]) -> Axis {
    let spreads = || curves.iter().flat_map(|curve| [&curve.real, &curve.simulated]).flatten();
    let ours = spreads().filter_map(|elections| elections.heartbeat.as_ref());
    let published = curves.iter().flat_map(|curve| &curve.points).map(|point| point.published_ms);
    let all = || ours.clone().flat_map(|spread| [spread.p5, spread.p99]).chain(published.clone());
    let least = all().filter(|ms| *ms > 0.0).fold(f64::INFINITY, f64::min);
    let most = all().filter(|ms| ms.is_finite()).fold(0.0, f64::max);
    if least > most {
        return Axis::logarithmic((10.0, 1_000.0), Unit::Time);
    }
    Axis::logarithmic((least * 0.8, most * 1.15), Unit::Time)
}

fn paint_curve(scene: &mut Scene, panel: &Panel, (curve, color): (&Curve, Color), samples: &Samples) {
    for source in SOURCES {
        let elections = match source {
            Source::Real => &curve.real,
            Source::Simulated => &curve.simulated,
        };
        let Some(elections) = elections else { continue };
        let line = line(curve, source, elections, samples);
        match source {
            Source::Real => panel.line(scene, &line, 2.0, color),
            Source::Simulated => panel.dashed(scene, &line, 1.5, color),
        }
    }
    for point in &curve.points {
        let (x, y) = panel.place(point.published_ms, point.percentile / 100.0);
        scene.disc(x, y, 4.5, color);
        scene.ring(x, y, 4.5, INK);
    }
}

/// The whole distribution where its trials are there, else through its percentiles.
fn line(curve: &Curve, source: Source, elections: &Elections, samples: &Samples) -> Vec<(f64, f64)> {
    let kept = curve.candidate.and_then(|candidate| samples.get(&(candidate, source, Failure::Kill)));
    match kept.filter(|sample| sample.trials() == elections.trials) {
        Some(sample) => sample.curve(Moment::Leader, POINTS).line,
        None => elections.heartbeat.as_ref().map_or(Vec::new(), through),
    }
}

fn through(spread: &Spread) -> Vec<(f64, f64)> {
    let Spread { p5, p25, p50, p75, p90, p99, max, .. } = *spread;
    vec![(p5, 0.05), (p25, 0.25), (p50, 0.5), (p75, 0.75), (p90, 0.9), (p99, 0.99), (max, 1.0)]
}
