//! The runs of a campaign as processes: each is a `rafture run` of its own, so that they share nothing but the machine, and one that
//! ends badly takes nobody with it.
//!
//! Whoever is killed here takes its runs with it: each of them sees to that itself (`follow`).

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;
use rafture_reports::Results;

/// Names the process that a run must not outlive.
const PARENT_VARIABLE: &str = "RAFTURE_PARENT";

/// A run to be made.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) rafture: PathBuf,
    /// Words behind `rafture run`.
    pub(super) arguments: Vec<String>,
    /// Where what it says goes.
    pub(super) log: PathBuf,
}

/// How a run ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// With a verdict.
    Judged(Box<Results>),
    /// Without one, and what it said.
    Broken(String),
}

impl Job {
    /// Makes the run, and waits for its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn run(&self) -> io::Result<(Outcome, f64)> {
        let began = Instant::now();
        let ended = Command::new(&self.rafture)
            .arg("run")
            .arg("--json")
            .args(&self.arguments)
            .env(PARENT_VARIABLE, std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&self.log)?)
            // Ctrl-C is for the campaign, which lets its runs come to their end.
            .process_group(0)
            .spawn()?
            .wait_with_output()?;
        let seconds = began.elapsed().as_secs_f64();
        let outcome = match serde_json::from_slice(&ended.stdout) {
            Ok(results) => Outcome::Judged(Box::new(results)),
            Err(_) => Outcome::Broken(format!("{} ({})", last_words(&self.log), ended.status)),
        };
        Ok((outcome, seconds))
    }
}

/// The last line of a log that says something, without who says it.
fn last_words(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing");
    last.strip_prefix("rafture: ").unwrap_or(last).chars().take(400).collect()
}

/// If this process is a run of a campaign, it ends when that ends. To be called once the process has the privileges that it is to
/// have: who gets others is not told any more.
pub(crate) fn follow() {
    let Some(parent) = std::env::var(PARENT_VARIABLE).ok().and_then(|parent| parent.parse::<i32>().ok())
    else {
        return;
    };
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    // It may have ended before.
    if getppid().as_raw() != parent {
        std::process::exit(130);
    }
}
