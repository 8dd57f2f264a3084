//! Something that needs attention, as pages and the monitoring endpoint show it. `concerns` decides what is one.

use serde::{Deserialize, Serialize};

/// The kind of a concern, most pressing first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConcernKind {
    /// The consumer reads nothing new: too many failed events.
    FeedStopped,
    /// The marker does not move although the publisher has new events.
    FeedStalled,
    /// The consumer cannot continue from its marker.
    MarkerUnusable,
    /// The marker names an event or a page that the publisher does not have.
    MarkerNamesNoEvent,
    /// Events wait in the queue of their publisher, and no job puts them on a feed.
    QueueStands,
    /// The publisher's feed does not answer as one.
    FeedNotServed,
    /// The database does not answer.
    Unreachable,
    /// The database answers, and neither markers nor failed events can be read.
    FeedsNotSeen,
    /// The table of failed events cannot be read.
    FailuresNotSeen,
    /// The queue of events to publish cannot be read.
    QueueNotSeen,
    /// The last poll is too old.
    Outdated,
    /// A feed is close to its limit of failed events.
    NearLimit,
    /// Failed events wait, and the retry job has not run for a long time.
    RetryOverdue,
    /// Failed events that are not retried automatically.
    Exhausted,
    /// Something that can break the consumer itself.
    Hazard,
    /// The publisher's feed answers with something that its consumers cannot continue from.
    FeedDiffers,
    /// Failures whose times are in the future.
    TimesAhead,
    /// The console's history does not follow the database.
    HistoryGap,
    /// Its entry in the configuration does not say how to connect.
    NotConfigured,
}

/// The severity of a concern for a monitoring system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Warning,
    Critical,
}

impl ConcernKind {
    pub const ALL: [ConcernKind; 19] = [
        ConcernKind::FeedStopped,
        ConcernKind::FeedStalled,
        ConcernKind::MarkerUnusable,
        ConcernKind::MarkerNamesNoEvent,
        ConcernKind::QueueStands,
        ConcernKind::FeedNotServed,
        ConcernKind::Unreachable,
        ConcernKind::FeedsNotSeen,
        ConcernKind::FailuresNotSeen,
        ConcernKind::QueueNotSeen,
        ConcernKind::Outdated,
        ConcernKind::NearLimit,
        ConcernKind::RetryOverdue,
        ConcernKind::Exhausted,
        ConcernKind::Hazard,
        ConcernKind::FeedDiffers,
        ConcernKind::TimesAhead,
        ConcernKind::HistoryGap,
        ConcernKind::NotConfigured,
    ];

    /// Returns the word of the monitoring endpoint.
    pub fn word(self) -> &'static str {
        match self {
            ConcernKind::FeedStopped => "feed_stopped",
            ConcernKind::FeedStalled => "feed_stalled",
            ConcernKind::MarkerUnusable => "marker_unusable",
            ConcernKind::MarkerNamesNoEvent => "marker_names_no_event",
            ConcernKind::QueueStands => "queue_stands",
            ConcernKind::FeedNotServed => "feed_not_served",
            ConcernKind::Unreachable => "unreachable",
            ConcernKind::FeedsNotSeen => "feeds_not_seen",
            ConcernKind::FailuresNotSeen => "failures_not_seen",
            ConcernKind::QueueNotSeen => "queue_not_seen",
            ConcernKind::Outdated => "outdated",
            ConcernKind::NearLimit => "near_limit",
            ConcernKind::RetryOverdue => "retry_overdue",
            ConcernKind::Exhausted => "exhausted",
            ConcernKind::Hazard => "hazard",
            ConcernKind::FeedDiffers => "feed_differs",
            ConcernKind::TimesAhead => "times_ahead",
            ConcernKind::HistoryGap => "history_gap",
            ConcernKind::NotConfigured => "not_configured",
        }
    }

    /// Returns the severity. Critical: events cannot be read now, or the console cannot see whether they are.
    pub fn severity(self) -> Severity {
        match self {
            ConcernKind::FeedStopped
            | ConcernKind::FeedStalled
            | ConcernKind::MarkerUnusable
            | ConcernKind::MarkerNamesNoEvent
            | ConcernKind::QueueStands
            | ConcernKind::FeedNotServed
            | ConcernKind::Unreachable
            | ConcernKind::FeedsNotSeen => Severity::Critical,
            ConcernKind::FailuresNotSeen
            | ConcernKind::QueueNotSeen
            | ConcernKind::Outdated
            | ConcernKind::NearLimit
            | ConcernKind::RetryOverdue
            | ConcernKind::Exhausted
            | ConcernKind::Hazard
            | ConcernKind::FeedDiffers
            | ConcernKind::TimesAhead
            | ConcernKind::HistoryGap
            | ConcernKind::NotConfigured => Severity::Warning,
        }
    }
}

/// What a concern is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum About {
    Application,
    /// The feed with this address; `None`: failed events without one.
    Feed(Option<String>),
}

/// Something that needs attention, in sentences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concern {
    pub kind: ConcernKind,
    pub about: About,
    /// What does not work, and for whom. Without a full stop if it is the console's own heading.
    pub title: String,
    /// Why, with its figures; can be empty.
    pub cause: String,
    /// What to do; can be empty.
    pub todo: String,
    /// Number of affected events: of two concerns of one kind, the one with more comes first.
    pub events: u64,
}
