//! Any schedule as a file that can be read again: every strike by itself, with its seed, so that the same is drawn again.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::phases::span;
use super::{End, Episode, Schedule};
use crate::fault::FaultSpec;
use crate::moments::{Moment, Sign};

/// The text of `schedule`, with `comment` above it. Reading it gives the same episodes, whatever the seed of the run.
pub fn write(schedule: &Schedule, comment: &str) -> String {
    let mut text = String::new();
    for line in comment.lines() {
        let _ = writeln!(text, "# {line}");
    }
    let ends = schedule.end.and_then(|end| end.after);
    let named: BTreeSet<u64> =
        schedule.episodes.iter().filter_map(|episode| episode.after).chain(ends).collect();
    if let Some(End { at_ms, after }) = schedule.end {
        let _ = writeln!(text, "\n[end]\nat = \"{}\"", span(at_ms));
        after_line(&mut text, after);
    }
    for episode in &schedule.episodes {
        write_episode(&mut text, episode, named.contains(&episode.id));
    }
    text
}

fn write_episode(text: &mut String, episode: &Episode, is_named: bool) {
    let Episode { id, at_ms, lasts_ms, seed, after, when, until_ms, .. } = episode;
    let _ = writeln!(text, "\n[[fault]]");
    if is_named {
        let _ = writeln!(text, "name = \"{}\"", name(*id));
    }
    let _ = writeln!(text, "fault = {}", quoted(&episode.words()));
    after_line(text, *after);
    let _ = writeln!(text, "at = \"{}\"", span(*at_ms));
    if let Some(Moment { sign, node, within_ms }) = when {
        let sign = match sign {
            Sign::Event(event) => format!("event = \"{event}\""),
            Sign::Log(pattern) => format!("log = {}", quoted(pattern)),
        };
        let node = node.map(|node| format!(", node = \"{}\"", String::from(node))).unwrap_or_default();
        let _ = writeln!(text, "when = {{ {sign}{node} }}\nwithin = \"{}\"", span(*within_ms));
    }
    if let Some(until_ms) = until_ms {
        let _ = writeln!(text, "until = \"{}\"", span(*until_ms));
    }
    // Larger than what TOML calls a number.
    let _ = writeln!(text, "for = \"{}\"\nseed = \"{seed}\"", span(*lasts_ms));
}

fn after_line(text: &mut String, after: Option<u64>) {
    if let Some(after) = after {
        let _ = writeln!(text, "after = \"{}\"", name(after));
    }
}

fn name(id: u64) -> String {
    format!("fault-{id}")
}

impl Episode {
    /// What strikes, in words that can be read again.
    pub fn words(&self) -> String {
        let words = self.fault.to_string();
        let without_target = || words.rsplit_once('@').map_or(&*words, |(rest, _)| rest);
        match self.there {
            true => format!("{}@there", without_target()),
            // Where everybody takes part, nobody is named.
            false if words.parse::<FaultSpec>().is_err() => without_target().to_owned(),
            false => words,
        }
    }

    /// What strikes when and for how long, in one line for people.
    pub fn describe(&self) -> String {
        let begins = match (self.after, &self.when) {
            (None, None) => format!("at {}", span(self.at_ms)),
            (None, Some(when)) => format!("when {when}, from {} on", span(self.at_ms)),
            (Some(after), None) => format!("{} after {}", span(self.at_ms), name(after)),
            (Some(after), Some(when)) => {
                format!("when {when}, from {} after {} on", span(self.at_ms), name(after))
            }
        };
        format!("{}: {} {begins} for {}", name(self.id), self.words(), span(self.lasts_ms))
    }
}

/// A text of TOML. Its escapes are those of JSON, but for one character.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is plain data").replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::schedule::file::{Settings, read};

    fn read_again(schedule: &Schedule) -> Schedule {
        let text = write(schedule, "two\nlines");
        let settings = Settings::new(5, 999, Duration::from_secs(1));
        read(&text, settings).unwrap_or_else(|error| panic!("{error} in\n{text}")).schedule
    }

    #[test]
    fn what_was_drawn_from_a_seed_is_replayed_to_the_episode() {
        let faults =
            "kill,pause,partition,partition:ring,clock,delay,corrupt,power-loss,torn-write@n2,io-error";
        let specs = crate::fault::parse(faults).expect("faults");
        for seed in 0..100 {
            let (interval, limit) = (Duration::from_millis(700), Duration::from_secs(60));
            let drawn = Schedule::random(seed, &specs, interval, limit, 5).expect("a schedule");
            let drawn = Schedule { end: Some(End { at_ms: 60_000, after: None }), ..drawn };
            assert_eq!(read_again(&drawn), drawn, "seed {seed}");
        }
    }

    #[test]
    fn what_was_written_by_hand_is_recorded_with_all_that_it_waits_for() {
        let text = r#"
            [[phase]]
            until = "40s"
            sequence = [
                { fault = "kill@there,pause", when = { log = "it's \"over\"\t\\d", node = "n2" }, within = "4s", for = "500ms" },
                { wait = "1s" },
                { fault = "partition:bridge", for = "250ms", seed = 5 },
            ]
            [[phase]]
            random = "kill,clock"
            lasts = "5s"
            [[fault]]
            name = "first"
            fault = "io-error@n1"
            when = "snapshot-installed"
            at = "100s"
            for = "1s"
            [[fault]]
            fault = "disk-full@minority"
            after = "first"
            until = "200s"
            for = "1s"
        "#;
        let schedule = read(text, Settings::new(5, 3, Duration::from_secs(1))).expect("a schedule").schedule;
        assert!(schedule.episodes.len() > 20);
        assert_eq!(read_again(&schedule), schedule);
    }

    #[test]
    fn a_recorded_schedule_is_easy_to_read() {
        let text = r#"
            [[phase]]
            lasts = "1s"
            [[phase]]
            sequence = [
                { fault = "kill@there", when = "leader-elected", within = "4s", for = "500ms", seed = 7 },
                { fault = "partition:ring", for = "1500ms", seed = "18446744073709551615" },
            ]
        "#;
        let schedule = read(text, Settings::new(5, 3, Duration::from_secs(1))).expect("a schedule").schedule;
        let expected = r#"# one run

[end]
at = "1500ms"
after = "fault-0"

[[fault]]
name = "fault-0"
fault = "kill@there"
at = "1s"
when = { event = "leader-elected" }
within = "4s"
for = "500ms"
seed = "7"

[[fault]]
fault = "partition:ring"
after = "fault-0"
at = "0s"
for = "1500ms"
seed = "18446744073709551615"
"#;
        assert_eq!(write(&schedule, "one run"), expected);
    }
}
