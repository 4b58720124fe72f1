//! Hosts of both kinds: a cut stops just what it names, and nothing is left.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use rafture_nemesis::hosts::{Condition, Hosts, HostsError, Link, Measured, Network, NetworkChoice};

/// Runs `test` on a thread of its own, which may change namespaces. Tells when the machine does not allow it.
fn with_hosts(choice: NetworkChoice, count: usize, test: impl FnOnce(Hosts) + Send + 'static) {
    let ran = std::thread::spawn(move || match Hosts::open(choice, count) {
        Ok(hosts) => test(hosts),
        Err(error) => skip(&error),
    });
    ran.join().expect("the test passes");
}

fn skip(error: &HostsError) {
    assert!(std::env::var_os("RAFTURE_REQUIRE_ALL").is_none(), "{error}");
    eprintln!("skipped: {error}");
}

fn probe(hosts: &Hosts, expected: &BTreeSet<Link>) -> BTreeSet<Link> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(hosts.probe(expected)).expect("a probe")
}

/// Cuts `links` and tries all of them.
fn check_cut(hosts: &mut Hosts, links: BTreeSet<Link>) {
    let took = hosts.cut(&links).expect("a cut");
    let whole: BTreeSet<Link> = hosts.links().filter(|link| !links.contains(link)).collect();
    assert_eq!(probe(hosts, &whole), whole, "with {links:?} cut");
    println!("{:?}: {} links cut in {took:?}", hosts.network(), links.len());
}

fn cuts_stop_what_they_name(mut hosts: Hosts) {
    let between = |one: &[usize], other: &[usize]| -> BTreeSet<Link> {
        let links = Link::all(5);
        links.filter(|link| one.contains(&link.from) && other.contains(&link.to)).collect()
    };
    check_cut(&mut hosts, BTreeSet::new());
    let halves = &between(&[0, 1], &[2, 3, 4]) | &between(&[2, 3, 4], &[0, 1]);
    check_cut(&mut hosts, halves);
    check_cut(&mut hosts, between(&[0], &[1, 2, 3, 4]));
    check_cut(&mut hosts, Link::all(5).collect());
    check_cut(&mut hosts, BTreeSet::new());
}

#[test]
fn cuts_of_namespaces_stop_what_they_name() {
    with_hosts(NetworkChoice::Netns, 5, cuts_stop_what_they_name);
}

#[test]
fn cuts_of_proxies_stop_what_they_name() {
    with_hosts(NetworkChoice::Proxy, 5, cuts_stop_what_they_name);
}

/// A thread that plays node `node`: it listens where the node would, and does this with the first connection.
fn play<T: Send + 'static>(
    hosts: &Hosts,
    node: usize,
    act: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> JoinHandle<T> {
    let namespace = hosts.namespace(node).map(|namespace| namespace.try_clone_to_owned().expect("a copy"));
    let address = hosts.addresses(node).peer;
    let (ready, wait) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        if let Some(namespace) = namespace {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("a namespace");
        }
        let listener = TcpListener::bind(address).expect("a free port");
        ready.send(()).expect("somebody waits");
        act(listener.accept().expect("a connection").0)
    });
    wait.recv().expect("it listens");
    thread
}

/// A node that sends back what it hears.
fn echo(hosts: &Hosts, node: usize) -> JoinHandle<()> {
    play(hosts, node, |mut stream| {
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
    })
}

/// A node that counts the bytes that it hears.
fn sink(hosts: &Hosts, node: usize) -> JoinHandle<usize> {
    play(hosts, node, |mut stream| {
        let (mut piece, mut heard) = (vec![0; 1 << 16], 0);
        while let Ok(length) = stream.read(&mut piece)
            && length > 0
        {
            heard += length;
        }
        heard
    })
}

/// Clients have a host of their own, which is cut off like any other.
#[test]
fn clients_are_cut_off_from_nodes_and_nodes_not_from_each_other() {
    with_hosts(NetworkChoice::Netns, 3, |mut hosts| {
        let all: BTreeSet<Link> = hosts.links().collect();
        assert_eq!(all.len(), 12, "three nodes and the clients");
        assert_eq!(probe(&hosts, &all), all);
        let clients = Link::clients(3);
        let cut = BTreeSet::from([Link { from: clients, to: 0 }, Link { from: 0, to: clients }]);
        hosts.cut(&cut).expect("a cut");
        let whole = &all - &cut;
        assert_eq!(probe(&hosts, &whole), whole);
    });
}

#[test]
fn connections_of_one_node_are_broken_off_at_both_ends() {
    with_hosts(NetworkChoice::Netns, 3, |mut hosts| {
        let ends = [echo(&hosts, 0), echo(&hosts, 1)];
        let mut broken = connect(&hosts, 2, 0);
        let mut whole = connect(&hosts, 2, 1);
        let say = |stream: &mut TcpStream| stream.write_all(b"x").and_then(|()| stream.read_exact(&mut [0]));
        say(&mut broken).and_then(|()| say(&mut whole)).expect("an echo");
        assert_eq!(hosts.reset(&[0]).expect("a reset"), 1);
        let error = say(&mut broken).expect_err("it is broken off");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
        say(&mut whole).expect("the other one goes on");
        drop((broken, whole));
        ends.into_iter().for_each(|end| end.join().expect("it ends"));
    });
}

/// A link counts as connected while the way from its sender carries, in that direction.
#[test]
fn connections_between_nodes_are_listed_unless_something_has_to_be_sent_again() {
    with_hosts(NetworkChoice::Netns, 3, |mut hosts| {
        let end = echo(&hosts, 1);
        let connected = |hosts: &mut Hosts| hosts.connected().expect("a list").expect("namespaces tell");
        assert_eq!(connected(&mut hosts), BTreeSet::new());
        let mut stream = connect(&hosts, 0, 1);
        let way = Link { from: 0, to: 1 };
        assert_eq!(connected(&mut hosts), BTreeSet::from([way]));
        hosts.cut(&BTreeSet::from([way])).expect("a cut");
        stream.write_all(b"x").expect("room in the socket");
        await_that(|| connected(&mut hosts).is_empty(), "it is sent again");
        hosts.cut(&BTreeSet::new()).expect("healing");
        await_that(|| connected(&mut hosts).contains(&way), "it is there");
        drop(stream);
        end.join().expect("it ends");
    });
}

fn await_that(mut holds: impl FnMut() -> bool, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_few_datagrams_tell_how_late_a_link_is() {
    with_hosts(NetworkChoice::Netns, 2, |mut hosts| {
        let late = Duration::from_millis(40);
        let condition = Condition { delay: late, ..Condition::default() };
        let link = Link { from: 0, to: 1 };
        hosts.condition(BTreeMap::from([(link, condition)]), 1).expect("a condition");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let links = BTreeSet::from([link, link.reversed()]);
        let found = runtime.block_on(hosts.sample(&links, 2, Duration::from_secs(5))).expect("a sample");
        assert_eq!((found.sent, found.lost()), (4, 0));
        assert_eq!(found.took.iter().filter(|took| **took >= late).count(), 2, "{:?}", found.took);
    });
}

/// The connection that node `from` opens to node `to`.
fn connect(hosts: &Hosts, from: usize, to: usize) -> TcpStream {
    let namespace = hosts.namespace(from).map(|namespace| namespace.try_clone_to_owned().expect("a copy"));
    let address = hosts.addresses(from).peers[to];
    let connected = std::thread::spawn(move || {
        if let Some(namespace) = namespace {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("a namespace");
        }
        TcpStream::connect(address).expect("a connection")
    });
    connected.join().expect("a connection")
}

fn connections_are_cut_and_go_on(mut hosts: Hosts) {
    echo(&hosts, 1);
    let mut stream = connect(&hosts, 0, 1);
    let mut byte = [0];
    stream.write_all(b"a").expect("a way");
    stream.read_exact(&mut byte).expect("an echo");
    for link in [Link { from: 0, to: 1 }, Link { from: 1, to: 0 }] {
        hosts.cut(&BTreeSet::from([link])).expect("a cut");
        stream.write_all(b"b").expect("room in the socket");
        stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        assert!(stream.read_exact(&mut byte).is_err(), "an answer over a cut link");
        hosts.cut(&BTreeSet::new()).expect("healing");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        stream.read_exact(&mut byte).expect("what was held arrives");
        assert_eq!(&byte, b"b");
    }
}

#[test]
fn a_connection_between_namespaces_is_cut_and_goes_on() {
    with_hosts(NetworkChoice::Netns, 2, connections_are_cut_and_go_on);
}

#[test]
fn a_connection_through_proxies_is_cut_and_goes_on() {
    with_hosts(NetworkChoice::Proxy, 2, connections_are_cut_and_go_on);
}

/// What becomes of datagrams when the way from the first node to the second is under `condition`; the ways between the others stay whole.
fn measured(hosts: &mut Hosts, condition: Condition) -> Measured {
    let link = Link { from: 0, to: 1 };
    hosts.condition(BTreeMap::from([(link, condition)]), 7).expect("a condition");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let patience = Duration::from_secs(2);
    let others = BTreeSet::from([Link { from: 1, to: 0 }, Link { from: 0, to: 2 }, Link { from: 2, to: 1 }]);
    let others = runtime.block_on(hosts.measure(&others, patience)).expect("a measurement");
    assert_eq!((others.lost(), others.repeated, others.corrupted), (0, 0, 0), "{condition}");
    assert!(others.took[0] < Duration::from_millis(5), "{condition}: {others:?}");
    let found = runtime.block_on(hosts.measure(&BTreeSet::from([link]), patience)).expect("a measurement");
    println!("{condition}: {} lost, {:?} in the middle", found.lost(), found.median());
    found
}

fn conditions_do_what_they_say(mut hosts: Hosts) {
    let none = Condition::default();
    let nothing = measured(&mut hosts, none);
    assert_eq!((nothing.lost(), nothing.repeated, nothing.corrupted, nothing.overtaken), (0, 0, 0, 0));
    let delay = Duration::from_millis(60);
    let delayed = measured(&mut hosts, Condition { delay, ..none });
    assert!(delayed.took[0] >= delay && delayed.lost() == 0, "{delayed:?}");
    let jitter = Duration::from_millis(20);
    let unsteady = measured(&mut hosts, Condition { delay, jitter, ..none });
    assert!(unsteady.took[0] >= delay && unsteady.overtaken == 0, "{unsteady:?}");
    assert!(unsteady.took[0] != unsteady.took[63] && unsteady.took[63] > delay + jitter / 4, "{unsteady:?}");
    // Of 64 datagrams, half are meant; outside of these bounds it is once in ten million.
    let lossy = measured(&mut hosts, Condition { loss: 0.5, ..none });
    assert!((12..52).contains(&lossy.lost()), "{lossy:?}");
    let twofold = measured(&mut hosts, Condition { duplicates: 0.5, ..none });
    assert!((12..52).contains(&twofold.repeated) && twofold.lost() == 0, "{twofold:?}");
    let held_back = Duration::from_millis(10);
    let disordered = measured(&mut hosts, Condition { reordered: 0.5, held_back, ..none });
    assert!(disordered.overtaken > 5 && disordered.lost() == 0, "{disordered:?}");
    let corrupted = measured(&mut hosts, Condition { corrupted: 0.5, ..none });
    assert!((12..52).contains(&corrupted.corrupted), "{corrupted:?}");
    // 64 datagrams of 252 bytes, head and all.
    let slow = measured(&mut hosts, Condition { bandwidth: Some(40_000), ..none });
    assert!(slow.all_took > Duration::from_millis(300) && slow.lost() == 0, "{slow:?}");
    let both = Condition { delay, ..none }.and(Condition { loss: 0.5, ..none });
    let both = measured(&mut hosts, both);
    assert!(both.lost() > 12 && both.took[0] >= delay, "{both:?}");
    // A cut link carries nothing, whatever its condition.
    let link = Link { from: 0, to: 1 };
    hosts.cut(&BTreeSet::from([link])).expect("a cut");
    assert!(!probe(&hosts, &BTreeSet::new()).contains(&link));
    hosts.condition(BTreeMap::new(), 0).expect("whole links");
    assert!(!probe(&hosts, &BTreeSet::new()).contains(&link));
    check_cut(&mut hosts, BTreeSet::new());
}

#[test]
fn links_under_a_condition_do_what_it_says_and_others_stay_whole() {
    with_hosts(NetworkChoice::Netns, 3, conditions_do_what_they_say);
}

/// How long a byte takes there and back, at best; and how many bytes pass in a second.
fn speed(hosts: &Hosts, bytes: usize) -> (Duration, f64) {
    let echo = echo(hosts, 1);
    let mut stream = connect(hosts, 0, 1);
    stream.set_nodelay(true).expect("a connection");
    let mut byte = [0];
    let round_trip = (0..200).map(|_| {
        let start = Instant::now();
        stream.write_all(b"a").expect("a way");
        stream.read_exact(&mut byte).expect("an echo");
        start.elapsed()
    });
    let round_trip = round_trip.min().expect("some");
    drop(stream);
    // It gives the port free.
    echo.join().expect("no panic");
    let sink = sink(hosts, 1);
    let mut stream = connect(hosts, 0, 1);
    let start = Instant::now();
    let piece = vec![7; 1 << 16];
    (0..bytes / piece.len()).for_each(|_| stream.write_all(&piece).expect("a way"));
    drop(stream);
    let heard = sink.join().expect("no panic");
    assert_eq!(heard, bytes, "every byte arrives");
    (round_trip, heard as f64 / start.elapsed().as_secs_f64())
}

/// `cargo test --release -p rafture-nemesis --test hosts -- --nocapture packet_path` shows the figures.
#[test]
fn the_packet_path_carries_streams_whole() {
    with_hosts(NetworkChoice::Netns, 2, |mut hosts| {
        let bytes = 64 << 20;
        let (round_trip, rate) = speed(&hosts, bytes);
        println!("kernel bridge: {round_trip:?} there and back at best, {:.0} MB/s", rate / 1e6);
        let both = [Link { from: 0, to: 1 }, Link { from: 1, to: 0 }];
        hosts.condition(both.map(|link| (link, Condition::default())).into(), 1).expect("conditions");
        let (round_trip, rate) = speed(&hosts, bytes);
        println!("packet path: {round_trip:?} there and back at best, {:.0} MB/s", rate / 1e6);
    });
}

/// What a connection between nodes uses; a machine without cubic is told by the list.
#[test]
fn nodes_in_namespaces_use_cubic() {
    let available = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control");
    with_hosts(NetworkChoice::Netns, 2, move |hosts| {
        echo(&hosts, 1);
        let stream = connect(&hosts, 0, 1);
        let mut name = [0_u8; 16];
        let mut length = name.len() as libc::socklen_t;
        // SAFETY: the socket is open, and the kernel writes at most `length` bytes into `name`.
        let result = unsafe {
            libc::getsockopt(
                stream.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_CONGESTION,
                name.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        assert_eq!(result, 0);
        let name = String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned();
        let has_cubic = available.is_ok_and(|list| list.contains("cubic"));
        assert_eq!(name == "cubic", has_cubic, "{name}");
    });
}

/// Namespaces wherever they can be had, and proxies that work wherever they cannot.
#[test]
fn auto_takes_the_best_that_works() {
    let best = std::thread::spawn(|| {
        Hosts::open(NetworkChoice::Netns, 2).map_or(Network::Proxy, |_| Network::Netns)
    });
    let best = best.join().expect("opening hosts does not panic");
    with_hosts(NetworkChoice::Auto, 2, move |hosts| {
        assert_eq!(hosts.network(), best, "{}", hosts.reason());
        let both: BTreeSet<Link> = hosts.links().collect();
        assert_eq!(probe(&hosts, &both), both);
        echo(&hosts, 1);
        let mut stream = connect(&hosts, 0, 1);
        let mut byte = [0];
        stream.write_all(b"a").and_then(|()| stream.read_exact(&mut byte)).expect("an echo");
    });
}
