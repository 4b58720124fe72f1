//! A night on disk: which there are, what of it is done, and how it goes on after whatever interrupted it.
//!
//! ```text
//! runs/nightly/nights/20261126T020000/
//!   night.json            which runs it has, how much time it has taken
//!   cells/17.json         one run that is over
//!   canaries.json         planted bugs that were looked for
//!   logs/17.log           what a run said, if it failed
//!   night.html summary.json summary.md junit.xml
//! ```
//!
//! The one idea: a run carries its night and its cell as labels, so a run that is over counts even if nobody was left to write that
//! down, and one that is not is taken away and made again. Nothing is lost, and nothing is there twice.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use nix::fcntl::{Flock, FlockArg};
use rafture_checker::verdict::Verdict;
use rafture_nemesis::clean;
use rafture_reports::campaign::{Canary, Entry, Former, Night};
use rafture_reports::junit;
use rafture_reports::store::{RunFolder, UtcTime, replace};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::file::{Campaign, Cell, Keep, mixed};
use crate::error::Error;
use crate::run::Plan;

/// Labels that runs of a campaign carry.
pub(super) const CAMPAIGN: &str = "campaign";
pub(super) const NIGHT: &str = "night";
pub(super) const CELL: &str = "cell";
/// In place of a cell's number.
pub(super) const CANARY: &str = "canary";

/// How long a run takes to end whose campaign was killed.
const PATIENCE: Duration = Duration::from_secs(10);
/// What nodes and clients have written of a run.
const WRITTEN: [&str; 2] = ["nodes", "history.jsonl"];
/// What people look at.
const PAGES: [&str; 5] = ["report.html", "plots", "summary.md", "junit.xml", "faults.jsonl"];

/// A part of a night: number `number` of `of`, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shard {
    pub(super) number: usize,
    pub(super) of: usize,
}

/// `night.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) night: String,
    /// The file as it was when the night began.
    pub(super) file: String,
    /// How many runs the whole matrix has.
    pub(super) cells: usize,
    pub(super) shards: Vec<Shard>,
    /// UTC.
    pub(super) started_at: String,
    /// Time that was spent on it so far.
    pub(super) spent_s: f64,
    /// It does not go on.
    pub(super) ended: bool,
    /// Why not everything ran.
    pub(super) stopped: Option<String>,
}

/// A night that is going on.
#[derive(Debug)]
pub(super) struct NightFolder {
    path: PathBuf,
    /// Folder of all runs.
    store: PathBuf,
    pub(super) record: Record,
    /// Nobody else goes on with it meanwhile.
    _lock: Flock<File>,
}

impl Shard {
    /// All of it.
    pub(super) const WHOLE: Shard = Shard { number: 1, of: 1 };

    /// Whether a run falls to it.
    pub(super) fn has(self, cell: usize) -> bool {
        cell % self.of == self.number - 1
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let parts =
            text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        parts
            .filter(|(number, of)| (1..=*of).contains(number))
            .map(|(number, of)| Shard { number, of })
            .ok_or_else(|| format!("`{text}` is no shard (hint: 1/4 is the first of four)"))
    }
}

impl NightFolder {
    /// Goes on with the last night of the campaign, or begins another one if that has ended.
    ///
    /// # Errors
    /// When somebody else is at it, its file has changed meanwhile, or it cannot be written.
    pub(super) fn open(
        store: &Path,
        campaign: &Campaign,
        shard: Shard,
        asked: Option<&str>,
    ) -> Result<NightFolder, Error> {
        let nights = store.join(&campaign.name).join("nights");
        let now = UtcTime::from(SystemTime::now());
        // Shards of one night need a name for it that they do not have to agree on.
        let fresh = if shard == Shard::WHOLE { now.compact() } else { now.compact()[..8].to_owned() };
        // One that was begun with another file, or as another part, is not what is asked for now.
        let goes_on =
            |record: &Record| !record.ended && record.file == campaign.text && record.shards == [shard];
        let last = records(&nights).into_iter().rfind(goes_on).map(|record| record.night);
        let night = asked.map(str::to_owned).or(last).unwrap_or(fresh);
        rafture_reports::store::check_name(&night).map_err(Error::input)?;
        let path = nights.join(&night);
        fs::create_dir_all(path.join("cells"))
            .and_then(|()| fs::create_dir_all(path.join("logs")))
            .map_err(|error| Error::Input(format!("cannot write the night `{}`: {error}", path.display())))?;
        let lock = File::create(path.join("lock")).map_err(Error::harness)?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|_| {
            Error::Input(format!(
                "another campaign is at the night `{}` (hint: --night NAME)",
                path.display()
            ))
        })?;
        let record = match read::<Record>(&path.join("night.json")) {
            Ok(record) if record.file == campaign.text && record.shards == [shard] => record,
            Ok(_) => {
                return Err(Error::Input(format!(
                    "the night `{}` was begun with another file or shard (hint: --night NAME begins another one)",
                    path.display()
                )));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::Input(format!(
                    "cannot understand `{}`: {error} (hint: --night NAME begins another one)",
                    path.join("night.json").display()
                )));
            }
            Err(_) => Record {
                name: campaign.name.clone(),
                night,
                file: campaign.text.clone(),
                cells: campaign.cells(0).len(),
                shards: vec![shard],
                started_at: now.to_string(),
                spent_s: 0.0,
                ended: false,
                stopped: None,
            },
        };
        let folder = NightFolder { path, store: store.to_owned(), record, _lock: lock };
        folder.save()?;
        Ok(folder)
    }

    /// What decides the seeds of this night.
    pub(super) fn seed(&self, campaign: &Campaign) -> u64 {
        let text = format!("{} {}", self.record.name, self.record.night);
        campaign.seed.unwrap_or_else(|| text.bytes().fold(0, |hash, byte| mixed(hash ^ u64::from(byte))))
    }

    /// Writes down how far it is.
    pub(super) fn save(&self) -> Result<(), Error> {
        write(&self.path.join("night.json"), &self.record)
    }

    /// Where what a run says is kept.
    pub(super) fn log(&self, what: &str) -> PathBuf {
        self.path.join("logs").join(format!("{what}.log"))
    }

    /// A run is over.
    pub(super) fn put(&self, entry: &Entry) -> Result<(), Error> {
        write(&self.path.join(format!("cells/{}.json", entry.cell)), entry)
    }

    /// Runs that are over, in order of the matrix.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, Error> {
        entries(&self.path)
    }

    pub(super) fn canaries(&self) -> Vec<Canary> {
        // Nobody has looked yet if there is none.
        read(&self.path.join("canaries.json")).unwrap_or_default()
    }

    pub(super) fn put_canaries(&self, canaries: &[Canary]) -> Result<(), Error> {
        write(&self.path.join("canaries.json"), &canaries)
    }

    /// Runs of this night that somebody has begun and not written down: those that are whole count, the others go.
    pub(super) fn adopt(&self, cells: &[Cell], keep: Keep) -> Result<usize, Error> {
        let done: Vec<usize> = self.entries()?.iter().map(|entry| entry.cell).collect();
        let mut adopted = 0;
        // Names of runs begin with their time; those of former nights need not be read.
        let began: String =
            self.record.started_at.chars().filter(|c| c.is_ascii_digit() || *c == 'T').collect();
        for name in names(&self.store.join(&self.record.name)).into_iter().filter(|name| *name >= began) {
            let Ok(folder) = RunFolder::open(self.store.join(&self.record.name).join(&name)) else {
                continue;
            };
            let plan =
                folder.read("plan.json").ok().and_then(|text| serde_json::from_str::<Plan>(&text).ok());
            let Some(plan) = plan.filter(|plan| plan.labels.get(NIGHT) == Some(&self.record.night)) else {
                continue;
            };
            // Nobody else makes runs of this night now: it is about to end, as whoever began it has.
            wait_for_end(&plan.controller)?;
            let is_whole = folder.path().join("results.json").exists();
            // A canary counts only with all of its tries, which begin anew.
            let is_canary =
                plan.labels.get(CELL).is_some_and(|cell| cell == CANARY) && self.canaries().is_empty();
            if !is_whole || is_canary {
                fs::remove_dir_all(folder.path()).map_err(Error::harness)?;
                continue;
            }
            let cell = plan.labels.get(CELL).and_then(|cell| cell.parse::<usize>().ok());
            let cell = cell.and_then(|cell| cells.get(cell)).filter(|cell| !done.contains(&cell.index));
            if let Some(cell) = cell {
                self.finish(cell, &folder, keep)?;
                adopted += 1;
            }
        }
        Ok(adopted)
    }

    /// A run has come to its end: it is written down, and what is not needed of it goes.
    pub(super) fn finish(&self, cell: &Cell, folder: &RunFolder, keep: Keep) -> Result<Entry, Error> {
        let results = folder.results().map_err(Error::harness)?;
        // A run that stopped before its first fault has none.
        let faults = folder.faults().unwrap_or_default();
        let entry = Entry::of(cell.index, cell.title.clone(), &results, &faults);
        self.put(&entry)?;
        if entry.verdict == Verdict::Valid {
            prune(folder.path(), keep).map_err(Error::harness)?;
        }
        Ok(entry)
    }

    /// All of it, with what has become of it.
    pub(super) fn night(&self) -> Result<Night, Error> {
        night(&self.path, &self.record)
    }

    /// Writes its summaries.
    pub(super) fn write_summaries(&self, night: &Night) -> Result<(), Error> {
        write_summaries(&self.path, night)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn wait_for_end(controller: &str) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    while clean::is_alive(controller) {
        if Instant::now() > deadline {
            return Err(Error::Harness(format!(
                "process {controller} makes a run of this night and does not end (hint: kill it)"
            )));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// What is stored of a night, as one thing.
pub(super) fn night(path: &Path, record: &Record) -> Result<Night, Error> {
    let share = (0..record.cells).filter(|cell| record.shards.iter().any(|shard| shard.has(*cell))).count();
    let entries = entries(path)?;
    Ok(Night {
        name: record.name.clone(),
        night: record.night.clone(),
        cells: record.cells,
        share,
        canaries: read(&path.join("canaries.json")).unwrap_or_default(),
        stopped: record.stopped.clone().filter(|_| entries.len() < share),
        before: former(path, record),
        entries,
    })
}

/// The last night before this one that has a summary.
fn former(path: &Path, record: &Record) -> Option<Former> {
    let nights = path.parent()?;
    let earlier = records(nights).into_iter().rev().filter(|other| other.started_at < record.started_at);
    let summary = |other: Record| read::<Night>(&nights.join(other.night).join("summary.json")).ok();
    earlier.filter_map(summary).map(|night| night.as_former()).next()
}

/// The nights that can be read, in the order in which they were begun: their names may be anything.
fn records(nights: &Path) -> Vec<Record> {
    let read = |name: String| read::<Record>(&nights.join(name).join("night.json")).ok();
    let mut records: Vec<Record> = names(nights).into_iter().filter_map(read).collect();
    records.sort_by(|a, b| a.started_at.cmp(&b.started_at).then_with(|| a.night.cmp(&b.night)));
    records
}

pub(super) fn write_summaries(path: &Path, night: &Night) -> Result<(), Error> {
    let put = |file: &str, text: &str| replace(&path.join(file), text.as_bytes()).map_err(Error::harness);
    put("summary.md", &rafture_reports::campaign::markdown(night))?;
    put("junit.xml", &junit::xml(&night.name, &cases(night)))?;
    // From a night's folder, three up is the store.
    let page = rafture_reports::campaign::html(night, &|run| format!("../../../{run}/report.html"));
    put("night.html", &page)?;
    write(&path.join("summary.json"), night)
}

fn cases(night: &Night) -> Vec<junit::Case> {
    let canary = |canary: &Canary| junit::Case {
        name: format!("canary {}", canary.defect),
        seconds: 0.0,
        verdict: if canary.is_found { Verdict::Valid } else { Verdict::Vacuous },
        reasons: vec![canary.sentence.clone()],
        command: canary.command.clone(),
    };
    let entry = |entry: &Entry| junit::Case {
        name: entry.title.clone(),
        seconds: entry.seconds,
        verdict: entry.verdict,
        reasons: vec![entry.sentence.clone()],
        command: entry.command.clone(),
    };
    night.canaries.iter().map(canary).chain(night.entries.iter().map(entry)).collect()
}

fn entries(path: &Path) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for name in names(&path.join("cells")).iter().filter(|name| name.ends_with(".json")) {
        let file = path.join("cells").join(name);
        let entry = read::<Entry>(&file)
            .map_err(|error| Error::Input(format!("cannot understand `{}`: {error}", file.display())))?;
        entries.push(entry);
    }
    entries.sort_by_key(|entry| entry.cell);
    Ok(entries)
}

/// Takes away what is not to be kept of a run that passed.
fn prune(run: &Path, keep: Keep) -> io::Result<()> {
    let gone: Vec<&str> = match keep {
        Keep::All => Vec::new(),
        Keep::Reports => WRITTEN.to_vec(),
        Keep::Results => WRITTEN.iter().chain(&PAGES).copied().collect(),
    };
    for name in gone {
        let path = run.join(name);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
    }
    Ok(())
}

/// Names in a folder, sorted; none if it is not there.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name != "latest")
        .collect();
    names.sort();
    names
}

pub(super) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

pub(super) fn write(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let mut text = serde_json::to_vec_pretty(value).expect("plain data");
    text.push(b'\n');
    replace(path, &text).map_err(|error| {
        Error::Harness(format!("cannot write `{}`: {error} (hint: is the disk full?)", path.display()))
    })
}

/// Labels of a run of this night.
pub(super) fn labels(
    campaign: &Campaign,
    record: &Record,
    cell: &str,
    more: &BTreeMap<String, String>,
) -> Vec<String> {
    let own = [(CAMPAIGN, record.name.as_str()), (NIGHT, record.night.as_str()), (CELL, cell)];
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    // What is said on the command line goes before what stands in the file.
    let all: BTreeMap<String, String> =
        campaign.labels.clone().into_iter().chain(more.clone()).chain(own).collect();
    all.into_iter().map(|(name, value)| format!("--label={name}={value}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::file;

    #[test]
    fn an_interrupted_night_goes_on_whatever_others_are_called() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("night.toml");
        let campaign = |text: &str| {
            fs::write(&file, text).expect("a file");
            file::read(&file).expect("a campaign")
        };
        let first = campaign("name = \"n\"");
        let open = |campaign: &Campaign, asked: Option<&str>| {
            NightFolder::open(folder.path(), campaign, Shard::WHOLE, asked).expect("a night")
        };
        let mut named = open(&first, Some("zulu"));
        named.record.ended = true;
        named.save().expect("a record");
        drop(named);
        let begun = open(&first, None).record.night.clone();
        assert_ne!(begun, "zulu", "that one has ended");
        assert_eq!(open(&first, None).record.night, begun);
        let held = open(&first, None);
        let error = NightFolder::open(folder.path(), &first, Shard::WHOLE, None).expect_err("it is taken");
        assert!(error.to_string().contains("another campaign is at the night"), "{error}");
        drop(held);
        let other = campaign("name = \"n\"\nseed = 1");
        let error =
            NightFolder::open(folder.path(), &other, Shard::WHOLE, Some(&begun)).expect_err("another file");
        assert!(error.to_string().contains("was begun with another file"), "{error}");
    }
}
