//! Strongly connected components (Tarjan 1972), without recursion: histories are long.
//!
//! It knows no transactions. Components of one node are no cycles, and are left out.

/// What has successors.
pub(super) trait Digraph {
    /// How many nodes there are.
    fn nodes(&self) -> u32;

    /// The next successor of `node`; `cursor` starts at 0 and is moved on.
    fn next(&self, node: u32, cursor: &mut u32) -> Option<u32>;
}

const UNSEEN: u32 = u32::MAX;
/// Of nodes whose component is complete.
const DONE: u32 = u32::MAX - 1;

/// The components of two nodes and more, each ascending, in order of their first nodes.
pub(super) fn components(graph: &impl Digraph) -> Vec<Vec<u32>> {
    // For a node on the stack, the number of the earliest one that is known to be reached from it.
    let mut low = vec![UNSEEN; graph.nodes() as usize];
    let mut stack: Vec<u32> = Vec::new();
    let mut path: Vec<(u32, u32, u32)> = Vec::new();
    let (mut found, mut count) = (Vec::new(), 0);
    for root in 0..graph.nodes() {
        if low[root as usize] != UNSEEN {
            continue;
        }
        path.push((root, 0, count));
        while let Some((node, cursor, number)) = path.last_mut() {
            let node = *node;
            if *cursor == 0 {
                low[node as usize] = *number;
                count += 1;
                stack.push(node);
            }
            let mut unseen = None;
            while let Some(next) = graph.next(node, cursor) {
                match low[next as usize] {
                    UNSEEN => {
                        unseen = Some(next);
                        break;
                    }
                    DONE => {}
                    other => low[node as usize] = low[node as usize].min(other),
                }
            }
            if let Some(next) = unseen {
                path.push((next, 0, count));
                continue;
            }
            let (number, reached) = (*number, low[node as usize]);
            path.pop();
            if let Some(&(parent, ..)) = path.last() {
                low[parent as usize] = low[parent as usize].min(reached);
            }
            if reached == number {
                let start = stack.iter().rposition(|&one| one == node).expect("it was put there");
                stack[start..].iter().for_each(|&one| low[one as usize] = DONE);
                if stack.len() - start > 1 {
                    let mut component = stack[start..].to_vec();
                    component.sort_unstable();
                    found.push(component);
                }
                stack.truncate(start);
            }
        }
    }
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    struct Lists(Vec<Vec<u32>>);

    impl Digraph for Lists {
        fn nodes(&self) -> u32 {
            self.0.len() as u32
        }

        fn next(&self, node: u32, cursor: &mut u32) -> Option<u32> {
            *cursor += 1;
            self.0[node as usize].get(*cursor as usize - 1).copied()
        }
    }

    /// The obvious algorithm: two are together if each reaches the other.
    fn by_reach(graph: &Lists) -> Vec<Vec<u32>> {
        let count = graph.0.len();
        let mut reach = vec![vec![false; count]; count];
        for (from, list) in graph.0.iter().enumerate() {
            list.iter().for_each(|&to| reach[from][to as usize] = true);
        }
        for via in 0..count {
            for from in 0..count {
                for to in 0..count {
                    reach[from][to] |= reach[from][via] && reach[via][to];
                }
            }
        }
        let together = |one: usize| -> Vec<u32> {
            (0..count).filter(|&other| reach[one][other] && reach[other][one]).map(|at| at as u32).collect()
        };
        let mut all: Vec<Vec<u32>> = (0..count).map(together).filter(|list| list.len() > 1).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    #[test]
    fn components_are_what_reaches_each_other() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        for _ in 0..2000 {
            let count = random.random_range(1..9);
            let mut graph = Lists(vec![Vec::new(); count as usize]);
            for _ in 0..random.random_range(0..2 * count) {
                graph.0[random.random_range(0..count) as usize].push(random.random_range(0..count));
            }
            assert_eq!(components(&graph), by_reach(&graph), "{:?}", graph.0);
        }
    }
}
