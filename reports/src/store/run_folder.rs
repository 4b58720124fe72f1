//! The folder of one run: atomic writes, and readers for what was stored.

use std::io;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::StoreError;
use crate::fault::{self, FaultSpan};
use crate::results::Results;

/// A run is what has at least one of these; the first is written before anything starts.
pub(crate) const MARKS: [&str; 3] = ["plan.json", "history.jsonl", "results.json"];

/// The folder of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Opens a stored run, by its folder or by a link such as `runs/latest`.
    pub fn open(path: impl AsRef<Path>) -> Result<RunFolder, StoreError> {
        let asked = path.as_ref();
        let not_a_run = |why: String| StoreError::NotARun { path: asked.to_path_buf(), why };
        let path = asked.canonicalize().map_err(|error| not_a_run(error.to_string()))?;
        if !path.is_dir() {
            return Err(not_a_run("it is not a folder".to_owned()));
        }
        if !MARKS.iter().any(|mark| path.join(mark).exists()) {
            return Err(not_a_run(format!("it has none of `{}`", MARKS.join("`, `"))));
        }
        Ok(RunFolder { path })
    }

    /// A folder that the store has just made.
    pub(super) fn at(path: PathBuf) -> RunFolder {
        RunFolder { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its last component: `20260724T091502-7`.
    pub fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Writes `file` (a path inside the run) so that a reader sees the old bytes or the new, never a part.
    pub fn write_atomic(&self, file: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path.join(file);
        replace(&path, bytes).map_err(|source| StoreError::Write { path, source })
    }

    /// Removes `file` if it is there.
    pub fn remove(&self, file: &str) -> Result<(), StoreError> {
        let path = self.path.join(file);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::Write { path, source })
            }
            _ => Ok(()),
        }
    }

    /// The text of `file`.
    pub fn read(&self, file: &str) -> Result<String, StoreError> {
        let path = self.path.join(file);
        std::fs::read_to_string(&path).map_err(|source| StoreError::Read { path, source })
    }

    /// `results.json`.
    pub fn results(&self) -> Result<Results, StoreError> {
        let text = self.read("results.json")?;
        serde_json::from_str(&text)
            .map_err(|source| StoreError::Results { path: self.path.join("results.json"), source })
    }

    /// The spans of `faults.jsonl`.
    pub fn faults(&self) -> Result<Vec<FaultSpan>, StoreError> {
        let text = self.read("faults.jsonl")?;
        fault::parse_ledger(&text)
            .map_err(|source| StoreError::Ledger { path: self.path.join("faults.jsonl"), source })
    }
}

/// Writes a file so that a reader sees the old bytes or the new, never a part; its folder is made if need be.
///
/// # Errors
/// When it cannot be written.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent)?;
    // Temp files are private by default; a report is for everyone whom the umask lets in.
    let mut file = tempfile::Builder::new()
        .prefix(".writing-")
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(parent)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_the_file_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let run = RunFolder::at(folder.path().to_path_buf());
        for text in ["first", "second"] {
            run.write_atomic("plots/latency.svg", text.as_bytes()).expect("a write");
        }
        assert_eq!(run.read("plots/latency.svg").expect("a read"), "second");
        let files = std::fs::read_dir(folder.path().join("plots")).expect("a folder").count();
        assert_eq!(files, 1);
    }

    #[test]
    fn a_folder_that_is_no_run_is_refused_with_a_reason() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let error = RunFolder::open(folder.path()).expect_err("an empty folder").to_string();
        assert!(error.contains("it has none of `plan.json`"), "{error}");
        let missing = RunFolder::open(folder.path().join("gone")).expect_err("nothing there");
        assert!(matches!(missing, StoreError::NotARun { .. }), "{missing}");
    }
}
