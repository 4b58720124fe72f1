//! What reports say in the same words everywhere: the sentence for a verdict, numbers, durations.

use std::borrow::Cow;

use rafture_checker::verdict::Verdict;

use crate::results::Results;

/// One sentence that says why the verdict is what it is.
pub(crate) fn verdict_sentence(results: &Results) -> String {
    match results.verdict {
        Verdict::Valid => valid_sentence(results),
        Verdict::Invalid => invalid_sentence(results),
        Verdict::Vacuous | Verdict::Unknown | Verdict::Harness => {
            let reason = results.reasons.first().cloned();
            reason.or_else(|| any_sentence(results)).unwrap_or_else(|| "No reason was recorded.".to_owned())
        }
    }
}

/// The reasons that [`verdict_sentence`] leaves to be told.
pub(crate) fn further_reasons(results: &Results) -> &[String] {
    match results.verdict {
        Verdict::Valid => &results.reasons,
        Verdict::Invalid => {
            let is_told = |reason: &String| capitalized(reason) == invalid_sentence(results);
            let told = usize::from(results.reasons.first().is_some_and(is_told));
            &results.reasons[told..]
        }
        Verdict::Vacuous | Verdict::Unknown | Verdict::Harness => {
            results.reasons.get(1..).unwrap_or_default()
        }
    }
}

fn valid_sentence(results: &Results) -> String {
    let ok: u64 = results.operations.values().map(|count| count.ok).sum();
    let proven: u64 = results.faults.values().map(|count| count.proven).sum();
    let operations = format!("{} successful operations", grouped(ok));
    match proven {
        0 => format!("Every checker accepts what the clients saw in {operations}. No fault was injected."),
        1 => format!("Every checker accepts what the clients saw in {operations}, under 1 proven fault."),
        many => {
            format!("Every checker accepts what the clients saw in {operations}, under {many} proven faults.")
        }
    }
}

fn invalid_sentence(results: &Results) -> String {
    if let Some((_, failure)) = results.failures().first() {
        return capitalized(&failure.sentence);
    }
    any_sentence(results)
        .or_else(|| results.reasons.first().cloned())
        .unwrap_or_else(|| "A checker found a violation.".to_owned())
}

/// The first sentence of a checker that is as bad as the whole run.
fn any_sentence(results: &Results) -> Option<String> {
    results
        .checkers
        .values()
        .filter(|checker| checker.verdict == results.verdict)
        .find_map(|checker| checker.sentences().into_iter().next())
}

/// `text` as the beginning of a sentence.
pub(crate) fn capitalized(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// What a verdict means for somebody who sees it for the first time.
pub(crate) fn verdict_meaning(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "no violation found",
        Verdict::Vacuous => "the run proves nothing",
        Verdict::Unknown => "a checker gave up",
        Verdict::Harness => "the harness failed",
        Verdict::Invalid => "a violation was found",
    }
}

/// `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Milliseconds in the unit that reads best: `0.41 ms`, `37.0 ms`, `1.50 s`.
pub(crate) fn duration(ms: f64) -> String {
    match ms {
        ms if !ms.is_finite() => "never".to_owned(),
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 100.0 => format!("{ms:.1} ms"),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.2} s", ms / 1_000.0),
    }
}

/// A duration, or a dash where there is none.
pub(crate) fn duration_or_dash(ms: Option<f64>) -> String {
    ms.map_or_else(|| "–".to_owned(), duration)
}

/// A time of the run in seconds.
pub(crate) fn seconds(time_ns: u64) -> String {
    format!("{:.2} s", time_ns as f64 / 1e9)
}

/// `text` with what cannot be seen, or would change what stands around it, written out: `\u0007`. Tabs and line feeds stay.
///
/// Those are control characters, marks that turn the direction of writing (what they enclose reads backwards), and the two code points
/// that XML forbids beside them.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_invisible) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match is_invisible(character) {
            true => shown.push_str(&format!("\\u{:04x}", u32::from(character))),
            false => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

fn is_invisible(character: char) -> bool {
    let turns_direction =
        matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_forbidden = matches!(character, '\u{fffe}' | '\u{ffff}');
    turns_direction || is_forbidden || (character.is_control() && !matches!(character, '\n' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_written_out() {
        assert_eq!(visible("a\tb\nç 漢"), "a\tb\nç 漢");
        assert_eq!(
            visible("\0\x1b[31m\r\u{85}\u{202e}\u{ffff}"),
            r"\u0000\u001b[31m\u000d\u0085\u202e\uffff"
        );
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let durations = [0.414, 37.04, 250.0, 1_500.0].map(duration);
        assert_eq!(durations, ["0.41 ms", "37.0 ms", "250 ms", "1.50 s"]);
    }
}
