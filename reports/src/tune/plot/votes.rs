//! Split votes: by how wide the range is, as in the dissertation, beside its closed form; and candidate by candidate.

use super::axes::{Axis, Unit};
use super::legend::{self, Look};
use super::panel::{self, Area, BELOW, LEFT, Names, Panel, RIGHT};
use super::{COLORS, Picture};
use crate::plot::palette::{BLUE, Color, INK, QUIET};
use crate::plot::scene::{Anchor, Scene, Text};
use crate::tune::statistics::share_interval;
use crate::tune::words::{self, SOURCES};
use crate::tune::{Candidate, Source, SplitPoint, Tuning, facts};

const TOP: f64 = 40.0;
const NAMES_UNTIL: f64 = 210.0;
const BAR: f64 = 11.0;
const SIZE: f64 = 12.0;

/// The share of first terms without a winner by range over latency, and the closed form as a line.
pub(super) fn by_range(tuning: &Tuning) -> Option<Picture> {
    let mut points: Vec<(f64, &SplitPoint)> = tuning
        .split_votes
        .iter()
        .map(|point| (point.range_ms / point.latency_ms, point))
        .filter(|(ratio, point)| ratio.is_finite() && *ratio > 0.0 && point.trials > 0)
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (first, last) = (points.first()?.0, points.last()?.0);
    let has_line = points.iter().any(|(_, point)| point.closed_form.is_some());
    let mut entries =
        vec![("simulated, with the interval of the true share (95 %)".to_owned(), Look::Disc, BLUE)];
    entries.extend(has_line.then(|| ("the dissertation's closed form".to_owned(), Look::Solid, INK)));
    let top = TOP + legend::height(&entries) + 26.0;
    let area = Area { left: LEFT, right: RIGHT, top, bottom: top + 260.0 };
    let mut scene = Scene::new(area.bottom + BELOW + 6.0);
    panel::paint_title(&mut scene, "First terms without a winner, by the width of the range");
    legend::paint(&mut scene, &entries, TOP - 4.0);
    let most = points.iter().map(|(_, point)| most(point)).fold(0.01, f64::max);
    let axes = [
        Axis::suiting((first * 0.9, last * 1.1), Unit::Plain),
        Axis::linear((0.0, most * 1.08), Unit::Share),
    ];
    let names = Names { x: "width of the range ÷ one-way latency", y: "split votes", ..Names::default() };
    let panel = Panel::new(&mut scene, area, axes, names);
    paint_points(&mut scene, &panel, &points);
    let caption = "The share of failures after which nobody won the first term, by how many one-way latencies wide the range of \
                   timeouts is: simulated, with Wilson's interval for the true share (95 %), and by the dissertation's closed form for one \
                   fixed latency.";
    Some(Picture { name: "split-votes-range".into(), caption: caption.into(), scene })
}

fn most(point: &SplitPoint) -> f64 {
    share_interval(point.split_votes, point.trials)[1].max(point.closed_form.unwrap_or(0.0))
}

fn paint_points(scene: &mut Scene, panel: &Panel, points: &[(f64, &SplitPoint)]) {
    let line: Vec<(f64, f64)> =
        points.iter().filter_map(|(ratio, point)| Some((*ratio, point.closed_form?))).collect();
    panel.line(scene, &line, 1.5, INK.faint(0.75));
    for (ratio, point) in points {
        panel.whisker(scene, *ratio, share_interval(point.split_votes, point.trials), BLUE);
        let (x, y) = panel.place(*ratio, point.split_votes as f64 / point.trials as f64);
        scene.disc(x, y, 4.0, BLUE);
    }
}

/// Terms without a winner among all terms, one row a candidate.
pub(super) fn by_candidate(tuning: &Tuning) -> Option<Picture> {
    let sources = tuning.sources();
    if tuning.candidates.iter().all(has_no_terms) {
        return None;
    }
    let row = BAR * sources.len() as f64 + 12.0;
    let entries: Vec<legend::Entry> = sources
        .iter()
        .map(|&source| (source.name().to_owned(), Look::Solid, color(source)))
        .chain([("the true share lies in there (95 %)".to_owned(), Look::Solid, QUIET)])
        .collect();
    let top = TOP + legend::height(&entries) + 12.0;
    let bottom = top + row * tuning.candidates.len() as f64;
    let mut scene = Scene::new(bottom + BELOW + 6.0);
    panel::paint_title(&mut scene, "Terms that nobody won, by candidate");
    legend::paint(&mut scene, &entries, TOP - 4.0);
    let most = tuning
        .candidates
        .iter()
        .flat_map(|candidate| sources.iter().map(|&source| share(candidate, source)[2]));
    let axes = [
        Axis::linear((0.0, most.fold(0.005, f64::max) * 1.02), Unit::Share),
        // Rows count downwards, and no words stand beside them but the names.
        Axis::linear((0.0, 0.5), Unit::Plain),
    ];
    let area = Area { left: NAMES_UNTIL, right: RIGHT - 60.0, top, bottom };
    let panel = Panel::without_values(&mut scene, area, axes, "of all terms that somebody stood for");
    for (place, (candidate, name)) in
        tuning.candidates.iter().zip(words::names(&tuning.candidates)).enumerate()
    {
        let y = top + place as f64 * row + 6.0;
        let words =
            Text::new(NAMES_UNTIL - 10.0, y + (row - 12.0) / 2.0 + 4.0, SIZE, name).anchor(Anchor::End);
        scene.text(if tuning.recommended() == Some(place) { words.bold() } else { words });
        for (number, &source) in sources.iter().enumerate() {
            paint_bar(&mut scene, &panel, (candidate, source), y + number as f64 * BAR);
        }
    }
    let caption = "The share of terms that somebody stood for and nobody won, after all failures of each candidate together, with Wilson's \
                   interval for the true share (95 %).";
    Some(Picture { name: "split-votes".into(), caption: caption.into(), scene })
}

fn has_no_terms(candidate: &Candidate) -> bool {
    SOURCES.iter().all(|&source| candidate.split_votes(source).of == 0)
}

fn color(source: Source) -> Color {
    match source {
        Source::Real => COLORS[0],
        Source::Simulated => COLORS[4],
    }
}

/// The share, and where the true one lies.
fn share(candidate: &Candidate, source: Source) -> [f64; 3] {
    let facts::SplitVotes { split, of } = candidate.split_votes(source);
    if of == 0 {
        return [0.0; 3];
    }
    let [low, high] = share_interval(split, of);
    [split as f64 / of as f64, low, high]
}

fn paint_bar(scene: &mut Scene, panel: &Panel, (candidate, source): (&Candidate, Source), y: f64) {
    if candidate.split_votes(source).of == 0 {
        return;
    }
    let [share, low, high] = share(candidate, source);
    let [from, until, low, high] = [0.0, share, low, high].map(|share| panel.x.place(share));
    let middle = y + (BAR - 2.0) / 2.0;
    scene.rectangle(from, y, (until - from).max(1.0), BAR - 2.0, color(source).faint(0.8));
    scene.line(vec![(low, middle), (high, middle)], 1.0, INK);
    for end in [low, high] {
        scene.line(vec![(end, middle - 3.0), (end, middle + 3.0)], 1.0, INK);
    }
    let words = Text::new(high.max(until) + 7.0, y + BAR - 2.0, SIZE - 1.5, words::percent(share));
    scene.text(words.color(QUIET));
}
