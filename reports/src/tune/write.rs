//! The files of a tuning, in one call.
//!
//! Everything is made before anything is written, each file replaces its predecessor whole, and `report.html` comes last: where it
//! stands, the rest stands too.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Source, Trial, Tuning, markdown, page, plot, rows};
use crate::plot::Plot;
use crate::store::{StoreError, replace};
use crate::write::ReportError;

/// The record.
pub(crate) const RECORD: &str = "tune.json";
const SIMULATED: &str = "simulated.csv.gz";

/// Writes `tune.json`, `trials.csv` and `trials.jsonl` (the real ones), `simulated.csv.gz` if there are any, `plots/`, `summary.md` and
/// `report.html` into a folder, which is made if need be.
///
/// # Errors
/// When a file cannot be written, or a picture cannot be drawn.
pub fn write(folder: &Path, tuning: &Tuning, trials: &[Trial]) -> Result<(), ReportError> {
    let mut record = serde_json::to_vec_pretty(tuning).expect("a record is plain data with text keys");
    record.push(b'\n');
    let plots = plot::draw(tuning, trials)?;
    let has_simulated = trials.iter().any(|trial| trial.source == Source::Simulated);
    let report = page::html(tuning, &plots, has_simulated);
    let put = |file: &str, bytes: &[u8]| {
        let path = folder.join(file);
        replace(&path, bytes).map_err(|source| StoreError::Write { path, source })
    };
    put(RECORD, &record)?;
    put("trials.csv", &made(|out| rows::csv(out, tuning, trials, Source::Real)))?;
    put("trials.jsonl", &made(|out| rows::json_lines(out, trials, Source::Real)))?;
    if has_simulated {
        put(SIMULATED, &made(|out| zipped(out, tuning, trials)))?;
    }
    remove_former(folder, &plots, has_simulated)?;
    for plot in &plots {
        put(&format!("plots/{}.svg", plot.name), plot.svg.as_bytes())?;
        put(&format!("plots/{}.png", plot.name), &plot.png)?;
    }
    put("summary.md", markdown::summary(tuning).as_bytes())?;
    put("report.html", report.as_bytes())?;
    Ok(())
}

fn made(make: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Vec<u8> {
    let mut bytes = Vec::new();
    make(&mut bytes).expect("memory takes everything");
    bytes
}

fn zipped(out: &mut Vec<u8>, tuning: &Tuning, trials: &[Trial]) -> io::Result<()> {
    // The encoder is dear to call, a row is short: so rows are gathered before it gets them.
    let mut gathered = io::BufWriter::with_capacity(1 << 16, GzEncoder::new(out, Compression::fast()));
    rows::csv(&mut gathered, tuning, trials, Source::Simulated)?;
    gathered.flush()?;
    gathered.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?;
    Ok(())
}

/// Removes what an earlier report of this folder had, and this one has not: only files by names of ours.
fn remove_former(folder: &Path, plots: &[Plot], has_simulated: bool) -> Result<(), StoreError> {
    let remove = |path: std::path::PathBuf| match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(StoreError::Write { path, source }),
        _ => Ok(()),
    };
    if !has_simulated {
        remove(folder.join(SIMULATED))?;
    }
    let entries = fs::read_dir(folder.join("plots")).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((stem, "svg" | "png")) = name.rsplit_once('.') else { continue };
        if plot::is_ours(stem) && !plots.iter().any(|plot| plot.name == stem) {
            remove(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;

    use super::super::sample;
    use super::*;

    fn written(tuning: &Tuning, trials: &[Trial]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), tuning, trials).expect("written");
        folder
    }

    fn read(folder: &tempfile::TempDir, file: &str) -> String {
        fs::read_to_string(folder.path().join(file)).expect(file)
    }

    fn both(tuning: &Tuning) -> Vec<Trial> {
        [Source::Real, Source::Simulated].map(|source| sample::trials(tuning, source)).concat()
    }

    /// What a spreadsheet sees: times of the fourth column from the end on, by candidate and failure.
    fn medians(csv: &str) -> BTreeMap<(String, String), Vec<f64>> {
        let mut writes: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
        for line in csv.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let key = (cells[0].to_owned(), cells[5].to_owned());
            writes.entry(key).or_default().extend(cells[9].parse::<f64>());
        }
        writes
    }

    #[test]
    fn the_record_and_every_trial_come_back() {
        let tuning = sample::tuning(3);
        let trials = both(&tuning);
        let folder = written(&tuning, &trials);
        let record: Tuning = serde_json::from_str(&read(&folder, RECORD)).expect("a record");
        assert_eq!(record, tuning);
        let mut zipped = String::new();
        let file = fs::File::open(folder.path().join(SIMULATED)).expect("simulated trials");
        flate2::read::GzDecoder::new(file).read_to_string(&mut zipped).expect("gzip");
        for (text, source) in [(read(&folder, "trials.csv"), Source::Real), (zipped, Source::Simulated)] {
            let of_source = trials.iter().filter(|trial| trial.source == source);
            assert_eq!(text.lines().count() - 1, of_source.count());
            let table = medians(&text);
            for (place, candidate) in tuning.candidates.iter().enumerate() {
                for (failure, elections) in candidate.elections(source) {
                    let writes = table[&(place.to_string(), failure.name().to_owned())].clone();
                    let told = super::super::Spread::of(writes).expect("some writes");
                    let kept = elections.write.as_ref().expect("a spread");
                    assert!(
                        (told.p50 - kept.p50).abs() < 1e-3,
                        "{place} {failure:?}: {} {}",
                        told.p50,
                        kept.p50
                    );
                }
            }
        }
        for plot in
            ["leader", "write", "frontier", "split-votes-range", "split-votes", "figure16", "study-loss-1"]
        {
            assert!(folder.path().join(format!("plots/{plot}.png")).is_file(), "{plot}");
            assert!(read(&folder, &format!("plots/{plot}.svg")).contains("<svg"), "{plot}");
        }
    }

    #[test]
    fn one_record_is_written_to_the_same_bytes() {
        let tuning = sample::tuning(2);
        let trials = both(&tuning);
        let [one, other] = [(); 2].map(|()| written(&tuning, &trials));
        for file in
            ["report.html", "summary.md", "trials.csv", "plots/write.svg", "plots/write.png", SIMULATED]
        {
            let bytes = |folder: &tempfile::TempDir| fs::read(folder.path().join(file)).expect(file);
            assert!(bytes(&one) == bytes(&other), "{file} differs");
        }
    }

    #[test]
    fn what_an_earlier_report_had_does_not_outlive_it_and_strange_files_do() {
        let tuning = sample::tuning(2);
        let folder = written(&tuning, &both(&tuning));
        fs::write(folder.path().join("plots/mine.png"), "mine").expect("a file");
        let bare = sample::bare();
        write(folder.path(), &bare, &[]).expect("written again");
        let left: Vec<String> = fs::read_dir(folder.path().join("plots"))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        assert_eq!(left, ["mine.png"]);
        assert!(!folder.path().join(SIMULATED).exists());
    }

    /// Only simulated, only real, and nothing ever seen: each has its files, and no column of what was not measured.
    #[test]
    fn whatever_is_missing_the_rest_is_written() {
        let full = sample::tuning(2);
        for missing in [Source::Real, Source::Simulated] {
            let mut tuning = full.clone();
            for candidate in &mut tuning.candidates {
                match missing {
                    Source::Real => candidate.real.clear(),
                    Source::Simulated => candidate.simulated.clear(),
                }
            }
            let folder = written(&tuning, &both(&tuning));
            let page = read(&folder, "report.html");
            assert!(!page.contains(&format!("{}: outage p50", missing.name())), "{missing:?}");
            assert!(page.contains("outage p50") && page.contains("Until a write succeeded"), "{missing:?}");
            assert_eq!(folder.path().join(SIMULATED).exists(), missing == Source::Real);
        }
        let mut never = full;
        for candidate in &mut never.candidates {
            for elections in candidate.real.values_mut().chain(candidate.simulated.values_mut()) {
                (elections.detected, elections.heartbeat, elections.write) = (None, None, None);
            }
            candidate.steady.clear();
        }
        (never.recommendation, never.target) = (None, None);
        let folder = written(&never, &[]);
        let page = read(&folder, "report.html");
        assert!(page.contains("<h1>Measured") && page.contains("All candidates"), "{page}");
        assert_eq!(read(&folder, "trials.csv"), rows::HEADER);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_one_line() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("file"), "").expect("a file");
        let error =
            write(&folder.path().join("file"), &sample::bare(), &[]).expect_err("a file is no folder");
        let error = error.to_string();
        assert!(error.starts_with("cannot write `") && !error.contains('\n'), "{error}");
    }
}
