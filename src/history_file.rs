//! History files on disk, plain or packed, into operations.
//!
//! The one idea: one thread reads and unpacks while another takes the text apart, piece by piece, so neither waits and the text is
//! never in memory as a whole.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use flate2::bufread::MultiGzDecoder;
use rafture_checker::ParseError;
use rafture_checker::history::{Format, Reader, Recorded};
use ruzstd::decoding::StreamingDecoder;

use crate::error::Error;

/// How much is read at once, and how many such pieces may wait.
const PIECE_BYTES: usize = 1 << 20;
const PIECES_WAITING: usize = 4;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Reads a history; without a format, it is found by content.
///
/// # Errors
/// When there is no such file, or it is no history: one line that says where.
pub fn read(file: &Path, format: Option<Format>) -> Result<Recorded, Error> {
    let name = file.display();
    let cannot = |error: std::io::Error| {
        Error::Input(format!("cannot read `{name}`: {error} (hint: give a history file)"))
    };
    let wrong = |error: ParseError| Error::Input(format!("{name}:{error}"));
    let source = unpacked(file).map_err(cannot)?;
    let (sender, pieces) = sync_channel(PIECES_WAITING);
    std::thread::scope(|scope| {
        scope.spawn(move || send_pieces(source, &sender));
        let mut reader = Reader::new(format);
        for piece in pieces {
            reader.feed(&piece.map_err(cannot)?).map_err(wrong)?;
        }
        reader.finish().map_err(wrong)
    })
}

fn unpacked(file: &Path) -> std::io::Result<Box<dyn Read + Send>> {
    let mut source = BufReader::with_capacity(PIECE_BYTES, File::open(file)?);
    let head = source.fill_buf()?;
    if head.starts_with(&GZIP) {
        return Ok(Box::new(MultiGzDecoder::new(source)));
    }
    if head.starts_with(&ZSTD) {
        let decoder = StreamingDecoder::new(source).map_err(std::io::Error::other)?;
        return Ok(Box::new(decoder));
    }
    Ok(Box::new(source))
}

/// Ends with the file, with the first error, or when nobody listens any more.
fn send_pieces(mut source: Box<dyn Read + Send>, sender: &SyncSender<std::io::Result<Vec<u8>>>) {
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let read = source.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece);
        let is_end = !matches!(read, Ok(length) if length > 0);
        let message = read.map(|_| piece);
        if matches!(&message, Ok(piece) if piece.is_empty()) || sender.send(message).is_err() || is_end {
            return;
        }
    }
}
