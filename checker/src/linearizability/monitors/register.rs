//! Registers in which every value that was read was written once, so that a read names its write (Gibbons & Korach 1997),
//! with compare-and-set.
//!
//! The one idea: a write, the reads of its value, and the compare-and-set that takes the value on to the next, with the
//! reads of that, and so on, can only stand together in any order. Such a *block* needs a point in time; where one of its
//! calls has ended before another has begun, it needs all the time between. A history is linearizable iff inside each block
//! the calls can be ordered, and no two blocks each precede the other: sorting them by where their *zones* begin shows it.
//! The zone of a block is between its first completion and its last invocation.

use super::Decision;
use crate::linearizability::timed::Timed;
use crate::models::Call;

const NONE: u32 = u32::MAX;

/// The calls that touch one value.
#[derive(Clone, Copy)]
struct Touched {
    /// The call that makes it.
    maker: u32,
    /// The compare-and-set that takes it on.
    taker: u32,
    /// The value's reads: first in a linked list through `next_read`.
    first_read: u32,
}

/// What stands together, by the value that it begins with.
struct Block {
    root: u32,
    /// Least completion and greatest invocation, plus one each, and whose they are. 0 is before all.
    completed: (u32, u32),
    invoked: (u32, u32),
}

impl Block {
    fn is_forward(&self) -> bool {
        self.completed.0 < self.invoked.0
    }

    fn start(&self) -> u32 {
        self.completed.0.min(self.invoked.0)
    }
}

/// Decides a register whose values are numbers below `values`, 0 being what it holds at first. `None` if a value that
/// matters has two makers or two takers that may not have happened.
pub fn decide_register(timed: &[Timed<Call>], values: usize) -> Option<Decision> {
    let register = Register::of(timed, values)?;
    match register {
        Ok(register) => Some(register.decide()),
        Err(core) => Some(Decision::Violation(core)),
    }
}

/// What becomes of a call when a register is boiled down to what matters for what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays as it is.
    Kept,
    /// It matters no more.
    Forgotten,
    /// It stands for all before it in its block, as a plain write between these places: the latest invocation of theirs and the first
    /// completion, which may come before it.
    Stands {
        /// The latest invocation.
        invoked: u32,
        /// The first completion, if there was any.
        completed: Option<u32>,
    },
}

/// What can be forgotten of a linearizable register while it goes on, so that whoever judges what comes together with
/// the rest finds a violation iff there is one. No call that is not there yet, or completes later, is invoked before `horizon`,
/// and no place is 0, which is for what was there before all.
/// `None` where [`decide_register`] gives `None`.
///
/// A block is *over* when another one has to come between it and whatever is invoked from the horizon on; then a later
/// read of it is a violation, and as good a one when its write is forgotten. It has to be kept while it stands in the way of a
/// block that is not over. Of the reads of one value, the first to complete and the last to begin speak for all. Of a block that
/// is kept, the values before one that was seen before the horizon are over as well: they can be neither read nor taken any more, so
/// one write with their zone can stand for them.
pub(crate) fn forgettable(timed: &[Timed<Call>], values: usize, horizon: u32) -> Option<Vec<Fate>> {
    let mut fates = vec![Fate::Kept; timed.len()];
    let Ok(register) = Register::of(timed, values)? else {
        return Some(fates);
    };
    let after_horizon = horizon.saturating_add(1);
    let blocks: Vec<Block> = register.roots().filter_map(|root| Some(register.block(root).ok()?.0)).collect();
    // What has a completed call before the horizon comes before all that is invoked from there on.
    let began = blocks.iter().filter(|block| block.completed.0 < after_horizon);
    let mut latest: Vec<(u32, u32)> = began.map(|block| (block.invoked.0, block.root)).collect();
    latest.sort_unstable_by(|one, other| other.cmp(one));
    let is_over = |block: &Block| {
        let other = latest.iter().take(2).find(|&&(_, root)| root != block.root);
        block.invoked.0 < after_horizon && other.is_some_and(|&(invoked, _)| block.completed.0 < invoked)
    };
    let first_kept = blocks.iter().filter(|block| !is_over(block)).map(|block| block.completed.0).min();
    for block in &blocks {
        if is_over(block) && first_kept.is_none_or(|first| block.invoked.0 <= first) {
            register.calls(block.root).for_each(|at| fates[at as usize] = Fate::Forgotten);
        } else {
            register.boil_down(block.root, horizon, &mut fates);
        }
    }
    Some(fates)
}

struct Register<'t> {
    timed: &'t [Timed<Call>],
    touched: Vec<Touched>,
    /// The next read of the same value.
    next_read: Vec<u32>,
    /// Further takers of values that have one.
    rivals: Vec<u32>,
}

impl<'t> Register<'t> {
    /// Lays out the calls by value. `Err`: a few that contradict each other by their values alone.
    fn of(timed: &'t [Timed<Call>], values: usize) -> Option<Result<Register<'t>, Vec<u32>>> {
        let none = Touched { maker: NONE, taker: NONE, first_read: NONE };
        let mut register = Register {
            timed,
            touched: vec![none; values],
            next_read: vec![NONE; timed.len()],
            rivals: Vec::new(),
        };
        let mut open = Vec::new();
        // From behind, so that the lists of reads are in order of invocation.
        for (timed, at) in timed.iter().zip(0..timed.len() as u32).rev() {
            match (timed.call, timed.completed) {
                (Call::Read(value), Some(_)) => {
                    let first = &mut register.touched[value as usize].first_read;
                    register.next_read[at as usize] = *first;
                    *first = at;
                }
                (Call::Write(_) | Call::Cas(..), None) => open.push(at),
                (Call::Write(_) | Call::Cas(..), Some(_)) => register.link(at)?,
                (Call::Read(_) | Call::ReadUnknown, _) => {}
            }
        }
        for at in register.observed(&open) {
            register.link(at)?;
        }
        let phantom = (1..).zip(&register.touched[1.min(values)..]).find(|(_, touched)| {
            touched.maker == NONE && (touched.first_read != NONE || touched.taker != NONE)
        });
        if let Some((_, touched)) = phantom {
            let seer = if touched.first_read != NONE { touched.first_read } else { touched.taker };
            return Some(Err(register.with_reasons([seer])));
        }
        if let Some(&rival) = register.rivals.first() {
            let old = register.taken(rival).expect("a rival takes a value");
            let core = register.with_reasons([rival, register.touched[old as usize].taker]);
            return Some(Err(core));
        }
        Some(Ok(register))
    }

    fn taken(&self, at: u32) -> Option<u32> {
        match self.timed[at as usize].call {
            Call::Cas(old, _) => Some(old),
            Call::Write(_) | Call::Read(_) | Call::ReadUnknown => None,
        }
    }

    /// Enters a call that happened as maker and taker; `None` if its value has another maker. Two takers of a value that is
    /// made once contradict each other.
    fn link(&mut self, at: u32) -> Option<()> {
        let taken = self.taken(at);
        let made = match self.timed[at as usize].call {
            Call::Write(value) | Call::Cas(_, value) => value,
            Call::Read(_) | Call::ReadUnknown => unreachable!("reads make nothing"),
        };
        if made == 0 || self.touched[made as usize].maker != NONE || taken == Some(made) {
            return None;
        }
        self.touched[made as usize].maker = at;
        if let Some(taken) = taken {
            match &mut self.touched[taken as usize].taker {
                taker if *taker == NONE => *taker = at,
                _ => self.rivals.push(at),
            }
        }
        Some(())
    }

    /// Open calls whose value a completed call saw, and those that such a call needed, and so on.
    fn observed(&self, open: &[u32]) -> Vec<u32> {
        let mut maker_of: Vec<(u32, u32)> = (open.iter())
            .filter_map(|&at| match self.timed[at as usize].call {
                Call::Write(value) | Call::Cas(_, value) => Some((value, at)),
                Call::Read(_) | Call::ReadUnknown => None,
            })
            .collect();
        maker_of.sort_unstable();
        let of = |value: u32| {
            let start = maker_of.partition_point(|&(other, _)| other < value);
            maker_of[start..].iter().take_while(move |&&(other, _)| other == value).map(|&(_, at)| at)
        };
        let is_seen = |touched: &Touched| touched.first_read != NONE || touched.taker != NONE;
        let mut waiting: Vec<u32> = (0..)
            .zip(&self.touched)
            .filter(|(_, touched)| is_seen(touched))
            .map(|(value, _)| value)
            .collect();
        let mut taken = vec![false; self.timed.len()];
        let mut observed = Vec::new();
        while let Some(value) = waiting.pop() {
            for at in of(value) {
                if !std::mem::replace(&mut taken[at as usize], true) {
                    observed.push(at);
                    waiting.extend(self.taken(at));
                }
            }
        }
        observed.sort_unstable();
        observed
    }

    fn decide(&self) -> Decision {
        let mut blocks = Vec::new();
        let mut reached = 0;
        for value in self.roots() {
            match self.block(value) {
                Ok((block, length)) => {
                    reached += length;
                    blocks.push(block);
                }
                Err(core) => return Decision::Violation(core),
            }
        }
        let made = self.touched.iter().filter(|touched| touched.maker != NONE).count();
        if reached < made + 1 {
            return Decision::Violation(self.circle(&blocks));
        }
        blocks.sort_unstable_by_key(Block::start);
        match self.conflict(&blocks) {
            Some(core) => Decision::Violation(core),
            None => Decision::Linearizable(self.order(&blocks)),
        }
    }

    /// The values that blocks begin with: what was there at first, and what was written.
    fn roots(&self) -> impl Iterator<Item = u32> {
        let is_root = |(touched, value): &(&Touched, u32)| match touched.maker {
            NONE => *value == 0,
            maker => matches!(self.timed[maker as usize].call, Call::Write(_)),
        };
        self.touched.iter().zip(0..).filter(is_root).map(|(_, value)| value)
    }

    /// The values of a block in order, beginning with `root`.
    fn values(&self, root: u32) -> impl Iterator<Item = u32> {
        let next = |&value: &u32| match self.touched[value as usize].taker {
            NONE => None,
            taker => match self.timed[taker as usize].call {
                Call::Cas(_, new) => Some(new),
                _ => unreachable!("only a compare-and-set takes a value on"),
            },
        };
        std::iter::successors(Some(root), next)
    }

    /// All calls of a block.
    fn calls(&self, root: u32) -> impl Iterator<Item = u32> {
        self.values(root).flat_map(|value| {
            let maker = Some(self.touched[value as usize].maker).filter(|&maker| maker != NONE);
            maker.into_iter().chain(self.reads(value))
        })
    }

    /// Says what of a block that is kept has to be.
    fn boil_down(&self, root: u32, horizon: u32, fates: &mut [Fate]) {
        let completed = |at: u32| self.timed[at as usize].deadline();
        let was_seen = |&value: &u32| {
            let maker = Some(self.touched[value as usize].maker).filter(|&maker| maker != NONE);
            maker.into_iter().chain(self.reads(value)).any(|at| completed(at) < horizon)
        };
        let values: Vec<u32> = self.values(root).collect();
        let cut = values.iter().rposition(was_seen).unwrap_or(0);
        let mut zone = (u32::MAX, 0);
        let mut take = |at: u32| {
            zone = (zone.0.min(completed(at)), zone.1.max(self.timed[at as usize].invoked));
        };
        for &value in &values[..cut] {
            let maker = self.touched[value as usize].maker;
            for at in self.reads(value).chain((maker != NONE).then_some(maker)) {
                take(at);
                fates[at as usize] = Fate::Forgotten;
            }
        }
        if cut > 0 {
            let maker = self.touched[values[cut] as usize].maker;
            take(maker);
            let first = if root == 0 { 0 } else { zone.0 };
            let completed = (first != u32::MAX).then_some(first);
            fates[maker as usize] = Fate::Stands { invoked: zone.1, completed };
        }
        for &value in &values[cut..] {
            let first = self.reads(value).min_by_key(|&at| completed(at));
            let last = self.reads(value).max_by_key(|&at| self.timed[at as usize].invoked);
            let spoken_for = self.reads(value).filter(|&at| Some(at) != first && Some(at) != last);
            spoken_for.for_each(|at| fates[at as usize] = Fate::Forgotten);
        }
    }

    fn reads(&self, value: u32) -> impl Iterator<Item = u32> {
        let some = |at: u32| (at != NONE).then_some(at);
        std::iter::successors(some(self.touched[value as usize].first_read), move |&at| {
            some(self.next_read[at as usize])
        })
    }

    /// The block of `root` and how many values it has, or two of its calls of which the later in any order had ended
    /// before the earlier began.
    fn block(&self, root: u32) -> Result<(Block, usize), Vec<u32>> {
        let mut block = Block { root, completed: (u32::MAX, NONE), invoked: (0, NONE) };
        if root == 0 {
            block.completed = (0, NONE);
        }
        let mut length = 0;
        for value in self.values(root) {
            length += 1;
            let maker = self.touched[value as usize].maker;
            if maker != NONE {
                self.take(&mut block, maker)?;
            }
            // Reads of one value may stand in any order among themselves.
            let before = block.invoked;
            for read in self.reads(value) {
                let mut own = Block { invoked: before, ..block };
                self.take(&mut own, read)?;
                block.completed = own.completed;
                block.invoked = block.invoked.max(own.invoked);
            }
        }
        Ok((block, length))
    }

    fn take(&self, block: &mut Block, at: u32) -> Result<(), Vec<u32>> {
        let timed = &self.timed[at as usize];
        let completed = timed.deadline().saturating_add(1);
        if completed < block.invoked.0 {
            return Err(self.with_reasons([at, block.invoked.1]));
        }
        block.completed = block.completed.min((completed, at));
        block.invoked = block.invoked.max((timed.invoked + 1, at));
        Ok(())
    }

    /// Compare-and-sets that took their values from each other in a circle: no block reaches them.
    fn circle(&self, blocks: &[Block]) -> Vec<u32> {
        let mut is_reached = vec![false; self.touched.len()];
        for block in blocks {
            self.values(block.root).for_each(|value| is_reached[value as usize] = true);
        }
        let is_lost =
            |value: &u32| !is_reached[*value as usize] && self.touched[*value as usize].maker != NONE;
        let start = (0..self.touched.len() as u32).find(is_lost).expect("one is not reached");
        let mut circle = Vec::new();
        for value in self.values(start) {
            circle.push(self.touched[value as usize].maker);
            // All of them may be open for ever; then it is a read that shows that they happened.
            circle.extend(self.reads(value).next());
            if self.touched[value as usize].taker == self.touched[start as usize].maker {
                break;
            }
        }
        circle.sort_unstable();
        circle
    }

    /// Two blocks of which each precedes the other. Blocks are in order of the starts of their zones.
    fn conflict(&self, blocks: &[Block]) -> Option<Vec<u32>> {
        let mut last: Option<&Block> = None;
        for block in blocks {
            if let Some(last) = last
                && last.completed.0 < block.invoked.0
                && block.completed.0 < last.invoked.0
            {
                let calls = [last.completed.1, last.invoked.1, block.completed.1, block.invoked.1];
                return Some(self.with_reasons(calls));
            }
            if block.is_forward() && last.is_none_or(|last| last.invoked.0 < block.invoked.0) {
                last = Some(block);
            }
        }
        None
    }

    /// These, the makers of what they saw (without its write, a read would be a read from nowhere, which is another fault
    /// than the one to show), and for those that are open for ever somebody who saw that they happened; and so on.
    fn with_reasons(&self, calls: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let mut core: Vec<u32> = Vec::new();
        let mut waiting: Vec<u32> = calls.into_iter().filter(|&at| at != NONE).collect();
        while let Some(at) = waiting.pop() {
            if core.contains(&at) {
                continue;
            }
            core.push(at);
            let Timed { call, completed, .. } = self.timed[at as usize];
            if let Call::Read(value) | Call::Cas(value, _) = call {
                let maker = self.touched[value as usize].maker;
                waiting.extend((maker != NONE).then_some(maker));
            }
            if let (Call::Write(value) | Call::Cas(_, value), None) = (call, completed) {
                let Touched { first_read, taker, .. } = self.touched[value as usize];
                waiting.push(if first_read != NONE { first_read } else { taker });
            }
        }
        core.sort_unstable();
        core
    }

    fn order(&self, blocks: &[Block]) -> Vec<u32> {
        let mut order = Vec::with_capacity(self.timed.len());
        for block in blocks {
            for value in self.values(block.root) {
                let maker = self.touched[value as usize].maker;
                order.extend((maker != NONE).then_some(maker));
                order.extend(self.reads(value));
            }
        }
        order
    }
}
