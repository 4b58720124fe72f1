//! Pops that are open for ever.
//!
//! The one idea: such a pop has no end, so all that counts of it is when it began, and an earlier one is worth more. Who has to be
//! gone first gets it. When that is, is known only in part, so what this gives is a guess, which `order` proves or not.

use super::super::items::{Item, Items, NONE, sorted};

/// Whether anything is left for them to take.
pub(super) fn are_of_use(items: &Items) -> bool {
    !items.open_takes.is_empty() && items.all.iter().any(|item| item.take == NONE)
}

/// With open pops given to what has to be gone.
pub(super) fn given(items: &Items) -> Items {
    let mut given = items.clone();
    let mut due = due(items);
    due.sort_unstable();
    for ((_, number), &(begun, at)) in due.into_iter().zip(&items.open_takes) {
        let item = &mut given.all[number as usize];
        *item = Item { take: at, take_begun: begun.max(item.put_begun), take_done: items.end, ..*item };
    }
    given
}

/// With everything that nobody is known to have taken free to go from the begin of the first open pop on.
pub(super) fn freed(items: &Items) -> Items {
    let mut freed = items.clone();
    let first = items.open_takes.first().map_or(items.end, |&(begun, _)| begun);
    for item in freed.all.iter_mut().filter(|item| item.take == NONE) {
        item.take_begun = first.max(item.put_begun);
    }
    freed
}

/// These calls, which contradict each other whatever open pops take, and the open pops that could have taken one of them.
pub(super) fn with_open_takes(items: &Items, core: Vec<u32>) -> Vec<u32> {
    let in_core = |at: u32| core.binary_search(&at).is_ok();
    let mut these = items.all.iter().filter(|item| in_core(item.put));
    match these.any(|item| item.take == NONE) {
        true => sorted(core.into_iter().chain(items.open_takes.iter().map(|&(_, at)| at))),
        false => core,
    }
}

/// Moments by which values that nobody took surely have to be gone, and their numbers: at the end of the first pop of another value
/// that was pushed wholly before and whose pop began wholly behind; and where a pop found nothing.
fn due(items: &Items) -> Vec<(u32, u32)> {
    let mut empty_by = vec![u32::MAX; items.end as usize + 1];
    for &(begun, done, _) in &items.empties {
        empty_by[begun as usize] = done;
    }
    for moment in (0..items.end as usize).rev() {
        empty_by[moment] = empty_by[moment].min(empty_by[moment + 1]);
    }
    let mut left: Vec<u32> =
        (0..items.all.len() as u32).filter(|&at| items.all[at as usize].take == NONE).collect();
    left.sort_unstable_by_key(|&at| items.all[at as usize].put_begun);
    let mut below: Vec<&Item> = items.all.iter().filter(|item| item.take != NONE).collect();
    below.sort_unstable_by_key(|item| item.put_done);
    let mut below = below.into_iter().peekable();
    let mut popped = Behind::new(items.end as usize + 1);
    let mut due = Vec::new();
    for number in left {
        let item = &items.all[number as usize];
        while let Some(below) = below.next_if(|below| below.put_done < item.put_begun) {
            popped.enter(below.take_begun, below.take_done);
        }
        let by = popped.least(item.put_done).min(empty_by[item.put_done as usize]);
        due.extend((by <= items.end).then_some((by, number)));
    }
    due
}

/// The least number entered at or behind a place (Fenwick 1994).
struct Behind(Vec<u32>);

impl Behind {
    fn new(places: usize) -> Behind {
        Behind(vec![u32::MAX; places + 1])
    }

    fn enter(&mut self, place: u32, number: u32) {
        let mut at = self.0.len() - 1 - place as usize;
        while at < self.0.len() {
            self.0[at] = self.0[at].min(number);
            at += at & at.wrapping_neg();
        }
    }

    fn least(&self, place: u32) -> u32 {
        let mut at = self.0.len() - 1 - place as usize;
        let mut least = u32::MAX;
        while at > 0 {
            least = least.min(self.0[at]);
            at -= at & at.wrapping_neg();
        }
        least
    }
}
