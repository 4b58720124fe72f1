//! Network devices and addresses (rtnetlink): a bridge, a pair of cards from it to each host, and who has which
//! hardware address, so that nobody ever has to ask (ARP would make a healed link slow).

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::netlink::{ACK, CREATE, EXCLUSIVE, Message, Socket};

const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const NEW_NEIGHBOUR: u16 = 28;
const AF_INET: u8 = 2;
const PREFIX: u8 = 24;
const UP: u32 = 1;

/// Number of the loopback device in every namespace.
const LOOPBACK: u32 = 1;
/// Number of the one other device of a host, and of the bridge in the switch.
pub(super) const CARD: u32 = 2;
/// The host's card is called as anywhere else.
const CARD_NAME: &str = "eth0";

/// The address of host `number`.
pub(super) fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, number)
}

fn hardware_address(number: u8) -> [u8; 6] {
    // Locally administered, so no real card has it.
    [0x02, 0x77, 0, 0, 0, number]
}

/// A bridge as device [`CARD`].
pub(super) fn add_bridge(socket: &mut Socket, number: u8) -> io::Result<()> {
    let bridge = Message::new(NEW_LINK, ACK | CREATE | EXCLUSIVE, &link_head(CARD, 0))
        .text(3, "switch")
        .attribute(1, &hardware_address(number))
        .nested(18, |info| info.text(1, "bridge"));
    socket.request(vec![bridge])
}

/// A pair of cards: one on the bridge, the other in `namespace` as its device [`CARD`].
pub(super) fn add_pair(socket: &mut Socket, number: u8, namespace: BorrowedFd<'_>) -> io::Result<()> {
    let namespace = namespace.as_raw_fd().to_ne_bytes();
    let pair = Message::new(NEW_LINK, ACK | CREATE | EXCLUSIVE, &link_head(CARD + u32::from(number), UP))
        .text(3, &format!("n{number}"))
        .attribute(10, &CARD.to_ne_bytes())
        .nested(18, |info| {
            info.text(1, "veth").nested(2, |data| {
                data.nested(1, |peer| {
                    peer.raw(&link_head(CARD, 0))
                        .text(3, CARD_NAME)
                        .attribute(1, &hardware_address(number))
                        .attribute(28, &namespace)
                })
            })
        });
    socket.request(vec![pair])
}

/// Puts the bridge up.
pub(super) fn put_up(socket: &mut Socket) -> io::Result<()> {
    socket.request(vec![up(LOOPBACK), up(CARD)])
}

/// Gives the namespace of `socket` its address, puts its devices up, and tells it where everybody else is.
pub(super) fn configure(socket: &mut Socket, number: u8, everybody: &[u8]) -> io::Result<()> {
    let mut messages = vec![up(LOOPBACK), set_address(number), up(CARD)];
    messages.extend(everybody.iter().filter(|&&other| other != number).map(|&other| neighbour(other)));
    socket.request(messages)
}

/// Lets the connections of the namespace of `socket` use cubic, which is what most servers run; on a machine whose default
/// is another, recovery would look different. It is a property of the route: the setting itself may be closed.
pub(super) fn prefer_cubic(socket: &mut Socket, number: u8) -> io::Result<()> {
    const REPLACE: u16 = 0x100;
    const ROUTE_HEAD: [u8; 12] = [AF_INET, PREFIX, 0, 0, 254, 2, 253, 1, 0, 0, 0, 0];
    let [a, b, c, _] = address(0).octets();
    let route = Message::new(NEW_ROUTE, ACK | CREATE | REPLACE, &ROUTE_HEAD)
        .attribute(1, &[a, b, c, 0])
        .attribute(4, &CARD.to_ne_bytes())
        .attribute(7, &address(number).octets())
        .nested(8, |metrics| metrics.text(16, "cubic"));
    socket.request(vec![route])
}

fn up(device: u32) -> Message {
    Message::new(NEW_LINK, ACK, &link_head(device, UP))
}

fn set_address(number: u8) -> Message {
    let head = [AF_INET, PREFIX, 0, 0];
    let head = [head, CARD.to_ne_bytes()].concat();
    let address = address(number).octets();
    Message::new(NEW_ADDRESS, ACK | CREATE | EXCLUSIVE, &head).attribute(1, &address).attribute(2, &address)
}

fn neighbour(number: u8) -> Message {
    const PERMANENT: u16 = 0x80;
    let mut head = vec![AF_INET, 0, 0, 0];
    head.extend_from_slice(&CARD.to_ne_bytes());
    head.extend_from_slice(&PERMANENT.to_ne_bytes());
    head.extend_from_slice(&[0, 0]);
    Message::new(NEW_NEIGHBOUR, ACK | CREATE, &head)
        .attribute(1, &address(number).octets())
        .attribute(2, &hardware_address(number))
}

/// `ifinfomsg`: family, device type, device number, flags, and which flags are meant.
fn link_head(device: u32, flags: u32) -> Vec<u8> {
    [0, device, flags, flags].into_iter().flat_map(u32::to_ne_bytes).collect()
}
