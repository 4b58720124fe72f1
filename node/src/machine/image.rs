//! The whole state in bytes, for snapshots: equal states have equal images, so that members can go on with each
//! other's.
//!
//! ```text
//! image   = time: u64 | count: u64 | (key | kind: u8 | value) … | count: u64 | session …
//! bytes   = length: u32 | bytes                     numbers little-endian
//! value   = bytes | count: u32 | bytes …
//! session = id, serial, patience, used: u64 | reply
//! reply   = kind: u8 | bytes, number, or count: u32 | reply …
//! ```

use bytes::{Buf, BufMut, Bytes};

use super::sessions::Session;
use super::value::{Value, key_digest};
use super::{Machine, Slot, owned};
use crate::resp::Reply;

/// Replies are not nested deeper than a transaction of reads of lists.
const DEPTH_MAX: u32 = 4;

impl Machine {
    /// The state in bytes.
    pub fn image(&self) -> Vec<u8> {
        let mut buffer = Vec::new();
        buffer.put_u64_le(self.time_ms);
        buffer.put_u64_le(self.keys.len() as u64);
        for (key, slot) in &self.keys {
            put_bytes(key, &mut buffer);
            match &slot.value {
                Value::String(value) => {
                    buffer.put_u8(1);
                    put_bytes(value, &mut buffer);
                }
                Value::List(list) => {
                    buffer.put_u8(2);
                    buffer.put_u32_le(list.len() as u32);
                    list.iter().for_each(|value| put_bytes(value, &mut buffer));
                }
                Value::Set(members) => {
                    buffer.put_u8(3);
                    buffer.put_u32_le(members.len() as u32);
                    members.iter().for_each(|member| put_bytes(member, &mut buffer));
                }
            }
        }
        buffer.put_u64_le(self.sessions.len() as u64);
        for (id, session) in self.sessions.iter() {
            for number in [id, session.serial, session.patience_ms, session.used_ms] {
                buffer.put_u64_le(number);
            }
            put_reply(&session.reply, &mut buffer);
        }
        buffer
    }

    /// Reads an image; `None` when it is none.
    pub fn from_image(image: Bytes) -> Option<Machine> {
        let mut rest = image;
        let mut machine = Machine { time_ms: rest.try_get_u64_le().ok()?, ..Machine::default() };
        for _ in 0..rest.try_get_u64_le().ok()? {
            let key = take_bytes(&mut rest)?;
            let value = match rest.try_get_u8().ok()? {
                1 => Value::String(take_bytes(&mut rest)?),
                2 => Value::List(take_many(&mut rest)?),
                3 => Value::Set(take_many(&mut rest)?),
                _ => return None,
            };
            let slot = Slot { digest: value.digest(), value };
            machine.digest = machine.digest.wrapping_add(key_digest(&key, slot.digest));
            machine.keys.insert(key, slot);
        }
        for _ in 0..rest.try_get_u64_le().ok()? {
            let mut number = || rest.try_get_u64_le().ok();
            let (id, serial, patience_ms, used_ms) = (number()?, number()?, number()?, number()?);
            let reply = take_reply(&mut rest, DEPTH_MAX)?;
            machine.sessions.insert(id, Session { serial, reply, patience_ms, used_ms });
        }
        rest.is_empty().then_some(machine)
    }
}

fn put_bytes(bytes: &[u8], buffer: &mut Vec<u8>) {
    buffer.put_u32_le(bytes.len() as u32);
    buffer.put_slice(bytes);
}

fn take_bytes(rest: &mut Bytes) -> Option<Bytes> {
    let length = rest.try_get_u32_le().ok()? as usize;
    (length <= rest.len()).then(|| owned(&rest.split_to(length)))
}

fn take_many<T: Default + Extend<Bytes>>(rest: &mut Bytes) -> Option<T> {
    let mut many = T::default();
    for _ in 0..rest.try_get_u32_le().ok()? {
        many.extend(Some(take_bytes(rest)?));
    }
    Some(many)
}

fn put_reply(reply: &Reply, buffer: &mut Vec<u8>) {
    match reply {
        Reply::Null => buffer.put_u8(0),
        // The only word that a command is answered with.
        Reply::Simple(_) => buffer.put_u8(1),
        Reply::Error(text) => {
            buffer.put_u8(2);
            put_bytes(text.as_bytes(), buffer);
        }
        Reply::Integer(number) => {
            buffer.put_u8(3);
            buffer.put_i64_le(*number);
        }
        Reply::Bulk(value) => {
            buffer.put_u8(4);
            put_bytes(value, buffer);
        }
        Reply::Array(replies) => {
            buffer.put_u8(5);
            buffer.put_u32_le(replies.len() as u32);
            replies.iter().for_each(|reply| put_reply(reply, buffer));
        }
    }
}

fn take_reply(rest: &mut Bytes, depth: u32) -> Option<Reply> {
    Some(match rest.try_get_u8().ok()? {
        0 => Reply::Null,
        1 => Reply::Simple("OK"),
        2 => Reply::Error(String::from_utf8(take_bytes(rest)?.to_vec()).ok()?),
        3 => Reply::Integer(rest.try_get_i64_le().ok()?),
        4 => Reply::Bulk(take_bytes(rest)?),
        5 => {
            let depth = depth.checked_sub(1)?;
            let mut replies = Vec::new();
            for _ in 0..rest.try_get_u32_le().ok()? {
                replies.push(take_reply(rest, depth)?);
            }
            Reply::Array(replies)
        }
        _ => return None,
    })
}
