//! What faults do to clocks, and how it is seen.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::sleep;

use super::Injector;
use crate::clocks::{Change, SKEW_SHOWS_AFTER_MS};

impl Injector<'_> {
    /// Makes nodes read their clocks.
    pub(super) async fn prove_clocks(&mut self, changes: &BTreeMap<usize, Change>) -> Result<String, String> {
        if changes.values().any(Change::is_gradual) {
            sleep(Duration::from_millis(SKEW_SHOWS_AFTER_MS)).await;
        }
        let mut words = Vec::new();
        for (&node, change) in changes {
            let seen = self.cluster.look_at_clocks(node).map_err(|error| error.to_string())?;
            let took_ms = self.cluster.clocks_took(node).as_secs_f64() * 1e3;
            let name = self.cluster.name(node);
            let seen = seen.ok_or_else(|| format!("{name} is gone"))?;
            let evidence = change.judge(seen).map_err(|error| format!("{name}: {error}"))?;
            words.push(format!("{name}, bent within {took_ms:.3} ms: {evidence}"));
        }
        Ok(words.join("; "))
    }
}
