//! `rafture campaign merge`: what several machines have done, in one store.
//!
//! Runs are copied, each whole or not at all, and a run that is there already is there once. Nights of one name are joined.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use rafture_checker::verdict::Verdict;
use rafture_reports::campaign::{Canary, Entry, terminal};
use rafture_reports::{RunFolder, Store};

use super::night::{self, Record, names, read, write};
use crate::error::Error;

/// How the folder of a run is called while it is copied; then comes the process that does.
const PART: &str = ".merging-";

/// Join stores of several machines in one
#[derive(Debug, Args)]
pub struct MergeArguments {
    /// Stores to be joined; they stay as they are
    #[arg(required = true, value_name = "STORE")]
    stores: Vec<PathBuf>,
    /// Store that gets all of them
    #[arg(long, value_name = "STORE")]
    store: PathBuf,
}

/// What was copied.
#[derive(Debug, Default)]
struct Copied {
    runs: usize,
    known: usize,
}

/// Joins stores, and sums up their nights. Says the worst verdict of the nights.
///
/// # Errors
/// When a store cannot be read or written, or nights of one name are not parts of one.
pub(super) fn merge(arguments: &MergeArguments) -> Result<Verdict, Error> {
    let out = Store::open(&arguments.store).map_err(Error::input)?;
    for store in &arguments.stores {
        if !store.is_dir() {
            return Err(Error::Input(format!(
                "`{}` is no store (hint: a folder such as `runs`)",
                store.display()
            )));
        }
        if store.canonicalize().ok() == out.path().canonicalize().ok() {
            return Err(Error::Input(format!("`{}` cannot be joined with itself", store.display())));
        }
    }
    let mut copied = Copied::default();
    let mut touched: Vec<PathBuf> = Vec::new();
    for store in &arguments.stores {
        for name in names(store).into_iter().filter(|name| store.join(name).is_dir()) {
            copy_runs(&store.join(&name), &out.path().join(&name), &mut copied)?;
            for night in names(&store.join(&name).join("nights")) {
                let to = out.path().join(&name).join("nights").join(&night);
                join_night(&store.join(&name).join("nights").join(&night), &to)?;
                if !touched.contains(&to) {
                    touched.push(to);
                }
            }
        }
    }
    println!("{} runs copied, {} were there", copied.runs, copied.known);
    touched.sort();
    let mut verdicts = Vec::new();
    for path in touched {
        let record: Record = record(&path)?;
        let night = night::night(&path, &record)?;
        night::write_summaries(&path, &night)?;
        println!("page: {}", path.join("night.html").display());
        print!("{}", terminal(&night));
        verdicts.push(night.verdict());
    }
    Ok(Verdict::worst(verdicts))
}

fn copy_runs(from: &Path, to: &Path, copied: &mut Copied) -> Result<(), Error> {
    remove_parts(to);
    for run in names(from) {
        let source = from.join(&run);
        if fs::symlink_metadata(&source).is_ok_and(|entry| entry.is_symlink())
            || RunFolder::open(&source).is_err()
        {
            continue;
        }
        let target = to.join(&run);
        if target.exists() {
            // One second, one seed, two machines: different runs may have the same name.
            if identity(&source)? != identity(&target)? {
                return Err(Error::Input(format!(
                    "`{}` and `{}` are different runs (hint: rename the folder of one of them)",
                    source.display(),
                    target.display()
                )));
            }
            copied.known += 1;
            continue;
        }
        let part = to.join(format!("{PART}{}-{run}", std::process::id()));
        let failed =
            |error: io::Error| Error::Harness(format!("cannot copy `{}`: {error}", source.display()));
        fs::create_dir_all(to)
            .and_then(|()| copy(&source, &part))
            .and_then(|()| fs::rename(&part, &target))
            .map_err(|error| {
                let _ = fs::remove_dir_all(&part);
                failed(error)
            })?;
        copied.runs += 1;
    }
    Ok(())
}

/// Halves of runs that somebody left who was killed while joining.
fn remove_parts(folder: &Path) {
    for name in names(folder) {
        let process = name.strip_prefix(PART).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            // What cannot be removed now is removed another time.
            let _ = fs::remove_dir_all(folder.join(name));
        }
    }
}

/// What two copies of one run have in common, and no two runs.
fn identity(run: &Path) -> Result<Vec<u8>, Error> {
    let file = run.join("plan.json");
    fs::read(&file).map_err(|error| Error::Input(format!("cannot read `{}`: {error}", file.display())))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

fn record(night: &Path) -> Result<Record, Error> {
    let file = night.join("night.json");
    read(&file).map_err(|error| Error::Input(format!("cannot understand `{}`: {error}", file.display())))
}

/// Adds what is in one night to another.
fn join_night(from: &Path, to: &Path) -> Result<(), Error> {
    let new = record(from)?;
    let joined = match to.join("night.json").exists() {
        false => new,
        true => {
            let mut joined = record(to)?;
            if joined.file != new.file || joined.cells != new.cells {
                return Err(Error::Input(format!(
                    "`{}` and `{}` were begun with different files (hint: give shards of one night one `--night NAME`)",
                    from.display(),
                    to.display()
                )));
            }
            // What is joined once more has gone on meanwhile, and is no other part.
            let is_known = new.shards.iter().all(|shard| joined.shards.contains(shard));
            if !is_known {
                joined.shards.extend(new.shards);
                joined.spent_s += new.spent_s;
            }
            joined.ended &= new.ended || is_known;
            joined.stopped = joined.stopped.or(new.stopped);
            joined
        }
    };
    for name in names(&from.join("cells")).iter().filter(|name| name.ends_with(".json")) {
        let (source, target) = (from.join("cells").join(name), to.join("cells").join(name));
        let entry: Entry = read(&source)
            .map_err(|error| Error::Input(format!("cannot understand `{}`: {error}", source.display())))?;
        if !target.exists() {
            write(&target, &entry)?;
        }
    }
    let mut canaries: Vec<Canary> = read(&to.join("canaries.json")).unwrap_or_default();
    let more: Vec<Canary> = read(&from.join("canaries.json")).unwrap_or_default();
    canaries.extend(more.into_iter().filter(|canary| !canaries.contains(canary)).collect::<Vec<_>>());
    write(&to.join("canaries.json"), &canaries)?;
    write(&to.join("night.json"), &joined)
}
