//! Majorities, by themselves: how many votes, and what a majority has.

/// How many of `members` make a majority.
pub(super) fn majority(members: usize) -> usize {
    members / 2 + 1
}

/// The greatest value that at least `quorum` of `values` have reached. Reorders `values`.
///
/// # Panics
/// When `quorum` is zero or more than there are values.
pub(super) fn reached_by<T: Ord + Copy>(values: &mut [T], quorum: usize) -> T {
    assert!(quorum >= 1 && quorum <= values.len(), "a quorum of {quorum} among {}", values.len());
    values.sort_unstable_by(|a, b| b.cmp(a));
    values[quorum - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_majorities_always_share_a_member() {
        for members in 1..20 {
            assert!(2 * majority(members) > members);
            assert!(2 * (majority(members) - 1) <= members);
        }
    }

    /// The obvious way: try every value, count who has reached it.
    #[test]
    fn reached_by_agrees_with_counting() {
        for code in 0..4u32.pow(5) {
            let values: Vec<u32> = (0..5).map(|place| code / 4u32.pow(place) % 4).collect();
            for quorum in 1..=5 {
                let counted = (0..4)
                    .rev()
                    .find(|&goal| values.iter().filter(|&&value| value >= goal).count() >= quorum);
                assert_eq!(
                    Some(reached_by(&mut values.clone(), quorum)),
                    counted,
                    "{values:?}, quorum {quorum}"
                );
            }
        }
    }
}
