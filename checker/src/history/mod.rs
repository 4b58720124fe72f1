//! What the clients saw: events as they are recorded, the operations that they pair up to, and the files they come in.

mod event;
mod formats;
mod operation;
mod tape;
mod value;

pub use event::{Event, EventKind, Process};
pub use formats::{Format, Parsed, Reader, Recorded, parse_jsonl};
pub use operation::{History, Name, Operation, Outcome, PairingError, Record};
pub use tape::Taped;
pub use value::{Datum, Values};
