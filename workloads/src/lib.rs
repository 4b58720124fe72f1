//! What clients do: the operations they ask for, the systems they ask, and the history of what came of it.
//!
//! In reading order: [`operation`] is what is asked and answered; [`workload`] decides what to ask; [`systems`] know
//! how a system under test is started, found ready and spoken to; [`recorder`] turns it into a history; [`load`] lets
//! many clients do all that at once. [`mod@bench`] asks without a history: how fast, how long. Which faults are running is known to none of them.

pub mod bench;
pub mod load;
pub mod operation;
pub mod recorder;
pub mod systems;
pub mod workload;
