//! Netlink, as far as hosts need it: messages with attributes, sent over a socket that was opened in some namespace,
//! and the kernel's answers. What the messages mean is in `link.rs` and `filter.rs`.
//!
//! A netlink socket belongs for ever to the network namespace it was opened in, whatever thread uses it. That is why
//! nothing here ever has to change namespaces when a fault strikes.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

pub(super) const REQUEST: u16 = 0x1;
pub(super) const ACK: u16 = 0x4;
pub(super) const EXCLUSIVE: u16 = 0x200;
pub(super) const CREATE: u16 = 0x400;
pub(super) const APPEND: u16 = 0x800;
/// All of them.
pub(super) const DUMP: u16 = 0x300;

const ERROR: u16 = 2;
const DONE: u16 = 3;
const NESTED: u16 = 0x8000;
const HEADER_BYTES: usize = 16;

/// One message under construction.
///
/// ```text
/// length: u32 | type: u16 | flags: u16 | sequence: u32 | port: u32 | fixed part | attributes
/// attribute = length: u16 | type: u16 | payload, padded to four bytes      (host byte order)
/// ```
pub(super) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    pub(super) fn new(kind: u16, flags: u16, fixed: &[u8]) -> Message {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | REQUEST).to_ne_bytes());
        bytes.extend_from_slice(fixed);
        Message { bytes }
    }

    pub(super) fn attribute(mut self, kind: u16, payload: &[u8]) -> Message {
        let length = (4 + payload.len()) as u16;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(payload);
        self.pad();
        self
    }

    /// A string as the kernel wants it, with a zero at its end.
    pub(super) fn text(self, kind: u16, text: &str) -> Message {
        let mut payload = text.as_bytes().to_vec();
        payload.push(0);
        self.attribute(kind, &payload)
    }

    /// A number in network byte order, as netfilter wants it.
    pub(super) fn number(self, kind: u16, number: u32) -> Message {
        self.attribute(kind, &number.to_be_bytes())
    }

    /// An attribute that holds whatever `fill` adds.
    pub(super) fn nested(mut self, kind: u16, fill: impl FnOnce(Message) -> Message) -> Message {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&0_u16.to_ne_bytes());
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        let mut filled = fill(self);
        let length = (filled.bytes.len() - start) as u16;
        filled.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        filled
    }

    /// Bytes that are no attribute, within one.
    pub(super) fn raw(mut self, payload: &[u8]) -> Message {
        self.bytes.extend_from_slice(payload);
        self.pad();
        self
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn asks_for_ack(&self) -> bool {
        u16::from_ne_bytes([self.bytes[6], self.bytes[7]]) & ACK != 0
    }
}

/// A netlink socket.
#[derive(Debug)]
pub(super) struct Socket {
    descriptor: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// Opens a socket in the namespace of this thread.
    pub(super) fn open(protocol: SockProtocol) -> io::Result<Socket> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let descriptor = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        Ok(Socket { descriptor, sequence: 0 })
    }

    /// Sends `messages` in one go and waits for every acknowledgement that they ask for.
    ///
    /// # Errors
    /// The first refusal of the kernel.
    pub(super) fn request(&mut self, messages: Vec<Message>) -> io::Result<()> {
        let mut waiting = messages.iter().filter(|message| message.asks_for_ack()).count();
        let first = self.sequence + 1;
        let mut bytes = Vec::new();
        for mut message in messages {
            self.sequence += 1;
            let length = message.bytes.len() as u32;
            message.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
            message.bytes[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
            bytes.extend_from_slice(&message.bytes);
        }
        send(self.descriptor.as_raw_fd(), &bytes, MsgFlags::empty())?;
        let mut buffer = vec![0; 32 << 10];
        let mut refused = None;
        // After a refusal nothing more is waited for, but what is there already must not be taken for the answer
        // to a later request: sequence numbers tell.
        while waiting > 0 && refused.is_none() {
            let length = recv(self.descriptor.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            for (sequence, errno) in answers(&buffer[..length]).filter(|(sequence, _)| *sequence >= first) {
                assert!(sequence <= self.sequence, "an answer to a message that was never sent");
                waiting = waiting.saturating_sub(1);
                if errno != 0 && refused.is_none() {
                    refused = Some(io::Error::from_raw_os_error(errno));
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }
}

impl Socket {
    /// Asks for a list, and gives the payloads of its entries.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn list(&mut self, mut message: Message) -> io::Result<Vec<Vec<u8>>> {
        self.sequence += 1;
        let length = message.bytes.len() as u32;
        message.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        message.bytes[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
        send(self.descriptor.as_raw_fd(), &message.bytes, MsgFlags::empty())?;
        let mut buffer = vec![0; 64 << 10];
        let mut entries = Vec::new();
        loop {
            let length = recv(self.descriptor.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            let asked = self.sequence;
            for (_, kind, payload) in messages(&buffer[..length]).filter(|(sequence, ..)| *sequence == asked)
            {
                match kind {
                    DONE => return Ok(entries),
                    ERROR => {
                        let errno = payload.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
                        return Err(io::Error::from_raw_os_error(-errno));
                    }
                    _ => entries.push(payload.to_vec()),
                }
            }
        }
    }
}

/// The messages in what was received: sequence number, type and payload.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u32, u16, &[u8])> {
    std::iter::from_fn(move || {
        let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let (length, kind, sequence) = (word(0)? as usize, word(4)? as u16, word(8)?);
        let length = length.max(HEADER_BYTES);
        let payload = bytes.get(HEADER_BYTES..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((sequence, kind, payload))
    })
}

/// The acknowledgements in what was received: sequence number and errno, 0 for success.
fn answers(bytes: &[u8]) -> impl Iterator<Item = (u32, i32)> {
    let errors = messages(bytes).filter(|(_, kind, _)| *kind == ERROR);
    errors.filter_map(|(sequence, _, payload)| Some((sequence, -i32::from_ne_bytes(*payload.first_chunk()?))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_nest_and_are_padded() {
        let message = Message::new(7, ACK, &[9, 9, 9, 9]).text(1, "ab").nested(2, |inner| inner.number(3, 5));
        let expected: Vec<u8> = [
            [9, 9, 9, 9].as_slice(),
            &[7, 0, 1, 0, b'a', b'b', 0, 0],
            &[12, 0, 2, 0x80, 8, 0, 3, 0, 0, 0, 0, 5],
        ]
        .concat();
        assert_eq!(message.bytes[HEADER_BYTES..], expected);
        assert!(message.asks_for_ack());
    }

    #[test]
    fn answers_are_read_one_by_one() {
        let answer = |sequence: u32, errno: i32| {
            let words = [20_u32, u32::from(ERROR), sequence, 0, errno.cast_unsigned()];
            words.into_iter().flat_map(u32::to_ne_bytes).collect::<Vec<u8>>()
        };
        let bytes = [answer(4, 0), answer(5, -17)].concat();
        assert_eq!(answers(&bytes).collect::<Vec<_>>(), [(4, 0), (5, 17)]);
        assert_eq!(answers(&bytes[..30]).count(), 1, "a cut answer is none");
    }
}
