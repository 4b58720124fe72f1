//! Folders for data and logs that go when the work is over, and when a controller was killed, before the next one begins.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rafture_nemesis::clean;

use crate::error::Error;

/// How the name of a folder begins; the controller follows, as `pid-starttime`.
const PREFIX: &str = ".rafture-tune-";

/// A folder that goes with this.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// A folder of this controller in another one. Whatever a controller has left that is dead is removed, its nodes among it.
    ///
    /// # Errors
    /// When there is no such folder, or nothing can be made in it.
    pub(super) fn within(folder: &Path) -> Result<Scratch, Error> {
        let unusable = |error: io::Error| Error::Input(format!("cannot use `{}`: {error}", folder.display()));
        let folder = &folder.canonicalize().map_err(unusable)?;
        let scratch = Scratch::at(folder.join(name(&clean::controller()))).map_err(unusable)?;
        // There are no runs in there; but nodes of the dead write no more then.
        clean::clean(&scratch.0)
            .map_err(|error| Error::Harness(format!("cannot clean up after a former run: {error}")))?;
        for entry in fs::read_dir(folder).map_err(unusable)?.flatten() {
            if is_left(&entry.file_name().to_string_lossy()) {
                // What cannot be removed does no harm.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        Ok(scratch)
    }

    /// This folder, which is made.
    ///
    /// # Errors
    /// When it cannot be.
    pub(super) fn at(folder: PathBuf) -> io::Result<Scratch> {
        fs::create_dir_all(&folder)?;
        Ok(Scratch(folder))
    }

    /// The place of one of many things in there.
    pub(super) fn join(&self, number: usize) -> PathBuf {
        self.0.join(number.to_string())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The name of a controller's folder.
fn name(controller: &str) -> String {
    format!("{PREFIX}{}", controller.replace(':', "-"))
}

/// Whether a folder of this name was left by a controller that is dead.
fn is_left(name: &str) -> bool {
    let controller = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
    controller.is_some_and(|(process, start)| !clean::is_alive(&format!("{process}:{start}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_go_at_the_end_and_those_of_the_dead_at_the_beginning() {
        let folder = tempfile::tempdir().expect("a folder");
        let of_the_dead = folder.path().join(name("1:0"));
        let of_others = folder.path().join("data");
        for path in [&of_the_dead, &of_others] {
            fs::create_dir(path).expect("room");
        }
        let scratch = Scratch::within(folder.path()).expect("a folder");
        let own = scratch.0.clone();
        assert!(own.is_dir() && of_others.is_dir() && !of_the_dead.exists());
        assert!(!is_left(&own.file_name().expect("it has one").to_string_lossy()));
        drop(scratch);
        assert!(!own.exists());
    }
}
