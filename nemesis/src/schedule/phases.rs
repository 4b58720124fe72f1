//! From phases to strikes: what a person has written as phases, sequences and repeats becomes episodes, each with its time.
//!
//! Time runs along an *anchor*: a distance from the start of the run or, behind something that waits for a moment, from the end of
//! that. Whatever comes later hangs on it.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::file::Settings;
use super::sheet::{Complaint, Phase, Sheet, Step, Strike, Word};
use super::window::{Window, windows};
use super::{End, Episode, Schedule, conflict};
use crate::fault::NodeNumber;

/// More strikes than anybody needs in a run.
const STRIKES_MAX: usize = 2000;
/// And more turns of a phase.
const TURNS_MAX: u64 = 10_000;

#[derive(Clone, Copy)]
struct Anchor {
    after: Option<u64>,
    at_ms: u64,
}

impl Anchor {
    fn later(self, ms: u64) -> Anchor {
        Anchor { at_ms: self.at_ms + ms, ..self }
    }
}

struct Draft<'a> {
    settings: &'a Settings,
    random: ChaCha8Rng,
    episodes: Vec<Episode>,
    windows: Vec<Window>,
    /// Where in the text each episode stands.
    places: Vec<usize>,
}

/// The schedule that a sheet means, and where in the text each of its episodes stands.
pub(super) fn expand(sheet: &Sheet, settings: &Settings) -> Result<(Schedule, Vec<usize>), Complaint> {
    let random = ChaCha8Rng::seed_from_u64(sheet.seed.unwrap_or(settings.seed));
    let (episodes, windows, places) = (Vec::new(), Vec::new(), Vec::new());
    let mut draft = Draft { settings, random, episodes, windows, places };
    let mut anchor = Anchor { after: None, at_ms: 0 };
    for phase in &sheet.phases {
        anchor = draft.phase(phase, anchor)?;
    }
    let mut names: BTreeMap<&str, u64> = BTreeMap::new();
    let named = |names: &BTreeMap<&str, u64>, after: &Option<(String, usize)>| {
        let found = after.as_ref().map(|(name, place)| {
            let complaint = || {
                let hint = "(hint: it needs a `name`, and to stand before this one)";
                Complaint { at: *place, message: format!("no fault before has the name `{name}` {hint}") }
            };
            names.get(&**name).copied().ok_or_else(complaint)
        });
        found.transpose()
    };
    for strike in &sheet.strikes {
        let from = Anchor { after: named(&names, &strike.after)?, at_ms: 0 };
        draft.strike(strike, from, None)?;
        if let Some((name, place)) = &strike.name
            && names.insert(name, draft.episodes.len() as u64 - 1).is_some()
        {
            return Err(Complaint { at: *place, message: format!("two faults have the name `{name}`") });
        }
    }
    if let Some((later, earlier, why)) = conflict::find(&draft.episodes) {
        let line = settings.line_of(draft.places[earlier.id as usize]);
        let (later_fault, earlier_fault) = (later.words(), earlier.words());
        return Err(Complaint {
            at: draft.places[later.id as usize],
            message: format!(
                "`{later_fault}` may strike while `{earlier_fault}` of line {line} is in force: {why} (hint: let one end before the other)"
            ),
        });
    }
    let end = match &sheet.end {
        Some(end) => End { at_ms: end.at_ms, after: named(&names, &end.after)? },
        None if sheet.phases.is_empty() => End { at_ms: draft.fixed_end_ms(), after: None },
        None => End { at_ms: anchor.at_ms, after: anchor.after },
    };
    Ok((Schedule { episodes: draft.episodes, end: Some(end) }, draft.places))
}

impl Draft<'_> {
    fn phase(&mut self, phase: &Phase, mut anchor: Anchor) -> Result<Anchor, Complaint> {
        let outer =
            phase.seed.map(|seed| std::mem::replace(&mut self.random, ChaCha8Rng::seed_from_u64(seed)));
        let turns = phase.repeat.unwrap_or(if phase.until_ms.is_some() { u64::MAX } else { 1 });
        for turn in 0..turns {
            let (began_ms, _) = self.time(anchor);
            if phase.until_ms.is_some_and(|until_ms| began_ms >= until_ms) {
                break;
            }
            if turn == TURNS_MAX {
                return Err(phase.complaint(&format!("this phase would come more than {TURNS_MAX} times")));
            }
            anchor = self.turn(phase, anchor)?;
            if turns > 1 && self.time(anchor).0 == began_ms {
                return Err(phase.complaint("a phase that is repeated has to take time"));
            }
        }
        if let Some(outer) = outer {
            self.random = outer;
        }
        Ok(anchor)
    }

    /// The phase, once.
    fn turn(&mut self, phase: &Phase, anchor: Anchor) -> Result<Anchor, Complaint> {
        let mut ends = Vec::new();
        if let Some(lasts_ms) = phase.lasts_ms {
            for word in &phase.faults {
                self.add(word, anchor, lasts_ms, None, phase.until_ms)?;
            }
            self.stretch(phase, anchor, lasts_ms)?;
        }
        if !phase.sequence.is_empty() {
            let mut at = anchor;
            for step in &phase.sequence {
                at = match step {
                    Step::Wait(wait_ms) => at.later(*wait_ms),
                    Step::Strike(strike) => self.strike(strike, at, phase.until_ms)?,
                };
            }
            ends.push(at);
        }
        for strike in &phase.strikes {
            ends.push(self.strike(strike, anchor, phase.until_ms)?);
        }
        if let Some(lasts_ms) = phase.lasts_ms {
            let longest = ends.iter().map(|&end| self.time(end).1 - self.time(anchor).1).max().unwrap_or(0);
            if longest > lasts_ms {
                let (longest, lasts) = (span(longest), span(lasts_ms));
                return Err(phase.complaint(&format!(
                    "what is in this phase may take {longest}, and the phase lasts {lasts} (hint: make `lasts` longer or `within` shorter)"
                )));
            }
            return Ok(anchor.later(lasts_ms));
        }
        if ends.iter().all(|end| end.after == anchor.after) {
            return Ok(anchor.later(ends.iter().map(|end| end.at_ms - anchor.at_ms).max().unwrap_or(0)));
        }
        match ends[..] {
            [only] => Ok(only),
            _ => Err(phase.complaint(
                "it is open when this phase ends: something in it waits for a moment (hint: say how long it `lasts`)",
            )),
        }
    }

    /// What is drawn at random for a phase.
    fn stretch(&mut self, phase: &Phase, anchor: Anchor, lasts_ms: u64) -> Result<(), Complaint> {
        let Some(stretch) = &phase.random else {
            return Ok(());
        };
        let interval = stretch.interval.unwrap_or(self.settings.interval);
        let (seed, limit) = (self.random.random(), Duration::from_millis(lasts_ms));
        let drawn = Schedule::random(seed, &stretch.specs, interval, limit, self.settings.nodes);
        let drawn = drawn.map_err(|error| Complaint { at: stretch.at, message: error.to_string() })?;
        for episode in drawn.episodes {
            let at_ms = anchor.at_ms + episode.at_ms;
            self.push(
                Episode { at_ms, after: anchor.after, until_ms: phase.until_ms, ..episode },
                stretch.at,
            )?;
        }
        Ok(())
    }

    /// One or more faults at once; where time goes on behind them.
    fn strike(&mut self, strike: &Strike, from: Anchor, until_ms: Option<u64>) -> Result<Anchor, Complaint> {
        let nodes = self.settings.nodes;
        if let Some(NodeNumber(number)) = strike.when.as_ref().and_then(|when| when.node)
            && number > nodes
        {
            let message =
                format!("`n{number}` is not there to be watched (hint: the cluster has {nodes} nodes)");
            return Err(Complaint { at: strike.when_at, message });
        }
        let from = from.later(strike.at_ms);
        let until_ms = [strike.until_ms, until_ms].into_iter().flatten().min();
        for word in &strike.faults {
            self.add(word, from, strike.lasts_ms, Some(strike), until_ms)?;
        }
        Ok(match (&strike.when, self.episodes.last()) {
            (Some(_), Some(last)) => Anchor { after: Some(last.id), at_ms: 0 },
            _ => from.later(strike.lasts_ms),
        })
    }

    fn add(
        &mut self,
        word: &Word,
        from: Anchor,
        lasts_ms: u64,
        strike: Option<&Strike>,
        until_ms: Option<u64>,
    ) -> Result<(), Complaint> {
        word.spec
            .check(self.settings.nodes)
            .map_err(|error| Complaint { at: word.at, message: error.to_string() })?;
        // What was left open is drawn, whether or not the seed is given: the others must not change by that.
        let mut deck = word.spec.deck(self.settings.nodes, &mut self.random);
        let fault = deck.swap_remove(self.random.random_range(0..deck.len()));
        let drawn = self.random.random();
        let seed = strike.and_then(|strike| strike.seed).unwrap_or(drawn);
        let when = strike.and_then(|strike| strike.when.clone());
        let Anchor { after, at_ms } = from;
        let there = word.there;
        self.push(Episode { id: 0, at_ms, lasts_ms, fault, seed, after, when, until_ms, there }, word.at)
    }

    fn push(&mut self, episode: Episode, place: usize) -> Result<(), Complaint> {
        // What is certain to be too late is no part of the schedule.
        if episode.after.is_none() && episode.until_ms.is_some_and(|until_ms| episode.at_ms > until_ms) {
            return Ok(());
        }
        if self.episodes.len() == STRIKES_MAX {
            return Err(Complaint {
                at: place,
                message: format!("these are more than {STRIKES_MAX} strikes"),
            });
        }
        self.episodes.push(Episode { id: self.episodes.len() as u64, ..episode });
        self.places.push(place);
        self.windows = windows(&self.episodes);
        Ok(())
    }

    /// The time of an anchor at the earliest and at the latest.
    fn time(&self, anchor: Anchor) -> (u64, u64) {
        let base = anchor.after.map_or((0, 0), |after| self.windows[after as usize].ends_ms);
        (base.0 + anchor.at_ms, base.1 + anchor.at_ms)
    }

    /// When the last of those is over whose time is fixed.
    fn fixed_end_ms(&self) -> u64 {
        let fixed = self.episodes.iter().filter(|episode| episode.after.is_none() && episode.when.is_none());
        fixed.map(|episode| episode.at_ms + episode.lasts_ms).max().unwrap_or(0)
    }
}

/// A time in the words of a schedule.
pub(super) fn span(ms: u64) -> crate::duration::Span {
    crate::duration::Span(Duration::from_millis(ms))
}
