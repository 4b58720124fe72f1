//! What nodes write about elections, whichever system they are of: who stood for which term, who won it, who heard of it.

/// Something about an election that a node has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ElectionEvent {
    /// When it was, as exactly as the node says.
    pub time: EventTime,
    /// The term that the node was in.
    pub term: u64,
    /// What it did.
    pub step: ElectionStep,
}

/// A moment, in nanoseconds, on the clock that the node has looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventTime {
    /// The machine's monotonic clock.
    Monotonic(u64),
    /// The wall clock, since 1970.
    Wall(u64),
}

/// What a node did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ElectionStep {
    /// It asked whether it could win an election: it has given its leader up (PreVote).
    Asked,
    /// It stood for the term.
    Stood,
    /// It leads in the term.
    Led,
    /// It has heard the term's leader.
    Followed,
    /// It is in the term, and knows no leader of it.
    Waited,
}
