//! What all nodes say together: who led, which entries there are, what was committed and applied.

use std::collections::{BTreeMap, HashMap};

use super::{Invariant, Traces, Violations};
use crate::trace::{Role, TraceBody, TraceEvent};

/// Who said something, and when.
#[derive(Clone, Copy)]
pub(super) struct Source<'t> {
    pub(super) node: &'t str,
    pub(super) time: u64,
}

impl<'t> Source<'t> {
    pub(super) fn part(self) -> (&'t str, u64) {
        (self.node, self.time)
    }
}

/// An applied entry with the state after it.
pub(super) struct Applied<'t> {
    pub(super) term: u64,
    pub(super) chain: u32,
    digest: u64,
    pub(super) source: Source<'t>,
}

/// A commit by the leader of a term.
#[derive(Clone, Copy)]
pub(super) struct Commitment<'t> {
    pub(super) term: u64,
    pub(super) index: u64,
    pub(super) source: Source<'t>,
}

#[derive(Default)]
pub(super) struct Facts<'t> {
    leaders: BTreeMap<u64, Source<'t>>,
    /// Chain by index and term.
    entries: HashMap<(u64, u64), (u32, Source<'t>)>,
    pub(super) applied: HashMap<u64, Applied<'t>>,
    /// The highest by leaders of a term or of any before it.
    commitments: BTreeMap<u64, Commitment<'t>>,
}

impl<'t> Facts<'t> {
    /// Reads all traces; election safety, log matching and state machine safety show on the way.
    pub(super) fn gather(traces: &'t Traces, violations: &mut Violations) -> Facts<'t> {
        let mut facts = Facts::default();
        for (node, events) in traces {
            let mut leads = None;
            for event in events {
                let time = event.time;
                facts.take(Source { node, time }, event, &mut leads, violations);
            }
        }
        facts.raise_commitments();
        facts
    }

    /// The highest index that the leader of a term before `term` committed.
    pub(super) fn committed_before(&self, term: u64) -> Option<Commitment<'t>> {
        let before = self.commitments.range(..term).next_back();
        before.map(|(_, &commitment)| commitment)
    }

    /// `leads` is the term that the node leads.
    fn take(
        &mut self,
        source: Source<'t>,
        event: &TraceEvent,
        leads: &mut Option<u64>,
        violations: &mut Violations,
    ) {
        match &event.body {
            TraceBody::Start { last_index, last_term, last_chain, .. } => {
                *leads = None;
                if *last_index > 0 {
                    self.entry(source, (*last_index, *last_term), *last_chain, violations);
                }
            }
            TraceBody::Save { .. } | TraceBody::Snapshot { .. } | TraceBody::Configuration { .. } => {}
            TraceBody::Append { first, entries } => {
                for (index, &(term, chain)) in (*first..).zip(entries) {
                    self.entry(source, (index, term), chain, violations);
                }
            }
            TraceBody::Role { role, term, .. } => {
                *leads = (*role == Role::Leader).then_some(*term);
                if *role == Role::Leader {
                    self.leader(source, *term, violations);
                }
            }
            TraceBody::Commit { term, index } => {
                if *leads == Some(*term) {
                    self.commitment(Commitment { term: *term, index: *index, source });
                }
            }
            TraceBody::Apply { first, entries } => {
                for (index, &(term, chain, digest)) in (*first..).zip(entries) {
                    self.entry(source, (index, term), chain, violations);
                    let applied = Applied { term, chain, digest, source };
                    self.apply(index, applied, violations);
                }
            }
            TraceBody::Install { index, term, chain } => {
                self.entry(source, (*index, *term), *chain, violations);
            }
            TraceBody::Restore { index, term, chain, digest } => {
                self.entry(source, (*index, *term), *chain, violations);
                let applied = Applied { term: *term, chain: *chain, digest: *digest, source };
                self.apply(*index, applied, violations);
            }
        }
    }

    fn leader(&mut self, source: Source<'t>, term: u64, violations: &mut Violations) {
        let first = *self.leaders.entry(term).or_insert(source);
        if first.node != source.node {
            let sentence = format!("`{}` and `{}` both led term {term}", source.node, first.node);
            let parts = [source.part(), first.part()];
            violations.add(Invariant::ElectionSafety, &parts, sentence);
        }
    }

    fn entry(&mut self, source: Source<'t>, id: (u64, u64), chain: u32, violations: &mut Violations) {
        let (known, first) = *self.entries.entry(id).or_insert((chain, source));
        if known != chain {
            let (index, term) = id;
            let sentence = format!(
                "entry {index} of term {term} has chain {chain:08x} on `{}`, but {known:08x} on `{}`",
                source.node, first.node
            );
            let parts = [source.part(), first.part()];
            violations.add(Invariant::LogMatching, &parts, sentence);
        }
    }

    fn apply(&mut self, index: u64, applied: Applied<'t>, violations: &mut Violations) {
        let source = applied.source;
        let said = (applied.term, applied.chain, applied.digest);
        let known = self.applied.entry(index).or_insert(applied);
        let first = known.source;
        let differs = match said {
            (term, ..) if term != known.term => {
                format!("an entry of term {term}, `{}` one of term {}", first.node, known.term)
            }
            (_, chain, _) if chain != known.chain => format!("another entry than `{}`", first.node),
            (_, _, digest) if digest != known.digest => {
                format!("the same entry as `{}`, but came to another state", first.node)
            }
            _ => return,
        };
        let sentence = format!("at index {index} `{}` applied {differs}", source.node);
        let parts = [source.part(), first.part()];
        violations.add(Invariant::StateMachineSafety, &parts, sentence);
    }

    fn commitment(&mut self, commitment: Commitment<'t>) {
        let highest = self.commitments.entry(commitment.term).or_insert(commitment);
        if commitment.index > highest.index {
            *highest = commitment;
        }
    }

    fn raise_commitments(&mut self) {
        let mut highest: Option<Commitment<'t>> = None;
        for commitment in self.commitments.values_mut() {
            match highest {
                Some(before) if before.index > commitment.index => *commitment = before,
                _ => highest = Some(*commitment),
            }
        }
    }
}
