//! What the dissertation computes of elections (Ongaro 2014, chapter 9): split votes where every message takes the same time,
//! disks take none, and everybody's log is good enough.

/// The share of first elections that nobody wins: of `live` members (of `members`) each draws a timeout from a range, and a message takes
/// `latency` of that range's width, less than 1 (section 9.3).
///
/// Who times out first has the votes of all who do not within one latency; the vote is split if these are too few.
pub fn split_vote_share(members: u32, live: u32, latency: f64) -> f64 {
    let needed = live + 1 - (members / 2 + 1);
    // `needed` is how many others at least must stand too: the sum is over them, for k of them within the latency.
    (needed..=live)
        .map(|k| {
            let ways = binomial(live, k);
            ways * latency.powi(k as i32) * (1.0 - latency).powi((live - k) as i32)
        })
        .sum()
}

fn binomial(n: u32, k: u32) -> f64 {
    (1..=k).map(|i| f64::from(n - k + i) / f64::from(i)).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of the dissertation has these for five members, four of them live.
    #[test]
    fn it_gives_what_the_dissertation_prints() {
        for (latency, percent) in [(0.01, 0.06), (0.1, 5.2), (0.2, 18.1)] {
            let share = 100.0 * split_vote_share(5, 4, latency);
            assert!((share - percent).abs() < 0.05, "{latency}: {share}");
        }
        assert!((100.0 * split_vote_share(9, 5, 0.2) - 67.2).abs() < 0.05);
    }
}
