//! Connections of clients: one request at a time each, answered in order.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use super::event::{Event, Request};
use crate::machine::Command;
use crate::resp::{self, Reply};

/// Takes connections of clients for ever.
pub(super) async fn accept(listener: TcpListener, events: mpsc::Sender<Event>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, events.clone()));
            }
            // Out of descriptors, say: connections that end will free some.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// Serves a client until it goes, sends what is no request, or the node stops.
async fn serve(mut stream: TcpStream, events: mpsc::Sender<Event>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut input = BytesMut::with_capacity(4 << 10);
    let mut output = BytesMut::with_capacity(4 << 10);
    loop {
        match resp::decode_request(&mut input) {
            Ok(Some(request)) if request.is_empty() => {}
            Ok(Some(request)) => {
                resp::encode_reply(&answer(request, &events).await?, &mut output);
            }
            Ok(None) => {
                if !output.is_empty() {
                    stream.write_all(&output).await.ok()?;
                    output.clear();
                }
                if stream.read_buf(&mut input).await.ok()? == 0 {
                    return Some(());
                }
            }
            Err(error) => {
                resp::encode_reply(&Reply::Error(format!("ERR {error}")), &mut output);
                return stream.write_all(&output).await.ok();
            }
        }
    }
}

/// The answer to one request; `None` when the node stops.
async fn answer(request: Vec<Bytes>, events: &mpsc::Sender<Event>) -> Option<Reply> {
    let kind = match understand(request) {
        Ok(kind) => kind,
        Err(reply) => return Some(reply),
    };
    let (reply, answered) = oneshot::channel();
    events.send(Event::Request(kind, reply)).await.ok()?;
    answered.await.ok()
}

fn understand(request: Vec<Bytes>) -> Result<Request, Reply> {
    if let Some(parsed) = Command::parse(&request) {
        return parsed.map(|command| match command.is_read() {
            true => Request::Read(command),
            false => Request::Write(resp::encode_request(&request)),
        });
    }
    let name = String::from_utf8_lossy(&request[0]).to_ascii_uppercase();
    match (name.as_str(), &request[1..]) {
        ("PING", []) => Err(Reply::Simple("PONG")),
        ("PING", [text]) => Err(Reply::Bulk(text.clone())),
        ("INFO", _) => Ok(Request::Info),
        ("RAFT.INFO", []) => Ok(Request::RaftInfo),
        _ => Err(Reply::Error(format!("ERR unknown command '{}'", name.to_ascii_lowercase()))),
    }
}
