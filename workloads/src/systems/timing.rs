//! Election timeouts and heartbeats in the words of systems: what lines tell them, and what they make of it.
//!
//! Each system that can be run tells its own; [`others`] are systems that can only be configured.

use std::time::Duration;

/// A heartbeat and a range of election timeouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The range that election timeouts are drawn from.
    pub election_timeout: (Duration, Duration),
    /// Time between heartbeats.
    pub heartbeat: Duration,
}

/// How a system is told a timing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Flags, variables or lines of a file; each line by itself is enough, unless the note says otherwise.
    pub lines: Vec<String>,
    /// What it cannot be told exactly, in whole sentences.
    pub note: Option<String>,
    /// What it makes of it.
    pub kept: Timing,
}

/// Systems that have the same two knobs and cannot be run from here: their names, and their lines.
pub fn others(timing: &Timing) -> Vec<(&'static str, Result<Told, String>)> {
    vec![("hashicorp/raft", hashicorp(timing)), ("openraft", openraft(timing)), ("TiKV", tikv(timing))]
}

/// `Config` of hashicorp/raft. Nothing below 5 ms passes its validation.
fn hashicorp(timing: &Timing) -> Result<Told, String> {
    let timeout_ms = whole_milliseconds(timing.election_timeout.0);
    if timeout_ms < 5 {
        return Err("hashicorp/raft takes no timeout below 5ms".into());
    }
    let timeout = Duration::from_millis(timeout_ms);
    let lease_ms = (timeout_ms / 2).max(5);
    let line = format!(
        "HeartbeatTimeout: {timeout_ms}*time.Millisecond, ElectionTimeout: {timeout_ms}*time.Millisecond, LeaderLeaseTimeout: {lease_ms}*time.Millisecond"
    );
    let note = format!(
        "It sends a heartbeat every {} to {}, a tenth to a fifth of the timeout, and cannot be told another. It looks at intervals of once to twice the timeout whether its leader was heard within one, so a leader is given up after up to three.",
        words(timeout / 10),
        words(timeout / 5)
    );
    let kept = Timing { election_timeout: (timeout, 3 * timeout), heartbeat: timeout / 5 };
    Ok(Told { lines: vec![line], note: Some(note), kept })
}

/// `Config` of openraft, in milliseconds.
fn openraft(timing: &Timing) -> Result<Told, String> {
    let (low, high) = timing.election_timeout;
    let [heartbeat_ms, low_ms, high_ms] = [timing.heartbeat, low, high].map(whole_milliseconds);
    if !(1..low_ms).contains(&heartbeat_ms) || high_ms <= low_ms {
        return Err("openraft takes whole milliseconds, heartbeat < least timeout < greatest timeout".into());
    }
    let line = format!(
        "heartbeat_interval: {heartbeat_ms}, election_timeout_min: {low_ms}, election_timeout_max: {high_ms}"
    );
    let [heartbeat, low, high] = [heartbeat_ms, low_ms, high_ms].map(Duration::from_millis);
    let kept = Timing { election_timeout: (low, high), heartbeat };
    Ok(Told { lines: vec![line], note: rounded(timing, &kept), kept })
}

/// `raftstore` of TiKV's configuration file. A heartbeat is one tick, and timeouts are whole ticks.
fn tikv(timing: &Timing) -> Result<Told, String> {
    let (low, high) = timing.election_timeout;
    let tick_ms = whole_milliseconds(timing.heartbeat);
    if tick_ms == 0 {
        return Err("TiKV takes heartbeats in whole milliseconds".into());
    }
    let tick = Duration::from_millis(tick_ms);
    let ticks = |time: Duration| (time.as_secs_f64() / tick.as_secs_f64()).round() as u32;
    let (least, most) = (ticks(low).max(2), ticks(high).max(3));
    // A range of one tick would be none, since the upper end is never drawn.
    let most = most.max(least + 1);
    let line = format!(
        "raftstore: {{ raft-base-tick-interval: \"{tick_ms}ms\", raft-heartbeat-ticks: 1, raft-election-timeout-ticks: {least}, raft-min-election-timeout-ticks: {least}, raft-max-election-timeout-ticks: {most} }}"
    );
    let kept = Timing { election_timeout: (least * tick, most * tick), heartbeat: tick };
    Ok(Told { lines: vec![line], note: rounded(timing, &kept), kept })
}

/// Says so if a system keeps another timing than it was to be told.
fn rounded(asked: &Timing, kept: &Timing) -> Option<String> {
    let (low, high) = kept.election_timeout;
    (asked != kept).then(|| {
        format!(
            "It is {}..{} with a heartbeat of {}, as near as can be told.",
            words(low),
            words(high),
            words(kept.heartbeat)
        )
    })
}

/// The nearest whole milliseconds.
fn whole_milliseconds(time: Duration) -> u64 {
    (time.as_secs_f64() * 1e3).round() as u64
}

/// A time as people write it: `150ms`, `1500us`.
pub(super) fn words(time: Duration) -> String {
    match time.as_micros() {
        micros if micros % 1000 == 0 => format!("{}ms", micros / 1000),
        micros => format!("{micros}us"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use super::*;

    fn timing(low_us: u64, high_us: u64, heartbeat_us: u64) -> Timing {
        let [low, high, heartbeat] = [low_us, high_us, heartbeat_us].map(Duration::from_micros);
        Timing { election_timeout: (low, high), heartbeat }
    }

    fn told(system: &str, timing: &Timing) -> Result<Told, String> {
        find(system).expect("there is such a system").tell(timing)
    }

    #[test]
    fn our_nodes_are_told_exactly() {
        let asked = timing(150_000, 300_000, 50_000);
        let told = told("rafture", &asked).expect("it fits");
        assert_eq!(told.lines, ["--election-timeout 150ms..300ms --heartbeat 50ms"]);
        assert_eq!((told.note, told.kept), (None, asked));
        let odd = super::super::find("rafture").expect("ours").tell(&timing(1500, 3000, 500));
        assert_eq!(odd.expect("it fits").lines, ["--election-timeout 1500us..3ms --heartbeat 500us"]);
    }

    #[test]
    fn a_heartbeat_that_does_not_fit_is_refused() {
        for (low, high, heartbeat) in [(100_000, 200_000, 100_000), (100_000, 200_000, 0), (200, 100, 1)] {
            assert!(told("rafture", &timing(low, high, heartbeat)).is_err(), "{low} {high} {heartbeat}");
        }
    }

    /// It draws from once to twice its timeout, and wants five heartbeats in it, whatever it is asked for.
    #[test]
    fn etcd_keeps_to_its_own_range() {
        let told_150 = told("etcd", &timing(150_000, 300_000, 30_000)).expect("it fits");
        assert_eq!(
            told_150.lines,
            [
                "--election-timeout 150 --heartbeat-interval 30",
                "ETCD_ELECTION_TIMEOUT=150 ETCD_HEARTBEAT_INTERVAL=30"
            ]
        );
        assert_eq!((told_150.note, told_150.kept), (None, timing(150_000, 300_000, 30_000)));
        let narrow = told("etcd", &timing(150_000, 155_000, 75_000)).expect("it can be told something");
        assert_eq!(narrow.kept, timing(150_000, 300_000, 30_000));
        let note = narrow.note.expect("it is not exact");
        assert!(note.contains("150ms..300ms") && note.contains("30ms"), "{note}");
    }

    #[test]
    fn etcd_has_bounds() {
        assert!(told("etcd", &timing(4_000, 8_000, 1_000)).is_err_and(|words| words.contains("5ms")));
        assert!(
            told("etcd", &timing(51_000_000, 99_000_000, 1_000)).is_err_and(|words| words.contains("50s"))
        );
    }

    #[test]
    fn others_are_told_as_near_as_can_be() {
        let lines = |asked: &Timing| -> Vec<(Vec<String>, Option<String>)> {
            let all = others(asked).into_iter();
            all.filter_map(|(_, told)| told.ok().map(|told| (told.lines, told.note))).collect()
        };
        let exact = lines(&timing(150_000, 300_000, 50_000));
        assert_eq!(exact.len(), 3);
        assert!(exact[0].0[0].starts_with("HeartbeatTimeout: 150*time.Millisecond"));
        assert!(exact[0].1.is_some(), "its heartbeat cannot be told");
        assert_eq!(
            exact[1],
            (
                vec!["heartbeat_interval: 50, election_timeout_min: 150, election_timeout_max: 300".into()],
                None
            )
        );
        assert!(
            exact[2].0[0].contains("raft-min-election-timeout-ticks: 3, raft-max-election-timeout-ticks: 6")
        );
        assert_eq!(exact[2].1, None);
        assert!(lines(&timing(150_000, 300_000, 40_000))[2].1.is_some(), "no whole ticks");
        assert_eq!(lines(&timing(900, 1_800, 100)).len(), 0, "nobody is told less than a millisecond");
    }
}
