//! What failed and how it ended: the query of a history page, and the parts of its answer.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::filter::{LONGEST_QUERY, PASTED, needle, pairs, push};

/// Days that a history shows by default.
pub const DAYS: u32 = 30;

/// The selectable numbers of days.
pub const DAYS_TO_CHOOSE: [u32; 4] = [7, 30, 90, 365];

/// The query of a history page, kept in the URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryQuery {
    /// `None`: every application.
    pub app: Option<String>,
    /// `Some("")`: failed events without a feed address.
    pub feed: Option<String>,
    /// `None`: [`DAYS`].
    pub days: Option<u32>,
    /// An event id, or the uuid of an event or of its record.
    pub find: Option<String>,
    /// The list of ended events begins before this end, given by time and the ledger's number.
    pub before: Option<(i64, i64)>,
}

impl HistoryQuery {
    /// Returns the query for the history of one application.
    pub fn of_app(app: &str) -> Self {
        Self { app: Some(app.to_owned()), ..Self::default() }
    }

    /// Returns the query for the history of one feed.
    pub fn of_feed(app: &str, feed: Option<&str>) -> Self {
        Self { feed: Some(feed.unwrap_or_default().to_owned()), ..Self::of_app(app) }
    }

    /// Reads a query string. Ignores what is unknown or invalid, and a string that is too long. Cuts a value longer
    /// than any id or address, so that it matches nothing.
    pub fn parse(query: &str) -> Self {
        let mut read = Self::default();
        if query.len() > LONGEST_QUERY {
            return read;
        }
        for (key, mut value) in pairs(query) {
            if let Some((end, _)) = value.char_indices().nth(PASTED) {
                value.truncate(end);
            }
            match key.as_str() {
                "app" if !value.is_empty() => read.app = Some(value),
                "feed" if !value.is_empty() => read.feed = Some(value),
                "nofeed" => read.feed = Some(String::new()),
                "days" => read.days = value.parse().ok().filter(|days| DAYS_TO_CHOOSE.contains(days)),
                "find" => read.find = Some(needle(&value).into_owned()).filter(|find| !find.is_empty()),
                "before" => {
                    read.before = value.split_once('~').and_then(|(at, id)| Some((at.parse().ok()?, id.parse().ok()?)));
                }
                _ => {}
            }
        }
        read
    }

    pub fn to_query(&self) -> String {
        let mut query = String::new();
        if let Some(app) = &self.app {
            push(&mut query, "app", app);
        }
        match self.feed.as_deref() {
            None => {}
            Some("") => push(&mut query, "nofeed", "1"),
            Some(feed) => push(&mut query, "feed", feed),
        }
        if let Some(days) = self.days {
            push(&mut query, "days", &days.to_string());
        }
        if let Some(find) = &self.find {
            push(&mut query, "find", find);
        }
        if let Some((at, id)) = self.before {
            push(&mut query, "before", &format!("{at}~{id}"));
        }
        query
    }

    /// Returns the number of days shown.
    pub fn shown_days(&self) -> u32 {
        self.days.unwrap_or(DAYS)
    }
}

/// What happened on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryDay {
    pub day: NaiveDate,
    /// Events that failed for the first time.
    pub failed: u64,
    /// Retries that failed.
    pub attempts: u64,
    pub resolved: u64,
    pub gone: u64,
    pub discarded: u64,
}

impl HistoryDay {
    /// Adds what happened elsewhere on the same day.
    pub fn add(&mut self, other: &Self) {
        self.failed += other.failed;
        self.attempts += other.attempts;
        self.resolved += other.resolved;
        self.gone += other.gone;
        self.discarded += other.discarded;
    }
}

/// How long it took to resolve the most recently resolved events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolving {
    /// The number of these events.
    pub of: u64,
    /// The median, in seconds.
    pub median_secs: Option<u64>,
    /// The users who requested the retries that succeeded, and how often; most frequent first.
    pub helped: Vec<(String, u64)>,
}

/// Since when the ledger follows an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowedSince {
    pub app: String,
    pub since: DateTime<Utc>,
    /// Whether the first read of the table is complete.
    pub whole: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_reads_back_as_it_was_written() {
        for query in [
            HistoryQuery::default(),
            HistoryQuery::of_feed("odoo", Some("http://a/b?c&d")),
            HistoryQuery::of_feed("odoo", None),
            HistoryQuery {
                days: Some(90),
                find: Some("a b~c".into()),
                before: Some((1_800_000_000_000, 7)),
                ..HistoryQuery::of_app("lab")
            },
        ] {
            assert_eq!(HistoryQuery::parse(&query.to_query()), query);
        }
    }

    #[test]
    fn what_makes_no_sense_is_left_out() {
        assert_eq!(HistoryQuery::parse("days=8&before=x&app=&find=%20&junk"), HistoryQuery::default());
        let find = HistoryQuery::parse(&format!("find={}", "x".repeat(2_000))).find;
        assert_eq!(find.map(|find| find.len()), Some(PASTED), "which names nothing");
        assert_eq!(HistoryQuery::parse(&format!("app=odoo{}", "&junk".repeat(10_000))), HistoryQuery::default());
    }
}
