//! A schedule that a person has written, in TOML: what is read, and where it is wrong.
//!
//! ```toml
//! [[phase]]
//! lasts = "2s"                                            # nothing happens
//!
//! [[phase]]                                               # one after the other, three times
//! repeat = 3
//! sequence = [
//!     { fault = "kill@leader", for = "500ms" },
//!     { wait = "1s" },
//! ]
//! ```
//!
//! Keys and values are read by `sheet`; what they mean together is in `phases`. `docs/schedules.md` has all of it.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use super::phases::expand;
use super::sheet::{Complaint, sheet};
use super::{Episode, Schedule};

/// What a schedule is read for.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Nodes of the cluster.
    pub nodes: usize,
    /// Decides what is drawn, unless the file has a seed of its own.
    pub seed: u64,
    /// Mean time between the faults of a random stretch that does not say.
    pub interval: Duration,
    text: String,
}

/// A schedule that was read, and where its episodes stand in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// What it means.
    pub schedule: Schedule,
    places: Vec<Place>,
}

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {message}")]
pub struct ScriptError {
    /// Where.
    pub place: Place,
    /// What, in one line.
    pub message: String,
}

/// Reads a schedule.
///
/// # Errors
/// The first thing that is wrong with it, and where.
pub fn read(text: &str, settings: Settings) -> Result<Script, ScriptError> {
    let settings = Settings { text: text.to_owned(), ..settings };
    let located = |complaint: Complaint| ScriptError {
        place: Place::of(text, complaint.at),
        message: complaint.message,
    };
    let sheet = sheet(text).map_err(located)?;
    let (schedule, places) = expand(&sheet, &settings).map_err(located)?;
    Ok(Script { schedule, places: places.into_iter().map(|at| Place::of(text, at)).collect() })
}

impl Settings {
    /// For a cluster of so many nodes.
    pub fn new(nodes: usize, seed: u64, interval: Duration) -> Settings {
        Settings { nodes, seed, interval, text: String::new() }
    }

    pub(super) fn line_of(&self, at: usize) -> usize {
        Place::of(&self.text, at).line
    }
}

impl Script {
    /// Where an episode stands.
    pub fn place(&self, episode: &Episode) -> Place {
        self.places[episode.id as usize]
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Place {
    /// Where so many bytes of a text stand before.
    pub fn of(text: &str, at: usize) -> Place {
        let before = text.get(..at).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        Place { line: before.matches('\n').count() + 1, column: before[start..].chars().count() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{FaultKind, Target};

    fn settings() -> Settings {
        Settings::new(5, 7, Duration::from_secs(3))
    }

    /// Number, time, length and words of every episode, and what it hangs on.
    fn lines(text: &str) -> Vec<String> {
        let script = read(text, settings()).unwrap_or_else(|error| panic!("{error}: {text}"));
        let line = |episode: &Episode| {
            let Episode { id, at_ms, lasts_ms, fault, after, when, until_ms, there, .. } = episode;
            let mut line = format!("{id} {at_ms}+{lasts_ms} {fault}");
            line += &after.map(|after| format!(" after {after}")).unwrap_or_default();
            line += &when.as_ref().map(|when| format!(" when {when}/{}", when.within_ms)).unwrap_or_default();
            line += &until_ms.map(|until| format!(" until {until}")).unwrap_or_default();
            line + if *there { " there" } else { "" }
        };
        let mut lines: Vec<String> = script.schedule.episodes.iter().map(line).collect();
        let end = script.schedule.end.expect("an end");
        let after = end.after.map(|after| format!(" after {after}")).unwrap_or_default();
        lines.push(format!("end {}{after}", end.at_ms));
        lines
    }

    #[test]
    fn phases_come_one_after_the_other() {
        let text = r#"
            [[phase]]
            lasts = "2s"

            [[phase]]
            faults = "partition:halves@n2, kill@n5"
            lasts = "3s"

            [[phase]]
            repeat = 2
            sequence = [
                { fault = "kill@leader", for = "500ms" },
                { wait = "1s" },
                { fault = "pause@minority", for = "250ms" },
            ]

            [[phase]]
            [[phase.fault]]
            fault = "pause@n1"
            at = "100ms"
            for = "1s"
            [[phase.fault]]
            fault = "pause@n2"
            at = "500ms"
            for = "1s"
        "#;
        assert_eq!(
            lines(text),
            [
                "0 2000+3000 partition:halves@n2",
                "1 2000+3000 kill@n5",
                "2 5000+500 kill@leader",
                "3 6500+250 pause@minority",
                "4 6750+500 kill@leader",
                "5 8250+250 pause@minority",
                "6 8600+1000 pause@n1",
                "7 9000+1000 pause@n2",
                "end 10000"
            ]
        );
    }

    #[test]
    fn what_waits_for_a_moment_is_followed_by_the_rest() {
        let text = r#"
            [[phase]]
            repeat = 2
            sequence = [
                { fault = "kill@there", when = "leader-elected@n2", within = "4s", for = "500ms" },
                { wait = "1s" },
                { fault = "pause@all", for = "250ms" },
            ]
            [[phase]]
            lasts = "3s"
            [[phase.fault]]
            fault = "partition:isolate@there"
            when = { log = "became (leader|candidate)", node = "n1" }
            within = "2s"
            for = "1s"
            [[phase]]
            lasts = "1s"
        "#;
        assert_eq!(
            lines(text),
            [
                "0 0+500 kill@one when leader-elected@n2/4000 there",
                "1 1000+250 pause@all after 0",
                "2 1250+500 kill@one after 0 when leader-elected@n2/4000 there",
                "3 1000+250 pause@all after 2",
                "4 1250+1000 partition:isolate@one after 2 when a log line like \"became (leader|candidate)\"@n1/2000 there",
                "end 5250 after 2"
            ]
        );
    }

    #[test]
    fn repeats_end_at_their_time() {
        let text = r#"
            [[phase]]
            until = "3s"
            sequence = [{ fault = "kill", for = "500ms" }, { wait = "500ms" }]
        "#;
        let found = lines(text);
        assert_eq!(found.len(), 4);
        assert!(found[2].starts_with("2 2000+500 kill@") && found[2].ends_with("until 3000"), "{found:?}");
        let waiting = r#"
            [[phase]]
            until = "3s"
            sequence = [{ fault = "kill", for = "500ms", when = "term-begun", within = "1s" }]
        "#;
        assert_eq!(lines(waiting).len(), 7, "as many as there may be");
    }

    #[test]
    fn random_stretches_hang_where_they_stand() {
        let text = r#"
            seed = 12
            [[phase]]
            lasts = "2s"
            [[phase]]
            random = "kill@leader,pause"
            interval = "500ms"
            lasts = "5s"
        "#;
        let script = read(text, settings()).expect("a schedule");
        let episodes = &script.schedule.episodes;
        assert!(episodes.len() > 4);
        assert!(
            episodes.iter().all(|episode| episode.at_ms >= 2000 && episode.at_ms + episode.lasts_ms <= 7000)
        );
        let kills = || episodes.iter().filter(|episode| episode.fault.kind == FaultKind::Kill);
        assert!(kills().count() > 0 && kills().all(|episode| episode.fault.target == Target::Leader));
        assert_eq!(script.place(&episodes[0]), Place { line: 6, column: 22 });
        // The seed of the file rules, not that of the run.
        let other = Settings::new(5, 8, Duration::from_secs(3));
        assert_eq!(read(text, other.clone()).expect("a schedule"), script);
        let without = text.replace("seed = 12", "");
        let drawn =
            [settings(), other].map(|settings| read(&without, settings).expect("a schedule").schedule);
        assert_ne!(drawn[0], drawn[1]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let fault = |rest: &str| format!("[[fault]]\nfault = \"kill\"\nfor = \"1s\"\n{rest}");
        let two = |one: &str, other: &str| {
            format!(
                "[[fault]]\nfault = \"{one}\"\nfor = \"2s\"\n[[fault]]\nfault = \"{other}\"\nat = \"1s\"\nfor = \"2s\"\n"
            )
        };
        for (text, expected) in [
            (
                "",
                "1:1: there is nothing in this schedule (hint: [[phase]] with lasts = \"10s\" and random = \"kill,pause\")",
            ),
            ("[[phase]]\nlasts = \"1s\nx", "2:12: invalid basic string, expected `\"`"),
            ("[[stage]]\n", "1:3: unknown key `stage` (hint: one of seed, end, phase, fault)"),
            (
                &fault("untli = \"3s\"\n"),
                "4:1: unknown key `untli` (hint: one of name, fault, at, after, for, when, within, until, seed)",
            ),
            (
                "[[phase]]\nsequence = [{ fault = \"kill\", for = \"1s\", at = \"1s\" }]",
                "2:43: unknown key `at` (hint: one of fault, for, when, within, until, seed)",
            ),
            (
                "[[fault]]\nfault = \"kill,pause@everyone\"\nfor = \"1s\"",
                "2:15: unknown target `everyone` (hint: one of one, minority, majority, all, leader, follower, behind, old-leader, leader-and-minority)",
            ),
            (
                "[[fault]]\nfault = \"partition:star\"\nfor = \"1s\"",
                "2:10: unknown shape `star` (hint: one of isolate, halves, ring, bridge, one-way, clients)",
            ),
            (
                "[[fault]]\nfault = \"kill@n9\"\nfor = \"1s\"",
                "2:10: `kill@n9` is not possible with 5 nodes (hint: it takes 9)",
            ),
            (
                "[[fault]]\nfault = \"kill@there\"\nfor = \"1s\"",
                "2:10: `there` is where a moment was seen, and none is waited for (hint: when = \"leader-elected\")",
            ),
            ("[[fault]]\nfault = \"kill\"\n", "1:1: a fault needs `for` (hint: for = \"500ms\")"),
            ("[[fault]]\nfor = \"1s\"\n", "1:1: a fault needs `fault` (hint: fault = \"kill@leader\")"),
            (
                "[[fault]]\nfault = \"none\"\nfor = \"1s\"\n",
                "2:9: there is no fault here (hint: \"kill@leader\")",
            ),
            (
                "[[fault]]\nfault = \"kill\"\nfor = \"1 day\"\n",
                "3:7: `1 day` is no duration (hint: a number and a unit, as 150ms, 10s, 2m)",
            ),
            (
                "[[fault]]\nfault = \"kill\"\nfor = 3\n",
                "3:7: this is to be a duration in quotes, as \"150ms\"",
            ),
            (
                "[[fault]]\nfault = \"kill\"\nfor = \"1500us\"\n",
                "3:7: `1500us` is no whole number of milliseconds",
            ),
            ("[[fault]]\nfault = \"kill\"\nfor = \"0s\"\n", "3:7: `for` has to be longer than nothing"),
            (
                &fault("when = \"full-moon\"\n"),
                "4:8: unknown moment `full-moon` (hint: one of leader-elected, election-begun, term-begun, snapshot-begun, snapshot-installed, configuration-changed, node-started, or { log = \"a line that matches\" })",
            ),
            (&fault("when = { log = \"(\" }\n"), "4:16: `(` is no regular expression: unclosed group"),
            (
                &fault("when = { log = \"x\", event = \"term-begun\" }\n"),
                "4:8: a moment has either an `event` or a `log`",
            ),
            (
                &fault("when = { log = \"x\", node = \"5\" }\n"),
                "4:28: `5` is no node (hint: `n1` is the first)",
            ),
            (
                &fault("when = \"term-begun@n7\"\n"),
                "4:8: `n7` is not there to be watched (hint: the cluster has 5 nodes)",
            ),
            (
                &fault("within = \"1s\"\n"),
                "4:10: `within` belongs to `when` (hint: when = \"leader-elected\")",
            ),
            (
                &fault("after = \"first\"\n"),
                "4:9: no fault before has the name `first` (hint: it needs a `name`, and to stand before this one)",
            ),
            (&fault("seed = -1\n"), "4:8: this is to be a whole number"),
            (&fault("seed = \"x\"\n"), "4:8: `x` is no seed"),
            (
                "[[phase]]\nrandom = \"kill\"\n",
                "1:1: it is open how long this phase lasts (hint: lasts = \"10s\")",
            ),
            (
                "[[phase]]\nlasts = \"1s\"\ninterval = \"1s\"\n",
                "3:12: `interval` belongs to `random` (hint: random = \"kill,pause\")",
            ),
            (
                "[[phase]]\nlasts = \"1s\"\nrandom = \"kill,pause,partition\"\n",
                "3:10: 3 kinds of faults do not fit into 1s (hint: at least 1.5s)",
            ),
            ("[[phase]]\nlasts = \"1s\"\nrepeat = 0\n", "3:10: `repeat` is at least 1"),
            (
                "[[phase]]\nlasts = \"1s\"\nuntil = \"2h\"\nfaults = \"kill\"\n",
                "4:11: these are more than 2000 strikes",
            ),
            (
                "[[phase]]\nlasts = \"1s\"\nrepeat = 9000000000000000000\n",
                "1:1: this phase would come more than 10000 times",
            ),
            (
                "[[phase]]\nlasts = \"1s\"\nsequence = [{ fault = \"kill\", for = \"1200ms\" }]",
                "1:1: what is in this phase may take 1200ms, and the phase lasts 1s (hint: make `lasts` longer or `within` shorter)",
            ),
            (
                "[[phase]]\nsequence = [{ wait = \"1s\" }]\n[[phase.fault]]\nfault = \"kill\"\nwhen = \"term-begun\"\nfor = \"1s\"\n",
                "1:1: it is open when this phase ends: something in it waits for a moment (hint: say how long it `lasts`)",
            ),
            (
                &two("delay:to=5ms@n1", "delay@n2"),
                "5:10: `delay@n2` may strike while `delay:to=5ms@n1` of line 2 is in force: what is measured would be the work of both (hint: let one end before the other)",
            ),
            (
                &two("kill@n1", "kill@n1"),
                "5:10: `kill@n1` may strike while `kill@n1` of line 2 is in force: nobody would be left to strike (hint: let one end before the other)",
            ),
            (
                &two("clock@n1", "clock@leader"),
                "5:10: `clock@leader` may strike while `clock@n1` of line 2 is in force: both may strike the same node, and the first to end would end both (hint: let one end before the other)",
            ),
        ] {
            let found = read(text, settings()).map(|script| script.schedule.episodes);
            let found = found.expect_err(text).to_string();
            assert_eq!(found, expected, "{text}");
            assert!(!found.contains('\n'));
        }
    }

    /// Faults of one kind are refused together only where they cannot be carried out.
    #[test]
    fn what_can_be_carried_out_together_may_be_written() {
        let two = |one: &str, other: &str| {
            format!(
                "[[fault]]\nfault = \"{one}\"\nfor = \"2s\"\n[[fault]]\nfault = \"{other}\"\nat = \"1s\"\nfor = \"2s\"\n"
            )
        };
        for (one, other) in [
            ("kill@n1", "kill@n2"),
            ("partition:halves", "partition:ring"),
            ("delay:to@n1", "delay:to@n2"),
            ("loss@n1-n2", "loss@n2-n1"),
            ("kill@leader", "kill@leader"),
            ("kill@n1", "pause@n1"),
            ("clock@n1", "clock@n2"),
        ] {
            assert!(read(&two(one, other), settings()).is_ok(), "{one} {other}");
        }
        // Each begins after the other has ended, whenever that is.
        let chain = r#"
            [[phase]]
            repeat = 3
            sequence = [{ fault = "partition:isolate@there", when = "leader-elected", for = "1s" }]
        "#;
        assert_eq!(lines(chain).len(), 4);
    }

    /// Whatever is in a file, it is a schedule that can be recorded, or it is wrong somewhere.
    #[test]
    fn no_text_is_too_odd_to_be_read() {
        use rand::{RngExt, SeedableRng};
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let page = include_str!("../../../docs/schedules.md");
        let examples: Vec<&str> =
            page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        let pieces = [
            "\"",
            "[",
            "]",
            "[[phase]]\n",
            "{",
            "=",
            "\n",
            "9",
            "e18s",
            "@there",
            "0",
            "repeat = 7\n",
            "-",
            "ä",
            ",",
        ];
        let mut good = 0;
        for _ in 0..3000 {
            let mut text: Vec<char> = examples[random.random_range(0..examples.len())].chars().collect();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..text.len());
                match random.random_bool(0.5) {
                    true => drop(text.drain(at..(at + random.random_range(1..12)).min(text.len()))),
                    false => drop(text.splice(at..at, pieces[random.random_range(0..pieces.len())].chars())),
                }
            }
            let text: String = text.into_iter().collect();
            match read(&text, settings()) {
                Ok(script) => {
                    let recorded = crate::schedule::record::write(&script.schedule, "");
                    let again = read(&recorded, settings()).map(|script| script.schedule);
                    assert_eq!(again.as_ref(), Ok(&script.schedule), "{text}\n{recorded}");
                    good += 1;
                }
                Err(error) => {
                    assert!(!error.message.contains('\n') && error.place.line <= text.lines().count() + 1);
                }
            }
        }
        assert!(good > 100, "{good}");
    }

    /// What the manual shows can be read.
    #[test]
    fn the_examples_of_the_manual_are_schedules() {
        let page = include_str!("../../../docs/schedules.md");
        let examples: Vec<&str> =
            page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(examples.len() >= 5);
        for example in examples {
            let script = read(example, settings()).unwrap_or_else(|error| panic!("{error} in\n{example}"));
            assert!(!script.schedule.episodes.is_empty(), "{example}");
        }
    }
}
