//! Who is a member and who votes: configurations, joint ones among them, and the majorities that they ask for.
//!
//! A configuration is in force as soon as it stands in a node's log, committed or not (paper, section 6). What
//! changes one into another is `membership.rs`; here is only what one of them says.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::types::NodeId;

/// The members of a cluster.
///
/// 1. No learner is a voter, incoming or outgoing.
/// 2. `outgoing` is empty, or the configuration is joint: then a decision needs a majority of both sets
///    (dissertation, 4.3).
/// 3. `addresses` has what drivers need to reach every member, and nobody else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Configuration {
    /// Those who vote, and whose copies count.
    pub voters: BTreeSet<NodeId>,
    /// In a joint configuration, the voters of the one before.
    pub outgoing: BTreeSet<NodeId>,
    /// Those who get the log and do not vote.
    pub learners: BTreeSet<NodeId>,
    /// How each member is reached; the core does not read it.
    pub addresses: BTreeMap<NodeId, String>,
}

impl Configuration {
    /// A cluster of these voters.
    pub fn of(addresses: BTreeMap<NodeId, String>) -> Configuration {
        let voters = addresses.keys().copied().collect();
        Configuration { voters, addresses, ..Configuration::default() }
    }

    /// Everybody who gets the log.
    pub fn members(&self) -> BTreeSet<NodeId> {
        self.voters.iter().chain(&self.outgoing).chain(&self.learners).copied().collect()
    }

    /// Whether `node` votes.
    pub fn is_voter(&self, node: NodeId) -> bool {
        self.voters.contains(&node) || self.outgoing.contains(&node)
    }

    /// Whether two sets of voters decide.
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether the members that `agree` can decide: a majority of every set of voters.
    pub fn is_quorum(&self, agree: impl Fn(NodeId) -> bool) -> bool {
        self.sets().all(|set| set.iter().filter(|&&node| agree(node)).count() >= majority(set.len()))
    }

    /// The greatest value that a quorum has reached. `None` when there are no voters.
    pub fn reached_by<T: Ord + Copy>(&self, value: impl Fn(NodeId) -> T) -> Option<T> {
        let reached = |set: &BTreeSet<NodeId>| {
            let mut values: Vec<T> = set.iter().map(|&node| value(node)).collect();
            let quorum = majority(values.len());
            reached_by(&mut values, quorum)
        };
        self.sets().map(reached).min()
    }

    fn sets(&self) -> impl Iterator<Item = &BTreeSet<NodeId>> {
        std::iter::once(&self.voters).chain(Some(&self.outgoing)).filter(|set| !set.is_empty())
    }

    /// As it stands in the log, on the wire and in snapshots.
    pub fn encode(&self) -> Bytes {
        let mut buffer = BytesMut::new();
        for set in [&self.voters, &self.outgoing, &self.learners] {
            buffer.put_u32_le(set.len() as u32);
            set.iter().for_each(|node| buffer.put_u32_le(node.0));
        }
        buffer.put_u32_le(self.addresses.len() as u32);
        for (node, address) in &self.addresses {
            buffer.put_u32_le(node.0);
            buffer.put_u32_le(address.len() as u32);
            buffer.put_slice(address.as_bytes());
        }
        buffer.freeze()
    }

    /// Reads what `encode` wrote; `None` when it is anything else.
    pub fn decode(mut bytes: Bytes) -> Option<Configuration> {
        let mut sets = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
        for set in &mut sets {
            for _ in 0..bytes.try_get_u32_le().ok()? {
                set.insert(NodeId(bytes.try_get_u32_le().ok()?));
            }
        }
        let mut addresses = BTreeMap::new();
        for _ in 0..bytes.try_get_u32_le().ok()? {
            let node = NodeId(bytes.try_get_u32_le().ok()?);
            let length = bytes.try_get_u32_le().ok()? as usize;
            let address = (length <= bytes.len()).then(|| bytes.split_to(length))?;
            addresses.insert(node, String::from_utf8(address.to_vec()).ok()?);
        }
        let [voters, outgoing, learners] = sets;
        bytes.is_empty().then_some(Configuration { voters, outgoing, learners, addresses })
    }
}

/// How many of `members` make a majority.
fn majority(members: usize) -> usize {
    members / 2 + 1
}

/// The greatest value that at least `quorum` of `values` have reached. Reorders `values`.
fn reached_by<T: Ord + Copy>(values: &mut [T], quorum: usize) -> T {
    assert!(quorum >= 1 && quorum <= values.len(), "a quorum of {quorum} among {}", values.len());
    values.sort_unstable_by(|a, b| b.cmp(a));
    values[quorum - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(ids: &[u32]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    fn joint(voters: &[u32], outgoing: &[u32]) -> Configuration {
        Configuration { voters: nodes(voters), outgoing: nodes(outgoing), ..Configuration::default() }
    }

    #[test]
    fn two_quorums_always_share_a_member_also_across_a_change() {
        let (before, between, after) =
            (joint(&[1, 2, 3], &[]), joint(&[3, 4, 5], &[1, 2, 3]), joint(&[3, 4, 5], &[]));
        for one in 0..32u32 {
            for other in 0..32u32 {
                let has = |members: u32| move |node: NodeId| members >> (node.0 - 1) & 1 == 1;
                for (first, second) in [(&before, &between), (&between, &after), (&between, &between)] {
                    if first.is_quorum(has(one)) && second.is_quorum(has(other)) {
                        assert_ne!(one & other, 0, "{one:05b} and {other:05b}");
                    }
                }
            }
        }
        let all_of = |nodes: &[u32]| joint(nodes, &[]).is_quorum(|node| node.0 <= nodes.len() as u32 / 2);
        assert!(!all_of(&[1, 2]) && !all_of(&[1, 2, 3, 4]));
    }

    /// The obvious way: try every value, count who has reached it.
    #[test]
    fn reached_by_agrees_with_counting() {
        for code in 0..4u32.pow(5) {
            let value = |node: NodeId| code / 4u32.pow(node.0 - 1) % 4;
            for configuration in
                [joint(&[1, 2, 3, 4], &[]), joint(&[1, 2, 3], &[3, 4, 5]), joint(&[1], &[2, 3])]
            {
                let counted = (0..4).rev().find(|&goal| configuration.is_quorum(|node| value(node) >= goal));
                assert_eq!(configuration.reached_by(value), counted, "{code}, {configuration:?}");
            }
        }
        assert_eq!(Configuration::default().reached_by(|node| node.0), None);
    }

    #[test]
    fn a_configuration_survives_the_way_and_no_cut_passes() {
        let mut configuration = joint(&[1, 2, 3], &[2, 3, 4]);
        configuration.learners = nodes(&[9]);
        configuration.addresses = BTreeMap::from([(NodeId(9), "10.0.0.9:7001/10.0.0.9:7000".to_owned())]);
        let bytes = configuration.encode();
        assert_eq!(Configuration::decode(bytes.clone()), Some(configuration));
        for cut in 0..bytes.len() {
            assert_eq!(Configuration::decode(bytes.slice(..cut)), None, "cut at {cut}");
        }
    }
}
