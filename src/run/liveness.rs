//! Whether a cluster served while it should have: whenever a majority of its nodes was left alone.
//!
//! A fault says which nodes cannot be counted on while it is in force. When those that can be are a majority that has been left
//! alone for so long that any election is over, clients must have been served.

use std::collections::BTreeSet;
use std::time::Duration;

use rafture_checker::history::{Event, EventKind, Process};
use rafture_reports::fault::FaultSpan;

/// A stretch of the run in which the same nodes were left alone, and they were a majority.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Window {
    from_ns: u64,
    to_ns: u64,
    /// Nodes that were left alone all the time.
    well: Vec<String>,
}

/// Each stretch in which nobody was served for longer than `within`, in words.
pub(super) fn stalls(
    history: &[Event],
    faults: &[FaultSpan],
    nodes: &[String],
    within: Duration,
    end_ns: u64,
) -> Vec<String> {
    let within_ns = within.as_nanos() as u64;
    let served: Vec<u64> = history.iter().filter(|event| is_success(event)).map(|event| event.time).collect();
    let mut stalls = Vec::new();
    for Window { from_ns, to_ns, well } in windows(faults, nodes, end_ns) {
        let first = served.partition_point(|&time| time < from_ns);
        let last = served.partition_point(|&time| time < to_ns);
        let moments = [from_ns].into_iter().chain(served[first..last].iter().copied()).chain([to_ns]);
        let moments: Vec<u64> = moments.collect();
        for gap in moments.windows(2).filter(|gap| gap[1] - gap[0] > within_ns) {
            let seconds = |ns: u64| ns as f64 / 1e9;
            stalls.push(format!(
                "no operation succeeded for {:.1} s, from {:.1} s on, although a majority was left alone: {}",
                seconds(gap[1] - gap[0]),
                seconds(gap[0]),
                well.join(" ")
            ));
        }
    }
    stalls
}

fn is_success(event: &Event) -> bool {
    event.kind == EventKind::Ok && matches!(event.process, Process::Client(_))
}

/// Every stretch in which a majority of nodes was left alone. Who is struck and who recovers changes who they are; what they have in
/// common must be a majority still.
fn windows(faults: &[FaultSpan], nodes: &[String], end_ns: u64) -> Vec<Window> {
    let spans: Vec<(u64, u64, &[String])> = faults
        .iter()
        .filter(|fault| fault.planned_ns > 0 && !fault.harmed.is_empty())
        .map(|fault| (fault.planned_ns, fault.undone_ns.unwrap_or(end_ns), fault.harmed.as_slice()))
        .collect();
    let starts = spans.iter().map(|&(from, ..)| from);
    let moments: BTreeSet<u64> = starts
        .chain(spans.iter().map(|&(_, to, _)| to))
        .chain([0, end_ns])
        .filter(|&at| at <= end_ns)
        .collect();
    let moments: Vec<u64> = moments.into_iter().collect();
    let majority = nodes.len() / 2 + 1;
    let mut windows: Vec<Window> = Vec::new();
    for step in moments.windows(2) {
        let is_harmed = |node: &&String| {
            spans.iter().any(|(from, to, harmed)| *from < step[1] && *to > step[0] && harmed.contains(node))
        };
        let well: Vec<String> = nodes.iter().filter(|node| !is_harmed(node)).cloned().collect();
        let common =
            |window: &Window| window.well.iter().filter(|node| well.contains(node)).cloned().collect();
        match windows.last_mut() {
            Some(window) if window.to_ns == step[0] => {
                let both: Vec<String> = common(window);
                if both.len() >= majority {
                    (window.to_ns, window.well) = (step[1], both);
                    continue;
                }
            }
            _ => {}
        }
        if well.len() >= majority {
            windows.push(Window { from_ns: step[0], to_ns: step[1], well });
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const S: u64 = 1_000_000_000;

    fn fault(from_s: u64, to_s: u64, harmed: &[&str]) -> FaultSpan {
        FaultSpan {
            planned_ns: from_s * S,
            applied_ns: Some(from_s * S),
            undone_ns: Some(to_s * S),
            harmed: harmed.iter().map(ToString::to_string).collect(),
            ..FaultSpan::default()
        }
    }

    fn served(times_s: &[u64]) -> Vec<Event> {
        let event = |&time_s: &u64| Event {
            index: 0,
            time: time_s * S,
            process: Process::Client(1),
            kind: EventKind::Ok,
            f: "read".into(),
            key: None,
            value: json!(1),
            node: None,
            error: None,
        };
        times_s.iter().map(event).collect()
    }

    fn found(times_s: &[u64], faults: &[FaultSpan], end_s: u64) -> Vec<String> {
        let nodes = ["n1", "n2", "n3"].map(str::to_owned);
        stalls(&served(times_s), faults, &nodes, Duration::from_secs(10), end_s * S)
    }

    #[test]
    fn a_majority_that_is_left_alone_must_serve() {
        let one_down = [fault(1, 30, &["n1"])];
        assert_eq!(found(&[5, 14, 23, 30], &one_down, 31), [""; 0]);
        assert_eq!(
            found(&[5, 20], &one_down, 25),
            ["no operation succeeded for 15.0 s, from 5.0 s on, although a majority was left alone: n2 n3"]
        );
        assert_eq!(found(&[], &[], 9), [""; 0], "it may take so long");
        assert_eq!(found(&[], &[], 11).len(), 1);
    }

    #[test]
    fn nobody_has_to_serve_without_a_majority_nor_right_after() {
        let two_down = [fault(1, 30, &["n1"]), fault(2, 25, &["n2"])];
        assert_eq!(found(&[1, 34], &two_down, 36), [""; 0]);
        // One after the other, each with its own majority: no two of them have been well for long.
        let rolling: Vec<FaultSpan> = (0..9)
            .map(|turn| fault(1 + 4 * turn, 5 + 4 * turn, &[["n1", "n2", "n3"][turn as usize % 3]]))
            .collect();
        assert_eq!(found(&[1, 38], &rolling, 40), [""; 0]);
    }
}
