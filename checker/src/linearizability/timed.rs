//! A call and when it was open.

/// A call with the places of its invocation and completion among the events; no two places are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timed<C> {
    /// What was done.
    pub call: C,
    /// Where it began.
    pub invoked: u32,
    /// Where it ended; `None` when it is open for ever: it may have happened at any time after its invocation, or never.
    pub completed: Option<u32>,
}

impl<C> Timed<C> {
    /// The place by which it has happened.
    pub fn deadline(&self) -> u32 {
        self.completed.unwrap_or(u32::MAX)
    }
}
