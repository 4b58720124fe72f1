//! The binary as a user runs it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// `rafture` with these words.
pub(crate) fn rafture(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rafture"));
    command.args(words.split_whitespace());
    command
}

/// What a command printed and how it ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn end(command: &mut Command) -> Ended {
    let Output { status, stdout, stderr } = command.output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Ended { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
}

/// A whole run into `store`; its results.
#[allow(dead_code, reason = "each test binary that shares this module uses a part of it")]
pub(crate) fn run(store: &Path, words: &str) -> (i32, Value) {
    let mut command = rafture("run --json --store");
    let ended = end(command.arg(store).args(words.split_whitespace()));
    let results = serde_json::from_str(&ended.out);
    (ended.code, results.unwrap_or_else(|error| panic!("{error}: {}{}", ended.out, ended.err)))
}
