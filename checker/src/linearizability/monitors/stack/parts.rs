//! The parts of a stack's history over which it is never empty, while values are taken from their bottoms.

use super::super::counts::Counts;
use super::super::items::{Item, Items, cover};

/// The gaps `start..end`, each in the zone of a value that is still there. The first zone begins with the part, and the last ends
/// with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// More than any count or moment.
const GONE: i32 = i32::MAX / 4;

/// Zones in a chain among which a shorter chain is looked for.
const CHAIN_MAX: usize = 200;

pub(super) struct Parts<'i> {
    items: &'i Items,
    /// Those with a zone, in order of the begins of their pushes.
    zoned: Vec<u32>,
    is_removed: Vec<bool>,
    /// Ends of the pushes of `zoned`, negative: so the late ones are found. `GONE` is added to those that are removed.
    pushed: Counts,
    /// How many zones are over each gap, `GONE` where none is.
    zones: Counts,
    coverage: Vec<i32>,
}

impl<'i> Parts<'i> {
    pub(super) fn new(items: &'i Items) -> Parts<'i> {
        let has_zone = |&number: &u32| items.all[number as usize].has_zone();
        let mut zoned: Vec<u32> = (0..items.all.len() as u32).filter(has_zone).collect();
        zoned.sort_unstable_by_key(|&number| items.all[number as usize].put_begun);
        let ends: Vec<i32> =
            zoned.iter().map(|&number| -items.all[number as usize].put_done.cast_signed()).collect();
        let coverage = items.coverage(&items.all);
        let counts: Vec<i32> = coverage.iter().map(|&count| if count == 0 { GONE } else { count }).collect();
        Parts {
            items,
            is_removed: vec![false; zoned.len()],
            pushed: Counts::new(&ends),
            zones: Counts::new(&counts),
            zoned,
            coverage,
        }
    }

    /// The parts before anything is removed.
    pub(super) fn first(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut start = 0;
        for covered in self.coverage.chunk_by(|&one, &other| (one == 0) == (other == 0)) {
            let end = start + covered.len() as u32;
            if covered[0] != 0 {
                parts.push(Part { start, end });
            }
            start = end;
        }
        parts
    }

    /// Removes all values that can lie at the bottom over the whole part; `None` if there is none.
    pub(super) fn remove_bottom(&mut self, part: &Part) -> Option<Vec<u32>> {
        let items = self.items;
        let item = |at: u32| &items.all[at as usize];
        let begun = self.zoned.partition_point(|&number| item(number).put_begun < part.start) as u32;
        let (mut bottom, mut from) = (Vec::new(), 0);
        // Pushes that had begun before the part and end in it are few: they are open at the same time.
        while from < begun
            && let Some(at) = self.pushed.first_below(from, 1 - part.start.cast_signed())
            && at < begun
        {
            let number = self.zoned[at as usize];
            let Item { put_done, take_begun, take_done, .. } = *item(number);
            if put_done < part.end && take_done > part.end {
                self.pushed.add(at, at + 1, GONE);
                self.zones.add(put_done, take_begun, -1);
                self.is_removed[at as usize] = true;
                bottom.push(number);
            }
            from = at + 1;
        }
        (!bottom.is_empty()).then_some(bottom)
    }

    /// Cuts the part where nothing is over a gap any more; the pieces from left to right.
    pub(super) fn cut(&mut self, part: &Part, mut piece: impl FnMut(Part)) {
        let mut start = part.start;
        while start < part.end {
            let end = self.zones.first_below(start, 1).map_or(part.end, |gap| gap.min(part.end));
            if start < end {
                piece(Part { start, end });
            }
            if end < part.end {
                self.zones.add(end, end + 1, GONE);
            }
            start = end + 1;
        }
    }

    /// Values whose zones reach without a gap from one to the other, none of which can lie at the bottom all the time.
    pub(super) fn chain(&self, part: &Part) -> Vec<&'i Item> {
        let there = self.zoned.iter().zip(&self.is_removed).filter(|&(_, &is_removed)| !is_removed);
        let there = there.map(|(&number, _)| &self.items.all[number as usize]);
        let chain = cover(there, part.start, part.end).expect("zones are over all of the part");
        let has_bottom = |chain: &[&Item]| {
            let (start, end) = (chain[0].put_done, chain[chain.len() - 1].take_begun);
            chain.iter().any(|item| item.put_begun < start && end < item.take_done)
        };
        let lengths = 2..chain.len().min(CHAIN_MAX);
        let mut shorter = lengths.flat_map(|length| chain.windows(length)).filter(|chain| !has_bottom(chain));
        shorter.next().map_or_else(|| chain.clone(), <[&Item]>::to_vec)
    }
}
