//! Pops that are open for ever.
//!
//! The one idea: such a pop has no end, so all that counts of it is when it began, and an earlier one is worth more. Who has to be
//! gone first gets it. When that is, is known only in part, so what this gives is a guess, which `order` proves or not.

use super::super::items::{Item, Items, NONE, sorted};

/// Whether anything is left for them to take.
pub(super) fn are_of_use(items: &Items) -> bool {
    !items.open_takes.is_empty() && items.all.iter().any(|item| item.take == NONE)
}

/// With open pops given to what has to be gone. `Err`: more that has to be gone than there are pops for.
pub(super) fn given(items: &Items) -> Result<Items, Vec<u32>> {
    let mut given = items.clone();
    let mut due = due(items);
    due.sort_unstable_by_key(|due| due.by);
    for (at, due_here) in due.iter().enumerate() {
        let Some(&(begun, take)) = items.open_takes.get(at).filter(|&&(begun, _)| begun < due_here.by) else {
            return Err(too_few(items, &due[..=at], due_here.by));
        };
        let item = &mut given.all[due_here.item as usize];
        *item = Item { take, take_begun: begun.max(item.put_begun), take_done: items.end, ..*item };
    }
    Ok(given)
}

/// The open pops that had begun by then, and what had to be gone and why: one more.
fn too_few(items: &Items, due: &[Due], by: u32) -> Vec<u32> {
    let begun = items.open_takes.iter().filter(|&&(begun, _)| begun < by).map(|&(_, at)| at);
    let gone = due.iter().flat_map(|due| {
        let because = items.all.get(due.because as usize);
        let empty = because.is_none().then(|| due.because - items.all.len() as u32);
        let calls = because.into_iter().flat_map(Item::calls);
        calls
            .chain(empty.map(|number| items.empties[number as usize].2))
            .chain([items.all[due.item as usize].put])
    });
    sorted(gone.chain(begun))
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

/// A value that nobody is known to have taken, and surely has to be gone by a moment: the end of the first pop of another value that
/// was pushed wholly before and whose pop began wholly behind, or of a pop that found nothing.
struct Due {
    by: u32,
    item: u32,
    /// The other value; from the number of items on, a pop that found nothing.
    because: u32,
}

fn due(items: &Items) -> Vec<Due> {
    let none = (u32::MAX, NONE);
    let mut empty_by = vec![none; items.end as usize + 1];
    for (&(begun, done, _), number) in items.empties.iter().zip(items.all.len() as u32..) {
        empty_by[begun as usize] = (done, number);
    }
    for moment in (0..items.end as usize).rev() {
        empty_by[moment] = empty_by[moment].min(empty_by[moment + 1]);
    }
    let numbers = || 0..items.all.len() as u32;
    let item = |number: u32| &items.all[number as usize];
    let mut left: Vec<u32> = numbers().filter(|&number| item(number).take == NONE).collect();
    left.sort_unstable_by_key(|&number| item(number).put_begun);
    let mut below: Vec<u32> = numbers().filter(|&number| item(number).take != NONE).collect();
    below.sort_unstable_by_key(|&number| item(number).put_done);
    let mut below = below.into_iter().peekable();
    let mut popped = Behind::new(items.end as usize + 1);
    let mut due = Vec::new();
    for number in left {
        let Item { put_begun, put_done, .. } = *item(number);
        while let Some(below) = below.next_if(|&below| item(below).put_done < put_begun) {
            popped.enter(item(below).take_begun, (item(below).take_done, below));
        }
        let (by, because) = popped.least(put_done).min(empty_by[put_done as usize]);
        due.extend((because != NONE).then_some(Due { by, item: number, because }));
    }
    due
}

/// The least pair entered at or behind a place (Fenwick 1994).
struct Behind(Vec<(u32, u32)>);

impl Behind {
    fn new(places: usize) -> Behind {
        Behind(vec![(u32::MAX, NONE); places + 1])
    }

    fn enter(&mut self, place: u32, pair: (u32, u32)) {
        let mut at = self.0.len() - 1 - place as usize;
        while at < self.0.len() {
            self.0[at] = self.0[at].min(pair);
            at += at & at.wrapping_neg();
        }
    }

    fn least(&self, place: u32) -> (u32, u32) {
        let mut at = self.0.len() - 1 - place as usize;
        let mut least = (u32::MAX, NONE);
        while at > 0 {
            least = least.min(self.0[at]);
            at -= at & at.wrapping_neg();
        }
        least
    }
}
