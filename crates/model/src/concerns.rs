//! What needs attention: decided once for the overview, the applications' pages and the monitoring endpoint.
//!
//! Pure functions of the last poll. Their thresholds are settings ([`ConcernSettings`]).

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    ApplicationInfo, ApplicationView, Availability, Feed, FeedState, Reach, Reader, Seen,
    application::{COMPLETE_ENTRY, ConcernSettings},
    concern::{About, Concern, ConcernKind},
    explain,
    feed::MarkerFault,
    feed_names::FeedName,
    obstacle::no_address,
    probe::Difference,
    publisher::Queue,
    words::{count, span},
};

/// A poll is too old if it is older than this many times `refresh`, but never before [`OLD_POLL`].
const OLD_POLLS: i32 = 10;
const OLD_POLL: TimeDelta = TimeDelta::minutes(15);

/// Returns the concerns of one application at the time `now`, most pressing first. `applications`: everything
/// configured that may be named, for the publishers of feeds. `reader`: whose zone and clock the times in sentences
/// use.
///
/// If the database does not answer, reports that and what its feed answers: its feeds may be in another state by now.
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
    let of_probe = of_probe(view, &of_application);
    if let Reach::Unreachable { reason, advice, .. } = &view.reach {
        let unreachable = of_application(ConcernKind::Unreachable, reason.clone(), advice, "");
        return of_probe.into_iter().chain([unreachable]).collect();
    }
    if let Reach::NotConfigured { lacking } = &view.reach {
        let title = format!("{} is not configured", view.info.name);
        let cause = format!("{}.", lacking.join("; "));
        return vec![of_application(ConcernKind::NotConfigured, title, &cause, COMPLETE_ENTRY)];
    }
    let Some(seen) = &view.seen else { return of_probe };
    let name = &view.info.name;
    let mut concerns = of_probe;
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

/// Returns what the answers of the application's own feed give cause for.
fn of_probe(
    view: &ApplicationView,
    of_application: &impl Fn(ConcernKind, String, &str, &str) -> Concern,
) -> Vec<Concern> {
    let Some(probe) = &view.probe else { return Vec::new() };
    let name = &view.info.name;
    let failed = probe.failure().map(|(last, kind, reason)| {
        let cause = format!("{} ({})", reason.trim_end_matches('.'), last.lasting());
        of_application(
            ConcernKind::FeedNotServed,
            format!("{name} does not serve its feed"),
            &format!("{cause}."),
            kind.advice(),
        )
    });
    let differences: Vec<String> = probe.differences().iter().map(Difference::in_words).collect();
    let differs = (!differences.is_empty()).then(|| {
        let title = format!("The feed of {name} does not fit its consumers");
        of_application(ConcernKind::FeedDiffers, title, &differences.join(" "), "")
    });
    failed.into_iter().chain(differs).collect()
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
