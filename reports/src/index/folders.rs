//! What is on disk: the names and runs of a store, without links and hidden files.
//!
//! Links are left out because `latest` would count a run twice, and any other could lead out of the store.

use std::io;
use std::path::Path;

use crate::store;

/// The folders of the store. They may hold runs, or anything.
pub(super) fn names(store: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = subfolders(store)?.collect();
    names.sort();
    Ok(names)
}

/// The runs of `name`, as paths below the store. A folder that cannot be listed has none.
pub(super) fn runs<'a>(store: &'a Path, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let folders = subfolders(&store.join(name)).into_iter().flatten();
    folders.map(move |run| format!("{name}/{run}"))
}

/// Whether the folder has anything that only runs have.
pub(super) fn is_run(folder: &Path) -> bool {
    store::MARKS.iter().any(|mark| folder.join(mark).exists())
}

/// Names that are not UTF-8 are no names that the store gives.
fn subfolders(folder: &Path) -> io::Result<impl Iterator<Item = String> + use<>> {
    let entries = std::fs::read_dir(folder)?;
    Ok(entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let name = entry.file_name().into_string().ok()?;
        (!name.starts_with('.') && entry.file_type().ok()?.is_dir()).then_some(name)
    }))
}
