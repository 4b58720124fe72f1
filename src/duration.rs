//! Durations and ranges as people write them; schedules are written with the same words, so they are read there.

pub use rafture_nemesis::duration::{Range, Span};
