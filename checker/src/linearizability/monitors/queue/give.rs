//! Dequeues that are open for ever, given to values that have to be gone although nobody is known to have taken them.
//!
//! The one idea: such a dequeue has no end, so all that counts of it is when it began. A value has to be gone by the end of the
//! first dequeue of another that was put in wholly after it, and where a dequeue found nothing. Then it suffices that at
//! every moment as many open dequeues have begun as values have to be gone (Hall 1935); an earlier one goes to whoever has to be gone
//! earlier.

use super::super::counts::Counts;
use super::super::items::{Item, Items, NONE, gaps, sorted};

/// Takes some of the open dequeues for items without one, and gives the gaps of the calls that found nothing. `Err`: calls that
/// no such choice explains.
pub(super) fn give(items: &mut Items) -> Result<Vec<(u32, u32)>, Vec<u32>> {
    let mut due = due(items);
    let mut spare = vec![0; items.end as usize];
    for &(begun, _) in &items.open_takes {
        spare[begun as usize] += 1;
    }
    for due in due.iter().filter(|due| due.gap < items.end) {
        spare[due.gap as usize] -= 1;
    }
    let mut sum = 0;
    for (count, gap) in spare.iter_mut().zip(0..) {
        sum += *count;
        *count = sum;
        if sum < 0 {
            return Err(too_few(items, &due, gap));
        }
    }
    let may_be_empty = may_be_empty(items, &due, &spare);
    let all = sorted(all_calls(items));
    let gaps = gaps(items, |gap| may_be_empty[gap as usize], &all)?;
    for due in &mut due {
        let item = &items.all[due.item as usize];
        let empty = gaps.get(gaps.partition_point(|&(gap, _)| gap < item.put_done));
        due.gap = empty.map_or(due.gap, |&(gap, _)| due.gap.min(gap));
    }
    due.retain(|due| due.gap < items.end);
    due.sort_unstable_by_key(|due| due.gap);
    for (due, &(begun, at)) in due.iter().zip(&items.open_takes) {
        let item = &mut items.all[due.item as usize];
        *item = Item { take: at, take_begun: begun.max(item.put_begun), take_done: items.end, ..*item };
    }
    Ok(gaps)
}

/// The last gap in which an item that nobody took can be there, and the item that says so.
struct Due {
    gap: u32,
    item: u32,
    because: u32,
}

fn due(items: &Items) -> Vec<Due> {
    // The first to be taken of those that are put in from each moment on.
    let mut first: Vec<(u32, u32)> = vec![(items.end + 1, NONE); items.end as usize + 1];
    for (item, number) in items.all.iter().zip(0..).filter(|(item, _)| item.take != NONE) {
        let slot = &mut first[item.put_begun as usize];
        *slot = (*slot).min((item.take_done, number));
    }
    for moment in (0..items.end as usize).rev() {
        first[moment] = first[moment].min(first[moment + 1]);
    }
    let left = items.all.iter().zip(0..).filter(|(item, _)| item.take == NONE);
    let due = left.map(|(item, number)| {
        let (done, because) = first[item.put_done as usize];
        Due { gap: done - 1, item: number, because }
    });
    due.collect()
}

/// The open dequeues up to a gap, and what has to be gone by then: one more.
fn too_few(items: &Items, due: &[Due], gap: u32) -> Vec<u32> {
    let begun = items.open_takes.iter().filter(|&&(begun, _)| begun <= gap).map(|&(_, at)| at);
    let begun: Vec<u32> = begun.collect();
    let due = due.iter().filter(|due| due.gap <= gap).take(begun.len() + 1);
    let both = due.flat_map(|due| [due.item, due.because]);
    sorted(both.flat_map(|number| items.all[number as usize].calls()).chain(begun))
}

/// For each gap whether all that was put in before can be gone, and whatever is due later too. `spare`: how many more open
/// dequeues have begun up to each gap than items are due.
fn may_be_empty(items: &Items, due: &[Due], spare: &[i32]) -> Vec<bool> {
    let mut put_in: Vec<(u32, u32)> =
        due.iter().map(|due| (items.all[due.item as usize].put_done, due.gap.min(items.end))).collect();
    put_in.sort_unstable();
    let mut put_in = put_in.into_iter().peekable();
    let mut counts = Counts::new(spare);
    let may_be = |gap: u32| {
        while let Some((put_done, due)) = put_in.next_if(|&(put_done, _)| put_done <= gap) {
            counts.add(put_done, due, -1);
        }
        counts.first_below(gap, 0).is_none()
    };
    (0..items.end).map(may_be).collect()
}

fn all_calls(items: &Items) -> impl Iterator<Item = u32> {
    let known = items.all.iter().flat_map(Item::calls);
    let open = items.open_takes.iter().map(|&(_, at)| at);
    known.chain(open).chain(items.empties.iter().map(|&(_, _, at)| at))
}
