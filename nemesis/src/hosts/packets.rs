//! The packet path: links that delay, lose, repeat, reorder, corrupt or throttle what they carry. Kernels need not have netem for it.
//!
//! ```text
//!   n1 ──► bridge ──✗ the filter drops what a conditioned link carries
//!      └─► a packet socket has seen it ──► this thread ──► the card of n2
//! ```
//!
//! The one idea: only conditioned links leave the kernel's own path. The filter drops their packets at the bridge (`filter`), where a
//! cut link ends; a packet socket on the sender's card sees them before that, and this thread puts them on the receiver's card when it
//! is time. Segments that the kernel has not cut into packets yet are taken as a whole (`PACKET_VNET_HDR`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Link;
use super::condition::Condition;
use super::link::{CARD, address};

/// What the kernel says of a packet beside its bytes: `virtio_net_hdr`.
const HEAD: usize = 10;
/// The largest segment with its head.
const PACKET_MAX: usize = HEAD + 14 + (1 << 16);
/// Packets taken off a card before the other ones have their turn.
const BURST: usize = 64;
/// Bytes that may be under way; what comes beyond is lost, as in any network.
const QUEUED_MAX: usize = 256 << 20;
const ETHERTYPE_ALL: u16 = 0x0003;

/// The thread that carries packets, and the sockets that it works with. It ends with this.
#[derive(Debug)]
pub(super) struct Packets {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// One on each node's card at the bridge.
    cards: Vec<OwnedFd>,
    wake: EventFd,
    table: Mutex<Table>,
    is_over: AtomicBool,
}

#[derive(Debug, Default)]
struct Table {
    conditions: BTreeMap<Link, Condition>,
    seed: u64,
    /// Is counted up with every change.
    version: u64,
}

impl Packets {
    /// Opens a packet socket on each of `count` cards; the calling thread is in the switch.
    pub(super) fn open(count: usize) -> io::Result<Packets> {
        let cards = (1..=count as u32).map(|number| open_card(CARD + number)).collect::<io::Result<_>>()?;
        let wake = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        let shared = Shared { cards, wake, table: Mutex::default(), is_over: AtomicBool::new(false) };
        Ok(Packets { shared: Arc::new(shared), thread: None })
    }

    /// From now on these links carry what their conditions say, and the thread carries nothing else. What is under way on links
    /// that are not among them any more arrives at once. `seed` decides what befalls each packet; without one, all goes on as it was.
    pub(super) fn set(&mut self, conditions: BTreeMap<Link, Condition>, seed: Option<u64>) -> io::Result<()> {
        let senders: BTreeSet<usize> = conditions.keys().map(|link| link.from).collect();
        for (node, card) in self.shared.cards.iter().enumerate() {
            listen(card, CARD + node as u32 + 1, senders.contains(&node))?;
        }
        {
            let mut table = self.shared.table.lock().expect("nobody panics with it");
            *table = Table { conditions, seed: seed.unwrap_or(table.seed), version: table.version + 1 };
        }
        if self.thread.is_none() {
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name("packets".into());
            self.thread = Some(thread.spawn(move || Carrier::new(&shared).run())?);
        }
        self.shared.wake.write(1)?;
        Ok(())
    }
}

impl Drop for Packets {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // If it cannot be woken it ends when the next packet comes, or with the process.
        if self.shared.wake.write(1).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

/// A packet under way.
struct Packet {
    link: Link,
    /// With its head.
    bytes: Vec<u8>,
}

/// What has happened on a link so far.
struct Lane {
    condition: Condition,
    /// When the last packet that was not held back arrives: none behind it arrives sooner.
    last: Instant,
    /// When the link has sent all that it was given, if it is a slow one.
    free: Instant,
    /// What packets take longer at the moment, and until when that is so: drawn for each packet by itself, the few slow ones
    /// would hold up all others, since they stay in order.
    more: Duration,
    more_until: Instant,
}

struct Carrier<'s> {
    shared: &'s Shared,
    version: u64,
    lanes: BTreeMap<Link, Lane>,
    random: ChaCha8Rng,
    /// Due time and number of what is under way.
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    packets: BTreeMap<u64, Packet>,
    queued_bytes: usize,
    number: u64,
}

impl<'s> Carrier<'s> {
    fn new(shared: &'s Shared) -> Carrier<'s> {
        Carrier {
            shared,
            version: 0,
            lanes: BTreeMap::new(),
            random: ChaCha8Rng::seed_from_u64(0),
            due: BinaryHeap::new(),
            packets: BTreeMap::new(),
            queued_bytes: 0,
            number: 0,
        }
    }

    fn run(&mut self) {
        let mut buffer = vec![0; PACKET_MAX];
        while !self.shared.is_over.load(Ordering::Relaxed) {
            self.wait();
            self.look_at_table();
            for node in 0..self.shared.cards.len() {
                for _ in 0..BURST {
                    let Some(length) = receive(&self.shared.cards[node], &mut buffer) else {
                        break;
                    };
                    self.take(node, &buffer[..length]);
                }
            }
            self.deliver();
        }
    }

    /// Until something comes, or something is due.
    fn wait(&self) {
        let poll = |fd: i32| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let cards = self.shared.cards.iter().map(AsRawFd::as_raw_fd);
        let mut all: Vec<libc::pollfd> = cards.map(poll).collect();
        all.push(poll(std::os::fd::AsFd::as_fd(&self.shared.wake).as_raw_fd()));
        let left = self.due.peek().map(|Reverse((due, _))| due.saturating_duration_since(Instant::now()));
        let time = left.map(|left| libc::timespec {
            tv_sec: left.as_secs().cast_signed(),
            tv_nsec: i64::from(left.subsec_nanos()),
        });
        let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: `all` and `time` live until it returns; an error (a signal) is no worse than waking up early.
        unsafe { libc::ppoll(all.as_mut_ptr(), all.len() as libc::nfds_t, time, std::ptr::null()) };
        // Nothing there is an error that says nothing.
        let _ = self.shared.wake.read();
    }

    fn look_at_table(&mut self) {
        let table = self.shared.table.lock().expect("nobody panics with it");
        if table.version == self.version {
            return;
        }
        self.version = table.version;
        self.random = ChaCha8Rng::seed_from_u64(table.seed);
        let now = Instant::now();
        let lane = |(&link, &condition)| {
            (link, Lane { condition, last: now, free: now, more: Duration::ZERO, more_until: now })
        };
        self.lanes = table.conditions.iter().map(lane).collect();
        drop(table);
        let due = std::mem::take(&mut self.due);
        for Reverse((due, number)) in due.into_sorted_vec().into_iter().rev() {
            let is_over = !self.lanes.contains_key(&self.packets[&number].link);
            self.due.push(Reverse((if is_over { now } else { due }, number)));
        }
    }

    /// A packet that a node has sent.
    fn take(&mut self, from: usize, bytes: &[u8]) {
        let Some(to) = receiver(bytes).filter(|&to| to < self.shared.cards.len()) else {
            return;
        };
        let link = Link { from, to };
        let now = Instant::now();
        let Some(lane) = self.lanes.get_mut(&link) else {
            return;
        };
        let condition = lane.condition;
        let random = &mut self.random;
        let mut chance = |share: f64| share > 0.0 && random.random_bool(share.min(1.0));
        let (is_lost, is_twice) = (chance(condition.loss), chance(condition.duplicates));
        let (is_held, is_corrupted) = (chance(condition.reordered), chance(condition.corrupted));
        let mut leaves = now;
        let mut is_late = false;
        if let Some(bandwidth) = condition.bandwidth {
            let takes = Duration::from_secs_f64(bytes.len() as f64 / bandwidth.max(1) as f64);
            is_late = lane.free > now + Duration::from_secs(1);
            if !is_late {
                lane.free = lane.free.max(now) + takes;
                leaves = lane.free;
            }
        }
        if is_lost || is_late || self.queued_bytes > QUEUED_MAX {
            return;
        }
        if now >= lane.more_until {
            let share: f64 = random.random();
            // An exponential distribution by its inverse; its far end is cut off at ten times the mean.
            lane.more = condition.jitter.mul_f64((-(1.0 - share).ln()).min(10.0));
            lane.more_until = now + condition.jitter;
        }
        let mut due = (leaves + condition.delay + lane.more).max(lane.last);
        match is_held {
            true => due += condition.held_back,
            false => lane.last = due,
        }
        let mut bytes = bytes.to_vec();
        if is_corrupted {
            corrupt(&mut bytes, random);
        }
        if is_twice {
            self.queue(due, Packet { link, bytes: bytes.clone() });
        }
        self.queue(due, Packet { link, bytes });
    }

    fn queue(&mut self, due: Instant, packet: Packet) {
        self.number += 1;
        self.queued_bytes += packet.bytes.len();
        self.due.push(Reverse((due, self.number)));
        self.packets.insert(self.number, packet);
    }

    fn deliver(&mut self) {
        let now = Instant::now();
        while let Some(&Reverse((due, number))) = self.due.peek()
            && due <= now
        {
            self.due.pop();
            let Packet { link, bytes } = self.packets.remove(&number).expect("it is under way");
            self.queued_bytes -= bytes.len();
            // A card that can take no more loses it, as in any network.
            send(&self.shared.cards[link.to], &bytes);
        }
    }
}

/// The node that an IPv4 packet is for.
fn receiver(bytes: &[u8]) -> Option<usize> {
    let frame = bytes.get(HEAD..)?;
    let is_ip = frame.get(12..14)? == [0x08, 0x00];
    let to: [u8; 4] = frame.get(30..34)?.try_into().ok()?;
    let network = address(0).octets();
    (is_ip && to[..3] == network[..3]).then(|| usize::from(to[3]).checked_sub(1)).flatten()
}

/// Changes one byte of what a TCP or UDP packet carries; one that carries nothing stays as it is.
fn corrupt(bytes: &mut [u8], random: &mut ChaCha8Rng) {
    const FRAME: usize = HEAD + 14;
    const TCP: u8 = 6;
    const UDP: u8 = 17;
    let Some(&first) = bytes.get(FRAME) else { return };
    let transport = FRAME + usize::from(first & 15) * 4;
    let payload = match bytes.get(FRAME + 9) {
        Some(&TCP) => bytes.get(transport + 12).map(|&offset| transport + usize::from(offset >> 4) * 4),
        Some(&UDP) => Some(transport + 8),
        _ => None,
    };
    if let Some(payload) = payload.filter(|&payload| payload < bytes.len()) {
        let at = random.random_range(payload..bytes.len());
        bytes[at] ^= random.random_range(1..=255u8);
    }
}

fn open_card(device: u32) -> io::Result<OwnedFd> {
    const IGNORE_OUTGOING: libc::c_int = 23;
    const VNET_HDR: libc::c_int = 15;
    const QDISC_BYPASS: libc::c_int = 20;
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: it makes a descriptor or fails; protocol 0 hears nothing until it is bound.
    let card = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
    if card < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was just made and nobody else has it.
    let card = unsafe { OwnedFd::from_raw_fd(card) };
    for option in [IGNORE_OUTGOING, VNET_HDR, QDISC_BYPASS] {
        set_option(&card, option, 1)?;
    }
    listen(&card, device, false)?;
    Ok(card)
}

fn set_option(card: &OwnedFd, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let (at, length) = (std::ptr::from_ref(&value).cast(), size_of::<libc::c_int>() as libc::socklen_t);
    // SAFETY: `value` lives until it returns, and `length` is its size.
    let done = unsafe { libc::setsockopt(card.as_raw_fd(), libc::SOL_PACKET, option, at, length) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Hears what comes in at the device, or nothing.
fn listen(card: &OwnedFd, device: u32, is_on: bool) -> io::Result<()> {
    let protocol = if is_on { ETHERTYPE_ALL.to_be() } else { 0 };
    // SAFETY: zeros are a valid address.
    let mut at: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    at.sll_family = libc::AF_PACKET as u16;
    at.sll_protocol = protocol;
    at.sll_ifindex = device.cast_signed();
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: `at` lives until it returns, and `length` is its size.
    let done = unsafe { libc::bind(card.as_raw_fd(), std::ptr::from_ref(&at).cast(), length) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The next packet that came in at the card; `None` when there is none.
fn receive(card: &OwnedFd, buffer: &mut [u8]) -> Option<usize> {
    // SAFETY: the buffer is as long as it says.
    let length = unsafe { libc::recv(card.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
    usize::try_from(length).ok()
}

/// Sends out of the card, if that can take it.
fn send(card: &OwnedFd, bytes: &[u8]) {
    // SAFETY: the buffer is as long as it says.
    unsafe { libc::send(card.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
}
