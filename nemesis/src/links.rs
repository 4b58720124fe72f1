//! Faults of links: how bad they are, drawn from the seed, and how it is seen that they bite.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::fault::{LinkFault, Strength};
use crate::hosts::{Condition, Hosts, Link, Measured};

/// How long a datagram may take on a loaded machine beyond what was asked for.
const PATIENCE: Duration = Duration::from_millis(200);

/// A condition of that kind, as bad as was asked for, or as the dice say.
pub(crate) fn condition(kind: LinkFault, strength: Option<Strength>, random: &mut ChaCha8Rng) -> Condition {
    let milliseconds = Duration::from_millis;
    let none = Condition::default();
    let drawn = match kind {
        LinkFault::Delay => {
            let delay = milliseconds(random.random_range(10..150));
            // Half of them vary, as the way through a busy network does.
            let jitter = delay.mul_f64(if random.random_bool(0.5) { 0.3 } else { 0.0 });
            Condition { delay, jitter, ..none }
        }
        LinkFault::Loss => Condition { loss: random.random_range(0.05..0.6), ..none },
        LinkFault::Duplicate => Condition { duplicates: random.random_range(0.1..0.6), ..none },
        LinkFault::Reorder => {
            let held_back = milliseconds(random.random_range(5..50));
            Condition { reordered: random.random_range(0.1..0.5), held_back, ..none }
        }
        LinkFault::Corrupt => Condition { corrupted: random.random_range(0.05..0.2), ..none },
        // Evenly on a scale of orders of magnitude: 30 kB/s to 3 MB/s.
        LinkFault::Bandwidth => Condition {
            bandwidth: Some((30_000.0 * 10f64.powf(random.random_range(0.0..2.0))) as u64),
            ..none
        },
    };
    match (kind, strength) {
        // What is asked for does not vary.
        (LinkFault::Delay, Some(Strength::Micros(micros))) => {
            Condition { delay: Duration::from_micros(micros), ..none }
        }
        (LinkFault::Bandwidth, Some(Strength::Bytes(bytes))) => Condition { bandwidth: Some(bytes), ..none },
        (_, Some(Strength::Millionths(share))) => {
            let share = f64::from(share) / 1e6;
            match kind {
                LinkFault::Loss => Condition { loss: share, ..none },
                LinkFault::Duplicate => Condition { duplicates: share, ..none },
                LinkFault::Reorder => Condition { reordered: share, ..drawn },
                LinkFault::Corrupt => Condition { corrupted: share, ..none },
                LinkFault::Delay | LinkFault::Bandwidth => drawn,
            }
        }
        _ => drawn,
    }
}

/// Sees, by many datagrams, whether `links` are as bad as was `asked`; in words either way.
pub(crate) async fn proof(
    kind: LinkFault,
    asked: Condition,
    hosts: &Hosts,
    links: &BTreeSet<Link>,
) -> Result<String, String> {
    if links.is_empty() {
        return Err("all of its links are cut at the moment, so it cannot be seen".into());
    }
    let throttled = asked.bandwidth.map(|bandwidth| Measured::bytes_per_link() as f64 / bandwidth as f64);
    let slowest =
        asked.delay + 5 * asked.jitter + asked.held_back + Duration::from_secs_f64(throttled.unwrap_or(0.0));
    let patience = slowest + PATIENCE;
    let found = hosts.measure(links, patience).await.map_err(|error| error.to_string())?;
    let share = |count: u64| format!("{} of {} datagrams", count, found.sent);
    // A few may be somebody else's doing: another fault, or a machine that is too busy. Chance makes less of it than a quarter of what
    // was asked for in one case of a hundred at most, with two nodes.
    let enough = |count: u64, share: f64| count > 0 && count as f64 >= share * found.sent as f64 / 4.0;
    let (bites, words) = match kind {
        LinkFault::Delay => {
            let fastest = found.took.first().copied().unwrap_or_default();
            let words = format!(
                "{} datagrams took {:.1} ms at least and {:.1} ms in the middle, {:.0} ms was asked for",
                found.took.len(),
                1e3 * fastest.as_secs_f64(),
                1e3 * found.median().as_secs_f64(),
                1e3 * asked.delay.as_secs_f64()
            );
            (!found.took.is_empty() && fastest >= asked.delay, words)
        }
        LinkFault::Loss => (enough(found.lost(), asked.loss), format!("{} were lost", share(found.lost()))),
        LinkFault::Duplicate => {
            (enough(found.repeated, asked.duplicates), format!("{} came twice", share(found.repeated)))
        }
        // One that is held back is overtaken only if another one comes meanwhile.
        LinkFault::Reorder => (found.overtaken > 0, format!("{} were overtaken", share(found.overtaken))),
        LinkFault::Corrupt => {
            (enough(found.corrupted, asked.corrupted), format!("{} were corrupted", share(found.corrupted)))
        }
        LinkFault::Bandwidth => {
            let needed = throttled.unwrap_or_default();
            let took = found.all_took.as_secs_f64();
            let words = format!("{} bytes a link took {took:.3} s", Measured::bytes_per_link());
            // The first one of a link passes at once.
            (took >= 0.9 * needed || found.lost() > 0, words)
        }
    };
    match bites {
        true => Ok(format!("on {} links, {words}", links.len())),
        false => Err(format!("on {} links, {words}", links.len())),
    }
}
