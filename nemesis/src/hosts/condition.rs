//! What a link does to packets when it is neither whole nor cut.

use std::fmt;
use std::time::Duration;

/// The state of one link in one direction. Several at once add up: see [`Condition::and`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Condition {
    /// How long a packet is under way at least.
    pub delay: Duration,
    /// How much longer it may take: what comes on top changes all the time, with this mean of an exponential distribution, so that mostly it
    /// is little and sometimes much. Packets of a link stay in order.
    pub jitter: Duration,
    /// Share of packets that never arrive, 0 to 1.
    pub loss: f64,
    /// Share that arrives twice.
    pub duplicates: f64,
    /// Share that is held back and overtaken, and for how long.
    pub reordered: f64,
    /// How long those are held back.
    pub held_back: Duration,
    /// Share of which one byte is changed, in a way that no checksum of the network notices.
    pub corrupted: f64,
    /// Bytes a second; more wait, up to what a second's worth of queue takes, and what is beyond that is lost.
    pub bandwidth: Option<u64>,
}

impl Condition {
    /// Both at once: delays add up, of shares the greater counts, and of bandwidths the smaller.
    #[must_use]
    pub fn and(self, other: Condition) -> Condition {
        let smaller = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Condition {
            delay: self.delay + other.delay,
            jitter: self.jitter + other.jitter,
            loss: self.loss.max(other.loss),
            duplicates: self.duplicates.max(other.duplicates),
            reordered: self.reordered.max(other.reordered),
            held_back: self.held_back.max(other.held_back),
            corrupted: self.corrupted.max(other.corrupted),
            bandwidth: smaller(self.bandwidth, other.bandwidth),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.delay.is_zero() {
            parts.push(format!("{} ms late", self.delay.as_millis()));
        }
        if !self.jitter.is_zero() {
            parts.push(format!("{} ms more on average", self.jitter.as_millis()));
        }
        let percent = |share: f64| (100.0 * share).round();
        if self.loss > 0.0 {
            parts.push(format!("{} % lost", percent(self.loss)));
        }
        if self.duplicates > 0.0 {
            parts.push(format!("{} % twice", percent(self.duplicates)));
        }
        if self.reordered > 0.0 {
            let held_back = self.held_back.as_millis();
            parts.push(format!("{} % held back for {held_back} ms", percent(self.reordered)));
        }
        if self.corrupted > 0.0 {
            parts.push(format!("{} % corrupted", percent(self.corrupted)));
        }
        if let Some(bandwidth) = self.bandwidth {
            parts.push(format!("{} kB/s", bandwidth / 1000));
        }
        match parts.is_empty() {
            true => f.write_str("nothing"),
            false => f.write_str(&parts.join(", ")),
        }
    }
}
