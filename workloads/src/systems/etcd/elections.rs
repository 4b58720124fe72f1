//! Elections of etcd: how its two times are told, and what its log says when they come to pass.
//!
//! It counts in ticks, and a tick is a heartbeat: a timeout is drawn from once to twice the ticks of the one it is told.

use std::time::Duration;

use serde_json::Value;

use super::super::elections::{ElectionEvent, ElectionStep, EventTime};
use super::super::timing::{Timing, Told, words};

/// It refuses to start with more.
const TIMEOUT_MS_MAX: u64 = 50_000;
/// Heartbeats that it demands in a timeout.
const HEARTBEATS_MIN: u64 = 5;

/// Timeout and heartbeat, in milliseconds, that come nearest to what is asked for among those that it starts with.
pub(super) fn milliseconds(timing: &Timing) -> (u64, u64) {
    let timeout_ms = (timing.election_timeout.0.as_millis() as u64).max(1);
    let heartbeat_ms = (timing.heartbeat.as_millis() as u64).min(timeout_ms / HEARTBEATS_MIN).max(1);
    (timeout_ms, heartbeat_ms)
}

/// How it is told a timing.
pub(super) fn tell(asked: &Timing) -> Result<Told, String> {
    let (timeout_ms, heartbeat_ms) = milliseconds(asked);
    let low = words(asked.election_timeout.0);
    if timeout_ms < HEARTBEATS_MIN {
        return Err(format!(
            "etcd cannot be told a timeout of {low}: at least 5ms, since it demands five heartbeats of whole milliseconds in it"
        ));
    }
    if timeout_ms > TIMEOUT_MS_MAX {
        return Err(format!("etcd cannot be told a timeout of {low}: at most 50s"));
    }
    let (timeout, heartbeat) = (Duration::from_millis(timeout_ms), Duration::from_millis(heartbeat_ms));
    // What is over in a timeout that is no multiple of a tick is lost.
    let ticks = (timeout_ms / heartbeat_ms) as u32;
    let kept = Timing { election_timeout: (ticks * heartbeat, 2 * ticks * heartbeat), heartbeat };
    let mut notes = Vec::new();
    if kept.election_timeout != asked.election_timeout {
        notes.push(format!(
            "It draws from once to twice its timeout, in whole heartbeats: {}..{}.",
            words(kept.election_timeout.0),
            words(kept.election_timeout.1)
        ));
    }
    if heartbeat != asked.heartbeat {
        notes.push(format!(
            "Its heartbeat is {}: whole milliseconds, and five in a timeout.",
            words(heartbeat)
        ));
    }
    let lines = vec![
        format!("--election-timeout {} --heartbeat-interval {heartbeat_ms}", timeout.as_millis()),
        format!("ETCD_ELECTION_TIMEOUT={timeout_ms} ETCD_HEARTBEAT_INTERVAL={heartbeat_ms}"),
    ];
    Ok(Told { lines, note: (!notes.is_empty()).then(|| notes.join(" ")), kept })
}

/// What a line of its log says about elections.
pub(super) fn event(line: &[u8]) -> Option<ElectionEvent> {
    // Nearly all lines say nothing of terms, and most of those that do are not worth reading whole.
    const SIGN: &[u8] = b" at term ";
    line.windows(SIGN.len()).find(|&part| part == SIGN)?;
    let line: Value = serde_json::from_slice(line).ok()?;
    let (said, term) = line["msg"].as_str()?.rsplit_once(" at term ")?;
    let word = |number: usize| said.split(' ').nth(number);
    let step = match said {
        said if said.ends_with(" became pre-candidate") => ElectionStep::Asked,
        said if said.ends_with(" became candidate") => ElectionStep::Stood,
        said if said.ends_with(" became leader") => ElectionStep::Led,
        said if said.ends_with(" became follower") => ElectionStep::Waited,
        // `raft.node: ME elected leader WHOM`, `raft.node: ME changed leader from WHOM to WHOM`, `raft.node: ME lost leader WHOM`.
        said if said.starts_with("raft.node: ") => match word(2)? {
            "lost" => ElectionStep::Waited,
            // That it follows itself was said before, and better.
            "elected" | "changed" if said.rsplit(' ').next() != word(1) => ElectionStep::Followed,
            _ => return None,
        },
        _ => return None,
    };
    let time = EventTime::Wall(wall_ns(line["ts"].as_str()?)?);
    Some(ElectionEvent { time, term: term.parse().ok()?, step })
}

/// Nanoseconds since 1970 of `2026-11-26T07:11:18.239Z`, or with `+0100` in place of the `Z`.
fn wall_ns(text: &str) -> Option<u64> {
    let (date, time) = text.split_once('T')?;
    let mut date = date.split('-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let end = time.find(['Z', '+', '-'])?;
    let (time, zone) = time.split_at(end);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut time = time.split(':').map(str::parse::<i64>);
    let (hours, minutes, seconds) = (time.next()?.ok()?, time.next()?.ok()?, time.next()?.ok()?);
    let fraction_ns = format!("{fraction:0<9}").get(..9)?.parse::<i64>().ok()?;
    let all = (days_since_1970(year, month, day) * 24 + hours) * 3600 + minutes * 60 + seconds;
    u64::try_from((all - zone_seconds(zone)?) * 1_000_000_000 + fraction_ns).ok()
}

/// How far a zone is ahead of UTC: `Z`, `+0100` or `+01:00`.
fn zone_seconds(zone: &str) -> Option<i64> {
    let digits = zone.get(1..)?.replace(':', "");
    if digits.is_empty() {
        return Some(0);
    }
    let (hours, minutes) = (digits.get(..2)?.parse::<i64>().ok()?, digits.get(2..)?.parse::<i64>().ok()?);
    let ahead = hours * 3600 + minutes * 60;
    Some(if zone.starts_with('-') { -ahead } else { ahead })
}

/// Days of the Gregorian calendar, counted in years that begin in March, so that a leap day is the last of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    const DAYS_TO_1970: i64 = 719_468;
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - DAYS_TO_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(message: &str) -> Option<(u64, ElectionStep)> {
        let line = format!(
            r#"{{"level":"info","ts":"2026-11-26T07:11:18.239Z","caller":"raft/raft.go:719","msg":"{message}"}}"#
        );
        event(line.as_bytes()).map(|event| (event.term, event.step))
    }

    /// Lines of etcd 3.4; 3.5 says the same.
    #[test]
    fn what_a_log_says_of_elections_is_understood() {
        for (message, expected) in [
            ("518d66a0a626ffde became pre-candidate at term 1", Some((1, ElectionStep::Asked))),
            ("518d66a0a626ffde became candidate at term 2", Some((2, ElectionStep::Stood))),
            ("518d66a0a626ffde became leader at term 2", Some((2, ElectionStep::Led))),
            ("518d66a0a626ffde became follower at term 4", Some((4, ElectionStep::Waited))),
            (
                "raft.node: 518d66a0a626ffde elected leader 23676d0ff81591bf at term 4",
                Some((4, ElectionStep::Followed)),
            ),
            ("raft.node: 518d66a0a626ffde elected leader 518d66a0a626ffde at term 4", None),
            (
                "raft.node: 518d66a0a626ffde changed leader from 518d66a0a626ffde to 23676d0ff81591bf at term 5",
                Some((5, ElectionStep::Followed)),
            ),
            (
                "raft.node: 518d66a0a626ffde lost leader 23676d0ff81591bf at term 5",
                Some((5, ElectionStep::Waited)),
            ),
            ("518d66a0a626ffde is starting a new election at term 1", None),
            ("published local member to cluster through raft", None),
        ] {
            assert_eq!(said(message), expected, "{message}");
        }
        assert_eq!(event(b"panic: it went wrong at term 2"), None);
    }

    /// 1795677078 by `date -d 2026-11-26T07:11:18Z +%s`.
    #[test]
    fn times_are_read_to_the_nanosecond_in_any_zone() {
        let at = Some(1_795_677_078_239_000_000);
        assert_eq!(wall_ns("2026-11-26T07:11:18.239Z"), at);
        assert_eq!(wall_ns("2026-11-26T08:11:18.239+0100"), at);
        assert_eq!(wall_ns("2026-11-26T02:41:18.239-04:30"), at);
        assert_eq!(wall_ns("2024-02-29T00:00:00.000001Z"), Some(1_709_164_800_000_001_000));
        assert_eq!(wall_ns("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(wall_ns("07:11:18"), None);
    }
}
