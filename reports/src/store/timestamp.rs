//! UTC for folder names and headings: seconds since 1970 as a civil date, no time zones, no leap seconds.

use std::fmt;
use std::time::SystemTime;

/// A second of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UtcTime {
    year: u64,
    month: u64,
    day: u64,
    second_of_day: u64,
}

impl UtcTime {
    /// `20260724T091502`, sorts like the time itself.
    pub fn compact(self) -> String {
        let (hour, minute, second) = self.clock();
        format!("{:04}{:02}{:02}T{hour:02}{minute:02}{second:02}", self.year, self.month, self.day)
    }

    /// The second that [`UtcTime::compact`] told; `None` where it is none.
    pub fn parse_compact(text: &str) -> Option<UtcTime> {
        let digits = |from: usize, until: usize| {
            let part = text.get(from..until)?;
            part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u64>().ok())?
        };
        if text.len() != 15 || text.get(8..9) != Some("T") {
            return None;
        }
        let (hour, minute, second) = (digits(9, 11)?, digits(11, 13)?, digits(13, 15)?);
        let (year, month, day) = (digits(0, 4)?, digits(4, 6)?, digits(6, 8)?);
        let in_range = year >= 1970 && hour < 24 && minute < 60 && second < 60;
        let time = UtcTime { year, month, day, second_of_day: hour * 3_600 + minute * 60 + second };
        // There and back again tells days that no month has.
        (in_range && (1..=12).contains(&month) && (1..=31).contains(&day) && time.again() == time)
            .then_some(time)
    }

    /// Since 1970.
    pub fn seconds(self) -> u64 {
        days_from_civil(self.year, self.month, self.day) * 86_400 + self.second_of_day
    }

    /// The second so many seconds after the start of 1970.
    pub fn from_seconds(seconds: u64) -> UtcTime {
        let (year, month, day) = civil_from_days(seconds / 86_400);
        UtcTime { year, month, day, second_of_day: seconds % 86_400 }
    }

    fn again(self) -> UtcTime {
        UtcTime::from_seconds(self.seconds())
    }

    fn clock(self) -> (u64, u64, u64) {
        let minutes = self.second_of_day / 60;
        (minutes / 60, minutes % 60, self.second_of_day % 60)
    }
}

/// RFC 3339: `2026-07-24T09:15:02Z`.
impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute, second) = self.clock();
        let (year, month, day) = (self.year, self.month, self.day);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// A clock set before 1970 counts as 1970.
impl From<SystemTime> for UtcTime {
    fn from(time: SystemTime) -> UtcTime {
        let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        UtcTime::from_seconds(seconds)
    }
}

/// Its inverse, for years from 1970.
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Howard Hinnant's `civil_from_days` for days since 1970-01-01: years begin in March, so that the leap day comes last.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let since_march_of_year_0 = days + 719_468;
    let era = since_march_of_year_0 / 146_097;
    let day_of_era = since_march_of_year_0 % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Expected values from `date -u -d @N +%Y%m%dT%H%M%S`, with both kinds of century.
    #[test]
    fn seconds_become_dates() {
        for (seconds, expected) in [
            (0, "19700101T000000"),
            (951_782_399, "20000228T235959"),
            (951_782_400, "20000229T000000"),
            (951_868_800, "20000301T000000"),
            (1_735_689_599, "20241231T235959"),
            (4_107_542_400, "21000301T000000"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(UtcTime::from(time).compact(), expected, "{seconds}");
            assert_eq!(UtcTime::parse_compact(expected).expect("a time").seconds(), seconds, "{expected}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in
            ["", "20260229T000000", "20261301T000000", "20260101T240000", "20260101 000000", "é0260101T00000"]
        {
            assert_eq!(UtcTime::parse_compact(text), None, "{text}");
        }
    }

    #[test]
    fn it_is_displayed_as_rfc_3339() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_735_689_599);
        assert_eq!(UtcTime::from(time).to_string(), "2024-12-31T23:59:59Z");
    }
}
