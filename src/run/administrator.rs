//! What faults ask of the system under test, answered by its adaptor.

use std::cell::Cell;

use rafture_nemesis::administrator::{Administrator, Boxed, Order};
use rafture_nemesis::grudge::Roles;
use rafture_workloads::systems::{self, Layout, System};

use super::STATUS_PATIENCE;

/// Entries that a node may lack and yet count as up to date: a second's worth under load.
const NEARLY: u64 = 5000;

/// Asks one cluster, and remembers who has led it.
pub(super) struct Adaptor<'a> {
    system: &'a dyn System,
    layout: &'a Layout,
    /// Who was seen leading last, and who before that.
    leaders: Cell<(Option<usize>, Option<usize>)>,
}

impl<'a> Adaptor<'a> {
    pub(super) fn new(system: &'a dyn System, layout: &'a Layout) -> Adaptor<'a> {
        Adaptor { system, layout, leaders: Cell::default() }
    }

    async fn look(&self) -> Roles {
        let statuses = systems::statuses(self.system, self.layout, STATUS_PATIENCE).await;
        let leader = systems::leader_of(&statuses).map(|(node, _)| node);
        let (latest, before) = self.leaders.get();
        if leader.is_some() && leader != latest {
            self.leaders.set((leader, latest));
        } else {
            self.leaders.set((latest, before));
        }
        let progress =
            statuses.iter().enumerate().filter_map(|(node, status)| Some((status.as_ref()?.progress, node)));
        let least = progress.clone().map(|(progress, _)| progress).min();
        let most = progress.clone().map(|(progress, _)| progress).max();
        // Where all are equally far, nobody is behind.
        let behind = progress.min().map(|(_, node)| node).filter(|_| least < most);
        Roles { leader, leader_before: self.leaders.get().1, behind }
    }

    /// Who leads, by name.
    pub(super) async fn leader_name(&self) -> Option<String> {
        let leader = self.look().await.leader;
        leader.map(|node| self.layout.nodes[node].name.clone())
    }
}

impl Administrator for Adaptor<'_> {
    fn roles(&self) -> Boxed<'_, Roles> {
        Box::pin(self.look())
    }

    fn is_up_to_date(&self, node: usize) -> Boxed<'_, bool> {
        Box::pin(async move {
            let statuses = systems::statuses(self.system, self.layout, STATUS_PATIENCE).await;
            let leader = systems::leader_of(&statuses).map(|(_, status)| status.progress);
            let own = statuses[node].as_ref().map(|status| status.progress);
            leader.zip(own).is_some_and(|(leader, own)| own > 0 && own + NEARLY >= leader)
        })
    }

    fn adds_running_nodes(&self) -> bool {
        self.system.adds_running_nodes()
    }

    fn order(&self, order: Order) -> Boxed<'_, Result<String, String>> {
        let (order, node) = match order {
            Order::Remove(node) => (systems::Order::Remove, node),
            Order::Add(node) => (systems::Order::Add, node),
            Order::Transfer(node) => (systems::Order::Transfer, node),
            Order::Snapshot(node) => (systems::Order::Snapshot, node),
        };
        self.system.order(order, node, self.layout)
    }
}
