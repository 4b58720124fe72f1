//! Established TCP connections of one namespace, broken off by the kernel (`sock_diag`): the process finds its socket reset,
//! and so does the other end.

use std::io;

use nix::sys::socket::SockProtocol;

use super::netlink::{ACK, DUMP, Message, Socket};

const BY_FAMILY: u16 = 20;
const DESTROY: u16 = 21;
const FAMILIES: [u8; 2] = [2, 10];
const TCP: u8 = 6;
const ESTABLISHED: u32 = 1 << 1;
/// `inet_diag_msg`: family, state, timer, retransmissions, then what names the socket.
const NAME: std::ops::Range<usize> = 4..52;

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

/// `inet_diag_req_v2`: family, protocol, what else to tell, padding, states, and which socket.
fn request(kind: u16, flags: u16, family: u8, name: &[u8]) -> Message {
    let fixed = [&[family, TCP, 0, 0][..], &ESTABLISHED.to_ne_bytes(), name].concat();
    Message::new(kind, flags, &fixed)
}
