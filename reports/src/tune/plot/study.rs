//! Pictures of studies: lines over what was varied, each point with its interval. What a study asks is not known here.

use super::axes::{Axis, Unit};
use super::legend::{self, Look};
use super::panel::{self, Area, BELOW, LEFT, Names, Panel, RIGHT};
use super::{COLORS, Picture, study_name};
use crate::plot::scene::Scene;
use crate::tune::{Study, StudyChart, StudyLine};

const TOP: f64 = 40.0;

/// One picture a chart that has points.
pub(super) fn pictures(study: &Study) -> impl Iterator<Item = Picture> {
    study.charts.iter().enumerate().filter_map(|(place, chart)| {
        let scene = scene(chart)?;
        let caption = format!("{}: {} by {}, with intervals of 95 %.", chart.title, chart.y, chart.x);
        Some(Picture { name: study_name(&study.name, place), caption, scene })
    })
}

fn scene(chart: &StudyChart) -> Option<Scene> {
    let axes = [places(chart)?, values(chart)?];
    let entries: Vec<legend::Entry> = chart
        .lines
        .iter()
        .zip(COLORS.into_iter().cycle())
        .map(|(line, color)| (line.name.clone(), Look::Solid, color))
        .collect();
    let top = TOP + legend::height(&entries) + 26.0;
    let area = Area { left: LEFT, right: RIGHT, top, bottom: top + 260.0 };
    let mut scene = Scene::new(area.bottom + BELOW + 6.0);
    panel::paint_title(&mut scene, &chart.title);
    legend::paint(&mut scene, &entries, TOP - 4.0);
    let panel = Panel::new(&mut scene, area, axes, Names { x: &chart.x, y: &chart.y, title: "" });
    for (line, color) in chart.lines.iter().zip(COLORS.into_iter().cycle()) {
        let points: Vec<[f64; 4]> = drawn(line, chart.is_log).collect();
        for [x, _, low, high] in &points {
            panel.whisker(&mut scene, *x, [*low, *high], color.faint(0.55));
        }
        let through: Vec<(f64, f64)> = points.iter().map(|[x, y, ..]| (*x, *y)).collect();
        panel.line(&mut scene, &through, 2.0, color);
        for (x, y) in through {
            let (x, y) = panel.place(x, y);
            scene.disc(x, y, 3.5, color);
        }
    }
    Some(scene)
}

/// What has a place: numbers, and on an axis of ratios positive ones.
fn drawn(line: &StudyLine, is_log: bool) -> impl Iterator<Item = [f64; 4]> {
    let has_place =
        move |point: &&[f64; 4]| point.iter().all(|part| part.is_finite()) && (!is_log || point[1] > 0.0);
    line.points.iter().filter(has_place).copied()
}

fn places(chart: &StudyChart) -> Option<Axis> {
    let all = || chart.lines.iter().flat_map(|line| drawn(line, chart.is_log)).map(|point| point[0]);
    let least = all().min_by(f64::total_cmp)?;
    let most = all().max_by(f64::total_cmp)?;
    let is_wide = least > 0.0 && most / least > 15.0;
    Some(match is_wide {
        true => Axis::logarithmic((least * 0.9, most * 1.1), Unit::Plain),
        false => {
            let air = (most - least).max(least.abs() * 0.1).max(1e-9) * 0.03;
            Axis::linear((least - air, most + air), Unit::Plain)
        }
    })
}

fn values(chart: &StudyChart) -> Option<Axis> {
    let all = || chart.lines.iter().flat_map(|line| drawn(line, chart.is_log));
    let most = all().map(|point| point[1].max(point[3])).max_by(f64::total_cmp)?;
    let least = all().map(|point| point[1].min(point[2])).min_by(f64::total_cmp)?;
    if !chart.is_log {
        return Some(Axis::linear((least.min(0.0), most * 1.05), Unit::Plain));
    }
    // An interval that begins at nothing has no lower end on such an axis.
    let least =
        all().map(|point| if point[2] > 0.0 { point[2] } else { point[1] / 3.0 }).min_by(f64::total_cmp)?;
    Some(Axis::logarithmic((least * 0.8, most * 1.25), Unit::Plain))
}
