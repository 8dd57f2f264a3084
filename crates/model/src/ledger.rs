//! The ledger's words: what the console remembers of a failed event, also when its row is long gone.
//!
//! The watcher alone decides states and ends, from what it sees in the source. A person's requests are put beside them by
//! the operations, before the source is touched.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{EventState, FailedSince, Right, RowId, Stamp};

/// When something happened, as far as that is known: a watcher that looks now and then sees only that something is
/// different from the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Not before: the look that did not see it yet. `None`: it was exactly `at`, or nothing was known before.
    pub after: Option<DateTime<Utc>>,
    /// At the latest: the look that saw it.
    pub at: DateTime<Utc>,
}

impl Moment {
    /// A moment that is known exactly.
    pub fn exactly(at: DateTime<Utc>) -> Self {
        Self { after: None, at }
    }
}

/// Where a failed event stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LifeState {
    /// In the table, and the consumer will try again by itself.
    Waiting,
    /// In the table, and nobody will try again until a person retries.
    Exhausted,
    /// In the table, and its retries cannot be told.
    Unknown,
    /// It left the table together with its retry log: its retry succeeded.
    Resolved,
    /// It left the table, cause unknown: deleted by other hands, or resolved before it had a retry log.
    Gone,
    /// A person removed it with this console.
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

    /// Whether the row is in the source's table, as far as the last look knows.
    pub fn is_open(self) -> bool {
        matches!(self, LifeState::Waiting | LifeState::Exhausted | LifeState::Unknown)
    }

    /// The word people read, which is also the name of its icon and colour.
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

    /// The number that stands for it in the store.
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

/// How far the last request of a person has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// A person reset it; the consumer has not run yet.
    Requested,
    /// The consumer tried, and it failed again.
    FailedAgain,
    /// The consumer held the row while it was reset, and has written its own count over it: the request is lost.
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

/// What a fingerprint names: the same fault shows with many uuids, numbers and names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fault {
    /// The store's number of it.
    pub id: i64,
    /// Of the algorithm; 0 where there was no error text.
    pub version: i64,
    pub fingerprint: String,
}

/// A failed event as the ledger knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerEvent {
    /// The ledger's own number: a row's id can come again.
    pub id: i64,
    /// The application's key.
    pub app: String,
    pub row_id: RowId,
    /// `None`: it has no feed address.
    pub feed_uri: Option<String>,
    pub event_id: Option<String>,
    /// The uuid of the record that it is about.
    pub record: Option<String>,
    pub title: Option<String>,
    /// The source's time of the first failure, where that is a date; where it `moves`, as it was at first sight, or
    /// the first sight itself, if that was earlier.
    pub failed_at: Option<DateTime<Utc>>,
    /// The database rewrites `failed_at` with every change of the row.
    #[serde(default)]
    pub moves: bool,
    /// When the console first saw it. `after` is `None` where it was there at the first look of all.
    pub seen: Moment,
    pub retries: Option<i64>,
    pub state: LifeState,
    pub asked: Option<Asked>,
    /// The fault of the first error, and of the latest one.
    pub first_fault: i64,
    pub fault: i64,
    /// Rows of its retry log that were seen.
    pub attempts: u64,
    /// When it left the table.
    pub ended: Option<Moment>,
    /// Why it ended as it did, as a whole sentence, where the state does not say it all.
    pub ended_why: Option<String>,
}

impl LedgerEvent {
    /// The earliest time at which it is known to have been a failed event.
    pub fn first_sight(&self) -> DateTime<Utc> {
        self.failed_at.map_or(self.seen.at, |at| at.min(self.seen.at))
    }

    /// When it failed first, as far as that is known.
    pub fn failed_since(&self) -> FailedSince {
        match self.moves {
            true => FailedSince::Seen(self.first_sight()),
            false => FailedSince::First(self.failed_at.map(Stamp::of)),
        }
    }

    /// How long it was a failed event, at the longest; `None` while it is one, or where its beginning has no date.
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
    /// The operation that did it, and who asked for that.
    pub operation: Option<i64>,
    pub who: Option<String>,
}

/// What an entry tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    /// A retry failed: a row of the retry log.
    Attempt,
    /// A row of the retry log from before the present failure: a retry of an earlier failure of the same event.
    Earlier,
    /// Its retries are others than at the last look.
    Retries { before: Option<i64>, after: Option<i64> },
    /// A person reset it.
    Requested { before: Option<i64> },
    /// The running consumer wrote its own count over the reset.
    Overwritten { after: Option<i64> },
    /// A person asked for its removal.
    Discarded,
    /// A person put it back, and it was seen again.
    Restored,
    /// Its feed's address was rewritten.
    Moved,
    /// It left the table; `None`: an earlier version did not note how.
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

/// What a person asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestKind {
    Retry,
    Discard,
    Restore,
}

impl RequestKind {
    /// What a person needs to ask for it.
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
        [RequestKind::Retry, RequestKind::Discard, RequestKind::Restore].into_iter().find(|kind| kind.code() == code)
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestOutcome {
    /// The retry succeeded: row and log left together.
    Resolved,
    FailedAgain,
    /// The running consumer wrote its own count over the reset: ask again.
    Overwritten,
    /// The row left the table, cause unknown.
    Gone,
    Discarded,
    Restored,
    /// A later request took its place before anything was seen.
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

/// A request on record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerRequest {
    pub kind: RequestKind,
    pub operation: i64,
    pub who: String,
    pub at: DateTime<Utc>,
    pub retries_before: Option<i64>,
    /// `None` while nothing is known.
    pub outcome: Option<(RequestOutcome, Moment)>,
    /// Failed again: with which fault.
    pub fault: Option<i64>,
}

/// How many failed events of one feed have one fault and stand in one state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerCount {
    pub feed_uri: Option<String>,
    pub fault: i64,
    pub state: LifeState,
    pub count: u64,
}

/// A database turned out to be another one than before, or its ids began again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerBreak {
    pub app: String,
    pub moment: Moment,
    /// What it means, as whole sentences.
    pub what: String,
}
