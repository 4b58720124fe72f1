//! RESP, the Redis protocol (version 2): requests in, replies out.
//!
//! The same bytes that a client sends are what the log keeps of a command, so there is one format to read and to
//! fuzz. Decoding never allocates more than what has arrived.

use std::io::Write as _;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use thiserror::Error;

/// Longest request in bytes, and longest argument.
const REQUEST_BYTES_MAX: usize = 16 << 20;
/// Most arguments of a request.
const ARGUMENTS_MAX: usize = 1 << 16;
/// Longest line that announces a length, or that is a request by itself (as typed into `telnet`).
const LINE_BYTES_MAX: usize = 64 << 10;

/// What a node answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A short word: `OK`.
    Simple(&'static str),
    /// An error: its first word, in capitals, says which.
    Error(String),
    /// A number.
    Integer(i64),
    /// A value.
    Bulk(Bytes),
    /// No value.
    Null,
    /// Several values.
    Array(Vec<Reply>),
}

/// A request that is not RESP; the connection it came over is of no more use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("protocol error: {0}")]
pub struct ProtocolError(&'static str);

/// Takes the first whole request off `buffer`; `None` when it has not arrived yet.
/// An empty line is a request without arguments.
///
/// # Errors
/// When the bytes are no request.
pub fn decode_request(buffer: &mut BytesMut) -> Result<Option<Vec<Bytes>>, ProtocolError> {
    let Some(&first) = buffer.first() else {
        return Ok(None);
    };
    if first != b'*' {
        return decode_inline(buffer);
    }
    let Some(lengths) = measure(buffer)? else {
        return Ok(None);
    };
    let mut arguments = Vec::with_capacity(lengths.spans.len());
    let whole = buffer.split_to(lengths.end).freeze();
    for (start, end) in lengths.spans {
        arguments.push(whole.slice(start..end));
    }
    Ok(Some(arguments))
}

/// Reads the request at `at` without taking anything off; gives its arguments and where it ends. `None` when there
/// is no whole request.
pub fn parse_request(bytes: &Bytes, at: usize) -> Option<(Vec<Bytes>, usize)> {
    let lengths = measure(bytes.get(at..)?).ok()??;
    let arguments = lengths.spans.iter().map(|&(start, end)| bytes.slice(at + start..at + end)).collect();
    Some((arguments, at + lengths.end))
}

/// Writes a request.
pub fn encode_request(arguments: &[Bytes], buffer: &mut BytesMut) {
    buffer.reserve(arguments.iter().map(|argument| argument.len() + 16).sum::<usize>() + 16);
    put_line(buffer, b'*', arguments.len() as i64);
    for argument in arguments {
        put_bulk(buffer, argument);
    }
}

/// Writes a reply.
pub fn encode_reply(reply: &Reply, buffer: &mut BytesMut) {
    match reply {
        Reply::Simple(word) => {
            buffer.put_u8(b'+');
            buffer.put_slice(word.as_bytes());
            buffer.put_slice(b"\r\n");
        }
        Reply::Error(text) => {
            buffer.put_u8(b'-');
            buffer.extend(text.bytes().map(|byte| if byte < b' ' { b' ' } else { byte }));
            buffer.put_slice(b"\r\n");
        }
        Reply::Integer(number) => put_line(buffer, b':', *number),
        Reply::Bulk(value) => put_bulk(buffer, value),
        Reply::Null => buffer.put_slice(b"$-1\r\n"),
        Reply::Array(replies) => {
            put_line(buffer, b'*', replies.len() as i64);
            for reply in replies {
                encode_reply(reply, buffer);
            }
        }
    }
}

fn put_line(buffer: &mut BytesMut, kind: u8, number: i64) {
    let mut digits = [0; 24];
    let mut rest = &mut digits[..];
    // The longest number of 64 bits has 20 characters.
    write!(rest, "{number}").expect("there is room");
    let unused = rest.len();
    buffer.put_u8(kind);
    buffer.put_slice(&digits[..digits.len() - unused]);
    buffer.put_slice(b"\r\n");
}

fn put_bulk(buffer: &mut BytesMut, value: &[u8]) {
    put_line(buffer, b'$', value.len() as i64);
    buffer.put_slice(value);
    buffer.put_slice(b"\r\n");
}

/// Where the arguments of a whole request stand.
struct Measured {
    spans: Vec<(usize, usize)>,
    end: usize,
}

fn measure(buffer: &[u8]) -> Result<Option<Measured>, ProtocolError> {
    let Some((count, mut at)) = length(buffer, 0, b'*')? else {
        return Ok(None);
    };
    if count > ARGUMENTS_MAX {
        return Err(ProtocolError("too many arguments"));
    }
    let mut spans = Vec::new();
    for _ in 0..count {
        let Some((size, start)) = length(buffer, at, b'$')? else {
            return Ok(None);
        };
        let end = start + size;
        if end > REQUEST_BYTES_MAX {
            return Err(ProtocolError("the request is too long"));
        }
        if buffer.len() < end + 2 {
            return Ok(None);
        }
        if &buffer[end..end + 2] != b"\r\n" {
            return Err(ProtocolError("an argument does not end where it should"));
        }
        spans.push((start, end));
        at = end + 2;
    }
    Ok(Some(Measured { spans, end: at }))
}

/// Reads a line `<kind><number>\r\n` at `at`; gives the number and where the next line starts.
fn length(buffer: &[u8], at: usize, kind: u8) -> Result<Option<(usize, usize)>, ProtocolError> {
    let rest = &buffer[at..];
    match rest.first() {
        None => return Ok(None),
        Some(&first) if first != kind => return Err(ProtocolError("expected a length")),
        Some(_) => {}
    }
    let Some(end) = rest.iter().take(32).position(|&byte| byte == b'\n') else {
        return match rest.len() {
            0..32 => Ok(None),
            _ => Err(ProtocolError("a length is too long")),
        };
    };
    let digits = rest[1..end].strip_suffix(b"\r").ok_or(ProtocolError("a line ends without \\r"))?;
    let text = std::str::from_utf8(digits).map_err(|_| ProtocolError("a length is no number"))?;
    let number = text.parse().map_err(|_| ProtocolError("a length is no number"))?;
    Ok(Some((number, at + end + 1)))
}

fn decode_inline(buffer: &mut BytesMut) -> Result<Option<Vec<Bytes>>, ProtocolError> {
    let Some(end) = buffer.iter().take(LINE_BYTES_MAX).position(|&byte| byte == b'\n') else {
        return match buffer.len() {
            0..LINE_BYTES_MAX => Ok(None),
            _ => Err(ProtocolError("a line is too long")),
        };
    };
    let line = buffer.split_to(end).freeze();
    buffer.advance(1);
    let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    Ok(Some(words.map(|word| line.slice_ref(word)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str) -> Result<Option<Vec<Bytes>>, ProtocolError> {
        decode_request(&mut BytesMut::from(text))
    }

    #[test]
    fn a_request_survives_the_way_there_and_back() {
        let request = vec![Bytes::from("SET"), Bytes::from("k\r\n"), Bytes::new()];
        let mut buffer = BytesMut::new();
        encode_request(&request, &mut buffer);
        buffer.extend_from_slice(b"PING now\r\n");
        assert_eq!(decode_request(&mut buffer), Ok(Some(request)));
        assert_eq!(decode_request(&mut buffer), Ok(Some(vec!["PING".into(), "now".into()])));
        assert!(buffer.is_empty());
    }

    #[test]
    fn every_cut_of_a_request_is_waited_for() {
        let mut whole = BytesMut::new();
        encode_request(&["LRANGE".into(), "list".into(), "0".into(), "-1".into()], &mut whole);
        for cut in 0..whole.len() {
            let mut buffer = BytesMut::from(&whole[..cut]);
            assert_eq!(decode_request(&mut buffer), Ok(None), "cut at {cut}");
            assert_eq!(buffer.len(), cut, "nothing is taken off before the whole is there");
        }
    }

    #[test]
    fn bombs_are_refused_before_they_arrive() {
        for bomb in ["*999999999\r\n", "*1\r\n$99999999999\r\n", "*1\r\n$-1\r\n", "*1\r\n:5\r\n", "*x\r\n"] {
            assert!(decode(bomb).is_err(), "{bomb:?}");
        }
        assert!(decode(&format!("*{}", "1".repeat(40))).is_err());
        assert!(decode(&"a".repeat(LINE_BYTES_MAX)).is_err());
    }

    #[test]
    fn an_error_stays_on_its_line() {
        let mut buffer = BytesMut::new();
        encode_reply(&Reply::Error("ERR a\r\nb".into()), &mut buffer);
        assert_eq!(&buffer[..], b"-ERR a  b\r\n");
    }
}
