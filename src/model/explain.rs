//! What the state of a feed means, in sentences: the cause, and what to do. Pure functions, so that every claim has a test.
//!
//! A sentence never says more than the console knows. It sees tables, not the consumer: whether a consumer runs at all,
//! and whether a retry will succeed, it cannot know. A limit that was not configured is called assumed.

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    ApplicationInfo, ApplicationView, Feed, FeedState, Limits,
    error_text::visible,
    feed::{MarkerFault, Unpublished},
    obstacle::no_address,
    publisher::Queue,
    stamp::Ahead,
    words::{count, count_first, instant, number, span},
};

/// Why something is as it is, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saying {
    pub cause: String,
    pub todo: String,
}

/// What a retry of events without a feed address comes to.
pub const NEVER_FOUND: &str = "They carry no feed address, and a retry job looks by address: it never finds them.";

/// The state of a feed, explained.
pub fn feed(feed: &Feed, info: &ApplicationInfo) -> Saying {
    let (counts, limits) = (feed.counts, &info.limits_of(feed.uri.as_deref()));
    let (mut cause, mut todo) = match feed.state {
        FeedState::Stopped => (stopped_cause(counts.total, limits), stopped_todo(feed, limits)),
        FeedState::Failing if near_limit(feed, info).is_some() => {
            (near_limit_cause(feed, limits), near_limit_todo(feed, limits))
        }
        FeedState::Failing => (failing_cause(feed, limits), failing_todo(feed, limits)),
        FeedState::Running if info.concerns.is_idle(feed.uri.as_deref()) => (
            "No failed events. By the settings it is read rarely or not at all (idle_feeds): its marker may stand still."
                .to_owned(),
            "Nothing to do.".to_owned(),
        ),
        FeedState::Running => ("No failed events.".to_owned(), "Nothing to do.".to_owned()),
        FeedState::Stalled => (
            "The marker stands still while the publisher goes on.".to_owned(),
            "Look into the consumer's log, for example for “Last Read entry not found in feed”.".to_owned(),
        ),
        FeedState::Unknown => unknown(feed),
    };
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
        let saying = overdue(feed, info, since);
        cause.push_str(&format!(" {}", saying.cause));
        // What is said of those that wait takes for granted that somebody retries them.
        let more = counts.exhausted > 0 || feed.marker_fault().is_some() || feed.signs.unpublished.is_some();
        todo = if more { format!("{} {todo}", saying.todo) } else { saying.todo };
    }
    match feed.markers.len() {
        0 if counts.total > 0 && feed.uri.is_some() => cause.push_str(&match &feed.signs.markers_not_known {
            None => {
                " No marker has this address: the consumer has not recorded reading it, or the address was changed \
                     later."
                    .to_owned()
            }
            Some(reason) => format!(" Its marker is not known: {reason}."),
        }),
        0 | 1 => {}
        several => cause.push_str(&format!(
            " {several} markers have this address; which of them the consumer goes by cannot be told from here."
        )),
    }
    if no_address(feed.uri.as_deref()) && counts.total > 0 {
        todo = format!("{NEVER_FOUND} Handle them in the application itself.");
    } else if counts.beyond_help > 0 && counts.beyond_help == counts.exhausted {
        todo = timeless(feed);
    } else if counts.beyond_help > 0 {
        todo.push_str(&format!(" {}", timeless(feed)));
    }
    Saying { cause, todo }
}

/// Says of the exhausted events of a feed that have no time what is the matter with them.
pub fn timeless(feed: &Feed) -> String {
    match feed.counts.beyond_help {
        1 => "One exhausted event has no time of failure and cannot be retried: waiting, it would stop every retry of the \
              feed. Discard it, or have its failed_at set in the database."
            .to_owned(),
        rows => format!(
            "{} exhausted events have no time of failure and cannot be retried: waiting, they would stop every retry of the \
             feed. Discard them, or have their failed_at set in the database.",
            number(rows)
        ),
    }
}

/// A marker that the consumer cannot go on from, explained.
pub fn marker_fault(feed: &Feed, fault: MarkerFault<'_>) -> Saying {
    let its_marker = its_marker(feed);
    let cause = match fault {
        MarkerFault::NoPage => format!(
            "{its_marker} names no page to go on from. The original consumer fails on such a marker and reads nothing."
        ),
        MarkerFault::NoAddress(page) => format!(
            "{its_marker} names “{}” as the page to go on from, which is no page address: the consumer cannot read it.",
            visible(page)
        ),
        MarkerFault::NoEntry(entry) => format!(
            "{its_marker} names “{}” as the entry read last, which is no entry: the consumer does not find it on the page \
             and reads nothing.",
            visible(entry)
        ),
    };
    let todo =
        "Have the marker completed in the application's database by someone who knows where reading shall go on.";
    Saying { cause, todo: todo.to_owned() }
}

/// A retry job that has not come for long, explained.
pub fn overdue(feed: &Feed, info: &ApplicationInfo, since: DateTime<Utc>) -> Saying {
    let every = span(info.limits_of(feed.uri.as_deref()).retry_interval_secs);
    let (waiting, since) = (feed.counts.waiting, instant(since));
    let events = match waiting {
        1 => "1 event waits for another try, and it was not retried".to_owned(),
        _ => format!("{} wait for another try, and none was retried", count(waiting, "event")),
    };
    Saying {
        cause: format!("{events} since {since}, although the job is due every {every}."),
        todo: "See whether the consumer runs and its retry job is switched on, and look into its log: one row that it cannot \
               read stops the job for all."
            .to_owned(),
    }
}

fn its_marker(feed: &Feed) -> String {
    match feed.markers.len() {
        0 | 1 => "Its marker".to_owned(),
        several => format!("One of its {several} markers"),
    }
}

/// A marker that names what the feed's publisher does not have, explained.
pub fn unpublished(feed: &Feed, what: &Unpublished) -> Saying {
    let its_marker = its_marker(feed);
    let cause = match what {
        Unpublished::Entry(entry) => format!(
            "{its_marker} names no event of the publisher: “{}” is not in its event_records. The consumer does not find the \
             place to go on from and reads nothing.",
            visible(entry)
        ),
        Unpublished::OtherCategory { entry, category } => format!(
            "{its_marker} names no event of the publisher that is on this feed: “{}” is one of the category {}. The consumer \
             does not find the place to go on from and reads nothing.",
            visible(entry),
            visible(category)
        ),
        Unpublished::Page { page, last: 0 } => format!(
            "{its_marker} names page {}, and the publisher has no event of this feed: the consumer cannot read that page.",
            number(*page)
        ),
        Unpublished::Page { page, last } => format!(
            "{its_marker} names page {}, and the publisher's last page of this feed is {}: the consumer cannot read it.",
            number(*page),
            number(*last)
        ),
    };
    let todo = "Look into the consumer's log, for example for “Last Read entry not found in feed”, and find out whether one of \
                the two databases was restored. Have the marker set to an event that is there by someone who knows where \
                reading shall go on.";
    Saying { cause, todo: todo.to_owned() }
}

/// A queue that nobody empties, explained.
pub fn queue(queue: &Queue, age: TimeDelta) -> Saying {
    let age = span(age.num_seconds().unsigned_abs());
    let cause = match queue.length {
        1 => format!("1 event waits in event_records_queue, for {age}."),
        _ => format!("{} wait in event_records_queue, the oldest for {age}.", queue.in_words()),
    };
    let todo = "No consumer sees them before they are on a feed. See whether the application's job that publishes them runs \
                (in OpenMRS a task of the scheduler, “OpenMRS event publisher task”), and look into its log.";
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
        return format!(
            "They are waiting: the consumer tries them again by itself, and reads on when fewer than {max} are left."
        );
    }
    if counts.exhausted == 0 {
        return format!("Open them and mend the cause: the feed is read again when fewer than {max} are left.");
    }
    let mut todo = format!(
        "Retrying does not help until some succeed: mend the cause first, then retry the {} exhausted.",
        number(counts.exhausted)
    );
    if counts.waiting > 0 {
        todo.push_str(&format!(" {} waiting and tried again without you.", are(counts.waiting)));
    }
    todo
}

/// The limit of a feed that is close to it, by the setting `near_limit`. `None`: it is far from it, has reached it, or has
/// none.
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
        (0, _) => {
            "The consumer tries them again by itself. Open them and mend the cause before the feed stops.".to_owned()
        }
        _ => failing_todo(feed, limits),
    }
}

/// The failed events of a feed by state, states without any left out: how many, and what they are.
fn parts(feed: &Feed) -> Vec<(u64, &'static str)> {
    let counts = feed.counts;
    let unknown = counts.total.saturating_sub(counts.waiting).saturating_sub(counts.exhausted);
    let all = [
        (counts.waiting, "waiting for another try"),
        (counts.exhausted, "exhausted"),
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
    // Far from the limit it is no news.
    let near = |max: &u64| counts.total >= max / 10;
    if let Some(max) = limits.max_failed_events.filter(near) {
        let assumed = if limits.assumed { ", as assumed" } else { "" };
        cause.push_str(&format!(" At {} the feed stops{assumed}.", number(max)));
    }
    cause
}

fn failing_todo(feed: &Feed, limits: &Limits) -> String {
    match (feed.counts.exhausted, feed.counts.waiting, limits.max_retry) {
        (1.., _, None) => {
            "By its settings this consumer has no retry job: mend each case in the application itself.".to_owned()
        }
        (1, _, Some(_)) if feed.counts.total == 1 => "Nobody tries it again: mend the cause, then retry it.".to_owned(),
        (1.., _, Some(_)) => "Nobody tries the exhausted ones again: mend the cause, then retry them.".to_owned(),
        (0, 1.., Some(max)) => {
            format!("Nothing to do yet: the consumer tries each of them up to {max} times by itself.")
        }
        _ => "Open them to see what failed.".to_owned(),
    }
}

fn unknown(feed: &Feed) -> (String, String) {
    if let Some(reason) = &feed.signs.failures_not_known {
        return (
            format!("Whether events failed is not known: {reason}."),
            "Have the table made, or give the account the right to read it.".to_owned(),
        );
    }
    if let Some(reason) = &feed.signs.markers_not_known {
        return (
            format!("No failed events. How far the feed was read is not known: {reason}."),
            "Give the account the right to read it, if it is there.".to_owned(),
        );
    }
    ("Neither a marker nor a failed event tells how this feed is doing.".to_owned(), "Nothing to do.".to_owned())
}

/// Explains failures, or events in the queue, whose times lay in the future when they were seen; `None` where there are
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
            "Times without a zone are read as {}: if this database keeps another zone, set time_zone to it; otherwise set its \
             clock.",
            view.info.time_zone
        )
    } else {
        "No time zone is so far off: look at the clock of its database, and at that row.".to_owned()
    };
    Some(Saying { cause: format!("{what} lies {far} in the future."), todo })
}

/// `1 is`, `12 are`.
fn are(value: u64) -> String {
    format!("{} {}", number(value), if value == 1 { "is" } else { "are" })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{
        FeedLimit, Stamp,
        samples::{feed_with, info, limits, up, view},
    };

    fn explained(feed: &Feed) -> Saying {
        super::feed(feed, &info("Odoo"))
    }

    fn explained_with(feed: &Feed, limits: Limits) -> Saying {
        super::feed(feed, &ApplicationInfo { limits, ..info("Odoo") })
    }

    #[test]
    fn a_stopped_feed_names_its_count_and_its_limit() {
        let saying = explained(&feed_with(12, 988, 1000));
        assert_eq!(saying.cause, "Nothing new is read from this feed: 1,000 failed events, the limit is 1,000.");
        assert_eq!(
            saying.todo,
            "Retrying does not help until some succeed: mend the cause first, then retry the 988 exhausted. 12 are \
             waiting and tried again without you."
        );
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
            super::feed(&stopped, &odoo).cause,
            "Nothing new is read from this feed: 50 failed events, the limit is 50."
        );
        assert!(super::feed(&feed_with(0, 45, 45), &odoo).cause.starts_with("45 of 50 failed events"));
        let lost = Feed { uri: None, ..feed_with(0, 999, 999) };
        assert!(!super::feed(&lost, &odoo).cause.contains("stops"));
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
        assert_eq!(saying.cause, "The newest failure lies 5 h in the future.");
        assert!(saying.todo.contains("read as UTC") && saying.todo.contains("time_zone"), "{}", saying.todo);
        assert!(!at(TimeDelta::days(400)).unwrap().todo.contains("time_zone"));
        let queued = |ahead| {
            let mut openmrs = view("OpenMRS", up(), vec![]);
            let oldest = Some(Stamp::of(openmrs.seen_at.unwrap() + ahead));
            Arc::make_mut(openmrs.seen.as_mut().unwrap()).queue = Some(Queue { length: 1, oldest });
            super::ahead(&openmrs)
        };
        assert_eq!(queued(TimeDelta::minutes(-1)), None);
        let cause = queued(TimeDelta::minutes(330)).unwrap().cause;
        assert_eq!(cause, "The oldest event in the queue of events to publish lies 5 h in the future.");
    }

    #[test]
    fn waiting_events_ask_nothing_of_a_person() {
        let saying = explained(&feed_with(1, 0, 1));
        assert_eq!(saying.cause, "One failed event, waiting for another try.");
        assert!(saying.todo.starts_with("Nothing to do yet"), "{}", saying.todo);
    }

    #[test]
    fn one_exhausted_event_is_told_in_the_singular() {
        let saying = explained(&feed_with(0, 1, 1));
        assert_eq!(saying.cause, "One failed event, exhausted.");
        assert_eq!(saying.todo, "Nobody tries it again: mend the cause, then retry it.");
    }

    #[test]
    fn the_limit_is_named_when_it_comes_near() {
        let cause = explained(&feed_with(60, 40, 100)).cause;
        assert_eq!(cause, "100 failed events: 60 waiting for another try, 40 exhausted. At 1,000 the feed stops.");
        assert!(!explained(&feed_with(50, 40, 90)).cause.contains("stops"));
    }

    #[test]
    fn a_feed_close_to_its_limit_is_told_by_count_and_limit() {
        let feed = Feed { state: FeedState::Failing, ..feed_with(9_990, 0, 9_990) };
        let near = explained_with(&feed, Limits { max_failed_events: Some(10_000), ..limits() });
        assert_eq!(near.cause, "9,990 of 10,000 failed events, all waiting for another try. At 10,000 the feed stops.");
        assert!(!near.todo.contains("Nothing to do"), "{}", near.todo);
        let mixed = explained(&feed_with(500, 300, 800));
        assert_eq!(
            mixed.cause,
            "800 of 1,000 failed events: 500 waiting for another try, 300 exhausted. At 1,000 the feed stops."
        );
        assert!(mixed.todo.contains("then retry them"), "{}", mixed.todo);
    }

    #[test]
    fn where_nobody_retries_nobody_is_told_to_retry() {
        let nobody = Limits { max_retry: None, max_failed_events: None, ..limits() };
        let saying = explained_with(&feed_with(0, 3, 3), nobody);
        assert_eq!(saying.cause, "Three failed events, all exhausted.");
        assert!(saying.todo.contains("no retry job"), "{}", saying.todo);
    }

    #[test]
    fn rows_without_a_feed_address_are_never_found_by_a_retry_job() {
        let mut lost = feed_with(0, 3, 3);
        lost.uri = None;
        lost.category = None;
        lost.markers.clear();
        let saying = explained(&lost);
        assert!(saying.todo.contains("never finds them"), "{}", saying.todo);
        assert!(!saying.cause.contains("No marker"), "{}", saying.cause);
    }

    #[test]
    fn an_address_of_blanks_is_none() {
        let lost = Feed { uri: Some("  ".into()), ..feed_with(0, 3, 3) };
        assert!(explained(&lost).todo.contains("never finds them"));
    }

    #[test]
    fn exhausted_rows_without_a_time_are_not_to_be_retried() {
        let with = |exhausted, beyond_help| {
            let mut feed = feed_with(0, exhausted, exhausted);
            feed.counts.beyond_help = beyond_help;
            explained(&feed).todo
        };
        assert!(with(1, 1).starts_with("One exhausted event has no time of failure"), "{}", with(1, 1));
        assert!(with(2, 2).starts_with("2 exhausted events have no time of failure"), "{}", with(2, 2));
        assert!(!with(2, 2).contains("then retry them"));
        assert!(with(3, 1).contains("then retry them. One exhausted event has no time"), "{}", with(3, 1));
    }

    #[test]
    fn missing_and_doubled_markers_are_told() {
        let mut odd = feed_with(0, 3, 3);
        odd.markers.push(odd.markers[0].clone());
        assert!(explained(&odd).cause.contains("2 markers have this address"));
        odd.markers.clear();
        assert!(explained(&odd).cause.contains("No marker has this address"));
        odd.signs.markers_not_known = Some("the table markers does not exist".into());
        let cause = explained(&odd).cause;
        assert!(cause.ends_with("Its marker is not known: the table markers does not exist."), "{cause}");
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
            (Some("tag:atomfeed.ict4h.org:1"), None, "names no page"),
            (Some("?"), Some("?"), "names “?” as the page to go on from"),
            (Some("?"), page, "names “?” as the entry read last"),
        ] {
            let (state, saying) = with((0, 0, 0), entry, page);
            assert_eq!(state, FeedState::Unknown);
            assert!(saying.cause.contains(words), "{}", saying.cause);
            assert!(saying.todo.starts_with("Have the marker completed"), "{}", saying.todo);
            let (_, failing) = with((3, 0, 3), entry, page);
            assert!(failing.cause.starts_with("Three failed events") && failing.cause.contains(words));
            assert!(!failing.todo.contains("Nothing to do"), "{}", failing.todo);
            let (_, exhausted) = with((0, 3, 3), entry, page);
            assert!(exhausted.todo.contains("completed") && exhausted.todo.contains("retry them"));
        }
        assert_eq!(with((0, 0, 0), None, page).0, FeedState::Running, "OpenELIS begins with such a marker");
    }

    #[test]
    fn a_marker_that_names_what_its_publisher_does_not_have_is_no_running_feed() {
        let entry = "tag:atomfeed.ict4h.org:be4d353b-ac7b-4ee5-a5ac-1ca2f4b4d8e2".to_owned();
        for (what, words) in [
            (Unpublished::Entry(entry.clone()), "names no event of the publisher: “tag:atomfeed.ict4h.org:be4d353b"),
            (Unpublished::OtherCategory { entry, category: "lab".into() }, "is one of the category lab."),
            (
                Unpublished::Page { page: 581, last: 241 },
                "names page 581, and the publisher's last page of this feed is 241",
            ),
            (Unpublished::Page { page: 3, last: 0 }, "the publisher has no event of this feed"),
        ] {
            let mut feed = feed_with(0, 0, 0);
            feed.signs.unpublished = Some(what.clone());
            feed.state = FeedState::of(&feed.counts, feed.can_be_read(), &limits());
            assert_eq!(feed.state, FeedState::Unknown);
            let saying = explained(&feed);
            assert!(saying.cause.starts_with("Its marker names") && saying.cause.contains(words), "{}", saying.cause);
            assert!(saying.todo.contains("Have the marker set"), "{}", saying.todo);
            let mut failing = feed_with(0, 3, 3);
            failing.signs.unpublished = Some(what);
            let saying = explained(&failing);
            assert!(
                saying.cause.starts_with("Three failed events") && saying.cause.contains(words),
                "{}",
                saying.cause
            );
            assert!(saying.todo.contains("Have the marker set") && saying.todo.contains("retry them"));
        }
    }

    #[test]
    fn nobody_is_told_to_wait_for_a_retry_job_that_does_not_come() {
        let mut feed = feed_with(3, 0, 3);
        feed.signs.unretried_since = DateTime::from_timestamp(1_800_000_000, 0);
        let saying = explained(&feed);
        assert_eq!(
            saying.cause,
            "Three failed events, all waiting for another try. 3 events wait for another try, and none was retried since 15 \
             Jan 2027, 08:00:00 UTC, although the job is due every 30 s."
        );
        assert!(saying.todo.starts_with("See whether the consumer runs"), "{}", saying.todo);
        assert!(!saying.todo.contains("by itself"), "{}", saying.todo);
        feed = feed_with(1, 3, 4);
        feed.signs.unretried_since = DateTime::from_timestamp(1_800_000_000, 0);
        let saying = explained(&feed);
        assert!(
            saying.cause.contains("1 event waits for another try, and it was not retried since"),
            "{}",
            saying.cause
        );
        assert!(saying.todo.contains("See whether the consumer runs") && saying.todo.contains("retry them"));
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
