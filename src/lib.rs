//! A chaos-testing suite for consensus systems: real node processes under faults, judged by what their clients saw.

pub mod cli;
pub mod duration;
pub mod error;
pub mod node;
