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
    assert!(super::feed(&feed_with(0, 45, 45), &odoo, &Reader::default()).cause.starts_with("45 of 50 failed events"));
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
    let unlimited = Limits { max_retry: None, max_failed_events: None, ..limits() };
    let saying = explained_with(&feed_with(0, 3, 3), unlimited);
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
fn a_read_position_without_a_feed_address_is_told_with_and_without_failed_events() {
    for (uri, exhausted) in [(None, 0), (None, 3), (Some("".to_owned()), 0), (Some(" ".to_owned()), 3)] {
        let mut nameless = feed_with(0, exhausted, exhausted);
        nameless.markers[0].feed_uri.clone_from(&uri);
        nameless.uri = uri;
        nameless.state = FeedState::of(&nameless.counts, nameless.can_be_read(), &limits());
        let saying = explained(&nameless);
        assert_ne!(nameless.state, FeedState::Running);
        assert!(saying.cause.contains("A read position has no feed address. No consumer finds it."), "{saying:?}");
        assert!(saying.todo.contains("to enter the feed address of the read position"), "{saying:?}");
        assert_eq!(saying.todo.contains("cannot be retried"), exhausted > 0, "{saying:?}");
        nameless.markers.push(nameless.markers[0].clone());
        assert!(explained(&nameless).cause.contains("2 read positions have no feed address."));
        assert!(!explained(&nameless).cause.contains("which one is used"));
    }
}

#[test]
fn one_of_several_read_positions_that_is_unusable_is_enough() {
    let mut twice = feed_with(0, 0, 0);
    twice.markers.push(twice.markers[0].clone());
    assert!(twice.can_be_read());
    let saying = explained(&twice);
    assert!(saying.todo.contains("remove all but one") && !saying.todo.contains("Nothing to do"), "{saying:?}");
    twice.markers[1].page_uri = Some("?".into());
    assert_eq!(FeedState::of(&twice.counts, twice.can_be_read(), &limits()), FeedState::Unknown);
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
        (Unpublished::OtherPage { entry: entry.clone(), page: 3, within: (41, 41) }, "e2” is on page 41 of this feed."),
        (Unpublished::OtherPage { entry, page: 3, within: (41, 43) }, "e2” is on a page from 41 to 43 of this feed."),
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
    assert!(saying.cause.contains(": 1 waiting for retry, 3 with retries used up. No retry since"), "{}", saying.cause);
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
