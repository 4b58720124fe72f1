//! Axes that suit their numbers: where they begin and end, whether equal steps or equal ratios stand apart, and which of their values
//! are worth a word in which unit.

use crate::plot::axis::{self, Scale};
use crate::tune::words::significant;

/// A direction of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    pub(super) from: f64,
    pub(super) until: f64,
    is_log: bool,
    unit: Unit,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Milliseconds, which are seconds from a thousand on.
    Time,
    /// A share as percent.
    Share,
    /// A number.
    Plain,
}

/// Numbers that lie so far apart want equal ratios.
const LOG_FROM: f64 = 15.0;

impl Axis {
    /// Shares from none to all.
    pub(super) const SHARES: Axis = Axis { from: 0.0, until: 1.0, is_log: false, unit: Unit::Share };

    /// Equal steps.
    pub(super) fn linear((from, until): (f64, f64), unit: Unit) -> Axis {
        let until = if until > from { until } else { from + 1.0 };
        Axis { from, until, is_log: false, unit }
    }

    /// Equal ratios, for what is positive.
    pub(super) fn logarithmic((from, until): (f64, f64), unit: Unit) -> Axis {
        let from = from.max(f64::MIN_POSITIVE);
        let until = if until > from * 1.01 { until } else { from * 10.0 };
        Axis { from, until, is_log: true, unit }
    }

    /// The axis that suits numbers between these: equal ratios where they lie far apart, else equal steps from zero on.
    pub(super) fn suiting((least, most): (f64, f64), unit: Unit) -> Axis {
        let is_wide = least > 0.0 && most / least > LOG_FROM;
        match is_wide {
            true => Axis::logarithmic((least, most), unit),
            false => Axis::linear((least.min(0.0), most), unit),
        }
    }

    /// The same over these pixels.
    pub(super) fn scale(&self, pixels: (f64, f64)) -> Scale {
        let ends = (self.from, self.until);
        if self.is_log { Scale::logarithmic(ends, pixels) } else { Scale::linear(ends, pixels) }
    }

    /// Whether it has this value.
    pub(super) fn has(&self, value: f64) -> bool {
        (self.from..=self.until).contains(&value)
    }

    /// Round values on it, about so many.
    pub(super) fn ticks(&self, count: f64) -> Vec<f64> {
        match self.is_log {
            true => log_ticks(self.from, self.until, count),
            false => axis::linear_ticks(self.from, self.until, count),
        }
    }

    /// A value as it stands beside the axis.
    pub(super) fn word(&self, value: f64) -> String {
        match self.unit {
            Unit::Time if value >= 1_000.0 => format!("{} s", axis::number(value / 1_000.0)),
            Unit::Time => format!("{} ms", axis::number(value)),
            Unit::Share => format!("{} %", axis::number(value * 100.0)),
            Unit::Plain => plain(value),
        }
    }
}

fn plain(value: f64) -> String {
    let is_usual = value == 0.0 || (1e-4..1e6).contains(&value.abs());
    if is_usual { axis::number(value) } else { significant(value) }
}

/// Powers of ten, with what lies between them where there is room for it; every second power, or fewer, where there is not.
fn log_ticks(from: f64, until: f64, count: f64) -> Vec<f64> {
    let powers = axis::decades(from, until);
    if powers.len() as f64 > count {
        let every = (powers.len() as f64 / count).ceil() as usize;
        return powers.into_iter().step_by(every).collect();
    }
    let spans = (until / from).log10();
    let factors: &[f64] = match count / spans {
        wide if wide >= 3.0 => &[1.0, 2.0, 5.0],
        middle if middle >= 2.0 => &[1.0, 3.0],
        _ => &[1.0],
    };
    let first = (from.log10().floor()) as i32;
    let last = (until.log10().ceil()) as i32;
    let all = (first..=last).flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)));
    all.filter(|tick| (from * 0.999..=until * 1.001).contains(tick)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_far_apart_get_equal_ratios() {
        assert_eq!(Axis::suiting((100.0, 600.0), Unit::Time), Axis::linear((0.0, 600.0), Unit::Time));
        assert_eq!(Axis::suiting((10.0, 600.0), Unit::Time), Axis::logarithmic((10.0, 600.0), Unit::Time));
        assert_eq!(Axis::suiting((0.0, 0.0), Unit::Plain).until, 1.0);
    }

    #[test]
    fn ticks_are_as_dense_as_there_is_room() {
        let axis = Axis::logarithmic((10.0, 1_000.0), Unit::Time);
        assert_eq!(axis.ticks(7.0), [10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0]);
        assert_eq!(axis.ticks(4.0), [10.0, 30.0, 100.0, 300.0, 1_000.0]);
        assert_eq!(axis.ticks(3.0), [10.0, 100.0, 1_000.0]);
        let wide = Axis::logarithmic((1e-6, 1e6), Unit::Plain);
        assert_eq!(wide.ticks(5.0).len(), 5);
    }

    #[test]
    fn times_are_seconds_from_a_thousand_milliseconds_on() {
        let axis = Axis::linear((0.0, 2_000.0), Unit::Time);
        assert_eq!([0.0, 250.0, 1_500.0].map(|ms| axis.word(ms)), ["0 ms", "250 ms", "1.5 s"]);
        let rates = Axis::logarithmic((1e-9, 1.0), Unit::Plain);
        assert_eq!([1e-9, 0.001, 1.0].map(|rate| rates.word(rate)), ["1.0e-9", "0.001", "1"]);
    }
}
