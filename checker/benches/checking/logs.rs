//! Recorded logs: every judge takes all of them several times in one process, so that starting it does not count.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::process::Command;
use std::time::Instant;

use rafture_checker::check::{Limits, Question, check};
use rafture_checker::history::Reader;
use rafture_checker::models::ModelKind;

use super::Judge;

const PASSES: usize = 7;

pub(super) fn answer(folder: &str, passes: usize) -> io::Result<()> {
    let mut files: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    for file in files.iter().filter(|file| file.path().extension().is_some_and(|end| end == "log")) {
        let mut reader = Reader::new(None);
        reader.feed(&fs::read(file.path())?).expect("a log");
        let history = reader.finish().expect("a log").history;
        let mut times = Vec::new();
        let mut verdict = None;
        for _ in 0..passes {
            let started = Instant::now();
            let outcome = check(&history, &Question::strongest(ModelKind::CasRegister), &Limits::NONE);
            times.push(started.elapsed().as_nanos() as f64 / 1000.0);
            verdict = Some(outcome.expect("the model fits").verdict);
        }
        times.sort_by(f64::total_cmp);
        let verdict = verdict.expect("one pass or more");
        println!("{} {verdict} {:.1}", file.file_name().display(), times[passes / 2]);
    }
    Ok(())
}

/// The slowest logs of each judge, and sums.
pub(super) fn compare(folder: &str, judges: &[Judge]) -> io::Result<()> {
    let mut table: BTreeMap<String, Vec<Option<(String, f64)>>> = BTreeMap::new();
    for (number, judge) in judges.iter().enumerate() {
        let command = format!("{} logs '{folder}' {PASSES}", judge.command);
        let output = Command::new("sh").args(["-c", &command]).output()?;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let &[file, verdict, microseconds] = &words[..] else { continue };
            let row = table.entry(file.to_owned()).or_insert_with(|| vec![None; judges.len()]);
            row[number] = microseconds.parse().ok().map(|time| (verdict.to_owned(), time));
        }
    }
    let time = |row: &[Option<(String, f64)>], number: usize| row[number].as_ref().map_or(0.0, |cell| cell.1);
    println!("milliseconds, median of {PASSES} passes; those that took somebody more than 1 ms");
    print_row("log", judges.iter().map(|judge| judge.name.clone()));
    for (file, row) in &table {
        let verdicts: Vec<&str> = row.iter().flatten().map(|cell| cell.0.as_str()).collect();
        if verdicts.iter().any(|&verdict| verdict != verdicts[0]) {
            println!("{file}: {verdicts:?}");
        }
        if (0..judges.len()).any(|number| time(row, number) > 1000.0) {
            print_row(file, (0..judges.len()).map(|number| format!("{:.3}", time(row, number) / 1000.0)));
        }
    }
    let sum = |number: usize| table.values().map(|row| time(row, number)).sum::<f64>() / 1000.0;
    print_row(&format!("all {}", table.len()), (0..judges.len()).map(|number| format!("{:.3}", sum(number))));
    // By how much the first judge is slower than another one, at worst.
    let behind = |number: usize| {
        let worst = table.values().map(|row| time(row, 0) - time(row, number)).fold(f64::MIN, f64::max);
        format!("{:.3}", worst / 1000.0)
    };
    print_row("rafture behind, at worst", (0..judges.len()).map(behind));
    Ok(())
}

fn print_row(name: &str, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.map(|cell| format!("{cell:>15}")).collect();
    println!("{name:<26}{}", cells.concat());
}
