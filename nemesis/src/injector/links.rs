//! What faults do to links: which are cut, which are under a condition, and how either is seen.

use std::collections::{BTreeMap, BTreeSet};

use super::deed::Deed;
use super::{Injector, PROBES_MAX};
use crate::fault::LinkFault;
use crate::hosts::{Condition, HostsError, Link};
use crate::links::proof;

impl Injector<'_> {
    /// Puts just those links out of service that deeds in force cut, but for one that is over.
    pub(super) fn cut(&mut self, over: Option<u64>) -> Result<(), HostsError> {
        let deeds = self.in_force.iter().filter(|(id, _)| Some(**id) != over);
        let links = deeds.flat_map(|(_, deed)| deed.cut()).collect();
        self.cluster.cut(&links).map(drop)
    }

    /// Puts links under the conditions of all deeds in force, but for one that is over.
    pub(super) fn condition(&mut self, over: Option<u64>, seed: u64) -> Result<(), HostsError> {
        let mut conditions: BTreeMap<Link, Condition> = BTreeMap::new();
        for (_, deed) in self.in_force.iter().filter(|(id, _)| Some(**id) != over) {
            for (link, condition) in deed.conditioned() {
                let all = conditions.entry(link).or_default();
                *all = all.and(condition);
            }
        }
        self.cluster.condition(conditions, seed)
    }

    /// Sees by many datagrams whether links are in the condition that was asked for.
    pub(super) async fn prove_condition(
        &self,
        kind: LinkFault,
        asked: Condition,
        links: &BTreeSet<Link>,
    ) -> Result<String, String> {
        let cut = self.links_cut();
        let links = links.difference(&cut).copied().collect();
        proof(kind, asked, self.cluster.hosts(), &links).await
    }

    /// Links that carry nothing.
    pub(super) fn links_cut(&self) -> BTreeSet<Link> {
        self.in_force.values().flat_map(Deed::cut).collect()
    }

    /// Tries every link: those that are cut must carry nothing, and all others must carry.
    pub(super) async fn prove_cut(&self, cut: &BTreeSet<Link>) -> Result<String, String> {
        // What is under a condition has a proof of its own, and may be slow or lossy.
        let conditioned: BTreeSet<Link> =
            self.in_force.values().flat_map(Deed::conditioned).map(|(link, _)| link).collect();
        let whole: BTreeSet<Link> = Link::all(self.cluster.len())
            .filter(|link| !cut.contains(link) && !conditioned.contains(link))
            .collect();
        let mut complaint = String::new();
        for _ in 0..PROBES_MAX {
            let carried = self.cluster.hosts().probe(&whole).await.map_err(|error| error.to_string())?;
            let leaks = carried.intersection(cut).count();
            let silent = whole.difference(&carried).count();
            if leaks == 0 && silent == 0 {
                return Ok(format!("{} cut links carry nothing, {} others carry", cut.len(), whole.len()));
            }
            complaint = format!(
                "{leaks} of {} cut links carry, {silent} of {} others do not",
                cut.len(),
                whole.len()
            );
        }
        Err(complaint)
    }
}
