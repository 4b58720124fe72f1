//! The run store: one folder per run, and links to the latest.
//!
//! ```text
//! runs/latest                        → register/20260724T091502-7
//! runs/register/latest               → 20260724T091502-7
//! runs/register/20260724T091502-7/   one run
//! ```
//!
//! It knows names and atomic writes, not what is in the files.

mod run_folder;
mod timestamp;

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub(crate) use run_folder::MARKS;
pub use run_folder::{RunFolder, replace};
pub use timestamp::UtcTime;

use crate::fault::LedgerError;

/// A folder that holds runs.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
}

/// What can go wrong with stored runs. Every message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be created or written.
    #[error("cannot write the store `{}`: {source} (hint: choose another folder with `--store`)", path.display())]
    NotWritable {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A name that would not be one folder, or that hides the links.
    #[error("`{name}` cannot name a run (hint: use letters, digits, `-`, `_` and `.`, and not `latest`)")]
    BadName {
        /// What was asked for.
        name: String,
    },
    /// A path that should be a stored run.
    #[error("`{}` is not a stored run: {why} (hint: give a folder such as `runs/latest`)", path.display())]
    NotARun {
        /// What was asked for.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file of a run cannot be read.
    #[error("cannot read `{}`: {source} (hint: was the run cut short?)", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of a run cannot be written.
    #[error("cannot write `{}`: {source} (hint: is the disk full?)", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `results.json` is not what this version writes.
    #[error("cannot understand `{}`: {source} (hint: it may be from another version)", path.display())]
    Results {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// `faults.jsonl` is damaged.
    #[error("cannot understand `{}`: {source}", path.display())]
    Ledger {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: LedgerError,
    },
}

impl Store {
    /// Opens the store at `path`, creates the folder if need be, and makes sure that it can be written: a run
    /// should not fail at its end for that.
    pub fn open(path: impl AsRef<Path>) -> Result<Store, StoreError> {
        let path = path.as_ref().to_path_buf();
        std::fs::create_dir_all(&path)
            .and_then(|()| tempfile::tempfile_in(&path))
            .map_err(|source| StoreError::NotWritable { path: path.clone(), source })?;
        Ok(Store { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder of a new run and points both `latest` links at it.
    ///
    /// Two runs with one name, second and seed get folders of their own: the later one ends in `-2`, `-3`, …
    pub fn create_run(&self, name: &str, seed: u64, started: SystemTime) -> Result<RunFolder, StoreError> {
        check_name(name)?;
        let parent = self.path.join(name);
        let stamp = UtcTime::from(started).compact();
        let folder = create_unique(&parent, &format!("{stamp}-{seed}"))
            .map_err(|source| StoreError::NotWritable { path: parent.clone(), source })?;
        point(&parent.join("latest"), Path::new(&folder))?;
        point(&self.path.join("latest"), &Path::new(name).join(&folder))?;
        Ok(RunFolder::at(parent.join(folder)))
    }

    /// The folder of all tunings, which is made if need be.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn tunings(&self) -> Result<PathBuf, StoreError> {
        let path = self.path.join(TUNINGS);
        match std::fs::create_dir_all(&path) {
            Ok(()) => Ok(path),
            Err(source) => Err(StoreError::NotWritable { path, source }),
        }
    }

    /// Makes a folder for a tuning.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn create_tuning(&self, seed: u64, started: SystemTime) -> Result<PathBuf, StoreError> {
        let parent = self.path.join(TUNINGS);
        let stamp = UtcTime::from(started).compact();
        let folder = create_unique(&parent, &format!("{stamp}-{seed}"))
            .map_err(|source| StoreError::NotWritable { path: parent.clone(), source })?;
        point(&parent.join("latest"), Path::new(&folder))?;
        Ok(parent.join(folder))
    }
}

/// The folder of a store that tunings are in; no run can be called so.
pub const TUNINGS: &str = "tunings";

/// Whether runs can be stored under a name.
///
/// # Errors
/// When it would not be one folder, or hides the links.
pub fn check_name(name: &str) -> Result<(), StoreError> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let bad = name.is_empty()
        || name.starts_with('.')
        || name == "latest"
        || name == TUNINGS
        || !name.chars().all(plain);
    if bad {
        return Err(StoreError::BadName { name: name.to_owned() });
    }
    Ok(())
}

/// Creates `parent/wanted`, or `parent/wanted-2` and so on if that is taken; tells which.
fn create_unique(parent: &Path, wanted: &str) -> io::Result<String> {
    std::fs::create_dir_all(parent)?;
    let mut folder = wanted.to_owned();
    for number in 2.. {
        match std::fs::create_dir(parent.join(&folder)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                folder = format!("{wanted}-{number}");
            }
            done => return done.map(|()| folder),
        }
    }
    unreachable!("an endless range ended");
}

/// Makes `link` point at `target`, in one step for whoever follows it meanwhile: a new link is renamed over the old.
fn point(link: &Path, target: &Path) -> Result<(), StoreError> {
    let parent = link.parent().expect("a link inside the store");
    tempfile::Builder::new()
        .prefix(".latest-")
        .make_in(parent, |path| std::os::unix::fs::symlink(target, path))
        .and_then(|new| new.into_temp_path().persist(link).map_err(io::Error::from))
        .map_err(|source| StoreError::Write { path: link.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn noon() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_784_894_400)
    }

    #[test]
    fn two_runs_in_one_second_with_one_seed_do_not_collide() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let store = Store::open(folder.path().join("runs")).expect("a store");
        let first = store.create_run("register", 7, noon()).expect("a run");
        let second = store.create_run("register", 7, noon()).expect("a run");
        assert_eq!(first.name(), "20260724T120000-7");
        assert_eq!(second.name(), "20260724T120000-7-2");
    }

    #[test]
    fn both_links_follow_the_latest_run_and_survive_a_move_of_the_store() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let store = Store::open(folder.path().join("runs")).expect("a store");
        for seed in [1, 2] {
            let run = store.create_run("register", seed, noon()).expect("a run");
            run.write_atomic("plan.json", b"{}").expect("a plan");
        }
        let moved = folder.path().join("moved");
        std::fs::rename(store.path(), &moved).expect("a move");
        for link in ["latest", "register/latest"] {
            let run = RunFolder::open(moved.join(link)).expect("a run behind the link");
            assert_eq!(run.name(), "20260724T120000-2");
        }
    }

    #[test]
    fn a_store_that_cannot_be_written_is_one_line() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("a file");
        let error = Store::open(file.join("runs")).expect_err("a file is no folder").to_string();
        assert!(error.starts_with("cannot write the store `"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn names_that_would_leave_the_store_are_refused() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let store = Store::open(folder.path()).expect("a store");
        for name in ["", "..", "a/b", "latest", ".hidden", "two words"] {
            let error = store.create_run(name, 1, noon()).expect_err(name);
            assert!(matches!(error, StoreError::BadName { .. }), "{name}: {error}");
        }
    }
}
