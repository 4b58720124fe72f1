//! Session guarantees of one object (Terry, Demers, Petersen, Spreitzer, Theimer & Welch 1994): monotonic reads and read your
//! writes, key by key.
//!
//! A version is *older* than another if its write comes before the other's by what is known of the key: the order of each session,
//! and reads behind their writes. What was there at first is older than all. A session has monotonic reads if it never reads a version
//! older than one that it has read, and never comes back to one after another; it reads its writes if it never reads one older than
//! what it wrote last. Both follow from causal memory. Real time says nothing here: two writes of different
//! processes, one after the other, may come to a reader in any order if nothing that anybody saw sets theirs.

use hashbrown::HashMap;

use super::facts::Facts;
use super::order::{Clocks, topological};
use super::violation::{Violation, circle, path_to};

/// Which of the two is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guarantee {
    MonotonicReads,
    ReadYourWrites,
}

/// What a session has seen of the key.
#[derive(Default)]
struct Seen {
    /// Whatever comes before, or is, one of the versions that it read, by session; or before its own last write.
    clock: Vec<u32>,
    /// The version that it read last, or wrote last.
    last: Option<u32>,
}

/// Holds each session against the guarantee; `facts` are those of one key.
pub(super) fn hold(facts: &Facts<'_>, guarantee: Guarantee) -> Result<(), Violation> {
    let order = topological(facts, &[]);
    let order = order.map_err(|has_place| Violation::Circle(circle(facts, &[], &has_place)))?;
    let mut clocks = Clocks::new(facts, &[]);
    let mut sessions: Vec<Seen> = (0..facts.sessions()).map(|_| Seen::default()).collect();
    for at in order {
        clocks.enter(at);
        let seen = &mut sessions[facts.session_of[at as usize] as usize];
        for read in facts.reads(at) {
            let writer = facts.writer(read);
            if seen.is_newer(facts, writer) {
                return Err(older(facts, at, guarantee));
            }
            if let (Guarantee::MonotonicReads, Some(writer)) = (guarantee, writer) {
                seen.join(clocks.kept(writer));
                seen.last = Some(writer);
            }
        }
        if guarantee == Guarantee::ReadYourWrites && facts.writes(at).next().is_some() {
            seen.clock.clear();
            seen.clock.extend_from_slice(clocks.current());
            let (session, count) = facts.tick(at);
            seen.clock[session] = count;
            seen.last = Some(at);
        }
        if facts.after(at).is_none() {
            *seen = Seen::default();
        }
        clocks.leave(at);
    }
    Ok(())
}

impl Seen {
    /// Whether something newer was seen than what this transaction wrote; `None`: than what was there at first.
    fn is_newer(&self, facts: &Facts<'_>, writer: Option<u32>) -> bool {
        let Some(last) = self.last else {
            return false;
        };
        writer.is_none_or(|writer| {
            let (session, count) = facts.tick(writer);
            writer != last && self.clock[session] >= count
        })
    }

    fn join(&mut self, clock: &[u32]) {
        if self.clock.is_empty() {
            self.clock.extend_from_slice(clock);
        }
        self.clock.iter_mut().zip(clock).for_each(|(own, &other)| *own = (*own).max(other));
    }
}

/// The violation by `reader`, with what its session had seen that is newer by the fewest steps; or, where it came back to what it
/// had read, with what it had read between.
fn older(facts: &Facts<'_>, reader: u32, guarantee: Guarantee) -> Violation {
    let is_own = guarantee == Guarantee::ReadYourWrites;
    let read = facts.reads(reader).next().expect("it read");
    let start = facts.session(facts.session_of[reader as usize] as usize).start;
    let writer = facts.writer(read);
    let seen = |at: u32| {
        let own = || facts.writes(at).next().map(|_| at);
        let read = || facts.reads(at).find_map(|step| facts.writer(step));
        (if is_own { own() } else { read() }).filter(|&seen| Some(seen) != writer)
    };
    // Of several reads of one version the last.
    let seen_in: HashMap<u32, u32> = (start..reader).filter_map(|at| Some((seen(at)?, at))).collect();
    let way = writer.and_then(|writer| path_to(facts, writer, &|at| seen_in.contains_key(&at)));
    let newer = way.and_then(|way| seen_in.get(way.last()?).copied());
    let latest = || (start..reader).rev().find(|&at| seen(at).is_some());
    let earlier = newer.or_else(latest).expect("something newer was seen");
    Violation::Older { reader, earlier, is_own }
}
