//! Users' operations on failed events: an operation with its plan, its progress, and the outcome of each row.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{FailedSince, RowId, event_names::Naming, ledger::RequestKind};

/// The outcome of one row of an operation, as far as the console's own part goes. The consumer's result is in the
/// ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum RowOutcome {
    /// `retries` is now 0.
    Reset,
    /// It was removed, and its copy is kept.
    Discarded,
    /// It was inserted again under this id.
    Restored { id: RowId },
    /// The consumer has inserted it again: not duplicated. Its copy is kept.
    AlreadyThere,
    /// Another operation is processing it: left unchanged.
    Taken { operation: i64 },
    /// Another transaction has it locked: nothing was written, and it will be tried again. `again`: it was being
    /// written when the console ended, so its outcome at that time is unknown.
    Busy { again: bool },
    /// The row had other retries than the user saw, or was changed otherwise: left unchanged.
    Changed { retries: Option<i64> },
    /// The row is no longer in the table.
    Gone,
    /// It holds more than may be copied or, in a restore, than the database accepts: left unchanged.
    TooLong { bytes: u64, limit: u64 },
    /// The database refused or was lost, or no retry helps the row: nothing was written for it.
    Failed { reason: String },
    /// The connection was lost while the change was being committed: it may or may not have been written.
    Uncertain { reason: String },
}

impl RowOutcome {
    /// Returns whether the operation achieved its purpose for the row.
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
    /// The retries that were seen; `None` for NULL, or a table without the column.
    pub seen_retries: Option<i64>,
    /// In a restore: the number of the copy.
    pub copy: Option<i64>,
    /// `None` until the row is processed; permanently if the operation was cancelled.
    pub outcome: Option<RowOutcome>,
}

impl OperationRow {
    /// Returns whether its feed and event id were read in its table. A row that was not found there has neither.
    pub fn is_named(&self) -> bool {
        let read = matches!(
            self.outcome,
            Some(RowOutcome::Discarded | RowOutcome::Restored { .. } | RowOutcome::AlreadyThere)
        );
        read || self.copy.is_some() || self.feed_uri.is_some() || self.event_id.is_some()
    }
}

/// The number of an operation's rows by outcome.
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
    #[serde(default)]
    pub too_long: u64,
    pub failed: u64,
    pub uncertain: u64,
    /// Locked by other transactions: to be tried again, unless the operation was cancelled.
    #[serde(default)]
    pub busy: u64,
}

impl OutcomeCounts {
    /// Returns the number of rows for which the operation achieved its purpose.
    pub fn done(&self) -> u64 {
        self.reset + self.discarded + self.restored
    }

    /// Returns the number of rows left unchanged, for whatever reason.
    pub fn left_alone(&self) -> u64 {
        self.already_there + self.taken + self.changed + self.gone + self.too_long + self.failed + self.uncertain
    }

    /// Returns the number of rows not processed yet.
    pub fn to_come(&self) -> u64 {
        self.asked.saturating_sub(self.done() + self.left_alone() + self.busy)
    }
}

/// The results of the rows after the console's part, as the watcher saw them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// No result is known yet.
    pub open: u64,
    pub resolved: u64,
    pub failed_again: u64,
    /// How many of those have the fault of the latest error before the request.
    pub same_fault: u64,
    /// The running consumer wrote its own count over the reset, and the row was not reset again.
    pub overwritten: u64,
    pub gone: u64,
    /// Reset rows whose result will not be known: the history cannot hold them, or has never seen them.
    #[serde(default)]
    pub unfollowed: u64,
}

impl Followed {
    /// Returns the number of rows that are followed.
    pub fn all(&self) -> u64 {
        self.open + self.resolved + self.failed_again + self.overwritten + self.gone
    }
}

/// The progress of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Its rows are being recorded.
    Planning,
    /// Its plan is shown, and nothing has begun.
    Draft,
    Running,
    /// The first rows are written, and their outcome is awaited.
    Trying,
    Paused,
    Ended,
    Cancelled,
}

impl Stage {
    pub const ALL: [Stage; 7] =
        [Stage::Planning, Stage::Draft, Stage::Running, Stage::Trying, Stage::Paused, Stage::Ended, Stage::Cancelled];

    /// Returns the word in the store.
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

    /// Returns whether it was begun and may still change rows.
    pub fn is_under_way(self) -> bool {
        matches!(self, Stage::Running | Stage::Trying | Stage::Paused)
    }
}

/// How fast and in which steps an operation processes its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// The most rows a minute; `None`: as fast as the source accepts them.
    pub per_minute: Option<u32>,
    /// Whether to process some rows first, and to continue only if enough of them succeed.
    pub try_first: Option<TryFirst>,
}

/// A few rows to process first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TryFirst {
    pub rows: u32,
    /// How many of them must have been resolved.
    pub needed: u32,
}

/// A recorded operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    pub id: i64,
    pub started_at: DateTime<Utc>,
    /// `None` until it ends.
    pub finished_at: Option<DateTime<Utc>>,
    pub who: String,
    /// The client's address.
    pub address: String,
    pub kind: RequestKind,
    /// In words: "2 selected failed events", "all failed events with retries used up from …/encounter/recent in Odoo".
    pub scope: String,
    pub reason: Option<String>,
    pub stage: Stage,
    /// Why it waits, was paused, or ended before it reached all rows: a whole sentence.
    pub note: Option<String>,
    /// The number of rows of its plan, if known.
    pub planned: Option<u64>,
    /// What matched but is not in the plan, and why: a whole sentence.
    pub left_out: Option<String>,
    pub pace: Pace,
    /// Rows for whose record the ledger knows a later event that succeeded, or that failed too.
    pub later_resolved: u64,
    pub later_failed: u64,
    /// In a retry: rows of the plan without a title, to which [`super::obstacle::UNTITLED`] applies.
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
    /// How many of these were reset so far.
    pub reset: u64,
    /// In a plan: how many the consumer will retry by itself.
    #[serde(default)]
    pub waiting: u64,
}

/// A retry in progress, for one of its feeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedRetry {
    /// The application's key.
    pub app: String,
    pub uri: Option<String>,
    /// Its events in the retry's plan.
    pub rows: u64,
    pub operation: i64,
    pub who: String,
    pub paused: bool,
    /// Events of the whole retry that have a result, and all of its events.
    pub tried: u64,
    pub all: u64,
    /// The number of feeds of the retry.
    pub feeds: u64,
}

impl FeedRetry {
    /// Returns those of this feed, newest first.
    pub fn of(all: &[Self], app: &str, uri: Option<&str>) -> Vec<Self> {
        let named = uri.filter(|uri| !uri.is_empty());
        all.iter().filter(|retry| retry.app == app && retry.uri.as_deref() == named).cloned().collect()
    }
}

/// The result of one row, for its line on the operation's page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowCourse {
    pub row: OperationRow,
    /// What the ledger reports of the request; `None`: nothing, or not yet.
    pub seen: Option<super::ledger::RequestOutcome>,
    /// Whether it was reset and its result will not be known: see [`Followed::unfollowed`].
    #[serde(default)]
    pub unfollowed: bool,
    /// Whether its feed and event id are known, even if it has none: from its table, or else from the ledger.
    #[serde(default)]
    pub named: bool,
    /// If it failed again: whether with the fault of the latest error before the request, and the new one in words.
    pub new_fault: Option<(bool, String)>,
    /// What the ledger knows of the event: title, uuid of the record, and fault of the latest error in words.
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub record: Option<String>,
    #[serde(default)]
    pub fault: Option<String>,
    /// When it first failed, as far as the ledger knows.
    #[serde(default)]
    pub since: Option<FailedSince>,
    /// What people call its record, as far as the reader may know it.
    #[serde(default)]
    pub called: Option<String>,
}

impl RowCourse {
    /// Returns what its event's name is made of.
    pub fn naming(&self) -> Naming<'_> {
        Naming {
            title: self.title.as_deref(),
            payload: None,
            record: self.record.as_deref(),
            feed_uri: self.row.feed_uri.as_deref(),
            event_id: self.row.event_id.as_deref(),
        }
    }
}

impl Discarded {
    /// Returns what its event's name is made of.
    pub fn naming(&self) -> Naming<'_> {
        Naming {
            title: self.title.as_deref(),
            payload: None,
            record: self.record.as_deref(),
            feed_uri: self.feed_uri.as_deref(),
            event_id: self.event_id.as_deref(),
        }
    }
}

/// The rows of an operation that its page shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhichRows {
    #[default]
    All,
    /// In a retry: those without a result.
    Open,
    Resolved,
    FailedAgain,
    Overwritten,
    Gone,
    /// Those that failed again with this fault.
    Cause(i64),
}

impl WhichRows {
    const NAMED: [(&'static str, WhichRows); 5] = [
        ("open", WhichRows::Open),
        ("resolved", WhichRows::Resolved),
        ("failed_again", WhichRows::FailedAgain),
        ("lost", WhichRows::Overwritten),
        ("removed", WhichRows::Gone),
    ];

    /// Returns the word in an address; `None`: all.
    pub fn word(self) -> Option<String> {
        match self {
            WhichRows::All => None,
            WhichRows::Cause(fault) => Some(format!("cause-{fault}")),
            named => Self::NAMED.iter().find(|(_, which)| *which == named).map(|(word, _)| (*word).to_owned()),
        }
    }

    /// Reads a word of an address; an unknown one means all.
    pub fn from_word(word: &str) -> Self {
        let cause = || Some(WhichRows::Cause(word.strip_prefix("cause-")?.parse().ok()?));
        let named = Self::NAMED.iter().find(|(name, _)| *name == word).map(|(_, which)| *which);
        named.or_else(cause).unwrap_or_default()
    }
}

/// The number of rows of an operation that failed again with one fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CauseCount {
    pub fault: i64,
    /// The fault in words.
    pub said: String,
    pub rows: u64,
}

/// The state of an operation as users see it. A retry ends when each of its rows has a result, not when all are
/// requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    Planning,
    Plan,
    InProgress,
    /// It waits for a database.
    Waiting,
    Testing,
    Paused,
    Cancelled,
    EndedEarly,
    /// Some rows were not written, or it is unknown whether they were.
    Problems,
    AllFailed,
    SomeFailed,
    Finished,
}

impl Operation {
    pub fn standing(&self) -> Standing {
        let (counts, seen) = (self.counts, self.followed);
        match self.stage {
            Stage::Planning => Standing::Planning,
            Stage::Draft => Standing::Plan,
            Stage::Running if self.note.is_some() => Standing::Waiting,
            Stage::Running => Standing::InProgress,
            Stage::Trying => Standing::Testing,
            Stage::Paused => Standing::Paused,
            Stage::Cancelled => Standing::Cancelled,
            Stage::Ended if self.note.is_some() => Standing::EndedEarly,
            Stage::Ended if self.awaited() > 0 => Standing::InProgress,
            Stage::Ended if counts.failed + counts.uncertain > 0 => Standing::Problems,
            Stage::Ended if seen.failed_again > 0 && seen.failed_again == seen.all() => Standing::AllFailed,
            Stage::Ended if seen.failed_again + seen.overwritten + seen.gone > 0 => Standing::SomeFailed,
            Stage::Ended => Standing::Finished,
        }
    }

    /// Returns the number of rows whose result is to come: in a retry, those that the application has not tried yet.
    pub fn awaited(&self) -> u64 {
        if self.kind == RequestKind::Retry { self.followed.open } else { 0 }
    }

    /// Returns the number of rows of a retry that the application has tried. A lost retry is none: it may be requested
    /// again, and this number never falls.
    pub fn tried(&self) -> u64 {
        self.followed.resolved + self.followed.failed_again + self.followed.gone
    }
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
    /// The uuid of its record, if the ledger still knows it.
    #[serde(default)]
    pub record: Option<String>,
    /// The fault of its latest error, in words.
    pub fault: String,
    pub at: DateTime<Utc>,
    /// Who discarded it, and why.
    pub who: String,
    pub reason: Option<String>,
    /// `false` if it is unknown whether the row was deleted; the copy is kept all the same.
    pub certain: bool,
    /// If restored: when, by which operation, under which id.
    pub restored: Option<(DateTime<Utc>, i64, RowId)>,
    /// Until when it can be restored; `None`: without limit.
    pub until: Option<DateTime<Utc>>,
    /// What people call its record, as far as the reader may know it.
    #[serde(default)]
    pub called: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::operation;

    fn retry(stage: Stage, counts: OutcomeCounts, followed: Followed) -> Operation {
        operation(RequestKind::Retry, stage, counts, followed)
    }

    #[test]
    fn a_retry_is_in_progress_until_each_row_has_a_result() {
        let counts = OutcomeCounts { asked: 10, reset: 10, ..OutcomeCounts::default() };
        for (followed, standing) in [
            (Followed { open: 10, ..Followed::default() }, Standing::InProgress),
            (Followed { open: 1, failed_again: 9, ..Followed::default() }, Standing::InProgress),
            (Followed { resolved: 10, ..Followed::default() }, Standing::Finished),
            (Followed { resolved: 1, failed_again: 9, ..Followed::default() }, Standing::SomeFailed),
            (Followed { failed_again: 10, ..Followed::default() }, Standing::AllFailed),
            (Followed { resolved: 9, gone: 1, ..Followed::default() }, Standing::SomeFailed),
            (Followed { resolved: 9, overwritten: 1, ..Followed::default() }, Standing::SomeFailed),
            (Followed::default(), Standing::Finished),
        ] {
            assert_eq!(retry(Stage::Ended, counts, followed).standing(), standing, "{followed:?}");
        }
        let failed = OutcomeCounts { asked: 10, reset: 9, failed: 1, ..OutcomeCounts::default() };
        let all = Followed { resolved: 9, ..Followed::default() };
        assert_eq!(retry(Stage::Ended, failed, all).standing(), Standing::Problems);
        assert_eq!(retry(Stage::Running, counts, all).standing(), Standing::InProgress);
        let waits = Operation { note: Some("Odoo does not answer.".into()), ..retry(Stage::Running, counts, all) };
        assert_eq!(waits.standing(), Standing::Waiting);
    }

    #[test]
    fn a_lost_retry_was_not_tried() {
        let counts = OutcomeCounts { asked: 9, reset: 9, ..OutcomeCounts::default() };
        let lost = Followed { open: 2, resolved: 3, failed_again: 1, overwritten: 2, gone: 1, ..Followed::default() };
        let again = Followed { open: 4, overwritten: 0, ..lost };
        assert_eq!([lost, again].map(|seen| retry(Stage::Ended, counts, seen).tried()), [5, 5]);
    }

    #[test]
    fn which_rows_are_shown_is_a_word_of_the_address() {
        for which in [WhichRows::Open, WhichRows::FailedAgain, WhichRows::Gone, WhichRows::Cause(12)] {
            assert_eq!(WhichRows::from_word(&which.word().expect("a word")), which);
        }
        assert_eq!(WhichRows::All.word(), None);
        for word in ["", "nonsense", "cause-", "cause-x"] {
            assert_eq!(WhichRows::from_word(word), WhichRows::All, "{word}");
        }
    }
}
