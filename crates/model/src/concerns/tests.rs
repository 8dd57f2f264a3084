use std::sync::Arc;

use super::*;
use crate::{
    Stamp,
    feed::Unpublished,
    samples::{down, feed_with, unconfigured, up, view},
};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn concerns(view: &ApplicationView) -> Vec<Concern> {
    of(view, &[&view.info], now(), &Reader::default())
}

fn kinds(view: &ApplicationView) -> Vec<ConcernKind> {
    concerns(view).iter().map(|concern| concern.kind).collect()
}

#[test]
fn the_most_pressing_concern_comes_first() {
    let mut odoo = view("Odoo", up(), vec![feed_with(0, 2, 2), feed_with(0, 1000, 1000), feed_with(4, 0, 4)]);
    Arc::make_mut(odoo.seen.as_mut().unwrap()).hazards.push("A row without a time.".into());
    Arc::make_mut(odoo.seen.as_mut().unwrap()).out_of_step = Some("A gap.".into());
    let elis = view("OpenELIS", up(), vec![feed_with(0, 37, 37)]);
    let pacs = view("PACS", down(), vec![feed_with(0, 1000, 1000)]);
    let mut all: Vec<(String, Concern)> = [pacs, elis, odoo]
        .iter()
        .flat_map(|view| concerns(view).into_iter().map(|concern| (view.info.name.clone(), concern)))
        .collect();
    all.sort_by_key(|(_, concern)| rank(concern));
    let lines: Vec<String> =
        all.iter().map(|(app, concern)| format!("{app} {} {}", concern.kind.word(), concern.events)).collect();
    assert_eq!(
        lines,
        [
            "Odoo feed_stopped 1000",
            "PACS unreachable 0",
            "OpenELIS exhausted 37",
            "Odoo exhausted 2",
            "Odoo hazard 0",
            "Odoo history_gap 0"
        ]
    );
}

#[test]
fn an_assumed_limit_only_probably_stops_a_feed() {
    let mut odoo = view("Odoo", up(), vec![feed_with(0, 1000, 1000)]);
    assert_eq!(concerns(&odoo)[0].title, "Odoo is not receiving new events from the encounter feed");
    odoo.info.limits.assumed = true;
    assert_eq!(concerns(&odoo)[0].title, "Odoo is probably not receiving new events from the encounter feed");
}

#[test]
fn two_concerns_about_feeds_of_one_category_have_different_titles() {
    let mut lab = feed_with(0, 24, 24);
    lab.uri = Some("http://openelis:8052/openelis/ws/feed/encounter/recent".into());
    let odoo = view("Odoo", up(), vec![feed_with(0, 24, 24), lab]);
    let titles: Vec<String> = concerns(&odoo).into_iter().map(|concern| concern.title).collect();
    assert_eq!(
        titles,
        [
            "24 events from the encounter feed of openmrs:8080 failed all retries (Odoo)",
            "24 events from the encounter feed of openelis:8052 failed all retries (Odoo)",
        ]
    );
}

#[test]
fn a_feed_is_a_concern_from_four_fifths_of_its_limit_on_unless_a_setting_says_otherwise() {
    let with = |total, percent| {
        let mut odoo = view("Odoo", up(), vec![feed_with(total, 0, total)]);
        odoo.info.concerns.near_limit_percent = percent;
        kinds(&odoo)
    };
    assert_eq!(with(799, Some(80)), []);
    assert_eq!(with(800, Some(80)), [ConcernKind::NearLimit]);
    assert_eq!(with(999, Some(80)), [ConcernKind::NearLimit]);
    assert_eq!(with(800, Some(95)), []);
    assert_eq!(with(999, None), []);
    let mut unlimited = view("Odoo", up(), vec![feed_with(999, 0, 999)]);
    unlimited.info.limits.max_failed_events = None;
    assert_eq!(kinds(&unlimited), []);
    let odoo = view("Odoo", up(), vec![feed_with(999, 0, 999)]);
    let near = &concerns(&odoo)[0];
    assert_eq!(near.title, "Odoo is close to its limit of failed events on the encounter feed");
    assert!(near.cause.starts_with("999 of 1,000 failed events"), "{}", near.cause);
}

#[test]
fn rows_without_an_address_are_close_to_no_limit() {
    for uri in [None, Some("  ".to_owned())] {
        let lost = Feed { uri, ..feed_with(0, 900, 900) };
        assert_eq!(kinds(&view("Odoo", up(), vec![lost])), [ConcernKind::Exhausted]);
    }
}

#[test]
fn a_marker_that_cannot_be_gone_on_from_is_a_concern_whatever_else_the_feed_is() {
    for (feed, expected) in [
        (feed_with(0, 0, 0), vec![ConcernKind::MarkerUnusable]),
        (feed_with(3, 0, 3), vec![ConcernKind::MarkerUnusable]),
        (feed_with(0, 3, 3), vec![ConcernKind::MarkerUnusable, ConcernKind::Exhausted]),
    ] {
        let mut feed = feed;
        feed.markers[0].page_uri = Some("?".into());
        assert_eq!(kinds(&view("Odoo", up(), vec![feed])), expected);
    }
}

#[test]
fn a_marker_that_names_no_event_of_the_publisher_is_a_concern_whatever_else_the_feed_is() {
    for (mut feed, expected) in [
        (feed_with(0, 0, 0), vec![ConcernKind::MarkerNamesNoEvent]),
        (feed_with(0, 3, 3), vec![ConcernKind::MarkerNamesNoEvent, ConcernKind::Exhausted]),
        (feed_with(0, 1000, 1000), vec![ConcernKind::FeedStopped, ConcernKind::MarkerNamesNoEvent]),
    ] {
        feed.signs.unpublished = Some(Unpublished::Entry("tag:atomfeed.ict4h.org:1".into()));
        let odoo = view("Odoo", up(), vec![feed]);
        assert_eq!(kinds(&odoo), expected);
        let concern =
            concerns(&odoo).into_iter().find(|concern| concern.kind == ConcernKind::MarkerNamesNoEvent).unwrap();
        assert_eq!(concern.title, "Odoo cannot continue reading the encounter feed");
        assert!(concern.cause.contains("which is not in event_records of the publisher"), "{}", concern.cause);
    }
    // What a consumer cannot even search for is reported once, as that.
    let mut feed = feed_with(0, 0, 0);
    feed.markers[0].page_uri = Some("?".into());
    feed.signs.unpublished = Some(Unpublished::Entry("?".into()));
    assert_eq!(kinds(&view("Odoo", up(), vec![feed])), [ConcernKind::MarkerUnusable]);
}

#[test]
fn a_retry_job_is_overdue_when_events_wait_and_none_was_retried_for_long() {
    let mut odoo = view("Odoo", up(), vec![]).info;
    let feed = feed_with(0, 0, 0).uri;
    let ago = |seconds| Some(now() - TimeDelta::seconds(seconds));
    let since = |info: &ApplicationInfo, waiting, waits, retried| {
        overdue_since(info, feed.as_deref(), waiting, waits, retried, now())
    };
    assert_eq!(since(&odoo, 3, ago(300), None), None);
    assert_eq!(since(&odoo, 3, ago(301), None), ago(301));
    assert_eq!(since(&odoo, 3, ago(86_400), ago(299)), None, "a retry has been seen");
    assert_eq!(since(&odoo, 3, ago(86_400), ago(301)), ago(301));
    assert_eq!(since(&odoo, 3, ago(301), ago(86_400)), ago(301), "the log of events that are gone");
    assert_eq!(since(&odoo, 3, ago(299), ago(86_400)), None, "it has only just failed");
    assert_eq!(since(&odoo, 0, ago(86_400), ago(86_400)), None, "nothing waits");
    assert_eq!(since(&odoo, 3, None, ago(86_400)), None, "nobody knows since when it waits");
    for uri in [None, Some(""), Some("   "), Some("\t")] {
        assert_eq!(overdue_since(&odoo, uri, 3, ago(86_400), None, now()), None, "no retry job looks for these");
    }
    odoo.limits.retry_interval_secs = 3_600;
    assert_eq!(since(&odoo, 3, ago(3 * 3_600), None), None);
    assert_eq!(since(&odoo, 3, ago(3 * 3_600 + 1), None), ago(3 * 3_600 + 1));
    odoo.limits.retry_interval_secs = 15;
    odoo.concerns.retry_overdue_secs = Some(3_600);
    assert_eq!(since(&odoo, 3, ago(3_600), None), None);
    odoo.concerns.retry_overdue_secs = None;
    assert_eq!(since(&odoo, 3, ago(86_400), None), None);
    odoo.concerns = ConcernSettings { idle_feeds: vec!["/openmrs/".into()], ..Default::default() };
    assert_eq!(since(&odoo, 3, ago(86_400), None), None);
    odoo.concerns = ConcernSettings::default();
    odoo.limits.max_retry = None;
    assert_eq!(since(&odoo, 3, ago(86_400), None), None, "it has no retry job");
    odoo.limits = crate::Limits { max_retry: Some(5), retry_interval_secs: u64::MAX, ..odoo.limits };
    assert_eq!(since(&odoo, 3, ago(86_400), None), None);
}

#[test]
fn an_overdue_retry_job_is_a_concern_beside_the_state_of_its_feed() {
    let of = |waiting, exhausted| {
        let mut feed = feed_with(waiting, exhausted, waiting + exhausted);
        feed.signs.unretried_since = Some(now() - TimeDelta::hours(3));
        view("Odoo", up(), vec![feed])
    };
    assert_eq!(kinds(&of(12, 0)), [ConcernKind::RetryOverdue]);
    assert_eq!(kinds(&of(12, 3)), [ConcernKind::RetryOverdue, ConcernKind::Exhausted]);
    assert_eq!(kinds(&of(800, 200)), [ConcernKind::FeedStopped, ConcernKind::RetryOverdue]);
    let concern = &concerns(&of(12, 0))[0];
    assert_eq!((concern.title.as_str(), concern.events), ("Retries of Odoo are overdue on the encounter feed", 12));
    assert_eq!(
        concern.cause,
        "12 events are waiting for retry. No retry since 15 Jan 2027, 05:00 UTC, although retries \
             are due every 30 s."
    );
    #[cfg(feature = "server")]
    {
        let preferences = crate::Preferences { clock: crate::Clock::H12, ..Default::default() };
        let zone = crate::Zone::named("Asia/Kathmandu").unwrap();
        let reader = Reader { preferences, zone, zone_known: true };
        let odoo = of(12, 0);
        let concern = &super::of(&odoo, &[&odoo.info], now(), &reader)[0];
        assert!(concern.cause.contains("No retry since 15 Jan 2027, 10:45 am,"), "{}", concern.cause);
    }
}

#[test]
fn of_one_feed_no_sentence_is_said_twice() {
    for feed in [feed_with(0, 1000, 1000), feed_with(800, 200, 1000), feed_with(850, 0, 850), feed_with(2, 3, 5)] {
        for state in [feed.state, FeedState::Stalled] {
            let mut feed = Feed { state, ..feed.clone() };
            feed.signs.unpublished = Some(Unpublished::Entry("tag:atomfeed.ict4h.org:1".into()));
            feed.signs.unretried_since = Some(now() - TimeDelta::hours(3));
            let found = concerns(&view("Odoo", up(), vec![feed]));
            assert!(found.len() >= 2, "{found:?}");
            let texts = found.iter().flat_map(|concern| [concern.cause.as_str(), concern.todo.as_str()]);
            let sentences = texts.flat_map(|text| text.split_inclusive(". ")).map(str::trim);
            let mut sentences: Vec<&str> = sentences.filter(|sentence| !sentence.is_empty()).collect();
            let all = sentences.len();
            sentences.sort_unstable();
            sentences.dedup();
            assert_eq!(sentences.len(), all, "{found:?}");
        }
    }
}

#[test]
fn idle_feeds_are_known_by_address_or_path() {
    let feed = Some("http://openelis:8052/openelis/ws/feed/patient/recent");
    let idle = |feeds: &[&str], uri| {
        let idle_feeds = feeds.iter().map(|text| (*text).to_owned()).collect();
        ConcernSettings { idle_feeds, ..Default::default() }.is_idle(uri)
    };
    assert!(idle(&["/openelis/"], feed) && idle(&["http://openelis:8052/"], feed));
    assert!(!idle(&[], feed) && !idle(&[""], feed) && !idle(&["/openmrs/", "http://openelis:80/"], feed));
    assert!(!idle(&["/openelis/"], None) && !idle(&["/openelis/"], Some("http://openelis:8052")));
}

#[test]
fn failed_events_that_cannot_be_seen_are_a_concern() {
    let mut odoo = view("Odoo", up(), vec![]);
    let seen = Arc::make_mut(odoo.seen.as_mut().unwrap());
    seen.failures_not_known = Some("the table failed_events does not exist".into());
    assert_eq!(kinds(&odoo), [ConcernKind::FailuresNotSeen]);
    // If nothing at all can be read, that is reported once.
    let seen = Arc::make_mut(odoo.seen.as_mut().unwrap());
    seen.feeds = Availability::NotHere("the table markers does not exist".into());
    assert_eq!(kinds(&odoo), [ConcernKind::FeedsNotSeen]);
}

#[test]
fn an_application_without_a_whole_entry_is_told_last_with_what_is_missing() {
    let odoo = concerns(&unconfigured("Odoo"));
    assert_eq!((odoo[0].kind, odoo[0].title.as_str()), (ConcernKind::NotConfigured, "Odoo is not configured"));
    assert_eq!(odoo[0].cause, "console.toml:9: application[2].user: is empty.");
    let others = concerns(&view("OpenELIS", up(), vec![feed_with(0, 1, 1)]));
    assert!(rank(&others[0]) < rank(&odoo[0]));
}

#[test]
fn a_queue_is_a_concern_by_the_age_of_its_oldest_entry_and_not_by_its_length() {
    let with = |length, oldest: Option<TimeDelta>, most| {
        let mut openmrs = view("OpenMRS", up(), vec![]);
        openmrs.info.concerns.queue_age_secs = most;
        let oldest = oldest.map(|ago| Stamp::of(openmrs.seen_at.unwrap() - ago));
        Arc::make_mut(openmrs.seen.as_mut().unwrap()).queue = Some(Queue { length, oldest, ..Queue::default() });
        concerns(&openmrs)
    };
    let minutes = |minutes| Some(TimeDelta::minutes(minutes));
    assert_eq!(with(0, None, Some(600)), []);
    assert_eq!(with(100_000, minutes(10), Some(600)), [], "a busy hospital");
    assert_eq!(with(1, Some(TimeDelta::seconds(601)), Some(600)).len(), 1);
    assert_eq!(with(500, minutes(360), None), []);
    assert_eq!(with(500, minutes(360), Some(7 * 86_400)), []);
    // Times in the future mean that the clock or the zone is wrong, and say nothing of how long it waits.
    let ahead: Vec<_> = with(500, minutes(-360), Some(600)).iter().map(|concern| concern.kind).collect();
    assert_eq!(ahead, [ConcernKind::TimesAhead]);
    assert_eq!(with(500, None, Some(600)), [], "its times say nothing");
    let concern = &with(500, minutes(360), Some(600))[0];
    assert_eq!((concern.kind, &concern.about, concern.events), (ConcernKind::QueueStands, &About::Application, 500));
    assert_eq!(concern.title, "OpenMRS is not publishing its events");
    assert_eq!(concern.cause, "500 events wait in event_records_queue, the oldest for 6 h.");
    let concern = &with(100_000, minutes(3 * 1_440), Some(600))[0];
    assert_eq!(concern.cause, "100,000 events or more wait in event_records_queue, the oldest for 3 days.");
    assert_eq!(with(1, minutes(11), Some(600))[0].cause, "1 event has waited in event_records_queue for 11 min.");
}

#[test]
fn a_queue_that_cannot_be_read_is_a_concern_beside_what_was_last_seen_of_it() {
    let mut openmrs = view("OpenMRS", up(), vec![]);
    let seen = Arc::make_mut(openmrs.seen.as_mut().unwrap());
    seen.queue_not_known = Some("OpenMRS (db/openmrs): no answer within 10 s.".into());
    let concern = &concerns(&openmrs)[0];
    assert_eq!(concern.title, "The publishing queue of OpenMRS cannot be read");
    assert_eq!(
        concern.cause,
        "OpenMRS (db/openmrs): no answer within 10 s. It is not known whether events wait in event_records_queue."
    );
    let oldest = openmrs.seen_at.map(|at| Stamp::of(at - TimeDelta::hours(6)));
    Arc::make_mut(openmrs.seen.as_mut().unwrap()).queue = Some(Queue { length: 500, oldest, ..Queue::default() });
    assert_eq!(kinds(&openmrs), [ConcernKind::QueueStands, ConcernKind::QueueNotSeen]);
    assert!(concerns(&openmrs)[0].cause.ends_with("for 6 h. That was the last successful check of the queue."));
    openmrs.info.concerns.queue_age_secs = None;
    assert_eq!(kinds(&openmrs), []);
}

#[test]
fn read_positions_without_an_address_and_several_of_one_feed_are_concerns_of_their_feed() {
    let mut nameless = feed_with(0, 0, 0);
    (nameless.uri, nameless.markers[0].feed_uri, nameless.state) = (None, Some(String::new()), FeedState::Unknown);
    let mut twice = feed_with(0, 0, 0);
    twice.markers.push(twice.markers[0].clone());
    let odoo = view("Odoo", up(), vec![nameless, twice.clone()]);
    let concerns = of(&odoo, &[], now(), &Reader::default());
    let found: Vec<_> = concerns.iter().map(|concern| (concern.kind, &concern.about, concern.title.as_str())).collect();
    assert_eq!(
        found,
        [
            (ConcernKind::MarkerUnusable, &About::Feed(None), "Odoo has a read position without a feed address"),
            (
                ConcernKind::Hazard,
                &About::Feed(twice.uri),
                "Odoo has more than one read position for the encounter feed"
            ),
        ]
    );
}

#[test]
fn a_queue_whose_rows_have_no_time_is_a_concern_from_its_first_sight_on() {
    let seen_for = |seconds| {
        let mut openmrs = view("OpenMRS", up(), vec![]);
        let first_seen = openmrs.seen_at.map(|at| at - TimeDelta::seconds(seconds));
        let queue = Queue { length: 500, undated: 500, lowest: Some(crate::RowId(7)), first_seen, ..Queue::default() };
        Arc::make_mut(openmrs.seen.as_mut().unwrap()).queue = Some(queue);
        concerns(&openmrs)
    };
    assert_eq!(seen_for(600), []);
    let concern = &seen_for(660)[0];
    assert_eq!(concern.kind, ConcernKind::QueueStands);
    assert_eq!(concern.cause, "500 events wait in event_records_queue, the oldest for at least 11 min.");
}

#[test]
fn times_in_the_future_are_a_concern() {
    let mut odoo = view("Odoo", up(), vec![]);
    let newest = Stamp::of(odoo.seen_at.unwrap() + TimeDelta::minutes(330));
    Arc::make_mut(odoo.seen.as_mut().unwrap()).newest_failure = Some(newest);
    assert_eq!(kinds(&odoo), [ConcernKind::TimesAhead]);
}

#[test]
fn a_look_that_is_far_too_old_is_a_concern() {
    let odoo = view("Odoo", up(), vec![]);
    let after = |minutes| of(&odoo, &[], now() + TimeDelta::minutes(minutes), &Reader::default());
    assert_eq!(after(15), []);
    assert_eq!(after(16)[0].title, "Odoo was last checked 16 min ago");
    let mut slow = view("Odoo", up(), vec![]);
    slow.info.refresh_secs = 600;
    assert_eq!(of(&slow, &[], now() + TimeDelta::minutes(99), &Reader::default()), []);
}

#[test]
fn every_kind_has_its_word_as_programs_read_it() {
    for kind in ConcernKind::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
    }
}
