//! Durations and ranges as people write them: `150ms`, `10s`, `2m`, `150ms..300ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

const UNITS: [(&str, u64); 6] = [
    // The longer name first, or `ms` would be taken for `s`.
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A duration with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

/// From one duration to another, the second not less than the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Range {
    /// The shortest.
    pub low: Duration,
    /// The longest.
    pub high: Duration,
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let complaint = || format!("`{text}` is no duration (hint: a number and a unit, as 150ms, 10s, 2m)");
        let (unit, nanoseconds) =
            UNITS.iter().find(|(unit, _)| text.ends_with(unit)).ok_or_else(complaint)?;
        let number: f64 = text[..text.len() - unit.len()].parse().map_err(|_| complaint())?;
        let nanoseconds = number * *nanoseconds as f64;
        if !(0.0..=1e18).contains(&nanoseconds) {
            return Err(complaint());
        }
        Ok(Span(Duration::from_nanos(nanoseconds as u64)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0.as_nanos() as u64;
        let whole = UNITS[..5].iter().rev().find(|(_, unit)| nanoseconds.is_multiple_of(*unit));
        let (name, unit) = whole.expect("a nanosecond divides everything");
        match nanoseconds {
            0 => f.write_str("0s"),
            _ => write!(f, "{}{name}", nanoseconds / unit),
        }
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Range, String> {
        let (low, high) = text.split_once("..").unwrap_or((text, text));
        let (Span(low), Span(high)) = (low.parse()?, high.parse()?);
        match low <= high {
            true => Ok(Range { low, high }),
            false => Err(format!("`{text}` goes from high to low (hint: {}..{})", Span(high), Span(low))),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", Span(self.low), Span(self.high))
    }
}

impl TryFrom<String> for Span {
    type Error = String;
    fn try_from(text: String) -> Result<Span, String> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        span.to_string()
    }
}

impl TryFrom<String> for Range {
    type Error = String;
    fn try_from(text: String) -> Result<Range, String> {
        text.parse()
    }
}

impl From<Range> for String {
    fn from(range: Range) -> String {
        range.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_they_are_written() {
        for text in ["150ms", "10s", "2m", "1500ms", "7us", "0s", "61s"] {
            assert_eq!(text.parse::<Span>().map(|span| span.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("1.5s".parse(), Ok(Span(Duration::from_millis(1500))));
        assert_eq!("1h".parse(), Ok(Span(Duration::from_secs(3600))));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "10", "ms", "-1s", "1e99s", "10 parsecs", "nans"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        assert!("300ms..150ms".parse::<Range>().is_err());
        let range = Range { low: Duration::from_millis(150), high: Duration::from_millis(300) };
        assert_eq!("150ms..300ms".parse(), Ok(range));
    }
}
