//! The one binary: what was typed, done, and the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    rafture::cli::main()
}
