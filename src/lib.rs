//! A chaos-testing suite for consensus systems: real node processes under faults, judged by what their clients saw.
//!
//! In reading order: [`cli`] is what is typed; [`run`] is one test from plan to verdict, [`campaign`] a night of many; [`check`], [`report`], [`serve`],
//! [`shrink`], [`history`], [`defects`], [`lists`] and [`node`] are the other commands; [`budget`], [`history_file`], [`witness_file`], [`duration`] and [`error`] are what they share.

pub mod bench;
pub mod budget;
pub mod campaign;
pub mod check;
pub mod cli;
mod command_line;
pub mod defects;
pub mod duration;
pub mod error;
pub mod history;
pub mod history_file;
pub mod lists;
pub mod node;
pub mod report;
pub mod run;
mod screen;
pub mod serve;
pub mod shrink;
pub mod sim;
pub mod tune;
pub mod witness_file;
