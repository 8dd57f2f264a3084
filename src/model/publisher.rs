//! What an application publishes itself, and the offset markers that its feed pages are computed from.

use serde::{Deserialize, Serialize};

use super::{Availability, RowId, Stamp};

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

/// The publisher's side of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Publisher {
    pub categories: Availability<Vec<PublishedCategory>>,
    /// Rows of `event_records_queue`: events not yet on a feed.
    pub queue_length: Availability<u64>,
    pub offset_markers: Availability<Vec<OffsetMarker>>,
    pub chunking: Availability<Vec<Chunk>>,
    /// When this was counted; counting a long table is not repeated for every page view.
    pub counted_at: Stamp,
}
