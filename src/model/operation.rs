//! What a person does to failed events: an operation with its plan, its course, and what became of each row.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{RowId, ledger::RequestKind};

/// What became of one row of an operation, as far as the console's own part goes. What the consumer made of it is in the
/// ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum RowOutcome {
    /// retries is 0 now.
    Reset,
    /// It was removed, and its copy is kept.
    Discarded,
    /// It was put back under this id.
    Restored { id: RowId },
    /// It is in the table again, by the consumer's own doing: not doubled.
    AlreadyThere,
    /// Another operation had it under way: left alone.
    Taken { operation: i64 },
    /// Another transaction has it locked: nothing was written, and its turn comes again. `again`: it was being written when
    /// the console ended, so that nobody knows what became of it then.
    Busy { again: bool },
    /// The row had other retries than the person saw, or was changed otherwise: left alone.
    Changed { retries: Option<i64> },
    /// The row is not in the table any more.
    Gone,
    /// The database refused or was lost, or no retry helps the row: nothing was written for it.
    Failed { reason: String },
    /// The connection was lost while the change was being committed: it may or may not have been written.
    Uncertain { reason: String },
}

impl RowOutcome {
    /// Whether the operation did to the row what it was for.
    pub fn is_done(&self) -> bool {
        matches!(self, RowOutcome::Reset | RowOutcome::Discarded | RowOutcome::Restored { .. })
    }
}

/// One row of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationRow {
    pub app: String,
    pub id: RowId,
    pub feed_uri: Option<String>,
    pub event_id: Option<String>,
    /// The retries that were seen; `None`: NULL, or a table that has none.
    pub seen_retries: Option<i64>,
    /// Of a restore: the number of the copy.
    pub copy: Option<i64>,
    /// `None` until the row's turn has come; for good where the operation was cancelled.
    pub outcome: Option<RowOutcome>,
}

/// How an operation's rows ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeCounts {
    /// All rows of the plan.
    pub asked: u64,
    pub reset: u64,
    pub discarded: u64,
    pub restored: u64,
    pub already_there: u64,
    pub taken: u64,
    pub changed: u64,
    pub gone: u64,
    pub failed: u64,
    pub uncertain: u64,
    /// Locked by other transactions: their turn comes again, or did, where the operation was cancelled.
    #[serde(default)]
    pub busy: u64,
}

impl OutcomeCounts {
    /// Rows that the operation did what it was for.
    pub fn done(&self) -> u64 {
        self.reset + self.discarded + self.restored
    }

    /// Rows that were left as they are, for whatever reason.
    pub fn left_alone(&self) -> u64 {
        self.already_there + self.taken + self.changed + self.gone + self.failed + self.uncertain
    }

    /// Rows whose turn has not come.
    pub fn to_come(&self) -> u64 {
        self.asked.saturating_sub(self.done() + self.left_alone() + self.busy)
    }
}

/// What became of the rows after the console's part, as the watcher saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// Nothing is known yet.
    pub open: u64,
    pub resolved: u64,
    pub failed_again: u64,
    /// Of those, with the same fault as before.
    pub same_fault: u64,
    /// The running consumer wrote its own count over the reset, and it was not set again.
    pub overwritten: u64,
    pub gone: u64,
}

impl Followed {
    /// Rows that are followed.
    pub fn all(&self) -> u64 {
        self.open + self.resolved + self.failed_again + self.overwritten + self.gone
    }
}

/// How far an operation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Its rows are being written down.
    Planning,
    /// Its plan is shown, and nothing has begun.
    Draft,
    Running,
    /// The first rows are written, and their outcome is waited for.
    Trying,
    Paused,
    Ended,
    Cancelled,
}

impl Stage {
    pub const ALL: [Stage; 7] =
        [Stage::Planning, Stage::Draft, Stage::Running, Stage::Trying, Stage::Paused, Stage::Ended, Stage::Cancelled];

    /// The word in the store.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Planning => "planning",
            Stage::Draft => "draft",
            Stage::Running => "running",
            Stage::Trying => "trying",
            Stage::Paused => "paused",
            Stage::Ended => "ended",
            Stage::Cancelled => "cancelled",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.word() == word)
    }

    /// It was begun and may still touch rows.
    pub fn is_under_way(self) -> bool {
        matches!(self, Stage::Running | Stage::Trying | Stage::Paused)
    }
}

/// How an operation goes about its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// At most so many rows a minute; `None`: as quickly as the source takes them.
    pub per_minute: Option<u32>,
    /// First so many rows, and only on if so many of them succeeded.
    pub try_first: Option<TryFirst>,
}

/// A few rows first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TryFirst {
    pub rows: u32,
    /// How many of them must have been resolved.
    pub needed: u32,
}

/// An operation on record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    pub id: i64,
    pub started_at: DateTime<Utc>,
    /// `None`: it has not come to its end.
    pub finished_at: Option<DateTime<Utc>>,
    pub who: String,
    /// The address the request came from.
    pub address: String,
    pub kind: RequestKind,
    /// In words: "2 selected failed events", "all exhausted failed events of …/encounter/recent in Odoo".
    pub scope: String,
    pub reason: Option<String>,
    pub stage: Stage,
    /// Why it waits, was paused, or ended before it came to all rows: a whole sentence.
    pub note: Option<String>,
    /// How many rows its plan has, where that is known.
    pub planned: Option<u64>,
    /// What matched and is not in the plan, and why: a whole sentence.
    pub left_out: Option<String>,
    pub pace: Pace,
    /// Rows for whose record the ledger knows a later event that succeeded, or that failed too.
    pub later_resolved: u64,
    pub later_failed: u64,
    /// Of a retry: rows of the plan without a title, of which [`super::obstacle::UNTITLED`] is to be said.
    #[serde(default)]
    pub untitled: u64,
    pub counts: OutcomeCounts,
    pub followed: Followed,
}

/// Rows of a plan that belong to one feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedFeed {
    pub app: String,
    pub feed_uri: Option<String>,
    pub rows: u64,
    /// Of these, how many were reset so far.
    pub reset: u64,
    /// Of a plan, how many wait for another try by themselves.
    #[serde(default)]
    pub waiting: u64,
}

/// What became of one row, for its line on the operation's page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowCourse {
    pub row: OperationRow,
    /// What the ledger says of the request; `None`: nothing, or not yet.
    pub seen: Option<super::ledger::RequestOutcome>,
    /// Failed again: whether with the same fault as before, and the new one in words.
    pub new_fault: Option<(bool, String)>,
}

/// A discarded failed event, as the list of them shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Discarded {
    pub id: i64,
    pub operation: i64,
    pub app: String,
    pub row_id: RowId,
    pub feed_uri: Option<String>,
    pub event_id: Option<String>,
    pub title: Option<String>,
    /// The fault of its first error, in words.
    pub fault: String,
    pub at: DateTime<Utc>,
    /// Who discarded it, and why.
    pub who: String,
    pub reason: Option<String>,
    /// `false`: nobody saw whether the removal came through; it is kept all the same.
    pub certain: bool,
    /// Put back: when, by which operation, under which id.
    pub restored: Option<(DateTime<Utc>, i64, Option<RowId>)>,
    /// Until when it can be put back; `None`: for good.
    pub until: Option<DateTime<Utc>>,
}
