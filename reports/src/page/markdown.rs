//! `summary.md`: the run on half a page, for a CI job's summary.

use std::fmt::Write;

use crate::results::Results;
use crate::wording;

/// The summary as GitHub-flavoured Markdown.
pub(crate) fn summary_markdown(results: &Results) -> String {
    let mut text = String::new();
    write_summary(&mut text, results).expect("writing to a string");
    text
}

fn write_summary(text: &mut String, results: &Results) -> std::fmt::Result {
    writeln!(text, "## {}: **{}**\n", cell(&results.name), results.verdict)?;
    writeln!(text, "{}\n", cell(&wording::verdict_sentence(results)))?;
    for reason in &results.reasons {
        writeln!(text, "- {}", cell(reason))?;
    }
    if !results.reasons.is_empty() {
        writeln!(text)?;
    }
    writeln!(
        text,
        "{} · {} · {} nodes · {} · seed {} · {:.0} ok/s\n",
        cell(&results.system),
        cell(&results.workload),
        results.nodes,
        cell(&results.network),
        results.seed,
        results.throughput
    )?;
    writeln!(text, "```sh\n{}\n```\n", code(&results.command))?;
    write_operations(text, results)?;
    write_faults(text, results)?;
    write_checkers(text, results)
}

fn write_operations(text: &mut String, results: &Results) -> std::fmt::Result {
    writeln!(text, "| operation | ok | fail | info | p50 | p99 | max |")?;
    writeln!(text, "|---|--:|--:|--:|--:|--:|--:|")?;
    for (f, count) in &results.operations {
        let latency = results.latency.get(f);
        let [p50, p99, max] = [
            latency.map(|latency| latency.p50_ms),
            latency.map(|latency| latency.p99_ms),
            latency.map(|latency| latency.max_ms),
        ]
        .map(wording::duration_or_dash);
        let [ok, fail, info] = [count.ok, count.fail, count.info].map(wording::grouped);
        writeln!(text, "| {} | {ok} | {fail} | {info} | {p50} | {p99} | {max} |", cell(f))?;
    }
    writeln!(text)
}

fn write_faults(text: &mut String, results: &Results) -> std::fmt::Result {
    if results.faults.is_empty() {
        return Ok(());
    }
    writeln!(text, "| fault | planned | applied | proven | outage p50 | max |")?;
    writeln!(text, "|---|--:|--:|--:|--:|--:|")?;
    for (kind, count) in &results.faults {
        let outage = results.recovery.by_fault.get(kind).copied().unwrap_or_default();
        let [p50, max] = [outage.p50_ms, outage.max_ms].map(wording::duration_or_dash);
        let (planned, applied, proven) = (count.planned, count.applied, count.proven);
        writeln!(text, "| {} | {planned} | {applied} | {proven} | {p50} | {max} |", cell(kind))?;
    }
    writeln!(text)
}

fn write_checkers(text: &mut String, results: &Results) -> std::fmt::Result {
    writeln!(text, "| checker | verdict |")?;
    writeln!(text, "|---|---|")?;
    for (name, checker) in &results.checkers {
        writeln!(text, "| {} | {} |", cell(name), checker.verdict)?;
    }
    Ok(())
}

/// Text that cannot end a table cell, be an element of HTML, or hide.
fn cell(text: &str) -> String {
    code(text).replace('&', "&amp;").replace('<', "&lt;").replace('|', "\\|")
}

/// A line that cannot end the block of code in which it stands.
fn code(text: &str) -> String {
    wording::visible(text).replace("```", "` ` `").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn no_name_can_be_an_element_or_end_its_block() {
        let evil = "</td><img onerror=x>\0|\n```\n# big".to_owned();
        let results = Results {
            name: evil.clone(),
            system: evil.clone(),
            reasons: vec![evil.clone()],
            command: evil.clone(),
            ..sample::results()
        };
        let summary = summary_markdown(&results);
        let outside: String = summary.split("```").step_by(2).collect();
        assert!(
            !outside.contains("<img") && !summary.contains('\0') && !summary.contains("\n# big"),
            "{summary}"
        );
        assert!(summary.contains(r"&lt;img onerror=x>\u0000\|"), "{summary}");
    }

    #[test]
    fn a_summary_is_half_a_page() {
        let expected = "\
## register: **valid**

Every checker accepts what the clients saw in 1,875 successful operations, under 1 proven fault.

rafture · register · 5 nodes · netns: root · seed 7 · 469 ok/s

```sh
rafture run --workload register --faults kill --seed 7
```

| operation | ok | fail | info | p50 | p99 | max |
|---|--:|--:|--:|--:|--:|--:|
| read | 937 | 0 | 1 | 1.00 ms | 1.00 ms | 1.00 ms |
| write | 938 | 0 | 0 | 1.00 ms | 1.00 ms | 1.00 ms |

| fault | planned | applied | proven | outage p50 | max |
|---|--:|--:|--:|--:|--:|
| kill | 1 | 1 | 1 | 252 ms | 252 ms |

| checker | verdict |
|---|---|
| linearizability | valid |
";
        assert_eq!(summary_markdown(&sample::results()), expected);
    }
}
