//! Established TCP connections of one namespace, as the kernel lists them, and broken off by it (`sock_diag`): the process finds its
//! socket reset, and so does the other end.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use nix::sys::socket::SockProtocol;

use super::netlink::{ACK, DUMP, Message, Socket};

const BY_FAMILY: u16 = 20;
const DESTROY: u16 = 21;
const FAMILIES: [u8; 2] = [2, 10];
const TCP: u8 = 6;
const ESTABLISHED: u32 = 1 << 1;
/// `inet_diag_msg`: family, state, timer, retransmissions, then what names the socket.
const RETRANSMISSIONS: usize = 3;
const NAME: std::ops::Range<usize> = 4..52;
const REMOTE_PORT: std::ops::Range<usize> = 6..8;
const REMOTE_ADDRESS: std::ops::Range<usize> = 24..28;

/// A socket to look into the connections of this thread's namespace.
pub(super) fn open() -> io::Result<Socket> {
    Socket::open(SockProtocol::NetlinkSockDiag)
}

/// Breaks all of them off; gives how many there were.
pub(super) fn reset(socket: &mut Socket) -> io::Result<usize> {
    let mut broken = 0;
    for family in FAMILIES {
        for entry in socket.list(request(BY_FAMILY, DUMP, family, &[0; 48]))? {
            let Some(name) = entry.get(NAME) else {
                continue;
            };
            match socket.request(vec![request(DESTROY, ACK, family, name)]) {
                Ok(()) => broken += 1,
                // It has ended by itself meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(broken)
}

/// Where they lead to, of those over IPv4 on which nothing has to be sent again.
pub(super) fn live(socket: &mut Socket) -> io::Result<Vec<SocketAddrV4>> {
    let entries = socket.list(request(BY_FAMILY, DUMP, FAMILIES[0], &[0; 48]))?;
    let remote = |entry: &Vec<u8>| {
        let port = u16::from_be_bytes(entry.get(REMOTE_PORT)?.try_into().ok()?);
        let address: [u8; 4] = entry.get(REMOTE_ADDRESS)?.try_into().ok()?;
        (*entry.get(RETRANSMISSIONS)? == 0).then_some(SocketAddrV4::new(Ipv4Addr::from(address), port))
    };
    Ok(entries.iter().filter_map(remote).collect())
}

/// `inet_diag_req_v2`: family, protocol, what else to tell, padding, states, and which socket.
fn request(kind: u16, flags: u16, family: u8, name: &[u8]) -> Message {
    let fixed = [&[family, TCP, 0, 0][..], &ESTABLISHED.to_ne_bytes(), name].concat();
    Message::new(kind, flags, &fixed)
}
