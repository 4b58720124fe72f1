//! Ports on the loopback address for nodes that are not there all the time.
//!
//! The kernel gives outgoing connections ports out of a range of its own. A node whose port lies in it may come up, or
//! come back, and find that somebody's connection has it. So ports are drawn from outside that range.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

/// Below are the ports of well-known services.
const PORT_MIN: u16 = 10_000;
/// A range with fewer ports is not worth a search.
const PORTS_MIN: usize = 2_000;

/// Holds so many free ports of the loopback address, all different. They stay free when the listeners are dropped, unless a
/// program asks for one of them by its number.
///
/// # Errors
/// When there are not so many, or no sockets are to be had.
pub fn hold(count: usize) -> io::Result<Vec<TcpListener>> {
    let outgoing = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let Some(range) = outside(&outgoing) else {
        // All ports are for outgoing connections here: whatever is free now.
        return (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect();
    };
    // Those who draw at the same time are unlikely to begin at the same place.
    let begin = RandomState::new().hash_one(count) as usize % range.len();
    let mut held = Vec::new();
    for port in range.clone().cycle().skip(begin).take(range.len()) {
        if held.len() == count {
            break;
        }
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => held.push(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    match held.len() == count {
        true => Ok(held),
        false => {
            Err(io::Error::new(io::ErrorKind::AddrInUse, format!("no {count} ports in {range:?} are free")))
        }
    }
}

/// The ports below those that the kernel gives to outgoing connections, or above them.
fn outside(outgoing: &str) -> Option<Range<u16>> {
    let mut bounds = outgoing.split_whitespace().map(str::parse);
    let (Some(Ok(first)), Some(Ok(last))) = (bounds.next(), bounds.next()) else {
        return None;
    };
    let last: u16 = last;
    [PORT_MIN..first, last.saturating_add(1).max(PORT_MIN)..u16::MAX]
        .into_iter()
        .find(|range| range.len() >= PORTS_MIN)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ports_lie_outside_the_range_of_outgoing_connections() {
        assert_eq!(outside("32768\t60999\n"), Some(10_000..32_768));
        assert_eq!(outside("1024 40000"), Some(40_001..65_535));
        assert_eq!(outside("1024 65535"), None);
        assert_eq!(outside(""), None);
    }

    #[test]
    fn held_ports_are_all_different() {
        let held = hold(40).expect("ports");
        let ports: BTreeSet<u16> =
            held.iter().map(|listener| listener.local_addr().expect("an address").port()).collect();
        assert_eq!(ports.len(), 40);
    }
}
