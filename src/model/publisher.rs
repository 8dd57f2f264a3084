//! What an application publishes itself, and the offset markers that its feed pages are computed from.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Availability, RowId, Stamp, words::count};

/// One category of `event_records`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublishedCategory {
    /// `None` where the column is NULL or the table has none.
    pub category: Option<String>,
    pub count: u64,
    pub newest_id: Option<RowId>,
    pub newest: Option<Stamp>,
    pub oldest: Option<Stamp>,
}

/// A row of `event_records_offset_marker`: up to event `event_id` there are `event_count` events of the category.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OffsetMarker {
    /// The empty text means all categories.
    pub category: Option<String>,
    pub event_id: Option<RowId>,
    pub event_count: Option<i64>,
    /// Events of the category published after it; `None` where the application has no event_records.
    pub behind: Option<u64>,
}

/// A row of `chunking_history`: from position `start` on a page holds `length` entries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    pub length: i64,
    pub start: i64,
}

/// The rows of `event_records_queue`: events that were raised and are not on a feed yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// At the most [`Queue::COUNTED`].
    pub length: u64,
    /// When the oldest of them was raised, where the table says so.
    pub oldest: Option<Stamp>,
}

impl Queue {
    /// Rows that are counted: a queue that nobody empties must not make every look slow.
    pub const COUNTED: u64 = 100_000;

    /// Returns how many events wait: `1 event`, `500 events`, `100,000 events or more`.
    pub fn in_words(&self) -> String {
        let more = if self.length >= Self::COUNTED { " or more" } else { "" };
        format!("{}{more}", count(self.length, "event"))
    }

    /// Returns how old its oldest entry is at a time; `None` where it is empty, or its times say nothing.
    pub fn age(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        let oldest = self.oldest.as_ref().and_then(|stamp| stamp.at)?;
        (self.length > 0).then_some(now - oldest)
    }
}

/// The publisher's side of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Publisher {
    pub categories: Availability<Vec<PublishedCategory>>,
    pub queue: Availability<Queue>,
    pub offset_markers: Availability<Vec<OffsetMarker>>,
    pub chunking: Availability<Vec<Chunk>>,
    /// When this was counted; counting a long table is not repeated for every page view.
    pub counted_at: Stamp,
}
