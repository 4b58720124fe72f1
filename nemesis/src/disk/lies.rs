//! What a file shows in place of what it holds: a bit that reads flipped, a write that never came, one that came elsewhere.
//!
//! The one idea: the file behind always holds the truth, and lies lie over it like a sheet. So they are taken back exactly,
//! by taking the sheet away; and whatever is written over a lie is true from then on, as a sector that is written again is
//! good again.

use std::collections::BTreeMap;

/// Why a file shows something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// A bit reads flipped.
    Flip,
    /// A write was answered, and its place shows what it held before.
    Lost,
    /// A write was answered, and came to another place.
    Misdirected,
}

/// All lies about one file. None of them overlap.
#[derive(Debug, Default)]
pub(super) struct Lies {
    /// By their place: the bytes that show.
    shown: BTreeMap<u64, (Vec<u8>, Cause)>,
}

impl Lies {
    pub(super) fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    /// From now on these bytes show at `offset`.
    pub(super) fn tell(&mut self, offset: u64, bytes: Vec<u8>, cause: Cause) {
        if !bytes.is_empty() {
            self.forget(offset, bytes.len() as u64);
            self.shown.insert(offset, (bytes, cause));
        }
    }

    /// What `length` bytes at `offset` hold is true from now on.
    pub(super) fn forget(&mut self, offset: u64, length: u64) {
        let end = offset.saturating_add(length);
        let reaches_in = |(&start, (bytes, _)): (&u64, &(Vec<u8>, Cause))| {
            (start + bytes.len() as u64 > offset).then_some(start)
        };
        // They do not overlap, so that of those before it only the last one can reach into it.
        let first = self.shown.range(..offset).next_back().and_then(reaches_in).unwrap_or(offset);
        let starts: Vec<u64> = self.shown.range(first..end).map(|(start, _)| *start).collect();
        for start in starts {
            let (bytes, cause) = self.shown.remove(&start).expect("it was seen");
            let lies_end = start + bytes.len() as u64;
            if end < lies_end {
                self.shown.insert(end, (bytes[(end - start) as usize..].to_vec(), cause));
            }
            if start < offset {
                self.shown.insert(start, (bytes[..(offset - start) as usize].to_vec(), cause));
            }
        }
    }

    /// Puts the lies over what was read at `offset`; tells whether there was any.
    pub(super) fn cover(&self, offset: u64, read: &mut [u8]) -> bool {
        let end = offset + read.len() as u64;
        let mut covers = false;
        for (&start, (bytes, _)) in self.shown.range(..end).rev() {
            let (from, to) = (start.max(offset), (start + bytes.len() as u64).min(end));
            if to <= offset {
                break;
            }
            let shown = &bytes[(from - start) as usize..(to - start) as usize];
            read[(from - offset) as usize..(to - offset) as usize].copy_from_slice(shown);
            covers = true;
        }
        covers
    }

    /// Takes back what is there for that cause; gives where.
    pub(super) fn take_back(&mut self, cause: Cause) -> Vec<(u64, u64)> {
        let gone = self.shown.extract_if(.., |_, (_, other)| *other == cause);
        gone.map(|(start, (bytes, _))| (start, bytes.len() as u64)).collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Beside a list with one entry for each byte.
    #[test]
    fn lies_show_until_they_are_written_over_or_taken_back() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..200 {
            let mut lies = Lies::default();
            let mut bytes: Vec<Option<(u8, Cause)>> = vec![None; 64];
            for _ in 0..30 {
                let offset = random.random_range(0..60);
                let length = random.random_range(0..=64 - offset);
                let (byte, cause) = (random.random(), [Cause::Flip, Cause::Lost][random.random_range(0..2)]);
                match random.random_range(0..8) {
                    0..4 => {
                        lies.tell(offset as u64, vec![byte; length], cause);
                        bytes[offset..offset + length].fill(Some((byte, cause)));
                    }
                    4..7 => {
                        lies.forget(offset as u64, length as u64);
                        bytes[offset..offset + length].fill(None);
                    }
                    _ => {
                        lies.take_back(cause);
                        bytes
                            .iter_mut()
                            .filter(|lie| lie.is_some_and(|lie| lie.1 == cause))
                            .for_each(|lie| *lie = None);
                    }
                }
                let mut read = vec![0; length];
                let covers = lies.cover(offset as u64, &mut read);
                let expected: Vec<u8> =
                    bytes[offset..offset + length].iter().map(|lie| lie.map_or(0, |lie| lie.0)).collect();
                assert_eq!(read, expected);
                assert_eq!(covers, bytes[offset..offset + length].iter().any(Option::is_some));
                assert_eq!(lies.is_empty(), bytes.iter().all(Option::is_none));
            }
        }
    }
}
