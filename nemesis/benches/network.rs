//! What our network costs: a round trip and a stream over the kernel's bridge beside the packet path that does nothing, in turns in
//! one run; and how long it takes to cut five nodes apart.
//!
//! ```sh
//! cargo bench -p rafture-nemesis --bench network
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use rafture_nemesis::hosts::{Condition, Hosts, Link, NetworkChoice};

const NODES: usize = 5;
const ROUNDS: usize = 7;
const TRIPS: usize = 4000;
const STREAM_BYTES: usize = 400 << 20;
const CUTS: usize = 300;

fn main() {
    // Hosts move the thread that opens them.
    let measured = thread::spawn(|| match Hosts::open(NetworkChoice::Netns, NODES) {
        Ok(hosts) => measure(hosts),
        Err(error) => println!("there is nothing to measure here: {error}"),
    });
    measured.join().expect("measuring does not panic");
}

fn measure(mut hosts: Hosts) {
    let both = [Link { from: 0, to: 1 }, Link { from: 1, to: 0 }];
    let path: BTreeMap<Link, Condition> = both.map(|link| (link, Condition::default())).into();
    let (mut trips, mut streams) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..ROUNDS {
        for (kind, links) in [BTreeMap::new(), path.clone()].into_iter().enumerate() {
            hosts.condition(links, 1).expect("a path");
            trips[kind].push(round_trips(&hosts));
            streams[kind].push(stream(&hosts));
        }
    }
    hosts.condition(BTreeMap::new(), 1).expect("the bridge");
    for (name, kind) in [("bridge", 0), ("packet path", 1)] {
        let least = trips[kind].iter().map(|trip| trip.0).min().expect("rounds");
        let middle = median(trips[kind].iter().map(|trip| trip.1.as_secs_f64()).collect());
        let speeds = median(streams[kind].clone());
        println!(
            "{name:<12} round trip {:>6.1} µs at least, {:>6.1} µs in the middle; {speeds:>6.0} MB/s",
            least.as_secs_f64() * 1e6,
            middle * 1e6
        );
    }
    let mut cuts: Vec<f64> = (0..CUTS).map(|_| cut(&mut hosts)).collect();
    cuts.sort_by(f64::total_cmp);
    println!(
        "{NODES} nodes cut in two: {:.0} µs in the middle, {:.0} µs at the 99th percentile of {CUTS}",
        cuts[CUTS / 2] * 1e6,
        cuts[CUTS * 99 / 100] * 1e6
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Cuts two from three and heals; how long the cut took.
fn cut(hosts: &mut Hosts) -> f64 {
    let is_cut = |link: &Link| (link.from < 2) != (link.to < 2);
    let links: BTreeSet<Link> = Link::all(NODES).filter(is_cut).collect();
    let took = hosts.cut(&links).expect("a cut").as_secs_f64();
    hosts.cut(&BTreeSet::new()).expect("a healing");
    took
}

/// Node 1 does this with a connection, and node 0 that.
fn between<T: Send + 'static>(
    hosts: &Hosts,
    serve: impl FnOnce(TcpStream) + Send + 'static,
    ask: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> T {
    let namespace = |node| -> OwnedFd {
        hosts.namespace(node).expect("namespaces").try_clone_to_owned().expect("a copy")
    };
    let (server, client, address) = (namespace(1), namespace(0), hosts.addresses(1).peer);
    let (ready, wait) = std::sync::mpsc::channel();
    let serving = thread::spawn(move || {
        setns(server, CloneFlags::CLONE_NEWNET).expect("a namespace");
        let listener = TcpListener::bind(address).expect("a free port");
        ready.send(()).expect("somebody waits");
        serve(listener.accept().expect("a connection").0);
    });
    wait.recv().expect("it listens");
    let asking = thread::spawn(move || {
        setns(client, CloneFlags::CLONE_NEWNET).expect("a namespace");
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        ask(stream)
    });
    let result = asking.join().expect("it asks");
    serving.join().expect("it serves");
    result
}

/// The shortest round trip of a byte, and the one in the middle.
fn round_trips(hosts: &Hosts) -> (Duration, Duration) {
    let echo = |mut stream: TcpStream| {
        stream.set_nodelay(true).expect("no delay");
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
    };
    let ask = |mut stream: TcpStream| {
        let mut trip = || {
            let start = Instant::now();
            stream.write_all(b"x").and_then(|()| stream.read_exact(&mut [0])).expect("an echo");
            start.elapsed()
        };
        let mut trips: Vec<Duration> = (0..TRIPS).map(|_| trip()).collect();
        trips.sort_unstable();
        (trips[0], trips[TRIPS / 2])
    };
    between(hosts, echo, ask)
}

/// Megabytes a second of one stream.
fn stream(hosts: &Hosts) -> f64 {
    let sink = |mut stream: TcpStream| {
        let mut piece = vec![0; 1 << 18];
        let mut heard = 0;
        while heard < STREAM_BYTES {
            heard += stream.read(&mut piece).expect("a stream");
        }
        stream.write_all(b"x").expect("it waits");
    };
    let pour = |mut stream: TcpStream| {
        let piece = vec![0; 1 << 18];
        let start = Instant::now();
        for _ in 0..STREAM_BYTES / piece.len() {
            stream.write_all(&piece).expect("a stream");
        }
        stream.read_exact(&mut [0]).expect("an answer");
        STREAM_BYTES as f64 / 1e6 / start.elapsed().as_secs_f64()
    };
    between(hosts, sink, pour)
}
