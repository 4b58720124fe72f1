//! Connections to and from the other members.
//!
//! Raft bears lost messages, so nothing is retried here: what cannot be sent at once, or soon, is dropped. What matters
//! is that a connection which a partition has silenced is given up soon, and made anew soon after the network heals.
//! A message is written into its socket by whoever sends it; only when the socket is full, a task takes over.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::clients::Complaints;
use super::event::Event;
use super::wire::{self, HELLO_BYTES, Hello, WireError};
use crate::raft::{Message, NodeId};

/// Bytes that may wait for one member. Beyond it, messages are dropped: the member is slow or away, and the core will
/// find out what it lacks.
const BACKLOG_MAX: usize = 8 << 20;
/// How long a member has to take a connection up.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(200);
/// Pause before the next try.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);
/// A connection whose bytes were not acknowledged for so long is given up. TCP by itself would double its
/// patience again and again, and stay silent for seconds after a partition has healed.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_millis(500);
/// How long a connection has to say who it is from.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// The way to one other member. It lives as long as this value.
#[derive(Debug)]
pub(super) struct Peer {
    way: Arc<Way>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Way {
    state: Mutex<State>,
    /// The task has to do something: the socket is full, or broken.
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    stream: Option<Arc<TcpStream>>,
    backlog: BytesMut,
}

impl Peer {
    /// Opens a way to the member at `address`.
    pub(super) fn open(hello: Hello, address: SocketAddr) -> Peer {
        let way = Arc::new(Way::default());
        let task = tokio::spawn(keep_connected(hello, address, Arc::clone(&way)));
        Peer { way, task }
    }

    /// Takes a message for the next `flush`, or drops it when there is no connection or no room.
    pub(super) fn send(&self, message: &Message, can_wait: bool) {
        let mut state = self.way.lock();
        if state.stream.is_some() && state.backlog.len() < BACKLOG_MAX {
            wire::encode(message, can_wait, &mut state.backlog);
        }
    }

    /// Writes what was taken, as far as the socket takes it.
    pub(super) fn flush(&self) {
        self.way.flush();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Way {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while it sends")
    }

    fn flush(&self) {
        let mut state = self.lock();
        let Some(stream) = state.stream.clone() else {
            return;
        };
        while !state.backlog.is_empty() {
            match stream.try_write(&state.backlog) {
                Ok(count) => state.backlog.advance(count),
                Err(error) => {
                    if error.kind() != ErrorKind::WouldBlock {
                        state.stream = None;
                    }
                    return self.wake.notify_one();
                }
            }
        }
    }
}

async fn keep_connected(hello: Hello, address: SocketAddr, way: Arc<Way>) {
    loop {
        if let Ok(Ok(stream)) = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            // Why it ended does not matter: the next one is made.
            let _ = serve(stream, hello, &way).await;
            let mut state = way.lock();
            state.stream = None;
            state.backlog.clear();
        }
        sleep(RECONNECT_PAUSE).await;
    }
}

/// Lets others write into the connection until it breaks, and writes itself what they could not.
async fn serve(mut stream: TcpStream, hello: Hello, way: &Way) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    limit_unacknowledged(&stream)?;
    stream.write_all(&hello.encode()).await?;
    let stream = Arc::new(stream);
    way.lock().stream = Some(Arc::clone(&stream));
    let mut unheard = [0; 64];
    loop {
        tokio::select! {
            () = way.wake.notified() => {
                if way.lock().stream.is_none() {
                    return Ok(());
                }
                stream.writable().await?;
                way.flush();
            }
            // Nobody speaks on this side; what there is to read is the end.
            readable = stream.readable() => {
                readable?;
                match stream.try_read(&mut unheard) {
                    Ok(0) => return Ok(()),
                    Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                    Ok(_) | Err(_) => {}
                }
            }
        }
    }
}

fn limit_unacknowledged(stream: &TcpStream) -> std::io::Result<()> {
    let milliseconds = UNACKNOWLEDGED_MAX.as_millis() as libc::c_uint;
    // SAFETY: the descriptor is open for as long as `stream` is borrowed, and the option takes an unsigned int.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_USER_TIMEOUT,
            (&raw const milliseconds).cast(),
            size_of_val(&milliseconds) as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Takes connections of other members for ever.
pub(super) async fn accept(listener: TcpListener, cluster: u64, me: NodeId, events: mpsc::Sender<Event>) {
    let complaints = Complaints::default();
    loop {
        let Ok((stream, from)) = listener.accept().await else {
            // Out of descriptors, say: others will be closed.
            sleep(RECONNECT_PAUSE).await;
            continue;
        };
        let (complaints, events) = (complaints.clone(), events.clone());
        tokio::spawn(async move {
            if let Err(error) = receive_over(stream, cluster, me, events).await {
                complaints.say(from, &error);
            }
        });
    }
}

/// Receives until the connection ends or says what no member would. Whoever knows the cluster is heard, also if this
/// node has not yet heard of it: that it is a member now may be just what it has to say.
async fn receive_over(
    mut stream: TcpStream,
    cluster: u64,
    me: NodeId,
    events: mpsc::Sender<Event>,
) -> Result<(), String> {
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let mut head = [0; HELLO_BYTES];
    match timeout(HELLO_TIMEOUT, stream.read_exact(&mut head)).await {
        Err(_) => return Err("a connection that says nothing was closed".into()),
        Ok(Err(_)) => return Ok(()),
        Ok(Ok(_)) => {}
    }
    let hello = Hello::decode(&head).map_err(|error| error.to_string())?;
    if hello.cluster != cluster {
        return Err(format!("refused: {} is of another cluster ({})", hello.from, hello.cluster));
    }
    if hello.to != me || hello.from == me {
        return Err(format!("refused: {} looks for {}, and this is {me}", hello.from, hello.to));
    }
    let mut buffer = BytesMut::with_capacity(64 << 10);
    loop {
        while let Some(letter) = wire::decode(&mut buffer, hello).map_err(describe)? {
            if events.send(Event::Letter(letter)).await.is_err() {
                return Ok(());
            }
        }
        match stream.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(_) => {}
        }
    }
}

fn describe(error: WireError) -> String {
    format!("closed: {error}")
}
