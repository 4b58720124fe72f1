//! Connections to and from the other members.
//!
//! Raft bears lost messages, so nothing is retried here: what cannot be sent at once, or soon, is dropped. What matters
//! is that a connection which a partition has silenced is given up soon, and made anew soon after the network heals.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::clients::Complaints;
use super::event::Event;
use super::wire::{self, HELLO_BYTES, Hello, WireError};
use crate::raft::{Message, NodeId};

/// Messages that may wait for one member. Beyond it they are dropped: the member is slow or away, and the
/// core will find out what it lacks.
const QUEUE_MAX: usize = 256;
/// How long a member has to take a connection up.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(200);
/// Pause before the next try.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);
/// A connection whose bytes were not acknowledged for so long is given up. TCP by itself would double its
/// patience again and again, and stay silent for seconds after a partition has healed.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_millis(500);
/// How long a connection has to say who it is from.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that are gathered into one system call.
const GATHER_BYTES: usize = 1 << 20;

/// The way to one other member.
#[derive(Debug, Clone)]
pub(super) struct Peer(mpsc::Sender<Message>);

impl Peer {
    /// Opens a way to the member at `address`. It lives as long as the returned value.
    pub(super) fn open(hello: Hello, address: SocketAddr) -> Peer {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(keep_sending(hello, address, receiver));
        Peer(sender)
    }

    /// Sends, or drops the message when there is no room.
    pub(super) fn send(&self, message: Message) {
        // A full queue is the same to Raft as a lossy network.
        let _ = self.0.try_send(message);
    }
}

async fn keep_sending(hello: Hello, address: SocketAddr, mut messages: mpsc::Receiver<Message>) {
    loop {
        let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
        if let Ok(Ok(stream)) = connected {
            // What gathered while there was no connection is stale by now.
            while messages.try_recv().is_ok() {}
            if send_over(stream, hello, &mut messages).await.is_ok() {
                return;
            }
        }
        if messages.is_closed() {
            return;
        }
        sleep(RECONNECT_PAUSE).await;
    }
}

/// Sends until the connection breaks; `Ok` when there will be no more messages.
async fn send_over(
    mut stream: TcpStream,
    hello: Hello,
    messages: &mut mpsc::Receiver<Message>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    limit_unacknowledged(&stream)?;
    stream.write_all(&hello.encode()).await?;
    let mut buffer = BytesMut::new();
    while let Some(message) = messages.recv().await {
        wire::encode(&message, &mut buffer);
        while buffer.len() < GATHER_BYTES {
            match messages.try_recv() {
                Ok(message) => wire::encode(&message, &mut buffer),
                Err(_) => break,
            }
        }
        stream.write_all(&buffer).await?;
        buffer.clear();
    }
    Ok(())
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
        while let Some(message) = wire::decode(&mut buffer, hello).map_err(describe)? {
            if events.send(Event::Message(message)).await.is_err() {
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
