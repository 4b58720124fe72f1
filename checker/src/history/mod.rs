//! What the clients saw: events as they are recorded, and the operations that they pair up to.

mod event;
mod jsonl;
mod operation;

pub use event::{Event, EventKind, Process};
pub use jsonl::{Parsed, parse_jsonl};
pub use operation::{Operation, Outcome, PairingError, operations};
