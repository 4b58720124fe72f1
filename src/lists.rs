//! `rafture systems`: what there is to choose from.

use rafture_workloads::{systems, workload};

/// Prints every system, whether it can run here, and every workload.
pub fn systems() {
    println!("systems");
    for system in systems::all() {
        println!("  {:<14} {}", system.name(), system.summary());
        for option in system.options() {
            println!("  {:<14} --option {}={}: {}", "", option.name, option.values.join("|"), option.summary);
        }
        match system.lack() {
            Some(lack) => println!("  {:<14} cannot run here: {lack}", ""),
            None => println!("  {:<14} can run here", ""),
        }
    }
    println!("workloads");
    for workload in workload::all() {
        println!("  {:<14} {}", workload.name(), workload.summary());
    }
}
