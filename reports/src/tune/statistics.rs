//! What can be said of numbers that came by chance: percentiles, rates and shares, each with the interval that holds the true one
//! with 95 % confidence. No distribution is assumed of times; counts of rare things are taken as Poisson's.

use super::Spread;

impl Spread {
    /// Where these numbers lie; `None` of none.
    pub fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let [p5, p25, p50, p75, p90, p99] = [0.05, 0.25, 0.5, 0.75, 0.9, 0.99].map(|q| quantile(&values, q));
        Some(Spread {
            mean: values.iter().sum::<f64>() / values.len() as f64,
            p5: p5?,
            p25: p25?,
            p50: p50?,
            p50_interval: quantile_interval(&values, 0.5),
            p75: p75?,
            p90: p90?,
            p99: p99?,
            p99_interval: quantile_interval(&values, 0.99),
            max: *values.last()?,
        })
    }
}

/// The quantile `q` of numbers in order: the least one that is not below a share `q` of them. `None` of none.
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let place = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(place.max(1) - 1).copied()
}

/// The true quantile `q` lies between these with 95 % confidence (order statistics, whose ranks are binomial; by the normal
/// approximation). `None` on a side where the numbers are too few to tell.
pub fn quantile_interval(sorted: &[f64], q: f64) -> [Option<f64>; 2] {
    let count = sorted.len() as f64;
    let width = 1.96 * (count * q * (1.0 - q)).sqrt();
    let low = (count * q - width).floor();
    let high = (count * q + width).ceil() + 1.0;
    let at = |rank: f64| (rank >= 1.0 && rank <= count).then(|| sorted[rank as usize - 1]);
    [at(low), at(high)]
}

/// The true rate per `exposure` of a thing that happened `count` times lies between these with 95 % confidence: the exact Poisson
/// interval, by the Wilson–Hilferty approximation of chi-square (within 1 % from one event on).
pub fn rate_interval(count: u64, exposure: f64) -> [f64; 2] {
    let bound = |events: f64, z: f64| {
        let ninth = 1.0 / (9.0 * events);
        events * (1.0 - ninth + z * ninth.sqrt()).powi(3)
    };
    let low = if count == 0 { 0.0 } else { bound(count as f64, -1.96).max(0.0) };
    // With none seen, 3.0 events are the most that leaves nothing to be seen once in twenty times ("rule of three").
    let high = if count == 0 { 3.0 } else { bound(count as f64 + 1.0, 1.96) };
    [low / exposure, high / exposure]
}

/// The true share lies between these with 95 % confidence (Wilson's interval).
pub fn share_interval(count: u64, of: u64) -> [f64; 2] {
    if of == 0 {
        return [0.0, 1.0];
    }
    let (n, p, z2) = (of as f64, count as f64 / of as f64, 1.96 * 1.96);
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = 1.96 / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    [(centre - half).max(0.0), (centre + half).min(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_numbers_that_occurred() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!((quantile(&values, 0.5), quantile(&values, 0.99)), (Some(100.0), Some(198.0)));
        assert_eq!((quantile(&values, 0.0), quantile(&[], 0.5)), (Some(1.0), None));
    }

    /// Exact binomial ranks for n = 200: 86 and 115 for the median (tables of order statistics).
    #[test]
    fn intervals_of_quantiles_are_ranks() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(quantile_interval(&values, 0.5), [Some(86.0), Some(115.0)]);
        assert_eq!(quantile_interval(&values, 0.99), [Some(195.0), None], "the maximum bounds nothing");
        assert_eq!(quantile_interval(&[1.0], 0.5)[0], None);
    }

    /// Garwood's exact limits for 1, 10 and 100 events: 0.0253 to 5.572, 4.795 to 18.39, 81.36 to 121.6.
    #[test]
    fn intervals_of_rates_are_as_tabled() {
        for (count, low, high) in [(1, 0.0253, 5.572), (10, 4.795, 18.39), (100, 81.36, 121.63)] {
            let [a, b] = rate_interval(count, 1.0);
            assert!(
                (a - low).abs() < 0.02 * low.max(1.0) && (b - high).abs() < 0.01 * high,
                "{count}: {a} {b}"
            );
        }
        assert_eq!(rate_interval(0, 2.0), [0.0, 1.5]);
    }

    #[test]
    fn intervals_of_shares_hold_the_share() {
        let [low, high] = share_interval(10, 100);
        assert!((low - 0.0552).abs() < 1e-3 && (high - 0.1744).abs() < 1e-3, "{low} {high}");
        assert_eq!(share_interval(0, 0), [0.0, 1.0]);
    }
}
