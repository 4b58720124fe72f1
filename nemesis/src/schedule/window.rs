//! When something will be in force, at the earliest and at the latest: what waits for a moment is not there to the millisecond.
//!
//! ```text
//! at      when comes, within 5s at most       for
//! |~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~|=========|
//! begins: at … at + within               ends: at + for … at + within + for
//! ```

use super::{End, Episode, Schedule};

/// Earliest and latest times, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// When it may begin.
    pub begins_ms: (u64, u64),
    /// When it may be over; it may be skipped, and is over then.
    pub ends_ms: (u64, u64),
}

/// The windows of all episodes, since the start of the run.
pub fn windows(episodes: &[Episode]) -> Vec<Window> {
    let mut known: Vec<Window> = Vec::new();
    for episode in episodes {
        let base = episode.after.map_or((0, 0), |after| known[after as usize].ends_ms);
        known.push(window(episode, base));
    }
    known
}

/// When a schedule that says when it ends is over at the latest, and everything that is in it.
pub fn latest_ms(schedule: &Schedule) -> u64 {
    let windows = windows(&schedule.episodes);
    let base = |after: Option<u64>| after.map_or(0, |after| windows[after as usize].ends_ms.1);
    let end = schedule.end.map_or(0, |End { at_ms, after }| base(after) + at_ms);
    windows.iter().map(|window| window.ends_ms.1).max().unwrap_or(0).max(end)
}

/// Whether two episodes may be in force at once.
pub(super) fn may_overlap(episodes: &[Episode], one: &Episode, other: &Episode) -> bool {
    let (ones, others) = (line_of(episodes, one), line_of(episodes, other));
    let shared = ones.iter().zip(&others).take_while(|(one, other)| one == other).count();
    // One that counts from the end of another comes after it.
    if shared == ones.len() || shared == others.len() {
        return false;
    }
    // What both count from is the same for both, whenever it is.
    let since = |line: &[u64]| {
        let window = line[shared..].iter().fold(None, |base: Option<Window>, &id| {
            Some(window(&episodes[id as usize], base.map_or((0, 0), |base| base.ends_ms)))
        });
        window.expect("it is longer than what is shared")
    };
    let (one, other) = (since(&ones), since(&others));
    one.begins_ms.0 < other.ends_ms.1 && other.begins_ms.0 < one.ends_ms.1
}

fn window(episode: &Episode, base: (u64, u64)) -> Window {
    let wait_ms = episode.when.as_ref().map_or(0, |moment| moment.within_ms);
    let (earliest, latest) = (base.0 + episode.at_ms, base.1 + episode.at_ms + wait_ms);
    let lasts_ms = match &episode.when {
        Some(moment) => episode.lasts_ms.min(moment.within_ms),
        None => episode.lasts_ms,
    };
    Window { begins_ms: (earliest, latest), ends_ms: (earliest + lasts_ms, latest + episode.lasts_ms) }
}

/// Everything that an episode counts from, the first first, and itself.
fn line_of(episodes: &[Episode], episode: &Episode) -> Vec<u64> {
    let mut line = vec![episode.id];
    let mut next = episode.after;
    while let Some(id) = next {
        line.push(id);
        next = episodes[id as usize].after;
    }
    line.reverse();
    line
}
