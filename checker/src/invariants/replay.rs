//! One node's disk, followed line by line: what it saved, what its log held, what it gave up.
//!
//! The one idea: the traced log is the *durable* one. A node may lead, commit and apply with entries that it has in
//! memory only, so a rule may not ask what a node's log lacked when it became leader. It may ask once an entry of the
//! leader's own term is durable there, for all entries before it are durable then.

use std::collections::HashMap;

use super::facts::{Facts, Source};
use super::{Invariant, Violations};
use crate::trace::{Role, TraceBody, TraceEvent};

struct Replay<'t, 'f> {
    node: &'t str,
    facts: &'f Facts<'t>,
    /// Over a restart, it may have less on disk than it had.
    may_forget: bool,
    /// Term and vote as last saved.
    saved: Option<(u64, Option<&'t str>)>,
    /// Term and chain by index, as far as they are known.
    log: HashMap<u64, (u64, u32)>,
    last_index: u64,
    /// Highest index that it ever applied; it re-applies from the start after a restart.
    applied: u64,
    /// Term that it leads and whose first entry is not durable yet.
    new_leader_of: Option<u64>,
}

/// Follows `node`.
pub(super) fn replay<'t>(
    node: &'t str,
    events: &'t [TraceEvent],
    facts: &Facts<'t>,
    may_forget: bool,
    violations: &mut Violations,
) {
    let mut replay = Replay {
        node,
        facts,
        may_forget,
        saved: None,
        log: HashMap::new(),
        last_index: 0,
        applied: 0,
        new_leader_of: None,
    };
    for event in events {
        let time = event.time;
        match &event.body {
            TraceBody::Start { term, vote, last_index, last_term, last_chain } => {
                replay.new_leader_of = None;
                replay.save(time, *term, vote.as_deref(), true, violations);
                let last = (*last_term, *last_chain);
                replay.recover(time, *term, *last_index, last, violations);
            }
            TraceBody::Save { term, vote } => {
                replay.save(time, *term, vote.as_deref(), false, violations);
            }
            TraceBody::Append { first, entries } => {
                replay.append(time, *first, entries, violations);
            }
            TraceBody::Role { role, term, .. } => {
                replay.new_leader_of = (*role == Role::Leader).then_some(*term);
            }
            TraceBody::Commit { .. } | TraceBody::Snapshot { .. } | TraceBody::Configuration { .. } => {}
            TraceBody::Apply { first, entries } => {
                let last = first.saturating_sub(1).saturating_add(entries.len() as u64);
                replay.applied = replay.applied.max(last);
            }
            TraceBody::Install { index, term, chain } => {
                replay.log.clear();
                replay.log.insert(*index, (*term, *chain));
                replay.last_index = *index;
            }
            TraceBody::Restore { index, .. } => replay.applied = replay.applied.max(*index),
        }
    }
}

impl<'t> Replay<'t, '_> {
    fn save(
        &mut self,
        time: u64,
        term: u64,
        vote: Option<&'t str>,
        is_start: bool,
        violations: &mut Violations,
    ) {
        let how = if is_start { " over a restart" } else { "" };
        let node = self.node;
        let broken = match self.saved {
            Some((before, _)) if term < before => {
                Some(format!("`{node}` went back from term {before} to term {term}{how}"))
            }
            Some((before, Some(voted))) if term == before && vote != Some(voted) => Some(match vote {
                Some(vote) => {
                    format!("`{node}` voted for `{voted}` and `{vote}` in term {term}{how}")
                }
                None => format!("`{node}` forgot its vote for `{voted}` in term {term}{how}"),
            }),
            _ => None,
        };
        if let Some(sentence) = broken.filter(|_| !(is_start && self.may_forget)) {
            violations.add(Invariant::DurableState, &[(node, time)], sentence);
        }
        self.saved = Some((term, vote));
    }

    /// Compares the recovered log's end with the traced one. A kill can hit between a sync and its line, so the log
    /// may have grown unseen, and a leader of a later term than the traced entry's may have replaced it unseen.
    fn recover(&mut self, time: u64, term: u64, index: u64, last: (u64, u32), violations: &mut Violations) {
        let traced = match index {
            0 => Some(last),
            index => self.log.get(&index).copied(),
        };
        let is_known = traced == Some(last);
        let lost = is_known && index < self.last_index;
        let changed =
            index <= self.last_index && traced.is_some_and(|traced| traced != last && term <= traced.0);
        if (lost || changed) && !self.may_forget {
            let what = match lost {
                true => format!("entries {} to {}", index + 1, self.last_index),
                false => format!("entry {index}"),
            };
            let sentence = format!("`{}` lost synced {what} of its log over a restart", self.node);
            violations.add(Invariant::DurableState, &[(self.node, time)], sentence);
        }
        if !is_known || lost {
            let applied = self.applied.min(index);
            self.log.retain(|&at, _| at <= applied);
        }
        if index > 0 {
            self.log.insert(index, last);
        }
        self.last_index = index;
    }

    fn append(&mut self, time: u64, first: u64, entries: &[(u64, u32)], violations: &mut Violations) {
        let end = first.saturating_add(entries.len() as u64);
        for gone in end..=self.last_index {
            self.log.remove(&gone);
        }
        self.last_index = end.saturating_sub(1);
        let source = Source { node: self.node, time };
        for (index, &(term, chain)) in (first..).zip(entries) {
            let before = self.log.insert(index, (term, chain));
            if index <= self.applied {
                self.rewrite(source, index, before, (term, chain), violations);
            }
            if self.new_leader_of == Some(term) {
                self.new_leader_of = None;
                self.complete(source, index, term, violations);
            }
        }
    }

    /// An entry may be applied before it is synced, and older writes may then still be on their way to the disk. Only
    /// when the applied entry itself was on disk, and is not any more, is something wrong.
    fn rewrite(
        &self,
        source: Source<'t>,
        index: u64,
        before: Option<(u64, u32)>,
        entry: (u64, u32),
        violations: &mut Violations,
    ) {
        let Some(applied) = self.facts.applied.get(&index) else {
            return;
        };
        let was_on_disk = before == Some((applied.term, applied.chain));
        if was_on_disk && before != Some(entry) {
            let sentence = format!(
                "`{}` wrote an entry of term {} over entry {index} of term {}, which it had applied",
                self.node, entry.0, applied.term
            );
            let parts = [source.part(), applied.source.part()];
            violations.add(Invariant::CommittedImmutable, &parts, sentence);
        }
    }

    /// The first entry of the leader's own term is durable at `index`; it stands behind all that the leader had.
    fn complete(&self, source: Source<'t>, index: u64, term: u64, violations: &mut Violations) {
        let Some(commitment) = self.facts.committed_before(term) else {
            return;
        };
        let at = commitment.index;
        let applied = self.facts.applied.get(&at);
        let own = self.log.get(&at);
        let lacks = index <= at;
        let differs = own.zip(applied).is_some_and(|(own, applied)| *own != (applied.term, applied.chain));
        if lacks || differs {
            let has = match lacks {
                true => format!("its log ended at {}", index - 1),
                false => "its log had another entry there".to_owned(),
            };
            let sentence = format!(
                "`{}` became leader of term {term} without entry {at}, which `{}` had committed in term {}: {has}",
                self.node, commitment.source.node, commitment.term
            );
            let parts = [source.part(), commitment.source.part()];
            violations.add(Invariant::LeaderCompleteness, &parts, sentence);
        }
    }
}
