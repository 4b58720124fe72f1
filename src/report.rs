//! `rafture report`: the reports of a stored run, built again. The verdict stays what it was.

use std::path::PathBuf;

use clap::Args;
use rafture_checker::history::parse_jsonl;
use rafture_checker::verdict::Verdict;
use rafture_reports::{RunFolder, RunView, terminal, write_reports};

use crate::error::Error;
use crate::run::judge;
use crate::screen::screen;

/// Build the reports of a stored run again
#[derive(Debug, Args)]
pub struct ReportArguments {
    /// Folder of the run, or a link to it
    #[arg(default_value = "runs/latest")]
    run: PathBuf,
}

/// Builds the reports again and prints the summary.
///
/// # Errors
/// When the folder is no run, or one that never finished.
pub fn report(arguments: &ReportArguments) -> Result<Verdict, Error> {
    let folder = RunFolder::open(&arguments.run).map_err(Error::input)?;
    let path = folder.path();
    if !path.join("results.json").exists() {
        let history = path.join("history.jsonl");
        return Err(Error::Input(format!(
            "the run `{}` never finished (hint: rafture check {})",
            path.display(),
            history.display()
        )));
    }
    let results = folder.results().map_err(Error::input)?;
    let faults = folder.faults().map_err(Error::input)?;
    let file = path.join("history.jsonl");
    let text = std::fs::read(&file).map_err(|error| {
        Error::Input(format!("cannot read `{}`: {error}{}", file.display(), hint(&error)))
    })?;
    let history =
        parse_jsonl(&text).map_err(|error| Error::Input(format!("{}:{error}", file.display())))?.events;
    let names: Vec<String> = (1..=results.nodes).map(|node| format!("n{node}")).collect();
    let (traces, complaints) = judge::read_traces(path, &names);
    complaints.iter().for_each(|complaint| eprintln!("rafture: {complaint}"));
    let leaders = judge::leader_changes(&traces, results.clock_start_ns);
    let view = RunView { results: &results, history: &history, faults: &faults, leaders: &leaders };
    write_reports(&folder, &view).map_err(Error::harness)?;
    println!("report: {}", path.join("report.html").display());
    print!("{}", terminal::summary(&results, screen()));
    Ok(results.verdict)
}

/// What of a run may be missing on purpose.
fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            " (hint: of runs that passed, a campaign keeps the reports as they were; `[retention] passed = \"all\"` keeps all)"
        }
        _ => "",
    }
}
