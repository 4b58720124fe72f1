//! History files on disk, plain or packed, into operations.
//!
//! The one idea: one thread reads and unpacks while another takes the text apart, piece by piece, so neither waits and the text is
//! never in memory as a whole. What becomes of it is held to a limit, whatever comes out of the file.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

use flate2::bufread::MultiGzDecoder;
use rafture_checker::ParseError;
use rafture_checker::history::{Format, Reader, Recorded};
use ruzstd::decoding::StreamingDecoder;

use crate::error::Error;

/// How much is read at once, and how many such pieces may wait.
const PIECE_BYTES: usize = 1 << 20;
const PIECES_WAITING: usize = 4;

/// What a history may take in memory where nobody says otherwise.
const MEMORY_BYTES: usize = 4 << 30;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What is known of one client's watches and operations in a report of etcd's robustness tests.
const REPORT_FILES: [&str; 2] = ["operations.json", "watch.json"];

/// What reading may take.
#[derive(Clone, Copy)]
pub struct Within<'a> {
    /// The history in memory.
    pub memory_bytes: usize,
    /// Told after every piece how many operations were read; false ends reading.
    pub goes_on: &'a dyn Fn(usize) -> bool,
}

impl Within<'static> {
    /// What a history may take where nobody says otherwise.
    const USUAL: Within<'static> = Within { memory_bytes: MEMORY_BYTES, goes_on: &|_| true };
}

/// What became of reading.
pub enum Reading {
    /// All of it was read.
    Whole(Box<Recorded>),
    /// It takes more than it may: why, how far it got, and what would help.
    Stopped {
        /// One line.
        reason: String,
        /// How many operations fitted.
        operations: usize,
    },
}

/// Reads a history; without a format, it is found by content. A folder is a report of etcd's robustness tests.
///
/// # Errors
/// When there is no such file, or it is no history: one line that says where. When it needs more memory than most have.
pub fn read(file: &Path, format: Option<Format>) -> Result<Recorded, Error> {
    whole(file, read_within(file, format, &Within::USUAL)?)
}

fn whole(file: &Path, reading: Reading) -> Result<Recorded, Error> {
    match reading {
        Reading::Whole(recorded) => Ok(*recorded),
        Reading::Stopped { reason, .. } => Err(Error::Input(format!("{}: {reason}", file.display()))),
    }
}

/// The same with all its events as they were recorded.
///
/// # Errors
/// As for [`read`].
pub fn read_tape(file: &Path) -> Result<Recorded, Error> {
    whole(file, read_with(file, None, &Within::USUAL, Reader::with_tape)?)
}

/// The same within so much time and memory.
///
/// # Errors
/// As for [`read`], but for memory.
pub fn read_within(file: &Path, format: Option<Format>, within: &Within<'_>) -> Result<Reading, Error> {
    read_with(file, format, within, Reader::new)
}

fn read_with(
    file: &Path,
    format: Option<Format>,
    within: &Within<'_>,
    reader: impl Fn(Option<Format>) -> Reader,
) -> Result<Reading, Error> {
    let mut notices = Vec::new();
    let files = match report_of(file, format) {
        Some(folder) => {
            if folder != file {
                notices.push(format!("one client's part of a report: all of `{}` is read", folder.display()));
            }
            report_files(&folder)?
        }
        None => vec![file.to_owned()],
    };
    let is_report = files.len() > 1 || file.is_dir();
    let mut reader = reader(if is_report { Some(Format::EtcdReport) } else { format });
    let mut read_bytes = 0;
    for (number, file) in files.iter().enumerate() {
        let name = file.display();
        let wrong = |error: ParseError| Error::Input(format!("{name}:{error}"));
        if number > 0 {
            let before = files[number - 1].display();
            reader.begin_file().map_err(|error| Error::Input(format!("{before}:{error}")))?;
        }
        let cannot = |error: std::io::Error| {
            Error::Input(format!("cannot read `{name}`: {error} (hint: give a history file)"))
        };
        let source = unpacked(file).map_err(cannot)?;
        let (sender, pieces) = sync_channel(PIECES_WAITING);
        let exceeded = std::thread::scope(|scope| {
            scope.spawn(move || send_pieces(source, &sender));
            for piece in pieces {
                let piece = piece.map_err(cannot)?;
                read_bytes += piece.len();
                reader.feed(&piece).map_err(wrong)?;
                if reader.memory_bytes() > within.memory_bytes {
                    return Ok(Some("memory"));
                }
                if !(within.goes_on)(reader.operations()) {
                    return Ok(Some("time"));
                }
            }
            Ok(None)
        })?;
        if let Some(what) = exceeded {
            let operations = reader.operations();
            return Ok(Reading::Stopped { reason: stopped(what, operations, read_bytes), operations });
        }
    }
    let name = if is_report { file } else { &files[0] };
    let recorded = reader.finish();
    let mut recorded = recorded.map_err(|error| Error::Input(format!("{}:{error}", name.display())))?;
    recorded.notices.splice(0..0, notices);
    Ok(Reading::Whole(Box::new(recorded)))
}

fn stopped(what: &str, operations: usize, bytes: usize) -> String {
    let gigabytes = bytes as f64 / 1e9;
    format!(
        "the {what} limit was reached while reading; {operations} operations in {gigabytes:.2} GB of text had been read \
         (hint: a higher `--{what}-limit`, or a part: `rafture history cut --key`)"
    )
}

/// The folder of the report that this is, or is a client's part of: one part alone has gaps that the others fill.
fn report_of(file: &Path, format: Option<Format>) -> Option<PathBuf> {
    if file.is_dir() {
        return Some(file.to_owned());
    }
    let is_part = file.file_name().is_some_and(|name| REPORT_FILES.iter().any(|known| name == *known));
    let client = file.parent().filter(|_| is_part && matches!(format, None | Some(Format::EtcdReport)))?;
    let is_client =
        |folder: &Path| folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("client-"));
    let client = std::path::absolute(client).ok()?;
    let report = client.parent().filter(|_| is_client(&client))?;
    let clients = report.read_dir().ok()?.flatten().filter(|entry| is_client(&entry.path()));
    (clients.count() > 1).then(|| report.to_owned())
}

/// The files of a report below a folder, in order of their names.
fn report_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let name = folder.display();
    let cannot = |error: std::io::Error| Error::Input(format!("cannot read `{name}`: {error}"));
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in folder.read_dir().map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            let kind = entry.file_type().map_err(cannot)?;
            if kind.is_dir() {
                waiting.push(entry.path());
            } else if REPORT_FILES.iter().any(|known| entry.file_name() == *known) {
                found.push(entry.path());
            }
        }
    }
    if found.is_empty() {
        return Err(Error::Input(format!(
            "`{name}` is a folder without `operations.json` (hint: give a history file, or a report of etcd's robustness tests)"
        )));
    }
    found.sort();
    Ok(found)
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
