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
        let text = fs::read(file.path())?;
        // One of the recordings is empty.
        if text.is_empty() {
            continue;
        }
        let mut reader = Reader::new(None);
        reader.feed(&text).expect("a log");
        let history = reader.finish().expect("a log").history;
        let mut times = Vec::new();
        let mut verdict = None;
        for _ in 0..passes {
            let started = Instant::now();
            let outcome = check(&history, &Question::strongest(ModelKind::CasRegister), &Limits::NONE);
            times.push(started.elapsed().as_nanos() as f64 / 1000.0);
            verdict = Some(outcome.expect("the model fits").verdict);
        }
        let first = times[0];
        times.sort_by(f64::total_cmp);
        let verdict = verdict.expect("one pass or more");
        println!("{} {verdict} {:.1} {first:.1}", file.file_name().display(), times[passes / 2]);
    }
    Ok(())
}

/// What a judge said of a log, and what it took in microseconds: the median of its passes, and the first.
struct Answer {
    verdict: String,
    median: f64,
    first: f64,
}

/// The slowest logs of each judge, and sums.
pub(super) fn compare(folder: &str, judges: &[Judge]) -> io::Result<()> {
    let mut table: BTreeMap<String, Vec<Option<Answer>>> = BTreeMap::new();
    for (number, judge) in judges.iter().enumerate() {
        let command = format!("{} logs '{folder}' {PASSES}", judge.command);
        let output = Command::new("sh").args(["-c", &command]).output()?;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let &[file, verdict, median, first] = &words[..] else { continue };
            let row = table.entry(file.to_owned()).or_insert_with(|| judges.iter().map(|_| None).collect());
            let (Ok(median), Ok(first)) = (median.parse(), first.parse()) else { continue };
            row[number] = Some(Answer { verdict: verdict.to_owned(), median, first });
        }
    }
    let numbers = 0..judges.len();
    let median =
        |row: &[Option<Answer>], number: usize| row[number].as_ref().map_or(0.0, |answer| answer.median);
    println!("milliseconds, median of {PASSES} passes; those that took somebody more than 1 ms");
    print_row("log", judges.iter().map(|judge| judge.name.clone()));
    for (file, row) in &table {
        let verdicts: Vec<&str> = row.iter().flatten().map(|answer| answer.verdict.as_str()).collect();
        if verdicts.iter().any(|&verdict| verdict != verdicts[0]) {
            println!("{file}: {verdicts:?}");
        }
        if numbers.clone().any(|number| median(row, number) > 1000.0) {
            print_row(file, numbers.clone().map(|number| milliseconds(median(row, number))));
        }
    }
    let sum = |number: usize| milliseconds(table.values().map(|row| median(row, number)).sum());
    print_row(&format!("all {}", table.len()), numbers.clone().map(sum));
    let first =
        |row: &[Option<Answer>], number: usize| row[number].as_ref().map_or(0.0, |answer| answer.first);
    let sum = |number: usize| milliseconds(table.values().map(|row| first(row, number)).sum());
    print_row("all, first pass", numbers.clone().map(sum));
    // By how much the first judge is slower than another one, at worst.
    let behind = |number: usize| {
        let worst = table.values().map(|row| median(row, 0) - median(row, number)).fold(f64::MIN, f64::max);
        milliseconds(worst)
    };
    print_row(&format!("{} behind, at worst", judges[0].name), numbers.map(behind));
    Ok(())
}

fn milliseconds(microseconds: f64) -> String {
    format!("{:.3}", microseconds / 1000.0)
}

fn print_row(name: &str, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.map(|cell| format!("{cell:>18}")).collect();
    println!("{name:<26}{}", cells.concat());
}
