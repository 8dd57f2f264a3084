//! What the console last saw of an application: the answer to "is anything broken?".

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::{ApplicationInfo, Availability, Feed, Reach, RowId, Stamp, concerns::Concern, publisher::Queue};

/// First failures of one day, in the application's time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayCount {
    pub day: NaiveDate,
    pub failures: u64,
}

/// One look at one application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApplicationView {
    pub info: ApplicationInfo,
    pub reach: Reach,
    /// When the last look ended; `None` before the first.
    pub looked_at: Option<DateTime<Utc>>,
    /// What was seen then. Stays from the last good look while a source is unreachable.
    pub seen: Option<Arc<Seen>>,
    /// When `seen` was read; older than `looked_at` while the source is unreachable.
    pub seen_at: Option<DateTime<Utc>>,
    /// What needs a person's attention here, the most pressing first: see [`super::concerns`].
    pub concerns: Vec<Concern>,
}

/// What a look at a reachable application found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// From `markers` and from `failed_events`, sorted by address.
    pub feeds: Availability<Vec<Feed>>,
    /// The last days, oldest first, without gaps, today last.
    pub days: Vec<DayCount>,
    /// Why nobody knows of failed events here, as a part of a sentence ("the table failed_events does not exist").
    pub failures_not_known: Option<String>,
    /// `None`: not known, as the table cannot be read or does not say how often events were retried.
    pub waiting: Option<u64>,
    /// The same of these.
    pub exhausted: Option<u64>,
    /// All rows of failed_events. `None`: not known.
    pub failed: Option<u64>,
    pub oldest_failure: Option<Stamp>,
    pub newest_failure: Option<Stamp>,
    /// The newest rows by id, newest first, for telling what came since: at most 200.
    pub newest: Vec<NewRow>,
    /// Its own events that are not on a feed yet, as they were last read. `None`: it has no such table, or it was never read.
    pub queue: Option<Queue>,
    /// Why nobody knows of that queue now, where it has one or publishes feeds; a part of a sentence, or a whole one.
    #[serde(default)]
    pub queue_not_known: Option<String>,
    /// Why nothing can be retried here (read-only account, no `retries` column); `None` when it can.
    pub retry_refused: Option<String>,
    /// Tables and columns that this schema does not have, in words ("the table chunking_history").
    pub missing: Vec<String>,
    /// Rows and settings that will break the consumer itself, in words.
    pub hazards: Vec<String>,
    /// What keeps the ledger from following this database, as a sentence; `None`: it is in step.
    pub out_of_step: Option<String>,
}

/// One of the newest failed events: what tells a list that something came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRow {
    pub id: RowId,
    pub feed_uri: Option<String>,
}
