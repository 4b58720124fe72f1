//! Recovery: how long the service was away around each fault, as its clients saw it.
//!
//! ```text
//!              applied                    undone
//!  fault          ├──────────────────────────┤
//!  successes  • • •            • •  •  • •  •   • • •
//!                 └── outage ──┘
//!                 └ new leader ┘
//! ```
//!
//! - A **stretch** is the time between one success of any client and the next; before the first and after the last
//!   success the history's ends count.
//! - The **outage** of a fault is the longest stretch that touches the time in which the fault was in force, whole,
//!   also where it reaches beyond it. A fault that nobody noticed has the small gap between two operations.
//! - Faults that overlap share what they touch: the outage says what clients met *during* the fault, not who is to blame.
//! - **After heal** is the time from the undoing to the first success of an operation invoked after it.
//! - **New leader** is the time from the fault to the first leader elected after it and within the outage.
//!
//! Times are the raw times of the history, so the resolution is the time between two operations.

use std::collections::BTreeMap;

use super::Operation;
use crate::fault::{FaultSpan, LeaderChange};
use crate::results::{FaultRecovery, OutageQuantiles, Recovery};

/// Measures the outage of every fault that was applied.
///
/// `end_ns` is the end of the history: what comes after it was not observed.
pub fn recovery(
    operations: &[Operation<'_>],
    faults: &[FaultSpan],
    leaders: &[LeaderChange],
    end_ns: u64,
) -> Recovery {
    let successes = Successes::of(operations, end_ns);
    let mut each: Vec<FaultRecovery> =
        faults.iter().filter_map(|fault| fault_recovery(fault, &successes, leaders)).collect();
    each.sort_by_key(|fault| (fault.applied_ns, fault.id));
    let mut outages_by_kind = BTreeMap::<String, Vec<f64>>::new();
    for fault in &each {
        outages_by_kind.entry(fault.kind.clone()).or_default().push(fault.outage_ms);
    }
    Recovery {
        all: quantiles(each.iter().map(|fault| fault.outage_ms).collect()),
        by_fault: outages_by_kind
            .into_iter()
            .map(|(kind, outages_ms)| (kind, quantiles(outages_ms)))
            .collect(),
        each,
    }
}

fn fault_recovery(
    fault: &FaultSpan,
    successes: &Successes,
    leaders: &[LeaderChange],
) -> Option<FaultRecovery> {
    let (applied_ns, last_ns) = fault.in_force(successes.end_ns)?;
    if applied_ns > successes.end_ns {
        return None;
    }
    let stretch = successes.longest_stretch(applied_ns, last_ns);
    Some(FaultRecovery {
        id: fault.id,
        kind: fault.kind.clone(),
        label: fault.label.clone(),
        detail: fault.detail.clone(),
        applied_ns,
        undone_ns: fault.undone_ns,
        outage_ms: ms_between(stretch.from_ns, stretch.until_ns),
        outage_began_ns: stretch.from_ns,
        outage_ended_ns: stretch.until_ns,
        recovered: stretch.ends_in_success,
        after_heal_ms: fault.undone_ns.and_then(|undone_ns| successes.after_heal_ms(undone_ns)),
        new_leader_ms: new_leader_ms(leaders, applied_ns.max(stretch.from_ns), stretch.until_ns, applied_ns),
    })
}

fn new_leader_ms(leaders: &[LeaderChange], from_ns: u64, until_ns: u64, applied_ns: u64) -> Option<f64> {
    leaders
        .iter()
        .filter_map(|leader| u64::try_from(leader.time_ns).ok())
        .filter(|time_ns| (from_ns..=until_ns).contains(time_ns))
        .min()
        .map(|time_ns| ms_between(applied_ns, time_ns))
}

/// What the clients achieved, ready for questions about stretches of time.
struct Successes {
    /// Times of success, ascending.
    completed_ns: Vec<u64>,
    /// Per success in order of invocation: when it was invoked, and the earliest completion of it and all later ones.
    by_invocation_ns: Vec<(u64, u64)>,
    end_ns: u64,
}

struct Stretch {
    from_ns: u64,
    until_ns: u64,
    ends_in_success: bool,
}

impl Successes {
    fn of(operations: &[Operation<'_>], end_ns: u64) -> Successes {
        let mut by_invocation_ns: Vec<(u64, u64)> = operations
            .iter()
            .filter_map(|operation| Some((operation.invoked_ns, operation.succeeded_ns()?)))
            .collect();
        let mut completed_ns: Vec<u64> = by_invocation_ns.iter().map(|&(_, completed)| completed).collect();
        completed_ns.sort_unstable();
        by_invocation_ns.sort_unstable();
        let mut earliest_ns = u64::MAX;
        for (_, completed) in by_invocation_ns.iter_mut().rev() {
            earliest_ns = earliest_ns.min(*completed);
            *completed = earliest_ns;
        }
        Successes { completed_ns, by_invocation_ns, end_ns }
    }

    /// The longest stretch that touches `from_ns..=until_ns`; the first of equals.
    fn longest_stretch(&self, from_ns: u64, until_ns: u64) -> Stretch {
        let times = &self.completed_ns;
        // The stretch before success `i` ends at it, so the first one that matters ends after `from_ns`.
        let first = times.partition_point(|&time| time <= from_ns);
        let last = times.partition_point(|&time| time < until_ns);
        let mut longest = self.stretch_before(first);
        for index in first + 1..=last {
            let stretch = self.stretch_before(index);
            if stretch.length_ns() > longest.length_ns() {
                longest = stretch;
            }
        }
        longest
    }

    /// The stretch that ends in success number `index`, or in the end of the history.
    fn stretch_before(&self, index: usize) -> Stretch {
        let success_ns = self.completed_ns.get(index);
        Stretch {
            from_ns: if index == 0 { 0 } else { self.completed_ns[index - 1] },
            until_ns: success_ns.copied().unwrap_or(self.end_ns),
            ends_in_success: success_ns.is_some(),
        }
    }

    fn after_heal_ms(&self, undone_ns: u64) -> Option<f64> {
        let next = self.by_invocation_ns.partition_point(|&(invoked, _)| invoked < undone_ns);
        let &(_, completed_ns) = self.by_invocation_ns.get(next)?;
        Some(ms_between(undone_ns, completed_ns))
    }
}

impl Stretch {
    fn length_ns(&self) -> u64 {
        self.until_ns.saturating_sub(self.from_ns)
    }
}

fn ms_between(from_ns: u64, until_ns: u64) -> f64 {
    until_ns.saturating_sub(from_ns) as f64 / 1e6
}

/// Exact quantiles: the smallest value that so large a part does not exceed.
fn quantiles(mut outages_ms: Vec<f64>) -> OutageQuantiles {
    outages_ms.sort_by(f64::total_cmp);
    let at = |quantile: f64| {
        let rank = (quantile * outages_ms.len() as f64).ceil() as usize;
        outages_ms.get(rank.max(1) - 1).copied()
    };
    OutageQuantiles { count: outages_ms.len() as u64, p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Outcome;

    const MS: u64 = 1_000_000;

    /// Four clients, an operation each 4 ms that takes 2 ms, except that all is silent within `silent`.
    fn operations_around(silent: std::ops::Range<u64>, end_ms: u64) -> Vec<Operation<'static>> {
        (0..4)
            .flat_map(|client| (client..end_ms - 2).step_by(4))
            .map(|invoked_ms| {
                let completed_ms = invoked_ms + 2;
                let stalled = invoked_ms < silent.end && completed_ms > silent.start;
                Operation {
                    f: "write",
                    invoked_ns: invoked_ms * MS,
                    completed_ns: Some(if stalled { silent.end } else { completed_ms } * MS),
                    outcome: Outcome::Ok,
                    invocation: 0,
                    completion: None,
                }
            })
            .collect()
    }

    fn fault(applied_ms: u64, undone_ms: Option<u64>) -> FaultSpan {
        FaultSpan {
            kind: "kill".into(),
            label: "kill@leader".into(),
            applied_ns: Some(applied_ms * MS),
            undone_ns: undone_ms.map(|ms| ms * MS),
            ..FaultSpan::default()
        }
    }

    #[test]
    fn an_outage_of_known_length_is_measured_within_10_ms() {
        for known_ms in [0, 37, 250, 1500] {
            let operations = operations_around(1_000..1_000 + known_ms, 6_000);
            let measured = recovery(&operations, &[fault(1_000, Some(4_000))], &[], 6_000 * MS);
            let outage_ms = measured.each[0].outage_ms;
            assert!((outage_ms - known_ms as f64).abs() <= 10.0, "{outage_ms} is not {known_ms}");
            assert!(measured.each[0].recovered);
        }
    }

    #[test]
    fn an_outage_elsewhere_is_not_this_faults() {
        let operations = operations_around(4_000..5_000, 6_000);
        let measured = recovery(&operations, &[fault(1_000, Some(2_000))], &[], 6_000 * MS);
        assert!(measured.each[0].outage_ms <= 10.0, "{:?}", measured.each[0]);
    }

    #[test]
    fn a_new_leader_counts_from_the_fault_if_it_comes_within_the_outage() {
        let operations = operations_around(1_000..1_300, 3_000);
        let leader = |time_ms: i64| LeaderChange { time_ns: time_ms * MS as i64, node: "n2".into(), term: 2 };
        let leaders = [leader(-5), leader(990), leader(1_180), leader(2_500)];
        let measured = recovery(&operations, &[fault(1_000, Some(2_000))], &leaders, 3_000 * MS);
        assert_eq!(measured.each[0].new_leader_ms, Some(180.0));
    }

    /// An operation invoked under the fault that succeeds after it proves nothing about the time after it.
    #[test]
    fn after_heal_counts_only_what_was_invoked_after_it() {
        let operations = operations_around(1_000..2_500, 4_000);
        let measured = recovery(&operations, &[fault(1_000, Some(2_400))], &[], 4_000 * MS);
        assert_eq!(measured.each[0].after_heal_ms, Some(100.0));
    }

    #[test]
    fn a_service_that_never_comes_back_is_said_so() {
        let operations = operations_around(4_000..5_000, 900);
        let measured = recovery(&operations, &[fault(1_000, None)], &[], 3_000 * MS);
        assert!(!measured.each[0].recovered);
        assert_eq!(measured.each[0].outage_ended_ns, 3_000 * MS);
        assert_eq!(measured.each[0].after_heal_ms, None);
    }

    #[test]
    fn a_fault_that_was_never_applied_is_not_measured() {
        let planned = FaultSpan::default();
        let measured = recovery(&operations_around(0..0, 100), &[planned], &[], 100 * MS);
        assert_eq!(measured.all, OutageQuantiles::default());
    }

    #[test]
    fn quantiles_of_outages_are_outages() {
        let quantiles = quantiles(vec![30.0, 10.0, 20.0, 40.0]);
        assert_eq!((quantiles.p50_ms, quantiles.max_ms), (Some(20.0), Some(40.0)));
    }
}
