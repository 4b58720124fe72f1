//! Numbers in a row, of which all in a range can be raised at once, and the least found.
//!
//! A tree of sums: each node knows the least below it, and what was added to all of it.

/// The numbers.
pub(super) struct Counts {
    leaves: usize,
    /// Least number below each node, what was added to the node included, to those above it not.
    least: Vec<i32>,
    added: Vec<i32>,
}

impl Counts {
    pub(super) fn new(numbers: &[i32]) -> Counts {
        let leaves = numbers.len().next_power_of_two();
        let mut least = vec![i32::MAX / 2; 2 * leaves];
        least[leaves..leaves + numbers.len()].copy_from_slice(numbers);
        for node in (1..leaves).rev() {
            least[node] = least[2 * node].min(least[2 * node + 1]);
        }
        Counts { leaves, least, added: vec![0; leaves] }
    }

    /// Adds `more` to the numbers at `from..to`.
    pub(super) fn add(&mut self, from: u32, to: u32, more: i32) {
        let (mut left, mut right) = (from as usize + self.leaves, to as usize + self.leaves);
        if left >= right {
            return;
        }
        let (first, last) = (left, right - 1);
        while left < right {
            if left % 2 == 1 {
                self.raise(left, more);
                left += 1;
            }
            if right % 2 == 1 {
                right -= 1;
                self.raise(right, more);
            }
            left /= 2;
            right /= 2;
        }
        self.renew(first);
        self.renew(last);
    }

    fn raise(&mut self, node: usize, more: i32) {
        self.least[node] += more;
        if node < self.leaves {
            self.added[node] += more;
        }
    }

    fn renew(&mut self, mut node: usize) {
        while node > 1 {
            node /= 2;
            self.least[node] = self.least[2 * node].min(self.least[2 * node + 1]) + self.added[node];
        }
    }

    /// The first place at or behind `from` whose number is less than `bound`.
    pub(super) fn first_below(&self, from: u32, bound: i32) -> Option<u32> {
        // What was added above the node that is looked at.
        let mut node = from as usize + self.leaves;
        let mut above = 0;
        let mut up = node / 2;
        while up >= 1 {
            above += self.added[up];
            up /= 2;
        }
        loop {
            if self.least[node] + above < bound {
                return Some((self.down(node, above, bound) - self.leaves) as u32);
            }
            // To the next node on the right that begins behind this one.
            while node % 2 == 1 {
                if node == 1 {
                    return None;
                }
                node /= 2;
                above -= self.added[node];
            }
            node += 1;
        }
    }

    fn down(&self, mut node: usize, mut above: i32, bound: i32) -> usize {
        while node < self.leaves {
            above += self.added[node];
            node *= 2;
            if self.least[node] + above >= bound {
                node += 1;
            }
        }
        node
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn counts_are_those_of_a_plain_row() {
        let seed = 7;
        println!("seed {seed}");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for length in 1..40 {
            let mut plain: Vec<i32> = (0..length).map(|_| random.random_range(0..5)).collect();
            let mut counts = Counts::new(&plain);
            for _ in 0..100 {
                let (from, to) = (random.random_range(0..length), random.random_range(0..=length));
                let more = random.random_range(-3..4);
                counts.add(from as u32, to as u32, more);
                (from..to).for_each(|at| plain[at] += more);
                let (from, bound) = (random.random_range(0..length), random.random_range(-9..9));
                let expected = (from..length).find(|&at| plain[at] < bound).map(|at| at as u32);
                assert_eq!(counts.first_below(from as u32, bound), expected, "{plain:?}");
            }
        }
    }
}
