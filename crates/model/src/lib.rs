//! The data model shared by server and browser: plain serde types and pure functions, with unit tests for every edge
//! case.
//!
//! Nothing here does I/O or knows SQL. The names are those of the field: Atom feed, marker, entry, consumer, offset
//! marker, payload; the states are those that people read on the screen.

pub mod access;
pub mod advice;
pub mod application;
pub mod audit;
pub mod cause;
pub mod concern;
pub mod concerns;
pub mod demo;
pub mod differences;
pub mod error_text;
pub mod event_names;
pub mod explain;
pub mod failed_event;
pub mod feed;
pub mod feed_names;
pub mod feed_pages;
pub mod filter;
pub mod fingerprint;
pub mod group;
pub mod history;
mod labels;
pub mod lag;
pub mod ledger;
pub mod masking;
pub mod obstacle;
pub mod operation;
pub mod overview;
pub mod page_texts;
pub mod payload;
pub mod preferences;
pub mod probe;
pub mod publisher;
mod query;
pub mod quiet;
pub mod recent;
pub mod record;
#[cfg(any(test, feature = "samples"))]
pub mod samples;
pub mod search;
pub mod search_index;
mod shown_state;
pub mod stamp;
pub mod time_left;
mod uuid;
pub mod whole_row;
pub mod words;

pub use access::{Person, Right, Role};
pub use application::{ApplicationInfo, Availability, Backend, FeedLimit, Kind, Limits, Reach};
pub use failed_event::{
    Attempt, EventKey, EventState, FailedEvent, FailedEventRow, FailedSince, FirstSight, KnownOf, Latest, RowId,
    present_attempts, present_since, says,
};
pub use feed::{Feed, FeedCounts, FeedState, Marker};
pub use obstacle::Obstacle;
pub use overview::{ApplicationView, DayCount, Seen};
pub use preferences::{Preferences, Reader, Theme, Zone};
pub use shown_state::ShownState;
pub use stamp::Stamp;
pub use words::Clock;
