//! Sets of small numbers, in as few words as the history's concurrency needs: a search keeps millions of them.

use std::fmt::Debug;
use std::hash::Hash;

/// A set of numbers below [`Slots::COUNT`].
pub(super) trait Slots: Copy + Eq + Hash + Debug + Default {
    /// How many numbers there are.
    const COUNT: usize;
    /// The set of this number alone; of none if the number is too large.
    fn of(number: usize) -> Self;
    /// Whether they have a number in common.
    fn meets(self, other: Self) -> bool;
    /// Whether all of its numbers are in `other`.
    fn is_within(self, other: Self) -> bool;
    /// How many numbers are in it.
    fn count(self) -> u32;
    fn with(self, other: Self) -> Self;
    fn without(self, other: Self) -> Self;
}

macro_rules! word {
    ($word:ty) => {
        impl Slots for $word {
            const COUNT: usize = <$word>::BITS as usize;

            fn of(number: usize) -> $word {
                <$word>::checked_shl(1, number as u32).unwrap_or(0)
            }

            fn meets(self, other: $word) -> bool {
                self & other != 0
            }

            fn is_within(self, other: $word) -> bool {
                self & !other == 0
            }

            fn count(self) -> u32 {
                self.count_ones()
            }

            fn with(self, other: $word) -> $word {
                self | other
            }

            fn without(self, other: $word) -> $word {
                self & !other
            }
        }
    };
}

word!(u64);
word!(u128);

/// For histories of hundreds of clients.
pub(super) type Wide = [u128; 4];

impl Slots for Wide {
    const COUNT: usize = 512;

    fn of(number: usize) -> Wide {
        std::array::from_fn(|word| match number / 128 == word {
            true => u128::of(number % 128),
            false => 0,
        })
    }

    fn meets(self, other: Wide) -> bool {
        (0..4).any(|word| self[word].meets(other[word]))
    }

    fn is_within(self, other: Wide) -> bool {
        (0..4).all(|word| self[word].is_within(other[word]))
    }

    fn count(self) -> u32 {
        self.iter().map(|word| word.count_ones()).sum()
    }

    fn with(self, other: Wide) -> Wide {
        std::array::from_fn(|word| self[word] | other[word])
    }

    fn without(self, other: Wide) -> Wide {
        std::array::from_fn(|word| self[word] & !other[word])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers_are_told_apart<S: Slots>() {
        for number in 0..S::COUNT {
            let one = S::of(number);
            let all_but_one =
                (0..S::COUNT).filter(|&other| other != number).map(S::of).fold(S::default(), S::with);
            assert_eq!((one.count(), all_but_one.count() as usize), (1, S::COUNT - 1));
            assert!(one.meets(one) && !one.meets(all_but_one), "{number}");
            assert!(one.is_within(one) && !one.is_within(all_but_one), "{number}");
            assert_eq!(all_but_one.with(one).without(one), all_but_one);
            assert_eq!(one.without(one), S::default());
        }
    }

    #[test]
    fn every_number_has_a_place_of_its_own() {
        numbers_are_told_apart::<u64>();
        numbers_are_told_apart::<u128>();
        numbers_are_told_apart::<Wide>();
        assert_eq!(u64::of(64), 0);
    }
}
