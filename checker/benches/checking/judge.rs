//! This project's checker as a judge: one history from standard input, one line of answer.

use std::fs;
use std::io::{self, Read};
use std::thread;
use std::time::Duration;

use rafture_checker::check::{Limits, Question, check};
use rafture_checker::history::{History, Reader};
use rafture_checker::models::ModelKind;

pub(super) fn answer(model: &str, seconds: f64) -> io::Result<()> {
    let model: ModelKind = model.parse().expect("a model");
    let history = read(&mut io::stdin().lock())?;
    let before = exact_cpu_seconds();
    let out_of_time = || cpu_seconds() - before > seconds;
    let limits = Limits { out_of_time: &out_of_time, ..Limits::NONE };
    let outcome = check(&history, &Question::strongest(model), &limits).expect("the model fits");
    let spent = exact_cpu_seconds() - before;
    println!("{} {spent:.4} {} {}", outcome.verdict, peak_mebibytes(), outcome.engine);
    Ok(())
}

fn read(input: &mut impl Read) -> io::Result<History> {
    let mut reader = Reader::new(None);
    let mut piece = vec![0; 1 << 20];
    loop {
        match input.read(&mut piece)? {
            0 => break,
            length => reader.feed(&piece[..length]).expect("a history"),
        }
    }
    Ok(reader.finish().expect("a history").history)
}

/// Processor time of the main thread: other work on the machine does not count. The checks need no other thread.
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux has it");
    let nanoseconds: u64 = text.split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
    nanoseconds as f64 / 1e9
}

/// The same to the microsecond: Linux brings the number up to date only at a tick, milliseconds apart, and when the thread stops running.
fn exact_cpu_seconds() -> f64 {
    thread::sleep(Duration::from_nanos(1));
    cpu_seconds()
}

/// The most memory that the process ever had, the history and its reading included.
fn peak_mebibytes() -> u64 {
    let text = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let kibibytes: u64 = line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number");
    kibibytes / 1024
}
