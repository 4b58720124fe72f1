//! An order of all transactions that explains them, where no circle stands against one.
//!
//! The one idea: transactions are taken as their dependencies allow. Lists leave no further choice. Of registers the order of versions is
//! known only in part, so a transaction must also find what it read, and overwrites nothing that somebody has yet to read; of those that
//! may come, the one that was over first does. That may end in a dead end though there is an order: then there is no
//! answer, which says nothing.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use hashbrown::HashMap;

use super::graph::Graph;
use super::steps::{Act, Transactions};
use crate::history::{Datum, Outcome};

/// Places of those that are committed, in an order that keeps all edges of `graph`; `initial` is what registers held at first, and
/// `None` where the objects are lists.
pub(super) fn order(
    graph: &Graph,
    transactions: &Transactions<'_>,
    is_committed: &[bool],
    initial: Option<Datum>,
) -> Option<Vec<u32>> {
    let mut waits_for = vec![0u32; graph.nodes() as usize];
    for node in 0..graph.nodes() {
        graph.out_of(node).iter().for_each(|edge| waits_for[edge.to() as usize] += 1);
    }
    let deadline = |node: u32| match (node as usize) < transactions.len() {
        true => transactions.operation(node).completed_at().unwrap_or(u32::MAX),
        // A junction does nothing.
        false => 0,
    };
    let mut registers = initial.map(|initial| Registers::of(transactions, initial));
    let free = (0..graph.nodes()).filter(|&node| waits_for[node as usize] == 0);
    let mut ready: BTreeSet<(u32, Reverse<u32>)> = free.map(|node| (deadline(node), Reverse(node))).collect();
    let (mut order, mut left) = (Vec::new(), graph.nodes());
    while left > 0 {
        let takes_part = |node: u32| is_committed.get(node as usize).copied().unwrap_or(false);
        let fits = |&&(_, Reverse(node)): &&(u32, Reverse<u32>)| {
            !takes_part(node) || registers.as_ref().is_none_or(|registers| registers.fit(transactions, node))
        };
        let next = *ready.iter().find(fits)?;
        ready.remove(&next);
        left -= 1;
        let Reverse(node) = next.1;
        if takes_part(node) {
            order.push(node);
            registers.iter_mut().for_each(|registers| registers.take(transactions, node));
        }
        for edge in graph.out_of(node) {
            waits_for[edge.to() as usize] -= 1;
            if waits_for[edge.to() as usize] == 0 {
                ready.insert((deadline(edge.to()), Reverse(edge.to())));
            }
        }
    }
    Some(order)
}

/// What registers hold, and how many have yet to read each version.
struct Registers {
    held: Vec<Datum>,
    unread: HashMap<(u32, Datum), u32>,
}

impl Registers {
    fn of(transactions: &Transactions<'_>, initial: Datum) -> Registers {
        let mut unread = HashMap::new();
        for transaction in 0..transactions.len() as u32 {
            for read in outer_reads(transactions, transaction) {
                *unread.entry(read).or_default() += 1;
            }
        }
        Registers { held: vec![initial; transactions.keys.len()], unread }
    }

    fn fit(&self, transactions: &Transactions<'_>, transaction: u32) -> bool {
        let reads = outer_reads(transactions, transaction);
        let mut steps = transactions.steps(transaction).iter();
        reads.iter().all(|&(key, value)| self.held[key as usize] == value)
            && steps.all(|step| {
                let version = (step.key, self.held[step.key as usize]);
                let own = u32::from(reads.contains(&version));
                step.act == Act::Read || self.unread.get(&version).copied().unwrap_or(0) == own
            })
    }

    fn take(&mut self, transactions: &Transactions<'_>, transaction: u32) {
        for read in outer_reads(transactions, transaction) {
            *self.unread.get_mut(&read).expect("it was counted") -= 1;
        }
        for step in transactions.steps(transaction).iter().filter(|step| step.act == Act::Write) {
            self.held[step.key as usize] = step.value;
        }
    }
}

/// What a transaction read of others, each once.
fn outer_reads(transactions: &Transactions<'_>, transaction: u32) -> Vec<(u32, Datum)> {
    let steps = transactions.steps(transaction);
    if transactions.outcome(transaction) != Outcome::Ok {
        return Vec::new();
    }
    let mut reads: Vec<(u32, Datum)> = Vec::new();
    for (at, step) in steps.iter().enumerate().filter(|(_, step)| step.act == Act::Read) {
        let is_own = steps[..at].iter().any(|before| before.act == Act::Write && before.key == step.key);
        if !is_own && !reads.contains(&(step.key, step.value)) {
            reads.push((step.key, step.value));
        }
    }
    reads
}
