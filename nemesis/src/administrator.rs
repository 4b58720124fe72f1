//! What faults need of whoever knows the system under test: who leads, who is behind, and orders that only the cluster itself
//! can carry out. Whoever drives a run provides it; nothing here knows any system.

use std::future::Future;
use std::pin::Pin;

use crate::grudge::Roles;

/// A future that can be kept.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Something that a cluster does to itself, about a node by its number from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// It is no member any more.
    Remove(usize),
    /// It is a member, on its old address and with no data.
    Add(usize),
    /// It leads.
    Transfer(usize),
    /// It makes a snapshot.
    Snapshot(usize),
}

/// Who can ask a cluster.
pub trait Administrator {
    /// Who leads, who led before, and who is behind; what cannot be found out soon is not known.
    fn roles(&self) -> Boxed<'_, Roles>;

    /// Whether a node knows nearly all that the leader knows.
    fn is_up_to_date(&self, node: usize) -> Boxed<'_, bool>;

    /// Whether a node must run before it can be added, or must not.
    fn adds_running_nodes(&self) -> bool;

    /// Has an order carried out; in words what came of it, or why it was not.
    fn order(&self, order: Order) -> Boxed<'_, Result<String, String>>;
}
