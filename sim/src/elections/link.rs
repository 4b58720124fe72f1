//! What becomes of the messages of one link: when they arrive, in order, and what loss does to them.
//!
//! Nodes speak over TCP, where a lost packet is a late one, and so is everything behind it. How late is modelled on Linux: a
//! single packet is sent again by a timer (two round trips and 200 ms, then ever twice as long), or as soon as the answer
//! to a later packet shows that it is missing (a quarter of a round trip of patience, RFC 8985). Over datagrams it is gone.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Linux sends nothing again by a timer before so long.
const RETRANSMIT_MIN: u64 = 200_000_000;
/// Nor does the timer ever double beyond this.
const RETRANSMIT_MAX: u64 = 120_000_000_000;

/// A time that is at least so long, in nanoseconds, and sometimes longer.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Delay {
    /// The least, in nanoseconds.
    pub base_ns: u64,
    /// The mean of what comes on top, in nanoseconds; it has an exponential distribution.
    pub tail_ns: u64,
}

/// One direction between two members.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LinkSpec {
    /// How long a packet is under way.
    pub delay: Delay,
    /// Share of packets that are lost.
    pub loss: f64,
}

/// A link with what is under way on it.
#[derive(Debug, Clone, Default)]
pub(super) struct LinkState {
    /// What was sent last arrives then; nothing overtakes.
    latest: u64,
    /// A lost packet, and what waits behind it.
    lost: Option<Lost>,
}

#[derive(Debug, Clone)]
struct Lost {
    /// It is sent again at this time.
    again: u64,
    /// What the timer waits next.
    backoff: u64,
    /// Slots of the messages: the lost one, and those behind it.
    held: Vec<u32>,
}

/// What becomes of a message that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It arrives then.
    Arrives(u64),
    /// It waits for a lost one, or is it: at this time it is tried again.
    Waits(u64),
    /// It never arrives.
    Gone,
}

impl Delay {
    /// One such time.
    pub(super) fn draw(self, random: &mut ChaCha8Rng) -> u64 {
        match self.tail_ns {
            0 => self.base_ns,
            tail => self.base_ns + exponential(random, tail as f64) as u64,
        }
    }

    /// On average, in nanoseconds.
    pub fn mean_ns(self) -> u64 {
        self.base_ns + self.tail_ns
    }
}

/// A number from an exponential distribution with this mean.
pub(super) fn exponential(random: &mut ChaCha8Rng, mean: f64) -> f64 {
    // 1 - u is never 0.
    -mean * (1.0 - random.random::<f64>()).ln()
}

impl LinkState {
    pub(super) fn clear(&mut self) {
        self.latest = 0;
        self.lost = None;
    }

    /// A message in this slot is sent. `round_trip` is the link's, on average; without `repeats` nothing is sent again.
    pub(super) fn send(
        &mut self,
        slot: u32,
        spec: LinkSpec,
        (now, round_trip, repeats): (u64, u64, bool),
        random: &mut ChaCha8Rng,
    ) -> Fate {
        let is_lost = spec.loss > 0.0 && random.random_bool(spec.loss);
        match &mut self.lost {
            _ if !repeats && is_lost => Fate::Gone,
            Some(lost) => {
                lost.held.push(slot);
                if !is_lost {
                    // Its acknowledgement will tell of the gap.
                    lost.again = lost.again.min(now + round_trip + round_trip / 4);
                }
                Fate::Waits(lost.again)
            }
            None if is_lost => {
                let again = now + 2 * round_trip + RETRANSMIT_MIN;
                self.lost = Some(Lost { again, backoff: round_trip + RETRANSMIT_MIN, held: vec![slot] });
                Fate::Waits(again)
            }
            None => Fate::Arrives(self.arrival(now, spec, random)),
        }
    }

    /// Time has come to `now`: if a lost packet is due to be sent again, gives what arrives when, or when the next try is.
    pub(super) fn retry(
        &mut self,
        spec: LinkSpec,
        now: u64,
        random: &mut ChaCha8Rng,
    ) -> Option<Result<(Vec<u32>, u64), u64>> {
        let lost = self.lost.as_mut().filter(|lost| lost.again <= now)?;
        if random.random_bool(spec.loss) {
            lost.again = now + lost.backoff;
            lost.backoff = (2 * lost.backoff).min(RETRANSMIT_MAX);
            return Some(Err(lost.again));
        }
        let held = self.lost.take().expect("it was just there").held;
        Some(Ok((held, self.arrival(now, spec, random))))
    }

    fn arrival(&mut self, now: u64, spec: LinkSpec, random: &mut ChaCha8Rng) -> u64 {
        self.latest = self.latest.max(now + spec.delay.draw(random));
        self.latest
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const MS: u64 = 1_000_000;

    fn spec(loss: f64) -> LinkSpec {
        LinkSpec { delay: Delay { base_ns: 5 * MS, tail_ns: 0 }, loss }
    }

    #[test]
    fn a_lost_packet_is_late_and_so_is_what_follows() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut link = LinkState::default();
        assert_eq!(link.send(0, spec(1.0), (0, 10 * MS, true), &mut random), Fate::Waits(220 * MS));
        let sooner = 50 * MS + 12 * MS + MS / 2;
        assert_eq!(link.send(1, spec(0.0), (50 * MS, 10 * MS, true), &mut random), Fate::Waits(sooner));
        assert_eq!(link.retry(spec(0.0), sooner - 1, &mut random), None);
        assert_eq!(link.retry(spec(1.0), sooner, &mut random), Some(Err(sooner + 210 * MS)));
        let again = sooner + 210 * MS;
        assert_eq!(link.retry(spec(0.0), again, &mut random), Some(Ok((vec![0, 1], again + 5 * MS))));
        assert_eq!(
            link.send(2, spec(0.0), (again, 10 * MS, true), &mut random),
            Fate::Arrives(again + 5 * MS)
        );
    }

    #[test]
    fn a_lost_datagram_is_gone_and_nothing_waits() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut link = LinkState::default();
        assert_eq!(link.send(0, spec(1.0), (0, 10 * MS, false), &mut random), Fate::Gone);
        assert_eq!(link.send(1, spec(0.0), (1, 10 * MS, false), &mut random), Fate::Arrives(5 * MS + 1));
    }

    #[test]
    fn delays_have_the_mean_that_they_say() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let delay = Delay { base_ns: 1000, tail_ns: 500 };
        let sum: u64 = (0..20_000).map(|_| delay.draw(&mut random)).sum();
        assert!((sum as f64 / 20_000.0 - delay.mean_ns() as f64).abs() < 15.0);
    }
}
