//! Connections of clients. What a client has sent at once is asked at once, as far as the order of its commands does not
//! forbid it, and answered in order.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Duration, sleep};

use super::event::{Event, Form};
use crate::replica::{ParseOutcome, Request, Session, parse};
use crate::resp::{self, ProtocolError, Reply};

/// Requests of one connection that are asked together.
const BATCH_MAX: usize = 1024;
/// Pause when no connection can be taken.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// Strangers that are remembered, so that each is complained about once.
const STRANGERS_MAX: usize = 64;

/// Who was complained about. A scanner or a confused client must not fill the disk with complaints.
#[derive(Debug, Clone, Default)]
pub(super) struct Complaints(Arc<Mutex<BTreeSet<(IpAddr, String)>>>);

impl Complaints {
    /// Says what is wrong with what came from `from`, unless that was said before.
    pub(super) fn say(&self, from: SocketAddr, what: &str) {
        let mut said = self.0.lock().expect("nobody panics while it complains");
        if said.len() < STRANGERS_MAX && said.insert((from.ip(), what.to_owned())) {
            eprintln!("from {from}: {what} (said once)");
        }
    }
}

/// Takes connections of clients for ever.
pub(super) async fn accept(listener: TcpListener, events: mpsc::Sender<Event>) {
    let complaints = Complaints::default();
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let (events, complaints) = (events.clone(), complaints.clone());
                tokio::spawn(async move {
                    if let Some(Err(error)) = serve(stream, events).await {
                        complaints.say(from, &error.to_string());
                    }
                });
            }
            // Out of descriptors, say: connections that end will free some.
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Serves a client until it goes (`None`), the node stops (`None`), or it sends what is no request.
async fn serve(mut stream: TcpStream, events: mpsc::Sender<Event>) -> Option<Result<(), ProtocolError>> {
    stream.set_nodelay(true).ok()?;
    let mut session = Session::default();
    let mut input = BytesMut::with_capacity(4 << 10);
    let mut output = BytesMut::with_capacity(4 << 10);
    let mut run = Run::default();
    loop {
        match resp::decode_request(&mut input) {
            Ok(Some(request)) if request.is_empty() => {}
            Ok(Some(request)) => run.take(&mut session, request, &events, &mut output).await?,
            Ok(None) => {
                run.finish(&events, &mut output).await?;
                if !output.is_empty() {
                    stream.write_all(&output).await.ok()?;
                    output.clear();
                }
                if stream.read_buf(&mut input).await.ok()? == 0 {
                    return None;
                }
            }
            Err(error) => {
                run.finish(&events, &mut output).await?;
                resp::encode_reply(&Reply::Error(format!("ERR {error}")), &mut output);
                stream.write_all(&output).await.ok()?;
                return Some(Err(error));
            }
        }
    }
}

/// Requests that can be asked together without anybody seeing another order than the client's: all of them writes,
/// which the log keeps in order, or all of them reads.
#[derive(Default)]
struct Run {
    requests: Vec<Request>,
}

impl Run {
    /// Takes a request into the run, or ends the run before it; `None` when the node stops.
    async fn take(
        &mut self,
        session: &mut Session,
        request: Vec<Bytes>,
        events: &mpsc::Sender<Event>,
        output: &mut BytesMut,
    ) -> Option<()> {
        match parse(session, request) {
            ParseOutcome::Ask(request) => {
                if !self.fits(&request) {
                    self.finish(events, output).await?;
                }
                self.requests.push(request);
            }
            ParseOutcome::Answer(reply) => {
                self.finish(events, output).await?;
                resp::encode_reply(&reply, output);
            }
            ParseOutcome::Info => self.report(Form::Redis, events, output).await?,
            ParseOutcome::RaftInfo => self.report(Form::Raft, events, output).await?,
        }
        Some(())
    }

    fn fits(&self, request: &Request) -> bool {
        let alike = self.requests.last().is_none_or(|last| match (last, request) {
            (Request::Write(_), Request::Write(_)) => true,
            (Request::Read { here: one, .. }, Request::Read { here: other, .. }) => one == other,
            _ => false,
        });
        alike && self.requests.len() < BATCH_MAX
    }

    async fn report(
        &mut self,
        form: Form,
        events: &mpsc::Sender<Event>,
        output: &mut BytesMut,
    ) -> Option<()> {
        self.finish(events, output).await?;
        let (reply, answered) = oneshot::channel();
        events.send(Event::Report(form, reply)).await.ok()?;
        let text = answered.await.ok()?;
        resp::encode_reply(&Reply::Bulk(text.into()), output);
        Some(())
    }

    /// Asks what has gathered and waits for all answers.
    async fn finish(&mut self, events: &mpsc::Sender<Event>, output: &mut BytesMut) -> Option<()> {
        if self.requests.is_empty() {
            return Some(());
        }
        let (reply, answered) = oneshot::channel();
        events.send(Event::Ask(std::mem::take(&mut self.requests), reply)).await.ok()?;
        for reply in answered.await.ok()? {
            resp::encode_reply(&reply, output);
        }
        Some(())
    }
}
