//! Hosts without any privilege: plain loopback, and a forwarding proxy on every link between two nodes.
//!
//! Node i reaches node j through a listener of its own, so the proxy knows the link by the port. What i says over a
//! connection that it opened there travels the link i→j, what comes back travels j→i. A cut link holds its bytes, as a
//! packet filter would: nothing is closed, and what was held goes on when the link heals. A new connection needs both
//! directions, and waits for them.
//!
//! The proxies run on a thread of their own, so that the clients' work does not slow them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

use super::{Addresses, Link, ports};

/// Bytes that are passed on at a time, and so the most that may pass after a cut.
const BUFFER_BYTES: usize = 64 << 10;
/// Pause after a connection could not be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// How long a probe may take on a loaded machine.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long a probe that should not arrive is waited for, once all that should have are there.
const GRACE: Duration = Duration::from_millis(10);
/// Probes come from here, nodes from 127.0.0.1.
const PROBE_SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// The latest round of probes that came over each link.
type Arrivals = Arc<Mutex<BTreeMap<Link, u64>>>;

/// Whether a link carries.
type Gate = watch::Receiver<bool>;

/// All proxies of a cluster.
#[derive(Debug)]
pub(super) struct Proxies {
    addresses: Vec<Addresses>,
    gates: BTreeMap<Link, watch::Sender<bool>>,
    probes: BTreeMap<Link, std::net::TcpStream>,
    arrivals: Arrivals,
    round: AtomicU64,
    /// Dropping it ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxies {
    pub(super) fn open(count: usize) -> io::Result<Proxies> {
        let held = ports::hold(2 * count)?;
        let own: Vec<SocketAddr> = held.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
        drop(held);
        let own: Vec<[SocketAddr; 2]> = own.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect();
        let gates: BTreeMap<Link, watch::Sender<bool>> =
            Link::all(count).map(|link| (link, watch::Sender::new(true))).collect();
        let mut addresses: Vec<Addresses> =
            own.iter().map(|&[client, peer]| Addresses { client, peer, peers: vec![peer; count] }).collect();
        let arrivals = Arrivals::default();
        let (mut proxies, mut probes) = (Vec::new(), BTreeMap::new());
        for link in Link::all(count) {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            addresses[link.from].peers[link.to] = listener.local_addr()?;
            probes.insert(link, open_probe(listener.local_addr()?)?);
            let [there, back] = [link, link.reversed()].map(|link| gates[&link].subscribe());
            let arrivals = Arc::clone(&arrivals);
            proxies.push(Proxy { listener, link, target: own[link.to][1], there, back, arrivals });
        }
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("proxies".into()).spawn(move || {
            runtime.block_on(async {
                for proxy in proxies {
                    tokio::spawn(proxy.serve());
                }
                // Dropped without a word: that is the word.
                let _ = stopped.await;
            });
        })?;
        let round = AtomicU64::new(0);
        Ok(Proxies { addresses, gates, probes, arrivals, round, stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn len(&self) -> usize {
        self.addresses.len()
    }

    pub(super) fn addresses(&self, node: usize) -> &Addresses {
        &self.addresses[node]
    }

    pub(super) fn cut(&mut self, links: &BTreeSet<Link>) {
        for (link, gate) in &self.gates {
            gate.send_if_modified(|open| {
                std::mem::replace(open, !links.contains(link)) == links.contains(link)
            });
        }
    }

    /// The links that carry. A node's port knows no probes, so these go over connections of their own: to the same listener,
    /// through the same gate on the same thread, but into the proxy instead of the node. They are open all the time, since
    /// a new connection needs both directions, and a probe shall tell of one.
    pub(super) async fn probe(&self, expected: &BTreeSet<Link>) -> io::Result<BTreeSet<Link>> {
        let round = self.round.fetch_add(1, Ordering::Relaxed) + 1;
        for mut probe in self.probes.values() {
            probe.write_all(&round.to_le_bytes())?;
        }
        let deadline = Instant::now() + PATIENCE;
        let mut complete_since = None;
        loop {
            let arrived: BTreeSet<Link> = {
                let arrivals = self.arrivals.lock().expect("nobody panics while noting an arrival");
                arrivals.iter().filter(|(_, last)| **last == round).map(|(&link, _)| link).collect()
            };
            if arrived.is_superset(expected) {
                complete_since.get_or_insert_with(Instant::now);
            }
            let had_its_grace = complete_since.is_some_and(|since: Instant| since.elapsed() >= GRACE);
            if had_its_grace || Instant::now() > deadline {
                return Ok(arrived);
            }
            sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; the ports are closed either way.
            let _ = thread.join();
        }
    }
}

/// The way from one node to another.
struct Proxy {
    listener: TcpListener,
    link: Link,
    target: SocketAddr,
    there: Gate,
    back: Gate,
    arrivals: Arrivals,
}

impl Proxy {
    async fn serve(self) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        loop {
            match listener.accept().await {
                Ok((near, from)) if from.ip() == IpAddr::V4(PROBE_SOURCE) => {
                    let (gate, arrivals) = (self.there.clone(), Arc::clone(&self.arrivals));
                    tokio::spawn(receive_probes(near, self.link, gate, arrivals));
                }
                Ok((near, _)) => {
                    tokio::spawn(carry(near, self.target, self.there.clone(), self.back.clone()));
                }
                // Out of descriptors, say: the link must not be lost for that.
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }
}

/// Carries one connection until either side ends it.
async fn carry(near: TcpStream, target: SocketAddr, mut there: Gate, mut back: Gate) -> io::Result<()> {
    opened(&mut there).await?;
    opened(&mut back).await?;
    let far = TcpStream::connect(target).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    // An end of one direction is passed on, and leaves the other as it is; an error ends both.
    tokio::try_join!(pump(near_in, far_out, there), pump(far_in, near_out, back)).map(drop)
}

/// Passes bytes on while the gate is open, and holds them while it is closed.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut gate: Gate,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        opened(&mut gate).await?;
        let length = from.read(&mut buffer).await?;
        // It may have closed while nothing was said.
        opened(&mut gate).await?;
        match length {
            0 => return to.shutdown().await,
            _ => to.write_all(&buffer[..length]).await?,
        }
    }
}

async fn opened(gate: &mut Gate) -> io::Result<()> {
    gate.wait_for(|open| *open).await.map(drop).map_err(io::Error::other)
}

/// Notes the probes that come through.
async fn receive_probes(near: TcpStream, link: Link, gate: Gate, arrivals: Arrivals) -> io::Result<()> {
    let (exit, mut probes) = tokio::io::duplex(64);
    let note = async {
        loop {
            let round = probes.read_u64_le().await?;
            arrivals.lock().expect("nobody panics while noting an arrival").insert(link, round);
        }
    };
    tokio::select! {
        ended = pump(near, exit, gate) => ended,
        ended = note => ended,
    }
}

/// A connection that its proxy knows for one of probes by where it comes from.
fn open_probe(listener: SocketAddr) -> io::Result<std::net::TcpStream> {
    let probe = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let [a, b, c, d] = PROBE_SOURCE.octets();
    bind(probe.as_raw_fd(), &SockaddrIn::new(a, b, c, d, 0))?;
    connect(probe.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, listener.port()))?;
    let probe = std::net::TcpStream::from(probe);
    probe.set_nodelay(true)?;
    Ok(probe)
}
