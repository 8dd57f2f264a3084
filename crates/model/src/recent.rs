//! Time ranges that end now and move with it: `since yesterday 18:00`. A list's address holds the range, not the
//! instants, so that today's link also answers tomorrow's question.

use chrono::{DateTime, Days, NaiveTime, TimeDelta, TimeZone, Utc};
use serde::{Deserialize, Serialize};

use super::words::Clock;

/// A range up to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Recent {
    Hour,
    Today,
    /// Since the evening before: since the last working day ended.
    Evening,
    Week,
}

impl Recent {
    pub const ALL: [Recent; 4] = [Recent::Hour, Recent::Today, Recent::Evening, Recent::Week];

    /// Returns the value of `since` in an address.
    pub fn word(self) -> &'static str {
        match self {
            Recent::Hour => "1h",
            Recent::Today => "today",
            Recent::Evening => "yesterday-18:00",
            Recent::Week => "7d",
        }
    }

    /// Returns the label for readers with this clock.
    pub fn label(self, clock: Clock) -> &'static str {
        match (self, clock) {
            (Recent::Hour, _) => "Last hour",
            (Recent::Today, _) => "Today",
            (Recent::Evening, Clock::H24) => "Since yesterday 18:00",
            (Recent::Evening, Clock::H12) => "Since yesterday 6:00 pm",
            (Recent::Week, _) => "Last 7 days",
        }
    }

    /// Returns the words for a sentence: `failed since yesterday 18:00`.
    pub fn in_sentence(self, clock: Clock) -> &'static str {
        match (self, clock) {
            (Recent::Hour, _) => "in the last hour",
            (Recent::Today, _) => "today",
            (Recent::Evening, Clock::H24) => "since yesterday 18:00",
            (Recent::Evening, Clock::H12) => "since yesterday 6:00 pm",
            (Recent::Week, _) => "in the last 7 days",
        }
    }

    /// Returns the range with this word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|recent| recent.word() == word)
    }

    /// Returns when it begins, if `now` is in the reader's zone: days begin there, not in UTC.
    pub fn begins<Z: TimeZone>(self, now: &DateTime<Z>) -> DateTime<Utc> {
        let at = |days: u64, time: NaiveTime| {
            let day = now.date_naive().checked_sub_days(Days::new(days))?;
            // A time that the clock skips is moved on by whole hours to one that exists.
            let zone = now.timezone();
            let ahead = (0..=3)
                .find_map(|hours| zone.from_local_datetime(&(day.and_time(time) + TimeDelta::hours(hours))).earliest());
            Some(ahead?.to_utc())
        };
        let evening = NaiveTime::from_hms_opt(18, 0, 0).unwrap_or_default();
        match self {
            Recent::Hour => Some(now.to_utc() - TimeDelta::hours(1)),
            Recent::Today => at(0, NaiveTime::MIN),
            Recent::Evening => at(1, evening),
            Recent::Week => Some(now.to_utc() - TimeDelta::days(7)),
        }
        .unwrap_or_else(|| now.to_utc() - TimeDelta::days(1))
    }
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;

    use super::*;

    #[test]
    fn days_begin_where_the_reader_is() {
        let kolkata = FixedOffset::east_opt(19_800).unwrap();
        let now = DateTime::parse_from_rfc3339("2026-11-29T02:30:00+05:30").unwrap().with_timezone(&kolkata);
        let begins = |recent: Recent| recent.begins(&now).to_rfc3339();
        assert_eq!(begins(Recent::Today), "2026-11-28T18:30:00+00:00");
        assert_eq!(begins(Recent::Evening), "2026-11-28T12:30:00+00:00");
        assert_eq!(begins(Recent::Hour), "2026-11-28T20:00:00+00:00");
        assert_eq!(begins(Recent::Week), "2026-11-21T21:00:00+00:00");
    }

    #[test]
    fn each_range_is_found_by_its_word() {
        for recent in Recent::ALL {
            assert_eq!(Recent::of_word(recent.word()), Some(recent));
        }
        assert_eq!(Recent::of_word("2h"), None);
    }
}
