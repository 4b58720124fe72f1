//! Stands in for `process` where machine code of another kind would be needed: nothing works, and it says so.

use std::io;
use std::time::Duration;

use super::{Change, Sighting};

/// The clocks of a process, which cannot be bent on this machine.
#[derive(Debug)]
pub struct ProcessClocks {}

/// Threads to be let go, of which there are none.
#[derive(Debug)]
pub struct Away {}

impl ProcessClocks {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn of(_process: u32) -> io::Result<ProcessClocks> {
        Err(io::Error::other("clocks can be bent on x86-64 only"))
    }

    /// Cannot be reached.
    ///
    /// # Errors
    /// Never.
    pub fn set(&mut self, _change: &Change) -> io::Result<Away> {
        unreachable!("there are none")
    }

    /// Cannot be reached.
    pub fn took(&self) -> Duration {
        Duration::ZERO
    }

    /// Cannot be reached.
    ///
    /// # Errors
    /// Never.
    pub fn restore(&mut self) -> io::Result<()> {
        unreachable!("there are none")
    }

    /// Cannot be reached.
    pub fn settle(&mut self) {}

    /// Cannot be reached.
    pub fn are_original(&self) -> bool {
        true
    }

    /// Cannot be reached.
    ///
    /// # Errors
    /// Never.
    pub fn look(&mut self) -> io::Result<[Sighting; 2]> {
        unreachable!("there are none")
    }
}
