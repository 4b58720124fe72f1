//! Hosts without any privilege: plain loopback, and a forwarding proxy on every link between two nodes.
//!
//! Node i reaches node j through a listener of its own, so the proxy knows the link by the port. What i says over a
//! connection that it opened there travels the link i→j, what comes back travels j→i. A cut link holds its bytes, as a
//! packet filter would: nothing is closed, and what was held goes on when the link heals. A new connection needs both
//! directions, and waits for them.
//!
//! The proxies run on a thread of their own, so that the clients' work does not slow them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use super::{Addresses, Link};

/// Bytes that are passed on at a time, and so the most that may pass after a cut.
const BUFFER_BYTES: usize = 64 << 10;
/// Pause after a connection could not be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// How long a probe may take on a loaded machine.
const PATIENCE: Duration = Duration::from_millis(100);

/// Whether a link carries.
type Gate = watch::Receiver<bool>;

/// All proxies of a cluster.
#[derive(Debug)]
pub(super) struct Proxies {
    addresses: Vec<Addresses>,
    gates: BTreeMap<Link, watch::Sender<bool>>,
    /// Dropping it ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxies {
    pub(super) fn open(count: usize) -> io::Result<Proxies> {
        // All ports are drawn before any is given back, so that no two are the same.
        let draw = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let own: Vec<[TcpListener; 2]> =
            (0..count).map(|_| Ok([draw()?, draw()?])).collect::<io::Result<_>>()?;
        let own: Vec<[SocketAddr; 2]> =
            own.iter().map(|[a, b]| Ok([a.local_addr()?, b.local_addr()?])).collect::<io::Result<_>>()?;
        let gates: BTreeMap<Link, watch::Sender<bool>> =
            Link::all(count).map(|link| (link, watch::Sender::new(true))).collect();
        let mut addresses: Vec<Addresses> =
            own.iter().map(|&[client, peer]| Addresses { client, peer, peers: vec![peer; count] }).collect();
        let mut proxies = Vec::new();
        for link in Link::all(count) {
            let listener = draw()?;
            listener.set_nonblocking(true)?;
            addresses[link.from].peers[link.to] = listener.local_addr()?;
            let [there, back] = [link, link.reversed()].map(|link| gates[&link].subscribe());
            proxies.push(Proxy { listener, target: own[link.to][1], there, back });
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
        Ok(Proxies { addresses, gates, stop: Some(stop), thread: Some(thread) })
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

    /// The links that carry. A node's port knows no probes, so a probe takes the same way as any bytes, through the
    /// link's gate, but not into the node.
    pub(super) async fn probe(&self) -> io::Result<BTreeSet<Link>> {
        let mut probes = tokio::task::JoinSet::new();
        for (&link, gate) in &self.gates {
            let gate = gate.subscribe();
            probes.spawn(async move { probe(gate).await.then_some(link) });
        }
        Ok(probes.join_all().await.into_iter().flatten().collect())
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
    target: SocketAddr,
    there: Gate,
    back: Gate,
}

impl Proxy {
    async fn serve(self) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        loop {
            match listener.accept().await {
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

async fn probe(gate: Gate) -> bool {
    let (mut near, entry) = tokio::io::duplex(8);
    let (exit, mut far) = tokio::io::duplex(8);
    let passed = async { near.write_all(b"?").await.is_ok() && far.read_u8().await.is_ok() };
    tokio::select! {
        passed = timeout(PATIENCE, passed) => passed.unwrap_or(false),
        _ = pump(entry, exit, gate) => false,
    }
}
