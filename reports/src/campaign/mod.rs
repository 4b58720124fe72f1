//! A night of a campaign as one thing: what ran, what failed and for which cause, what is new, what has moved.
//!
//! Plain data and pure functions; who starts runs, and where a night is kept, is not known here. `words` says it all in Markdown
//! and for a terminal, `page` shows it.

mod page;
mod words;

use std::collections::BTreeMap;

use rafture_checker::verdict::Verdict;
use serde::{Deserialize, Serialize};

use crate::fault::FaultSpan;
use crate::results::{Lateness, OutageQuantiles, Results};
use crate::trend;
use crate::wording;

pub(crate) use page::content;
pub use page::html;
pub use words::{markdown, terminal};

/// What is kept of one run of a night, whatever becomes of its folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place among the combinations of the whole matrix, from 0.
    pub cell: usize,
    /// What it was a combination of, in one line.
    pub title: String,
    /// The system under test.
    pub system: String,
    /// Its folder, from the store on; absent if there was none.
    pub run: Option<String>,
    /// What was found.
    pub verdict: Verdict,
    /// Why, if it is not valid.
    pub cause: Option<Cause>,
    /// The verdict in a sentence.
    pub sentence: String,
    /// The line that repeats it.
    pub command: String,
    /// Wall clock of the whole run.
    pub seconds: f64,
    /// The part of it in which the cluster was driven; the rest is start, stop, check and report.
    pub driven_s: f64,
    /// Successful operations per second.
    pub throughput: f64,
    /// Outages over all faults.
    pub recovery: OutageQuantiles,
    /// The machine was so busy that figures of recovery tell about it.
    pub is_overloaded: bool,
}

/// What failures have in common that one bug has probably made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cause {
    /// The system that failed.
    pub system: String,
    /// Who found it: the name of the checker.
    pub oracle: String,
    /// What it calls it.
    pub anomaly: String,
    /// The last fault that struck before; nothing if none did.
    pub fault: String,
}

/// One night of a campaign, or a shard of one, or several shards joined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Night {
    /// The campaign.
    pub name: String,
    /// Which night, as the campaign was told or by its date.
    pub night: String,
    /// How many runs the whole matrix has.
    pub cells: usize,
    /// How many of them fell to these shards.
    pub share: usize,
    /// What ran, in order of the matrix.
    pub entries: Vec<Entry>,
    /// The planted bugs that had to be found.
    pub canaries: Vec<Canary>,
    /// Why not everything ran, if so.
    pub stopped: Option<String>,
    /// The night before, if there was one.
    pub before: Option<Former>,
}

/// A planted bug that a night must find.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Canary {
    /// Which.
    pub defect: String,
    /// Whether it was found.
    pub is_found: bool,
    /// In how many runs.
    pub tries: usize,
    /// What the last of them said.
    pub sentence: String,
    /// The line that repeats it.
    pub command: String,
}

/// What a night needs to know of the one before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Former {
    /// Which night.
    pub night: String,
    /// What failed then.
    pub causes: Vec<Cause>,
    /// What was measured then.
    pub figures: BTreeMap<String, Figures>,
}

/// What a system was like in a night: medians over runs that were valid and not disturbed by the machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// How many runs.
    pub runs: usize,
    /// Median over runs of the median outage.
    pub recovery_p50_ms: Option<f64>,
    /// Median over runs of the 99th percentile of outages.
    pub recovery_p99_ms: Option<f64>,
    /// Median over runs of successful operations per second.
    pub throughput: Option<f64>,
}

/// Failures of one cause.
#[derive(Debug, Clone, PartialEq)]
pub struct Group<'a> {
    /// What they have in common.
    pub cause: &'a Cause,
    /// All of them, in order of the matrix.
    pub entries: Vec<&'a Entry>,
    /// Whether the night before had none like these; nothing if there was no night before.
    pub is_new: Option<bool>,
}

impl Entry {
    /// What is to be kept of a run that came to its end.
    pub fn of(cell: usize, title: String, results: &Results, faults: &[FaultSpan]) -> Entry {
        Entry {
            cell,
            title,
            system: results.system.clone(),
            run: Some(format!("{}/{}", results.name, results.run)),
            verdict: results.verdict,
            cause: (results.verdict != Verdict::Valid).then(|| Cause::of(results, faults)),
            sentence: wording::verdict_sentence(results),
            command: results.command.clone(),
            seconds: results.seconds,
            driven_s: results.time_limit_s,
            throughput: results.throughput,
            recovery: results.recovery.all,
            is_overloaded: results.lateness.is_some_and(Lateness::is_overload),
        }
    }

    /// A run that the harness could not bring to its end.
    pub fn broken(
        cell: usize,
        title: String,
        system: &str,
        message: String,
        command: String,
        seconds: f64,
    ) -> Entry {
        // Numbers and paths differ from one run to the next; the words are the cause.
        let anomaly: String = message.chars().filter(|c| !c.is_ascii_digit()).take(80).collect();
        let cause = Cause { system: system.into(), oracle: "harness".into(), anomaly, fault: String::new() };
        Entry {
            cell,
            title,
            system: system.into(),
            run: None,
            verdict: Verdict::Harness,
            cause: Some(cause),
            sentence: message,
            command,
            seconds,
            driven_s: 0.0,
            throughput: 0.0,
            recovery: OutageQuantiles::default(),
            is_overloaded: false,
        }
    }

    /// Whether it counts among what failed.
    pub fn is_failure(&self) -> bool {
        matches!(self.verdict, Verdict::Invalid | Verdict::Harness)
    }
}

impl Cause {
    /// Why a run is what it is.
    pub fn of(results: &Results, faults: &[FaultSpan]) -> Cause {
        let (oracle, anomaly, time_ns) = found(results);
        let time_ns = time_ns.unwrap_or(u64::MAX);
        let struck = |fault: &&FaultSpan| fault.applied_ns.is_some_and(|applied| applied <= time_ns);
        let fault = match results.verdict {
            Verdict::Invalid => faults.iter().filter(struck).max_by_key(|fault| fault.applied_ns),
            _ => None,
        };
        let fault = fault.map(|fault| fault.kind.clone()).unwrap_or_default();
        Cause { system: results.system.clone(), oracle, anomaly, fault }
    }
}

/// Who found what, and when it was over.
fn found(results: &Results) -> (String, String, Option<u64>) {
    if let Some((oracle, failure)) = results.failures().into_iter().next() {
        let ends =
            failure.operations.iter().map(|operation| operation.completed_ns.unwrap_or(operation.invoked_ns));
        return (oracle.into(), failure.anomaly.clone(), ends.max());
    }
    let worst = results.checkers.iter().find(|(_, checker)| checker.verdict == results.verdict);
    let Some((oracle, checker)) = worst else {
        return (results.verdict.to_string(), results.reasons.first().cloned().unwrap_or_default(), None);
    };
    let violation = checker.details.get("violations").and_then(|violations| violations.get(0));
    let name = violation.and_then(|violation| violation.get("name")?.as_str());
    // A sentence without a name holds numbers that differ from run to run; the oracle is cause enough.
    (oracle.clone(), name.unwrap_or("").to_owned(), None)
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.anomaly.is_empty() { &self.oracle } else { &self.anomaly })?;
        if !self.fault.is_empty() {
            write!(f, " after `{}`", self.fault)?;
        }
        write!(f, " ({}, {})", self.system, self.oracle)
    }
}

impl Night {
    /// The worst of all runs; vacuous, if a planted bug was not found.
    pub fn verdict(&self) -> Verdict {
        let survived = self.canaries.iter().any(|canary| !canary.is_found);
        let canary = if survived { Verdict::Vacuous } else { Verdict::Valid };
        let nothing =
            if self.entries.is_empty() && self.share > 0 { Verdict::Vacuous } else { Verdict::Valid };
        Verdict::worst(self.entries.iter().map(|entry| entry.verdict).chain([canary, nothing]))
    }

    /// What failed, by cause; the worst verdicts first, then the most frequent.
    pub fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: BTreeMap<&Cause, Vec<&Entry>> = BTreeMap::new();
        for entry in &self.entries {
            if let Some(cause) = &entry.cause {
                groups.entry(cause).or_default().push(entry);
            }
        }
        let is_new = |cause: &Cause| self.before.as_ref().map(|before| !before.causes.contains(cause));
        let mut groups: Vec<Group<'_>> = groups
            .into_iter()
            .map(|(cause, entries)| Group { cause, entries, is_new: is_new(cause) })
            .collect();
        groups.sort_by_key(|group| {
            let worst = Verdict::worst(group.entries.iter().map(|entry| entry.verdict));
            (std::cmp::Reverse(worst), std::cmp::Reverse(group.entries.len()))
        });
        groups
    }

    /// What failed the night before and does not any more.
    pub fn gone(&self) -> Vec<&Cause> {
        let now: Vec<&Cause> = self.entries.iter().filter_map(|entry| entry.cause.as_ref()).collect();
        let before = self.before.iter().flat_map(|before| &before.causes);
        before.filter(|cause| !now.contains(cause)).collect()
    }

    /// What each system was like.
    pub fn figures(&self) -> BTreeMap<String, Figures> {
        let mut systems: BTreeMap<String, Vec<&Entry>> = BTreeMap::new();
        for entry in &self.entries {
            if entry.verdict == Verdict::Valid && !entry.is_overloaded {
                systems.entry(entry.system.clone()).or_default().push(entry);
            }
        }
        let median = |values: &mut dyn Iterator<Item = f64>| trend::median(&values.collect::<Vec<f64>>());
        let figures = |entries: Vec<&Entry>| Figures {
            runs: entries.len(),
            recovery_p50_ms: median(&mut entries.iter().filter_map(|entry| entry.recovery.p50_ms)),
            recovery_p99_ms: median(&mut entries.iter().filter_map(|entry| entry.recovery.p99_ms)),
            throughput: median(&mut entries.iter().map(|entry| entry.throughput)),
        };
        systems.into_iter().map(|(system, entries)| (system, figures(entries))).collect()
    }

    /// What the next night needs to know of this one.
    pub fn as_former(&self) -> Former {
        let causes = self.groups().into_iter().map(|group| group.cause.clone()).collect();
        Former { night: self.night.clone(), causes, figures: self.figures() }
    }

    /// How many runs ended with this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.entries.iter().filter(|entry| entry.verdict == verdict).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn entry(cell: usize, verdict: Verdict, cause: Option<(&str, &str)>) -> Entry {
        let results = sample::results();
        let cause = cause.map(|(anomaly, fault)| Cause {
            system: "rafture".into(),
            oracle: "linearizability".into(),
            anomaly: anomaly.into(),
            fault: fault.into(),
        });
        Entry { verdict, cause, ..Entry::of(cell, format!("register · seed {cell}"), &results, &[]) }
    }

    fn night(entries: Vec<Entry>) -> Night {
        Night {
            name: "nightly".into(),
            night: "20261126T020000".into(),
            cells: 8,
            share: 8,
            entries,
            canaries: Vec::new(),
            stopped: None,
            before: None,
        }
    }

    fn failing() -> Night {
        night(vec![
            entry(0, Verdict::Valid, None),
            entry(1, Verdict::Invalid, Some(("stale read", "partition"))),
            entry(2, Verdict::Invalid, Some(("lost update", "kill"))),
            entry(3, Verdict::Invalid, Some(("stale read", "partition"))),
            entry(4, Verdict::Vacuous, Some(("", ""))),
        ])
    }

    #[test]
    fn failures_of_one_cause_are_one_group_and_the_worst_come_first() {
        let night = failing();
        let groups: Vec<(String, usize)> =
            night.groups().iter().map(|group| (group.cause.to_string(), group.entries.len())).collect();
        assert_eq!(
            groups,
            [
                ("stale read after `partition` (rafture, linearizability)".to_owned(), 2),
                ("lost update after `kill` (rafture, linearizability)".to_owned(), 1),
                ("linearizability (rafture, linearizability)".to_owned(), 1),
            ]
        );
        assert_eq!(night.verdict(), Verdict::Invalid);
    }

    #[test]
    fn a_night_knows_what_is_new_what_is_gone_and_what_has_moved() {
        let mut before = failing();
        before.night = "20261125T020000".into();
        let mut night = night(vec![
            Entry {
                recovery: OutageQuantiles { p50_ms: Some(504.0), ..Default::default() },
                ..entry(0, Verdict::Valid, None)
            },
            entry(1, Verdict::Invalid, Some(("stale read", "partition"))),
            entry(2, Verdict::Invalid, Some(("dirty read", "clock"))),
        ]);
        assert!(
            night.groups().iter().all(|group| group.is_new.is_none()),
            "nothing is known of former nights"
        );
        night.before = Some(before.as_former());
        let new: Vec<Option<bool>> = night.groups().iter().map(|group| group.is_new).collect();
        assert_eq!(new, [Some(true), Some(false)], "dirty read is new, stale read is not");
        let gone: Vec<String> = night.gone().iter().map(|cause| cause.anomaly.clone()).collect();
        assert_eq!(gone, ["lost update", ""]);
        let text = markdown(&night);
        assert!(text.contains("| **new** |") && text.contains("| known |"), "{text}");
        assert!(text.contains("outage p50 +100 %"), "{text}");
        assert!(text.contains("gone since 20261125T020000: lost update after"), "{text}");
    }

    #[test]
    fn runs_of_a_busy_machine_and_runs_that_failed_are_no_figures() {
        let mut entries = failing().entries;
        entries.push(Entry { is_overloaded: true, ..entry(5, Verdict::Valid, None) });
        let night = night(entries);
        assert_eq!(night.figures()["rafture"].runs, 1);
        assert!(
            markdown(&night).contains("1 of 6 runs are left out of these figures"),
            "{}",
            markdown(&night)
        );
    }

    #[test]
    fn a_night_proves_nothing_if_its_canary_survives_or_nothing_ran() {
        let mut calm = night(vec![entry(0, Verdict::Valid, None)]);
        assert_eq!(calm.verdict(), Verdict::Valid);
        calm.canaries.push(Canary {
            defect: "read-local".into(),
            is_found: false,
            tries: 3,
            sentence: "All is well.".into(),
            command: "rafture run --defect read-local".into(),
        });
        assert_eq!(calm.verdict(), Verdict::Vacuous);
        assert!(markdown(&calm).contains("canary `read-local` survived 3 runs"), "{}", markdown(&calm));
        assert_eq!(night(Vec::new()).verdict(), Verdict::Vacuous);
    }

    #[test]
    fn what_systems_say_is_no_markup() {
        let hostile = "<img src=x onerror=alert(1)> | `x`\n# heading\u{1b}[2J";
        let message = Entry::broken(0, hostile.into(), "etcd", hostile.into(), hostile.into(), 1.0);
        let night = night(vec![message]);
        let text = markdown(&night);
        for bad in ["\n# heading", "\u{1b}"] {
            assert!(!text.contains(bad) && !terminal(&night).contains(bad), "{bad:?} in {text}");
        }
        let page = html(&night, &|run| format!("../{run}"));
        assert!(!page.contains("<img") && !page.contains('\u{1b}'), "{page}");
        // In code, nothing is markup.
        let outside: String =
            text.split("```").step_by(2).flat_map(|part| part.split('`').step_by(2)).collect();
        assert!(!outside.contains("<img"), "{outside}");
        let fences = text.lines().filter(|line| line.trim_start().starts_with("```")).count();
        assert_eq!(fences, 2, "{text}");
    }
}
