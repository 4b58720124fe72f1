//! Monitors: histories that can be decided without trying orders.
//!
//! Each is exact where it answers, and answers `None` where the history is not of its kind:
//!
//! | file | objects | what it wants |
//! |---|---|---|
//! | `register` | registers, with compare-and-set | no value that was seen is written twice |
//! | `counter` | counters | all numbers added are equal |
//! | `growing` | lists, sets | no value that was read is appended twice; nothing is removed |
//! | `queue` | queues | no value is put in twice |
//! | `stack` | stacks | the same, and that it is clear what open pops took |
//! | `semaphore` | mutexes, semaphores | nothing |
//!
//! `items` is what queues and stacks have in common, `counts` a tree of sums, `plan` an order in the making.

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
pub(crate) use register::{Fate, forgettable};
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
