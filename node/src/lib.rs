//! The Raft node: a replicated key-value store that speaks RESP.
//!
//! In reading order: [`rules`] names what makes the node safe; [`raft`] is consensus itself, without input or
//! output; [`storage`] keeps what must survive a crash; [`machine`] is what is replicated; [`resp`] is how clients
//! speak; [`replica`] puts core and machine together, still without input or output; [`server`] makes a process of it.

pub mod machine;
pub mod raft;
pub mod replica;
pub mod resp;
pub mod rules;
pub mod server;
pub mod storage;
