use super::*;
use crate::model::{
    FeedState, Limits, Reader, concerns,
    operation::{Followed, OutcomeCounts, Stage},
    samples::{self, down, feed_with, limits, shut, unconfigured, up, view},
};

#[test]
fn where_nobody_retries_no_schedule_is_told() {
    let mut info = view("OpenMRS", up(), vec![]).info;
    info.limits = Limits { max_retry: None, max_failed_events: None, ..limits() };
    assert_eq!(retry_schedule(&info, &[3]), None);
}

#[test]
fn the_headline_tells_what_is_broken_and_how_much_needs_action() {
    let stopped = || feed_with(9, 1005, 1014);
    let lab = || feed_with(0, 37, 37);
    let fine = || feed_with(0, 0, 0);
    for (views, sentence) in [
        (vec![], "No application is configured."),
        (vec![view("Odoo", up(), vec![fine()])], "The feed is running. No failed events."),
        (vec![view("Odoo", up(), vec![fine(), fine()])], "All 2 feeds are running. No failed events."),
        (
            vec![view("Odoo", up(), vec![feed_with(2, 0, 2)])],
            "Nothing needs action. 2 failed events will be retried automatically.",
        ),
        (
            vec![view("Odoo", up(), vec![stopped()]), view("OpenELIS", up(), vec![lab(), fine()])],
            "1 feed is stopped. 1,042 failed events need action.",
        ),
        (vec![view("Odoo", down(), vec![fine()])], "Odoo does not answer."),
        (
            vec![view("Odoo", down(), vec![]), view("PACS", down(), vec![feed_with(0, 1, 1)])],
            "2 applications do not answer. 1 failed event needs action.",
        ),
        (vec![view("Odoo", shut(), vec![fine()])], "Odoo cannot be read."),
        (vec![view("Odoo", down(), vec![]), view("PACS", shut(), vec![])], "2 applications cannot be read."),
        (vec![view("Odoo", Reach::NotYet, vec![])], "Checking the applications for the first time."),
        (
            vec![view("PACS", up(), vec![fine()]), unconfigured("Odoo")],
            "The feed is running. No failed events. Odoo is not configured.",
        ),
        (
            vec![view("PACS", up(), vec![fine()]), unconfigured("Odoo"), unconfigured("OpenELIS")],
            "The feed is running. No failed events. 2 applications are not configured.",
        ),
    ] {
        assert_eq!(headline(&views, &[], now()), sentence);
    }
}

#[test]
fn the_tab_tells_the_worst() {
    let stopped = || view("Odoo", up(), vec![feed_with(9, 1005, 1014), feed_with(0, 1, 1)]);
    let fails = || view("Odoo", up(), vec![feed_with(0, 1, 1)]);
    assert_eq!(tab(&[stopped()], &[]), "(!) 1 feed stopped");
    assert_eq!(tab(&[stopped(), view("PACS", down(), vec![])], &[]), "(!) 1 database not answering");
    assert_eq!(tab(&[stopped(), view("PACS", shut(), vec![])], &[]), "(!) 1 database not readable");
    assert_eq!(tab(&[fails()], &[]), "Overview");
    assert_eq!(tab(&[fails()], &[quiet("OpenMRS", 70)]), "(!) nothing read from OpenMRS");
    assert_eq!(tab(&[fails()], &[quiet("OpenMRS", 70), quiet("OpenELIS", 90)]), "(!) nothing read from 2 publishers");
    assert_eq!(tab(&[stopped()], &[quiet("OpenMRS", 70)]), "(!) 1 feed stopped");
}

fn quiet(name: &str, minutes: i64) -> QuietPublisher {
    let since = now() - chrono::TimeDelta::minutes(minutes);
    QuietPublisher { name: name.into(), since, usual_secs: 120, read_by: vec!["odoo".into()] }
}

#[test]
fn a_retry_in_progress_says_whose_it_is_and_how_far_it_has_come() {
    let retry = FeedRetry {
        app: "odoo".into(),
        uri: None,
        rows: 1000,
        operation: 7,
        who: "operator".into(),
        paused: false,
        tried: 472,
        all: 1000,
        feeds: 1,
    };
    assert_eq!(retry_in_progress(&retry), "Retry by operator in progress: 472 of 1,000 tried");
    let retry = FeedRetry { paused: true, feeds: 3, ..retry };
    assert_eq!(retry_in_progress(&retry), "Retry by operator paused: 472 of 1,000 tried in 3 feeds");
}

#[test]
fn a_quiet_publisher_is_told_before_what_is_running() {
    let fine = || view("Odoo", up(), vec![feed_with(0, 0, 0)]);
    let openmrs = [quiet("OpenMRS", 70)];
    assert_eq!(headline(&[fine()], &openmrs, now()), "Nothing read from OpenMRS for 70 min.");
    let stopped = view("Odoo", up(), vec![feed_with(9, 1000, 1009)]);
    assert_eq!(
        headline(&[stopped], &openmrs, now()),
        "Nothing read from OpenMRS for 70 min. 1 feed is stopped. 1,000 failed events need action."
    );
    assert_eq!(application_heading(&fine(), &openmrs, now()), "Odoo: nothing read from OpenMRS for 70 min");
    let failing = view("Odoo", up(), vec![feed_with(2, 0, 2)]);
    assert_eq!(
        application_heading(&failing, &openmrs, now()),
        "Odoo: 1 feed has failures, nothing read from OpenMRS for 70 min"
    );
}

#[test]
fn what_answered_is_databases_and_not_applications() {
    let fine = || view("Odoo", up(), vec![]);
    assert_eq!(answered(&[fine(), fine(), unconfigured("PACS")]), "All 2 databases answered.");
    assert_eq!(answered(&[fine(), view("PACS", down(), vec![])]), "1 of 2 databases answered.");
    assert_eq!(answered(&[fine(), view("PACS", shut(), vec![])]), "1 of 2 databases could be read.");
    assert_eq!(answered(&[fine()]), "The database answered.");
}

#[test]
fn what_happened_since_a_time_is_told_in_numbers() {
    let since = Happened { at: chrono::DateTime::UNIX_EPOCH, failed: 11, resolved: 3, stopped: 1 };
    assert_eq!(format!("{}{}", new_since(&since), rest_since(&since)), "11 new, 3 resolved, 1 feed stopped");
    let quiet = Happened { failed: 0, resolved: 0, stopped: 0, ..since };
    assert_eq!(format!("{}{}", new_since(&quiet), rest_since(&quiet)), "nothing new, 0 resolved");
}

#[test]
fn numbers_of_a_silent_database_are_said_to_be_old() {
    let fine = || view("OpenELIS", up(), vec![feed_with(0, 0, 0)]);
    assert_eq!(shown_as_last_seen(&[fine()]), None);
    let odoo = || view("Odoo", down(), vec![feed_with(0, 1000, 1000)]);
    assert_eq!(shown_as_last_seen(&[fine(), odoo()]).unwrap(), "Odoo is shown as last seen.");
    let three = ["Odoo", "OpenMRS", "Crater"].map(|name| view(name, down(), vec![]));
    assert_eq!(shown_as_last_seen(&three).unwrap(), "Odoo, OpenMRS and Crater are shown as last seen.");
    let mut never = view("PACS", down(), vec![]);
    never.seen = None;
    assert_eq!(shown_as_last_seen(&[never]), None);
}

#[test]
fn an_application_is_told_in_a_sentence() {
    let mut stalled = feed_with(0, 0, 0);
    stalled.state = FeedState::Stalled;
    for (reach, feeds, sentence) in [
        (up(), vec![], "no feeds"),
        (up(), vec![feed_with(0, 0, 0)], "its feed is running"),
        (up(), vec![feed_with(0, 0, 0); 3], "all 3 feeds are running"),
        (
            up(),
            vec![feed_with(0, 1, 1), feed_with(0, 0, 0), stalled, feed_with(0, 2, 2), feed_with(0, 1000, 1000)],
            "1 feed is stopped, 1 is not reading, 2 have failures",
        ),
        (down(), vec![feed_with(0, 0, 0)], "does not answer"),
        (shut(), vec![feed_with(0, 0, 0)], "cannot be read"),
    ] {
        assert_eq!(application(&view("Odoo", reach, feeds)), sentence);
    }
}

#[test]
fn a_feed_has_one_state_in_the_heading_and_in_the_table() {
    let mut lost = feed_with(0, 0, 0);
    (lost.markers[0].page_uri, lost.state) = (Some("?".into()), FeedState::Unknown);
    let mut overdue = feed_with(3, 0, 3);
    overdue.signs.unretried_since = DateTime::from_timestamp(1_800_000_000, 0);
    let odoo = view("Odoo", up(), vec![overdue, lost, feed_with(0, 1, 1)]);
    assert_eq!(
        feeds_by_state(&odoo),
        [(ShownState::CannotContinue, 1), (ShownState::RetryOverdue, 1), (ShownState::Failing, 1)]
    );
    assert_eq!(application(&odoo), "1 feed cannot continue, 1 has overdue retries, 1 has failures");
    assert_eq!(headline(&[odoo], &[], now()), "1 feed cannot continue. 1 failed event needs action.");
}

#[test]
fn the_headline_is_not_calm_while_something_is_a_concern() {
    let concerned = |feeds| {
        let mut odoo = view("Odoo", up(), feeds);
        odoo.concerns =
            concerns::of(&odoo, &[], DateTime::from_timestamp(1_800_000_000, 0).unwrap(), &Reader::default());
        odoo
    };
    assert_eq!(headline(&[concerned(vec![feed_with(900, 0, 900)])], &[], now()), "1 problem needs attention.");
    let two = [concerned(vec![feed_with(900, 0, 900)]), concerned(vec![feed_with(999, 0, 999)])];
    assert_eq!(headline(&two, &[], now()), "2 problems need attention.");
}

#[test]
fn a_retry_is_told_with_its_batches() {
    let info = view("Odoo", up(), vec![]).info;
    assert_eq!(
        retry_schedule(&info, &[100]).unwrap(),
        "If the retry job of Odoo runs, it runs every 30 s and takes 5 events of a feed at a time, oldest first. 100 \
             events take at least 20 runs, 10 min, and up to 48 min if all fail again."
    );
    let feeds = retry_schedule(&info, &[12, 60]).unwrap();
    assert!(
        feeds.ends_with(" 72 events of 2 feeds take at least 12 runs, 6 min, and up to 28 min if all fail again."),
        "{feeds}"
    );
    assert!(!retry_schedule(&info, &[5, 5]).unwrap().contains("at least"));
    assert_eq!(retry_schedule(&info, &[]), None);
}

fn operation(kind: RequestKind, counts: OutcomeCounts) -> Operation {
    let ended = samples::operation(kind, Stage::Ended, counts, Followed::default());
    Operation { finished_at: Some(ended.started_at), scope: "2 selected failed events".into(), ..ended }
}

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(720)
}

#[test]
fn every_row_of_an_operation_is_accounted_for() {
    let counts = OutcomeCounts { asked: 1, reset: 1, ..OutcomeCounts::default() };
    assert_eq!(outcome(&operation(RequestKind::Retry, counts), None), "Retry requested for 1 event.");
    let counts = OutcomeCounts {
        asked: 1200,
        reset: 1188,
        changed: 4,
        gone: 1,
        failed: 2,
        taken: 2,
        ..OutcomeCounts::default()
    };
    assert_eq!(
        outcome(&operation(RequestKind::Retry, counts), None),
        "Retry requested for 1,188 of 1,200 events. 2 skipped (another operation is running). 4 skipped (changed in the \
             meantime). 1 not in the table any more. 2 not written. 3 not started."
    );
    let running = Operation { finished_at: None, ..operation(RequestKind::Retry, counts) };
    assert!(outcome(&running, None).ends_with("3 not started yet."), "{}", outcome(&running, None));
    let counts = OutcomeCounts { asked: 3, restored: 2, already_there: 1, ..OutcomeCounts::default() };
    assert_eq!(
        outcome(&operation(RequestKind::Restore, counts), None),
        "Restored 2 of 3 events. 1 in the table again and not duplicated (copy kept)."
    );
    let nothing = operation(RequestKind::Discard, OutcomeCounts::default());
    assert_eq!(outcome(&nothing, None), "There was nothing to do.");
}

#[test]
fn a_retry_says_what_was_tried_what_came_of_it_and_what_is_left() {
    let counts = OutcomeCounts { asked: 1_000, reset: 1_000, ..OutcomeCounts::default() };
    let left = Some(TimeLeft { about: 800, most: 15_000 });
    let said = |followed| outcome(&Operation { followed, ..operation(RequestKind::Retry, counts) }, left);
    assert_eq!(
        said(Followed { open: 1_000, ..Followed::default() }),
        "Retry requested for 1,000 events. Waiting for results."
    );
    assert_eq!(
        said(Followed { open: 528, resolved: 44, failed_again: 428, ..Followed::default() }),
        "472 of 1,000 tried: 44 succeeded, 428 failed again. About 13 min left, up to 4 h if the others \
             fail again."
    );
    assert_eq!(
        said(Followed { resolved: 44, failed_again: 954, overwritten: 1, gone: 1, ..Followed::default() }),
        "44 succeeded, 954 failed again, 1 lost (another retry was running), 1 removed, reason unknown."
    );
    assert_eq!(
        said(Followed { resolved: 998, unfollowed: 2, ..Followed::default() }),
        "998 succeeded. The result of 2 events is not followed."
    );
}

#[test]
fn the_time_left_is_a_limit_where_what_fails_makes_it_longer() {
    let said = |about, most, failing| time_left(TimeLeft { about, most }, failing);
    assert_eq!(said(26_700, 26_730, true), "Up to 7 h left: events that fail again are tried again before the others.");
    assert_eq!(said(60, 60, false), "About 60 s left.");
    assert_eq!(said(5_400, 26_700, false), "About 2 h left, up to 7 h if the others fail again.");
}

#[test]
fn an_operation_on_a_feed_is_named_by_its_category() {
    let of = |kind, text: &str| scope(&Operation { scope: text.into(), ..operation(kind, OutcomeCounts::default()) });
    assert_eq!(
        of(
            RequestKind::Retry,
            "all failed events with retries used up from http://openmrs:8080/openmrs/ws/atomfeed/lab/recent in Odoo"
        ),
        "Retry all failed events with retries used up from the lab feed in Odoo"
    );
    assert_eq!(of(RequestKind::Discard, "2 selected failed events"), "Discard 2 selected failed events");
    assert_eq!(of(RequestKind::Restore, "all failed events of x:y"), "Restore all failed events of x:y");
}
