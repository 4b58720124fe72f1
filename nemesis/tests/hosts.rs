//! Hosts of both kinds: a cut stops just what it names, and nothing is left.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use rafture_nemesis::hosts::{Hosts, HostsError, Link, Network, NetworkChoice};

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
fn check_cut(hosts: &mut Hosts, count: usize, links: BTreeSet<Link>) {
    let took = hosts.cut(&links).expect("a cut");
    let whole: BTreeSet<Link> = Link::all(count).filter(|link| !links.contains(link)).collect();
    assert_eq!(probe(hosts, &whole), whole, "with {links:?} cut");
    println!("{:?}: {} links cut in {took:?}", hosts.network(), links.len());
}

fn cuts_stop_what_they_name(mut hosts: Hosts) {
    let between = |one: &[usize], other: &[usize]| -> BTreeSet<Link> {
        let links = Link::all(5);
        links.filter(|link| one.contains(&link.from) && other.contains(&link.to)).collect()
    };
    check_cut(&mut hosts, 5, BTreeSet::new());
    let halves = &between(&[0, 1], &[2, 3, 4]) | &between(&[2, 3, 4], &[0, 1]);
    check_cut(&mut hosts, 5, halves);
    check_cut(&mut hosts, 5, between(&[0], &[1, 2, 3, 4]));
    check_cut(&mut hosts, 5, Link::all(5).collect());
    check_cut(&mut hosts, 5, BTreeSet::new());
}

#[test]
fn cuts_of_namespaces_stop_what_they_name() {
    with_hosts(NetworkChoice::Netns, 5, cuts_stop_what_they_name);
}

#[test]
fn cuts_of_proxies_stop_what_they_name() {
    with_hosts(NetworkChoice::Proxy, 5, cuts_stop_what_they_name);
}

/// A thread that plays node `node`: it listens where the node would, and sends back what it hears.
fn echo(hosts: &Hosts, node: usize) {
    let namespace = hosts.namespace(node).map(|namespace| namespace.try_clone_to_owned().expect("a copy"));
    let address = hosts.addresses(node).peer;
    let (ready, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        if let Some(namespace) = namespace {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("a namespace");
        }
        let listener = TcpListener::bind(address).expect("a free port");
        ready.send(()).expect("somebody waits");
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
    });
    wait.recv().expect("it listens");
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
        let both: BTreeSet<Link> = Link::all(2).collect();
        assert_eq!(probe(&hosts, &both), both);
        echo(&hosts, 1);
        let mut stream = connect(&hosts, 0, 1);
        let mut byte = [0];
        stream.write_all(b"a").and_then(|()| stream.read_exact(&mut byte)).expect("an echo");
    });
}
