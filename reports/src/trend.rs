//! Where a figure changed for good: a series of nights goes in, the nights after which it is another one come out.
//!
//! Not a percentage: figures of equal runs differ by chance, each in its own measure. The last few nights are held against
//! those before them by ranks alone (Wilcoxon, Mann and Whitney), so nothing is assumed of how a figure is distributed, and one
//! night gone wrong weighs no more than any other.
//!
//! ```text
//!        baseline (up to 100 nights)          last 3, 5 or 8
//!  ms    •  •• •  • •   •  • ••  • •  •    │    •
//!          •    •  •  •  •    •   •   •    │  •   •  •  •
//!                                          └ changed here
//! ```
//!
//! **False alarms.** A test of equal nights is wrong with probability [`ALPHA`] at most: ranks have no other distribution.
//! It is made for three windows each night, and [`ALPHA`] is such that 200 nights of equal runs give half an
//! alarm on average at most, by the sum over all tests. Tests of neighbouring nights share most of their data, so in truth it is less;
//! the tests below measure it. Nights must be alike but for the commit: a change of machine is a change.

/// The windows at the end of the series that are held against what was before, in nights.
const WINDOWS: [usize; 3] = [3, 5, 8];
/// No more nights than this are a baseline: what is longer ago says little.
const BASELINE_MAX: usize = 100;
/// With fewer, nothing is said.
const BASELINE_MIN: usize = 4;
/// Of equal nights, in expectation, per [`NIGHTS`] nights.
pub const FALSE_ALARMS: f64 = 0.5;
/// What [`FALSE_ALARMS`] counts on.
pub const NIGHTS: usize = 200;
/// The probability with which one test of equal nights may be wrong, both directions together.
pub const ALPHA: f64 = FALSE_ALARMS / (NIGHTS * WINDOWS.len()) as f64;
/// A change by less than this part is not worth a word, however sure it is: so much do equal runs differ from one hour to the
/// next on a machine with other work (medians of 20 of the recorded runs lie between 176 and 202 ms).
pub const EFFECT_MIN: f64 = 0.15;

/// Up to so many values on both sides together, ranks are counted out; beyond, a normal curve is exact enough.
const EXACT_MAX: usize = 120;

/// A night after which the figure is another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// The first night of the new level, counted from 0.
    pub at: usize,
    /// The night with which it was sure.
    pub found: usize,
    /// Median of the nights before.
    pub before: f64,
    /// Median of the last nights, up to `found`.
    pub after: f64,
    /// How probable so great a difference is between equal nights.
    pub chance: f64,
}

impl Change {
    /// `after` in parts of `before`: 1.3 is 30 % more.
    pub fn ratio(&self) -> f64 {
        self.after / self.before
    }
}

/// The changes in `nights`, each the values of its runs, in order of time. A night without values is passed over.
///
/// What comes after a change is held against the new level.
pub fn changes(nights: &[Vec<f64>]) -> Vec<Change> {
    let nights: Vec<Night<'_>> = nights.iter().enumerate().filter_map(Night::of).collect();
    let mut changes: Vec<Change> = Vec::new();
    let mut level_began = 0;
    for until in 1..=nights.len() {
        let candidates = WINDOWS.iter().filter_map(|&window| {
            let at = until.checked_sub(window).filter(|&at| at >= level_began + BASELINE_MIN)?;
            let baseline = &nights[level_began.max(at.saturating_sub(BASELINE_MAX))..at];
            compare(baseline, &nights[at..until]).map(|change| (at, change))
        });
        let surest = candidates.min_by(|(_, a), (_, b)| a.chance.total_cmp(&b.chance));
        if let Some((at, change)) = surest {
            let level = &nights[level_began.max(at.saturating_sub(BASELINE_MAX))..until];
            let place = until - level.len() + best_split(level, until - at);
            changes.push(Change { at: nights[place].place, ..change });
            level_began = place;
        }
    }
    changes
}

/// Where the level changed: a window may begin a night or two too early and still be sure. Of the places within it, the one
/// from which both sides stray least from their medians.
fn best_split(nights: &[Night<'_>], window: usize) -> usize {
    let medians: Vec<f64> = nights.iter().map(|night| night.median).collect();
    let stray = |side: &[f64]| {
        let middle = median(side).unwrap_or(0.0);
        side.iter().map(|value| (value - middle).abs()).sum::<f64>()
    };
    let cost = |split: usize| stray(&medians[..split]) + stray(&medians[split..]);
    let first = nights.len() - window;
    let splits = first..nights.len();
    splits.min_by(|a, b| cost(*a).total_cmp(&cost(*b))).unwrap_or(first)
}

/// One night with values.
struct Night<'a> {
    place: usize,
    values: &'a [f64],
    median: f64,
}

impl<'a> Night<'a> {
    fn of((place, values): (usize, &'a Vec<f64>)) -> Option<Night<'a>> {
        Some(Night { place, median: median(values)?, values })
    }
}

fn compare(baseline: &[Night<'_>], recent: &[Night<'_>]) -> Option<Change> {
    let [old, new] =
        [baseline, recent].map(|nights| nights.iter().map(|night| night.median).collect::<Vec<f64>>());
    let (before, after) = (median(&old)?, median(&new)?);
    let is_worth_a_word = before > 0.0 && after > 0.0 && (after / before).ln().abs() >= EFFECT_MIN.ln_1p();
    let by_night = chance(&old, &new);
    // Two ways to be wrong are twice the chance.
    let chance = match chance_by_runs(baseline, recent, &old, &new) {
        Some(by_run) => (2.0 * by_night.min(by_run)).min(1.0),
        None => by_night,
    };
    (is_worth_a_word && chance <= ALPHA).then_some(Change {
        at: recent[0].place,
        found: recent[recent.len() - 1].place,
        before,
        after,
        chance,
    })
}

/// Where nights are few but have many runs, the runs are what is ranked. Runs of one night may be wrong together, so besides all
/// recent nights must lie beyond all others. `None` where each night has one run.
fn chance_by_runs(baseline: &[Night<'_>], recent: &[Night<'_>], old: &[f64], new: &[f64]) -> Option<f64> {
    let runs =
        |nights: &[Night<'_>]| nights.iter().flat_map(|night| night.values).copied().collect::<Vec<f64>>();
    let (old_runs, new_runs) = (runs(baseline), runs(recent));
    if (old_runs.len(), new_runs.len()) == (old.len(), new.len()) {
        return None;
    }
    let is_beyond =
        |order: fn(&f64, &f64) -> bool| new.iter().all(|new| old.iter().all(|old| order(new, old)));
    let are_apart = is_beyond(f64::gt) || is_beyond(f64::lt);
    Some(if are_apart { chance(&old_runs, &new_runs) } else { 1.0 })
}

/// The probability, under equal distributions, of ranks so far apart, in either direction. Ties count as half.
fn chance(old: &[f64], new: &[f64]) -> f64 {
    let pairs = (old.len() * new.len()) as f64;
    let mut sorted = old.to_vec();
    sorted.sort_by(f64::total_cmp);
    let above: f64 = new
        .iter()
        .map(|value| {
            let below = sorted.partition_point(|other| other < value);
            let up_to = sorted.partition_point(|other| other <= value);
            (below + up_to) as f64 / 2.0
        })
        .sum();
    // Rounded towards equality: a half pair is no evidence.
    let smaller = above.min(pairs - above).ceil() as usize;
    let tail = match old.len() + new.len() {
        all if all <= EXACT_MAX => exact_tail(old.len(), new.len(), smaller),
        _ => normal_tail(old.len() as f64, new.len() as f64, smaller as f64),
    };
    (2.0 * tail).min(1.0)
}

/// P(U ≤ `smaller`) where all orders of `m` and `n` values are equally likely.
///
/// The number of orders with U = u is the coefficient of q^u in the Gaussian binomial (m+n choose n): multiply by
/// (1 - q^(m+i)) and divide by (1 - q^i), for i up to n, and keep what is needed. The sum of all coefficients is (m+n choose n).
fn exact_tail(m: usize, n: usize, smaller: usize) -> f64 {
    let mut orders = vec![0.0f64; smaller + 1];
    orders[0] = 1.0;
    let mut all = 1.0;
    for i in 1..=n {
        for u in (m + i..=smaller).rev() {
            orders[u] -= orders[u - m - i];
        }
        for u in i..=smaller {
            orders[u] += orders[u - i];
        }
        all *= (m + i) as f64 / i as f64;
    }
    orders.iter().sum::<f64>() / all
}

/// The same by the normal curve with the same mean and variance, and half a step of correction.
fn normal_tail(m: f64, n: f64, smaller: f64) -> f64 {
    let deviation = (m * n * (m + n + 1.0) / 12.0).sqrt();
    let z = (m * n / 2.0 - smaller - 0.5) / deviation;
    upper_tail(z)
}

/// P(Z > z) of the standard normal curve: the continued fraction of Laplace in the tail, and a series of Marsaglia's near the middle.
fn upper_tail(z: f64) -> f64 {
    let density = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if z > 3.0 {
        let fraction = (1..=60).rev().fold(z, |rest, k| z + f64::from(k) / rest);
        return density / fraction;
    }
    let (mut sum, mut term, mut k) = (z, z, 1.0);
    while term.abs() > 1e-17 {
        k += 2.0;
        term *= z * z / k;
        sum += term;
    }
    0.5 - density * sum
}

/// The middle value; of an even number, the mean of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some(lower.midpoint(*upper))
}

#[cfg(test)]
mod tests {
    use rand::seq::SliceRandom;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const SEED: u64 = 20_261_126;

    /// The median outage, in milliseconds, of 200 runs that differ in their seeds only; docs/index.md has the command.
    fn recorded() -> Vec<f64> {
        values(include_str!("../testdata/recovery_p50_of_200_equal_runs.txt"))
    }

    /// Recorded when the rule had been made: what it was not made for.
    fn recorded_later() -> Vec<f64> {
        values(include_str!("../testdata/recovery_p50_of_200_more_runs.txt"))
    }

    fn values(text: &str) -> Vec<f64> {
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.parse().expect("a number"))
            .collect()
    }

    fn nights(values: &[f64], runs: usize) -> Vec<Vec<f64>> {
        values.chunks(runs).map(<[f64]>::to_vec).collect()
    }

    /// What is in `values`, in a new order, again and again.
    fn drawn(values: &[f64], count: usize, random: &mut ChaCha8Rng) -> Vec<f64> {
        (0..count).map(|_| values[random.random_range(0..values.len())]).collect()
    }

    /// Lognormal: sums of twelve uniform numbers are normal enough, and these tails are lighter than none.
    fn lognormal(sigma: f64, count: usize, random: &mut ChaCha8Rng) -> Vec<f64> {
        let normal = |random: &mut ChaCha8Rng| (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
        (0..count).map(|_| 200.0 * (sigma * normal(random)).exp()).collect()
    }

    fn alarms_per_series(mut series: impl FnMut() -> Vec<Vec<f64>>) -> f64 {
        const SERIES: usize = 400;
        (0..SERIES).map(|_| changes(&series()).len()).sum::<usize>() as f64 / SERIES as f64
    }

    /// How often a figure that is `ratio` times as large from one night on is found in at most five nights.
    fn power(ratio: f64, runs: usize, before: usize, mut draw: impl FnMut(usize) -> Vec<f64>) -> f64 {
        const SERIES: usize = 400;
        let found = (0..SERIES).filter(|_| {
            let mut values = draw((before + 5) * runs);
            values[before * runs..].iter_mut().for_each(|value| *value *= ratio);
            let found = changes(&nights(&values, runs));
            found.iter().any(|change| change.found >= before && (change.ratio() > 1.0) == (ratio > 1.0))
        });
        found.count() as f64 / SERIES as f64
    }

    /// All orders of five and four values, counted one by one.
    #[test]
    fn tails_are_those_of_all_orders() {
        let (m, n) = (5, 4);
        let mut counts = vec![0u32; m * n + 1];
        for order in (0u32..1 << (m + n)).filter(|order| order.count_ones() as usize == n) {
            let ones = (0..m + n).filter(|place| order >> place & 1 == 1);
            let u: usize = ones.map(|place| (0..place).filter(|below| order >> below & 1 == 0).count()).sum();
            counts[u] += 1;
        }
        let all: u32 = counts.iter().sum();
        for smaller in 0..=m * n / 2 {
            let expected = f64::from(counts[..=smaller].iter().sum::<u32>()) / f64::from(all);
            assert!((exact_tail(m, n, smaller) - expected).abs() < 1e-12, "{smaller}");
        }
    }

    /// Values of the curve from tables; where ranks are counted out and where they are not, the same comes out.
    #[test]
    fn the_normal_curve_continues_where_counting_ends() {
        for (z, expected) in [
            (0.0, 0.5),
            (1.0, 0.158_655_253_9),
            (2.9, 0.001_865_813_3),
            (3.1, 0.000_967_603_2),
            (4.0, 3.167_124_2e-5),
        ] {
            assert!((upper_tail(z) / expected - 1.0).abs() < 1e-6, "{z}: {}", upper_tail(z));
        }
        for smaller in [800, 900, 1_000, 1_300] {
            let (exact, normal) = (exact_tail(60, 50, smaller), normal_tail(60.0, 50.0, smaller as f64));
            // Far out the curve is the more careful of the two.
            assert!((0.99..2.0).contains(&(normal / exact)), "{smaller}: {exact} and {normal}");
        }
    }

    #[test]
    fn a_step_is_found_where_it_is_and_once() {
        let mut random = ChaCha8Rng::seed_from_u64(SEED);
        let mut values = lognormal(0.1, 60, &mut random);
        values[30..].iter_mut().for_each(|value| *value *= 1.5);
        let found = changes(&nights(&values, 1));
        let [change] = found[..] else { panic!("{found:?}") };
        assert!((30..=31).contains(&change.at), "{change:?}");
        assert!((1.3..1.7).contains(&change.ratio()), "{change:?}");
        assert!(change.found <= 34 && change.chance <= ALPHA, "{change:?}");
    }

    #[test]
    fn better_is_found_as_well_and_what_is_small_is_not() {
        let steady: Vec<f64> = (0..60).map(|night| 100.0 + f64::from(night % 7) / 10.0).collect();
        let from_30 = |ratio: f64| -> Vec<f64> {
            steady
                .iter()
                .enumerate()
                .map(|(night, value)| if night < 30 { *value } else { value * ratio })
                .collect()
        };
        assert_eq!(changes(&nights(&from_30(1.08), 1)), [], "sure, and too little to speak of");
        let found = changes(&nights(&from_30(0.7), 1));
        assert!(found.len() == 1 && found[0].ratio() < 0.75, "{found:?}");
    }

    #[test]
    fn nothing_is_said_of_few_nights_of_one_night_gone_wrong_or_of_nothing() {
        assert_eq!(changes(&[]), []);
        assert_eq!(changes(&[vec![], vec![1.0], vec![]]), []);
        let mut values = vec![100.0; 40];
        values[20] = 10_000.0;
        assert_eq!(changes(&nights(&values, 1)), []);
        assert_eq!(changes(&nights(&[0.0; 40], 1)), []);
    }

    #[test]
    fn empty_nights_do_not_shift_the_others() {
        let mut series: Vec<Vec<f64>> = nights(&lognormal(0.05, 60, &mut ChaCha8Rng::seed_from_u64(SEED)), 1);
        series[30..].iter_mut().flatten().for_each(|value| *value *= 2.0);
        series.insert(10, Vec::new());
        assert_eq!(changes(&series).first().map(|change| change.at), Some(31));
    }

    #[test]
    fn recorded_runs_that_are_equal_raise_at_most_one_alarm() {
        for (what, recorded) in [("first", recorded()), ("later", recorded_later())] {
            assert_eq!(recorded.len(), 200);
            for runs in [1, 2, 5, 10] {
                let found = changes(&nights(&recorded, runs));
                println!("{what} series, {runs} runs a night: {} alarms", found.len());
                assert!(found.len() <= 1, "{what} series, {runs} runs a night: {found:?}");
            }
        }
    }

    /// The promise, measured. Twenty orders of the recorded runs in a row would hide a rare alarm: there are four hundred.
    #[test]
    fn false_alarms_are_no_more_than_promised() {
        let recorded = recorded();
        for runs in [1, 2, 5, 10] {
            let mut random = ChaCha8Rng::seed_from_u64(SEED);
            let shuffled = alarms_per_series(|| {
                let mut values = recorded.clone();
                values.shuffle(&mut random);
                nights(&values, runs)
            });
            let drawn = alarms_per_series(|| nights(&lognormal(0.5, 200, &mut random), runs));
            println!(
                "seed {SEED}, {runs} runs a night: {shuffled} alarms in 200 recorded runs, {drawn} in lognormal ones"
            );
            assert!(shuffled <= FALSE_ALARMS && drawn <= FALSE_ALARMS, "{runs}: {shuffled}, {drawn}");
        }
    }

    #[test]
    fn a_recovery_that_is_30_percent_slower_is_found_within_5_nights() {
        let recorded = recorded();
        let mut random = ChaCha8Rng::seed_from_u64(SEED);
        for (runs, before, at_least) in [
            (1, 20, 0.6),
            (1, 60, 0.9),
            (2, 20, 0.4),
            (3, 20, 0.8),
            (5, 5, 0.95),
            (5, 20, 0.95),
            (10, 5, 0.99),
        ] {
            let found = power(1.3, runs, before, |count| drawn(&recorded, count, &mut random));
            println!("seed {SEED}: {runs} runs a night after {before} nights: found {:.1} %", found * 100.0);
            assert!(found >= at_least, "{runs} runs a night after {before} nights: {found}");
        }
        // A figure that scatters more takes more runs: of a spread of 0.2, by ten a night.
        for (sigma, runs, at_least) in [(0.1, 5, 0.99), (0.2, 10, 0.90), (0.3, 20, 0.80)] {
            let found = power(1.3, runs, 20, |count| lognormal(sigma, count, &mut random));
            println!("seed {SEED}: spread {sigma}, {runs} runs a night: found {:.1} %", found * 100.0);
            assert!(found >= at_least, "{sigma}, {runs}: {found}");
        }
    }
}
