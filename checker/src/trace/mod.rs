//! What the nodes did inside: events of their traces.

mod event;

pub use event::{Role, TraceBody, TraceEvent};
