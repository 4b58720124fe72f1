//! Raft nodes, their disks, clocks and network in one thread, on virtual time.
//!
//! The nodes are the real thing: the same core, state machine and storage as in the node process, driven by events
//! instead of threads. Everything that chance decides comes from one seed, so a run can be repeated to the byte. After
//! every event the invariants of Raft are held against all nodes at once, which no outside observer could do.
//!
//! In reading order: [`plan`] is what a seed decides; `world` lets it happen; `node`, `disk`, `clock` and `network` are what
//! there is, `client` is who uses it, `fault` what befalls it; `invariants` is what must hold; [`run()`] gives the verdict,
//! and cuts a failing plan down to what is needed to fail. [`scenario`] has situations with a name. [`elections`] is a smaller world, for
//! measuring elections by the hundred thousand.

mod client;
mod clock;
mod disk;
pub mod elections;
mod fault;
mod invariants;
mod network;
mod node;
pub mod plan;
pub mod run;
pub mod scenario;
mod trace;
mod world;

pub use invariants::Broken;
pub use plan::{Plan, PlanOptions};
pub use run::{Finding, Outcome, run, shrink};
