//! The words that both sides speak: plain serde types and pure functions, unit-tested to the corners.
//!
//! Nothing here does I/O, knows SQL or builds a URL. The names are those of the field: Atom feed, marker, entry,
//! consumer, offset marker, payload; the states are those a person reads on the screen.

pub mod access;
pub mod advice;
pub mod application;
pub mod audit;
pub mod concerns;
pub mod demo;
pub mod differences;
pub mod error_text;
pub mod explain;
pub mod failed_event;
pub mod feed;
pub mod feed_names;
pub mod filter;
pub mod fingerprint;
pub mod group;
pub mod history;
pub mod ledger;
pub mod masking;
pub mod obstacle;
pub mod operation;
pub mod overview;
pub mod page_texts;
pub mod payload;
pub mod publisher;
#[cfg(test)]
pub mod samples;
pub mod stamp;
mod uuid;
pub mod whole_row;
pub mod words;

pub use access::{Person, Right, Role};
pub use application::{ApplicationInfo, Availability, Backend, FeedLimit, Kind, Limits, Reach};
pub use failed_event::{
    Attempt, EventKey, EventState, FailedEvent, FailedEventRow, FailedSince, Latest, RowId, present_since, says,
};
pub use feed::{Feed, FeedCounts, FeedState, Marker};
pub use obstacle::Obstacle;
pub use overview::{ApplicationView, DayCount, Seen};
pub use stamp::Stamp;
