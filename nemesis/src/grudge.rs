//! Who may not talk to whom, and who is struck: pure choices over node numbers from 0.

use std::collections::BTreeSet;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::fault::{NamedLink, NodeNumber, Shape, Target};
use crate::hosts::Link;

/// Who is what at the moment, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles {
    /// It leads.
    pub leader: Option<usize>,
    /// It led before that one.
    pub leader_before: Option<usize>,
    /// It has applied least.
    pub behind: Option<usize>,
}

/// The nodes that `target` means, among `available` ones of a cluster of `count`; fewer than it should be if there are not
/// enough.
pub fn choose(
    target: Target,
    count: usize,
    available: &[usize],
    roles: Roles,
    random: &mut ChaCha8Rng,
) -> Vec<usize> {
    let minority = ((count - 1) / 2).max(1);
    let (wanted, named, shunned) = match target {
        Target::Node(NodeNumber(number)) => {
            return available.iter().copied().filter(|node| node + 1 == number).collect();
        }
        Target::Link(NamedLink { from, to }) => {
            let is_end = |node: &usize| [from, to].contains(&Some(NodeNumber(node + 1)));
            return available.iter().copied().filter(is_end).collect();
        }
        Target::One => (1, None, None),
        Target::Minority => (minority, None, None),
        Target::Majority => (count / 2 + 1, None, None),
        Target::All => (count, None, None),
        Target::Leader => (1, roles.leader, None),
        Target::LeaderAndMinority => (minority, roles.leader, None),
        Target::Follower => (1, None, roles.leader),
        Target::Behind => (1, roles.behind, roles.leader),
        Target::OldLeader => (1, roles.leader_before, roles.leader),
    };
    let mut chosen = shuffled(available, random);
    // Who is meant comes first, if it can be had, and who is not meant last.
    chosen.sort_by_key(|&node| (Some(node) != named, Some(node) == shunned));
    chosen.truncate(wanted);
    chosen.sort_unstable();
    chosen
}

/// The links that a partition of `count` nodes cuts, with `chosen` as its target.
pub fn grudge(shape: Shape, count: usize, chosen: &[usize], random: &mut ChaCha8Rng) -> BTreeSet<Link> {
    let everybody: Vec<usize> = (0..count).collect();
    let cut = |is_cut: &dyn Fn(Link) -> bool| Link::all(count).filter(|link| is_cut(*link)).collect();
    match shape {
        Shape::Clients => {
            let clients = Link::clients(count);
            let both = |&node: &usize| [Link { from: node, to: clients }, Link { from: clients, to: node }];
            chosen.iter().flat_map(both).collect()
        }
        Shape::Isolate => cut(&|link| chosen.contains(&link.from) || chosen.contains(&link.to)),
        Shape::OneWay => {
            let outgoing = random.random_bool(0.5);
            cut(&|link| chosen.contains(if outgoing { &link.from } else { &link.to }))
        }
        Shape::Halves => {
            let mut order = shuffled(&everybody, random);
            order.sort_by_key(|node| !chosen.contains(node));
            let minority = &order[..(count / 2).max(1)];
            cut(&|link| minority.contains(&link.from) != minority.contains(&link.to))
        }
        Shape::Bridge => {
            let mut order = shuffled(&everybody, random);
            order.sort_by_key(|node| !chosen.contains(node));
            let (bridge, rest) = (order[0], &order[1..]);
            let half = &rest[..rest.len() / 2];
            cut(&|link| {
                let touches_bridge = link.from == bridge || link.to == bridge;
                !touches_bridge && half.contains(&link.from) != half.contains(&link.to)
            })
        }
        Shape::Ring => {
            let order = shuffled(&everybody, random);
            let place =
                |node: usize| order.iter().position(|&other| other == node).expect("everybody has a place");
            // With so many neighbours on either side, a node sees a majority.
            let reach = (count / 2).div_ceil(2);
            cut(&|link| {
                let distance = place(link.from).abs_diff(place(link.to));
                distance.min(count - distance) > reach
            })
        }
        Shape::From
        | Shape::To
        | Shape::Gentle
        | Shape::Storm
        | Shape::Rolling
        | Shape::WallJump
        | Shape::WallSkew
        | Shape::WallStrobe
        | Shape::MonotonicJump
        | Shape::MonotonicSkew
        | Shape::MonotonicSway
        | Shape::OneFile
        | Shape::Stall
        | Shape::Sync
        | Shape::Write
        | Shape::Read => unreachable!("no partition has the shape `{shape}`"),
    }
}

/// The largest set of nodes of which every one reaches every other while `links` are cut; of several, the first.
pub fn largest_whole(count: usize, links: &BTreeSet<Link>) -> Vec<usize> {
    let reach = |one: usize, other: usize| {
        let link = Link { from: one, to: other };
        one != other && !links.contains(&link) && !links.contains(&link.reversed())
    };
    let mut largest = Vec::new();
    grow(&mut Vec::new(), (0..count).collect(), Vec::new(), &reach, &mut largest);
    largest.sort_unstable();
    largest
}

/// Every set that cannot grow, by the way of Bron and Kerbosch (1973) with Tomita's choice: whoever reaches most of the rest is
/// in it, or somebody whom that one does not reach is.
fn grow(
    chosen: &mut Vec<usize>,
    mut possible: Vec<usize>,
    mut done: Vec<usize>,
    reach: &impl Fn(usize, usize) -> bool,
    largest: &mut Vec<usize>,
) {
    if possible.is_empty() && done.is_empty() && chosen.len() > largest.len() {
        largest.clone_from(chosen);
    }
    let reached = |&node: &usize| possible.iter().filter(|&&other| reach(node, other)).count();
    // The first of those who reach as many.
    let Some(&pivot) = possible.iter().chain(&done).rev().max_by_key(|node| reached(node)) else {
        return;
    };
    for node in possible.clone().into_iter().filter(|&node| !reach(pivot, node)) {
        let of = |nodes: &[usize]| nodes.iter().copied().filter(|&other| reach(node, other)).collect();
        chosen.push(node);
        grow(chosen, of(&possible), of(&done), reach, largest);
        chosen.pop();
        possible.retain(|&other| other != node);
        done.push(node);
    }
}

fn shuffled(nodes: &[usize], random: &mut ChaCha8Rng) -> Vec<usize> {
    let mut nodes = nodes.to_vec();
    for end in (1..nodes.len()).rev() {
        nodes.swap(end, random.random_range(0..=end));
    }
    nodes
}

/// What a partition looks like, in words: `n1 n2 | n3 n4 n5`, or for each node whom it can reach.
pub fn describe(count: usize, links: &BTreeSet<Link>) -> String {
    let clients = Link::clients(count);
    let from_clients = links.iter().filter(|link| link.from == clients || link.to == clients);
    let hidden: BTreeSet<usize> = from_clients.map(|link| link.from.min(link.to)).collect();
    if !hidden.is_empty() {
        let names: Vec<String> = hidden.iter().map(|node| format!("n{}", node + 1)).collect();
        let others: BTreeSet<Link> =
            links.iter().copied().filter(|link| link.from < count && link.to < count).collect();
        let clients = format!("no client reaches {}", names.join(" "));
        return match others.is_empty() {
            true => clients,
            false => format!("{clients}; {}", describe(count, &others)),
        };
    }
    let reaches = |from: usize, to: usize| from == to || !links.contains(&Link { from, to });
    let names =
        |nodes: &[usize]| nodes.iter().map(|node| format!("n{}", node + 1)).collect::<Vec<_>>().join(" ");
    let sees = |from: usize| (0..count).filter(|&to| reaches(from, to)).collect::<Vec<_>>();
    let groups: BTreeSet<Vec<usize>> = (0..count).map(sees).collect();
    let is_split = groups.iter().map(Vec::len).sum::<usize>() == count;
    if is_split {
        return groups.iter().map(|group| names(group)).collect::<Vec<_>>().join(" | ");
    }
    let lines = (0..count).map(|node| {
        let others: Vec<usize> = sees(node).into_iter().filter(|&other| other != node).collect();
        let others = if others.is_empty() { "nobody".into() } else { names(&others) };
        format!("n{} to {others}", node + 1)
    });
    lines.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn random() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(1)
    }

    fn seen_by(count: usize, links: &BTreeSet<Link>, node: usize) -> usize {
        (0..count).filter(|&other| !links.contains(&Link { from: node, to: other })).count()
    }

    #[test]
    fn shapes_are_what_they_are_called() {
        for count in 2..8 {
            let random = &mut random();
            let isolated = grudge(Shape::Isolate, count, &[0], random);
            assert_eq!(isolated.len(), 2 * (count - 1));
            let one_way = grudge(Shape::OneWay, count, &[0], random);
            assert_eq!(one_way.len(), count - 1);
            let halves = grudge(Shape::Halves, count, &[0], random);
            let minority = seen_by(count, &halves, 0);
            assert_eq!(minority, (count / 2).max(1), "the target is in the smaller half");
            assert_eq!(halves.len(), 2 * minority * (count - minority));
        }
    }

    #[test]
    fn in_a_ring_every_node_sees_a_majority_and_no_two_the_same() {
        for count in 4..12 {
            let links = grudge(Shape::Ring, count, &[], &mut random());
            let mut views = BTreeSet::new();
            for node in 0..count {
                assert!(seen_by(count, &links, node) > count / 2, "{count} nodes");
                assert!(links.iter().all(|link| links.contains(&link.reversed())));
                let view: Vec<usize> =
                    (0..count).filter(|&other| !links.contains(&Link { from: node, to: other })).collect();
                views.insert(view);
            }
            assert!(views.len() == count && !links.is_empty(), "{count} nodes");
        }
    }

    #[test]
    fn over_a_bridge_one_node_sees_all() {
        for count in 3..8 {
            let links = grudge(Shape::Bridge, count, &[1], &mut random());
            let all_seeing: Vec<usize> =
                (0..count).filter(|&node| seen_by(count, &links, node) == count).collect();
            assert_eq!(all_seeing, [1], "{count} nodes");
        }
    }

    #[test]
    fn targets_are_as_many_as_they_say() {
        let everybody: Vec<usize> = (0..5).collect();
        let choose = |target, available: &[usize]| {
            let roles = Roles { leader: Some(3), leader_before: Some(1), behind: Some(4) };
            choose(target, 5, available, roles, &mut random())
        };
        assert_eq!(choose(Target::Leader, &everybody), [3]);
        assert_eq!(choose(Target::Leader, &[1]), [1], "somebody, if the leader cannot be had");
        assert_eq!(choose(Target::OldLeader, &everybody), [1]);
        assert_eq!(choose(Target::Behind, &everybody), [4]);
        assert_ne!(choose(Target::Follower, &everybody), [3]);
        assert_ne!(choose(Target::OldLeader, &[0, 2, 3]), [3], "not the one that leads");
        let many = choose(Target::LeaderAndMinority, &everybody);
        assert!(many.len() == 2 && many.contains(&3), "{many:?}");
        assert_eq!(choose(Target::Node(NodeNumber(2)), &everybody), [1]);
        assert!(choose(Target::Node(NodeNumber(2)), &[0]).is_empty());
        let sizes = [Target::One, Target::Minority, Target::Majority, Target::All]
            .map(|target| choose(target, &everybody).len());
        assert_eq!(sizes, [1, 2, 3, 5]);
    }

    #[test]
    fn who_is_whole_is_the_larger_side_and_all_of_a_whole_cluster() {
        for count in [2, 3, 5, 50] {
            let random = &mut random();
            assert_eq!(largest_whole(count, &BTreeSet::new()).len(), count);
            let halves = grudge(Shape::Halves, count, &[0], random);
            assert_eq!(largest_whole(count, &halves).len(), count - (count / 2).max(1));
            let isolated = grudge(Shape::Isolate, count, &[0], random);
            assert_eq!(largest_whole(count, &isolated).len(), count - 1, "{count} nodes");
            assert!(count == 2 || !largest_whole(count, &isolated).contains(&0), "{count} nodes");
            let everybody: Vec<usize> = (0..count).collect();
            assert_eq!(largest_whole(count, &grudge(Shape::Isolate, count, &everybody, random)).len(), 1);
            let from_clients = grudge(Shape::Clients, count, &[0], random);
            assert_eq!(largest_whole(count, &from_clients).len(), count);
        }
        assert_eq!(largest_whole(5, &grudge(Shape::Bridge, 5, &[1], &mut random())).len(), 3);
        assert_eq!(largest_whole(4, &grudge(Shape::Ring, 4, &[], &mut random())).len(), 2);
    }

    #[test]
    fn partitions_are_told_in_words() {
        let random = &mut random();
        assert_eq!(describe(3, &grudge(Shape::Clients, 3, &[1], random)), "no client reaches n2");
        assert_eq!(describe(3, &grudge(Shape::Isolate, 3, &[0], random)), "n1 | n2 n3");
        assert_eq!(
            describe(3, &BTreeSet::from([Link { from: 0, to: 1 }])),
            "n1 to n3; n2 to n1 n3; n3 to n1 n2"
        );
    }
}
