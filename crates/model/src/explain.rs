//! Sentences that explain the state of a feed: the cause, and what to do. Pure functions, so that every claim has a
//! test.
//!
//! A sentence never says more than the console knows. The console sees tables, not the consumer: it cannot know whether
//! a consumer runs at all, nor whether a retry will succeed. A limit that was not configured is called assumed.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    ApplicationInfo, ApplicationView, Feed, FeedState, Limits, Reader,
    error_text::visible,
    feed::{MarkerFault, Unpublished},
    obstacle::no_address,
    publisher::Queue,
    stamp::Ahead,
    words::{count, count_first, number, span},
};

/// The cause of a condition, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saying {
    pub cause: String,
    pub todo: String,
}

/// Says that events without a feed address cannot be retried.
pub const NEVER_FOUND: &str = "These events have no feed address. They cannot be retried.";

/// Explains the state of a feed, including the fault of its marker and its overdue retry job, with times in the
/// reader's zone and format.
pub fn feed(feed: &Feed, info: &ApplicationInfo, reader: &Reader) -> Saying {
    let counts = feed.counts;
    let Saying { mut cause, mut todo } = of_state(feed, info);
    let fault = feed.marker_fault().map(|fault| marker_fault(feed, fault));
    if let Some(saying) = fault.or_else(|| feed.signs.unpublished.as_ref().map(|what| unpublished(feed, what))) {
        match feed.state {
            FeedState::Running | FeedState::Unknown => cause = saying.cause,
            _ => cause.push_str(&format!(" {}", saying.cause)),
        }
        todo = match feed.state {
            FeedState::Failing | FeedState::Stopped if counts.exhausted > 0 => format!("{} {todo}", saying.todo),
            _ => saying.todo,
        };
    }
    if let Some(since) = feed.signs.unretried_since {
        let saying = overdue(feed, info, since, reader);
        // The cause of a failing feed already counts the waiting events.
        let late = match feed.state {
            FeedState::Failing => no_retry_since(feed, info, since, reader),
            _ => saying.cause,
        };
        cause.push_str(&format!(" {late}"));
        // The advice on waiting events assumes that the retry job runs.
        let more = counts.exhausted > 0 || feed.marker_fault().is_some() || feed.signs.unpublished.is_some();
        todo = if more { format!("{} {todo}", saying.todo) } else { saying.todo };
    }
    with_rows(feed, Saying { cause, todo })
}

/// Explains the state of a feed where the fault of its marker and its retry job are explained separately.
pub fn state(feed: &Feed, info: &ApplicationInfo) -> Saying {
    let saying = of_state(feed, info);
    let unread = feed.marker_fault().is_some() || feed.signs.unpublished.is_some();
    // The advice on the fault covers a marker that does not move.
    let todo = if feed.state == FeedState::Stalled && unread { String::new() } else { saying.todo };
    with_rows(feed, Saying { todo, ..saying })
}

fn of_state(feed: &Feed, info: &ApplicationInfo) -> Saying {
    let limits = &info.limits_of(feed.uri.as_deref());
    let (cause, todo) = match feed.state {
        FeedState::Stopped => (stopped_cause(feed.counts.total, limits), stopped_todo(feed, limits)),
        FeedState::Failing if near_limit(feed, info).is_some() => {
            (near_limit_cause(feed, limits), near_limit_todo(feed, limits))
        }
        FeedState::Failing => (failing_cause(feed, limits), failing_todo(feed, limits)),
        FeedState::Running if info.concerns.is_idle(feed.uri.as_deref()) => (
            "No failed events. This feed is read rarely or never (setting idle_feeds).".to_owned(),
            "Nothing to do.".to_owned(),
        ),
        FeedState::Running => ("No failed events.".to_owned(), "Nothing to do.".to_owned()),
        FeedState::Stalled => (
            "The read position does not move, although the publisher has new events.".to_owned(),
            "Check the log of the application, for example for “Last Read entry not found in feed”.".to_owned(),
        ),
        FeedState::Unknown => unknown(feed),
    };
    Saying { cause, todo }
}

/// Adds notes on a feed's read positions, and what to do with rows that no retry helps.
fn with_rows(feed: &Feed, saying: Saying) -> Saying {
    let (counts, Saying { mut cause, mut todo }) = (feed.counts, saying);
    match feed.markers.len() {
        0 if counts.total > 0 && !no_address(feed.uri.as_deref()) => {
            cause.push_str(&match &feed.signs.markers_not_known {
                None => {
                    " No read position is stored for this feed address. Perhaps the address was changed.".to_owned()
                }
                Some(reason) => format!(" The read position is not known: {reason}."),
            })
        }
        0 | 1 => {}
        _ => {
            if let Some(saying) = several_positions(feed) {
                cause.push_str(&format!(" {}", saying.cause));
                todo = match feed.state {
                    FeedState::Running => saying.todo,
                    _ => format!("{todo} {}", saying.todo).trim().to_owned(),
                };
            }
        }
    }
    if no_address(feed.uri.as_deref()) && counts.total > 0 {
        let events = format!("{NEVER_FOUND} Fix the cause in the application, or discard the events.");
        todo = if feed.markers.is_empty() { events } else { format!("{events} {NO_FEED_TODO}") };
    } else if counts.beyond_help > 0 && counts.beyond_help == counts.exhausted {
        todo = timeless(feed);
    } else if counts.beyond_help > 0 {
        todo.push_str(&format!(" {}", timeless(feed)));
    }
    Saying { cause, todo }
}

/// Explains why the feed's exhausted events without a time of failure must be discarded.
pub fn timeless(feed: &Feed) -> String {
    match feed.counts.beyond_help {
        1 => "1 event has no time of failure: a retry of it would block all retries of the feed. Discard the event."
            .to_owned(),
        rows => format!(
            "{} events have no time of failure: a retry of these would block all retries of the feed. Discard the events.",
            number(rows)
        ),
    }
}

/// Explains several markers of one feed address. `None` if there is one or none, or no address.
pub fn several_positions(feed: &Feed) -> Option<Saying> {
    let several = feed.markers.len();
    (several > 1 && !no_address(feed.uri.as_deref())).then(|| Saying {
        cause: format!("{several} read positions have this address. It is not known which one is used."),
        todo: "Ask the database administrator to remove all but one (table markers).".to_owned(),
    })
}

/// What to do with a marker without a feed address.
const NO_FEED_TODO: &str = "Ask the database administrator to enter the feed address of the read position, or to remove its row (table markers).";

/// Explains a marker from which the consumer cannot continue.
pub fn marker_fault(feed: &Feed, fault: MarkerFault<'_>) -> Saying {
    let position = position(feed);
    let cause = match fault {
        MarkerFault::NoFeed => {
            let cause = match feed.markers.len() {
                1 => "A read position has no feed address. No consumer finds it.".to_owned(),
                several => format!("{several} read positions have no feed address. No consumer finds them."),
            };
            return Saying { cause, todo: NO_FEED_TODO.to_owned() };
        }
        MarkerFault::NoPage => {
            format!("{position} is incomplete: it names no feed page. The consumer fails and reads nothing.")
        }
        MarkerFault::NoAddress(page) => format!(
            "{position} names the feed page “{}”, which is not a page address. The consumer fails and reads nothing.",
            visible(page)
        ),
        MarkerFault::NoNumber(page) => format!(
            "{position} names the feed page “{}”, which has no page number from 1 on. The consumer fails and reads nothing.",
            visible(page)
        ),
        MarkerFault::NoEntry(entry) => format!(
            "{position} names the last event read “{}”, which is not an event id. The consumer does not find the event and \
             reads nothing.",
            visible(entry)
        ),
    };
    let todo = "Ask the database administrator to repair the read position (table markers).";
    Saying { cause, todo: todo.to_owned() }
}

/// Explains an overdue retry job, with times in the reader's zone and format.
pub fn overdue(feed: &Feed, info: &ApplicationInfo, since: DateTime<Utc>, reader: &Reader) -> Saying {
    let events = match feed.counts.waiting {
        1 => "1 event is waiting for retry".to_owned(),
        waiting => format!("{} are waiting for retry", count(waiting, "event")),
    };
    Saying {
        cause: format!("{events}. {}", no_retry_since(feed, info, since, reader)),
        todo:
            "Check that the application and its retry job are running. Then check the log: one row that cannot be read \
               stops all retries."
                .to_owned(),
    }
}

fn no_retry_since(feed: &Feed, info: &ApplicationInfo, since: DateTime<Utc>, reader: &Reader) -> String {
    let every = span(info.limits_of(feed.uri.as_deref()).retry_interval_secs);
    format!("No retry since {}, although retries are due every {every}.", reader.instant(since))
}

fn position(feed: &Feed) -> String {
    match feed.markers.len() {
        0 | 1 => "The read position".to_owned(),
        several => format!("One of the {several} read positions"),
    }
}

/// Explains a marker that names something the feed's publisher does not have.
pub fn unpublished(feed: &Feed, what: &Unpublished) -> Saying {
    let position = position(feed);
    let cause = match what {
        Unpublished::Entry(entry) => format!(
            "{position} names the event “{}”, which is not in event_records of the publisher. The consumer does not find the \
             event and reads nothing.",
            visible(entry)
        ),
        Unpublished::OtherCategory { entry, category } => format!(
            "{position} names the event “{}”, which has the category {} and is not on this feed. The consumer does not find \
             the event and reads nothing.",
            visible(entry),
            visible(category)
        ),
        Unpublished::Page { page, last: 0 } => format!(
            "{position} names page {}, but the publisher has no events for this feed. The consumer reads nothing.",
            number(*page)
        ),
        Unpublished::Page { page, last } => format!(
            "{position} names page {}, but the last page of this feed is {}. The consumer reads nothing.",
            number(*page),
            number(*last)
        ),
        Unpublished::OtherPage { entry, page, within: (first, last) } => {
            let pages = match first == last {
                true => format!("page {}", number(*first)),
                false => format!("a page from {} to {}", number(*first), number(*last)),
            };
            format!(
                "{position} names page {}, but the event “{}” is on {pages} of this feed. The consumer does not find the event \
                 and reads nothing.",
                number(*page),
                visible(entry)
            )
        }
    };
    let todo = "Check the log of the application, for example for “Last Read entry not found in feed”. Check whether one of the \
                two databases was restored. Then ask the database administrator to set the read position to an event that \
                exists.";
    Saying { cause, todo: todo.to_owned() }
}

/// Explains a queue that no job empties.
pub fn queue(queue: &Queue, now: DateTime<Utc>, age: TimeDelta) -> Saying {
    let at_least = if queue.is_dated(now) { "" } else { "at least " };
    let age = format!("{at_least}{}", span(age.num_seconds().unsigned_abs()));
    let cause = match queue.length {
        1 => format!("1 event has waited in event_records_queue for {age}."),
        _ => format!("{} wait in event_records_queue, the oldest for {age}.", queue.in_words()),
    };
    let todo = "Consumers cannot read these events yet. Check that the job that publishes events is running (in OpenMRS: the \
                scheduler task “OpenMRS event publisher task”), and check its log.";
    Saying { cause, todo: todo.to_owned() }
}

fn stopped_cause(total: u64, limits: &Limits) -> String {
    let events = count(total, "failed event");
    let max = number(limits.max_failed_events.unwrap_or(total));
    if limits.assumed {
        format!("Nothing new is read from this feed if its limit is {max}, as assumed: there are {events}.")
    } else {
        format!("Nothing new is read from this feed: {events}, the limit is {max}.")
    }
}

fn stopped_todo(feed: &Feed, limits: &Limits) -> String {
    let counts = feed.counts;
    let max = number(limits.max_failed_events.unwrap_or(counts.total));
    if counts.exhausted == 0 && counts.waiting > 0 {
        return format!("All will be retried automatically. The feed is read again below {max} failed events.");
    }
    if counts.exhausted == 0 {
        return format!("Open the events and fix the cause. The feed is read again below {max} failed events.");
    }
    let mut todo = format!("Fix the cause first, then retry {}.", count(counts.exhausted, "event"));
    // Not true of waiting events while the retry job is overdue.
    if counts.waiting > 0 && feed.signs.unretried_since.is_none() {
        todo.push_str(&format!(" {} will be retried automatically.", number(counts.waiting)));
    }
    todo
}

/// Returns the limit of a feed that is close to it, by the setting `near_limit`. `None` if the feed is far from its
/// limit, has reached it, or has none.
pub fn near_limit(feed: &Feed, info: &ApplicationInfo) -> Option<u64> {
    let (max, percent) = (info.limits_of(feed.uri.as_deref()).max_failed_events?, info.concerns.near_limit_percent?);
    let near = u128::from(feed.counts.total) * 100 >= u128::from(max) * u128::from(percent);
    (near && feed.counts.total > 0 && feed.counts.total < max).then_some(max)
}

fn near_limit_cause(feed: &Feed, limits: &Limits) -> String {
    let max = number(limits.max_failed_events.unwrap_or_default());
    let assumed = if limits.assumed { ", as assumed" } else { "" };
    let parts = parts(feed);
    let of_which = match parts.as_slice() {
        [(_, what)] => format!(", all {what}"),
        parts => {
            let parts: Vec<String> = parts.iter().map(|(rows, what)| format!("{} {what}", number(*rows))).collect();
            format!(": {}", parts.join(", "))
        }
    };
    format!("{} of {max} failed events{of_which}. At {max} the feed stops{assumed}.", number(feed.counts.total))
}

fn near_limit_todo(feed: &Feed, limits: &Limits) -> String {
    match (feed.counts.exhausted, limits.max_retry) {
        (0, _) => "All will be retried automatically. Fix the cause before the feed stops.".to_owned(),
        _ => failing_todo(feed, limits),
    }
}

/// Returns the failed events of a feed by state, without empty states: their number, and the words for the state.
fn parts(feed: &Feed) -> Vec<(u64, &'static str)> {
    let counts = feed.counts;
    let unknown = counts.total.saturating_sub(counts.waiting).saturating_sub(counts.exhausted);
    let all = [
        (counts.waiting, "waiting for retry"),
        (counts.exhausted, "with retries used up"),
        (unknown, "without a known number of retries"),
    ];
    all.into_iter().filter(|(rows, _)| *rows > 0).collect()
}

fn failing_cause(feed: &Feed, limits: &Limits) -> String {
    let counts = feed.counts;
    let parts = parts(feed);
    let events = count_first(counts.total, "failed event");
    let mut cause = match (parts.as_slice(), counts.total) {
        ([(_, what)], 1) => format!("{events}, {what}."),
        ([(_, what)], _) => format!("{events}, all {what}."),
        (parts, _) => {
            let parts: Vec<String> = parts.iter().map(|(rows, what)| format!("{} {what}", number(*rows))).collect();
            format!("{events}: {}.", parts.join(", "))
        }
    };
    // Not worth saying far from the limit.
    let near = |max: &u64| counts.total >= max / 10;
    if let Some(max) = limits.max_failed_events.filter(near) {
        let assumed = if limits.assumed { ", as assumed" } else { "" };
        cause.push_str(&format!(" At {} the feed stops{assumed}.", number(max)));
    }
    cause
}

fn failing_todo(feed: &Feed, limits: &Limits) -> String {
    match (feed.counts.exhausted, feed.counts.waiting, limits.max_retry) {
        (1.., _, None) => "This application does not retry. Fix the events in the application.".to_owned(),
        (1, _, Some(_)) if feed.counts.total == 1 => {
            "It will not be retried automatically. Fix the cause, then press Retry.".to_owned()
        }
        (exhausted @ 1.., _, Some(_)) if exhausted < feed.counts.total => format!(
            "The {} with retries used up will not be retried automatically. Fix the cause, then press Retry.",
            number(exhausted)
        ),
        (1.., _, Some(_)) => "These will not be retried automatically. Fix the cause, then press Retry.".to_owned(),
        (0, 1.., Some(max)) => {
            format!("Nothing to do yet. Each will be retried automatically, up to {max} times.")
        }
        _ => "Open the events to see what failed.".to_owned(),
    }
}

fn unknown(feed: &Feed) -> (String, String) {
    if let Some(reason) = &feed.signs.failures_not_known {
        return (
            format!("Whether events failed is not known: {reason}."),
            "Create the table, or allow the database account to read it.".to_owned(),
        );
    }
    if let Some(reason) = &feed.signs.markers_not_known {
        return (
            format!("No failed events. How far the feed was read is not known: {reason}."),
            "If the table exists, allow the database account to read it.".to_owned(),
        );
    }
    ("No read position and no failed events. Status unknown.".to_owned(), "Nothing to do.".to_owned())
}

/// Explains failures, or events in the queue, whose times were in the future when they were polled. `None` if there are
/// none.
pub fn ahead(view: &ApplicationView) -> Option<Saying> {
    let (seen, at) = (view.seen.as_ref()?, view.seen_at?);
    let oldest = seen.queue.as_ref().and_then(|queue| queue.oldest.as_ref());
    let failure = Ahead::of(seen.newest_failure.as_ref(), at).map(|ahead| (ahead, "The newest failure"));
    let (ahead, what) =
        failure.or_else(|| Some((Ahead::of(oldest, at)?, "The oldest event in the queue of events to publish")))?;
    let far = span(ahead.0.num_seconds().unsigned_abs());
    let todo = if ahead.may_be_the_zone() {
        format!(
            "Times without a zone are read as {}. If this database uses another zone, set time_zone. Otherwise correct the \
             clock of the database.",
            view.info.time_zone
        )
    } else {
        "Check the clock of the database and this row.".to_owned()
    };
    Some(Saying { cause: format!("{what} is {far} in the future."), todo })
}

#[cfg(test)]
mod tests;
