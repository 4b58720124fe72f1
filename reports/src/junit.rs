//! `junit.xml`: what a CI server reads of a run, or of many.
//!
//! Not a second verdict. JUnit knows four ends of a test, and the five verdicts map onto them so that nothing but `valid` passes:
//! a violation is a *failure* of the system under test, a run that could not be judged is an *error* of the test, and one that proves
//! nothing is *skipped*, because it is as if it had not been run.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};
use rafture_checker::verdict::Verdict;
use serde_json::Value;

use crate::results::{CheckerResult, Results};
use crate::wording::{self, visible};

/// One test as CI servers list it.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Under which it is listed, and recognized from one night to the next.
    pub name: String,
    /// How long it took, seconds.
    pub seconds: f64,
    /// What came of it.
    pub verdict: Verdict,
    /// Why the verdict is not `valid`, one sentence each; the first is the one that lists show.
    pub reasons: Vec<String>,
    /// The line that repeats it; empty where there is none.
    pub command: String,
}

/// The file of one run: a case for its verdict, and one for each checker.
pub fn run(results: &Results) -> String {
    let verdict = Case { name: "verdict".to_owned(), ..case(results) };
    let checkers = results.checkers.iter().map(|(name, checker)| checker_case(results, name, checker));
    let cases: Vec<Case> = std::iter::once(verdict).chain(checkers).collect();
    xml(&format!("{} {}", results.name, results.run), &cases)
}

/// A file with one suite of these cases, in their order.
pub fn xml(suite: &str, cases: &[Case]) -> String {
    let suite_name = visible(suite);
    let mut tests = TestSuite::new(&*suite_name);
    for case in cases {
        let mut test = TestCase::new(&*visible(&case.name), status(case));
        test.set_classname(&*suite_name).set_time(duration(case.seconds));
        test.add_property(Property::new("verdict", case.verdict.to_string()));
        if !case.command.is_empty() {
            test.add_property(Property::new("command", &*visible(&case.command)));
        }
        tests.add_test_case(test);
    }
    tests.set_time(longest(cases));
    let mut report = Report::new("rafture");
    report.set_time(longest(cases)).add_test_suite(tests);
    report.to_string().expect("text can be written to memory")
}

/// A whole run as one case.
fn case(results: &Results) -> Case {
    let sentence = wording::verdict_sentence(results);
    let further = wording::further_reasons(results).iter().cloned();
    let reasons = match results.verdict {
        Verdict::Valid => Vec::new(),
        _ => std::iter::once(sentence).chain(further).collect(),
    };
    Case {
        name: format!("{} {}", results.name, results.run),
        seconds: results.seconds,
        verdict: results.verdict,
        reasons,
        command: results.command.clone(),
    }
}

fn checker_case(results: &Results, name: &str, checker: &CheckerResult) -> Case {
    let failure = checker.failure().map(|failure| format!("{}: {}", failure.anomaly, failure.sentence));
    Case {
        name: name.to_owned(),
        seconds: checker.details.get("seconds").and_then(Value::as_f64).unwrap_or(0.0),
        verdict: checker.verdict,
        reasons: failure.into_iter().chain(checker.sentences()).collect(),
        command: results.command.clone(),
    }
}

fn status(case: &Case) -> TestCaseStatus {
    let mut status = match case.verdict {
        Verdict::Valid => return TestCaseStatus::success(),
        Verdict::Vacuous => TestCaseStatus::skipped(),
        Verdict::Unknown | Verdict::Harness => TestCaseStatus::non_success(NonSuccessKind::Error),
        Verdict::Invalid => TestCaseStatus::non_success(NonSuccessKind::Failure),
    };
    let first = case.reasons.first().map_or("no reason was recorded", String::as_str);
    let mut description = case.reasons.join("\n");
    if !case.command.is_empty() {
        description.push_str(&format!("\n\nrepeat it with:\n{}", case.command));
    }
    status.set_type(case.verdict.to_string());
    status.set_message(&*visible(first)).set_description(&*visible(&description));
    status
}

/// Of cases that may have run side by side nobody knows the sum; it took at least as long as the longest.
fn longest(cases: &[Case]) -> Duration {
    cases.iter().map(|case| duration(case.seconds)).max().unwrap_or_default()
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn case_of(verdict: Verdict, reason: &str) -> Case {
        Case {
            name: format!("{verdict} run"),
            seconds: 1.5,
            verdict,
            reasons: vec![reason.to_owned()],
            command: "rafture run --seed 7".to_owned(),
        }
    }

    #[test]
    fn only_valid_passes() {
        let verdicts =
            [Verdict::Valid, Verdict::Vacuous, Verdict::Unknown, Verdict::Harness, Verdict::Invalid];
        let xml = xml("nightly", &verdicts.map(|verdict| case_of(verdict, "because")));
        assert!(xml.contains(r#"tests="5" skipped="1" errors="2" failures="1""#), "{xml}");
        for element in [
            r#"<skipped message="because" type="vacuous">"#,
            r#"<error message="because" type="unknown">"#,
            r#"<error message="because" type="harness">"#,
            r#"<failure message="because" type="invalid">"#,
        ] {
            assert!(xml.contains(element), "{element} is not in {xml}");
        }
        assert!(xml.contains("repeat it with:\nrafture run --seed 7"), "{xml}");
    }

    #[test]
    fn a_run_has_a_case_for_its_verdict_and_one_for_each_checker() {
        let xml = run(&sample::invalid_results());
        assert!(xml.contains(r#"<testsuite name="register 20260724T091502-7" tests="2""#), "{xml}");
        let verdict = r#"<testcase name="verdict" classname="register 20260724T091502-7" time="5.500">"#;
        assert!(xml.contains(verdict), "{xml}");
        assert!(xml.contains(r#"<testcase name="linearizability""#), "{xml}");
        assert!(xml.contains("stale read: process 4 read x = 3"), "{xml}");
    }

    #[test]
    fn a_suite_counts_what_did_not_pass() {
        let xml = xml("nightly", &[case(&sample::results()), case(&sample::invalid_results())]);
        assert!(
            xml.contains(r#"<testsuite name="nightly" tests="2" skipped="0" errors="0" failures="1""#),
            "{xml}"
        );
    }

    /// XML 1.0 has no way at all to write most control characters, so one of them would make the file unreadable.
    #[test]
    fn no_text_can_break_the_file() {
        let hostile = "</testcase>\0\u{1b}[31m & \"]]>\u{202e}\u{ffff}\n../..";
        let mut case = case_of(Verdict::Invalid, hostile);
        case.name = hostile.to_owned();
        case.command = hostile.to_owned();
        let xml = xml(hostile, &[case]);
        assert_eq!(xml.matches("</testcase>").count(), 1, "{xml}");
        let is_forbidden = |character: char| character < ' ' && character != '\n' && character != '\t';
        assert!(!xml.contains(is_forbidden) && !xml.contains(['\u{ffff}', '\u{202e}']), "{xml}");
        assert!(xml.contains(r"&lt;/testcase&gt;\u0000\u001b[31m &amp; &quot;]]&gt;\u202e\uffff"), "{xml}");
    }

    #[test]
    fn a_time_that_is_none_is_left_at_zero() {
        let case = Case { seconds: f64::NAN, ..case_of(Verdict::Valid, "") };
        assert!(xml("nightly", &[case]).contains(r#"time="0.000""#));
    }
}
