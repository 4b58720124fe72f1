//! Proof that a cut bites, and that nothing else was cut: a datagram over every link, sent and awaited by the controller
//! through sockets that live in the hosts' namespaces. No node takes part, so a paused or dead one does not matter.

use std::collections::{BTreeMap, BTreeSet};
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

/// Datagrams that are sent over each link to measure it, their length, and what they are filled with.
const DATAGRAMS: u64 = 64;
const DATAGRAM_BYTES: usize = 200;
const FILLING: u8 = 0xa5;

/// What became of datagrams over a few links.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// How many were sent.
    pub sent: u64,
    /// How long each took that arrived, in ascending order.
    pub took: Vec<Duration>,
    /// How many came once more.
    pub repeated: u64,
    /// How many came behind one that was sent later.
    pub overtaken: u64,
    /// How many were not as they had been sent.
    pub corrupted: u64,
    /// From the first sending to the last arrival.
    pub all_took: Duration,
}

impl Measured {
    /// How long half of those that arrived took at most.
    pub fn median(&self) -> Duration {
        self.took.get(self.took.len() / 2).copied().unwrap_or_default()
    }

    /// How many did not arrive.
    pub fn lost(&self) -> u64 {
        self.sent - self.took.len() as u64
    }

    /// How many bytes went over each of so many links.
    pub fn bytes_per_link() -> u64 {
        DATAGRAMS * DATAGRAM_BYTES as u64
    }
}

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

    /// What becomes of many datagrams on each of these links.
    pub(super) async fn measure(&self, links: &BTreeSet<Link>, patience: Duration) -> io::Result<Measured> {
        self.sample(links, DATAGRAMS, patience).await
    }

    /// What becomes of so many datagrams on each of these links.
    pub(super) async fn sample(
        &self,
        links: &BTreeSet<Link>,
        datagrams: u64,
        patience: Duration,
    ) -> io::Result<Measured> {
        let round = self.round.fetch_add(1, Ordering::Relaxed);
        let mut measuring = Measuring {
            round,
            links,
            start: Instant::now(),
            found: Measured::default(),
            times: BTreeMap::new(),
            latest: BTreeMap::new(),
        };
        let mut number = 0;
        while !(number == datagrams && measuring.is_complete()) && measuring.start.elapsed() <= patience {
            if number < datagrams {
                for link in links {
                    measuring.found.sent += 1;
                    let datagram = measuring.datagram(link, number);
                    // What a host refuses to send is lost as well.
                    let _ = self.sockets[link.from].send_to(&datagram, self.addresses[link.to]);
                }
                number += 1;
            }
            for (to, socket) in self.sockets.iter().enumerate() {
                let mut datagram = [0; DATAGRAM_BYTES];
                while let Ok((DATAGRAM_BYTES, _)) = socket.recv_from(&mut datagram) {
                    measuring.hear(to, &datagram);
                }
            }
            sleep(Duration::from_millis(1)).await;
        }
        measuring.found.took.sort_unstable();
        Ok(measuring.found)
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

/// A measurement that goes on.
struct Measuring<'l> {
    round: u64,
    links: &'l BTreeSet<Link>,
    start: Instant,
    found: Measured,
    /// How often each datagram came.
    times: BTreeMap<(Link, u64), u32>,
    /// The latest that came over each link.
    latest: BTreeMap<Link, u64>,
}

impl Measuring<'_> {
    /// Round, sender, number and time; the same again, to see whether they came as they were; and filling.
    fn datagram(&self, link: &Link, number: u64) -> Vec<u8> {
        let words = [self.round, link.from as u64, number, self.start.elapsed().as_nanos() as u64];
        let mut datagram: Vec<u8> = [words, words].concat().into_iter().flat_map(u64::to_le_bytes).collect();
        datagram.resize(DATAGRAM_BYTES, FILLING);
        datagram
    }

    fn hear(&mut self, to: usize, datagram: &[u8; DATAGRAM_BYTES]) {
        let word = |at: usize| u64::from_le_bytes(datagram[8 * at..8 * at + 8].try_into().expect("8 bytes"));
        if datagram[..32] != datagram[32..64] {
            self.found.corrupted += 1;
            return;
        }
        let [round, from, number, sent] = [0, 1, 2, 3].map(word);
        let link = Link { from: from as usize, to };
        if round != self.round || !self.links.contains(&link) {
            return;
        }
        self.found.corrupted += u64::from(datagram[64..].iter().any(|&byte| byte != FILLING));
        let times = self.times.entry((link, number)).or_default();
        *times += 1;
        if *times > 1 {
            self.found.repeated += 1;
            return;
        }
        let latest = self.latest.entry(link).or_default();
        self.found.overtaken += u64::from(number < *latest);
        *latest = number.max(*latest);
        self.found.all_took = self.start.elapsed();
        self.found.took.push(self.found.all_took.saturating_sub(Duration::from_nanos(sent)));
    }

    /// Whether all that was sent is there, and what comes twice would be too.
    fn is_complete(&self) -> bool {
        let longest = self.found.took.iter().max().copied().unwrap_or_default();
        self.found.lost() == 0 && self.start.elapsed() > 2 * longest
    }
}
