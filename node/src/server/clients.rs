//! Connections of clients. What a client has sent is asked as soon as it is there, also while earlier requests are under
//! way, as far as the order of its commands does not forbid it; and answered in order.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Duration, sleep};

use super::event::{Event, Form};
use crate::replica::{ParseOutcome, Request, Session, parse};
use crate::resp::{self, ProtocolError, Reply};

/// Requests of one connection that may be under way. Beyond it, nothing more is read.
const PENDING_MAX: usize = 4096;
/// Bytes that are read at once, at least.
const READ_BYTES: usize = 16 << 10;
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
    let mut connection = Connection::default();
    loop {
        let understood = connection.understand();
        connection.ask(&events).await?;
        connection.collect();
        if !connection.output.is_empty() {
            stream.write_all(&connection.output).await.ok()?;
            connection.output.clear();
        }
        if let Err(error) = understood {
            connection.finish().await?;
            resp::encode_reply(&Reply::Error(format!("ERR {error}")), &mut connection.output);
            stream.write_all(&connection.output).await.ok()?;
            return Some(Err(error));
        }
        if connection.may_go_on() {
            continue;
        }
        let may_read = connection.may_read();
        let Connection { pending, input, output, .. } = &mut connection;
        // Without room for it, what has arrived would be read in two pieces.
        input.reserve(READ_BYTES);
        tokio::select! {
            biased;
            answered = answer_of_first(pending), if !pending.is_empty() => answered?.encode(output),
            count = stream.read_buf(input), if may_read => if count.ok()? == 0 {
                return None;
            },
        }
    }
}

/// A connection between two waits.
#[derive(Default)]
struct Connection {
    session: Session,
    input: BytesMut,
    output: BytesMut,
    /// What was understood and not yet asked: writes alone, or reads alone.
    run: Vec<Request>,
    /// What comes next but has to wait until everything before it was answered.
    held: Option<ParseOutcome>,
    /// What was asked, in order.
    pending: VecDeque<Pending>,
    /// What those that are under way are; they may overtake each other only among themselves.
    order: Option<Order>,
}

/// Requests that may be under way together: the log keeps writes in order, and reads do not mind each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Writes,
    Reads {
        here: bool,
    },
    /// By itself.
    Alone,
}

enum Pending {
    Known(Reply),
    Asked(oneshot::Receiver<Vec<Reply>>),
    Report(oneshot::Receiver<String>),
}

enum Answered {
    Replies(Vec<Reply>),
    Text(String),
}

impl Answered {
    fn encode(self, output: &mut BytesMut) {
        match self {
            Answered::Replies(replies) => replies.iter().for_each(|reply| resp::encode_reply(reply, output)),
            Answered::Text(text) => resp::encode_reply(&Reply::Bulk(text.into()), output),
        }
    }
}

/// Waits for the first of those that are under way, and takes it off; `None` when the node stops.
async fn answer_of_first(pending: &mut VecDeque<Pending>) -> Option<Answered> {
    let answered = match pending.front_mut()? {
        Pending::Known(reply) => Answered::Replies(vec![reply.clone()]),
        Pending::Asked(receiver) => Answered::Replies(receiver.await.ok()?),
        Pending::Report(receiver) => Answered::Text(receiver.await.ok()?),
    };
    pending.pop_front();
    Some(answered)
}

impl Order {
    fn of(outcome: &ParseOutcome) -> Order {
        match outcome {
            ParseOutcome::Ask(Request::Write(_)) => Order::Writes,
            ParseOutcome::Ask(Request::Read { here, .. }) => Order::Reads { here: *here },
            ParseOutcome::Ask(
                Request::Change(_) | Request::Transfer(_) | Request::Hold(..) | Request::Snapshot,
            )
            | ParseOutcome::Answer(_)
            | ParseOutcome::Info
            | ParseOutcome::RaftInfo => Order::Alone,
        }
    }
}

impl Connection {
    fn may_read(&self) -> bool {
        self.held.is_none() && self.pending.len() < PENDING_MAX
    }

    /// What was held back need not wait any longer.
    fn may_go_on(&self) -> bool {
        self.held.is_some() && self.pending.is_empty()
    }

    /// Understands as many requests as may be under way together with those that are.
    fn understand(&mut self) -> Result<(), ProtocolError> {
        loop {
            let outcome = match self.held.take() {
                Some(outcome) => outcome,
                None => match self.next()? {
                    Some(outcome) => outcome,
                    None => return Ok(()),
                },
            };
            let is_idle = self.pending.is_empty() && self.run.is_empty();
            let order = Order::of(&outcome);
            let fits = is_idle || self.order == Some(order) && order != Order::Alone;
            if !fits || self.pending.len() >= PENDING_MAX {
                self.held = Some(outcome);
                return Ok(());
            }
            self.order = Some(order);
            match outcome {
                ParseOutcome::Ask(request) => self.run.push(request),
                ParseOutcome::Answer(reply) => self.pending.push_back(Pending::Known(reply)),
                ParseOutcome::Info | ParseOutcome::RaftInfo => {
                    self.held = Some(outcome);
                    return Ok(());
                }
            }
        }
    }

    fn next(&mut self) -> Result<Option<ParseOutcome>, ProtocolError> {
        loop {
            match resp::decode_request(&mut self.input)? {
                None => return Ok(None),
                Some(request) if request.is_empty() => {}
                Some(request) => return Ok(Some(parse(&mut self.session, request))),
            }
        }
    }

    /// Asks what was understood; `None` when the node stops.
    async fn ask(&mut self, events: &mpsc::Sender<Event>) -> Option<()> {
        if !self.run.is_empty() {
            let (reply, answered) = oneshot::channel();
            let run = std::mem::take(&mut self.run);
            events.send(Event::Ask(run, reply)).await.ok()?;
            self.pending.push_back(Pending::Asked(answered));
        }
        let form = match self.held {
            Some(ParseOutcome::Info) => Form::Redis,
            Some(ParseOutcome::RaftInfo) => Form::Raft,
            Some(ParseOutcome::Ask(_) | ParseOutcome::Answer(_)) | None => return Some(()),
        };
        if self.pending.is_empty() {
            let (reply, answered) = oneshot::channel();
            self.held = None;
            events.send(Event::Report(form, reply)).await.ok()?;
            self.pending.push_back(Pending::Report(answered));
        }
        Some(())
    }

    /// Takes the answers that are there already.
    fn collect(&mut self) {
        while let Some(first) = self.pending.front_mut() {
            let answered = match first {
                Pending::Known(reply) => Answered::Replies(vec![reply.clone()]),
                Pending::Asked(receiver) => match receiver.try_recv() {
                    Ok(replies) => Answered::Replies(replies),
                    Err(_) => return,
                },
                Pending::Report(receiver) => match receiver.try_recv() {
                    Ok(text) => Answered::Text(text),
                    Err(_) => return,
                },
            };
            self.pending.pop_front();
            answered.encode(&mut self.output);
        }
    }

    /// Waits for everything that is under way; `None` when the node stops.
    async fn finish(&mut self) -> Option<()> {
        while !self.pending.is_empty() {
            answer_of_first(&mut self.pending).await?.encode(&mut self.output);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn request(words: &[&str]) -> Bytes {
        let words: Vec<Bytes> = words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        let mut buffer = BytesMut::new();
        resp::encode_request(&words, &mut buffer);
        buffer.freeze()
    }

    fn orders(connection: &Connection) -> (usize, usize, bool) {
        (connection.run.len(), connection.pending.len(), connection.held.is_some())
    }

    #[test]
    fn writes_go_together_and_a_read_waits_for_them() {
        let mut connection = Connection::default();
        for words in [&["SET", "a", "1"][..], &["SET", "a", "2"], &["GET", "a"], &["GET", "a"]] {
            connection.input.extend_from_slice(&request(words));
        }
        connection.understand().expect("requests");
        assert_eq!(orders(&connection), (2, 0, true), "both writes, and the first read is held");
        assert!(!connection.may_read());
        connection.run.clear();
        connection.understand().expect("requests");
        assert_eq!(orders(&connection), (2, 0, false), "both reads once the writes are through");
    }

    /// `INFO` waits for the answer to `PING`, which is there at once.
    #[test]
    fn what_waits_for_a_known_answer_goes_on_by_itself() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (answered, asked) = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let mut client =
                TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a way");
            let (events, mut inbox) = mpsc::channel(8);
            let served = tokio::spawn(serve(listener.accept().await.expect("a client").0, events));
            let member = tokio::spawn(async move {
                let Some(Event::Report(form, answer)) = inbox.recv().await else {
                    panic!("a report is asked for");
                };
                answer.send("role:Leader".into()).expect("somebody waits");
                form
            });
            let both = [request(&["PING"]), request(&["RAFT.INFO"])].concat();
            client.write_all(&both).await.expect("a request");
            client.shutdown().await.expect("the end");
            let mut answered = String::new();
            client.read_to_string(&mut answered).await.expect("answers");
            assert!(served.await.expect("no panic").is_none());
            (answered, member.await.expect("no panic"))
        });
        assert_eq!((answered.as_str(), asked), ("+PONG\r\n$11\r\nrole:Leader\r\n", Form::Raft));
    }

    #[test]
    fn what_is_known_at_once_keeps_its_place() {
        let mut connection = Connection::default();
        for words in [&["SET", "a", "1"][..], &["PING"], &["SET", "a", "2"]] {
            connection.input.extend_from_slice(&request(words));
        }
        connection.understand().expect("requests");
        assert_eq!(orders(&connection), (1, 0, true));
        connection.run.clear();
        connection.understand().expect("requests");
        assert_eq!(orders(&connection), (0, 1, true), "PONG, and the next write waits");
    }
}
