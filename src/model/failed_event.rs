//! A failed event: a row of `failed_events`, its state, and its rows in `failed_event_retry_log`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Limits, Stamp};

/// The `id` of a row in a source. Wide enough for MySQL's `bigint unsigned` and PostgreSQL's `numeric(10,0)`.
///
/// Travels as a string in JSON: a browser's numbers are exact only up to 2^53.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub i128);

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RowId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(RowId)
    }
}

impl Serialize for RowId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RowId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What names a failed event: the application's key and the row's id. Event ids repeat across feeds and cannot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EventKey {
    pub app: String,
    pub id: RowId,
}

/// The state of a failed event that is in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventState {
    /// retries < maxRetry: the consumer will try again by itself.
    Waiting,
    /// retries >= maxRetry: nobody will try again until a person retries.
    Exhausted,
    /// The table has no `retries` column, or it is NULL.
    Unknown,
}

impl EventState {
    /// `None` for `retries` is SQL NULL or a missing column. Without a maxRetry nobody retries: exhausted.
    pub fn of(retries: Option<i64>, limits: &Limits) -> Self {
        match (retries, limits.max_retry) {
            (None, _) => EventState::Unknown,
            (Some(_), None) => EventState::Exhausted,
            (Some(retries), Some(max)) if retries < max => EventState::Waiting,
            (Some(_), Some(_)) => EventState::Exhausted,
        }
    }
}

/// A failed event as a list shows it: the long texts are cut by the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedEventRow {
    pub app: String,
    pub id: RowId,
    pub feed_uri: Option<String>,
    /// When it failed first.
    pub failed_at: Option<Stamp>,
    /// The beginning of the first error (300 characters in lists).
    pub error: Option<String>,
    pub event_id: Option<String>,
    /// The beginning of the payload (300 characters in lists).
    pub payload: Option<String>,
    pub title: Option<String>,
    pub retries: Option<i64>,
    pub tags: Option<String>,
    pub state: EventState,
}

impl FailedEventRow {
    /// Whether it stops every retry of its feed while it waits: a consumer that meets a NULL failed_at among the oldest
    /// that wait gives up the whole batch (ICT4H/atomfeed, `FailedEventsJob`).
    pub fn would_stop_its_feed(&self) -> bool {
        self.failed_at.is_none()
    }
}

/// A failed event as its own page shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedEvent {
    /// With the texts cut at [`FailedEvent::TEXT_LIMIT`] characters.
    pub row: FailedEventRow,
    /// The whole length of error and payload, in characters.
    pub error_chars: u64,
    pub payload_chars: u64,
    pub error_hash_code: Option<i64>,
    /// The rows of the retry log for this event, oldest first; the newest [`FailedEvent::ATTEMPT_LIMIT`] of them.
    pub attempts: super::Availability<Vec<Attempt>>,
    /// How many rows of the retry log there are in all.
    pub attempts_total: u64,
}

impl FailedEvent {
    /// Characters of error text and payload that a page carries; the whole can be downloaded.
    pub const TEXT_LIMIT: u32 = 64 * 1024;
    /// Attempts that a page carries.
    pub const ATTEMPT_LIMIT: u32 = 50;
}

/// A row of `failed_event_retry_log`: a retry that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    pub id: RowId,
    /// As logged; differs from the failed event's where host names were rewritten later.
    pub feed_uri: Option<String>,
    pub failed_at: Option<Stamp>,
    /// Cut at [`FailedEvent::TEXT_LIMIT`] characters.
    pub error: Option<String>,
    pub event_id: Option<String>,
    pub payload: Option<String>,
}
