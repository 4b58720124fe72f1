//! Scales and ticks: where a value stands, and which values are worth a word.

/// Maps values to logical pixels along one direction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    from: f64,
    until: f64,
    from_px: f64,
    until_px: f64,
    logarithmic: bool,
}

impl Scale {
    /// Equal steps.
    pub(crate) fn linear((from, until): (f64, f64), (from_px, until_px): (f64, f64)) -> Scale {
        Scale { from, until, from_px, until_px, logarithmic: false }
    }

    /// Equal ratios; both ends must be positive.
    pub(crate) fn logarithmic((from, until): (f64, f64), (from_px, until_px): (f64, f64)) -> Scale {
        assert!(0.0 < from && from < until, "no logarithmic scale goes from {from} to {until}");
        Scale { from: from.log10(), until: until.log10(), from_px, until_px, logarithmic: true }
    }

    /// Where a time stands, if it is on the scale.
    pub(crate) fn place_inside(&self, time_ns: u64) -> Option<f64> {
        let time = time_ns as f64;
        (self.from..=self.until).contains(&time).then(|| self.place(time))
    }

    /// Where the part of a span that is on the scale begins and ends.
    pub(crate) fn clip(&self, from_ns: u64, until_ns: u64) -> Option<(f64, f64)> {
        let (from, until) = (from_ns as f64, until_ns as f64);
        let outside = until < self.from || from > self.until;
        (!outside).then(|| (self.place(from), self.place(until)))
    }

    /// Where `value` stands. A value outside the scale stands at its end.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value };
        let part = (value - self.from) / (self.until - self.from);
        self.from_px + part.clamp(0.0, 1.0) * (self.until_px - self.from_px)
    }
}

/// Round values in `from..=until`, about `count` of them, a step of 1, 2 or 5 times a power of ten apart.
pub(crate) fn linear_ticks(from: f64, until: f64, count: f64) -> Vec<f64> {
    let step = round_step((until - from) / count);
    let first = (from / step).ceil() as i64;
    let last = (until / step + 1e-9).floor() as i64;
    (first..=last).map(|number| number as f64 * step).collect()
}

/// The powers of ten in `from..=until`.
pub(crate) fn decades(from: f64, until: f64) -> Vec<f64> {
    let first = (from.log10() - 1e-9).ceil() as i32;
    let last = (until.log10() + 1e-9).floor() as i32;
    (first..=last).map(|power| 10f64.powi(power)).collect()
}

/// The smallest of 1, 2 or 5 times a power of ten that is not below `wanted`.
pub(crate) fn round_step(wanted: f64) -> f64 {
    let wanted = wanted.max(1e-9);
    let power = 10f64.powf(wanted.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let factor = factors.into_iter().find(|factor| factor * power >= wanted * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// A number without needless zeros: `0.25`, `3`, `12.5`.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(linear_ticks(0.0, 30.0, 6.0), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
        assert_eq!(
            linear_ticks(1.15, 1.45, 3.0),
            [1.2, 1.3, 1.4].map(|tick: f64| (tick * 10.0).round() * 0.1)
        );
        assert_eq!(decades(0.1, 2000.0), [0.1, 1.0, 10.0, 100.0, 1000.0]);
    }

    #[test]
    fn a_value_outside_stands_at_the_end() {
        let scale = Scale::logarithmic((1.0, 100.0), (300.0, 100.0));
        assert_eq!(scale.place(10.0), 200.0);
        assert_eq!(scale.place(0.0), 300.0);
        assert_eq!(scale.place(1e9), 100.0);
    }
}
