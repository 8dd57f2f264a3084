//! What a monitoring system reads: `/status`.

use atomfeed_console::{
    model::{Person, Role, access::KnownBy},
    server::config::{Access, AuthMode, Config},
};
use axum::http::StatusCode;

use super::hospital::{Hospital, PUBLISHER, Row, row};

const STATUS: &str = "/atomfeed-console/status";
const PLAIN: &str = "/atomfeed-console/status?plain";

fn waiting(id: i64) -> Row {
    Row { retries: 1, ..row(id, "2026-11-20 08:00:00") }
}

#[tokio::test]
async fn a_calm_hospital_is_ok_in_both_forms() {
    let hospital = Hospital::new(&[waiting(1)], &[]).await;
    hospital.followed().await;
    let line = hospital.get(PLAIN).await;
    assert_eq!((line.status, line.header("content-type")), (StatusCode::OK, "text/plain; charset=utf-8"));
    assert_eq!(line.body, "OK - 4 feeds, 3 of them running, 1 event waits for another try\n");
    let json = hospital.get(STATUS).await;
    assert_eq!((json.status, json.header("content-type")), (StatusCode::OK, "application/json"));
    let json = json.json();
    assert_eq!(json["status"], "OK");
    let names: Vec<_> = json["applications"].as_array().unwrap().iter().map(|app| app["name"].clone()).collect();
    assert_eq!(names, ["Odoo", "OpenELIS"]);
    let feed = &json["applications"][0]["feeds"][0];
    assert_eq!((&feed["category"], &feed["failed"], &feed["limit"]), (&"encounter".into(), &1.into(), &1000.into()));
}

#[tokio::test]
async fn a_feed_close_to_its_limit_is_a_warning_in_every_place() {
    let rows: Vec<Row> = (1..=9).map(waiting).collect();
    let hospital = Hospital::with(&rows, &[], "/atomfeed-console", |config| {
        config.applications[0].info.limits.max_failed_events = Some(10);
    })
    .await;
    let line = hospital.get(PLAIN).await.body;
    let sentence = "9 of 10 failed events";
    assert!(line.starts_with("WARNING - Odoo is close to its limit") && line.contains(sentence), "{line}");
    for page in ["", "/applications/odoo"] {
        let answer = hospital.page(&format!("/atomfeed-console{page}")).await;
        assert!(answer.body.contains(sentence), "{page}");
    }
    let overview = hospital.page("/atomfeed-console").await.body;
    assert!(overview.contains("1 problem needs attention."), "the heading is not calm either");
}

const SIX_HOURS_IN_THE_QUEUE: &str = "INSERT INTO event_records_queue (uuid, title, timestamp, object, category)
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 500)
    SELECT n, 'T', strftime('%Y-%m-%d %H:%M:%S', 'now', CASE n WHEN 1 THEN '-6 hours' ELSE '-1 minute' END), '/x', 'patient'
    FROM numbers";

#[tokio::test]
async fn a_queue_that_nobody_empties_is_told_in_every_place_until_it_is_empty() {
    let statements = [("OpenELIS", PUBLISHER), ("OpenELIS", SIX_HOURS_IN_THE_QUEUE)];
    let hospital = Hospital::made(&[], &[], "/atomfeed-console", &statements, |_| ()).await;
    let sentence = "500 events wait in event_records_queue, the oldest for 6 h.";
    let line = hospital.get(PLAIN).await.body;
    assert!(line.starts_with("CRITICAL - OpenELIS is not publishing its events: 500 events wait in"), "{line}");
    for page in ["", "/applications/openelis"] {
        let answer = hospital.page(&format!("/atomfeed-console{page}")).await;
        assert!(answer.body.contains(sentence), "{page}: {}", answer.body);
    }
    let application = hospital.page("/atomfeed-console/applications/openelis").await.body;
    assert!(application.contains("500 events not on a feed yet"), "{application}");
    let status = hospital.get(STATUS).await.json();
    let openelis = &status["applications"][1];
    assert_eq!(
        (&openelis["queue"]["events"], &openelis["queue"]["more"], &openelis["concerns"][0]["kind"]),
        (&500.into(), &false.into(), &"queue_stands".into())
    );
    let age = openelis["queue"]["oldest_age_seconds"].as_i64().expect("an age");
    assert!((21_600..21_660).contains(&age), "{age}");
    assert!(status["applications"][0]["queue"].is_null(), "Odoo has no queue");

    hospital.execute("OpenELIS", "DELETE FROM event_records_queue WHERE id = 1").await;
    hospital.look("openelis").await;
    assert!(hospital.get(PLAIN).await.body.starts_with("OK - "), "what came a minute ago is on its way");
    hospital.execute("OpenELIS", "DELETE FROM event_records_queue").await;
    hospital.look("openelis").await;
    let openelis = &hospital.get(STATUS).await.json()["applications"][1];
    assert_eq!(
        openelis["queue"],
        serde_json::json!({
            "events": 0, "more": false, "oldest_at": null, "oldest_age_seconds": null
        })
    );
}

#[tokio::test]
async fn a_queue_whose_rows_have_no_time_ages_from_its_first_sight_on() {
    let rows = "INSERT INTO event_records_queue (id, timestamp) VALUES (7, NULL), (8, '0000-00-00 00:00:00')";
    let hospital = async |most| {
        let statements = [("OpenELIS", PUBLISHER), ("OpenELIS", rows)];
        Hospital::made(&[], &[], "/atomfeed-console", &statements, |config| {
            config.applications[1].info.concerns.queue_age_secs = Some(most);
        })
        .await
    };
    let patient = hospital(600).await;
    assert!(patient.get(PLAIN).await.body.starts_with("OK - "), "it may have come a moment ago");
    let impatient = hospital(0).await;
    let sentence = "2 events wait in event_records_queue, the oldest for at least ";
    let line = impatient.get(PLAIN).await.body;
    assert!(line.starts_with("CRITICAL - OpenELIS is not publishing its events: 2 ev"), "{line}");
    for page in ["", "/applications/openelis"] {
        let answer = impatient.page(&format!("/atomfeed-console{page}")).await;
        assert!(answer.body.contains(sentence), "{page}: {}", answer.body);
    }
    let queue = &impatient.get(STATUS).await.json()["applications"][1]["queue"];
    // Since the console first saw it, at least.
    assert!(queue["oldest_at"].is_string() && queue["oldest_age_seconds"].is_i64(), "{queue}");
    impatient.execute("OpenELIS", "DELETE FROM event_records_queue").await;
    impatient.look("openelis").await;
    assert!(impatient.get(PLAIN).await.body.starts_with("OK - "));
}

#[tokio::test]
async fn a_queue_that_cannot_be_read_is_told_in_every_place_with_what_was_last_seen() {
    let statements = [("OpenELIS", PUBLISHER), ("OpenELIS", SIX_HOURS_IN_THE_QUEUE)];
    let hospital = Hospital::made(&[], &[], "/atomfeed-console", &statements, |_| ()).await;
    hospital.followed().await;
    // Reading this fails.
    let unreadable = "CREATE VIEW event_records_queue AS SELECT 1 AS id, abs(-9223372036854775808) AS timestamp";
    hospital.execute("OpenELIS", &format!("ALTER TABLE event_records_queue RENAME TO kept; {unreadable}")).await;
    hospital.look("openelis").await;
    let line = hospital.get(PLAIN).await.body;
    assert!(line.starts_with("CRITICAL - OpenELIS is not publishing its events: 500 events wait in"), "{line}");
    assert!(line.contains("The publishing queue of OpenELIS cannot be read: OpenELIS ("), "{line}");
    let sentence = "It is not known whether events wait in event_records_queue.";
    for page in ["", "/applications/openelis"] {
        let answer = hospital.page(&format!("/atomfeed-console{page}")).await;
        assert!(answer.body.contains(sentence), "{page}: {}", answer.body);
    }
    let openelis = &hospital.get(STATUS).await.json()["applications"][1];
    assert_eq!((openelis["queue"].is_null(), openelis["queue_not_known"].is_string()), (true, true), "{openelis}");
    let kinds: Vec<_> = openelis["concerns"].as_array().unwrap().iter().map(|concern| &concern["kind"]).collect();
    assert_eq!(kinds, ["queue_stands", "queue_not_seen"]);

    hospital.execute("OpenELIS", "DROP VIEW event_records_queue").await;
    hospital.look("openelis").await;
    assert!(hospital.get(PLAIN).await.body.starts_with("OK - "), "without the table there is no queue");
    assert!(hospital.get(STATUS).await.json()["applications"][1]["queue_not_known"].is_null());
}

#[tokio::test]
async fn how_long_an_event_may_wait_in_the_queue_is_a_setting() {
    let statements = [("OpenELIS", PUBLISHER), ("OpenELIS", SIX_HOURS_IN_THE_QUEUE)];
    let hospital = Hospital::made(&[], &[], "/atomfeed-console", &statements, |config| {
        config.applications[1].info.concerns.queue_age_secs = Some(7 * 3_600);
    })
    .await;
    assert!(hospital.get(PLAIN).await.body.starts_with("OK - "));
}

/// 36 pages of encounters and 12 of patients; patient u200 is on page 4.
const EVENTS: &str = "INSERT INTO event_records (uuid, title, timestamp, object, category)
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 240)
    SELECT CASE n WHEN 179 THEN 'be4d353b-ac7b-4ee5-a5ac-1ca2f4b4d8e2' ELSE 'u' || n END, 'T', '2026-11-01 08:00:00', '/x',
        CASE WHEN n <= 180 THEN 'Encounter' ELSE 'patient' END
    FROM numbers";
const NO_OTHER_READER: (&str, &str) = ("OpenELIS", "DELETE FROM markers");

async fn watched_publisher(marker: &'static str, change: impl FnOnce(&mut Config)) -> Hospital {
    let statements = [("OpenELIS", PUBLISHER), ("OpenELIS", EVENTS), NO_OTHER_READER, ("Odoo", marker)];
    let hospital = Hospital::made(&[], &[], "/atomfeed-console", &statements, |config| {
        config.applications[1].info.publishes = vec!["http://openmrs:8080/openmrs/".into()];
        change(config);
    })
    .await;
    hospital.followed().await;
    hospital
}

/// Sets the marker of the patient feed to the event u200.
const AT_U200: &str = "UPDATE markers SET last_read_entry_id = 'u200',
    feed_uri_for_last_read_entry = 'http://openmrs:8080/openmrs/ws/atomfeed/patient/4' WHERE feed_uri LIKE '%patient%'";

const NOWHERE: &str =
    "UPDATE markers SET last_read_entry_id = 'tag:atomfeed.ict4h.org:nowhere' WHERE feed_uri LIKE '%patient%'";

#[tokio::test]
async fn a_marker_that_names_no_event_of_its_publisher_is_told_at_the_first_look() {
    let hospital = watched_publisher(NOWHERE, |_| ()).await;
    let sentence = "names the event “tag:atomfeed.ict4h.org:nowhere”, which is not in event_records of the publisher";
    let line = hospital.get(PLAIN).await.body;
    assert!(
        line.starts_with("CRITICAL - Odoo cannot continue reading the patient feed: The read position ")
            && line.contains(sentence)
    );
    for page in ["", "/applications/odoo"] {
        let answer = hospital.page(&format!("/atomfeed-console{page}")).await;
        assert!(answer.body.contains(sentence), "{page}: {}", answer.body);
    }
    let feeds = &hospital.get(STATUS).await.json()["applications"][0]["feeds"];
    assert_eq!((&feeds[0]["state"], &feeds[0]["concerns"]), (&"running".into(), &serde_json::json!([])));
    assert_eq!(
        (&feeds[1]["state"], &feeds[1]["concerns"][0]["kind"]),
        (&"unknown".into(), &"marker_names_no_event".into())
    );

    for (change, words) in [
        (
            "last_read_entry_id = 'tag:atomfeed.ict4h.org:u200', \
             feed_uri_for_last_read_entry = 'http://openmrs:8080/openmrs/ws/atomfeed/patient/4'",
            "OK - ",
        ),
        ("last_read_entry_id = 'u201'", "OK - "),
        ("last_read_entry_id = NULL", "OK - "),
        ("last_read_entry_id = 'u5'", "the event “u5”, which has the category Encounter and is not on this feed."),
        (
            "last_read_entry_id = 'u200', feed_uri_for_last_read_entry = 'http://openmrs:8080/openmrs/ws/atomfeed/patient/581'",
            "names page 581, but the last page of this feed is 12",
        ),
        (
            "feed_uri_for_last_read_entry = 'http://openmrs:8080/openmrs/ws/atomfeed/patient/12'",
            "names page 12, but the event “u200” is on page 4 of this feed.",
        ),
        (
            "feed_uri_for_last_read_entry = 'http://openmrs:8080/openmrs/ws/atomfeed/patient/0'",
            "/patient/0”, which has no page number from 1 on.",
        ),
        (
            "feed_uri_for_last_read_entry = 'http://openmrs:8080/openmrs/ws/atomfeed/patient/abc'",
            "/patient/abc”, which has no page number from 1 on.",
        ),
        ("feed_uri_for_last_read_entry = 'http://openmrs:8080/openmrs/ws/atomfeed/patient/4'", "OK - "),
    ] {
        let statement = format!("UPDATE markers SET {change} WHERE feed_uri LIKE '%patient%'");
        hospital.execute("Odoo", Box::leak(statement.into_boxed_str())).await;
        hospital.look("odoo").await;
        let line = hospital.get(PLAIN).await.body;
        assert!(line.contains(words), "{change}: {line}");
    }
}

#[tokio::test]
async fn a_consumer_that_stopped_before_the_first_look_is_told_after_the_usual_time() {
    let old = "UPDATE markers SET last_read_entry_id = 'u180' WHERE feed_uri NOT LIKE '%patient%';
        UPDATE markers SET last_read_entry_id = 'u200',
            feed_uri_for_last_read_entry = 'http://openmrs:8080/openmrs/ws/atomfeed/patient/4'
            WHERE feed_uri LIKE '%patient%'";
    let hospital = watched_publisher(old, |_| ()).await;
    assert!(hospital.get(PLAIN).await.body.starts_with("OK - "), "it has its time to read");
    // As if the first poll had been an hour ago.
    let hour_ago = "UPDATE ledger_feeds SET marker_moved_at = marker_moved_at - 3600000";
    hospital.execute_on_store(hour_ago).await;
    hospital.look("odoo").await;
    let line = hospital.get(PLAIN).await.body;
    assert!(line.starts_with("CRITICAL - Odoo has stopped reading the patient feed: "), "{line}");
    let feeds = &hospital.get(STATUS).await.json()["applications"][0]["feeds"];
    assert_eq!(feeds[1]["concerns"][0]["kind"], "feed_stalled");
    // A feed that has been read to its end is not a concern, however long ago that was.
    let read_all = "UPDATE markers SET last_read_entry_id = 'u240',
        feed_uri_for_last_read_entry = 'http://openmrs:8080/openmrs/ws/atomfeed/patient/12'
        WHERE feed_uri LIKE '%patient%'";
    hospital.execute("Odoo", read_all).await;
    hospital.look("odoo").await;
    hospital.execute_on_store(hour_ago).await;
    hospital.look("odoo").await;
    let line = hospital.get(PLAIN).await.body;
    let feeds = &hospital.get(STATUS).await.json()["applications"][0]["feeds"];
    assert_eq!((&feeds[0]["state"], &feeds[1]["state"]), (&"running".into(), &"running".into()), "{line}");
}

#[tokio::test]
async fn the_feed_of_all_events_has_the_events_of_every_category() {
    let marker = "UPDATE markers SET last_read_entry_id = 'u200',
            feed_uri_for_last_read_entry = 'http://openmrs:8080/openmrs/ws/atomfeed/patient/4'
            WHERE feed_uri LIKE '%patient%';
        INSERT INTO markers VALUES ('http://lab:8080/feeds/recent', 'u12', 'http://lab:8080/feeds/3')";
    let hospital = watched_publisher(marker, |config| {
        config.applications[1].info.publishes.push("http://lab:8080/feeds".into());
    })
    .await;
    let line = hospital.get(PLAIN).await.body;
    assert!(line.starts_with("OK - "), "{line}");
    for (page, words) in [
        ("48", "names page 48, but the event “u12” is on page 3 of this feed."),
        ("3", "OK - "),
        ("49", "names page 49, but the last page of this feed is 48"),
    ] {
        let change = format!(
            "UPDATE markers SET feed_uri_for_last_read_entry = 'http://lab:8080/feeds/{page}' WHERE feed_uri LIKE '%feeds%'"
        );
        hospital.execute("Odoo", &change).await;
        hospital.look("odoo").await;
        let line = hospital.get(PLAIN).await.body;
        assert!(line.contains(words), "{page}: {line}");
    }
}

#[tokio::test]
async fn a_category_that_is_encoded_in_the_address_is_that_of_the_events() {
    let marker = "INSERT INTO markers VALUES ('http://openmrs:8080/openmrs/ws/atomfeed/lab%20test/recent', 'n1',
        'http://openmrs:8080/openmrs/ws/atomfeed/lab%20test/1')";
    let hospital = watched_publisher(AT_U200, |_| ()).await;
    hospital
        .execute(
            "OpenELIS",
            "INSERT INTO event_records (uuid, timestamp, category) VALUES ('n1', '2026-11-01 08:00:00', 'lab test')",
        )
        .await;
    hospital.execute("Odoo", marker).await;
    hospital.look("odoo").await;
    let line = hospital.get(PLAIN).await.body;
    assert!(line.starts_with("OK - "), "{line}");
    assert_eq!(hospital.get(STATUS).await.json()["applications"][0]["feeds"][1]["category"], "lab test");
    hospital.execute("Odoo", "UPDATE markers SET last_read_entry_id = 'u5' WHERE last_read_entry_id = 'n1'").await;
    hospital.look("odoo").await;
    let line = hospital.get(PLAIN).await.body;
    assert!(line.contains("“u5”, which has the category Encounter"), "{line}");
}

#[tokio::test]
async fn whether_markers_are_compared_and_which_feeds_are_idle_are_settings() {
    let hospital = watched_publisher(NOWHERE, |config| {
        config.applications[0].info.concerns.compare_markers = false;
    })
    .await;
    assert!(hospital.get(PLAIN).await.body.starts_with("OK - "));
    let hospital = watched_publisher(NOWHERE, |config| {
        config.applications[0].info.concerns.idle_feeds = vec!["/openmrs/ws/atomfeed/patient/".into()];
    })
    .await;
    assert!(hospital.get(PLAIN).await.body.starts_with("OK - "));
    let application = hospital.page("/atomfeed-console/applications/odoo").await.body;
    assert!(application.contains("This feed is read rarely or never"));
}

#[tokio::test]
async fn a_retry_job_that_does_not_come_is_told_in_every_place_until_somebody_retries() {
    let rows: Vec<Row> = (1..=3).map(waiting).collect();
    let log = "INSERT INTO failed_event_retry_log (id, feed_uri, failed_at, event_id)
        VALUES (1, 'http://openmrs:8080/openmrs/ws/atomfeed/encounter/recent', '2026-11-20 09:00:00', 'tag:x')";
    let hospital = Hospital::made(&rows, &[], "/atomfeed-console", &[("Odoo", log)], |config| {
        config.applications[0].info.concerns.retry_overdue_secs = Some(300);
    })
    .await;
    let late = "No retry since 20 Nov 2026, 09:00 UTC, although retries are due every 30 s.";
    for _ in 0..2 {
        let line = hospital.get(PLAIN).await.body;
        let title = "WARNING - Retries of Odoo are overdue on the encounter feed: ";
        assert!(line.starts_with(title) && line.contains(late.trim_end_matches('.')), "{line}");
        for page in ["", "/applications/odoo"] {
            let answer = hospital.page(&format!("/atomfeed-console{page}")).await;
            assert!(answer.body.contains(late), "{page}: {}", answer.body);
            assert!(!answer.body.contains("Nothing to do yet"), "{page}");
        }
        let event = hospital.page("/atomfeed-console/failed-events/odoo/1").await.body;
        assert!(
            event.contains("Retry overdue") && event.contains("retry job of the application is probably not running")
        );
        assert!(!event.contains("Next retry within") && !event.contains("It will be retried automatically"), "{event}");
        let feed = &hospital.get(STATUS).await.json()["applications"][0]["feeds"][0];
        assert_eq!(feed["concerns"][0]["kind"], "retry_overdue");
        assert_eq!(feed["unretried_since"], "2026-11-20T09:00:00Z");
        hospital.followed().await;
    }
    // A retry that succeeds leaves no trace except that the row is deleted.
    hospital.execute("Odoo", "DELETE FROM failed_events WHERE id = 2").await;
    hospital.look("odoo").await;
    assert!(hospital.get(PLAIN).await.body.starts_with("OK - "));
}

#[tokio::test]
async fn a_retry_job_that_works_is_not_overdue_because_the_console_was_restarted() {
    let rows: Vec<Row> = (1..=3).map(waiting).collect();
    let mut hospital = Hospital::made(&rows, &[], "/atomfeed-console", &[], |config| {
        config.applications[0].info.concerns.retry_overdue_secs = Some(300);
    })
    .await;
    let log = (1, "2026-11-20 09:00:00", "again".to_owned(), rows[0].event.clone());
    hospital.log("Odoo", rows[0].feed, log).await;
    hospital.followed().await;
    let overdue = "WARNING - Retries of Odoo are overdue on the encounter feed: ";
    assert!(hospital.get(PLAIN).await.body.starts_with(overdue), "nothing was ever seen to be retried");
    hospital.execute("Odoo", "DELETE FROM failed_events WHERE id = 1; DELETE FROM failed_event_retry_log").await;
    hospital.look("odoo").await;
    assert!(hospital.get(PLAIN).await.body.starts_with("OK - "));
    hospital.restart();
    for _ in 0..2 {
        let line = hospital.get(PLAIN).await.body;
        assert!(line.starts_with("OK - "), "{line}");
        hospital.followed().await;
    }
    // The time counts from when the last one was deleted.
    hospital
        .execute_on_store("UPDATE ledger_events SET ended_at = ended_at - 3600000 WHERE ended_at IS NOT NULL")
        .await;
    hospital.restart();
    hospital.followed().await;
    let line = hospital.get(PLAIN).await.body;
    assert!(line.starts_with(overdue), "{line}");
    // What was deleted while the console was away is a sign of work, too.
    hospital.execute("Odoo", "DELETE FROM failed_events WHERE id = 2").await;
    hospital.restart();
    for _ in 0..2 {
        let line = hospital.get(PLAIN).await.body;
        assert!(line.starts_with("OK - "), "{line}");
        hospital.followed().await;
    }
}

#[tokio::test]
async fn rows_that_no_retry_job_finds_make_no_retry_job_overdue() {
    let rows: Vec<Row> = ["", "   "].into_iter().zip(1..).map(|(feed, id)| Row { feed, ..waiting(id) }).collect();
    let hospital = Hospital::made(&rows, &[], "/atomfeed-console", &[], |config| {
        let odoo = &mut config.applications[0].info;
        odoo.concerns.retry_overdue_secs = Some(300);
        // Nor does a limit apply to what is counted for no feed.
        odoo.limits.max_failed_events = Some(1);
    })
    .await;
    let line = hospital.get(PLAIN).await.body;
    assert!(line.starts_with("OK - "), "{line}");
}

#[tokio::test]
async fn a_publishers_page_counts_what_is_there_and_does_not_list_every_marker() {
    let markers = "INSERT INTO event_records_offset_marker (event_id, event_count, category) VALUES (180, 180, 'Encounter');
        INSERT INTO event_records_offset_marker (event_id, event_count)
        WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 400) SELECT n, n FROM numbers";
    let statements = [("OpenELIS", PUBLISHER), ("OpenELIS", EVENTS), ("OpenELIS", markers)];
    let hospital = Hospital::made(&[], &[], "/atomfeed-console", &statements, |_| ()).await;
    let page = "/atomfeed-console/applications/openelis";
    let before = hospital.page(page).await.body;
    assert!(before.contains("400 offset markers have no category (NULL)"), "{before}");
    assert_eq!(before.matches("data-label=\"Up to event id\"").count(), 1);
    assert!(!before.contains("has a wrong count"));

    // The last count is used for half a minute: another console of the same hospital counts again.
    let gone = ("OpenELIS", "DELETE FROM event_records WHERE category = 'Encounter'");
    let statements = [("OpenELIS", PUBLISHER), ("OpenELIS", EVENTS), ("OpenELIS", markers), gone];
    let hospital = Hospital::made(&[], &[], "/atomfeed-console", &statements, |_| ()).await;
    let after = hospital.page(page).await.body;
    assert!(after.contains("An offset marker has a wrong count"), "{after}");
    assert!(after.contains(" (the table has none)"), "{after}");
}

#[tokio::test]
async fn a_marker_that_names_no_page_address_is_critical_and_never_running() {
    let hospital = Hospital::new(&[], &[]).await;
    hospital
        .execute("Odoo", "UPDATE markers SET last_read_entry_id = '?', feed_uri_for_last_read_entry = '?' WHERE feed_uri LIKE '%patient%'")
        .await;
    hospital.followed().await;
    let line = hospital.get(PLAIN).await.body;
    assert!(
        line.starts_with(
            "CRITICAL - Odoo cannot continue reading the patient feed: The read position names the feed page “?”"
        ),
        "{line}"
    );
    let overview = hospital.page("/atomfeed-console").await.body;
    assert!(overview.contains("Odoo cannot continue reading the patient feed"));
    let application = hospital.page("/atomfeed-console/applications/odoo").await.body;
    assert!(application.contains("is not a page address") && application.contains("to repair the read position"));
}

#[tokio::test]
async fn without_the_table_of_failed_events_nothing_is_zero_and_no_marker_is_blamed() {
    let hospital = Hospital::new(&[], &[]).await;
    hospital.execute("Odoo", "DROP TABLE failed_events").await;
    hospital.console.parts.watch.poll_now("odoo").await;
    let application = hospital.page("/atomfeed-console/applications/odoo").await.body;
    assert!(!application.contains("names no feed page"), "the marker has its page");
    assert!(application.contains("The failed events of Odoo cannot be read"));
    assert!(application.contains("Whether events failed is not known: the table failed_events does not exist."));
    assert_eq!(application.matches("not known<").count(), 3, "waiting, exhausted and all");
    let overview = hospital.page("/atomfeed-console").await.body;
    assert_eq!(overview.matches("not known<").count(), 4, "and no empty chart");
    let odoo = &hospital.get(STATUS).await.json()["applications"][0];
    assert!(odoo["failed"].is_null() && odoo["feeds"][0]["failed"].is_null());
    assert_eq!(odoo["feeds"][0]["state"], "unknown");
    assert_eq!(odoo["concerns"][0]["kind"], "failures_not_seen");
}

#[tokio::test]
async fn a_database_that_is_gone_is_critical_and_the_answer_is_still_an_answer() {
    let hospital = Hospital::with(&[], &[], "/atomfeed-console", |config| {
        config.applications[1].database.database = "/nonexistent/openelis.db".into();
    })
    .await;
    let line = hospital.get(PLAIN).await;
    assert_eq!(line.status, StatusCode::OK);
    assert!(line.body.starts_with("CRITICAL - ") && line.body.contains("OpenELIS"), "{}", line.body);
    let json = hospital.get(STATUS).await.json();
    let openelis = &json["applications"][1];
    assert_eq!((&openelis["state"], &openelis["status"]), (&"unreachable".into(), &"CRITICAL".into()));
    assert!(openelis["feeds"].is_null() && openelis["age_seconds"].is_null());
    assert_eq!(json["applications"][0]["status"], "OK");
}

#[tokio::test]
async fn whoever_asks_needs_the_right_to_see_and_is_told_of_their_own_applications() {
    let hospital = Hospital::with(&[], &[row(1, "2026-11-20 08:00:00")], "/atomfeed-console", |config| {
        config.access = Access { way: AuthMode::Accounts, ..Access::default() };
    })
    .await;
    let nobody = hospital.get(STATUS).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    assert!(!nobody.body.contains("Odoo"));
    let viewer = |only: Option<&str>| Person {
        name: "viewer".into(),
        role: Role::Viewer,
        applications: only.map(|app| [app.to_owned()].into()),
        known_by: KnownBy::Account,
        reading_only: false,
    };
    let all = hospital.get_as(&viewer(None), PLAIN).await;
    assert!(all.body.starts_with("WARNING - ") && all.body.contains("OpenELIS"), "{}", all.body);
    let odoo = hospital.get_as(&viewer(Some("odoo")), PLAIN).await;
    assert!(odoo.body.starts_with("OK - 2 feeds"), "{}", odoo.body);
    assert!(!hospital.get_as(&viewer(Some("odoo")), STATUS).await.body.contains("OpenELIS"));
}
