//! What was typed: subcommands, flags, help, exit codes.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Error;
use crate::node::{self, NodeArguments};

#[derive(Debug, Parser)]
#[command(name = "rafture", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One Raft node process
    Node(NodeArguments),
}

/// Reads the arguments, does what they say, gives the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done: Result<(), Error> = match cli.command {
        Command::Node(arguments) => node::node(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rafture: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
