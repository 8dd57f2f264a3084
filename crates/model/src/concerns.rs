//! What needs attention: decided once for the overview, the applications' pages and the monitoring endpoint.
//!
//! Pure functions of the last poll. Their thresholds are settings ([`ConcernSettings`]).

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    ApplicationInfo, ApplicationView, Availability, Feed, FeedState, Reach, Reader, Seen,
    application::COMPLETE_ENTRY,
    explain,
    feed::MarkerFault,
    feed_names::FeedName,
    obstacle::no_address,
    publisher::Queue,
    words::{count, span},
};

/// The thresholds from which something is a concern. `None` in a threshold: never.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConcernSettings {
    /// Percent of a feed's limit of failed events.
    pub near_limit_percent: Option<u64>,
    /// Seconds that an event may wait in its publisher's queue.
    pub queue_age_secs: Option<u64>,
    /// Seconds without a retry of any waiting event, unless three intervals of the retry job are longer.
    pub retry_overdue_secs: Option<u64>,
    /// Whether markers are compared with the events of their publishers.
    pub compare_markers: bool,
    /// Prefixes of the addresses, or of their paths, of feeds that are read rarely or not at all: that no consumer
    /// reads them is not a concern.
    pub idle_feeds: Vec<String>,
}

impl ConcernSettings {
    /// Returns whether a feed is one of [`ConcernSettings::idle_feeds`].
    pub fn is_idle(&self, uri: Option<&str>) -> bool {
        let Some(uri) = uri else { return false };
        let path = uri.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap_or(uri);
        let begins = |begin: &String| uri.starts_with(begin.as_str()) || path.starts_with(begin.as_str());
        self.idle_feeds.iter().filter(|begin| !begin.is_empty()).any(begins)
    }
}

impl Default for ConcernSettings {
    fn default() -> Self {
        Self {
            near_limit_percent: Some(80),
            queue_age_secs: Some(600),
            retry_overdue_secs: Some(300),
            compare_markers: true,
            idle_feeds: Vec::new(),
        }
    }
}

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
    pub const ALL: [ConcernKind; 17] = [
        ConcernKind::FeedStopped,
        ConcernKind::FeedStalled,
        ConcernKind::MarkerUnusable,
        ConcernKind::MarkerNamesNoEvent,
        ConcernKind::QueueStands,
        ConcernKind::Unreachable,
        ConcernKind::FeedsNotSeen,
        ConcernKind::FailuresNotSeen,
        ConcernKind::QueueNotSeen,
        ConcernKind::Outdated,
        ConcernKind::NearLimit,
        ConcernKind::RetryOverdue,
        ConcernKind::Exhausted,
        ConcernKind::Hazard,
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
            ConcernKind::Unreachable => "unreachable",
            ConcernKind::FeedsNotSeen => "feeds_not_seen",
            ConcernKind::FailuresNotSeen => "failures_not_seen",
            ConcernKind::QueueNotSeen => "queue_not_seen",
            ConcernKind::Outdated => "outdated",
            ConcernKind::NearLimit => "near_limit",
            ConcernKind::RetryOverdue => "retry_overdue",
            ConcernKind::Exhausted => "exhausted",
            ConcernKind::Hazard => "hazard",
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
            | ConcernKind::Unreachable
            | ConcernKind::FeedsNotSeen => Severity::Critical,
            ConcernKind::FailuresNotSeen
            | ConcernKind::QueueNotSeen
            | ConcernKind::Outdated
            | ConcernKind::NearLimit
            | ConcernKind::RetryOverdue
            | ConcernKind::Exhausted
            | ConcernKind::Hazard
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

/// A poll is too old if it is older than this many times `refresh`, but never before [`OLD_POLL`].
const OLD_POLLS: i32 = 10;
const OLD_POLL: TimeDelta = TimeDelta::minutes(15);

/// Returns the concerns of one application at the time `now`, most pressing first. `applications`: everything
/// configured that may be named, for the publishers of feeds. `reader`: whose zone and clock the times in sentences
/// use.
///
/// If the database does not answer, reports only that: its feeds may be in another state by now.
pub fn of(
    view: &ApplicationView,
    applications: &[&ApplicationInfo],
    now: DateTime<Utc>,
    reader: &Reader,
) -> Vec<Concern> {
    let of_application = |kind, title: String, cause: &str, todo: &str| Concern {
        kind,
        about: About::Application,
        title,
        cause: cause.to_owned(),
        todo: todo.to_owned(),
        events: 0,
    };
    if let Reach::Unreachable { reason, advice, .. } = &view.reach {
        return vec![of_application(ConcernKind::Unreachable, reason.clone(), advice, "")];
    }
    if let Reach::NotConfigured { lacking } = &view.reach {
        let title = format!("{} is not configured", view.info.name);
        let cause = format!("{}.", lacking.join("; "));
        return vec![of_application(ConcernKind::NotConfigured, title, &cause, COMPLETE_ENTRY)];
    }
    let Some(seen) = &view.seen else { return Vec::new() };
    let name = &view.info.name;
    let mut concerns = Vec::new();
    if let Availability::NotHere(reason) = &seen.feeds {
        concerns.push(of_application(
            ConcernKind::FeedsNotSeen,
            format!("The feeds of {name} cannot be read"),
            &format!("Not available here: {reason}."),
            "Check the database, the schema and the rights of the account.",
        ));
    } else if let Some(reason) = &seen.failures_not_known {
        concerns.push(of_application(
            ConcernKind::FailuresNotSeen,
            format!("The failed events of {name} cannot be read"),
            &format!("Not available here: {reason}. Whether events failed is not known."),
            "Create the table, or allow the database account to read it.",
        ));
    }
    if let Some(age) = view.looked_at.map(|at| now - at).filter(|age| *age > too_old(&view.info)) {
        let seconds = u64::try_from(age.num_seconds()).unwrap_or_default();
        concerns.push(of_application(
            ConcernKind::Outdated,
            format!("{name} was last checked {} ago", span(seconds)),
            "The data shown are that old.",
            "Check the log of the console. If checks do not continue, restart the console.",
        ));
    }
    concerns.extend(of_queue(view, seen));
    if let Some(reason) = seen.queue_not_known.as_ref().filter(|_| view.info.concerns.queue_age_secs.is_some()) {
        concerns.push(of_application(
            ConcernKind::QueueNotSeen,
            format!("The publishing queue of {name} cannot be read"),
            &format!("{}. It is not known whether events wait in event_records_queue.", reason.trim_end_matches('.')),
            "Check the application's publishing job: it can lock the table. Check that the console's account may read the table. If \
             this application has no such table, set queue_age to \"off\" for it.",
        ));
    }
    for feed in view.feeds() {
        concerns.extend(of_feed(view, feed, applications, reader));
    }
    let hazards =
        seen.hazards.iter().map(|hazard| of_application(ConcernKind::Hazard, format!("Problem in {name}"), hazard, ""));
    concerns.extend(hazards);
    concerns.extend(explain::ahead(view).map(|saying| {
        of_application(
            ConcernKind::TimesAhead,
            format!("Times of {name} are in the future"),
            &saying.cause,
            &saying.todo,
        )
    }));
    let gaps = seen
        .out_of_step
        .iter()
        .map(|why| of_application(ConcernKind::HistoryGap, format!("History for {name} is incomplete"), why, ""));
    concerns.extend(gaps);
    concerns.sort_by_key(rank);
    concerns
}

/// Returns a key to sort concerns by: most pressing first, and within a kind the one with the most events.
pub fn rank(concern: &Concern) -> impl Ord + use<> {
    (concern.kind, u64::MAX - concern.events)
}

/// Returns the concern of a queue that no job empties.
fn of_queue(view: &ApplicationView, seen: &Seen) -> Option<Concern> {
    let (queue, now) = (seen.queue.as_ref()?, view.seen_at?);
    let age = standing(queue, &view.info.concerns, now)?;
    let mut saying = explain::queue(queue, now, age);
    if seen.queue_not_known.is_some() {
        saying.cause.push_str(" That was the last successful check of the queue.");
    }
    Some(Concern {
        kind: ConcernKind::QueueStands,
        about: About::Application,
        title: format!("{} is not publishing its events", view.info.name),
        cause: saying.cause,
        todo: saying.todo,
        events: queue.length,
    })
}

/// Returns the age of a queue's oldest entry, if that is a concern at this time.
pub fn standing(queue: &Queue, settings: &ConcernSettings, now: DateTime<Utc>) -> Option<TimeDelta> {
    let most = i64::try_from(settings.queue_age_secs?).ok().and_then(TimeDelta::try_seconds)?;
    queue.age(now).filter(|age| *age > most)
}

/// Intervals of a retry job that may pass without a retry.
const RETRY_INTERVALS: i32 = 3;

/// Returns since when a feed's events wait without a retry, if its retry job is overdue: after three of its intervals,
/// and not before the time in the settings.
///
/// `waiting`: how many wait. `waits`: when the first of them failed. `retried`: when one of its events was last
/// retried, or its retries were changed, as far as that is known.
pub fn overdue_since(
    info: &ApplicationInfo,
    uri: Option<&str>,
    waiting: u64,
    waits: Option<DateTime<Utc>>,
    retried: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let seconds = |seconds: u64| i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds);
    let least = seconds(info.concerns.retry_overdue_secs?)?;
    let limits = info.limits_of(uri);
    // No job retries them, or none is expected to.
    if waiting == 0 || no_address(uri) || limits.max_retry.is_none() || info.concerns.is_idle(uri) {
        return None;
    }
    let patience = seconds(limits.retry_interval_secs)?.checked_mul(RETRY_INTERVALS)?.max(least);
    let waits = waits?;
    let since = retried.map_or(waits, |retried| retried.max(waits));
    (now - since > patience).then_some(since)
}

fn too_old(info: &ApplicationInfo) -> TimeDelta {
    let refresh = i64::try_from(info.refresh_secs).ok().and_then(TimeDelta::try_seconds).unwrap_or(OLD_POLL);
    refresh.checked_mul(OLD_POLLS).unwrap_or(TimeDelta::MAX).max(OLD_POLL)
}

/// Returns the concerns of one feed.
fn of_feed(view: &ApplicationView, feed: &Feed, applications: &[&ApplicationInfo], reader: &Reader) -> Vec<Concern> {
    let info = &view.info;
    let app = &info.name;
    // Only called for a feed with a concern: it compares all other feeds.
    let name = || FeedName::of(feed.uri.as_deref(), view.feeds(), applications).in_sentence();
    let concern = |kind, title, saying: explain::Saying| Concern {
        kind,
        about: About::Feed(feed.uri.clone()),
        title,
        cause: saying.cause,
        todo: saying.todo,
        events: feed.counts.total,
    };
    let of_state = |kind, title| concern(kind, title, explain::state(feed, info));
    let mut concerns = Vec::new();
    let (exhausted, limits) = (feed.counts.exhausted, info.limits_of(feed.uri.as_deref()));
    let by_state = match feed.state {
        FeedState::Stopped if limits.assumed => {
            Some((ConcernKind::FeedStopped, format!("{app} is probably not receiving new events from {}", name())))
        }
        FeedState::Stopped => {
            Some((ConcernKind::FeedStopped, format!("{app} is not receiving new events from {}", name())))
        }
        FeedState::Stalled => Some((ConcernKind::FeedStalled, format!("{app} has stopped reading {}", name()))),
        _ if explain::near_limit(feed, info).is_some() => {
            Some((ConcernKind::NearLimit, format!("{app} is close to its limit of failed events on {}", name())))
        }
        _ if exhausted > 0 && no_address(feed.uri.as_deref()) => {
            let title = format!("{app} has {} without a feed address", count(exhausted, "failed event"));
            Some((ConcernKind::Exhausted, title))
        }
        _ if exhausted > 0 => Some((
            ConcernKind::Exhausted,
            format!("{} from {} failed all retries ({app})", count(exhausted, "event"), name()),
        )),
        FeedState::Running | FeedState::Failing | FeedState::Unknown => None,
    };
    concerns.extend(by_state.map(|(kind, title)| of_state(kind, title)));
    if let Some(since) = feed.signs.unretried_since {
        let title = format!("Retries of {app} are overdue on {}", name());
        let overdue = concern(ConcernKind::RetryOverdue, title, explain::overdue(feed, info, since, reader));
        concerns.push(Concern { events: feed.counts.waiting, ..overdue });
    }
    if let Some(saying) = explain::several_positions(feed) {
        let title = format!("{app} has more than one read position for {}", name());
        concerns.push(concern(ConcernKind::Hazard, title, saying));
    }
    if let Some(fault) = feed.marker_fault() {
        let title = match fault {
            MarkerFault::NoFeed => format!("{app} has a read position without a feed address"),
            _ => format!("{app} cannot continue reading {}", name()),
        };
        concerns.push(concern(ConcernKind::MarkerUnusable, title, explain::marker_fault(feed, fault)));
    } else if let Some(what) = &feed.signs.unpublished {
        let title = format!("{app} cannot continue reading {}", name());
        concerns.push(concern(ConcernKind::MarkerNamesNoEvent, title, explain::unpublished(feed, what)));
    }
    concerns
}

#[cfg(test)]
mod tests;
