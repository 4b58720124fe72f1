//! The wall clock of log lines on the time axis of a run.

use crate::results::Results;

const NS_PER_S: i64 = 1_000_000_000;

/// When the time axis begins, nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WallClock(Option<i64>);

impl WallClock {
    /// Of one who knows nothing.
    pub(crate) const NONE: WallClock = WallClock(None);

    /// Of a run; one that an older version has made does not tell.
    pub(crate) fn of(results: &Results) -> WallClock {
        WallClock(results.wall_start_ns)
    }

    /// When a line was written, nanoseconds since the start of the run, if it tells that.
    pub(crate) fn time_ns(&self, line: &str) -> Option<i64> {
        Some(rfc_3339(line)? - self.0?)
    }
}

/// The first time in `text` that is written as RFC 3339 or ISO 8601 say, nanoseconds since 1970: `2026-07-24T09:15:02.25+02:00`.
///
/// A time without a zone is taken for UTC.
fn rfc_3339(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    (0..bytes.len().saturating_sub(18)).find_map(|at| {
        let is_begin = at == 0 || !bytes[at - 1].is_ascii_digit();
        is_begin.then(|| time_at(&bytes[at..])).flatten()
    })
}

fn time_at(text: &[u8]) -> Option<i64> {
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let fits = |(&byte, &wanted): (&u8, &u8)| match wanted {
        b'd' => byte.is_ascii_digit(),
        b'T' => byte == b'T' || byte == b' ',
        other => byte == other,
    };
    if text.len() < shape.len() || !text.iter().zip(shape).all(fits) {
        return None;
    }
    let number = |from: usize, until: usize| digits(&text[from..until]);
    let days = days_from_civil(number(0, 4), number(5, 7), number(8, 10));
    let seconds = days * 86_400 + number(11, 13) * 3_600 + number(14, 16) * 60 + number(17, 19);
    let (fraction_ns, rest) = fraction(&text[19..]);
    Some((seconds - offset_s(rest)) * NS_PER_S + fraction_ns)
}

/// What stands behind the second's point, in nanoseconds, and what comes then.
fn fraction(text: &[u8]) -> (i64, &[u8]) {
    let Some((b'.' | b',', rest)) = text.split_first() else {
        return (0, text);
    };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let shown = &rest[..count.min(9)];
    (digits(shown) * 10i64.pow(9 - shown.len() as u32), &rest[count..])
}

/// `+02:00` or `+0200`, in seconds.
fn offset_s(text: &[u8]) -> i64 {
    let (sign, rest) = match text.split_first() {
        Some((b'+', rest)) => (1, rest),
        Some((b'-', rest)) => (-1, rest),
        _ => return 0,
    };
    let plain: Vec<u8> = rest.iter().copied().filter(|&byte| byte != b':').take(4).collect();
    match plain.len() == 4 && plain.iter().all(u8::is_ascii_digit) {
        true => sign * (digits(&plain[..2]) * 3_600 + digits(&plain[2..]) * 60),
        false => 0,
    }
}

fn digits(text: &[u8]) -> i64 {
    text.iter().fold(0, |number, &digit| number * 10 + i64::from(digit - b'0'))
}

/// Days since 1970 of a date of the Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    /// 1,784,884,502 is what `date -u -d 2026-07-24T09:15:02Z +%s` says.
    #[test]
    fn times_are_read_as_programs_write_them() {
        let second = 1_784_884_502 * NS_PER_S;
        for (text, expected) in [
            (r#"{"level":"info","ts":"2026-07-24T09:15:02.250Z","msg":"m"}"#, Some(second + 250_000_000)),
            ("2026-07-24 09:15:02,5 INFO m", Some(second + 500_000_000)),
            ("[2026-07-24T11:15:02+02:00] m", Some(second)),
            ("2026-07-24T04:15:02.000000001-0500", Some(second + 1)),
            ("12026-07-24T09:15:02Z", None),
            ("n1: 2026-07-24", None),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800 * NS_PER_S)),
        ] {
            assert_eq!(rfc_3339(text), expected, "{text}");
        }
    }

    #[test]
    fn a_line_stands_where_its_time_is_on_the_axis() {
        let second = 1_784_884_502 * NS_PER_S;
        let results = Results { wall_start_ns: Some(second), ..sample::results() };
        let clock = WallClock::of(&results);
        assert_eq!(clock.time_ns("2026-07-24T09:15:04.5Z leader"), Some(2_500_000_000));
        assert_eq!(clock.time_ns("2026-07-24T09:15:01Z start"), Some(-NS_PER_S));
        assert_eq!(clock.time_ns("no time"), None);
        assert_eq!(WallClock::NONE.time_ns("2026-07-24T09:15:04Z"), None);
    }
}
