//! The result of the last poll of an application: the answer to "is anything broken?".

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::{
    ApplicationInfo, Availability, Feed, Reach, RowId, Stamp, concern::Concern, probe::Probe, publisher::Queue,
};

/// First failures of one day, in the application's time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayCount {
    pub day: NaiveDate,
    pub failures: u64,
}

/// The last poll of one application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApplicationView {
    pub info: ApplicationInfo,
    pub reach: Reach,
    /// When the last poll ended; `None` before the first.
    pub looked_at: Option<DateTime<Utc>>,
    /// What was read then. Kept from the last successful poll while a source is unreachable.
    pub seen: Option<Arc<Seen>>,
    /// When `seen` was read; older than `looked_at` while the source is unreachable.
    pub seen_at: Option<DateTime<Utc>>,
    /// What needs attention here, most pressing first: see [`super::concerns`].
    pub concerns: Vec<Concern>,
    /// Events that failed first on each of the last days of the reader: oldest first, without gaps, today last. Empty:
    /// not known, or not asked for.
    #[serde(default)]
    pub days: Vec<DayCount>,
    /// What its feed answers, if the configuration has the address.
    #[serde(default)]
    pub probe: Option<Probe>,
}

impl ApplicationView {
    /// Returns its feeds as last seen; none if they were never seen or cannot be read.
    pub fn feeds(&self) -> &[Feed] {
        self.seen.as_ref().and_then(|seen| seen.feeds.here()).map_or(&[], Vec::as_slice)
    }
}

/// What a poll of a reachable application found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// From `markers` and from `failed_events`, sorted by address.
    pub feeds: Availability<Vec<Feed>>,
    /// Why failed events are not known here, as a part of a sentence ("the table failed_events does not exist").
    pub failures_not_known: Option<String>,
    /// `None` if not known: the table cannot be read or does not hold how often events were retried.
    pub waiting: Option<u64>,
    /// `None` as for `waiting`.
    pub exhausted: Option<u64>,
    /// All rows of failed_events. `None`: not known.
    pub failed: Option<u64>,
    pub oldest_failure: Option<Stamp>,
    pub newest_failure: Option<Stamp>,
    /// The newest rows by id, newest first, from which new ones are detected: at most 200.
    pub newest: Vec<NewRow>,
    /// Its own events that are not on a feed yet, as last read. `None` if it has no such table, or it was never read.
    pub queue: Option<Queue>,
    /// Why that queue is not known now, if it has one or publishes feeds; a part of a sentence, or a whole one.
    #[serde(default)]
    pub queue_not_known: Option<String>,
    /// Why nothing can be retried here (read-only account, no `retries` column); `None` when it can.
    pub retry_refused: Option<String>,
    /// Tables and columns that this schema lacks, in words ("the table chunking_history").
    pub missing: Vec<String>,
    /// Rows and settings that will break the consumer itself, in words.
    pub hazards: Vec<String>,
    /// What keeps the ledger from following this database, as a sentence; `None` if nothing does.
    pub out_of_step: Option<String>,
}

/// One of the newest failed events, from which a list detects new ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRow {
    pub id: RowId,
    pub feed_uri: Option<String>,
}
