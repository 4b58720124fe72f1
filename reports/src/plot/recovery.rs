//! Outages as bars, one per fault, in the order of the faults.

use super::axis::{self, Scale};
use super::frame::{self, Heading, Mark};
use super::palette::{self, GRID, INK, QUIET};
use super::render::text_width;
use super::scene::{Anchor, Scene, Text, WIDTH};
use crate::results::FaultRecovery;

const ROW_HEIGHT: f64 = 24.0;
const TOP: f64 = 48.0;
const LEFT: f64 = 330.0;
const RIGHT: f64 = WIDTH - 110.0;
const SIZE: f64 = 12.0;

/// More bars than this are a wall: then the longest outages are shown, still in order of time.
const ROWS_MAX: usize = 30;

pub(super) fn scene(faults: &[FaultRecovery]) -> Scene {
    let shown = longest_in_order(faults);
    let bottom = TOP + shown.len() as f64 * ROW_HEIGHT;
    let mut scene = Scene::new(bottom + 40.0);
    let title = match shown.len() {
        all if all == faults.len() => "Time without a success, per fault".to_owned(),
        some => format!("Time without a success: the longest {some} of {} faults", faults.len()),
    };
    let elected = shown.iter().any(|fault| fault.new_leader_ms.is_some());
    let legend = elected.then(|| ("new leader elected".to_owned(), Mark::Disc, INK));
    let heading = Heading { title: &title, unit: "", legend: legend.into_iter().collect() };
    frame::paint_title(&mut scene, &heading);
    let max_ms = shown.iter().map(|fault| fault.outage_ms).fold(1.0, f64::max);
    let scale = Scale::linear((0.0, max_ms), (LEFT, RIGHT));
    for tick in axis::linear_ticks(0.0, max_ms, 6.0) {
        let x = scale.place(tick);
        scene.line(vec![(x, TOP - 4.0), (x, bottom)], 1.0, GRID);
        let words = Text::new(x, bottom + 18.0, SIZE, format!("{} ms", axis::number(tick)));
        scene.text(words.anchor(Anchor::Middle).color(QUIET));
    }
    let kinds: std::collections::BTreeSet<&str> = faults.iter().map(|fault| fault.kind.as_str()).collect();
    for (row, fault) in shown.iter().enumerate() {
        let place = kinds.iter().position(|kind| *kind == fault.kind).unwrap_or(0);
        let color = palette::fault_color(&fault.kind, place);
        let y = TOP + row as f64 * ROW_HEIGHT;
        paint_row(&mut scene, fault, &scale, color, y);
    }
    scene
}

fn paint_row(scene: &mut Scene, fault: &FaultRecovery, scale: &Scale, color: palette::Color, y: f64) {
    let baseline = y + 15.0;
    let since = format!("{:.1} s", fault.applied_ns as f64 / 1e9);
    scene.text(Text::new(72.0, baseline, SIZE, since).anchor(Anchor::End).color(QUIET));
    scene.text(Text::new(84.0, baseline, SIZE, fitting(&fault.label, LEFT - 94.0)));
    let until = scale.place(fault.outage_ms);
    scene.rectangle(LEFT, y + 3.0, (until - LEFT).max(1.0), ROW_HEIGHT - 7.0, color);
    if let Some(x) = leader_place(fault, scale) {
        scene.disc(x, y + ROW_HEIGHT / 2.0 - 0.5, 4.0, INK);
    }
    let open = if fault.recovered { "" } else { " and on" };
    let words = format!("{:.0} ms{open}", fault.outage_ms);
    scene.text(Text::new(until + 8.0, baseline, SIZE, words));
}

/// Leaders count from the fault, bars from the last success before the outage.
fn leader_place(fault: &FaultRecovery, scale: &Scale) -> Option<f64> {
    let began_ms = (fault.outage_began_ns as f64 - fault.applied_ns as f64) / 1e6;
    Some(scale.place(fault.new_leader_ms? - began_ms))
}

fn longest_in_order(faults: &[FaultRecovery]) -> Vec<&FaultRecovery> {
    let mut shown: Vec<&FaultRecovery> = faults.iter().collect();
    shown.sort_by(|left, right| right.outage_ms.total_cmp(&left.outage_ms));
    shown.truncate(ROWS_MAX);
    shown.sort_by_key(|fault| (fault.applied_ns, fault.id));
    shown
}

/// `words`, cut where they would run out of `width`.
pub(super) fn fitting(words: &str, width: f64) -> String {
    if text_width(words, SIZE) <= width {
        return words.to_owned();
    }
    let mut cut = words.to_owned();
    while !cut.is_empty() && text_width(&cut, SIZE) > width - 12.0 {
        cut.pop();
    }
    format!("{cut}…")
}
