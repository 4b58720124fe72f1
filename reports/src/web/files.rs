//! The files of a run (or of a tuning), one by one or all in one archive. Both are sent while they are read, however large they are.
//!
//! A file is opened first and asked afterwards where it is: what is opened is what is sent, and only if it lies in the run's
//! own folder. What systems under test have written may hold anything, so only our own pages are sent as pages.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{self, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::wrappers::ReceiverStream;

use super::frame::failure;
use super::{Server, of_run};

/// So much is read at once, and so many pieces may wait for the network.
const PIECE: usize = 64 * 1024;
const PIECES_WAITING: usize = 8;

/// Our pages have their style and script in themselves, and ask nobody for anything.
const REPORT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Everything else runs nothing.
const FILE_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'none'";

const PAGES: [&str; 2] = ["report.html", "counterexample.html"];

pub(super) async fn file(
    State(server): State<Arc<Server>>,
    extract::Path((name, run, file)): extract::Path<(String, String, String)>,
) -> Response {
    of_run(server, name, run, move |_, _, folder| {
        let sent = send(folder, &file);
        Ok(sent.unwrap_or_else(|| failure(StatusCode::NOT_FOUND, &format!("The run has no file {file}."))))
    })
    .await
}

/// A file of a folder, if it is a plain one in it.
pub(super) fn send(folder: &Path, file: &str) -> Option<Response> {
    let (opened, size) = open(folder, file)?;
    let policy = if PAGES.contains(&file) { REPORT_POLICY } else { FILE_POLICY };
    let headers = [
        (header::CONTENT_TYPE, content_type(file).to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy.to_owned()),
    ];
    // A file that grows meanwhile is sent as long as it was.
    let body = streamed(move |out| io::copy(&mut opened.take(size), out).map(drop));
    Some((headers, body).into_response())
}

pub(super) async fn archive(
    State(server): State<Arc<Server>>,
    extract::Path((name, run)): extract::Path<(String, String)>,
) -> Response {
    of_run(server, name.clone(), run.clone(), move |_, _, folder| {
        let folder = folder.to_path_buf();
        let plain =
            |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c), "_");
        let file = format!("attachment; filename=\"{}-{}.tar.gz\"", plain(&name), plain(&run));
        let headers =
            [(header::CONTENT_TYPE, "application/gzip".to_owned()), (header::CONTENT_DISPOSITION, file)];
        let body = streamed(move |out| write_archive(&folder, &run, out));
        Ok((headers, body).into_response())
    })
    .await
}

/// Opens `file` of the run if it is a plain file in it, with its size.
fn open(folder: &Path, file: &str) -> Option<(File, u64)> {
    let is_hidden = file.split('/').any(|part| part.is_empty() || part.starts_with('.'));
    let path = folder.join(file);
    // Opening a pipe would wait for somebody to write.
    if is_hidden || file.contains('\0') || !fs::metadata(&path).ok()?.is_file() {
        return None;
    }
    let opened = File::open(&path).ok()?;
    let real = fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd())).ok()?;
    let metadata = opened.metadata().ok()?;
    (real.starts_with(folder) && metadata.is_file()).then_some((opened, metadata.len()))
}

fn content_type(file: &str) -> &'static str {
    if PAGES.contains(&file) {
        return "text/html; charset=utf-8";
    }
    match file.rsplit('.').next() {
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json") => "application/json",
        Some("gz") => "application/gzip",
        Some("csv" | "jsonl" | "log" | "md" | "toml" | "xml" | "txt" | "edn" | "html") => {
            "text/plain; charset=utf-8"
        }
        _ => "application/octet-stream",
    }
}

/// A body that `write` writes, on a thread of its own, no faster than it is read. Whoever goes away ends it.
fn streamed(write: impl FnOnce(&mut Pieces) -> io::Result<()> + Send + 'static) -> Body {
    let (pieces, received) = channel::<io::Result<Bytes>>(PIECES_WAITING);
    tokio::task::spawn_blocking(move || {
        let mut out = Pieces { pieces, piece: Vec::with_capacity(PIECE) };
        if let Err(error) = write(&mut out).and_then(|()| out.flush()) {
            // The connection breaks off: what was sent must not pass for all of it.
            let _ = out.pieces.blocking_send(Err(error));
        }
    });
    Body::from_stream(ReceiverStream::new(received))
}

/// Gathers what is written into pieces.
struct Pieces {
    pieces: Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE)));
        self.pieces.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// A gzipped tar of the run's folder: plain files and folders, in order of their names, below the run's own name.
fn write_archive(folder: &Path, run: &str, out: &mut Pieces) -> io::Result<()> {
    let mut archive = tar::Builder::new(GzEncoder::new(out, Compression::fast()));
    append(&mut archive, folder, folder, Path::new(run))?;
    archive.into_inner()?.finish()?;
    Ok(())
}

fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    run: &Path,
    folder: &Path,
    below: &Path,
) -> io::Result<()> {
    let mut entries: Vec<fs::DirEntry> = fs::read_dir(folder)?.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (name, Ok(kind)) = (entry.file_name(), entry.file_type()) else { continue };
        let inside = below.join(&name);
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if kind.is_dir() {
            append(archive, run, &entry.path(), &inside)?;
        } else if let Some((opened, size)) =
            entry.path().strip_prefix(run).ok().and_then(|file| open(run, file.to_str()?))
        {
            append_file(archive, &inside, &opened, size)?;
        }
    }
    Ok(())
}

/// The header says how long the file is; of one that is cut meanwhile the rest is zeros.
fn append_file<W: Write>(
    archive: &mut tar::Builder<W>,
    inside: &Path,
    file: &File,
    size: u64,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_metadata_in_mode(&file.metadata()?, tar::HeaderMode::Deterministic);
    header.set_size(size);
    archive.append_data(&mut header, inside, file.chain(io::repeat(0)).take(size))
}
