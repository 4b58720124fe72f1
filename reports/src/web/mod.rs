//! `rafture serve`: the store in a browser.
//!
//! Only reads, and only what is inside the store; the index is the one file it writes. Pages need no script but for the live one, which
//! asks again every second.
//!
//! In reading order: `guard` decides who is answered, `frame` is what all pages share, `list`, `run_page`, `files`, `trends`, `compare`, `nights`, `tunings`
//! and `live` are the pages, `chart` their drawings.

mod chart;
mod compare;
mod files;
mod frame;
mod guard;
mod list;
mod live;
mod nights;
mod run_page;
mod trends;
mod tunings;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maud::Markup;

use crate::index::{Index, IndexError};
use live::Live;

/// The folders are looked at once in so long, at most.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// A shorter token could be tried out.
const TOKEN_MIN: usize = 16;

/// Where to listen, and to whom.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of all runs.
    pub store: PathBuf,
    /// Anything but a loopback address needs a token.
    pub listen: SocketAddr,
    /// What a browser has to know. On loopback, `None` lets in everybody on this machine.
    pub token: Option<String>,
}

/// Why the store is not served. One line each.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// There is no such folder.
    #[error("no store at `{}`: {source} (hint: `--store`, or do a run first)", path.display())]
    NoStore {
        /// What was asked for.
        path: PathBuf,
        /// Why it is none.
        source: io::Error,
    },
    /// Everybody on the network could read it.
    #[error("`{0}` can be reached from other machines (hint: give a `--token`, or listen on 127.0.0.1)")]
    NeedsToken(SocketAddr),
    /// It could be guessed, or not be sent as a cookie.
    #[error("that token will not do (hint: {TOKEN_MIN} or more of letters, digits, `-`, `_`, `.` and `~`)")]
    BadToken,
    /// Taken, or not ours.
    #[error("cannot listen on `{listen}`: {source} (hint: `--listen 127.0.0.1:0` takes any free port)")]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// No index, no lists.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The machine lets nothing be served.
    #[error("cannot serve: {0}")]
    Io(#[from] io::Error),
}

/// Serves until `stop` is done. `ready` is told the address, its port included, as soon as it answers.
///
/// # Errors
/// When the store, the address or the token will not do.
pub fn serve(
    settings: &Settings,
    ready: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    check(settings)?;
    let server = Server::open(settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let done = runtime.block_on(async {
        let listen = settings.listen;
        let listener = tokio::net::TcpListener::bind(listen)
            .await
            .map_err(|source| ServeError::Listen { listen, source })?;
        ready(listener.local_addr()?);
        let serving = axum::serve(listener, router(Arc::new(server)));
        // Whoever still downloads is cut off: a page that is open must not keep the process.
        tokio::select! {
            done = serving.into_future() => done.map_err(ServeError::Io),
            () = stop => Ok(()),
        }
    });
    runtime.shutdown_background();
    done
}

fn check(settings: &Settings) -> Result<(), ServeError> {
    match &settings.token {
        None if !settings.listen.ip().is_loopback() => Err(ServeError::NeedsToken(settings.listen)),
        Some(token) if token.len() < TOKEN_MIN || !token.bytes().all(is_plain) => Err(ServeError::BadToken),
        _ => Ok(()),
    }
}

/// What needs no escape, in a URL or a cookie.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')
}

fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/", get(list::page))
        .route("/trends", get(trends::page))
        .route("/compare", get(compare::page))
        .route("/nights", get(nights::page))
        .route("/night/{name}/{night}/", get(nights::night))
        .route("/tunings", get(tunings::page))
        .route("/tuning/{tuning}/", get(tunings::report))
        .route("/tuning/{tuning}/{*file}", get(tunings::file))
        .route("/run/{name}/{run}", get(run_page::with_slash))
        .route("/run/{name}/{run}/", get(run_page::page))
        .route("/run/{name}/{run}/archive.tar.gz", get(files::archive))
        .route("/run/{name}/{run}/{*file}", get(files::file))
        .route("/live/{name}/{run}/", get(live::page))
        .route("/live/{name}/{run}/state", get(live::state))
        .route("/style.css", get(frame::style))
        .route("/live.js", get(live::script))
        .fallback(async || frame::failure(StatusCode::NOT_FOUND, "There is no such page."))
        .layer(axum::middleware::from_fn_with_state(server.clone(), guard::guard))
        .with_state(server)
}

/// What all requests share.
struct Server {
    /// Without links, so that what lies in it can be told from what does not.
    store: PathBuf,
    index: Mutex<(Index, Instant)>,
    lives: Mutex<BTreeMap<String, Live>>,
    token: Option<String>,
    is_loopback: bool,
}

impl Server {
    fn open(settings: &Settings) -> Result<Server, ServeError> {
        let no_store = |source| ServeError::NoStore { path: settings.store.clone(), source };
        let store = settings.store.canonicalize().map_err(no_store)?;
        let mut index = Index::open(&store)?;
        index.sync()?;
        Ok(Server {
            store,
            index: Mutex::new((index, Instant::now())),
            lives: Mutex::default(),
            token: settings.token.clone(),
            is_loopback: settings.listen.ip().is_loopback(),
        })
    }

    /// The index, in agreement with the folders as they were a second ago or later.
    fn ask<T>(&self, question: impl FnOnce(&Index) -> Result<T, IndexError>) -> Result<T, IndexError> {
        let mut guard = locked(&self.index);
        let (index, synced) = &mut *guard;
        if synced.elapsed() >= SYNC_EVERY {
            index.sync()?;
            *synced = Instant::now();
        }
        question(index)
    }

    /// The folder of a run, if it is a real folder in the store: no link, nothing hidden, nothing outside.
    fn folder(&self, name: &str, run: &str) -> Option<PathBuf> {
        let is_name = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['/', '\0']);
        let path = (is_name(name) && is_name(run)).then(|| self.store.join(name).join(run))?;
        let is_itself = path.canonicalize().is_ok_and(|real| real == path);
        (is_itself && path.is_dir()).then_some(path)
    }
}

/// A request that panicked has left no half of anything behind a lock.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does what reads files where it holds up nobody else, and makes a page of it.
async fn blocking(work: impl FnOnce() -> Result<Response, IndexError> + Send + 'static) -> Response {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => frame::failure(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(_) => frame::failure(
            StatusCode::INTERNAL_SERVER_ERROR,
            "This page has a bug; the server's terminal shows it.",
        ),
    }
}

/// The same of one run, by its path in the store and its folder; says so where there is none.
async fn of_run(
    server: Arc<Server>,
    name: String,
    run: String,
    work: impl FnOnce(&Server, &str, &Path) -> Result<Response, IndexError> + Send + 'static,
) -> Response {
    blocking(move || {
        let path = format!("{name}/{run}");
        match server.folder(&name, &run) {
            Some(folder) => work(&server, &path, &folder),
            None => Ok(run_page::gone(&path)),
        }
    })
    .await
}

fn html(page: Markup) -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page.into_string()).into_response()
}

/// The names of the folders in a folder: no links, nothing hidden.
fn folders(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect()
}

fn exists(folder: &Path, file: &str) -> bool {
    folder.join(file).is_file()
}
