//! Trials line by line: CSV for spreadsheets, JSON for scripts. A simulation has a million of them, so numbers are written as whole
//! thousandths, without the general formatting of floats.

use std::io::{self, Write};

use super::{Source, Timing, Trial, Tuning};

/// The first line of a CSV file. What was tried comes first, what came of it last; all times are in milliseconds, those of the trial
/// since the failure, and empty where the thing was not seen until patience ended.
pub(super) const HEADER: &str = "candidate,heartbeat_ms,timeout_low_ms,timeout_high_ms,source,failure,number,\
    detected_ms,new_leader_heard_ms,write_succeeded_ms,elections,split_votes\n";

/// The trials of one source as CSV.
pub(super) fn csv(out: &mut impl Write, tuning: &Tuning, trials: &[Trial], source: Source) -> io::Result<()> {
    out.write_all(HEADER.as_bytes())?;
    // Trials of one candidate come one after the other, mostly, so its columns are made once for all of them.
    let mut timing = (None, String::new());
    for trial in trials.iter().filter(|trial| trial.source == source) {
        if timing.0 != Some(trial.candidate) {
            timing = (Some(trial.candidate), timing_columns(tuning.timing_of(trial.candidate)));
        }
        row(out, trial, &timing.1)?;
    }
    Ok(())
}

fn timing_columns(timing: Option<Timing>) -> String {
    let Some(Timing { heartbeat_ms, election_timeout_ms: [low_ms, high_ms] }) = timing else {
        return ",,".to_owned();
    };
    format!("{heartbeat_ms:.3},{low_ms:.3},{high_ms:.3}")
}

fn row(out: &mut impl Write, trial: &Trial, timing: &str) -> io::Result<()> {
    let (source, failure) = (trial.source.name(), trial.failure.name());
    write!(out, "{},{timing},{source},{failure},{}", trial.candidate, trial.number)?;
    for ms in [trial.detected_ms, trial.heartbeat_ms, trial.write_ms] {
        out.write_all(b",")?;
        if let Some(ms) = ms {
            milliseconds(out, ms)?;
        }
    }
    writeln!(out, ",{},{}", trial.elections, trial.split_votes)
}

/// With three decimals.
fn milliseconds(out: &mut impl Write, ms: f64) -> io::Result<()> {
    let us = (ms * 1e3).round();
    if !(0.0..1e15).contains(&us) {
        return write!(out, "{ms:.3}");
    }
    let us = us as u64;
    write!(out, "{}.{:03}", us / 1_000, us % 1_000)
}

/// The trials of one source as JSON, one a line, in the words of the record.
pub(super) fn json_lines(out: &mut impl Write, trials: &[Trial], source: Source) -> io::Result<()> {
    for trial in trials.iter().filter(|trial| trial.source == source) {
        serde_json::to_writer(&mut *out, trial)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_time_that_was_not_seen_is_empty_and_a_stranger_has_no_timing() {
        let tuning = sample::tuning(1);
        let seen = Trial { candidate: 0, ..sample::trials(&tuning, Source::Real)[0] };
        let trial =
            Trial { detected_ms: Some(0.000_4), heartbeat_ms: Some(153.062_7), write_ms: None, ..seen };
        let mut text = Vec::new();
        csv(&mut text, &tuning, &[trial, Trial { candidate: 99, ..trial }], Source::Real).expect("written");
        let text = String::from_utf8(text).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!(lines[1], "0,50.000,150.000,300.000,real,kill,0,0.000,153.063,,1,0");
        assert_eq!(lines[2], "99,,,,real,kill,0,0.000,153.063,,1,0");
        let columns = |line: &str| line.split(',').count();
        assert!(lines.iter().all(|line| columns(line) == columns(HEADER)), "{text}");
    }

    #[test]
    fn lines_of_json_are_the_trials_again() {
        let tuning = sample::tuning(1);
        let trials = sample::trials(&tuning, Source::Real);
        let mut text = Vec::new();
        json_lines(&mut text, &trials, Source::Real).expect("written");
        let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let read: Vec<Trial> = lines.map(|line| serde_json::from_slice(line).expect("a trial")).collect();
        assert_eq!(read, trials);
    }
}
