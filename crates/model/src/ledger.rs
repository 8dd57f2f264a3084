//! Types of the ledger: what the console keeps of a failed event, even after its row is deleted.
//!
//! Only the watcher decides states and ends, from what it polls from the source. Operations record users' requests
//! separately, before the source is touched.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{EventState, FailedSince, FirstSight, Right, RowId, Stamp};

/// When something happened, as far as that is known: the watcher polls at intervals, and sees only what changed since
/// the last poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Not before: the last poll that did not show it. `None` if it was exactly `at`, or nothing was known before.
    pub after: Option<DateTime<Utc>>,
    /// At the latest: the poll that showed it.
    pub at: DateTime<Utc>,
}

impl Moment {
    /// Returns a moment that is known exactly.
    pub fn exactly(at: DateTime<Utc>) -> Self {
        Self { after: None, at }
    }
}

/// The state of a failed event during and after its life in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LifeState {
    /// In the table, and the consumer will retry it by itself.
    Waiting,
    /// In the table, and not retried until a user requests it.
    Exhausted,
    /// In the table, and its number of retries is not known.
    Unknown,
    /// Deleted from the table together with its retry log: its retry succeeded.
    Resolved,
    /// Deleted from the table, cause unknown: not by this console, or resolved before it had a retry log.
    Gone,
    /// A user discarded it with this console.
    Discarded,
}

impl LifeState {
    pub const ALL: [LifeState; 6] = [
        LifeState::Waiting,
        LifeState::Exhausted,
        LifeState::Unknown,
        LifeState::Resolved,
        LifeState::Gone,
        LifeState::Discarded,
    ];

    /// Returns whether the row was in the source's table at the last poll.
    pub fn is_open(self) -> bool {
        matches!(self, LifeState::Waiting | LifeState::Exhausted | LifeState::Unknown)
    }

    /// Returns the word people read, which is also the name of its icon and colour.
    pub fn word(self) -> &'static str {
        match self {
            LifeState::Waiting => "waiting",
            LifeState::Exhausted => "exhausted",
            LifeState::Unknown => "unknown",
            LifeState::Resolved => "resolved",
            LifeState::Gone => "gone",
            LifeState::Discarded => "discarded",
        }
    }

    /// Returns its number in the store.
    pub fn code(self) -> i64 {
        match self {
            LifeState::Waiting => 1,
            LifeState::Exhausted => 2,
            LifeState::Unknown => 3,
            LifeState::Resolved => 11,
            LifeState::Gone => 12,
            LifeState::Discarded => 13,
        }
    }

    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }
}

impl From<EventState> for LifeState {
    fn from(state: EventState) -> Self {
        match state {
            EventState::Waiting => LifeState::Waiting,
            EventState::Exhausted => LifeState::Exhausted,
            EventState::Unknown => LifeState::Unknown,
        }
    }
}

/// The progress of the last request of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// A user reset it; the consumer has not run yet.
    Requested,
    /// The consumer tried, and it failed again.
    FailedAgain,
    /// The consumer held the row during the reset, and wrote its own count over it: the request is lost.
    Overwritten,
}

impl Asked {
    pub const ALL: [Asked; 3] = [Asked::Requested, Asked::FailedAgain, Asked::Overwritten];

    pub fn word(self) -> &'static str {
        match self {
            Asked::Requested => "retry requested",
            Asked::FailedAgain => "failed again",
            Asked::Overwritten => "retry overwritten",
        }
    }

    pub fn code(self) -> i64 {
        match self {
            Asked::Requested => 1,
            Asked::FailedAgain => 2,
            Asked::Overwritten => 3,
        }
    }

    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|asked| asked.code() == code)
    }
}

/// The fault that a fingerprint identifies: the same fault occurs with many uuids, numbers and names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fault {
    /// Its number in the store.
    pub id: i64,
    /// Version of the algorithm; 0 if there was no error text.
    pub version: i64,
    pub fingerprint: String,
}

/// A failed event as the ledger knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerEvent {
    /// The ledger's own number: a row's id can be reused.
    pub id: i64,
    /// The application's key.
    pub app: String,
    pub row_id: RowId,
    /// `None` if it has no feed address.
    pub feed_uri: Option<String>,
    pub event_id: Option<String>,
    /// The uuid of the event's record.
    pub record: Option<String>,
    pub title: Option<String>,
    /// The source's time of the first failure, if that is a date. If it `moves`: its value at first sight, or the time
    /// of the first sight if that was earlier.
    pub failed_at: Option<DateTime<Utc>>,
    /// The database rewrites `failed_at` with every change of the row.
    #[serde(default)]
    pub moves: bool,
    /// When the console first saw it. `after` is `None` if it was there at the very first poll.
    pub seen: Moment,
    pub retries: Option<i64>,
    pub state: LifeState,
    pub asked: Option<Asked>,
    /// The faults of the first error and of the latest one.
    pub first_fault: i64,
    pub fault: i64,
    /// Number of rows of its retry log that were seen.
    pub attempts: u64,
    /// When it was deleted from the table.
    pub ended: Option<Moment>,
    /// Why it ended, as a whole sentence, if the state does not say it all.
    pub ended_why: Option<String>,
}

impl LedgerEvent {
    /// Returns the earliest time at which it is known to have been a failed event.
    pub fn first_sight(&self) -> FirstSight {
        FirstSight::of(self.failed_at, self.seen.at)
    }

    /// Returns when it first failed, as far as that is known.
    pub fn failed_since(&self) -> FailedSince {
        match self.moves {
            true => self.first_sight().failed_since(),
            false => FailedSince::First(self.failed_at.map(Stamp::of)),
        }
    }

    /// Returns how long it was a failed event at most. `None` while it is one, or if its end is before its beginning.
    pub fn lasted(&self) -> Option<chrono::TimeDelta> {
        let began = self.failed_at.unwrap_or(self.seen.at);
        self.ended.map(|ended| ended.at - began).filter(|lasted| *lasted >= chrono::TimeDelta::zero())
    }
}

/// What happened to a failed event between its first sight and its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerEntry {
    pub moment: Moment,
    pub what: Happened,
    pub fault: Option<i64>,
    /// The operation that did it, and the user who requested that.
    pub operation: Option<i64>,
    pub who: Option<String>,
}

/// What an entry reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    /// A retry failed: a row of the retry log.
    Attempt,
    /// A row of the retry log that is older than the present failure: a retry of an earlier failure of the same event.
    Earlier,
    /// Its number of retries changed since the last poll.
    Retries { before: Option<i64>, after: Option<i64> },
    /// A user reset it.
    Requested { before: Option<i64> },
    /// The running consumer wrote its own count over the reset.
    Overwritten { after: Option<i64> },
    /// A user requested its removal.
    Discarded,
    /// A user restored it, and it was seen again.
    Restored,
    /// Its feed's address was rewritten.
    Moved,
    /// It was deleted from the table; `None` if an earlier version did not record how.
    Ended { state: Option<LifeState> },
    /// The request changed nothing in the source.
    Withdrawn,
}

impl Happened {
    pub fn code(self) -> i64 {
        match self {
            Happened::Attempt => 1,
            Happened::Retries { .. } => 2,
            Happened::Requested { .. } => 3,
            Happened::Overwritten { .. } => 4,
            Happened::Discarded => 5,
            Happened::Restored => 6,
            Happened::Moved => 7,
            Happened::Ended { .. } => 8,
            Happened::Withdrawn => 9,
            Happened::Earlier => 10,
        }
    }

    pub fn from_code(code: i64, before: Option<i64>, after: Option<i64>) -> Option<Self> {
        Some(match code {
            1 => Happened::Attempt,
            2 => Happened::Retries { before, after },
            3 => Happened::Requested { before },
            4 => Happened::Overwritten { after },
            5 => Happened::Discarded,
            6 => Happened::Restored,
            7 => Happened::Moved,
            8 => Happened::Ended { state: after.and_then(LifeState::from_code) },
            9 => Happened::Withdrawn,
            10 => Happened::Earlier,
            _ => return None,
        })
    }
}

/// What a user requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestKind {
    Retry,
    Discard,
    Restore,
}

impl RequestKind {
    pub const ALL: [RequestKind; 3] = [RequestKind::Retry, RequestKind::Discard, RequestKind::Restore];

    /// Returns the word that forms send and the store keeps.
    pub fn word(self) -> &'static str {
        match self {
            RequestKind::Retry => "retry",
            RequestKind::Discard => "discard",
            RequestKind::Restore => "restore",
        }
    }

    pub fn of_word(word: &str) -> Option<Self> {
        RequestKind::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Returns the right needed to request it.
    pub fn right(self) -> Right {
        match self {
            RequestKind::Retry => Right::Retry,
            RequestKind::Discard | RequestKind::Restore => Right::Discard,
        }
    }

    pub fn code(self) -> i64 {
        match self {
            RequestKind::Retry => 1,
            RequestKind::Discard => 2,
            RequestKind::Restore => 3,
        }
    }

    pub fn from_code(code: i64) -> Option<Self> {
        RequestKind::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestOutcome {
    /// The retry succeeded: row and log were deleted together.
    Resolved,
    FailedAgain,
    /// The running consumer wrote its own count over the reset: request it again.
    Overwritten,
    /// The row was deleted from the table, cause unknown.
    Gone,
    Discarded,
    Restored,
    /// A later request replaced it before a result was seen.
    Superseded,
    /// The source was not changed.
    Withdrawn,
}

impl RequestOutcome {
    pub const ALL: [RequestOutcome; 8] = [
        RequestOutcome::Resolved,
        RequestOutcome::FailedAgain,
        RequestOutcome::Overwritten,
        RequestOutcome::Gone,
        RequestOutcome::Discarded,
        RequestOutcome::Restored,
        RequestOutcome::Superseded,
        RequestOutcome::Withdrawn,
    ];

    pub fn code(self) -> i64 {
        match self {
            RequestOutcome::Resolved => 1,
            RequestOutcome::FailedAgain => 2,
            RequestOutcome::Overwritten => 3,
            RequestOutcome::Gone => 4,
            RequestOutcome::Discarded => 5,
            RequestOutcome::Restored => 6,
            RequestOutcome::Superseded => 7,
            RequestOutcome::Withdrawn => 8,
        }
    }

    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.code() == code)
    }
}

/// A recorded request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerRequest {
    pub kind: RequestKind,
    pub operation: i64,
    pub who: String,
    pub at: DateTime<Utc>,
    pub retries_before: Option<i64>,
    /// `None` while it is not known.
    pub outcome: Option<(RequestOutcome, Moment)>,
    /// The fault with which it failed again.
    pub fault: Option<i64>,
}

/// The number of failed events of one feed with one fault in one state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerCount {
    pub feed_uri: Option<String>,
    pub fault: i64,
    pub state: LifeState,
    pub count: u64,
}

/// Records that a database turned out to be another one than before, or that its ids began again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerBreak {
    pub app: String,
    pub moment: Moment,
    /// What it means, in whole sentences.
    pub what: String,
}
