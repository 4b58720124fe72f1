//! Hosts: where the nodes of a cluster live, and the network between them.
//!
//! In reading order: this file is what the rest sees of either kind. `namespaces` gives each node a network namespace,
//! with `link` (devices, addresses), `filter` (cuts), `connections` (that are broken off) and `probe` (proofs), all over `netlink`; `packets` carries what links
//! under a `condition` carry. `proxies` does with
//! no privilege at all. `rootless` makes the first kind possible for an ordinary user.

mod condition;
mod connections;
mod filter;
mod link;
mod namespaces;
mod netlink;
mod packets;
pub mod ports;
mod probe;
mod proxies;
mod rootless;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::str::FromStr;
use std::time::{Duration, Instant};

use thiserror::Error;

pub use condition::Condition;
pub use probe::Measured;
pub use rootless::{Privilege, privilege, seek_privilege};

use crate::fault::{NamedLink, NodeNumber};
use namespaces::Namespaces;
use proxies::Proxies;

/// Where a node listens for clients, on its own address.
const CLIENT_PORT: u16 = 7000;
/// Where a node listens for other nodes.
const PEER_PORT: u16 = 7001;

/// Most nodes of a cluster: what addresses, and one message about all of their links, have room for.
pub const NODES_MAX: usize = 50;

/// Which kind of hosts is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkChoice {
    /// The best that works.
    Auto,
    /// Network namespaces, or nothing.
    Netns,
    /// Proxies on loopback.
    Proxy,
}

/// Which kind of hosts there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// A network namespace for each node.
    Netns,
    /// Loopback, with a proxy on every link.
    Proxy,
}

/// The way from one node to another, by their numbers from 0; the clients have the number behind the last
/// ([`Link::clients`]). Every pair has two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// Who speaks.
    pub from: usize,
    /// Who hears.
    pub to: usize,
}

/// Where a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// It listens here for clients.
    pub client: SocketAddr,
    /// It listens here for other nodes.
    pub peer: SocketAddr,
    /// It reaches each node there; its own entry is where it listens.
    pub peers: Vec<SocketAddr>,
}

/// Why there are no hosts, or a link could not be cut.
#[derive(Debug, Error)]
#[error("cannot {deed}: {source}{hint}")]
pub struct HostsError {
    deed: &'static str,
    source: io::Error,
    hint: &'static str,
}

/// The hosts of one cluster. All of them are gone when it is dropped.
#[derive(Debug)]
pub struct Hosts {
    kind: Kind,
    reason: String,
}

#[derive(Debug)]
enum Kind {
    Namespaces(Namespaces),
    Proxies(Proxies),
}

impl Hosts {
    /// Makes hosts for `count` nodes. Namespaces move the calling thread into a new one, that of the clients; whatever is
    /// to reach the nodes must run there: this thread, or one that it starts afterwards.
    ///
    /// # Errors
    /// When the kind that is asked for cannot be had here.
    pub fn open(choice: NetworkChoice, count: usize) -> Result<Hosts, HostsError> {
        let proxies = |reason: String| {
            let opened =
                Proxies::open(count).map_err(|source| HostsError { deed: "open proxies", source, hint: "" });
            Ok(Hosts { kind: Kind::Proxies(opened?), reason })
        };
        if count > NODES_MAX {
            let source = io::Error::other(format!("{count} are more than {NODES_MAX}"));
            return Err(HostsError { deed: "make so many hosts", source, hint: "" });
        }
        if choice == NetworkChoice::Proxy {
            return proxies("proxy: asked for".into());
        }
        let privilege = privilege();
        match (Namespaces::open(count), choice) {
            (Ok(namespaces), _) => {
                Ok(Hosts { kind: Kind::Namespaces(namespaces), reason: format!("netns: {privilege}") })
            }
            (Err(error), NetworkChoice::Auto) => {
                proxies(format!("proxy: no network namespaces here ({error})"))
            }
            (Err(source), _) => Err(HostsError {
                deed: "make network namespaces",
                source,
                hint: " (hint: run as root, allow user namespaces, or use `--network proxy`)",
            }),
        }
    }

    /// Which kind they are.
    pub fn network(&self) -> Network {
        match self.kind {
            Kind::Namespaces(_) => Network::Netns,
            Kind::Proxies(_) => Network::Proxy,
        }
    }

    /// Which kind they are, and why: `netns: root`.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Where a node is.
    pub fn addresses(&self, node: usize) -> &Addresses {
        match &self.kind {
            Kind::Namespaces(namespaces) => namespaces.addresses(node),
            Kind::Proxies(proxies) => proxies.addresses(node),
        }
    }

    /// The network namespace that a node's process has to enter, if there is one.
    pub fn namespace(&self, node: usize) -> Option<BorrowedFd<'_>> {
        match &self.kind {
            Kind::Namespaces(namespaces) => Some(namespaces.namespace(node)),
            Kind::Proxies(_) => None,
        }
    }

    /// Puts just these links out of service, as one step; none of them heals all. Gives how long it took.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn cut(&mut self, links: &BTreeSet<Link>) -> Result<Duration, HostsError> {
        let start = Instant::now();
        match &mut self.kind {
            Kind::Namespaces(namespaces) => {
                namespaces.cut(links).map_err(|source| HostsError { deed: "cut links", source, hint: "" })?;
            }
            Kind::Proxies(proxies) => proxies.cut(links),
        }
        Ok(start.elapsed())
    }

    /// Puts just these links under conditions; none of them makes all whole. `seed` decides what befalls each packet.
    ///
    /// # Errors
    /// When the kernel refuses, and where there is no packet path: proxies carry streams, not packets.
    pub fn condition(&mut self, links: BTreeMap<Link, Condition>, seed: u64) -> Result<(), HostsError> {
        let deed = "put links under conditions";
        match &mut self.kind {
            Kind::Namespaces(namespaces) => {
                namespaces.condition(links, seed).map_err(|source| HostsError { deed, source, hint: "" })
            }
            Kind::Proxies(_) if links.is_empty() => Ok(()),
            Kind::Proxies(_) => Err(HostsError {
                deed,
                source: io::Error::from(io::ErrorKind::Unsupported),
                hint: " (hint: that takes network namespaces, `--network netns`)",
            }),
        }
    }

    /// Every link that can be cut: between nodes, and between them and the clients unless those cannot be told from others here.
    pub fn links(&self) -> impl Iterator<Item = Link> {
        Link::all(match &self.kind {
            Kind::Namespaces(namespaces) => namespaces.len(),
            Kind::Proxies(proxies) => proxies.len(),
        })
    }

    /// Breaks all connections of these nodes off, so that both ends meet a reset. Gives how many.
    ///
    /// # Errors
    /// When the kernel refuses, and where connections of nodes cannot be told from others.
    pub fn reset(&mut self, nodes: &[usize]) -> Result<usize, HostsError> {
        let broken = match &mut self.kind {
            Kind::Namespaces(namespaces) => nodes.iter().map(|&node| namespaces.reset(node)).sum(),
            Kind::Proxies(_) => Err(io::Error::from(io::ErrorKind::Unsupported)),
        };
        broken.map_err(|source| HostsError { deed: "break connections off", source, hint: "" })
    }

    /// Links whose sender has a connection to where the receiver listens for other nodes, on which nothing has to be sent again: what a
    /// network that was spoilt leaves behind is over. `None` where connections of nodes cannot be told from others.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn connected(&mut self) -> Result<Option<BTreeSet<Link>>, HostsError> {
        match &mut self.kind {
            Kind::Namespaces(namespaces) => namespaces.connected().map(Some).map_err(|source| HostsError {
                deed: "list connections",
                source,
                hint: "",
            }),
            Kind::Proxies(_) => Ok(None),
        }
    }

    /// What becomes of many datagrams on each of these links. The last of them is waited for `patience` at most.
    ///
    /// # Errors
    /// When nothing could be sent at all.
    pub async fn measure(&self, links: &BTreeSet<Link>, patience: Duration) -> Result<Measured, HostsError> {
        let result = match &self.kind {
            Kind::Namespaces(namespaces) => namespaces.measure(links, patience).await,
            Kind::Proxies(_) => Err(io::Error::from(io::ErrorKind::Unsupported)),
        };
        result.map_err(|source| HostsError { deed: "measure the network", source, hint: "" })
    }

    /// What becomes of so many datagrams on each of these links, for those who must not burden them. The last is waited for `patience`
    /// at most.
    ///
    /// # Errors
    /// When nothing could be sent at all.
    pub async fn sample(
        &self,
        links: &BTreeSet<Link>,
        datagrams: u64,
        patience: Duration,
    ) -> Result<Measured, HostsError> {
        let result = match &self.kind {
            Kind::Namespaces(namespaces) => namespaces.sample(links, datagrams, patience).await,
            Kind::Proxies(_) => Err(io::Error::from(io::ErrorKind::Unsupported)),
        };
        result.map_err(|source| HostsError { deed: "measure the network", source, hint: "" })
    }

    /// The links that carry, by trying all of them. Those that are `expected` are waited for, others only a little.
    ///
    /// # Errors
    /// When nothing could be sent at all.
    pub async fn probe(&self, expected: &BTreeSet<Link>) -> Result<BTreeSet<Link>, HostsError> {
        let result = match &self.kind {
            Kind::Namespaces(namespaces) => namespaces.probe(expected).await,
            Kind::Proxies(proxies) => proxies.probe(expected).await,
        };
        result.map_err(|source| HostsError { deed: "probe the network", source, hint: "" })
    }
}

impl Link {
    /// Every link between `count` nodes.
    pub fn all(count: usize) -> impl Iterator<Item = Link> {
        let pairs = (0..count).flat_map(move |from| (0..count).map(move |to| Link { from, to }));
        pairs.filter(|link| link.from != link.to)
    }

    /// The number by which the clients stand for one more host behind `count` nodes.
    pub fn clients(count: usize) -> usize {
        count
    }

    /// The link of that name in a cluster of `count` nodes.
    pub fn named(NamedLink { from, to }: NamedLink, count: usize) -> Link {
        let number =
            |end: Option<NodeNumber>| end.map_or(Link::clients(count), |NodeNumber(number)| number - 1);
        Link { from: number(from), to: number(to) }
    }

    /// The way back.
    pub fn reversed(self) -> Link {
        Link { from: self.to, to: self.from }
    }
}

impl fmt::Display for NetworkChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            NetworkChoice::Auto => "auto",
            NetworkChoice::Netns => "netns",
            NetworkChoice::Proxy => "proxy",
        })
    }
}

impl FromStr for NetworkChoice {
    type Err = String;
    fn from_str(text: &str) -> Result<NetworkChoice, String> {
        let all = [NetworkChoice::Auto, NetworkChoice::Netns, NetworkChoice::Proxy];
        let found = all.into_iter().find(|choice| choice.to_string() == text);
        found.ok_or_else(|| format!("unknown network `{text}` (hint: one of auto, netns, proxy)"))
    }
}
