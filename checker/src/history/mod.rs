//! What the clients saw: events as they are recorded.

mod event;

pub use event::{Event, EventKind, Process};
