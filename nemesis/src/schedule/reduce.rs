//! Less that still fails: delta debugging over the strikes of a schedule, and over its length.
//!
//! Whoever asks decides what failing is, and may have to try several times to know. Whatever is found has failed: a doubt
//! never takes anything away.

use super::window::windows;
use super::{End, Schedule};

/// The cluster is driven on for so long behind the last strike.
const TAIL_MS: u64 = 1000;
/// The first strike comes no sooner.
const LEAD_MS: u64 = 500;

/// The smallest schedule found that still fails, beginning with one that does. `fails` gives `None` when there is no
/// time for more.
pub fn reduce(schedule: &Schedule, mut fails: impl FnMut(&Schedule) -> Option<bool>) -> Schedule {
    let mut best = schedule.clone();
    let mut is_over = false;
    // Halves of halves come to the same more than once.
    let mut harmless: Vec<Schedule> = Vec::new();
    let mut try_out = |candidate: Schedule, best: &mut Schedule| {
        if !is_over && harmless.contains(&candidate) {
            return Some(false);
        }
        let answer = if is_over { None } else { fails(&candidate) };
        is_over = answer.is_none();
        match answer {
            Some(true) => *best = candidate,
            Some(false) => harmless.push(candidate),
            None => {}
        }
        answer
    };
    // What fails though it is short may be made shorter at once.
    let trimmed =
        |candidate| if cut_short(schedule) == *schedule { cut_short(&candidate) } else { candidate };
    let mut piece = best.episodes.len().div_ceil(2).max(1);
    'pieces: loop {
        let (mut start, mut helped) = (0, false);
        while start < best.episodes.len() {
            let left_out = start as u64..(start + piece) as u64;
            match try_out(trimmed(best.without(|episode| left_out.contains(&episode.id))), &mut best) {
                None => break 'pieces,
                Some(true) => helped = true,
                Some(false) => start += piece,
            }
        }
        if piece == 1 && !helped {
            break;
        }
        piece = (piece / 2).max(1);
    }
    // A shorter run is a smaller one, too.
    for shorter in [sooner, cut_short] {
        let candidate = shorter(&best);
        if candidate != best {
            try_out(candidate, &mut best);
        }
    }
    best
}

/// The schedule with its end soon after the last strike, unless it ends sooner.
pub fn cut_short(schedule: &Schedule) -> Schedule {
    let windows = windows(&schedule.episodes);
    let last = schedule.episodes.iter().zip(&windows).max_by_key(|(_, window)| window.ends_ms.1);
    let ends_ms = last.map_or(0, |(_, window)| window.ends_ms.1);
    // Behind what waits, the end waits, too.
    let waits = last.map(|(episode, _)| episode).filter(|last| last.after.is_some() || last.when.is_some());
    let end = match waits {
        Some(last) => End { at_ms: TAIL_MS, after: Some(last.id) },
        None => End { at_ms: ends_ms + TAIL_MS, after: None },
    };
    let is_sooner = |known: End| known.after.is_none() && known.at_ms <= ends_ms + TAIL_MS;
    let end = schedule.end.filter(|known| is_sooner(*known)).unwrap_or(end);
    Schedule { end: Some(end), ..schedule.clone() }
}

/// The schedule with everything earlier, so that the first strike comes soon.
fn sooner(schedule: &Schedule) -> Schedule {
    let mut sooner = schedule.clone();
    let fixed = || schedule.episodes.iter().filter(|episode| episode.after.is_none());
    let early_ms = fixed().map(|episode| episode.at_ms).min().unwrap_or(0).saturating_sub(LEAD_MS);
    for episode in &mut sooner.episodes {
        if episode.after.is_none() {
            episode.at_ms -= early_ms;
        }
        episode.until_ms = episode.until_ms.map(|until_ms| until_ms.saturating_sub(early_ms));
    }
    if let Some(end) = sooner.end.as_mut().filter(|end| end.after.is_none()) {
        end.at_ms = end.at_ms.saturating_sub(early_ms);
    }
    sooner
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fault::FaultKind;

    fn schedule() -> Schedule {
        let specs = crate::fault::parse("kill,pause,partition").expect("faults");
        let (interval, limit) = (Duration::from_secs(1), Duration::from_secs(30));
        let drawn = Schedule::random(3, &specs, interval, limit, 5).expect("a schedule");
        Schedule { end: Some(End { at_ms: 30_000, after: None }), ..drawn }
    }

    fn count(schedule: &Schedule, kind: FaultKind) -> usize {
        schedule.episodes.iter().filter(|episode| episode.fault.kind == kind).count()
    }

    #[test]
    fn what_is_not_needed_goes_and_what_is_needed_stays() {
        let (whole, mut runs) = (schedule(), 0);
        // It takes two kills and the last partition.
        let last = whole.episodes.iter().rev().find(|episode| episode.fault.kind == FaultKind::Partition);
        let seed = last.expect("a partition").seed;
        let small = reduce(&whole, |candidate| {
            runs += 1;
            let has_last = candidate.episodes.iter().any(|episode| episode.seed == seed);
            Some(has_last && count(candidate, FaultKind::Kill) >= 2)
        });
        assert_eq!((small.episodes.len(), count(&small, FaultKind::Kill)), (3, 2), "{small:?}");
        assert!(runs < 50, "{runs} runs for {} strikes", whole.episodes.len());
        assert_eq!(small.episodes[0].at_ms, LEAD_MS);
        let ends_ms = windows(&small.episodes).iter().map(|window| window.ends_ms.1).max().expect("strikes");
        assert!(small.end.is_some_and(|end| (ends_ms..=ends_ms + TAIL_MS).contains(&end.at_ms)), "{small:?}");
    }

    #[test]
    fn what_fails_without_any_fault_is_left_with_none() {
        let small = reduce(&schedule(), |_| Some(true));
        assert_eq!((small.episodes.len(), small.end), (0, Some(End { at_ms: TAIL_MS, after: None })));
    }

    #[test]
    fn nothing_is_tried_twice() {
        let mut tried: Vec<Schedule> = Vec::new();
        let whole = cut_short(&schedule());
        let small = reduce(&whole, |candidate| {
            assert!(!tried.contains(candidate), "{candidate:?}");
            tried.push(candidate.clone());
            Some(count(candidate, FaultKind::Kill) > 0)
        });
        assert_eq!(small.episodes.len(), 1);
    }

    #[test]
    fn when_time_is_up_the_best_so_far_is_given() {
        let (whole, mut runs) = (schedule(), 0);
        let small = reduce(&whole, |_| {
            runs += 1;
            (runs <= 1).then_some(true)
        });
        assert!(runs == 2 && small.episodes.len() < whole.episodes.len() && !small.episodes.is_empty());
        assert_eq!(reduce(&whole, |_| Some(false)).episodes, whole.episodes, "a doubt takes nothing away");
    }

    #[test]
    fn the_end_waits_for_what_waits() {
        let text = r#"
            [[phase]]
            lasts = "4s"
            [[phase]]
            sequence = [{ fault = "kill@there", when = "leader-elected", for = "1s" }]
            [[phase]]
            lasts = "30s"
        "#;
        let settings = crate::schedule::file::Settings::new(5, 1, Duration::from_secs(1));
        let script = crate::schedule::file::read(text, settings).expect("a schedule");
        let short = cut_short(&sooner(&script.schedule));
        assert_eq!(short.episodes[0].at_ms, LEAD_MS);
        assert_eq!(short.end, Some(End { at_ms: TAIL_MS, after: Some(0) }));
    }
}
