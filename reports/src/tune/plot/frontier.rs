//! The frontier: what each candidate buys and costs, outage against false elections, both with their intervals. Who is beaten is paler; what is left
//! is the choice.

use super::Picture;
use super::axes::{Axis, Unit};
use super::legend::{self, Entry, Look};
use super::panel::{self, Area, BELOW, LEFT, Names, Panel, RIGHT};
use crate::plot::palette::{BLUE, Color, GREEN, PAPER, QUIET};
use crate::plot::render::text_width;
use crate::plot::scene::{Scene, Text};
use crate::tune::words;
use crate::tune::{Target, Tuning};
use crate::wording::duration;

const TOP: f64 = 40.0;
const SIZE: f64 = 12.0;
/// So long is the arrow below a rate of which only the upper bound is known.
const ARROW: f64 = 20.0;
/// With more candidates than this, only those have names that are not beaten.
const NAMED_MAX: usize = 14;

/// A candidate that can be drawn.
struct Point {
    name: String,
    outage: f64,
    outage_ends: [Option<f64>; 2],
    /// The rate, or its upper bound where nothing was seen.
    rate: f64,
    rate_ends: Option<[f64; 2]>,
    is_bound: bool,
    is_beaten: bool,
    is_recommended: bool,
}

/// The picture, if any candidate has figures.
pub(super) fn picture(tuning: &Tuning) -> Option<Picture> {
    let mut points = points(tuning);
    let axes = axes(&points, tuning.target)?;
    // What matters most is painted last, and is named first.
    points.sort_by_key(|point| (point.is_recommended, !point.is_beaten));
    let entries = entries(&points);
    let top = TOP + legend::height(&entries) + 26.0;
    let area = Area { left: LEFT + 8.0, right: RIGHT, top, bottom: top + 360.0 };
    let mut scene = Scene::new(area.bottom + BELOW + 6.0);
    panel::paint_title(&mut scene, "Outage against false elections");
    legend::paint(&mut scene, &entries, TOP - 4.0);
    let names = Names {
        x: "outage, p99 (less is better)",
        y: "false elections per hour (less is better)",
        ..Names::default()
    };
    let panel = Panel::new(&mut scene, area, axes, names);
    match tuning.target {
        Some(Target::OutageMs(ms)) => panel.wall(&mut scene, ms, &format!("target: {}", duration(ms))),
        Some(Target::FalseElectionsPerHour(rate)) => {
            panel.floor(&mut scene, rate, &format!("target: {}", words::rate(rate)));
        }
        None => {}
    }
    for point in &points {
        paint_point(&mut scene, &panel, point);
    }
    paint_names(&mut scene, &panel, &points, area);
    let caption = "Each candidate by its outage (99 of 100 failures are over for writes after so long) and by how often a leader that is \
                   well loses its place, per hour, logarithmic; lines are intervals of 95 %. An arrow stands where no false election \
                   was seen, at the upper bound of the rate. Pale ones are beaten: another candidate is better one way and not worse the other.";
    Some(Picture { name: "frontier".into(), caption: caption.into(), scene })
}

fn points(tuning: &Tuning) -> Vec<Point> {
    let beaten = tuning.beaten();
    let names = words::names(&tuning.candidates);
    let all = tuning.candidates.iter().zip(names).zip(beaten).enumerate();
    let points = all.map(|(place, ((candidate, name), is_beaten))| {
        let rate_ends = candidate.false_elections_interval();
        let rate = candidate.false_elections_per_hour;
        let is_bound = rate <= 0.0;
        Point {
            name,
            outage: candidate.outage_p99_ms,
            outage_ends: candidate.outage_p99_interval(),
            rate: if is_bound { rate_ends.map_or(0.0, |[_, high]| high) } else { rate },
            rate_ends,
            is_bound,
            is_beaten,
            is_recommended: tuning.recommended() == Some(place),
        }
    });
    points.filter(|point| point.outage.is_finite() && point.outage > 0.0 && point.rate.is_finite()).collect()
}

/// Wide enough for all intervals but the lower ends of rates, which may lie at nothing.
fn axes(points: &[Point], target: Option<Target>) -> Option<[Axis; 2]> {
    let outages = points.iter().flat_map(|point| {
        let [low, high] = point.outage_ends.map(|end| end.unwrap_or(point.outage));
        [point.outage, low, high]
    });
    let target_ms = match target {
        Some(Target::OutageMs(ms)) => Some(ms),
        Some(Target::FalseElectionsPerHour(_)) | None => None,
    };
    let target_rate = match target {
        Some(Target::FalseElectionsPerHour(rate)) => Some(rate),
        Some(Target::OutageMs(_)) | None => None,
    };
    let [least, most] = ends(outages.chain(target_ms))?;
    let rates = points.iter().flat_map(|point| [point.rate, point.rate_ends.map_or(0.0, |[_, high]| high)]);
    // Without any rate above nothing all of them stand at the bottom.
    let [low, high] = ends(rates.chain(target_rate).filter(|rate| *rate > 0.0)).unwrap_or([0.1, 1.0]);
    let x = match most / least > 6.0 {
        true => Axis::logarithmic((least * 0.85, most * 1.3), Unit::Time),
        false => Axis::linear((0.0, most * 1.12), Unit::Time),
    };
    let (from, until) = (10f64.powf((low / 3.0).log10().floor()), 10f64.powf((high * 1.5).log10().ceil()));
    Some([x, Axis::logarithmic((from, until), Unit::Plain)])
}

fn ends(values: impl Iterator<Item = f64>) -> Option<[f64; 2]> {
    let (least, most) =
        values.fold((f64::INFINITY, 0.0f64), |(least, most), value| (least.min(value), most.max(value)));
    (least <= most && least > 0.0).then_some([least, most])
}

fn color(point: &Point) -> Color {
    if point.is_recommended { GREEN } else { BLUE }
}

fn strength(point: &Point) -> f64 {
    if point.is_beaten && !point.is_recommended { 0.35 } else { 1.0 }
}

fn entries(points: &[Point]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut add = |has: bool, name: &str, look, color| {
        entries.extend(has.then(|| (name.to_owned(), look, color)));
    };
    add(points.iter().any(|point| point.is_recommended), "recommended", Look::Disc, GREEN);
    add(points.iter().any(|point| !point.is_beaten && !point.is_recommended), "not beaten", Look::Disc, BLUE);
    add(points.iter().any(|point| point.is_beaten), "beaten by another", Look::Faint, BLUE);
    add(points.iter().any(|point| point.is_bound), "arrow: none seen, at most so many", Look::Ring, QUIET);
    entries
}

fn paint_point(scene: &mut Scene, panel: &Panel, point: &Point) {
    let (color, strength) = (color(point), strength(point));
    let faint = color.faint(0.55 * strength);
    let [low, high] = point.outage_ends.map(|end| end.unwrap_or(point.outage));
    if low < high {
        panel.sideways(scene, point.rate, [low, high], faint);
    }
    let (x, y) = panel.place(point.outage, point.rate);
    if point.is_bound {
        scene.line(vec![(x, y), (x, y + ARROW)], 1.5, color.faint(strength));
        let tip = vec![(x - 4.5, y + ARROW - 5.0), (x + 4.5, y + ARROW - 5.0), (x, y + ARROW + 3.0)];
        scene.polygon(tip, color.faint(strength));
        scene.disc(x, y, 5.0, PAPER);
        scene.ring(x, y, 5.0, color.faint(strength));
        return;
    }
    if let Some(ends) = point.rate_ends {
        panel.whisker(scene, point.outage, ends, faint);
    }
    scene.disc(x, y, 5.0, PAPER);
    scene.disc(x, y, 5.0, color.faint(strength));
    if point.is_recommended {
        scene.ring(x, y, 9.0, color);
    }
}

/// Names stand beside their points where there is room; of those for whom there is none, the table tells.
fn paint_names(scene: &mut Scene, panel: &Panel, points: &[Point], area: Area) {
    let mut taken: Vec<[f64; 4]> = points
        .iter()
        .map(|point| {
            let (x, y) = panel.place(point.outage, point.rate);
            let below = if point.is_bound { ARROW + 4.0 } else { 6.0 };
            [x - 6.0, y - 6.0, x + 6.0, y + below]
        })
        .collect();
    let is_named = |point: &&Point| points.len() <= NAMED_MAX || !point.is_beaten || point.is_recommended;
    for point in points.iter().rev().filter(is_named) {
        let words =
            if point.is_recommended { format!("{}, recommended", point.name) } else { point.name.clone() };
        let width = text_width(&words, SIZE);
        let (x, y) = panel.place(point.outage, point.rate);
        let boxes = [
            (11.0, 4.0),
            (11.0, -9.0),
            (11.0, 17.0),
            (-width - 11.0, 4.0),
            (-width - 11.0, -9.0),
            (-width - 11.0, 17.0),
        ]
        .map(|(right, down)| [x + right, y + down - 10.0, x + right + width, y + down + 2.0]);
        let is_free = |place: &&[f64; 4]| {
            place[0] >= area.left && place[2] <= area.right && !taken.iter().any(|other| touch(place, other))
        };
        let Some(&place) = boxes.iter().find(is_free) else { continue };
        taken.push(place);
        scene.rectangle(place[0] - 1.0, place[1], width + 2.0, place[3] - place[1], PAPER.faint(0.75));
        let text = Text::new(place[0], place[3] - 2.0, SIZE, words);
        scene.text(match (point.is_recommended, point.is_beaten) {
            (true, _) => text.bold(),
            (false, true) => text.color(QUIET),
            (false, false) => text,
        });
    }
}

fn touch(one: &[f64; 4], other: &[f64; 4]) -> bool {
    one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3]
}
