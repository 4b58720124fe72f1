//! Faults and leader changes on a time axis: lanes above the plot, a faint shade behind it, marks across it.
//!
//! Faults overlap in time, so each has a bar in a lane of its own; only the shade overlaps.

use super::axis::Scale;
use super::palette::{self, Color, INK, PAPER, QUIET};
use super::render::text_width;
use super::scene::{Anchor, Scene, Text};
use crate::fault::{FaultSpan, LeaderChange};

const LANE_HEIGHT: f64 = 15.0;
const LANES_MAX: usize = 6;
const LABEL_SIZE: f64 = 10.5;
const SHADE: f64 = 0.13;

/// All bands and marks of a run.
#[derive(Debug, Clone)]
pub(super) struct Bands {
    bars: Vec<Bar>,
    lanes: usize,
    leaders: Vec<LeaderMark>,
    /// Kinds in alphabetical order, with their colours.
    kinds: Vec<(String, Color)>,
    /// The end of the run.
    pub(super) end_ns: u64,
}

#[derive(Debug, Clone)]
struct Bar {
    from_ns: u64,
    until_ns: u64,
    lane: usize,
    label: String,
    color: Color,
}

#[derive(Debug, Clone)]
struct LeaderMark {
    time_ns: u64,
    label: String,
}

impl Bands {
    pub(super) fn new(faults: &[FaultSpan], leaders: &[LeaderChange], end_ns: u64) -> Bands {
        let kinds = colored_kinds(faults);
        let mut bars: Vec<Bar> = faults
            .iter()
            .filter_map(|fault| {
                let (from_ns, until_ns) = fault.in_force(end_ns)?;
                let color = kinds.iter().find(|(kind, _)| *kind == fault.kind)?.1;
                let label = fault.label.clone();
                Some(Bar { from_ns, until_ns, lane: 0, label, color })
            })
            .collect();
        bars.sort_by_key(|bar| (bar.from_ns, bar.until_ns));
        let lanes = assign_lanes(&mut bars);
        let leaders = leaders
            .iter()
            .map(|leader| LeaderMark {
                time_ns: u64::try_from(leader.time_ns).unwrap_or(0),
                label: format!("{} t{}", leader.node, leader.term),
            })
            .collect();
        Bands { bars, lanes, leaders, kinds, end_ns }
    }

    /// How much room the lanes need above a plot.
    pub(super) fn height(&self) -> f64 {
        self.lanes as f64 * LANE_HEIGHT
    }

    /// The legend: each kind and its colour.
    pub(super) fn legend(&self) -> impl Iterator<Item = (&str, Color)> {
        self.kinds.iter().map(|(kind, color)| (kind.as_str(), *color))
    }

    /// Whether there is a leader change to explain.
    pub(super) fn has_leaders(&self) -> bool {
        !self.leaders.is_empty()
    }

    /// Paints the lanes with their upper edge at `top`.
    pub(super) fn paint_lanes(&self, scene: &mut Scene, time: &Scale, top: f64) {
        for bar in &self.bars {
            let Some((x, width)) = bar.extent(time) else {
                continue;
            };
            let y = top + bar.lane as f64 * LANE_HEIGHT;
            scene.rectangle(x, y, width, LANE_HEIGHT - 2.0, bar.color.faint(0.85));
            // A label that does not fit loses its target, then its shape, then all.
            let untargeted = bar.label.split('@').next().unwrap_or_default();
            let kind = untargeted.split(':').next().unwrap_or_default();
            let fits = |words: &&str| text_width(words, LABEL_SIZE) + 6.0 <= width;
            if let Some(words) = [bar.label.as_str(), untargeted, kind].into_iter().find(|words| fits(words))
            {
                scene.text(Text::new(x + 3.0, y + 10.0, LABEL_SIZE, words));
            }
        }
    }

    /// Paints the faint shade between `top` and `bottom`; belongs behind everything else.
    pub(super) fn paint_shade(&self, scene: &mut Scene, time: &Scale, (top, bottom): (f64, f64)) {
        for bar in &self.bars {
            if let Some((x, width)) = bar.extent(time) {
                scene.rectangle(x, top, width, bottom - top, bar.color.faint(SHADE));
            }
        }
    }

    /// Paints a line per leader change from `top` to `bottom`, with its label above where there is room.
    pub(super) fn paint_leaders(&self, scene: &mut Scene, time: &Scale, (top, bottom): (f64, f64)) {
        let mut taken_until = f64::NEG_INFINITY;
        for leader in &self.leaders {
            let Some(x) = time.place_inside(leader.time_ns) else {
                continue;
            };
            scene.line(vec![(x, top), (x, bottom)], 1.0, INK.faint(0.45));
            scene.polygon(vec![(x - 4.0, top - 5.0), (x + 4.0, top - 5.0), (x, top + 1.0)], INK);
            let width = text_width(&leader.label, LABEL_SIZE);
            let from = (x + 6.0).min(super::scene::WIDTH - width - 2.0);
            if from >= taken_until + 4.0 && from >= x {
                scene.rectangle(from - 1.0, top - 11.0, width + 2.0, 12.0, PAPER.faint(0.7));
                scene.text(
                    Text::new(from, top - 1.0, LABEL_SIZE, &leader.label).color(QUIET).anchor(Anchor::Start),
                );
                taken_until = from + width;
            } else {
                taken_until = taken_until.max(x + 4.0);
            }
        }
    }
}

impl Bar {
    /// Left edge and width, at least one pixel; `None` where it lies wholly outside the axis.
    fn extent(&self, time: &Scale) -> Option<(f64, f64)> {
        let (from, until) = time.clip(self.from_ns, self.until_ns)?;
        Some((from, (until - from).max(1.0)))
    }
}

pub(super) fn colored_kinds(faults: &[FaultSpan]) -> Vec<(String, Color)> {
    let kinds: std::collections::BTreeSet<&str> =
        faults.iter().filter(|fault| fault.applied_ns.is_some()).map(|fault| fault.kind.as_str()).collect();
    kinds
        .into_iter()
        .enumerate()
        .map(|(place, kind)| (kind.to_owned(), palette::fault_color(kind, place)))
        .collect()
}

/// Gives each bar the first lane that is free at its start; when all are taken, the last is shared.
fn assign_lanes(bars: &mut [Bar]) -> usize {
    let mut free_from_ns = Vec::<u64>::new();
    for bar in bars {
        let free = free_from_ns.iter().position(|&free_ns| free_ns <= bar.from_ns);
        bar.lane = free.unwrap_or_else(|| free_from_ns.len().min(LANES_MAX - 1));
        if bar.lane == free_from_ns.len() {
            free_from_ns.push(0);
        }
        free_from_ns[bar.lane] = free_from_ns[bar.lane].max(bar.until_ns);
    }
    free_from_ns.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(spans: &[(u64, u64)]) -> Vec<usize> {
        let faults: Vec<_> = spans
            .iter()
            .map(|&(from_ns, until_ns)| FaultSpan {
                kind: "kill".into(),
                applied_ns: Some(from_ns),
                undone_ns: Some(until_ns),
                ..FaultSpan::default()
            })
            .collect();
        Bands::new(&faults, &[], 100).bars.iter().map(|bar| bar.lane).collect()
    }

    #[test]
    fn overlapping_faults_get_lanes_of_their_own() {
        assert_eq!(lanes(&[(0, 10), (5, 15), (10, 20), (30, 40)]), [0, 1, 0, 0]);
        assert_eq!(lanes(&[(0, 50); 8]), [0, 1, 2, 3, 4, 5, 5, 5]);
    }
}
