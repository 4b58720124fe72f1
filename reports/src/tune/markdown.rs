//! `summary.md`: the tuning on half a page, for a CI job's summary or a ticket.

use std::fmt::Write;

use super::words::{self, SOURCES};
use super::{Candidate, Curve, Recommendation, Tuning};
use crate::wording::{duration, visible};

/// The summary as GitHub-flavoured Markdown.
pub(super) fn summary(tuning: &Tuning) -> String {
    let mut text = String::new();
    write_summary(&mut text, tuning).expect("writing to a string");
    text
}

fn write_summary(text: &mut String, tuning: &Tuning) -> std::fmt::Result {
    match &tuning.recommendation {
        Some(advice) => write_advice(text, tuning, advice)?,
        None => write_why_not(text, tuning)?,
    }
    for warning in &tuning.warnings {
        writeln!(text, "- {}", cell(warning))?;
    }
    if !tuning.warnings.is_empty() {
        writeln!(text)?;
    }
    write_candidates(text, tuning)?;
    write_figure16(text, &tuning.figure16)?;
    for study in &tuning.studies {
        writeln!(text, "### {}\n", cell(&study.question))?;
        for finding in &study.findings {
            writeln!(text, "- {}", cell(finding))?;
        }
        writeln!(text)?;
    }
    let (system, network) = (cell(&tuning.system), cell(&tuning.network.words));
    writeln!(text, "{system} · {} nodes · {network} · seed {}\n", tuning.nodes, tuning.seed)?;
    writeln!(text, "```sh\n{}\n```", code(&tuning.command))
}

fn write_advice(text: &mut String, tuning: &Tuning, advice: &Recommendation) -> std::fmt::Result {
    writeln!(text, "## Recommended: {}\n", words::timing(&advice.timing))?;
    writeln!(text, "{} {} {}\n", words::gain(advice), words::cost(advice), cell(&advice.reason))?;
    if let Some(checks) = words::checks(tuning) {
        writeln!(text, "{checks}\n")?;
    }
    for configuration in &advice.configuration {
        let lines: Vec<String> = configuration.lines.iter().map(|line| code(line)).collect();
        let system = cell(&configuration.system);
        match &configuration.note {
            Some(note) => writeln!(text, "{system} ({}):\n", cell(note))?,
            None => writeln!(text, "{system}:\n")?,
        }
        writeln!(text, "```\n{}\n```\n", lines.join("\n"))?;
    }
    Ok(())
}

fn write_why_not(text: &mut String, tuning: &Tuning) -> std::fmt::Result {
    match &tuning.unmet {
        Some(unmet) => writeln!(text, "## No advice\n\n{}\n", cell(unmet)),
        None => writeln!(text, "## Election timeouts of {}\n", cell(&tuning.system)),
    }
}

fn write_candidates(text: &mut String, tuning: &Tuning) -> std::fmt::Result {
    if tuning.candidates.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "| election timeout | heartbeat | real p50 | p99 | simulated p50 | p99 | false elections per hour | |"
    )?;
    writeln!(text, "|---|--:|--:|--:|--:|--:|--:|---|")?;
    for (place, candidate) in tuning.candidates.iter().enumerate() {
        let (timeout, heartbeat) = (words::timeout(&candidate.timing), words::heartbeat(&candidate.timing));
        write!(text, "| {timeout} | {heartbeat} |")?;
        for source in SOURCES {
            let outage = candidate.outage(source);
            let [p50, p99] = [outage.map(|outage| outage.p50), outage.map(|outage| outage.p99)]
                .map(|ms| ms.map_or("–".to_owned(), duration));
            write!(text, " {p50} | {p99} |")?;
        }
        let note = note(candidate, tuning.recommended() == Some(place));
        writeln!(text, " {} | {note} |", words::per_hour(candidate.false_elections_per_hour))?;
    }
    writeln!(text)
}

fn note(candidate: &Candidate, is_recommended: bool) -> String {
    let recommended = is_recommended.then(|| "**recommended**".to_owned());
    let warnings = candidate.warnings.iter().map(|warning| cell(warning));
    recommended.into_iter().chain(warnings).collect::<Vec<String>>().join("; ")
}

/// How near each curve comes, by its worst percentile.
fn write_figure16(text: &mut String, curves: &[Curve]) -> std::fmt::Result {
    if curves.is_empty() {
        return Ok(());
    }
    writeln!(text, "### Figure 16 of the Raft paper\n")?;
    writeln!(text, "| election timeout | simulated: farthest off | real: farthest off |\n|---|--:|--:|")?;
    for curve in curves {
        let simulated = curve.points.iter().filter_map(|point| point.simulated.as_ref());
        let real = curve.points.iter().filter_map(|point| point.real.as_ref());
        let [simulated, real] =
            [simulated.map(|beside| beside.off).collect(), real.map(|beside| beside.off).collect()].map(
                |offs: Vec<f64>| {
                    let worst = offs.into_iter().max_by(|a, b| a.abs().total_cmp(&b.abs()));
                    worst.map_or("–".to_owned(), words::off)
                },
            );
        writeln!(text, "| {} | {simulated} | {real} |", words::timeout(&curve.timing))?;
    }
    writeln!(text)?;
    let far = words::far_off(curves);
    for (places, reason) in &far {
        writeln!(text, "- {places}: {}", cell(reason))?;
    }
    if far.is_empty() { Ok(()) } else { writeln!(text) }
}

/// Text that cannot end a table cell or a line, be an element of HTML, or hide.
fn cell(text: &str) -> String {
    code(text).replace('&', "&amp;").replace('<', "&lt;").replace('|', "\\|")
}

/// A line that cannot end the block of code in which it stands.
fn code(text: &str) -> String {
    visible(text).replace("```", "` ` `").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn no_text_can_be_an_element_or_end_its_block() {
        let evil = "</td><img onerror=x>\0|\n```\n# big".to_owned();
        let mut tuning = sample::tuning(1);
        (tuning.system, tuning.command) = (evil.clone(), evil.clone());
        (tuning.network.words, tuning.warnings) = (evil.clone(), vec![evil.clone()]);
        tuning.candidates[0].warnings = vec![evil.clone()];
        let advice = tuning.recommendation.as_mut().expect("advice");
        advice.reason = evil.clone();
        advice.configuration[0].lines = vec![evil.clone()];
        advice.configuration[0].note = Some(evil.clone());
        (tuning.studies[0].question, tuning.studies[0].findings) = (evil.clone(), vec![evil]);
        let summary = summary(&tuning);
        let outside: String = summary.split("```").step_by(2).collect();
        assert!(
            !outside.contains("<img") && !summary.contains('\0') && !summary.contains("\n# big"),
            "{summary}"
        );
    }

    #[test]
    fn a_summary_is_half_a_page() {
        let expected = "\
## Recommended: heartbeat 50 ms, election timeout 150–300 ms

Writes are back after 306 ms in half of a leader's failures, and after 456 ms in 99 of 100. A leader that is well loses its place this often: 2 an hour. It has the fewest false elections of those that meet the target.

The target was met in 1 of 1 fresh run at other seeds.

etcd (etcd draws from one to two timeouts by itself):

```
--heartbeat-interval=50
--election-timeout=150
```

| election timeout | heartbeat | real p50 | p99 | simulated p50 | p99 | false elections per hour | |
|---|--:|--:|--:|--:|--:|--:|---|
| 150–300 ms | 50 ms | 306 ms | 456 ms | 306 ms | 456 ms | 2 | **recommended** |
| 200–400 ms | 66.7 ms | 406 ms | 604 ms | 406 ms | 604 ms | 1.5 |  |

### Figure 16 of the Raft paper

| election timeout | simulated: farthest off | real: farthest off |
|---|--:|--:|
| 150–155 ms | -64 % | – |
| 12–24 ms | -64 % | – |

- 150–155 ms p99, simulated; 12–24 ms p99, simulated: the published tail has a few clients of its own

### What does heavy loss do?

- At 30 % a leader is lost each minute.

rafture · 3 nodes · round trips of 1 ms · seed 7

```sh
rafture tune --seed 7
```
";
        assert_eq!(summary(&sample::tuning(2)), expected);
    }

    #[test]
    fn a_bare_record_has_a_summary() {
        assert!(summary(&sample::bare()).starts_with("## Election timeouts of rafture\n"));
    }
}
