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
        several => {
            cause.push_str(&format!(" {several} read positions have this address. It is not known which one is used."))
        }
    }
    if no_address(feed.uri.as_deref()) && counts.total > 0 {
        todo = format!("{NEVER_FOUND} Fix the cause in the application, or discard the events.");
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

/// Explains a marker from which the consumer cannot continue.
pub fn marker_fault(feed: &Feed, fault: MarkerFault<'_>) -> Saying {
    let position = position(feed);
    let cause = match fault {
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
pub fn queue(queue: &Queue, age: TimeDelta) -> Saying {
    let at_least = if queue.is_dated() { "" } else { "at least " };
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
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        FeedLimit, Stamp,
        samples::{feed_with, info, limits, up, view},
    };

    fn explained(feed: &Feed) -> Saying {
        super::feed(feed, &info("Odoo"), &Reader::default())
    }

    fn explained_with(feed: &Feed, limits: Limits) -> Saying {
        super::feed(feed, &ApplicationInfo { limits, ..info("Odoo") }, &Reader::default())
    }

    #[test]
    fn a_stopped_feed_names_its_count_and_its_limit() {
        let saying = explained(&feed_with(12, 988, 1000));
        assert_eq!(saying.cause, "Nothing new is read from this feed: 1,000 failed events, the limit is 1,000.");
        assert_eq!(saying.todo, "Fix the cause first, then retry 988 events. 12 will be retried automatically.");
    }

    #[test]
    fn an_assumed_limit_is_never_told_as_a_fact() {
        let assumed = Limits { assumed: true, ..limits() };
        assert!(explained_with(&feed_with(0, 1000, 1000), assumed).cause.contains("as assumed"));
        assert!(explained_with(&feed_with(0, 300, 300), assumed).cause.contains("as assumed"));
        assert!(explained_with(&feed_with(990, 0, 990), assumed).cause.contains("as assumed"));
    }

    #[test]
    fn a_feed_with_a_limit_of_its_own_is_told_by_that_and_never_as_assumed() {
        let mut odoo = info("Odoo");
        odoo.limits.assumed = true;
        let uri = feed_with(0, 0, 0).uri.unwrap();
        odoo.feed_limits = vec![FeedLimit { uri, max_failed_events: Some(50) }];
        let mut stopped = feed_with(0, 50, 50);
        stopped.state = FeedState::of(&stopped.counts, true, &odoo.limits_of(stopped.uri.as_deref()));
        assert_eq!(
            super::feed(&stopped, &odoo, &Reader::default()).cause,
            "Nothing new is read from this feed: 50 failed events, the limit is 50."
        );
        assert!(
            super::feed(&feed_with(0, 45, 45), &odoo, &Reader::default()).cause.starts_with("45 of 50 failed events")
        );
        let lost = Feed { uri: None, ..feed_with(0, 999, 999) };
        assert!(!super::feed(&lost, &odoo, &Reader::default()).cause.contains("stops"));
    }

    #[test]
    fn times_in_the_future_make_the_time_zone_doubtful() {
        let at = |ahead| {
            let mut odoo = view("Odoo", up(), vec![]);
            let newest = Stamp::of(odoo.seen_at.unwrap() + ahead);
            Arc::make_mut(odoo.seen.as_mut().unwrap()).newest_failure = Some(newest);
            super::ahead(&odoo)
        };
        assert_eq!(at(TimeDelta::minutes(-1)), None);
        let saying = at(TimeDelta::minutes(330)).unwrap();
        assert_eq!(saying.cause, "The newest failure is 6 h in the future.");
        assert!(saying.todo.contains("read as UTC") && saying.todo.contains("time_zone"), "{}", saying.todo);
        assert!(!at(TimeDelta::days(400)).unwrap().todo.contains("time_zone"));
        let queued = |ahead| {
            let mut openmrs = view("OpenMRS", up(), vec![]);
            let oldest = Some(Stamp::of(openmrs.seen_at.unwrap() + ahead));
            Arc::make_mut(openmrs.seen.as_mut().unwrap()).queue = Some(Queue { length: 1, oldest, ..Queue::default() });
            super::ahead(&openmrs)
        };
        assert_eq!(queued(TimeDelta::minutes(-1)), None);
        let cause = queued(TimeDelta::minutes(330)).unwrap().cause;
        assert_eq!(cause, "The oldest event in the queue of events to publish is 6 h in the future.");
    }

    #[test]
    fn waiting_events_ask_nothing_of_a_person() {
        let saying = explained(&feed_with(1, 0, 1));
        assert_eq!(saying.cause, "1 failed event, waiting for retry.");
        assert!(saying.todo.starts_with("Nothing to do yet"), "{}", saying.todo);
    }

    #[test]
    fn one_exhausted_event_is_told_in_the_singular() {
        let saying = explained(&feed_with(0, 1, 1));
        assert_eq!(saying.cause, "1 failed event, with retries used up.");
        assert_eq!(saying.todo, "It will not be retried automatically. Fix the cause, then press Retry.");
    }

    #[test]
    fn what_is_not_retried_automatically_is_named_where_other_events_are() {
        let todo = "The 2 with retries used up will not be retried automatically. Fix the cause, then press Retry.";
        assert_eq!(explained(&feed_with(10, 2, 12)).todo, todo);
        assert!(explained(&feed_with(0, 2, 2)).todo.starts_with("These will not be retried automatically."));
        let overdue = |mut feed: Feed| {
            feed.signs.unretried_since = DateTime::from_timestamp(1_800_000_000, 0);
            explained(&feed).todo
        };
        let said = overdue(feed_with(10, 2, 12));
        assert!(said.starts_with("Check that the application and its retry job") && said.ends_with(todo), "{said}");
        let stopped = overdue(feed_with(12, 988, 1000));
        assert!(!stopped.contains("will be retried automatically"), "{stopped}");
    }

    #[test]
    fn the_limit_is_named_when_it_comes_near() {
        let cause = explained(&feed_with(60, 40, 100)).cause;
        assert_eq!(cause, "100 failed events: 60 waiting for retry, 40 with retries used up. At 1,000 the feed stops.");
        assert!(!explained(&feed_with(50, 40, 90)).cause.contains("stops"));
    }

    #[test]
    fn a_feed_close_to_its_limit_is_told_by_count_and_limit() {
        let feed = Feed { state: FeedState::Failing, ..feed_with(9_990, 0, 9_990) };
        let near = explained_with(&feed, Limits { max_failed_events: Some(10_000), ..limits() });
        assert_eq!(near.cause, "9,990 of 10,000 failed events, all waiting for retry. At 10,000 the feed stops.");
        assert!(!near.todo.contains("Nothing to do"), "{}", near.todo);
        let mixed = explained(&feed_with(500, 300, 800));
        assert_eq!(
            mixed.cause,
            "800 of 1,000 failed events: 500 waiting for retry, 300 with retries used up. At 1,000 the feed stops."
        );
        assert!(mixed.todo.contains("then press Retry"), "{}", mixed.todo);
    }

    #[test]
    fn where_nobody_retries_nobody_is_told_to_retry() {
        let nobody = Limits { max_retry: None, max_failed_events: None, ..limits() };
        let saying = explained_with(&feed_with(0, 3, 3), nobody);
        assert_eq!(saying.cause, "3 failed events, all with retries used up.");
        assert!(saying.todo.contains("does not retry"), "{}", saying.todo);
    }

    #[test]
    fn rows_without_a_feed_address_are_never_found_by_a_retry_job() {
        let mut lost = feed_with(0, 3, 3);
        lost.uri = None;
        lost.category = None;
        lost.markers.clear();
        let saying = explained(&lost);
        assert!(saying.todo.contains("cannot be retried"), "{}", saying.todo);
        assert!(!saying.cause.contains("No read position"), "{}", saying.cause);
    }

    #[test]
    fn an_address_of_blanks_is_none() {
        let lost = Feed { uri: Some("  ".into()), markers: vec![], ..feed_with(0, 3, 3) };
        let saying = explained(&lost);
        assert!(saying.todo.contains("cannot be retried"));
        assert!(!saying.cause.contains("feed address"), "{}", saying.cause);
    }

    #[test]
    fn exhausted_rows_without_a_time_are_not_to_be_retried() {
        let with = |exhausted, beyond_help| {
            let mut feed = feed_with(0, exhausted, exhausted);
            feed.counts.beyond_help = beyond_help;
            explained(&feed).todo
        };
        assert!(with(1, 1).starts_with("1 event has no time of failure"), "{}", with(1, 1));
        assert!(with(2, 2).starts_with("2 events have no time of failure"), "{}", with(2, 2));
        assert!(!with(2, 2).contains("press Retry"));
        assert!(with(3, 1).contains("then press Retry. 1 event has no time"), "{}", with(3, 1));
    }

    #[test]
    fn missing_and_doubled_markers_are_told() {
        let mut odd = feed_with(0, 3, 3);
        odd.markers.push(odd.markers[0].clone());
        assert!(explained(&odd).cause.contains("2 read positions have this address"));
        odd.markers.clear();
        assert!(explained(&odd).cause.contains("No read position is stored for this feed address"));
        odd.signs.markers_not_known = Some("the table markers does not exist".into());
        let cause = explained(&odd).cause;
        assert!(cause.ends_with("The read position is not known: the table markers does not exist."), "{cause}");
    }

    #[test]
    fn a_marker_that_cannot_be_gone_on_from_is_no_running_feed() {
        let with = |counts: (u64, u64, u64), entry: Option<&str>, page: Option<&str>| {
            let mut feed = feed_with(counts.0, counts.1, counts.2);
            feed.markers[0].last_read_entry_id = entry.map(str::to_owned);
            feed.markers[0].page_uri = page.map(str::to_owned);
            feed.state = FeedState::of(&feed.counts, feed.can_be_read(), &limits());
            (feed.state, explained(&feed))
        };
        let page = Some("http://openmrs:8080/openmrs/ws/atomfeed/encounter/36");
        for (entry, page, words) in [
            (Some("tag:atomfeed.ict4h.org:1"), None, "names no feed page"),
            (Some("?"), Some("?"), "names the feed page “?”"),
            (Some("?"), page, "names the last event read “?”"),
        ] {
            let (state, saying) = with((0, 0, 0), entry, page);
            assert_eq!(state, FeedState::Unknown);
            assert!(saying.cause.contains(words), "{}", saying.cause);
            assert!(saying.todo.starts_with("Ask the database administrator to repair"), "{}", saying.todo);
            let (_, failing) = with((3, 0, 3), entry, page);
            assert!(failing.cause.starts_with("3 failed events") && failing.cause.contains(words));
            assert!(!failing.todo.contains("Nothing to do"), "{}", failing.todo);
            let (_, exhausted) = with((0, 3, 3), entry, page);
            assert!(exhausted.todo.contains("to repair") && exhausted.todo.contains("press Retry"));
        }
        assert_eq!(with((0, 0, 0), None, page).0, FeedState::Running, "OpenELIS begins with such a marker");
    }

    #[test]
    fn a_marker_that_names_what_its_publisher_does_not_have_is_no_running_feed() {
        let entry = "tag:atomfeed.ict4h.org:be4d353b-ac7b-4ee5-a5ac-1ca2f4b4d8e2".to_owned();
        for (what, words) in [
            (Unpublished::Entry(entry.clone()), "which is not in event_records of the publisher"),
            (
                Unpublished::OtherCategory { entry: entry.clone(), category: "lab".into() },
                "which has the category lab and is not on this feed.",
            ),
            (
                Unpublished::OtherPage { entry: entry.clone(), page: 3, within: (41, 41) },
                "e2” is on page 41 of this feed.",
            ),
            (
                Unpublished::OtherPage { entry, page: 3, within: (41, 43) },
                "e2” is on a page from 41 to 43 of this feed.",
            ),
            (Unpublished::Page { page: 581, last: 241 }, "names page 581, but the last page of this feed is 241"),
            (Unpublished::Page { page: 3, last: 0 }, "the publisher has no events for this feed"),
        ] {
            let mut feed = feed_with(0, 0, 0);
            feed.signs.unpublished = Some(what.clone());
            feed.state = FeedState::of(&feed.counts, feed.can_be_read(), &limits());
            assert_eq!(feed.state, FeedState::Unknown);
            let saying = explained(&feed);
            assert!(
                saying.cause.starts_with("The read position names") && saying.cause.contains(words),
                "{}",
                saying.cause
            );
            assert!(saying.todo.contains("to set the read position"), "{}", saying.todo);
            let mut failing = feed_with(0, 3, 3);
            failing.signs.unpublished = Some(what);
            let saying = explained(&failing);
            assert!(saying.cause.starts_with("3 failed events") && saying.cause.contains(words), "{}", saying.cause);
            assert!(saying.todo.contains("to set the read position") && saying.todo.contains("press Retry"));
        }
    }

    #[test]
    fn nobody_is_told_to_wait_for_a_retry_job_that_does_not_come() {
        let mut feed = feed_with(3, 0, 3);
        feed.signs.unretried_since = DateTime::from_timestamp(1_800_000_000, 0);
        let saying = explained(&feed);
        assert_eq!(
            saying.cause,
            "3 failed events, all waiting for retry. No retry since 15 Jan 2027, 08:00 UTC, although \
             retries are due every 30 s."
        );
        assert!(saying.todo.starts_with("Check that the application and its retry job"), "{}", saying.todo);
        assert!(!saying.todo.contains("automatically"), "{}", saying.todo);
        feed = feed_with(1, 3, 4);
        feed.signs.unretried_since = DateTime::from_timestamp(1_800_000_000, 0);
        let saying = explained(&feed);
        assert!(
            saying.cause.contains(": 1 waiting for retry, 3 with retries used up. No retry since"),
            "{}",
            saying.cause
        );
        assert!(
            saying.todo.contains("Check that the application and its retry job") && saying.todo.contains("press Retry")
        );
    }

    #[test]
    fn what_a_table_of_markers_cannot_say_is_no_fault_of_a_marker() {
        let mut feed = feed_with(0, 0, 0);
        feed.markers[0].page_uri = None;
        feed.state = FeedState::Unknown;
        feed.signs.markers_not_known = Some("the table markers has no column page that the account may read".into());
        let cause = explained(&feed).cause;
        assert!(cause.starts_with("No failed events. How far the feed was read is not known: the table"), "{cause}");
    }

    #[test]
    fn a_feed_whose_failed_events_are_not_seen_is_not_told_to_be_its_markers_fault() {
        let mut feed = feed_with(0, 0, 0);
        feed.state = FeedState::Unknown;
        feed.signs.failures_not_known = Some("the table failed_events does not exist".into());
        let saying = explained(&feed);
        assert_eq!(saying.cause, "Whether events failed is not known: the table failed_events does not exist.");
        assert!(!saying.todo.contains("Nothing to do"), "{}", saying.todo);
    }
}
