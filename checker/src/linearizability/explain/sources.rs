//! Which calls can have made the state that a call needs, in any order at all.
//!
//! The one idea: between a call and a completed one that came wholly later and made a state, no third that began after both can
//! have looked. So a value that is written again and again has, for each of its reads, only a few writes that the read
//! can be of, and all others can be left out without the read becoming one from nowhere.

use hashbrown::HashMap;

use super::super::timed::Timed;
use crate::models::Model;

/// The makers of all states.
pub(super) struct Sources {
    makers: HashMap<u32, Makers>,
    /// Completion of each maker in ascending order, and the latest invocation of it and those before.
    over: Vec<(u32, u32)>,
    initial: Option<u32>,
}

/// The makers of one state, in order of invocation.
#[derive(Default)]
struct Makers {
    completed: Vec<usize>,
    /// The latest completion of each and those before.
    latest: Vec<u32>,
    /// Those that are open for ever.
    open: Vec<usize>,
}

impl Sources {
    /// `None` if there is a call that may change the state, nobody knows into what, or a read of nobody knows what.
    pub(super) fn of<M: Model>(model: &M, timed: &[Timed<M::Call>]) -> Option<Sources> {
        let mut sources = Sources {
            makers: HashMap::new(),
            over: Vec::new(),
            initial: Some(model.number(&model.initial())?),
        };
        for (at, timed) in timed.iter().enumerate() {
            let Some(made) = model.makes(&timed.call) else {
                let says_what = timed.completed.is_none() || model.needs(&timed.call).is_some();
                if model.is_read(&timed.call) && says_what {
                    continue;
                }
                return None;
            };
            let makers = sources.makers.entry(made).or_default();
            match timed.completed {
                Some(completed) => {
                    let latest = makers.latest.last().map_or(completed, |&latest| latest.max(completed));
                    makers.completed.push(at);
                    makers.latest.push(latest);
                    sources.over.push((completed, timed.invoked));
                }
                None => makers.open.push(at),
            }
        }
        sources.over.sort_unstable();
        let mut latest = 0;
        for (_, invoked) in &mut sources.over {
            latest = latest.max(*invoked);
            *invoked = latest;
        }
        Some(sources)
    }

    /// All calls of which the one at `at` can have seen the state. If there is none, the one that comes closest: the last that
    /// was invoked before it ended, or else the first of all; with its state gone, the call would be another riddle than
    /// it is.
    pub(super) fn of_call<M: Model>(&self, model: &M, timed: &[Timed<M::Call>], at: usize) -> Vec<usize> {
        let own = &timed[at];
        let Some(needed) = model.needs(&own.call) else {
            return Vec::new();
        };
        let before = self.over.partition_point(|&(completed, _)| completed < own.invoked);
        let last_over = before.checked_sub(1).map(|last| self.over[last].1);
        let is_first = self.initial == Some(needed) && last_over.is_none();
        let Some(makers) = self.makers.get(&needed) else {
            return Vec::new();
        };
        let began = |of: &[usize]| of.partition_point(|&other| timed[other].invoked < own.deadline());
        let overwritten_before = last_over.unwrap_or(0);
        let count = began(&makers.completed);
        let mut sources: Vec<usize> = Vec::new();
        for place in (0..count).rev() {
            if makers.latest[place] < overwritten_before {
                break;
            }
            let maker = makers.completed[place];
            if maker != at && timed[maker].deadline() >= overwritten_before {
                sources.push(maker);
            }
        }
        sources.extend(makers.open[..began(&makers.open)].iter().filter(|&&maker| maker != at));
        if sources.is_empty() && !is_first {
            let closest = count.checked_sub(1).map(|last| makers.completed[last]);
            let first = makers.completed.first().or(makers.open.first()).copied();
            sources.extend(closest.or(first).filter(|&maker| maker != at));
        }
        sources
    }
}
