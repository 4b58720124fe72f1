//! How long checks take and how much memory they need: the command behind the figures in `docs/checking.md`.
//!
//! `cargo bench -p rafture-checker --bench checking -- [FILTER] [--growth] [--csv] [--time-limit SECONDS] [--with NAME=COMMAND]…` judges
//! generated histories (`cases`); `--logs FOLDER` recorded ones of etcd instead. It is no micro-benchmark: every check is one whole
//! question, asked in a process of its own, so that its peak memory is its own too. The one idea: a judge is any command that reads a
//! history from its standard input and answers in one line, and so other checkers can be asked the same in the same run.
//!
//! A judge is called as `COMMAND MODEL SECONDS` and answers `VERDICT SECONDS MEBIBYTES [ENGINE]`; or as `COMMAND logs FOLDER PASSES` and
//! answers a line `FILE VERDICT MICROSECONDS` for each log, the median of its passes.

mod cases;
mod judge;
mod logs;

#[path = "../../tests/generator/mod.rs"]
mod generator;

use std::io::{self, BufWriter, Write};
use std::process::{Command, Stdio};

use cases::Case;

/// What was asked for on the command line.
struct Wanted {
    filter: String,
    is_growth: bool,
    is_csv: bool,
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
    let mut judges =
        vec![Judge { name: "rafture".to_owned(), command: format!("'{}' judge", ourselves.display()) }];
    for (at, word) in words.iter().enumerate() {
        if word == "--with" {
            let (name, command) = words[at + 1].split_once('=').expect("NAME=COMMAND");
            judges.push(Judge { name: name.to_owned(), command: command.to_owned() });
        }
    }
    if let Some(folder) = word("--logs") {
        return logs::compare(folder, &judges);
    }
    let has = |name: &str| words.iter().any(|word| word == name);
    compare(&Wanted {
        filter: words.first().filter(|word| !word.starts_with("--")).cloned().unwrap_or_default(),
        is_growth: has("--growth"),
        is_csv: has("--csv"),
        time_limit: word("--time-limit").map_or(60, |word| word.parse().expect("seconds")),
        judges,
    })
}

fn compare(wanted: &Wanted) -> io::Result<()> {
    let all = if wanted.is_growth { cases::growth() } else { cases::figures() };
    match wanted.is_csv {
        true => println!("checker,series,x,verdict,seconds,mebibytes"),
        false => {
            println!("{:<52} {:<16} {:<8} {:>9} {:>9}  engine", "history", "checker", "verdict", "s", "MiB")
        }
    }
    // One that gave up on a case of a series is not asked for the greater ones.
    let mut given_up: Vec<(String, String)> = Vec::new();
    for case in all.iter().filter(|case| case.name().contains(&wanted.filter)) {
        let mut history: Option<Vec<u8>> = None;
        for judge in &wanted.judges {
            let series = (judge.name.clone(), case.series.to_owned());
            if wanted.is_growth && given_up.contains(&series) {
                continue;
            }
            let history = history.get_or_insert_with(|| case.history());
            let answer = ask(judge, case, wanted.time_limit, history)?;
            let [verdict, seconds, mebibytes, engine] = std::array::from_fn(|at| {
                answer.split_whitespace().nth(at).unwrap_or(if at == 0 { "unknown" } else { "-" })
            });
            if verdict == "unknown" {
                given_up.push(series);
            }
            let name = case.name();
            match wanted.is_csv {
                true => println!("{},{},{},{verdict},{seconds},{mebibytes}", judge.name, case.series, case.x),
                false => {
                    println!(
                        "{name:<52} {:<16} {verdict:<8} {seconds:>9} {mebibytes:>9}  {engine}",
                        judge.name
                    );
                }
            }
        }
    }
    Ok(())
}

/// The judge's line; empty if it died without one.
fn ask(judge: &Judge, case: &Case, time_limit: u64, history: &[u8]) -> io::Result<String> {
    let command = format!("{} {} {time_limit}", judge.command, case.shape.model);
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
    Ok(String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned())
}
