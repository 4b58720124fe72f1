//! `rafture systems` and `rafture defects`: what there is to choose from.

use rafture_node::rules::Defect;
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

/// Prints every planted bug.
pub fn defects() {
    for defect in Defect::ALL {
        println!("{:<14} {}", defect.id(), defect.change());
    }
    println!("\nfind one: rafture run --defect {} --time-limit 60s", Defect::ALL[0]);
}
