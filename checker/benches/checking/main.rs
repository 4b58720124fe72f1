//! How long checks take and how much memory they need: the command behind the figures in `docs/checking.md`.
//!
//! `cargo bench -p rafture-checker --bench checking -- [FILTER] [--growth] [--into FOLDER] [--time-limit SECONDS] [--with NAME=COMMAND]…
//! [--only-others]` judges generated histories (`cases`); `--logs FOLDER` recorded ones of etcd instead. It is no micro-benchmark: every check
//! is one whole question, asked in a process of its own, so that its peak memory is its own too. The one idea: a judge is any command that
//! reads a history from its standard input and answers in one line, and so other checkers can be asked the same in the same run.
//!
//! A judge is called as `COMMAND MODEL SECONDS` and answers `VERDICT SECONDS MEBIBYTES [ENGINE]`, or `none` where it does not have the
//! model; or as `COMMAND logs FOLDER PASSES` and answers a line `FILE VERDICT MICROSECONDS FIRST` for each log: the median of its passes,
//! and the first of them. With `--into`, what each judge answered is kept in a file of its own (`rows`), so that one of them can be asked
//! again without the others. Cargo starts a benchmark in the folder of its package, so folders are better named in full.

mod cases;
mod judge;
mod logs;
mod rows;

#[path = "../../tests/database/mod.rs"]
mod database;
#[path = "../../tests/generator/mod.rs"]
mod generator;

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use cases::Case;
use rows::Rows;

/// What was asked for on the command line.
struct Wanted {
    filter: String,
    is_growth: bool,
    into: Option<PathBuf>,
    time_limit: u64,
    judges: Vec<Judge>,
}

/// Who is asked, and how it is started; a shell takes the command apart.
struct Judge {
    name: String,
    command: String,
}

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let word = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1));
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["judge", "logs", folder, passes] => return logs::answer(folder, passes.parse().expect("a number")),
        ["judge", model, seconds] => return judge::answer(model, seconds.parse().expect("a number")),
        _ => {}
    }
    let ourselves = std::env::current_exe()?;
    let has = |name: &str| words.iter().any(|word| word == name);
    let mut judges = Vec::new();
    if !has("--only-others") {
        judges
            .push(Judge { name: "rafture".to_owned(), command: format!("'{}' judge", ourselves.display()) });
    }
    for (at, word) in words.iter().enumerate() {
        if word == "--with" {
            let (name, command) = words[at + 1].split_once('=').expect("NAME=COMMAND");
            judges.push(Judge { name: name.to_owned(), command: command.to_owned() });
        }
    }
    if let Some(folder) = word("--logs") {
        return logs::compare(folder, &judges);
    }
    compare(&Wanted {
        filter: words.first().filter(|word| !word.starts_with("--")).cloned().unwrap_or_default(),
        is_growth: has("--growth"),
        into: word("--into").map(PathBuf::from),
        time_limit: word("--time-limit").map_or(60, |word| word.parse().expect("seconds")),
        judges,
    })
}

fn compare(wanted: &Wanted) -> io::Result<()> {
    let all = if wanted.is_growth { cases::growth() } else { cases::figures() };
    let names: Vec<String> = all.iter().map(Case::name).collect();
    println!("{:<56} {:<16} {:<8} {:>9} {:>9}  engine", "history", "checker", "verdict", "s", "MiB");
    let kind = if wanted.is_growth { "growth" } else { "figures" };
    let open = |judge: &Judge| {
        let folder = wanted.into.as_ref()?;
        Some(Rows::open(folder.join(format!("{kind}-{}.csv", judge.name))))
    };
    let mut kept: Vec<Option<Rows>> = wanted.judges.iter().map(open).collect();
    // One that gave up on a case of a series is not asked for the greater ones.
    let mut given_up: Vec<(&str, &str)> = Vec::new();
    for (case, name) in all.iter().zip(&names).filter(|(_, name)| name.contains(&wanted.filter)) {
        let mut history: Option<Vec<u8>> = None;
        for (judge, kept) in wanted.judges.iter().zip(&mut kept) {
            let series = (judge.name.as_str(), case.series);
            let answer = if wanted.is_growth && given_up.contains(&series) {
                None
            } else {
                let history = history.get_or_insert_with(|| case.history());
                Some(ask(judge, case, wanted.time_limit, history)?)
            };
            if let Some(kept) = kept {
                kept.put(case, answer.as_ref().filter(|answer| answer[0] != "none"));
                kept.save(&names)?;
            }
            let Some(answer) = answer else { continue };
            let [verdict, seconds, mebibytes, engine] = &answer;
            if matches!(verdict.as_str(), "unknown" | "none") {
                given_up.push(series);
            }
            println!("{name:<56} {:<16} {verdict:<8} {seconds:>9} {mebibytes:>9}  {engine}", judge.name);
        }
    }
    Ok(())
}

/// Verdict, seconds, mebibytes and engine; `unknown` if the judge died without a word.
fn ask(judge: &Judge, case: &Case, time_limit: u64, history: &[u8]) -> io::Result<[String; 4]> {
    let command = format!("{} {} {time_limit}", judge.command, case.model());
    let mut child = Command::new("sh")
        .args(["-c", &command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut input = BufWriter::new(child.stdin.take().expect("it is piped"));
    // One that dies early closes its end; then its answer says all.
    let _ = input.write_all(history).and_then(|()| input.flush());
    drop(input);
    let output = child.wait_with_output()?;
    let output = String::from_utf8_lossy(&output.stdout);
    let mut words = output.lines().last().unwrap_or_default().split_whitespace();
    Ok(["unknown", "-", "-", "-"].map(|default| words.next().unwrap_or(default).to_owned()))
}
