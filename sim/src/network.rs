//! What becomes of a message on its way, and nothing else: when it arrives, how often, or never.

use std::collections::{BTreeMap, BTreeSet};

use rafture_nemesis::hosts::Link;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Nodes and spares of the largest cluster.
const NODES_MAX: usize = 64;

/// What the network is like when nothing ails it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weather {
    /// The least that a message takes, in microseconds.
    pub delay_us: u64,
    /// What chance adds to it, at most.
    pub jitter_us: u64,
    /// Share of messages that are lost.
    pub loss: f64,
    /// Share of messages that come twice.
    pub duplicates: f64,
}

/// What ails the messages of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Ailment {
    /// Every message takes so much longer, at most.
    pub(crate) delay_us: u64,
    pub(crate) loss: f64,
    pub(crate) duplicates: f64,
    /// Share of messages that are held back so long that others overtake them.
    pub(crate) reordered: f64,
}

/// The network between nodes.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) weather: Weather,
    /// Links that carry nothing, by the fault that cut them.
    pub(crate) cuts: BTreeMap<u64, BTreeSet<Link>>,
    /// By the fault, and the nodes that it befell.
    pub(crate) ailments: BTreeMap<u64, (BTreeSet<usize>, Ailment)>,
    /// A link delivers in order, unless something ails it: what was sent last arrives then.
    latest: Vec<[u64; NODES_MAX]>,
}

impl Network {
    pub(crate) fn new(weather: Weather) -> Network {
        Network {
            weather,
            cuts: BTreeMap::new(),
            ailments: BTreeMap::new(),
            latest: vec![[0; NODES_MAX]; NODES_MAX],
        }
    }

    pub(crate) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts.values().any(|links| links.contains(&Link { from, to }))
    }

    /// When a message that is sent at `now` arrives; more than once or not at all, as chance has it.
    pub(crate) fn fate(&mut self, from: usize, to: usize, now: u64, random: &mut ChaCha8Rng) -> Vec<u64> {
        if self.is_cut(from, to) {
            return Vec::new();
        }
        let befalls = |nodes: &BTreeSet<usize>| nodes.contains(&from) || nodes.contains(&to);
        let ails = self.ailments.values().filter(|(nodes, _)| befalls(nodes)).map(|(_, ailment)| ailment);
        let whole = ails.fold(Ailment::default(), |sum, ailment| Ailment {
            delay_us: sum.delay_us + ailment.delay_us,
            loss: sum.loss.max(ailment.loss),
            duplicates: sum.duplicates.max(ailment.duplicates),
            reordered: sum.reordered.max(ailment.reordered),
        });
        if random.random_bool(whole.loss.max(self.weather.loss)) {
            return Vec::new();
        }
        let copies = 1 + usize::from(random.random_bool(whole.duplicates.max(self.weather.duplicates)));
        (0..copies).map(|copy| self.arrival((from, to), copy, whole, now, random)).collect()
    }

    fn arrival(
        &mut self,
        link: (usize, usize),
        copy: usize,
        ailment: Ailment,
        now: u64,
        random: &mut ChaCha8Rng,
    ) -> u64 {
        let Weather { delay_us, jitter_us, .. } = self.weather;
        let extra_us = if ailment.delay_us > 0 { random.random_range(0..=ailment.delay_us) } else { 0 };
        let at = now + (delay_us + random.random_range(0..=jitter_us) + extra_us) * 1000;
        if copy > 0 || ailment.reordered > 0.0 && random.random_bool(ailment.reordered) {
            // Late, and no matter what was sent behind it.
            return at + random.random_range(0..50_000_000);
        }
        let latest = &mut self.latest[link.0][link.1];
        *latest = at.max(*latest);
        *latest
    }
}
