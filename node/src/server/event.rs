//! What connections have to say to the task that owns the node's state.

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::machine::Command;
use crate::raft::Message;
use crate::resp::Reply;

/// Something that a connection or the disk has to say.
#[derive(Debug)]
pub(super) enum Event {
    /// A member sent this.
    Message(Message),
    /// A client asks; the answer goes there.
    Request(Request, oneshot::Sender<Reply>),
}

/// What a client asks.
#[derive(Debug)]
pub(super) enum Request {
    /// A command that changes the state, as it will stand in the log.
    Write(Bytes),
    /// A command that only reads it.
    Read(Command),
    /// How the node is, as Redis says it.
    Info,
    /// How the node is, as Raft says it.
    RaftInfo,
}
