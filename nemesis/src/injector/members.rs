//! What faults have the cluster do to itself: members go and come back empty, another leads, a snapshot is made.
//!
//! The cluster may not be able to at the moment, and then it is not the harness that has failed: the fault is declined. A
//! member that went must come back, however.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::deed::{Deed, What};
use super::{DeedError, Injector};
use crate::administrator::{Administrator, Order};

/// How long a cluster under faults has to carry out an order. Other faults have to wait meanwhile.
const ORDER_PATIENCE: Duration = Duration::from_millis(600);
/// How long one that is well has to take a member back. Anything that works needs far less.
const HEALED_PATIENCE: Duration = Duration::from_secs(10);
/// Before an order that was refused is given again.
const AGAIN: Duration = Duration::from_millis(50);

impl Injector<'_> {
    /// Has the cluster do what a deed wants at its beginning; in words, what it did.
    pub(super) async fn strike_members(
        &mut self,
        deed: &Deed,
        administrator: &dyn Administrator,
    ) -> Result<Vec<String>, DeedError> {
        let mut words = Vec::new();
        for &node in &deed.nodes {
            let said = match deed.what {
                What::Remove => {
                    self.cluster.expect_end(node);
                    let said = order(administrator, Order::Remove(node), ORDER_PATIENCE).await?;
                    self.cluster.kill(&[node])?;
                    self.cluster.wipe(node)?;
                    said
                }
                What::Wipe => {
                    let killed = self.cluster.kill(&[node])?;
                    self.cluster.wipe(node)?;
                    let name = self.cluster.name(node);
                    match killed.first() {
                        Some(process) => format!("process {process} is gone, and so is all data of {name}"),
                        None => format!("all data of {name} is gone"),
                    }
                }
                What::Transfer => order(administrator, Order::Transfer(node), ORDER_PATIENCE).await?,
                _ => order(administrator, Order::Snapshot(node), ORDER_PATIENCE).await?,
            };
            words.push(said);
        }
        Ok(words)
    }

    /// Brings members back that went, or that have lost everything.
    pub(super) async fn take_back(
        &mut self,
        deed: &Deed,
        administrator: &dyn Administrator,
        is_healing: bool,
    ) -> Result<(), DeedError> {
        let patience = if is_healing { HEALED_PATIENCE } else { ORDER_PATIENCE };
        // So many steps are behind it as members have joined.
        for (&node, place) in deed.nodes.iter().zip(1..) {
            if deed.steps >= place {
                // It has joined already, and needs time.
                self.cluster.start(node)?;
                await_current(administrator, node, patience).await?;
                continue;
            }
            // Whatever has become of it so far: it is no member, has nothing, and joins.
            order(administrator, Order::Remove(node), patience).await?;
            if !self.cluster.is_wiped(node) {
                self.cluster.kill(&[node])?;
                self.cluster.wipe(node)?;
            }
            if administrator.adds_running_nodes() {
                self.cluster.let_in(node);
                self.cluster.start(node)?;
            }
            order(administrator, Order::Add(node), patience).await?;
            self.cluster.let_in(node);
            self.cluster.start(node)?;
            // There is no other deed that takes members out.
            self.in_force
                .values_mut()
                .filter(|deed| deed.takes_members_out())
                .for_each(|deed| deed.steps = place);
            await_current(administrator, node, patience).await?;
        }
        Ok(())
    }
}

/// Waits until a member has caught up. Before that, a cluster that loses one more may be stuck.
async fn await_current(
    administrator: &dyn Administrator,
    node: usize,
    patience: Duration,
) -> Result<(), DeedError> {
    let deadline = Instant::now() + patience;
    while !administrator.is_up_to_date(node).await {
        if Instant::now() > deadline {
            return Err(DeedError::Declined("it has not caught up yet".into()));
        }
        sleep(AGAIN).await;
    }
    Ok(())
}

/// Gives an order again and again until it is carried out.
async fn order(
    administrator: &dyn Administrator,
    order: Order,
    patience: Duration,
) -> Result<String, DeedError> {
    let deadline = Instant::now() + patience;
    let mut refusal = format!("no answer within {patience:?}");
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match timeout(left, administrator.order(order)).await {
            Ok(Ok(said)) => return Ok(said),
            Ok(Err(said)) => refusal = said,
            Err(_) => return Err(DeedError::Declined(refusal)),
        }
        sleep(AGAIN).await;
    }
}
