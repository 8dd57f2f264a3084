//! What the watcher found in one poll, to be written into the ledger.

use chrono::{DateTime, Utc};

use crate::model::{
    Stamp,
    ledger::{LifeState, RequestOutcome},
    present_since,
};

/// An error's fingerprint: version of the algorithm, and text.
pub type Fingerprint = (i64, String);

/// The findings of a poll, to be written in one transaction.
#[derive(Debug, Default)]
pub struct Page {
    pub appeared: Vec<Appeared>,
    pub changed: Vec<Changed>,
    pub moved: Vec<Moved>,
    pub ended: Vec<Ended>,
    pub attempts: Vec<NewAttempt>,
    pub progress: Progress,
}

impl Page {
    /// Returns the number of changes; for keeping pages small.
    pub fn len(&self) -> usize {
        self.appeared.len() + self.changed.len() + self.moved.len() + self.ended.len() + self.attempts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A row that did not exist at the last poll.
#[derive(Debug)]
pub struct Appeared {
    pub row_id: i64,
    pub feed_uri: Option<String>,
    pub event_id: Option<String>,
    pub record: Option<String>,
    pub title: Option<String>,
    pub failed_at: Option<Stamp>,
    pub retries: Option<i64>,
    pub state: LifeState,
    pub mark: i64,
    pub fault: Fingerprint,
}

/// A row whose retries or mark differ from the last poll.
#[derive(Debug)]
pub struct Changed {
    pub row: LedgerRow,
    pub retries: Option<i64>,
    pub state: LifeState,
    pub mark: i64,
}

/// A row whose feed address was rewritten.
#[derive(Debug)]
pub struct Moved {
    pub row: LedgerRow,
    pub feed_uri: Option<String>,
    pub mark: i64,
}

/// A row that no longer exists.
#[derive(Debug)]
pub struct Ended {
    pub row: LedgerRow,
    pub state: LifeState,
    pub why: Option<String>,
}

/// A row of the retry log.
#[derive(Debug)]
pub struct NewAttempt {
    pub log_id: i64,
    pub feed_uri: Option<String>,
    pub event_id: String,
    pub at: Option<DateTime<Utc>>,
    pub fault: Fingerprint,
}

/// The watcher's progress with this page.
#[derive(Debug, Default)]
pub struct Progress {
    pub log_to: Option<i64>,
    pub identity: Option<String>,
    /// Set if the database turned out to be another one, or its ids restarted: a whole sentence.
    pub broke: Option<String>,
    /// The first full read is complete.
    pub read_whole: bool,
    /// Set when the poll is complete: the time at which it began.
    pub looked_at: Option<DateTime<Utc>>,
}

/// The ledger's record of a row that was open at the last poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// Ledger id.
    pub id: i64,
    pub row_id: i64,
    pub feed_id: i64,
    pub feed_uri: Option<String>,
    pub event_id: Option<String>,
    pub retries: Option<i64>,
    pub state: LifeState,
    pub fault: i64,
    pub mark: i64,
    /// The `failed_at` that it had at first sight, as [`super::micros`] writes it, and the time of first sight in
    /// milliseconds.
    pub failed_at: i64,
    pub seen_at: i64,
}

impl LedgerRow {
    /// Returns the time from which on attempts belong to its present failure.
    pub(super) fn present_since(&self, moves: bool) -> Option<DateTime<Utc>> {
        since(self.failed_at, self.seen_at, moves)
    }
}

/// Returns from when on attempts belong to the present failure of a row: see [`LedgerRow`].
pub(super) fn since(failed_at: i64, seen_at: i64, moves: bool) -> Option<DateTime<Utc>> {
    let failed_at = super::super::read::failed_at(failed_at);
    let seen_at = DateTime::from_timestamp_millis(seen_at);
    present_since(failed_at, moves, failed_at.into_iter().chain(seen_at).min())
}

/// Signs of activity of a feed's consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// When it was last seen at work.
    pub worked_at: Option<DateTime<Utc>>,
    /// When its marker was seen to move, or first seen.
    pub moved_at: Option<DateTime<Utc>>,
    /// The number of moves of its marker that were seen, and when the first was.
    pub moves: i64,
    pub moves_from: Option<DateTime<Utc>>,
}

/// Moves of a marker needed before the average pause between them counts as usual.
const USUAL: i64 = 10;

impl Work {
    /// Returns the usual pause between two moves of the marker, in seconds; `None` if too few were seen.
    pub fn usual_pause(&self) -> Option<u64> {
        let (from, to) = (self.moves_from?, self.moved_at?);
        let pauses = self.moves.checked_sub(1).filter(|_| self.moves >= USUAL)?;
        u64::try_from((to - from).num_seconds() / pauses).ok()
    }
}

/// What a page changed, by ledger id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub appeared: u64,
    pub ended: u64,
    pub attempts: u64,
    /// Requests whose outcome has become known.
    pub settled: Vec<(i64, RequestOutcome)>,
}
