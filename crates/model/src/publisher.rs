//! What an application publishes, and the offset markers from which its feed pages are computed.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Availability, RowId, Stamp, words::count};

/// One category of `event_records`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublishedCategory {
    /// `None` if the column is NULL or missing.
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
    /// Events of the category published after it; `None` if the application has no event_records.
    pub behind: Option<u64>,
    /// Existing events of the category up to it. Differs from `event_count` if some were deleted since.
    pub there: Option<u64>,
}

impl OffsetMarker {
    /// Returns how many events exist up to it, if its own count differs: the pages that are counted from it then begin
    /// with events that do not exist.
    pub fn miscounts(&self) -> Option<u64> {
        let counted = self.event_count?;
        self.there.filter(|there| u64::try_from(counted) != Ok(*there))
    }
}

/// The rows of `event_records_offset_marker`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OffsetMarkers {
    /// Those with a category, by category: at most [`OffsetMarkers::SHOWN`].
    pub rows: Vec<OffsetMarker>,
    /// The number of markers with a category.
    pub with_category: u64,
    /// The number of markers without one (NULL): no feed is counted from them.
    pub without_category: u64,
}

impl OffsetMarkers {
    /// A publisher has one for each category. Some tables have a new row for every run of its job.
    pub const SHOWN: u32 = 50;
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
    /// At most [`Queue::COUNTED`].
    pub length: u64,
    /// When the oldest of them was raised, if the table holds it.
    pub oldest: Option<Stamp>,
    /// How many have no time.
    #[serde(default)]
    pub undated: u64,
    /// The lowest id of its rows, which is that of the first row.
    #[serde(default)]
    pub lowest: Option<RowId>,
    /// When the console first saw that row: it has waited at least since then, even if the rows have no time.
    #[serde(default)]
    pub first_seen: Option<DateTime<Utc>>,
}

impl Queue {
    /// The most rows that are counted: a queue that no job empties must not make every poll slow.
    pub const COUNTED: u64 = 100_000;

    /// Returns how many events wait: `1 event`, `500 events`, `100,000 events or more`.
    pub fn in_words(&self) -> String {
        let more = if self.length >= Self::COUNTED { " or more" } else { "" };
        format!("{}{more}", count(self.length, "event"))
    }

    /// Returns it with the time at which its first row was first seen, which is `now` if the last poll found another
    /// first row.
    pub fn seen_at(self, now: DateTime<Utc>, last: Option<&Queue>) -> Self {
        let same = last.filter(|last| last.lowest == self.lowest).and_then(|last| last.first_seen);
        Self { first_seen: self.lowest.map(|_| same.unwrap_or(now)), ..self }
    }

    /// Returns since when its oldest entry waits at least, as known at a time: since it was raised, or since the console
    /// first saw it. A time of the table that is in the future is not used. `None` if it is empty, or nothing is known.
    pub fn waits_since(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let since = self.raised(now).into_iter().chain(self.first_seen).min()?;
        (self.length > 0).then_some(since)
    }

    /// Returns the minimum age of its oldest entry at a time: see [`Queue::waits_since`].
    pub fn age(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        self.waits_since(now).map(|since| now - since)
    }

    /// Returns whether that age comes from the table itself, and is not only a minimum.
    pub fn is_dated(&self, now: DateTime<Utc>) -> bool {
        self.undated == 0 && self.raised(now).is_some_and(|raised| self.first_seen.is_none_or(|seen| raised <= seen))
    }

    fn raised(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.oldest.as_ref()?.at.filter(|at| *at <= now)
    }
}

/// Returns how many pages a feed of this many events has; `None` if the rows of chunking_history, in the order of their
/// ids, cannot be used.
pub fn pages(chunks: &[Chunk], events: u64) -> Option<u64> {
    if chunks.first()?.start != 1 {
        return None;
    }
    let mut pages: u64 = 0;
    for (place, chunk) in chunks.iter().enumerate() {
        let (start, length) =
            (u64::try_from(chunk.start).ok()?, u64::try_from(chunk.length).ok().filter(|it| *it > 0)?);
        let next = chunks.get(place + 1).and_then(|next| u64::try_from(next.start).ok());
        if next.is_some_and(|next| next < start) {
            return None;
        }
        let last = next.map_or(events, |next| next.saturating_sub(1).min(events));
        pages = pages.saturating_add((last + 1).saturating_sub(start).div_ceil(length));
    }
    Some(pages)
}

/// The publisher's side of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Publisher {
    pub categories: Availability<Vec<PublishedCategory>>,
    pub queue: Availability<Queue>,
    pub offset_markers: Availability<OffsetMarkers>,
    pub chunking: Availability<Vec<Chunk>>,
    /// When this was counted; counting a long table is not repeated for every page view.
    pub counted_at: Stamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_without_times_is_as_old_as_the_console_has_seen_its_first_row() {
        let at = |second| DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap();
        let queue = |lowest: Option<i128>, raised: Option<i64>| Queue {
            length: 500,
            oldest: raised.map(|second| Stamp::of(at(second))),
            undated: 0,
            lowest: lowest.map(RowId),
            first_seen: None,
        };
        let age = |queue: &Queue, now| queue.age(at(now)).map(|age| age.num_seconds());
        let first = queue(Some(7), None).seen_at(at(0), None);
        assert_eq!((age(&first, 0), first.is_dated(at(0))), (Some(0), false));
        let stands = queue(Some(7), None).seen_at(at(900), Some(&first));
        assert_eq!((age(&stands, 900), stands.is_dated(at(900))), (Some(900), false));
        let moves = queue(Some(8), None).seen_at(at(900), Some(&first));
        assert_eq!(age(&moves, 900), Some(0), "the first row went on");
        // A row of a known time is at least as old as that time says, and as long as it was seen.
        let dated = queue(Some(7), Some(-60)).seen_at(at(900), Some(&first));
        assert_eq!((age(&dated, 900), dated.is_dated(at(900))), (Some(960), true));
        let ahead = queue(Some(7), Some(19_800)).seen_at(at(900), Some(&first));
        assert_eq!((age(&ahead, 900), ahead.is_dated(at(900))), (Some(900), false));
        assert_eq!(age(&queue(Some(7), Some(19_800)), 900), None, "a time in the future says nothing");
        let some_dated = Queue { undated: 3, ..dated };
        assert_eq!((age(&some_dated, 900), some_dated.is_dated(at(900))), (Some(960), false));
        let empty = Queue::default().seen_at(at(900), Some(&first));
        assert_eq!((age(&empty, 900), empty), (None, Queue::default()));
        assert_eq!(age(&queue(None, None).seen_at(at(900), Some(&queue(None, None))), 900), None, "no ids either");
    }

    #[test]
    fn a_marker_that_counts_events_which_are_gone_miscounts() {
        let marker =
            |event_count, there| OffsetMarker { category: None, event_id: None, event_count, behind: None, there };
        for (event_count, there, expected) in [
            (Some(200), Some(0), Some(0)),
            (Some(200), Some(199), Some(199)),
            (Some(200), Some(201), Some(201)),
            (Some(-1), Some(0), Some(0)),
            (Some(200), Some(200), None),
            (Some(200), None, None),
            (None, Some(3), None),
        ] {
            assert_eq!(marker(event_count, there).miscounts(), expected);
        }
    }

    #[test]
    fn pages_are_counted_as_the_publisher_cuts_them() {
        let chunks = |rows: &[(i64, i64)]| -> Vec<Chunk> {
            rows.iter().map(|&(length, start)| Chunk { length, start }).collect()
        };
        let fives = chunks(&[(5, 1)]);
        for (events, expected) in [(0, 0), (1, 1), (5, 1), (6, 2), (1_202, 241)] {
            assert_eq!(pages(&fives, events), Some(expected), "{events}");
        }
        let changed = chunks(&[(5, 1), (10, 21)]);
        for (events, expected) in [(20, 4), (21, 5), (30, 5), (31, 6)] {
            assert_eq!(pages(&changed, events), Some(expected), "{events}");
        }
        // A row that starts where the next one does holds nothing.
        assert_eq!(pages(&chunks(&[(5, 1), (10, 1)]), 11), Some(2));
        for unusable in [&[][..], &[(5, 0)], &[(0, 1)], &[(-5, 1)], &[(5, 7)], &[(5, 1), (9, 21), (10, 11)]] {
            assert_eq!(pages(&chunks(unusable), 100), None, "{unusable:?}");
        }
    }
}
