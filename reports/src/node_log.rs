//! What the nodes themselves wrote: their logs and traces around a moment of the run, and the terms that they saw.
//!
//! Not a parser of anybody's log: a line is shown as it stands. Only its time is looked for, since lines of several nodes are
//! of use when they stand beside each other; where none can be read, the last lines are what there is. A trace is read for what
//! people ask of it (who stood for election, who led, who restarted), and never for what proves something: that is the checker's.

mod clock;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rafture_checker::trace::{Role, TraceBody, TraceEvent};

use crate::results::Results;
use clock::WallClock;

/// So many lines of a node are shown at most.
const LINES_MAX: usize = 40;

/// So many characters of a line.
const CHARACTERS_MAX: usize = 200;

/// How far around the moment lines are looked for.
const AROUND_NS: i64 = 3_000_000_000;

/// Of a log, only so much of its end is read.
const LOG_BYTES_MAX: u64 = 32 << 20;

/// So many nodes are asked.
const NODES_MAX: usize = 32;

/// What one node wrote around a moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NodeLog {
    /// The node.
    pub(crate) node: String,
    /// In order of time; those without one come last, as they stand in their file.
    pub(crate) lines: Vec<Line>,
    /// Whether lines were left out that are as near as the last one shown.
    pub(crate) is_cut: bool,
}

/// A line of a log, or an event of a trace.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// Nanoseconds since the start of the run, where the line tells a time.
    pub(crate) time_ns: Option<i64>,
    /// `trace`, `stderr`, `stdout`.
    pub(crate) source: &'static str,
    /// What it says, cut at [`CHARACTERS_MAX`].
    pub(crate) words: String,
}

/// A node came to know of a term that nobody had known of before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TermChange {
    /// Nanoseconds since the start of the run.
    pub(crate) time_ns: i64,
    /// The term.
    pub(crate) term: u64,
}

/// The nodes' logs around `moment_ns`.
pub(crate) fn around(folder: &Path, results: &Results, moment_ns: i64) -> Vec<NodeLog> {
    let clock = WallClock::of(results);
    let logs = nodes(folder).into_iter().map(|(node, place)| {
        let is_near = |time_ns: i64| (time_ns - moment_ns).abs() <= AROUND_NS;
        let mut timed: Vec<Line> = trace_events(&place)
            .filter_map(|event| trace_line(&event, results.clock_start_ns))
            .filter(|line| line.time_ns.is_some_and(is_near))
            .collect();
        let mut untimed = Vec::new();
        for (source, file) in [("stderr", "stderr.log"), ("stdout", "stdout.log")] {
            let (near, last) = log_lines(&place.join(file), source, &clock, is_near);
            timed.extend(near);
            untimed.extend(last);
        }
        nearest(node, timed, untimed, moment_ns)
    });
    logs.filter(|log| !log.lines.is_empty()).collect()
}

/// The last lines of the logs of these nodes, for a node that ended by itself.
pub(crate) fn last_lines(folder: &Path, wanted: &[String]) -> Vec<NodeLog> {
    let logs = nodes(folder).into_iter().filter(|(node, _)| wanted.contains(node)).map(|(node, place)| {
        let mut lines = Vec::new();
        for (source, file) in [("stdout", "stdout.log"), ("stderr", "stderr.log")] {
            lines.extend(log_lines(&place.join(file), source, &WallClock::NONE, |_| false).1);
        }
        nearest(node, Vec::new(), lines, 0)
    });
    logs.filter(|log| !log.lines.is_empty()).collect()
}

/// Each term that was reached, in order of time.
pub(crate) fn terms(folder: &Path, results: &Results) -> Vec<TermChange> {
    let mut seen: Vec<TermChange> = Vec::new();
    for (_, place) in nodes(folder) {
        let mut highest = 0;
        for event in trace_events(&place) {
            let TraceBody::Role { term, .. } = event.body else { continue };
            if term > highest {
                highest = term;
                seen.push(TermChange { time_ns: since(event.time, results.clock_start_ns), term });
            }
        }
    }
    seen.sort_by_key(|change| (change.time_ns, change.term));
    let mut highest = 0;
    seen.retain(|change| {
        let is_new = change.term > highest;
        highest = highest.max(change.term);
        is_new
    });
    seen
}

/// The folders of the nodes, by name: `n2` before `n10`.
fn nodes(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder.join("nodes")).into_iter().flatten().flatten();
    // What a link leads to may be anything.
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut nodes: Vec<(String, PathBuf)> =
        folders.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())).collect();
    nodes.sort_by_key(|(name, _)| (name.len(), name.clone()));
    nodes.truncate(NODES_MAX);
    nodes
}

/// The events of a node's trace without those that come with every operation.
fn trace_events(node: &Path) -> impl Iterator<Item = TraceEvent> {
    let mut file = open(&node.join("trace.jsonl")).map(BufReader::new);
    let mut line = Vec::new();
    std::iter::from_fn(move || {
        let file = file.as_mut()?;
        loop {
            line.clear();
            if file.read_until(b'\n', &mut line).ok()? == 0 {
                return None;
            }
            let is_frequent = ["append", "apply", "commit"].iter().any(|name| names(&line, name));
            if let Some(event) = (!is_frequent).then(|| serde_json::from_slice(&line).ok()).flatten() {
                return Some(event);
            }
        }
    })
}

/// Whether a trace's line is of this event: its name stands right behind the time, so that nothing needs to be parsed.
fn names(line: &[u8], event: &str) -> bool {
    let key = br#""event":""#;
    let head = &line[..line.len().min(64)];
    let behind = head.windows(key.len()).position(|window| window == key).map(|at| &head[at + key.len()..]);
    behind.is_some_and(|behind| behind.starts_with(event.as_bytes()))
}

fn trace_line(event: &TraceEvent, start_ns: u64) -> Option<Line> {
    let words = match &event.body {
        TraceBody::Start { term, last_index, .. } => {
            format!("started in term {term}, its log ends at {last_index}")
        }
        TraceBody::Save { term, vote: Some(vote) } => format!("voted for {vote} in term {term}"),
        TraceBody::Role { role: Role::Leader, term, .. } => format!("became leader of term {term}"),
        TraceBody::Role { role: Role::Candidate, term, .. } => format!("stood for election in term {term}"),
        TraceBody::Role { role: Role::PreCandidate, term, .. } => {
            format!("asked whether it could win an election, still in term {term}")
        }
        TraceBody::Role { role: Role::Follower, term, leader: Some(leader) } => {
            format!("follows {leader} in term {term}")
        }
        TraceBody::Role { role: Role::Follower, term, leader: None } => {
            format!("follows nobody in term {term}")
        }
        TraceBody::Install { index, .. } => format!("took a snapshot of another node up to {index}"),
        TraceBody::Configuration { voters, .. } => {
            format!("has a configuration with the voters {}", voters.join(" "))
        }
        TraceBody::Save { vote: None, .. }
        | TraceBody::Append { .. }
        | TraceBody::Commit { .. }
        | TraceBody::Apply { .. }
        | TraceBody::Restore { .. }
        | TraceBody::Snapshot { .. } => return None,
    };
    Some(Line { time_ns: Some(since(event.time, start_ns)), source: "trace", words: cut(&words) })
}

/// The lines with a time that is near, and the last of those without one.
fn log_lines(
    file: &Path,
    source: &'static str,
    clock: &WallClock,
    is_near: impl Fn(i64) -> bool,
) -> (Vec<Line>, VecDeque<Line>) {
    let (mut near, mut last) = (Vec::new(), VecDeque::new());
    for line in
        String::from_utf8_lossy(&end_of(file, LOG_BYTES_MAX)).lines().filter(|line| !line.trim().is_empty())
    {
        let line = |time_ns| Line { time_ns, source, words: cut(line.trim_end()) };
        match clock.time_ns(line(None).words.as_str()) {
            Some(time_ns) if is_near(time_ns) => near.push(line(Some(time_ns))),
            Some(_) => {}
            None => {
                last.push_back(line(None));
                // One more than is shown, so that it is known whether there are more.
                if last.len() > LINES_MAX + 1 {
                    last.pop_front();
                }
            }
        }
    }
    (near, last)
}

/// As many as are shown: those nearest to the moment, and of those without a time the last ones where there is room.
fn nearest(node: String, mut timed: Vec<Line>, mut untimed: Vec<Line>, moment_ns: i64) -> NodeLog {
    let distance = |line: &Line| line.time_ns.map_or(i64::MAX, |time_ns| (time_ns - moment_ns).abs());
    let is_cut = timed.len() + untimed.len() > LINES_MAX;
    timed.sort_by_key(distance);
    timed.truncate(LINES_MAX);
    timed.sort_by_key(|line| line.time_ns);
    let room = LINES_MAX - timed.len();
    let lines = timed.into_iter().chain(untimed.drain(untimed.len().saturating_sub(room)..)).collect();
    NodeLog { node, lines, is_cut }
}

/// A regular file. A pipe would never end, and a link may lead anywhere.
fn open(file: &Path) -> Option<File> {
    let is_file = std::fs::symlink_metadata(file).is_ok_and(|about| about.is_file());
    is_file.then(|| File::open(file).ok()).flatten()
}

/// The end of a file, from a line's beginning.
fn end_of(file: &Path, bytes_max: u64) -> Vec<u8> {
    let read = || -> Option<Vec<u8>> {
        let mut file = open(file)?;
        let length = file.metadata().ok()?.len();
        let skipped = length.saturating_sub(bytes_max);
        file.seek(SeekFrom::Start(skipped)).ok()?;
        let mut bytes = Vec::new();
        file.take(bytes_max).read_to_end(&mut bytes).ok()?;
        let first = bytes.iter().position(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        Some(if skipped > 0 { bytes.split_off(first) } else { bytes })
    };
    read().unwrap_or_default()
}

fn since(time_ns: u64, start_ns: u64) -> i64 {
    time_ns.cast_signed().wrapping_sub(start_ns.cast_signed())
}

fn cut(words: &str) -> String {
    match words.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    const START_NS: u64 = 5_000_000_000;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temp folder");
        for (file, text) in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a folder in it")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        folder
    }

    fn results() -> Results {
        Results { clock_start_ns: START_NS, ..sample::results() }
    }

    fn told(logs: &[NodeLog]) -> Vec<(&str, Option<i64>, &str)> {
        let lines = logs.iter().flat_map(|log| log.lines.iter().map(move |line| (log, line)));
        let ms = |line: &Line| line.time_ns.map(|time_ns| time_ns / 1_000_000);
        lines.map(|(log, line)| (log.node.as_str(), ms(line), line.words.as_str())).collect()
    }

    #[test]
    fn elections_near_the_moment_stand_before_lines_without_a_time() {
        let trace = concat!(
            r#"{"time":5100000000,"event":"start","term":1,"vote":null,"last_index":9,"last_term":1,"last_chain":0}"#,
            "\n",
            r#"{"time":14000000000,"event":"append","first":1,"entries":[]}"#,
            "\n",
            r#"{"time":14000000000,"event":"role","role":"candidate","term":2,"leader":null}"#,
            "\n",
            r#"{"time":14100000000,"event":"role","role":"leader","term":2,"leader":"n2"}"#,
            "\n",
            "half a li",
        );
        let folder = folder(&[
            ("nodes/n2/trace.jsonl", trace),
            ("nodes/n2/stderr.log", "a\n\nb"),
            ("nodes/n10/stdout.log", "c"),
        ]);
        let logs = around(folder.path(), &results(), 9_000_000_000);
        let expected = [
            ("n2", Some(9_000), "stood for election in term 2"),
            ("n2", Some(9_100), "became leader of term 2"),
            ("n2", None, "a"),
            ("n2", None, "b"),
            ("n10", None, "c"),
        ];
        assert_eq!(told(&logs), expected);
    }

    #[test]
    fn a_term_counts_when_the_first_node_reaches_it() {
        let role = |time: u64, term: u64| {
            format!(r#"{{"time":{time},"event":"role","role":"candidate","term":{term},"leader":null}}"#)
        };
        let (one, other) =
            ([role(6_000, 1), role(9_000, 3)].join("\n"), [role(7_000, 1), role(8_000, 2)].join("\n"));
        let folder = folder(&[("nodes/n1/trace.jsonl", &one), ("nodes/n2/trace.jsonl", &other)]);
        let results = Results { clock_start_ns: 5_000, ..sample::results() };
        let terms: Vec<_> =
            terms(folder.path(), &results).iter().map(|change| (change.time_ns, change.term)).collect();
        assert_eq!(terms, [(1_000, 1), (3_000, 2), (4_000, 3)]);
    }

    #[test]
    fn a_log_without_end_is_shown_by_its_last_lines() {
        let long = "x".repeat(10_000);
        let text: String = (0..1_000).map(|line| format!("{line} {long}\n")).collect();
        let folder = folder(&[("nodes/n1/stderr.log", &text), ("nodes/n2/stderr.log", "other")]);
        let logs = last_lines(folder.path(), &["n1".to_owned()]);
        assert_eq!((logs.len(), logs[0].lines.len(), logs[0].is_cut), (1, LINES_MAX, true));
        let last = &logs[0].lines[LINES_MAX - 1].words;
        assert!(last.starts_with("999 x") && last.chars().count() == CHARACTERS_MAX + 1, "{last}");
    }

    #[test]
    fn a_link_in_place_of_a_log_is_not_followed() {
        let folder = folder(&[("secret", "do not show"), ("nodes/n1/stdout.log", "fine")]);
        std::os::unix::fs::symlink(folder.path().join("secret"), folder.path().join("nodes/n1/stderr.log"))
            .expect("a link");
        assert_eq!(told(&around(folder.path(), &results(), 0)), [("n1", None, "fine")]);
    }
}
