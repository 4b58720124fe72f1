//! Names and evidence for what goes wrong with counters and locks: objects that are a number.

use super::super::Key;
use super::super::timed::Timed;
use super::tally::{Imbalance, Sum, imbalance};
use super::words::Words;
use crate::failure::{Failure, FailureOperation, LongestOrder, Stuck};
use crate::models::{Model, Tally};

/// `None` where the object is no number, or adding up does not show what is wrong.
pub(super) fn failure<M: Model>(key: &Key<'_, M>) -> Option<Failure> {
    let tally = |timed: &Timed<M::Call>| {
        Some(Timed {
            call: key.model.tally(&timed.call)?,
            invoked: timed.invoked,
            completed: timed.completed,
        })
    };
    let timed: Option<Vec<Timed<Tally>>> = key.timed.iter().map(tally).collect();
    let imbalance = imbalance(&timed?, key.model.tally_range())?;
    Some(match imbalance {
        Imbalance::Read { read, told, surely, least, greatest } => {
            let words = Words::of(key, &[read]);
            let (anomaly, why) = match told < least {
                true => ("lost increment", "at least"),
                false => ("impossible count", "at most"),
            };
            let (what, bound) = (words.deed(read), if told < least { least } else { greatest });
            let sentence = format!("{what}, although it must have been {why} {bound} by then");
            let before = format!(
                "{} had completed before this read began, and come to {}. Together with those that were open or may have happened, the read can have seen {}.",
                additions(surely),
                surely.total,
                range(least, greatest)
            );
            let reason =
                format!("the counter was then {}, and this read returned {told}", range(least, greatest));
            evidence(&words, &[read], (anomaly, sentence), (before, reason))
        }
        Imbalance::Backwards { earlier, later, told } => {
            let words = Words::of(key, &[earlier, later]);
            let (what, other) = (words.deed(later), words.deed(earlier));
            let sentence = format!("{what}, although {other}, and nobody took away so much in between");
            let before = "What was added in between can only make the later number larger.".to_owned();
            let reason = format!("the counter had then been {}, and this read returned {}", told.0, told.1);
            evidence(&words, &[earlier, later], ("stale read", sentence), (before, reason))
        }
        Imbalance::TooMany { added, surely, taken } => too_many(key, &added, surely, taken),
        Imbalance::TooFew { taken, surely, added } => {
            let words = Words::of(key, &[taken]);
            let what = words.deed(taken);
            let sentence = format!(
                "{what}, although it cannot have been held: by then it had been released {}, and nobody had even asked to acquire it more than {}",
                times(surely.calls),
                times(added.calls)
            );
            let before = format!(
                "By the end of this release, {} had succeeded, and {} had been asked for.",
                counted(surely.calls, "release"),
                counted(added.calls, "acquire")
            );
            evidence(
                &words,
                &[taken],
                ("released while free", sentence),
                (before, "it was then free".to_owned()),
            )
        }
    })
}

fn too_many<M: Model>(key: &Key<'_, M>, added: &[usize], surely: Sum, taken: Sum) -> Failure {
    let words = Words::of(key, added);
    let (last, others) = added.split_last().expect("at least one is too many");
    let what = words.deed(*last);
    let holders: Vec<String> = others.iter().map(|&other| words.deed(other)).collect();
    let (name, holders) = match &holders[..] {
        [] => ("two holders", "there was nothing to acquire".to_owned()),
        [holder] => ("two holders", holder.clone()),
        [holder, ..] => ("too many holders", format!("{} others held it, as {holder}", holders.len())),
    };
    let sentence = format!(
        "{what}, although {holders}: by then {} had succeeded, and only {} had been asked for",
        counted(surely.calls, "acquire"),
        counted(taken.calls, "release")
    );
    let before = format!(
        "The {} before these are matched by {}.",
        counted(surely.calls - added.len(), "acquire"),
        counted(taken.calls, "release")
    );
    evidence(
        &words,
        added,
        (name, sentence),
        (before, "it was then held, so it cannot be acquired".to_owned()),
    )
}

/// The last of the operations is the culprit; the others come before it.
fn evidence<M: Model>(
    words: &Words<'_, '_, M>,
    shown: &[usize],
    (anomaly, sentence): (&'static str, String),
    (before, reason): (String, String),
) -> Failure {
    let mut operations: Vec<FailureOperation> = shown.iter().map(|&at| words.bar(at)).collect();
    let last = operations.len() - 1;
    operations[last].culprit = true;
    Failure {
        key: words.key.history.key(words.key.operation(shown[last])),
        anomaly: anomaly.to_owned(),
        sentence,
        minimal: true,
        necessity: match last {
            0 => "This operation alone is enough, beside what all others add up to.".to_owned(),
            _ => format!(
                "Each of these {} operations is needed; the others count only with what they add up to.",
                last + 1
            ),
        },
        before: Some(before),
        initial: None,
        orders: vec![LongestOrder { steps: Vec::new(), stuck: vec![Stuck { operation: last, reason }] }],
        operations,
        relations: Vec::new(),
    }
}

fn additions(sum: Sum) -> String {
    counted(sum.calls, "addition")
}

fn counted(calls: usize, noun: &str) -> String {
    format!("{calls} {noun}{}", if calls == 1 { "" } else { "s" })
}

fn times(calls: usize) -> String {
    if calls == 1 { "once".to_owned() } else { format!("{calls} times") }
}

fn range(least: i64, greatest: i64) -> String {
    if least == greatest { format!("exactly {least}") } else { format!("from {least} to {greatest}") }
}
