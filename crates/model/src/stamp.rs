//! Times as a foreign database holds them: readable or not, always kept.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// A time found in a source: the text that the database returns, and its instant if known.
///
/// MySQL's `0000-00-00 00:00:00`, PostgreSQL's `infinity` and a text that is not a date keep their `text` and have no
/// `at`. SQL NULL is `Option::<Stamp>::None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// What the column holds, as the database prints it. Reused unchanged as a paging key.
    pub text: String,
    /// The instant, after the source's `time_zone` was applied if the column has no zone.
    pub at: Option<DateTime<Utc>>,
}

impl Stamp {
    /// Returns a stamp of exactly this instant; for the console's own times.
    pub fn of(at: DateTime<Utc>) -> Self {
        Self { text: at.format("%Y-%m-%d %H:%M:%S%.6f").to_string(), at: Some(at) }
    }

    /// Returns whether it is not a date, and means the same as NULL: blank, or with zeros for the month or the day
    /// (`0000-00-00 00:00:00`). Java's drivers return NULL for it, or an error.
    pub fn is_no_date(&self) -> bool {
        let text = self.text.trim();
        let mut parts = text.get(..10).unwrap_or_default().split('-');
        let year = parts.next().is_some_and(|year| year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit()));
        let (month, day) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        text.is_empty() || year && month.len() == 2 && day.len() == 2 && (month == "00" || day == "00")
    }
}

/// How far a time is in the future, if that is more than two machines' clocks differ. For a failure it means a wrong
/// time zone, or a wrong clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead(pub TimeDelta);

impl Ahead {
    /// Below a quarter of an hour: time zones differ by multiples of that.
    const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(10);
    /// From UTC-12 to UTC+14, plus the error of a clock.
    const ZONES_DIFFER: TimeDelta = TimeDelta::hours(27);

    /// Returns how far a time is ahead of `now`; `None` if it is not.
    pub fn of(time: Option<&Stamp>, now: DateTime<Utc>) -> Option<Self> {
        let ahead = time?.at? - now;
        (ahead >= Self::CLOCKS_DIFFER).then_some(Self(ahead))
    }

    /// Returns whether a wrong time zone can be the reason.
    pub fn may_be_the_zone(self) -> bool {
        self.0 <= Self::ZONES_DIFFER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_for_a_month_or_a_day_are_no_date() {
        let no_date = |text: &str| Stamp { text: text.into(), at: None }.is_no_date();
        for text in
            ["0000-00-00 00:00:00", "0000-00-00", "0000-00-00T00:00:00Z", " ", "2026-00-17", "2026-11-00 01:02:03"]
        {
            assert!(no_date(text), "{text:?}");
        }
        for text in ["2026-11-20 00:00:00", "0000-01-01", "1795161600250", "infinity", "some day", "ü", "00-00-00-00"]
        {
            assert!(!no_date(text), "{text:?}");
        }
    }

    #[test]
    fn what_clocks_differ_by_is_not_ahead_and_what_zones_differ_by_may_be_the_zone() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let at = |minutes| Ahead::of(Some(&Stamp::of(now + TimeDelta::minutes(minutes))), now);
        assert_eq!((at(-600), at(0), at(9)), (None, None, None));
        assert_eq!(at(330), Some(Ahead(TimeDelta::minutes(330))));
        assert!(at(15).unwrap().may_be_the_zone() && at(26 * 60).unwrap().may_be_the_zone());
        assert!(!at(28 * 60).unwrap().may_be_the_zone());
        assert_eq!(Ahead::of(None, now), None);
        assert_eq!(Ahead::of(Some(&Stamp { text: "infinity".into(), at: None }), now), None);
    }
}
