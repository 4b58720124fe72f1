//! Outages per kind of fault as a distribution: a dot for each fault, the median and the p99 marked.
//!
//! Drawn by the template in the colours of the page, so that it needs no script and is dark where the page is.

use maud::{Markup, html};

use crate::results::{FaultRecovery, OutageQuantiles};
use crate::wording;
use crate::write::RunView;

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 8.0;
const ROW: f64 = 50.0;
const RADIUS: f64 = 4.0;

/// So many dots stand above each other where they would cover one another.
const STACK_MAX: usize = 6;

/// Shorter is as good as nothing: clients come about so often.
const SHORTEST_MS: f64 = 1.0;

/// The drawing; nothing where no fault was applied.
pub(super) fn figure(run: &RunView<'_>) -> Markup {
    let recovery = &run.results.recovery;
    let scale = Scale::of(&recovery.each);
    let bottom = TOP + recovery.by_fault.len() as f64 * ROW;
    let colors = crate::plot::fault_colors(run.faults);
    let color =
        |kind: &str| colors.iter().find(|(name, _)| name == kind).map_or("#bbbbbb", |(_, color)| color);
    html! {
        @if !recovery.each.is_empty() {
            figure.drawn {
                svg viewBox=(format!("0 0 {WIDTH} {}", bottom + 30.0)) role="img"
                    aria-label="Length of the outage around each fault, per kind of fault, logarithmic; the table below holds the quantiles" {
                    @for tick in scale.ticks() {
                        line .grid x1=(scale.x(tick)) x2=(scale.x(tick)) y1=(TOP) y2=(bottom) {}
                        text .quiet x=(scale.x(tick)) y=(bottom + 18.0) text-anchor="middle" { (tick_words(tick)) }
                    }
                    @for (row, (kind, quantiles)) in recovery.by_fault.iter().enumerate() {
                        @let middle = TOP + (row as f64 + 0.5) * ROW;
                        line .grid x1="0" x2=(WIDTH) y1=(middle + ROW / 2.0) y2=(middle + ROW / 2.0) {}
                        text x="4" y=(middle + 5.0) { (kind) }
                        (dots(&recovery.each, kind, &scale, middle, color(kind)))
                        (marks(quantiles, &scale, middle))
                    }
                }
            }
            p.note {
                "A dot is a fault. The thick mark is the median outage, the thin one the p99; a ring is an outage that had not ended when the history did."
            }
        }
    }
}

fn dots(each: &[FaultRecovery], kind: &str, scale: &Scale, middle: f64, color: &str) -> Markup {
    let mut of_kind: Vec<&FaultRecovery> = each.iter().filter(|fault| fault.kind == kind).collect();
    of_kind.sort_by(|left, right| left.outage_ms.total_cmp(&right.outage_ms));
    let mut stack = (f64::NEG_INFINITY, 0usize);
    let placed = of_kind.into_iter().filter_map(|fault| {
        // Those that fall on one spot stand above each other, from the middle outwards.
        let x = (scale.x(fault.outage_ms) / RADIUS).round() * RADIUS;
        stack = if x == stack.0 { (x, stack.1 + 1) } else { (x, 0) };
        let step = stack.1.div_ceil(2) as f64 * RADIUS * 1.2;
        let y = middle + if stack.1 % 2 == 0 { step } else { -step };
        (stack.1 < STACK_MAX).then_some((fault, x, y))
    });
    let placed: Vec<(&FaultRecovery, f64, f64)> = placed.collect();
    html! {
        @for (fault, x, y) in placed {
            circle cx=(x) cy=(y) r=(RADIUS) fill=(if fault.recovered { color } else { "none" }) stroke=(color) stroke-width="1.5" {
                title { (fault.label) " at " (wording::seconds(fault.applied_ns)) ": " @if !fault.recovered { "at least " } (wording::duration(fault.outage_ms)) }
            }
        }
    }
}

fn marks(quantiles: &OutageQuantiles, scale: &Scale, middle: f64) -> Markup {
    let half = ROW / 2.0 - 6.0;
    html! {
        @if let (Some(p50), Some(p99)) = (quantiles.p50_ms, quantiles.p99_ms) {
            line .median x1=(scale.x(p50)) x2=(scale.x(p50)) y1=(middle - half) y2=(middle + half) {}
            line .tail x1=(scale.x(p99)) x2=(scale.x(p99)) y1=(middle - half) y2=(middle + half) {}
            text x=(WIDTH - 4.0) y=(middle - 2.0) text-anchor="end" { "p50 " (wording::duration(p50)) }
            text .quiet x=(WIDTH - 4.0) y=(middle + 15.0) text-anchor="end" { "p99 " (wording::duration(p99)) " of " (quantiles.count) }
        }
    }
}

/// Milliseconds along the drawing, logarithmic.
struct Scale {
    from_ms: f64,
    until_ms: f64,
}

impl Scale {
    /// From the decade of the shortest to that of the longest.
    fn of(each: &[FaultRecovery]) -> Scale {
        let outages = || each.iter().map(|fault| fault.outage_ms.max(SHORTEST_MS));
        let (min, max) = (outages().fold(f64::MAX, f64::min), outages().fold(SHORTEST_MS, f64::max));
        let from_ms = 10f64.powf(min.min(max).log10().floor());
        Scale { from_ms, until_ms: 10f64.powf(max.log10().ceil()).max(from_ms * 10.0) }
    }

    fn x(&self, ms: f64) -> f64 {
        let part = (ms.max(self.from_ms) / self.from_ms).log10() / (self.until_ms / self.from_ms).log10();
        LEFT + part * (WIDTH - LEFT - RIGHT)
    }

    fn ticks(&self) -> Vec<f64> {
        let decades = (self.until_ms / self.from_ms).log10().round() as i32;
        let steps: &[f64] = if decades <= 3 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let of_decade = |power: i32| steps.iter().map(move |step| self.from_ms * 10f64.powi(power) * step);
        (0..=decades).flat_map(of_decade).filter(|tick| *tick <= self.until_ms * 1.001).collect()
    }
}

fn tick_words(ms: f64) -> String {
    match ms {
        ms if ms >= 1_000.0 => format!("{} s", ms / 1_000.0),
        ms => format!("{ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn fault(kind: &str, outage_ms: f64, recovered: bool) -> FaultRecovery {
        let each = sample::results().recovery.each;
        FaultRecovery { kind: kind.into(), outage_ms, recovered, ..each[0].clone() }
    }

    #[test]
    fn every_fault_of_a_kind_has_a_dot_and_one_without_an_end_a_ring() {
        let mut results = sample::results();
        let outages = [3.0, 40.0, 40.0, 900.0];
        results.recovery.each = outages.map(|ms| fault("kill", ms, ms < 900.0)).into();
        let view = RunView { results: &results, history: &[], faults: &sample::faults(), leaders: &[] };
        let drawing = figure(&view).into_string();
        assert_eq!(drawing.matches("<circle").count(), 4, "{drawing}");
        assert_eq!(drawing.matches(r#"fill="none""#).count(), 1, "{drawing}");
        assert_eq!(drawing.matches("at least 900 ms").count(), 1, "{drawing}");
        assert!(drawing.contains("p50 252 ms"), "{drawing}");
    }

    #[test]
    fn ten_thousand_faults_are_no_longer_than_the_page_is_wide() {
        let mut results = sample::results();
        results.recovery.each = (0..10_000).map(|at| fault("kill", f64::from(at), true)).collect();
        let view = RunView { results: &results, history: &[], faults: &sample::faults(), leaders: &[] };
        assert!(figure(&view).into_string().matches("<circle").count() < 1_500);
    }
}
