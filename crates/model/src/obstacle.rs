//! Failed events that no retry helps: one rule for all code that offers, plans or carries out a retry, and what to say
//! before an event without a title is retried. Pure functions; the databases' side of the rule is in
//! `server/sources/schema.rs`.

use super::Stamp;

/// Why no retry helps a failed event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A retry job searches by feed address: it never finds the event.
    NoFeedAddress,
    /// A consumer that finds a row without a time among the oldest waiting ones gives up the whole batch
    /// (ICT4H/atomfeed, `FailedEventsJob`): while it waits, the event would stop every retry of its feed.
    NoTime,
}

impl Obstacle {
    /// Returns why no retry helps a row with these contents of the columns `feed_uri` and `failed_at`; `None` if a retry
    /// takes effect.
    pub fn in_columns(feed_uri: Option<&str>, failed_at: Option<&Stamp>) -> Option<Self> {
        if no_address(feed_uri) {
            Some(Obstacle::NoFeedAddress)
        } else if failed_at.is_none_or(Stamp::is_no_date) {
            Some(Obstacle::NoTime)
        } else {
            None
        }
    }

    /// Returns why one event is not retried, and what to do instead.
    pub fn why(self) -> &'static str {
        match self {
            Obstacle::NoFeedAddress => {
                "This event has no feed address and cannot be retried. Fix the cause in the application, or discard the event."
            }
            Obstacle::NoTime => {
                "This event has no time of failure: a retry of it would block all retries of its feed. Discard the event."
            }
        }
    }

    /// Returns what rows lack that a plan leaves out, as a part of a sentence behind their number.
    pub fn left_out(self) -> &'static str {
        match self {
            Obstacle::NoFeedAddress => "without a feed address",
            Obstacle::NoTime => "without a time of failure",
        }
    }
}

/// Returns whether this is not a feed address: NULL, or only blanks.
pub fn no_address(feed_uri: Option<&str>) -> bool {
    feed_uri.is_none_or(|uri| uri.trim().is_empty())
}

/// Returns whether an event has no title. It can be retried, after [`UNTITLED`] was shown.
pub fn untitled(title: Option<&str>) -> bool {
    title.is_none_or(|title| title.trim().is_empty())
}

/// The possible result of a retry of an event without a title.
pub const UNTITLED: &str = "No title: some consumers drop such events without processing. After a retry, check the record in the \
     application.";

/// Returns the same for the events of a plan; `rows` of them have no title.
pub fn untitled_in_plan(rows: u64) -> Option<String> {
    (rows > 0).then(|| {
        format!(
            "{} {} no title: some consumers drop such events without processing. After the retry, check the records in the \
             application.",
            super::words::count(rows, "event"),
            if rows == 1 { "has" } else { "have" },
        )
    })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn time(text: &str) -> Stamp {
        Stamp { text: text.into(), at: None }
    }

    #[test]
    fn no_retry_helps_without_an_address_or_without_a_time() {
        let dated = Stamp::of(DateTime::UNIX_EPOCH);
        let feed = Some("http://openmrs/feed/recent");
        assert_eq!(Obstacle::in_columns(feed, Some(&dated)), None);
        for address in [None, Some(""), Some(" \t")] {
            assert_eq!(Obstacle::in_columns(address, Some(&dated)), Some(Obstacle::NoFeedAddress), "{address:?}");
            assert_eq!(Obstacle::in_columns(address, None), Some(Obstacle::NoFeedAddress), "{address:?}");
        }
        assert_eq!(Obstacle::in_columns(feed, None), Some(Obstacle::NoTime));
        for text in ["0000-00-00 00:00:00", "0000-00-00", "0000-00-00T00:00:00.000000", "2026-00-01 00:00:00", "", " "]
        {
            assert_eq!(Obstacle::in_columns(feed, Some(&time(text))), Some(Obstacle::NoTime), "{text:?}");
        }
        // Times that a consumer can read, but the console cannot.
        for text in ["infinity", "0044-03-15 12:00:00 BC"] {
            assert_eq!(Obstacle::in_columns(feed, Some(&time(text))), None, "{text:?}");
        }
    }

    #[test]
    fn titles_of_blanks_are_none_and_a_plan_counts_them() {
        assert!(untitled(None) && untitled(Some("")) && untitled(Some(" ")) && !untitled(Some("Encounter")));
        assert_eq!(untitled_in_plan(0), None);
        assert!(untitled_in_plan(1).unwrap().starts_with("1 event has no title"));
        assert!(untitled_in_plan(1_200).unwrap().starts_with("1,200 events have no title"));
    }
}
