//! The record of what a person did: who, when, from where, what, on which rows, with what outcome.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::RowId;

/// What became of one row of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum RowOutcome {
    /// retries is 0 now.
    Reset,
    /// The row had other retries than the person saw: left alone.
    Changed { retries: Option<i64> },
    /// The row is not in the table any more.
    Gone,
    /// The database refused or was lost: nothing was written for this row.
    Failed { reason: String },
    /// The connection was lost while the change was being committed: it may or may not have been written.
    Uncertain { reason: String },
}

/// One row of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionRow {
    pub app: String,
    pub id: RowId,
    pub feed_uri: Option<String>,
    pub event_id: Option<String>,
    /// The retries the person saw.
    pub seen_retries: i64,
    /// `None` until the row's turn has come; for good where the action ended early.
    pub outcome: Option<RowOutcome>,
}

/// How an action's rows ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeCounts {
    pub asked: u64,
    pub reset: u64,
    pub changed: u64,
    pub gone: u64,
    pub failed: u64,
    pub uncertain: u64,
}

/// An action on record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    pub id: i64,
    pub started_at: DateTime<Utc>,
    /// `None`: still running.
    pub finished_at: Option<DateTime<Utc>>,
    /// The person's name; "anybody" where nobody signs in.
    pub who: String,
    /// The address the request came from.
    pub address: String,
    /// What was done: "retry".
    pub kind: String,
    /// In words: "2 selected failed events", "all exhausted failed events of …/encounter/recent in Odoo".
    pub scope: String,
    pub reason: Option<String>,
    /// For a whole feed: how many rows there were to take when it began, where that could be counted.
    pub planned: Option<u64>,
    /// Why it ended before it came to all rows, as a whole sentence: a lost source, the console's end. The rest of the
    /// rows is as it was.
    pub ended_early: Option<String>,
    pub counts: OutcomeCounts,
}
