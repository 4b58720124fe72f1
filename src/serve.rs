//! `rafture serve`: the store in a browser, until Ctrl-C.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use rafture_checker::verdict::Verdict;
use rafture_reports::web::{self, ServeError, Settings};
use tokio::signal::unix::{SignalKind, signal};

use crate::error::Error;

/// Browse stored runs in a web page
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Folder of all runs
    #[arg(long, default_value = "runs")]
    store: PathBuf,
    /// Where to listen; an address that other machines can reach needs a token
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7878")]
    listen: SocketAddr,
    /// What a browser has to know: open `/?token=…` once. Better given as RAFTURE_TOKEN, which `ps` does not show
    #[arg(long)]
    token: Option<String>,
}

/// Serves the store. The address is on standard output as soon as it answers.
///
/// # Errors
/// When the store, the address or the token will not do.
pub fn serve(arguments: ServeArguments) -> Result<Verdict, Error> {
    let from_environment = || std::env::var("RAFTURE_TOKEN").ok().filter(|token| !token.is_empty());
    let token = arguments.token.or_else(from_environment);
    let settings = Settings { store: arguments.store, listen: arguments.listen, token };
    let ready = |address: SocketAddr| {
        println!("http://{address}/");
        eprintln!("rafture: serving `{}`; Ctrl-C ends it", settings.store.display());
    };
    match web::serve(&settings, ready, stopped()) {
        Ok(()) => Ok(Verdict::Valid),
        Err(error @ (ServeError::Index(_) | ServeError::Io(_))) => Err(Error::harness(error)),
        Err(error) => Err(Error::input(error)),
    }
}

/// Done at the first Ctrl-C or SIGTERM.
async fn stopped() {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
    let [Ok(mut interrupt), Ok(mut terminate)] = kinds.map(signal) else {
        // Without handlers, signals end the process by themselves.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
