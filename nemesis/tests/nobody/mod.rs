//! An administrator for processes that are no cluster.

use rafture_nemesis::administrator::{Administrator, Boxed, Order};
use rafture_nemesis::grudge::Roles;

/// Knows who leads, and nothing more.
pub(crate) struct Nobody {
    pub(crate) leader: Option<usize>,
}

impl Administrator for Nobody {
    fn roles(&self) -> Boxed<'_, Roles> {
        Box::pin(async { Roles { leader: self.leader, ..Roles::default() } })
    }

    fn is_up_to_date(&self, _: usize) -> Boxed<'_, bool> {
        Box::pin(async { true })
    }

    fn adds_running_nodes(&self) -> bool {
        true
    }

    fn order(&self, order: Order) -> Boxed<'_, Result<String, String>> {
        Box::pin(async move { Err(format!("nobody can do {order:?}")) })
    }
}
