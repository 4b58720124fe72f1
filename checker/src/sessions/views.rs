//! Causal memory (Ahamad, Neiger, Burns, Kohli & Hutto 1995): each process sees all that it can know in one order of its own,
//! which keeps sessions and reads, and in which each of its reads gives what was written last.
//!
//! Two processes may see writes that know nothing of each other in different orders; one may not see them first so and then so. The
//! one idea: walking backwards from each operation of a process, what is newly found comes before it and behind what was found
//! earlier, so the order in which the walk leaves transactions is a view that only the reads have to be held against. What
//! disagrees is demanded (as in Bouajjani, Enea, Guerraoui & Hamza 2017, section 3.4), and the walk is repeated, until there is a
//! view or the demands have a circle.

use hashbrown::HashMap;

use super::facts::{Facts, Step};
use super::isolation::demand;
use super::order::{Demand, topological};
use super::violation::{Violation, circle};

/// How a search for views ended.
pub(super) enum Viewed {
    Views,
    Violated(Violation),
    OutOfTime,
}

/// Looks for a view of each session. Sessions and reads have no circle.
pub(super) fn views(facts: &Facts<'_>, out_of_time: &dyn Fn() -> bool) -> Viewed {
    let mut walk = Walk {
        facts,
        left: vec![0; facts.len()],
        count: 0,
        path: Vec::new(),
        known: vec![Vec::new(); facts.keys],
        touched: Vec::new(),
        before: HashMap::new(),
        demands: Vec::new(),
    };
    for session in 0..facts.sessions() {
        let reads = |at: u32| facts.reads(at).next().is_some();
        if !facts.session(session).any(reads) {
            continue;
        }
        walk.demands.clear();
        walk.before.clear();
        loop {
            if out_of_time() {
                return Viewed::OutOfTime;
            }
            match walk.view(session) {
                Ok(true) => break,
                Ok(false) => {}
                Err(violation) => return Viewed::Violated(violation),
            }
        }
    }
    Viewed::Views
}

/// It stands on the way that is being walked.
const ON_PATH: u32 = u32::MAX;

struct Walk<'f, 'h> {
    facts: &'f Facts<'h>,
    /// When each transaction was left; before the walk began it was another walk.
    left: Vec<u32>,
    count: u32,
    /// Transactions on the way, and which of its predecessors each goes to next.
    path: Vec<(u32, u32)>,
    /// Writers of each key that were found since the session last read it, and the one that it then read.
    known: Vec<Vec<u32>>,
    touched: Vec<u32>,
    /// What is demanded to come before each.
    before: HashMap<u32, Vec<u32>>,
    demands: Vec<Demand>,
}

impl Walk<'_, '_> {
    /// Walks from each operation of the session; whether what was found is a view. Else there are new demands.
    fn view(&mut self, session: usize) -> Result<bool, Violation> {
        if self.count > ON_PATH / 2 {
            self.left.fill(0);
            self.count = 0;
        }
        for key in self.touched.drain(..) {
            self.known[key as usize].clear();
        }
        let (begun, demanded) = (self.count, self.demands.len());
        for at in self.facts.session(session) {
            self.walk(at, begun)?;
            for read in self.facts.reads(at) {
                self.hold(at, read)?;
            }
            self.leave(at);
        }
        if self.demands.len() == demanded {
            return Ok(true);
        }
        for demand in &self.demands[demanded..] {
            self.before.entry(demand.to).or_default().push(demand.from);
        }
        Ok(false)
    }

    /// Leaves all that comes before `start` and has not been left in this walk.
    fn walk(&mut self, start: u32, begun: u32) -> Result<(), Violation> {
        self.path.push((start, 0));
        while let Some(&(at, number)) = self.path.last() {
            let Some(next) = self.predecessor(at, number) else {
                self.path.pop();
                if at != start {
                    self.leave(at);
                }
                continue;
            };
            self.path.last_mut().expect("it was looked at").1 += 1;
            match next {
                Some(next) if self.left[next as usize] == ON_PATH || next == start => {
                    return Err(self.circle());
                }
                Some(next) if self.left[next as usize] <= begun => {
                    self.left[next as usize] = ON_PATH;
                    self.path.push((next, 0));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The predecessor of that number, if there are so many; of the numbers some stand for none.
    fn predecessor(&self, at: u32, number: u32) -> Option<Option<u32>> {
        let steps = self.facts.steps(at);
        match number.checked_sub(1) {
            None => Some(self.facts.before(at)),
            Some(number) => match steps.get(number as usize) {
                Some(step) if step.is_read => Some(self.facts.writer(*step)),
                Some(_) => Some(None),
                None => {
                    let demanded = self.before.get(&at)?;
                    demanded.get(number as usize - steps.len()).map(|&before| Some(before))
                }
            },
        }
    }

    fn leave(&mut self, at: u32) {
        self.count += 1;
        self.left[at as usize] = self.count;
        for step in self.facts.writes(at) {
            self.known[step.key as usize].push(at);
            self.touched.push(step.key);
        }
    }

    /// Whoever was found to have written what was read must come before the one that was read from.
    fn hold(&mut self, at: u32, read: Step) -> Result<(), Violation> {
        let known = std::mem::take(&mut self.known[read.key as usize]);
        for &seen in &known {
            if let Some(demand) = demand(self.facts, seen, at, read)?
                && self.left[seen as usize] > self.left[demand.to as usize]
            {
                self.demands.push(demand);
            }
        }
        let mut known = known;
        known.clear();
        known.extend(self.facts.writer(read));
        self.known[read.key as usize] = known;
        self.touched.push(read.key);
        Ok(())
    }

    fn circle(&self) -> Violation {
        let has_place =
            topological(self.facts, &self.demands).expect_err("the walk came back to where it was");
        Violation::Circle(circle(self.facts, &self.demands, &has_place))
    }
}
