//! Proof that a cut bites, and that nothing else was cut: a datagram over every link, sent and awaited by the controller
//! through sockets that live in the hosts' namespaces. No node takes part, so a paused or dead one does not matter.

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Link;

/// Where probes are received: the discard port.
pub(super) const PROBE_PORT: u16 = 9;
/// How long a datagram may take on a loaded machine.
const PATIENCE: Duration = Duration::from_millis(200);
/// Time after which a datagram that should have arrived is sent again.
const REPEAT_INTERVAL: Duration = Duration::from_millis(20);
/// How long a datagram that should not arrive is waited for, once all that should have are there.
const GRACE: Duration = Duration::from_millis(10);

/// One socket for each host.
#[derive(Debug)]
pub(super) struct Probes {
    sockets: Vec<UdpSocket>,
    addresses: Vec<SocketAddr>,
    round: AtomicU64,
}

impl Probes {
    pub(super) fn new(sockets: Vec<UdpSocket>, addresses: Vec<SocketAddr>) -> io::Result<Probes> {
        for socket in &sockets {
            socket.set_nonblocking(true)?;
        }
        Ok(Probes { sockets, addresses, round: AtomicU64::new(0) })
    }

    /// The links over which a datagram has arrived. Waits for those that are `expected`, and a little for the rest.
    pub(super) async fn probe(&self, expected: &BTreeSet<Link>) -> io::Result<BTreeSet<Link>> {
        let round = self.round.fetch_add(1, Ordering::Relaxed);
        let mut arrived = BTreeSet::new();
        self.send(round, &arrived);
        let (start, mut sent) = (Instant::now(), Instant::now());
        let mut complete_since = None;
        while start.elapsed() < PATIENCE {
            self.receive(round, &mut arrived);
            if arrived.is_superset(expected) {
                let since = *complete_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= GRACE {
                    break;
                }
            } else if sent.elapsed() >= REPEAT_INTERVAL {
                // A card that has just come up may have lost the first.
                self.send(round, &arrived);
                sent = Instant::now();
            }
            sleep(Duration::from_millis(1)).await;
        }
        Ok(arrived)
    }

    fn send(&self, round: u64, arrived: &BTreeSet<Link>) {
        for link in Link::all(self.sockets.len()).filter(|link| !arrived.contains(link)) {
            let word = [round, link.from as u64].map(u64::to_le_bytes).concat();
            // A host may refuse to send into a cut; that the datagram does not arrive says enough.
            let _ = self.sockets[link.from].send_to(&word, self.addresses[link.to]);
        }
    }

    fn receive(&self, round: u64, arrived: &mut BTreeSet<Link>) {
        for (to, socket) in self.sockets.iter().enumerate() {
            let mut word = [0; 16];
            while let Ok((16, _)) = socket.recv_from(&mut word) {
                let [found, from] =
                    [&word[..8], &word[8..]].map(|half| u64::from_le_bytes(half.try_into().expect("8")));
                if found == round {
                    arrived.insert(Link { from: from as usize, to });
                }
            }
        }
    }
}
