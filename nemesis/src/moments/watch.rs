//! Waits for a moment: looks at what nodes write, from where their files end when the waiting begins.

use std::path::PathBuf;

use regex::bytes::Regex;
use serde::Deserialize;

use super::tail::Tail;
use super::{Event, Moment, Sign};
use crate::fault::NodeNumber;

/// Bytes of a line that are told, at most.
const TOLD_BYTES_MAX: usize = 200;

/// Somebody who waits for a moment. Ask often: it looks when it is asked, and only then.
#[derive(Debug)]
pub struct Watch {
    sign: Matcher,
    tails: Vec<(usize, Tail)>,
}

/// A moment that has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The node that told of it, from 0.
    pub node: usize,
    /// Nanoseconds of the machine's monotonic clock, if the node says when it was.
    pub time_ns: Option<u64>,
    /// What it said.
    pub words: String,
}

#[derive(Debug)]
enum Matcher {
    /// With the highest term that was ever seen.
    Event(Event, u64),
    Log(Regex),
}

/// Of a line of a trace, what moments are made of.
#[derive(Deserialize)]
struct Line {
    time: u64,
    event: String,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    term: Option<u64>,
}

/// A regular expression of a log line. Plain words match themselves.
///
/// # Errors
/// When it is none, in one line.
pub fn pattern(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default();
        last.trim_start_matches("error: ").to_owned()
    })
}

impl Watch {
    /// Waits for `moment` in what the nodes with these `folders` write from here on.
    ///
    /// # Errors
    /// When the moment's regular expression is none.
    pub fn begin(moment: &Moment, folders: &[PathBuf]) -> Result<Watch, String> {
        let is_watched = |node: usize| moment.node.is_none_or(|NodeNumber(number)| number == node + 1);
        let watched = || folders.iter().enumerate().filter(|(node, _)| is_watched(*node));
        match &moment.sign {
            Sign::Log(text) => {
                let tails = watched().flat_map(|(node, folder)| {
                    ["stderr.log", "stdout.log"].map(|name| (node, Tail::at_end(folder.join(name), |_| {})))
                });
                Ok(Watch { sign: Matcher::Log(pattern(text)?), tails: tails.collect() })
            }
            Sign::Event(event) => {
                // A term is new if no node had it, whichever node is watched.
                let mut term = 0;
                let mut follow = |folder: &PathBuf| {
                    Tail::at_end(folder.join("trace.jsonl"), |line| term = term.max(term_of(line)))
                };
                let all: Vec<Tail> = folders.iter().map(&mut follow).collect();
                let tails = all.into_iter().enumerate().filter(|(node, _)| is_watched(*node)).collect();
                Ok(Watch { sign: Matcher::Event(*event, term), tails })
            }
        }
    }

    /// The moment, if it has come since the last look; the earliest, if it has come several times.
    pub fn look(&mut self) -> Option<Sighting> {
        let Watch { sign, tails } = self;
        let mut found: Option<Sighting> = None;
        for (node, tail) in tails {
            // A file that cannot be read shows nothing.
            let _ = tail.look(|line| {
                if let Some(sighting) = sign.match_line(*node, line) {
                    let is_earlier = found
                        .as_ref()
                        .is_none_or(|known| sighting.time_ns.is_some_and(|time| known.time_ns > Some(time)));
                    if is_earlier {
                        found = Some(sighting);
                    }
                }
            });
        }
        found
    }
}

impl Matcher {
    fn match_line(&mut self, node: usize, line: &[u8]) -> Option<Sighting> {
        match self {
            Matcher::Log(pattern) => {
                pattern.is_match(line).then(|| Sighting { node, time_ns: None, words: told(line) })
            }
            Matcher::Event(event, highest) => {
                let line = serde_json::from_slice::<Line>(line).ok()?;
                let is_it = match event {
                    Event::LeaderElected => line.event == "role" && line.role.as_deref() == Some("leader"),
                    Event::ElectionBegun => line.event == "role" && line.role.as_deref() == Some("candidate"),
                    Event::TermBegun => line.event == "save" && line.term > Some(*highest),
                    Event::SnapshotBegun => line.event == "snapshot",
                    Event::SnapshotInstalled => line.event == "install",
                    Event::ConfigurationChanged => line.event == "configuration",
                    Event::NodeStarted => line.event == "start",
                };
                *highest = (*highest).max(line.term.unwrap_or(0));
                let words = match line.term {
                    Some(term) => format!("{event} in term {term}"),
                    None => event.to_string(),
                };
                is_it.then_some(Sighting { node, time_ns: Some(line.time), words })
            }
        }
    }
}

fn term_of(line: &[u8]) -> u64 {
    serde_json::from_slice::<Line>(line).ok().and_then(|line| line.term).unwrap_or(0)
}

fn told(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(TOLD_BYTES_MAX)]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;
    use std::path::Path;

    use super::*;

    fn append(path: &Path, text: &str) {
        let mut file = File::options().append(true).create(true).open(path).expect("a file");
        file.write_all(text.as_bytes()).expect("room");
    }

    /// Folders of so many nodes, each with a trace of its first term.
    fn nodes(folder: &Path, count: usize) -> Vec<PathBuf> {
        let folders: Vec<PathBuf> = (1..=count).map(|node| folder.join(format!("n{node}"))).collect();
        for folder in &folders {
            fs::create_dir(folder).expect("a folder");
            append(&folder.join("trace.jsonl"), "{\"time\":5,\"event\":\"save\",\"term\":1,\"vote\":null}\n");
        }
        folders
    }

    fn moment(sign: Sign, node: Option<usize>) -> Moment {
        Moment { sign, node: node.map(NodeNumber), within_ms: 1000 }
    }

    #[test]
    fn every_event_is_seen_where_it_is_told_of() {
        let lines = [
            (Event::LeaderElected, r#"{"time":7,"event":"role","role":"leader","term":2,"leader":"n2"}"#),
            (Event::ElectionBegun, r#"{"time":7,"event":"role","role":"candidate","term":2,"leader":null}"#),
            (Event::TermBegun, r#"{"time":7,"event":"save","term":2,"vote":"n2"}"#),
            (Event::SnapshotBegun, r#"{"time":7,"event":"snapshot","index":10,"term":2}"#),
            (Event::SnapshotInstalled, r#"{"time":7,"event":"install","index":10,"term":2,"chain":1}"#),
            (Event::ConfigurationChanged, r#"{"time":7,"event":"configuration","index":3,"voters":["n1"]}"#),
            (Event::NodeStarted, r#"{"time":7,"event":"start","term":2,"vote":null,"last_index":0}"#),
        ];
        for (event, _) in lines {
            let folder = tempfile::tempdir().expect("a folder");
            let folders = nodes(folder.path(), 3);
            let mut watch = Watch::begin(&moment(Sign::Event(event), None), &folders).expect("a moment");
            for (other, line) in lines {
                assert_eq!(watch.look(), None, "{event}");
                append(&folders[1].join("trace.jsonl"), &format!("{line}\n"));
                let seen = watch.look();
                assert_eq!(seen.is_some(), event == other, "{event}: {line}");
                assert!(seen.is_none_or(|seen| seen.node == 1 && seen.time_ns == Some(7)));
                // What is told of twice is two events; a term is new once.
                fs::write(folders[1].join("trace.jsonl"), "").expect("a file");
                watch = Watch::begin(&moment(Sign::Event(event), None), &folders).expect("a moment");
            }
        }
    }

    #[test]
    fn a_term_that_some_node_had_is_not_new() {
        let folder = tempfile::tempdir().expect("a folder");
        let folders = nodes(folder.path(), 2);
        append(&folders[0].join("trace.jsonl"), "{\"time\":6,\"event\":\"save\",\"term\":4,\"vote\":null}\n");
        let mut watch =
            Watch::begin(&moment(Sign::Event(Event::TermBegun), Some(2)), &folders).expect("a moment");
        let mut say = |term: u64| {
            append(
                &folders[1].join("trace.jsonl"),
                &format!("{{\"time\":7,\"event\":\"save\",\"term\":{term},\"vote\":null}}\n"),
            );
            watch.look().is_some()
        };
        assert_eq!([4, 5, 5, 6].map(&mut say), [false, true, false, true]);
    }

    #[test]
    fn only_the_node_that_is_meant_is_watched_and_the_earliest_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let folders = nodes(folder.path(), 3);
        let sign = || Sign::Event(Event::LeaderElected);
        let mut any = Watch::begin(&moment(sign(), None), &folders).expect("a moment");
        let mut third = Watch::begin(&moment(sign(), Some(3)), &folders).expect("a moment");
        let line = |time: u64| {
            format!("{{\"time\":{time},\"event\":\"role\",\"role\":\"leader\",\"term\":2,\"leader\":null}}\n")
        };
        append(&folders[0].join("trace.jsonl"), &line(9));
        append(&folders[1].join("trace.jsonl"), &line(8));
        let seen = any.look().expect("a leader");
        assert_eq!((seen.node, seen.time_ns, &*seen.words), (1, Some(8), "leader-elected in term 2"));
        assert_eq!(third.look(), None);
    }

    #[test]
    fn lines_of_logs_are_matched_in_either_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let folders = nodes(folder.path(), 2);
        append(&folders[0].join("stderr.log"), "8e9e05 became leader at term 1\n");
        let sign = || Sign::Log("became leader at term [2-9]".into());
        let mut watch = Watch::begin(&moment(sign(), None), &folders).expect("a moment");
        append(&folders[0].join("stderr.log"), "8e9e05 became leader at term 1\n");
        assert_eq!(watch.look(), None);
        append(&folders[1].join("stdout.log"), "8e9e05 became leader at term 2\n");
        let seen = watch.look().expect("a line");
        assert_eq!((seen.node, seen.time_ns), (1, None));
        assert_eq!(seen.words, "8e9e05 became leader at term 2");
        let error = Watch::begin(&moment(Sign::Log("(".into()), None), &folders).expect_err("no expression");
        assert_eq!(error, "unclosed group");
    }
}
