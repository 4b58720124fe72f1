//! Monitors: histories that can be decided without trying orders.
//!
//! Each is exact where it answers, and answers `None` where the history is not of its kind.

mod counter;
mod counts;
mod growing;
mod items;
mod plan;
mod queue;
mod register;
mod semaphore;
mod stack;

pub use counter::decide_counter;
pub use growing::{Contents, decide_list, decide_set};
use plan::Plan;
pub use queue::decide_queue;
pub use register::decide_register;
pub(crate) use register::forgettable;
pub use semaphore::decide_semaphore;
pub use stack::decide_stack;

/// What a monitor found; calls by their indices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// An order that explains all completed calls, and those open ones that somebody observed.
    Linearizable(Vec<u32>),
    /// A few calls that no order explains, whatever the others are.
    Violation(Vec<u32>),
}
