//! `rafture campaign`: a night of many runs, from a file to a summary.
//!
//! In reading order: `file` is what was asked for, `night` what is done of it, `crew` the runs as processes; this file is the night
//! itself, and `merge` joins what several machines have done.

pub(crate) mod crew;
mod file;
mod merge;
mod night;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use rafture_checker::verdict::Verdict;
use rafture_nemesis::{clean, hosts};
use rafture_reports::campaign::{Canary, Entry, Night, terminal};
use rafture_reports::{RunFolder, Store};
use serde_json::json;
use tokio::sync::watch;

use crate::command_line::quoted;
use crate::duration::Span;
use crate::error::Error;
use crew::{Job, Outcome};
use file::{Campaign, Cell};
use night::{NightFolder, Shard};

pub use merge::MergeArguments;

/// Cores that a cluster under faults keeps busy.
const CORES_PER_JOB: usize = 2;
/// More clusters than that nobody has.
const JOBS_MAX: usize = 64;

/// Make many runs from a TOML file; begun again, it goes on
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct CampaignArguments {
    #[command(subcommand)]
    other: Option<Other>,
    /// What is to be run (see docs/campaigns.md)
    #[arg(required = true, value_name = "FILE.toml")]
    file: Option<PathBuf>,
    /// Which part of the night is this machine's: `1/4` is the first of four
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,
    /// Clusters at once [default: what the file says, or one for every two cores]
    #[arg(long, value_name = "COUNT")]
    jobs: Option<usize>,
    /// Folder of all runs
    #[arg(long, default_value = "runs")]
    store: PathBuf,
    /// Which night, by its name: goes on with it or begins it [default: the last one that has not ended, or a new one by its time]
    #[arg(long, value_name = "NAME")]
    night: Option<String>,
    /// Begin no run once so many have failed [default: what the file says]
    #[arg(long, value_name = "COUNT")]
    stop_after: Option<usize>,
    /// Something about every run that lists tell it by, such as `commit=4f2a9c1`; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,
    /// Print one JSON object on one line instead of a summary
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Other {
    Merge(MergeArguments),
}

/// A night while it goes on.
struct Work<'a> {
    campaign: &'a Campaign,
    folder: NightFolder,
    labels: BTreeMap<String, String>,
    rafture: PathBuf,
    store: PathBuf,
    jobs: usize,
    stop_after: Option<usize>,
    stop: watch::Receiver<bool>,
    began: Instant,
    /// What was spent before it was interrupted.
    spent: Duration,
}

/// Makes a night of runs, or joins stores. Says the worst verdict of all runs; vacuous, if the planted bug was not found.
///
/// # Errors
/// When the file cannot be followed, the store cannot be written, or somebody else is at the same night.
pub fn campaign(
    arguments: &CampaignArguments,
    stop: impl FnOnce() -> Result<watch::Receiver<bool>, Error>,
) -> Result<Verdict, Error> {
    if let Some(Other::Merge(arguments)) = &arguments.other {
        return merge::merge(arguments);
    }
    let path = arguments.file.as_deref().expect("it is required");
    let campaign = file::read(path)?;
    let labels = crate::run::pairs("label", &arguments.labels)?;
    let shard = arguments.shard.as_deref().map(str::parse::<Shard>).transpose().map_err(Error::Input)?;
    let shard = shard.unwrap_or(Shard::WHOLE);
    let jobs = arguments.jobs.or(campaign.jobs).unwrap_or_else(usual_jobs);
    if !(1..=JOBS_MAX).contains(&jobs) {
        return Err(Error::Input(format!(
            "{jobs} clusters at once are not possible (hint: 1 to {JOBS_MAX})"
        )));
    }
    let store = Store::open(&arguments.store).map_err(Error::input)?;
    clean::clean(store.path()).map_err(Error::harness)?;
    let folder = NightFolder::open(store.path(), &campaign, shard, arguments.night.as_deref())?;
    let mut work = Work {
        campaign: &campaign,
        spent: Duration::from_secs_f64(folder.record.spent_s),
        folder,
        labels,
        rafture: std::env::current_exe().map_err(Error::harness)?,
        store: store.path().to_owned(),
        jobs,
        stop_after: arguments.stop_after.or(campaign.stop_after),
        stop: stop()?,
        began: Instant::now(),
    };
    let night = work.play(shard)?;
    let verdict = night.verdict();
    if arguments.json {
        println!("{}", json!({ "verdict": verdict, "folder": work.folder.path(), "night": night }));
    } else {
        println!("page: {}", work.folder.path().join("night.html").display());
        print!("{}", terminal(&night));
    }
    Ok(verdict)
}

/// One cluster for every few cores.
fn usual_jobs() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / CORES_PER_JOB).clamp(1, JOBS_MAX))
}

impl Work<'_> {
    fn play(&mut self, shard: Shard) -> Result<Night, Error> {
        let cells = self.campaign.cells(self.folder.seed(self.campaign));
        let adopted = self.folder.adopt(&cells, self.campaign.keep)?;
        let done = self.folder.entries()?;
        let share: Vec<&Cell> = cells.iter().filter(|cell| shard.has(cell.index)).collect();
        let is_done = |cell: &&Cell| done.iter().any(|entry| entry.cell == cell.index);
        let open: Vec<&Cell> = share.iter().copied().filter(|cell| !is_done(cell)).collect();
        let (name, night) = (&self.folder.record.name, &self.folder.record.night);
        eprintln!("{name} {night}: {} of {} runs to make, {} at once", open.len(), share.len(), self.jobs);
        if adopted > 0 {
            eprintln!("{name} {night}: {adopted} runs were over that nobody had written down");
        }
        if !open.is_empty() && self.reason_to_stop(&done).is_none() {
            self.look_for_canary()?;
        }
        let stopped = self.make_all(&open, done)?;
        self.end(stopped, share.len())
    }

    /// The planted bug is looked for first: if it is not found, the whole night is in vain, and one knows that soon.
    fn look_for_canary(&self) -> Result<(), Error> {
        let wanted = &self.campaign.canary;
        if self.folder.canaries().iter().any(|canary| canary.defect == wanted.defect) {
            return Ok(());
        }
        let mut canary = Canary {
            defect: wanted.defect.clone(),
            is_found: false,
            tries: 0,
            sentence: String::new(),
            command: String::new(),
        };
        let base = self.folder.seed(self.campaign);
        while !canary.is_found && canary.tries < wanted.tries && !*self.stop.borrow() {
            canary.tries += 1;
            let seed = 1 + file::mixed(base ^ canary.tries as u64) % 999_999_999;
            let job = self.job(&wanted.arguments(seed), night::CANARY);
            canary.command = command_line(&job);
            let (outcome, _) = job.run().map_err(Error::harness)?;
            match outcome {
                Outcome::Judged(results) => {
                    canary.is_found = results.verdict == Verdict::Invalid;
                    let entry = Entry::of(0, String::new(), &results, &[]);
                    (canary.sentence, canary.command) = (entry.sentence, entry.command);
                    let run = self.store.join(&results.name).join(&results.run);
                    if canary.is_found {
                        // It has done its duty. One that was not found is what has to be looked into.
                        std::fs::remove_dir_all(run).map_err(Error::harness)?;
                    }
                }
                Outcome::Broken(message) => canary.sentence = message,
            }
            let found = if canary.is_found { "found" } else { "not found" };
            eprintln!("canary {}: {found}, run {}", canary.defect, canary.tries);
        }
        if *self.stop.borrow() && !canary.is_found {
            return Ok(());
        }
        self.folder.put_canaries(&[canary])
    }

    fn job(&self, flags: &[String], what: &str) -> Job {
        let record = &self.folder.record;
        let mut arguments =
            vec![format!("--store={}", self.store.display()), format!("--name={}", record.name)];
        arguments.extend(flags.iter().cloned());
        arguments.extend(night::labels(self.campaign, record, what, &self.labels));
        Job { rafture: self.rafture.clone(), arguments, log: self.folder.log(what) }
    }

    /// Makes the runs that are open, several at once. Tells why not all of them, if so.
    fn make_all(&mut self, open: &[&Cell], mut done: Vec<Entry>) -> Result<Option<String>, Error> {
        let queue = Mutex::new(open.iter().copied());
        let mut stopped = self.reason_to_stop(&done);
        if stopped.is_some() {
            return Ok(stopped);
        }
        let began = Instant::now();
        let halted = std::sync::atomic::AtomicBool::new(false);
        let (ended, endings) = mpsc::channel();
        let work = &*self;
        let total = open.len();
        let (mut count, mut saved) = (0, self.began);
        std::thread::scope(|scope| -> Result<(), Error> {
            for _ in 0..work.jobs.min(total) {
                let (queue, halted, ended) = (&queue, &halted, ended.clone());
                scope.spawn(move || {
                    let next = || queue.lock().expect("nobody panics with it").next();
                    while let Some(cell) =
                        (!halted.load(std::sync::atomic::Ordering::Relaxed)).then(next).flatten()
                    {
                        let made = work.make(cell);
                        let is_over = made.is_err();
                        // Nobody listens any more if another one failed.
                        if ended.send((cell, made)).is_err() || is_over {
                            return;
                        }
                    }
                });
            }
            drop(ended);
            let mut failed = None;
            for (cell, made) in endings {
                match made {
                    Ok(entry) => {
                        count += 1;
                        work.tell((count, total), began.elapsed(), cell, &entry);
                        done.push(entry);
                    }
                    Err(error) => failed = failed.or(Some(error)),
                }
                stopped = stopped.take().or_else(|| work.reason_to_stop(&done));
                if stopped.is_some() || failed.is_some() {
                    halted.store(true, std::sync::atomic::Ordering::Relaxed);
                }
                if saved.elapsed() > Duration::from_secs(1) {
                    saved = Instant::now();
                    work.save_time()?;
                }
            }
            failed.map_or(Ok(()), Err)
        })?;
        Ok(stopped.filter(|_| count < total))
    }

    /// One run, written down.
    fn make(&self, cell: &Cell) -> Result<Entry, Error> {
        let job = self.job(&cell.arguments, &cell.index.to_string());
        let (outcome, seconds) = job.run().map_err(Error::harness)?;
        match outcome {
            Outcome::Judged(results) => {
                let run = self.store.join(&results.name).join(&results.run);
                let folder = RunFolder::open(run).map_err(Error::harness)?;
                let entry = self.folder.finish(cell, &folder, self.campaign.keep)?;
                if entry.verdict == Verdict::Valid {
                    let _ = std::fs::remove_file(&job.log);
                }
                Ok(entry)
            }
            Outcome::Broken(message) => {
                let (title, command) = (cell.title.clone(), command_line(&job));
                let entry = Entry::broken(cell.index, title, &cell.system, message, command, seconds);
                self.folder.put(&entry)?;
                Ok(entry)
            }
        }
    }

    fn tell(&self, (count, total): (usize, usize), took: Duration, cell: &Cell, entry: &Entry) {
        let left = (took / count as u32) * (total - count) as u32;
        let cause = entry.cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
        let left = Span(Duration::from_secs(left.as_secs()));
        eprintln!(
            "{count}/{total} {} {} in {:.1} s{cause}; {left} left",
            entry.verdict, cell.title, entry.seconds
        );
    }

    fn spent(&self) -> Duration {
        self.spent + self.began.elapsed()
    }

    fn save_time(&self) -> Result<(), Error> {
        let record = night::Record { spent_s: self.spent().as_secs_f64(), ..self.folder.record.clone() };
        night::write(&self.folder.path().join("night.json"), &record)
    }

    /// Why no further run is begun, if so.
    fn reason_to_stop(&self, done: &[Entry]) -> Option<String> {
        if *self.stop.borrow() {
            return Some("It was told to stop, and goes on when it is begun again".into());
        }
        if let Some(budget) = self.campaign.time_budget.filter(|budget| self.spent() >= *budget) {
            return Some(format!("The time budget of {} was used up", Span(budget)));
        }
        let failures = done.iter().filter(|entry| entry.is_failure()).count();
        let most = self.stop_after.filter(|most| failures >= *most)?;
        Some(format!("It was to stop after {most} failures"))
    }

    /// Sums up. A night that was told to stop goes on another time; one that has no time left, or has failed enough, does not.
    fn end(&mut self, stopped: Option<String>, share: usize) -> Result<Night, Error> {
        let entries = self.folder.entries()?;
        self.folder.record.stopped = stopped.filter(|_| entries.len() < share);
        self.folder.record.ended = !(*self.stop.borrow() && entries.len() < share);
        self.folder.record.spent_s = self.spent().as_secs_f64();
        self.folder.save()?;
        let night = self.folder.night()?;
        self.folder.write_summaries(&night)?;
        Ok(night)
    }
}

/// What one would type to make the same run by hand.
fn command_line(job: &Job) -> String {
    let words = job.arguments.iter().filter(|word| !word.starts_with("--label=")).map(|word| quoted(word));
    std::iter::once("rafture run".to_owned()).chain(words).collect::<Vec<String>>().join(" ")
}

/// Before there is any thread: what a run needs of its namespaces it seeks itself.
pub(crate) fn become_run(choice: hosts::NetworkChoice) {
    // Where it is not allowed, opening hosts will find other ways, or say so.
    let _ = hosts::seek_privilege(choice);
    crew::follow();
}
