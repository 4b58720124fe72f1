//! What was typed: subcommands, flags, help, exit codes.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use nix::sys::signal::{SigHandler, Signal};
use rafture_checker::verdict::Verdict;
use rafture_nemesis::{clean, doctor, hosts};
use rafture_reports::terminal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::bench::{self, BenchArguments};
use crate::campaign::{self, CampaignArguments};
use crate::check::{self, CheckArguments};
use crate::defects::{self, DefectsArguments};
use crate::error::Error;
use crate::history::{self, HistoryArguments};
use crate::lists;
use crate::node::{self, NodeArguments};
use crate::report::{self, ReportArguments};
use crate::run::{self, Plan, RunArguments};
use crate::screen;
use crate::serve::{self, ServeArguments};
use crate::shrink::{self, ShrinkArguments};
use crate::sim::{self, SimArguments};
use crate::tune::{self, TuneArguments};

const EXIT_CODES: &str = "\
Exit codes:
    0  valid     every checker says so, and the run was able to prove something
    1  invalid   a violation was found
    2  unknown   a checker gave up, and nothing else found a violation
    3  vacuous   the run proves nothing: an operation never succeeded, or a fault did not bite
    4  harness   the harness failed: a node would not start, a fault could not be applied
  254            bad arguments or bad input
  255            a bug in rafture";

/// Breaks consensus systems and judges what their clients saw
#[derive(Debug, Parser)]
#[command(name = "rafture", version, about, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(RunArguments),
    Campaign(CampaignArguments),
    Shrink(ShrinkArguments),
    Check(CheckArguments),
    History(HistoryArguments),
    Report(ReportArguments),
    Serve(ServeArguments),
    /// List the systems and workloads that can be tested
    Systems,
    Defects(DefectsArguments),
    Doctor(StoreArguments),
    Clean(StoreArguments),
    Tune(TuneArguments),
    Sim(SimArguments),
    Bench(BenchArguments),
    Node(NodeArguments),
}

/// Where runs are.
#[derive(Debug, Args)]
struct StoreArguments {
    /// Folder of all runs
    #[arg(long, default_value = "runs")]
    store: PathBuf,
}

/// Reads the arguments, does what they say, gives the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors.
            let code = if error.use_stderr() { 254 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match std::panic::catch_unwind(|| obey(cli.command)) {
        Ok(Ok(verdict)) => ExitCode::from(verdict.exit_code()),
        Ok(Err(error)) => {
            eprintln!("rafture: {error}");
            ExitCode::from(error.exit_code())
        }
        // The panic has been printed.
        Err(_) => ExitCode::from(255),
    }
}

fn obey(command: Command) -> Result<Verdict, Error> {
    if matches!(command, Command::Check(_) | Command::History(_) | Command::Systems) {
        end_with_the_reader();
    }
    match command {
        Command::Run(arguments) => run_one(&arguments),
        Command::Campaign(arguments) => campaign::campaign(&arguments, || stop_on(RUNS_END)),
        Command::Shrink(arguments) => shrink::shrink(&arguments, stop_on_signals),
        Command::Check(arguments) => check::check(&arguments),
        Command::History(arguments) => history::history(&arguments),
        Command::Report(arguments) => report::report(&arguments),
        Command::Serve(arguments) => serve::serve(arguments),
        Command::Systems => {
            lists::systems();
            Ok(Verdict::Valid)
        }
        Command::Defects(arguments) => defects::defects(&arguments, stop_on_signals),
        Command::Doctor(arguments) => {
            examine(&arguments);
            Ok(Verdict::Valid)
        }
        Command::Clean(arguments) => clean_up(&arguments),
        Command::Bench(arguments) => bench::bench(&arguments),
        Command::Tune(arguments) => tune::tune(&arguments, || stop_on(TUNING_ENDS)),
        Command::Sim(arguments) => sim::sim(&arguments),
        Command::Node(arguments) => node::node(arguments).map(|()| Verdict::Valid),
    }
}

/// What only reads ends quietly, as other tools do, when nobody reads what it prints (`rafture check … | head`).
fn end_with_the_reader() {
    // SAFETY: the default action runs no code of ours.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}

fn run_one(arguments: &RunArguments) -> Result<Verdict, Error> {
    let plan = Plan::new(arguments)?;
    let choice: hosts::NetworkChoice = plan.network.parse().map_err(Error::Input)?;
    campaign::become_run(choice);
    let rafture = std::env::current_exe().map_err(Error::harness)?;
    let finished = run::run(&plan, rafture, stop_on_signals()?)?;
    if arguments.json {
        println!("{}", serde_json::to_string(&finished.results).expect("results are plain data"));
    } else {
        println!("report: {}", finished.folder.path().join("report.html").display());
        print!("{}", terminal::summary(&finished.results, screen::screen()));
    }
    Ok(finished.results.verdict)
}

/// What a run does when it is told to stop.
const HEALS: &str = "healing, checking and reporting what there is";
/// What many runs do.
const RUNS_END: &str = "no further run is begun, and those that are under way come to their end";

/// What a tuning does.
const TUNING_ENDS: &str = "clusters are stopped, and nothing is left";

fn stop_on_signals() -> Result<watch::Receiver<bool>, Error> {
    stop_on(HEALS)
}

/// Says `true` at the first Ctrl-C or SIGTERM, and what happens then. The second ends the process; nodes and namespaces go with it.
fn stop_on(what: &'static str) -> Result<watch::Receiver<bool>, Error> {
    let (stop, stopped) = watch::channel(false);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::harness)?;
    let waiting = move || {
        runtime.block_on(async {
            let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
            let [Ok(mut interrupt), Ok(mut terminate)] = kinds.map(signal) else {
                return;
            };
            for count in 1.. {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if count > 1 {
                    std::process::exit(130);
                }
                eprintln!("\nstopping: {what} (again to give up)");
                stop.send_replace(true);
            }
        });
    };
    std::thread::Builder::new().name("signals".into()).spawn(waiting).map_err(Error::harness)?;
    Ok(stopped)
}

fn examine(arguments: &StoreArguments) {
    // As a run would, and like there, what is not allowed shows in what follows.
    let _ = hosts::seek_privilege(hosts::NetworkChoice::Auto);
    for finding in doctor::examine(&arguments.store) {
        let mark = if finding.works { "yes" } else { "no " };
        println!("{mark} {:<20} {}", finding.name, finding.detail);
        if !finding.works {
            println!("    {:<20} without it: {}", "", finding.cost);
        }
    }
}

fn clean_up(arguments: &StoreArguments) -> Result<Verdict, Error> {
    let cleaned = clean::clean(&arguments.store).map_err(Error::harness)?;
    if cleaned == clean::Cleaned::default() {
        println!("nothing was left behind");
    }
    for process in cleaned.processes {
        println!("killed {process}, whose controller had died");
    }
    for run in cleaned.ledgers {
        println!("closed the ledger of {}", run.display());
    }
    Ok(Verdict::Valid)
}
