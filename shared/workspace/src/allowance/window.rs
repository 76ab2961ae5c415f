//! Over what a limit is counted: any sixty seconds, or a day or month of the calendar in UTC.

use serde::{Deserialize, Serialize};

const DAY_MS: u64 = 86_400_000;

/// What a limit is counted over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// Any 60 seconds.
    Minute,
    /// A day in UTC.
    Day,
    /// A calendar month in UTC.
    Month,
}

impl Window {
    /// When the day or month of `at` ends, ms since the Unix epoch; a sliding window has no border.
    #[must_use]
    pub fn border(self, at: u64) -> Option<u64> {
        let day = at / DAY_MS;
        match self {
            Self::Minute => None,
            Self::Day => Some((day + 1).saturating_mul(DAY_MS)),
            Self::Month => Some(next_month(day).saturating_mul(DAY_MS)),
        }
    }
}

/// The day on which the month after that of `day` begins; days count from 1970-01-01. After Howard Hinnant's
/// `civil_from_days`: years begin in March, so that the leap day is the last of a year.
fn next_month(day: u64) -> u64 {
    const ERA: u64 = 146_097;
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / ERA, shifted % ERA);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let year_began = 365 * year + year / 4 - year / 100;
    let month = (5 * (of_era - year_began) + 2) / 153;
    let next_began = if month == 11 {
        // From February to March: the beginning of the next year.
        let year = year + 1;
        365 * year + year / 4 - year / 100 + u64::from(year == 400)
    } else {
        year_began + (153 * (month + 1) + 2) / 5
    };
    era * ERA + next_began - 719_468
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::resource::Timestamp;

    fn at(text: &str) -> u64 {
        Timestamp::parse(text).unwrap().0
    }

    #[test]
    fn days_and_months_end_where_the_calendar_says() {
        let mut months = Vec::new();
        for year in [1970, 1999, 2000, 2024, 2026, 2100, 2399, 2400] {
            months.extend((1..=12).map(move |month| (year, month)));
        }
        for (year, month) in months {
            let (next_year, next) = if month == 12 {
                (year + 1, 1)
            } else {
                (year, month + 1)
            };
            let border = at(&format!("{next_year:04}-{next:02}-01T00:00:00Z"));
            let first = at(&format!("{year:04}-{month:02}-01T00:00:00Z"));
            for inside in [first, first + 13 * DAY_MS + 7, border - 1] {
                assert_eq!(Window::Month.border(inside), Some(border), "{year}-{month}");
            }
        }
        let noon = at("2026-02-28T12:00:00Z");
        assert_eq!(Window::Day.border(noon), Some(at("2026-03-01T00:00:00Z")));
        assert_eq!(Window::Minute.border(noon), None);
    }
}
