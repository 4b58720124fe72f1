//! What one judge answered, kept from run to run: a file of comma-separated values, a line for each history. It draws nothing and compares
//! nothing. The one idea: a history that was not asked about this time keeps the line that it had.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::Case;

const HEADER: &str = "series,x,verdict,seconds,mebibytes,engine,history";

/// The lines of one judge, each with the name of its history.
pub(super) struct Rows {
    path: PathBuf,
    rows: Vec<(String, String)>,
}

impl Rows {
    /// What there is so far; nothing if there is no such file.
    pub(super) fn open(path: PathBuf) -> Rows {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let row = |line: &str| Some((line.split('"').nth(1)?.to_owned(), line.to_owned()));
        Rows { path, rows: text.lines().skip(1).filter_map(row).collect() }
    }

    /// Puts the answer in the place of an earlier one. `None`: the judge was not asked any more, because it had given up before.
    pub(super) fn put(&mut self, case: &Case, answer: Option<&[String; 4]>) {
        let name = case.name();
        self.rows.retain(|(known, _)| *known != name);
        if let Some(answer) = answer {
            let line = format!("{},{},{},\"{name}\"", case.series, case.x, answer.join(","));
            self.rows.push((name, line));
        }
    }

    /// Writes the lines in the order of `names`; those of histories that are no more are dropped.
    pub(super) fn save(&self, names: &[String]) -> io::Result<()> {
        let lines = names.iter().filter_map(|name| self.rows.iter().find(|(known, _)| known == name));
        let lines: Vec<&str> = std::iter::once(HEADER).chain(lines.map(|(_, line)| line.as_str())).collect();
        fs::write(&self.path, lines.join("\n") + "\n")
    }
}
