//! What connections and disks have to say to the task that owns the node's state.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::wire::Letter;
use crate::raft::{Snapshot, Write};
use crate::replica::Request;
use crate::resp::Reply;
use crate::storage::StorageError;

/// Something that a connection has to say.
#[derive(Debug)]
pub(super) enum Event {
    /// A member sent this.
    Letter(Letter),
    /// A client asks for these; the answers go there, in the same order, when all of them are known.
    Ask(Vec<Request>, oneshot::Sender<Vec<Reply>>),
    /// Somebody wants to know how the node is.
    Report(Form, oneshot::Sender<String>),
}

/// How a node tells how it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As Redis does.
    Redis,
    /// One fact a line, as `name:value`.
    Raft,
    /// For Prometheus.
    Prometheus,
}

/// Something that a disk has to say.
#[derive(Debug)]
pub(super) enum Done {
    /// These were synced, in so much time; with them a snapshot of this content was put in place.
    Written(Vec<Write>, Option<Bytes>, Duration),
    /// There is no room; it is tried again and again.
    Full(StorageError),
    /// The disk is of no more use.
    Failed(StorageError),
    /// The snapshot that was to be made.
    Saved(Result<Snapshot, StorageError>),
}
