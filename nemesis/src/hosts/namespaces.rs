//! Hosts as network namespaces: a switch, and one namespace for each node, joined by pairs of cards.
//!
//! ```text
//!   switch                      a bridge
//!      │n1       │n2       │n3       │n4
//!      │         │         │         │
//!   eth0      eth0      eth0      eth0            one namespace each, 10.77.0.1, .2, .3, and .4 for the clients
//! ```
//!
//! Clients live on a host like any other, so that the links to them can be cut and spoilt like any other.
//!
//! No namespace has a name: each is held by a file descriptor and by the processes in it, and is gone with them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn, bind, socket};

use super::condition::Condition;
use super::connections;
use super::link::{self, address};
use super::netlink::Socket;
use super::packets::Packets;
use super::probe::{Measured, PROBE_PORT, Probes};
use super::{Addresses, CLIENT_PORT, Link, PEER_PORT, filter};

/// Number of the switch in the network; hosts have 1, 2, …
const SWITCH: u8 = 254;

/// The network, up.
#[derive(Debug)]
pub(super) struct Namespaces {
    filter: Socket,
    packets: Packets,
    cut: BTreeSet<Link>,
    conditions: BTreeMap<Link, Condition>,
    hosts: Vec<OwnedFd>,
    addresses: Vec<Addresses>,
    probes: Probes,
    /// Those of each host to look into its connections.
    connections: Vec<Socket>,
}

/// A fresh namespace with what must be opened from inside it.
struct Fresh {
    namespace: OwnedFd,
    links: Socket,
    connections: Socket,
    probe: OwnedFd,
}

impl Namespaces {
    /// Builds the network, and then moves this thread to the host of the clients. Threads that are started from here on live there
    /// too.
    pub(super) fn open(count: usize) -> io::Result<Namespaces> {
        // On a thread of its own: if any step fails, the caller has not moved, and can still do without.
        let built = thread::spawn(move || -> io::Result<Namespaces> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Namespaces::build(count)
        });
        let namespaces = built.join().expect("building a network does not panic")?;
        setns(namespaces.namespace(Link::clients(count)), CloneFlags::CLONE_NEWNET)?;
        Ok(namespaces)
    }

    /// Builds the network, with the namespace of this thread as its switch.
    fn build(count: usize) -> io::Result<Namespaces> {
        let mut switch = Socket::open(SockProtocol::NetlinkRoute)?;
        link::add_bridge(&mut switch, SWITCH)?;
        let everybody: Vec<u8> = (1..=count as u8 + 1).collect();
        let (mut hosts, mut sockets, mut connections) = (Vec::new(), Vec::new(), Vec::new());
        for &number in &everybody {
            let Fresh { namespace, mut links, connections: looks, probe } = fresh_namespace()?;
            connections.push(looks);
            link::add_pair(&mut switch, number, namespace.as_fd())?;
            link::configure(&mut links, number, &everybody)?;
            // A kernel without cubic has another default, which must do.
            let _ = link::prefer_cubic(&mut links, number);
            let [a, b, c, d] = address(number).octets();
            bind(std::os::fd::AsRawFd::as_raw_fd(&probe), &SockaddrIn::new(a, b, c, d, PROBE_PORT))?;
            // SAFETY: `into_raw_fd` gives up the descriptor of a UDP socket, so it has one owner again.
            sockets.push(unsafe { UdpSocket::from_raw_fd(probe.into_raw_fd()) });
            hosts.push(namespace);
        }
        link::put_up(&mut switch)?;
        let mut filter = Socket::open(SockProtocol::NetlinkNetFilter)?;
        filter::install(&mut filter)?;
        let packets = Packets::open(everybody.len())?;
        let at = |number: usize, port| SocketAddr::new(IpAddr::V4(address(number as u8 + 1)), port);
        let peers: Vec<SocketAddr> = (0..count).map(|number| at(number, PEER_PORT)).collect();
        let addresses = (0..count).map(|number| Addresses {
            client: at(number, CLIENT_PORT),
            peer: at(number, PEER_PORT),
            peers: peers.clone(),
        });
        let addresses = addresses.collect();
        let probes = Probes::new(sockets, (0..=count).map(|number| at(number, PROBE_PORT)).collect())?;
        let (cut, conditions) = (BTreeSet::new(), BTreeMap::new());
        Ok(Namespaces { filter, packets, cut, conditions, hosts, addresses, probes, connections })
    }

    pub(super) fn addresses(&self, node: usize) -> &Addresses {
        &self.addresses[node]
    }

    pub(super) fn namespace(&self, node: usize) -> BorrowedFd<'_> {
        self.hosts[node].as_fd()
    }

    pub(super) fn cut(&mut self, links: &BTreeSet<Link>) -> io::Result<()> {
        self.cut.clone_from(links);
        self.put_in_force(self.conditions.clone(), None)
    }

    /// Puts just these links under conditions.
    pub(super) fn condition(&mut self, links: BTreeMap<Link, Condition>, seed: u64) -> io::Result<()> {
        self.put_in_force(links, Some(seed))
    }

    /// The kernel drops what cut and conditioned links carry; what conditioned ones carry that are not cut takes the packet path.
    fn put_in_force(&mut self, conditions: BTreeMap<Link, Condition>, seed: Option<u64>) -> io::Result<()> {
        let off_bridge: BTreeSet<Link> = self.cut.iter().chain(conditions.keys()).copied().collect();
        let mut carried = conditions.clone();
        carried.retain(|link, _| !self.cut.contains(link));
        let is_unconditioned = conditions.is_empty() && self.conditions.is_empty();
        let is_growing = self.conditions.keys().all(|link| conditions.contains_key(link));
        self.conditions = conditions;
        // For a moment both paths may carry a packet; never neither.
        match (is_unconditioned, is_growing) {
            (true, _) => filter::cut(&mut self.filter, &off_bridge),
            (false, true) => {
                self.packets.set(carried, seed)?;
                filter::cut(&mut self.filter, &off_bridge)
            }
            (false, false) => {
                filter::cut(&mut self.filter, &off_bridge)?;
                self.packets.set(carried, seed)
            }
        }
    }

    /// How many hosts there are, that of the clients among them.
    pub(super) fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Breaks all connections of a host off; both ends learn of it. Gives how many.
    pub(super) fn reset(&mut self, host: usize) -> io::Result<usize> {
        connections::reset(&mut self.connections[host])
    }

    /// Links whose sender has a connection to where the receiver listens for nodes, on which nothing has to be sent again.
    pub(super) fn connected(&mut self) -> io::Result<BTreeSet<Link>> {
        let mut connected = BTreeSet::new();
        for from in 0..self.addresses.len() {
            for remote in connections::live(&mut self.connections[from])? {
                let is_there = |addresses: &Addresses| addresses.peer == SocketAddr::V4(remote);
                connected.extend(self.addresses.iter().position(is_there).map(|to| Link { from, to }));
            }
        }
        Ok(connected)
    }

    pub(super) async fn measure(&self, links: &BTreeSet<Link>, patience: Duration) -> io::Result<Measured> {
        self.probes.measure(links, patience).await
    }

    pub(super) async fn sample(
        &self,
        links: &BTreeSet<Link>,
        datagrams: u64,
        patience: Duration,
    ) -> io::Result<Measured> {
        self.probes.sample(links, datagrams, patience).await
    }

    pub(super) async fn probe(&self, expected: &BTreeSet<Link>) -> io::Result<BTreeSet<Link>> {
        self.probes.probe(expected).await
    }
}

/// Makes a namespace on a thread of its own, so that this one stays where it is.
fn fresh_namespace() -> io::Result<Fresh> {
    let made = thread::spawn(|| -> io::Result<Fresh> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Ok(Fresh {
            namespace: File::open("/proc/thread-self/ns/net")?.into(),
            links: Socket::open(SockProtocol::NetlinkRoute)?,
            connections: connections::open()?,
            probe: socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?,
        })
    });
    made.join().expect("making a namespace does not panic")
}
