//! Hosts, node processes, faults, schedules and the fault ledger: whatever is done to a cluster.
//!
//! In reading order: [`fault`] is what can be done, as data; [`grudge`] chooses nodes and links; [`schedule`] says
//! when, and [`moments`] are what it can wait for; [`duration`] is how times are written. [`hosts`] are where nodes live, [`process`] is one of them and [`cluster`] all; [`injector`] carries a
//! schedule out and asks an [`administrator`] for what only the system itself can do, `links` says how bad links become, [`clocks`] what becomes of clocks, [`disk`] lets nodes down by their disks, and
//! [`ledger`] has every deed before it is done. [`clean`] undoes what a killed controller has left,
//! [`doctor`] tells what this machine allows, [`clock`] is the time axis of a run.

pub mod administrator;
pub mod clean;
pub mod clock;
pub mod clocks;
pub mod cluster;
pub mod disk;
pub mod doctor;
pub mod duration;
pub mod fault;
pub mod grudge;
pub mod hosts;
pub mod injector;
pub mod ledger;
mod links;
pub mod moments;
pub mod process;
pub mod quota;
pub mod schedule;
